/* SPDX-License-Identifier: MIT
 *
 * What the files of the core share: struct readyq with its invariants, the two seams (kernels
 * below, kinds of sources above), and the functions by which one file calls another.
 *
 * Folders. core/ itself holds the queue: its table of watches, its ready list, batches and waiting.
 * kernels/ translates epoll and kqueue, sources/ has a file for each kind of source except
 * descriptors. recording/ and watchdog/ observe: they write down what the queue does
 * (readyq_record(), timelines) and warn about mistakes of the program (debug mode, which also wakes
 * up once a second to look). The queue works without them.
 *
 * Order of the files. Each calls only files that stand before it (tools/order.py, in `make lint`):
 *
 *     describe  explain  epoch  lock  clock  record  sleeps  wakeup  heap  handlers  ready  batches
 *     kevents  progress  watchdog  spins  turns  oversights  epoll  kqueue  pollable  table  rebuild
 *     fork  circles  gate  warnings  watches  timers  signals  processes  triggers  queue  check
 *     deliveries  wait  recording  json  lanes  save
 *
 * Terms. A kick is a write that ends one thread's sleep (wakeup.c). A ghost is a registration that
 * the kernel keeps after its descriptor was closed (rebuild.c). A watch is muted while the kernel
 * is told not to report it, and unconfirmed while it is not known whether it is still ready.
 *
 * Lock. One mutex in each queue guards everything in it except the atomics. It is not held while a
 * thread is in the kernel to wait. Functions readyq__x that take a queue expect its lock to be
 * held, unless they say otherwise. Order of locks: the registry of queues (fork.c), a queue, the
 * table of signal handlers (handlers.c).
 *
 * Invariants
 *  1. A watch that is in a queue has one place (enum readyq__place); own.link is in the list of
 *     that place. A watch stays TAKEN until `done`, the next wait of the thread, `modify` or
 *     `remove`, or until its descriptor or the queue is closed.
 *  2. While a batch holds a watch no other batch gets it. What happens to it meanwhile is noted in
 *     own.event: it is part of the delivery if the watch has not been taken yet, and otherwise
 *     listed when the batch gives it back. With several batches open a level-triggered watch is
 *     registered for one event (ONE_EVENT) or muted when it is reported again, and armed when it is
 *     given back.
 *  3. An event counts only if its generation is that of the slot. Each change of a registration
 *     gives a new generation.
 *  4. A level-triggered watch that was ready and not taken may have been drained since: it is
 *     unconfirmed. Its event is 0, it is on the ready list, and if it is ready it is reported
 *     again, by the kernel or by a thread that has fetched its event and waits for the lock. Taking
 *     it off the list costs it only its place in the order.
 *  5. When something is left for a wait and a thread sleeps, a kick is under way. Every call that
 *     may leave something ensures this in readyq__leave(); wake() and signal handlers publish first
 *     and read `sleepers` afterwards, and a thread that is about to sleep does the reverse.
 *  6. No thread is in the kernel (`in_kernel` is 0) while the kernel queue is replaced or closed.
 *
 * Legal combinations, by place:
 *     IDLE            event 0; any flags
 *     LISTED          event set; or 0, unconfirmed, on the ready list only, without MUTED
 *     TAKEN           event 0, or what was noted meanwhile
 *     STALE           event 0; flags 0
 * and by flag:
 *     ONE_EVENT       level-triggered descriptors only; MUTED with it: the kernel disarmed it
 *     FILE            descriptors only; never with ONE_EVENT or MUTED
 */
#ifndef READYQ_INTERNAL_H
#define READYQ_INTERNAL_H

#include "readyq.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define readyq__alone() (__libc_single_threaded)
#else
#define readyq__alone() (false)
#endif

/* Linux has epoll, eventfd, timerfd and pidfd, unless tests emulate a kernel with kqueue
 * (tests/kqueue): then READYQ_KQUEUE is defined. */
#if defined(__linux__) && !defined(READYQ_KQUEUE)
#define READYQ__HAS_EPOLL 1
#else
#define READYQ__HAS_EPOLL 0
#endif

