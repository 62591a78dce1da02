/* SPDX-License-Identifier: MIT
 *
 * readyq: one event queue over the kernel's own (epoll, kqueue).
 *
 * Put descriptors, timers, signals, processes and triggers into a queue, sleep in one call
 * until at least one of them is ready, and take the ready ones.
 *
 * Results   Every function that returns int returns 0 or more on success and a negative errno
 *           on failure. A call that failed has changed nothing. -ESHUTDOWN means that the queue
 *           is closed; readyq_explain() says the rest in words.
 * Time      Nanoseconds in int64_t, on the monotonic clock.
 * Threads   Every function may be called from any thread at any time, on one queue as well. A
 *           change made while another thread waits takes effect in that wait. readyq_wake() and
 *           readyq_fire() may also be called from a signal handler.
 * Fork      The child's first call on a queue gives it a kernel queue of its own with the same
 *           watches; parent and child do not affect each other. exec inherits nothing.
 * Politeness  A watched descriptor is never read, closed, duplicated or made non-blocking.
 */
#ifndef READYQ_H
#define READYQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define READYQ_VERSION "0.1.0" /* the one place of the version */

#if defined(__GNUC__) && !defined(READYQ_STATIC)
#define READYQ_API __attribute__((visibility("default")))
#else
#define READYQ_API
#endif

/* Interest (what a watch asks for) and ready (what a delivery found). EXCLUSIVE is a hint where the
 * kernel has no such thing. */
#define READYQ_READ 0x001u         /* reading would not block: data, end, connection, error */
#define READYQ_PRIORITY 0x002u     /* exceptional data: out of band, sysfs */
#define READYQ_WRITE 0x004u        /* writing would not block: space, connected, error */
#define READYQ_READ_CLOSED 0x010u  /* ready only: nothing arrives after what is buffered */
#define READYQ_ERROR 0x020u        /* ready only: an error waits to be collected (SO_ERROR) */
#define READYQ_WRITE_CLOSED 0x040u /* ready only: nobody will read what is written */
#define READYQ_FIRED 0x080u        /* ready only: a timer, signal, process or trigger went off */
#define READYQ_EDGE 0x100u         /* interest only: once per new arrival, not while it lasts */
#define READYQ_ONESHOT 0x200u      /* interest only: one delivery, then silent until modified */
#define READYQ_EXCLUSIVE 0x400u    /* interest only: of several queues wake one or more, not all */

/* What a watch watches. */
enum readyq_kind {
    READYQ_KIND_NONE = 0, /* not added yet */
    READYQ_KIND_FD = 1,
    READYQ_KIND_TIMER = 2,
    READYQ_KIND_SIGNAL = 3,
    READYQ_KIND_PROCESS = 4,
    READYQ_KIND_TRIGGER = 5,
};

typedef struct readyq readyq;

/* One registration in one queue, embedded in an object of the caller. Zero it before its first
 * use (`readyq_watch w = {0}`) for its fields to mean something, leave it where it is while it is
 * in a queue, and read, never write, the fields after `data`. Its memory may go when
 * readyq_remove() or readyq_close() returned, or when readyq_next() handed it out with
 * `queue == NULL`. */
typedef struct readyq_watch readyq_watch;

struct readyq__link { /* private: a place in a list */
    struct readyq__link *next, *prev;
};

struct readyq_watch {
    void *data;        /* the caller's, never looked at */
    readyq *queue;     /* the queue it is in, or NULL */
    uint64_t count;    /* expirations, signals or fires since the delivery before; else 1 */
    uint32_t interest; /* as last set; 0 is a pause */
    uint32_t ready;    /* what the last delivery found; 0 once it is removed */
    int fd;            /* the descriptor, or the one that the queue opened for a process, or -1 */
    uint8_t kind;      /* enum readyq_kind */
    bool armed;        /* false while paused, and after a ONESHOT delivery until modified */

    struct { /* private to the core; what a delivery touches ends with the first 64 bytes */
        uint8_t state, flags;
        uint32_t found;             /* bits for the next delivery */
        uint32_t place;             /* in the ready ring */
        struct readyq__link group;  /* in one list of its kind */
        readyq_watch *fired, *same; /* next on the stack of fired; of the same signal */
        uint64_t pending, counted;  /* fires nobody saw yet; found for the next delivery */
        int64_t period;             /* of a timer */
        size_t leaf;                /* of a timer in the heap */
        uint64_t device, file;      /* which file it is, where it is always ready */
        uint32_t firing;            /* fires under way; from here on kept when it is added again */
        readyq_watch *self;         /* here, once it has been added: not stray memory */
    } own;

