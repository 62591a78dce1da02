/* SPDX-License-Identifier: MIT
 *
 * readyq: one event queue over the kernel's own (epoll, kqueue).
 *
 * Add descriptors, timers, signals, processes and triggers to a queue; one call waits and returns
 * whatever is ready.
 *
 * Results   Functions that return int return 0 or more on success and a negative errno on failure.
 *           A call that fails changes nothing, not even the watch. -ESHUTDOWN: the queue is closed.
 *           readyq_explain() gives the reason in words.
 * Time      Nanoseconds in int64_t, on the monotonic clock.
 * Threads   Every function may be called from any thread at any time. A change made while another
 *           thread waits takes effect in that wait. A pthread_cancel() takes effect in a wait that
 *           sleeps and in no other call. Only readyq_wake() may be called from a signal handler.
 * Fork      The child's first call on a queue gives it a kernel queue of its own with the same
 *           watches. Parent and child do not affect each other. exec closes a queue's descriptors.
 * Descriptors  A watched descriptor is never read, closed, duplicated or made non-blocking.
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

#define READYQ_VERSION "0.1.0"         /* of this header: the only place where the version is set */
#define READYQ_VERSION_NUMBER 0x000100 /* the same as 0xMMmmpp, for `#if` */

#if defined(__GNUC__) && !defined(READYQ_STATIC)
#define READYQ_API __attribute__((visibility("default")))
#else
#define READYQ_API
#endif

/* Interest (what a watch asks for) and ready (what the last delivery reported).
 *
 * ERROR: an error is pending. A socket's error is read with getsockopt(SO_ERROR); with IP_RECVERR
 * or IPV6_RECVERR set, errors are queued and ERROR is reported, level-triggered, until the error
 * queue has been read with recvmsg(MSG_ERRQUEUE). Every direction that was asked for is reported
 * together with ERROR.
 *
 * EXCLUSIVE: wake at least one of the queues that watch the same file, not all of them. It is a
 * hint, ignored where the kernel cannot do it. */
#define READYQ_READ 0x001u     /* reading would not block: data, end of file, connection, error */
#define READYQ_PRIORITY 0x002u /* exceptional data: out of band, sysfs */
#define READYQ_WRITE 0x004u    /* writing would not block: space, completed connection, error */
#define READYQ_READ_CLOSED 0x010u  /* ready only: nothing arrives after what is buffered */
#define READYQ_ERROR 0x020u        /* ready only: an error is pending (see above) */
#define READYQ_WRITE_CLOSED 0x040u /* ready only: the peer will not read what is written */
#define READYQ_FIRED 0x080u        /* ready only: a timer, signal, process or trigger fired */
#define READYQ_EDGE 0x100u         /* interest only: report once per new arrival */
#define READYQ_ONESHOT 0x200u      /* interest only: disarm after one delivery */
#define READYQ_EXCLUSIVE 0x400u    /* interest only: see above */

/* The kind of source that a watch watches. */
enum readyq_kind {
    READYQ_KIND_NONE = 0, /* not added yet */
    READYQ_KIND_FD = 1,
    READYQ_KIND_TIMER = 2,
    READYQ_KIND_SIGNAL = 3,
    READYQ_KIND_PROCESS = 4,
    READYQ_KIND_TRIGGER = 5,
};

typedef struct readyq readyq; /* a queue; opaque */
typedef struct readyq_watch readyq_watch;
typedef struct readyq_batch readyq_batch;
typedef struct readyq_recording readyq_recording; /* opaque: see readyq_record() */

struct readyq__link { /* private: an element of a circular list */
    struct readyq__link *next, *prev;
};

/* One registration in one queue, embedded in an object of the caller. Zero it before its first use
 * (`readyq_watch w = {0}`) and do not move it while it is in a queue. The fields after `data` are
 * read-only for the caller. Where other threads wait on the queue or change the watch, read these
 * fields with an atomic load, such as `__atomic_load_n(&w->ready, __ATOMIC_RELAXED)`.
 *
 * Its memory may be freed when it is in no queue (`queue == NULL`) and no other thread uses it.
 * In a pool of threads, the thread that took a watch with readyq_next() uses it until it calls
 * readyq_done() or waits again; until then, only that thread should remove and free it. A thread
 * that removes a watch that another thread may have taken may free it only when the other thread
 * has finished with it; the program must track that itself, for example with a reference count. */