#define READYQ__OUT_OF_LINE __attribute__((noinline)) /* so that its caller needs no stack frame */

#define READYQ__DIRECTIONS (READYQ_READ | READYQ_WRITE | READYQ_PRIORITY)
#define READYQ__MODES (READYQ_EDGE | READYQ_ONESHOT | READYQ_EXCLUSIVE)
#define READYQ__HANGUP 0x800u      /* among event bits: reported though it was not asked for */
#define READYQ__FOREVER INT64_MAX  /* a deadline that never comes */
#define READYQ__NOWHERE UINT32_MAX /* heap_index of a timer that is not in the heap */
#define READYQ__FETCH 256          /* kernel events taken in one system call at most */
#define READYQ__GHOSTS 64 /* ghosts remembered; if there are more at once, some are counted twice */

/* own.place */
enum readyq__place {
    READYQ__IDLE = 0, /* in no list; also while it is in no queue */
    READYQ__LISTED,   /* on the ready list, or in a batch and not yet taken */
    READYQ__TAKEN,    /* in a batch, taken */
    READYQ__STALE,    /* in q->stale: its descriptor was closed */
};

/* own.flags. 0 with place IDLE and event 0 is the plain watch, which takes the short path. */
enum {
    READYQ__SLOW = 1,      /* anything but a descriptor that is armed and not ONESHOT */
    READYQ__FILE = 2,      /* never blocks: always ready, unknown to the kernel queue */
    READYQ__ONE_EVENT = 4, /* level-triggered, registered for one event: several batches are open */
    READYQ__MUTED = 8,     /* level-triggered and held: the kernel does not report it */
    READYQ__REPLACES = 16, /* of a signal: readyq_replace_signal() */
    READYQ__TOLD = 32      /* of a signal: the watchdog has warned that it is blocked */
};

/* ------------------------------------------------------------------ the seam to the kernel */

/* A backend only translates: what all kernels share is done in the core. */
struct readyq__backend {
    const char *name;

    /* Opens the kernel queue q->kernel. 0 or -errno. */
    int (*open)(readyq *q);

    /* Closes it. `forked`: in a child, which shares the kernel queue with its parent. */
    void (*close)(readyq *q, bool forked);

    /* Changes the registration of `fd` from `old` to `interest`, READYQ_ bits; old 0 adds, interest
     * 0 removes. EDGE without a direction is a registration that stays silent as far as the kernel
     * can. The kernel is given readyq__key(). Removing a registration that does not exist succeeds.
     * -EEXIST: the kernel already has this file under this number. -EPERM: this kind of file never
     * blocks. -EBADF: not open. -ENOENT: there is no registration to change; the number is another
     * file's. After a failure the registration is unchanged and keeps its previous generation. */
    int (*update)(readyq *q, int fd, uint32_t old, uint32_t interest);

    /* Returns whether the registration of the slot's generation still exists, that is, whether the
     * number has not been closed since. NULL if update() returns -EEXIST by itself. */
    bool (*is_registered)(readyq *q, int fd);

    /* Returns whether `fd` is a kernel queue; with `as` >= 0, whether both are the same one. NULL
     * if the kernel itself refuses queues that watch each other in a circle. */
    bool (*is_queue)(int fd, int as);

    /* Whether a registration stays after its number was closed, as long as a duplicate is open. */
    bool has_ghosts;

    /* Fetches up to `max` events, sleeping up to `timeout` ns (-1: forever), and calls
     * readyq__event_plain() or readyq__event_other() for each. Releases the lock around the system
     * call, by readyq__unlock_for_syscall() and readyq__relock(). Returns the number of kernel
     * events, which may be 0 even before the timeout, or -errno. */
    int (*wait)(readyq *q, int max, int64_t timeout);

    /* Starts or stops watching for the end of process w->pid. NULL if the kernel queue cannot watch
     * processes. -ESRCH: it has ended. */
    int (*watch_process)(readyq *q, readyq_watch *w, bool start);

    /* Calls report() for each registration, with the key and the READYQ_ bits it was registered
     * with. NULL if the kernel does not list its registrations. 0, or -errno. */
    int (*list)(readyq *q, void (*report)(void *data, int fd, uint64_t key, uint32_t interest),
                void *data);
};

