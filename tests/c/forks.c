/* SPDX-License-Identifier: MIT
 *
 * Children of every kind: of fork(); of _Fork() and clone(), which run no handlers of
 * pthread_atfork(); of a process whose other threads wait and hold batches; of a process whose
 * queues watch each other. None of them affects its parent's queues.
 */
#include "workers.h"

#include <signal.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

enum way { BY_FORK, BY_FORK_ALONE, BY_CLONE, WAYS };

#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 34)
#define HAS_FORK_ALONE
#endif
#endif

static pid_t fork_by(enum way way)
{
#if defined(HAS_FORK_ALONE)
    if (way == BY_FORK_ALONE)
        return _Fork();
#endif
#if defined(__linux__)
    if (way == BY_CLONE)
        return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
    (void)way;
    return fork();
}

/* Runs the function in a child, which must end by itself. */
static void in_child(enum way way, void (*run)(void *), void *argument)
{
    fflush(stdout);
    const pid_t pid = fork_by(way);
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(20);
        run(argument);
        _exit(0);
    }
    expect_success(pid);
}

/* ------------------------------------------------------------------ the first call in a child */

enum { LEVEL, EDGE, ONESHOT, SOCKETS };

/* A queue with one watch of each kind and a thread that sleeps in it. */
struct family {
    readyq *q;
    readyq_batch batch;
    int p[SOCKETS][2], spare[2];
    pid_t pid;
    readyq_watch w[SOCKETS], timer, fired, trigger, noted, signal, process, other;
    struct worker worker;
};

static void open_family(struct family *f)
{
    static const uint32_t modes[SOCKETS] = {0, READYQ_EDGE, READYQ_ONESHOT};
    memset(f, 0, sizeof *f);
    f->pid = fork();
    if (f->pid == 0) {
        sleep_ns(LONG);
        _exit(0);
    }
    f->q = open_queue();
    open_unix(f->spare);
    for (int i = 0; i < SOCKETS; i++) {
        open_unix(f->p[i]);
        add(f->q, &f->w[i], f->p[i][0], READYQ_READ | modes[i]);
    }
    CHECK_IS(readyq_add_timer(f->q, &f->fired, 0, 0), 0);
    CHECK_TAKES(f->q, &f->fired);
    CHECK_IS(readyq_add_timer(f->q, &f->timer, LONG, 0), 0);
    CHECK_IS(readyq_add_trigger(f->q, &f->trigger), 0);
    CHECK_IS(readyq_add_signal(f->q, &f->signal, SIGUSR1), 0);
    CHECK_IS(readyq_add_process(f->q, &f->process, f->pid), 0);
    CHECK_IS(readyq_add_trigger(f->q, &f->noted), 0);
    CHECK_IS(readyq_fire(&f->noted), 0);
    put(f->p[LEVEL][1]);
    CHECK_IS(readyq_wait(f->q, &f->batch, LONG, 0), 2); /* this thread holds these two */
    CHECK(readyq_next(&f->batch) == &f->noted);
    CHECK(readyq_next(&f->batch) == &f->w[LEVEL]);
    CHECK_IS(readyq_fire(&f->noted), 0);
    hire(&f->worker, f->q);
    CHECK_IS(wait_within(&f->worker, 0), 0); /* the kernel does not report the held one again */
    send_to_sleep(&f->worker, -1);
}

static void check_worker_takes(struct family *f, readyq_watch *w)
{
    CHECK(await_taken(&f->worker) == w);
    send_to_sleep(&f->worker, -1);
}

/* Everything still works in the parent. */
static void check_family(struct family *f)
{
    for (int i = 1; i < SOCKETS; i++) {
        put(f->p[i][1]);
        check_worker_takes(f, &f->w[i]);
    }
    get(f->p[LEVEL][0]);
    CHECK_IS(readyq_done(&f->batch), 0);
    check_worker_takes(f, &f->noted);
    put(f->p[LEVEL][1]);
    CHECK(await_taken(&f->worker) == &f->w[LEVEL]);
    get(f->p[LEVEL][0]);
    send_to_sleep(&f->worker, -1);
    CHECK_IS(readyq_fire(&f->trigger), 0);
    check_worker_takes(f, &f->trigger);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    check_worker_takes(f, &f->signal);
    CHECK_IS(readyq_restart(&f->timer, 0), 0);
    check_worker_takes(f, &f->timer);
    CHECK_IS(kill(f->pid, SIGKILL), 0);
    check_worker_takes(f, &f->process);
    CHECK(WIFSIGNALED(f->process.status));
    CHECK_IS(stats_of(f->q).rebuilds, 0);
    CHECK_IS(stats_of(f->q).ghosts, 0);
}

