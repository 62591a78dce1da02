/* SPDX-License-Identifier: MIT
 *
 * Ghosts: a watched number is closed while a duplicate or a child keeps the file open, so that the
 * kernel goes on reporting it and the registration cannot be removed. It is counted once, removed
 * with the kernel queue, and no other watch is affected. Kernels without ghosts are not affected.
 */
#include "things.h"

/* A queue with a registration that cannot be removed: its number is free, and `keeper` keeps its
 * file open. */
struct haunted {
    readyq *q;
    int keeper, writer, number;
    readyq_watch w;
};

static void open_haunted(struct haunted *h, uint32_t interest)
{
    int p[2];
    memset(h, 0, sizeof *h);
    h->q = open_queue();
    open_pipe(p);
    h->number = p[0];
    h->writer = p[1];
    add(h->q, &h->w, p[0], interest);
    h->keeper = dup(p[0]);
    CHECK(h->keeper >= 0);
    close(p[0]);
}

static void close_haunted(struct haunted *h)
{
    readyq_close(h->q);
    close(h->keeper);
    close(h->writer);
}

static void test_ghost_is_reported_once_and_removed(void)
{
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    CHECK_IS(readyq_remove(&h.w), 0);
    put(h.writer);
    int64_t before = now_ns();
    CHECK_QUIET(h.q);
    CHECK(now_ns() - before >= SOON);
    struct readyq_stats stats = stats_of(h.q);
    CHECK_IS(stats.ghosts, has_ghosts(h.q));
    CHECK_IS(stats.ghost_fd, has_ghosts(h.q) ? h.number : -1);
    CHECK_IS(stats.rebuilds, has_ghosts(h.q));
    CHECK_IS(readyq_has_reports(h.q), has_ghosts(h.q));
    CHECK_IS(readyq_ghost(h.q), stats.ghost_fd);
    CHECK_IS(readyq_ghost(h.q), -1);
    CHECK(!readyq_has_reports(h.q));
    put(h.writer);
    CHECK_QUIET(h.q);
    CHECK_IS(stats_of(h.q).ghosts, has_ghosts(h.q));
    CHECK_IS(readyq_ghost(h.q), -1);
    close_haunted(&h);
}

static void test_ghost_does_not_make_the_wait_spin(void)
{
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    put(h.writer);
    CHECK_IS(readyq_remove(&h.w), 0);
    CHECK_QUIET(h.q);
    uint64_t before = stats_of(h.q).kernel_waits;
    for (int i = 0; i < 5; i++)
        CHECK_QUIET(h.q);
    CHECK(stats_of(h.q).kernel_waits - before <= 10);
    close_haunted(&h);
}

static void test_ghost_that_never_fires_costs_nothing(void)
{
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    CHECK_IS(readyq_remove(&h.w), 0);
    CHECK_QUIET(h.q);
    CHECK_IS(stats_of(h.q).ghosts, 0);
    CHECK_IS(stats_of(h.q).rebuilds, 0);
    CHECK_IS(readyq_ghost(h.q), -1);
    close_haunted(&h);
}

