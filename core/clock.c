/* SPDX-License-Identifier: MIT
 *
 * The queue's clock: the monotonic one, or a virtual one that moves only when a wait would sleep.
 */
#include "internal.h"

#include <stdio.h>
#include <time.h>

int64_t readyq__monotonic(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t readyq__now(const readyq *q)
{
    return q->virtual_clock ? q->now : readyq__monotonic();
}

/* ------------------------------------------------------------------ the counter */

bool readyq__counts_cycles;

/* Linux uses the counter as its own clock only if it has checked that the counter runs at a
 * constant speed and is the same on all processors. */
static void choose(void)
{
    char name[16] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

    if (file == NULL)
        return;
    readyq__counts_cycles = fgets(name, sizeof name, file) != NULL && strcmp(name, "tsc\n") == 0;
    fclose(file);
}

void readyq__choose_counter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct readyq__cancel cancel = readyq__hold_cancel();

    pthread_once(&once, choose);
    readyq__release_cancel(cancel);
}
