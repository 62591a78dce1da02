/* SPDX-License-Identifier: MIT
 *
 * Timers. The kernel knows nothing about them; the earliest deadline (heap.c) bounds the sleep of
 * one waiting thread (wait.c).
 *
 * A timer that comes due leaves the heap, so that no thread is woken for it again. A periodic one
 * returns to the heap when it is delivered: then all of its expirations so far are counted, and the
 * next deadline is set.
 */
#include "internal.h"

/* ------------------------------------------------------------------ firing */

void readyq__expire(readyq *q, int64_t now)
{
    while (q->ntimers > 0 && q->timers[0].due <= now && readyq__heap_first(q) <= now) {
        readyq_watch *w = q->timers[0].watch;

        readyq__heap_remove(q, w);
        readyq__list(q, w, READYQ_FIRED);
    }
}

/* ------------------------------------------------------------------ the kind */

/* All expirations of a periodic timer so far make up one delivery. */
static void deliver(readyq *q, readyq_watch *w)
{
    const int64_t period = w->own.timer.period, due = w->own.timer.due;

    if (period == 0) {
        readyq__set(w, count, 1);
        readyq__set_fired_in(w, q->id); /* before it leaves the queue */
        readyq__detach(q, w);
    } else {
        const int64_t missed = (readyq__now(q) - due) / period;

        readyq__set(w, count, (uint64_t)missed + 1);
        readyq__heap_set(q, w, readyq__deadline(due + missed * period, period));
    }
}

static void stop(readyq *q, readyq_watch *w)
{
    readyq__heap_remove(q, w);
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

/* Room for one more timer, even while those that are due are out of the heap. */
static int reserve(readyq *q)
{
    return q->stats.kinds[READYQ_KIND_TIMER].watches < q->timer_room ? 0 : readyq__heap_grow(q);
}

/* Starts a timer, new or already in the queue, `delay` from now. */
static void start_after(readyq *q, readyq_watch *w, int64_t delay)
{
    readyq__heap_set(q, w, readyq__deadline(readyq__now(q), delay));
}

/* A timer that is in no queue; there is room for it. */
static void enter_queue(readyq *q, readyq_watch *w, int64_t delay)
{
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

/* Enters the queue in which the timer fired and which it then left. Another thread may take or
 * restart it meanwhile. */
static READYQ__OUT_OF_LINE readyq *enter_fired(readyq_watch *w, int *error)
{
    readyq *q = NULL;

    while (q == NULL && *error == -ENOENT) {
        const uint32_t home = readyq__fired_in(w);

        if (home == 0)
            return NULL;
        q = readyq__enter_by_id(home, error);
        if (q == NULL || w->queue == q || (w->queue == NULL && readyq__fired_in(w) == home))
            return q;
        readyq__leave(q);
        q = readyq__enter_of(w, error);
    }
    return q;
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
    readyq__set(w, ready, 0);
    readyq__arm(w, true);
    enter_queue(q, w, delay);
    return 0;
}

int readyq_restart(readyq_watch *w, int64_t delay)
{
    int error;
    readyq *q;

    if ((error = check_delay(delay)) < 0)
        return error;
    q = readyq__enter_of(w, &error);
    if (q == NULL)
        q = enter_fired(w, &error);
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
    if (w->kind == READYQ_KIND_TIMER &&
        (w->own.timer.heap_index != READYQ__NOWHERE || w->own.timer.period > 0))
        due = w->own.timer.due;
    readyq__leave(q);
    return due;
}