static void test_ghost_kept_by_a_child_process_is_removed_too(void)
{
    int p[2], hold[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    CHECK_IS(pipe(hold), 0);
    add(q, &w, p[0], READYQ_READ);
    pid_t pid = fork();
    if (pid == 0) {
        get(hold[0]);
        _exit(0);
    }
    close(p[0]);
    CHECK_IS(readyq_remove(&w), 0);
    put(p[1]);
    CHECK_QUIET(q);
    CHECK_IS(stats_of(q).ghosts, has_ghosts(q));
    CHECK_IS(readyq_ghost(q), has_ghosts(q) ? p[0] : -1);
    put(hold[1]);
    expect_success(pid);
    readyq_close(q);
    close(p[1]);
    close_pair(hold);
}

static void test_ghost_of_a_reused_number_does_not_fire_the_new_watch(void)
{
    int fresh[2];
    readyq_watch w;
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    open_pipe(fresh);
    CHECK_IS(fresh[0], h.number);
    add(h.q, &w, fresh[0], READYQ_READ);
    put(h.writer);
    CHECK_QUIET(h.q);
    CHECK_IS(stats_of(h.q).ghosts, has_ghosts(h.q));
    CHECK_IS(readyq_ghost(h.q), has_ghosts(h.q) ? h.number : -1);
    put(fresh[1]);
    CHECK_TAKES(h.q, &w);
    get(fresh[0]);
    CHECK_QUIET(h.q);
    CHECK_IS(readyq_remove(&h.w), 0);
    close_haunted(&h);
    close_pair(fresh);
}

static void test_several_ghosts_are_each_reported_once(void)
{
    enum { COUNT = 5 };
    int p[COUNT][2], keeper[COUNT], sum = 0, fd;
    readyq_watch w[COUNT];
    readyq *q = open_queue();
    for (int i = 0; i < COUNT; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ);
        sum += p[i][0];
    }
    for (int i = 0; i < COUNT; i++) {
        keeper[i] = fcntl(p[i][0], F_DUPFD, 100);
        close(p[i][0]);
        CHECK_IS(readyq_remove(&w[i]), 0);
    }
    CHECK_QUIET(q);
    CHECK_QUIET(q);
    CHECK_IS(stats_of(q).ghosts, has_ghosts(q) ? COUNT : 0);
    while ((fd = readyq_ghost(q)) >= 0)
        sum -= fd;
    CHECK(sum == 0 || !has_ghosts(q));
    for (int i = 0; i < COUNT; i++) {
        close(p[i][1]);
        close(keeper[i]);
    }
    readyq_close(q);
}

static void test_number_duplicated_back_can_be_added_again(void)
{
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    CHECK_IS(readyq_remove(&h.w), 0);
    CHECK_IS(dup2(h.keeper, h.number), h.number);
    CHECK_IS(readyq_add(h.q, &h.w, h.number, READYQ_READ), 0);
    CHECK_QUIET(h.q);
    put(h.writer);
    CHECK_TAKES(h.q, &h.w);
    CHECK_IS(stats_of(h.q).ghosts, 0);
    CHECK_IS(readyq_remove(&h.w), 0);
    CHECK_QUIET(h.q);
    CHECK_IS(stats_of(h.q).ghosts, 0);
    close(h.number);
    close_haunted(&h);
}

/* ------------------------------------------------------------------ the other watches */

static void haunt(struct haunted *h)
{
    CHECK_IS(readyq_remove(&h->w), 0);
    put(h->writer);
}

static void check_lost(struct haunted *h)
{
    CHECK_IS(stats_of(h->q).rebuilds, has_ghosts(h->q));
    close_haunted(h);
}

static void test_level_watches_survive_a_ghost(void)
{
    int p[2], fd = open_file();
    readyq_watch w, file;
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    open_pipe(p);
    add(h.q, &w, p[0], READYQ_READ);
    haunt(&h);
    put(p[1]);
    CHECK_TAKES(h.q, &w);
    CHECK_TAKES(h.q, &w);
    get(p[0]);
    CHECK_QUIET(h.q);
    add(h.q, &file, fd, READYQ_READ);
    CHECK_TAKES(h.q, &file);
    CHECK_IS(readyq_remove(&file), 0);
    CHECK_IS(readyq_modify(&w, 0), 0);
    put(p[1]);
    CHECK_QUIET(h.q);
    CHECK_IS(readyq_modify(&w, READYQ_READ), 0);
    CHECK_TAKES(h.q, &w);
    check_lost(&h);
    close_pair(p);
    close(fd);
}

static void test_edge_reported_before_a_ghost_is_not_reported_again(void)
{
    int p[2];
    readyq_watch w;
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    open_unix(p);
    add(h.q, &w, p[0], READYQ_READ | READYQ_EDGE);
    put(p[1]);
    CHECK_TAKES(h.q, &w);
    haunt(&h);
    CHECK_QUIET(h.q);
    put(p[1]);
    CHECK_TAKES(h.q, &w);
    CHECK_QUIET(h.q);
    check_lost(&h);
    close_pair(p);
}

static void test_edge_that_comes_with_a_ghost_is_reported_once(void)
{
    int p[2];
    readyq_watch w;
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    open_unix(p);
    add(h.q, &w, p[0], READYQ_READ | READYQ_EDGE);
    haunt(&h);
    put(p[1]);
    CHECK_TAKES(h.q, &w);
    CHECK_QUIET(h.q);
    check_lost(&h);
    close_pair(p);
}