struct readyq_watch {
    void *data;        /* the caller's; never read by the library */
    readyq *queue;     /* the queue it is in, or NULL */
    uint64_t count;    /* expirations, signals, calls to fire since the previous delivery; else 1 */
    uint32_t interest; /* as last set; 0 pauses the watch */
    uint32_t ready;    /* what the last delivery found; 0 once it is removed */
    int fd;            /* the descriptor; for a process, its pidfd; or -1 */
    uint8_t kind;      /* enum readyq_kind */
    bool armed;        /* false while paused, and after a ONESHOT delivery until modified */

    struct {            /* private */
        uint32_t event; /* READYQ_ bits for the next delivery */
        uint8_t place, flags;
        uint16_t unused;          /* 0; the first eight bytes are compared as one */
        struct readyq__link link; /* in one list: ready, a batch's, or stale */
        union {
            struct {
                uint64_t device, inode; /* which file it was when it was added */
                bool ended;             /* a pipe that nobody reads */
            } file;                     /* of a descriptor that is always ready */
            uint32_t inner; /* for any other descriptor: the id of the queue that owns it, or 0 */
            struct {
                int64_t period;
                int64_t due;
                uint32_t heap_index; /* or READYQ__NOWHERE */
                uint32_t unused;     /* fired.home overlaps it */
            } timer;
            struct {
                struct readyq__link group; /* in one list of its kind */
                union {
                    uint64_t count;                 /* for a trigger: fires not yet delivered */
                    readyq_watch *next_same_signal; /* for a signal */
                };
            } source;
            struct {
                uint64_t unused[2];
                uint32_t unused_too;
                uint32_t home; /* id of the queue that a timer or process has fired in and left */
            } fired;
        };
        uint64_t id; /* unique in its queue, counted from 1: for records */
    } own;

    union {
        int signal;     /* for a signal: its number */
        pid_t pid;      /* for a process: its id */
        uint32_t order; /* private, for a timer (heap.c) */
    };
    union {
        uint32_t caught; /* private, for a signal: times caught since the last delivery */
        int status;      /* for a process that has FIRED: its wait status, -1 if it is not known */
    };
};

/* ------------------------------------------------------------------ the queue's life */

/* Debug mode: the queue has a watchdog that notices mistakes in the program, and reports each in a
 * sentence, once for each watch:
 *   - a level-triggered watch that was reported `turns` times in a row although nobody has read,
 *     written or changed it, with the reason: unread data, the end of the data, an error or an
 *     error queue that is not handled, connections that cannot be accepted because no descriptors
 *     are left, WRITE requested although nothing is sent;
 *   - a turn (in which a thread handles what a wait has found) that takes longer than `turn`; at
 *     most one report a second;
 *   - a watch whose descriptor was closed, or whose number now belongs to another file;
 *   - an EDGE watch that has had unread data for `rest` while a thread slept;
 *   - a signal that is blocked in every thread.
 * A value of 0 stands for the default. Without debug mode there is no cost. With it, the watchdog
 * asks the kernel about a watch that is reported again and again, and no sleep is longer than a
 * second. */
struct readyq_debug {
    uint64_t turns; /* how many times in a row a watch may be reported; 0: 10,000 */
    int64_t turn;   /* how long a turn may take, in nanoseconds; 0: 100 ms */
    int64_t rest;   /* how long data may stay unread after an EDGE delivery, in ns; 0: 1 s */

    /* Called during a wait, with no lock held, and with the watch if it is still in the queue. It
     * must not wait on the queue. Another thread may remove the watch at any time. If `warn` is
     * NULL, warnings go to standard error; for an interruptible queue see readyq_warning(). */
    void (*warn)(void *data, readyq_watch *w, const char *text);
    void *data; /* passed to warn() */
};

struct readyq_options {
    bool virtual_clock; /* time stands still, except that it jumps to the next deadline when a
                           wait would sleep */
    bool interruptible; /* for interpreters, which run signal handlers between calls: a signal ends
                           a wait with -EINTR */
    const struct readyq_debug *debug; /* NULL: off, unless the environment has READYQ_DEBUG=1 */
};

