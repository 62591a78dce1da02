/* SPDX-License-Identifier: MIT
 *
 * Unusual descriptors, numbers that come to belong to another file, and waits with an unusual end.
 */
#include "things.h"

#include <stdatomic.h>
#include <sys/resource.h>

/* A socket without connections reports an error alone, without an end. */
static void test_an_error_of_a_datagram_socket_is_reported_without_an_end(void)
{
    struct sockaddr_in nobody = {.sin_family = AF_INET};
    socklen_t size = sizeof nobody;
    readyq_watch w;
    readyq *q = open_queue();
    int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_IS(bind(other, (struct sockaddr *)&nobody, size), 0);
    CHECK_IS(getsockname(other, (struct sockaddr *)&nobody, &size), 0);
    CHECK_IS(connect(fd, (struct sockaddr *)&nobody, size), 0);
    close(other);
    add(q, &w, fd, READYQ_READ);
    CHECK_QUIET(q);
    put(fd);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready & (READYQ_ERROR | READYQ_READ_CLOSED | READYQ_WRITE_CLOSED), READYQ_ERROR);
    CHECK_IS(collect_error(fd), ECONNREFUSED);
    CHECK_QUIET(q);
    readyq_close(q);
    close(fd);
}

/* A file in sysfs that was never read polls as priority data together with an error. */
static void test_an_attribute_in_sysfs_has_no_error(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    int fd = open("/sys/class/net/lo/operstate", O_RDONLY);
    if (fd >= 0) {
        add(q, &w, fd, READYQ_READ);
        CHECK_TAKES(q, &w);
        CHECK_IS(w.ready, READYQ_READ);
        CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_PRIORITY), 0);
        CHECK_TAKES(q, &w);
        CHECK_IS(w.ready & ~READYQ_PRIORITY, READYQ_READ);
        close(fd);
    }
    readyq_close(q);
}

static void test_a_file_under_the_number_of_another_file_is_watched_for_itself(void)
{
    readyq_watch w, second = {0};
    readyq *q = open_queue();
    int fd = open_file(), other = open_file();
    add(q, &w, fd, READYQ_READ);
    CHECK_IS(dup2(other, fd), fd);
    CHECK_IS(readyq_add(q, &second, fd, READYQ_WRITE), 0);
    CHECK_TAKES(q, &second);
    CHECK_IS(second.ready, READYQ_WRITE);
    CHECK(readyq_stale(q) == &w);
    CHECK_IS(readyq_size(q), 1);
    readyq_close(q);
    close(fd);
    close(other);
}

/* Two watches are ready, and one is taken. The other one is kept: by the kernel if the maximum is
 * 1, by the queue otherwise. Returns the index of the other one. */
static int take_one_of_two(readyq *q, readyq_watch w[2], int max)
{
    readyq_batch batch = {0};
    CHECK_IS(readyq_wait(q, &batch, LONG, max), max == 1 ? 1 : 2);
    const readyq_watch *taken = readyq_next(&batch);
    CHECK(taken == &w[0] || taken == &w[1]);
    CHECK_IS(readyq_done(&batch), 0);
    return taken == &w[0];
}

static void check_number_that_changes_hands(int max)
{
    int p[2][2], other[2];
    readyq_watch w[2];
    readyq *q = open_queue();
    open_unix(other);
    for (int i = 0; i < 2; i++) {
        open_unix(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    const int left = take_one_of_two(q, w, max);
    get(p[!left][0]);
    put(other[1]);
    CHECK_IS(dup2(other[0], p[left][0]), p[left][0]);
    CHECK_QUIET(q);
    CHECK_IS(readyq_remove(&w[left]), 0);
    readyq_close(q);
    close_pair(p[0]);
    close_pair(p[1]);
    close_pair(other);
}

static void test_what_was_ready_before_its_number_was_reused_is_not_reported_afterwards(void)
{
    check_number_that_changes_hands(0);
    check_number_that_changes_hands(1);
}

static void check_kept_priority_edge(int max)
{
    int p[2][2];
    readyq_watch w[2];
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        open_tcp(p[i]);
        CHECK_IS(send(p[i][1], "!", 1, MSG_OOB), 1);
    }
    sleep_ns(SOON);
    for (int i = 0; i < 2; i++)
        add(q, &w[i], p[i][0], READYQ_PRIORITY | READYQ_EDGE);
    const int left = take_one_of_two(q, w, max);
    CHECK_TAKES(q, &w[left]);
    CHECK_IS(w[left].ready, READYQ_PRIORITY);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p[0]);
    close_pair(p[1]);
}

