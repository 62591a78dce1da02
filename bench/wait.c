/* SPDX-License-Identifier: MIT
 *
 * One contender of run.py: waits on descriptors that are all ready, again and again, with a bare
 * epoll_wait loop or with readyq; level-triggered, or one-shot and armed again each time. For each
 * line on standard input it runs one round of waits and prints the processor time of the round in
 * nanoseconds.
 *
 *     wait bare|readyq level|oneshot WAITS DESCRIPTOR...
 */
#include "readyq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

struct object { /* the data that a program would attach to a descriptor */
    readyq_watch watch;
    uint64_t hits;
    int fd;
};

static struct object *objects;
static int set, count, waits;
static bool oneshot;
static readyq *queue;
static readyq_batch batch;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void wait_bare(void)
{
    struct epoll_event events[256];
    int n = epoll_wait(set, events, 256, -1);
    for (int i = 0; i < n; i++) {
        struct object *object = events[i].data.ptr;
        object->hits++;
        if (oneshot &&
            epoll_ctl(set, EPOLL_CTL_MOD, object->fd,
                      &(struct epoll_event){EPOLLIN | EPOLLONESHOT, {.ptr = object}}) < 0)
            exit(1);
    }
}

static void wait_readyq(void)
{
    readyq_watch *w;
    readyq_wait(queue, &batch, -1, 0);
    while ((w = readyq_next(&batch)) != NULL) {
        ((struct object *)w->data)->hits++;
        if (oneshot && readyq_modify(w, READYQ_READ | READYQ_ONESHOT) < 0)
            exit(1);
    }
}

static void watch(struct object *object, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = object};
    uint32_t interest = READYQ_READ;
    if (oneshot) {
        event.events |= EPOLLONESHOT;
        interest |= READYQ_ONESHOT;
    }
    object->watch.data = object;
    object->fd = fd;
    if (queue == NULL ? epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0
                      : readyq_add(queue, &object->watch, fd, interest) < 0)
        exit(1);
}

static int64_t run_round(void (*wait)(void))
{
    int64_t before = now_ns();
    for (int i = 0; i < waits; i++)
        wait();
    return now_ns() - before;
}

int main(int argc, char **argv)
{
    char line[16];
    if (argc < 5)
        return 1;
    if (strcmp(argv[1], "bare") != 0 && readyq_open(&queue, NULL) < 0)
        return 1;
    oneshot = strcmp(argv[2], "oneshot") == 0;
    set = epoll_create1(EPOLL_CLOEXEC);
    waits = atoi(argv[3]);
    count = argc - 4;
    objects = calloc((size_t)count, sizeof *objects);
    for (int i = 0; i < count; i++)
        watch(&objects[i], atoi(argv[4 + i]));
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%" PRId64 "\n", run_round(queue == NULL ? wait_bare : wait_readyq));
        fflush(stdout);
    }
    for (int i = 1; i < count; i++)
        if (objects[i].hits != objects[0].hits)
            return 1;
    return 0;
}
