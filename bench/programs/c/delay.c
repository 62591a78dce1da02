/* SPDX-License-Identifier: MIT */
#include "delay.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASLEEP_NS = 200000, LOOK_NS = 20000, LOST_S = 10 };

static _Atomic int64_t seen_at;
static atomic_uint seen;
static const struct way *way; /* that is measured */

void delay_need(bool good, const char *call)
{
    if (good)
        return;
    fprintf(stderr, "%s failed\n", call);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void delay_seen(void)
{
    seen_at = now_ns();
    seen++;
}

static void pause_for(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* The waiting thread has time to fall asleep first. */
static int64_t delay_of_message(void)
{
    const unsigned before = seen;
    int64_t start;

    pause_for(ASLEEP_NS);
    start = now_ns();
    way->send();
    while (seen == before) {
        delay_need(now_ns() - start < LOST_S * INT64_C(1000000000), "the message was lost: it");
        pause_for(LOOK_NS);
    }
    return seen_at - start;
}

static int64_t excess_of_sleep(int64_t ns)
{
    const int64_t start = now_ns();

    way->sleep(ns);
    return now_ns() - start - ns;
}

/* Pins this thread to the first core that the process may use, or to the last. */
static void pin(bool last)
{
    cpu_set_t all, one;
    size_t found = 0;

    sched_getaffinity(0, sizeof all, &all);
    for (size_t core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &all)) {
            found = core;
            if (!last)
                break;
        }
    CPU_ZERO(&one);
    CPU_SET(found, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void *run_waiting(void *unused)
{
    (void)unused;
    pin(true);
    way->wait();
    return NULL;
}

static void start_waiting(void)
{
    pthread_t thread;

    delay_need(pthread_create(&thread, NULL, run_waiting, NULL) == 0, "pthread_create");
    pin(false);
}

static void run_rounds(int count, int64_t ns)
{
    char line[16];

    way->setup();
    if (way->send != NULL)
        start_waiting();
    while (fgets(line, sizeof line, stdin) != NULL) {
        for (int i = 0; i < count; i++)
            printf("%" PRId64 " ", way->send != NULL ? delay_of_message() : excess_of_sleep(ns));
        printf("\n");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    for (way = ways; way->name != NULL; way++)
        if (argc == 2 && strcmp(argv[1], "list") == 0)
            printf("%s\n", way->name);
        else if (argc >= 3 && strcmp(argv[1], way->name) == 0)
            run_rounds(atoi(argv[2]), argc > 3 ? atoll(argv[3]) : 0);
    fflush(stdout);
    _Exit(0); /* the waiting thread still waits */
}
