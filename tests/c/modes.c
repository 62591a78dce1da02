/* SPDX-License-Identifier: MIT
 *
 * How often a watch is reported: level, EDGE, ONESHOT, EXCLUSIVE, paused. The effects of modify are
 * tested in modify.c.
 */
#include "things.h"

#define RW (READYQ_READ | READYQ_WRITE)

static void modify(readyq_watch *w, uint32_t interest)
{
    CHECK_IS(readyq_modify(w, interest), 0);
    CHECK_IS(w->interest, interest);
}

static void test_read_and_write_of_one_descriptor_come_together(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], RW);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, RW);
    readyq_close(q);
    close_pair(p);
}

static void test_what_becomes_ready_between_waits_is_one_event(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    fill(p[0]);
    add(q, &w, p[0], RW | READYQ_EDGE);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_IS(count_ready(q, LONG), 1);
    drain(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, RW);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_level_comes_again_until_all_is_read(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    put(p[1]);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_TAKES(q, &w);
    get(p[0]);
    CHECK_TAKES(q, &w);
    get(p[0]);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_level_end_of_file_comes_again_and_again(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    close(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_TAKES(q, &w);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close(p[0]);
}

static void test_edge_comes_once_for_each_arrival(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK(w.armed);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    get(p[0]);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_edge_reports_what_was_there_before_the_watch(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ | READYQ_EDGE);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_edge_end_of_file_comes_once(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    close(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ | READYQ_READ_CLOSED);
    CHECK_QUIET(q);
    readyq_close(q);
    close(p[0]);
}

static void test_edge_writer_is_reported_when_there_is_room(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], READYQ_WRITE | READYQ_EDGE);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    fill(p[0]);
    CHECK_QUIET(q);
    drain(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    readyq_close(q);
    close_pair(p);
}

static void test_edge_of_what_is_always_ready_comes_once(void)
{
    int fd = open_file();
    readyq_watch w;
    readyq *q = open_queue();
    add(q, &w, fd, READYQ_READ | READYQ_EDGE);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ | READYQ_EDGE);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    readyq_close(q);
    close(fd);
}

static void test_oneshot_comes_once_and_modify_arms_it_again(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ | READYQ_ONESHOT);
    CHECK(w.armed);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK(!w.armed);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ | READYQ_ONESHOT);
    CHECK(w.armed);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_oneshot_is_silent_in_both_directions_and_on_hang_up(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], RW | READYQ_ONESHOT);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    put(p[1]);
    close(p[1]);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ | READYQ_ONESHOT);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ | READYQ_READ_CLOSED);
    readyq_close(q);
    close(p[0]);
}

static void test_oneshot_of_what_is_always_ready_comes_once(void)
{
    int fd = open_file();
    readyq_watch w;
    readyq *q = open_queue();
    add(q, &w, fd, READYQ_READ | READYQ_ONESHOT);
    CHECK_TAKES(q, &w);
    CHECK(!w.armed);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ | READYQ_ONESHOT);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    readyq_close(q);
    close(fd);
}

static void test_paused_watch_reports_nothing_at_all(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_tcp(p);
    add(q, &w, p[0], 0);
    CHECK(!w.armed);
    CHECK_IS(readyq_size(q), 1);
    put(p[1]);
    CHECK_QUIET(q);
    reset(p[1]);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ);
    CHECK(w.armed);
    CHECK_TAKES(q, &w);
    CHECK(w.ready & READYQ_ERROR);
    modify(&w, 0);
    CHECK_QUIET(q);
    readyq_close(q);
    close(p[0]);
}

static void test_pause_drops_what_was_found(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    modify(&w, 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ);
    CHECK_TAKES(q, &w);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_paused_file_reports_nothing(void)
{
    int fd = open_file();
    readyq_watch w;
    readyq *q = open_queue();
    add(q, &w, fd, 0);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ);
    CHECK_TAKES(q, &w);
    modify(&w, 0);
    CHECK_QUIET(q);
    readyq_close(q);
    close(fd);
}

static void test_exclusive_wakes_at_least_one_of_several_queues(void)
{
    int p[2], told = 0;
    readyq_watch w[3];
    readyq *q[3];
    open_unix(p);
    for (int i = 0; i < 3; i++)
        add(q[i] = open_queue(), &w[i], p[0], READYQ_READ | READYQ_EXCLUSIVE);
    put(p[1]);
    for (int i = 0; i < 3; i++)
        told += take_within(q[i], SOON) == &w[i];
    CHECK(told >= 1);
    for (int i = 0; i < 3; i++)
        readyq_close(q[i]);
    close_pair(p);
}

static void test_exclusive_is_modified_like_any_other(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EXCLUSIVE);
    CHECK_TAKES(q, &w);
    modify(&w, READYQ_WRITE | READYQ_EXCLUSIVE);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    modify(&w, READYQ_READ);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ);
    modify(&w, 0);
    CHECK_QUIET(q);
    modify(&w, READYQ_READ | READYQ_EXCLUSIVE);
    get(p[0]);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_exclusive_combines_with_every_other_interest(void)
{
    static const uint32_t others[] = {READYQ_EDGE, READYQ_ONESHOT, READYQ_PRIORITY};
    for (int i = 0; i < 3; i++) {
        int p[2];
        readyq_watch w;
        readyq *q = open_queue();
        open_tcp(p);
        add(q, &w, p[0], READYQ_READ | READYQ_EXCLUSIVE | others[i]);
        put(p[1]);
        CHECK_TAKES(q, &w);
        CHECK(w.ready & READYQ_READ);
        get(p[0]);
        CHECK_QUIET(q);
        readyq_close(q);
        close_pair(p);
    }
}

static void test_exclusive_reports_the_end_like_any_other(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_tcp(p);
    add(q, &w, p[0], READYQ_READ | READYQ_EXCLUSIVE);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_READ);
    CHECK_IS(shutdown(p[1], SHUT_WR), 0);
    get(p[0]);
    do
        CHECK_TAKES(q, &w);
    while (w.ready == READYQ_READ); /* the end may still be on its way */
    CHECK_IS(w.ready, READYQ_READ | READYQ_READ_CLOSED);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_read_and_write_of_one_descriptor_come_together),
      TEST(test_what_becomes_ready_between_waits_is_one_event),
      TEST(test_level_comes_again_until_all_is_read),
      TEST(test_level_end_of_file_comes_again_and_again),
      TEST(test_edge_comes_once_for_each_arrival),
      TEST(test_edge_reports_what_was_there_before_the_watch),
      TEST(test_edge_end_of_file_comes_once), TEST(test_edge_writer_is_reported_when_there_is_room),
      TEST(test_edge_of_what_is_always_ready_comes_once),
      TEST(test_oneshot_comes_once_and_modify_arms_it_again),
      TEST(test_oneshot_is_silent_in_both_directions_and_on_hang_up),
      TEST(test_oneshot_of_what_is_always_ready_comes_once),
      TEST(test_paused_watch_reports_nothing_at_all), TEST(test_pause_drops_what_was_found),
      TEST(test_paused_file_reports_nothing),
      TEST(test_exclusive_wakes_at_least_one_of_several_queues),
      TEST(test_exclusive_is_modified_like_any_other),
      TEST(test_exclusive_combines_with_every_other_interest),
      TEST(test_exclusive_reports_the_end_like_any_other))
