/* SPDX-License-Identifier: MIT */
#include "delay.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int epoll, event;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static bool sent;

static void setup(void)
{
    event = eventfd(0, 0);
    epoll = epoll_create1(0);
    delay_need(event >= 0 && epoll >= 0, "open");
    delay_need(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &(struct epoll_event){.events = EPOLLIN}) ==
                   0,
               "epoll_ctl");
}

static void send_event(void)
{
    delay_need(eventfd_write(event, 1) == 0, "write");
}

static void wait_for_event(void)
{
    for (;;) {
        struct epoll_event found;
        eventfd_t count;

        epoll_wait(epoll, &found, 1, -1);
        delay_seen();
        delay_need(eventfd_read(event, &count) == 0, "read");
    }
}

static void send_condition(void)
{
    pthread_mutex_lock(&lock);
    sent = true;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&lock);
}

static void wait_for_condition(void)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!sent)
            pthread_cond_wait(&condition, &lock);
        sent = false;
        delay_seen();
    }
}

static void sleep_in_epoll_pwait2(int64_t ns)
{
    const struct timespec time = {ns / 1000000000, ns % 1000000000};
    struct epoll_event found;

    syscall(SYS_epoll_pwait2, epoll, &found, 1, &time, NULL, (size_t)0);
}

/* In whole milliseconds, rounded up. */
static void sleep_in_epoll_wait(int64_t ns)
{
    struct epoll_event found;

    epoll_wait(epoll, &found, 1, (int)((ns + 999999) / 1000000));
}

const struct way ways[] = {
    {"eventfd", setup, send_event, wait_for_event, NULL},
    {"condition", setup, send_condition, wait_for_condition, NULL},
    {"epoll_pwait2", setup, NULL, NULL, sleep_in_epoll_pwait2},
    {"epoll_wait", setup, NULL, NULL, sleep_in_epoll_wait},
    {0},
};
