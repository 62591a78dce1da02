/* SPDX-License-Identifier: MIT
 *
 * How much longer than requested a thread sleeps: for each timeout in turn a bare epoll_pwait2, a
 * wait with that timeout, and a timer. Prints each timeout and the three medians of the excess, in
 * nanoseconds. `sleep early COUNT` sets that many timers and prints how many fired early.
 */
#include "readyq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAYS = 3, MOST = 1000 };

static int set;
static readyq *queue;
static readyq_batch batch;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void sleep_bare(int64_t timeout)
{
    struct epoll_event event;
    struct timespec time = {timeout / 1000000000, timeout % 1000000000};
    syscall(SYS_epoll_pwait2, set, &event, 1, &time, NULL, (size_t)0);
}

static void sleep_in_wait(int64_t timeout)
{
    readyq_wait(queue, &batch, timeout, 0);
}

static void sleep_by_timer(int64_t timeout)
{
    readyq_watch timer = {0};
    readyq_add_timer(queue, &timer, timeout, 0);
    readyq_wait(queue, &batch, -1, 0);
    readyq_next(&batch);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(int64_t timeout, int rounds)
{
    static void (*const ways[WAYS])(int64_t) = {sleep_bare, sleep_in_wait, sleep_by_timer};
    static int64_t over[WAYS][MOST];
    for (int i = 0; i < rounds; i++)
        for (int way = 0; way < WAYS; way++) {
            int64_t before = now_ns();
            ways[way](timeout);
            over[way][i] = now_ns() - before - timeout;
        }
    printf("%" PRId64, timeout);
    for (int way = 0; way < WAYS; way++) {
        qsort(over[way], (size_t)rounds, sizeof over[way][0], compare);
        printf(" %" PRId64, over[way][rounds / 2]);
    }
    printf("\n");
}

static int count_early(int count)
{
    int early = 0;
    readyq_watch *timers = calloc((size_t)count, sizeof *timers), *w;
    int64_t *due = calloc((size_t)count, sizeof *due);
    for (int i = 0; i < count; i++) {
        int64_t delay = (int64_t)((uint64_t)i * 7919 % 1000000) * 2000; /* up to two seconds */
        due[i] = now_ns() + delay;
        timers[i].data = &due[i];
        readyq_add_timer(queue, &timers[i], delay, 0);
    }
    for (int left = count; left > 0;)
        for (readyq_wait(queue, &batch, -1, 0); (w = readyq_next(&batch)) != NULL; left--)
            early += now_ns() < *(int64_t *)w->data;
    free(timers);
    free(due);
    return early;
}

int main(int argc, char **argv)
{
    set = epoll_create1(EPOLL_CLOEXEC);
    if (readyq_open(&queue, NULL) < 0)
        return 1;
    if (argc == 3 && strcmp(argv[1], "early") == 0) {
        printf("%d\n", count_early(atoi(argv[2])));
    } else {
        measure(100000, 600);
        measure(1000000, 300);
        measure(10000000, 60);
    }
    readyq_done(&batch);
    return readyq_close(queue);
}