/* Opens a queue and stores it in *q. If `options` is NULL, the defaults apply. The queue's
 * descriptors are close-on-exec. -EMFILE, -ENFILE, -ENOMEM; -ENOSYS or -EPERM if a sandbox forbids
 * what it needs. */
READYQ_API int readyq_open(readyq **q, const struct readyq_options *options);

/* Closes the queue: removes every watch, wakes every waiter (which gets -ESHUTDOWN), closes its
 * descriptors and drops the reference of readyq_open(). NULL is ignored. Returns 0, even if it was
 * already closed and another reference keeps it. */
READYQ_API int readyq_close(readyq *q);

/* References keep the queue's memory allocated, so that calls after its close return -ESHUTDOWN.
 * The last readyq_unref() closes it. An open batch holds a reference, too. A call on a watch is a
 * call on its queue: hold a reference if another thread may close the queue at that time. After the
 * close a watch is in no queue, so that a call on it returns -ENOENT. */
READYQ_API readyq *readyq_ref(readyq *q);
READYQ_API void readyq_unref(readyq *q);

/* ------------------------------------------------------------------ watches */

/* Watches descriptor `fd`. `interest`: READ, WRITE, PRIORITY or a combination, with EDGE, ONESHOT
 * and EXCLUSIVE as wanted; 0 adds it paused. Descriptors that the kernel queue refuses because they
 * never block (files, directories, /dev/null) are always ready, as for poll(2). -EBADF: not open.
 * -EEXIST: this queue already watches it. -EBUSY: the watch is in a queue. -EINVAL: an invalid
 * interest, or a descriptor of this queue. -ELOOP: queues would watch each other in a circle, or be
 * nested more deeply than the kernel allows (Linux: a queue may have two levels of queues below
 * it). -ENOSPC, -ENOMEM: the user's limit on watches is reached, or memory is exhausted. */
READYQ_API int readyq_add(readyq *q, readyq_watch *w, int fd, uint32_t interest);

/* Fires `delay` ns from now, then every `period` ns, counted from when the previous
 * expiration was due; with period 0 it fires once and leaves the queue when it is taken. Missed
 * expirations are delivered together, and `count` is their number. -EINVAL: delay or period
 * negative. -EBUSY, -ENOMEM. */
READYQ_API int readyq_add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period);

/* Restarts a timer: it fires `delay` ns from now, then once per period. An expiration that has not
 * been taken yet is dropped. A timer that has fired and left its queue is added to it again. O(1)
 * if it is postponed, otherwise O(log n); allocates nothing unless the timer has left its queue.
 * -EINVAL: delay negative, or not a timer. -ENOENT: it was removed. -ESHUTDOWN. -ENOMEM. */
READYQ_API int readyq_restart(readyq_watch *w, int64_t delay);

/* Fires when this process receives `signal`, which any number of queues may watch; `count` is how
 * many times it was caught. If the signal's action is SIG_DFL or SIG_IGN, it is replaced while
 * the signal is watched. A handler that was installed before is called, too. If another handler
 * replaces the library's while the signal is watched, only that handler gets the signal until the
 * next readyq_add_signal() for it, or the next readyq_wait() of a queue that watches it, installs
 * the library's handler on top; then both are called. (A chain of more than seven such handlers,
 * each of which calls the one that it replaced, is not supported.) When the last watch is
 * removed, the action that the library's handler replaced is restored, unless another handler is
 * on top. Returns 1 instead of 0 if every thread currently blocks the signal: the watch is
 * active, and fires when a thread unblocks the signal. -EINVAL: not a signal, or one that cannot
 * or must not be caught (SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, those that the C
 * library reserves). -EBUSY. */
READYQ_API int readyq_add_signal(readyq *q, readyq_watch *w, int signal);

/* Makes `handler`, if it was installed without SA_SIGINFO, count as the default action of
 * `signal` in this process: it is not called while the signal is watched. It is for an
 * interpreter whose own handler is what its users see as the default action, such as the one that
 * raises KeyboardInterrupt for Ctrl-C. NULL: none, the initial state. -EINVAL: the signal cannot
 * be caught. */
