/* SPDX-License-Identifier: MIT
 *
 * A kqueue for tests: Linux plays FreeBSD, NetBSD, OpenBSD, macOS or DragonFly, as $KQUEUE_AS says,
 * so that core/kernels/kqueue.c runs here. It is linked into a program, or loaded with LD_PRELOAD.
 * The state and the steps have the kernels' names, so that their sources can be laid beside it;
 * kernels.h lists their differences, each with its source.
 *
 * The number that kqueue() returns is an epoll set. It contains, edge-triggered, what each enabled
 * knote watches, and the bell, an eventfd that is readable while a knote is queued. So poll, epoll
 * and another kqueue can watch it. epoll has one registration for a number and file: WRITE and
 * EXCEPT are in sets of their own, which the first set contains. pump() takes what epoll has, and
 * is to a knote what KNOTE() is in a kernel: the filter is asked, and the knote activated. kevent()
 * makes its changes, pumps, scans, and sleeps in select(2) on the first set if nothing was found.
 *
 * wrappers.c ends registrations: close() and its like, and fork.
 *
 * Known to differ from all kernels:
 *  - An edge that no call has pumped leaves no queued knote if its data is read before. So the
 *    kqueue does not poll readable for it, and EV_ONESHOT is not reported for it.
 *  - EV_CLEAR: a pipe fires again only for new data or room. The kernels' pipes tell all knotes of
 *    both ends about each read and write (pipeselwakeup). The shutdown of one direction of a socket
 *    fires the filter of the other one again, if it is ready.
 *  - EV_ENABLE asks the filter. NetBSD 7.99 reports only what came while the knote was disabled, or
 *    was not taken before; all others ask, too.
 *  - Out-of-band data: the mark ends when the byte is read. The kernels' mark stays until data behind
 *    it is read, and EVFILT_EXCEPT is ready until then.
 *  - A pipe carries data in one direction, although F_GETFL says O_RDWR where a kernel's has two.
 *  - read() of an AF_UNIX socket that was closed with data in it fails, as it does on Linux alone.
 *  - A chain of more than five kqueues is longer than epoll allows: those below wake the ones above
 *    only by calls, not by their descriptors.
 *  - EVFILT_SIGNAL, VNODE and AIO are missing; NOTE_LOWAT has no effect; so_error is guessed.
 */
#include "knotes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

struct kqueues kqueues = LIST_HEAD_INITIALIZER(kqueues);

#define BELL UINT64_MAX        /* epoll's data of what is no knote */
#define HIGH 1100              /* descriptors of our own are out of the program's way */
#define FOREVER (1000000000LL) /* seconds */

static const uint32_t wanted[SETS] = {EPOLLIN | EPOLLRDHUP, EPOLLOUT, EPOLLPRI};

_Noreturn void panic(const char *why)
{
    fprintf(stderr, "kqueue: %s would panic: %s\n", kqueue_kernel()->name, why);
    abort();
}

/* ------------------------------------------------------------------ the lock */

/* Signal handlers may close descriptors, and a cancelled thread must not keep the lock. It could,
 * although it has cancellation disabled, where it is cancelled asynchronously, and in the C
 * library's read, write, poll and their like (glibc before 2.41): with the lock held these are
 * called by syscall(). */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sigset_t mask;
static int cancel_state, cancel_type;

void lock(void)
{
    sigset_t all, before;
    int state, type;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&mutex);
    mask = before;
    cancel_state = state;
    cancel_type = type;
}

void unlock(void)
{
    const sigset_t before = mask;
    const int state = cancel_state, type = cancel_type;

    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcanceltype(type, NULL);
    pthread_setcancelstate(state, NULL);
}

/* ------------------------------------------------------------------ descriptors of our own */

static struct rlimit limit;

void raise_limit(void)
{
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * HIGH)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit.rlim_max, limit.rlim_max});
}

void restore_limit(void)
{
    if (limit.rlim_cur < 2 * HIGH)
        setrlimit(RLIMIT_NOFILE, &limit);
}

static int duplicate_high(int fd)
{
    return (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH);
}

int raise_number(int fd)
{
    const int high = fd >= 0 ? duplicate_high(fd) : -1;

    if (high < 0)
        return fd;
    syscall(SYS_close, fd);
    return high;
}

/* ------------------------------------------------------------------ the queue of knotes */

