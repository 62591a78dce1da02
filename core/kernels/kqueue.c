/* SPDX-License-Identifier: MIT
 *
 * macOS and the BSDs: kqueue. Translation only.
 *
 * Notes on these kernels, referred to below. The sources read are sys/kern/kern_event.c, sys_pipe.c
 * and uipc_socket.c of FreeBSD 13, NetBSD 7.99 (kern_event.c 1.88, sys_pipe.c 1.140), 10 (1.140,
 * 1.160) and later (sys_pipe.c 1.165 of 2023, 1.182 of 2026), OpenBSD 7.7 (1.205) and DragonFly 6,
 * and of xnu-11417 (bsd/kern). A function's name stands for it in all of them unless a kernel is
 * named.
 *
 *  1. A registration, a knote, is keyed by (number, filter) and removed when the number is closed,
 *     even if a duplicate exists (knote_fdclose): there are no ghosts. EV_ADD does not say that a
 *     knote exists already (kqueue_register), so is_registered() asks with a change without EV_ADD,
 *     which fails with ENOENT if there is none. If there is one, udata is replaced, and an EV_CLEAR
 *     knote fires again if it is ready (FreeBSD and NetBSD 10 kqueue_register, xnu kevent_register,
 *     DragonFly "Modify an existing event"; OpenBSD and NetBSD 7 change nothing). So it is asked
 *     only when a number that is watched is added again, with the generation that it has: if that
 *     is refused, an edge may be reported again.
 *  2. Adding again does not change EV_CLEAR or EV_DISPATCH (kqueue_register copies flags only into
 *     new knotes): old filters are deleted and new ones added. The kernel then checks again what is
 *     ready, as modify promises.
 *  3. Errors of changes are returned as receipts in a list with room for exactly one each, without
 *     scanning for events (kqueue_kevent, sys_kevent, kevent1, kevent_internal: "if (nerrors)").
 *     DragonFly kqueue_register stops after each receipt and kern_kevent continues.
 *  4. EV_DISPATCH disables one filter; the other filters of a ONESHOT watch are disabled here.
 *     Together with EV_CLEAR it is ignored (NetBSD kqueue_scan, "else if"), and not needed.
 *  5. READ and WRITE come as two events, which the core merges. If the list was full, the other one
 *     may not have fitted: poll(2) is asked for it.
 *  6. What EV_EOF and fflags mean is in kevents.c.
 *  7. Pipes. WRITE without a reader is refused (FreeBSD and DragonFly pipe_kqfilter: EPIPE; NetBSD:
 *     EBADF). A WRITE knote that exists is on the reader's list, and when the reader closes it is
 *     reported once and dropped (FreeBSD pipeclose, knlist_cleardel), or not at all if the pipe is
 *     full (NetBSD pipeclose, OpenBSD pipe_destroy). READ on the end that is written to is on that
 *     end's own list and reports end of file, again and again (filt_piperead; xnu filt_pipenotsup),
 *     so it is added where WRITE is asked for. NetBSD of 2023 refuses both, so the core has to
 *     report end of file; NetBSD of 2026 reports it through WRITE, and its READ is silent
 *     (filt_pipewrongend). A named FIFO has one list for both directions, and READ would report its
 *     data. FIFOs have a link, while pipe_stat leaves st_nlink 0. But kqueue_stat leaves it 0, too,
 *     and so does removing the name of a FIFO; and pipes of FreeBSD, OpenBSD and DragonFly have a
 *     second direction. If READ then reports data, for which the watch did not ask, the filter is
 *     disabled; it stays registered for note 1.
 *  8. A filter is refused, with various errors, where a file has no such direction, OOB data or
 *     queue (pipe_kqfilter, soo_kqfilter, kqueue_kqfilter, cdevs without kqfilter): it is left out,
 *     and the others stay. If none is left, a device that poll(2) calls ready never blocks, such as
 *     FreeBSD's /dev/null (ENODEV). READ on a regular file stops at its end (filt_vfsread), and
 *     epoll refuses files and directories: the core reports them as always ready. xnu's devices
 *     want NOTE_LOWAT 1 (filt_specattach), which changes nothing elsewhere.
 *  9. EVFILT_EXCEPT, for out-of-band data, exists on macOS, OpenBSD and DragonFly only. xnu's
 *     behaves like READ, and sets NOTE_OOB in fflags (soexcept_filtops, filt_soread_common). It is
 *     always added with EV_CLEAR and never with EV_DISPATCH: otherwise ordinary data would make it
 *     fire again and again, or disable it. If the watch is level-triggered, the filter is touched
 *     after each report, so that it fires again as long as the mark is there.
 * 10. The queue is not inherited by a fork (fdcopy, fd_copy, fdt_fork): its number may belong to
 *     another file.
 * 11. More than INT32_MAX seconds is EINVAL (xnu timespec_is_valid) or forever (FreeBSD
 *     kqueue_scan): at most a day is asked for.
 * 12. A kqueue may be put into itself and into circles. The next event then causes a panic on
 *     NetBSD (knote_activate takes kq_lock twice), and goes unnoticed elsewhere. Only xnu refuses
 *     circles (kqueue_kqfilter), and FreeBSD a kqueue in itself (kqueue_register), so the core
 *     looks for them before it adds. xnu gives each kqueue a level, at most ten, which never goes
 *     down: at least 1 if it is inside another kqueue, and higher than the level of each kqueue in
 *     it. It refuses to put a kqueue into one that has a lower level above 0. So a kqueue that is
 *     already inside another (level 1) could not take one that has a kqueue in it (level 2); but
 *     one of the same level can be put into it, and raises its level by one.
 * 13. kqueue1 opens a queue that is close-on-exec. It is used on NetBSD and OpenBSD; FreeBSD has
 *     had it only since 14. Elsewhere fcntl(2) sets the flag afterwards, and a program that another
 *     thread forks and execs in between inherits the number; xnu's queue is close-on-exec by itself
 *     (kqueue_internal).
 */
