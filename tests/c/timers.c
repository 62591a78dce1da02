/* SPDX-License-Identifier: MIT
 *
 * Timers and the two clocks. Exact times are tested on the virtual clock. On the real clock a timer
 * may be late (much so on a busy machine) and is never early.
 */
#include "things.h"

static readyq *open_virtual(void)
{
    return open_queue_with((struct readyq_options){.virtual_clock = true});
}

static void add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_timer(q, w, delay, period), 0);
}

/* ------------------------------------------------------------------ the real clock */

static void test_timer_is_never_early(void)
{
    readyq_batch batch = {0};
    enum { COUNT = 300 };
    static readyq_watch w[COUNT];
    static int64_t due[COUNT];
    readyq *q = open_queue();
    for (int i = 0; i < COUNT; i++) {
        int64_t delay = (int64_t)(i * 7919 % COUNT) * MS / 10;
        due[i] = now_ns() + delay;
        add_timer(q, &w[i], delay, 0);
        w[i].data = &due[i];
    }
    for (int left = COUNT; left > 0; left--) {
        CHECK(readyq_wait(q, &batch, LONG, 1) == 1);
        readyq_watch *found = readyq_next(&batch);
        CHECK(now_ns() >= *(int64_t *)found->data);
    }
    CHECK_IS(readyq_size(q), 0);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_timer_leaves_the_queue_when_it_has_fired(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_timer(q, &w, MS, 0);
    CHECK_IS(w.kind, READYQ_KIND_TIMER);
    CHECK_IS(w.fd, -1);
    CHECK_IS(readyq_size(q), 1);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_FIRED);
    CHECK_IS(w.count, 1);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    CHECK_IS(readyq_remove(&w), -ENOENT);
    CHECK_QUIET(q);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
}