static void close_family(struct family *f)
{
    readyq_ref(f->q);
    CHECK_IS(readyq_close(f->q), 0);
    await(&f->worker);
    dismiss(&f->worker);
    readyq_unref(f->q);
    for (int i = 0; i < SOCKETS; i++)
        close_pair(f->p[i]);
    close_pair(f->spare);
    CHECK_IS(waitpid(f->pid, NULL, 0), f->pid);
}

static void child_removes_all(void *argument)
{
    struct family *f = argument;
    for (int i = 0; i < SOCKETS; i++)
        CHECK_IS(readyq_remove(&f->w[i]), 0);
    CHECK_IS(readyq_remove(&f->timer), 0);
    CHECK_IS(readyq_remove(&f->trigger), 0);
    CHECK_IS(readyq_remove(&f->noted), 0);
    CHECK_IS(readyq_remove(&f->signal), 0);
    CHECK_IS(readyq_remove(&f->process), 0);
    CHECK_IS(readyq_size(f->q), 0);
}

static void child_modifies(void *argument)
{
    struct family *f = argument;
    for (int i = 0; i < SOCKETS; i++)
        CHECK_IS(readyq_modify(&f->w[i], 0), 0);
}

static void child_adds(void *argument)
{
    struct family *f = argument;
    put(f->spare[1]);
    CHECK_IS(readyq_add(f->q, &f->other, f->spare[0], READYQ_READ), 0);
    get(f->spare[0]);
}

static void child_adds_other_kinds(void *argument)
{
    struct family *f = argument;
    readyq_watch w[4] = {0};
    CHECK_IS(readyq_add_timer(f->q, &w[0], 0, 0), 0);
    CHECK_IS(readyq_add_trigger(f->q, &w[1]), 0);
    CHECK_IS(readyq_add_signal(f->q, &w[2], SIGUSR2), 0);
    CHECK_IS(readyq_add_process(f->q, &w[3], getpid()), 0);
}

/* It gives back what its batch holds. */
static void child_waits(void *argument)
{
    struct family *f = argument;
    readyq_batch batch = {0};
    CHECK_IS(readyq_wait(f->q, &batch, LONG, 0), 2);
    CHECK(readyq_next(&batch) == &f->noted);
    CHECK(readyq_next(&batch) == &f->w[LEVEL]);
    get(f->p[LEVEL][0]);
    put(f->p[LEVEL][1]);
    CHECK_IS(stats_of(f->q).rebuilds, 1);
}

static void child_finishes_its_batch(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_done(&f->batch), 0);
}

static void child_takes_from_its_batch(void *argument)
{
    struct family *f = argument;
    CHECK(readyq_next(&f->batch) == NULL);
    CHECK_IS(readyq_peek(&f->batch, NULL, NULL, 0), 0);
}

static void child_fires_and_wakes(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_fire(&f->trigger), 0);
    CHECK_IS(readyq_wake(f->q), 0);
    CHECK_IS(raise(SIGUSR1), 0);
}

static void child_wakes(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_wake(f->q), 0);
    CHECK_IS(raise(SIGUSR1), 0);
}

static void child_restarts(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_restart(&f->timer, 0), 0);
}

static void child_restarts_what_had_fired(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_restart(&f->fired, 0), 0);
}

static void child_asks(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_size(f->q), 8);
    CHECK(readyq_find(f->q, f->p[EDGE][0]) == &f->w[EDGE]);
    CHECK(readyq_stale(f->q) == NULL);
    CHECK_IS(readyq_ghost(f->q), -1);
    CHECK(readyq_now(f->q) > 0);
    CHECK(readyq_due(&f->timer) > 0);
}

static void child_asks_for_a_descriptor(void *argument)
{
    struct family *f = argument;
    CHECK(readyq_fileno(f->q) >= 0);
}

static void child_closes(void *argument)
{
    struct family *f = argument;
    CHECK_IS(readyq_close(f->q), 0);
    CHECK(f->w[EDGE].queue == NULL);
}

