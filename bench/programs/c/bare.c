/* SPDX-License-Identifier: MIT
 *
 * A loop on epoll without a library, the limit for all others: see program.h.
 */
#include "program.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256 };

struct object {
    int fd;
    long hits;
};

static int set = -1, bell = -1;
static struct object *objects;
static int count, next;

static void control(int operation, int i, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &objects[i]};

    objects[i].fd = fd;
    need(epoll_ctl(set, operation, fd, &event), "epoll_ctl");
}

static void start(int n)
{
    if (set >= 0)
        close(set);
    need(set = epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    free(objects);
    objects = calloc((size_t)n, sizeof *objects);
    count = n;
    next = 0;
}

static void setup_ready(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        control(EPOLL_CTL_ADD, i, READY + i, EPOLLIN);
}

static void setup_rearm(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        control(EPOLL_CTL_ADD, i, READY + i, EPOLLIN | EPOLLONESHOT);
}

static void setup_idle(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        control(EPOLL_CTL_ADD, i, IDLE + i, EPOLLIN);
}

static long run_ready(long turns)
{
    struct epoll_event events[BATCH];
    long seen = 0;

    for (long turn = 0; turn < turns; turn++) {
        const int n = epoll_wait(set, events, BATCH, -1);

        for (int i = 0; i < n; i++)
            ((struct object *)events[i].data.ptr)->hits++;
        seen += n;
    }
    return seen;
}

static long run_rearm(long turns)
{
    struct epoll_event events[BATCH];
    long seen = 0;

    for (long turn = 0; turn < turns; turn++) {
        const int n = epoll_wait(set, events, BATCH, -1);

        for (int i = 0; i < n; i++) {
            struct object *object = events[i].data.ptr;

            object->hits++;
            events[i].events = EPOLLIN | EPOLLONESHOT;
            epoll_ctl(set, EPOLL_CTL_MOD, object->fd, &events[i]);
        }
        seen += n;
    }
    return seen;
}

static void look(void)
{
    struct epoll_event events[BATCH];

    need(epoll_wait(set, events, BATCH, 0), "epoll_wait");
}

static long run_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        control(EPOLL_CTL_ADD, next, IDLE + next, EPOLLIN);
    look();
    return turns;
}

static long run_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        epoll_ctl(set, EPOLL_CTL_DEL, objects[next++].fd, NULL);
    look();
    return turns;
}

static long run_add_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++) {
            control(EPOLL_CTL_ADD, i, IDLE + i, EPOLLIN);
            epoll_ctl(set, EPOLL_CTL_DEL, objects[i].fd, NULL);
        }
        look();
    }
    return turns * count;
}

static long run_modify(long turns)
{
    static uint32_t interest = EPOLLIN;

    for (long turn = 0; turn < turns; turn++) {
        interest ^= EPOLLOUT;
        for (int i = 0; i < count; i++)
            control(EPOLL_CTL_MOD, i, objects[i].fd, interest);
        look();
    }
    return turns * count;
}

static void setup_wake(int n)
{
    start(n);
    if (bell < 0)
        need(bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
    control(EPOLL_CTL_ADD, 0, bell, EPOLLIN);
}

static long run_wake(long turns)
{
    struct epoll_event events[BATCH];
    uint64_t one = 1;

    for (long turn = 0; turn < turns; turn++) {
        need((int)write(bell, &one, sizeof one), "write");
        need(epoll_wait(set, events, BATCH, -1), "epoll_wait");
        need((int)read(bell, &one, sizeof one), "read");
    }
    return turns;
}

/* ------------------------------------------------------------------ a pool of threads */

static int (*sockets)[2];

/* Without EPOLLONESHOT several threads would get the same event. */
static void *serve(void *unused)
{
    struct epoll_event event;
    char byte;

    (void)unused;
    while (epoll_wait(set, &event, 1, -1) == 1) {
        struct object *object = event.data.ptr;

        need((int)(read(object->fd, &byte, 1) < 1 ? -1 : write(object->fd, &byte, 1)), "serve");
        event.events = EPOLLIN | EPOLLONESHOT;
        epoll_ctl(set, EPOLL_CTL_MOD, object->fd, &event);
    }
    return NULL;
}

static void setup_pool(int n)
{
    pthread_t thread;

    start(n);
    sockets = calloc((size_t)n, sizeof *sockets);
    for (int i = 0; i < n; i++) {
        need(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]), "socketpair");
        control(EPOLL_CTL_ADD, i, sockets[i][1], EPOLLIN | EPOLLONESHOT);
    }
    for (int i = 0; i < 4; i++)
        need(-pthread_create(&thread, NULL, serve, NULL), "pthread_create");
}

/* One message at a time: each is answered by a thread before the next is sent. */
static long run_pool(long turns)
{
    char byte = 'x';

    for (long turn = 0; turn < turns; turn++)
        for (int i = 0; i < count; i++)
            if (write(sockets[i][0], &byte, 1) != 1 || read(sockets[i][0], &byte, 1) != 1)
                need(-1, "a message");
    return turns * count;
}

static int *sets;

static void setup_close(int n)
{
    sets = calloc((size_t)n, sizeof(int));
    for (int i = 0; i < n; i++) {
        setup_idle(WATCHED);
        sets[i] = set;
        set = -1;
        objects = NULL;
    }
}

static long run_close(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        close(sets[next++]);
    return turns;
}

static int outer;

/* Another set, which has this one in it. */
static void setup_embedded(int n)
{
    setup_ready(n);
    outer = enclose(set);
}

static long run_embedded(long turns)
{
    struct epoll_event event;

    for (long turn = 0; turn < turns; turn++) {
        epoll_wait(outer, &event, 1, -1);
        run_ready(1);
    }
    return turns;
}

const struct scenario scenarios[] = {
    {"ready", setup_ready, run_ready},
    {"rearm", setup_rearm, run_rearm},
    {"add", start, run_add},
    {"remove", setup_idle, run_remove},
    {"add_remove", start, run_add_remove},
    {"modify", setup_idle, run_modify},
    {"wake", setup_wake, run_wake},
    {"close", setup_close, run_close},
    {"embedded", setup_embedded, run_embedded},
    {"pool", setup_pool, run_pool},
    {NULL, NULL, NULL},
};
