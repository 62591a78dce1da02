/* SPDX-License-Identifier: MIT
 *
 * readyq_restart(): a timer is set again while it runs, is due, was taken, or has left its queue.
 * These tests use the virtual clock, where times are exact. The linker counts the core's
 * reallocations (see the Makefile).
 */
#include "workers.h"

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int reallocations;

void *__wrap_realloc(void *memory, size_t size)
{
    reallocations++;
    return __real_realloc(memory, size);
}

static readyq *open_virtual(void)
{
    return open_queue_with((struct readyq_options){.virtual_clock = true});
}

static void add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_timer(q, w, delay, period), 0);
}

/* Lets virtual time pass. */
static void pass(readyq *q, int64_t time)
{
    const int64_t end = readyq_now(q) + time;
    CHECK_IS(count_ready(q, time), 0);
    CHECK_IS(readyq_now(q), end);
}

/* It fires next, with this count, `delay` from now. */
static void check_fires(readyq *q, readyq_watch *w, int64_t delay, uint64_t count)
{
    const int64_t due = readyq_now(q) + delay;
    CHECK_IS(readyq_due(w), due);
    CHECK_TAKES(q, w);
    CHECK_IS(readyq_now(q), due);
    CHECK_IS(w->ready, READYQ_FIRED);
    CHECK_IS(w->count, count);
}

/* ------------------------------------------------------------------ in the queue */

static void test_a_running_timer_is_put_off_and_brought_forward(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 10 * MS, 0);
    pass(q, 5 * MS);
    CHECK_IS(readyq_restart(&w, 30 * MS), 0);
    pass(q, 29 * MS);
    CHECK_IS(readyq_restart(&w, 40 * MS), 0);
    CHECK_IS(readyq_restart(&w, 3 * MS), 0);
    CHECK_IS(readyq_size(q), 1);
    check_fires(q, &w, 3 * MS, 1);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    pass(q, LONG);
    readyq_close(q);
}

static void test_a_timer_restarted_at_every_turn_never_fires(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 10 * MS, 0);
    for (int i = 0; i < 1000; i++) {
        pass(q, 9 * MS);
        CHECK_IS(readyq_restart(&w, 10 * MS), 0);
    }
    check_fires(q, &w, 10 * MS, 1);
    readyq_close(q);
}

static void test_a_timer_that_is_due_and_was_not_found_yet_is_put_off(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 0, 0);
    CHECK_IS(readyq_restart(&w, MS), 0);
    CHECK_IS(count_ready(q, 0), 0);
    check_fires(q, &w, MS, 1);
    readyq_close(q);
}

static void check_dropped(int64_t period, bool finish)
{
    readyq_batch batch = {0};
    readyq_watch w, other;
    readyq *q = open_virtual();
    add_timer(q, &w, 0, period);
    add_timer(q, &other, 0, 0);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    if (finish)
        CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(readyq_restart(&w, 7 * MS), 0);
    CHECK(w.queue == q);
    if (finish)
        CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK_IS(readyq_peek(&batch, NULL, NULL, 0), 1);
    CHECK(readyq_next(&batch) == &other);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    CHECK_IS(readyq_done(&batch), 0);
    check_fires(q, &w, 7 * MS, 1);
    if (period > 0)
        check_fires(q, &w, period, 1);
    readyq_close(q);
}

static void test_an_expiration_that_was_found_and_not_taken_is_dropped(void)
{
    for (int finish = 0; finish < 2; finish++) {
        check_dropped(0, finish);
        check_dropped(4 * MS, finish);
    }
}

static void test_a_periodic_timer_fires_after_the_delay_and_then_with_its_period(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 10 * MS, 10 * MS);
    check_fires(q, &w, 10 * MS, 1);
    pass(q, 6 * MS);
    CHECK_IS(readyq_restart(&w, 3 * MS), 0);
    check_fires(q, &w, 3 * MS, 1);
    check_fires(q, &w, 10 * MS, 1);
    CHECK_IS(readyq_restart(&w, 0), 0);
    check_fires(q, &w, 0, 1);
    check_fires(q, &w, 10 * MS, 1);
    CHECK_IS(readyq_remove(&w), 0);
    readyq_close(q);
}

