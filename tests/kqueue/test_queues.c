/* SPDX-License-Identifier: MIT
 *
 * The descriptor of a kqueue: polling it, a kqueue inside another, closing, fork, threads.
 */
#include "cases.h"

#include <stdatomic.h>
#include <sys/stat.h>

static void it_polls_readable_until_a_scan(void)
{
    int p[2], kq = kqueue();

    open_pair(p);
    CHECK_IS(polls_readable(kq), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(polls_readable(kq), 0);
    put(p[1]);
    CHECK_IS(polls_readable(kq), 1);
    CHECK_IS(count_events(kq), 1);
    get(p[0]);
    CHECK_IS(polls_readable(kq), 1); /* though nothing is there: the knote is queued */
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(polls_readable(kq), 0);
    close_pair(p);
    close(kq);
}

static void a_kqueue_in_a_kqueue(void)
{
    int p[2], inner = kqueue(), outer = kqueue();
    struct kevent event;

    open_pair(p);
    CHECK_IS(change(outer, inner, EVFILT_READ, EV_ADD), 0);
    CHECK_IS(change(inner, p[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(count_events(outer), 0);
    put(p[1]);
    CHECK_IS(take(outer, &event), 1);
    CHECK_IS((int)event.ident, inner);
    CHECK_IS(count_events(inner), 1);
    get(p[0]);
    CHECK_IS(count_events(inner), 0);
    CHECK_IS(polls_readable(inner), 0);
    CHECK_IS(polls_readable(outer), 1); /* the inner one's knote is queued in it */
    CHECK_IS(count_events(outer), 0);
    CHECK_IS(polls_readable(outer), 0);
    put(p[1]);
    CHECK_IS(polls_readable(outer), 1);
    close_pair(p);
    close(outer);
    close(inner);
}

static void another_filter_on_a_kqueue(void)
{
    int inner = kqueue(), outer = kqueue();

    CHECK_IS(change(outer, inner, EVFILT_WRITE, EV_ADD),
             per_kernel(EINVAL, EINVAL, EPERM, EINVAL, EINVAL, EINVAL, EOPNOTSUPP));
    close(outer);
    close(inner);
}

static void a_kqueue_looks_like_a_pipe(void)
{
    int p[2], kq = kqueue();
    struct stat file;

    open_pair(p);
    CHECK_IS(fstat(kq, &file), 0);
    CHECK_IS(S_ISFIFO(file.st_mode), 1);
    CHECK_IS((long long)file.st_nlink, 0);
    CHECK_IS(fcntl(kq, F_GETFL) & O_ACCMODE, O_RDWR);
    CHECK_IS(fstat(p[1], &file), 0);
    CHECK_IS(S_ISFIFO(file.st_mode), 1);
    CHECK_IS((long long)file.st_nlink, 0);
    close_pair(p);
    close(kq);
}

/* A kernel that would panic is spared, unless it is played: then the kqueue for tests aborts. */
static bool is_spared(bool panics)
{
    return panics && getenv("KQUEUE_PANIC") == NULL;
}

/* Some accept it, and panic at the next event. */
static void a_kqueue_in_itself(void)
{
    int p[2], kq = kqueue();

    open_pair(p);
    CHECK_IS(change(kq, kq, EVFILT_READ, EV_ADD), per_kernel(EINVAL, 0, 0, 0, 0, EINVAL, 0));
    if (!is_spared(per_kernel(0, 1, 1, 1, 0, 0, 0))) {
        put(p[1]);
        CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
        CHECK_IS(polls_readable(kq), 1);
    }
    close_pair(p);
    close(kq);
}

static void kqueues_in_a_circle(void)
{
    int p[2], a = kqueue(), b = kqueue();

    open_pair(p);
    CHECK_IS(change(a, b, EVFILT_READ, EV_ADD), 0);
    CHECK_IS(change(b, a, EVFILT_READ, EV_ADD), per_kernel(0, 0, 0, 0, 0, EINVAL, 0));
    if (!is_spared(per_kernel(0, 1, 1, 1, 0, 0, 0))) {
        put(p[1]);
        CHECK_IS(change(a, p[0], EVFILT_READ, EV_ADD), 0);
        CHECK_IS(polls_readable(a), 1);
    }
    close_pair(p);
    close(a);
    close(b);
}

static void kqueues_in_a_row(void)
{
    enum { ROW = 12 };
    int row[ROW], error = 0, n = 1;

    row[0] = kqueue();
    while (n < ROW && error == 0) {
        row[n] = kqueue();
        error = change(row[n], row[n - 1], EVFILT_READ, EV_ADD);
        n++;
    }
    CHECK_IS(n, per_kernel(ROW, ROW, ROW, ROW, ROW, 11, ROW));
    CHECK_IS(error, per_kernel(0, 0, 0, 0, 0, EINVAL, 0));
    for (int i = 0; i < n; i++)
        close(row[i]);
}

/* ------------------------------------------------------------------ closing */

static void closing_removes_although_a_duplicate_lives(void)
{
    int p[2], kq = kqueue(), copy, again;

    open_pair(p);
    copy = dup(p[0]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    close(p[0]);
    CHECK_IS(count_events(kq), 0);
    again = dup(copy);
    CHECK_IS(again, p[0]);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(change(kq, again, EVFILT_READ, EV_DELETE), ENOENT);
    close(again);
    close(copy);
    close(p[1]);
    close(kq);
}

static void dup2_over_a_number_removes(void)
{
    int p[2], other[2], kq = kqueue();

    open_pair(p);
    open_pair(other);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    put(p[1]);
    put(other[1]);
    CHECK_IS(dup2(other[0], p[0]), p[0]);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_DELETE), ENOENT);
    close_pair(p);
    close_pair(other);
    close(kq);
}

static void a_file_that_is_closed_by_fclose_is_removed(void)
{
    int p[2], kq = kqueue(), copy;
    FILE *file;

    open_pair(p);
    copy = dup(p[0]);
    file = fdopen(p[0], "r");
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    put(p[1]);
    fclose(file);
    CHECK_IS(count_events(kq), 0);
    close(copy);
    close(p[1]);
    close(kq);
}

#define AGES (1500 * SOON) /* for what must end earlier, also on a busy machine */

struct sleeper {
    int kq, timeout, result, error;
    atomic_bool begins;
};

/* Nothing portable says that a thread sleeps: a moment after it has begun to is long enough. */
static void await(struct sleeper *sleeper)
{
    while (!atomic_load(&sleeper->begins))
        nap();
    for (int i = 0; i < 4; i++)
        nap();
}

static void *sleep_in_it(void *argument)
{
    struct sleeper *sleeper = argument;
    struct kevent event;

    atomic_store(&sleeper->begins, true);
    sleeper->result = take_some(sleeper->kq, &event, 1, sleeper->timeout);
    sleeper->error = errno;
    return NULL;
}

static void closing_while_a_thread_sleeps_in_it(void)
{
    const int woken = per_kernel(0, 1, 0, 1, 1, 1, 0);
    struct sleeper sleeper = {.kq = kqueue(), .timeout = woken ? AGES : 25 * SOON, .result = 9};
    pthread_t thread;

    CHECK_IS(pthread_create(&thread, NULL, sleep_in_it, &sleeper), 0);
    await(&sleeper);
    close(sleeper.kq);
    pthread_join(thread, NULL);
    CHECK_IS(sleeper.result, woken ? -1 : 0);
    if (woken)
        CHECK_IS(sleeper.error, EBADF);
}

static void a_change_of_another_thread_ends_a_sleep(void)
{
    int p[2];
    struct sleeper sleeper = {.kq = kqueue(), .timeout = AGES, .result = 9};
    pthread_t thread;

    open_pair(p);
    put(p[1]);
    CHECK_IS(pthread_create(&thread, NULL, sleep_in_it, &sleeper), 0);
    await(&sleeper);
    CHECK_IS(change(sleeper.kq, p[0], EVFILT_READ, EV_ADD), 0);
    pthread_join(thread, NULL);
    CHECK_IS(sleeper.result, 1);
    close_pair(p);
    close(sleeper.kq);
}

static void a_child_has_no_kqueue(void)
{
    int p[2], kq = kqueue(), status = -1;
    struct kevent event;
    pid_t pid;

    open_pair(p);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    pid = fork();
    if (pid == 0)
        _exit(fcntl(kq, F_GETFD) < 0 && take(kq, &event) < 0 && errno == EBADF ? 0 : 1);
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(status, 0);
    put(p[1]);
    CHECK_IS(count_events(kq), 1);
    close_pair(p);
    close(kq);
}

static void clear_in_another_kqueue_fires_once_for_each_that_is_queued(void)
{
    int p[2], inner = kqueue(), outer = kqueue();

    open_pair(p);
    CHECK_IS(change(outer, inner, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    CHECK_IS(change(inner, p[0], EVFILT_READ, EV_ADD), 0);
    put(p[1]);
    CHECK_IS(count_events(outer), 1);
    CHECK_IS(count_events(outer), 0);
    close_pair(p);
    close(inner);
    close(outer);
}

CASES(CASE(clear_in_another_kqueue_fires_once_for_each_that_is_queued),
      CASE(it_polls_readable_until_a_scan), CASE(a_kqueue_in_a_kqueue),
      CASE(another_filter_on_a_kqueue), CASE(a_kqueue_looks_like_a_pipe), CASE(a_kqueue_in_itself),
      CASE(kqueues_in_a_circle), CASE(kqueues_in_a_row),
      CASE(closing_removes_although_a_duplicate_lives), CASE(dup2_over_a_number_removes),
      CASE(a_file_that_is_closed_by_fclose_is_removed), CASE(closing_while_a_thread_sleeps_in_it),
      CASE(a_change_of_another_thread_ends_a_sleep), CASE(a_child_has_no_kqueue))
