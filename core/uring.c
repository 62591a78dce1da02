/* SPDX-License-Identifier: MIT
 *
 * Linux: io_uring, opened by name alone. Translation only; the rings themselves are in rings.c.
 *
 * Notes on this kernel, referred to below:
 *  1. Readiness is a request, POLL_ADD, that completes once. A level-triggered watch is asked for
 *     again at the next wait, in the system call that waits. A multishot request is edge-like: it
 *     is what EDGE is made of. It may end by itself (without IORING_CQE_F_MORE): renewed.
 *  2. A pending request pins the open file: its peer sees no end, and its number may be reused
 *     meanwhile. So what is removed is cancelled at once, before the caller can close it.
 *  3. A request names its descriptor by number each time it is made, and the number may be another
 *     file's by then. So the file's device and inode, which every socket and pipe has of its own
 *     (eventfds and their like share one), are compared before it is asked for, and where a
 *     hang-up comes: it may be of a file that was closed and is still pinned. Comparing is a
 *     system call, and dearer than all the rest of a request. So where many ONESHOT watches that
 *     modify() has just named are asked for at once, only some of them are compared.
 *  4. A completion tells what was so when it came. One that lay in the ring before this wait may
 *     be out of date, so poll(2) has the last word; where it finds nothing a request is made anew.
 *  5. Requests end with the thread that submitted them (-ECANCELED): they are made again.
 *  6. Files and directories complete at once, and so do devices like /dev/null; the core has them
 *     always ready (`identify`). Which devices these are epoll tells.
 *  7. POLLRDHUP is reported unasked, unlike elsewhere: where it alone came it is waited for the
 *     rest with a multishot request, which does not tell again what it has told.
 *  8. Any thread may submit, so neither SINGLE_ISSUER nor DEFER_TASKRUN is possible.
 *  9. A request for POLLPRI alone is not woken by what brings it: POLLIN is asked for as well, and
 *     what came for that alone is treated as in note 7.
 * 10. A wake-up is not let through for POLLPRI alone, and tells of it where other data came too. So
 *     POLLRDBAND is asked for beside it, which lets all through, and poll(2) has the last word.
 * 11. A signal that ends a call which also submitted is not told: it returns how many it took.
 */
#include "internal.h"

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include "rings.h"
#endif
#endif

#if defined(IORING_POLL_ADD_MULTI) && defined(IORING_ENTER_EXT_ARG)

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY UINT64_MAX /* completion of a cancellation */
#define FEW 4             /* so many are all compared; of more, one in SOME (note 3) */
#define SOME 31

struct entry { /* what is asked of one descriptor */
    uint32_t interest, serial;
    bool pending, queued; /* asked for; to be asked for by the next wait */
    bool named;           /* by modify(), to be asked for once more (note 3) */
    bool shy;             /* note 7 */
    uint64_t until;       /* what came until then was told, by the count of completions */
};

struct uring {
    struct readyq__rings rings;
    struct entry *entries; /* by descriptor */
    size_t nentries;
    int *todo; /* descriptors to be asked for */
    size_t ntodo;
    uint32_t trusted; /* how often a named one was at hand */
    uint64_t turn;    /* the wait that asked last, by the queue's count */
    uint32_t old;     /* completions that lay in the ring before it */
    uint64_t taken;   /* completions, ever */
};

static int open_ring(readyq *q)
{
    struct uring *ring = calloc(1, sizeof *ring);
    int error;

    if (ring == NULL)
        return -ENOMEM;
    error = readyq__rings_open(&ring->rings);
    if (error < 0) {
        free(ring);
        return error;
    }
    q->kernel.fd = ring->rings.fd;
    q->kernel.more = ring;
    return 0;
}

static void close_ring(readyq *q, bool forked)
{
    struct uring *ring = q->kernel.more;

    if (q->kernel.fd < 0)
        return;
    readyq__rings_close(&ring->rings, forked);
    free(ring->entries);
    free(ring->todo);
    free(ring);
    q->kernel.fd = -1;
    q->kernel.more = NULL;
}

