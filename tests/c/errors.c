/* SPDX-License-Identifier: MIT
 *
 * Misuse and failure: which error is returned, and that the call changed nothing. The texts are
 * tested in words.c.
 */
#include "things.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

/* A failed add did not change the watch and the queue: the watch can be added now. */
static void check_unchanged(readyq *q, readyq_watch *w, int good_fd)
{
    size_t size = readyq_size(q);
    CHECK(w->queue == NULL);
    CHECK_IS(w->ready, 0);
    CHECK_IS(readyq_add(q, w, good_fd, READYQ_READ), 0);
    CHECK_IS(readyq_size(q), size + 1);
    CHECK_IS(readyq_remove(w), 0);
}

static void check_add_fails(int fd, uint32_t interest, int error)
{
    int p[2];
    readyq_watch w = {0};
    readyq *q = open_queue();
    open_pipe(p);
    CHECK_IS(readyq_add(q, &w, fd, interest), error);
    CHECK_IS(readyq_size(q), 0);
    check_unchanged(q, &w, p[0]);
    readyq_close(q);
    close_pair(p);
}

static void test_add_of_a_closed_descriptor_is_ebadf(void)
{
    check_add_fails(-1, READYQ_READ, -EBADF);
    check_add_fails(999, READYQ_READ, -EBADF);
    check_add_fails(999, 0, -EBADF);
    check_add_fails(INT32_MAX, READYQ_READ, -EBADF);
    check_add_fails(INT32_MIN, READYQ_READ, -EBADF);
}

static void test_add_of_an_invalid_interest_is_einval(void)
{
    static const uint32_t nonsense[] = {READYQ_READ_CLOSED,
                                        READYQ_READ | READYQ_WRITE_CLOSED,
                                        READYQ_READ | READYQ_ERROR,
                                        READYQ_READ | READYQ_FIRED,
                                        READYQ_READ | 0x8000u,
                                        READYQ_READ | 0x80000000u,
                                        READYQ_EDGE,
                                        READYQ_ONESHOT,
                                        READYQ_EXCLUSIVE};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        check_add_fails(0, nonsense[i], -EINVAL);
}

static void test_second_add_of_a_descriptor_is_eexist(void)
{
    int p[2];
    readyq_watch w, second = {0};
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_add(q, &second, p[0], READYQ_READ), -EEXIST);
    CHECK(second.queue == NULL);
    CHECK(readyq_find(q, p[0]) == &w);
    CHECK_TAKES(q, &w);
    check_unchanged(q, &second, p[1]);
    readyq_close(q);
    close_pair(p);
}

static void test_second_add_of_a_file_or_of_a_paused_descriptor_is_eexist(void)
{
    int p[2], fd = open_file();
    readyq_watch file, paused, second = {0};
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &file, fd, READYQ_READ);
    add(q, &paused, p[0], 0);
    CHECK_IS(readyq_add(q, &second, fd, READYQ_READ), -EEXIST);
    CHECK_IS(readyq_add(q, &second, p[0], READYQ_READ), -EEXIST);
    CHECK_IS(readyq_size(q), 2);
    readyq_close(q);
    close_pair(p);
    close(fd);
}

static void test_a_watch_that_is_in_a_queue_is_busy(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue(), *other = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_add(q, &w, p[1], READYQ_WRITE), -EBUSY);
    CHECK_IS(readyq_add(other, &w, p[1], READYQ_WRITE), -EBUSY);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), -EBUSY);
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), -EBUSY);
    CHECK_IS(readyq_add_process(q, &w, getpid()), -EBUSY);
    CHECK_IS(readyq_add_trigger(other, &w), -EBUSY);
    CHECK_IS(w.fd, p[0]);
    CHECK_IS(w.kind, READYQ_KIND_FD);
    CHECK_IS(readyq_size(q), 1);
    CHECK_IS(readyq_size(other), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    readyq_close(other);
    close_pair(p);
}

static void test_modify_remove_and_fire_of_what_is_in_no_queue_are_enoent(void)
{
    readyq_watch w = {0};
    CHECK_IS(readyq_modify(&w, READYQ_READ), -ENOENT);
    CHECK_IS(readyq_remove(&w), -ENOENT);
    CHECK_IS(readyq_fire(&w), -ENOENT);
    CHECK_IS(readyq_restart(&w, 0), -ENOENT);
    CHECK_IS(readyq_due(&w), -1);
    readyq *q = open_queue();
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_fire(&w), -ENOENT);
    CHECK_IS(readyq_remove(&w), -ENOENT);
    readyq_close(q);
}

