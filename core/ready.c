/* SPDX-License-Identifier: MIT
 *
 * The ready list: watches that have an event and that no batch holds, in the order of the events.
 * Kernel events enter through readyq__event_plain(), everything else through readyq__list(). A wait
 * moves the front of the list to its batch (wait.c), and a batch gives back what it holds
 * (batches.c).
 */
#include "internal.h"

bool readyq__is_level(const readyq_watch *w)
{
    return w->kind == READYQ_KIND_FD && !(w->own.flags & READYQ__FILE) &&
           !(w->interest & (READYQ_EDGE | READYQ_ONESHOT));
}

void readyq__enlist(readyq *q, readyq_watch *w, uint32_t bits)
{
    if (w->own.place == READYQ__IDLE) {
        w->own.place = READYQ__LISTED;
        readyq__link_before(&q->ready, &w->own.link);
        q->nready++;
        q->may_be_level |= w->kind == READYQ_KIND_FD;
    }
    w->own.event |= bits;
}

void readyq__list(readyq *q, readyq_watch *w, uint32_t bits)
{
    q->stats.kinds[w->kind].events++;
    readyq__record(q, READYQ_RECORD_EVENT, w, bits, 0);
    readyq__enlist(q, w, bits);
}

/* Counts the ready list again, and corrects the count of deliveries. A watch that was unlinked was
 * either on the list or in a batch; for each in a batch, a delivery was counted when the batch was
 * filled but did not happen. */
void readyq__recount(readyq *q)
{
    const size_t before = q->nready;

    q->nready = 0;
    for (struct readyq__link *at = q->ready.next; at != &q->ready; at = at->next)
        q->nready++;
    q->stats.deliveries -= q->unlinked - (before - q->nready);
    q->unlinked = 0;
}

/* A listed watch is about to be unlinked. Whether it is on the ready list or in a batch is not
 * known: the list has to be counted again, and a batch that would take this watch next takes the
 * one after it. */
static void note_unlinked(readyq *q, readyq_watch *w)
{
    q->unlinked++;
    for (struct readyq__link *at = q->batches.next; at != &q->batches; at = at->next) {
        readyq_batch *batch = readyq__batch_at(at);

        if (batch->own.next == &w->own.link)
            readyq__set_next(q, batch, w->own.link.next);
    }
}

void readyq__take_off(readyq *q, readyq_watch *w)
{
    if (w->own.place == READYQ__LISTED)
        note_unlinked(q, w);
    readyq__unlink(&w->own.link);
    w->own.place = READYQ__IDLE;
    w->own.event = 0;
}

/* Whether the slot has changed since the current fetch began: compares how many fetches ago each of
 * the two was. The slot has only the low half of the number. */
static bool is_late(const readyq *q, const struct readyq__slot *slot)
{
    return (uint32_t)(q->fetches - slot->changed) <= q->fetches - q->fetch;
}

/* A ghost fires until it is removed, and its number may be registered again in the meantime. If it
 * was made while another one was being removed, it is in the next kernel queue as well, and fires
 * again with the same key. */
static bool is_counted(const readyq *q, uint64_t key)
{
    for (size_t i = 0; i < READYQ__GHOSTS; i++)
        if (q->ghosts[i] == key)
            return true;
    return false;
}

/* An event of a registration that is gone. It is late if it was fetched by a call that began before
 * the registration ended; otherwise it comes from a ghost, which is counted once. */
static void count_stale(readyq *q, uint64_t key)
{
    const int fd = (int)(uint32_t)key;

    q->stats.stale++;
    if (!q->backend->has_ghosts || q->closed || /* closed: they end with the kernel queue */
        is_late(q, &q->slots[fd]))
        return;
    q->ghost_found = true;
    if (is_counted(q, key))
        return;
    q->ghosts[q->stats.ghosts++ % READYQ__GHOSTS] = key;
    readyq__record_ghost(q, fd);
    q->stats.ghost_fd = fd;
}

void readyq__event_slow(readyq *q, uint64_t key, uint32_t bits)
{
    const int fd = (int)(uint32_t)key;

    if (q->slots[fd].generation != (uint32_t)(key >> 32)) {
        count_stale(q, key);
    } else {
        readyq_watch *w = q->slots[fd].watch;

        q->kinds[w->kind]->event(q, w, bits);
    }
}
