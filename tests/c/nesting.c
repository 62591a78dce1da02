/* SPDX-License-Identifier: MIT
 *
 * A queue inside another event loop: readyq_fileno() polls readable while a wait would return
 * something, of any kind.
 */
#include "things.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/select.h>

static bool is_readable(int fd, int64_t timeout)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int n = poll(&one, 1, (int)(timeout / MS));
    CHECK(n >= 0);
    return n == 1;
}

#define CHECK_READABLE(q) CHECK(is_readable(readyq_fileno(q), LONG))
#define CHECK_UNREADABLE(q) CHECK(!is_readable(readyq_fileno(q), SOON))

static void test_it_is_readable_while_a_descriptor_is_ready(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_UNREADABLE(q);
    put(p[1]);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &w);
    CHECK_READABLE(q);
    get(p[0]);
    CHECK_IS(count_ready(q, 0), 0);
    CHECK_UNREADABLE(q);
    readyq_close(q);
    close_pair(p);
}

static void test_it_is_the_same_number_each_time_and_select_works_too(void)
{
    int p[2];
    fd_set set;
    readyq_watch w;
    readyq *q = open_queue();
    int fd = readyq_fileno(q);
    CHECK(fd >= 0);
    CHECK_IS(readyq_fileno(q), fd);
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_fileno(q), fd);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    CHECK_IS(select(fd + 1, &set, NULL, NULL, NULL), 1);
    readyq_close(q);
    close_pair(p);
}

static void test_it_is_readable_when_a_timer_is_due(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_UNREADABLE(q);
    int64_t before = now_ns();
    CHECK_IS(readyq_add_timer(q, &w, SOON, 0), 0);
    CHECK_READABLE(q);
    CHECK(now_ns() - before >= SOON);
    CHECK_TAKES(q, &w);
    CHECK_UNREADABLE(q);
    readyq_close(q);
}

static void test_it_follows_the_earliest_timer(void)
{
    readyq_watch far = {0}, near = {0}, again = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_timer(q, &far, LONG, 0), 0);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_add_timer(q, &near, SOON, 0), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &near);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_add_timer(q, &again, MS, MS), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_READABLE(q);
        CHECK_TAKES(q, &again);
    }
    CHECK_IS(readyq_remove(&again), 0);
    CHECK_IS(count_ready(q, 0), 0);
    CHECK_UNREADABLE(q);
    readyq_close(q);
}

static void *fire_after_a_while(void *w)
{
    sleep_ns(SOON);
    CHECK_IS(readyq_fire(w), 0);
    return NULL;
}

static void test_it_is_readable_when_a_trigger_was_fired(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &w);
    CHECK_UNREADABLE(q);
    pthread_t thread = start(fire_after_a_while, &w);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &w);
    CHECK_UNREADABLE(q);
    join(thread);
    readyq_close(q);
}

static void test_it_is_readable_for_signals_processes_and_wakes(void)
{
    readyq_watch signal = {0}, process = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    CHECK_UNREADABLE(q);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &signal);
    CHECK_UNREADABLE(q);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK_IS(readyq_add_process(q, &process, pid), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &process);
    CHECK_UNREADABLE(q);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    CHECK_IS(readyq_wake(q), 0);
    CHECK_READABLE(q);
    CHECK_IS(count_ready(q, -1), 0);
    CHECK_UNREADABLE(q);
    readyq_close(q);
}

static void test_it_stays_readable_while_something_is_left_untaken(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK_READABLE(q);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_READABLE(q);
    CHECK(readyq_next(&batch) == &w);
    CHECK_UNREADABLE(q);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

struct holder {
    readyq *q;
    atomic_bool holds, is_to_end;
};

static void *hold_one(void *argument)
{
    struct holder *holder = argument;
    readyq_batch batch = {0};
    CHECK_IS(readyq_wait(holder->q, &batch, LONG, 0), 1);
    holder->holds = true;
    while (!holder->is_to_end)
        sleep_ns(MS);
    CHECK_IS(readyq_done(&batch), 0);
    return NULL;
}

/* A wait of this thread would not return it, so its loop must not spin. */
static void test_it_is_not_readable_for_what_another_thread_holds(void)
{
    struct holder holder = {.q = open_queue()};
    readyq_watch w = {0};
    CHECK(readyq_fileno(holder.q) >= 0);
    CHECK_IS(readyq_add_trigger(holder.q, &w), 0);
    CHECK_IS(readyq_fire(&w), 0);
    pthread_t thread = start(hold_one, &holder);
    while (!holder.holds)
        sleep_ns(MS);
    CHECK_IS(take_all_within(holder.q, 0), 0);
    CHECK_UNREADABLE(holder.q);
    holder.is_to_end = true;
    join(thread);
    CHECK_READABLE(holder.q);
    CHECK_TAKES(holder.q, &w);
    readyq_close(holder.q);
}

static void test_it_is_readable_for_what_is_always_ready(void)
{
    int fd = open_file();
    readyq_watch w;
    readyq *q = open_queue();
    CHECK_UNREADABLE(q);
    add(q, &w, fd, READYQ_READ);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &w);
    CHECK_READABLE(q);
    CHECK_IS(readyq_modify(&w, 0), 0);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_EDGE), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &w);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_UNREADABLE(q);
    readyq_close(q);
    close(fd);
}

