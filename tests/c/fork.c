/* SPDX-License-Identifier: MIT
 *
 * After a fork the child has a queue of its own with the same watches. Neither process affects the
 * queue of the other.
 */
#include "things.h"

/* A queue with a socket; the child gets a copy of it. */
struct copied {
    readyq *q;
    readyq_batch batch;
    int p[2], descriptors;
    readyq_watch w, other;
};

typedef void child_body(struct copied *c);

static void open_copied(struct copied *c, uint32_t interest)
{
    memset(c, 0, sizeof *c);
    c->q = open_queue();
    open_unix(c->p);
    add(c->q, &c->w, c->p[0], interest);
}

static void close_copied(struct copied *c)
{
    readyq_done(&c->batch);
    readyq_close(c->q);
    close_pair(c->p);
}

static pid_t start_child(struct copied *c, child_body *body)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    body(c);
    _exit(0);
}

static void in_child(struct copied *c, child_body *body)
{
    expect_success(start_child(c, body));
}

static void child_takes(struct copied *c)
{
    CHECK_TAKES(c->q, &c->w);
    CHECK_IS(c->w.ready, READYQ_READ);
}

static void child_is_quiet(struct copied *c)
{
    CHECK_QUIET(c->q);
}

static void test_child_has_the_same_watches_and_the_parent_keeps_its_own(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    put(c.p[1]);
    in_child(&c, child_takes);
    CHECK_TAKES(c.q, &c.w);
    CHECK_IS(stats_of(c.q).rebuilds, 0);
    close_copied(&c);
}

static void child_changes_everything(struct copied *c)
{
    CHECK_IS(readyq_modify(&c->w, READYQ_WRITE), 0);
    CHECK_TAKES(c->q, &c->w);
    CHECK_IS(readyq_remove(&c->w), 0);
    add(c->q, &c->other, c->p[1], READYQ_WRITE);
    CHECK_TAKES(c->q, &c->other);
    CHECK_IS(readyq_size(c->q), 1);
}

static void test_changes_in_the_child_do_not_reach_the_parent(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    in_child(&c, child_changes_everything);
    CHECK_QUIET(c.q);
    CHECK_IS(readyq_size(c.q), 1);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    CHECK_IS(c.w.ready, READYQ_READ);
    close_copied(&c);
}

static void child_waits_for_the_parent_and_takes(struct copied *c)
{
    sleep_ns(SOON);
    child_takes(c);
}

static void test_changes_in_the_parent_do_not_reach_the_child(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    put(c.p[1]);
    pid_t pid = start_child(&c, child_waits_for_the_parent_and_takes);
    CHECK_IS(readyq_remove(&c.w), 0);
    expect_success(pid);
    close_copied(&c);
}

static void child_closes(struct copied *c)
{
    int before = count_descriptors();
    CHECK_IS(readyq_close(c->q), 0);
    CHECK(count_descriptors() < before);
    CHECK(c->w.queue == NULL);
}

static void test_close_in_the_child_leaves_the_parent_working(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    in_child(&c, child_closes);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    close_copied(&c);
}

static void child_uses_and_closes_without_a_leak(struct copied *c)
{
    int before = count_descriptors(); /* a kqueue is not inherited */
    CHECK_QUIET(c->q);
    CHECK_IS(count_descriptors(), before + (HAS_EPOLL ? 0 : 1));
    CHECK_IS(readyq_close(c->q), 0);
    close_pair(c->p);
    CHECK_IS(count_descriptors(), c->descriptors);
}

static void test_child_has_as_many_descriptors_as_the_parent_and_closes_all(void)
{
    struct copied c;
    int before = count_descriptors();
    open_copied(&c, READYQ_READ);
    c.descriptors = before;
    in_child(&c, child_uses_and_closes_without_a_leak);
    close_copied(&c);
}

static void test_edges_of_the_parent_are_kept_and_reported_once(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ | READYQ_EDGE);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(count_ready(c.q, SOON) >= 0);
        _exit(0);
    }
    expect_success(pid);
    CHECK_QUIET(c.q);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    CHECK_QUIET(c.q);
    close_copied(&c);
}

static void child_rearms(struct copied *c)
{
    CHECK_QUIET(c->q);
    CHECK_IS(readyq_modify(&c->w, READYQ_READ | READYQ_ONESHOT), 0);
    CHECK_TAKES(c->q, &c->w);
    CHECK_QUIET(c->q);
}

