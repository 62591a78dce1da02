/* SPDX-License-Identifier: MIT
 *
 * What a thread does with its batch: taking the watches one at a time, looking at them, giving them
 * back. A wait fills it (wait.c); what giving back means for a watch is in ready.c.
 */
#include "internal.h"

static readyq_watch *next_of(readyq_batch *batch)
{
    struct readyq__link *link = batch->own.next;
    readyq_watch *w = readyq__owner(link, link);

    batch->own.next = link->next;
    w->ready = w->own.event;
    w->own.event = 0;
    w->own.place = READYQ__TAKEN;
    return w;
}

/* A delivery changes nothing that another thread could take before this batch gives its watch back,
 * so no sleeping thread is kicked. */
static READYQ__OUT_OF_LINE readyq_watch *next_slow(readyq *q, readyq_batch *batch)
{
    readyq_watch *w = NULL;

    if (q == NULL)
        return NULL;
    readyq__lock(q);
    if (batch->own.next != batch->own.end) { /* both are NULL in a batch that is not open */
        w = next_of(batch);
        if (w->own.flags != 0)
            q->kinds[w->kind]->deliver(q, w);
    } else if (q->pollable >= 0) {
        readyq__pollable_update(q);
    }
    readyq__unlock(q);
    return w;
}

/* The short path, in a process with one thread and for a plain watch, makes no call and has no
 * stack frame: 21 instructions instead of 46. */
readyq_watch *readyq_next(readyq_batch *batch)
{
    if (!readyq__alone() || batch->own.next == batch->own.end ||
        readyq__owner(batch->own.next, link)->own.flags != 0)
        return next_slow(batch->own.queue, batch);
    return next_of(batch);
}

readyq_watch *readyq_first(readyq_batch *batch)
{
    readyq *q = batch->own.queue;
    readyq_watch *w = NULL;

    if (q == NULL)
        return NULL;
    readyq__lock(q);
    if (batch->own.next != batch->own.end)
        w = readyq__owner(batch->own.next, link);
    readyq__unlock(q);
    return w;
}

size_t readyq_peek(readyq_batch *batch, readyq_watch *watches[], uint32_t ready[], size_t size)
{
    readyq *q = batch->own.queue;
    size_t n = 0;

    if (q == NULL)
        return 0;
    readyq__lock(q);
    for (struct readyq__link *at = batch->own.next; at != batch->own.end; at = at->next, n++) {
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
    readyq *q = batch->own.queue;

    if (q == NULL)
        return 0;
    readyq__lock(q);
    readyq__close_batch(q, batch);
    readyq__release(q);
    return 0;
}