static void test_modify_to_an_invalid_interest_is_einval_and_keeps_the_interest(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_modify(&w, READYQ_ERROR), -EINVAL);
    CHECK_IS(readyq_modify(&w, READYQ_EDGE), -EINVAL);
    CHECK_IS(readyq_modify(&w, 0x10000), -EINVAL);
    CHECK_IS(w.interest, READYQ_READ);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_modify_of_a_watch_without_interest_is_einval(void)
{
    readyq_watch timer = {0}, trigger = {0}, signal = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_timer(q, &timer, SECOND, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    CHECK_IS(readyq_modify(&timer, READYQ_READ), -EINVAL);
    CHECK_IS(readyq_modify(&trigger, 0), -EINVAL);
    CHECK_IS(readyq_modify(&signal, READYQ_READ), -EINVAL);
    readyq_close(q);
}

static void test_fire_of_a_watch_that_is_not_a_trigger_is_einval(void)
{
    readyq_watch timer = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_timer(q, &timer, SECOND, 0), 0);
    CHECK_IS(readyq_fire(&timer), -EINVAL);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_a_queue_does_not_watch_itself(void)
{
    const int lowest = dup(0);
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add(q, &w, readyq_fileno(q), READYQ_READ), -EINVAL);
    CHECK_IS(readyq_size(q), 0);
    readyq_close(q);
    close(lowest);
    q = open_queue(); /* the queue opens its kernel queue under that number */
    CHECK_IS(readyq_add(q, &w, lowest, READYQ_READ), -EINVAL);
    CHECK_IS(readyq_size(q), 0);
    if (has_ghosts(q)) { /* epoll recognises itself under any number */
        int copy = dup(lowest);
        CHECK_IS(readyq_add(q, &w, copy, READYQ_READ), -EINVAL);
        close(copy);
    }
    readyq_close(q);
}

static void test_queues_that_watch_each_other_are_eloop(void)
{
    readyq_watch w[2] = {0};
    readyq *q[2] = {open_queue(), open_queue()};
    CHECK_IS(readyq_add(q[0], &w[0], readyq_fileno(q[1]), READYQ_READ), 0);
    CHECK_IS(readyq_add(q[1], &w[1], readyq_fileno(q[0]), READYQ_READ), -ELOOP);
    CHECK(w[1].queue == NULL);
    CHECK_IS(readyq_size(q[1]), 0);
    readyq_close(q[0]);
    readyq_close(q[1]);
}

/* ------------------------------------------------------------------ limits */

static struct rlimit limit_descriptors(rlim_t most)
{
    struct rlimit old, now;
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &old), 0);
    now = (struct rlimit){.rlim_cur = most, .rlim_max = old.rlim_max};
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &now), 0);
    return old;
}

static void test_open_without_free_descriptors_is_emfile_and_leaks_none(void)
{
    int lowest = dup(0), before, n = 0;
    readyq *q = NULL;
    close(lowest);
    before = count_descriptors();
    for (rlim_t room = 0; q == NULL; room++) {
        struct rlimit old = limit_descriptors((rlim_t)lowest + room);
        int result = readyq_open(&q, NULL);
        CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
        CHECK_IS(result, q == NULL ? -EMFILE : 0);
        if (q == NULL)
            CHECK_IS(count_descriptors(), before);
        n++;
    }
    CHECK(n > 1);
    readyq_close(q);
}

static void test_add_needs_no_descriptor(void)
{
    int p[2];
    readyq_watch w = {0}, timer = {0}, trigger = {0};
    readyq *q = open_queue();
    open_pipe(p);
    struct rlimit old = limit_descriptors(0);
    CHECK_IS(readyq_add(q, &w, p[0], READYQ_READ), 0);
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_TAKES(q, &timer);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_add_process_without_free_descriptors_is_emfile_and_changes_nothing(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    struct rlimit old = limit_descriptors(0);
    int result = readyq_add_process(q, &w, getpid());
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
    if (HAS_EPOLL)
        CHECK_IS(result, -EMFILE);
    if (result == 0) /* kqueue needs no descriptor for it */
        CHECK_IS(readyq_remove(&w), 0);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    CHECK_IS(readyq_add_process(q, &w, getpid()), 0);
    readyq_close(q);
}

/* ------------------------------------------------------------------ a closed queue */

static void test_every_call_on_a_closed_queue_is_eshutdown(void)
{
    readyq_batch batch = {0}, fresh = {0};
    int p[2];
    readyq_watch w = {0}, old;
    readyq *q = readyq_ref(open_queue());
    open_pipe(p);
    add(q, &old, p[0], READYQ_READ);
    put(p[1]);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_IS(readyq_close(q), 0);
    CHECK_IS(readyq_close(q), 0);
    CHECK_IS(readyq_add(q, &w, p[0], READYQ_READ), -ESHUTDOWN);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), -ESHUTDOWN);
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), -ESHUTDOWN);
    CHECK_IS(readyq_add_process(q, &w, getpid()), -ESHUTDOWN);
    CHECK_IS(readyq_add_trigger(q, &w), -ESHUTDOWN);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_peek(&batch, NULL, NULL, 0), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), -ESHUTDOWN);
    CHECK_IS(readyq_look(q, &batch, 0), -ESHUTDOWN);
    CHECK_IS(readyq_wait(q, &fresh, 0, 0), -ESHUTDOWN);
    CHECK_IS(readyq_wake(q), -ESHUTDOWN);
    CHECK_IS(readyq_fileno(q), -ESHUTDOWN);
    CHECK_IS(stats_of(q).watches, 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK(readyq_find(q, p[0]) == NULL);
    CHECK_IS(readyq_size(q), 0);
    CHECK_IS(readyq_remove(&old), -ENOENT);
    CHECK_IS(readyq_modify(&old, READYQ_READ), -ENOENT);
    CHECK(w.queue == NULL);
    readyq_unref(q);
    close_pair(p);
}