static void test_spent_oneshot_is_spent_in_the_child_too(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ | READYQ_ONESHOT);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    in_child(&c, child_rearms);
    CHECK_QUIET(c.q);
    close_copied(&c);
}

static void test_paused_watch_is_paused_in_the_child_too(void)
{
    struct copied c;
    open_copied(&c, 0);
    put(c.p[1]);
    in_child(&c, child_is_quiet);
    close_copied(&c);
}

static void child_takes_once(struct copied *c)
{
    CHECK_TAKES(c->q, &c->w);
    CHECK_QUIET(c->q);
}

static void test_what_was_found_before_the_fork_comes_in_both(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ | READYQ_ONESHOT);
    put(c.p[1]);
    CHECK_IS(readyq_wait(c.q, &c.batch, LONG, 0), 1);
    in_child(&c, child_takes_once);
    CHECK(readyq_next(&c.batch) == &c.w);
    CHECK_QUIET(c.q);
    close_copied(&c);
}

static void child_takes_other(struct copied *c)
{
    CHECK_TAKES(c->q, &c->other);
    CHECK_IS(c->other.ready, READYQ_FIRED);
    CHECK_QUIET(c->q);
}

static void test_timer_fires_in_both(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    CHECK_IS(readyq_add_timer(c.q, &c.other, SOON, 0), 0);
    in_child(&c, child_takes_other);
    CHECK_TAKES(c.q, &c.other);
    close_copied(&c);
}

static void child_fires(struct copied *c)
{
    CHECK_IS(readyq_fire(&c->other), 0);
    CHECK_TAKES(c->q, &c->other);
    CHECK_IS(c->other.count, 1);
    CHECK_IS(readyq_wake(c->q), 0);
    CHECK_IS(count_ready(c->q, -1), 0);
    CHECK_IS(readyq_fire(&c->other), 0);
    CHECK_IS(readyq_wake(c->q), 0);
}

static void test_fire_and_wake_in_the_child_do_not_reach_the_parent(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    CHECK_IS(readyq_add_trigger(c.q, &c.other), 0);
    in_child(&c, child_fires);
    int64_t before = now_ns();
    CHECK_QUIET(c.q);
    CHECK(now_ns() - before >= SOON);
    CHECK_IS(readyq_fire(&c.other), 0);
    CHECK_TAKES(c.q, &c.other);
    close_copied(&c);
}

static void test_fire_before_the_fork_comes_in_both(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    CHECK_IS(readyq_add_trigger(c.q, &c.other), 0);
    CHECK_IS(readyq_fire(&c.other), 0);
    in_child(&c, child_takes_other);
    CHECK_TAKES(c.q, &c.other);
    close_copied(&c);
}

static void child_signals_itself(struct copied *c)
{
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    child_takes_other(c);
}

static void test_signal_of_the_child_is_the_childs(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    CHECK_IS(readyq_add_signal(c.q, &c.other, SIGUSR1), 0);
    in_child(&c, child_signals_itself);
    CHECK_QUIET(c.q);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    CHECK_TAKES(c.q, &c.other);
    close_copied(&c);
}

static void test_process_is_reported_in_both(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ns(5 * SOON);
        _exit(6);
    }
    CHECK_IS(readyq_add_process(c.q, &c.other, pid), 0);
    in_child(&c, child_takes_other);
    CHECK_TAKES(c.q, &c.other);
    CHECK_IS(WEXITSTATUS(c.other.status), 6);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    close_copied(&c);
}

static void child_forks_again(struct copied *c)
{
    in_child(c, child_takes);
    child_takes(c);
}

static void test_grandchild_has_a_queue_of_its_own_too(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    put(c.p[1]);
    in_child(&c, child_forks_again);
    CHECK_TAKES(c.q, &c.w);
    close_copied(&c);
}

/* The error of the closed queue closed the batch, too. */
static void *wait_until_closed(void *q)
{
    readyq_batch batch = {0};
    while (readyq_wait(q, &batch, -1, 0) >= 0)
        while (readyq_next(&batch) != NULL)
            ;
    return NULL;
}

