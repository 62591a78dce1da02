/* SPDX-License-Identifier: MIT
 *
 * One queue and many threads: changes take effect in a wait that is running, each event goes to
 * exactly one waiter, and wake and close reach the threads that sleep. Built with ThreadSanitizer,
 * too.
 */
#include "things.h"

#include <stdatomic.h>

enum { WAITERS = 3 };

struct waiter {
    readyq *q;
    readyq_batch batch;
    int64_t timeout;
    int result;
    readyq_watch *found;
    atomic_bool done;
};

/* Keeps what it takes until finish(). */
static void *wait_once(void *argument)
{
    struct waiter *waiter = argument;
    waiter->result = readyq_wait(waiter->q, &waiter->batch, waiter->timeout, 1);
    waiter->found = readyq_next(&waiter->batch);
    CHECK_IS(waiter->found != NULL, waiter->result > 0);
    waiter->done = true;
    return NULL;
}

static pthread_t start_waiter(struct waiter *waiter, readyq *q, int64_t timeout)
{
    uint64_t waits = stats_of(q).waits;
    *waiter = (struct waiter){.q = q, .timeout = timeout};
    pthread_t thread = start(wait_once, waiter);
    while (stats_of(q).waits == waits)
        sleep_ns(MS);
    sleep_ns(MS); /* now it sleeps, or is about to */
    return thread;
}

static void finish(struct waiter *waiter, pthread_t thread)
{
    join(thread);
    CHECK_IS(readyq_done(&waiter->batch), 0);
}

/* ------------------------------------------------------------------ wake after close */

/* The thread may still be in the kernel, and the queue's descriptors open. */
static void test_a_wake_after_close_says_that_the_queue_is_closed(void)
{
    struct waiter waiter;
    readyq *q = open_queue();
    pthread_t thread = start_waiter(&waiter, q, -1);
    readyq_ref(q);
    readyq_close(q);
    CHECK_IS(readyq_wake(q), -ESHUTDOWN);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, -ESHUTDOWN);
    readyq_unref(q);
}

/* ------------------------------------------------------------------ changes during a wait */

static void test_add_takes_effect_in_a_running_wait(void)
{
    int p[2];
    readyq_watch w;
    struct waiter waiter;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    pthread_t thread = start_waiter(&waiter, q, -1);
    add(q, &w, p[0], READYQ_READ);
    finish(&waiter, thread);
    CHECK(waiter.found == &w);
    readyq_close(q);
    close_pair(p);
}

static void test_add_of_a_file_takes_effect_in_a_running_wait(void)
{
    int fd = open_file();
    readyq_watch w;
    struct waiter waiter;
    readyq *q = open_queue();
    pthread_t thread = start_waiter(&waiter, q, -1);
    add(q, &w, fd, READYQ_READ);
    finish(&waiter, thread);
    CHECK(waiter.found == &w);
    readyq_close(q);
    close(fd);
}

static void test_modify_takes_effect_in_a_running_wait(void)
{
    int p[2];
    readyq_watch w;
    struct waiter waiter;
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], READYQ_READ);
    pthread_t thread = start_waiter(&waiter, q, -1);
    CHECK_IS(readyq_modify(&w, READYQ_WRITE), 0);
    finish(&waiter, thread);
    CHECK(waiter.found == &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    readyq_close(q);
    close_pair(p);
}

static void test_remove_takes_effect_in_a_running_wait(void)
{
    int p[2];
    readyq_watch w;
    struct waiter waiter;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    pthread_t thread = start_waiter(&waiter, q, 5 * SOON);
    CHECK_IS(readyq_remove(&w), 0);
    put(p[1]);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, 0);
    CHECK(waiter.found == NULL);
    readyq_close(q);
    close_pair(p);
}

static void test_a_file_closed_during_the_wait_neither_ends_nor_breaks_it(void)
{
    int p[2];
    readyq_watch w;
    struct waiter waiter;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    pthread_t thread = start_waiter(&waiter, q, 5 * SOON);
    close_pair(p);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, 0);
    CHECK_IS(readyq_remove(&w), 0);
    readyq_close(q);
}

/* ------------------------------------------------------------------ several waiters */

static void start_waiters(struct waiter *waiters, pthread_t *threads, readyq *q, int64_t timeout)
{
    for (int i = 0; i < WAITERS; i++)
        threads[i] = start_waiter(&waiters[i], q, timeout);
}