#if READYQ__HAS_EPOLL
#define READYQ__BACKEND readyq__epoll
#else
#define READYQ__BACKEND readyq__kqueue
#endif
extern const struct readyq__backend READYQ__BACKEND;

/* Also part of the backend, but independent of any struct readyq: adds kernel queue `inner` to
 * kernel queue `outer`, which then polls readable while `inner` does. 0, -ELOOP or another -errno.
 * */
int readyq__put_in(int outer, int inner);

/* ------------------------------------------------------------------ the seam to the sources */

/* What distinguishes the kinds of sources, by enum readyq_kind and the two below. */
struct readyq__kind {
    /* Checks the arguments of a prepared watch and starts watching: a registration, a place in a
     * list. 0 or -errno; its changes to the watch are then undone. Timers have a shorter path. */
    int (*start)(readyq *q, readyq_watch *w);

    /* Called when the descriptor of a watch, or the handler of its signal, reports READYQ_ bits.
     * NULL if the kind has neither. */
    void (*event)(readyq *q, readyq_watch *w, uint32_t bits);

    /* Called when readyq_next() takes a watch that has a flag: sets `count`, and disarms the watch
     * or takes it out of the queue where its kind requires that. */
    void (*deliver)(readyq *q, readyq_watch *w);

    /* Called when a batch gives the watch back, except for a plain watch that was taken while one
     * batch is open: arms or lists it again if necessary. NULL: nothing to do. */
    void (*give_back)(readyq *q, readyq_watch *w);

    /* Ends what start() began. */
    void (*stop)(readyq *q, readyq_watch *w);
};

enum {                          /* internal kinds */
       READYQ__KIND_WAKEUP = 6, /* the descriptor by which sleeps are ended */
       READYQ__KIND_SIGCHLD,    /* watches children where the kernel has no pidfd */
       READYQ__KINDS
};

extern const struct readyq__kind readyq__kind_fd, readyq__kind_timer, readyq__kind_signal,
    readyq__kind_process, readyq__kind_trigger, readyq__kind_wakeup, readyq__kind_sigchld;

/* ------------------------------------------------------------------ the queue */

/* The table by descriptor number. */
struct readyq__slot {
    readyq_watch *watch;
    uint32_t generation; /* of the registration, which gets a new one with each change */
    uint32_t changed;    /* the low half of q->fetches when the generation began */
};

/* A timer in the heap. */
struct readyq__timer {
    int64_t due;
    uint32_t order;
    readyq_watch *watch;
};

struct readyq {
    pthread_mutex_t lock;
    int cancel_state; /* of the thread that holds the lock: pthread_setcancelstate() */
    int kernel;       /* the kernel queue's descriptor, or -1 */
    int next_kernel;  /* of the next kernel queue, being filled to remove a ghost; or -1 */
    size_t filled;    /* descriptors below this number are in the next kernel queue, too */
    const struct readyq__backend *backend;
    const struct readyq__kind *const *kinds;

    struct readyq__slot *slots; /* the table by descriptor */
    size_t nslots;
    size_t size;    /* watches in the queue */
    bool exclusive; /* one of them is, or was, EXCLUSIVE */

    struct readyq__link ready; /* events that no batch holds, in order */
    size_t nready;             /* its length, and how many `unlinked` watches came from it */
    size_t unlinked;           /* watches that were taken off it or out of a batch, untaken */
    bool may_be_level;         /* false: no watch on it is level-triggered */
    bool any_unconfirmed;      /* false: no watch on it is unconfirmed */
    size_t nfiles;             /* watches that are FILE */
    struct readyq__link batches;
    unsigned nbatches;         /* open ones */
    struct readyq__link stale; /* for readyq_stale() */

    struct readyq__link signals, triggers, children; /* by own.source.group */
    struct readyq__timer *timers;                    /* a heap (heap.c) */
    size_t ntimers, timer_room;
    size_t timer_watches; /* in the queue: those in the heap, and those that are due */
    uint32_t timer_order;