static void notify_watchers(struct kqueue *inner)
{
    struct kqueue *outer;
    struct knote *kn;

    if (inner->watchers == 0 || inner->notifying)
        return;
    inner->notifying = true;
    LIST_FOREACH(outer, &kqueues, link)
    {
        for (int i = 0; i < NUMBERS; i++) {
            kn = find_knote(outer, (uintptr_t)inner->numbers[i], EVFILT_READ);
            if (kn == NULL || kn->inner != inner)
                continue;
            if (outer->notifying && kqueue_kernel()->circle_panics)
                panic("kqueues watch each other in a circle");
            pump(outer); /* what came before is queued before */
            activate(kn);
        }
    }
    inner->notifying = false;
}

static void enqueue(struct knote *kn)
{
    const uint64_t one = 1;
    struct kqueue *kq = kn->kq;
    long written = 0;

    TAILQ_INSERT_TAIL(&kq->queue, kn, queue);
    kn->status |= QUEUED;
    if (kq->count++ == 0)
        written = syscall(SYS_write, kq->bell, &one, sizeof one);
    (void)written;
    notify_watchers(kq);
}

static void dequeue(struct knote *kn)
{
    struct kqueue *kq = kn->kq;
    uint64_t rung;
    long size = 0;

    TAILQ_REMOVE(&kq->queue, kn, queue);
    kn->status &= ~QUEUED;
    if (--kq->count == 0)
        size = syscall(SYS_read, kq->bell, &rung, sizeof rung);
    (void)size;
}

void activate(struct knote *kn)
{
    kn->status |= ACTIVE;
    if (!(kn->status & (QUEUED | DISABLED)))
        enqueue(kn);
}

/* ------------------------------------------------------------------ what epoll knows */

static int set_of(const struct knote *kn)
{
    return kn->event.filter == EVFILT_WRITE    ? WRITES
           : kn->event.filter == EVFILT_EXCEPT ? EXCEPTS
                                               : READS;
}

static int open_set(struct kqueue *kq, int set)
{
    struct epoll_event level = {.events = EPOLLIN, .data.u64 = BELL};

    if (kq->sets[set] >= 0)
        return 0;
    raise_limit();
    kq->sets[set] = raise_number(epoll_create1(EPOLL_CLOEXEC));
    restore_limit();
    if (kq->sets[set] < 0)
        return ENOMEM;
    epoll_ctl(kq->sets[READS], EPOLL_CTL_ADD, kq->sets[set], &level);
    return 0;
}

/* The reader of a pipe is gone. False: the kernel does not notify the knote. */
static bool is_end_seen(struct knote *kn)
{
    if (kn->kind != PIPE || kn->event.filter != EVFILT_WRITE || !(kn->event.flags & EV_EOF))
        return true;
    if (kqueue_kernel()->reader_goes == ONCE)
        kn->event.flags |= EV_ONESHOT;
    return kqueue_kernel()->reader_goes != UNSEEN;
}

/* A kernel's KNOTE(). A kqueue activates those that watch it itself: notify_watchers(). */
static void notice(struct knote *kn)
{
    if (kn->kind == KQUEUE && is_open(kn->inner))
        pump(kn->inner);
    else if (kn->kind != KQUEUE && is_ready(kn) && is_end_seen(kn))
        activate(kn);
}

/* An edge. The knote may be another one by now, or none. */
static void handle(struct kqueue *kq, int set, uint64_t key)
{
    static const int filters[SETS] = {EVFILT_READ, EVFILT_WRITE, EVFILT_EXCEPT};
    struct knote *kn;

    LIST_FOREACH(kn, &kq->buckets[key % BUCKETS], link)
    if ((uint32_t)kn->event.ident == (uint32_t)key && kn->generation == key >> 32 &&
        (set != READS ? kn->event.filter == filters[set] : kn->watched))
        notice(kn);
}

void pump(struct kqueue *kq)
{
    enum { ROOM = 64 };
    struct epoll_event events[ROOM];
    int n;

    for (int set = SETS - 1; set >= 0; set--) {
        if (kq->sets[set] < 0)
            continue;
        do {
            n = (int)syscall(SYS_epoll_pwait, kq->sets[set], events, ROOM, 0, NULL, 8);
            for (int i = 0; i < n; i++)
                if (events[i].data.u64 != BELL)
                    handle(kq, set, events[i].data.u64);
        } while (n == ROOM);
    }
}

static uint64_t key_of(const struct knote *kn)
{
    return (uint64_t)kn->generation << 32 | (uint32_t)kn->event.ident;
}

/* 0, or an errno. What epoll refuses because it never blocks is asked only by calls; so is a kqueue
 * too deep below others. */