    int signal; /* a signal's number, else 0 */
    pid_t pid;  /* a process's id, else 0 */
    int status; /* a process's wait status once it has FIRED, -1 where it is not known */
};

/* ------------------------------------------------------------------ the queue's life */

struct readyq_options {
    bool virtual_clock; /* time stands still, and jumps to the next deadline where a wait would
                           sleep with nothing ready */
    bool interruptible; /* a signal ends a wait with -EINTR instead of being slept through; for
                           languages that run their handlers between calls */
};

/* Opens a queue into *q; `options` NULL takes the defaults. The descriptors it needs are
 * close-on-exec. -ENOSYS, -EPERM: the kernel or a sandbox refuses a system call that the queue
 * needs. -EMFILE, -ENFILE, -ENOMEM. */
READYQ_API int readyq_open(readyq **q, const struct readyq_options *options);

/* Closes the queue: removes every watch, wakes every waiter (which gets -ESHUTDOWN), gives up
 * every descriptor and drops the reference that readyq_open() gave. NULL is ignored. Returns 0,
 * also when it is closed already and a reference keeps it. */
READYQ_API int readyq_close(readyq *q);

/* Shares a queue: it keeps its memory, so that late calls get -ESHUTDOWN, until each reference
 * is dropped. The last one closes. */
READYQ_API readyq *readyq_ref(readyq *q);
READYQ_API void readyq_unref(readyq *q);

/* ------------------------------------------------------------------ watches */

/* Watches descriptor `fd`. `interest` is any of READ, WRITE, PRIORITY with EDGE or ONESHOT and
 * EXCLUSIVE; 0 adds it paused. What the kernel refuses to watch though it never blocks (files,
 * directories, /dev/null) is always ready, as for poll(2).
 * -EBADF: not open. -EEXIST: watched already (a number that was closed and opened again is not).
 * -EBUSY: the watch is in a queue. -EINVAL: an interest that means nothing, or the queue's own
 * descriptor. -ELOOP: queues that watch each other. -ENOSPC, -ENOMEM: the kernel's or this
 * process's memory for watches is used up. */
READYQ_API int readyq_add(readyq *q, readyq_watch *w, int fd, uint32_t interest);

/* Goes off `delay` ns from now, then every `period` ns counted from when it was due; a period of
 * 0 is a timer that goes off once and then removes itself. Expirations that were missed come as
 * one delivery with `count`. -EINVAL: delay or period negative. -ENOMEM. */
READYQ_API int readyq_add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period);

/* Goes off when this process receives `signal`, in any number of queues; `count` tells how many
 * were caught. The handler or default action in force before is replaced while it is watched and
 * put back after the last watch. -EINVAL: no signal, or one that cannot be caught or must not
 * be (SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL). */
READYQ_API int readyq_add_signal(readyq *q, readyq_watch *w, int signal);

/* Goes off once when process `pid` has ended, at once if it has already, and removes itself.
 * `status` is then what waitpid() would store, if it is a child of ours; it is not reaped.
 * -EINVAL: pid <= 0. -ESRCH: no such process. -ECHILD: not a child, where the kernel has no
 * pidfd. -EMFILE, -ENFILE, -ENOMEM. */
READYQ_API int readyq_add_process(readyq *q, readyq_watch *w, pid_t pid);

/* Goes off when readyq_fire() is called. */
READYQ_API int readyq_add_trigger(readyq *q, readyq_watch *w);

/* Fires a trigger: from any thread, from a signal handler, without a lock. Fires that come before
 * the delivery merge into one with `count`; none is lost. -EINVAL: not a trigger. -ENOENT: not in
 * a queue. */
READYQ_API int readyq_fire(readyq_watch *w);

/* Changes the interest of a descriptor's watch and arms it again; what was found for the old
 * interest and not yet taken is asked anew. -EINVAL: an interest that means nothing, or not a
 * descriptor's watch. -ENOENT: not in a queue. -EBADF: its descriptor was closed. */
READYQ_API int readyq_modify(readyq_watch *w, uint32_t interest);

/* Takes the watch out: nothing of it is delivered any more, in this batch or later. It succeeds
 * also when the descriptor was closed, or its number now belongs to another file. -ENOENT: not
 * in a queue. */
