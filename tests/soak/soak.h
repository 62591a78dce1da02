/* SPDX-License-Identifier: MIT
 *
 * The account of the soak, and the threads that make events: triggers, queued signals and wakes.
 */
#ifndef SOAK_H
#define SOAK_H

#include "readyq.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000LL
#define SECOND 1000000000LL
#define FIRERS 8

#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))

_Noreturn static inline void fail(const char *file, int line, const char *what)
{
    perror(what);
    printf("soak: %s:%d: failed: %s\n", file, line, what);
    exit(1);
}

/* xorshift64, Marsaglia 2003. */
static inline uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

struct account { /* deliveries, and faults */
    uint64_t bytes, ends, timers, children;
    uint64_t lost, stale, early, empty;
};

struct made { /* sent */
    _Atomic uint64_t bytes, ends, children, signals, fires, wakes;
};

static atomic_bool stopping;
static struct made made;

struct threads {
    readyq_watch signal, triggers[FIRERS];
    uint64_t signals, fires[FIRERS]; /* delivered; each belongs to the thread that took the watch */
    pthread_t firers[FIRERS], signaller, waker, peer;
};

static inline void doze(uint64_t *random, int64_t most)
{
    nanosleep(&(struct timespec){0, (long)(draw(random) % (uint64_t)most)}, NULL);
}

static inline void *run_firer(void *trigger)
{
    uint64_t random = (uint64_t)(uintptr_t)trigger | 1;

    while (!atomic_load(&stopping)) {
        for (uint64_t burst = draw(&random) % 20; burst > 0; burst--) {
            CHECK(readyq_fire(trigger) == 0);
            atomic_fetch_add(&made.fires, 1);
        }
        doze(&random, 10 * MS);
    }
    return NULL;
}

/* Signals of a number above SIGRTMIN are queued, so that each one counts. */
static inline void *run_signaller(void *unused)
{
    while (!atomic_load(&stopping)) {
        if (sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0)
            atomic_fetch_add(&made.signals, 1);
        nanosleep(&(struct timespec){0, MS}, NULL);
    }
    return unused;
}

static inline void *run_waker(void *queue)
{
    uint64_t random = 521288629;

    while (!atomic_load(&stopping)) {
        atomic_fetch_add(&made.wakes, 1);
        CHECK(readyq_wake(queue) == 0);
        doze(&random, 20 * MS);
    }
    return NULL;
}

static inline void start(struct threads *all, readyq *q, void *(*peer)(void *))
{
    memset(all, 0, sizeof *all);
    all->signal.data = &all->signals;
    CHECK(readyq_add_signal(q, &all->signal, SIGRTMIN) == 0);
    for (int i = 0; i < FIRERS; i++) {
        all->triggers[i].data = &all->fires[i];
        CHECK(readyq_add_trigger(q, &all->triggers[i]) == 0);
        CHECK(pthread_create(&all->firers[i], NULL, run_firer, &all->triggers[i]) == 0);
    }
    CHECK(pthread_create(&all->signaller, NULL, run_signaller, NULL) == 0);
    CHECK(pthread_create(&all->waker, NULL, run_waker, q) == 0);
    CHECK(pthread_create(&all->peer, NULL, peer, NULL) == 0);
}

static inline void stop(struct threads *all)
{
    atomic_store(&stopping, true);
    for (int i = 0; i < FIRERS; i++)
        CHECK(pthread_join(all->firers[i], NULL) == 0);
    CHECK(pthread_join(all->signaller, NULL) == 0);
    CHECK(pthread_join(all->waker, NULL) == 0);
    CHECK(pthread_join(all->peer, NULL) == 0);
}

static inline uint64_t print_row(const char *name, uint64_t sent, uint64_t delivered)
{
    printf("  %-9s %12llu sent %12llu delivered\n", name, (unsigned long long)sent,
           (unsigned long long)delivered);
    return sent > delivered ? sent - delivered : delivered - sent;
}

static inline void add_account(struct account *sum, const struct account *one)
{
    sum->bytes += one->bytes;
    sum->ends += one->ends;
    sum->timers += one->timers;
    sum->children += one->children;
    sum->lost += one->lost;
    sum->stale += one->stale;
    sum->early += one->early;
    sum->empty += one->empty;
}

/* Prints the account. Returns 0 if it balances. */
static inline int report(const struct account *got, const struct threads *threads,
                         const struct readyq_stats *stats)
{
    const uint64_t spins = got->empty > made.wakes ? got->empty - made.wakes : 0;
    uint64_t fires = 0, lost = got->lost;

    for (int i = 0; i < FIRERS; i++)
        fires += threads->fires[i];
    lost += print_row("bytes", made.bytes, got->bytes);
    lost += print_row("ends", made.ends, got->ends);
    lost += print_row("children", made.children, got->children);
    lost += print_row("signals", made.signals, threads->signals);
    lost += print_row("fires", made.fires, fires);
    printf("  %llu timers, %llu waits, %llu deliveries, %llu ghosts, %llu rebuilds\n",
           (unsigned long long)got->timers, (unsigned long long)stats->waits,
           (unsigned long long)stats->deliveries, (unsigned long long)stats->ghosts,
           (unsigned long long)stats->rebuilds);
    printf("soak: lost %llu, stale %llu, early %llu, spins %llu\n", (unsigned long long)lost,
           (unsigned long long)got->stale, (unsigned long long)got->early,
           (unsigned long long)spins);
    return lost + got->stale + got->early + spins > 0;
}

#endif