static void child_opens_another_queue(void *argument)
{
    struct family *f = argument;
    readyq_watch w;
    readyq *q = open_queue();
    add(q, &w, f->p[LEVEL][0], READYQ_READ);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_close(q), 0);
}

static void child_closes_its_files(void *argument)
{
    struct family *f = argument;
    for (int i = 0; i < SOCKETS; i++)
        close(f->p[i][0]);
    for (int i = 0; i < SOCKETS; i++)
        CHECK_IS(readyq_remove(&f->w[i]), 0);
}

static void check_first_calls(enum way way)
{
    static void (*const calls[])(void *) = {
        child_removes_all,
        child_modifies,
        child_adds,
        child_adds_other_kinds,
        child_waits,
        child_finishes_its_batch,
        child_fires_and_wakes,
        child_wakes,
        child_restarts,
        child_restarts_what_had_fired,
        child_asks,
        child_asks_for_a_descriptor,
        child_closes,
        child_opens_another_queue,
        child_closes_its_files,
        child_takes_from_its_batch,
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct family f;
        open_family(&f);
        const uint64_t before = stats_of(f.q).kernel_waits;
        in_child(way, calls[i], &f);
        sleep_ns(MS);
        CHECK(!is_idle(&f.worker));
        CHECK_IS(stats_of(f.q).kernel_waits, before); /* it was not even kicked */
        if (i % 4 == 0 || calls[i] == child_finishes_its_batch)
            in_child(way, child_waits, &f);
        check_family(&f);
        close_family(&f);
    }
}

static void test_whatever_a_child_does_first_does_not_reach_its_parent(void)
{
    check_first_calls(BY_FORK);
}

static void test_whatever_a_child_of_Fork_does_first_does_not_reach_its_parent(void)
{
    check_first_calls(BY_FORK_ALONE);
}

static void test_whatever_a_child_of_clone_does_first_does_not_reach_its_parent(void)
{
    check_first_calls(BY_CLONE);
}

/* ------------------------------------------------------------------ while a lock is held */

struct locked {
    readyq *q;
    readyq_batch batch;
    readyq_watch w, timer;
    atomic_bool enough;
};

static void *keep_locking(void *argument)
{
    struct locked *locked = argument;
    while (!locked->enough)
        readyq_size(locked->q);
    return NULL;
}

static void child_calls_all(void *argument)
{
    struct locked *locked = argument;
    struct readyq_stats stats;
    readyq_watch *w = NULL;
    CHECK_IS(readyq_size(locked->q), 2);
    CHECK(readyq_find(locked->q, locked->w.fd) == &locked->w);
    CHECK(readyq_now(locked->q) > 0);
    CHECK_IS(readyq_stats(locked->q, &stats), 0);
    CHECK_IS(readyq_ghost(locked->q), -1);
    CHECK(readyq_stale(locked->q) == NULL);
    CHECK_IS(readyq_peek(&locked->batch, &w, NULL, 1), 1);
    CHECK(readyq_next(&locked->batch) == &locked->w);
    readyq_unref(readyq_ref(locked->q));
}

/* The child's copy of the lock may be held by a thread that it does not have. */
static void test_a_child_of_Fork_does_not_wait_for_a_thread_of_its_parent(void)
{
    struct locked locked = {.q = open_queue()};
    int p[2];
    open_pipe(p);
    put(p[1]);
    add(locked.q, &locked.w, p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(locked.q, &locked.timer, LONG, 0), 0);
    CHECK_IS(readyq_wait(locked.q, &locked.batch, LONG, 0), 1);
    pthread_t thread = start(keep_locking, &locked);
    for (int i = 0; i < 40; i++)
        in_child(BY_FORK_ALONE, child_calls_all, &locked);
    locked.enough = true;
    join(thread);
    readyq_done(&locked.batch);
    readyq_close(locked.q);
    close_pair(p);
}

/* ------------------------------------------------------------------ without other threads */

struct plain {
    readyq *q;
    int p[2], other[2];
    readyq_watch w, later;
    enum way way;
};

static void grandchild(void *argument)
{
    struct plain *s = argument;
    CHECK_TAKES(s->q, &s->w);
    CHECK_IS(readyq_remove(&s->w), 0);
    CHECK_IS(readyq_add(s->q, &s->later, s->other[0], READYQ_READ), 0);
    CHECK_QUIET(s->q);
}

