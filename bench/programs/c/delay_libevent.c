/* SPDX-License-Identifier: MIT */
#include "delay.h"

#include <event2/event.h>
#include <event2/thread.h>

static struct event_base *base;
static struct event *event;

static void on_event(evutil_socket_t fd, short events, void *data)
{
    (void)fd, (void)events, (void)data;
    delay_seen();
}

static void on_timer(evutil_socket_t fd, short events, void *data)
{
    (void)fd, (void)events, (void)data;
}

static void setup_event(void)
{
    const struct timeval long_time = {.tv_sec = 3600};

    delay_need(evthread_use_pthreads() == 0, "evthread_use_pthreads");
    base = event_base_new();
    delay_need(base != NULL, "event_base_new");
    event = event_new(base, -1, EV_PERSIST, on_event, NULL);
    event_add(event, &long_time);
}

static void send_event(void)
{
    event_active(event, EV_READ, 0);
}

static void wait_for_event(void)
{
    event_base_dispatch(base);
}

static void setup_timer_of(struct event_base *opened)
{
    delay_need(opened != NULL, "event_base_new");
    base = opened;
    event = event_new(base, -1, 0, on_timer, NULL);
}

/* By default it reads a clock that advances every few milliseconds. */
static void setup_timer(void)
{
    setup_timer_of(event_base_new());
}

static void setup_precise_timer(void)
{
    struct event_config *config = event_config_new();

    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    setup_timer_of(event_base_new_with_config(config));
}

static void sleep_by_timer(int64_t ns)
{
    const struct timeval time = {ns / 1000000000, ns % 1000000000 / 1000};

    event_add(event, &time);
    event_base_loop(base, EVLOOP_ONCE);
}

const struct way ways[] = {
    {"event_active", setup_event, send_event, wait_for_event, NULL},
    {"timer", setup_timer, NULL, NULL, sleep_by_timer},
    {"precise timer", setup_precise_timer, NULL, NULL, sleep_by_timer},
    {0},
};