static int join_and_count_found(struct waiter *waiters, const pthread_t *threads)
{
    int found = 0;
    for (int i = 0; i < WAITERS; i++) {
        join(threads[i]);
        CHECK(waiters[i].result >= 0);
        found += waiters[i].found != NULL;
    }
    for (int i = 0; i < WAITERS; i++)
        CHECK_IS(readyq_done(&waiters[i].batch), 0);
    return found;
}

static void check_one_byte_wakes_one(uint32_t interest)
{
    int p[2];
    readyq_watch w;
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], interest);
    start_waiters(waiters, threads, q, 10 * SOON);
    put(p[1]);
    CHECK_IS(join_and_count_found(waiters, threads), 1);
    readyq_close(q);
    close_pair(p);
}

static void test_one_byte_wakes_exactly_one_of_three_waiters_though_it_is_not_read(void)
{
    check_one_byte_wakes_one(READYQ_READ);
}

static void test_one_edge_wakes_exactly_one_of_three_waiters(void)
{
    check_one_byte_wakes_one(READYQ_READ | READYQ_EDGE);
}

static void test_one_oneshot_wakes_exactly_one_of_three_waiters(void)
{
    check_one_byte_wakes_one(READYQ_READ | READYQ_ONESHOT);
}

static void test_unread_level_comes_to_a_wait_that_begins_later(void)
{
    int p[2];
    readyq_watch w;
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    start_waiters(waiters, threads, q, 10 * SOON);
    put(p[1]);
    CHECK_IS(join_and_count_found(waiters, threads), 1);
    CHECK_TAKES(q, &w);
    get(p[0]);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_three_events_go_to_three_waiters(void)
{
    int p[WAITERS][2];
    readyq_watch w[WAITERS];
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    for (int i = 0; i < WAITERS; i++) {
        open_pipe(p[i]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    start_waiters(waiters, threads, q, LONG);
    for (int i = 0; i < WAITERS; i++)
        put(p[i][1]);
    CHECK_IS(join_and_count_found(waiters, threads), WAITERS);
    CHECK(waiters[0].found != waiters[1].found);
    CHECK(waiters[1].found != waiters[2].found);
    CHECK(waiters[2].found != waiters[0].found);
    readyq_close(q);
    for (int i = 0; i < WAITERS; i++)
        close_pair(p[i]);
}

static void test_one_timer_wakes_exactly_one_of_three_waiters(void)
{
    readyq_watch timer = {0};
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    start_waiters(waiters, threads, q, 10 * SOON);
    CHECK_IS(readyq_add_timer(q, &timer, MS, 0), 0);
    CHECK_IS(join_and_count_found(waiters, threads), 1);
    readyq_close(q);
}

static void test_a_timer_ends_the_sleep_of_one_thread_only(void)
{
    readyq_watch timer = {0};
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    const uint64_t before = stats_of(q).kernel_waits;
    CHECK_IS(readyq_add_timer(q, &timer, 20 * SOON, 0), 0); /* by then all of them sleep */
    start_waiters(waiters, threads, q, 100 * SOON);
    sleep_ns(30 * SOON);
    CHECK_IS(stats_of(q).kernel_waits - before, WAITERS);
    CHECK_IS(join_and_count_found(waiters, threads), 1);
    readyq_close(q);
}

static void test_a_waiter_with_a_timeout_beside_one_without_is_on_time(void)
{
    struct waiter patient, hasty;
    readyq *q = open_queue();
    pthread_t first = start_waiter(&patient, q, -1);
    int64_t before = now_ns();
    pthread_t second = start_waiter(&hasty, q, 2 * SOON);
    finish(&hasty, second);
    CHECK(now_ns() - before >= 2 * SOON);
    CHECK_IS(hasty.result, 0);
    CHECK_IS(readyq_wake(q), 0);
    finish(&patient, first);
    CHECK_IS(patient.result, 0);
    readyq_close(q);
}

static void test_data_comes_after_one_of_two_waiters_gave_up(void)
{
    int p[2];
    readyq_watch w;
    struct waiter patient, hasty;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    pthread_t first = start_waiter(&hasty, q, 2 * SOON);
    pthread_t second = start_waiter(&patient, q, -1);
    finish(&hasty, first);
    put(p[1]);
    finish(&patient, second);
    CHECK(patient.found == &w);
    readyq_close(q);
    close_pair(p);
}

/* ------------------------------------------------------------------ wake and close */

static void test_wake_ends_a_running_wait(void)
{
    struct waiter waiter;
    readyq *q = open_queue();
    pthread_t thread = start_waiter(&waiter, q, -1);
    CHECK_IS(readyq_wake(q), 0);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, 0);
    readyq_close(q);
}

static int count_done(const struct waiter *waiters)
{
    int done = 0;
    for (int i = 0; i < WAITERS; i++)
        done += waiters[i].done;
    return done;
}

static void test_one_wake_ends_one_of_three_waits(void)
{
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    start_waiters(waiters, threads, q, -1);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_IS(count_done(waiters), i);
        CHECK_IS(readyq_wake(q), 0);
        while (count_done(waiters) == i)
            sleep_ns(MS);
        sleep_ns(SOON);
    }
    for (int i = 0; i < WAITERS; i++) {
        finish(&waiters[i], threads[i]);
        CHECK_IS(waiters[i].result, 0);
    }
    readyq_close(q);
}

static readyq *handled_queue;

static void wake_from_handler(int signal)
{
    (void)signal;
    readyq_wake(handled_queue);
}

static void test_wake_from_a_signal_handler_ends_a_running_wait(void)
{
    struct waiter waiter;
    struct sigaction action = {.sa_handler = wake_from_handler};
    handled_queue = open_queue();
    CHECK_IS(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t thread = start_waiter(&waiter, handled_queue, -1);
    CHECK_IS(pthread_kill(thread, SIGUSR1), 0);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, 0);
    readyq_close(handled_queue);
}

static void test_wake_from_a_signal_handler_keeps_errno(void)
{
    struct waiter waiter;
    handled_queue = open_queue();
    pthread_t thread = start_waiter(&waiter, handled_queue, -1);
    signal(SIGUSR1, wake_from_handler);
    errno = EDOM;
    raise(SIGUSR1);
    CHECK_IS(errno, EDOM);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, 0);
    readyq_close(handled_queue);
}