/* ------------------------------------------------------------------ asking */

static void submit(readyq *q)
{
    struct uring *ring = q->kernel.more;

    q->stats.changes += readyq__rings_submit(&ring->rings);
}

static void put(readyq *q, const struct io_uring_sqe *sqe)
{
    struct uring *ring = q->kernel.more;

    if (readyq__rings_put(&ring->rings, sqe))
        submit(q);
}

static uint64_t name_request(const struct entry *entry, int fd)
{
    return (uint64_t)entry->serial << 32 | (uint32_t)fd;
}

static bool wants_edges(const struct entry *entry)
{
    return (entry->interest & READYQ_EDGE) && !(entry->interest & READYQ_ONESHOT);
}

static bool is_edge(const struct entry *entry)
{
    return entry->shy || wants_edges(entry);
}

static void ask(readyq *q, int fd)
{
    struct uring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];
    struct io_uring_sqe sqe = {.opcode = IORING_OP_POLL_ADD, .fd = fd};
    uint32_t bits = readyq__to_poll(entry->interest);

    if (entry->interest & READYQ_PRIORITY)
        bits |= POLLIN | POLLRDBAND; /* notes 9 and 10 */
    if (entry->interest & READYQ_EXCLUSIVE)
        bits |= EPOLLEXCLUSIVE;
    if (is_edge(entry)) {
        bits |= EPOLLET;
        sqe.len = IORING_POLL_ADD_MULTI;
    }
    sqe.poll32_events = bits;
    entry->serial++;
    entry->pending = true;
    sqe.user_data = name_request(entry, fd);
    put(q, &sqe);
}

/* Note 2: has gone when this returns. */
static void cancel(readyq *q, int fd)
{
    struct uring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];
    struct io_uring_sqe sqe = {.opcode = IORING_OP_POLL_REMOVE, .fd = -1, .user_data = NOBODY};

    if (!entry->pending)
        return;
    sqe.addr = name_request(entry, fd);
    put(q, &sqe);
    submit(q);
    entry->pending = false;
    entry->serial++;
}

/* Note 3. */
static bool is_trusted(struct uring *ring, const struct entry *entry)
{
    return entry->named && ring->ntodo > FEW && ++ring->trusted % SOME != 0;
}

static bool is_same(const readyq *q, int fd)
{
    return readyq__same_file(q->slots[fd].watch);
}

/* The number is not this watch's file any more: nothing is asked or told of it. */
static void give_up(readyq *q, int fd)
{
    struct uring *ring = q->kernel.more;

    cancel(q, fd); /* note 2 */
    ring->entries[fd].interest = 0;
    if (q->slots[fd].watch->kind == READYQ_KIND_FD)
        readyq__abandon(q, q->slots[fd].watch);
}

/* All that is to be asked for, into the ring: from number `first` on, and then those before, which
 * were told last. */
static void ask_all(readyq *q, size_t first)
{
    struct uring *ring = q->kernel.more;

    for (size_t i = 0; i < ring->ntodo; i++) {
        const int fd = ring->todo[(first + i) % ring->ntodo];
        struct entry *entry = &ring->entries[fd];

        entry->queued = false;
        if (!(entry->interest & READYQ__DIRECTIONS) || entry->pending)
            continue;
        if (is_trusted(ring, entry) || is_same(q, fd))
            ask(q, fd);
        else
            give_up(q, fd);
        entry->named = false;
    }
    ring->ntodo = 0;
}

/* ------------------------------------------------------------------ changing */

static int make_room(struct uring *ring, int fd)
{
    const size_t need = (size_t)fd + 1;
    size_t room = ring->nentries ? ring->nentries : 64;
    struct entry *entries;
    int *todo;

    if (need <= ring->nentries)
        return 0;
    while (room < need)
        room *= 2;
    entries = realloc(ring->entries, room * sizeof *entries);
    if (entries == NULL)
        return -ENOMEM;
    memset(entries + ring->nentries, 0, (room - ring->nentries) * sizeof *entries);
    ring->entries = entries;
    todo = realloc(ring->todo, room * sizeof *todo); /* each descriptor once at most */
    if (todo == NULL)
        return -ENOMEM;
    ring->todo = todo;
    ring->nentries = room;
    return 0;
}