static void test_a_periodic_timer_that_missed_some_starts_to_count_again(void)
{
    readyq_watch w, jump;
    readyq *q = open_virtual();
    add_timer(q, &jump, 50 * MS, 0);
    CHECK_TAKES(q, &jump);
    add_timer(q, &w, 0, MS);
    add_timer(q, &jump, 0, 0);
    CHECK_IS(count_ready(q, 0), 2);
    CHECK_IS(readyq_restart(&w, 5 * MS), 0);
    CHECK_TAKES(q, &jump);
    check_fires(q, &w, 5 * MS, 1);
    check_fires(q, &w, MS, 1);
    readyq_close(q);
}

/* ------------------------------------------------------------------ taken, and after that */

static void test_a_timer_that_was_taken_is_added_again(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 0, 0);
    for (int i = 0; i < 100; i++) {
        CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
        CHECK(readyq_next(&batch) == &w);
        CHECK(w.queue == NULL);
        CHECK_IS(readyq_due(&w), -1);
        CHECK_IS(readyq_restart(&w, MS), 0);
        CHECK(w.queue == q);
        CHECK(w.armed);
        CHECK_IS(readyq_size(q), 1);
        CHECK_IS(readyq_due(&w), readyq_now(q) + MS);
    }
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(readyq_now(q), 99 * MS);
    check_fires(q, &w, MS, 1);
    readyq_close(q);
}

static void test_a_timer_that_has_left_its_queue_is_added_to_it_again(void)
{
    int data;
    readyq_watch w, other;
    readyq *q = open_virtual(), *another = open_virtual();
    add_timer(q, &w, 0, 0);
    w.data = &data;
    CHECK_TAKES(q, &w);
    add_timer(another, &other, 0, 0);
    CHECK_TAKES(another, &other);
    pass(q, SECOND);
    CHECK_IS(readyq_restart(&w, 5 * MS), 0);
    CHECK_IS(readyq_restart(&other, 6 * MS), 0);
    CHECK(w.queue == q);
    CHECK(other.queue == another);
    CHECK_IS(w.kind, READYQ_KIND_TIMER);
    CHECK(w.data == &data);
    check_fires(q, &w, 5 * MS, 1);
    check_fires(another, &other, 6 * MS, 1);
    readyq_close(q);
    readyq_close(another);
}

static void test_a_periodic_timer_can_be_restarted_while_it_is_taken(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 0, 10 * MS);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK(readyq_next(&batch) == &w);
    CHECK_IS(readyq_restart(&w, 3 * MS), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_done(&batch), 0);
    check_fires(q, &w, 3 * MS, 1);
    check_fires(q, &w, 10 * MS, 1);
    readyq_close(q);
}

/* Another thread's wait finds it due in the meantime. */
static void test_what_a_held_timer_missed_before_its_restart_is_dropped(void)
{
    struct worker worker;
    readyq_watch w, other;
    readyq *q = open_virtual();
    add_timer(q, &w, 0, 10 * MS);
    hire(&worker, q);
    CHECK_IS(wait_within(&worker, LONG), 1);
    CHECK(take_next(&worker) == &w);
    add_timer(q, &other, 35 * MS, 0);
    CHECK_TAKES(q, &other);
    CHECK_IS(readyq_now(q), 35 * MS);
    CHECK_IS(readyq_due(&w), 10 * MS);
    CHECK_IS(readyq_restart(&w, 3 * MS), 0);
    CHECK_IS(readyq_due(&w), 38 * MS);
    make(&worker, work_done);
    check_fires(q, &w, 3 * MS, 1);
    check_fires(q, &w, 10 * MS, 1);
    dismiss(&worker);
    readyq_close(q);
}

/* ------------------------------------------------------------------ refused */