static void child_and_grandchild(void *argument)
{
    struct plain *s = argument;
    in_child(s->way, grandchild, s);
    CHECK_TAKES(s->q, &s->w);
    in_child(s->way, grandchild, s);
    CHECK_TAKES(s->q, &s->w);
    get(s->p[0]);
    CHECK_QUIET(s->q);
    put(s->p[1]);
    CHECK_IS(stats_of(s->q).rebuilds, 1);
}

static void test_a_child_and_its_child_each_have_a_queue_of_their_own(void)
{
    for (int way = 0; way < WAYS; way++) {
        struct plain s = {.q = open_queue(), .way = (enum way)way};
        open_unix(s.p);
        open_unix(s.other);
        add(s.q, &s.w, s.p[0], READYQ_READ);
        put(s.p[1]);
        in_child(s.way, child_and_grandchild, &s);
        CHECK_TAKES(s.q, &s.w);
        get(s.p[0]);
        CHECK_QUIET(s.q);
        put(s.other[1]);
        CHECK_QUIET(s.q);
        CHECK_IS(stats_of(s.q).rebuilds, 0);
        readyq_close(s.q);
        close_pair(s.p);
        close_pair(s.other);
    }
}

static void child_has_threads(void *argument)
{
    struct plain *s = argument;
    struct worker workers[2];
    for (int i = 0; i < 2; i++) {
        hire(&workers[i], s->q);
        send_to_sleep(&workers[i], -1);
    }
    put(s->p[1]);
    while (!is_idle(&workers[0]) && !is_idle(&workers[1]))
        sleep_ns(MS / 10);
    struct worker *first = &workers[is_idle(&workers[0]) ? 0 : 1];
    CHECK(take_next(first) == &s->w);
    get(s->p[0]);
    CHECK_IS(readyq_wake(s->q), 0);
    for (int i = 0; i < 2; i++) {
        await(&workers[i]);
        dismiss(&workers[i]);
    }
}

static void test_threads_of_a_child_can_wait_on_its_queue(void)
{
    struct plain s = {.q = open_queue()};
    open_unix(s.p);
    add(s.q, &s.w, s.p[0], READYQ_READ);
    in_child(BY_FORK, child_has_threads, &s);
    CHECK_QUIET(s.q);
    readyq_close(s.q);
    close_pair(s.p);
}

/* ------------------------------------------------------------------ batches at the fork */

enum { MANY = 4 };

/* The watches of which this thread has taken half, and those that other threads hold, each in
 * another state. */
struct held {
    readyq *q;
    readyq_batch batch;
    int level[2], pending[2];
    readyq_watch mine[MANY], level_taken, edge_pending, trigger_taken, timer_taken;
    struct worker workers[3];
    bool finish;
};

static void open_held(struct held *h)
{
    memset(h, 0, sizeof *h);
    h->q = open_queue();
    open_unix(h->level);
    open_unix(h->pending);
    for (int i = 0; i < 3; i++)
        hire(&h->workers[i], h->q);
    add(h->q, &h->level_taken, h->level[0], READYQ_READ);
    put(h->level[1]);
    CHECK_IS(readyq_add_trigger(h->q, &h->trigger_taken), 0);
    CHECK_IS(readyq_fire(&h->trigger_taken), 0);
    CHECK_IS(readyq_add_timer(h->q, &h->timer_taken, 0, MS), 0);
    CHECK_IS(wait_within(&h->workers[0], LONG), 3);
    for (int i = 0; i < 3; i++)
        CHECK(take_next(&h->workers[0]) != NULL);
    CHECK_IS(readyq_fire(&h->trigger_taken), 0);
    add(h->q, &h->edge_pending, h->pending[0], READYQ_READ | READYQ_EDGE);
    put(h->pending[1]);
    CHECK_IS(wait_within(&h->workers[1], LONG), 1);
    for (int i = 0; i < MANY; i++) {
        CHECK_IS(readyq_add_trigger(h->q, &h->mine[i]), 0);
        CHECK_IS(readyq_fire(&h->mine[i]), 0);
    }
    CHECK_IS(readyq_wait(h->q, &h->batch, LONG, 0), MANY);
    CHECK(readyq_next(&h->batch) == &h->mine[0]);
    send_to_sleep(&h->workers[2], -1);
    sleep_ns(5 * MS); /* the timer is due again, and the level-triggered one was reported again */
}

