/* SPDX-License-Identifier: MIT
 *
 * Failing system calls. The linker replaces the core's system calls and allocations by those in
 * faults.h, one of which fails: each in turn, with each error that it can have, until the whole
 * story passes without a failure. A call to readyq that fails returns that error, and succeeds when
 * it is repeated. A failure that the core can work around or repeat by itself is not visible.
 */
#include "faults.h"
#include "things.h"

enum { TIMERS = 20, FDS = 5, EVERYTHING = FDS - 1 + 3 + TIMERS + 3, HIT = 10 };

struct story {
    readyq *q;
    readyq_batch batch;
    int p[FDS][2], high, file, null;
    readyq_watch fds[FDS], table, always, device, timers[TIMERS], signal, trigger, ended;
    const char *round; /* the data of all watches that were taken in this round */
};

static pid_t dead;   /* a child that has ended and is not reaped */
static bool removes; /* the first call in a child is a remove */
static bool at_fork; /* system calls of fork()'s handlers fail, too */

/* ------------------------------------------------------------------ the story */

static void add_all(struct story *s)
{
    static const uint32_t interests[FDS] = {READYQ_READ, READYQ_READ | READYQ_EDGE,
                                            READYQ_READ | READYQ_ONESHOT,
                                            READYQ_READ | READYQ_EXCLUSIVE, 0};

    for (int i = 0; i < FDS; i++)
        TRY(readyq_add(s->q, &s->fds[i], s->p[i][0], interests[i]));
    TRY(readyq_add(s->q, &s->table, s->high, READYQ_READ));
    TRY(readyq_add(s->q, &s->always, s->file, READYQ_READ | READYQ_ONESHOT));
    TRY(readyq_add(s->q, &s->device, s->null, READYQ_WRITE | READYQ_EDGE));
    for (int i = 0; i < TIMERS; i++)
        TRY(readyq_add_timer(s->q, &s->timers[i], 0, 0));
    TRY(readyq_add_signal(s->q, &s->signal, SIGUSR1));
    TRY(readyq_add_trigger(s->q, &s->trigger));
    TRY(readyq_add_process(s->q, &s->ended, dead));
    CHECK_IS(readyq_size(s->q), FDS + TIMERS + 6);
}

/* Waits until `expected` watches have been taken, each counted once. */
static void take_all(struct story *s, int expected)
{
    readyq_watch *w;

    s->round++;
    for (int waits = 0; expected > 0; waits++) {
        CHECK(waits < 10);
        TRY(readyq_wait(s->q, &s->batch, LONG, 0));
        while ((w = readyq_next(&s->batch)) != NULL) {
            expected -= w->data != s->round;
            w->data = (void *)(uintptr_t)s->round;
        }
    }
    CHECK_IS(expected, 0);
}

static void make_ready(struct story *s)
{
    for (int i = 0; i < FDS; i++)
        put(s->p[i][1]);
    TRY(readyq_fire(&s->trigger));
    raise(SIGUSR1);
}

static void drain_all(struct story *s)
{
    for (int i = 0; i < FDS; i++)
        get(s->p[i][0]);
}

static void sleep_for(struct story *s, int64_t timeout)
{
    const int64_t start = now_ns();

    TRY(readyq_wait(s->q, &s->batch, timeout, 0));
    CHECK(readyq_next(&s->batch) == NULL);
    CHECK(now_ns() - start >= timeout);
}

/* The same again, after each watch was changed. */
static void modify_all(struct story *s)
{
    for (int i = 0; i < FDS; i++)
        TRY(readyq_modify(&s->fds[i], READYQ_READ));
    TRY(readyq_modify(&s->always, 0));
    sleep_for(s, MS / 10);
    make_ready(s);
    take_all(s, FDS + 3);
    drain_all(s);
}

/* A number that was closed while a duplicate keeps its file open. If the kernel keeps the
 * registration too, its queue is replaced. */
