/* SPDX-License-Identifier: MIT
 *
 * The watchdog: long turns. A turn is the time in which a thread handles what one wait has found.
 * Sleeps in a queue meanwhile are not part of it; and it counts only if the thread worked for that
 * long, or blocked, rather than being kept from running by others.
 */
#include "internal.h"

#include <stdio.h>
#include <sys/resource.h>

#define LOOSE_TURN 5000 /* nanoseconds between the last take and the next wait: see spins.c */

/* A watch that may no longer exist. */
struct handler {
    uint64_t watch;
    uint32_t bits;
    uint8_t kind;
    int number;
    int64_t time;
};

/* The turn of this thread. */
static READYQ__THREAD_LOCAL struct {
    uint32_t queue; /* its id; 0: none */
    unsigned handlers;
    int64_t since, taken, left; /* when it took the first, the last; when it was done */
    struct usage {
        int64_t worked; /* nanoseconds */
        long blocks;    /* how many times it has blocked */
    } usage;            /* when the turn began */
    struct handler current, longest;
} turn;

static void name_handler(readyq *q, const struct handler *handler, char *text, size_t size)
{
    const readyq_watch *w = readyq__find_by_id(q, handler->watch);

    if (w != NULL)
        readyq_describe_watch(w, handler->bits, text, size);
    else if (handler->number >= 0)
        snprintf(text, size, "%s %d, which has since been removed", readyq_kind_name(handler->kind),
                 handler->number);
    else
        snprintf(text, size, "%s", readyq_kind_name(handler->kind));
}

static void tell_turn(readyq *q, int64_t time)
{
    const struct handler *longest = &turn.longest;
    char *text, watch[512];

    if (!readyq__has_place(q))
        return;
    text = readyq__begin_sentence(q, READYQ_WARNING_TURN, longest->watch);
    name_handler(q, longest, watch, sizeof watch);
    if (turn.handlers == 1)
        snprintf(text, READYQ__SENTENCE,
                 "%s: its handler took %.2g s; nothing else was handled in that time", watch,
                 (double)time / (double)READYQ__SECOND);
    else
        snprintf(text, READYQ__SENTENCE,
                 "%s: its handler took %.2g s of a turn of %.2g s with %u handlers; no other event "
                 "was handled until the turn ended",
                 watch, (double)longest->time / (double)READYQ__SECOND,
                 (double)time / (double)READYQ__SECOND, turn.handlers);
}

#if defined(RUSAGE_THREAD)
static struct usage get_usage(void)
{
    struct rusage usage = {0};
    int64_t microseconds;

    getrusage(RUSAGE_THREAD, &usage);
    microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return (struct usage){
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * READYQ__SECOND + microseconds * 1000,
        usage.ru_nvcsw,
    };
}
#else
static struct usage get_usage(void) /* unknown: counts as having blocked */
{
    static _Thread_local long blocks;

    return (struct usage){0, ++blocks};
}
#endif

/* False: others had the processor meanwhile. */
static bool was_busy(int64_t time)
{
    const struct usage now = get_usage();

    return now.worked - turn.usage.worked > time || now.blocks != turn.usage.blocks;
}

static void end_handler(int64_t now)
{
    const int64_t slept = readyq__last_sleep();

    turn.current.time = now - (slept > turn.taken ? slept : turn.taken);
    if (slept > turn.since)
        turn.since = slept;
    if (turn.current.time >= turn.longest.time)
        turn.longest = turn.current;
}

static void end_turn(readyq *q, int64_t now)
{
    const int64_t time = now - turn.since;
    struct readyq__watchdog *dog = q->watchdog;

    if (turn.handlers > 0 && time > dog->debug.turn && now - dog->last_turn > READYQ__SECOND &&
        was_busy(dog->debug.turn)) {
        dog->last_turn = now;
        tell_turn(q, time);
    }
    turn.handlers = 0;
    turn.longest.time = 0;
}

void readyq__watchdog_take(readyq *q, const readyq_watch *w)
{
    const int64_t now = readyq__monotonic();

    if (turn.queue != q->id)
        turn.handlers = 0;
    if (turn.handlers > 0) {
        end_handler(now);
        readyq__spins_handled(q, turn.current.watch);
    }
    if (w == NULL) {
        if (turn.handlers > 0)
            turn.left = readyq__monotonic();
        end_turn(q, now);
        return;
    }
    if (turn.handlers++ == 0) {
        turn.since = now;
        turn.longest.time = 0;
        turn.usage = get_usage();
    }
    turn.queue = q->id;
    turn.taken = now;
    turn.current = (struct handler){w->own.id, w->ready, w->kind, readyq__number_of(w), 0};
}

void readyq__watchdog_wait(readyq *q)
{
    const int64_t last = turn.handlers > 0 ? turn.taken : turn.left;
    const bool loose = turn.queue != q->id || readyq__monotonic() - last > LOOSE_TURN;

    readyq__watchdog_take(q, NULL);
    readyq__spins_wait(q, loose);
    turn.queue = 0;
}