#include "internal.h"

#if !READYQ__HAS_EPOLL

#include <fcntl.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define LONGEST_SLEEP 86400 /* seconds, note 11 */

#if defined(EVFILT_EXCEPT) && defined(NOTE_OOB) /* note 9 */
#define HAS_EXCEPT true
#else
#define HAS_EXCEPT false
#define NOTE_OOB 0
#endif

#if defined(__APPLE__)
#define EXCEPT_IS_READ true                      /* note 9 */
#define EXCEPT_FLAGS EV_CLEAR                    /* note 9 */
#define MAX_LEVEL 10                             /* note 12: MAX_NESTED_KQ */
#define ONE_BYTE .fflags = NOTE_LOWAT, .data = 1 /* note 8 */
#else
#define EXCEPT_IS_READ false
#define EXCEPT_FLAGS 0
#define MAX_LEVEL 0
#define ONE_BYTE .fflags = 0
#endif

#if defined(__NetBSD__)
typedef size_t count; /* of a list of events */
#else
typedef int count;
#endif

typedef __typeof__(((struct kevent *)NULL)->udata) udata; /* intptr_t on NetBSD before 10 */

static const struct timespec no_time;

static const struct {
    uint32_t direction;
    struct kevent filter;
} filters[] = {
    {READYQ_READ, {.filter = EVFILT_READ, ONE_BYTE}},
    {READYQ_WRITE, {.filter = EVFILT_WRITE, ONE_BYTE}},
#if defined(EVFILT_EXCEPT) && defined(NOTE_OOB)
    {READYQ_PRIORITY, {.filter = EVFILT_EXCEPT, .flags = EXCEPT_FLAGS, .fflags = NOTE_OOB}},
#endif
};
enum { READ_FILTER, WRITE_FILTER, FILTERS = sizeof filters / sizeof *filters };

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

static int open_set(void)
{
    const int set = create();

    if (set < 0)
        return -errno;
    return set;
}

static void close_set(int set, bool forked)
{
    if (!forked) /* note 10 */
        close(set);
}

/* ------------------------------------------------------------------ changes */

struct changes { /* of one call; after it, the receipts */
    struct kevent list[FILTERS];
    int n;
};

