/* SPDX-License-Identifier: MIT
 *
 * The queue's clock: the monotonic one, or a virtual one that moves only when a wait would sleep.
 */
#include "internal.h"

#include <time.h>

int64_t readyq__now(const readyq *q)
{
    struct timespec time;

    if (q->virtual_clock)
        return q->now;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t readyq__deadline(int64_t now, int64_t timeout)
{
    return timeout < READYQ__FOREVER - now ? now + timeout : READYQ__FOREVER;
}