static int watch(struct knote *kn)
{
    static uint32_t generation;
    const int set = set_of(kn);
    struct epoll_event edge = {.events = wanted[set] | EPOLLET};
    int error;

    if (kn->fd < 0)
        return 0;
    if (kn->event.filter == EVFILT_EXCEPT && kqueue_kernel()->except == LIKE_READ)
        edge.events |= EPOLLIN | EPOLLRDHUP;
    kn->generation = ++generation & 0x7fffffff;
    edge.data.u64 = key_of(kn);
    error = open_set(kn->kq, set);
    if (error != 0)
        return error;
    if (epoll_ctl(kn->kq->sets[set], EPOLL_CTL_ADD, kn->fd, &edge) < 0 &&
        (errno != EEXIST || epoll_ctl(kn->kq->sets[set], EPOLL_CTL_MOD, kn->fd, &edge) < 0)) {
        if (errno == EPERM)
            kn->kind = NEVER_BLOCKS;
        return errno == EPERM || errno == ELOOP || errno == EINVAL ? 0 : errno;
    }
    kn->watched = true;
    return 0;
}

static void unwatch(struct knote *kn)
{
    if (kn->watched)
        epoll_ctl(kn->kq->sets[set_of(kn)], EPOLL_CTL_DEL, kn->fd, NULL);
    kn->watched = false;
}

/* ------------------------------------------------------------------ knotes */

struct knote *find_knote(struct kqueue *kq, uintptr_t ident, int filter)
{
    struct knote *kn;

    LIST_FOREACH(kn, &kq->buckets[ident % BUCKETS], link)
    if (kn->event.ident == ident && kn->event.filter == filter)
        return kn;
    return NULL;
}

static void drop(struct knote *kn)
{
    unwatch(kn);
    detach(kn);
    if (kn->status & QUEUED)
        dequeue(kn);
    LIST_REMOVE(kn, link);
    free(kn);
}

static bool is_of_file(int filter)
{
    return filter == EVFILT_READ || filter == EVFILT_WRITE || filter == EVFILT_EXCEPT;
}

static void disable(struct knote *kn)
{
    kn->status |= DISABLED;
    unwatch(kn);
    if (kqueue_kernel()->disable_dequeues && (kn->status & QUEUED))
        dequeue(kn);
}

static int add(struct kqueue *kq, const struct kevent *change)
{
    const struct kernel *kernel = kqueue_kernel();
    struct knote *kn = calloc(1, sizeof *kn);
    int error;

    if (kn == NULL)
        return ENOMEM;
    kn->kq = kq;
    kn->fd = -1;
    kn->event = *change;
    kn->fflags = change->fflags;
    kn->data = change->data;
    kn->event.fflags = 0;
    kn->event.data = 0;
    if ((change->flags & EV_DISABLE) && kernel->disabled_first)
        kn->status |= DISABLED;
    LIST_INSERT_HEAD(&kq->buckets[change->ident % BUCKETS], kn, link);
    error = attach(kn);
    if (error == 0 && !(kn->status & DISABLED))
        error = watch(kn);
    if (error != 0) {
        drop(kn);
        return error;
    }
    if (!(kn->status & DISABLED) && is_ready(kn))
        activate(kn);
    if (change->flags & EV_DISABLE)
        disable(kn);
    return 0;
}

static void enable(struct knote *kn)
{
    kn->status &= ~DISABLED;
    watch(kn);
    if (is_ready(kn))
        activate(kn);
    if ((kn->status & (ACTIVE | QUEUED)) == ACTIVE)
        enqueue(kn);
}

static void touch_user(struct knote *kn, const struct kevent *change)
{
    const unsigned given = change->fflags & NOTE_FFLAGSMASK;

    switch (change->fflags & NOTE_FFCTRLMASK) {
    case NOTE_FFAND: kn->fflags &= given; break;
    case NOTE_FFOR: kn->fflags |= given; break;
    case NOTE_FFCOPY: kn->fflags = given; break;
    default: break;
    }
    if (change->fflags & NOTE_TRIGGER)
        kn->triggered = true;
    if (change->flags & EV_CLEAR)
        kn->triggered = false;
    kn->data = change->data;
}

/* Of what exists, with EV_ADD or as if. */
static void touch(struct knote *kn, const struct kevent *change)
{
    kn->event.udata = change->udata;
    if (change->filter == EVFILT_USER) {
        touch_user(kn, change);
    } else {
        kn->fflags = change->fflags;
        kn->data = change->data;
    }
    if (!(kqueue_kernel()->disabled_first && (kn->status & DISABLED)) && is_ready(kn))
        activate(kn);
}

