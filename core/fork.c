/* SPDX-License-Identifier: MIT
 *
 * The registry of all queues, for fork: while the process is copied no thread is in the middle of
 * a change, so the child's copy is whole; there each queue is marked, and builds a kernel queue of
 * its own when it is next used (rebuild.c). A process that forks only to exec pays next to nothing.
 */
#include "internal.h"

#include <signal.h>

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static readyq *queues;
static bool locked; /* by before_fork */

static void before_fork(void)
{
    locked = !readyq__alone();
    if (!locked)
        return;
    pthread_mutex_lock(&registry);
    for (readyq *q = queues; q != NULL; q = q->next)
        pthread_mutex_lock(&q->lock);
    readyq__signals_lock();
}

static void after_fork(void)
{
    if (!locked)
        return;
    readyq__signals_unlock();
    for (readyq *q = queues; q != NULL; q = q->next)
        pthread_mutex_unlock(&q->lock);
    pthread_mutex_unlock(&registry);
}

/* The parent's threads are forgotten here and not later, when the child may have threads of its own
 * that fire and wake; a handler that does so is held off. */
static void after_fork_in_child(void)
{
    sigset_t all, mask;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    readyq__signals_child();
    for (readyq *q = queues; q != NULL; q = q->next) {
        atomic_store(&q->shut, true);
        atomic_store(&q->forked, true);
        readyq__begin_child(q);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    after_fork();
}

static void install(void)
{
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

void readyq__enlist(readyq *q)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
    pthread_mutex_lock(&registry);
    q->next = queues;
    if (queues != NULL)
        queues->previous = q;
    queues = q;
    pthread_mutex_unlock(&registry);
}

void readyq__delist(readyq *q)
{
    pthread_mutex_lock(&registry);
    if (q->previous != NULL)
        q->previous->next = q->next;
    else
        queues = q->next;
    if (q->next != NULL)
        q->next->previous = q->previous;
    pthread_mutex_unlock(&registry);
}