READYQ_API int readyq_default_handler(int signal, void (*handler)(int));

/* Fires once: when process `pid` ends, or immediately if it has already ended. It leaves the queue
 * when it is taken. For a child of this process, `status` is then what waitpid() would store; the
 * child is not reaped. -EINVAL: pid <= 0. -ESRCH: no such process. -ECHILD: not a child, where the
 * kernel has no pidfd. -EBUSY, -EMFILE, -ENFILE, -ENOMEM. */
READYQ_API int readyq_add_process(readyq *q, readyq_watch *w, pid_t pid);

/* Fires when readyq_fire() is called. -EBUSY. */
READYQ_API int readyq_add_trigger(readyq *q, readyq_watch *w);

/* Fires a trigger, from any thread. If it is fired several times before the delivery, there is one
 * delivery, and `count` says how many times it was fired. -EINVAL: not a trigger. -ENOENT: not in a
 * queue. */
READYQ_API int readyq_fire(readyq_watch *w);

/* Changes the interest of a descriptor's watch and arms it again. A watch that a batch holds is
 * released from it; what was found for the old interest but not yet taken is dropped, and the
 * kernel is asked again. -EINVAL: an invalid interest, or not a descriptor's watch. -ENOENT: not in
 * a queue. -EBADF: its descriptor was closed, or the number belongs to another file. */
READYQ_API int readyq_modify(readyq_watch *w, uint32_t interest);

/* Removes the watch: it is no longer delivered, not even later in the same batch. It also succeeds
 * if the descriptor was closed, or its number belongs to another file. -ENOENT: not in a queue.
 * Even then, a timer that has fired cannot be restarted after this call. */
READYQ_API int readyq_remove(readyq_watch *w);

/* The watch of descriptor `fd`, or NULL. Another thread may remove it at any time. */
READYQ_API readyq_watch *readyq_find(readyq *q, int fd);

/* The number of watches in the queue. */
READYQ_API size_t readyq_size(readyq *q);

/* ------------------------------------------------------------------ waiting */

/* The result of a wait. Zero it before its first use (`readyq_batch b = {0}`), and do not move it
 * between its first wait and readyq_done(). It belongs to the thread that last waited with it.
 * While a batch holds a watch, no other batch gets it. */
struct readyq_batch {
    struct {                        /* private */
        readyq *queue;              /* NULL: not open */
        struct readyq__link held;   /* the watches it holds: taken ones, then pending ones */
        struct readyq__link *next;  /* the first pending one, or &held; NULL while not open */
        struct readyq__link *stop;  /* where the short path of readyq_next() ends: &held; `next`
                                       while the queue is recorded or has a watchdog */
        struct readyq__link opened; /* in the queue's list of open batches */
        uintptr_t thread;           /* the one that waited last */
        int64_t deadline;           /* of the last wait, on the queue's clock */
        bool hides;                 /* it holds a watch that readyq_fileno() does not show */
    } own;
};

/* Waits until something is ready and puts up to `max` watches (0: no limit) into `batch`, first
 * giving back what the batch holds, as readyq_done() does; other batches of this thread and queue
 * are closed. `timeout`: nanoseconds; -1 waits forever; 0 checks and returns at once; a timeout
 * beyond the clock's range waits forever. Returns how many watches the batch now holds; 0: the
 * timeout has expired, or readyq_wake() was called. If a wake arrives together with events, the
 * wait returns the events, and the wake is left for another wait. A batch that is open in another
 * queue is closed there first. -EINVAL: timeout < -1 or max < 0. -ESHUTDOWN: the queue was closed;
 * the batch is closed, too. -EINTR: a signal, if the queue is interruptible. -EMFILE, -ENFILE,
 * -ENOMEM: a ghost cannot be removed and nothing else is ready. In a child, as with every call,
 * also the errors of readyq_open(). */
READYQ_API int readyq_wait(readyq *q, readyq_batch *batch, int64_t timeout, int max);

/* Like readyq_wait(), but waits until `deadline`, in nanoseconds on the queue's clock (readyq_now);
 * if the deadline has passed, it checks and returns at once; INT64_MAX waits forever. -EINVAL:
 * negative. */