    bool virtual_clock, interruptible;
    bool slept_last;    /* the last call that may sleep did so for longer than a moment */
    bool observed;      /* it is recorded, or has a watchdog */
    bool counts_only;   /* it is recorded with the cycle counter, and has no watchdog */
    bool closed;        /* readyq_close() was called */
    bool ghost_found;   /* a ghost fires: the next kernel queue is being filled */
    bool rebuild_due;   /* the next kernel queue is complete: it has to replace the current one */
    bool edges_ignored; /* events are fetched from the next kernel queue, and edges dropped */
    bool lock_kept;     /* while the kernel queue is replaced: fetching does not release the lock */
    int64_t now;        /* the virtual clock */
    int refs;
    uint32_t id;    /* never used twice: for timers that have left the queue */
    uint8_t visit;  /* enum in circles.c; guarded by the registry's lock */
    uint32_t epoch; /* of the process that the kernel queue belongs to (fork.c) */

    int in_kernel;              /* threads in the kernel to wait or to look */
    int asleep;                 /* those of them that may sleep */
    uint64_t fetches;           /* calls of backend->wait begun; each has a number */
    uint64_t fetch;             /* the number of the one whose events are being processed */
    pthread_cond_t kernel_left; /* with rebuild_due: in_kernel is 0, or rebuild_due was cleared */
    readyq_batch *timekeeper;   /* whose thread sleeps until `covered` at most, or NULL */
    int64_t covered;            /* a deadline, or READYQ__FOREVER */

    readyq_watch wakeup;               /* of kind WAKEUP, a descriptor in the set like any other */
    int wakeup_write;                  /* its other end */
    atomic_int sleepers;               /* `asleep`, and one more if readyq_fileno() was called */
    atomic_bool kicked;                /* a kick is under way */
    atomic_bool woken;                 /* readyq_wake() was called */
    atomic_bool signalled;             /* a watched signal was caught */
    atomic_int kicking;                /* threads about to write to wakeup_write */
    atomic_bool shut;                  /* the queue's descriptors are closed */
    atomic_uint_fast64_t wakes, kicks; /* for the statistics */
    atomic_int_fast64_t wake_time;     /* when the wake that is not recorded yet was made */
    atomic_uint_fast32_t wake_thread;  /* and by which thread */
    uint64_t wakes_recorded;
    _Atomic(readyq_recording *)
        recordings;                    /* those that are on; wake() reads it without the lock */
    uint64_t last_watch;               /* the newest watch's own.id */
    struct readyq__watchdog *watchdog; /* NULL: not in debug mode */

    readyq_watch sigchld; /* of kind SIGCHLD */

    int pollable, pollable_timer; /* readyq_fileno(), and its timer for the next deadline */
    int64_t pollable_due;         /* what pollable_timer is set to */
    bool pollable_forked;         /* they are still the parent's */
    readyq *next;                 /* in the registry */

    uint64_t ghosts[READYQ__GHOSTS]; /* the keys of the newest ones: a ring; no key is 0 */
    uint64_t ghosts_reported;        /* how many readyq_ghost() has returned, or passed over */
    struct readyq_stats stats;
};

/* ------------------------------------------------------------------ epoch.c */

/* The epoch of this process; 0 in a child until readyq__begin_child() was called. */
extern volatile uint32_t *readyq__epoch;
void readyq__open_epoch(void); /* once */

/* Whether this process is a child in which the kernel queue is still the parent's. */
static inline bool readyq__is_forked(const readyq *q)
{
    return *readyq__epoch != q->epoch;
}

void readyq__begin_child(void); /* fork.c; called if the epoch is 0, before a lock is taken */

#include "inline.h"

/* Thread-local storage. With glibc it is in the memory that each thread has from its start:
 * otherwise a module that was opened by dlopen() would allocate it at the first use. */
#if defined(__GLIBC__)
#define READYQ__THREAD_LOCAL __attribute__((tls_model("initial-exec"))) _Thread_local
#else
#define READYQ__THREAD_LOCAL _Thread_local
#endif

/* ------------------------------------------------------------------ explain.c */

