/* SPDX-License-Identifier: MIT
 *
 * What a thread does with its batch: taking the watches one at a time, looking at them, giving them
 * back. A wait fills it (wait.c); what giving back means for a watch is in batches.c.
 */
#include "internal.h"

/* Takes the lock of the batch's queue. NULL: the batch is not open; its thread may have closed it,
 * by waiting again, while this one waited for the lock. */
static readyq *lock_queue_of(const readyq_batch *batch)
{
    readyq *q = readyq__get(batch, own.queue);

    if (q == NULL)
        return NULL;
    readyq__lock(q);
    if (readyq__get(batch, own.queue) == q)
        return q;
    readyq__unlock(q);
    return NULL;
}

static readyq_watch *next_of(readyq_batch *batch)
{
    struct readyq__link *link = batch->own.next;
    readyq_watch *w = readyq__owner(link, link);

    batch->own.next = link->next;
    readyq__set(w, ready, w->own.event);
    w->own.event = 0;
    w->own.place = READYQ__TAKEN;
    return w;
}

/* Not inline, so that the short path needs no stack frame. */
static READYQ__OUT_OF_LINE void observe(readyq *q, const readyq_watch *w)
{
    if (readyq__is_recorded(q))
        readyq__record_delivery(q, w, w->kind, readyq__number_of(w), (int64_t)w->count,
                                readyq__ticks(), readyq__thread());
    if (q->watchdog != NULL)
        readyq__watchdog_take(q, w);
}

static void observe_end(readyq *q)
{
    readyq__record(q, READYQ_RECORD_DONE, NULL, 0, 0);
    if (q->watchdog != NULL)
        readyq__watchdog_take(q, NULL);
}

/* A watch that fires only once leaves the queue when it is delivered. */
static readyq_watch *deliver_next(readyq *q, readyq_batch *batch)
{
    readyq_watch *w = next_of(batch);

    readyq__set_next(q, batch, batch->own.next);
    if (w->own.flags != 0) {
        q->stats.kinds[w->kind].deliveries++;
        q->kinds[w->kind]->deliver(q, w);
    }
    if (q->observed)
        observe(q, w);
    if (w->queue == NULL)
        readyq__record_remove(q, w, READYQ_REMOVAL_FIRED);
    return w;
}

/* A delivery changes nothing that another thread could take before this batch gives its watch back,
 * so no sleeping thread is kicked. */
static READYQ__OUT_OF_LINE readyq_watch *next_slow(readyq_batch *batch)
{
    readyq *q = lock_queue_of(batch);
    readyq_watch *w = NULL;

    if (q == NULL)
        return NULL;
    if (batch->own.next != &batch->own.held) {
        w = deliver_next(q, batch);
    } else {
        if (q->observed)
            observe_end(q);
        if (q->pollable >= 0)
            readyq__pollable_update(q);
    }
    readyq__unlock(q);
    return w;
}

static bool next_has_flags(const readyq_batch *batch)
{
    return readyq__owner(batch->own.next, link)->own.flags != 0;
}

/* Where the short path stops: at the end of a batch, or at each watch of a queue that is observed.
 * It has no stack frame either, and takes no lock. */
static READYQ__OUT_OF_LINE readyq_watch *next_special(readyq_batch *batch)
{
    readyq *q = batch->own.queue;
    const uint32_t thread = readyq__thread_id;
    readyq_watch *w;
    int64_t ticks;

    if (q == NULL)
        return NULL;
    if (batch->own.next == &batch->own.held)
        return q->observed || q->pollable >= 0 ? next_slow(batch) : NULL;
    if (next_has_flags(batch) || thread == 0 || !q->counts_only)
        return next_slow(batch);
    ticks = readyq__cycles();
    w = next_of(batch);
    batch->own.stop = batch->own.next;
    readyq__record_delivery(q, w, READYQ_KIND_FD, w->fd, 1, ticks, thread);
    return w;
}

/* The short path, in a process with one thread and for a watch without flags, makes no call and has
 * no stack frame: that saves more than half of the instructions. */
readyq_watch *readyq_next(readyq_batch *batch)
{
    if (!readyq__alone())
        return next_slow(batch);
    if (batch->own.next == batch->own.stop || next_has_flags(batch))
        return next_special(batch);
    return next_of(batch);
}

static readyq_watch *first_of(const readyq_batch *batch)
{
    struct readyq__link *const next = batch->own.next;

    return next != NULL && next != &batch->own.held ? readyq__owner(next, link) : NULL;
}

static READYQ__OUT_OF_LINE readyq_watch *first_locked(readyq_batch *batch)
{
    readyq *q = lock_queue_of(batch);
    readyq_watch *w;

    if (q == NULL)
        return NULL;
    w = first_of(batch);
    readyq__unlock(q);
    return w;
}

readyq_watch *readyq_first(readyq_batch *batch)
{
    return readyq__alone() ? first_of(batch) : first_locked(batch);
}

size_t readyq_peek(readyq_batch *batch, readyq_watch *watches[], uint32_t ready[], size_t size)
{
    readyq *q = lock_queue_of(batch);
    size_t n = 0;

    if (q == NULL)
        return 0;
    for (struct readyq__link *at = batch->own.next; at != &batch->own.held; at = at->next, n++) {
        if (n < size && watches != NULL)
            watches[n] = readyq__owner(at, link);
        if (n < size && ready != NULL)
            ready[n] = readyq__owner(at, link)->own.event;
    }
    readyq__unlock(q);
    return n;
}

/* Works on a closed queue, too. In a child whose kernel queue is still the parent's, nothing is
 * changed in the kernel. */
int readyq_done(readyq_batch *batch)
{
    readyq *q = lock_queue_of(batch);

    if (q == NULL)
        return 0;
    if (q->observed)
        observe_end(q);
    readyq__close_batch(q, batch);
    readyq__release(q);
    return 0;
}
