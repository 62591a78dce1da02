/* SPDX-License-Identifier: MIT
 *
 * macOS and the BSDs: kqueue. Translation only.
 *
 * Notes on these kernels, referred to below:
 *  1. A registration is keyed by (number, filter) and is removed when the number is closed, even if
 *     a duplicate exists: there are no ghosts. EV_ADD does not report that a filter exists already,
 *     so a change without EV_ADD checks whether an earlier watch of the number still exists.
 *  2. Adding again does not change EV_CLEAR and, on some systems, other flags: old filters are
 *     deleted and new ones added. The kernel then checks again what is ready, as modify promises.
 *  3. Errors of changes are returned as receipts in a list with room for exactly one each, with a
 *     timeout of 0: with more room some kernels lose them, or sleep.
 *  4. EV_DISPATCH disables one filter; the other filter of a ONESHOT watch is disabled here.
 *  5. READ and WRITE come as two events, which the core merges. If the list was full, the other one
 *     may not have fitted: poll(2) is asked for it.
 *  6. EV_EOF with fflags is a pending error, of both directions; without, an end.
 *  7. Some kernels refuse a WRITE filter on a pipe whose reader is gone with EPIPE: the end is
 *     reported at once.
 *  8. Regular files end a READ filter at their end, and directories and some devices are refused;
 *     epoll refuses them all. The core reports them as always ready.
 *  9. EVFILT_EXCEPT, for out-of-band data, exists only on macOS, OpenBSD and DragonFly.
 * 10. The queue is not inherited by fork: in a child its number may be another file's.
 * 11. A timeout of more than some days is EINVAL on Darwin.
 * 12. EVFILT_PROC of a process that has ended already is ESRCH on some kernels; the core checks it.
 * 13. kqueue1 opens close-on-exec. It is used on NetBSD and OpenBSD; FreeBSD has it only since 14.
 *     Elsewhere fcntl follows, and a fork and exec in between, by another thread, inherits the
 *     number.
 */
#include "internal.h"

#if !READYQ__HAS_EPOLL

#include <fcntl.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define LONGEST_SLEEP 86400 /* seconds, note 11 */

#if defined(__NetBSD__)
typedef size_t count; /* of a list of events */
#else
typedef int count;
#endif

static const struct {
    uint32_t direction;
    struct kevent filter;
} filters[] = {
    {READYQ_READ, {.filter = EVFILT_READ}},
    {READYQ_WRITE, {.filter = EVFILT_WRITE}},
#if defined(EVFILT_EXCEPT) && defined(NOTE_OOB)
    {READYQ_PRIORITY, {.filter = EVFILT_EXCEPT, .fflags = NOTE_OOB}},
#endif
};
enum { FILTERS = sizeof filters / sizeof *filters };

#if defined(__NetBSD__) || defined(__OpenBSD__)
static int create(void) /* note 13 */
{
    return kqueue1(O_CLOEXEC);
}
#else
static int create(void)
{
    const int fd = kqueue();

    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}
#endif

static int open_set(readyq *q)
{
    q->kernel = create();
    return q->kernel < 0 ? -errno : 0;
}

static void close_set(readyq *q, bool forked)
{
    if (q->kernel >= 0 && !forked) /* note 10 */
        close(q->kernel);
    q->kernel = -1;
}

/* ------------------------------------------------------------------ changing */

struct changes { /* one call's, and after it the receipts */
    struct kevent list[FILTERS];
    int n;
};

static void change(struct changes *changes, struct kevent what, int fd, uint32_t generation,
                   unsigned flags)
{
    struct kevent *to = &changes->list[changes->n++];

    *to = what;
    to->ident = (uintptr_t)fd;
    to->flags = (unsigned short)(flags | EV_RECEIPT);
    to->udata = (void *)(uintptr_t)generation;
}

/* Note 3. 0, or -errno when no change could be tried. */
static int apply(readyq *q, struct changes *changes)
{
    const struct timespec none = {0, 0};
    const count n = (count)changes->n;

    if (changes->n == 0)
        return 0;
    q->stats.changes++;
    if (kevent(q->kernel, changes->list, n, changes->list, n, &none) < 0)
        return -errno;
    return 0;
}

static int error_of(const struct kevent *receipt)
{
    return receipt->flags & EV_ERROR ? (int)receipt->data : 0;
}