static void test_a_timer_that_was_removed_is_not_restarted(void)
{
    readyq_watch w = {0};
    readyq *q = open_virtual();
    CHECK_IS(readyq_restart(&w, 0), -ENOENT);
    add_timer(q, &w, MS, MS);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_restart(&w, 0), -ENOENT);
    add_timer(q, &w, 0, 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_remove(&w), -ENOENT); /* it had fired; now it is removed as well */
    CHECK_IS(readyq_restart(&w, 0), -ENOENT);
    add_timer(q, &w, 0, 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_restart(&w, MS), 0); /* it is in the queue again */
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_restart(&w, 0), -ENOENT);
    CHECK_IS(readyq_size(q), 0);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_a_timer_whose_queue_was_closed_is_not_restarted(void)
{
    readyq_watch fired, running;
    readyq *q = open_virtual();
    add_timer(q, &fired, 0, 0);
    CHECK_TAKES(q, &fired);
    add_timer(q, &running, 0, 0);
    readyq_ref(q);
    CHECK_IS(readyq_close(q), 0);
    CHECK_IS(readyq_restart(&fired, 0), -ESHUTDOWN);
    CHECK_IS(readyq_restart(&running, 0), -ENOENT); /* closing removed it */
    readyq_unref(q);
    CHECK_IS(readyq_restart(&fired, 0), -ESHUTDOWN); /* even if its memory was freed */
    readyq *others[8];
    for (int i = 0; i < 8; i++) /* or belongs to another queue */
        others[i] = open_virtual();
    CHECK_IS(readyq_restart(&fired, 0), -ESHUTDOWN);
    CHECK(fired.queue == NULL);
    for (int i = 0; i < 8; i++) {
        CHECK_IS(readyq_size(others[i]), 0);
        readyq_close(others[i]);
    }
}

static void test_only_a_timer_can_be_restarted(void)
{
    int p[2];
    readyq_watch fd, trigger = {0}, signal = {0}, process = {0};
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &fd, p[0], READYQ_READ);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    CHECK_IS(readyq_add_process(q, &process, getpid()), 0);
    CHECK_IS(readyq_restart(&fd, 0), -EINVAL);
    CHECK_IS(readyq_restart(&trigger, 0), -EINVAL);
    CHECK_IS(readyq_restart(&signal, 0), -EINVAL);
    CHECK_IS(readyq_restart(&process, 0), -EINVAL);
    CHECK_QUIET(q);
    CHECK_IS(readyq_size(q), 4);
    put(p[1]);
    CHECK_TAKES(q, &fd);
    CHECK_IS(readyq_remove(&fd), 0);
    CHECK_IS(readyq_restart(&fd, 0), -ENOENT);
    readyq_close(q);
    close_pair(p);
}

static void test_a_process_that_has_fired_cannot_be_restarted(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK_IS(readyq_add_process(q, &w, pid), 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_restart(&w, 0), -EINVAL);
    CHECK(w.queue == NULL);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q);
}

static void test_a_negative_delay_is_refused_and_the_timer_runs_on(void)
{
    readyq_watch w;
    readyq *q = open_virtual();
    add_timer(q, &w, 10 * MS, 0);
    CHECK_IS(readyq_restart(&w, -1), -EINVAL);
    CHECK_IS(readyq_restart(&w, INT64_MIN), -EINVAL);
    check_fires(q, &w, 10 * MS, 1);
    CHECK_IS(readyq_restart(&w, -1), -EINVAL);
    CHECK(w.queue == NULL);
    CHECK_IS(w.ready, READYQ_FIRED);
    readyq_close(q);
}

static void test_a_delay_longer_than_the_clocks_range_never_ends(void)
{
    readyq_watch w, other;
    readyq *q = open_virtual();
    add_timer(q, &w, LONG, 0);
    pass(q, SECOND);
    CHECK_IS(readyq_restart(&w, INT64_MAX), 0);
    add_timer(q, &other, LONG, 0);
    CHECK_TAKES(q, &other);
    CHECK_IS(readyq_due(&w), INT64_MAX);
    CHECK_IS(count_ready(q, 0), 0);
    CHECK_IS(readyq_restart(&w, MS), 0);
    check_fires(q, &w, MS, 1);
    readyq_close(q);
}

/* ------------------------------------------------------------------ many */

enum { MANY = 200, STEPS = 20000 };

struct many {
    readyq *q;
    readyq_watch w[MANY];
    int64_t due[MANY]; /* -1: it is not in the queue */
    int set[MANY];     /* the step in which it was set */
};

static uint32_t random_below(uint32_t most)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % most;
}

