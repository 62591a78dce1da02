/* SPDX-License-Identifier: MIT
 *
 * The gate of a queue: a call that may change what other threads wait for enters and leaves here.
 * Calls that only return information, and readyq_next(), only take the lock; readyq_done() and
 * readyq_close() only leave.
 */
#include "internal.h"

int readyq__enter_changed(readyq *q)
{
    const int error = q->closed ? -ESHUTDOWN : readyq__build(q);

    if (error < 0) {
        readyq__unlock(q);
        return error;
    }
    q->stats.rebuilds++;
    readyq__record(q, READYQ_RECORD_FORK, NULL, 0, 0);
    return 0;
}

/* Whether something is left for a thread that sleeps. */
static bool is_work_left(readyq *q)
{
    return !readyq__list_empty(&q->ready) || q->closed || q->rebuild_due ||
           readyq__next_due(q) < q->covered || atomic_load(&q->woken) || atomic_load(&q->signalled);
}

void readyq__kick_if_needed(readyq *q)
{
    if (q->asleep > 0 && is_work_left(q))
        readyq__kick(q);
    if (q->pollable >= 0)
        readyq__pollable_update(q);
}

/* Why a watch is in no queue. */
static int refuse(const readyq_watch *w)
{
    if (readyq__get(w, kind) == READYQ_KIND_NONE)
        return readyq__refuse(ENOENT, "the watch was never added to a queue", "add it first");
    if (readyq__fired_in(w) != 0)
        return readyq__refuse(ENOENT, "it has fired and left its queue",
                              "nothing more needs to be done");
    return readyq__refuse(ENOENT, "the watch was removed from its queue", "add it again");
}

readyq *readyq__enter_of(readyq_watch *w, int *error)
{
    readyq *q;

    while ((q = __atomic_load_n(&w->queue, __ATOMIC_ACQUIRE)) != NULL) {
        *error = readyq__enter(q);
        if (*error < 0)
            return NULL;
        if (w->queue == q)
            return q;
        readyq__leave(q); /* another thread has removed it meanwhile */
    }
    *error = refuse(w);
    return NULL;
}

readyq *readyq__enter_by_id(uint32_t id, int *error)
{
    readyq *q;

    readyq__lock_registry();
    q = readyq__find_queue(id);
    *error = q != NULL ? readyq__enter(q) : -ESHUTDOWN;
    readyq__unlock_registry();
    return *error == 0 ? q : NULL;
}
