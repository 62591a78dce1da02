/* SPDX-License-Identifier: MIT
 *
 * Linux: io_uring, by its raw system calls. Translation only. It is opened by name alone.
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
 *     hang-up comes: it may be of a file that was closed and is still pinned.
 *  4. A completion tells what was so when it came. One that lay in the ring before this wait may
 *     be out of date, so the descriptor is asked again; an edge is checked by poll(2).
 *  5. Requests end with the thread that submitted them (-ECANCELED): they are made again.
 *  6. Files and directories complete at once, and so do devices like /dev/null; the core has them
 *     always ready (`identify`). Which devices these are epoll tells.
 *  7. POLLRDHUP is reported unasked, unlike elsewhere: where it alone came it is waited for the rest
 *     with a multishot request, which does not tell again what it has told.
 *  8. Any thread may submit, so neither SINGLE_ISSUER nor DEFER_TASKRUN is possible.
 *  9. The rings are memory shared with the kernel: a child does not get them.
 * 10. Forbidden by seccomp it is EPERM or ENOSYS, by the sysctl kernel.io_uring_disabled EPERM. A
 *     sandbox may also kill: being opened only on request is all that can be done about that.
 * 11. A wake-up is not let through for POLLPRI alone, and tells of it where other data came too. So
 *     POLLRDBAND is asked for beside it, which lets all through, and poll(2) has the last word.
 * 11. A signal that ends a call which also submitted is not told: it returns how many it took.
 * 12. A request for POLLPRI alone is not woken by what brings it: POLLIN is asked for as well, and
 *     what came for that alone is treated as in note 7.
 */
#include "internal.h"

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif
#endif

#if defined(IORING_POLL_ADD_MULTI) && defined(IORING_ENTER_EXT_ARG)

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define REQUESTS 256      /* the submission ring */
#define COMPLETIONS 4096  /* the completion ring; more is kept by the kernel */
#define NOBODY UINT64_MAX /* completion of a cancellation */

struct entry { /* what is asked of one descriptor */
    uint32_t interest, serial;
    bool pending, queued; /* asked for; to be asked for by the next wait */
    bool shy;             /* note 7 */
};

struct ring {
    void *memory, *requests; /* mappings */
    size_t memory_size, requests_size;
    uint32_t *sq_head, *sq_tail, *sq_array, sq_mask;
    uint32_t *cq_head, *cq_tail, cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    struct entry *entries; /* by descriptor */
    size_t nentries;
    int *todo; /* descriptors to be asked for */
    size_t ntodo, todo_room;
};

/* ------------------------------------------------------------------ opening */

static void unmap(struct ring *ring)
{
    if (ring->memory != NULL)
        munmap(ring->memory, ring->memory_size);
    if (ring->requests != NULL)
        munmap(ring->requests, ring->requests_size);
    free(ring->entries);
    free(ring->todo);
    free(ring);
}

static void *map(int fd, size_t size, off_t what)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_DONTFORK); /* note 9 */
    return memory;
}

static int map_rings(struct ring *ring, int fd, const struct io_uring_params *of)
{
    const size_t sq = of->sq_off.array + of->sq_entries * sizeof(uint32_t);
    const size_t cq = of->cq_off.cqes + of->cq_entries * sizeof(struct io_uring_cqe);
    char *base;

    ring->memory_size = sq > cq ? sq : cq;
    ring->requests_size = of->sq_entries * sizeof(struct io_uring_sqe);
    ring->memory = map(fd, ring->memory_size, IORING_OFF_SQ_RING);
    ring->requests = map(fd, ring->requests_size, IORING_OFF_SQES);
    if (ring->memory == NULL || ring->requests == NULL)
        return -ENOMEM;
    base = ring->memory;
    ring->sq_head = (void *)(base + of->sq_off.head);
    ring->sq_tail = (void *)(base + of->sq_off.tail);
    ring->sq_array = (void *)(base + of->sq_off.array);
    ring->sq_mask = of->sq_entries - 1;
    ring->cq_head = (void *)(base + of->cq_off.head);
    ring->cq_tail = (void *)(base + of->cq_off.tail);
    ring->cqes = (void *)(base + of->cq_off.cqes);
    ring->cq_mask = of->cq_entries - 1;
    ring->sqes = ring->requests;
    return 0;
}

static int open_ring(readyq *q)
{
    struct io_uring_params of = {.flags = IORING_SETUP_CQSIZE, .cq_entries = COMPLETIONS};
    const uint32_t needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SINGLE_MMAP;
    struct ring *ring = calloc(1, sizeof *ring);
    int error = 0;

    if (ring == NULL)
        return -ENOMEM;
    q->kernel.fd = (int)syscall(SYS_io_uring_setup, REQUESTS, &of); /* close-on-exec by itself */
    if (q->kernel.fd < 0)
        error = -errno;
    else if ((of.features & needed) != needed)
        error = -ENOSYS;
    else
        error = map_rings(ring, q->kernel.fd, &of);
    if (error < 0) {
        if (q->kernel.fd >= 0)
            close(q->kernel.fd);
        q->kernel.fd = -1;
        unmap(ring);
        return error;
    }
    q->kernel.more = ring;
    return 0;
}

