/* SPDX-License-Identifier: MIT
 *
 * Linux: epoll. Translation only.
 *
 * Notes on this kernel (fs/eventpoll.c), referred to below:
 *  1. A registration is keyed by (open file, number). If the number is closed while a duplicate is
 *     open, the registration stays and cannot be removed: the core recognises it by its generation
 *     and replaces the set. MOD and DEL fail with EBADF if the number is closed, and with ENOENT or
 *     EPERM if it belongs to another file now.
 *  2. EPOLLHUP and EPOLLERR are reported unrequested, even for an empty mask; with EPOLLET, only
 *     once.
 *  3. The write end of a pipe whose reader is gone reports EPOLLERR alone, and the read end of one
 *     whose writer is gone EPOLLHUP alone. Neither has an error to collect.
 *  4. A socket that never connected reports EPOLLHUP without EPOLLRDHUP: nothing is closed.
 *     EPOLLRDHUP is reported only if it was requested. It is requested only with READ: otherwise a
 *     peer that has stopped writing would wake a writer again and again.
 *  5. Files in sysfs report EPOLLERR together with EPOLLPRI; that does not mean an error.
 *  6. EPOLLEXCLUSIVE cannot be combined with MOD, EPOLLONESHOT, EPOLLPRI, EPOLLRDHUP or an epoll
 *     descriptor. For MOD the registration is replaced; in the other cases EPOLLEXCLUSIVE is left
 *     out, except that EPOLLRDHUP yields to it and poll(2) is asked instead.
 *  7. Files, directories and devices like /dev/null are refused with EPERM.
 *  8. epoll_wait counts in milliseconds; epoll_pwait2 (5.11) in nanoseconds. If that is missing or
 *     forbidden, ppoll(2) on the epoll descriptor is used.
 *  9. Sets may contain sets, but not in a circle, and not more than five deep: ELOOP.
 * 10. A level-triggered event goes to one sleeper, and then to the next one until it is consumed;
 *     an edge goes to one. The sleeper that came last is woken first.
 */
#include "internal.h"

#if READYQ__HAS_EPOLL

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same on every architecture */
#endif

_Static_assert(READYQ_READ == EPOLLIN && READYQ_PRIORITY == EPOLLPRI && READYQ_WRITE == EPOLLOUT,
               "the directions are epoll's");

static atomic_bool no_pwait2; /* this kernel, or a sandbox, refused it once */

static int open_set(void)
{
    const int set = epoll_create1(EPOLL_CLOEXEC);

    if (set < 0)
        return -errno;
    return set;
}

static void close_set(int set, bool forked)
{
    (void)forked; /* the child's descriptor is its own; the set stays the parent's */
    close(set);
}

/* ------------------------------------------------------------------ changing */

static uint32_t to_kernel(uint32_t interest)
{
    uint32_t events = interest & READYQ__DIRECTIONS;

    if (interest & READYQ_READ) /* note 4 */
        events |= EPOLLRDHUP;
    if (interest & READYQ_EDGE)
        events |= EPOLLET;
    if (interest & READYQ_ONESHOT)
        events |= EPOLLONESHOT;
    if ((interest & READYQ_EXCLUSIVE) && !(events & (EPOLLPRI | EPOLLONESHOT))) /* note 6 */
        events = (events & ~(uint32_t)EPOLLRDHUP) | EPOLLEXCLUSIVE;
    return events;
}

/* What /proc says about the members of the set `fd`: calls visit() for each until it returns true,
 * and returns that. -errno where /proc says nothing. */
static int visit_members(int fd, bool (*visit)(void *data, int fd, uint32_t events, uint64_t key),
                         void *data)
{
    char path[64], line[128];
    unsigned long long key;
    unsigned events;
    int member, found = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    while (!found && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "tfd: %d events: %x data: %llx", &member, &events, &key) == 3)
            found = visit(data, member, events, key);
    fclose(file);
    return found;
}