/* kqueue_register(). 0, or an errno. */
static int change(struct kqueue *kq, const struct kevent *change)
{
    const struct kernel *kernel = kqueue_kernel();
    const bool closed = is_of_file(change->filter) && fcntl((int)change->ident, F_GETFD) < 0;
    struct knote *kn = find_knote(kq, change->ident, change->filter);

    if (kn != NULL && is_of_file(change->filter) && file_of((int)change->ident) != kn->file) {
        drop(kn); /* its close was not seen */
        kn = NULL;
    }
    if (closed && !(kernel->knote_before_file && !(change->flags & EV_ADD)))
        return EBADF;
    if (kn == NULL)
        return change->flags & EV_ADD && !(change->flags & EV_DELETE) ? add(kq, change) : ENOENT;
    if (change->flags & EV_DELETE) {
        drop(kn);
        return 0;
    }
    if (kernel->disabled_first && (change->flags & EV_DISABLE))
        disable(kn);
    if (kernel->disabled_first && (change->flags & EV_ENABLE) && (kn->status & DISABLED))
        enable(kn);
    if ((change->flags & EV_ADD) || kernel->change_is_add || change->filter == EVFILT_USER)
        touch(kn, change);
    if ((change->flags & EV_DISABLE) && !(kn->status & DISABLED))
        disable(kn);
    if ((change->flags & EV_ENABLE) && (kn->status & DISABLED))
        enable(kn);
    return 0;
}

/* ------------------------------------------------------------------ kqueues */

struct kqueue *kqueue_of(int number)
{
    struct kqueue *kq;

    LIST_FOREACH(kq, &kqueues, link)
    for (int i = 0; i < NUMBERS && number >= 0; i++)
        if (kq->numbers[i] == number)
            return kq;
    return NULL;
}

bool is_open(const struct kqueue *kq)
{
    for (int i = 0; i < NUMBERS; i++)
        if (kq->numbers[i] >= 0)
            return true;
    return false;
}

void add_number(struct kqueue *kq, int number)
{
    for (int i = 0; i < NUMBERS; i++)
        if (kq->numbers[i] < 0) {
            kq->numbers[i] = number;
            return;
        }
    panic("no kernel; but the kqueue for tests has too many duplicates of one");
}

static void close_sets(struct kqueue *kq)
{
    for (int set = 0; set < SETS; set++)
        if (kq->sets[set] >= 0)
            syscall(SYS_close, kq->sets[set]);
    if (kq->bell >= 0)
        syscall(SYS_close, kq->bell);
}

static void release(struct kqueue *kq)
{
    struct knote *kn;

    if (is_open(kq) || kq->sleepers > 0)
        return;
    for (int i = 0; i < BUCKETS; i++)
        while ((kn = LIST_FIRST(&kq->buckets[i])) != NULL)
            drop(kn);
    close_sets(kq);
    LIST_REMOVE(kq, link);
    free(kq);
}

static void close_number(struct kqueue *kq, int i)
{
    const uint64_t one = 1;
    long written = 0;

    kq->numbers[i] = -1;
    if (is_open(kq))
        return;
    if (kqueue_kernel()->close_wakes)
        written = syscall(SYS_write, kq->bell, &one, sizeof one);
    (void)written;
    release(kq);
}

void drop_numbers(unsigned first, unsigned last)
{
    const unsigned buckets = last - first < BUCKETS ? last - first + 1 : BUCKETS;
    struct kqueue *kq, *next_kq;
    struct knote *kn, *next;

    LIST_FOREACH(kq, &kqueues, link)
    {
        for (unsigned i = 0; i < buckets; i++) {
            for (kn = LIST_FIRST(&kq->buckets[(first + i) % BUCKETS]); kn != NULL; kn = next) {
                next = LIST_NEXT(kn, link);
                if (is_of_file(kn->event.filter) && kn->event.ident >= first &&
                    kn->event.ident <= last)
                    drop(kn);
            }
        }
    }
    for (kq = LIST_FIRST(&kqueues); kq != NULL; kq = next_kq) {
        int found = -1;

        next_kq = LIST_NEXT(kq, link);
        for (int i = 0; i < NUMBERS; i++)
            if (kq->numbers[i] >= 0 && (unsigned)kq->numbers[i] >= first &&
                (unsigned)kq->numbers[i] <= last) {
                if (found >= 0)
                    kq->numbers[found] = -1;
                found = i;
            }
        if (found >= 0)
            close_number(kq, found);
    }
}

