/* SPDX-License-Identifier: MIT
 *
 * What the files of the core share: struct readyq, the seam to the kernel, and the functions by
 * which one noun calls another. Nothing here is for users of the library.
 *
 * Lock      One mutex in each queue guards all of it but the atomics. It is let go around every
 *           system call that may sleep, and for looks but those of a rebuild. Functions named
 *           readyq__x expect it held where their queue is an argument, unless they say otherwise.
 *           Order: the registry of queues (fork.c), then a queue, then the table of signals.
 */
#ifndef READYQ_INTERNAL_H
#define READYQ_INTERNAL_H

#include "readyq.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define readyq__alone() (__libc_single_threaded)
#endif
#endif
#ifndef readyq__alone
#define readyq__alone() (false)
#endif

#define READYQ__DIRECTIONS (READYQ_READ | READYQ_WRITE | READYQ_PRIORITY)
#define READYQ__MODES (READYQ_EDGE | READYQ_ONESHOT | READYQ_EXCLUSIVE)
#define READYQ__HANGUP 0x800u     /* among found bits: the kernel says so, asked or not */
#define READYQ__FOREVER INT64_MAX /* a deadline that never comes */
#define READYQ__BATCH 256         /* kernel events taken in one system call at most */
#define READYQ__GHOSTS 64         /* ghosts kept for telling; more at once are only counted */

#define readyq__owner(link, member)                                                                \
    ((readyq_watch *)(void *)((char *)(link)-offsetof(readyq_watch, own.member)))

/* ------------------------------------------------------------------ the seam to the kernel */

/* What one kernel queue holds. */
struct readyq__kernel {
    int fd; /* its descriptor, -1 when there is none */
};

/* A backend only translates: what all kernels share is done once, in the core. The kernel gets
 * readyq__key(): a descriptor's number and its generation, never a pointer. */
struct readyq__backend {
    const char *name;

    /* Fills q->kernel. 0 or -errno. */
    int (*open)(readyq *q);

    /* Gives q->kernel up. `forked`: in a child, where it is still the parent's too. */
    void (*close)(readyq *q, bool forked);

    /* From `old` to `interest`, READYQ_ bits: old 0 adds, interest 0 removes. EDGE without a
     * direction is a registration that stays silent as far as the kernel can. Of a descriptor
     * that was closed, removing succeeds and changing is -EBADF. -EPERM: the kernel does not
     * watch this kind of file, which never blocks. -EEXIST: it has this very file under this very
     * number. */
    int (*update)(readyq *q, int fd, uint32_t old, uint32_t interest);

    /* Asks for up to `max` events, sleeping up to `timeout` ns (-1: for ever), and calls
     * readyq__found() for each. Lets go of the lock around the system call, by readyq__let_go().
     * Returns how many events the kernel gave, 0 also before the time is over, or -errno. */
    int (*wait)(readyq *q, int max, int64_t timeout);

    /* Watches the end of w->pid, or no longer: readyq__process_watch(), unless the kernel tells of
     * it by itself. -ESRCH: there is none. */
    int (*process)(readyq *q, readyq_watch *w, bool watched);
};

/* A platform has one backend. */
#if defined(__linux__)
#define READYQ__BACKEND readyq__epoll
#else
#define READYQ__KQUEUE
#define READYQ__BACKEND readyq__kqueue
#endif
extern const struct readyq__backend READYQ__BACKEND;

/* ------------------------------------------------------------------ the queue */

/* What stands behind a descriptor's number. Each registration has its own generation. */
struct readyq__slot {
    readyq_watch *watch;
    uint32_t generation;
    uint32_t ghost; /* rebuilds there had been, and one, when a ghost of it was last counted */
};

/* A timer in the heap. Equal deadlines go off in the order they were set. */
struct readyq__timer {
    int64_t due;
    uint64_t order;
    readyq_watch *watch;
};

/* Watches found ready and not yet taken, in the order they were found. A watch that goes leaves a
 * hole. Indices only grow; at[index & mask] is the place. head <= limit <= tail. */