struct search {
    int to, depth;
};

/* Whether a set leads to the set `to`. */
static bool leads_to(void *data, int fd, uint32_t events, uint64_t key)
{
    const struct search *search = data;
    struct search below = {search->to, search->depth - 1};

    (void)events, (void)key;
    return fd == search->to || (search->depth > 0 && visit_members(fd, leads_to, &below) > 0);
}

/* Why the kernel has refused a registration. */
static READYQ__OUT_OF_LINE int explain(int set, int operation, int fd, int error)
{
    if (error == -EINVAL && operation == EPOLL_CTL_ADD)
        return readyq__refuse_own(); /* perhaps under another number */
    if (error == -EBADF && fcntl(fd, F_GETFD) >= 0)
        return readyq__refuse(EBADF, "it was opened with O_PATH", "open it without O_PATH");
    if (error == -ELOOP && !leads_to(&(struct search){set, 6}, fd, 0, 0))
        return readyq__refuse_depth();
    return error;
}

static int control(readyq *q, int set, int operation, int fd, uint32_t interest)
{
    struct epoll_event event = {.events = to_kernel(interest), .data.u64 = readyq__key(q, fd)};

    q->stats.changes++;
    if (epoll_ctl(set, operation, fd, &event) == 0)
        return 0;
    if (errno == EINVAL && (event.events & EPOLLEXCLUSIVE)) /* note 6: an epoll descriptor */
        return control(q, set, operation, fd, interest & ~READYQ_EXCLUSIVE);
    return explain(set, operation, fd, -errno);
}

/* As it was, with the generation that it had. */
static void restore(readyq *q, int set, int fd, uint32_t old)
{
    q->slots[fd].generation--;
    control(q, set, EPOLL_CTL_ADD, fd, old);
    q->slots[fd].generation++;
}

/* Note 6. */
static bool is_exclusive(uint32_t interest)
{
    return (interest & READYQ_EXCLUSIVE) && (to_kernel(interest) & EPOLLEXCLUSIVE);
}

/* Note 6: what MOD refuses. */
static READYQ__OUT_OF_LINE int replace(readyq *q, int set, int fd, uint32_t old, uint32_t interest)
{
    int error = control(q, set, EPOLL_CTL_DEL, fd, 0);

    if (error == 0 && (error = control(q, set, EPOLL_CTL_ADD, fd, interest)) < 0)
        restore(q, set, fd, old);
    return error;
}

static int update(readyq *q, int set, int fd, uint32_t old, uint32_t interest)
{
    int error;

    if (old == 0)
        return control(q, set, EPOLL_CTL_ADD, fd, interest);
    if (interest == 0) {
        control(q, set, EPOLL_CTL_DEL, fd, 0); /* note 1: it may be gone already */
        return 0;
    }
    if (is_exclusive(old) || is_exclusive(interest))
        error = replace(q, set, fd, old, interest);
    else
        error = control(q, set, EPOLL_CTL_MOD, fd, interest);
    return error == -EPERM ? -ENOENT : error;
}

int readyq__put_in(int outer, int inner)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = inner};

    if (epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event) == 0)
        return 0;
    return errno == ELOOP ? readyq__refuse_depth() : -errno; /* note 9 */
}

/* ------------------------------------------------------------------ waiting */

static bool has_stopped_writing(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLRDHUP};

    return poll(&one, 1, 0) == 1 && (one.revents & POLLRDHUP);
}

