/* SPDX-License-Identifier: MIT
 *
 * Threads that run the commands of a test one at a time, so that the test decides which thread does
 * what, and in which order. Each has a batch of its own.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include "things.h"

#include <stdatomic.h>

struct worker;
typedef void task(struct worker *worker);

struct worker {
    readyq *q;
    readyq_batch batch;
    pthread_t thread;
    int64_t timeout; /* of its waits */
    int max;
    int result;          /* of its last wait */
    readyq_watch *taken; /* by its last readyq_next() */
    void *argument;      /* of other commands */
    _Atomic(task *) command;
    atomic_int stops, place; /* for tests that stop it in the middle of a wait */
};

static _Thread_local struct worker *this_worker;

static inline void work_wait(struct worker *worker)
{
    worker->result = readyq_wait(worker->q, &worker->batch, worker->timeout, worker->max);
}

static inline void work_next(struct worker *worker)
{
    worker->taken = readyq_next(&worker->batch);
}

static inline void work_done(struct worker *worker)
{
    CHECK_IS(readyq_done(&worker->batch), 0);
}

static inline void work_end(struct worker *worker)
{
    this_worker = NULL;
    (void)worker;
}

static inline void *work(void *argument)
{
    struct worker *worker = argument;
    this_worker = worker;
    while (this_worker != NULL) {
        task *const command = atomic_load(&worker->command);
        if (command == NULL) {
            sleep_ns(MS / 20);
            continue;
        }
        command(worker);
        atomic_store(&worker->command, NULL);
    }
    return NULL;
}

static inline void hire(struct worker *worker, readyq *q)
{
    memset(worker, 0, sizeof *worker);
    worker->q = q;
    worker->timeout = -1;
    worker->thread = start(work, worker);
}

static inline void tell(struct worker *worker, task *command)
{
    CHECK(atomic_load(&worker->command) == NULL);
    atomic_store(&worker->command, command);
}

static inline bool is_idle(struct worker *worker)
{
    return atomic_load(&worker->command) == NULL;
}

static inline bool is_idle_within(struct worker *worker, int64_t time)
{
    const int64_t end = now_ns() + time;
    while (!is_idle(worker) && now_ns() < end)
        sleep_ns(MS / 20);
    return is_idle(worker);
}

/* If it never happens, the alarm of the test ends the wait. */
static inline void await(struct worker *worker)
{
    while (!is_idle(worker))
        sleep_ns(MS / 20);
}

static inline void make(struct worker *worker, task *command)
{
    tell(worker, command);
    await(worker);
}

static inline void dismiss(struct worker *worker)
{
    make(worker, work_done);
    make(worker, work_end);
    join(worker->thread);
}

/* Its wait has begun, and sleeps if there is nothing for it. */
static inline void start_wait(struct worker *worker, int64_t timeout)
{
    const uint64_t before = stats_of(worker->q).kernel_waits;
    worker->timeout = timeout;
    tell(worker, work_wait);
    while (stats_of(worker->q).kernel_waits == before)
        sleep_ns(MS / 20);
    sleep_ns(MS);
}

static inline void send_to_sleep(struct worker *worker, int64_t timeout)
{
    start_wait(worker, timeout);
    CHECK(!is_idle(worker));
}

static inline int wait_within(struct worker *worker, int64_t timeout)
{
    worker->timeout = timeout;
    make(worker, work_wait);
    return worker->result;
}

static inline readyq_watch *take_next(struct worker *worker)
{
    make(worker, work_next);
    return worker->taken;
}

/* Waits for the end of a running wait. Returns what it took first, or NULL. */
static inline readyq_watch *await_taken(struct worker *worker)
{
    await(worker);
    CHECK(worker->result >= 0);
    return take_next(worker);
}

#endif