static void test_edge_left_untaken_before_a_ghost_is_reported(void)
{
    int p[2];
    readyq_watch w;
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    open_unix(p);
    add(h.q, &w, p[0], READYQ_READ | READYQ_EDGE);
    put(p[1]);
    CHECK_IS(count_ready(h.q, LONG), 1);
    haunt(&h);
    CHECK_TAKES(h.q, &w);
    CHECK_QUIET(h.q);
    check_lost(&h);
    close_pair(p);
}

static void test_oneshots_spent_armed_and_untaken_stay_what_they_are(void)
{
    int p[3][2];
    readyq_watch w[3];
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    for (int i = 0; i < 3; i++) {
        open_unix(p[i]);
        add(h.q, &w[i], p[i][0], READYQ_READ | READYQ_ONESHOT);
    }
    put(p[0][1]);
    CHECK_TAKES(h.q, &w[0]); /* spent */
    put(p[1][1]);
    CHECK_IS(count_ready(h.q, LONG), 1); /* untaken; the third is armed */
    haunt(&h);
    CHECK_TAKES(h.q, &w[1]);
    CHECK_QUIET(h.q);
    put(p[2][1]);
    CHECK_TAKES(h.q, &w[2]);
    put(p[0][1]);
    CHECK_QUIET(h.q);
    CHECK_IS(readyq_modify(&w[0], READYQ_READ | READYQ_ONESHOT), 0);
    CHECK_TAKES(h.q, &w[0]);
    check_lost(&h);
    for (int i = 0; i < 3; i++)
        close_pair(p[i]);
}

static void test_timers_triggers_signals_and_processes_survive_a_ghost(void)
{
    readyq_watch timer = {0}, trigger = {0}, signal = {0}, process = {0};
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ns(LONG);
        _exit(0);
    }
    CHECK_IS(readyq_add_timer(h.q, &timer, 5 * SOON, 0), 0);
    CHECK_IS(readyq_add_trigger(h.q, &trigger), 0);
    CHECK_IS(readyq_add_signal(h.q, &signal, SIGUSR1), 0);
    CHECK_IS(readyq_add_process(h.q, &process, pid), 0);
    haunt(&h);
    CHECK_TAKES(h.q, &timer);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(h.q, &trigger);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    CHECK_TAKES(h.q, &signal);
    CHECK_IS(kill(pid, SIGKILL), 0);
    CHECK_TAKES(h.q, &process);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    check_lost(&h);
}

static void test_watch_closed_without_a_remove_is_returned_when_a_ghost_is_removed(void)
{
    int p[2];
    readyq_watch w;
    struct haunted h;
    open_haunted(&h, READYQ_READ);
    open_pipe(p);
    add(h.q, &w, p[0], READYQ_READ);
    close_pair(p);
    haunt(&h);
    CHECK_QUIET(h.q);
    readyq_watch *stale = readyq_stale(h.q);
    CHECK(stale == &w || (stale == NULL && !has_ghosts(h.q)));
    CHECK_IS(readyq_remove(&w), stale == &w ? -ENOENT : 0);
    check_lost(&h);
}

static void test_number_reused_unseen_does_not_fire_its_old_watch_when_a_ghost_is_removed(void)
{
    int p[2], fresh[2];
    readyq_watch w;
    struct haunted h;
    open_pipe(p);
    open_haunted(&h, READYQ_READ);
    add(h.q, &w, p[0], READYQ_READ);
    close_pair(p);
    open_pipe(fresh);
    CHECK_IS(fresh[0], p[0]);
    haunt(&h);
    CHECK_QUIET(h.q);
    put(fresh[1]);
    CHECK_QUIET(h.q);
    CHECK_IS(readyq_remove(&w), 0);
    check_lost(&h);
    close_pair(fresh);
}

/* ------------------------------------------------------------------ among many */

enum { MANY = 900 };

/* A queue with a ghost that fires, an EDGE watch, and many other watches of one pipe. */
struct crowd {
    struct haunted h;
    int p[2], edge[2], number[MANY];
    readyq_watch w[MANY], edge_w;
};