/* A child of clone() comes here late: its number may be another file's by now. */
static void close_if_ours(const struct kqueue *kq, int number)
{
    const pid_t self = getpid();

    if (number >= 0 &&
        syscall(SYS_kcmp, self, self, 0 /* KCMP_FILE */, number, kq->sets[READS]) == 0)
        syscall(SYS_close, number);
}

void forget_all(void)
{
    struct kqueue *kq;
    struct knote *kn;

    while ((kq = LIST_FIRST(&kqueues)) != NULL) {
        for (int i = 0; i < BUCKETS; i++)
            while ((kn = LIST_FIRST(&kq->buckets[i])) != NULL) {
                kn->inner = NULL;
                detach(kn);
                LIST_REMOVE(kn, link);
                free(kn);
            }
        for (int i = 0; i < NUMBERS; i++)
            close_if_ours(kq, kq->numbers[i]);
        close_sets(kq);
        LIST_REMOVE(kq, link);
        free(kq);
    }
}

static struct kqueue *open_kqueue(void)
{
    struct epoll_event level = {.events = EPOLLIN, .data.u64 = BELL};
    struct kqueue *kq = calloc(1, sizeof *kq);
    int number;

    if (kq == NULL)
        return NULL;
    TAILQ_INIT(&kq->queue);
    for (int set = 0; set < SETS; set++)
        kq->sets[set] = -1;
    kq->bell = -1;
    for (int i = 0; i < NUMBERS; i++)
        kq->numbers[i] = -1;
    number = epoll_create1(0);
    if (number >= 0) {
        raise_limit();
        kq->sets[READS] = duplicate_high(number);
        if (kq->sets[READS] < 0)
            kq->sets[READS] = (int)syscall(SYS_fcntl, number, F_DUPFD_CLOEXEC, 0);
        kq->bell = raise_number(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        restore_limit();
    }
    if (number < 0 || kq->sets[READS] < 0 || kq->bell < 0) {
        const int error = errno;

        close_sets(kq);
        if (number >= 0)
            syscall(SYS_close, number);
        free(kq);
        errno = error;
        return NULL;
    }
    epoll_ctl(kq->sets[READS], EPOLL_CTL_ADD, kq->bell, &level);
    kq->numbers[0] = number;
    LIST_INSERT_HEAD(&kqueues, kq, link);
    return kq;
}

int kqueue1(int flags)
{
    struct kqueue *kq;
    int number = -1;

    if (is_child())
        forget_all();
    lock();
    kq = open_kqueue();
    if (kq != NULL)
        number = kq->numbers[0];
    if (number >= 0 && (flags & O_CLOEXEC))
        fcntl(number, F_SETFD, FD_CLOEXEC);
    unlock();
    return number;
}

int kqueue(void)
{
    return kqueue1(0);
}

/* ------------------------------------------------------------------ kevent */

/* The knote is reported; what happens to it then. */
static void report(struct knote *kn, struct kevent *event)
{
    const bool clear = kn->event.flags & EV_CLEAR;
    const bool dispatch =
        (kn->event.flags & EV_DISPATCH) && !(clear && kqueue_kernel()->clear_hides_dispatch);

    *event = kn->event;
    if (kn->event.filter == EVFILT_USER) {
        event->fflags = kn->fflags & NOTE_FFLAGSMASK;
        event->data = kn->data;
    }
    if (kn->event.flags & EV_ONESHOT) {
        drop(kn);
        return;
    }
    if (clear) {
        kn->event.data = 0;
        kn->event.fflags = 0;
        kn->triggered = false;
    }
    if (clear || dispatch) {
        dequeue(kn);
        kn->status &= ~ACTIVE;
        if (dispatch)
            disable(kn);
        return;
    }
    TAILQ_REMOVE(&kn->kq->queue, kn, queue);
    TAILQ_INSERT_TAIL(&kn->kq->queue, kn, queue);
}

/* kqueue_scan(): those that are queued now. The number of events. */
static int scan(struct kqueue *kq, struct kevent *events, int room)
{
    int n = 0;

    for (int left = kq->count; left > 0 && n < room; left--) {
        struct knote *kn = TAILQ_FIRST(&kq->queue);
        const bool unasked = (kn->event.flags & EV_ONESHOT) && kqueue_kernel()->oneshot_unasked;

        if (kn->status & DISABLED) {
            dequeue(kn);
        } else if (!unasked && !is_ready(kn)) {
            dequeue(kn);
            kn->status &= ~ACTIVE;
        } else {
            report(kn, &events[n++]);
        }
    }
    return n;
}

/* Makes the changes. The number of receipts; or -1 with errno; *stop: without room for one. */
static int make_changes(struct kqueue *kq, const struct kevent *changes, int nchanges,
                        struct kevent *events, int room)
{
    int receipts = 0;

