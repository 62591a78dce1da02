/* SPDX-License-Identifier: MIT
 *
 * Never stale: nothing is delivered for a watch that was removed, and a closed file cannot make
 * another watch fire. Files that a duplicate keeps open are tested in ghosts.c.
 */
#include "things.h"

#include <sys/eventfd.h>

static void test_remove_while_ready_reports_nothing(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_remove_of_another_in_the_same_batch_reports_nothing_of_it(void)
{
    readyq_batch batch = {0};
    int p[2][2];
    readyq_watch w[2];
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    readyq_watch *first = readyq_next(&batch), *other = first == &w[0] ? &w[1] : &w[0];
    CHECK_IS(readyq_remove(other), 0);
    CHECK_IS(other->ready, 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_TAKES(q, first);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p[0]);
    close_pair(p[1]);
}

static void *remove_it(void *w)
{
    CHECK_IS(readyq_remove(w), 0);
    return NULL;
}

static void test_remove_by_another_thread_reports_nothing(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    join(start(remove_it, &w));
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_memory_of_a_removed_watch_may_be_freed(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    readyq_watch *w = calloc(1, sizeof *w);
    CHECK_IS(readyq_add(q, w, p[0], READYQ_READ), 0);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_IS(readyq_remove(w), 0);
    free(w);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_remove_after_close_succeeds(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    close_pair(p);
    CHECK_QUIET(q);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_remove(&w), -ENOENT);
    CHECK_IS(readyq_size(q), 0);
    readyq_close(q);
}

static void test_close_and_remove_after_it_was_found_report_nothing(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    close_pair(p);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_remove_after_the_number_was_reused_leaves_the_new_file_alone(void)
{
    int p[2], other[2];
    readyq_watch w, fresh;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close_pair(p);
    open_pipe(other);
    CHECK_IS(other[0], p[0]);
    put(other[1]);
    CHECK_QUIET(q);
    CHECK_IS(readyq_remove(&w), 0);
    add(q, &fresh, other[0], READYQ_READ);
    CHECK_TAKES(q, &fresh);
    readyq_close(q);
    close_pair(other);
}

static void test_add_of_a_reused_number_works_and_the_old_watch_goes_inactive(void)
{
    int p[2], other[2];
    readyq_watch w, fresh;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close_pair(p);
    open_unix(other);
    CHECK_IS(other[0], p[0]);
    add(q, &fresh, other[0], READYQ_READ);
    CHECK(!w.armed);
    CHECK_IS(w.ready, 0);
    CHECK(readyq_find(q, other[0]) == &fresh);
    CHECK_IS(readyq_size(q), 1);
    put(other[1]);
    CHECK_TAKES(q, &fresh);
    readyq_close(q);
    close_pair(other);
}

static void test_the_queue_returns_a_watch_that_it_found_stale(void)
{
    int p[2], other[2];
    readyq_watch w, fresh;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK(readyq_stale(q) == NULL);
    close_pair(p);
    open_pipe(other);
    CHECK(!readyq_has_reports(q));
    add(q, &fresh, other[0], READYQ_READ);
    CHECK(readyq_has_reports(q));
    CHECK(readyq_stale(q) == &w);
    CHECK(w.queue == NULL);
    CHECK(readyq_stale(q) == NULL);
    CHECK(!readyq_has_reports(q));
    CHECK_IS(readyq_remove(&w), -ENOENT);
    readyq_close(q);
    close_pair(other);
}

static void test_a_stale_watch_can_be_added_again(void)
{
    int p[2], other[2];
    readyq_watch w, fresh;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close_pair(p);
    open_pipe(other);
    add(q, &fresh, other[0], READYQ_READ);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_add(q, &w, other[1], READYQ_WRITE), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(other);
}

static void test_old_event_is_not_given_to_the_new_watch_of_the_number(void)
{
    readyq_batch batch = {0};
    int p[2][2], other[2];
    readyq_watch w[2], fresh;
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    int first = readyq_next(&batch) == &w[0] ? 0 : 1, second = 1 - first;
    close_pair(p[second]);
    open_pipe(other);
    CHECK_IS(other[0], p[second][0]);
    add(q, &fresh, other[0], READYQ_READ);
    CHECK(readyq_next(&batch) == NULL);
    get(p[first][0]);
    CHECK_QUIET(q);
    put(other[1]);
    CHECK_TAKES(q, &fresh);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p[first]);
    close_pair(other);
}

static void test_reused_number_among_eventfds_works(void)
{
    readyq_watch w, fresh;
    readyq *q = open_queue();
    int fd = eventfd(1, EFD_NONBLOCK), again;
    add(q, &w, fd, READYQ_READ);
    close(fd);
    CHECK_IS(again = eventfd(0, EFD_NONBLOCK), fd);
    add(q, &fresh, again, READYQ_READ);
    CHECK(!w.armed);
    CHECK_QUIET(q);
    CHECK_IS(write(again, &(uint64_t){1}, 8), 8);
    CHECK_TAKES(q, &fresh);
    readyq_close(q);
    close(again);
}

static void test_reused_number_of_a_file_works(void)
{
    int p[2], fd = open_file();
    readyq_watch w, fresh;
    readyq *q = open_queue();
    add(q, &w, fd, READYQ_READ);
    CHECK_TAKES(q, &w);
    close(fd);
    open_pipe(p);
    CHECK_IS(p[0], fd);
    add(q, &fresh, p[0], READYQ_READ);
    CHECK(!w.armed);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_TAKES(q, &fresh);
    readyq_close(q);
    close_pair(p);
}

static void test_closed_file_is_not_reported_ready(void)
{
    int fd = open_file();
    readyq_watch w;
    readyq *q = open_queue();
    add(q, &w, fd, READYQ_READ);
    CHECK_TAKES(q, &w);
    close(fd);
    CHECK_QUIET(q);
    CHECK_IS(readyq_remove(&w), 0);
    readyq_close(q);
}

static void test_paused_watch_of_a_reused_number_goes_inactive_too(void)
{
    int p[2], other[2];
    readyq_watch w, fresh;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_modify(&w, 0), 0);
    close_pair(p);
    open_pipe(other);
    add(q, &fresh, other[0], READYQ_READ);
    CHECK(!w.armed);
    put(other[1]);
    CHECK_TAKES(q, &fresh);
    readyq_close(q);
    close_pair(other);
}

/* Delivered once, armed again, and then closed without being removed. */
static void check_reuse_of_rearmed(int count)
{
    readyq_batch batch = {0};
    static readyq_watch watches[100];
    static int pipes[100][2];
    readyq *q = open_queue();
    for (int i = 0; i < count; i++) {
        open_pipe(pipes[i]);
        put(pipes[i][1]);
        add(q, &watches[i], pipes[i][0], READYQ_READ | READYQ_ONESHOT);
    }
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), count);
    for (readyq_watch *w; (w = readyq_next(&batch)) != NULL;)
        CHECK_IS(readyq_modify(w, READYQ_READ | READYQ_ONESHOT), 0);
    for (int i = 0; i < count; i++)
        close_pair(pipes[i]);
    for (int i = 0; i < count; i++) {
        open_pipe(pipes[i]);
        put(pipes[i][1]);
    }
    CHECK_IS(readyq_wait(q, &batch, SOON, 0), 0);
    readyq_done(&batch);
    for (int i = 0; i < count; i++)
        CHECK_IS(readyq_remove(&watches[i]), 0);
    readyq_close(q);
    for (int i = 0; i < count; i++)
        close_pair(pipes[i]);
}

