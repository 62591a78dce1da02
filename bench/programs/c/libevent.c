/* SPDX-License-Identifier: MIT
 *
 * libevent: see program.h. event_base_dispatch() runs until the callback of the first event has
 * counted the turns, so that libevent does not pay for leaving its loop in each. It has no wake
 * here: libevent notifies its loop only if another thread asks for it.
 */
#include "program.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

static const struct timeval HOUR = {3600, 0}, NOW = {0, 0};

struct object {
    struct event event;
    long hits;
};

static struct event_base *base;
static struct object *objects;
static int count, next;
static long left;

static void start(int n)
{
    if (base != NULL)
        event_base_free(base);
    base = event_base_new();
    need(base == NULL ? -1 : 0, "event_base_new");
    free(objects);
    objects = calloc((size_t)n, sizeof *objects);
    count = n;
    next = 0;
}

static void on_event(evutil_socket_t fd, short events, void *object)
{
    (void)fd, (void)events;
    ((struct object *)object)->hits++;
}

static void on_first(evutil_socket_t fd, short events, void *object)
{
    on_event(fd, events, object);
    if (--left == 0)
        event_base_loopbreak(base);
}

static void add(int i, int fd, event_callback_fn callback)
{
    event_assign(&objects[i].event, base, fd, EV_READ | EV_PERSIST, callback, &objects[i]);
    need(event_add(&objects[i].event, NULL), "event_add");
}

static void look(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY);
}

static void setup_ready(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(i, READY + i, i == 0 ? on_first : on_event);
}

static void setup_idle(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(i, IDLE + i, on_event);
    look();
}

static long run_ready(long turns)
{
    left = turns;
    event_base_dispatch(base);
    return turns * (count < MOST_READY ? count : MOST_READY);
}

static long run_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        add(next, IDLE + next, on_event);
    look();
    return turns;
}

static long run_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        event_del(&objects[next++].event);
    look();
    return turns;
}

static long run_add_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++) {
            add(i, IDLE + i, on_event);
            event_del(&objects[i].event);
        }
        look();
    }
    return turns * count;
}

static long run_modify(long turns)
{
    static short interest = EV_READ;

    for (long turn = 0; turn < turns; turn++) {
        interest = (short)(interest ^ EV_WRITE);
        for (int i = 0; i < count; i++) {
            event_del(&objects[i].event);
            event_assign(&objects[i].event, base, IDLE + i, (short)(interest | EV_PERSIST),
                         on_event, &objects[i]);
            event_add(&objects[i].event, NULL);
        }
        look();
    }
    return turns * count;
}

static void init_timers(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        evtimer_assign(&objects[i].event, base, on_event, &objects[i]);
}

static void add_later(int i)
{
    const struct timeval later = {HOUR.tv_sec + i / 1000, i % 1000 * 1000};

    event_add(&objects[i].event, &later);
}

static void setup_timers(int n)
{
    init_timers(n);
    for (int i = 0; i < n; i++)
        add_later(i);
    look();
}

static long run_timer_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++) {
        evtimer_assign(&objects[next].event, base, on_event, &objects[next]);
        add_later(next);
    }
    look();
    return turns;
}

static long run_timer_restart(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            event_add(&objects[i].event, &HOUR);
        look();
    }
    return turns * count;
}

static long run_timer_fire(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            event_add(&objects[i].event, &NOW);
        event_base_loop(base, EVLOOP_ONCE);
    }
    return turns * count;
}

static struct event_base **bases;

static void setup_close(int n)
{
    bases = calloc((size_t)n, sizeof(struct event_base *));
    for (int i = 0; i < n; i++) {
        setup_idle(WATCHED);
        bases[i] = base;
        base = NULL;
        objects = NULL;
    }
}

static long run_close(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        event_base_free(bases[next++]);
    return turns;
}

const struct scenario scenarios[] = {
    {"ready", setup_ready, run_ready},
    {"add", start, run_add},
    {"remove", setup_idle, run_remove},
    {"add_remove", start, run_add_remove},
    {"modify", setup_idle, run_modify},
    {"timer_add", start, run_timer_add},
    {"timer_cancel", setup_timers, run_remove},
    {"timer_restart", setup_timers, run_timer_restart},
    {"timer_fire", init_timers, run_timer_fire},
    {"close", setup_close, run_close},
    {NULL, NULL, NULL},
};