READYQ_API int readyq_wait_until(readyq *q, readyq_batch *batch, int64_t deadline, int max);

/* The deadline of the last wait with the batch; INT64_MAX if it had none. To continue a wait that a
 * signal ended (-EINTR): save the deadline, run the signal handlers, and call
 * readyq_wait_until(). */
READYQ_API int64_t readyq_deadline(const readyq_batch *batch);

/* Like readyq_wait() with timeout 0, but leaves a wake to the next wait. It is for a binding that
 * checks before it releases its interpreter's lock to sleep. It does not ask the kernel, and
 * leaves that to the wait that follows, if the last wait that could sleep did sleep or a wake is
 * pending. */
READYQ_API int readyq_look(readyq *q, readyq_batch *batch, int max);

/* Takes the next watch of the batch, or returns NULL if all are taken, the batch is not open, or
 * its queue is closed. Sets the watch's `ready` and `count`. By then a process, or a timer without
 * a period, has left the queue (`queue` is NULL). */
READYQ_API readyq_watch *readyq_next(readyq_batch *batch);

/* The watch that readyq_next() would take, without taking it, or NULL. Another thread may remove it
 * at any time. */
READYQ_API readyq_watch *readyq_first(readyq_batch *batch);

/* Copies up to `size` watches that have not been taken yet to watches[], in order and without
 * taking them, and to ready[] the bits that readyq_next() would set in each watch. Each array may
 * be NULL. Returns how many watches there are. */
READYQ_API size_t readyq_peek(readyq_batch *batch, readyq_watch *watches[], uint32_t ready[],
                              size_t size);

/* Gives back the watches that the batch holds and closes it. Watches that were not taken are
 * delivered by the next wait, before newer ones; level-triggered ones only if they are still ready.
 * Call it when a thread stops waiting: until then other threads do not get the watches, and each
 * delivery of a level-triggered one costs one more system call than with a single batch. Returns 0;
 * a batch that is not open is ignored. */
READYQ_API int readyq_done(readyq_batch *batch);

/* Ends one wait, either one in progress or the next one; that wait returns 0. May be called from
 * any thread and from a signal handler; takes no lock. Several calls merge into one wake until it
 * has ended a wait. -ESHUTDOWN. */
READYQ_API int readyq_wake(readyq *q);

/* ------------------------------------------------------------------ inspecting a queue */

/* For another event loop: a descriptor that is readable while a wait would return something. It
 * belongs to the queue. Call readyq_done() before you return to that loop: what a batch holds may
 * or may not make it readable. -ELOOP: this queue watches a queue that watches another one, and the
 * kernel allows no more levels. -EMFILE, -ENFILE, -ENOMEM. */
READYQ_API int readyq_fileno(readyq *q);

/* READYQ_VERSION of the library in use. With a shared library it can be newer than that of the
 * header with which the program was compiled. */
READYQ_API const char *readyq_version(void);

/* The name of the kernel interface: "epoll" or "kqueue". */
READYQ_API const char *readyq_backend(readyq *q);

/* The queue's clock in nanoseconds: CLOCK_MONOTONIC, or the virtual one. */
READYQ_API int64_t readyq_now(readyq *q);

/* When a timer is due, on the queue's clock. For a periodic timer that has fired but not been taken
 * yet: when it was due. -1 if it is not running. */
READYQ_API int64_t readyq_due(readyq_watch *w);

/* The figures of a queue. They are always counted, from readyq_open() on; a child continues with
 * its parent's. A wait that may sleep reads the clock twice, for its deadline, the timers and these
 * figures together. */
