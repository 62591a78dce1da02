/* SPDX-License-Identifier: MIT
 *
 * What modify changes: in the kernel, and of what was found before.
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

static void test_modify_asks_anew_what_was_found_for_the_old_interest(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], RW);
    CHECK_IS(readyq_wait(q, LONG, 0), 1);
    modify(&w, READYQ_WRITE);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
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

TESTS(TEST(test_modify_reaches_the_kernel_with_data_pending_at_each_step),
      TEST(test_modify_asks_anew_what_was_found_for_the_old_interest),
      TEST(test_modify_changes_between_level_and_edge))