static void queue(struct uring *ring, int fd)
{
    struct entry *entry = &ring->entries[fd];

    if (entry->queued)
        return;
    entry->queued = true;
    ring->todo[ring->ntodo++] = fd;
}

/* A change is for the next wait, but at once where one is under way, or somebody polls us. */
static bool is_awaited(const readyq *q)
{
    return q->leading || q->nest >= 0;
}

static void want(readyq *q, int fd)
{
    queue(q->kernel.more, fd);
    if (is_awaited(q)) {
        ask_all(q, 0);
        submit(q);
    }
}

/* Note 6. -EPERM where it never blocks, or -errno where that cannot be told. */
static int check_blocks(int fd)
{
    struct epoll_event event = {0};
    struct stat file = {0};
    int set, error;

    fstat(fd, &file);
    if (!S_ISCHR(file.st_mode))
        return 0;
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0)
        return -errno;
    error = epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
    close(set);
    return error;
}

static int add(readyq *q, int fd, uint32_t interest)
{
    struct uring *ring = q->kernel.more;
    int error = make_room(ring, fd);

    if (error == 0)
        error = check_blocks(fd);
    if (error < 0)
        return error;
    cancel(q, fd); /* of an earlier file of this number */
    ring->entries[fd].shy = ring->entries[fd].named = false;
    ring->entries[fd].interest = interest;
    queue(ring, fd);
    if (is_awaited(q) && (interest & READYQ__DIRECTIONS)) { /* not in the core's table yet */
        ask(q, fd);
        submit(q);
    }
    return 0;
}

static int update(readyq *q, int fd, uint32_t old, uint32_t interest)
{
    struct uring *ring = q->kernel.more;
    struct entry *entry;
    bool spent;

    if (old == 0)
        return add(q, fd, interest);
    if (ring == NULL)
        return 0;
    entry = &ring->entries[fd];
    spent = !(old & READYQ__DIRECTIONS) && (entry->interest & READYQ_ONESHOT);
    if (interest != 0 && !(spent && ring->ntodo >= FEW) && !is_same(q, fd)) /* note 3 */
        return -EBADF;
    cancel(q, fd);
    entry->interest = interest;
    entry->shy = false;
    entry->named = spent && (interest & READYQ_ONESHOT);
    if (interest != 0)
        want(q, fd);
    return 0;
}

/* ------------------------------------------------------------------ waiting */

static uint32_t look(int fd, uint32_t interest)
{
    struct pollfd one = {.fd = fd, .events = (short)readyq__to_poll(interest)};

    return poll(&one, 1, 0) == 1 ? (uint32_t)one.revents : 0;
}

/* Note 7: nothing of what was asked for. */
static bool is_unasked(const struct entry *entry, uint32_t events)
{
    return (events & (readyq__to_poll(entry->interest) | POLLHUP | POLLERR)) == 0;
}

static void tell(readyq *q, int fd, uint32_t events)
{
    struct uring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];

    if ((events & (POLLHUP | POLLERR | POLLRDHUP | POLLNVAL)) && !is_same(q, fd)) {
        give_up(q, fd); /* note 3 */
        return;
    }
    if (entry->interest & READYQ_PRIORITY) /* note 10 */
        events = look(fd, entry->interest);
    if (is_unasked(entry, events)) {
        entry->shy = true;
    } else {
        if (entry->shy && !wants_edges(entry)) /* asked anew it would tell of this twice */
            cancel(q, fd);
        entry->shy = false;
        readyq__found(q, readyq__key(q, fd), readyq__from_poll(fd, events));
        if (entry->interest & READYQ_ONESHOT)
            return;
    }
    if (!entry->pending)
        queue(ring, fd);
}

/* Note 4: all that is so now; of an edge where any of its old news is so still. What else of it
 * lies in the ring is told of with that. */
