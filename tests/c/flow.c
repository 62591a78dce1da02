/* SPDX-License-Identifier: MIT
 *
 * The basic flow: a queue is created, a descriptor opened, an interest registered; a thread sleeps
 * in the kernel, wakes up, and gets exactly the watches that are ready. Also the functions that
 * return information about a queue and a watch.
 */
#include "things.h"

static void *put_after_a_while(void *fd)
{
    sleep_ns(SOON);
    put(*(int *)fd);
    return NULL;
}

static void test_six_steps_from_queue_to_read(void)
{
    readyq_batch batch = {0};
    int p[2];
    char byte = 0, name[] = "connection";
    readyq_watch w;
    readyq *q = open_queue();
    open_tcp(p);
    add(q, &w, p[0], READYQ_READ);
    w.data = name;
    int64_t before = now_ns();
    pthread_t peer = start(put_after_a_while, &p[1]);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 1);
    CHECK(now_ns() - before >= SOON);
    CHECK(readyq_next(&batch) == &w);
    CHECK(w.data == name);
    CHECK_IS(w.ready, READYQ_READ);
    CHECK_IS(read(p[0], &byte, 1), 1);
    CHECK_IS(byte, 'x');
    CHECK(readyq_next(&batch) == NULL);
    join(peer);
    readyq_done(&batch);
    CHECK_IS(readyq_close(q), 0);
    close_pair(p);
}