/* Note 1: is an earlier registration of this number still there? */
static bool lives(readyq *q, int fd)
{
    struct changes probe = {.n = 0};
    bool any = false;

    if (q->slots[fd].watch == NULL)
        return false;
    for (int i = 0; i < FILTERS; i++)
        change(&probe, filters[i].filter, fd, q->slots[fd].generation - 1, 0);
    if (apply(q, &probe) < 0)
        return false;
    for (int i = 0; i < probe.n; i++)
        any |= error_of(&probe.list[i]) == 0;
    return any;
}

/* Deletes what there is; false when there was nothing, because it was closed. */
static bool delete_all(readyq *q, int fd)
{
    struct changes changes = {.n = 0};
    bool any = false;

    for (int i = 0; i < FILTERS; i++)
        change(&changes, filters[i].filter, fd, 0, EV_DELETE);
    if (apply(q, &changes) < 0)
        return false;
    for (int i = 0; i < changes.n; i++)
        any |= error_of(&changes.list[i]) == 0;
    return any;
}

/* A silent registration, so that the number is known to be taken: note 1. */
static void choose_silent(struct changes *changes, int fd, uint32_t generation)
{
    const bool write_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;

    change(changes, filters[write_only ? 1 : 0].filter, fd, generation, EV_ADD | EV_DISABLE);
}

static void choose(struct changes *changes, int fd, uint32_t generation, uint32_t interest)
{
    const unsigned flags = EV_ADD | (interest & READYQ_EDGE ? EV_CLEAR : 0) |
                           (interest & READYQ_ONESHOT ? EV_DISPATCH : 0);

    for (int i = 0; i < FILTERS; i++)
        if (interest & filters[i].direction)
            change(changes, filters[i].filter, fd, generation, flags);
    if (changes->n == 0 && !(interest & READYQ__DIRECTIONS))
        choose_silent(changes, fd, generation);
}

/* Notes 7 and 8: what the receipts of a registration say. */
static int judge(readyq *q, int fd, const struct changes *changes)
{
    for (int i = 0; i < changes->n; i++) {
        const int error = error_of(&changes->list[i]);

        if (error == EPIPE)
            readyq__event_slow(q, readyq__key(q, fd), READYQ_WRITE | READYQ_WRITE_CLOSED);
        else if (error == EINVAL || error == ENODEV || error == EOPNOTSUPP || error == ENOTSUP)
            return -EPERM;
        else if (error != 0)
            return -error;
    }
    return 0;
}

static int add(readyq *q, int fd, uint32_t interest)
{
    struct changes changes = {.n = 0};
    int error;

    choose(&changes, fd, q->slots[fd].generation, interest);
    if (changes.n == 0)
        return -ENOTSUP; /* note 9 */
    error = apply(q, &changes);
    if (error == 0)
        error = judge(q, fd, &changes);
    if (error < 0)
        delete_all(q, fd);
    return error;
}

static bool is_file(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0 && (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode));
}

static int update(readyq *q, int fd, uint32_t old, uint32_t interest)
{
    int error;

    if (old != 0) {
        if (!delete_all(q, fd) && interest != 0)
            return fcntl(fd, F_GETFD) < 0 ? -EBADF : -ENOENT;
        error = interest != 0 ? add(q, fd, interest) : 0;
        if (error < 0)
            add(q, fd, old);
        return error;
    }
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    if (is_file(fd)) /* note 8 */
        return -EPERM;
    if (lives(q, fd))
        return -EEXIST;
    return add(q, fd, interest);
}

/* One filter reports to all watches of a process. */
static bool is_shared(const readyq *q, const readyq_watch *w)
{
    for (struct readyq__link *link = q->children.next; link != &q->children; link = link->next) {
        const readyq_watch *other = readyq__owner(link, source.group);

        if (other != w && other->pid == w->pid)
            return true;
    }
    return false;
}

static int watch_process(readyq *q, readyq_watch *w, bool start)
{
    struct changes changes = {.n = 0};
    const struct kevent exits = {.filter = EVFILT_PROC, .fflags = NOTE_EXIT};
    int error;

    if (!start && is_shared(q, w))
        return 0;
    change(&changes, exits, (int)w->pid, 0, start ? EV_ADD | EV_ONESHOT : EV_DELETE);
    error = apply(q, &changes);
    return error < 0 ? error : -error_of(&changes.list[0]);
}

/* ------------------------------------------------------------------ waiting */