static void test_memory_of_a_fired_timer_may_be_freed(void)
{
    readyq *q = open_queue();
    readyq_watch *w = calloc(1, sizeof *w);
    CHECK_IS(readyq_add_timer(q, w, 0, 0), 0);
    CHECK_TAKES(q, w);
    free(w);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_period_neither_drifts_nor_hurries_until_it_is_removed(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    int64_t before = now_ns(), asked = 0, count = 0;
    add_timer(q, &w, MS, MS);
    int64_t after = now_ns();
    while (count < 200) {
        asked = now_ns();
        CHECK_TAKES(q, &w);
        CHECK(w.queue == q);
        count += (int64_t)w.count;
        CHECK(count <= (now_ns() - before) / MS);
    }
    CHECK(count >= (asked - after) / MS);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_timer_cancelled_in_the_same_batch_is_not_reported(void)
{
    readyq_batch batch = {0};
    readyq_watch w[2];
    readyq *q = open_queue();
    add_timer(q, &w[0], 0, 0);
    add_timer(q, &w[1], 0, MS);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    CHECK(readyq_next(&batch) == &w[0]);
    CHECK_IS(readyq_remove(&w[1]), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
}

static void *wait_for_one(void *q)
{
    return take(q);
}

static void test_timer_added_by_another_thread_shortens_a_running_wait(void)
{
    readyq_watch far, near;
    void *found;
    readyq *q = open_queue();
    add_timer(q, &far, 2 * LONG, 0);
    pthread_t thread = start(wait_for_one, q);
    sleep_ns(SOON);
    int64_t before = now_ns();
    add_timer(q, &near, MS, 0);
    CHECK_IS(pthread_join(thread, &found), 0);
    CHECK(found == &near);
    CHECK(now_ns() - before < LONG);
    readyq_close(q);
}

static void test_timer_does_not_end_a_wait_that_is_over_before(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_timer(q, &w, 10 * SOON, 0);
    int64_t before = now_ns();
    CHECK_IS(count_ready(q, MS), 0);
    CHECK(now_ns() - before >= MS);
    CHECK_TAKES(q, &w);
    readyq_close(q);
}

static void test_timers_cost_no_system_call(void)
{
    static readyq_watch w[1000];
    readyq *q = open_queue();
    struct readyq_stats before = stats_of(q);
    for (int i = 0; i < 1000; i++)
        add_timer(q, &w[i], SECOND + i, 0);
    for (int i = 0; i < 1000; i++)
        CHECK_IS(readyq_remove(&w[i]), 0);
    CHECK_IS(stats_of(q).changes, before.changes);
    CHECK_IS(stats_of(q).kernel_waits, before.kernel_waits);
    readyq_close(q);
}

static void test_bad_delays_and_periods_are_refused(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_timer(q, &w, -1, 0), -EINVAL);
    CHECK_IS(readyq_add_timer(q, &w, 0, -1), -EINVAL);
    CHECK_IS(readyq_add_timer(q, &w, INT64_MIN, INT64_MIN), -EINVAL);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    readyq_close(q);
}

static void test_huge_delays_and_periods_work(void)
{
    readyq_watch far, farther, near;
    readyq *q = open_queue();
    add_timer(q, &farther, INT64_MAX, INT64_MAX);
    add_timer(q, &far, INT64_MAX - 1, 1);
    CHECK_QUIET(q);
    add_timer(q, &near, MS, INT64_MAX);
    CHECK_TAKES(q, &near);
    CHECK_QUIET(q);
    CHECK_IS(readyq_size(q), 3);
    readyq_close(q);
}

/* ------------------------------------------------------------------ the virtual clock */

static void test_a_wake_ends_a_wait_of_the_virtual_clock_and_time_stands_still(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    int64_t begin = readyq_now(q);
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(count_ready(q, SECOND), 0);
    CHECK_IS(readyq_now(q), begin);
    add_timer(q, &w, SECOND, 0);
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(count_ready(q, -1), 0);
    CHECK_IS(readyq_now(q), begin);
    CHECK_TAKES(q, &w);
    readyq_close(q);
}

static void *wake_soon(void *q)
{
    sleep_ns(20 * MS);
    CHECK_IS(readyq_wake(q), 0);
    return NULL;
}

static void test_a_timer_at_the_end_of_virtual_time_makes_no_wait_spin(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, INT64_MAX, 0);
    const uint64_t before = stats_of(q).kernel_waits;
    pthread_t thread = start(wake_soon, q);
    CHECK_IS(count_ready(q, -1), 0);
    join(thread);
    CHECK(stats_of(q).kernel_waits - before < 5);
    readyq_close(q);
}

static void test_virtual_clock_stands_still_and_jumps_to_the_next_deadline(void)
{
    readyq_watch w[2];
    readyq *q = open_virtual();
    int64_t begin = readyq_now(q);
    add_timer(q, &w[0], 3600 * SECOND, 0);
    add_timer(q, &w[1], 7200 * SECOND, 0);
    CHECK_IS(readyq_now(q), begin);
    CHECK(take_within(q, -1) == &w[0]);
    CHECK_IS(readyq_now(q), begin + 3600 * SECOND);
    CHECK(take_within(q, 1000 * SECOND) == NULL);
    CHECK_IS(readyq_now(q), begin + 4600 * SECOND);
    CHECK(take_within(q, 0) == NULL);
    CHECK_IS(readyq_now(q), begin + 4600 * SECOND);
    CHECK(take_within(q, -1) == &w[1]);
    CHECK_IS(readyq_now(q), begin + 7200 * SECOND);
    readyq_close(q);
}

static void test_cancelled_timer_does_not_fire(void)
{
    readyq_watch w[3];
    readyq *q = open_virtual();
    for (int i = 0; i < 3; i++)
        add_timer(q, &w[i], MS * (i + 1), 0);
    CHECK_IS(readyq_remove(&w[1]), 0);
    CHECK(take_within(q, -1) == &w[0]);
    CHECK(take_within(q, -1) == &w[2]);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_virtual_clock_looks_at_real_descriptors_first(void)
{
    int p[2];
    readyq_watch w, timer;
    readyq *q = open_virtual();
    int64_t begin = readyq_now(q);
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    add_timer(q, &timer, SECOND, 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_now(q), begin);
    get(p[0]);
    CHECK_TAKES(q, &timer);
    CHECK_IS(readyq_now(q), begin + SECOND);
    readyq_close(q);
    close_pair(p);
}

static void test_virtual_clock_without_a_deadline_waits_for_descriptors(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_virtual();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK(take_within(q, 0) == NULL);
    put(p[1]);
    CHECK(take_within(q, -1) == &w);
    readyq_close(q);
    close_pair(p);
}

static void test_virtual_day_of_heartbeats_passes_at_once_without_drift(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    int64_t begin = readyq_now(q);
    add_timer(q, &w, SECOND, 10 * SECOND);
    for (int i = 0; i < 8640; i++) {
        CHECK(take_within(q, -1) == &w);
        CHECK_IS(w.count, 1);
        CHECK_IS(readyq_now(q), begin + (1 + 10LL * i) * SECOND);
    }
    readyq_close(q);
}

static void test_virtual_clock_does_not_jump_while_something_is_left_untaken(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_virtual();
    int64_t begin = readyq_now(q);
    add_timer(q, &w, 5 * MS, 10 * MS);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 1);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 1);
    CHECK_IS(readyq_now(q), begin + 5 * MS);
    CHECK(readyq_next(&batch) == &w);
    CHECK_IS(w.count, 1);
    CHECK(take_within(q, -1) == &w);
    CHECK_IS(readyq_now(q), begin + 15 * MS);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_missed_periods_come_as_one_delivery_with_their_count(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    int64_t before = now_ns();
    add_timer(q, &w, MS, MS);
    sleep_ns(10 * MS);
    CHECK_TAKES(q, &w);
    CHECK(w.count >= 10);
    CHECK((int64_t)w.count <= (now_ns() - before) / MS);
    uint64_t first = w.count;
    CHECK_TAKES(q, &w);
    CHECK((int64_t)(first + w.count) <= (now_ns() - before) / MS);
    readyq_close(q);
}

static void test_timers_fire_in_the_order_of_their_deadlines(void)
{
    readyq_batch batch = {0};
    enum { COUNT = 1000 };
    static readyq_watch w[COUNT];
    readyq *q = open_virtual();
    int64_t last = readyq_now(q);
    for (int i = 0; i < COUNT; i++)
        add_timer(q, &w[i], (int64_t)(i * 7919 % COUNT) * SECOND, 0);
    for (int i = 0; i < COUNT; i++) {
        CHECK_IS(readyq_wait(q, &batch, -1, 1), 1);
        readyq_watch *found = readyq_next(&batch);
        CHECK_IS((found - w) * 7919 % COUNT, i);
        CHECK(readyq_now(q) >= last);
        last = readyq_now(q);
    }
    readyq_done(&batch);
    readyq_close(q);
}

static void test_timers_of_one_deadline_fire_in_the_order_they_were_set(void)
{
    readyq_batch batch = {0};
    readyq_watch w[20];
    readyq *q = open_virtual();
    for (int i = 0; i < 20; i++)
        add_timer(q, &w[i], SECOND, 0);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 20);
    for (int i = 0; i < 20; i++)
        CHECK(readyq_next(&batch) == &w[i]);
    readyq_done(&batch);
    readyq_close(q);
}