static void test_nothing_ready_gives_nothing(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_next_without_a_wait_gives_nothing(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_peek(&batch, NULL, NULL, 0), 0);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_only_what_is_ready_comes(void)
{
    int p[10][2];
    readyq_watch w[10];
    readyq *q = open_queue();
    for (int i = 0; i < 10; i++) {
        open_pipe(p[i]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    put(p[7][1]);
    CHECK_TAKES(q, &w[7]);
    readyq_close(q);
    for (int i = 0; i < 10; i++)
        close_pair(p[i]);
}

static void test_a_watch_shows_what_it_is(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK(w.queue == q);
    CHECK_IS(w.kind, READYQ_KIND_FD);
    CHECK_IS(w.fd, p[0]);
    CHECK_IS(w.interest, READYQ_READ | READYQ_EDGE);
    CHECK_IS(w.ready, 0);
    CHECK(w.armed);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.count, 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK(w.queue == NULL);
    CHECK_IS(w.ready, 0);
    readyq_close(q);
    close_pair(p);
}

static void test_a_queue_knows_its_watches(void)
{
    int p[2];
    readyq_watch r, w;
    readyq *q = open_queue();
    open_pipe(p);
    CHECK_IS(readyq_size(q), 0);
    add(q, &r, p[0], READYQ_READ);
    add(q, &w, p[1], READYQ_WRITE);
    CHECK_IS(readyq_size(q), 2);
    CHECK(readyq_find(q, p[0]) == &r);
    CHECK(readyq_find(q, p[1]) == &w);
    CHECK(readyq_find(q, p[1] + 100) == NULL);
    CHECK(readyq_find(q, -1) == NULL);
    CHECK_IS(readyq_remove(&r), 0);
    CHECK_IS(readyq_size(q), 1);
    CHECK(readyq_find(q, p[0]) == NULL);
    readyq_close(q);
    close_pair(p);
}

static void test_a_watch_can_be_used_again_and_in_another_queue(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue(), *other = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_add(other, &w, p[0], READYQ_READ), 0);
    CHECK_QUIET(q);
    CHECK_TAKES(other, &w);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    readyq_close(other);
    close_pair(p);
}

static void test_two_queues_each_get_the_event(void)
{
    int p[2];
    readyq_watch w[2];
    readyq *q[2] = {open_queue(), open_queue()};
    open_pipe(p);
    add(q[0], &w[0], p[0], READYQ_READ);
    add(q[1], &w[1], p[0], READYQ_READ | READYQ_EDGE);
    put(p[1]);
    CHECK_TAKES(q[0], &w[0]);
    CHECK_TAKES(q[0], &w[0]);
    CHECK_TAKES(q[1], &w[1]);
    CHECK_QUIET(q[1]);
    readyq_close(q[0]);
    readyq_close(q[1]);
    close_pair(p);
}

static void test_close_frees_the_watches(void)
{
    int p[2];
    readyq_watch w, t;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(q, memset(&t, 0, sizeof t), SECOND, 0), 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_close(q), 0);
    CHECK(w.queue == NULL);
    CHECK_IS(w.ready, 0);
    CHECK(t.queue == NULL);
    q = open_queue();
    CHECK_IS(readyq_add(q, &w, p[0], READYQ_READ), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_close_makes_no_change_for_each_watch(void)
{
    readyq *q = readyq_ref(open_queue());
    readyq_watch w[50];
    struct readyq_stats before, after;
    int p[50][2];

    for (int i = 0; i < 50; i++) {
        open_pipe(p[i]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    readyq_stats(q, &before);
    CHECK_IS(readyq_close(q), 0);
    readyq_stats(q, &after);
    CHECK_IS(after.watches, 0);
    CHECK_IS(after.changes, before.changes);
    readyq_unref(q);
    for (int i = 0; i < 50; i++)
        close_pair(p[i]);
}

static void test_close_of_null_is_ignored(void)
{
    CHECK_IS(readyq_close(NULL), 0);
}

static void test_the_kernels_interface_has_a_name(void)
{
    readyq *q = open_queue();
#if HAS_EPOLL
    CHECK(strcmp(readyq_backend(q), "epoll") == 0);
#else
    CHECK(strcmp(readyq_backend(q), "kqueue") == 0);
#endif
    readyq_close(q);
}

static void test_the_library_has_the_version_of_its_header(void)
{
    char number[20];

    CHECK(strcmp(readyq_version(), READYQ_VERSION) == 0);
    snprintf(number, sizeof number, "%d.%d.%d", READYQ_VERSION_NUMBER >> 16,
             READYQ_VERSION_NUMBER >> 8 & 255, READYQ_VERSION_NUMBER & 255);
    CHECK(strcmp(number, READYQ_VERSION) == 0);
}

static void test_the_clock_is_the_monotonic_one(void)
{
    readyq *q = open_queue();
    int64_t before = now_ns(), now = readyq_now(q), after = now_ns();
    CHECK(before <= now && now <= after);
    readyq_close(q);
}

static void test_stats_count_what_was_done(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    struct readyq_stats before = stats_of(q);
    CHECK_IS(before.watches, 0);
    CHECK_IS(before.deliveries, 0);
    CHECK_IS(before.ghosts, 0);
    CHECK_IS(before.ghost_fd, -1);
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK_IS(stats_of(q).deliveries, 1); /* not taken yet */
    CHECK_IS(readyq_done(&batch), 0);
    struct readyq_stats after = stats_of(q);
    CHECK_IS(after.watches, 1);
    CHECK_IS(after.waits - before.waits, 2);
    CHECK_IS(after.deliveries, 1);
    CHECK_IS(after.wakes, 1);
    CHECK(after.kernel_waits > before.kernel_waits);
    CHECK_IS(after.changes - before.changes, 1);
    CHECK_IS(after.stale, 0);
    CHECK_IS(after.rebuilds, 0);
    readyq_close(q);
    close_pair(p);
}

static void test_a_wait_costs_one_system_call_and_nothing_for_what_is_idle(void)
{
    int p[50][2];
    readyq_watch w[50];
    readyq *q = open_queue();
    for (int i = 0; i < 50; i++) {
        open_pipe(p[i]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    put(p[3][1]);
    struct readyq_stats before = stats_of(q);
    for (int i = 0; i < 10; i++)
        CHECK_TAKES(q, &w[3]);
    struct readyq_stats after = stats_of(q);
    CHECK_IS(after.kernel_waits - before.kernel_waits, 10);
    CHECK_IS(after.changes, before.changes);
    readyq_close(q);
    for (int i = 0; i < 50; i++)
        close_pair(p[i]);
}

TESTS(TEST(test_six_steps_from_queue_to_read), TEST(test_nothing_ready_gives_nothing),
      TEST(test_next_without_a_wait_gives_nothing), TEST(test_only_what_is_ready_comes),
      TEST(test_a_watch_shows_what_it_is), TEST(test_a_queue_knows_its_watches),
      TEST(test_a_watch_can_be_used_again_and_in_another_queue),
      TEST(test_two_queues_each_get_the_event), TEST(test_close_frees_the_watches),
      TEST(test_close_makes_no_change_for_each_watch), TEST(test_close_of_null_is_ignored),
      TEST(test_the_kernels_interface_has_a_name),
      TEST(test_the_library_has_the_version_of_its_header),
      TEST(test_the_clock_is_the_monotonic_one), TEST(test_stats_count_what_was_done),
      TEST(test_a_wait_costs_one_system_call_and_nothing_for_what_is_idle))
