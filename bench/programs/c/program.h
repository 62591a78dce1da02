/* SPDX-License-Identifier: MIT
 *
 * What the programs in C share. Each measures one library in the scenarios that bench/README.md
 * describes, and has this command line (program.c):
 *
 *     PROGRAM list
 *     PROGRAM count SCENARIO:N:TURNS...
 *     PROGRAM time SCENARIO N TURNS
 */
#ifndef PROGRAM_H
#define PROGRAM_H

/* The descriptors that a program inherits: READY and up to 99 more are readable for ever, IDLE and
 * those above it never are. */
enum { READY = 100, IDLE = 200, MOST_READY = 100 };
enum { WATCHED = 1000 }; /* in each of the queues that are closed, and beside a ghost */

struct scenario {
    const char *name;
    void (*setup)(int n);    /* with a new queue */
    long (*run)(long turns); /* returns the number of operations */
};

extern const struct scenario scenarios[]; /* of the program; the last one has no name */

void need(int result, const char *call); /* ends the program if result is negative */

/* The epoll set of another loop, which waits for this descriptor. */
int enclose(int fd);

#endif