static void test_the_last_reference_closes(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = readyq_ref(open_queue());
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    readyq_unref(q);
    CHECK(w.queue == q);
    readyq_unref(q);
    CHECK(w.queue == NULL);
    close_pair(p);
}

/* ------------------------------------------------------------------ politeness */

static void check_untouched(int fd, int peer)
{
    int flags = fcntl(fd, F_GETFL), own = fcntl(fd, F_GETFD), open_before = count_descriptors();
    readyq_watch w;
    readyq *q = open_queue();
    int open_with_queue = count_descriptors();
    put(peer);
    add(q, &w, fd, READYQ_READ);
    CHECK_IS(count_descriptors(), open_with_queue);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_EDGE | READYQ_EXCLUSIVE), 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_add(q, &w, fd, READYQ_READ), 0);
    readyq_close(q);
    CHECK_IS(fcntl(fd, F_GETFL), flags);
    CHECK_IS(fcntl(fd, F_GETFD), own);
    CHECK_IS(count_descriptors(), open_before);
    get(fd);
}

static void test_a_watched_descriptor_is_not_touched(void)
{
    int p[2];
    open_unix(p);
    check_untouched(p[0], p[1]);
    CHECK(fcntl(p[0], F_SETFL, 0) >= 0);
    check_untouched(p[0], p[1]);
    CHECK(fcntl(p[0], F_SETFD, FD_CLOEXEC) >= 0);
    check_untouched(p[0], p[1]);
    close_pair(p);
}

static void test_every_descriptor_of_a_queue_is_closed_on_exec(void)
{
    bool before[256];
    readyq_watch process = {0}, timer = {0}, signal = {0};
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    readyq *q = open_queue();
    CHECK_IS(readyq_add_process(q, &process, getpid()), 0);
    CHECK_IS(readyq_add_timer(q, &timer, SECOND, 0), 0);
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    CHECK(readyq_fileno(q) >= 0);
    CHECK_IS(count_ready(q, 0), 0);
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (before[fd] || flags < 0)
            continue;
        CHECK_IS(flags & FD_CLOEXEC, FD_CLOEXEC);
        n++;
    }
    CHECK(n > 0);
    readyq_close(q);
}

TESTS(TEST(test_add_of_a_closed_descriptor_is_ebadf),
      TEST(test_add_of_an_invalid_interest_is_einval),
      TEST(test_second_add_of_a_descriptor_is_eexist),
      TEST(test_second_add_of_a_file_or_of_a_paused_descriptor_is_eexist),
      TEST(test_a_watch_that_is_in_a_queue_is_busy),
      TEST(test_modify_remove_and_fire_of_what_is_in_no_queue_are_enoent),
      TEST(test_modify_to_an_invalid_interest_is_einval_and_keeps_the_interest),
      TEST(test_modify_of_a_watch_without_interest_is_einval),
      TEST(test_fire_of_a_watch_that_is_not_a_trigger_is_einval),
      TEST(test_a_queue_does_not_watch_itself), TEST(test_queues_that_watch_each_other_are_eloop),
      TEST(test_open_without_free_descriptors_is_emfile_and_leaks_none),
      TEST(test_add_needs_no_descriptor),
      TEST(test_add_process_without_free_descriptors_is_emfile_and_changes_nothing),
      TEST(test_every_call_on_a_closed_queue_is_eshutdown), TEST(test_the_last_reference_closes),
      TEST(test_a_watched_descriptor_is_not_touched),
      TEST(test_every_descriptor_of_a_queue_is_closed_on_exec))
