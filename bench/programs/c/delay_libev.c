/* SPDX-License-Identifier: MIT */
#include "delay.h"

#include <ev.h>

static struct ev_loop *loop;
static ev_async async;
static ev_timer timer;

static void on_async(struct ev_loop *own, ev_async *w, int events)
{
    (void)own, (void)w, (void)events;
    delay_seen();
}

static void on_timer(struct ev_loop *own, ev_timer *w, int events)
{
    (void)own, (void)w, (void)events;
}

static void setup(void)
{
    loop = ev_loop_new(0);
    delay_need(loop != NULL, "ev_loop_new");
    ev_init(&timer, on_timer);
}

static void setup_async(void)
{
    setup();
    ev_async_init(&async, on_async);
    ev_async_start(loop, &async);
}

static void send_async(void)
{
    ev_async_send(loop, &async);
}

static void wait_for_async(void)
{
    ev_run(loop, 0);
}

static void sleep_by_timer(int64_t ns)
{
    ev_now_update(loop);
    ev_timer_set(&timer, (double)ns / 1e9, 0.);
    ev_timer_start(loop, &timer);
    ev_run(loop, EVRUN_ONCE);
}

const struct way ways[] = {
    {"async", setup_async, send_async, wait_for_async, NULL},
    {"timer", setup, NULL, NULL, sleep_by_timer},
    {0},
};
