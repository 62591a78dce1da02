/* SPDX-License-Identifier: MIT
 *
 * Triggers: fired from any thread, merged into one delivery, and none lost.
 */
#include "things.h"

#include <stdatomic.h>

enum { THREADS = 4, FIRES = 5000 };

static void add_trigger(readyq *q, readyq_watch *w)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_trigger(q, w), 0);
}

static void fire(readyq_watch *w, int times)
{
    for (int i = 0; i < times; i++)
        CHECK_IS(readyq_fire(w), 0);
}

static void test_fires_merge_into_one_delivery_with_their_count(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_trigger(q, &w);
    CHECK_IS(w.kind, READYQ_KIND_TRIGGER);
    CHECK_QUIET(q);
    fire(&w, 5);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_FIRED);
    CHECK_IS(w.count, 5);
    CHECK_QUIET(q);
    fire(&w, 1);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.count, 1);
    readyq_close(q);
}

static void test_fires_between_finding_and_taking_are_counted_once(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    uint64_t count;
    readyq *q = open_queue();
    add_trigger(q, &w);
    fire(&w, 2);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    fire(&w, 3);
    CHECK(readyq_next(&batch) == &w);
    count = w.count;
    if (count < 5) {
        CHECK_TAKES(q, &w);
        count += w.count;
    }
    CHECK_IS(count, 5);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_triggers_come_in_the_order_they_were_fired(void)
{
    readyq_batch batch = {0};
    readyq_watch w[5];
    readyq *q = open_queue();
    for (int i = 0; i < 5; i++)
        add_trigger(q, &w[i]);
    for (int i = 4; i >= 0; i--)
        fire(&w[i], 1);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 5);
    for (int i = 4; i >= 0; i--)
        CHECK(readyq_next(&batch) == &w[i]);
    readyq_done(&batch);
    readyq_close(q);
}

static void *fire_many(void *w)
{
    fire(w, FIRES);
    return NULL;
}

static void test_fires_from_many_threads_are_all_counted(void)
{
    readyq_watch w;
    uint64_t count = 0;
    pthread_t threads[THREADS];
    readyq *q = open_queue();
    add_trigger(q, &w);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(fire_many, &w);
    while (count < (uint64_t)THREADS * FIRES) {
        CHECK_TAKES(q, &w);
        count += w.count;
    }
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    CHECK_IS(count, (uint64_t)THREADS * FIRES);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void *fire_after_a_while(void *w)
{
    sleep_ns(SOON);
    fire(w, 1);
    return NULL;
}

static void test_fire_ends_a_running_wait(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_trigger(q, &w);
    pthread_t thread = start(fire_after_a_while, &w);
    CHECK(take_within(q, -1) == &w);
    join(thread);
    readyq_close(q);
}

static void test_removed_trigger_reports_nothing_and_cannot_be_fired(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_queue();
    add_trigger(q, &w);
    fire(&w, 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_fire(&w), -ENOENT);
    CHECK_QUIET(q);
    add_trigger(q, &w);
    CHECK_QUIET(q);
    fire(&w, 1);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
    CHECK_IS(readyq_fire(&w), -ENOENT);
}

static void test_trigger_of_a_closed_queue_cannot_be_fired(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    add_trigger(q, &w);
    readyq_close(q);
    CHECK_IS(readyq_fire(&w), -ENOENT);
}

static void *fire_until_removed(void *w)
{
    while (readyq_fire(w) == 0)
        ;
    return NULL;
}

static void test_removal_against_fires_works(void)
{
    readyq_watch other;
    readyq *q = open_queue();
    add_trigger(q, &other);
    for (int i = 0; i < 200; i++) {
        readyq_watch w;
        add_trigger(q, &w);
        pthread_t thread = start(fire_until_removed, &w);
        fire(&other, 1);
        CHECK(take_all_within(q, LONG) >= 1);
        CHECK_IS(readyq_remove(&w), 0);
        join(thread);
        CHECK(w.queue == NULL);
    }
    CHECK_QUIET(q);
    readyq_close(q);
}

static readyq_watch comes_and_goes;

static void *fire_until_told(void *told)
{
    while (!atomic_load((atomic_bool *)told)) {
        const int error = readyq_fire(&comes_and_goes);
        CHECK(error == 0 || error == -ENOENT);
    }
    return NULL;
}

static void test_a_trigger_that_comes_and_goes_under_its_firers_still_fires(void)
{
    atomic_bool told = false;
    readyq *q = open_queue();
    CHECK_IS(readyq_add_trigger(q, &comes_and_goes), 0);
    pthread_t firers[2] = {start(fire_until_told, &told), start(fire_until_told, &told)};
    for (int i = 0; i < 10000; i++) {
        CHECK_IS(readyq_remove(&comes_and_goes), 0);
        CHECK_IS(readyq_add_trigger(q, &comes_and_goes), 0);
    }
    CHECK_TAKES(q, &comes_and_goes);
    atomic_store(&told, true);
    for (int i = 0; i < 2; i++)
        join(firers[i]);
    readyq_close(q);
}

/* Each is removed while it is on the ready list, to which it was added by a fire or, if `found`,
 * given back. */
static void fire_and_remove(readyq *q, int times, bool found)
{
    for (int i = 0; i < times; i++) {
        readyq_watch w;
        add_trigger(q, &w);
        fire(&w, 1);
        if (found)
            CHECK(count_ready(q, LONG) > 0);
        CHECK_IS(readyq_remove(&w), 0);
    }
}

static void test_what_was_found_and_left_keeps_its_order_however_many_were_removed(void)
{
    enum { COUNT = 5 };
    for (int removed = 0; removed < 10; removed++) {
        int p[2];
        readyq_batch batch = {0};
        readyq_watch w[COUNT], fd;
        readyq *q = open_queue();
        open_pipe(p);
        put(p[1]);
        fire_and_remove(q, removed, true);
        for (int i = 0; i < COUNT; i++) {
            add_trigger(q, &w[i]);
            fire(&w[i], 1);
            fire_and_remove(q, removed, i % 2);
        }
        CHECK_IS(readyq_wait(q, &batch, LONG, 0), COUNT);
        fire_and_remove(q, removed, false);
        for (int i = 0; i < COUNT; i++)
            CHECK(readyq_next(&batch) == &w[i]);
        readyq_done(&batch);
        add(q, &fd, p[0], READYQ_READ);
        CHECK_TAKES(q, &fd);
        readyq_close(q);
        close_pair(p);
    }
}

TESTS(TEST(test_fires_merge_into_one_delivery_with_their_count),
      TEST(test_fires_between_finding_and_taking_are_counted_once),
      TEST(test_triggers_come_in_the_order_they_were_fired),
      TEST(test_fires_from_many_threads_are_all_counted), TEST(test_fire_ends_a_running_wait),
      TEST(test_removed_trigger_reports_nothing_and_cannot_be_fired),
      TEST(test_trigger_of_a_closed_queue_cannot_be_fired), TEST(test_removal_against_fires_works),
      TEST(test_a_trigger_that_comes_and_goes_under_its_firers_still_fires),
      TEST(test_what_was_found_and_left_keeps_its_order_however_many_were_removed))
