/* SPDX-License-Identifier: MIT
 *
 * Firing: what a thread or a signal handler does to a watch without taking a lock. Fires are
 * counted in the watch, and the first of them puts it on its queue's stack of fired watches, from
 * where the next wait collects it. Signals (signals.c) come in by the same way.
 *
 * A watch that is being fired must not go away under the one who fires: it counts itself into
 * own.firing and then looks whether the watch is open to it; who removes it closes it first, and
 * then waits for the count to be 0. Neither can miss the other.
 */
#include "internal.h"

#include <sched.h>

#define CLOSED 0x80000000u /* in own.firing: no more fires */

static void push(readyq *q, readyq_watch *w)
{
    readyq_watch *top = atomic_load(&q->hot);

    do
        w->own.fired = top;
    while (!atomic_compare_exchange_weak(&q->hot, &top, w));
}

int readyq__fire(readyq_watch *w)
{
    int error = -ENOENT;

    if (!(__atomic_fetch_add(&w->own.firing, 1, __ATOMIC_SEQ_CST) & CLOSED)) {
        readyq *q = __atomic_load_n(&w->queue, __ATOMIC_ACQUIRE);

        if (__atomic_fetch_add(&w->own.pending, 1, __ATOMIC_SEQ_CST) == 0)
            push(q, w);
        readyq__kick(q);
        error = 0;
    }
    __atomic_fetch_sub(&w->own.firing, 1, __ATOMIC_SEQ_CST);
    return error;
}

void readyq__fire_init(readyq_watch *w)
{
    w->own.firing = CLOSED;
}

void readyq__fire_start(readyq_watch *w)
{
    __atomic_fetch_and(&w->own.firing, ~CLOSED, __ATOMIC_SEQ_CST);
}

/* After this nobody fires it, and it is not on the stack. */
void readyq__fire_stop(readyq_watch *w)
{
    __atomic_fetch_or(&w->own.firing, CLOSED, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&w->own.firing, __ATOMIC_SEQ_CST) != CLOSED)
        sched_yield();
    readyq__collect_fired(w->queue);
}

/* Takes the stack, first fired first, to the ready list. */
void readyq__collect_fired(readyq *q)
{
    readyq_watch *w = atomic_exchange(&q->hot, NULL), *first = NULL, *next;

    for (; w != NULL; w = next) {
        next = w->own.fired;
        w->own.fired = first;
        first = w;
    }
    for (w = first; w != NULL; w = next) {
        next = w->own.fired; /* before it can be fired again */
        w->own.counted += __atomic_exchange_n(&w->own.pending, 0, __ATOMIC_SEQ_CST);
        if (w == &q->child_signal)
            readyq__reap_news(q);
        else
            readyq__list(q, w, READYQ_FIRED);
    }
}

int readyq_add_trigger(readyq *q, readyq_watch *w)
{
    int error = readyq__enter(q);

    if (error < 0)
        return error;
    error = readyq__admit(q, w, READYQ_KIND_TRIGGER);
    if (error == 0) {
        readyq__link_before(&q->fireable, &w->own.group);
        readyq__settle(q, w);
        readyq__fire_start(w);
    }
    readyq__leave(q);
    return error;
}

int readyq_fire(readyq_watch *w)
{
    if (w->own.self != w)
        return -ENOENT;
    if (__atomic_load_n(&w->kind, __ATOMIC_RELAXED) != READYQ_KIND_TRIGGER)
        return -EINVAL;
    return readyq__fire(w);
}
