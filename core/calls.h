/* SPDX-License-Identifier: MIT
 *
 * A part of internal.h: the functions that one file of the core calls in another, sorted by file.
 */
#ifndef READYQ_CALLS_H
#define READYQ_CALLS_H

/* ------------------------------------------------------------------ epoch.c */

/* The epoch of this process; 0 in a child until readyq__begin_child() has been called. */
extern volatile uint32_t *readyq__epoch;
void readyq__open_epoch(void); /* once */

/* Whether this process is a child in which the kernel queue is still the parent's. */
static inline bool readyq__is_forked(const readyq *q)
{
    return *readyq__epoch != q->epoch;
}

void readyq__begin_child(void); /* fork.c; called if the epoch is 0, before a lock is taken */

#include "inline.h"

/* Thread-local storage. With glibc it is placed in memory that each thread has from the start;
 * otherwise a module that was opened with dlopen() would allocate it on first use. */
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
int64_t readyq__monotonic(void); /* the real clock, even if the queue's is virtual */
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

/* Opens and closes the wake-up; the caller registers it. */
int readyq__wakeup_open(readyq *q);
void readyq__wakeup_close(readyq *q);

/* Ends the sleep of one thread. Needs no lock; may be called from a signal handler. */
void readyq__kick(readyq *q);

/* To be called after a change of `asleep` or `pollable`. */
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

/* The first makes the handler count w->signal in w->caught and set `signalled` of w->queue;
 * w->queue must be set before the call. The second ends this. -EINVAL: the C library reserves the
 * signal. */
int readyq__handle_signal(readyq_watch *w);
void readyq__unhandle_signal(readyq_watch *w);

/* The handler that counts as the default action. */
void readyq__set_default_handler(int signal, void (*handler)(int));

/* Installs our handler for a watched signal again if another has replaced it. */
void readyq__check_handler(int signal);

bool readyq__is_blocked_everywhere(int signal);

/* For fork.c: the lock of the table of handlers. */
extern pthread_mutex_t readyq__handlers_lock;
void readyq__handlers_child(void);

/* ------------------------------------------------------------------ ready.c */

/* An event that does not take the short path: a stale one, or one of a watch that is not plain. */
void readyq__event_slow(readyq *q, uint64_t key, uint32_t bits);

/* Adds bits to the watch's event. An idle watch goes to the end of the ready list. The second does
 * not count or record them as a new event. */
void readyq__list(readyq *q, readyq_watch *w, uint32_t bits);
void readyq__enlist(readyq *q, readyq_watch *w, uint32_t bits);

static inline readyq_batch *readyq__batch_at(struct readyq__link *opened)
{
    return (readyq_batch *)(void *)((char *)opened - offsetof(readyq_batch, own.opened));
}

/* Sets where the next watch of a batch is. */
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

#include "events.h"

/* ------------------------------------------------------------------ batches.c */

void readyq__open_batch(readyq *q, readyq_batch *batch);  /* takes a reference to the queue */
void readyq__give_back(readyq *q, readyq_batch *batch);   /* what it holds; it stays open */
void readyq__close_batch(readyq *q, readyq_batch *batch); /* the caller drops the reference */

/* Closes the batches that this thread waited with last, or, if not `own`, those of other threads.
 * The batch `but` stays open. */
void readyq__close_batches(readyq *q, bool own, const readyq_batch *but);

/* ------------------------------------------------------------------ kevents.c */

struct kevent;
uint32_t readyq__from_kevent(const struct kevent *event, uint32_t interest); /* READYQ_ bits */
uint32_t readyq__poll_both(int fd);    /* READ and WRITE, as poll(2) reports */
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

/* Whether the number is that of one of the queue's own descriptors. */
bool readyq__is_own(const readyq *q, int fd);

/* The first closes a kernel queue if it is open, the second the next one. */
void readyq__close_kernel(readyq *q, int *kernel, bool forked);
void readyq__drop_next(readyq *q);

/* Registers w->fd in the table and the kernel; -errno as from backend->update. The second function
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

bool readyq__is_same_file(const readyq_watch *w); /* a FILE: it is still the one that was added */

/* Gives a watch that is in no queue a new id, and the kind and arguments of `wanted`, so that it
 * can be started. */
void readyq__prepare(readyq *q, readyq_watch *w, const readyq_watch *wanted);
void readyq__arm(readyq_watch *w, bool armed);     /* sets `armed` and SLOW */
void readyq__activate(readyq *q, readyq_watch *w); /* it has started, and is in the queue now */

/* Takes a watch out of the queue, and out of every list and table that holds it. */
void readyq__detach(readyq *q, readyq_watch *w);

/* Its descriptor was closed: takes it out of all but the queue's list of stale watches. */
void readyq__mark_stale(readyq *q, readyq_watch *w);

/* ------------------------------------------------------------------ rebuild.c */

/* Fetches events without sleeping until the kernel has no more. Returns what backend->wait does. */
int readyq__fetch_all(readyq *q, int kernel);

/* Both remove ghosts. The first goes one step further in filling the next kernel queue; it is
 * called until it sets rebuild_due. The second replaces the current kernel queue with the next one
 * and loses no edge; it is called when no thread is in the kernel. */
int readyq__prepare_rebuild(readyq *q);
int readyq__rebuild(readyq *q);

int readyq__build(readyq *q);           /* the kernel queue of a new queue, or a child's own */
void readyq__tear_down(readyq *q);      /* closes the descriptors of a closed queue */
void readyq__forget_threads(readyq *q); /* in a child: all but this one */

/* Makes the kernel report again whatever is ready, after a thread that may have fetched events was
 * cancelled. An edge may be reported twice. */
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

/* The check itself; called while the registry is locked but no queue is. Sets *inner to the id of
 * the queue whose descriptor it is, or to 0. -ELOOP: that queue watches `q`, perhaps through
 * others. -EINVAL: it is `q`. */
int readyq__check_circle(readyq *q, int fd, uint32_t *inner);

/* ------------------------------------------------------------------ gate.c */

/* Takes the lock. -ESHUTDOWN if the queue is closed. In a child, first gives the queue a kernel
 * queue of its own. On failure the lock is not held. */
int readyq__enter_changed(readyq *q); /* its rest, for a closed queue or in a child */
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

/* The id of the queue in which a timer or process fired and which it then left, 0 if there is none.
 * It is read without a lock: another thread may add the watch again at any time. */
static inline uint32_t readyq__fired_in(const readyq_watch *w)
{
    const uint8_t kind = readyq__get(w, kind);

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

/* Adds a watch with the kind and the arguments of `wanted`. Takes the lock itself. */
int readyq__add(readyq *q, readyq_watch *w, const readyq_watch *wanted);

/* ------------------------------------------------------------------ timers.c, signals.c */

void readyq__expire(readyq *q, int64_t now); /* lists the timers that are due */
void readyq__collect_signals(readyq *q);     /* lists the signals that were caught */

/* ------------------------------------------------------------------ queue.c */

void readyq__release(readyq *q); /* readyq__leave(), and drops a reference */

#endif