static void test_it_is_readable_though_the_number_was_asked_for_afterwards(void)
{
    readyq_watch trigger = {0}, timer = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &trigger);
    readyq_close(q);
    q = open_queue();
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &timer);
    CHECK_UNREADABLE(q);
    readyq_close(q);
}

/* ------------------------------------------------------------------ queues in queues */

static void test_a_queue_in_a_queue_reports_every_kind_of_source(void)
{
    int p[2];
    readyq_watch nested, w, timer = {0}, trigger = {0};
    readyq *outer = open_queue(), *inner = open_queue();
    open_pipe(p);
    add(outer, &nested, readyq_fileno(inner), READYQ_READ);
    add(inner, &w, p[0], READYQ_READ);
    CHECK_QUIET(outer);
    put(p[1]);
    CHECK_TAKES(outer, &nested);
    CHECK_TAKES(inner, &w);
    get(p[0]);
    CHECK_IS(count_ready(inner, 0), 0);
    CHECK_QUIET(outer);
    CHECK_IS(readyq_add_timer(inner, &timer, SOON, 0), 0);
    CHECK_TAKES(outer, &nested);
    CHECK_TAKES(inner, &timer);
    CHECK_IS(readyq_add_trigger(inner, &trigger), 0);
    CHECK_QUIET(outer);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(outer, &nested);
    CHECK_TAKES(inner, &trigger);
    CHECK_QUIET(outer);
    readyq_close(inner);
    CHECK_IS(readyq_remove(&nested), 0);
    readyq_close(outer);
    close_pair(p);
}

static void test_three_nested_queues_still_report(void)
{
    readyq_watch first, second, timer = {0};
    readyq *q[3] = {open_queue(), open_queue(), open_queue()};
    add(q[0], &first, readyq_fileno(q[1]), READYQ_READ);
    add(q[1], &second, readyq_fileno(q[2]), READYQ_READ);
    CHECK_IS(readyq_add_timer(q[2], &timer, SOON, 0), 0);
    CHECK_TAKES(q[0], &first);
    CHECK_TAKES(q[1], &second);
    CHECK_TAKES(q[2], &timer);
    CHECK_IS(count_ready(q[1], 0), 0);
    CHECK_QUIET(q[0]);
    for (int i = 0; i < 3; i++)
        readyq_close(q[i]);
}

/* Nothing can be written to a queue. */
static void test_a_queue_that_is_watched_for_writing_wakes_nobody(void)
{
    struct readyq_stats before, after;
    readyq_watch w, timer = {0};
    readyq *outer = open_queue(), *inner = open_queue();
    add(outer, &w, readyq_fileno(inner), READYQ_WRITE);
    CHECK_IS(readyq_add_timer(inner, &timer, 0, 0), 0);
    CHECK_READABLE(inner);
    CHECK_IS(readyq_stats(outer, &before), 0);
    CHECK_QUIET(outer);
    CHECK_IS(readyq_stats(outer, &after), 0);
    CHECK(after.kernel_waits - before.kernel_waits < 5);
    CHECK_IS(readyq_modify(&w, READYQ_READ), 0);
    CHECK_TAKES(outer, &w);
    readyq_close(outer);
    readyq_close(inner);
}

static void test_exclusive_on_a_queue_is_taken_as_a_hint(void)
{
    readyq_watch w, timer = {0};
    readyq *outer = open_queue(), *inner = open_queue();
    add(outer, &w, readyq_fileno(inner), READYQ_READ | READYQ_EXCLUSIVE);
    CHECK_IS(readyq_add_timer(inner, &timer, 0, 0), 0);
    CHECK_TAKES(outer, &w);
    readyq_close(outer);
    readyq_close(inner);
}

static void test_it_still_works_after_a_ghost_was_removed(void)
{
    int p[2], ghost[2];
    readyq_watch w, g;
    readyq *q = open_queue();
    int fd = readyq_fileno(q);
    open_pipe(ghost);
    open_pipe(p);
    add(q, &g, ghost[0], READYQ_READ);
    add(q, &w, p[0], READYQ_READ);
    int keeper = dup(ghost[0]);
    close(ghost[0]);
    CHECK_IS(readyq_remove(&g), 0);
    put(ghost[1]);
    CHECK_QUIET(q);
    CHECK_IS(stats_of(q).rebuilds, has_ghosts(q));
    CHECK_IS(readyq_fileno(q), fd);
    CHECK_UNREADABLE(q);
    put(p[1]);
    CHECK_READABLE(q);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
    close(keeper);
    close(ghost[1]);
}

