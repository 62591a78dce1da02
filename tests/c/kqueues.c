/* SPDX-License-Identifier: MIT
 *
 * What crashed, did not end or was reported wrongly on kernels with kqueue: pipes that nobody
 * reads, queues in queues and in circles, numbers in a child, refused filters. It holds with epoll
 * as well.
 */
#include "things.h"

#include <poll.h>
#if HAS_EPOLL
#include <sys/epoll.h>
#else
#include <sys/event.h>
#include <sys/time.h>
#endif
#include <sys/wait.h>

#define WRITE_ENDED (READYQ_WRITE | READYQ_WRITE_CLOSED)

/* epoll reports a pipe without a reader as an error, others as an end. */
static void check_write_ended(readyq *q, readyq_watch *w)
{
    CHECK_TAKES(q, w);
    CHECK_IS(w->ready & ~READYQ_ERROR, WRITE_ENDED);
}

/* ------------------------------------------------------------------ pipes that nobody reads */

static void test_a_pipe_that_nobody_reads_is_reported_again_and_again(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    close(p[0]);
    add(q, &w, p[1], READYQ_WRITE);
    for (int i = 0; i < 3; i++)
        check_write_ended(q, &w);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_QUIET(q);
    readyq_close(q);
    close(p[1]);
}

static void test_a_pipe_whose_reader_leaves_is_reported_again_and_again(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    fill(p[1]);
    add(q, &w, p[1], READYQ_WRITE);
    CHECK_QUIET(q);
    close(p[0]);
    for (int i = 0; i < 3; i++)
        check_write_ended(q, &w);
    readyq_close(q);
    close(p[1]);
}

static void test_a_watch_of_a_pipe_that_nobody_reads_can_be_paused_and_changed(void)
{
    static const uint32_t modes[] = {READYQ_WRITE | READYQ_EDGE, READYQ_WRITE | READYQ_ONESHOT};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    close(p[0]);
    add(q, &w, p[1], 0);
    CHECK_QUIET(q);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(readyq_modify(&w, modes[i]), 0);
        check_write_ended(q, &w);
        CHECK_QUIET(q);
    }
    CHECK_IS(readyq_modify(&w, READYQ_WRITE), 0);
    check_write_ended(q, &w);
    CHECK_IS(readyq_modify(&w, 0), 0);
    CHECK_QUIET(q);
    readyq_close(q);
    close(p[1]);
}

static void test_the_number_of_a_pipe_that_nobody_read_is_not_ready_for_the_next_pipe(void)
{
    int p[2], next[2];
    readyq_watch w, other;
    readyq *q = open_queue();
    open_pipe(p);
    close(p[0]);
    add(q, &w, p[1], READYQ_WRITE);
    check_write_ended(q, &w);
    open_pipe(next);
    fill(next[1]);
    CHECK_IS(dup2(next[1], p[1]), p[1]);
    CHECK_QUIET(q);
    add(q, &other, p[1], READYQ_WRITE);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(next);
    close(p[1]);
}

/* ------------------------------------------------------------------ ends of sockets */

static void test_the_own_shutdown_is_not_the_peers_end(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_tcp(p);
    CHECK_IS(shutdown(p[0], SHUT_WR), 0);
    add(q, &w, p[0], READYQ_READ | READYQ_WRITE);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    CHECK_IS(shutdown(p[1], SHUT_WR), 0);
    sleep_ns(SOON);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready & (READYQ_READ_CLOSED | READYQ_WRITE_CLOSED),
             READYQ_READ_CLOSED | READYQ_WRITE_CLOSED);
    readyq_close(q);
    close_pair(p);
}

/* What is refused has no end. */
static void test_an_error_without_an_end_is_reported_and_stays_pending(void)
{
    struct sockaddr_in address;
    readyq_watch w;
    int error = 0, listener = open_listener(&address),
        fd = unblocked(socket(AF_INET, SOCK_DGRAM, 0));
    socklen_t size = sizeof error;
    readyq *q = open_queue();
    close(listener); /* nobody has that port in UDP, either */
    CHECK_IS(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    add(q, &w, fd, READYQ_READ);
    CHECK_IS(send(fd, "x", 1, 0), 1);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ | READYQ_ERROR);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ | READYQ_ERROR);
    CHECK_IS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    CHECK_IS(error, ECONNREFUSED);
    CHECK_QUIET(q);
    readyq_close(q);
    close(fd);
}

/* ------------------------------------------------------------------ refused filters */