static void change(struct changes *changes, struct kevent what, int fd, uint32_t generation,
                   unsigned flags)
{
    struct kevent *to = &changes->list[changes->n++];

    *to = what;
    to->ident = (uintptr_t)fd;
    to->flags = (unsigned short)(what.flags | flags | EV_RECEIPT);
    to->udata = (udata)(uintptr_t)generation;
}

static int error_of(const struct kevent *receipt)
{
    return receipt->flags & EV_ERROR ? (int)receipt->data : 0;
}

/* Note 3. Makes the changes, and replaces each with its receipt. 0 or -errno. */
static int apply(readyq *q, struct changes *changes)
{
    const count n = (count)changes->n;

    q->stats.changes++;
    return kevent(q->kernel, changes->list, n, changes->list, n, &no_time) < 0 ? -errno : 0;
}

/* Whether any of the changes was made. */
static bool apply_any(readyq *q, struct changes *changes)
{
    bool any = false;

    if (apply(q, changes) == 0)
        for (int i = 0; i < changes->n; i++)
            any |= error_of(&changes->list[i]) == 0;
    return any;
}

/* Makes a change to each filter of a number. Returns whether it was made for any of them. */
static bool change_all(readyq *q, int fd, uint32_t generation, unsigned flags)
{
    struct changes changes = {.n = 0};

    for (int i = 0; i < FILTERS; i++)
        change(&changes, filters[i].filter, fd, generation, flags);
    return apply_any(q, &changes);
}

/* Note 1. */
static bool is_registered(readyq *q, int fd)
{
    return change_all(q, fd, q->slots[fd].generation, 0);
}

/* Note 12. Two numbers refer to the same kqueue if what was added through one, here a disabled
 * timer, can be deleted through the other. */
static bool is_queue(int fd, int as)
{
    const struct kevent add = {.ident = UINTPTR_MAX,
                               .filter = EVFILT_TIMER,
                               .flags = EV_ADD | EV_DISABLE | EV_RECEIPT,
                               .data = 86400000};
    struct kevent delete = add, receipt;
    bool same;

    if (as < 0)
        return kevent(fd, NULL, 0, NULL, 0, &no_time) == 0;
    if (fd == as)
        return true;
    delete.flags = EV_DELETE | EV_RECEIPT;
    if (kevent(fd, &add, 1, &receipt, 1, &no_time) != 1)
        return false;
    same = kevent(as, &delete, 1, &receipt, 1, &no_time) == 1 && error_of(&receipt) == 0;
    if (!same)
        kevent(fd, &delete, 1, &receipt, 1, &no_time);
    return same;
}

static bool can_put_in(int outer, int inner)
{
    const struct kevent add = {.ident = (uintptr_t)inner, .filter = EVFILT_READ, .flags = EV_ADD};

    return kevent(outer, &add, 1, NULL, 0, &no_time) == 0;
}

/* Note 12. A queue of each level in turn is put into the outer one and closed: each raises the
 * outer one's level by one. */
static bool raise_level(int outer, int inner)
{
    int step = MAX_LEVEL > 0 ? create() : -1, next;
    bool is_in = false;

    for (int level = 0; level < MAX_LEVEL && step >= 0 && !is_in; level++) {
        next = create();
        can_put_in(next, step);
        can_put_in(outer, step);
        close(step);
        step = next;
        is_in = can_put_in(outer, inner);
    }
    if (step >= 0)
        close(step);
    return is_in;
}

int readyq__put_in(int outer, int inner)
{
    if (can_put_in(outer, inner))
        return 0;
    if (errno != EINVAL)
        return -errno;
    return raise_level(outer, inner) ? 0 : readyq__refuse_depth();
}

/* ------------------------------------------------------------------ adding */

static mode_t mode_of(int fd)
{
    struct stat file = {0};

    fstat(fd, &file);
    return file.st_mode;
}

/* A regular file, a directory, a disk. */
static bool is_file(int fd)
{
    const mode_t mode = mode_of(fd);

    return S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode);
}

/* Notes 7 and 8: a device or pipe whose filters are refused. */
static bool is_always_ready(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
    const mode_t mode = mode_of(fd);

    return (S_ISCHR(mode) || S_ISFIFO(mode)) && !isatty(fd) && poll(&one, 1, 0) == 1;
}

