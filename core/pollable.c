/* SPDX-License-Identifier: MIT
 *
 * The queue inside another event loop: a descriptor that polls readable while a wait would return
 * something. The kernel queue alone is not enough: it knows nothing about timers or the ready list,
 * and it is replaced when a ghost is removed. So the first readyq_fileno() puts it into a set of
 * its own, together with a kernel timer for the next deadline. From then on the set counts as a
 * thread that sleeps (readyq__publish_sleepers), so that wakes and signals are written to the
 * wake-up.
 */
#include "internal.h"

#include <fcntl.h>

#if READYQ__HAS_EPOLL

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

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
    q->stats.changes++;
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
    error = *timer < 0 ? -errno : readyq__put_in(set, *timer);
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

/* The child's set replaces its parent's under the same number. */
int readyq__pollable_renew(readyq *q)
{
    int timer = -1, error;
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

/* Nothing to do: an epoll set polls readable exactly while it has something to report. */
static void refresh(readyq *q)
{
    (void)q;
}

static bool is_open(const readyq *q)
{
    return q->pollable >= 0;
}

#else

#include <sys/event.h>
#include <unistd.h>

#define LONGEST_TIMER (86400 * INT64_C(1000000000))

#if !defined(NOTE_NSECONDS)
#define TIMER_UNIT 1000000 /* milliseconds */
#define TIMER_FLAGS 0
#elif !defined(NOTE_CRITICAL)
#define TIMER_UNIT 1
#define TIMER_FLAGS NOTE_NSECONDS
#else
#define TIMER_UNIT 1
#define TIMER_FLAGS (NOTE_NSECONDS | NOTE_CRITICAL) /* macOS delays others */
#endif

static const struct timespec no_time;

static int open_set(int *timer)
{
    const int set = kqueue();

    *timer = -1;
    if (set < 0)
        return -errno;
    fcntl(set, F_SETFD, FD_CLOEXEC);
    return set;
}

/* If the deadline has passed, the other end of the wake-up is added for WRITE, which makes the set
 * readable: that end always has room, so, unlike a timer, it is ready at once and stays ready. Each
 * change has a receipt of its own, so that one whose knote does not exist fails alone. A timer is
 * deleted first, because DragonFly does not reset an existing one. */
static void set_timer(readyq *q, int64_t due)
{
    const int64_t now = due != READYQ__FOREVER ? readyq__now(q) : 0;
    const int64_t left = due - now < LONGEST_TIMER ? due - now : LONGEST_TIMER;
    struct kevent changes[3] = {
        {.ident = (uintptr_t)q->wakeup_write, .filter = EVFILT_WRITE},
        {.filter = EVFILT_TIMER, .flags = EV_DELETE},
        {.filter = EVFILT_TIMER, .flags = EV_ADD | EV_ONESHOT, .fflags = TIMER_FLAGS},
    };
    const unsigned char n = due != READYQ__FOREVER && left > 0 ? 3 : 2;

    changes[0].flags = due <= now ? EV_ADD : EV_DELETE;
    changes[2].data = left > 0 ? (left + TIMER_UNIT - 1) / TIMER_UNIT : 0;
    for (int i = 0; i < n; i++)
        changes[i].flags |= EV_RECEIPT;
    kevent(q->pollable, changes, n, changes, n, &no_time);
    q->stats.changes++;
    q->pollable_due = due;
}

/* A kqueue polls readable while it has knotes in its list, active or not, and only kevent(2) takes
 * them off (kqueue_poll, filt_kqueue: kq_count). That also removes a timer that has expired, so it
 * is set again. FreeBSD uses another thread, a moment later, to make it known that an inner kqueue
 * is ready (kqueue_schedtask). */
static void refresh(readyq *q)
{
    struct kevent events[3];
    const int n = kevent(q->pollable, NULL, 0, events, 3, &no_time);

    for (int i = 0; i < n; i++)
        if (events[i].filter == EVFILT_TIMER)
            set_timer(q, q->pollable_due);
}

void readyq__pollable_leave(readyq *q)
{
    (void)q; /* closing the kernel queue takes it out */
}

/* A child does not inherit its parent's kqueue. Its own gets the parent's number, unless another
 * file has that number. */
static int take_number(readyq *q, int number)
{
    int copy, error;

    if (q->pollable == number)
        return 0;
    copy = fcntl(q->pollable, F_DUPFD_CLOEXEC, number);
    error = copy >= 0 ? 0 : errno == EINVAL ? -EMFILE : -errno;
    close(copy > number ? copy : q->pollable);
    if (copy <= number)
        q->pollable = number;
    return error;
}

int readyq__pollable_renew(readyq *q)
{
    const int number = q->pollable, set = open_set(&q->pollable_timer);
    int error = set < 0 ? set : 0;

    if (error == 0) {
        q->pollable = set;
        error = take_number(q, number);
    }
    q->pollable_forked = error < 0;
    if (error < 0)
        q->pollable = number;
    else
        set_timer(q, 0);
    return error;
}

static bool is_open(const readyq *q)
{
    return q->pollable >= 0 && !q->pollable_forked;
}

#endif

void readyq__pollable_close(readyq *q)
{
    if (is_open(q))
        close(q->pollable);
    if (q->pollable_timer >= 0)
        close(q->pollable_timer);
    q->pollable = q->pollable_timer = -1;
    readyq__publish_sleepers(q);
}

/* The timer is set again: in a child the wake-up is a different one. */
int readyq__pollable_rejoin(readyq *q)
{
    if (q->pollable < 0)
        return 0;
    q->pollable_due = -1;
    return readyq__put_in(q->pollable, q->kernel);
}

int readyq__pollable_open(readyq *q)
{
    int timer = -1, error;
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

/* Notes whether the batch holds watches that would not make the set readable. Level-triggered ones
 * would, through the kernel queue, as long as they are ready, and so would timers, through
 * pollable_timer, which stays set. */
void readyq__pollable_fill(const readyq *q, readyq_batch *batch)
{
    batch->own.hides = false;
    if (q->pollable < 0)
        return;
    for (struct readyq__link *at = batch->own.next; at != &batch->own.held; at = at->next) {
        const readyq_watch *w = readyq__owner(at, link);

        batch->own.hides |= !readyq__is_level(w) && w->kind != READYQ_KIND_TIMER;
    }
}

/* The time at which a wait of this thread would return something that the kernel queue does not
 * show: also what its own batches hold, but not those of other threads. While it has not taken all
 * of a batch, the timer is not changed: the end of the batch sets the next deadline, so that a
 * batch changes the timer at most once. */
static int64_t ready_at(readyq *q)
{
    int64_t due = readyq__next_due(q);

    if (!readyq__list_empty(&q->ready) || atomic_load(&q->woken) || atomic_load(&q->signalled) ||
        (q->virtual_clock && q->ntimers > 0))
        return 0;
    for (struct readyq__link *at = q->batches.next; at != &q->batches; at = at->next) {
        const readyq_batch *batch = readyq__batch_at(at);

        if (batch->own.next == &batch->own.held || batch->own.thread != (uintptr_t)pthread_self())
            continue;
        if (batch->own.hides || q->pollable_due < 0) /* it was not set yet */
            return 0;
        due = q->pollable_due < due ? q->pollable_due : due;
    }
    return due;
}

void readyq__pollable_update(readyq *q)
{
    const int64_t due = ready_at(q);

    if (readyq__is_forked(q))
        return;
    if (due != q->pollable_due)
        set_timer(q, due);
    refresh(q);
}