/* ------------------------------------------------------------------ restarted, to be later */

static void test_timers_that_were_made_later_fire_in_order(void)
{
    readyq_batch batch = {0};
    readyq_watch a, b, c, d;
    readyq *q = open_virtual();
    add_timer(q, &a, 1, 0);
    add_timer(q, &b, 10, 0);
    add_timer(q, &c, 4, 0);
    CHECK_IS(readyq_restart(&a, 10), 0); /* after b, which was set before */
    add_timer(q, &d, 10, 0);             /* after a */
    CHECK_IS(readyq_restart(&c, 20), 0);
    CHECK_IS(readyq_restart(&c, 12), 0); /* earlier than before, and later than at first */
    CHECK_IS(readyq_due(&a), readyq_now(q) + 10);
    CHECK_IS(readyq_due(&c), readyq_now(q) + 12);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 3);
    CHECK(readyq_next(&batch) == &b);
    CHECK(readyq_next(&batch) == &a);
    CHECK(readyq_next(&batch) == &d);
    readyq_done(&batch);
    CHECK_TAKES(q, &c);
    CHECK_IS(readyq_now(q), 12);
    readyq_close(q);
}

static void test_timer_that_was_made_later_can_be_made_earlier_and_removed(void)
{
    readyq_watch a, b, c;
    readyq *q = open_virtual();
    add_timer(q, &a, 2, 0);
    add_timer(q, &b, 3, 5);
    add_timer(q, &c, 4, 0);
    CHECK_IS(readyq_restart(&a, 30), 0);
    CHECK_IS(readyq_restart(&c, 40), 0);
    CHECK_IS(readyq_restart(&c, 1), 0);
    CHECK_IS(readyq_remove(&a), 0);
    CHECK_TAKES(q, &c);
    CHECK_IS(readyq_now(q), 1);
    CHECK_IS(readyq_restart(&b, 6), 0);
    CHECK_TAKES(q, &b);
    CHECK_IS(readyq_now(q), 7);
    CHECK_TAKES(q, &b);
    CHECK_IS(readyq_now(q), 12);
    readyq_close(q);
}

