/* SPDX-License-Identifier: MIT
 *
 * Signals: counted, reported to every queue that watches them, and no handler is left behind.
 */
#include "things.h"

#include <stdatomic.h>

static void add_signal(readyq *q, readyq_watch *w, int signal)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_signal(q, w, signal), 0);
}

static void send_self(int signal, int times)
{
    for (int i = 0; i < times; i++)
        CHECK_IS(kill(getpid(), signal), 0);
}

static void test_signal_fires_with_its_count(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_signal(q, &w, SIGUSR1);
    CHECK_IS(w.kind, READYQ_KIND_SIGNAL);
    CHECK_IS(w.signal, SIGUSR1);
    CHECK_QUIET(q);
    send_self(SIGUSR1, 3);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_FIRED);
    CHECK_IS(w.count, 3);
    CHECK_QUIET(q);
    send_self(SIGUSR1, 1);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.count, 1);
    CHECK(w.queue == q);
    readyq_close(q);
}

static void test_signal_from_another_process_ends_a_running_wait(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_signal(q, &w, SIGTERM);
    pid_t target = getpid(), pid = fork();
    if (pid == 0) {
        sleep_ns(SOON);
        CHECK_IS(kill(target, SIGTERM), 0);
        _exit(0);
    }
    CHECK(take_within(q, -1) == &w);
    expect_success(pid);
    readyq_close(q);
}

static void test_signal_is_reported_to_every_queue_and_every_watch(void)
{
    readyq_watch w[3];
    readyq *q[2] = {open_queue(), open_queue()};
    add_signal(q[0], &w[0], SIGUSR1);
    add_signal(q[1], &w[1], SIGUSR1);
    add_signal(q[1], &w[2], SIGUSR1);
    send_self(SIGUSR1, 2);
    CHECK_TAKES(q[0], &w[0]);
    CHECK_IS(w[0].count, 2);
    CHECK_IS(take_all_within(q[1], LONG), 2);
    CHECK_IS(w[1].count, 2);
    CHECK_IS(w[2].count, 2);
    readyq_close(q[0]);
    send_self(SIGUSR1, 1);
    CHECK_IS(count_ready(q[1], LONG), 2);
    readyq_close(q[1]);
}

static void test_different_signals_stay_apart(void)
{
    readyq_watch one, two;
    readyq *q = open_queue();
    add_signal(q, &one, SIGUSR1);
    add_signal(q, &two, SIGUSR2);
    send_self(SIGUSR2, 1);
    CHECK_TAKES(q, &two);
    send_self(SIGUSR1, 1);
    CHECK_TAKES(q, &one);
    readyq_close(q);
}