static void test_child_and_parent_each_have_their_own(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    int fd = readyq_fileno(q);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_IS(readyq_fileno(q), fd);
        CHECK_UNREADABLE(q);
        CHECK_IS(readyq_fire(&w), 0);
        CHECK_READABLE(q);
        _exit(0);
    }
    expect_success(pid);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_READABLE(q);
    readyq_close(q);
}

static void test_what_a_child_takes_does_not_silence_the_parents(void)
{
    readyq_batch batch = {0};
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_UNREADABLE(q);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_READABLE(q);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(readyq_next(&batch) == &w);
        CHECK_UNREADABLE(q);
        _exit(0);
    }
    expect_success(pid);
    CHECK_READABLE(q);
    CHECK(readyq_next(&batch) == &w);
    CHECK_UNREADABLE(q);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_it_is_not_readable_for_a_virtual_clock_without_timers(void)
{
    readyq_watch timer = {0};
    readyq *q = open_queue_with((struct readyq_options){.virtual_clock = true});
    struct pollfd one = {.fd = readyq_fileno(q), .events = POLLIN};
    CHECK_IS(poll(&one, 1, 0), 0);
    CHECK_IS(readyq_add_timer(q, &timer, LONG, 0), 0);
    CHECK_IS(poll(&one, 1, 0), 1); /* a wait would return at once */
    CHECK_TAKES(q, &timer);
    CHECK_IS(poll(&one, 1, 0), 0);
    readyq_close(q);
}

static uint64_t count_changes(readyq *q)
{
    struct readyq_stats stats;
    CHECK_IS(readyq_stats(q, &stats), 0);
    return stats.changes;
}

static void test_it_is_readable_for_a_batch_that_was_open_before_it_was_asked_for(void)
{
    readyq_batch batch = {0};
    readyq_watch timer = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK_READABLE(q);
    CHECK(readyq_next(&batch) == &timer);
    CHECK(readyq_next(&batch) == NULL);
    readyq_done(&batch);
    readyq_close(q);
}

/* A timer in a kqueue that went off is set anew when the kqueue is looked at, and then again. */
enum { CHANGES = HAS_EPOLL ? 1 : 2 };

/* The other loop waits, this one asks what is ready, and that is all. */
static void test_a_batch_changes_what_it_shows_once_at_most(void)
{
    readyq_batch batch = {0};
    readyq_watch w, timer = {0};
    int p[2];
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_READABLE(q);
    uint64_t before = count_changes(q);
    for (int i = 0; i < 3; i++) {
        CHECK_READABLE(q);
        CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
        CHECK(readyq_next(&batch) == &w);
        CHECK(readyq_next(&batch) == NULL);
        readyq_done(&batch);
    }
    CHECK_IS(count_changes(q) - before, 0);
    drain(p[0]);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0); /* a kqueue is readable until it is asked */
    CHECK_IS(readyq_add_timer(q, &timer, MS, 0), 0);
    before = count_changes(q);
    for (int i = 0; i < 3; i++) {
        CHECK_READABLE(q);
        CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
        CHECK(readyq_next(&batch) == &timer);
        CHECK_IS(readyq_restart(&timer, MS), 0);
        CHECK(readyq_next(&batch) == NULL);
        readyq_done(&batch);
    }
    CHECK_IS(count_changes(q) - before, 3 * CHANGES);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_it_is_readable_while_a_descriptor_is_ready),
      TEST(test_it_is_the_same_number_each_time_and_select_works_too),
      TEST(test_it_is_readable_when_a_timer_is_due), TEST(test_it_follows_the_earliest_timer),
      TEST(test_it_is_readable_when_a_trigger_was_fired),
      TEST(test_it_is_readable_for_signals_processes_and_wakes),
      TEST(test_it_stays_readable_while_something_is_left_untaken),
      TEST(test_it_is_not_readable_for_what_another_thread_holds),
      TEST(test_it_is_readable_for_what_is_always_ready),
      TEST(test_it_is_readable_though_the_number_was_asked_for_afterwards),
      TEST(test_it_is_readable_for_a_batch_that_was_open_before_it_was_asked_for),
      TEST(test_a_queue_in_a_queue_reports_every_kind_of_source),
      TEST(test_three_nested_queues_still_report),
      TEST(test_a_queue_that_is_watched_for_writing_wakes_nobody),
      TEST(test_exclusive_on_a_queue_is_taken_as_a_hint),
      TEST(test_it_still_works_after_a_ghost_was_removed),
      TEST(test_child_and_parent_each_have_their_own),
      TEST(test_what_a_child_takes_does_not_silence_the_parents),
      TEST(test_it_is_not_readable_for_a_virtual_clock_without_timers),
      TEST(test_a_batch_changes_what_it_shows_once_at_most))