static void close_ring(readyq *q, bool forked)
{
    struct ring *ring = q->kernel.more;

    if (q->kernel.fd < 0)
        return;
    if (forked)
        ring->memory = ring->requests = NULL; /* note 9 */
    close(q->kernel.fd);
    q->kernel.fd = -1;
    unmap(ring);
    q->kernel.more = NULL;
}

/* As far as can be told without trying (note 10): the kernel's age, and its administrator's will. */
static int available(void)
{
    FILE *switched = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    struct utsname name;
    unsigned major = 0, minor = 0;
    int off = 0;

    if (switched != NULL) {
        if (fscanf(switched, "%d", &off) != 1)
            off = 0;
        fclose(switched);
    }
    if (off == 2 || (off == 1 && geteuid() != 0))
        return -EPERM;
    if (uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
        (major < 5 || (major == 5 && minor < 13)))
        return -ENOSYS;
    return 0;
}

/* ------------------------------------------------------------------ the submission ring */

static int enter(int fd, uint32_t submit, uint32_t complete, int64_t timeout)
{
    struct __kernel_timespec time = {timeout / 1000000000, timeout % 1000000000};
    struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8, .ts = (uint64_t)(uintptr_t)&time};
    const bool timed = timeout > 0;

    return (int)syscall(SYS_io_uring_enter, fd, submit, complete,
                        IORING_ENTER_GETEVENTS | (timed ? IORING_ENTER_EXT_ARG : 0),
                        timed ? (void *)&arg : NULL, timed ? sizeof arg : (size_t)0);
}

static uint32_t unsubmitted(const struct ring *ring)
{
    return *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

/* Has the kernel take all that is in the ring; another thread may be at it too. */
static void submit(readyq *q)
{
    const struct ring *ring = q->kernel.more;
    uint32_t n;

    while ((n = unsubmitted(ring)) > 0) {
        q->stats.changes++;
        if (enter(q->kernel.fd, n, 0, 0) < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY)
            break;
    }
}

static void put(readyq *q, uint8_t operation, int fd, uint64_t what, uint32_t bits, uint32_t flags)
{
    struct ring *ring = q->kernel.more;
    const uint32_t tail = *ring->sq_tail, place = tail & ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->sqes[place];

    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = operation;
    sqe->fd = fd;
    if (operation == IORING_OP_POLL_ADD) {
        sqe->user_data = what;
        sqe->poll32_events = bits;
        sqe->len = flags;
    } else {
        sqe->user_data = NOBODY;
        sqe->addr = what;
    }
    ring->sq_array[place] = place;
    __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
    if (unsubmitted(ring) > ring->sq_mask)
        submit(q);
}

static uint64_t name_request(const struct entry *entry, int fd)
{
    return (uint64_t)entry->serial << 32 | (uint32_t)fd;
}

static bool is_edge(const struct entry *entry)
{
    return entry->shy || ((entry->interest & READYQ_EDGE) && !(entry->interest & READYQ_ONESHOT));
}

static void ask(readyq *q, int fd)
{
    struct ring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];
    uint32_t bits = readyq__to_poll(entry->interest);

    if (entry->interest & READYQ_PRIORITY)
        bits |= POLLIN; /* note 12 */
    if (entry->interest & READYQ_EXCLUSIVE)
        bits |= EPOLLEXCLUSIVE;
    if (is_edge(entry))
        bits |= EPOLLET;
    if (entry->interest & READYQ_PRIORITY) /* note 11 */
        bits |= POLLRDBAND;
    entry->serial++;
    entry->pending = true;
    put(q, IORING_OP_POLL_ADD, fd, name_request(entry, fd), bits,
        is_edge(entry) ? IORING_POLL_ADD_MULTI : 0);
}

/* Note 2: has gone when this returns. */
static void cancel(readyq *q, int fd)
{
    struct ring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];

    if (!entry->pending)
        return;
    put(q, IORING_OP_POLL_REMOVE, -1, name_request(entry, fd), 0, 0);
    submit(q);
    entry->pending = false;
    entry->serial++;
}

/* Note 3. */
static bool is_same(const readyq *q, int fd)
{
    const readyq_watch *w = q->slots[fd].watch;

    return w != NULL && readyq__same_file(w);
}

/* The number is not this watch's file any more: nothing is asked or told of it. */
static void give_up(readyq *q, int fd)
{
    struct ring *ring = q->kernel.more;

    ring->entries[fd].interest = 0;
    if (q->slots[fd].watch != NULL && q->slots[fd].watch->kind == READYQ_KIND_FD)
        readyq__abandon(q, q->slots[fd].watch);
}

/* All that is to be asked for, into the ring: from number `first` on, and then those before, which
 * were told last. */
