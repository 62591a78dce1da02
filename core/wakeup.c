/* SPDX-License-Identifier: MIT
 *
 * Getting a sleeping thread to look around. The leader sleeps in the kernel queue, where the
 * wake-up is one more descriptor; its followers sleep on the baton, a counting descriptor, because
 * a sleep in poll(2) ends with a signal and one on a condition variable does not.
 *
 * Both are an eventfd, or a pipe where there is none or a sandbox forbids it.
 */
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/eventfd.h>
static int open_counter(int ends[2])
{
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    return ends[0];
}
#else
static int open_counter(int ends[2])
{
    (void)ends;
    return -1;
}
#endif

#if defined(__APPLE__)
static int open_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}
static int sleep_on(struct pollfd *one, int64_t timeout)
{
    int64_t ms = timeout < 0 ? -1 : timeout / 1000000 + (timeout % 1000000 != 0);

    return poll(one, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
}
#else
static int open_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}
static int sleep_on(struct pollfd *one, int64_t timeout)
{
    struct timespec time = {(time_t)(timeout / 1000000000), (long)(timeout % 1000000000)};

    return ppoll(one, 1, timeout < 0 ? NULL : &time, NULL);
}
#endif

static int open_ends(int *read_end, int *write_end)
{
    int ends[2];

    if (open_counter(ends) < 0 && open_pipe(ends) < 0)
        return -errno;
    *read_end = ends[0];
    *write_end = ends[1];
    return 0;
}

static void close_ends(int *read_end, int *write_end)
{
    if (*write_end >= 0 && *write_end != *read_end)
        close(*write_end);
    if (*read_end >= 0)
        close(*read_end);
    *read_end = *write_end = -1;
}

/* An eventfd takes eight bytes at a time, a pipe as many as there are tokens. */
static void add_tokens(int read_end, int write_end, int n)
{
    const uint64_t count = (uint64_t)n;
    ssize_t done;

    if (read_end == write_end)
        done = write(write_end, &count, sizeof count);
    else
        do
            done = write(write_end, "", 1);
        while (done == 1 && --n > 0);
    (void)done; /* full: there are tokens enough */
}

/* ------------------------------------------------------------------ the leader's */

int readyq__wakeup_open(readyq *q)
{
    int error = open_ends(&q->wakeup.fd, &q->wakeup_write);

    if (error < 0)
        return error;
    q->wakeup.interest = READYQ_READ | READYQ_EDGE;
    readyq__arm(&q->wakeup, true);
    error = readyq__register(q, &q->wakeup);
    if (error < 0)
        close_ends(&q->wakeup.fd, &q->wakeup_write);
    atomic_store(&q->shut, error < 0);
    return error;
}

void readyq__wakeup_close(readyq *q)
{
    atomic_store(&q->shut, true);
    while (atomic_load(&q->kicking) > 0)
        sched_yield();
    if (q->wakeup.fd >= 0)
        readyq__vacate(q, q->wakeup.fd);
    close_ends(&q->wakeup.fd, &q->wakeup_write);
}

/* Its registration is EDGE, which an eventfd reports at each write: it need not be read. */
void readyq__wakeup_drain(readyq *q)
{
    char tokens[64];

    if (q->wakeup.fd == q->wakeup_write)
        return;
    while (read(q->wakeup.fd, tokens, sizeof tokens) > 0)
        ;
}

void readyq__kick(readyq *q)
{
    const int error = errno;

    if (atomic_exchange(&q->kicked, true))
        return;
    atomic_fetch_add(&q->kicking, 1);
    if (!atomic_load(&q->shut))
        add_tokens(q->wakeup.fd, q->wakeup_write, 1);
    atomic_fetch_sub(&q->kicking, 1);
    errno = error;
}

int readyq_wake(readyq *q)
{
    if (atomic_load(&q->shut) && !atomic_load(&q->forked))
        return -ESHUTDOWN;
    if (!atomic_exchange(&q->woken, true)) {
        atomic_fetch_add(&q->wakes, 1);
        readyq__kick(q);
    }
    return 0;
}

/* ------------------------------------------------------------------ the followers' */

int readyq__baton_open(readyq *q)
{
    return q->baton >= 0 ? 0 : open_ends(&q->baton, &q->baton_write);
}

void readyq__baton_close(readyq *q)
{
    close_ends(&q->baton, &q->baton_write);
}

void readyq__baton_pass(readyq *q, int followers)
{
    if (followers > 0)
        add_tokens(q->baton, q->baton_write, followers);
}

int readyq__baton_await(readyq *q, int64_t timeout)
{
    struct pollfd one = {.fd = q->baton, .events = POLLIN};
    uint64_t token;
    ssize_t taken = 0;
    int n, error;

    readyq__unlock(q);
    n = sleep_on(&one, timeout);
    error = errno;
    if (n > 0)
        taken = read(one.fd, &token, one.fd == q->baton_write ? sizeof token : 1);
    readyq__lock(q);
    (void)taken; /* another follower was faster: it leads, or passes the baton on */
    return n < 0 ? -error : 0;
}
