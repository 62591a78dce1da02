/* SPDX-License-Identifier: MIT
 *
 * The heap of timers, by deadline; equal deadlines are in the order in which they were set.
 *
 * It is 4-ary: shallower than a binary one, and four children take up to three cache lines. A timer
 * knows its index, so that adding, moving and removing one cost O(log n).
 *
 * A timer that is postponed, as an idle limit is by every message, keeps its place: only the watch
 * has its new deadline and order. The heap follows when that place comes to the top. So an entry is
 * never later than its timer.
 */
#include "internal.h"

#include <stdlib.h>

/* The order is counted in 32 bits: the difference tells which was set first. */
static bool is_earlier(const struct readyq__timer *a, const struct readyq__timer *b)
{
    return a->due < b->due || (a->due == b->due && (int32_t)(a->order - b->order) < 0);
}

static void put(struct readyq__timer *heap, size_t index, const struct readyq__timer *timer)
{
    heap[index] = *timer;
    timer->watch->own.timer.heap_index = (uint32_t)index;
}

/* The earliest of up to four children; `n` are in the heap from the first one on. */
static const struct readyq__timer *earliest(const struct readyq__timer *child, size_t n)
{
    const struct readyq__timer *best = child;

    if (n > 1 && is_earlier(&child[1], best))
        best = &child[1];
    if (n > 2 && is_earlier(&child[2], best))
        best = &child[2];
    if (n > 3 && is_earlier(&child[3], best))
        best = &child[3];
    return best;
}

/* Puts a timer at `index`, which is free, or above it. Later timers move down. */
static inline void rise(readyq *q, size_t index, const struct readyq__timer *timer)
{
    struct readyq__timer *const heap = q->timers;

    for (; index > 0 && is_earlier(timer, &heap[(index - 1) / 4]); index = (index - 1) / 4)
        put(heap, index, &heap[(index - 1) / 4]);
    put(heap, index, timer);
}

/* Puts a timer where it belongs; `index` is free. Most belong at the bottom, so the free place
 * moves there first, without a comparison with the timer. */
static void sink(readyq *q, size_t index, const struct readyq__timer *timer)
{
    struct readyq__timer *const heap = q->timers;
    const size_t n = q->ntimers;

    for (size_t child; (child = index * 4 + 1) < n;) {
        const struct readyq__timer *next = earliest(&heap[child], n - child);

        put(heap, index, next);
        index = (size_t)(next - heap);
    }
    rise(q, index, timer);
}

int readyq__heap_grow(readyq *q)
{
    const size_t room = q->timer_room ? q->timer_room * 2 : 16;
    struct readyq__timer *timers;

    if (room >= READYQ__NOWHERE)
        return -ENOMEM;
    timers = realloc(q->timers, room * sizeof *timers);
    if (timers == NULL)
        return -ENOMEM;
    q->timers = timers;
    q->timer_room = room;
    return 0;
}

void readyq__heap_set(readyq *q, readyq_watch *w, int64_t due)
{
    const struct readyq__timer timer = {due, q->timer_order++, w};
    size_t index = w->own.timer.heap_index;

    w->own.timer.due = due;
    w->order = timer.order;
    if (index == READYQ__NOWHERE)
        index = q->ntimers++;
    else if (q->timers[index].due <= due)
        return;
    rise(q, index, &timer);
}

void readyq__heap_remove(readyq *q, readyq_watch *w)
{
    const size_t index = w->own.timer.heap_index;
    const struct readyq__timer *last;

    if (index == READYQ__NOWHERE)
        return;
    w->own.timer.heap_index = READYQ__NOWHERE;
    last = &q->timers[--q->ntimers];
    if (last->watch != w)
        sink(q, index, last);
}

int64_t readyq__heap_first(readyq *q)
{
    const struct readyq__timer *const top = q->timers;

    while (top->order != top->watch->order)
        sink(q, 0,
             &(struct readyq__timer){top->watch->own.timer.due, top->watch->order, top->watch});
    return top->due;
}
