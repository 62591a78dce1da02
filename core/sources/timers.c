/* SPDX-License-Identifier: MIT
 *
 * Timers, in a heap. The kernel knows nothing of them; the earliest deadline bounds the sleep of
 * one waiting thread (wait.c).
 *
 * The heap is 4-ary: shallower than a binary one, and the four children lie in two cache lines. A
 * watch knows its index, so removing and restarting cost O(log n), as adding and firing do.
 *
 * A timer that comes due leaves the heap, so that no thread is woken for it again. A periodic one
 * returns when it is delivered: then all of its expirations so far are counted, and the next
 * deadline is set.
 */
#include "internal.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ the heap */

static bool is_earlier(const struct readyq__timer *a, const struct readyq__timer *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void put(struct readyq__timer *heap, size_t index, const struct readyq__timer *timer)
{
    heap[index] = *timer;
    timer->watch->own.timer.heap_index = (uint32_t)index;
}

/* The earliest of up to four children; `n` are in the heap from the first one on. */
static struct readyq__timer *earliest(struct readyq__timer *child, size_t n)
{
    struct readyq__timer *best = child;

    if (n > 1 && is_earlier(&child[1], best))
        best = &child[1];
    if (n > 2 && is_earlier(&child[2], best))
        best = &child[2];
    if (n > 3 && is_earlier(&child[3], best))
        best = &child[3];
    return best;
}

/* Returns the index for a timer, given that `index` is free and the timer belongs there or below.
 * Moves earlier timers up. */
static size_t sink(readyq *q, size_t index, const struct readyq__timer *timer)
{
    struct readyq__timer *const heap = q->timers, *next;
    const size_t n = q->ntimers;
    size_t child;

    while ((child = index * 4 + 1) < n &&
           is_earlier(next = earliest(&heap[child], n - child), timer)) {
        put(heap, index, next);
        index = (size_t)(next - heap);
    }
    return index;
}

/* The same for a timer that belongs at `index` or above it. Moves later timers down. */
static inline size_t rise(readyq *q, size_t index, const struct readyq__timer *timer)
{
    struct readyq__timer *const heap = q->timers;

    for (; index > 0 && is_earlier(timer, &heap[(index - 1) / 4]); index = (index - 1) / 4)
        put(heap, index, &heap[(index - 1) / 4]);
    return index;
}

/* Room for one more timer, even while those that are due are out of the heap. */
static int reserve(readyq *q)
{
    size_t room = q->timer_room ? q->timer_room * 2 : 16;
    struct readyq__timer *timers;

    if (q->timer_watches < q->timer_room)
        return 0;
    if (room >= READYQ__NOWHERE)
        return -ENOMEM;
    timers = realloc(q->timers, room * sizeof *timers);
    if (timers == NULL)
        return -ENOMEM;
    q->timers = timers;
    q->timer_room = room;
    return 0;
}

static void take_out(readyq *q, readyq_watch *w)
{
    const size_t index = w->own.timer.heap_index;
    const struct readyq__timer *last;

    if (index == READYQ__NOWHERE)
        return;
    w->own.timer.heap_index = READYQ__NOWHERE;
    last = &q->timers[--q->ntimers];
    if (last->watch != w)
        put(q->timers, rise(q, sink(q, index, last), last), last);
}

/* ------------------------------------------------------------------ firing */

void readyq__expire(readyq *q, int64_t now)
{
    while (q->ntimers > 0 && q->timers[0].due <= now) {
        readyq_watch *w = q->timers[0].watch;

        w->own.timer.due = q->timers[0].due;
        take_out(q, w);
        readyq__list(q, w, READYQ_FIRED);
    }
}

/* The timer is in the heap or not. */
static inline void set(readyq *q, readyq_watch *w, int64_t due)
{
    const struct readyq__timer timer = {due, q->timer_order++, w};
    size_t index = w->own.timer.heap_index;

    index = index == READYQ__NOWHERE ? q->ntimers++ : sink(q, index, &timer);
    put(q->timers, rise(q, index, &timer), &timer);
}

/* ------------------------------------------------------------------ the kind */

/* All expirations of a periodic timer so far are one delivery. */
static void deliver(readyq *q, readyq_watch *w)
{
    const int64_t period = w->own.timer.period, due = w->own.timer.due;

    if (period == 0) {
        w->count = 1;
        readyq__set_fired_in(w, q->id); /* before it leaves the queue */
        readyq__detach(q, w);
    } else {
        const int64_t missed = (readyq__now(q) - due) / period;

        w->count = (uint64_t)missed + 1;
        set(q, w, readyq__deadline(due + missed * period, period));
    }
}

static void stop(readyq *q, readyq_watch *w)
{
    take_out(q, w);
    q->timer_watches--;
}

const struct readyq__kind readyq__kind_timer = {.deliver = deliver, .stop = stop};

/* ------------------------------------------------------------------ the calls */

static int check_delay(int64_t delay)
{
    return delay >= 0 ? 0 : readyq__refuse(EINVAL, "the delay is negative", "use 0 or more");
}

static int check_period(int64_t period)
{
    return period >= 0 ? 0 : readyq__refuse(EINVAL, "the period is negative", "use 0 or more");
}

/* Starts a timer, of the queue or a new one, `delay` from now. */
static void start_after(readyq *q, readyq_watch *w, int64_t delay)
{
    set(q, w, readyq__deadline(readyq__now(q), delay));
}

/* A timer that is in no queue; there is room for it. */
static void enter_queue(readyq *q, readyq_watch *w, int64_t delay)
{
    q->timer_watches++;
    start_after(q, w, delay);
    readyq__activate(q, w);
}

int readyq_add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period)
{
    static const readyq_watch new_timer = {
        .kind = READYQ_KIND_TIMER, .fd = -1, .own.timer.heap_index = READYQ__NOWHERE};
    int error = readyq__enter_to_add(q, w);

    if (error < 0)
        return error;
    if ((error = check_period(period)) == 0 && (error = check_delay(delay)) == 0 &&
        (error = reserve(q)) == 0) {
        readyq__prepare(q, w, &new_timer);
        w->own.timer.period = period;
        enter_queue(q, w, delay);
    }
    readyq__leave(q);
    return error;
}