/* Events that the other thread had found and not taken at the fork may be reported here, too. */
static void child_works_while_nobody_else_does(struct copied *c)
{
    take_within(c->q, 0);
    CHECK_QUIET(c->q);
    put(c->p[1]);
    child_takes(c);
    get(c->p[0]);
    CHECK_IS(readyq_close(c->q), 0);
}

static void test_fork_while_another_thread_waits_works(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ | READYQ_EDGE);
    readyq_ref(c.q);
    pthread_t thread = start(wait_until_closed, c.q);
    sleep_ns(SOON);
    for (int i = 0; i < 20; i++)
        in_child(&c, child_works_while_nobody_else_does);
    CHECK_IS(readyq_close(c.q), 0);
    join(thread);
    readyq_unref(c.q);
    close_pair(c.p);
}

static bool is_left_open_in_a_child(readyq *q, int before)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        readyq_unref(q);
        _exit(count_descriptors() != before);
    }
    CHECK_IS(waitpid(pid, &status, 0), pid);
    return status != 0;
}

static void test_fork_while_the_waiter_leaves_a_closed_queue_leaves_nothing_open(void)
{
    for (int i = 0; i < 100; i++) {
        int before = count_descriptors();
        readyq *q = readyq_ref(open_queue());
        pthread_t thread = start(wait_until_closed, q);
        sleep_ns(SOON / 100);
        CHECK_IS(readyq_close(q), 0);
        CHECK(!is_left_open_in_a_child(q, before));
        join(thread);
        readyq_unref(q);
    }
}

static void child_is_cleared(struct copied *c)
{
    struct readyq_stats stats = stats_of(c->q);
    CHECK_IS(stats.rebuilds, 0);
    CHECK_QUIET(c->q);
    CHECK_IS(stats_of(c->q).rebuilds, 1);
    CHECK_QUIET(c->q);
    CHECK_IS(stats_of(c->q).rebuilds, 1);
}

static void test_child_builds_its_queue_once_and_only_when_it_is_used(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    in_child(&c, child_is_cleared);
    close_copied(&c);
}

static void child_lost_the_file(struct copied *c)
{
    close_pair(c->p);
    CHECK_QUIET(c->q);
    CHECK_IS(readyq_remove(&c->w), 0);
}

static void test_descriptor_closed_in_the_child_before_its_first_call_does_no_harm(void)
{
    struct copied c;
    open_copied(&c, READYQ_READ);
    in_child(&c, child_lost_the_file);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    close_copied(&c);
}

static void test_child_does_not_take_a_reused_number_for_the_closed_file(void)
{
    struct copied c;
    int reused[2];
    open_copied(&c, READYQ_READ);
    close_pair(c.p);
    open_pipe(reused);
    CHECK_IS(reused[0], c.p[0]);
    put(reused[1]);
    in_child(&c, child_is_quiet);
    readyq_close(c.q);
    close_pair(reused);
}

TESTS(TEST(test_child_has_the_same_watches_and_the_parent_keeps_its_own),
      TEST(test_changes_in_the_child_do_not_reach_the_parent),
      TEST(test_changes_in_the_parent_do_not_reach_the_child),
      TEST(test_close_in_the_child_leaves_the_parent_working),
      TEST(test_child_has_as_many_descriptors_as_the_parent_and_closes_all),
      TEST(test_edges_of_the_parent_are_kept_and_reported_once),
      TEST(test_spent_oneshot_is_spent_in_the_child_too),
      TEST(test_paused_watch_is_paused_in_the_child_too),
      TEST(test_what_was_found_before_the_fork_comes_in_both), TEST(test_timer_fires_in_both),
      TEST(test_fire_and_wake_in_the_child_do_not_reach_the_parent),
      TEST(test_fire_before_the_fork_comes_in_both), TEST(test_signal_of_the_child_is_the_childs),
      TEST(test_process_is_reported_in_both), TEST(test_grandchild_has_a_queue_of_its_own_too),
      TEST(test_fork_while_another_thread_waits_works),
      TEST(test_fork_while_the_waiter_leaves_a_closed_queue_leaves_nothing_open),
      TEST(test_child_builds_its_queue_once_and_only_when_it_is_used),
      TEST(test_descriptor_closed_in_the_child_before_its_first_call_does_no_harm),
      TEST(test_child_does_not_take_a_reused_number_for_the_closed_file))