static void test_what_a_file_has_not_is_left_out_and_the_rest_is_reported(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ | READYQ_PRIORITY);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ);
    CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_EDGE), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_a_queue_can_be_watched_for_what_it_never_is(void)
{
    readyq_watch w, trigger = {0};
    readyq *outer = open_queue(), *inner = open_queue();
    add(outer, &w, readyq_fileno(inner), READYQ_READ | READYQ_WRITE);
    CHECK_QUIET(outer);
    CHECK_IS(readyq_add_trigger(inner, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(outer, &w);
    CHECK_IS(w.ready, READYQ_READ);
    CHECK_TAKES(inner, &trigger);
    CHECK_QUIET(outer);
    readyq_close(outer);
    readyq_close(inner);
}

/* A kqueue looks like a pipe that is written to, which is watched for READ as well. */
static void test_a_ready_queue_that_is_watched_for_write_does_not_keep_the_outer_one_awake(void)
{
    static const uint32_t modes[] = {READYQ_WRITE, READYQ_WRITE | READYQ_EDGE,
                                     READYQ_WRITE | READYQ_ONESHOT};
    readyq_watch w, trigger = {0};
    readyq *outer = open_queue(), *inner = open_queue();
    CHECK_IS(readyq_add_trigger(inner, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const uint64_t before = stats_of(outer).kernel_waits;
        add(outer, &w, readyq_fileno(inner), modes[i]);
        CHECK_QUIET(outer);
        CHECK(stats_of(outer).kernel_waits - before < 10);
        CHECK_IS(readyq_modify(&w, READYQ_READ), 0);
        CHECK_TAKES(outer, &w);
        CHECK_IS(readyq_remove(&w), 0);
    }
    readyq_close(outer);
    readyq_close(inner);
}

/* ------------------------------------------------------------------ queues in queues */

static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

/* A registration that was paused while it was ready stayed in the kernel's list. */
static void test_fileno_is_not_readable_after_a_watch_was_paused_or_removed(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    const int fd = readyq_fileno(q);
    open_pipe(p);
    put(p[1]);
    for (int i = 0; i < 3; i++) {
        add(q, &w, p[0], READYQ_READ);
        CHECK(is_readable(fd));
        CHECK_TAKES(q, &w);
        CHECK_IS(i == 0 ? readyq_modify(&w, 0) : readyq_remove(&w), 0);
        CHECK_IS(count_ready(q, 0), 0);
        CHECK(!is_readable(fd));
        if (i == 0)
            CHECK_IS(readyq_remove(&w), 0);
    }
    readyq_close(q);
    close_pair(p);
}

/* A loop around the queue ends: it waits, takes what there is, and is readable no more. */
static void test_a_loop_around_fileno_comes_to_rest(void)
{
    int p[2], turns = 0;
    readyq_watch w, timer = {0};
    readyq *q = open_queue();
    const int fd = readyq_fileno(q);
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(q, &timer, MS, 0), 0);
    put(p[1]);
    sleep_ns(SOON);
    while (is_readable(fd) && turns < 20) {
        readyq_batch batch = {0};
        CHECK(readyq_wait(q, &batch, 0, 0) >= 0);
        for (readyq_watch *next; (next = readyq_next(&batch)) != NULL;)
            if (next == &w)
                get(p[0]);
        CHECK_IS(readyq_done(&batch), 0);
        turns++;
    }
    CHECK(turns > 0 && turns < 4);
    readyq_close(q);
    close_pair(p);
}

static void test_a_circle_of_three_queues_is_eloop(void)
{
    readyq_watch w[3] = {0}, trigger = {0};
    readyq *q[3];
    for (int i = 0; i < 3; i++)
        q[i] = open_queue();
    for (int i = 0; i < 2; i++)
        add(q[i], &w[i], readyq_fileno(q[i + 1]), READYQ_READ);
    const int fd = readyq_fileno(q[0]);
    if (fd >= 0) /* epoll does not nest so deep */
        CHECK_IS(readyq_add(q[2], &w[2], fd, READYQ_READ), -ELOOP);
    CHECK_IS(readyq_size(q[2]), 0);
    CHECK_IS(readyq_add_trigger(q[2], &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(q[0], &w[0]);
    for (int i = 0; i < 3; i++)
        readyq_close(q[i]);
}

/* Under another number, too. */
static void test_a_circle_by_a_duplicate_is_eloop(void)
{
    readyq_watch w[2] = {0};
    readyq *q[2] = {open_queue(), open_queue()};
    const int copy = dup(readyq_fileno(q[0]));
    add(q[0], &w[0], readyq_fileno(q[1]), READYQ_READ);
    CHECK_IS(readyq_add(q[1], &w[1], copy, READYQ_READ), -ELOOP);
    const int error = readyq_add(q[0], &w[1], copy, READYQ_READ);
    CHECK(error == -EINVAL || error == -ELOOP);
    CHECK_IS(readyq_remove(&w[0]), 0);
    CHECK_IS(readyq_add(q[1], &w[1], copy, READYQ_READ), 0);
    CHECK_IS(readyq_add(q[0], &w[0], readyq_fileno(q[1]), READYQ_READ), -ELOOP);
    for (int i = 0; i < 2; i++)
        readyq_close(q[i]);
    close(copy);
}

/* macOS numbers the levels of queues when one is put into another. */
static void test_a_queue_that_is_watched_gets_queues_below_it(void)
{
    readyq_watch w[2], trigger = {0};
    readyq *q[3];
    for (int i = 0; i < 3; i++)
        q[i] = open_queue();
    CHECK(readyq_fileno(q[1]) >= 0);
    add(q[1], &w[1], readyq_fileno(q[2]), READYQ_READ);
    add(q[0], &w[0], readyq_fileno(q[1]), READYQ_READ);
    CHECK_IS(readyq_add_trigger(q[2], &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(q[0], &w[0]);
    CHECK_TAKES(q[1], &w[1]);
    CHECK_TAKES(q[2], &trigger);
    for (int i = 2; i >= 0; i--) /* one that was not asked since may be readable once more */
        CHECK_QUIET(q[i]);
    for (int i = 0; i < 3; i++)
        readyq_close(q[i]);
}

static void test_a_device_that_never_blocks_is_always_ready(void)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero"};
    for (int i = 0; i < 2; i++) {
        readyq_watch w;
        readyq *q = open_queue();
        int fd = open(devices[i], O_RDWR | O_CLOEXEC);
        add(q, &w, fd, READYQ_READ | READYQ_WRITE);
        for (int j = 0; j < 3; j++) {
            CHECK_TAKES(q, &w);
            CHECK_IS(w.ready, READYQ_READ | READYQ_WRITE);
        }
        CHECK_IS(readyq_modify(&w, READYQ_WRITE | READYQ_ONESHOT), 0);
        CHECK_TAKES(q, &w);
        CHECK_IS(w.ready, READYQ_WRITE);
        CHECK_QUIET(q);
        CHECK_IS(readyq_modify(&w, 0), 0);
        CHECK_QUIET(q);
        CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_EDGE), 0);
        CHECK_TAKES(q, &w);
        CHECK_QUIET(q);
        CHECK_IS(readyq_remove(&w), 0);
        readyq_close(q);
        close(fd);
    }
}

static void test_a_kernel_queue_of_the_program_can_be_watched(void)
{
    readyq_watch w;
    readyq *q = open_queue(), *other = open_queue();
    int p[2], set;
    open_pipe(p);
#if HAS_EPOLL
    struct epoll_event event = {.events = EPOLLIN};
    CHECK((set = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_ADD, p[0], &event), 0);
#else
    struct kevent event;
    CHECK((set = kqueue()) >= 0);
    EV_SET(&event, (uintptr_t)p[0], EVFILT_READ, EV_ADD, 0, 0, 0);
    CHECK_IS(kevent(set, &event, 1, NULL, 0, NULL), 0);
#endif
    add(q, &w, set, READYQ_READ);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    readyq_close(other);
    close(set);
    close_pair(p);
}

/* More than one call of the kernel reports: none has only one of its directions. */
static void test_of_very_many_ready_sockets_each_is_reported_for_both_directions(void)
{
    enum { MANY = 400 };
    readyq_batch batch = {0};
    static readyq_watch w[MANY];
    readyq *q = open_queue();
    readyq_watch *one;
    int p[2], numbers[MANY], taken = 0;
    open_unix(p);
    put(p[1]);
    for (int i = 0; i < MANY; i++) {
        CHECK((numbers[i] = dup(p[0])) >= 0);
        add(q, &w[i], numbers[i], READYQ_READ | READYQ_WRITE | READYQ_EDGE);
    }
    while (readyq_wait(q, &batch, 0, 0) > 0)
        for (; (one = readyq_next(&batch)) != NULL; taken++)
            CHECK_IS(one->ready, READYQ_READ | READYQ_WRITE);
    CHECK(taken >= MANY);
    readyq_done(&batch);
    readyq_close(q);
    for (int i = 0; i < MANY; i++)
        close(numbers[i]);
    close_pair(p);
}

/* ------------------------------------------------------------------ whether a number lives */

static void test_a_refused_second_add_leaves_the_first_as_it_was(void)
{
    static const uint32_t modes[] = {0, READYQ_ONESHOT, READYQ_EDGE};
    for (int i = 0; i < 3; i++) {
        int p[2];
        readyq_watch w, other = {0};
        readyq *q = open_queue();
        open_pipe(p);
        add(q, &w, p[0], READYQ_READ | modes[i]);
        CHECK_IS(readyq_add(q, &other, p[0], READYQ_READ), -EEXIST);
        CHECK_QUIET(q);
        put(p[1]);
        CHECK_TAKES(q, &w);
        CHECK_IS(w.ready, READYQ_READ);
        CHECK_IS(stats_of(q).stale, 0);
        readyq_close(q);
        close_pair(p);
    }
}

static void test_a_pipe_that_ended_while_it_was_watched_can_be_changed(void)
{
    static const uint32_t before[] = {0, READYQ_READ, READYQ_WRITE | READYQ_ONESHOT};
    for (int i = 0; i < 3; i++) {
        int p[2];
        readyq_watch w;
        readyq *q = open_queue();
        open_pipe(p);
        add(q, &w, p[1], before[i]);
        CHECK_IS(take_within(q, SOON) != NULL, i == 2);
        close(p[0]);
        CHECK_IS(readyq_modify(&w, READYQ_WRITE), 0);
        for (int j = 0; j < 3; j++)
            check_write_ended(q, &w);
        CHECK_IS(readyq_remove(&w), 0);
        CHECK_QUIET(q);
        readyq_close(q);
        close(p[1]);
    }
}

static void test_a_failed_modify_leaves_the_registration_as_it_was(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    if (readyq_modify(&w, READYQ_PRIORITY) != 0) /* where the kernel has none */
        CHECK_IS(w.interest, READYQ_READ);
    else
        CHECK_IS(readyq_modify(&w, READYQ_READ), 0);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(stats_of(q).stale, 0);
    readyq_close(q);
    close_pair(p);
}

/* The child took its own registrations for those of closed numbers. */
static void test_a_child_finds_no_ghosts_of_its_own(void)
{
    int p[2];
    readyq_watch w[2];
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w[0], p[0], READYQ_READ | READYQ_EDGE);
    add(q, &w[1], p[1], READYQ_WRITE | READYQ_ONESHOT);
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK_TAKES(q, &w[1]);
        put(p[1]);
        CHECK_TAKES(q, &w[0]);
        CHECK_QUIET(q);
        CHECK_IS(readyq_wake(q), 0);
        CHECK_IS(count_ready(q, LONG), 0);
        CHECK_IS(stats_of(q).stale, 0);
        CHECK_IS(stats_of(q).ghosts, 0);
        CHECK_IS(stats_of(q).rebuilds, 1);
        _exit(0);
    }
    expect_success(pid);
    readyq_close(q);
    close_pair(p);
}

/* A child that has begun to exit cannot be watched any more, and is not there for waitid yet. */
static void test_children_that_exit_while_they_are_added_are_reported(void)
{
    readyq *q = open_queue();
    for (int i = 0; i < 100; i++) {
        readyq_watch w = {0};
        const pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        if (i % 2)
            sleep_ns(i * 20000);
        CHECK_IS(readyq_add_process(q, &w, pid), 0);
        CHECK_TAKES(q, &w);
        CHECK(WIFEXITED(w.status) && WEXITSTATUS(w.status) == 7);
        CHECK_IS(waitpid(pid, NULL, 0), pid);
    }
    readyq_close(q);
}

TESTS(TEST(test_a_pipe_that_nobody_reads_is_reported_again_and_again),
      TEST(test_a_pipe_whose_reader_leaves_is_reported_again_and_again),
      TEST(test_a_watch_of_a_pipe_that_nobody_reads_can_be_paused_and_changed),
      TEST(test_the_number_of_a_pipe_that_nobody_read_is_not_ready_for_the_next_pipe),
      TEST(test_the_own_shutdown_is_not_the_peers_end),
      TEST(test_an_error_without_an_end_is_reported_and_stays_pending),
      TEST(test_what_a_file_has_not_is_left_out_and_the_rest_is_reported),
      TEST(test_a_queue_can_be_watched_for_what_it_never_is),
      TEST(test_a_ready_queue_that_is_watched_for_write_does_not_keep_the_outer_one_awake),
      TEST(test_fileno_is_not_readable_after_a_watch_was_paused_or_removed),
      TEST(test_a_loop_around_fileno_comes_to_rest), TEST(test_a_circle_of_three_queues_is_eloop),
      TEST(test_a_circle_by_a_duplicate_is_eloop),
      TEST(test_a_queue_that_is_watched_gets_queues_below_it),
      TEST(test_a_refused_second_add_leaves_the_first_as_it_was),
      TEST(test_a_device_that_never_blocks_is_always_ready),
      TEST(test_a_pipe_that_ended_while_it_was_watched_can_be_changed),
      TEST(test_a_failed_modify_leaves_the_registration_as_it_was),
      TEST(test_a_child_finds_no_ghosts_of_its_own),
      TEST(test_children_that_exit_while_they_are_added_are_reported),
      TEST(test_a_kernel_queue_of_the_program_can_be_watched),
      TEST(test_of_very_many_ready_sockets_each_is_reported_for_both_directions))