/* Note 4. */
static void silence_others(readyq *q, int fd, const struct kevent *event)
{
    struct changes changes = {.n = 0};

    for (int i = 0; i < FILTERS; i++)
        if (filters[i].filter.filter != event->filter &&
            (q->slots[fd].watch->interest & filters[i].direction))
            change(&changes, filters[i].filter, fd, q->slots[fd].generation, EV_DISABLE);
    apply(q, &changes);
}

/* Note 5. */
static uint32_t ask_both(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
    uint32_t bits = 0;

    if (poll(&one, 1, 0) == 1) {
        bits |= one.revents & POLLIN ? READYQ_READ : 0;
        bits |= one.revents & POLLOUT ? READYQ_WRITE : 0;
    }
    return bits;
}

static uint32_t from_kernel(const struct kevent *event)
{
    uint32_t bits = READYQ_READ;

    if (event->flags & EV_ERROR)
        return READYQ__DIRECTIONS | READYQ_ERROR;
    if (event->filter == EVFILT_WRITE)
        bits = READYQ_WRITE;
    else if (event->filter != EVFILT_READ)
        return READYQ_PRIORITY;
    if (event->flags & EV_EOF) {
        bits |= event->filter == EVFILT_WRITE ? READYQ_WRITE_CLOSED : READYQ_READ_CLOSED;
        if (event->fflags != 0) /* note 6 */
            bits |= READYQ__DIRECTIONS | READYQ_ERROR;
    }
    return bits;
}

static void handle(readyq *q, struct readyq__events *events, const struct kevent *event, bool full)
{
    const uint32_t both = READYQ_READ | READYQ_WRITE;
    const int fd = (int)event->ident;
    const uint32_t generation = (uint32_t)(uintptr_t)event->udata;
    const uint64_t key = (uint64_t)generation << 32 | (uint32_t)fd;
    const readyq_watch *w = q->slots[fd].watch;
    uint32_t bits = from_kernel(event);

    if (w == NULL || q->slots[fd].generation != generation) {
        readyq__event_other(events, key, bits);
        return;
    }
    if (full && (w->interest & both) == both)
        bits |= ask_both(fd);
    if (bits & ~READYQ__DIRECTIONS)
        readyq__event_other(events, key, bits);
    else
        readyq__event_plain(events, key, bits);
    if ((w->interest & READYQ_ONESHOT) || (w->own.flags & READYQ__ONCE))
        silence_others(q, fd, event);
}

/* It may be reported before it can be waited for; the watch then asks again. */
static void handle_exit(readyq *q, pid_t pid)
{
    struct readyq__link *link, *next;

    for (link = q->children.next; link != &q->children; link = next) {
        readyq_watch *w = readyq__owner(link, source.group);

        next = link->next;
        if (w->pid == pid)
            q->kinds[w->kind]->event(q, w, READYQ_FIRED);
    }
}

static int wait(readyq *q, int max, int64_t timeout)
{
    struct kevent fetched[READYQ__FETCH];
    struct readyq__events events;
    const int room = max <= READYQ__FETCH / 2 ? 2 * max : READYQ__FETCH, set = q->kernel;
    struct timespec time = {(time_t)(timeout / 1000000000), (long)(timeout % 1000000000)};
    const struct readyq__syscall call = readyq__unlock_for_syscall(q, timeout);
    int n, error;

    if (time.tv_sec > LONGEST_SLEEP)
        time.tv_sec = LONGEST_SLEEP;
    n = kevent(set, NULL, 0, fetched, (count)room, timeout < 0 ? NULL : &time);
    error = errno;
    readyq__relock(q, call, timeout);
    if (n < 0)
        return -error;
    events = readyq__begin_events(q);
    for (int i = 0; i < n; i++)
        if (fetched[i].filter != EVFILT_PROC)
            handle(q, &events, &fetched[i], n == room);
    readyq__end_events(&events);
    for (int i = 0; i < n; i++)
        if (fetched[i].filter == EVFILT_PROC)
            handle_exit(q, (pid_t)fetched[i].ident);
    return n;
}

const struct readyq__backend readyq__kqueue = {.name = "kqueue",
                                               .open = open_set,
                                               .close = close_set,
                                               .update = update,
                                               .wait = wait,
                                               .watch_process = watch_process};

#else
typedef int readyq__no_kqueue; /* this platform has epoll */
#endif