static void choose(struct changes *changes, int fd, uint32_t generation, uint32_t interest)
{
    const unsigned flags = interest & READYQ_ONESHOT ? EV_DISPATCH /* note 4 */
                           : interest & READYQ_EDGE  ? EV_CLEAR
                                                     : 0;

    if ((interest & READYQ_WRITE) && !(interest & READYQ_READ) &&
        readyq__is_written_pipe(fd)) /* note 7 */
        interest |= READYQ_READ;
    for (int i = 0; i < FILTERS; i++)
        if (interest & filters[i].direction)
            change(changes, filters[i].filter, fd, generation,
                   EV_ADD | (filters[i].filter.flags == 0 ? flags : 0));
}

/* A silent registration, so that the number is known to be taken: note 1. */
static bool add_silent(readyq *q, int fd, uint32_t generation)
{
    struct changes changes = {.n = 0};

    change(&changes, filters[READ_FILTER].filter, fd, generation, EV_ADD | EV_DISABLE);
    change(&changes, filters[WRITE_FILTER].filter, fd, generation, EV_ADD | EV_DISABLE);
    return apply_any(q, &changes);
}

/* Note 8. What the receipts say: 0 if a filter was accepted, -EINVAL if all were refused. An error
 * that is not about the file counts in any case. */
static int judge(const struct changes *changes)
{
    int result = -EINVAL;

    for (int i = 0; i < changes->n; i++) {
        const int error = error_of(&changes->list[i]);

        if (error == ENOMEM || error == EACCES)
            return -error;
        if (error == 0)
            result = 0;
    }
    return result;
}

/* Note 8. All filters were refused. */
static int explain(int fd)
{
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    if (is_queue(fd, -1)) /* xnu, note 12 */
        return readyq__refuse_depth();
    return is_always_ready(fd) ? -EPERM : -ENOTSUP;
}

static int add_chosen(readyq *q, int fd, uint32_t generation, uint32_t interest)
{
    struct changes changes = {.n = 0};
    int error = -EINVAL;

    choose(&changes, fd, generation, interest);
    if (changes.n > 0 && (error = apply(q, &changes)) == 0)
        error = judge(&changes);
    return error == -EINVAL && add_silent(q, fd, generation) ? 0 : error;
}

static int add(readyq *q, int fd, uint32_t generation, uint32_t interest)
{
    int error = add_chosen(q, fd, generation, interest);

    if (error == -EINVAL && is_queue(fd, -1) && readyq__put_in(q->kernel, fd) == 0) {
        change_all(q, fd, 0, EV_DELETE);
        error = add_chosen(q, fd, generation, interest);
    }
    if (error < 0)
        change_all(q, fd, 0, EV_DELETE);
    return error == -EINVAL ? explain(fd) : error;
}

/* The set is always q->kernel: there are no ghosts, so the queue never has another one. */
static int update(readyq *q, int set, int fd, uint32_t old, uint32_t interest)
{
    const uint32_t generation = q->slots[fd].generation;
    int error;

    (void)set;
    if (!HAS_EXCEPT && (interest & READYQ__DIRECTIONS) == READYQ_PRIORITY)
        return -ENOTSUP; /* note 9 */
    if (old != 0 && !change_all(q, fd, 0, EV_DELETE) && interest != 0)
        return fcntl(fd, F_GETFD) < 0 ? -EBADF : -ENOENT;
    if (interest == 0)
        return 0;
    if (old == 0 && is_file(fd)) /* note 8 */
        return -EPERM;
    error = add(q, fd, generation, interest);
    if (error < 0 && old != 0)
        add(q, fd, generation - 1, old); /* as it was */
    return error;
}

/* ------------------------------------------------------------------ processes */

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

/* Note 4. Disables the filters of the watch that EV_DISPATCH has not disabled. */
static void silence(readyq *q, const readyq_watch *w, const struct kevent *event)
{
    struct changes changes = {.n = 0};

    for (int i = 0; i < FILTERS; i++)
        if ((w->interest & filters[i].direction) &&
            (filters[i].filter.filter != event->filter || filters[i].filter.flags != 0))
            change(&changes, filters[i].filter, w->fd, q->slots[w->fd].generation, EV_DISABLE);
    if (changes.n > 0)
        apply(q, &changes);
}