/* Returns the negative errno. Remembers the reason for readyq_explain() in this thread; `why` NULL:
 * the number alone gives the reason. */
int readyq__refuse(int error, const char *why, const char *advice);

struct readyq__refusal {
    int error;
    const char *why, *advice;
};
extern READYQ__THREAD_LOCAL struct readyq__refusal readyq__last_refusal;

static inline void readyq__forget_refusal(void)
{
    readyq__last_refusal.why = NULL;
}

int readyq__refuse_own(void);
int readyq__refuse_depth(void);

/* ------------------------------------------------------------------ clock.c */

extern bool readyq__counts_cycles; /* see readyq__ticks(); set by readyq__choose_counter() */
void readyq__choose_counter(void);
int64_t readyq__monotonic(void); /* the real clock, also where the queue's is virtual */
int64_t readyq__now(const readyq *q);

static inline int64_t readyq__deadline(int64_t now, int64_t timeout)
{
    return timeout < READYQ__FOREVER - now ? now + timeout : READYQ__FOREVER;
}

#include "recording/record.h"

/* ------------------------------------------------------------------ sleeps.c */

/* To be called before this thread makes a system call that may sleep, and after it. `now`: on the
 * monotonic clock. */
void readyq__count_sleep(readyq *q, int64_t now, int64_t timeout);
void readyq__count_sleep_end(readyq *q, int64_t now);

/* When the last sleep of this thread, in any queue, began; once it is over, when it ended. */
int64_t readyq__last_sleep(void);

/* ------------------------------------------------------------------ wakeup.c */

/* Opens and closes the wake-up; it is registered by the caller. */
int readyq__wakeup_open(readyq *q);
void readyq__wakeup_close(readyq *q);

/* Ends the sleep of one thread. No lock; from a signal handler. */
void readyq__kick(readyq *q);

/* After a change of `asleep` or `pollable`. */
static inline void readyq__publish_sleepers(readyq *q)
{
    atomic_store(&q->sleepers, q->asleep + (q->pollable >= 0));
}

/* Sleeps for a moment; for loops that wait until a signal handler or another thread, of any
 * priority, has left a short section of code. */
void readyq__pause(void);

/* ------------------------------------------------------------------ heap.c */

int readyq__heap_grow(readyq *q); /* 0 or -ENOMEM */

/* Gives a timer a deadline. One that is not in the heap is added to it, which must have room. */
void readyq__heap_set(readyq *q, readyq_watch *w, int64_t due);
void readyq__heap_remove(readyq *q, readyq_watch *w); /* it may be out already */

int64_t readyq__heap_first(readyq *q); /* the earliest deadline; the heap is not empty */

static inline int64_t readyq__next_due(readyq *q)
{
    return q->ntimers > 0 ? readyq__heap_first(q) : READYQ__FOREVER;
}

/* ------------------------------------------------------------------ handlers.c */

/* The first makes the handler count w->signal in w->caught and set `signalled` of w->queue, which
 * must already be set; the second ends this. -EINVAL: the C library reserves the signal. */
int readyq__handle_signal(readyq_watch *w);
void readyq__unhandle_signal(readyq_watch *w);

/* Installs our handler of a watched signal again if another has replaced it. */
void readyq__check_handler(int signal);

bool readyq__is_blocked_everywhere(int signal);

/* For fork.c: the lock of the table of handlers. */
extern pthread_mutex_t readyq__handlers_lock;
void readyq__handlers_child(void);

/* ------------------------------------------------------------------ ready.c */

/* An event that does not take the short path: a stale one, or one of a watch that is not plain. */
void readyq__event_slow(readyq *q, uint64_t key, uint32_t bits);

/* Adds bits to the watch's event. An idle watch goes to the end of the ready list. The second does
 * not count and record it as a new event. */
void readyq__list(readyq *q, readyq_watch *w, uint32_t bits);
void readyq__enlist(readyq *q, readyq_watch *w, uint32_t bits);

static inline readyq_batch *readyq__batch_at(struct readyq__link *opened)
{
    return (readyq_batch *)(void *)((char *)opened - offsetof(readyq_batch, own.opened));
}

