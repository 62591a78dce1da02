/* SPDX-License-Identifier: MIT
 *
 * libev: see program.h. ev_run() runs until the callback of the first watcher has counted the
 * turns, so that libev does not pay for leaving its loop in each.
 */
#include "program.h"

#include <ev.h>
#include <stdlib.h>
#include <unistd.h>

static const double HOUR = 3600, MS = 0.001;

struct object {
    ev_io io;
    ev_timer timer;
    long hits;
};

static struct ev_loop *loop;
static struct object *objects;
static ev_async async;
static int count, next;
static long left;

static void start(int n)
{
    if (loop != NULL)
        ev_loop_destroy(loop);
    loop = ev_loop_new(EVBACKEND_EPOLL);
    need(loop == NULL ? -1 : 0, "ev_loop_new");
    free(objects);
    objects = calloc((size_t)n, sizeof *objects);
    count = n;
    next = 0;
}

static void on_ready(struct ev_loop *l, ev_io *io, int events)
{
    (void)l, (void)events;
    ((struct object *)io->data)->hits++;
}

static void on_first(struct ev_loop *l, ev_io *io, int events)
{
    on_ready(l, io, events);
    if (--left == 0)
        ev_break(l, EVBREAK_ALL);
}

static void on_timer(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)l, (void)events;
    ((struct object *)timer->data)->hits++;
}

static void on_wake(struct ev_loop *l, ev_async *one, int events)
{
    (void)l, (void)one, (void)events;
}

static void add(int i, int fd, void (*callback)(struct ev_loop *, ev_io *, int))
{
    ev_io_init(&objects[i].io, callback, fd, EV_READ);
    objects[i].io.data = &objects[i];
    ev_io_start(loop, &objects[i].io);
}

static void add_timer(int i, double delay)
{
    ev_timer_init(&objects[i].timer, on_timer, delay, 0.);
    objects[i].timer.data = &objects[i];
    ev_timer_start(loop, &objects[i].timer);
}

/* The last watcher that goes would let ev_run() return without a look. */
static void look(void)
{
    ev_ref(loop);
    ev_run(loop, EVRUN_NOWAIT);
    ev_unref(loop);
}

static void setup_ready(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(i, READY + i, i == 0 ? on_first : on_ready);
}

static void setup_idle(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(i, IDLE + i, on_ready);
    look();
}

static long run_ready(long turns)
{
    left = turns;
    ev_run(loop, 0);
    return turns * (count < MOST_READY ? count : MOST_READY);
}

static long run_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        add(next, IDLE + next, on_ready);
    look();
    return turns;
}

static long run_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        ev_io_stop(loop, &objects[next++].io);
    look();
    return turns;
}

static long run_add_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++) {
            add(i, IDLE + i, on_ready);
            ev_io_stop(loop, &objects[i].io);
        }
        look();
    }
    return turns * count;
}

static long run_modify(long turns)
{
    static int interest = EV_READ;

    for (long turn = 0; turn < turns; turn++) {
        interest ^= EV_WRITE;
        for (int i = 0; i < count; i++) {
            ev_io_stop(loop, &objects[i].io);
            ev_io_set(&objects[i].io, IDLE + i, interest);
            ev_io_start(loop, &objects[i].io);
        }
        look();
    }
    return turns * count;
}

static void setup_timers(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add_timer(i, HOUR + i * MS);
    look();
}

static long run_timer_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        add_timer(next, HOUR + next * MS);
    look();
    return turns;
}

static long run_timer_cancel(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        ev_timer_stop(loop, &objects[next++].timer);
    look();
    return turns;
}

static long run_timer_restart(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++) {
            objects[i].timer.repeat = HOUR;
            ev_timer_again(loop, &objects[i].timer);
        }
        look();
    }
    return turns * count;
}

static long run_timer_fire(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            add_timer(i, 0.);
        ev_run(loop, EVRUN_ONCE);
    }
    return turns * count;
}

static void setup_wake(int n)
{
    start(n);
    ev_async_init(&async, on_wake);
    ev_async_start(loop, &async);
}

static long run_wake(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        ev_async_send(loop, &async);
        ev_run(loop, EVRUN_ONCE);
    }
    return turns;
}

static struct ev_loop **loops;

static void setup_close(int n)
{
    loops = calloc((size_t)n, sizeof(struct ev_loop *));
    for (int i = 0; i < n; i++) {
        setup_idle(WATCHED);
        loops[i] = loop;
        loop = NULL;
        objects = NULL;
    }
}

static long run_close(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        ev_loop_destroy(loops[next++]);
    return turns;
}

/* A descriptor is closed before its watcher is stopped, and a duplicate of it is readable. libev
 * makes another epoll set when it sees that, and looks again with it. */
static long run_ghost(long turns)
{
    ev_io ghost;

    for (long turn = 0; turn < turns; turn++) {
        ev_io_init(&ghost, on_ready, dup(READY), EV_READ);
        ghost.data = &objects[0];
        ev_io_start(loop, &ghost);
        look();
        close(ghost.fd);
        ev_io_stop(loop, &ghost);
        look();
        look();
    }
    return turns;
}

static void setup_ghost(int n)
{
    (void)n;
    setup_idle(WATCHED);
}

const struct scenario scenarios[] = {
    {"ready", setup_ready, run_ready},
    {"add", start, run_add},
    {"remove", setup_idle, run_remove},
    {"add_remove", start, run_add_remove},
    {"modify", setup_idle, run_modify},
    {"timer_add", start, run_timer_add},
    {"timer_cancel", setup_timers, run_timer_cancel},
    {"timer_restart", setup_timers, run_timer_restart},
    {"timer_fire", start, run_timer_fire},
    {"wake", setup_wake, run_wake},
    {"close", setup_close, run_close},
    {"ghost", setup_ghost, run_ghost},
    {NULL, NULL, NULL},
};
