/* SPDX-License-Identifier: MIT */
#include "delay.h"

#include <uv.h>

static uv_loop_t loop;
static uv_async_t async;
static uv_timer_t timer;

static void on_async(uv_async_t *handle)
{
    (void)handle;
    delay_seen();
}

static void on_timer(uv_timer_t *handle)
{
    (void)handle;
}

static void setup(void)
{
    delay_need(uv_loop_init(&loop) == 0, "uv_loop_init");
    uv_timer_init(&loop, &timer);
}

static void setup_async(void)
{
    setup();
    uv_async_init(&loop, &async, on_async);
}

static void send_async(void)
{
    uv_async_send(&async);
}

static void wait_for_async(void)
{
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* In whole milliseconds, rounded up. */
static void sleep_by_timer(int64_t ns)
{
    uv_update_time(&loop);
    uv_timer_start(&timer, on_timer, (uint64_t)(ns + 999999) / 1000000, 0);
    uv_run(&loop, UV_RUN_ONCE);
}

const struct way ways[] = {
    {"async", setup_async, send_async, wait_for_async, NULL},
    {"timer", setup, NULL, NULL, sleep_by_timer},
    {0},
};