struct readyq__ring {
    readyq_watch **at;
    uint32_t mask;                  /* room - 1, or 0 without room */
    uint32_t head, limit, tail;     /* next to be taken; end of what waits have promised; end */
    uint32_t holes_promised, holes; /* before the limit; after it */
    uint32_t seen;                  /* nothing level-triggered between the limit and here */
};

struct readyq {
    pthread_mutex_t lock;
    const struct readyq__backend *backend;
    struct readyq__kernel kernel;
    struct readyq__slot *slots; /* by descriptor */
    size_t nslots;
    struct readyq__ring ready;
    struct readyq__link always;   /* descriptors that the kernel refuses: always ready */
    struct readyq__link quiet;    /* level ones handed to one of several waiters (wait.c) */
    struct readyq__link stale;    /* found dead, for readyq_stale() */
    struct readyq__link fireable; /* signals and triggers */
    struct readyq__link children; /* processes watched by SIGCHLD */
    struct readyq__timer *timers; /* a heap (timers.c) */
    size_t ntimers, timer_room;
    uint64_t timer_order;
    size_t size;                   /* watches in the queue */
    bool exclusive;                /* one of them is, or was, EXCLUSIVE */
    uint64_t clears, clears_asked; /* registrations that went: ever, when the kernel was asked */
    bool haunted;                  /* a ghost fires: build the kernel queue anew */
    bool rebuilding;               /* that is under way: a look keeps the lock */
    int ghosts[READYQ__GHOSTS], nghosts; /* for readyq_ghost() */

    bool virtual_clock, interruptible, closed;
    atomic_bool forked;     /* this is a child, and the kernel queue still its parent's */
    int64_t now;            /* the virtual clock */
    bool leading;           /* a thread asks the kernel */
    int followers;          /* threads that wait for it to come back */
    int baton, baton_write; /* what wakes one of them */
    int inside;             /* threads in a wait */
    int refs;

    readyq_watch wakeup;         /* a descriptor in the set like any other */
    int wakeup_write;            /* its other end */
    atomic_bool kicked, woken;   /* wakeup was written; readyq_wake() was called */
    atomic_int kicking;          /* threads about to write to it */
    atomic_uint_fast64_t wakes;  /* for the statistics */
    atomic_bool shut;            /* nobody may write to it any more */
    _Atomic(readyq_watch *) hot; /* stack of fired watches */
    readyq_watch child_signal;   /* SIGCHLD, where the kernel has no pidfd */

    int nest, nest_timer;    /* readyq_fileno(): the kernel queue and the next deadline */
    int64_t nest_due;        /* what nest_timer is set to */
    readyq *next, *previous; /* in the registry */
    struct readyq_stats stats;
};

enum { READYQ__UNUSED = 0, READYQ__ACTIVE, READYQ__STALE, READYQ__DROPPED }; /* own.state */

/* own.flags */
enum {
    READYQ__LISTED = 1, /* in q->ready */
    READYQ__ALWAYS = 2, /* the kernel refuses it: always ready */
    READYQ__QUIET = 4,  /* EDGE in the kernel though it is level (wait.c) */
    READYQ__ECHO = 8,   /* the kernel will tell once more what is known already */
    READYQ__SAID = 16,  /* always ready, EDGE, and reported */
    READYQ__ODD = 32    /* anything but a descriptor that is armed and not ONESHOT */
};

/* ------------------------------------------------------------------ lock, lists, keys */

/* A process that has one thread takes no lock: glibc tells, and it cannot change in between. */
static inline void readyq__lock(readyq *q)
{
    if (!readyq__alone())
        pthread_mutex_lock(&q->lock);
}

static inline void readyq__unlock(readyq *q)
{
    if (!readyq__alone())
        pthread_mutex_unlock(&q->lock);
}

/* Around a system call that asks the kernel. */
static inline void readyq__let_go(readyq *q)
{
    if (!q->rebuilding)
        readyq__unlock(q);
}

static inline void readyq__take_hold(readyq *q)
{
    if (!q->rebuilding)
        readyq__lock(q);
}

static inline void readyq__list_init(struct readyq__link *list)
{
    list->next = list->prev = list;
}

