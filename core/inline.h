/* SPDX-License-Identifier: MIT
 *
 * A part of internal.h: the fields of watches, lists, the lock, and holding off cancellation,
 * inline because every call uses them.
 */
#ifndef READYQ_INLINE_H
#define READYQ_INLINE_H

/* ------------------------------------------------------------------ public fields of a watch */

/* Those of a watch that is in a queue are set with the lock held, and atomically, since a program
 * may read them in another thread at any time. readyq__get() reads them without the lock. */
#define readyq__set(w, field, value) __atomic_store_n(&(w)->field, value, __ATOMIC_RELAXED)
#define readyq__get(w, field) __atomic_load_n(&(w)->field, __ATOMIC_RELAXED)

/* ------------------------------------------------------------------ lists */

#define readyq__owner(link, member)                                                                \
    ((readyq_watch *)(void *)((char *)(link)-offsetof(readyq_watch, own.member)))

static inline void readyq__list_init(struct readyq__link *list)
{
    list->next = list->prev = list;
}

static inline bool readyq__list_empty(const struct readyq__link *list)
{
    return list->next == list;
}

/* Inserts `link` before `at`; if that is the head of a list, at the end of the list. */
static inline void readyq__link_before(struct readyq__link *at, struct readyq__link *link)
{
    struct readyq__link *prev = at->prev;

    link->next = at;
    prev->next = link;
    link->prev = prev;
    at->prev = link;
}

/* Not for a watch that is IDLE, whose link may dangle. */
static inline void readyq__unlink(struct readyq__link *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

/* ------------------------------------------------------------------ lock.c */

void readyq__take_lock(readyq *q); /* where there are several threads */
void readyq__drop_lock(readyq *q);

/* Takes the lock of a queue. A thread cannot be cancelled while it holds the lock. First checks
 * whether this process is a child, whose copy of the lock may be held by a thread of its parent. A
 * process with one thread takes no lock: glibc knows how many there are, and the only thread starts
 * no other before it releases the lock. */
static inline void readyq__lock(readyq *q)
{
    if (*readyq__epoch == 0)
        readyq__begin_child();
    if (!readyq__alone())
        readyq__take_lock(q);
}

static inline void readyq__unlock(readyq *q)
{
    if (!readyq__alone())
        readyq__drop_lock(q);
}

/* Around the system call that fetches events. */
struct readyq__syscall {
    uint64_t fetch;                /* its number */
    int cancel_state, cancel_type; /* of the thread */
};

void readyq__begin_syscall(readyq *q, struct readyq__syscall *call, int64_t timeout);
void readyq__end_syscall(readyq *q, const struct readyq__syscall *call, int64_t timeout);

static inline void readyq__unlock_for_syscall(readyq *q, struct readyq__syscall *call,
                                              int64_t timeout)
{
    call->fetch = ++q->fetches;
    if (!q->lock_kept && !readyq__alone())
        readyq__begin_syscall(q, call, timeout);
}

static inline void readyq__relock(readyq *q, const struct readyq__syscall *call, int64_t timeout)
{
    if (!q->lock_kept && !readyq__alone())
        readyq__end_syscall(q, call, timeout);
    q->fetch = call->fetch;
}

/* ------------------------------------------------------------------ cancellation */

/* For functions that must not be cancelled and do not hold the lock: those that use files, or call
 * the program's functions, and those that are called by signal handlers. A handler may interrupt a
 * sleep that can be cancelled at any instruction, and glibc 2.36 looks only at the type when a
 * cancellation is already pending. */
struct readyq__cancel {
    int state, type;
};

static inline struct readyq__cancel readyq__hold_cancel(void)
{
    struct readyq__cancel before;

    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before.type);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.state);
    return before;
}

static inline void readyq__release_cancel(struct readyq__cancel before)
{
    pthread_setcanceltype(before.type, &before.type);
    pthread_setcancelstate(before.state, &before.state);
}

#endif