/* Where the next watch of a batch is. */
static inline void readyq__set_next(readyq *q, readyq_batch *batch, struct readyq__link *next)
{
    batch->own.next = next;
    batch->own.stop = q->observed ? next : &batch->own.held;
}

void readyq__recount(readyq *q);

static inline size_t readyq__count_ready(readyq *q) /* the length of the ready list */
{
    if (q->unlinked > 0)
        readyq__recount(q);
    return q->nready;
}

/* Takes the watch out of its list, whatever its place, and drops its event: it is then idle. */
void readyq__take_off(readyq *q, readyq_watch *w); /* it is not idle */
static inline void readyq__unlist(readyq *q, readyq_watch *w)
{
    if (w->own.place != READYQ__IDLE)
        readyq__take_off(q, w);
}

bool readyq__is_level(const readyq_watch *w); /* a level-triggered descriptor in the kernel queue */

/* Event, place and flags in one comparison: the first eight bytes of `own`. */
static inline uint64_t readyq__word(const readyq_watch *w)
{
    uint64_t word;

    memcpy(&word, &w->own, sizeof word);
    return word;
}

/* The word of a watch without event and flags, at `place`. */
static inline uint64_t readyq__word_of(enum readyq__place place)
{
    const readyq_watch w = {.own = {.place = (uint8_t)place}};

    return readyq__word(&w);
}

static inline uint64_t readyq__key(const readyq *q, int fd)
{
    return (uint64_t)q->slots[fd].generation << 32 | (uint32_t)fd;
}

/* Kernel events. The backend calls readyq__begin_events() with their number, then
 * readyq__event_plain() or readyq__event_other() for each, then readyq__end_events(). The short
 * path of nearly every event keeps the end of the ready list in a register. `bits`: READYQ_ bits
 * that are not masked yet. */
struct readyq__events {
    readyq *q;
    const struct readyq__slot *slots;
    struct readyq__link *last;
};

static inline void readyq__count_events(readyq *q, size_t n)
{
    q->stats.kinds[READYQ_KIND_FD].events += n;
    q->nready += n;
}

static inline struct readyq__events readyq__begin_events(readyq *q, size_t n)
{
    readyq__count_events(q, n);
    q->may_be_level |= n > 0;
    return (struct readyq__events){q, q->slots, q->ready.prev};
}

static inline void readyq__end_events(struct readyq__events *events)
{
    readyq *q = events->q;

    if (readyq__is_recorded(q) && events->last != q->ready.prev)
        readyq__record_events(q, events->last);
    events->last->next = &q->ready;
    q->ready.prev = events->last;
}

/* An event that is not plain after all: readyq__begin_events() has counted it in advance. */
static inline void readyq__drop_event(struct readyq__events *events)
{
    readyq__count_events(events->q, (size_t)-1);
}

/* Any other kernel event. */
static inline void readyq__event_other(struct readyq__events *events, uint64_t key, uint32_t bits)
{
    readyq__drop_event(events);
    readyq__end_events(events);
    readyq__event_slow(events->q, key, bits);
    events->last = events->q->ready.prev;
}

/* A kernel event that has direction bits only, among them perhaps some that were not asked for. */
static inline void readyq__event_plain(struct readyq__events *events, uint64_t key, uint32_t bits)
{
    const struct readyq__slot *slot = &events->slots[(uint32_t)key];
    readyq_watch *w = slot->watch;

    if (slot->generation == (uint32_t)(key >> 32) && readyq__word(w) == 0 &&
        (bits & w->interest) != 0) {
        w->own.event = bits & w->interest;
        w->own.place = READYQ__LISTED;
        w->own.link.prev = events->last;
        events->last->next = &w->own.link;
        events->last = &w->own.link;
    } else {
        readyq__event_other(events, key, bits);
    }
}

/* ------------------------------------------------------------------ batches.c */

void readyq__open_batch(readyq *q, readyq_batch *batch);  /* takes a reference to the queue */
void readyq__give_back(readyq *q, readyq_batch *batch);   /* what it holds; it stays open */
void readyq__close_batch(readyq *q, readyq_batch *batch); /* the caller drops the reference */

