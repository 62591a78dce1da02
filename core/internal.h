/* SPDX-License-Identifier: MIT
 *
 * What the files of the core share: struct readyq with its invariants, and the two seams (kernels
 * below, kinds of sources above). The functions that one file calls in another are in calls.h.
 *
 * Folders. core/ itself holds the queue: its table of watches, its ready list, batches and waiting.
 * kernels/ translates epoll and kqueue, sources/ has a file for each kind of source except
 * descriptors. recording/ and watchdog/ observe: they record what the queue does (readyq_record(),
 * timelines) and warn about mistakes in the program (debug mode, which also wakes up once a second
 * to look). The queue works without them.
 *
 * Order of the files. Each calls only files that are listed before it (tools/order.py, in
 * `make lint`):
 *
 *     describe  explain  epoch  lock  clock  record  sleeps  wakeup  heap  handlers  ready  batches
 *     kevents  progress  watchdog  spins  turns  oversights  epoll  kqueue  pollable  table
 *     rebuild  fork  circles  gate  warnings  watches  timers  signals  processes  triggers  queue
 *     check  deliveries  wait  recording  json  lanes  save
 *
 * Terms. A kick is a write that ends one thread's sleep (wakeup.c). A ghost is a registration that
 * the kernel keeps after its descriptor was closed (rebuild.c). A watch is muted while the kernel
 * is told not to report it, and unconfirmed while it is not known whether it is still ready.
 *
 * Lock. One mutex in each queue guards everything in it except the atomics. It is not held while a
 * thread waits in the kernel. Functions named readyq__x that take a queue expect its lock to be
 * held, unless their comments say otherwise. Order of locks: the registry of queues (fork.c), a
 * queue, the table of signal handlers (handlers.c).
 *
 * Invariants
 *  1. A watch that is in a queue has one place (enum readyq__place); own.link is in the list of
 *     that place. A watch stays TAKEN until `done`, the next wait of the thread, `modify` or
 *     `remove`, or until its descriptor or the queue is closed.
 *  2. While a batch holds a watch, no other batch gets it. Events that arrive meanwhile are noted
 *     in own.event: they are part of the delivery if the watch has not been taken yet; otherwise
 *     the watch is listed when the batch gives it back. With several batches open a level-triggered
 *     watch is registered for one event (ONE_EVENT) or muted when it is reported again, and armed
 *     when it is given back.
 *  3. An event counts only if its generation is that of the slot. Each change of a registration
 *     gives it a new generation.
 *  4. A level-triggered watch that was ready and not taken may have been drained since: it is
 *     unconfirmed. Its event is 0, it is on the ready list, and if it is ready it is reported
 *     again, by the kernel or by a thread that has fetched its event and is waiting for the lock.
 *     Taking it off the list costs it only its place in the order.
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
#define READYQ__FETCH 256          /* the most kernel events taken in one system call */
#define READYQ__GHOSTS 64 /* ghosts remembered; if there are more, some are counted twice */

/* own.place */
enum readyq__place {
    READYQ__IDLE = 0, /* in no list; perhaps in no queue */
    READYQ__LISTED,   /* on the ready list, or in a batch and not yet taken */
    READYQ__TAKEN,    /* in a batch, taken */
    READYQ__STALE,    /* in q->stale: its descriptor was closed */
};

/* own.flags. A watch with flags 0, place IDLE and event 0 is plain: it takes the short path. */
enum {
    READYQ__SLOW = 1,      /* anything but a descriptor that is armed and not ONESHOT */
    READYQ__FILE = 2,      /* never blocks: always ready, unknown to the kernel queue */
    READYQ__ONE_EVENT = 4, /* level-triggered, registered for one event: several batches are open */
    READYQ__MUTED = 8,     /* level-triggered and held: the kernel does not report it */
    READYQ__TOLD = 16      /* of a signal: the watchdog has warned that it is blocked */
};

/* ------------------------------------------------------------------ the seam to the kernel */

/* A backend only translates: what all kernels share is done in the core. */
struct readyq__backend {
    const char *name;

    /* Returns the descriptor of a new kernel queue, or -errno. */
    int (*open)(void);

    /* `forked`: in a child, which shares the kernel queue with its parent. */
    void (*close)(int kernel, bool forked);

    /* Changes the registration of `fd` in `kernel` from `old` to `interest`, READYQ_ bits; old 0
     * adds, interest 0 removes. EDGE without a direction is a registration that stays silent as far
     * as the kernel allows. The kernel is given readyq__key(). Removing a registration that does
     * not exist succeeds. -EEXIST: the kernel already has this file under this number. -EPERM: this
     * kind of file never blocks. -EBADF: not open. -ENOENT: there is no registration to change; the
     * number belongs to another file. After a failure the registration is unchanged and keeps its
     * previous generation. */
    int (*update)(readyq *q, int kernel, int fd, uint32_t old, uint32_t interest);

    /* Returns whether the registration of the slot's generation still exists, that is, whether the
     * number has not been closed since. NULL if update() returns -EEXIST by itself. */
    bool (*is_registered)(readyq *q, int fd);

    /* Returns whether `fd` is a kernel queue; with `as` >= 0, whether both are the same one. NULL
     * if the kernel itself refuses queues that watch each other in a circle. */
    bool (*is_queue)(int fd, int as);

    /* Whether a registration stays after its number is closed, as long as a duplicate is open. */
    bool has_ghosts;

    /* Fetches up to `max` events from `kernel`, sleeping up to `timeout` ns (-1: forever). Calls
     * readyq__event_plain() or readyq__event_other() for each. Releases the lock around the system
     * call, with readyq__unlock_for_syscall() and readyq__relock(). Returns the number of kernel
     * events, which may be 0 even before the timeout, or -errno. */
    int (*wait)(readyq *q, int kernel, int max, int64_t timeout);

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
     * list. 0 or -errno; its changes to the watch are then undone. Timers take a shorter path. */
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
       READYQ__KIND_WAKEUP = 6, /* the descriptor that ends sleeps */
       READYQ__KIND_SIGCHLD,    /* watches children where the kernel has no pidfd */
       READYQ__KINDS
};

extern const struct readyq__kind readyq__kind_fd, readyq__kind_timer, readyq__kind_signal,
    readyq__kind_process, readyq__kind_trigger, readyq__kind_wakeup, readyq__kind_sigchld;

/* ------------------------------------------------------------------ the queue */

/* An entry of the descriptor table; a descriptor's number is its index. */
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

    struct readyq__slot *slots; /* the descriptor table */
    size_t nslots;
    size_t size;    /* watches in the queue */
    bool exclusive; /* one of them is, or was, EXCLUSIVE */

    struct readyq__link ready; /* events that no batch holds, in order */
    size_t nready;             /* its length, plus the `unlinked` watches that came from it */
    size_t unlinked;           /* removed from it, or from a batch before they were taken */
    bool may_be_level;         /* false: no watch on it is level-triggered */
    bool any_unconfirmed;      /* false: no watch on it is unconfirmed */
    size_t nfiles;             /* watches that are FILE */
    struct readyq__link batches;
    unsigned nbatches;         /* open ones */
    struct readyq__link stale; /* for readyq_stale() */

    struct readyq__link signals, triggers, children; /* linked by own.source.group */
    struct readyq__timer *timers;                    /* a heap (heap.c) */
    size_t ntimers, timer_room;
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
    uint64_t fetches;           /* calls to backend->wait that began; each has a number */
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

#include "calls.h"

#endif