#define READYQ_FIGURES(FIGURE)                                                                     \
    FIGURE(watches, "in the queue now")                                                            \
    FIGURE(adds, "watches that were added, including fired timers that were restarted")            \
    FIGURE(removes, "watches that left: removed, fired, found closed, or in a closed queue")       \
    FIGURE(waits, "calls to wait, and to readyq_look by a binding that is about to sleep")         \
    FIGURE(events, "what sources reported: kernel events, deadlines, signals, calls to fire")      \
    FIGURE(deliveries, "watches that were taken from batches")                                     \
    FIGURE(largest_batch, "the most watches that one wait has found")                              \
    FIGURE(fires, "calls to fire")                                                                 \
    FIGURE(wakes, "calls to wake that did not merge with an earlier one")                          \
    FIGURE(slept, "nanoseconds in waits that may sleep, summed over threads")                      \
    FIGURE(busy, "nanoseconds from a wait that may sleep to the next one of the same thread, "     \
                 "summed over threads")                                                            \
    FIGURE(longest_turn, "the longest time from a wait that may sleep to the next one of the "     \
                         "same thread, in nanoseconds")                                            \
    FIGURE(system_calls, "kernel_waits, changes and kicks together")                               \
    FIGURE(kernel_waits, "system calls that asked the kernel what is ready")                       \
    FIGURE(changes, "system calls that changed what the kernel watches")                           \
    FIGURE(kicks, "system calls that ended the sleep of a thread")                                 \
    FIGURE(stale, "kernel events dropped because their registration was gone")                     \
    FIGURE(rebuilds, "kernel queues built anew, after a fork or to remove a ghost")                \
    FIGURE(ghosts, "registrations that still fired after their watch was gone: the number was "    \
                   "closed before the watch was removed, and a duplicate or a child keeps the "    \
                   "file open")

/* The figures that are also counted for each kind of source. */
#define READYQ_FIGURES_OF_KIND(FIGURE)                                                             \
    FIGURE(watches)                                                                                \
    FIGURE(adds)                                                                                   \
    FIGURE(events)                                                                                 \
    FIGURE(deliveries)

#define READYQ__FIELD(name, text) uint64_t name;
#define READYQ__FIELD_OF_KIND(name) uint64_t name;

/* The figures as they are now, copied by readyq_stats(). Returns 0. */
struct readyq_stats {
    READYQ_FIGURES(READYQ__FIELD)
    int ghost_fd; /* the descriptor number of the last ghost, -1 before the first */
    struct readyq_kind_stats {
        READYQ_FIGURES_OF_KIND(READYQ__FIELD_OF_KIND)
    } kinds[READYQ_KIND_TRIGGER + 1]; /* by enum readyq_kind */
};
#undef READYQ__FIELD
#undef READYQ__FIELD_OF_KIND
READYQ_API int readyq_stats(readyq *q, struct readyq_stats *stats);

/* Compares what the queue watches with what the kernel says it watches: returns the number of
 * differences, and writes a line for each to text[size], as many as fit: "fd 7 (pipe): the queue
 * watches it for READ, but the kernel for READ|WRITE". There are none unless a watched descriptor
 * was closed. It is meant for tests, since it reads /proc and is slow. -ENOSYS if the kernel does
 * not report what it watches (kqueue). -ENOENT without /proc. -EMFILE, -ENFILE, -ENOMEM. */
READYQ_API int readyq_check(readyq *q, char *text, size_t size);

/* For bindings. readyq_has_reports(): whether readyq_ghost(), readyq_stale() or readyq_warning()
 * has something to return; cheap enough to call after every wait. readyq_ghost(): the descriptor
 * number of a ghost that this function has not returned before, or -1; the newest 64 are kept.
 * readyq_stale(): removes and returns a watch whose descriptor was found closed (its number is no
 * longer open, or belongs to another file), or NULL. */
READYQ_API bool readyq_has_reports(readyq *q);
READYQ_API int readyq_ghost(readyq *q);
READYQ_API readyq_watch *readyq_stale(readyq *q);

/* What the watchdog reports (struct readyq_debug). */
enum readyq_warning {
    READYQ_WARNING_SPIN = 1, /* a watch is reported again and again */
    READYQ_WARNING_TURN,     /* a turn takes too long */
    READYQ_WARNING_CLOSED,   /* the descriptor of a watch was closed */
    READYQ_WARNING_LEFT,     /* the data of an EDGE watch was not read completely */
    READYQ_WARNING_BLOCKED,  /* a signal is blocked */
};

/* For bindings, whose queues are interruptible and have no function `warn`: takes the watchdog's
 * next warning. Returns an enum readyq_warning, and stores the text, cut to fit, and the watch
 * (NULL if it has left the queue). Returns 0 if there is no warning. A wait that would sleep ends
 * with -EINTR if there is a warning. 640 bytes hold any text. */