static void test_removed_signal_reports_nothing(void)
{
    readyq_watch w, other;
    readyq *q = open_queue();
    add_signal(q, &w, SIGUSR1);
    add_signal(q, &other, SIGUSR1);
    send_self(SIGUSR1, 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_TAKES(q, &other);
    send_self(SIGUSR1, 1);
    CHECK_TAKES(q, &other);
    readyq_close(q);
}

/* ------------------------------------------------------------------ the handler before */

static atomic_int caught;

static void count_signal(int signal)
{
    (void)signal;
    caught++;
}

static void test_the_handler_before_is_called_too_and_comes_back_after_the_last_watch(void)
{
    readyq_watch first, last;
    struct sigaction ours = {.sa_handler = count_signal, .sa_flags = SA_NODEFER}, now;
    readyq *q = open_queue(), *other = open_queue();
    CHECK_IS(sigaction(SIGUSR1, &ours, NULL), 0);
    add_signal(q, &first, SIGUSR1);
    add_signal(other, &last, SIGUSR1);
    send_self(SIGUSR1, 1);
    CHECK_IS(caught, 1);
    CHECK_TAKES(q, &first);
    CHECK_TAKES(other, &last);
    CHECK_IS(readyq_remove(&first), 0);
    send_self(SIGUSR1, 1);
    CHECK_IS(caught, 2);
    CHECK_TAKES(other, &last);
    readyq_close(other);
    send_self(SIGUSR1, 1);
    CHECK_IS(caught, 3);
    CHECK_IS(sigaction(SIGUSR1, NULL, &now), 0);
    CHECK(now.sa_handler == count_signal);
    CHECK(now.sa_flags & SA_NODEFER);
    readyq_close(q);
}

static void test_default_and_ignored_come_back_too(void)
{
    readyq_watch w;
    struct sigaction now;
    readyq *q = open_queue();
    signal(SIGUSR2, SIG_IGN);
    add_signal(q, &w, SIGUSR1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(sigaction(SIGUSR1, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    add_signal(q, &w, SIGUSR2);
    send_self(SIGUSR2, 1);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    CHECK_IS(sigaction(SIGUSR2, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_IGN);
}

static void test_other_signals_keep_their_handlers(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    signal(SIGUSR2, count_signal);
    add_signal(q, &w, SIGUSR1);
    send_self(SIGUSR2, 1);
    CHECK_IS(caught, 1);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_a_child_inherits_no_blocked_signal(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_signal(q, &w, SIGUSR1);
    send_self(SIGUSR1, 1);
    CHECK_TAKES(q, &w);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t mask;
        CHECK_IS(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
        for (int i = 1; i < 32; i++)
            CHECK(!sigismember(&mask, i));
        execl("/bin/sh", "sh", "-c", "grep -q 'SigBlk:[[:space:]]*0*$' /proc/self/status", NULL);
        _exit(1);
    }
    expect_success(pid);
    readyq_close(q);
}

static void test_system_calls_elsewhere_are_restarted(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    CHECK_IS(pipe(p), 0);
    add_signal(q, &w, SIGUSR1);
    pid_t reader = getpid(), pid = fork();
    if (pid == 0) {
        sleep_ns(SOON);
        CHECK_IS(kill(reader, SIGUSR1), 0);
        sleep_ns(SOON);
        put(p[1]);
        _exit(0);
    }
    get(p[0]);
    CHECK_TAKES(q, &w);
    expect_success(pid);
    readyq_close(q);
    close_pair(p);
}

/* ------------------------------------------------------------------ refused */

static void test_signals_that_cannot_or_must_not_be_caught_are_refused(void)
{
    static const int bad[] = {0, -1, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 1000, 65};
    readyq_watch w = {0};
    readyq *q = open_queue();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_IS(readyq_add_signal(q, &w, bad[i]), -EINVAL);
        CHECK(w.queue == NULL);
    }
    CHECK_IS(readyq_size(q), 0);
    add_signal(q, &w, SIGUSR1);
    readyq_close(q);
}

static void test_signals_the_c_library_reserves_are_refused_and_change_nothing(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_signal(q, &w, 32), -EINVAL);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    add_signal(q, &w, SIGRTMIN);
    send_self(SIGRTMIN, 2);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.count, 2);
    readyq_close(q);
}

/* ------------------------------------------------------------------ under load */

struct storm {
    pthread_t target;
    atomic_bool enough;
};

static void *send_again_and_again(void *argument)
{
    struct storm *storm = argument;
    while (!storm->enough) {
        kill(getpid(), SIGUSR1);
        sleep_ns(MS / 100);
    }
    return NULL;
}

static void test_adding_and_removing_in_a_storm_of_signals_works(void)
{
    readyq_watch kept, w;
    struct storm storm = {.target = pthread_self()};
    readyq *q = open_queue();
    add_signal(q, &kept, SIGUSR1);
    pthread_t thread = start(send_again_and_again, &storm);
    for (int i = 0; i < 500; i++) {
        add_signal(q, &w, SIGUSR1);
        CHECK(take_all_within(q, MS / 10) >= 0);
        CHECK_IS(readyq_remove(&w), 0);
    }
    storm.enough = true;
    join(thread);
    readyq_close(q);
}

static void test_no_signal_is_lost_between_waits(void)
{
    readyq_watch w;
    uint64_t count = 0;
    readyq *q = open_queue();
    add_signal(q, &w, SIGRTMIN); /* real-time ones queue up in the kernel too */
    pid_t target = getpid(), pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 500; i++)
            while (kill(target, SIGRTMIN) < 0)
                sleep_ns(MS);
        _exit(0);
    }
    while (count < 500) {
        CHECK_TAKES(q, &w);
        count += w.count;
    }
    CHECK_IS(count, 500);
    expect_success(pid);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void on_other(int signal)
{
    (void)signal;
}

static void test_a_handler_that_was_installed_in_the_meantime_stays(void)
{
    readyq_watch w = {0};
    struct sigaction other = {.sa_handler = on_other}, now;
    readyq *q = open_queue();
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
    CHECK_IS(sigaction(SIGUSR1, &other, NULL), 0);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(sigaction(SIGUSR1, NULL, &now), 0);
    CHECK(now.sa_handler == on_other);
    readyq_close(q);
}

static void test_a_wait_that_does_not_sleep_notices_a_handler_that_replaced_ours(void)
{
    readyq_watch w = {0};
    readyq_batch batch = {0};
    struct sigaction other = {.sa_handler = on_other};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
    CHECK_IS(sigaction(SIGUSR1, &other, NULL), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    CHECK_IS(raise(SIGUSR1), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK(readyq_next(&batch) == &w && w.count == 1);
    readyq_done(&batch);
    readyq_close(q);
}

TESTS(TEST(test_signal_fires_with_its_count),
      TEST(test_signal_from_another_process_ends_a_running_wait),
      TEST(test_signal_is_reported_to_every_queue_and_every_watch),
      TEST(test_different_signals_stay_apart), TEST(test_removed_signal_reports_nothing),
      TEST(test_the_handler_before_is_called_too_and_comes_back_after_the_last_watch),
      TEST(test_default_and_ignored_come_back_too), TEST(test_other_signals_keep_their_handlers),
      TEST(test_a_child_inherits_no_blocked_signal),
      TEST(test_system_calls_elsewhere_are_restarted),
      TEST(test_signals_that_cannot_or_must_not_be_caught_are_refused),
      TEST(test_signals_the_c_library_reserves_are_refused_and_change_nothing),
      TEST(test_adding_and_removing_in_a_storm_of_signals_works),
      TEST(test_no_signal_is_lost_between_waits),
      TEST(test_a_handler_that_was_installed_in_the_meantime_stays),
      TEST(test_a_wait_that_does_not_sleep_notices_a_handler_that_replaced_ours))
