/* SPDX-License-Identifier: MIT
 *
 * How long a wait takes: never less than requested, forever if requested, and not shortened by
 * signals.
 */
#include "things.h"

#include <stdatomic.h>

static void test_wait_is_never_early(void)
{
    static const int64_t timeouts[] = {1, 1000, MS / 10, 999999, MS, 31 * MS / 10};
    readyq *q = open_queue();
    for (int i = 0; i < 60; i++) {
        int64_t timeout = timeouts[i % 6], before = now_ns();
        CHECK_IS(count_ready(q, timeout), 0);
        CHECK(now_ns() - before >= timeout);
    }
    readyq_close(q);
}

static void test_wait_of_zero_looks_and_returns(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK(readyq_next(&batch) == &w);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void *put_after_a_while(void *fd)
{
    sleep_ns(SOON);
    put(*(int *)fd);
    return NULL;
}

static void check_waits_until_data(int64_t timeout)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    pthread_t thread = start(put_after_a_while, &p[1]);
    CHECK(take_within(q, timeout) == &w);
    join(thread);
    readyq_close(q);
    close_pair(p);
}

static void test_minus_one_is_forever(void)
{
    check_waits_until_data(-1);
}

static void test_huge_timeouts_work(void)
{
    check_waits_until_data(INT64_MAX);
    check_waits_until_data(INT64_MAX - 1);
    check_waits_until_data(INT64_MAX / 2);
    check_waits_until_data((int64_t)INT32_MAX * MS + 1);
}

static void test_bad_timeouts_and_maxima_are_refused(void)
{
    readyq_batch batch = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_wait(q, &batch, -2, 0), -EINVAL);
    CHECK_IS(readyq_wait(q, &batch, INT64_MIN, 0), -EINVAL);
    CHECK_IS(readyq_wait(q, &batch, 0, -1), -EINVAL);
    CHECK_IS(readyq_look(q, &batch, -1), -EINVAL);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_huge_maxima_work(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, LONG, INT32_MAX), 1);
    CHECK(readyq_next(&batch) == &w);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

/* ------------------------------------------------------------------ interruptions */

static atomic_int caught;

static void count_signal(int signal)
{
    (void)signal;
    caught++;
}

static void catch_user_signal(void)
{
    struct sigaction action = {.sa_handler = count_signal};
    CHECK_IS(sigaction(SIGUSR1, &action, NULL), 0);
}

struct pest {
    pthread_t victim;
    atomic_bool enough;
};

static void *interrupt_again_and_again(void *argument)
{
    struct pest *pest = argument;
    while (!pest->enough) {
        sleep_ns(MS);
        pthread_kill(pest->victim, SIGUSR1);
    }
    return NULL;
}

static void test_signals_do_not_shorten_a_wait(void)
{
    struct pest pest = {.victim = pthread_self()};
    readyq *q = open_queue();
    catch_user_signal();
    pthread_t thread = start(interrupt_again_and_again, &pest);
    int64_t before = now_ns();
    CHECK_IS(count_ready(q, 5 * SOON), 0);
    CHECK(now_ns() - before >= 5 * SOON);
    pest.enough = true;
    join(thread);
    CHECK(caught > 0);
    readyq_close(q);
}

static void test_data_is_reported_among_many_signals(void)
{
    struct pest pest = {.victim = pthread_self()};
    catch_user_signal();
    pthread_t thread = start(interrupt_again_and_again, &pest);
    check_waits_until_data(-1);
    pest.enough = true;
    join(thread);
}

static void test_interruptible_wait_ends_with_eintr(void)
{
    readyq_batch batch = {0};
    struct pest pest = {.victim = pthread_self()};
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    catch_user_signal();
    pthread_t thread = start(interrupt_again_and_again, &pest);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR);
    CHECK(readyq_next(&batch) == NULL);
    CHECK(caught > 0);
    pest.enough = true;
    join(thread);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_interrupted_wait_repeats_no_event(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    struct pest pest = {.victim = pthread_self()};
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_TAKES(q, &w);
    get(p[0]);
    catch_user_signal();
    pthread_t thread = start(interrupt_again_and_again, &pest);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR);
    CHECK(readyq_next(&batch) == NULL);
    pest.enough = true;
    join(thread);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

/* Interrupted at least once, and then continued until something else ends it. */
static int continue_to_the_end(readyq *q, readyq_batch *batch, int64_t timeout, int max)
{
    int n = readyq_wait(q, batch, timeout, max), interruptions = 0;
    const int64_t deadline = readyq_deadline(batch);
    for (; n == -EINTR; interruptions++)
        n = readyq_wait_until(q, batch, deadline, max);
    CHECK(interruptions > 0);
    return n;
}

static void test_an_interrupted_wait_can_be_continued_until_its_deadline(void)
{
    readyq_batch batch = {0};
    struct pest pest = {.victim = pthread_self()};
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    catch_user_signal();
    pthread_t thread = start(interrupt_again_and_again, &pest);
    int64_t before = now_ns();
    CHECK_IS(continue_to_the_end(q, &batch, 5 * SOON, 0), 0);
    CHECK(now_ns() - before >= 5 * SOON);
    CHECK(now_ns() - before < LONG);
    pest.enough = true;
    join(thread);
    CHECK_IS(readyq_wait_until(q, &batch, readyq_deadline(&batch), 0), 0); /* it has passed */
    readyq_done(&batch);
    readyq_close(q);
}

