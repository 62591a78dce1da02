/* SPDX-License-Identifier: MIT
 *
 * A kernel queue that is replaced to remove a ghost: while other threads change the queue, and when
 * no descriptor is free for it. Changes are made in the middle of the call that waits in the kernel
 * (kernel_wait.h). On kernels without ghosts nothing is replaced, and the same holds.
 */
#include "kernel_wait.h"
#include "things.h"

#include <sys/resource.h>

enum { ROUNDS = 6 };

/* A pipe with a byte in it that a thread of its own adds. */
struct late {
    readyq *q;
    readyq_watch w;
    int p[2];
    pthread_t thread;
};

static struct late lates[ROUNDS];
static readyq *busy; /* the queue that a thread changes each time the kernel is asked */
static int rounds;

static void *add_late(void *of)
{
    struct late *late = of;
    add(late->q, &late->w, late->p[0], READYQ_READ);
    return NULL;
}

static void before_wait(void)
{
}

static void after_wait(int n)
{
    (void)n;
    if (busy != NULL && rounds < ROUNDS) {
        lates[rounds].thread = start(add_late, &lates[rounds]);
        rounds++;
        sleep_ns(SOON); /* the thread is in the call, or waits for the lock */
    }
}

/* Leaves a registration that is reported and cannot be removed. */
static void haunt(readyq *q, int *keeper, int *writer)
{
    int p[2];
    readyq_watch w;
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    *keeper = dup(p[0]);
    *writer = p[1];
    CHECK(*keeper >= 0);
    close(p[0]);
    CHECK_IS(readyq_remove(&w), 0);
}

static void *nothing(void *unused)
{
    return unused;
}

static void take_each_late(readyq *q, int left)
{
    readyq_batch batch = {0};
    while (left > 0) {
        CHECK(readyq_wait(q, &batch, LONG, 0) > 0);
        for (readyq_watch *w; (w = readyq_next(&batch)) != NULL; left--)
            CHECK_IS(readyq_remove(w), 0);
    }
    readyq_done(&batch);
    CHECK_QUIET(q);
}

static void test_what_is_added_while_a_ghost_is_removed_is_reported(void)
{
    int keeper, writer;
    readyq *q = open_queue();
    join(start(nothing, NULL)); /* from here on the locks are taken */
    for (int i = 0; i < ROUNDS; i++) {
        lates[i].q = q;
        open_pipe(lates[i].p);
        put(lates[i].p[1]);
    }
    haunt(q, &keeper, &writer);
    busy = q;
    CHECK(count_ready(q, 0) >= 0);
    busy = NULL;
    CHECK(rounds > 2 || !has_ghosts(q));
    for (int i = 0; i < rounds; i++)
        join(lates[i].thread);
    take_each_late(q, rounds);
    CHECK_IS(stats_of(q).ghosts, has_ghosts(q));
    readyq_close(q);
    for (int i = 0; i < ROUNDS; i++)
        close_pair(lates[i].p);
    close(keeper);
    close(writer);
}

static void test_a_ghost_that_cannot_be_removed_does_not_delay_other_events(void)
{
    struct rlimit old, now;
    int p[2], keeper, writer, lowest, last;
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    haunt(q, &keeper, &writer);
    lowest = dup(0);
    CHECK_IS(close(lowest), 0);
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &old), 0);
    now = (struct rlimit){.rlim_cur = (rlim_t)lowest + 1, .rlim_max = old.rlim_max};
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &now), 0);
    last = dup(0);
    CHECK_IS(last, lowest);
    CHECK_IS(count_ready(q, 0), has_ghosts(q) ? -EMFILE : 0);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_TAKES(q, &w);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(last);
    get(p[0]);
    CHECK_QUIET(q);
    CHECK_IS(stats_of(q).rebuilds, has_ghosts(q));
    CHECK_IS(stats_of(q).ghosts, has_ghosts(q));
    readyq_close(q);
    close_pair(p);
    close(keeper);
    close(writer);
}

TESTS(TEST(test_what_is_added_while_a_ghost_is_removed_is_reported),
      TEST(test_a_ghost_that_cannot_be_removed_does_not_delay_other_events))
