/* SPDX-License-Identifier: MIT
 *
 * The open batches of a queue, and what giving back means for the watches that they hold. A wait
 * fills a batch (wait.c), and its thread takes the watches one at a time (deliveries.c).
 */
#include "internal.h"

void readyq__open_batch(readyq *q, readyq_batch *batch)
{
    readyq__set(batch, own.queue, q); /* another thread may be reading it */
    batch->own.next = batch->own.stop = &batch->own.held;
    readyq__list_init(&batch->own.held);
    readyq__link_before(&q->batches, &batch->own.opened);
    q->nbatches++;
    q->refs++;
}

void readyq__close_batch(readyq *q, readyq_batch *batch)
{
    readyq__give_back(q, batch);
    readyq__unlink(&batch->own.opened);
    q->nbatches--;
    readyq__set(batch, own.queue, NULL);
    batch->own.next = batch->own.stop = NULL;
}

void readyq__close_batches(readyq *q, bool own, const readyq_batch *but)
{
    const uintptr_t thread = (uintptr_t)pthread_self();
    struct readyq__link *at, *next;

    for (at = q->batches.next; at != &q->batches; at = next) {
        readyq_batch *batch = readyq__batch_at(at);

        next = at->next;
        if (batch == but || (batch->own.thread == thread) != own)
            continue;
        readyq__close_batch(q, batch);
        q->refs--; /* not the last one: `but` has one, or the queue is open */
    }
}

/* A watch that was not taken goes to the front of the ready list. A level-triggered one is
 * unconfirmed there, and armed; its give_back() does not list it. */
static void give_back_listed(readyq *q, readyq_watch *w)
{
    readyq__unlink(&w->own.link);
    if (readyq__is_level(w)) {
        w->own.event = 0;
        w->own.place = READYQ__IDLE;
        q->kinds[w->kind]->give_back(q, w);
        if (w->own.place == READYQ__STALE) /* its descriptor was closed */
            return;
        w->own.place = READYQ__LISTED;
        q->any_unconfirmed = q->may_be_level = true;
    }
    readyq__link_before(q->ready.next, &w->own.link);
    q->nready++;
}

/* What was noted while the watch was taken is listed now. */
static READYQ__OUT_OF_LINE void give_back_taken(readyq *q, readyq_watch *w)
{
    const uint32_t noted = w->own.event;

    readyq__unlist(q, w);
    if (noted != 0)
        readyq__enlist(q, w, noted);
    if (q->kinds[w->kind]->give_back != NULL)
        q->kinds[w->kind]->give_back(q, w);
}

/* Starts with the last one, so that they keep their order. */
static READYQ__OUT_OF_LINE void give_back_all_listed(readyq *q, readyq_batch *batch)
{
    struct readyq__link *const taken = batch->own.next->prev, *link, *prev;

    for (link = batch->own.held.prev; link != taken; link = prev) {
        prev = link->prev;
        give_back_listed(q, readyq__owner(link, link));
        q->stats.deliveries--; /* counted when it was put into the batch */
    }
}

/* Watches that were not taken are armed first, so that the kernel reports them first. The short
 * path is for a descriptor that was taken while only one batch is open: it merely becomes idle. Its
 * link is not cleared, because the whole list is. `untouched` matches no watch while several
 * batches are open. */
void readyq__give_back(readyq *q, readyq_batch *batch)
{
    const uint64_t untouched = q->nbatches > 1 ? UINT64_MAX : readyq__word_of(READYQ__TAKEN);
    struct readyq__link *const held = &batch->own.held, *link, *next;

    if (batch->own.next != held)
        give_back_all_listed(q, batch);
    for (link = held->next; link != held; link = next) {
        readyq_watch *w = readyq__owner(link, link);

        next = link->next;
        if (readyq__word(w) == untouched)
            w->own.place = READYQ__IDLE;
        else
            give_back_taken(q, w);
    }
    readyq__list_init(held);
    readyq__set_next(q, batch, held);
}