static void test_close_ends_every_wait_with_the_closed_error(void)
{
    pthread_t threads[WAITERS];
    struct waiter waiters[WAITERS];
    readyq *q = open_queue();
    for (int i = 0; i < WAITERS; i++)
        readyq_ref(q);
    start_waiters(waiters, threads, q, -1);
    CHECK_IS(readyq_close(q), 0);
    for (int i = 0; i < WAITERS; i++) {
        join(threads[i]);
        CHECK_IS(waiters[i].result, -ESHUTDOWN);
        readyq_unref(q);
    }
}

static void test_close_during_a_wait_frees_watches_and_number(void)
{
    int p[2];
    readyq_watch w;
    struct waiter waiter;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    readyq_ref(q);
    pthread_t thread = start_waiter(&waiter, q, -1);
    CHECK_IS(readyq_close(q), 0);
    CHECK(w.queue == NULL);
    finish(&waiter, thread);
    CHECK_IS(waiter.result, -ESHUTDOWN);
    readyq_unref(q);
    close_pair(p);
}

TESTS(TEST(test_a_wake_after_close_says_that_the_queue_is_closed),
      TEST(test_add_takes_effect_in_a_running_wait),
      TEST(test_add_of_a_file_takes_effect_in_a_running_wait),
      TEST(test_modify_takes_effect_in_a_running_wait),
      TEST(test_remove_takes_effect_in_a_running_wait),
      TEST(test_a_file_closed_during_the_wait_neither_ends_nor_breaks_it),
      TEST(test_one_byte_wakes_exactly_one_of_three_waiters_though_it_is_not_read),
      TEST(test_one_edge_wakes_exactly_one_of_three_waiters),
      TEST(test_one_oneshot_wakes_exactly_one_of_three_waiters),
      TEST(test_unread_level_comes_to_a_wait_that_begins_later),
      TEST(test_three_events_go_to_three_waiters),
      TEST(test_one_timer_wakes_exactly_one_of_three_waiters),
      TEST(test_a_timer_ends_the_sleep_of_one_thread_only),
      TEST(test_a_waiter_with_a_timeout_beside_one_without_is_on_time),
      TEST(test_data_comes_after_one_of_two_waiters_gave_up), TEST(test_wake_ends_a_running_wait),
      TEST(test_one_wake_ends_one_of_three_waits),
      TEST(test_wake_from_a_signal_handler_ends_a_running_wait),
      TEST(test_wake_from_a_signal_handler_keeps_errno),
      TEST(test_close_ends_every_wait_with_the_closed_error),
      TEST(test_close_during_a_wait_frees_watches_and_number))
