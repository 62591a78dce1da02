/* SPDX-License-Identifier: MIT
 *
 * readyq in C: see program.h.
 */
#include "readyq.h"
#include "program.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t HOUR = INT64_C(3600000000000), MS = 1000000;

struct object { /* what a program would have for each descriptor or timer */
    readyq_watch watch;
    long hits;
};

static readyq *queue;
static readyq_batch batch;
static struct object *objects;
static int count, next;

static void start(int n)
{
    readyq_done(&batch);
    readyq_close(queue);
    need(readyq_open(&queue, NULL), "readyq_open");
    free(objects);
    objects = calloc((size_t)n, sizeof *objects);
    count = n;
    next = 0;
}

static void add(struct object *object, int fd, uint32_t interest)
{
    need(readyq_add(queue, &object->watch, fd, interest), "readyq_add");
}

static void look(void)
{
    need(readyq_wait(queue, &batch, 0, 0), "readyq_wait");
}

/* ------------------------------------------------------------------ events */

/* The descriptors from IDLE on follow those from READY on. */
static void setup_ready(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(&objects[i], READY + i, READYQ_READ);
}

static void setup_rearm(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(&objects[i], READY + i, READYQ_READ | READYQ_ONESHOT);
}

static long run_ready(long turns)
{
    readyq_watch *w;
    long seen = 0;

    for (long turn = 0; turn < turns; turn++) {
        seen += readyq_wait(queue, &batch, -1, 0);
        while ((w = readyq_next(&batch)) != NULL)
            ((struct object *)w)->hits++;
    }
    return seen;
}

static long run_rearm(long turns)
{
    readyq_watch *w;
    long seen = 0;

    for (long turn = 0; turn < turns; turn++) {
        seen += readyq_wait(queue, &batch, -1, 0);
        while ((w = readyq_next(&batch)) != NULL) {
            ((struct object *)w)->hits++;
            readyq_modify(w, READYQ_READ | READYQ_ONESHOT);
        }
    }
    return seen;
}

/* ------------------------------------------------------------------ changes */

static void setup_idle(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        add(&objects[i], IDLE + i, READYQ_READ);
    look();
}

static long run_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        readyq_add(queue, &objects[next].watch, IDLE + next, READYQ_READ);
    look();
    return turns;
}

static long run_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        readyq_remove(&objects[next++].watch);
    look();
    return turns;
}

static long run_add_remove(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++) {
            readyq_add(queue, &objects[i].watch, IDLE + i, READYQ_READ);
            readyq_remove(&objects[i].watch);
        }
        look();
    }
    return turns * count;
}

static long run_modify(long turns)
{
    static uint32_t interest = READYQ_READ;

    for (long turn = 0; turn < turns; turn++) {
        interest ^= READYQ_WRITE;
        for (int i = 0; i < count; i++)
            readyq_modify(&objects[i].watch, interest);
        look();
    }
    return turns * count;
}

/* ------------------------------------------------------------------ timers and wakes */

static void setup_timers(int n)
{
    start(n);
    for (int i = 0; i < n; i++)
        need(readyq_add_timer(queue, &objects[i].watch, HOUR + i * MS, 0), "readyq_add_timer");
    look();
}

static long run_timer_add(long turns)
{
    for (long turn = 0; turn < turns; turn++, next++)
        readyq_add_timer(queue, &objects[next].watch, HOUR + next * MS, 0);
    look();
    return turns;
}

static long run_timer_restart(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            readyq_restart(&objects[i].watch, HOUR);
        look();
    }
    return turns * count;
}

static long run_timer_fire(long turns)
{
    readyq_watch *w;
    long seen = 0;

    for (long turn = 0; turn < turns; turn++) {
        for (int i = 0; i < count; i++)
            readyq_add_timer(queue, &objects[i].watch, 0, 0);
        seen += readyq_wait(queue, &batch, -1, 0);
        while ((w = readyq_next(&batch)) != NULL)
            ((struct object *)w)->hits++;
    }
    return seen;
}

static long run_wake(long turns)
{
    for (long turn = 0; turn < turns; turn++) {
        readyq_wake(queue);
        need(readyq_wait(queue, &batch, -1, 0), "readyq_wait");
    }
    return turns;
}

/* ------------------------------------------------------------------ closing, embedding, ghosts */

static readyq **queues;

static void setup_close(int n)
{
    queues = calloc((size_t)n, sizeof(readyq *));
    for (int i = 0; i < n; i++) {
        setup_idle(WATCHED);
        readyq_done(&batch);
        queues[i] = queue;
        queue = NULL;
        objects = NULL;
    }
}

static long run_close(long turns)
{
    for (long turn = 0; turn < turns; turn++)
        readyq_close(queues[next++]);
    return turns;
}

static int outer;

/* Another loop, which waits for this queue's descriptor. */
static void setup_embedded(int n)
{
    setup_ready(n);
    outer = enclose(readyq_fileno(queue));
}

static long run_embedded(long turns)
{
    struct epoll_event event;
    readyq_watch *w;

    for (long turn = 0; turn < turns; turn++) {
        epoll_wait(outer, &event, 1, -1);
        readyq_wait(queue, &batch, 0, 0);
        while ((w = readyq_next(&batch)) != NULL)
            ((struct object *)w)->hits++;
        readyq_done(&batch);
    }
    return turns;
}

static uint64_t count_rebuilds(void)
{
    struct readyq_stats stats;

    readyq_stats(queue, &stats);
    return stats.rebuilds;
}

/* A descriptor is closed before its watch is removed, and a duplicate of it is readable. */
static long run_ghost(long turns)
{
    readyq_watch ghost = {0};

    for (long turn = 0; turn < turns; turn++) {
        const uint64_t before = count_rebuilds();
        const int fd = dup(READY);

        need(readyq_add(queue, &ghost, fd, READYQ_READ), "readyq_add");
        close(fd);
        readyq_remove(&ghost);
        while (count_rebuilds() == before)
            look();
    }
    return turns;
}

static void setup_ghost(int n)
{
    (void)n;
    setup_idle(WATCHED);
}

/* ------------------------------------------------------------------ a pool of threads */

static int (*sockets)[2];

static void *serve(void *unused)
{
    readyq_batch mine = {0};
    readyq_watch *w;
    char byte;

    (void)unused;
    while (readyq_wait(queue, &mine, -1, 0) >= 0)
        while ((w = readyq_next(&mine)) != NULL)
            need((int)(read(w->fd, &byte, 1) < 1 ? -1 : write(w->fd, &byte, 1)), "serve");
    readyq_done(&mine);
    return NULL;
}

static void setup_pool(int n)
{
    pthread_t thread;

    start(n);
    sockets = calloc((size_t)n, sizeof *sockets);
    for (int i = 0; i < n; i++) {
        need(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]), "socketpair");
        add(&objects[i], sockets[i][1], READYQ_READ);
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

const struct scenario scenarios[] = {
    {"ready", setup_ready, run_ready},
    {"rearm", setup_rearm, run_rearm},
    {"add", start, run_add},
    {"remove", setup_idle, run_remove},
    {"add_remove", start, run_add_remove},
    {"modify", setup_idle, run_modify},
    {"timer_add", start, run_timer_add},
    {"timer_cancel", setup_timers, run_remove},
    {"timer_restart", setup_timers, run_timer_restart},
    {"timer_fire", start, run_timer_fire},
    {"wake", start, run_wake},
    {"close", setup_close, run_close},
    {"embedded", setup_embedded, run_embedded},
    {"ghost", setup_ghost, run_ghost},
    {"pool", setup_pool, run_pool},
    {NULL, NULL, NULL},
};