static void lose_ghost(struct story *s)
{
    readyq_watch w = {0};
    int p[2], keeper;

    open_pipe(p);
    put(p[1]);
    TRY(readyq_add(s->q, &w, p[0], READYQ_READ));
    keeper = dup(p[0]);
    close(p[0]);
    TRY(readyq_remove(&w));
    TRY(readyq_wait(s->q, &s->batch, 0, 0));
    CHECK(readyq_next(&s->batch) == NULL);
    make_ready(s);
    take_all(s, FDS + 3);
    drain_all(s);
    close(keeper);
    close(p[1]);
}

static void remove_all(struct story *s)
{
    for (int i = 0; i < FDS; i++)
        TRY(readyq_remove(&s->fds[i]));
    TRY(readyq_remove(&s->always));
    TRY(readyq_remove(&s->device));
    TRY(readyq_remove(&s->signal));
    TRY(readyq_remove(&s->trigger));
    CHECK_IS(readyq_size(s->q), 1);
}

static void begin(struct story *s)
{
    static const char rounds[8];

    memset(s, 0, sizeof *s);
    s->round = rounds;
    open_pipe(s->p[0]);
    for (int i = 1; i < FDS; i++)
        open_unix(s->p[i]);
    s->high = fcntl(s->p[0][0], F_DUPFD, 300); /* the table has to grow for it */
    s->file = open_file();
    s->null = open("/dev/null", O_RDWR);
}

static void end(struct story *s)
{
    TRY(readyq_close(s->q));
    CHECK_IS(readyq_done(&s->batch), 0);
    for (int i = 0; i < FDS; i++)
        close_pair(s->p[i]);
    close(s->high);
    close(s->file);
    close(s->null);
}

static void tell(struct story *s)
{
    TRY(readyq_open(&s->q, NULL));
    add_all(s);
    make_ready(s);
    take_all(s, EVERYTHING);
    drain_all(s);
    TRY(readyq_fileno(s->q));
    modify_all(s);
    lose_ghost(s);
    remove_all(s);
}

/* ------------------------------------------------------------------ a child, a second waiter */

/* A system call fails in the child, which opens a kernel queue of its own, and nowhere else. The
 * exit status of the child says whether one failed. */
static void tell_in_child(struct story *s)
{
    const int error = fault.error, before = count_descriptors();
    int status = 0;
    pid_t pid;

    fault.error = NONE;
    s->q = open_queue();
    add_all(s);
    CHECK(readyq_fileno(s->q) >= 0);
    fault.error = error;
    fault.armed = at_fork;
    pid = fork();
    fault.armed = false;
    if (pid == 0) {
        make_ready(s);
        if (removes)
            TRY(readyq_remove(&s->timers[0]));
        else
            TRY(readyq_modify(&s->fds[0], READYQ_READ));
        take_all(s, EVERYTHING - removes);
        TRY(readyq_close(s->q));
        CHECK_IS(count_descriptors(), before);
        _exit(fault.hit != NULL ? HIT : 0);
    }
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK(status == 0 || status == HIT << 8);
    fault.hit = status != 0 ? "in the child" : NULL;
    drain_all(s);
}

static void *wait_for_wake(void *q)
{
    CHECK_IS(count_ready(q, LONG), 0);
    return NULL;
}

/* Two threads wait, and the wait of the second one fails. */
static void tell_to_two(struct story *s)
{
    const int error = fault.error;
    pthread_t first;

    s->q = open_queue();
    first = start(wait_for_wake, s->q);
    while (stats_of(s->q).kernel_waits == 0)
        sleep_ns(MS);
    sleep_ns(SOON);
    sleep_for(s, MS);
    fault.error = NONE;
    CHECK_IS(readyq_wake(s->q), 0);
    join(first);
    fault.error = error;
}

/* ------------------------------------------------------------------ each call in turn */