static uint32_t recheck(readyq *q, int fd, uint32_t events)
{
    struct uring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];
    const uint64_t until = ring->taken + readyq__rings_completed(&ring->rings);
    const bool edge = is_edge(entry);
    uint32_t now;

    if (edge && ring->taken <= entry->until)
        return 0;
    now = edge || is_same(q, fd) ? look(fd, entry->interest) : 0;
    if (edge && !(entry->interest & READYQ_PRIORITY) && !(now & (events | POLLNVAL))) /* note 10 */
        return 0;
    entry->until = until;
    return now;
}

static void completed(readyq *q, int fd, const struct io_uring_cqe *cqe, bool old)
{
    struct uring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];
    uint32_t events = cqe->res > 0 ? (uint32_t)cqe->res : 0;

    entry->pending = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (events != 0 && (old || (is_edge(entry) && readyq__rings_completed(&ring->rings) > 0)))
        events = recheck(q, fd, events);
    if (cqe->res < 0 && cqe->res != -ECANCELED)
        give_up(q, fd);
    else if (events != 0)
        tell(q, fd, events);
    else if (!entry->pending) /* notes 4 and 5: to be asked again */
        queue(ring, fd);
}

static bool is_meant(const struct uring *ring, const struct io_uring_cqe *cqe)
{
    const int fd = (int)(uint32_t)cqe->user_data;

    return cqe->user_data != NOBODY && ring->entries[fd].pending &&
           name_request(&ring->entries[fd], fd) == cqe->user_data;
}

/* Takes up to `max` completions of requests that are still meant; the rest stays in the ring. */
static int take(readyq *q, int max)
{
    struct uring *ring = q->kernel.more;
    int n = 0;

    for (uint32_t left = readyq__rings_completed(&ring->rings); left > 0; left--) {
        const bool old = ring->old > 0;
        struct io_uring_cqe cqe;
        bool meant;

        readyq__rings_peek(&ring->rings, &cqe);
        meant = is_meant(ring, &cqe);
        if (meant && n++ == max)
            return max;
        readyq__rings_advance(&ring->rings);
        ring->old -= old;
        ring->taken++;
        if (meant)
            completed(q, (int)(uint32_t)cqe.user_data, &cqe, old);
    }
    return n;
}

static int wait(readyq *q, int max, int64_t timeout)
{
    struct uring *ring = q->kernel.more;
    const size_t told_last = ring->ntodo;
    const int fd = q->kernel.fd;
    uint32_t asked;
    int n, done = 0, error = 0;

    if (ring->turn != q->stats.waits) { /* else the rest of what this very wait was told of */
        ring->turn = q->stats.waits;
        ring->old = readyq__rings_completed(&ring->rings);
    }
    n = take(q, max);
    if (n == 0 || n < max) {
        if (n > 0) /* a wake-up among them would not come again */
            timeout = 0;
        ask_all(q, told_last);
        asked = readyq__rings_unsubmitted(&ring->rings);
        readyq__let_go(q);
        done = readyq__rings_enter(fd, asked, timeout != 0, timeout);
        error = errno;
        readyq__take_hold(q);
        if (q->closed)
            return 0;
        if (done < 0 && error != ETIME && error != EBUSY && error != EAGAIN && error != EINTR)
            return -error;
        n += take(q, max - n);
    }
    if (q->nest >= 0) {
        ask_all(q, 0);
        submit(q);
    }
    if (n == 0 && (done < 0 ? error == EINTR : timeout != 0)) /* note 11 */
        return -EINTR;
    return n;
}

const struct readyq__backend readyq__uring = {
    "io_uring", true, readyq__rings_available, open_ring, close_ring,
    update,     wait, readyq__process_watch};

#elif defined(__linux__)

static int unavailable(void)
{
    return -ENOSYS; /* built with headers older than what it needs */
}

static int open_none(readyq *q)
{
    (void)q;
    return -ENOSYS;
}

const struct readyq__backend readyq__uring = {"io_uring", true, unavailable, open_none,
                                              NULL,       NULL, NULL,        NULL};

#else
typedef int readyq__no_uring; /* this platform has none */
#endif