/* Closes the batches that this thread waited with last, or, if not `own`, those of other threads.
 * `but` stays open. */
void readyq__close_batches(readyq *q, bool own, const readyq_batch *but);

/* ------------------------------------------------------------------ kevents.c */

struct kevent;
uint32_t readyq__from_kevent(const struct kevent *event, uint32_t interest); /* READYQ_ bits */
uint32_t readyq__poll_both(int fd);    /* READ and WRITE, as poll(2) says */
bool readyq__is_written_pipe(int fd);  /* a pipe, and it can be written to */
bool readyq__is_error_pending(int fd); /* of a socket; it stays pending */

#include "watchdog/watchdog.h"

/* ------------------------------------------------------------------ pollable.c */

int readyq__pollable_open(readyq *q);
void readyq__pollable_update(readyq *q); /* makes it readable if a wait would return something */
void readyq__pollable_fill(const readyq *q, readyq_batch *batch); /* a wait has filled the batch */
void readyq__pollable_close(readyq *q);

/* To be called when the kernel queue is replaced: the first before the old one is closed, the
 * second after that. */
void readyq__pollable_leave(readyq *q);
int readyq__pollable_rejoin(readyq *q);

/* In a child: opens a new descriptor for readyq_fileno(), under the old number if the kernel can do
 * that. It is readable until the queue is first used. */
int readyq__pollable_renew(readyq *q);

/* ------------------------------------------------------------------ table.c */

/* readyq__update() is the only way to change a registration, and gives it a new generation. It does
 * nothing in a closed queue, and in a child whose kernel queue is still the parent's. */
int readyq__update(readyq *q, int fd, uint32_t old, uint32_t interest);
uint32_t readyq__kernel_interest(const readyq_watch *w);

/* For rebuild.c. The first makes `kernel` and `next_kernel` change places, the second closes the
 * next kernel queue. */
void readyq__exchange_kernels(readyq *q);
void readyq__drop_next(readyq *q);

/* Registers w->fd in the table and the kernel; -errno as backend->update. The second function
 * undoes this. */
int readyq__register(readyq *q, readyq_watch *w);
void readyq__unregister(readyq *q, readyq_watch *w);

/* Changes the kernel's registration from `old` to what w->interest needs. NetBSD refuses a pipe
 * whose other end has been closed in the meantime (kqueue.c, note 7); it is then always ready, like
 * a file that never blocks. The second function puts such a watch on the ready list. */
int readyq__change_registration(readyq *q, readyq_watch *w, uint32_t old);
void readyq__list_file(readyq *q, readyq_watch *w);

/* The first keeps the kernel from reporting a level-triggered watch while a batch holds it, the
 * second arms it again. A watch whose descriptor turns out to be closed becomes stale. */
void readyq__mute(readyq *q, readyq_watch *w);
void readyq__unmute(readyq *q, readyq_watch *w);

bool readyq__is_same_file(const readyq_watch *w); /* of a FILE: still the one that was added */

/* Gives a watch, in no queue, the kind and the arguments of `wanted`, so that it can be started, and a
 * new id. */
void readyq__prepare(readyq *q, readyq_watch *w, const readyq_watch *wanted);
void readyq__arm(readyq_watch *w, bool armed);     /* sets `armed` and SLOW */
void readyq__activate(readyq *q, readyq_watch *w); /* it was started: in the queue now */

/* Takes a watch out of the queue, and out of every list and table that has it. */
void readyq__detach(readyq *q, readyq_watch *w);

/* Its descriptor was closed: takes it out of all but the queue's list of stale watches. */
void readyq__mark_stale(readyq *q, readyq_watch *w);

/* ------------------------------------------------------------------ rebuild.c */

/* Fetches events without sleeping until the kernel has no more. Returns what backend->wait does. */
int readyq__fetch_all(readyq *q);

/* Both remove ghosts. The first fills the next kernel queue by one step; it is called until it sets
 * rebuild_due. The second replaces the current kernel queue with the next one and loses no edge; it
 * is called when no thread is in the kernel. */