static void start_dead_child(void)
{
    dead = fork();
    if (dead == 0)
        _exit(7);
    CHECK(dead > 0);
    CHECK_IS(waitid(P_PID, (id_t)dead, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
}

/* Runs the story with the n-th system call failing. Returns whether there was one. */
static bool hits(void (*story)(struct story *), int error, bool may_show, int n)
{
    static struct story s;

    if (dead == 0)
        start_dead_child();
    begin(&s);
    fault.error = error;
    fault.may_show = may_show;
    fault.hit = NULL;
    fault.left = n;
    story(&s);
    end(&s);
    return fault.hit != NULL;
}

static void sweep_story(void (*story)(struct story *), int error, bool may_show, int least)
{
    int n = 0;

    while (hits(story, error, may_show, n))
        n++;
    CHECK(n >= least);
}

static void sweep(int error, bool may_show, int least)
{
    sweep_story(tell, error, may_show, least);
}

static void sweep_two(int error)
{
    sweep_story(tell_to_two, error, false, 1);
}

static void test_an_interrupted_call_is_made_again(void)
{
    sweep(EINTR, false, 3);
}

static void test_a_call_that_has_to_be_made_again_is(void)
{
    sweep(EAGAIN, false, 0);
    sweep(EBUSY, false, 0);
}

static void test_a_call_that_returns_early_is_made_again(void)
{
    sweep(SHORT, false, 1);
}

static void test_a_close_that_fails_has_closed(void)
{
    sweep(EIO, false, 3);
}

static void test_a_lack_of_descriptors_is_reported_and_changes_nothing(void)
{
    sweep(EMFILE, true, 3);
    sweep(ENFILE, true, 3);
}

static void test_a_lack_of_memory_is_reported_and_changes_nothing(void)
{
    sweep(ENOMEM, true, 10);
}

static void test_a_lack_of_room_for_watches_is_reported_and_changes_nothing(void)
{
    sweep(ENOSPC, true, 0);
}

static void test_what_the_kernel_does_not_have_is_done_without(void)
{
    sweep(EINVAL, false, 1);
    sweep(ENOSYS, true, 2);
}

/* The page is mapped once, when a process opens its first queue, so each case has its own
 * process. */
static void test_without_a_page_that_a_fork_clears_a_child_has_its_own_queue_too(void)
{
    const int errors[] = {ENODEV, ENOTSUP};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        const pid_t pid = fork();

        if (pid == 0) {
            CHECK(hits(tell, errors[i], false, 0));
            CHECK(!hits(tell_in_child, NONE, false, 0));
            _exit(0);
        }
        expect_success(pid);
    }
}

static void test_what_a_sandbox_forbids_is_done_without(void)
{
    sweep(EPERM, true, 2);
}

static void test_what_is_done_instead_can_fail_too(void)
{
    sweep(ENOSYS, true, 2);
    sweep(EINTR, false, 3);
    sweep(SHORT, false, 1);
    sweep(ENOMEM, true, 10);
}

static void test_what_a_child_opens_again_can_fail(void)
{
    const int shown[] = {EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM};

    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        sweep_story(tell_in_child, shown[i], true, 1);
    removes = true;
    sweep_story(tell_in_child, EMFILE, true, 1);
    sweep_story(tell_in_child, EINTR, false, 1);
    at_fork = true;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        sweep_story(tell_in_child, shown[i], true, 1);
    sweep_story(tell_in_child, EBUSY, false, 1);
}

static void test_the_wait_of_a_second_thread_is_made_again(void)
{
    sweep_two(EINTR);
    sweep_two(SHORT);
    sweep_two(ENOSYS); /* from here on ppoll */
    sweep_two(EINTR);
    sweep_two(SHORT);
}

TESTS(TEST(test_what_is_done_instead_can_fail_too), TEST(test_what_a_child_opens_again_can_fail),
      TEST(test_the_wait_of_a_second_thread_is_made_again),
      TEST(test_an_interrupted_call_is_made_again), TEST(test_a_call_that_has_to_be_made_again_is),
      TEST(test_a_call_that_returns_early_is_made_again), TEST(test_a_close_that_fails_has_closed),
      TEST(test_a_lack_of_descriptors_is_reported_and_changes_nothing),
      TEST(test_a_lack_of_memory_is_reported_and_changes_nothing),
      TEST(test_a_lack_of_room_for_watches_is_reported_and_changes_nothing),
      TEST(test_what_the_kernel_does_not_have_is_done_without),
      TEST(test_without_a_page_that_a_fork_clears_a_child_has_its_own_queue_too),
      TEST(test_what_a_sandbox_forbids_is_done_without))