/* The timer that must fire next. */
static int find_first(const struct many *m)
{
    int first = -1;
    for (int i = 0; i < MANY; i++)
        if (m->due[i] >= 0 && (first < 0 || m->due[i] < m->due[first] ||
                               (m->due[i] == m->due[first] && m->set[i] < m->set[first])))
            first = i;
    return first;
}

static void set_any(struct many *m, int step)
{
    const int i = (int)random_below(MANY);
    const int64_t delay = random_below(50) * MS;
    if (m->w[i].kind == READYQ_KIND_NONE)
        CHECK_IS(readyq_add_timer(m->q, &m->w[i], delay, 0), 0);
    else
        CHECK_IS(readyq_restart(&m->w[i], delay), 0);
    m->due[i] = readyq_now(m->q) + delay;
    m->set[i] = step;
}

static void remove_any(struct many *m)
{
    const int i = (int)random_below(MANY);
    CHECK_IS(readyq_remove(&m->w[i]), m->due[i] >= 0 ? 0 : -ENOENT);
    m->w[i] = (readyq_watch){0};
    m->due[i] = -1;
}

static void take_first(struct many *m)
{
    readyq_batch batch = {0};
    const int64_t before = readyq_now(m->q);
    const int first = find_first(m);
    if (first < 0)
        return;
    if (m->due[first] > before) /* else it may have been found already */
        CHECK_IS(readyq_due(&m->w[first]), m->due[first]);
    CHECK_IS(readyq_wait(m->q, &batch, -1, 1), 1);
    CHECK(readyq_next(&batch) == &m->w[first]);
    CHECK_IS(readyq_now(m->q), m->due[first] > before ? m->due[first] : before);
    CHECK_IS(readyq_done(&batch), 0);
    m->due[first] = -1;
}

static void test_many_timers_fire_in_the_order_in_which_they_are_due_however_they_were_set(void)
{
    static struct many m;
    m.q = open_virtual();
    memset(m.due, 0xff, sizeof m.due);
    for (int step = 0; step < STEPS; step++) {
        const uint32_t what = random_below(10);
        if (what < 5)
            set_any(&m, step);
        else if (what < 6)
            remove_any(&m);
        else
            take_first(&m);
    }
    while (find_first(&m) >= 0)
        take_first(&m);
    CHECK_IS(readyq_size(m.q), 0);
    readyq_close(m.q);
}

static void test_restarting_what_is_in_the_queue_allocates_nothing(void)
{
    enum { ROOM = 64 };
    readyq_watch w[ROOM];
    readyq *q = open_virtual();
    for (int i = 0; i < ROOM; i++)
        add_timer(q, &w[i], i, i % 2);
    reallocations = 0;
    for (int i = 0; i < 10 * ROOM; i++)
        CHECK_IS(readyq_restart(&w[i % ROOM], random_below(100)), 0);
    CHECK_IS(reallocations, 0);
    readyq_close(q);
}

/* Timers that were found and not taken are in the queue, too. */
static void test_restarting_what_was_found_allocates_nothing_though_others_were_added(void)
{
    enum { ROOM = 64 };
    readyq_batch batch = {0};
    readyq_watch w[2 * ROOM];
    readyq *q = open_virtual();
    for (int i = 0; i < ROOM; i++)
        add_timer(q, &w[i], 0, 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), ROOM);
    for (int i = ROOM; i < 2 * ROOM; i++)
        add_timer(q, &w[i], MS, 0);
    reallocations = 0;
    for (int i = 0; i < ROOM; i++)
        CHECK_IS(readyq_restart(&w[i], 2 * MS), 0);
    CHECK_IS(reallocations, 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
}

/* ------------------------------------------------------------------ due */

static void test_due_is_when_a_timer_fires_next_and_minus_one_of_all_else(void)
{
    int p[2];
    readyq_watch w = {0}, fd;
    readyq *q = open_virtual();
    open_pipe(p);
    CHECK_IS(readyq_due(&w), -1);
    add_timer(q, &w, 3 * MS, 10 * MS);
    CHECK_IS(readyq_due(&w), 3 * MS);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_due(&w), 13 * MS);
    CHECK_IS(readyq_restart(&w, MS), 0);
    CHECK_IS(readyq_due(&w), 4 * MS);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_due(&w), -1);
    add_timer(q, &w, 0, 0);
    CHECK_IS(count_ready(q, 0), 1);
    CHECK_IS(readyq_due(&w), -1); /* it has expired, and is not running any more */
    add(q, &fd, p[0], READYQ_READ);
    CHECK_IS(readyq_due(&fd), -1);
    readyq_close(q);
    CHECK_IS(readyq_due(&w), -1);
    close_pair(p);
}

