/* SPDX-License-Identifier: MIT
 *
 * The registry of all queues, and their treatment after a fork. While the process is being copied,
 * no thread is in the middle of a change, so the child's copy is consistent. In the child the epoch
 * is different; each queue builds a kernel queue of its own when it is next used (rebuild.c). A
 * process that forks only to exec pays almost nothing.
 *
 * A child created by _Fork() or clone() runs no handlers of pthread_atfork(); it is recognised by
 * the epoch, which is 0 there. Locks that other threads of its parent held are initialised again.
 */
#include "internal.h"

#include <signal.h>

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static readyq *queues;
static uint32_t last_id;
static atomic_bool locked; /* by before_fork */

static uint32_t last_epoch = 1;

/* ------------------------------------------------------------------ in a child */

/* Watches that the parent's threads held are given back here and not later, when the child may have
 * threads of its own. Queues that others watch get a descriptor of their own under the old number
 * before any other queue registers that number. */
static void begin(bool reset_locks)
{
    sigset_t all, mask;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    if (reset_locks) {
        pthread_mutex_init(&registry, NULL);
        pthread_mutex_init(&readyq__handlers_lock, NULL);
    }
    *readyq__epoch = 0; /* until all is done, nothing changes the parent's queues */
    readyq__handlers_child();
    readyq__thread_id = 0;
    for (readyq *q = queues; q != NULL; q = q->next) {
        if (reset_locks)
            pthread_mutex_init(&q->lock, NULL);
        readyq__forget_threads(q);
        q->pollable_forked = q->pollable >= 0;
        if (q->closed && !atomic_load(&q->shut)) {
            readyq__close_kernel(q, &q->kernel, true);
            readyq__tear_down(q);
        } else if (q->pollable >= 0) {
            readyq__pollable_renew(q); /* if it fails, the first call tries again */
        }
    }
    *readyq__epoch = ++last_epoch;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void readyq__begin_child(void)
{
    begin(true);
}

/* ------------------------------------------------------------------ around fork() */

static void before_fork(void)
{
    locked = !readyq__alone();
    if (!locked)
        return;
    pthread_mutex_lock(&registry);
    for (readyq *q = queues; q != NULL; q = q->next)
        pthread_mutex_lock(&q->lock);
    pthread_mutex_lock(&readyq__handlers_lock);
}

static void after_fork(void)
{
    if (!locked)
        return;
    pthread_mutex_unlock(&readyq__handlers_lock);
    for (readyq *q = queues; q != NULL; q = q->next)
        pthread_mutex_unlock(&q->lock);
    pthread_mutex_unlock(&registry);
}

static void after_fork_in_child(void)
{
    begin(false);
    after_fork();
}

/* ------------------------------------------------------------------ the registry */

static void install(void)
{
    readyq__open_epoch();
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

void readyq__lock_registry(void)
{
    if (*readyq__epoch == 0)
        readyq__begin_child();
    pthread_mutex_lock(&registry);
}

void readyq__unlock_registry(void)
{
    pthread_mutex_unlock(&registry);
}

void readyq__register_queue(readyq *q)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
    readyq__lock_registry();
    q->id = ++last_id;
    q->next = queues;
    queues = q;
    readyq__unlock_registry();
}

void readyq__unregister_queue(readyq *q)
{
    readyq__lock_registry();
    for (readyq **link = &queues; *link != NULL; link = &(*link)->next)
        if (*link == q) {
            *link = q->next;
            break;
        }
    readyq__unlock_registry();
}

readyq *readyq__first_queue(void)
{
    return queues;
}

readyq *readyq__find_queue(uint32_t id)
{
    readyq *q = queues;

    while (q != NULL && q->id != id)
        q = q->next;
    return q;
}
