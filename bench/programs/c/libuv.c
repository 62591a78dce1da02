/* SPDX-License-Identifier: MIT
 *
 * libuv: see program.h. uv_run() runs until the callback of the first handle has counted the
 * turns, so that libuv does not pay for leaving its loop in each.
 */
#include "program.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <uv.h>

enum { HOUR = 3600000 };

struct object {
    uv_poll_t poll;
    uv_timer_t timer;
    long hits;
};

static uv_loop_t *loop;
static struct object *objects;
static uv_async_t async;
static int count, next;
static long left;

/* A new loop; the former one, whose handles were never closed, is left as it is. */
static void start(int n)
{
    loop = malloc(sizeof *loop);
    need(uv_loop_init(loop), "uv_loop_init");
    objects = calloc((size_t)n, sizeof *objects);
    count = n;
    next = 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    ((struct object *)poll->data)->hits++;
}

static void on_first(uv_poll_t *poll, int status, int events)
{
    on_ready(poll, status, events);
    if (--left == 0)
        uv_stop(loop);
}

static void on_timer(uv_timer_t *timer)
{
    ((struct object *)timer->data)->hits++;
}

static void on_wake(uv_async_t *one)
{
    (void)one;
}

static void add(int i, int fd, uv_poll_cb callback)
{
    need(uv_poll_init(loop, &objects[i].poll, fd), "uv_poll_init");
    objects[i].poll.data = &objects[i];
    need(uv_poll_start(&objects[i].poll, UV_READABLE, callback), "uv_poll_start");
}

static void look(void)
{
    uv_run(loop, UV_RUN_NOWAIT);
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
    uv_run(loop, UV_RUN_DEFAULT);
    return turns * (count < MOST_READY ? count : MOST_READY);
}

static long run_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        add(next, IDLE + next, on_ready);
    look();
    return turns;
}

static void on_close(uv_handle_t *handle)
{
    (void)handle;
}

static long run_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        uv_close((uv_handle_t *)&objects[next++].poll, on_close);
    look();
    return turns;
}

static long run_add_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++) {
            add(i, IDLE + i, on_ready);
            uv_close((uv_handle_t *)&objects[i].poll, on_close);
        }
        look();
    }
    return turns * count;
}

static long run_modify(long turns)
{
    static int interest = UV_READABLE;

    for (long turn = 0; turn < turns; turn++) {
        interest ^= UV_WRITABLE;
        for (int i = 0; i < count; i++)
            uv_poll_start(&objects[i].poll, interest, on_ready);
        look();
    }
    return turns * count;
}

static void init_timers(int n)
{
    start(n);
    for (int i = 0; i < n; i++) {
        uv_timer_init(loop, &objects[i].timer);
        objects[i].timer.data = &objects[i];
    }
}

static void setup_timers(int n)
{
    init_timers(n);
    for (int i = 0; i < n; i++)
        uv_timer_start(&objects[i].timer, on_timer, (uint64_t)(HOUR + i), 0);
    look();
}

static long run_timer_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++) {
        uv_timer_init(loop, &objects[next].timer);
        objects[next].timer.data = &objects[next];
        uv_timer_start(&objects[next].timer, on_timer, (uint64_t)(HOUR + next), 0);
    }
    look();
    return turns;
}

static long run_timer_cancel(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        uv_timer_stop(&objects[next++].timer);
    look();
    return turns;
}

static long run_timer_restart(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            uv_timer_start(&objects[i].timer, on_timer, HOUR, 0);
        look();
    }
    return turns * count;
}

static long run_timer_fire(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            uv_timer_start(&objects[i].timer, on_timer, 0, 0);
        uv_run(loop, UV_RUN_ONCE);
    }
    return turns * count;
}

static void setup_wake(int n)
{
    start(n);
    need(uv_async_init(loop, &async, on_wake), "uv_async_init");
}

static long run_wake(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        uv_async_send(&async);
        uv_run(loop, UV_RUN_ONCE);
    }
    return turns;
}

struct closing {
    uv_loop_t *loop;
    struct object *objects;
};

static struct closing *closings;

static void setup_close(int n)
{
    closings = calloc((size_t)n, sizeof(struct closing));
    for (int i = 0; i < n; i++) {
        setup_idle(WATCHED);
        closings[i] = (struct closing){loop, objects};
    }
    next = 0;
}

static long run_close(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++) {
        for (int i = 0; i < WATCHED; i++)
            uv_close((uv_handle_t *)&closings[next].objects[i].poll, NULL);
        uv_run(closings[next].loop, UV_RUN_DEFAULT);
        need(uv_loop_close(closings[next].loop), "uv_loop_close");
    }
    return turns;
}

static int outer;

/* Another loop, which waits for this loop's descriptor. */
static void setup_embedded(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(i, READY + i, on_ready);
    look();
    outer = enclose(uv_backend_fd(loop));
}

static long run_embedded(long turns)
{
    struct epoll_event event;

    for (long turn = 0; turn < turns; turn++) {
        epoll_wait(outer, &event, 1, -1);
        look();
    }
    return turns;
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
    {"timer_fire", init_timers, run_timer_fire},
    {"wake", setup_wake, run_wake},
    {"close", setup_close, run_close},
    {"embedded", setup_embedded, run_embedded},
    {NULL, NULL, NULL},
};
