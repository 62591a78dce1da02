/* SPDX-License-Identifier: MIT
 *
 * A thread that is cancelled at a chosen moment of its wait (cancel.c: at any moment). Built
 * without sanitizers, like cancel.c.
 */
#include "meanwhile.h"

static void cancel_waiter(void)
{
    CHECK_IS(pthread_cancel(s.thread), 0);
}

static void join_cancelled(void)
{
    void *result;
    CHECK_IS(pthread_join(s.thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(readyq_next(&s.others) == NULL);
}

static void test_a_thread_that_is_cancelled_does_not_hold_up_the_replacement(void)
{
    begin();
    haunt();
    start_waiter_held_at(ASKING, NULL);
    put(writer);
    if (has_ghosts(s.q))
        happenings[WRITING] = cancel_waiter; /* by this thread, so that the other one leaves */
    else
        cancel_waiter();
    CHECK_IS(count_ready(s.q, SOON), 0);
    join_cancelled();
    CHECK_IS(stats_of(s.q).rebuilds, has_ghosts(s.q));
    end_haunted();
}

static void put_byte(void)
{
    put(s.p[1]);
}

static void test_what_was_fetched_by_a_thread_that_is_cancelled_comes_to_another(void)
{
    const uint32_t modes[] = {0, READYQ_EDGE, READYQ_ONESHOT};

    for (int i = 0; i < 3; i++) {
        begin();
        add(s.q, &s.w, s.p[0], READYQ_READ | modes[i]);
        start_waiter_held_at(ANSWERED, put_byte);
        cancel_waiter();
        join_cancelled();
        CHECK_TAKES(s.q, &s.w);
        end();
    }
}

static void test_wakes_work_after_a_thread_was_cancelled_that_one_had_ended(void)
{
    begin();
    const int64_t before = now_ns();
    start_waiter_held_at(ANSWERED, wake);
    cancel_waiter();
    join_cancelled();
    CHECK_IS(count_ready(s.q, LONG), 0);
    start_waiter();
    CHECK_IS(wake_waiter(), 0);
    CHECK(now_ns() - before < LONG / 2);
    end();
}

TESTS(TEST(test_a_thread_that_is_cancelled_does_not_hold_up_the_replacement),
      TEST(test_what_was_fetched_by_a_thread_that_is_cancelled_comes_to_another),
      TEST(test_wakes_work_after_a_thread_was_cancelled_that_one_had_ended))
