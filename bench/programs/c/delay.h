/* SPDX-License-Identifier: MIT
 *
 * Programs that measure delays, one for each library, with one main function (delay.c): how long it
 * takes until a thread that waits has seen what another one sent, and how much longer than requested
 * a thread sleeps.
 *
 *     delay_LIBRARY list               prints the names of its ways to do it
 *     delay_LIBRARY WAY COUNT [NS]     for each line on standard input COUNT delays, in nanoseconds;
 *                                      NS is how long to sleep
 */
#ifndef DELAY_H
#define DELAY_H

#include <stdbool.h>
#include <stdint.h>

struct way {
    const char *name;
    void (*setup)(void);

    /* Either of these. A thread calls `wait` once, which waits for ever and calls delay_seen() each
     * time; the main thread calls `send`. */
    void (*send)(void);
    void (*wait)(void);
    void (*sleep)(int64_t ns);
};

extern const struct way ways[]; /* up to one without a name */

void delay_seen(void);
void delay_need(bool good, const char *call);

#endif