static void open_crowd(struct crowd *c)
{
    open_haunted(&c->h, READYQ_READ);
    open_pipe(c->edge);
    add(c->h.q, &c->edge_w, c->edge[0], READYQ_READ | READYQ_EDGE);
    open_pipe(c->p);
    for (int i = 0; i < MANY; i++) {
        c->number[i] = dup(c->p[0]);
        CHECK(c->number[i] >= 0);
        memset(&c->w[i], 0, sizeof c->w[i]);
        add(c->h.q, &c->w[i], c->number[i], READYQ_READ);
    }
    put(c->edge[1]);
    CHECK_TAKES(c->h.q, &c->edge_w);
    CHECK_IS(readyq_remove(&c->h.w), 0);
    put(c->h.writer);
}

static void close_crowd(struct crowd *c)
{
    close_haunted(&c->h);
    close_pair(c->edge);
    close_pair(c->p);
    for (int i = 0; i < MANY; i++)
        close(c->number[i]);
}

static void check_crowd(struct crowd *c)
{
    char text[200] = "";
    int differences = readyq_check(c->h.q, text, sizeof text);
    if (differences != -ENOSYS)
        CHECK_IS(differences, 0);
    CHECK_IS(stats_of(c->h.q).rebuilds, has_ghosts(c->h.q));
}

/* A wait goes on with it for a while and then returns; between two waits the queue can be changed,
 * both what was copied already and what was not. */
static void test_a_ghost_among_many_is_removed_in_steps(void)
{
    static struct crowd c;
    readyq_watch fresh;
    open_crowd(&c);
    uint64_t before = stats_of(c.h.q).changes;
    CHECK_IS(count_ready(c.h.q, 0), 0);
    CHECK(stats_of(c.h.q).changes - before <= 2 * (MANY - 100));
    CHECK_IS(stats_of(c.h.q).rebuilds, 0);
    for (int i = 0; i < 3; i++) {
        readyq_watch *low = &c.w[i], *high = &c.w[MANY - 1 - i];
        CHECK_IS(i < 2 ? readyq_modify(low, i == 0 ? READYQ_READ | READYQ_EDGE : 0)
                       : readyq_remove(low),
                 0);
        CHECK_IS(i < 2 ? readyq_modify(high, i == 0 ? READYQ_READ | READYQ_EDGE : 0)
                       : readyq_remove(high),
                 0);
    }
    close(c.number[2]);
    CHECK_IS(dup(c.p[0]), c.number[2]);
    add(c.h.q, &fresh, c.number[2], READYQ_READ);
    for (int i = 0; i < 3; i++)
        CHECK_IS(count_ready(c.h.q, 0), 0);
    check_crowd(&c);
    put(c.p[1]);
    CHECK_IS(take_all_within(c.h.q, LONG), MANY - 3);
    close_crowd(&c);
}

static void test_a_ghost_is_counted_once_though_its_number_is_added_before_it_is_removed(void)
{
    static struct crowd c;
    readyq_watch fresh;
    open_crowd(&c);
    CHECK_IS(count_ready(c.h.q, 0), 0);
    CHECK_IS(stats_of(c.h.q).rebuilds, 0);
    CHECK_IS(c.edge[0], c.h.number); /* the number is in use again */
    CHECK_IS(readyq_remove(&c.edge_w), 0);
    add(c.h.q, &fresh, c.h.number, 0);
    for (int i = 0; i < 4; i++)
        CHECK_IS(count_ready(c.h.q, 0), 0);
    check_crowd(&c);
    CHECK_IS(stats_of(c.h.q).ghosts, has_ghosts(c.h.q));
    close_crowd(&c);
}

static void test_an_edge_while_a_ghost_among_many_is_removed_is_reported_once(void)
{
    static struct crowd c;
    open_crowd(&c);
    CHECK_IS(count_ready(c.h.q, 0), 0);
    put(c.edge[1]);
    CHECK_TAKES(c.h.q, &c.edge_w);
    for (int i = 0; i < 3; i++)
        CHECK_IS(count_ready(c.h.q, 0), 0);
    check_crowd(&c);
    put(c.edge[1]);
    CHECK_TAKES(c.h.q, &c.edge_w);
    CHECK_IS(count_ready(c.h.q, 0), 0);
    close_crowd(&c);
}

