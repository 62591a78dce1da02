/* SPDX-License-Identifier: MIT
 *
 * Time: the clock, real or virtual, and the deadlines in a heap. The kernel knows nothing of
 * timers; the earliest deadline bounds the sleep of the thread that asks it.
 *
 * The heap is 4-ary: shallower than a binary one, and the four children lie in two cache lines. The
 * watch knows its place, so cancelling costs O(log n) like adding and going off. */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

#define NOWHERE SIZE_MAX /* leaf of a timer that has gone off and not been delivered */

int64_t readyq__now(const readyq *q)
{
    struct timespec time;

    if (q->virtual_clock)
        return q->now;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t readyq_now(readyq *q)
{
    int64_t now;

    readyq__lock(q);
    now = readyq__now(q);
    readyq__unlock(q);
    return now;
}

int64_t readyq__deadline(int64_t now, int64_t timeout)
{
    return timeout < READYQ__FOREVER - now ? now + timeout : READYQ__FOREVER;
}

int64_t readyq__next_due(const readyq *q)
{
    return q->ntimers > 0 ? q->timers[0].due : READYQ__FOREVER;
}

/* ------------------------------------------------------------------ the heap */

static bool is_before(const struct readyq__timer *a, const struct readyq__timer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(readyq *q, size_t place, struct readyq__timer timer)
{
    q->timers[place] = timer;
    timer.watch->own.leaf = place;
}

static void move_up(readyq *q, size_t place, struct readyq__timer timer)
{
    while (place > 0) {
        const size_t parent = (place - 1) / 4;

        if (!is_before(&timer, &q->timers[parent]))
            break;
        put(q, place, q->timers[parent]);
        place = parent;
    }
    put(q, place, timer);
}

static void move_down(readyq *q, size_t place, struct readyq__timer timer)
{
    for (;;) {
        size_t first = place * 4 + 1, best = first;

        if (first >= q->ntimers)
            break;
        for (size_t child = first + 1; child < first + 4 && child < q->ntimers; child++)
            if (is_before(&q->timers[child], &q->timers[best]))
                best = child;
        if (!is_before(&q->timers[best], &timer))
            break;
        put(q, place, q->timers[best]);
        place = best;
    }
    put(q, place, timer);
}

static int make_room(readyq *q)
{
    size_t room = q->timer_room ? q->timer_room * 2 : 16;
    struct readyq__timer *timers;

    if (q->ntimers < q->timer_room)
        return 0;
    timers = realloc(q->timers, room * sizeof *timers);
    if (timers == NULL)
        return -ENOMEM;
    q->timers = timers;
    q->timer_room = room;
    return 0;
}

void readyq__timer_remove(readyq *q, readyq_watch *w)
{
    const size_t place = w->own.leaf;
    struct readyq__timer last;

    if (place == NOWHERE)
        return;
    w->own.leaf = NOWHERE;
    last = q->timers[--q->ntimers];
    if (place == q->ntimers)
        return;
    if (place > 0 && is_before(&last, &q->timers[(place - 1) / 4]))
        move_up(q, place, last);
    else
        move_down(q, place, last);
}

/* ------------------------------------------------------------------ going off */

/* How often a periodic timer has come due, this time included; sets when it is due next. */
static uint64_t count_missed(struct readyq__timer *timer, int64_t now)
{
    const int64_t period = timer->watch->own.period;
    const int64_t missed = (now - timer->due) / period;

    timer->due += missed * period;
    timer->due = readyq__deadline(timer->due, period);
    return (uint64_t)missed + 1;
}

void readyq__expire(readyq *q, int64_t now)
{
    while (q->ntimers > 0 && q->timers[0].due <= now) {
        struct readyq__timer timer = q->timers[0];
        readyq_watch *w = timer.watch;

        if (w->own.period == 0) {
            w->own.counted = 1;
            readyq__timer_remove(q, w);
        } else {
            w->own.counted += count_missed(&timer, now);
            move_down(q, 0, timer);
        }
        readyq__list(q, w, READYQ_FIRED);
    }
}

int readyq_add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period)
{
    int error;

    if (delay < 0 || period < 0)
        return -EINVAL;
    error = readyq__enter(q);
    if (error < 0)
        return error;
    error = make_room(q);
    if (error == 0)
        error = readyq__admit(q, w, READYQ_KIND_TIMER);
    if (error == 0) {
        struct readyq__timer timer = {readyq__deadline(readyq__now(q), delay), q->timer_order++, w};

        w->own.period = period;
        move_up(q, q->ntimers++, timer);
        readyq__settle(q, w);
        if (w->own.leaf == 0 && q->leading) /* it sleeps for longer */
            readyq__kick(q);
    }
    readyq__leave(q);
    return error;
}