static void child_goes_on(void *argument)
{
    struct held *h = argument;
    readyq_batch batch = {0};
    int found = 0;
    for (int i = 1; i < MANY; i++) {
        CHECK(readyq_next(&h->batch) == &h->mine[i]);
        CHECK_IS(h->mine[i].count, 1);
    }
    CHECK(readyq_next(&h->batch) == NULL);
    CHECK_IS(readyq_fire(&h->mine[0]), 0);
    if (h->finish)
        CHECK_IS(readyq_done(&h->batch), 0);
    CHECK_IS(readyq_wait(h->q, &batch, LONG, 0), 5);
    for (readyq_watch *w; (w = readyq_next(&batch)) != NULL;)
        found += w == &h->level_taken     ? 1
                 : w == &h->edge_pending  ? 10
                 : w == &h->trigger_taken ? 100
                 : w == &h->timer_taken   ? 1000
                 : w == &h->mine[0]       ? 10000
                                          : 0;
    CHECK_IS(found, 11111);
    CHECK(h->timer_taken.count >= 4);
    get(h->level[0]);
    put(h->level[1]);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(readyq_close(h->q), 0);
}

static void check_held_in_parent(struct held *h)
{
    CHECK(!is_idle(&h->workers[2]));
    for (int i = 1; i < MANY; i++)
        CHECK(readyq_next(&h->batch) == &h->mine[i]);
    CHECK(take_next(&h->workers[1]) == &h->edge_pending);
    CHECK(!is_idle_within(&h->workers[2], MS));
    make(&h->workers[0], work_done);
    await(&h->workers[2]);
    CHECK(h->workers[2].result > 0);
    CHECK_IS(stats_of(h->q).rebuilds, 0);
}

static void test_a_child_goes_on_with_its_own_batch_and_gets_what_other_threads_held(void)
{
    for (int way = 0; way < WAYS; way++)
        for (int finish = 0; finish < 2; finish++) {
            struct held h;
            open_held(&h);
            h.finish = finish;
            in_child((enum way)way, child_goes_on, &h);
            in_child((enum way)way, child_goes_on, &h);
            check_held_in_parent(&h);
            CHECK_IS(readyq_done(&h.batch), 0);
            for (int i = 0; i < 3; i++)
                dismiss(&h.workers[i]);
            readyq_close(h.q);
            close_pair(h.level);
            close_pair(h.pending);
        }
}

/* The child cannot know what the other threads were about to do with it. */
static void child_closes_with_open_batches(void *argument)
{
    struct held *h = argument;
    CHECK_IS(readyq_close(h->q), 0);
    CHECK(readyq_next(&h->batch) == NULL);
    CHECK_IS(readyq_done(&h->batch), 0);
}

static void test_a_child_may_close_a_queue_whose_batches_are_open_in_other_threads(void)
{
    for (int way = 0; way < WAYS; way++) {
        struct held h;
        open_held(&h);
        in_child((enum way)way, child_closes_with_open_batches, &h);
        check_held_in_parent(&h);
        CHECK_IS(readyq_done(&h.batch), 0);
        for (int i = 0; i < 3; i++)
            dismiss(&h.workers[i]);
        readyq_close(h.q);
        close_pair(h.level);
        close_pair(h.pending);
    }
}

struct forker {
    readyq *q;
    atomic_bool enough;
    readyq_watch w[3];
};

static void take_and_leave(struct worker *worker)
{
    struct forker *f = worker->argument;
    for (int i = 0; !f->enough; i++) {
        CHECK(readyq_wait(worker->q, &worker->batch, MS, i % 3) >= 0);
        readyq_next(&worker->batch);
        if (i % 2)
            work_done(worker);
    }
    work_done(worker);
}

static void child_uses_queue(void *argument)
{
    struct forker *f = argument;
    CHECK(take_all_within(f->q, MS) >= 0);
    CHECK(take_all_within(f->q, LONG) > 0);
    CHECK_IS(readyq_size(f->q), 3);
    CHECK_IS(readyq_close(f->q), 0);
}

