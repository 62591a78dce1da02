/* SPDX-License-Identifier: MIT
 *
 * Never lost: watches that a wait found and that were not taken are delivered by the next wait. For
 * a level-triggered watch the kernel is asked again first.
 */
#include "things.h"

enum { MANY = 100 };

struct many {
    readyq *q;
    readyq_batch batch;
    int p[MANY][2];
    readyq_watch w[MANY];
    int told[MANY];
};

/* A queue with many pipes, all ready. */
static void open_many(struct many *m, uint32_t interest)
{
    memset(m, 0, sizeof *m);
    m->q = open_queue();
    for (int i = 0; i < MANY; i++) {
        open_pipe(m->p[i]);
        put(m->p[i][1]);
        add(m->q, &m->w[i], m->p[i][0], interest);
        m->w[i].data = &m->told[i];
    }
}

static void close_many(struct many *m)
{
    readyq_done(&m->batch);
    readyq_close(m->q);
    for (int i = 0; i < MANY; i++)
        close_pair(m->p[i]);
}

/* Takes up to `most` of the watches that the last wait found. */
static int take_some(struct many *m, int most)
{
    int n = 0;
    readyq_watch *w;
    while (n < most && (w = readyq_next(&m->batch)) != NULL) {
        ++*(int *)w->data;
        n++;
    }
    return n;
}

static int count_told(const struct many *m)
{
    int n = 0;
    for (int i = 0; i < MANY; i++)
        n += m->told[i] > 0;
    return n;
}

static void test_one_wait_without_a_maximum_finds_all(void)
{
    struct many m;
    open_many(&m, READYQ_READ);
    CHECK_IS(readyq_wait(m.q, &m.batch, LONG, 0), MANY);
    CHECK_IS(take_some(&m, MANY + 1), MANY);
    CHECK_IS(count_told(&m), MANY);
    close_many(&m);
}

static void test_a_maximum_is_kept_and_each_ready_one_comes_in_turn(void)
{
    struct many m;
    open_many(&m, READYQ_READ);
    for (int i = 0; i < (MANY + 6) / 7; i++) {
        int n = readyq_wait(m.q, &m.batch, LONG, 7);
        CHECK(n > 0 && n <= 7);
        CHECK_IS(take_some(&m, MANY), n);
    }
    CHECK_IS(count_told(&m), MANY);
    close_many(&m);
}

static void test_with_a_maximum_of_one_no_watch_starves(void)
{
    struct many m;
    open_many(&m, READYQ_READ);
    for (int i = 0; i < MANY; i++) {
        CHECK_IS(readyq_wait(m.q, &m.batch, LONG, 1), 1);
        CHECK_IS(take_some(&m, MANY), 1);
    }
    CHECK_IS(count_told(&m), MANY);
    close_many(&m);
}

static void test_edges_under_a_maximum_come_once_each(void)
{
    struct many m;
    int n, sum = 0;
    open_many(&m, READYQ_READ | READYQ_EDGE);
    while ((n = readyq_wait(m.q, &m.batch, SOON, 7)) > 0) {
        CHECK(n <= 7);
        CHECK_IS(take_some(&m, MANY), n);
        sum += n;
    }
    CHECK_IS(sum, MANY);
    CHECK_IS(count_told(&m), MANY);
    close_many(&m);
}

static void test_leaving_early_loses_no_edge(void)
{
    struct many m;
    int sum = 0;
    open_many(&m, READYQ_READ | READYQ_EDGE);
    for (int i = 0; i < MANY / 10; i++) {
        CHECK(readyq_wait(m.q, &m.batch, LONG, 0) >= 10);
        sum += take_some(&m, 10);
    }
    CHECK_IS(sum, MANY);
    CHECK_IS(count_told(&m), MANY);
    CHECK_IS(readyq_wait(m.q, &m.batch, SOON, 0), 0);
    close_many(&m);
}

static void test_leaving_early_starves_no_level(void)
{
    struct many m;
    open_many(&m, READYQ_READ);
    for (int i = 0; i < MANY / 10; i++) {
        CHECK_IS(readyq_wait(m.q, &m.batch, LONG, 0), MANY);
        CHECK_IS(take_some(&m, 10), 10);
    }
    CHECK_IS(count_told(&m), MANY);
    close_many(&m);
}

static void test_level_left_untaken_is_checked_again(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(count_ready(q, LONG), 1);
    get(p[0]);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_level_left_untaken_comes_with_its_present_bits(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_WRITE);
    CHECK_IS(count_ready(q, LONG), 1);
    get(p[0]);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_WRITE);
    readyq_close(q);
    close_pair(p);
}

static void test_oneshot_left_untaken_comes_with_the_next_wait_and_then_no_more(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_ONESHOT);
    CHECK_IS(count_ready(q, LONG), 1);
    CHECK_IS(count_ready(q, LONG), 1);
    CHECK(w.armed);
    CHECK_TAKES(q, &w);
    CHECK(!w.armed);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_timer_and_trigger_left_untaken_come_with_the_next_wait(void)
{
    readyq_batch batch = {0};
    readyq_watch timer = {0}, trigger = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(count_ready(q, LONG), 2);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 2);
    CHECK(readyq_next(&batch) != NULL);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK(readyq_next(&batch) != NULL);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(timer.ready, READYQ_FIRED);
    CHECK_IS(trigger.ready, READYQ_FIRED);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_what_is_left_makes_the_next_wait_return_at_once(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK_IS(count_ready(q, LONG), 1);
    CHECK_TAKES(q, &w);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
}

static void test_many_files_and_pipes_share_a_maximum_fairly(void)
{
    struct many m;
    int fd = open_file(), files = 0;
    readyq_watch file;
    open_many(&m, READYQ_READ);
    add(m.q, &file, fd, READYQ_READ);
    file.data = &files;
    for (int i = 0; i < MANY / 9 + 1; i++) { /* the file, and nine pipes */
        CHECK(readyq_wait(m.q, &m.batch, LONG, 10) > 0);
        take_some(&m, MANY);
    }
    CHECK(files > 0);
    CHECK_IS(count_told(&m), MANY);
    close_many(&m);
    close(fd);
}

static void test_more_than_one_kernel_batch_comes_in_one_wait(void)
{
    enum { COUNT = 700 };
    static readyq_watch w[COUNT];
    int p[2], fds[COUNT];
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = dup(p[0]);
        CHECK(fds[i] >= 0);
        add(q, &w[i], fds[i], READYQ_READ);
    }
    CHECK_IS(take_all_within(q, LONG), COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK_IS(readyq_remove(&w[i]), 0);
        close(fds[i]);
    }
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_one_wait_without_a_maximum_finds_all),
      TEST(test_a_maximum_is_kept_and_each_ready_one_comes_in_turn),
      TEST(test_with_a_maximum_of_one_no_watch_starves),
      TEST(test_edges_under_a_maximum_come_once_each), TEST(test_leaving_early_loses_no_edge),
      TEST(test_leaving_early_starves_no_level), TEST(test_level_left_untaken_is_checked_again),
      TEST(test_level_left_untaken_comes_with_its_present_bits),
      TEST(test_oneshot_left_untaken_comes_with_the_next_wait_and_then_no_more),
      TEST(test_timer_and_trigger_left_untaken_come_with_the_next_wait),
      TEST(test_what_is_left_makes_the_next_wait_return_at_once),
      TEST(test_many_files_and_pipes_share_a_maximum_fairly),
      TEST(test_more_than_one_kernel_batch_comes_in_one_wait))