static void test_an_edge_of_priority_data_that_was_kept_is_reported_later(void)
{
    readyq *q = open_queue();
    const bool has = has_priority(q);
    readyq_close(q);
    for (int max = 0; max < 2 && has; max++)
        check_kept_priority_edge(max);
}

/* Data that was read in the meantime is reported if the queue kept the edge, and not if the kernel
 * kept it. kqueue is asked for two events for each watch. */
static void check_kept_edge(int max)
{
    int p[2][2];
    readyq_watch w[2];
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ | READYQ_EDGE);
    }
    const int left = take_one_of_two(q, w, max);
    get(p[left][0]);
    CHECK(take_within(q, SOON) == (max == 1 && HAS_EPOLL ? NULL : &w[left]));
    CHECK_QUIET(q);
    put(p[left][1]);
    CHECK_TAKES(q, &w[left]);
    readyq_close(q);
    close_pair(p[0]);
    close_pair(p[1]);
}

static void test_an_edge_that_was_kept_reports_what_comes_next(void)
{
    check_kept_edge(0);
    check_kept_edge(1);
}

static void test_many_that_are_armed_again_and_closed_are_not_reported(void)
{
    enum { MANY = 40 };
    int p[MANY][2];
    readyq_watch w[MANY];
    readyq *q = open_queue();
    for (int i = 0; i < MANY; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ | READYQ_ONESHOT);
    }
    CHECK_IS(take_all_within(q, LONG), MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_IS(readyq_modify(&w[i], READYQ_READ | READYQ_ONESHOT), 0);
    for (int i = 0; i < MANY; i++)
        close(p[i][0]);
    CHECK_QUIET(q);
    for (int i = 0; i < MANY; i++)
        CHECK_IS(readyq_remove(&w[i]), 0);
    CHECK_IS(readyq_size(q), 0);
    readyq_close(q);
    for (int i = 0; i < MANY; i++)
        close(p[i][1]);
}

/* ------------------------------------------------------------------ waits with an unusual end */

static atomic_bool interrupted;

static void on_signal(int signal)
{
    (void)signal;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_IS(sigaction(SIGUSR1, &action, NULL), 0);
}

static void *wait_for_wake(void *q)
{
    CHECK_IS(count_ready(q, -1), 0);
    return NULL;
}

static void *be_interrupted(void *q)
{
    CHECK_IS(count_ready(q, LONG), -EINTR);
    interrupted = true;
    return NULL;
}

static void test_a_second_waiter_that_may_be_interrupted_is(void)
{
    pthread_t first, second;
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    take_signals();
    first = start(wait_for_wake, q);
    sleep_ns(SOON);
    second = start(be_interrupted, q);
    while (!interrupted) {
        CHECK_IS(pthread_kill(second, SIGUSR1), 0);
        sleep_ns(MS);
    }
    join(second);
    CHECK_IS(readyq_wake(q), 0);
    join(first);
    readyq_close(q);
}

static void test_a_second_waiter_needs_no_descriptor(void)
{
    struct rlimit old, none;
    readyq *q = open_queue();
    pthread_t first = start(wait_for_wake, q);
    while (stats_of(q).kernel_waits == 0)
        sleep_ns(MS);
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_IS(count_ready(q, MS), 0);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_IS(readyq_wake(q), 0);
    join(first);
    readyq_close(q);
}

static void test_a_signal_does_not_end_the_endless_wait_of_a_virtual_clock(void)
{
    readyq *q = open_queue_with((struct readyq_options){.virtual_clock = true});
    const int64_t before = readyq_now(q);
    take_signals();
    pthread_t waiter = start(wait_for_wake, q);
    sleep_ns(SOON);
    CHECK_IS(pthread_kill(waiter, SIGUSR1), 0);
    sleep_ns(SOON);
    CHECK_IS(readyq_wake(q), 0);
    join(waiter);
    CHECK_IS(readyq_now(q), before);
    readyq_close(q);
}

TESTS(TEST(test_an_edge_that_was_kept_reports_what_comes_next),
      TEST(test_a_second_waiter_needs_no_descriptor),
      TEST(test_what_was_ready_before_its_number_was_reused_is_not_reported_afterwards),
      TEST(test_an_edge_of_priority_data_that_was_kept_is_reported_later),
      TEST(test_many_that_are_armed_again_and_closed_are_not_reported),
      TEST(test_an_error_of_a_datagram_socket_is_reported_without_an_end),
      TEST(test_an_attribute_in_sysfs_has_no_error),
      TEST(test_a_file_under_the_number_of_another_file_is_watched_for_itself),
      TEST(test_a_second_waiter_that_may_be_interrupted_is),
      TEST(test_a_signal_does_not_end_the_endless_wait_of_a_virtual_clock))
