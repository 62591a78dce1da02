/* SPDX-License-Identifier: MIT
 *
 * The effects of modify: on the kernel's registration, and on events that were found before.
 */
#include "things.h"

#define RW (READYQ_READ | READYQ_WRITE)

static void modify(readyq_watch *w, uint32_t interest)
{
    CHECK_IS(readyq_modify(w, interest), 0);
    CHECK_IS(w->interest, interest);
}

static void test_modify_reaches_the_kernel_with_data_pending_at_each_step(void)
{
    static const uint32_t interests[] = {READYQ_READ, READYQ_WRITE, RW, READYQ_READ, 0, RW};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_WRITE);
    for (int i = 0; i < 6; i++) {
        modify(&w, interests[i]);
        readyq_watch *found = take_within(q, interests[i] == 0 ? SOON : LONG);
        CHECK(found == (interests[i] == 0 ? NULL : &w));
        if (found != NULL)
            CHECK_IS(w.ready, interests[i]);
    }
    readyq_close(q);
    close_pair(p);
}

static void test_modify_asks_again_for_what_was_found_for_the_old_interest(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], RW);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    modify(&w, READYQ_WRITE);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_modify_changes_between_level_and_edge(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_TAKES(q, &w);
    modify(&w, READYQ_READ | READYQ_EDGE);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ);
    CHECK_TAKES(q, &w);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_modify_of_a_closed_descriptor_is_ebadf(void)
{
    int p[2];
    readyq_watch w;
    int file = open_file();
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        const uint32_t interest = READYQ_READ | (i ? READYQ_EXCLUSIVE : 0);
        open_pipe(p);
        add(q, &w, p[0], interest);
        close_pair(p);
        CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_EDGE), -EBADF);
        CHECK_IS(w.interest, interest);
        CHECK_IS(readyq_remove(&w), 0);
    }
    add(q, &w, file, READYQ_READ);
    close(file);
    CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_ONESHOT), -EBADF);
    CHECK_IS(w.interest, READYQ_READ);
    readyq_close(q);
}

static void test_modify_of_a_number_that_belongs_to_another_file_is_ebadf(void)
{
    int p[2], other[2], file = open_file();
    readyq_watch w;
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        open_pipe(p);
        open_unix(other);
        add(q, &w, p[0], READYQ_READ);
        CHECK_IS(dup2(i ? file : other[0], p[0]), p[0]);
        CHECK_IS(readyq_modify(&w, READYQ_WRITE), -EBADF);
        CHECK_IS(w.interest, READYQ_READ);
        CHECK_IS(readyq_remove(&w), 0);
        close_pair(other);
        close_pair(p);
    }
    readyq_close(q);
    close(file);
}

static void test_modify_of_what_was_found_stale_is_ebadf(void)
{
    int p[2], file = open_file();
    readyq_watch w, pipe;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, file, READYQ_READ);
    add(q, &pipe, p[0], READYQ_READ);
    close(file);
    CHECK_TAKES(q, &pipe);
    CHECK_IS(readyq_modify(&w, READYQ_READ), -EBADF);
    CHECK(readyq_stale(q) == &w);
    readyq_close(q);
    close_pair(p);
}

static void test_modify_of_a_closed_descriptor_that_is_paused_or_spent_is_ebadf(void)
{
    static const uint32_t interests[] = {0, READYQ_READ | READYQ_ONESHOT};
    for (int i = 0; i < 2; i++) {
        int p[2];
        readyq_watch w;
        readyq *q = open_queue();
        open_pipe(p);
        put(p[1]);
        add(q, &w, p[0], interests[i]);
        CHECK(take_within(q, SOON) == (i == 0 ? NULL : &w));
        close_pair(p);
        CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_ONESHOT), -EBADF);
        CHECK_IS(w.interest, interests[i]);
        CHECK_IS(readyq_remove(&w), 0);
        readyq_close(q);
    }
}

TESTS(TEST(test_modify_reaches_the_kernel_with_data_pending_at_each_step),
      TEST(test_modify_asks_again_for_what_was_found_for_the_old_interest),
      TEST(test_modify_changes_between_level_and_edge),
      TEST(test_modify_of_a_closed_descriptor_is_ebadf),
      TEST(test_modify_of_a_number_that_belongs_to_another_file_is_ebadf),
      TEST(test_modify_of_what_was_found_stale_is_ebadf),
      TEST(test_modify_of_a_closed_descriptor_that_is_paused_or_spent_is_ebadf))
