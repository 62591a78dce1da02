/* SPDX-License-Identifier: MIT
 *
 * Linux: epoll. Translation only.
 *
 * Notes on this kernel, referred to below:
 *  1. A registration is keyed by (open file, number). One that was closed while a duplicate lives
 *     cannot be removed any more: the core finds it by its generation and builds the set anew.
 *     MOD and DEL of a closed number are EBADF, of a number that is another file's now ENOENT.
 *  2. EPOLLHUP and EPOLLERR are reported unasked, also for an empty mask; with EPOLLET once.
 *  3. What else its bits mean is said in pollbits.c.
 *  4. EPOLLEXCLUSIVE refuses MOD, and to go with EPOLLONESHOT, EPOLLPRI, EPOLLRDHUP or an epoll
 *     descriptor. There it is left out, but for EPOLLRDHUP, which is looked up by poll(2).
 *  5. Files and directories are EPERM; devices like /dev/null too.
 *  6. epoll_wait counts in milliseconds; epoll_pwait2 (5.11) in nanoseconds, and where it is
 *     missing or forbidden ppoll(2) on the epoll descriptor does.
 */
#include "internal.h"

#if defined(__linux__)

#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same on every architecture */
#endif

static atomic_bool no_pwait2; /* this kernel, or a sandbox, refused it once */

static int open_set(readyq *q)
{
    q->kernel.fd = epoll_create1(EPOLL_CLOEXEC);
    return q->kernel.fd < 0 ? -errno : 0;
}

static void close_set(readyq *q, bool forked)
{
    (void)forked; /* the child's descriptor is its own, the set is the parent's */
    if (q->kernel.fd >= 0)
        close(q->kernel.fd);
    q->kernel.fd = -1;
}

/* ------------------------------------------------------------------ changing */

static uint32_t to_kernel(uint32_t interest)
{
    uint32_t events = readyq__to_poll(interest);

    if (interest & READYQ_EDGE)
        events |= EPOLLET;
    if (interest & READYQ_ONESHOT)
        events |= EPOLLONESHOT;
    if ((interest & READYQ_EXCLUSIVE) && !(events & (EPOLLPRI | EPOLLONESHOT))) /* note 4 */
        events = (events & ~(uint32_t)EPOLLRDHUP) | EPOLLEXCLUSIVE;
    return events;
}

static int control(readyq *q, int operation, int fd, uint32_t interest)
{
    struct epoll_event event = {.events = to_kernel(interest), .data.u64 = readyq__key(q, fd)};
    int error = 0;

    q->stats.changes++;
    if (epoll_ctl(q->kernel.fd, operation, fd, &event) < 0)
        error = -errno;
    if (error == -EINVAL && (event.events & EPOLLEXCLUSIVE)) /* note 4: an epoll descriptor */
        error = control(q, operation, fd, interest & ~READYQ_EXCLUSIVE);
    return error;
}

/* Note 4: what MOD refuses. */
static int replace(readyq *q, int fd, uint32_t old, uint32_t interest)
{
    int error;

    if (control(q, EPOLL_CTL_DEL, fd, 0) < 0)
        return -EBADF;
    error = control(q, EPOLL_CTL_ADD, fd, interest);
    if (error < 0)
        control(q, EPOLL_CTL_ADD, fd, old);
    return error;
}

static int update(readyq *q, int fd, uint32_t old, uint32_t interest)
{
    int error;

    if (old == 0)
        return control(q, EPOLL_CTL_ADD, fd, interest);
    if (interest == 0) {
        control(q, EPOLL_CTL_DEL, fd, 0); /* note 1: gone already is as good */
        return 0;
    }
    if ((old | interest) & READYQ_EXCLUSIVE)
        return replace(q, fd, old, interest);
    error = control(q, EPOLL_CTL_MOD, fd, interest);
    return error == -ENOENT || error == -EPERM ? -EBADF : error;
}

/* ------------------------------------------------------------------ waiting */

static bool is_exclusive(const readyq *q, int fd)
{
    const readyq_watch *w = q->slots[fd].watch;

    return w != NULL && (w->interest & READYQ_EXCLUSIVE);
}

/* Any but the plain event, which is its own translation. */
static uint32_t from_kernel(const readyq *q, int fd, uint32_t events)
{
    uint32_t bits = readyq__from_poll(fd, events);

    if ((bits & READYQ_READ) && is_exclusive(q, fd)) /* note 4 */
        bits |= readyq__ask_closed(fd, READYQ_READ_CLOSED);
    return bits;
}

/* Note 6. Where epoll_pwait2 is missing: 0 with the time slept, so that the caller looks. */
static int sleep_exactly(int set, struct epoll_event *events, int max, int64_t timeout)
{
    struct { /* the kernel's own, 64 bits wide on every machine */
        int64_t seconds, nanoseconds;
    } time = {timeout / 1000000000, timeout % 1000000000};
    struct timespec libc_time = {(time_t)time.seconds, (long)time.nanoseconds};
    struct pollfd one = {.fd = set, .events = POLLIN};
    int n;

    if (!atomic_load_explicit(&no_pwait2, memory_order_relaxed)) {
        n = (int)syscall(SYS_epoll_pwait2, set, events, max, &time, NULL, (size_t)0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        atomic_store(&no_pwait2, true);
    }
    n = ppoll(&one, 1, &libc_time, NULL);
    return n > 0 ? epoll_wait(set, events, max, 0) : n;
}

static int wait(readyq *q, int max, int64_t timeout)
{
    struct epoll_event events[READYQ__BATCH];
    const int set = q->kernel.fd;
    int n, error;

    readyq__let_go(q);
    if (timeout > 0)
        n = sleep_exactly(set, events, max, timeout);
    else
        n = epoll_wait(set, events, max, timeout < 0 ? -1 : 0);
    error = errno;
    readyq__take_hold(q);
    if (n < 0)
        return -error;
    for (int i = 0; i < n; i++) {
        const uint64_t key = events[i].data.u64;
        uint32_t bits = events[i].events;

        if (q->exclusive || (bits & ~READYQ__DIRECTIONS))
            bits = from_kernel(q, (int)(uint32_t)key, bits);
        readyq__found(q, key, bits);
    }
    return n;
}

const struct readyq__backend readyq__epoll = {"epoll", open_set, close_set,
                                              update,  wait,     readyq__process_watch};

#else
typedef int readyq__no_epoll; /* this platform has none */
#endif