static void test_few_armed_again_and_closed_do_not_report_the_reused_numbers(void)
{
    check_reuse_of_rearmed(4);
}

static void test_many_armed_again_and_closed_do_not_report_the_reused_numbers(void)
{
    check_reuse_of_rearmed(100);
}

static void test_numbers_reused_a_thousand_times_stay_apart(void)
{
    readyq_watch old, fresh;
    readyq *q = open_queue();
    int p[2];
    open_pipe(p);
    add(q, &old, p[0], READYQ_READ);
    for (int i = 0; i < 1000; i++) {
        close_pair(p);
        open_pipe(p);
        add(q, &fresh, p[0], READYQ_READ);
        CHECK(!old.armed);
        CHECK_IS(readyq_remove(&old), 0);
        CHECK_IS(count_ready(q, 0), 0);
        put(p[1]);
        CHECK_TAKES(q, &fresh);
        CHECK_IS(readyq_remove(&fresh), 0);
        add(q, &old, p[0], READYQ_READ);
    }
    readyq_close(q);
    close_pair(p);
}

/* The program closed it although it is not its own, and the number is another file now. */
static void test_the_number_of_a_descriptor_of_the_queue_cannot_be_added(void)
{
    for (int nth = 0, left = 1; left; nth++) {
        bool before[100];
        readyq_watch w = {0};
        readyq *q;
        int p[2], fd, n = 0;
        open_pipe(p);
        for (fd = 0; fd < 100; fd++)
            before[fd] = fcntl(fd, F_GETFD) >= 0;
        q = open_queue();
        CHECK(readyq_fileno(q) >= 0);
        for (fd = 0; fd < 100; fd++)
            if (!before[fd] && fcntl(fd, F_GETFD) >= 0 && n++ == nth)
                break;
        left = fd < 100;
        if (left) {
            close(fd);
            CHECK_IS(dup2(p[0], fd), fd);
            CHECK_IS(readyq_add(q, &w, fd, READYQ_READ), -EINVAL);
            CHECK_IS(readyq_size(q), 0);
        }
        readyq_close(q);
        close_pair(p);
    }
}

TESTS(TEST(test_the_number_of_a_descriptor_of_the_queue_cannot_be_added),
      TEST(test_remove_while_ready_reports_nothing),
      TEST(test_remove_of_another_in_the_same_batch_reports_nothing_of_it),
      TEST(test_remove_by_another_thread_reports_nothing),
      TEST(test_memory_of_a_removed_watch_may_be_freed), TEST(test_remove_after_close_succeeds),
      TEST(test_close_and_remove_after_it_was_found_report_nothing),
      TEST(test_remove_after_the_number_was_reused_leaves_the_new_file_alone),
      TEST(test_add_of_a_reused_number_works_and_the_old_watch_goes_inactive),
      TEST(test_the_queue_returns_a_watch_that_it_found_stale),
      TEST(test_a_stale_watch_can_be_added_again),
      TEST(test_old_event_is_not_given_to_the_new_watch_of_the_number),
      TEST(test_reused_number_among_eventfds_works), TEST(test_reused_number_of_a_file_works),
      TEST(test_closed_file_is_not_reported_ready),
      TEST(test_paused_watch_of_a_reused_number_goes_inactive_too),
      TEST(test_few_armed_again_and_closed_do_not_report_the_reused_numbers),
      TEST(test_many_armed_again_and_closed_do_not_report_the_reused_numbers),
      TEST(test_numbers_reused_a_thousand_times_stay_apart))