/* Enters the queue that the timer is in, or that it has fired in and left. Another thread may take
 * or restart it meanwhile. */
static readyq *enter_for(readyq_watch *w, int *error)
{
    for (;;) {
        readyq *q = readyq__enter_of(w, error);
        uint32_t home;

        if (q != NULL || *error != -ENOENT)
            return q;
        home = readyq__fired_in(w);
        if (home == 0)
            return NULL;
        q = readyq__enter_by_id(home, error);
        if (q == NULL || w->queue == q || (w->queue == NULL && readyq__fired_in(w) == home))
            return q;
        readyq__leave(q);
    }
}

/* Restarts a timer that is in the queue. An expiration that was not taken is dropped, even if it
 * was noted while a batch held the timer. */
static void restart(readyq *q, readyq_watch *w, int64_t delay)
{
    if (w->own.place == READYQ__TAKEN)
        w->own.event = 0;
    else
        readyq__unlist(q, w);
    start_after(q, w, delay);
}

/* Restarts a timer that has fired and left the queue. */
static int add_again(readyq *q, readyq_watch *w, int64_t delay)
{
    int error = reserve(q);

    if (error < 0)
        return error;
    w->ready = 0;
    readyq__arm(w, true);
    enter_queue(q, w, delay);
    return 0;
}

int readyq_restart(readyq_watch *w, int64_t delay)
{
    int error = check_delay(delay);
    readyq *q = error == 0 ? enter_for(w, &error) : NULL;

    if (q == NULL)
        return error;
    if (w->kind != READYQ_KIND_TIMER)
        error = readyq__refuse(EINVAL, "it is not a timer", "only a timer can be restarted");
    else if (w->queue != NULL)
        restart(q, w, delay);
    else
        error = add_again(q, w, delay);
    if (error == 0)
        readyq__record(q, READYQ_RECORD_RESTART, w, 0, delay);
    readyq__leave(q);
    return error;
}

int64_t readyq_due(readyq_watch *w)
{
    int error;
    int64_t due = -1;
    readyq *q = readyq__enter_of(w, &error);

    if (q == NULL)
        return -1;
    if (w->kind == READYQ_KIND_TIMER && w->own.timer.heap_index != READYQ__NOWHERE)
        due = q->timers[w->own.timer.heap_index].due;
    else if (w->kind == READYQ_KIND_TIMER && w->own.timer.period > 0)
        due = w->own.timer.due;
    readyq__leave(q);
    return due;
}