/* Changes a filter of the descriptor that the event is for. */
static void touch(readyq *q, const struct kevent *event, int filter, unsigned flags)
{
    struct changes changes = {.n = 0};

    change(&changes, filters[filter].filter, (int)event->ident, (uint32_t)(uintptr_t)event->udata,
           flags);
    apply(q, &changes);
}

/* Note 7. Whether READ reports data although only WRITE was asked for. */
static bool is_unasked(const struct kevent *event, const readyq_watch *w)
{
    return event->filter == EVFILT_READ && !(w->interest & READYQ_READ) &&
           !(event->flags & (EV_EOF | EV_ERROR));
}

static void handle(readyq *q, struct readyq__events *events, const struct kevent *event, bool full)
{
    const uint32_t both = READYQ_READ | READYQ_WRITE;
    const int fd = (int)event->ident;
    const uint32_t generation = (uint32_t)(uintptr_t)event->udata;
    const uint64_t key = (uint64_t)generation << 32 | (uint32_t)fd;
    const readyq_watch *w = q->slots[fd].watch;
    uint32_t bits;
    bool once;

    if (w == NULL || q->slots[fd].generation != generation) {
        readyq__event_other(events, key, 0);
        return;
    }
    if (is_unasked(event, w)) {
        readyq__drop_event(events);
        touch(q, event, READ_FILTER, EV_DISABLE);
        return;
    }
    once = (w->interest & READYQ_ONESHOT) || (w->own.flags & READYQ__ONE_EVENT);
    bits = readyq__from_kevent(event, w->interest);
    if (bits == 0) { /* note 9 */
        readyq__drop_event(events);
        return;
    }
    if (full && (w->interest & both) == both)
        bits |= readyq__poll_both(fd);
    if (bits & ~READYQ__DIRECTIONS)
        readyq__event_other(events, key, bits);
    else
        readyq__event_plain(events, key, bits);
    if (once)
        silence(q, w, event);
    else if (EXCEPT_IS_READ && bits == READYQ_PRIORITY && !(w->interest & READYQ_EDGE))
        touch(q, event, FILTERS - 1, 0); /* note 9 */
}

/* The kernel may report the end of a process before it can be waited for; the watch then asks
 * again. */
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

static int wait(readyq *q, int set, int max, int64_t timeout)
{
    struct kevent fetched[READYQ__FETCH];
    struct readyq__events events;
    const int room = max <= READYQ__FETCH / 2 ? 2 * max : READYQ__FETCH;
    struct timespec time = {(time_t)(timeout / 1000000000), (long)(timeout % 1000000000)};
    struct readyq__syscall call;
    int n, error;

    if (time.tv_sec > LONGEST_SLEEP)
        time.tv_sec = LONGEST_SLEEP;
    readyq__unlock_for_syscall(q, &call, timeout);
    n = kevent(set, NULL, 0, fetched, (count)room, timeout < 0 ? NULL : &time);
    error = errno;
    readyq__relock(q, &call, timeout);
    if (n < 0)
        return -error;
    events = readyq__begin_events(q, (size_t)n);
    for (int i = 0; i < n; i++)
        if (fetched[i].filter != EVFILT_PROC)
            handle(q, &events, &fetched[i], n == room);
        else
            readyq__drop_event(&events);
    readyq__end_events(&events);
    for (int i = 0; i < n; i++)
        if (fetched[i].filter == EVFILT_PROC)
            handle_exit(q, (pid_t)fetched[i].ident);
    return n == room ? max : n; /* there may be more */
}

const struct readyq__backend readyq__kqueue = {.name = "kqueue",
                                               .open = open_set,
                                               .close = close_set,
                                               .update = update,
                                               .is_registered = is_registered,
                                               .is_queue = is_queue,
                                               .wait = wait,
                                               .watch_process = watch_process};

#else
typedef int readyq__no_kqueue; /* this platform has epoll */
#endif
