/* SPDX-License-Identifier: MIT */
#include "delay.h"
#include "readyq.h"

static readyq *queue;
static readyq_batch batch;
static readyq_watch watch;

static void setup(void)
{
    delay_need(readyq_open(&queue, NULL) >= 0, "readyq_open");
}

static void send_wake(void)
{
    readyq_wake(queue);
}

static void wait_for_wake(void)
{
    for (;;) {
        readyq_wait(queue, &batch, -1, 0);
        delay_seen();
    }
}

static void setup_trigger(void)
{
    setup();
    delay_need(readyq_add_trigger(queue, &watch) >= 0, "readyq_add_trigger");
}

static void send_trigger(void)
{
    readyq_fire(&watch);
}

static void wait_for_trigger(void)
{
    for (;;) {
        readyq_wait(queue, &batch, -1, 0);
        if (readyq_next(&batch) == &watch)
            delay_seen();
    }
}

static void sleep_in_wait(int64_t ns)
{
    readyq_wait(queue, &batch, ns, 0);
}

static void sleep_by_timer(int64_t ns)
{
    readyq_add_timer(queue, &watch, ns, 0);
    readyq_wait(queue, &batch, -1, 0);
    delay_need(readyq_next(&batch) == &watch, "the timer");
    readyq_done(&batch);
}

const struct way ways[] = {
    {"wake", setup, send_wake, wait_for_wake, NULL},
    {"trigger", setup_trigger, send_trigger, wait_for_trigger, NULL},
    {"wait", setup, NULL, NULL, sleep_in_wait},
    {"timer", setup, NULL, NULL, sleep_by_timer},
    {0},
};