/* Notes 2 to 5: their meaning depends on the kind of file. */
static uint32_t from_hangup(int fd, uint32_t events)
{
    const uint32_t both = READYQ_READ_CLOSED | READYQ_WRITE_CLOSED;
    struct stat file = {0};
    uint32_t bits = 0;

    fstat(fd, &file);
    if (S_ISFIFO(file.st_mode)) {
        if (events & EPOLLHUP)
            bits |= READYQ_READ | READYQ_READ_CLOSED;
        if (events & EPOLLERR)
            bits |= READYQ_WRITE | READYQ_WRITE_CLOSED;
        return bits;
    }
    if (events & EPOLLHUP) {
        bits |= READYQ_READ | READYQ_WRITE | READYQ__HANGUP;
        if (!S_ISSOCK(file.st_mode) || has_stopped_writing(fd))
            bits |= both;
    }
    if (events & EPOLLERR)
        bits |= READYQ__DIRECTIONS | (S_ISREG(file.st_mode) ? 0 : READYQ_ERROR);
    return bits;
}

/* Translates all but the plain events, which need no translation. */
static READYQ__OUT_OF_LINE uint32_t from_kernel(const readyq *q, int fd, uint32_t events)
{
    const readyq_watch *w = q->slots[fd].watch;
    uint32_t bits = events & READYQ__DIRECTIONS;

    if (events & EPOLLRDHUP)
        bits |= READYQ_READ | READYQ_READ_CLOSED;
    if (events & (EPOLLHUP | EPOLLERR))
        bits |= from_hangup(fd, events);
    if ((bits & READYQ_READ) && w != NULL && (w->interest & READYQ_EXCLUSIVE)) /* note 6 */
        bits |= has_stopped_writing(fd) ? READYQ_READ_CLOSED : 0;
    return bits;
}

/* Note 8. Where epoll_pwait2 is missing, a second thread may have been faster: 0 events. */
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

static void handle(readyq *q, const struct epoll_event *fetched, int n)
{
    const uint32_t slow = q->exclusive || q->edges_ignored ? ~0u : ~READYQ__DIRECTIONS;
    struct readyq__events events = readyq__begin_events(q, (size_t)n);

    for (const struct epoll_event *event = fetched; event != fetched + n; event++) {
        const uint64_t key = event->data.u64;
        const uint32_t bits = event->events;

        if (bits & slow)
            readyq__event_other(&events, key, from_kernel(q, (int)(uint32_t)key, bits));
        else
            readyq__event_plain(&events, key, bits);
    }
    readyq__end_events(&events);
}

static int wait(readyq *q, int set, int max, int64_t timeout)
{
    struct epoll_event fetched[READYQ__FETCH];
    struct readyq__syscall call;
    int n, error;

    readyq__unlock_for_syscall(q, &call, timeout);
    if (timeout > 0)
        n = sleep_exactly(set, fetched, max, timeout);
    else
        n = epoll_wait(set, fetched, max, timeout < 0 ? -1 : 0);
    error = n < 0 ? -errno : 0;
    readyq__relock(q, &call, timeout);
    if (n > 0)
        handle(q, fetched, n);
    return n < 0 ? error : n;
}

/* ------------------------------------------------------------------ listing */

struct listing {
    void (*report)(void *data, int fd, uint64_t key, uint32_t interest);
    void *data;
};

static bool list_member(void *data, int fd, uint32_t events, uint64_t key)
{
    const struct listing *listing = data;
    uint32_t interest = events & READYQ__DIRECTIONS;

    if (events & EPOLLET)
        interest |= READYQ_EDGE;
    if (events & EPOLLONESHOT)
        interest |= READYQ_ONESHOT;
    if (events & EPOLLEXCLUSIVE)
        interest |= READYQ_EXCLUSIVE;
    listing->report(listing->data, fd, key, interest);
    return false;
}

static int list(readyq *q, void (*report)(void *data, int fd, uint64_t key, uint32_t interest),
                void *data)
{
    return visit_members(q->kernel, list_member, &(struct listing){report, data});
}

const struct readyq__backend readyq__epoll = {.name = "epoll",
                                              .open = open_set,
                                              .close = close_set,
                                              .update = update,
                                              .has_ghosts = true,
                                              .wait = wait,
                                              .list = list};

#else
typedef int readyq__no_epoll; /* this platform has none */
#endif
