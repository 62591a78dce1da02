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

static void put(struct readyq__timer *place, const struct readyq__timer *heap,
                const struct readyq__timer *timer)
{
    *place = *timer;
    timer->watch->own.timer.heap_index = (uint32_t)(place - heap);
}

/* The earliest of the children of the timer at `index`, which has one. */
static struct readyq__timer *first_child(const readyq *q, size_t index)
{
    struct readyq__timer *child = q->timers + index * 4 + 1, *best = child;
    const struct readyq__timer *const end = q->timers + q->ntimers;

    for (int i = 1; i < 4 && ++child < end; i++)
        if (is_earlier(child, best))
            best = child;
    return best;
}

/* Puts a timer where it belongs, up or down from `index`, which is free. */
static void move(readyq *q, size_t index, const struct readyq__timer *timer)
{
    struct readyq__timer *const heap = q->timers, *next;

    while (index > 0 && is_earlier(timer, next = &heap[(index - 1) / 4])) {
        put(&heap[index], heap, next);
        index = (index - 1) / 4;
    }
    while (index * 4 + 1 < q->ntimers && is_earlier(next = first_child(q, index), timer)) {
        put(&heap[index], heap, next);
        index = (size_t)(next - heap);
    }
    put(&heap[index], heap, timer);
}

/* Room for one more timer, also while those that are due are out of the heap. */
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

    if (index == READYQ__NOWHERE)
        return;
    w->own.timer.heap_index = READYQ__NOWHERE;
    if (index != --q->ntimers)
        move(q, index, &q->timers[q->ntimers]);
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
static void set(readyq *q, readyq_watch *w, int64_t due)
{
    const struct readyq__timer timer = {due, q->timer_order++, w};
    const uint32_t index = w->own.timer.heap_index;

    move(q, index == READYQ__NOWHERE ? q->ntimers++ : index, &timer);
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

/* A timer of the queue. An expiration that was not taken is dropped, also one that was noted while it
 * was held. */
static void restart(readyq *q, readyq_watch *w, int64_t delay)
{
    if (w->own.place == READYQ__TAKEN)
        w->own.event = 0;
    else
        readyq__unlist(q, w);
    start_after(q, w, delay);
}

/* One that has fired and left the queue. */
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