    for (int i = 0; i < nchanges; i++) {
        struct kevent one = changes[i];
        const bool wants_receipt = one.flags & EV_RECEIPT;
        int error;

        one.flags &= (unsigned short)~EV_SYSFLAGS;
        error = change(kq, &one);
        if (error == 0 && !wants_receipt)
            continue;
        if (receipts < room) {
            events[receipts] = changes[i];
            events[receipts].flags = EV_ERROR;
            events[receipts].data = error;
            receipts++;
        } else if (error != 0) {
            errno = error;
            return -1;
        } else if (kqueue_kernel()->receipt_needs_room) {
            return receipts;
        }
    }
    return receipts;
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* 0 or an errno; *deadline on the monotonic clock, -1 for none. */
static int find_deadline(const struct timespec *timeout, int64_t *deadline)
{
    *deadline = -1;
    if (timeout == NULL)
        return 0;
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000 ||
        (kqueue_kernel()->longest > 0 && timeout->tv_sec > kqueue_kernel()->longest))
        return EINVAL;
    if (timeout->tv_sec < FOREVER)
        *deadline = now() + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
    return 0;
}

/* Without the lock. 1: something may be there; 0: it is time; -1: errno. select and not poll, which
 * is refused where RLIMIT_NOFILE is 0. */
static int sleep_until(int set, int64_t deadline)
{
    enum { BITS = 8 * sizeof(long) };
    unsigned long numbers[65536 / BITS] = {0};
    struct timespec left = {0, 0};
    const int64_t rest = deadline < 0 ? 0 : deadline - now();

    if (rest > 0) {
        left.tv_sec = (time_t)(rest / 1000000000);
        left.tv_nsec = (long)(rest % 1000000000);
    }
    numbers[set / BITS] = 1UL << set % BITS;
    return pselect(set + 1, (fd_set *)(void *)numbers, NULL, NULL, deadline < 0 ? NULL : &left,
                   NULL);
}

/* A thread was cancelled in its sleep. */
static void leave(void *argument)
{
    struct kqueue *kq = argument;

    lock();
    kq->sleepers--;
    release(kq);
    unlock();
}

static int wait_for_events(struct kqueue *kq, struct kevent *events, int room, int64_t deadline)
{
    int n, error;

    for (;;) {
        pump(kq);
        n = scan(kq, events, room);
        if (n > 0 || (deadline >= 0 && now() >= deadline))
            return n;
        kq->sleepers++;
        pthread_cleanup_push(leave, kq);
        unlock();
        n = sleep_until(kq->sets[READS], deadline);
        error = errno;
        lock();
        pthread_cleanup_pop(0);
        kq->sleepers--;
        if (!is_open(kq) && kqueue_kernel()->close_wakes) {
            n = -1;
            error = EBADF;
        }
        if (n < 0 || !is_open(kq)) {
            if (n >= 0) { /* alive as long as threads are in it */
                pump(kq);
                n = scan(kq, events, room);
            }
            release(kq);
            errno = error;
            return n;
        }
    }
}

int kevent(int number, const struct kevent *changes, kqueue_count nchanges, struct kevent *events,
           kqueue_count nevents, const struct timespec *timeout)
{
    struct kqueue *kq;
    int64_t deadline = -1;
    int n, error = 0;

    if (is_child())
        forget_all();
    lock();
    kq = kqueue_of(number);
    if (kq == NULL)
        error = EBADF;
    else
        error = find_deadline(timeout, &deadline);
    if (error == 0) {
        n = make_changes(kq, changes, (int)nchanges, events, (int)nevents);
        error = n < 0 ? errno : 0;
        if (n == 0 && nevents > 0)
            n = wait_for_events(kq, events, (int)nevents, deadline);
        else if (n >= 0)
            pump(kq);
        if (n < 0)
            error = errno;
    }
    unlock();
    if (error != 0) {
        errno = error;
        return -1;
    }
    return n;
}