READYQ_API int readyq_remove(readyq_watch *w);

/* The watch of descriptor `fd`, or NULL. The answer is as good as the caller's own locking. */
READYQ_API readyq_watch *readyq_find(readyq *q, int fd);

/* How many watches are in the queue. */
READYQ_API size_t readyq_size(readyq *q);

/* ------------------------------------------------------------------ waiting */

/* Waits until something is ready: `timeout` -1 for ever, 0 looks and returns, else nanoseconds
 * (larger than the clock's reach is for ever). At most `max` watches are readied for
 * readyq_next(); 0 is no limit. Returns how many, 0 when the time is over or readyq_wake() was
 * called. Where several threads wait, each event is one thread's; what a thread leaves untaken is
 * any later wait's, asked of the kernel again where it is level-triggered.
 * -ESHUTDOWN: the queue was closed. -EINVAL: timeout < -1 or max < 0. -EINTR: only where
 * the option asks for it. -EMFILE, -ENFILE, -ENOMEM: for a second thread's sleep, to lose a ghost
 * while nothing else is ready, or by the kernel. In a child whose own queue is not made yet, here
 * and in every call that changes the queue: as readyq_open(). */
READYQ_API int readyq_wait(readyq *q, int64_t timeout, int max);

/* readyq_wait() with timeout 0 that leaves a wake to the wait that follows: the look that a
 * binding takes before it gives up its interpreter's lock to sleep. */
READYQ_API int readyq_look(readyq *q, int max);

/* Takes the next ready watch, or NULL when all are taken. Sets its `ready` and `count`, which the
 * next delivery of the same watch overwrites, be it to another thread; a timer without a period
 * and a process have left the queue then (`queue` is NULL). */
READYQ_API readyq_watch *readyq_next(readyq *q);

/* Makes one wait, running or next, return at once: from any thread, from a signal handler,
 * without a lock. Wakes that come before that merge into one. */
READYQ_API int readyq_wake(readyq *q);

/* ------------------------------------------------------------------ looking into it */

/* A descriptor that polls readable while a wait would return something; for putting the queue
 * into another event loop. It stays the queue's. */
READYQ_API int readyq_fileno(readyq *q);

/* The name of the kernel interface: "epoll" on Linux, "kqueue" elsewhere. */
READYQ_API const char *readyq_backend(readyq *q);

/* The queue's clock in nanoseconds: CLOCK_MONOTONIC, or the virtual one. */
READYQ_API int64_t readyq_now(readyq *q);

struct readyq_stats {
    uint64_t watches;      /* in the queue now */
    uint64_t waits;        /* readyq_wait() and readyq_look() calls */
    uint64_t deliveries;   /* watches handed out by readyq_next() */
    uint64_t wakes;        /* readyq_wake() calls that had to wake */
    uint64_t kernel_waits; /* system calls that asked the kernel what is ready */
    uint64_t changes;      /* system calls that changed what the kernel watches */
    uint64_t stale;        /* kernel events dropped because their watch was gone */
    uint64_t rebuilds;     /* kernel queues built anew, after a fork or to lose a ghost */
    uint64_t ghosts;       /* registrations that went on firing after their watch was gone: the
                              number was closed before the watch was removed, and a duplicate or
                              a child keeps the file open */
    int ghost_fd;          /* the descriptor number of the last ghost, -1 before the first */
};
READYQ_API int readyq_stats(readyq *q, struct readyq_stats *stats);

/* For bindings, cheap enough to ask after every call. readyq_ghost(): the descriptor of a ghost
 * that nobody was told of yet, or -1. readyq_stale(): a watch that the queue itself found dead
 * (its number was closed, and given to another watch or gone at a rebuild) and lets go of now,
 * or NULL. */
READYQ_API int readyq_ghost(readyq *q);
READYQ_API readyq_watch *readyq_stale(readyq *q);

/* Writes what descriptor `fd` is ("TCP 127.0.0.1:80 to 127.0.0.1:49152", "pipe", "terminal
 * /dev/pts/0", "file /etc/passwd", "closed") into text[size], cut to fit, without control
 * characters. Returns text. */
READYQ_API char *readyq_describe(int fd, char *text, size_t size);

/* Writes why `call` on `fd` (-1: on no descriptor) failed with `error` (as returned, negative)
 * and what to do about it, into text[size], cut to fit. Returns text. 400 bytes hold all but
 * long file names. */
READYQ_API char *readyq_explain(const char *call, int fd, int error, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