static inline bool readyq__list_empty(const struct readyq__link *list)
{
    return list->next == list;
}

/* Before `at`: at a list's head this is its end. */
static inline void readyq__link_before(struct readyq__link *at, struct readyq__link *link)
{
    link->next = at;
    link->prev = at->prev;
    at->prev->next = link;
    at->prev = link;
}

static inline void readyq__unlink(struct readyq__link *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

static inline uint64_t readyq__key(const readyq *q, int fd)
{
    return (uint64_t)q->slots[fd].generation << 32 | (uint32_t)fd;
}

/* ------------------------------------------------------------------ queue.c */

/* Takes the lock. -ESHUTDOWN when closed; after a fork builds the child's queue first. On
 * failure the lock is not held. */
int readyq__enter(readyq *q);
void readyq__leave(readyq *q);

/* In a child, before anything else: no other thread is there, and the last one out of a closed
 * queue, who was to tear it down, neither. */
void readyq__begin_child(readyq *q);

/* A thread comes out of a wait: the last one out of a closed queue tears it down. Lets go of the
 * lock. */
void readyq__come_outside(readyq *q);

/* ------------------------------------------------------------------ watches.c */

/* Readies a watch for the queue. -EBUSY: it is in one. -ENOMEM. */
int readyq__admit(readyq *q, readyq_watch *w, enum readyq_kind kind);
void readyq__settle(readyq *q, readyq_watch *w); /* its add succeeded */
void readyq__arm(readyq_watch *w, bool armed);

/* Registers w->fd in the table and the kernel, and undoes it. */
int readyq__register(readyq *q, readyq_watch *w);
void readyq__unregister(readyq *q, readyq_watch *w);
void readyq__vacate(readyq *q, int fd);
uint32_t readyq__kernel_interest(const readyq_watch *w);

/* Takes a watch out of all that holds it; `state` is what becomes of it. */
void readyq__detach(readyq *q, readyq_watch *w, int state);
void readyq__abandon(readyq *q, readyq_watch *w); /* its descriptor's number is another's now */
bool readyq__same_file(const readyq_watch *w);    /* still the file the kernel refused? */

/* ------------------------------------------------------------------ ready.c */

void readyq__found_stale(readyq *q, int fd);
void readyq__found_odd(readyq *q, readyq_watch *w, uint32_t bits);

/* Puts a watch in line, or adds to what was found of one that is; takes it out. */
void readyq__list(readyq *q, readyq_watch *w, uint32_t bits);
void readyq__unlist(readyq *q, readyq_watch *w);
int readyq__make_line(readyq *q, size_t watches); /* room for so many; -ENOMEM */

/* What was asked for, with an end only where its direction was. What the kernel reports unasked is
 * let through where nothing else is left: it would be reported for ever. */
static inline uint32_t readyq__mask(uint32_t bits, uint32_t interest)
{
    const uint32_t asked = interest & READYQ__DIRECTIONS;
    const uint32_t ends = (asked & (READYQ_READ | READYQ_WRITE)) << 4;
    const uint32_t found = bits & (asked | ends | READYQ_ERROR);

    if (found == 0 && (bits & READYQ__HANGUP))
        return READYQ_READ_CLOSED | READYQ_WRITE_CLOSED;
    return found != 0 ? found : bits & ~READYQ__DIRECTIONS;
}

/* One kernel event: `bits` are READYQ_ bits, unmasked. In line: it is the way of every event. */
static inline void readyq__found(readyq *q, uint64_t key, uint32_t bits)
{
    const struct readyq__slot *slot = &q->slots[(uint32_t)key];
    readyq_watch *w = slot->watch;

    if (slot->generation != (uint32_t)(key >> 32)) {
        readyq__found_stale(q, (int)(uint32_t)key);
    } else if (w->own.flags & (READYQ__ODD | READYQ__ECHO | READYQ__LISTED)) {
        readyq__found_odd(q, w, bits);
    } else if ((bits = readyq__mask(bits, w->interest)) != 0) {
        struct readyq__ring *ring = &q->ready;

        if (ring->tail - ring->head > ring->mask) {
            readyq__list(q, w, bits);
            return;
        }
        w->own.found = bits;
        w->own.flags |= READYQ__LISTED;
        w->own.place = ring->tail;
        ring->at[ring->tail++ & ring->mask] = w;
    }
}

/* How many are in line: beyond those promised, and all. */
static inline uint32_t readyq__unpromised(const readyq *q)
{
    return q->ready.tail - q->ready.limit - q->ready.holes;
}

static inline uint32_t readyq__listed(const readyq *q)
{
    return readyq__unpromised(q) + q->ready.limit - q->ready.head - q->ready.holes_promised;
}

/* Promises up to `max` more (0: all) to readyq_next(), and returns how many; or takes all
 * promises back. */
int readyq__promise(readyq *q, int max);
void readyq__take_back(readyq *q);

/* ------------------------------------------------------------------ wait.c */

/* Has everything found that is ready now. */
int readyq__look_all(readyq *q);

/* ------------------------------------------------------------------ pollbits.c */

uint32_t readyq__to_poll(uint32_t interest);
uint32_t readyq__from_poll(int fd, uint32_t events);
uint32_t readyq__ask_closed(int fd, uint32_t closed); /* `closed` if the peer stopped writing */

/* ------------------------------------------------------------------ wakeup.c */

int readyq__wakeup_open(readyq *q);
void readyq__wakeup_close(readyq *q);
void readyq__wakeup_drain(readyq *q);

/* Gets the thread that asks the kernel to look around. No lock; from a signal handler. */
void readyq__kick(readyq *q);

/* The baton: a descriptor on which followers sleep and can be interrupted. */
int readyq__baton_open(readyq *q);
void readyq__baton_pass(readyq *q, int followers);
int readyq__baton_await(readyq *q, int64_t timeout); /* lets go of the lock; -EINTR */
void readyq__baton_close(readyq *q);

/* ------------------------------------------------------------------ timers.c */

int64_t readyq__now(const readyq *q);
int64_t readyq__deadline(int64_t now, int64_t timeout);
int64_t readyq__next_due(const readyq *q); /* READYQ__FOREVER when there is none */
void readyq__expire(readyq *q, int64_t now);
void readyq__timer_remove(readyq *q, readyq_watch *w);

/* ------------------------------------------------------------------ triggers.c, signals.c */

int readyq__fire(readyq_watch *w); /* no lock; from a signal handler */
void readyq__fire_init(readyq_watch *w);
void readyq__fire_start(readyq_watch *w); /* once it has a queue */
void readyq__fire_stop(readyq_watch *w);
void readyq__collect_fired(readyq *q);

int readyq__signal_start(readyq_watch *w, int signal);
void readyq__signal_stop(readyq_watch *w);
void readyq__signals_lock(void);
void readyq__signals_unlock(void);
void readyq__signals_child(void);

/* ------------------------------------------------------------------ processes.c */

int readyq__process_watch(readyq *q, readyq_watch *w, bool watched); /* by pidfd or SIGCHLD */
void readyq__process_ended(readyq *q, readyq_watch *w);              /* its pidfd tells */
void readyq__reap_news(readyq *q);                                   /* SIGCHLD came */
int readyq__processes_rewatch(readyq *q);                            /* in a new kernel queue */

/* Where the backend tells: what it said to being asked to, and that one has ended. */
int readyq__process_told(readyq *q, readyq_watch *w, int error);
void readyq__process_exited(readyq *q, pid_t pid);

/* ------------------------------------------------------------------ rebuild.c, fork.c, nest.c */

int readyq__rebuild(readyq *q);         /* loses ghosts, keeps edges */
int readyq__rebuild_forked(readyq *q);  /* the child's own */
void readyq__forget_threads(readyq *q); /* in the child, while it has one */
void readyq__enlist(readyq *q);         /* the registry; no lock held */
void readyq__delist(readyq *q);

void readyq__nest_update(readyq *q); /* what readyq_fileno() shows */
void readyq__nest_leave(readyq *q);  /* before the kernel queue that is polled there is closed */
int readyq__nest_rebuild(readyq *q, bool forked);
void readyq__nest_close(readyq *q);

#endif