READYQ_API int readyq_warning(readyq *q, readyq_watch **w, char *text, size_t size);

/* ------------------------------------------------------------------ recording */

/* What a queue did, step by step. `watch` identifies a watch: no other watch of the queue, earlier
 * or later, has the same value; 0 if the record is not about a watch. `number` is its descriptor,
 * signal or process id, or -1. Bits and value have the meaning that is stated for each type, and
 * are otherwise 0. */
enum readyq_record_type {
    READYQ_RECORD_START = 1, /* the recording begins; value: watches in the queue */
    READYQ_RECORD_ADD,       /* a watch; bits: its interest */
    READYQ_RECORD_MODIFY,    /* bits: its interest */
    READYQ_RECORD_REMOVE,    /* a watch has left the queue; value: enum readyq_removal */
    READYQ_RECORD_RESTART,   /* a timer; value: the delay */
    READYQ_RECORD_FIRE,      /* readyq_fire() */
    READYQ_RECORD_WAKE,      /* readyq_wake(); recorded when it ends a wait or a wait finds it */
    READYQ_RECORD_WAIT,      /* a wait begins; value: the timeout, -1 forever; bits: LOOKS */
    READYQ_RECORD_SLEEP,     /* the thread may sleep in the kernel; value: how long, -1 forever */
    READYQ_RECORD_SLEEP_END, /* the kernel has returned */
    READYQ_RECORD_EVENT,     /* a source has reported; bits: what */
    READYQ_RECORD_LAPSE,     /* a level-triggered watch that was not taken is no longer ready */
    READYQ_RECORD_WAIT_END,  /* value: its result; bits: LOOKS, WOKEN */
    READYQ_RECORD_DELIVERY,  /* readyq_next() took a watch; bits: its `ready`; value: its `count` */
    READYQ_RECORD_DONE,      /* the thread has finished with the watch that it took last */
    READYQ_RECORD_GHOST,     /* a ghost was found; number: its descriptor */
    READYQ_RECORD_REBUILD,   /* the kernel queue was built anew, without ghosts */
    READYQ_RECORD_FORK,      /* in a child: it has a kernel queue of its own */
    READYQ_RECORD_CLOSE,     /* readyq_close() */
};
#define READYQ_RECORD_LOOKS 1u /* it is a readyq_look() */
#define READYQ_RECORD_WOKEN 2u /* a wake ended it */

/* Why a watch has left its queue. */
enum readyq_removal {
    READYQ_REMOVAL_CALL,  /* readyq_remove() */
    READYQ_REMOVAL_FIRED, /* it fires only once, and was taken */
    READYQ_REMOVAL_STALE, /* the queue found its descriptor closed */
    READYQ_REMOVAL_CLOSE, /* the queue was closed */
};

/* One step, 40 bytes. */
struct readyq_record {
    uint64_t watch;
    uint8_t type; /* enum readyq_record_type */
    uint8_t kind; /* enum readyq_kind of the watch */
    uint16_t unused;
    int number;
    int64_t time; /* nanoseconds, CLOCK_MONOTONIC, whichever clock the queue uses */
    int64_t value;
    uint32_t bits;
    uint32_t thread; /* the thread that did it: its kernel id on Linux, elsewhere a number from 1 */
};

/* Starts a recording of the newest `records` records, each of sizeof(struct readyq_record) bytes;
 * the description of a descriptor that is added or removed takes up two or three of them. A queue
 * can have several recordings at the same time. A recording holds a reference to its queue and can
 * be read and saved after the queue has been closed. After a fork the child has a copy of it and
 * continues it.
 * -EINVAL: no records, or more than 2^30. -ESHUTDOWN. -ENOMEM. */
READYQ_API int readyq_record(readyq *q, size_t records, readyq_recording **recording);

/* Ends the recording and keeps its records. readyq_discard() also frees it; NULL is ignored. */
READYQ_API void readyq_stop(readyq_recording *recording);
READYQ_API void readyq_discard(readyq_recording *recording);

/* How many records it has; if `dropped` is not NULL, *dropped is how many it had to drop. */
READYQ_API size_t readyq_recorded(readyq_recording *recording, uint64_t *dropped);

