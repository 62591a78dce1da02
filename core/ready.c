/* SPDX-License-Identifier: MIT
 *
 * The ready list: what was found and not yet taken, in the order it was found. A kernel event
 * comes in by readyq__found(), a delivery goes out by readyq_next(). Filtering and merging are
 * done here, once for all kernels.
 */
#include "internal.h"

void readyq__list(readyq *q, readyq_watch *w, uint32_t bits)
{
    w->own.found |= bits;
    if (w->own.flags & (READYQ__LISTED | READYQ__ASKED))
        return;
    w->own.flags |= READYQ__LISTED;
    readyq__link_before(&q->ready, &w->own.ready);
    q->listed++;
}

void readyq__unlist(readyq *q, readyq_watch *w)
{
    w->own.found = 0;
    w->own.counted = 0;
    if (!(w->own.flags & (READYQ__LISTED | READYQ__ASKED)))
        return;
    readyq__unlink(&w->own.ready);
    if (w->own.flags & READYQ__LISTED) {
        q->listed--;
        if (q->due > q->listed)
            q->due = q->listed;
    }
    w->own.flags &= (uint8_t) ~(READYQ__LISTED | READYQ__ASKED);
}

/* An event of a registration whose watch is gone. One that was fetched before its watch went is
 * merely late; when none went since the kernel was asked it can only be a ghost. */
static void found_stale(readyq *q, int fd)
{
    q->stats.stale++;
    if (q->haunted || q->clears != q->clears_asked)
        return;
    q->haunted = true;
    q->stats.ghosts++;
    q->stats.ghost_fd = fd;
    if (q->nghosts < READYQ__GHOSTS)
        q->ghosts[q->nghosts++] = fd;
}

/* What is not a descriptor of the user's, but comes in by one. */
static void found_own(readyq *q, readyq_watch *w)
{
    if (w == &q->wakeup)
        readyq__wakeup_drain(q);
    else if (!(w->own.flags & READYQ__LISTED))
        readyq__process_ended(q, w);
}

/* What was asked for, with an end only where its direction was. What the kernel reports unasked is
 * let through where nothing else is left: it would be reported for ever. */
static uint32_t mask(uint32_t bits, uint32_t asked)
{
    const uint32_t ends = (asked & (READYQ_READ | READYQ_WRITE)) << 4;
    const uint32_t found = bits & (asked | ends | READYQ_ERROR);

    return found != 0 ? found : bits & ~READYQ__DIRECTIONS;
}

void readyq__found(readyq *q, uint64_t key, uint32_t bits)
{
    const int fd = (int)(uint32_t)key;
    const struct readyq__slot *slot = &q->slots[fd];
    readyq_watch *w = slot->watch;

    if (w == NULL || slot->generation != (uint32_t)(key >> 32)) {
        found_stale(q, fd);
        return;
    }
    if (w->kind != READYQ_KIND_FD) {
        found_own(q, w);
        return;
    }
    if (w->own.flags & READYQ__ECHO) {
        w->own.flags &= (uint8_t)~READYQ__ECHO;
        return;
    }
    bits = mask(bits, w->interest & READYQ__DIRECTIONS);
    if (bits != 0 && w->armed)
        readyq__list(q, w, bits);
}

/* The first one off the list: what readyq__unlist() does, without asking. */
static readyq_watch *pop(readyq *q)
{
    readyq_watch *w = readyq__owner(q->ready.next, ready);

    q->ready.next = w->own.ready.next;
    q->ready.next->prev = &q->ready;
    w->own.ready.next = NULL;
    w->own.flags &= (uint8_t)~READYQ__LISTED;
    w->ready = w->own.found;
    w->own.found = 0;
    q->listed--;
    q->due--;
    return w;
}

/* A delivery changes those that go off: their count, and whether they stay. */
static void deliver_fired(readyq *q, readyq_watch *w)
{
    w->count = w->own.counted;
    w->own.counted = 0;
    if (w->kind == READYQ_KIND_PROCESS || (w->kind == READYQ_KIND_TIMER && w->own.period == 0))
        readyq__detach(q, w, READYQ__UNUSED);
}

readyq_watch *readyq_next(readyq *q)
{
    readyq_watch *w = NULL;

    readyq__lock(q);
    if (q->due > 0) {
        w = pop(q);
        q->stats.deliveries++;
        if (w->kind != READYQ_KIND_FD)
            deliver_fired(q, w);
        else if (w->interest & READYQ_ONESHOT)
            w->armed = false;
        if (q->nest >= 0 && q->listed == 0)
            readyq__nest_update(q);
    }
    readyq__unlock(q);
    return w;
}