static void test_due_is_on_the_monotonic_clock(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    const int64_t before = now_ns();
    add_timer(q, &w, SECOND, 0);
    CHECK(readyq_due(&w) >= before + SECOND);
    CHECK(readyq_due(&w) <= now_ns() + SECOND);
    const int64_t again = now_ns();
    CHECK_IS(readyq_restart(&w, 2 * MS), 0);
    CHECK(readyq_due(&w) >= again + 2 * MS);
    CHECK_TAKES(q, &w);
    CHECK(now_ns() >= again + 2 * MS);
    readyq_close(q);
}

/* ------------------------------------------------------------------ many threads */

struct restarts {
    readyq_watch w;
    atomic_int restarts;
    atomic_bool enough;
};

static void restart_again_and_again(struct worker *worker)
{
    struct restarts *of = worker->argument;
    while (!atomic_load(&of->enough)) {
        CHECK_IS(readyq_restart(&of->w, MS / 50), 0);
        of->restarts++;
    }
}

static void test_a_timer_can_be_restarted_by_several_threads_while_another_takes_it(void)
{
    struct restarts of = {0};
    struct worker workers[2];
    readyq_batch batch = {0};
    readyq *q = open_queue();
    add_timer(q, &of.w, 0, 0);
    CHECK_TAKES(q, &of.w);
    for (int i = 0; i < 2; i++) {
        hire(&workers[i], q);
        workers[i].argument = &of;
        tell(&workers[i], restart_again_and_again);
    }
    for (int i = 0; i < 300; i++) { /* one that was found may be restarted before it is taken */
        CHECK(readyq_wait(q, &batch, MS, 0) >= 0);
        while (readyq_next(&batch) != NULL)
            ;
    }
    CHECK_IS(readyq_done(&batch), 0);
    atomic_store(&of.enough, true);
    for (int i = 0; i < 2; i++) {
        await(&workers[i]);
        dismiss(&workers[i]);
    }
    CHECK(readyq_size(q) <= 1);
    take_all_within(q, MS);
    CHECK_IS(readyq_size(q), 0);
    readyq_close(q);
}

TESTS(TEST(test_a_running_timer_is_put_off_and_brought_forward),
      TEST(test_a_timer_restarted_at_every_turn_never_fires),
      TEST(test_a_timer_that_is_due_and_was_not_found_yet_is_put_off),
      TEST(test_an_expiration_that_was_found_and_not_taken_is_dropped),
      TEST(test_a_periodic_timer_fires_after_the_delay_and_then_with_its_period),
      TEST(test_a_periodic_timer_that_missed_some_starts_to_count_again),
      TEST(test_a_timer_that_was_taken_is_added_again),
      TEST(test_a_timer_that_has_left_its_queue_is_added_to_it_again),
      TEST(test_a_periodic_timer_can_be_restarted_while_it_is_taken),
      TEST(test_what_a_held_timer_missed_before_its_restart_is_dropped),
      TEST(test_a_timer_that_was_removed_is_not_restarted),
      TEST(test_a_timer_whose_queue_was_closed_is_not_restarted),
      TEST(test_only_a_timer_can_be_restarted),
      TEST(test_a_process_that_has_fired_cannot_be_restarted),
      TEST(test_a_negative_delay_is_refused_and_the_timer_runs_on),
      TEST(test_a_delay_longer_than_the_clocks_range_never_ends),
      TEST(test_many_timers_fire_in_the_order_in_which_they_are_due_however_they_were_set),
      TEST(test_restarting_what_is_in_the_queue_allocates_nothing),
      TEST(test_restarting_what_was_found_allocates_nothing_though_others_were_added),
      TEST(test_due_is_when_a_timer_fires_next_and_minus_one_of_all_else),
      TEST(test_due_is_on_the_monotonic_clock),
      TEST(test_a_timer_can_be_restarted_by_several_threads_while_another_takes_it))