static void test_forks_in_the_middle_of_the_waits_of_a_pool_work(void)
{
    struct forker f = {.q = open_queue()};
    struct worker workers[2];
    for (int i = 0; i < 3; i++)
        CHECK_IS(readyq_add_timer(f.q, &f.w[i], 0, MS / 20 * (i + 1)), 0);
    for (int i = 0; i < 2; i++) {
        hire(&workers[i], f.q);
        workers[i].argument = &f;
        tell(&workers[i], take_and_leave);
    }
    for (int i = 0; i < 40; i++)
        in_child(BY_FORK, child_uses_queue, &f);
    f.enough = true;
    for (int i = 0; i < 2; i++) {
        await(&workers[i]);
        dismiss(&workers[i]);
    }
    CHECK_IS(stats_of(f.q).rebuilds, 0);
    readyq_close(f.q);
}

/* ------------------------------------------------------------------ queues in queues */

struct nested {
    readyq *outer, *inner;
    readyq_watch w, trigger, socket, ticks;
    int p[2], number;
};

static void open_nested(struct nested *n)
{
    memset(n, 0, sizeof *n);
    n->outer = open_queue();
    n->inner = open_queue();
    open_unix(n->p);
    n->number = readyq_fileno(n->inner);
    add(n->outer, &n->w, n->number, READYQ_READ);
    CHECK_IS(readyq_add_trigger(n->inner, &n->trigger), 0);
    add(n->inner, &n->socket, n->p[0], READYQ_READ);
}

static void close_nested(struct nested *n)
{
    readyq_close(n->outer);
    readyq_close(n->inner);
    close_pair(n->p);
}

/* The outer queue may report the inner one once without reason, before the inner one was used. */
static void settle(struct nested *n)
{
    for (int i = 0; i < 2 && take_within(n->outer, 0) != NULL; i++)
        CHECK(take_within(n->inner, 0) == NULL);
}

static void check_both_work(struct nested *n)
{
    settle(n);
    const struct readyq_stats before = stats_of(n->outer);
    CHECK_QUIET(n->outer);
    CHECK_IS(readyq_fire(&n->trigger), 0);
    CHECK_TAKES(n->outer, &n->w);
    CHECK_TAKES(n->inner, &n->trigger);
    CHECK_QUIET(n->outer);
    put(n->p[1]);
    CHECK_TAKES(n->outer, &n->w);
    CHECK_TAKES(n->inner, &n->socket);
    get(n->p[0]);
    CHECK_IS(count_ready(n->inner, 0), 0);
    CHECK_QUIET(n->outer);
    CHECK(stats_of(n->outer).kernel_waits - before.kernel_waits < 30);
    CHECK_IS(readyq_fileno(n->inner), n->number);
}

static void child_uses_outer_first(void *argument)
{
    struct nested *n = argument;
    take_within(n->outer, 0);
    check_both_work(n);
}

static void child_uses_inner_first(void *argument)
{
    struct nested *n = argument;
    CHECK(take_within(n->inner, 0) == NULL);
    check_both_work(n);
}

static void child_fires_inner_first(void *argument)
{
    struct nested *n = argument;
    CHECK_IS(readyq_fire(&n->trigger), 0);
    CHECK_TAKES(n->outer, &n->w);
    CHECK_TAKES(n->inner, &n->trigger);
    check_both_work(n);
}

static void child_uses_outer_alone(void *argument)
{
    struct nested *n = argument;
    CHECK_IS(readyq_remove(&n->w), 0);
    CHECK_QUIET(n->outer);
    CHECK(stats_of(n->outer).kernel_waits < 20);
}

static void child_closes_inner(void *argument)
{
    struct nested *n = argument;
    CHECK_IS(readyq_close(n->inner), 0);
    CHECK_QUIET(n->outer);
    CHECK_IS(readyq_remove(&n->w), 0);
}

static void child_closes_outer(void *argument)
{
    struct nested *n = argument;
    CHECK_IS(readyq_close(n->outer), 0);
    CHECK_IS(readyq_fire(&n->trigger), 0);
    CHECK_TAKES(n->inner, &n->trigger);
}

/* An outer queue with a periodic timer, and an inner one that is served whenever it is reported. */
static void child_does_not_spin(void *argument)
{
    struct nested *n = argument;
    int ticks = 0, reported = 0;
    CHECK_IS(readyq_add_timer(n->outer, &n->ticks, MS, MS), 0);
    const uint64_t before = stats_of(n->outer).kernel_waits;
    while (ticks < 30) {
        readyq_batch batch = {0};
        CHECK(readyq_wait(n->outer, &batch, LONG, 0) > 0);
        for (readyq_watch *w; (w = readyq_next(&batch)) != NULL;)
            if (w == &n->ticks) {
                ticks += (int)w->count;
            } else {
                reported++;
                CHECK(take_within(n->inner, 0) == NULL);
            }
        CHECK_IS(readyq_done(&batch), 0);
    }
    CHECK(reported <= 2);
    CHECK(stats_of(n->outer).kernel_waits - before < 200);
}