static void test_a_wait_until_a_deadline_is_never_early(void)
{
    readyq_batch batch = {0};
    readyq *q = open_queue();
    const int64_t deadline = readyq_now(q) + SOON;
    CHECK_IS(readyq_deadline(&batch), 0);
    CHECK_IS(readyq_wait_until(q, &batch, deadline, 0), 0);
    CHECK(readyq_now(q) >= deadline);
    CHECK_IS(readyq_deadline(&batch), deadline);
    CHECK_IS(readyq_wait_until(q, &batch, 0, 0), 0);
    CHECK_IS(readyq_wait_until(q, &batch, -1, 0), -EINVAL);
    CHECK_IS(readyq_wait_until(q, &batch, INT64_MIN, 0), -EINVAL);
    CHECK_IS(readyq_wait_until(q, &batch, 0, -1), -EINVAL);
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(readyq_wait_until(q, &batch, INT64_MAX, 0), 0);
    CHECK_IS(readyq_deadline(&batch), INT64_MAX);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    CHECK_IS(readyq_deadline(&batch), INT64_MAX);
    readyq_done(&batch);
    readyq_close(q);
}

struct two {
    struct pest pest;
    int p[2][2];
};

static void *put_two_after_a_signal(void *argument)
{
    struct two *two = argument;
    sleep_ns(SOON);
    pthread_kill(two->pest.victim, SIGUSR1);
    sleep_ns(SOON);
    put(two->p[0][1]);
    put(two->p[1][1]);
    return NULL;
}

static void test_a_continued_wait_has_its_maximum(void)
{
    readyq_batch batch = {0};
    struct two two = {.pest = {.victim = pthread_self()}};
    readyq_watch w[2];
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    for (int i = 0; i < 2; i++) {
        open_pipe(two.p[i]);
        add(q, &w[i], two.p[i][0], READYQ_READ);
    }
    catch_user_signal();
    pthread_t thread = start(put_two_after_a_signal, &two);
    CHECK_IS(continue_to_the_end(q, &batch, -1, 1), 1);
    join(thread);
    readyq_done(&batch);
    readyq_close(q);
    for (int i = 0; i < 2; i++)
        close_pair(two.p[i]);
}

static void test_what_a_signal_handler_did_to_the_queue_counts_when_its_wait_is_continued(void)
{
    readyq_batch batch = {0};
    readyq_watch trigger = {0};
    struct pest pest = {.victim = pthread_self()};
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    catch_user_signal();
    pthread_t thread = start(interrupt_again_and_again, &pest);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(q, &trigger); /* a wait of its own, which closes the other batch */
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(readyq_wait_until(q, &batch, INT64_MAX, 0), 1);
    CHECK(readyq_next(&batch) == &trigger);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR);
    readyq_ref(q);
    readyq_close(q);
    CHECK_IS(readyq_wait_until(q, &batch, INT64_MAX, 0), -ESHUTDOWN);
    pest.enough = true;
    join(thread);
    readyq_unref(q);
}

/* ------------------------------------------------------------------ wake */

static void test_wake_before_the_wait_is_not_lost(void)
{
    readyq_batch batch = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 0);
    CHECK(readyq_next(&batch) == NULL);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_wakes_merge_and_clear(void)
{
    readyq *q = open_queue();
    for (int i = 0; i < 100; i++)
        CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(count_ready(q, -1), 0);
    int64_t before = now_ns();
    CHECK_IS(count_ready(q, SOON), 0);
    CHECK(now_ns() - before >= SOON);
    readyq_close(q);
}

static void test_look_leaves_a_wake_to_the_wait_that_follows(void)
{
    readyq_batch batch = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(readyq_look(q, &batch, 0), 0);
    CHECK_IS(readyq_look(q, &batch, 0), 0);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 0);
    readyq_done(&batch);
    readyq_close(q);
}

/* A binding looks before each sleep. */
static void test_a_look_after_a_sleep_leaves_the_kernel_to_the_next_wait(void)
{
    readyq_batch batch = {0};
    readyq_watch timer = {0}, w;
    int p[2];
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(count_ready(q, SOON), 0);
    uint64_t before = stats_of(q).kernel_waits;
    CHECK_IS(readyq_look(q, &batch, 0), 0);
    CHECK_IS(stats_of(q).kernel_waits - before, 0);
    put(p[1]);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK_IS(stats_of(q).kernel_waits - before, 1);
    CHECK_IS(readyq_look(q, &batch, 0), 1); /* it was not taken, and may have been drained */
    CHECK(readyq_next(&batch) == &w);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_IS(readyq_look(q, &batch, 0), 2); /* something is listed, so that the kernel is asked */
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_wake_and_data_come_together(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wake(q), 0);
    readyq_watch *found = take(q);
    CHECK((found == NULL ? take(q) : found) == &w);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_wait_is_never_early), TEST(test_wait_of_zero_looks_and_returns),
      TEST(test_minus_one_is_forever), TEST(test_huge_timeouts_work),
      TEST(test_bad_timeouts_and_maxima_are_refused), TEST(test_huge_maxima_work),
      TEST(test_signals_do_not_shorten_a_wait), TEST(test_data_is_reported_among_many_signals),
      TEST(test_interruptible_wait_ends_with_eintr), TEST(test_interrupted_wait_repeats_no_event),
      TEST(test_an_interrupted_wait_can_be_continued_until_its_deadline),
      TEST(test_a_wait_until_a_deadline_is_never_early),
      TEST(test_a_continued_wait_has_its_maximum),
      TEST(test_what_a_signal_handler_did_to_the_queue_counts_when_its_wait_is_continued),
      TEST(test_wake_before_the_wait_is_not_lost), TEST(test_wakes_merge_and_clear),
      TEST(test_look_leaves_a_wake_to_the_wait_that_follows),
      TEST(test_a_look_after_a_sleep_leaves_the_kernel_to_the_next_wait),
      TEST(test_wake_and_data_come_together))
