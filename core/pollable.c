/* SPDX-License-Identifier: MIT
 *
 * The queue inside another event loop: a descriptor that polls readable while a wait would return
 * something. The kernel queue alone is not enough: it knows nothing of timers and of the ready
 * list, and it is replaced when a ghost is removed. So the first readyq_fileno() puts it, with a
 * timer of the kernel for the next deadline, into a set of their own. From then on that counts as
 * a thread that sleeps (readyq__publish_sleepers), so that wakes and signals are written to the
 * wake-up.
 */
#include "internal.h"

#include <fcntl.h>

#if defined(__linux__)

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int put_in(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    return errno == ELOOP ? readyq__refuse_depth() : -errno; /* epoll.c, note 9 */
}

/* `due` on the monotonic clock; READYQ__FOREVER stops it. */
static void set_timer(readyq *q, int64_t due)
{
    struct itimerspec time;

    memset(&time, 0, sizeof time);
    if (due != READYQ__FOREVER) {
        time.it_value.tv_sec = (time_t)(due / 1000000000);
        time.it_value.tv_nsec = due > 0 ? (long)(due % 1000000000) : 1; /* all 0 would stop it */
    }
    timerfd_settime(q->pollable_timer, TFD_TIMER_ABSTIME, &time, NULL);
    q->pollable_due = due;
}

/* Returns the set, or -errno. */
static int open_set(int *timer)
{
    const int set = epoll_create1(EPOLL_CLOEXEC);
    int error;

    if (set < 0)
        return -errno;
    *timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    error = *timer < 0 ? -errno : put_in(set, *timer);
    if (error == 0)
        return set;
    if (*timer >= 0)
        close(*timer);
    close(set);
    return error;
}

void readyq__pollable_leave(readyq *q)
{
    if (q->pollable >= 0)
        epoll_ctl(q->pollable, EPOLL_CTL_DEL, q->kernel, NULL);
}

/* The child's set gets the number of its parent's. */
int readyq__pollable_renew(readyq *q)
{
    int timer, error;
    const int set = open_set(&timer);

    if (set < 0)
        return set;
    do
        error = dup3(set, q->pollable, O_CLOEXEC) < 0 ? -errno : 0;
    while (error == -EINTR || error == -EBUSY);
    close(set);
    close(error < 0 ? timer : q->pollable_timer);
    if (error < 0)
        return error;
    q->pollable_timer = timer;
    q->pollable_forked = false;
    set_timer(q, 0);
    return 0;
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

static int open_set(int *timer)
{
    const int set = kqueue();

    *timer = -1;
    if (set < 0)
        return -errno;
    fcntl(set, F_SETFD, FD_CLOEXEC);
    return set;
}

static void set_timer(readyq *q, int64_t due)
{
    struct kevent change = {.filter = EVFILT_TIMER, .flags = EV_DELETE};
    int64_t left = due - readyq__now(q);

    q->pollable_due = due;
    kevent(q->pollable, &change, 1, NULL, 0, NULL); /* one that has fired stays until then */
    if (due == READYQ__FOREVER)
        return;
    left = left > 0 ? (left + TIMER_UNIT - 1) / TIMER_UNIT : 1;
    change.flags = EV_ADD | EV_ONESHOT;
    change.fflags = TIMER_FLAG;
    change.data = left < INTPTR_MAX ? (intptr_t)left : INTPTR_MAX;
    kevent(q->pollable, &change, 1, NULL, 0, NULL);
}

void readyq__pollable_leave(readyq *q)
{
    (void)q; /* closing the kernel queue takes it out */
}

/* A child has no kernel queue of its parent's, so it gets another number. */
int readyq__pollable_renew(readyq *q)
{
    const int set = open_set(&q->pollable_timer);

    q->pollable = set < 0 ? -1 : set;
    q->pollable_forked = set < 0;
    if (set < 0)
        return set;
    set_timer(q, 0);
    return 0;
}

#endif

void readyq__pollable_close(readyq *q)
{
    if (q->pollable >= 0)
        close(q->pollable);
    if (q->pollable_timer >= 0)
        close(q->pollable_timer);
    q->pollable = q->pollable_timer = -1;
    readyq__publish_sleepers(q);
}

int readyq__pollable_rejoin(readyq *q)
{
    return q->pollable >= 0 ? put_in(q->pollable, q->kernel) : 0;
}

int readyq__pollable_open(readyq *q)
{
    int timer, error;
    const int set = open_set(&timer);

    if (set < 0)
        return set;
    q->pollable = set;
    q->pollable_timer = timer;
    q->pollable_due = READYQ__FOREVER;
    error = readyq__pollable_rejoin(q);
    if (error < 0)
        readyq__pollable_close(q);
    readyq__publish_sleepers(q); /* before update() reads what they publish */
    return error;
}

static bool is_batch_pending(const readyq *q)
{
    for (struct readyq__link *at = q->batches.next; at != &q->batches; at = at->next) {
        const readyq_batch *batch = readyq__batch_at(at);

        if (batch->own.next != &batch->own.held)
            return true;
    }
    return false;
}

/* When a wait would return something that the kernel queue does not show. */
static int64_t ready_at(const readyq *q)
{
    if (!readyq__list_empty(&q->ready) || atomic_load(&q->woken) || atomic_load(&q->signalled) ||
        is_batch_pending(q) || (q->virtual_clock && q->ntimers > 0))
        return 0;
    return readyq__next_due(q);
}

void readyq__pollable_update(readyq *q)
{
    const int64_t due = ready_at(q);

    if (due != q->pollable_due && !readyq__is_forked(q))
        set_timer(q, due);
}