/* More than a wait fetches: they are all reported before the edge. */
static void test_an_edge_behind_very_many_ghosts_is_not_lost(void)
{
    enum { GHOSTS = 1500 };
    static readyq_watch w[GHOSTS];
    readyq_watch edge;
    int p[2], number[GHOSTS], taken = 0;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &edge, p[0], READYQ_READ | READYQ_EDGE);
    for (int i = 0; i < GHOSTS; i++) {
        number[i] = dup(p[1]);
        CHECK(number[i] >= 0);
        add(q, &w[i], number[i], READYQ_WRITE);
    }
    for (int i = 0; i < GHOSTS; i++) {
        close(number[i]);
        CHECK_IS(readyq_remove(&w[i]), 0);
    }
    put(p[1]);
    for (int i = 0; i < 20; i++)
        taken += take_all_within(q, MS);
    CHECK(taken >= 1);
    CHECK_IS(stats_of(q).rebuilds, has_ghosts(q));
    readyq_close(q);
    close_pair(p);
}

static void *wake_after_the_rebuild(void *q)
{
    const int64_t end = now_ns() + LONG;
    while (stats_of(q).rebuilds < has_ghosts(q) && now_ns() < end)
        sleep_ns(MS);
    CHECK_IS(readyq_wake(q), 0);
    return NULL;
}

/* The ghost does not fire any more, so nothing else would end the sleep. */
static void test_a_wait_removes_a_ghost_among_many_before_it_sleeps(void)
{
    static struct crowd c;
    open_crowd(&c);
    CHECK_IS(count_ready(c.h.q, 0), 0);
    drain(c.h.keeper);
    pthread_t thread = start(wake_after_the_rebuild, c.h.q);
    CHECK(take_within(c.h.q, -1) == NULL);
    join(thread);
    check_crowd(&c);
    close_crowd(&c);
}

static void test_fork_and_close_while_a_ghost_among_many_is_removed(void)
{
    static struct crowd c;
    const int before = count_descriptors();
    open_crowd(&c);
    CHECK_IS(count_ready(c.h.q, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        put(c.p[1]);
        CHECK_IS(take_all_within(c.h.q, LONG), MANY + 1); /* and an edge, again */
        close_crowd(&c);
        CHECK_IS(count_descriptors(), before);
        _exit(0);
    }
    expect_success(pid);
    close_crowd(&c);
    CHECK_IS(count_descriptors(), before);
}

TESTS(TEST(test_ghost_is_reported_once_and_removed), TEST(test_ghost_does_not_make_the_wait_spin),
      TEST(test_ghost_that_never_fires_costs_nothing),
      TEST(test_ghost_kept_by_a_child_process_is_removed_too),
      TEST(test_ghost_of_a_reused_number_does_not_fire_the_new_watch),
      TEST(test_several_ghosts_are_each_reported_once),
      TEST(test_number_duplicated_back_can_be_added_again),
      TEST(test_level_watches_survive_a_ghost),
      TEST(test_edge_reported_before_a_ghost_is_not_reported_again),
      TEST(test_edge_that_comes_with_a_ghost_is_reported_once),
      TEST(test_edge_left_untaken_before_a_ghost_is_reported),
      TEST(test_oneshots_spent_armed_and_untaken_stay_what_they_are),
      TEST(test_timers_triggers_signals_and_processes_survive_a_ghost),
      TEST(test_watch_closed_without_a_remove_is_returned_when_a_ghost_is_removed),
      TEST(test_number_reused_unseen_does_not_fire_its_old_watch_when_a_ghost_is_removed),
      TEST(test_a_ghost_among_many_is_removed_in_steps),
      TEST(test_a_ghost_is_counted_once_though_its_number_is_added_before_it_is_removed),
      TEST(test_an_edge_while_a_ghost_among_many_is_removed_is_reported_once),
      TEST(test_an_edge_behind_very_many_ghosts_is_not_lost),
      TEST(test_a_wait_removes_a_ghost_among_many_before_it_sleeps),
      TEST(test_fork_and_close_while_a_ghost_among_many_is_removed))