/* Copies up to `size` records, the oldest first, starting at position *from, which is 0 at first,
 * and advances *from. Dropped records are skipped. Returns how many were copied: 0 at the end. */
READYQ_API size_t readyq_records(readyq_recording *recording, uint64_t *from,
                                 struct readyq_record records[], size_t size);

/* Writes the records to file `path` in the Chrome Trace Event format (JSON), for
 * https://ui.perfetto.dev, Speedscope and `python -m readyq.timeline`. Returns a negative errno if
 * the file cannot be written; a regular file that could not be written completely is removed.
 * -ENOMEM. */
READYQ_API int readyq_save(readyq_recording *recording, const char *path);

/* The name of a record type, such as "wait_end"; "none" for any other number. */
READYQ_API const char *readyq_record_name(int type);

/* The word for a record in a trace, such as "add_timer" or "ready". NULL for records that are
 * neither a call nor a delivery, and for watches that fired or were closed with their queue. */
READYQ_API const char *readyq_trace_name(const struct readyq_record *record);

/* The value of `thread` in the records of this thread. */
READYQ_API uint32_t readyq_thread(void);

/* The value of `watch` in the records of this watch; 0 before it is added. */
READYQ_API uint64_t readyq_id(const readyq_watch *w);

/* ------------------------------------------------------------------ texts */

/* All of these write their text, cut to fit, to text[size] and return text. */

/* What descriptor `fd` is, in words: "TCP 127.0.0.1:80 to 127.0.0.1:49152", "pipe",
 * "terminal /dev/pts/0", "file /etc/passwd", "closed". Control characters are replaced by question
 * marks. */
READYQ_API char *readyq_describe(int fd, char *text, size_t size);

/* The names of bits, such as "READ|READ_CLOSED"; "0" if there are none. */
READYQ_API char *readyq_describe_bits(uint32_t bits, char *text, size_t size);

/* A watch in words, such as "fd 7 (pipe) interest READ, ready READ". `ready`: w->ready, or what
 * readyq_peek() reports. */
READYQ_API char *readyq_describe_watch(const readyq_watch *w, uint32_t ready, char *text,
                                       size_t size);

/* A record in words, such as "add fd 7 READ" or "wait_end 3". */
READYQ_API char *readyq_describe_record(const struct readyq_record *record, char *text,
                                        size_t size);

/* Why `call` failed for `fd` (-1: no descriptor) with `error` (as returned, negative), and what to
 * do about it: "add() failed for descriptor 5 (pipe): this queue already watches it; ...". If
 * `call` is a plain name, "()" is added; anything else, such as "add(READ)", is used as it is. Call
 * it in the thread that got the error, before it makes another call. 400 bytes hold everything but
 * long file names.
 *
 * readyq_explain_for(): the same for anything else; `target` is used as it is (NULL: no target):
 * "fire() failed for signal 15: it is not a trigger; ...".
 *
 * readyq_explain_watch(): the same for a watch, whatever it watches. Not for a failed add, which
 * leaves the watch as it was: the text would name what it watched before. */
READYQ_API char *readyq_explain(const char *call, int fd, int error, char *text, size_t size);
READYQ_API char *readyq_explain_for(const char *call, const char *target, int error, char *text,
                                    size_t size);
READYQ_API char *readyq_explain_watch(const char *call, const readyq_watch *w, int error,
                                      char *text, size_t size);

/* The warnings that a binding shows: about a ghost (readyq_ghost), and about a signal that is
 * blocked in every thread (readyq_add_signal). 200 bytes hold them. */
READYQ_API char *readyq_explain_ghost(int fd, char *text, size_t size);
READYQ_API char *readyq_explain_blocked(int signal, char *text, size_t size);

/* The name of a kind: "fd", "timer", "signal", "process", "trigger"; else "none". */
READYQ_API const char *readyq_kind_name(int kind);

/* The bits one by one, for a binding's table of constants: the name of the bit at `index`, counted
 * from 0, and its value in *bit; NULL after the last. */
READYQ_API const char *readyq_bit_name(unsigned index, uint32_t *bit);

#ifdef __cplusplus
}
#endif
#endif
