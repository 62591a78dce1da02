/* SPDX-License-Identifier: MIT
 *
 * The queue inside another event loop: a descriptor that polls readable when a wait would return
 * something. The kernel queue alone would not do: it knows nothing of timers and of what was
 * found and not yet taken, and it is replaced when a ghost is lost. So the first
 * readyq_fileno() puts it, with a timer of the kernel's for the next deadline, into a set of
 * their own; until then none of this exists.
 */
#include "internal.h"

#include <fcntl.h>

#if defined(__linux__)

#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int put_in(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void readyq__nest_leave(readyq *q)
{
    if (q->nest >= 0)
        epoll_ctl(q->nest, EPOLL_CTL_DEL, q->kernel.fd, NULL);
}

static int open_nest(readyq *q)
{
    int error = 0;

    q->nest = epoll_create1(EPOLL_CLOEXEC);
    if (q->nest < 0)
        return -errno;
    q->nest_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (q->nest_timer < 0)
        error = -errno;
    if (error == 0)
        error = put_in(q->nest, q->kernel.fd);
    if (error == 0)
        error = put_in(q->nest, q->nest_timer);
    q->nest_due = READYQ__FOREVER;
    if (error < 0)
        readyq__nest_close(q);
    return error;
}

void readyq__nest_close(readyq *q)
{
    if (q->nest >= 0)
        close(q->nest);
    if (q->nest_timer >= 0)
        close(q->nest_timer);
    q->nest = q->nest_timer = -1;
}

static void set_timer(readyq *q, int64_t due)
{
    struct itimerspec time;

    memset(&time, 0, sizeof time);
    if (due != READYQ__FOREVER) {
        time.it_value.tv_sec = (time_t)(due / 1000000000);
        time.it_value.tv_nsec = due > 0 ? (long)(due % 1000000000) : 1; /* all 0 would disarm it */
    }
    timerfd_settime(q->nest_timer, TFD_TIMER_ABSTIME, &time, NULL);
}

/* A child's own set gets the number of its parent's, which stays what it is where that fails. */
static int open_as(readyq *q, int as, int timer)
{
    int error = open_nest(q);

    if (error == 0) {
        do
            error = dup3(q->nest, as, O_CLOEXEC) < 0 ? -errno : 0;
        while (error == -EINTR || error == -EBUSY);
        if (error < 0)
            close(q->nest_timer);
        close(q->nest);
    }
    q->nest = as;
    if (error < 0)
        q->nest_timer = timer;
    else
        close(timer);
    return error;
}

int readyq__nest_rebuild(readyq *q, bool forked)
{
    if (q->nest < 0)
        return 0;
    if (!forked)
        return put_in(q->nest, q->kernel.fd);
    return open_as(q, q->nest, q->nest_timer);
}

#else

#include <sys/event.h>
#include <unistd.h>

#if defined(NOTE_NSECONDS)
#define TIMER_UNIT 1
#define TIMER_FLAG NOTE_NSECONDS
#else
#define TIMER_UNIT 1000000 /* milliseconds */
#define TIMER_FLAG 0
#endif

static int put_in(int set, int fd)
{
    struct kevent change = {.ident = (uintptr_t)fd, .filter = EVFILT_READ, .flags = EV_ADD};

    return kevent(set, &change, 1, NULL, 0, NULL) < 0 ? -errno : 0;
}

void readyq__nest_leave(readyq *q)
{
    (void)q; /* closing it takes it out */
}

/* A child has no kernel queue of its parent's, so it gets another number. */
static int open_nest(readyq *q)
{
    int error;

    q->nest = kqueue();
    if (q->nest < 0)
        return -errno;
    fcntl(q->nest, F_SETFD, FD_CLOEXEC);
    q->nest_due = READYQ__FOREVER;
    error = put_in(q->nest, q->kernel.fd);
    if (error < 0)
        readyq__nest_close(q);
    return error;
}

void readyq__nest_close(readyq *q)
{
    if (q->nest >= 0)
        close(q->nest);
    q->nest = -1;
}

static void set_timer(readyq *q, int64_t due)
{
    struct kevent change = {.filter = EVFILT_TIMER, .flags = EV_DELETE};
    int64_t left = due - readyq__now(q);

    kevent(q->nest, &change, 1, NULL, 0, NULL); /* one that has gone off stays until then */
    if (due == READYQ__FOREVER)
        return;
    left = left > 0 ? (left + TIMER_UNIT - 1) / TIMER_UNIT : 1;
    change.flags = EV_ADD | EV_ONESHOT;
    change.fflags = TIMER_FLAG;
    change.data = left < INTPTR_MAX ? (intptr_t)left : INTPTR_MAX;
    kevent(q->nest, &change, 1, NULL, 0, NULL);
}

int readyq__nest_rebuild(readyq *q, bool forked)
{
    if (q->nest < 0)
        return 0;
    if (!forked)
        return put_in(q->nest, q->kernel.fd);
    return open_nest(q);
}

#endif

/* When a wait would return something without the kernel queue having told. */
static int64_t ready_at(const readyq *q)
{
    if (readyq__listed(q) > 0 || q->woken || q->kicked || (q->virtual_clock && q->ntimers > 0))
        return 0;
    for (struct readyq__link *link = q->always.next; link != &q->always; link = link->next) {
        const readyq_watch *w = readyq__owner(link, group);

        if (w->armed && !(w->own.flags & READYQ__SAID))
            return 0;
    }
    return readyq__next_due(q);
}

void readyq__nest_update(readyq *q)
{
    const int64_t due = ready_at(q);

    if (due == q->nest_due)
        return;
    set_timer(q, due);
    q->nest_due = due;
}

int readyq_fileno(readyq *q)
{
    int fd = readyq__enter(q);

    if (fd < 0)
        return fd;
    if (q->nest < 0)
        fd = open_nest(q);
    if (fd == 0)
        fd = q->nest;
    readyq__leave(q);
    return fd;
}