static void test_queues_that_watch_each_other_work_in_a_child_and_in_its_parent(void)
{
    static void (*const bodies[])(void *) = {
        child_uses_outer_first, child_uses_inner_first, child_fires_inner_first,
        child_uses_outer_alone, child_closes_inner,     child_closes_outer,
        child_does_not_spin,
    };
    for (int way = 0; way < WAYS; way++)
        for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
            struct nested n;
            open_nested(&n);
            in_child((enum way)way, bodies[i], &n);
            check_both_work(&n);
            CHECK_IS(stats_of(n.outer).rebuilds, 0);
            CHECK_IS(stats_of(n.inner).rebuilds, 0);
            close_nested(&n);
        }
}

static void test_a_child_whose_parent_used_its_queues_before_has_its_own(void)
{
    for (int way = 0; way < WAYS; way++) {
        struct nested n;
        open_nested(&n);
        check_both_work(&n);
        CHECK_IS(readyq_fire(&n.trigger), 0); /* the rest is delivered in both processes */
        in_child((enum way)way, child_fires_inner_first, &n);
        CHECK_TAKES(n.outer, &n.w);
        CHECK_TAKES(n.inner, &n.trigger);
        CHECK_IS(n.trigger.count, 1);
        check_both_work(&n);
        close_nested(&n);
    }
}

/* ------------------------------------------------------------------ chains of queues */

struct chain {
    readyq *q[3];
    readyq_watch w[2], trigger;
};

static void open_chain(struct chain *c)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < 3; i++)
        c->q[i] = open_queue();
    for (int i = 0; i < 2; i++)
        add(c->q[i], &c->w[i], readyq_fileno(c->q[i + 1]), READYQ_READ);
    CHECK_IS(readyq_add_trigger(c->q[2], &c->trigger), 0);
}

static void check_chain(void *argument)
{
    struct chain *c = argument;
    for (int i = 0; i < 3; i++) { /* in a child each queue must be used once */
        take_within(c->q[0], 0);
        take_within(c->q[1], 0);
        take_within(c->q[2], 0);
    }
    CHECK_QUIET(c->q[0]);
    CHECK_IS(readyq_fire(&c->trigger), 0);
    CHECK_TAKES(c->q[0], &c->w[0]);
    CHECK_TAKES(c->q[1], &c->w[1]);
    CHECK_TAKES(c->q[2], &c->trigger);
    take_within(c->q[1], 0);
    CHECK_QUIET(c->q[0]);
}

static void close_chain(struct chain *c)
{
    for (int i = 0; i < 3; i++)
        readyq_close(c->q[i]);
}

