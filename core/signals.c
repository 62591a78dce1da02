/* SPDX-License-Identifier: MIT
 *
 * Signals: one handler for the process, any number of queues. The handler fires the watches of its
 * signal as if they were triggers, so no mask is blocked that children would inherit, and other
 * signals keep their handlers. The action in force before is put back after the last watch,
 * unless somebody has installed another one meanwhile.
 *
 * The handler walks a list while other threads may change it: a watch that was unlinked is waited
 * for until no handler that may still see it is running.
 */
#include "internal.h"

#include <sched.h>
#include <signal.h>

#ifndef NSIG
#define NSIG 65
#endif

static struct watched {
    readyq_watch *first; /* linked by own.same; atomic */
    int handling;        /* handlers under way; atomic */
    struct sigaction before;
} watched[NSIG];

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int signal)
{
    const int error = errno;
    struct watched *of = &watched[signal];
    readyq_watch *w;

    __atomic_fetch_add(&of->handling, 1, __ATOMIC_SEQ_CST);
    w = __atomic_load_n(&of->first, __ATOMIC_SEQ_CST);
    for (; w != NULL; w = __atomic_load_n(&w->own.same, __ATOMIC_SEQ_CST))
        readyq__fire(w);
    __atomic_fetch_sub(&of->handling, 1, __ATOMIC_SEQ_CST);
    errno = error;
}

/* A handler must not find its own thread inside: the table is changed with signals held off. */
static void lock_table(sigset_t *mask)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, mask);
    pthread_mutex_lock(&table);
}

static void unlock_table(const sigset_t *mask)
{
    pthread_mutex_unlock(&table);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

static int install(struct watched *of, int signal)
{
    struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigfillset(&ours.sa_mask);
    return sigaction(signal, &ours, &of->before) < 0 ? -errno : 0;
}

static void restore(struct watched *of, int signal)
{
    struct sigaction now = {0};

    sigaction(signal, NULL, &now);
    if (now.sa_handler == on_signal)
        sigaction(signal, &of->before, NULL);
}

int readyq__signal_start(readyq_watch *w, int signal)
{
    struct watched *of = &watched[signal];
    sigset_t mask;
    int error = 0;

    lock_table(&mask);
    if (of->first == NULL)
        error = install(of, signal);
    if (error == 0) {
        w->signal = signal;
        readyq__fire_start(w);
        w->own.same = of->first;
        __atomic_store_n(&of->first, w, __ATOMIC_SEQ_CST);
    }
    unlock_table(&mask);
    return error;
}

void readyq__signal_stop(readyq_watch *w)
{
    struct watched *of = &watched[w->signal];
    readyq_watch **link = &of->first;
    sigset_t mask;

    lock_table(&mask);
    while (*link != w)
        link = &(*link)->own.same;
    __atomic_store_n(link, w->own.same, __ATOMIC_SEQ_CST);
    if (of->first == NULL)
        restore(of, w->signal);
    while (__atomic_load_n(&of->handling, __ATOMIC_SEQ_CST) > 0)
        sched_yield();
    unlock_table(&mask);
}

/* ------------------------------------------------------------------ fork */

void readyq__signals_lock(void)
{
    pthread_mutex_lock(&table);
}

void readyq__signals_unlock(void)
{
    pthread_mutex_unlock(&table);
}

/* In a child: handlers of other threads are not under way here. */
void readyq__signals_child(void)
{
    for (int signal = 0; signal < NSIG; signal++)
        watched[signal].handling = 0;
}

/* ------------------------------------------------------------------ the call */

/* Those that cannot be caught, and those that mean that this thread cannot go on. */
static bool is_watchable(int signal)
{
    switch (signal) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL: return false;
    default: return signal > 0 && signal < NSIG;
    }
}

int readyq_add_signal(readyq *q, readyq_watch *w, int signal)
{
    int error;

    if (!is_watchable(signal))
        return -EINVAL;
    error = readyq__enter(q);
    if (error < 0)
        return error;
    error = readyq__admit(q, w, READYQ_KIND_SIGNAL);
    if (error == 0) {
        __atomic_store_n(&w->queue, q, __ATOMIC_RELEASE); /* it may come at once */
        error = readyq__signal_start(w, signal);
        if (error < 0)
            w->queue = NULL;
    }
    if (error == 0) {
        readyq__link_before(&q->fireable, &w->own.group);
        readyq__settle(q, w);
    }
    readyq__leave(q);
    return error;
}