/* The deadline of a sleep is the timer's own, not that which it had before. */
static void test_wait_sleeps_once_for_a_timer_that_was_made_later(void)
{
    readyq_watch w, others[20];
    readyq *q = open_queue();
    add_timer(q, &w, 5 * MS, 0);
    for (int i = 0; i < 20; i++)
        add_timer(q, &others[i], i * MS / 4, 0);
    CHECK_IS(readyq_restart(&w, 40 * MS), 0);
    for (int i = 0; i < 20; i++)
        CHECK_IS(readyq_restart(&others[i], LONG), 0);
    const uint64_t before = stats_of(q).kernel_waits;
    CHECK_TAKES(q, &w);
    CHECK_IS(stats_of(q).kernel_waits - before, 1);
    readyq_close(q);
}

/* ------------------------------------------------------------------ many */

static void test_hundred_thousand_timers_fire_once_each_and_half_are_cancelled(void)
{
    readyq_batch batch = {0};
    enum { COUNT = 100000 };
    int fired = 0;
    readyq_watch *w = calloc(COUNT, sizeof *w);
    readyq *q = open_virtual();
    for (int i = 0; i < COUNT; i++)
        CHECK_IS(readyq_add_timer(q, &w[i], (int64_t)(i * 7919LL % COUNT) * MS, 0), 0);
    CHECK_IS(readyq_size(q), COUNT);
    for (int i = 0; i < COUNT; i += 2)
        CHECK_IS(readyq_remove(&w[i]), 0);
    int64_t last = 0;
    while (readyq_size(q) > 0) {
        CHECK(readyq_wait(q, &batch, -1, 0) > 0);
        for (readyq_watch *found; (found = readyq_next(&batch)) != NULL; fired++) {
            int64_t due = (found - w) * 7919LL % COUNT;
            CHECK_IS((found - w) % 2, 1);
            CHECK(due >= last);
            last = due;
        }
    }
    CHECK_IS(fired, COUNT / 2);
    readyq_done(&batch);
    readyq_close(q);
    free(w);
}

static void test_two_hundred_thousand_due_timers_can_be_taken_one_by_one(void)
{
    readyq_batch batch = {0};
    enum { COUNT = 200000 };
    readyq_watch *w = calloc(COUNT, sizeof *w);
    readyq *q = open_queue();
    for (int i = 0; i < COUNT; i++)
        CHECK_IS(readyq_add_timer(q, &w[i], 0, 0), 0);
    for (int i = 0; i < COUNT; i++) {
        CHECK_IS(readyq_wait(q, &batch, LONG, 1), 1);
        CHECK(readyq_next(&batch) == &w[i]);
    }
    readyq_done(&batch);
    readyq_close(q);
    free(w);
}

TESTS(TEST(test_timers_that_were_made_later_fire_in_order),
      TEST(test_timer_that_was_made_later_can_be_made_earlier_and_removed),
      TEST(test_wait_sleeps_once_for_a_timer_that_was_made_later), TEST(test_timer_is_never_early),
      TEST(test_timer_leaves_the_queue_when_it_has_fired),
      TEST(test_memory_of_a_fired_timer_may_be_freed),
      TEST(test_period_neither_drifts_nor_hurries_until_it_is_removed),
      TEST(test_cancelled_timer_does_not_fire),
      TEST(test_timer_cancelled_in_the_same_batch_is_not_reported),
      TEST(test_timer_added_by_another_thread_shortens_a_running_wait),
      TEST(test_timer_does_not_end_a_wait_that_is_over_before),
      TEST(test_timers_cost_no_system_call), TEST(test_bad_delays_and_periods_are_refused),
      TEST(test_huge_delays_and_periods_work),
      TEST(test_a_timer_at_the_end_of_virtual_time_makes_no_wait_spin),
      TEST(test_virtual_clock_stands_still_and_jumps_to_the_next_deadline),
      TEST(test_virtual_clock_looks_at_real_descriptors_first),
      TEST(test_virtual_clock_without_a_deadline_waits_for_descriptors),
      TEST(test_virtual_day_of_heartbeats_passes_at_once_without_drift),
      TEST(test_virtual_clock_does_not_jump_while_something_is_left_untaken),
      TEST(test_missed_periods_come_as_one_delivery_with_their_count),
      TEST(test_timers_fire_in_the_order_of_their_deadlines),
      TEST(test_timers_of_one_deadline_fire_in_the_order_they_were_set),
      TEST(test_hundred_thousand_timers_fire_once_each_and_half_are_cancelled),
      TEST(test_two_hundred_thousand_due_timers_can_be_taken_one_by_one),
      TEST(test_a_wake_ends_a_wait_of_the_virtual_clock_and_time_stands_still))