static void test_several_chains_of_three_queues_work_side_by_side_and_in_a_child(void)
{
    enum { CHAINS = 3 };
    struct chain c[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        open_chain(&c[i]);
    for (int i = 0; i < CHAINS; i++)
        check_chain(&c[i]);
    for (int i = 0; i < CHAINS; i++)
        in_child((enum way)(i % WAYS), check_chain, &c[i]);
    for (int i = 0; i < CHAINS; i++) {
        check_chain(&c[i]);
        close_chain(&c[i]);
    }
}

static void test_two_queues_may_watch_the_same_one(void)
{
    readyq_watch w[2], trigger = {0};
    readyq *outer[2] = {open_queue(), open_queue()}, *inner = open_queue();
    for (int i = 0; i < 2; i++)
        add(outer[i], &w[i], readyq_fileno(inner), READYQ_READ);
    CHECK_IS(readyq_add_trigger(inner, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    for (int i = 0; i < 2; i++)
        CHECK_TAKES(outer[i], &w[i]);
    CHECK_TAKES(inner, &trigger);
    for (int i = 0; i < 2; i++) {
        CHECK_QUIET(outer[i]);
        readyq_close(outer[i]);
    }
    readyq_close(inner);
}

/* A queue that was nested too deep works when it is added elsewhere. */
static void test_a_queue_that_was_too_deep_is_left_as_it_was(void)
{
    struct chain c;
    readyq_watch w = {0}, trigger = {0};
    readyq *deep = open_queue(), *outer = open_queue();
    open_chain(&c);
    CHECK_IS(readyq_add_trigger(deep, &trigger), 0);
    const int fd = readyq_fileno(deep), error = readyq_add(c.q[2], &w, fd, READYQ_READ);
    if (has_ghosts(deep))
        CHECK_IS(error, -ELOOP);
    if (error == 0)
        CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_size(c.q[2]), 1);
    check_chain(&c);
    CHECK_IS(readyq_add(outer, &w, fd, READYQ_READ), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(outer, &w);
    CHECK_TAKES(deep, &trigger);
    readyq_close(outer);
    readyq_close(deep);
    close_chain(&c);
}

/* ------------------------------------------------------------------ processes */

static pid_t start_waiting_child(int *release)
{
    int p[2];
    CHECK_IS(pipe(p), 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char byte;
        close(p[1]);
        (void)!read(p[0], &byte, 1);
        _exit(3);
    }
    close(p[0]);
    *release = p[1];
    return pid;
}

static void test_the_status_of_a_child_that_was_reaped_before_it_was_found_is_unknown(void)
{
    int release;
    readyq_watch w = {0};
    readyq *q = open_queue();
    const pid_t pid = start_waiting_child(&release);
    CHECK_IS(readyq_add_process(q, &w, pid), 0);
    close(release);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_FIRED);
    CHECK_IS(w.pid, pid);
    CHECK_IS(w.status, -1);
    CHECK_IS(readyq_add_process(q, &w, pid), -ESRCH);
    readyq_close(q);
}

#if HAS_EPOLL && defined(SYS_clone3)
/* A child with this id, or -1 where that is not permitted. */
static pid_t fork_with_id(pid_t id)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } arguments = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&id, .set_tid_size = 1};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}
#else
static pid_t fork_with_id(pid_t id)
{
    (void)id;
    return -1;
}
#endif

/* Another process has the id now; it is alive, or has ended with a status of its own. */
static void check_reused_id(bool alive)
{
    int release;
    readyq_watch w = {0};
    siginfo_t info;
    readyq *q = open_queue();
    const pid_t pid = start_waiting_child(&release);
    CHECK_IS(readyq_add_process(q, &w, pid), 0);
    close(release);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    const pid_t other = fork_with_id(pid);
    if (other == 0) {
        while (alive)
            sleep_ns(LONG);
        _exit(7);
    }
    CHECK(other == -1 || other == pid);
    if (other > 0 && !alive)
        CHECK_IS(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT), 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.status, -1);
    readyq_close(q);
    if (other <= 0)
        return;
    CHECK_IS(kill(other, SIGKILL), 0);
    CHECK_IS(waitpid(other, NULL, 0), other);
}

static void test_the_status_is_not_that_of_another_process_that_has_the_same_id_now(void)
{
    check_reused_id(false);
    check_reused_id(true);
}

TESTS(TEST(test_whatever_a_child_does_first_does_not_reach_its_parent),
      TEST(test_whatever_a_child_of_Fork_does_first_does_not_reach_its_parent),
      TEST(test_whatever_a_child_of_clone_does_first_does_not_reach_its_parent),
      TEST(test_a_child_of_Fork_does_not_wait_for_a_thread_of_its_parent),
      TEST(test_a_child_and_its_child_each_have_a_queue_of_their_own),
      TEST(test_threads_of_a_child_can_wait_on_its_queue),
      TEST(test_a_child_goes_on_with_its_own_batch_and_gets_what_other_threads_held),
      TEST(test_a_child_may_close_a_queue_whose_batches_are_open_in_other_threads),
      TEST(test_forks_in_the_middle_of_the_waits_of_a_pool_work),
      TEST(test_queues_that_watch_each_other_work_in_a_child_and_in_its_parent),
      TEST(test_a_child_whose_parent_used_its_queues_before_has_its_own),
      TEST(test_several_chains_of_three_queues_work_side_by_side_and_in_a_child),
      TEST(test_two_queues_may_watch_the_same_one),
      TEST(test_a_queue_that_was_too_deep_is_left_as_it_was),
      TEST(test_the_status_of_a_child_that_was_reaped_before_it_was_found_is_unknown),
      TEST(test_the_status_is_not_that_of_another_process_that_has_the_same_id_now))