int readyq__prepare_rebuild(readyq *q);
int readyq__rebuild(readyq *q);

int readyq__build(readyq *q);           /* the kernel queue of a new queue, or a child's own */
void readyq__tear_down(readyq *q);      /* closes the descriptors of a closed queue */
void readyq__forget_threads(readyq *q); /* in a child: all but this one */

/* Makes the kernel report again whatever is ready, after a thread was cancelled that may have
 * fetched events. An edge may be reported twice. */
void readyq__rearm_all(readyq *q);

/* ------------------------------------------------------------------ fork.c */

/* Called while no queue is locked. The first sets q->id. */
void readyq__register_queue(readyq *q);
void readyq__unregister_queue(readyq *q);

void readyq__lock_registry(void);
void readyq__unlock_registry(void);
readyq *readyq__find_queue(uint32_t id); /* NULL: it is not open; the registry is locked */
readyq *readyq__first_queue(void);       /* `next` leads to the others */

/* ------------------------------------------------------------------ circles.c */

/* Whether descriptor `fd` has to be checked before `q` watches it. Needs no lock. */
bool readyq__may_be_circle(const readyq *q, int fd);

/* The check; called while the registry is locked and no queue is. Sets *inner to the id of the
 * queue whose descriptor it is, or to 0. -ELOOP: that queue leads to `q`. -EINVAL: it is `q`. */
int readyq__check_circle(readyq *q, int fd, uint32_t *inner);

/* ------------------------------------------------------------------ gate.c */

/* Takes the lock. -ESHUTDOWN when closed. In a child builds the queue's own kernel queue first. On
 * failure the lock is not held. */
int readyq__enter_changed(readyq *q); /* the rest: for a closed queue, or in a child */
static inline int readyq__enter(readyq *q)
{
    readyq__lock(q);
    return q->closed || readyq__is_forked(q) ? readyq__enter_changed(q) : 0;
}

/* Kicks a sleeping thread if something is left for it, and releases the lock. */
void readyq__kick_if_needed(readyq *q); /* also makes readyq_fileno() readable */
static inline void readyq__leave(readyq *q)
{
    if (q->asleep > 0 || q->pollable >= 0)
        readyq__kick_if_needed(q);
    readyq__unlock(q);
}

/* -EBUSY: the watch is in a queue. */
static inline int readyq__enter_to_add(readyq *q, const readyq_watch *w)
{
    const int error = readyq__enter(q);

    if (error < 0 || w->queue == NULL)
        return error;
    readyq__leave(q);
    return -EBUSY;
}

/* The queue that a timer or process has fired in and left, 0 if there is none. It is read without a
 * lock: another thread may add the watch again at any time. */
static inline uint32_t readyq__fired_in(const readyq_watch *w)
{
    const uint8_t kind = __atomic_load_n(&w->kind, __ATOMIC_RELAXED);

    if (kind != READYQ_KIND_TIMER && kind != READYQ_KIND_PROCESS)
        return 0;
    return __atomic_load_n(&w->own.fired.home, __ATOMIC_RELAXED);
}

static inline void readyq__set_fired_in(readyq_watch *w, uint32_t id)
{
    __atomic_store_n(&w->own.fired.home, id, __ATOMIC_RELAXED);
}

/* Enters the queue that a watch is in, or the queue that has this id. NULL: *error says why not. */
readyq *readyq__enter_of(readyq_watch *w, int *error);
readyq *readyq__enter_by_id(uint32_t id, int *error);

/* ------------------------------------------------------------------ watches.c */

/* Adds a watch with the kind and the arguments of `wanted`. */
int readyq__add(readyq *q, readyq_watch *w, const readyq_watch *wanted);

/* ------------------------------------------------------------------ timers.c, signals.c */

void readyq__expire(readyq *q, int64_t now); /* lists the timers that are due */
void readyq__collect_signals(readyq *q);     /* lists the signals that were caught */

/* ------------------------------------------------------------------ queue.c */

void readyq__release(readyq *q); /* readyq__leave(), and drops a reference */

#endif
