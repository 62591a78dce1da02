/* SPDX-License-Identifier: MIT
 *
 * The line of what was found and not yet taken, in the order it was found: a ring of watches, with
 * room for all of the queue's, so that a wait allocates nothing. A kernel event comes in by
 * readyq__found(), a delivery goes out by readyq_next(). Filtering and merging are done here, once
 * for all kernels.
 */
#include "internal.h"

#include <stdlib.h>

static readyq_watch **place(readyq *q, uint32_t index)
{
    return &q->ready.at[index & q->ready.mask];
}

/* Closes the holes. */
static void close_ranks(readyq *q)
{
    struct readyq__ring *ring = &q->ready;
    uint32_t to = ring->head, limit = ring->head;

    for (uint32_t from = ring->head; from != ring->tail; from++) {
        readyq_watch *w = *place(q, from);

        if (w == NULL)
            continue;
        w->own.place = to;
        *place(q, to++) = w;
        if (from - ring->head < ring->limit - ring->head)
            limit = to;
    }
    ring->limit = limit;
    ring->tail = to;
    ring->holes = ring->holes_promised = 0;
    ring->seen = ring->head;
}

int readyq__make_line(readyq *q, size_t watches)
{
    struct readyq__ring *ring = &q->ready;
    const size_t had = ring->at != NULL ? (size_t)ring->mask + 1 : 0;
    size_t room = had != 0 ? had : 16;
    readyq_watch **at;

    if (watches <= had)
        return 0;
    while (room < watches)
        room *= 2;
    at = calloc(room, sizeof(readyq_watch *));
    if (at == NULL)
        return -ENOMEM;
    for (uint32_t i = ring->head; i != ring->tail; i++)
        at[i & (uint32_t)(room - 1)] = *place(q, i);
    free(ring->at);
    ring->at = at;
    ring->mask = (uint32_t)(room - 1);
    return 0;
}

void readyq__list(readyq *q, readyq_watch *w, uint32_t bits)
{
    struct readyq__ring *ring = &q->ready;

    w->own.found |= bits;
    if (w->own.flags & READYQ__LISTED)
        return;
    if (ring->tail - ring->head > ring->mask)
        close_ranks(q);
    w->own.flags |= READYQ__LISTED;
    w->own.place = ring->tail;
    *place(q, ring->tail++) = w;
}

void readyq__unlist(readyq *q, readyq_watch *w)
{
    w->own.found = 0;
    w->own.counted = 0;
    if (!(w->own.flags & READYQ__LISTED))
        return;
    w->own.flags &= (uint8_t)~READYQ__LISTED;
    *place(q, w->own.place) = NULL;
    if (w->own.place - q->ready.head < q->ready.limit - q->ready.head)
        q->ready.holes_promised++;
    else
        q->ready.holes++;
}

int readyq__promise(readyq *q, int max)
{
    struct readyq__ring *ring = &q->ready;
    uint32_t n = readyq__unpromised(q), passed = 0;

    if (max == 0 || n <= (uint32_t)max) {
        ring->limit = ring->tail;
        ring->holes_promised += ring->holes;
        ring->holes = 0;
        return (int)n;
    }
    for (n = 0; n < (uint32_t)max; ring->limit++)
        if (*place(q, ring->limit) != NULL)
            n++;
        else
            passed++;
    ring->holes -= passed;
    ring->holes_promised += passed;
    return (int)n;
}

void readyq__take_back(readyq *q)
{
    q->ready.limit = q->ready.head;
    q->ready.holes += q->ready.holes_promised;
    q->ready.holes_promised = 0;
}

/* An event of a registration whose watch is gone. One that was fetched before its watch went is
 * merely late; when none went since the kernel was asked it can only be a ghost. It may fire again
 * before the kernel queue is built anew. */
void readyq__found_stale(readyq *q, int fd)
{
    const uint32_t epoch = (uint32_t)q->stats.rebuilds + 1;

    q->stats.stale++;
    if (q->clears != q->clears_asked)
        return;
    q->haunted = true;
    if (q->slots[fd].ghost == epoch)
        return;
    q->slots[fd].ghost = epoch;
    q->stats.ghosts++;
    q->stats.ghost_fd = fd;
    if (q->nghosts < READYQ__GHOSTS)
        q->ghosts[q->nghosts++] = fd;
}

/* Any event but the plain one: an echo, a watch in line already, one that is not armed, and what
 * is no descriptor of the user's but comes in by one. */
void readyq__found_odd(readyq *q, readyq_watch *w, uint32_t bits)
{
    if (w->own.flags & READYQ__ECHO) {
        w->own.flags &= (uint8_t)~READYQ__ECHO;
    } else if (w == &q->wakeup) {
        readyq__wakeup_drain(q);
    } else if (w->kind == READYQ_KIND_PROCESS) {
        readyq__process_ended(q, w);
    } else if (w->armed && (bits = readyq__mask(bits, w->interest)) != 0) {
        readyq__list(q, w, bits);
    }
}

/* The first of those promised, or NULL. One that was asked again and is not ready any more may
 * still be in line, where another thread is asking. */
static readyq_watch *pop(readyq *q)
{
    struct readyq__ring *ring = &q->ready;

    while (ring->head != ring->limit) {
        readyq_watch *w = *place(q, ring->head++);

        if (w == NULL) {
            ring->holes_promised--;
            continue;
        }
        w->own.flags &= (uint8_t)~READYQ__LISTED;
        if (w->own.found == 0)
            continue;
        w->ready = w->own.found;
        w->own.found = 0;
        return w;
    }
    return NULL;
}

/* A delivery changes what is not plain: a count, and whether it stays. */
static void deliver_odd(readyq *q, readyq_watch *w)
{
    if (w->kind == READYQ_KIND_FD) {
        readyq__arm(w, !(w->interest & READYQ_ONESHOT));
        return;
    }
    w->count = w->own.counted;
    w->own.counted = 0;
    if (w->kind == READYQ_KIND_PROCESS || (w->kind == READYQ_KIND_TIMER && w->own.period == 0))
        readyq__detach(q, w, READYQ__UNUSED);
}

readyq_watch *readyq_next(readyq *q)
{
    readyq_watch *w;

    readyq__lock(q);
    if (q->forked && !q->closed && readyq__rebuild_forked(q) < 0) {
        readyq__unlock(q);
        return NULL; /* what was found is for a wait that can */
    }
    w = pop(q);
    if (w != NULL) {
        q->stats.deliveries++;
        if (w->own.flags & READYQ__ODD)
            deliver_odd(q, w);
    }
    if (q->nest >= 0)
        readyq__nest_update(q);
    readyq__unlock(q);
    return w;
}