static void ask_all(readyq *q, size_t first)
{
    struct ring *ring = q->kernel.more;

    for (size_t i = 0; i < ring->ntodo; i++) {
        const int fd = ring->todo[(first + i) % ring->ntodo];
        struct entry *entry = &ring->entries[fd];

        entry->queued = false;
        if (!(entry->interest & READYQ__DIRECTIONS) || entry->pending)
            continue;
        if (is_same(q, fd))
            ask(q, fd);
        else
            give_up(q, fd);
    }
    ring->ntodo = 0;
}

/* ------------------------------------------------------------------ changing */

static int make_room(struct ring *ring, int fd)
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

static void queue(struct ring *ring, int fd)
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

/* Note 6. */
static bool never_blocks(int fd)
{
    struct epoll_event event = {0};
    struct stat file;
    bool refused;
    int set;

    if (fstat(fd, &file) < 0 || !S_ISCHR(file.st_mode))
        return false;
    set = epoll_create1(EPOLL_CLOEXEC);
    refused = set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 && errno == EPERM;
    if (set >= 0)
        close(set);
    return refused;
}

static int add(readyq *q, int fd, uint32_t interest)
{
    struct ring *ring = q->kernel.more;
    const int error = make_room(ring, fd);

    if (error < 0)
        return error;
    if (never_blocks(fd))
        return -EPERM;
    cancel(q, fd); /* of an earlier file of this number */
    ring->entries[fd].shy = false;
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
    struct ring *ring = q->kernel.more;
    struct entry *entry;

    if (old == 0)
        return add(q, fd, interest);
    if (ring == NULL || (size_t)fd >= ring->nentries)
        return 0;
    entry = &ring->entries[fd];
    if (interest != 0 && (old & READYQ__DIRECTIONS) && !is_same(q, fd))
        return -EBADF;
    cancel(q, fd);
    entry->interest = interest;
    entry->shy = false;
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
    struct ring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];

    if ((events & (POLLHUP | POLLERR | POLLRDHUP)) && !is_same(q, fd)) {
        give_up(q, fd); /* note 3 */
        return;
    }
    if (entry->interest & READYQ_PRIORITY) /* note 11 */
        events = look(fd, entry->interest);
    if (events == 0) {
        if (!entry->pending)
            queue(ring, fd);
        return;
    }
    if (is_unasked(entry, events)) {
        entry->shy = true;
    } else {
        if (entry->shy)
            cancel(q, fd);
        entry->shy = false;
        readyq__found(q, readyq__key(q, fd), readyq__from_poll(fd, events));
        if (entry->interest & READYQ_ONESHOT)
            return;
    }
    if (!entry->pending)
        queue(ring, fd);
}

static void completed(readyq *q, int fd, const struct io_uring_cqe *cqe, bool old)
{
    struct ring *ring = q->kernel.more;
    struct entry *entry = &ring->entries[fd];

    entry->pending = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (cqe->res < 0 && cqe->res != -ECANCELED)
        give_up(q, fd);
    else if (cqe->res >= 0 && (!old || (is_edge(entry) && look(fd, entry->interest) != 0)))
        tell(q, fd, (uint32_t)cqe->res);
    else if (!entry->pending) /* notes 4 and 5: to be asked again */
        queue(ring, fd);
}

/* Takes up to `max` completions of requests that are still meant; the rest stays in the ring. */
static int take(readyq *q, int max, bool old)
{
    struct ring *ring = q->kernel.more;
    const uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    uint32_t head = *ring->cq_head;
    int n = 0;

    while (head != tail && n < max) {
        const struct io_uring_cqe cqe = ring->cqes[head++ & ring->cq_mask];
        const int fd = (int)(uint32_t)cqe.user_data;

        __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
        if (cqe.user_data == NOBODY || (size_t)fd >= ring->nentries ||
            name_request(&ring->entries[fd], fd) != cqe.user_data || !ring->entries[fd].pending)
            continue;
        completed(q, fd, &cqe, old);
        n++;
    }
    return n;
}

static int wait(readyq *q, int max, int64_t timeout)
{
    struct ring *ring = q->kernel.more;
    const size_t told_last = ring->ntodo;
    const int fd = q->kernel.fd;
    uint32_t n;
    int done, error;

    take(q, INT32_MAX, true);
    if (readyq__unpromised(q) > 0)
        timeout = 0;
    ask_all(q, told_last);
    n = unsubmitted(ring);
    readyq__unlock(q);
    done = enter(fd, n, timeout != 0, timeout);
    error = errno;
    readyq__lock(q);
    if (q->closed)
        return 0;
    if (done < 0 && error != ETIME && error != EBUSY && error != EAGAIN && error != EINTR)
        return -error;
    n = (uint32_t)take(q, max, false);
    if (q->nest >= 0) {
        ask_all(q, 0);
        submit(q);
    }
    if (n == 0 && (done < 0 ? error == EINTR : timeout != 0)) /* note 11 */
        return -EINTR;
    return (int)n;
}

const struct readyq__backend readyq__uring = {"io_uring", true,   available, open_ring,
                                              close_ring, update, wait,      NULL};

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
