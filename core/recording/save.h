/* SPDX-License-Identifier: MIT
 *
 * What save.c and its helpers share: a recording while it is written to a trace file.
 */
#ifndef READYQ_SAVE_H
#define READYQ_SAVE_H

#include "internal.h"

#include <stdio.h>

#define WATCHES UINT64_C(1000000000) /* tracks of watches have numbers above those of threads */

#define NONE INT64_MIN /* the time of something that has not begun */

struct readyq__lane {
    uint64_t id;
    struct readyq_record source; /* its kind and number */
    char name[READYQ__DESCRIPTION_SIZE];
    int64_t ready, fired;
    uint32_t ready_bits, firing_thread;
};

struct readyq__thread {
    uint32_t id;
    int64_t wait, timeout, wait_end, sleep, handler;
    bool looks;
    struct readyq__lane *watch; /* the one that it handles */
    uint32_t bits;
    int64_t count;
};

struct readyq__trace {
    FILE *file;
    const char *separator; /* before the next event */
    long process;
    struct readyq_record *records;
    size_t n, nwatches, nthreads;
    uint64_t dropped;
    struct readyq__lane *watches; /* by id */
    struct readyq__thread *threads;
    int64_t start, end;
    int64_t wake; /* the last one that has not ended a wait yet */
    uint32_t waking_thread;
    unsigned flows;
};

/* json.c: writes a string with its quotes. */
void readyq__print_json(FILE *file, const char *text);

/* lanes.c: copies the records, with the queue's lock held, and finds the watches and threads that
 * they are about, with the names of the watches. -ENOMEM; what was allocated is freed by the
 * caller. */
int readyq__collect(struct readyq__trace *in, readyq_recording *r);
struct readyq__lane *readyq__find_lane(const struct readyq__trace *in, uint64_t id);
struct readyq__thread *readyq__find_thread(struct readyq__trace *in, uint32_t id);

#endif
