/* SPDX-License-Identifier: MIT
 *
 * A pool of threads that wait on one queue: a watch that one thread holds is given to no other
 * thread, no thread sleeps while there is an event for it, and none spins. Built with
 * ThreadSanitizer, too. The call that waits in the kernel (kernel_wait.h) can stop a worker.
 */
#include "kernel_wait.h"
#include "workers.h"

#include <sys/syscall.h>

enum { POOL = 4 };

/* ------------------------------------------------------------------ stopping in a wait */

enum { BEFORE = 1, AFTER = 2 }; /* before the system call; after it if it returned events */

static void stop_at(int place)
{
    struct worker *worker = this_worker;
    if (worker == NULL || !(worker->stops & place))
        return;
    worker->place = place;
    while (worker->stops & place)
        sleep_ns(MS / 20);
    worker->place = 0;
}

static void before_wait(void)
{
    stop_at(BEFORE);
}

static void after_wait(int n)
{
    if (n > 0)
        stop_at(AFTER);
}

static void await_stop(struct worker *worker, int place)
{
    while (worker->place != place)
        sleep_ns(MS / 20);
}

static void let_go(struct worker *worker, int place)
{
    worker->stops &= ~place;
    while (worker->place == place)
        sleep_ns(MS / 20);
}

/* Its wait without a timeout is stopped at the place. */
static void send_to_stop(struct worker *worker, int place)
{
    worker->stops |= place;
    worker->timeout = -1;
    tell(worker, work_wait);
    await_stop(worker, place);
}

/* ------------------------------------------------------------------ a queue, a socket, workers */

struct pool {
    readyq *q;
    int p[2];
    readyq_watch w;
    int nworkers;
    struct worker workers[POOL];
};

static void open_pool_with(struct pool *pool, int nworkers, struct readyq_options options)
{
    memset(pool, 0, sizeof *pool);
    pool->q = open_queue_with(options);
    open_unix(pool->p);
    pool->nworkers = nworkers;
    for (int i = 0; i < nworkers; i++)
        hire(&pool->workers[i], pool->q);
}

static void open_pool(struct pool *pool, int nworkers, uint32_t interest)
{
    open_pool_with(pool, nworkers, (struct readyq_options){0});
    add(pool->q, &pool->w, pool->p[0], interest);
}

/* Those that still sleep get the closed error. */
static void close_pool(struct pool *pool)
{
    readyq_ref(pool->q);
    CHECK_IS(readyq_close(pool->q), 0);
    for (int i = 0; i < pool->nworkers; i++) {
        await(&pool->workers[i]);
        dismiss(&pool->workers[i]);
    }
    readyq_unref(pool->q);
    close_pair(pool->p);
}

static uint64_t count_kernel_waits(const struct pool *pool)
{
    return stats_of(pool->q).kernel_waits;
}

/* A few calls are needed to find out that nothing is ready; a thread that spins makes thousands. */
#define CHECK_FEW(pool, before) CHECK(count_kernel_waits(pool) - (before) < 10)

/* Which of the first two workers has returned from its wait. */
static struct worker *await_one_of_two(struct pool *pool)
{
    while (!is_idle(&pool->workers[0]) && !is_idle(&pool->workers[1]))
        sleep_ns(MS / 20);
    return &pool->workers[is_idle(&pool->workers[0]) ? 0 : 1];
}

static struct worker *other_of_two(struct pool *pool, const struct worker *worker)
{
    return &pool->workers[worker == &pool->workers[0] ? 1 : 0];
}

/* ------------------------------------------------------------------ level-triggered, held */

/* The first worker holds the socket, which has a byte. The wait of the second one neither ends nor
 * spins. */
static void hold_level(struct pool *pool, bool take, uint32_t mode)
{
    struct worker *holder = &pool->workers[0], *other = &pool->workers[1];
    open_pool(pool, 2, READYQ_READ | mode);
    put(pool->p[1]);
    CHECK_IS(wait_within(holder, LONG), 1);
    if (take)
        CHECK(take_next(holder) == &pool->w);
    const uint64_t before = count_kernel_waits(pool);
    send_to_sleep(other, -1);
    CHECK(!is_idle_within(other, SOON));
    CHECK_FEW(pool, before);
}

static void check_still_ready(bool take, uint32_t mode)
{
    struct pool pool;
    hold_level(&pool, take, mode);
    make(&pool.workers[0], work_done);
    CHECK(await_taken(&pool.workers[1]) == &pool.w);
    CHECK_IS(pool.w.ready, READYQ_READ);
    close_pool(&pool);
}

static void check_drained(bool take, uint32_t mode)
{
    struct pool pool;
    hold_level(&pool, take, mode);
    get(pool.p[0]);
    const uint64_t before = count_kernel_waits(&pool);
    make(&pool.workers[0], work_done);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    CHECK_FEW(&pool, before);
    put(pool.p[1]);
    CHECK(await_taken(&pool.workers[1]) == &pool.w);
    close_pool(&pool);
}

static void test_what_one_thread_took_comes_to_another_when_it_is_done_and_still_ready(void)
{
    check_still_ready(true, 0);
    check_still_ready(true, READYQ_EXCLUSIVE);
}

static void test_what_one_thread_left_comes_to_another_when_it_is_done_and_still_ready(void)
{
    check_still_ready(false, 0);
    check_still_ready(false, READYQ_EXCLUSIVE);
}

static void test_what_one_thread_held_and_was_drained_comes_to_no_other(void)
{
    for (int take = 0; take < 2; take++) {
        check_drained(take, 0);
        check_drained(take, READYQ_EXCLUSIVE);
    }
}

/* Also where data comes again and again to what is held. */
static void test_data_for_what_one_thread_holds_wakes_no_other(void)
{
    struct pool pool;
    hold_level(&pool, true, 0);
    const uint64_t before = count_kernel_waits(&pool);
    for (int i = 0; i < 20; i++) {
        put(pool.p[1]);
        sleep_ns(MS);
    }
    CHECK(!is_idle(&pool.workers[1]));
    CHECK_FEW(&pool, before);
    close_pool(&pool);
}

/* Both threads sleep when the data comes, and the kernel reports it to both. The first one takes
 * the watch while the second one has not got the lock yet. */
static void report_to_two(struct pool *pool)
{
    open_pool(pool, 2, READYQ_READ);
    for (int i = 0; i < 2; i++) {
        pool->workers[i].stops = AFTER;
        send_to_sleep(&pool->workers[i], -1);
    }
    put(pool->p[1]);
    for (int i = 0; i < 2; i++)
        await_stop(&pool->workers[i], AFTER);
    let_go(&pool->workers[0], AFTER);
    CHECK(await_taken(&pool->workers[0]) == &pool->w);
}

static void test_what_the_kernel_reported_to_two_threads_is_not_delivered_after_one_drained_it(void)
{
    struct pool pool;
    report_to_two(&pool);
    get(pool.p[0]);
    make(&pool.workers[0], work_done);
    let_go(&pool.workers[1], AFTER);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    CHECK_IS(stats_of(pool.q).ghosts, 0);
    CHECK_IS(stats_of(pool.q).rebuilds, 0);
    put(pool.p[1]);
    CHECK(await_taken(&pool.workers[1]) == &pool.w);
    close_pool(&pool);
}

static void test_what_the_kernel_reported_to_two_threads_is_given_to_one_of_them(void)
{
    struct pool pool;
    report_to_two(&pool);
    const uint64_t before = count_kernel_waits(&pool);
    let_go(&pool.workers[1], AFTER);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    CHECK_FEW(&pool, before);
    make(&pool.workers[0], work_done);
    CHECK(await_taken(&pool.workers[1]) == &pool.w);
    close_pool(&pool);
}

/* It has slept so long that other threads have asked the kernel more than a million times since;
 * fewer where each time takes ten microseconds. */
#if defined(__SANITIZE_THREAD__)
enum { TIMES = 1000 };
#else
enum { TIMES = 0x100000 + 10 };
#endif

static void test_a_late_event_of_a_thread_that_slept_for_long_is_no_ghost(void)
{
    struct pool pool;
    readyq_batch batch = {0};
    open_pool(&pool, 1, READYQ_READ | READYQ_EDGE);
    pool.workers[0].stops = AFTER;
    send_to_sleep(&pool.workers[0], -1);
    for (int i = 0; i < TIMES; i++)
        CHECK_IS(readyq_look(pool.q, &batch, 0), 0);
    CHECK_IS(readyq_done(&batch), 0);
    put(pool.p[1]);
    await_stop(&pool.workers[0], AFTER);
    CHECK_IS(readyq_modify(&pool.w, READYQ_READ | READYQ_ONESHOT), 0);
    let_go(&pool.workers[0], AFTER);
    CHECK(await_taken(&pool.workers[0]) == &pool.w);
    CHECK_IS(stats_of(pool.q).stale, 1);
    CHECK_IS(stats_of(pool.q).ghosts, 0);
    CHECK_IS(stats_of(pool.q).rebuilds, 0);
    close_pool(&pool);
}

/* The event that was fetched belongs to the registration before. */
static void test_a_look_that_got_a_late_event_looks_again(void)
{
    struct pool pool;
    struct worker *worker = &pool.workers[0];
    open_pool(&pool, 1, READYQ_READ);
    put(pool.p[1]);
    worker->stops = AFTER;
    worker->timeout = 0;
    tell(worker, work_wait);
    await_stop(worker, AFTER);
    CHECK_IS(readyq_modify(&pool.w, READYQ_READ | READYQ_WRITE), 0);
    let_go(worker, AFTER);
    CHECK(await_taken(worker) == &pool.w);
    CHECK_IS(pool.w.ready, READYQ_READ | READYQ_WRITE);
    CHECK_IS(stats_of(pool.q).stale, 1);
    close_pool(&pool);
}

/* The watch that was not taken returns to the list, where another thread must not get it
 * unconfirmed. */
static void test_what_one_thread_left_and_was_drained_comes_to_no_wait_that_begins_later(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ);
    put(pool.p[1]);
    for (int i = 0; i < 2; i++) { /* with one batch open, and with two */
        CHECK_IS(wait_within(&pool.workers[0], LONG), 1);
        get(pool.p[0]);
        make(&pool.workers[0], work_done);
        CHECK_IS(wait_within(&pool.workers[1], 0), 0);
        CHECK_IS(wait_within(&pool.workers[1], SOON), 0);
        put(pool.p[1]);
    }
    CHECK_IS(wait_within(&pool.workers[1], LONG), 1);
    close_pool(&pool);
}

static void test_a_modified_watch_is_released_before_its_thread_is_done(void)
{
    static const uint32_t modes[] = {0, READYQ_EDGE, READYQ_ONESHOT};
    for (int take = 0; take < 2; take++)
        for (int i = 0; i < 3; i++) {
            struct pool pool;
            hold_level(&pool, take, modes[i]);
            CHECK_IS(readyq_modify(&pool.w, READYQ_READ | modes[i]), 0);
            CHECK(await_taken(&pool.workers[1]) == &pool.w);
            CHECK(take_next(&pool.workers[0]) == NULL);
            close_pool(&pool);
        }
}

static void test_a_watch_removed_while_held_can_be_added_and_comes_to_another_thread(void)
{
    for (int take = 0; take < 2; take++) {
        struct pool pool;
        hold_level(&pool, take, 0);
        CHECK_IS(readyq_remove(&pool.w), 0);
        CHECK_IS(readyq_add(pool.q, &pool.w, pool.p[0], READYQ_READ), 0);
        CHECK(await_taken(&pool.workers[1]) == &pool.w);
        CHECK(take_next(&pool.workers[0]) == NULL);
        close_pool(&pool);
    }
}

/* The kernel reports a hang-up without being asked. */
static void test_a_hang_up_while_a_thread_holds_a_watch_comes_when_it_is_given_back(void)
{
    for (int take = 0; take < 2; take++) {
        struct pool pool;
        hold_level(&pool, take, 0);
        const uint64_t before = count_kernel_waits(&pool);
        CHECK_IS(close(pool.p[1]), 0);
        CHECK(!is_idle_within(&pool.workers[1], SOON));
        CHECK_FEW(&pool, before);
        make(&pool.workers[0], work_done);
        CHECK(await_taken(&pool.workers[1]) == &pool.w);
        CHECK_IS(pool.w.ready, READYQ_READ | READYQ_READ_CLOSED);
        pool.p[1] = dup(pool.p[0]);
        close_pool(&pool);
    }
}

/* The worker has the event of a watch that was removed since; another one has its number. */
static void test_an_event_of_a_removed_watch_is_not_delivered_to_the_next_one_of_its_number(void)
{
    struct pool pool;
    readyq_watch other;
    open_pool(&pool, 1, READYQ_READ);
    pool.workers[0].stops = AFTER;
    send_to_sleep(&pool.workers[0], -1);
    put(pool.p[1]);
    await_stop(&pool.workers[0], AFTER);
    CHECK_IS(readyq_remove(&pool.w), 0);
    memset(&pool.w, 0xff, sizeof pool.w);
    get(pool.p[0]);
    add(pool.q, &other, pool.p[0], READYQ_READ);
    let_go(&pool.workers[0], AFTER);
    CHECK(!is_idle_within(&pool.workers[0], SOON));
    CHECK_IS(stats_of(pool.q).ghosts, 0);
    put(pool.p[1]);
    CHECK(await_taken(&pool.workers[0]) == &other);
    close_pool(&pool);
}

/* A duplicate keeps the file open, so the kernel goes on reporting it. It is closed before the
 * second thread sleeps, or while it does. */
static void check_closed_while_held(bool take, bool before_sleep)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ);
    put(pool.p[1]);
    CHECK_IS(wait_within(&pool.workers[0], LONG), 1);
    if (take)
        CHECK(take_next(&pool.workers[0]) == &pool.w);
    const uint64_t before = count_kernel_waits(&pool);
    if (!before_sleep)
        send_to_sleep(&pool.workers[1], -1);
    const int copy = dup(pool.p[0]);
    CHECK_IS(syscall(SYS_close, pool.p[0]), 0); /* hides this race from ThreadSanitizer */
    if (before_sleep)
        send_to_sleep(&pool.workers[1], -1);
    put(pool.p[1]);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    make(&pool.workers[0], work_done);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    CHECK(count_kernel_waits(&pool) - before < 30);
    CHECK(take_next(&pool.workers[0]) == NULL);
    CHECK_IS(readyq_remove(&pool.w), 0);
    pool.p[0] = copy; /* a new kernel queue may have the number */
    close_pool(&pool);
}

static void test_a_descriptor_closed_while_a_thread_holds_it_makes_no_thread_spin(void)
{
    for (int take = 0; take < 2; take++)
        for (int before_sleep = 0; before_sleep < 2; before_sleep++)
            check_closed_while_held(take, before_sleep);
}

/* ------------------------------------------------------------------ other watches, held */

/* The first worker took it, the second one sleeps. */
static void take_and_sleep(struct pool *pool, readyq_watch *w)
{
    CHECK_IS(wait_within(&pool->workers[0], LONG), 1);
    CHECK(take_next(&pool->workers[0]) == w);
    send_to_sleep(&pool->workers[1], -1);
}

static void check_comes_when_done(struct pool *pool, readyq_watch *w, uint64_t count)
{
    CHECK(!is_idle_within(&pool->workers[1], SOON));
    make(&pool->workers[0], work_done);
    CHECK(await_taken(&pool->workers[1]) == w);
    CHECK_IS(w->count, count);
    close_pool(pool);
}

static void test_an_edge_that_comes_while_its_watch_is_held_is_delivered_when_it_is_given_back(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ | READYQ_EDGE);
    put(pool.p[1]);
    take_and_sleep(&pool, &pool.w);
    put(pool.p[1]);
    check_comes_when_done(&pool, &pool.w, 1);
}

static void test_an_edge_that_comes_while_its_watch_is_held_comes_to_the_holders_next_wait(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ | READYQ_EDGE);
    put(pool.p[1]);
    CHECK_IS(wait_within(&pool.workers[0], LONG), 1);
    CHECK(take_next(&pool.workers[0]) == &pool.w);
    put(pool.p[1]);
    CHECK_IS(wait_within(&pool.workers[1], SOON), 0);
    CHECK_IS(wait_within(&pool.workers[0], 0), 1);
    CHECK(take_next(&pool.workers[0]) == &pool.w);
    CHECK_IS(wait_within(&pool.workers[0], 0), 0);
    close_pool(&pool);
}

static void test_an_edge_that_comes_while_its_watch_is_pending_is_merged(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ | READYQ_WRITE | READYQ_EDGE);
    fill(pool.p[0]);
    CHECK_IS(readyq_modify(&pool.w, READYQ_READ | READYQ_WRITE | READYQ_EDGE), 0);
    CHECK_IS(wait_within(&pool.workers[0], 0), 0);
    put(pool.p[1]);
    CHECK_IS(wait_within(&pool.workers[0], LONG), 1);
    drain(pool.p[1]);
    CHECK_IS(wait_within(&pool.workers[1], SOON), 0);
    CHECK(take_next(&pool.workers[0]) == &pool.w);
    CHECK_IS(pool.w.ready, READYQ_READ | READYQ_WRITE);
    make(&pool.workers[0], work_done);
    CHECK_IS(wait_within(&pool.workers[1], 0), 0);
    close_pool(&pool);
}

static void test_fires_while_a_trigger_is_held_are_delivered_when_it_is_given_back(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_pool(&pool, 2, READYQ_READ);
    CHECK_IS(readyq_add_trigger(pool.q, &w), 0);
    CHECK_IS(readyq_fire(&w), 0);
    take_and_sleep(&pool, &w);
    for (int i = 0; i < 3; i++)
        CHECK_IS(readyq_fire(&w), 0);
    check_comes_when_done(&pool, &w, 3);
}

static void test_signals_while_their_watch_is_held_are_delivered_when_it_is_given_back(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_pool(&pool, 2, READYQ_READ);
    CHECK_IS(readyq_add_signal(pool.q, &w, SIGUSR1), 0);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    take_and_sleep(&pool, &w);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    check_comes_when_done(&pool, &w, 1);
}

static void test_a_spent_oneshot_is_silent_until_it_is_modified(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ | READYQ_ONESHOT);
    put(pool.p[1]);
    take_and_sleep(&pool, &pool.w);
    put(pool.p[1]);
    make(&pool.workers[0], work_done);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    CHECK_IS(readyq_modify(&pool.w, READYQ_READ | READYQ_ONESHOT), 0);
    CHECK(await_taken(&pool.workers[1]) == &pool.w);
    close_pool(&pool);
}

static void test_a_file_that_is_held_is_given_to_no_other_and_then_at_once(void)
{
    struct pool pool;
    readyq_watch w;
    const int file = open_file();
    open_pool(&pool, 2, READYQ_READ);
    add(pool.q, &w, file, READYQ_READ);
    take_and_sleep(&pool, &w);
    const uint64_t before = count_kernel_waits(&pool);
    CHECK(!is_idle_within(&pool.workers[1], SOON));
    CHECK_FEW(&pool, before);
    check_comes_when_done(&pool, &w, 1);
    close(file);
}

/* A periodic timer that is due again and again while it is held. */
static void check_held_timer(bool take)
{
    struct pool pool;
    readyq_watch w = {0};
    open_pool(&pool, 2, READYQ_READ);
    const int64_t begin = now_ns();
    CHECK_IS(readyq_add_timer(pool.q, &w, MS, MS), 0);
    const int64_t added = now_ns();
    CHECK_IS(wait_within(&pool.workers[0], LONG), 1);
    if (take)
        CHECK(take_next(&pool.workers[0]) == &w);
    uint64_t count = take ? w.count : 0;
    send_to_sleep(&pool.workers[1], -1);
    sleep_ns(3 * MS);
    const uint64_t before = count_kernel_waits(&pool);
    CHECK(!is_idle_within(&pool.workers[1], 2 * SOON));
    CHECK_FEW(&pool, before);
    const int64_t given_back = now_ns();
    make(&pool.workers[0], work_done);
    CHECK(await_taken(&pool.workers[1]) == &w);
    count += w.count;
    CHECK((int64_t)count >= (given_back - added) / MS);
    CHECK((int64_t)count <= (now_ns() - begin) / MS);
    close_pool(&pool);
}

static void test_a_periodic_timer_that_was_taken_wakes_no_thread_and_counts_what_it_missed(void)
{
    check_held_timer(true);
}

static void test_a_periodic_timer_that_was_left_wakes_no_thread_and_counts_what_it_missed(void)
{
    check_held_timer(false);
}

/* ------------------------------------------------------------------ ending a sleep */

/* One worker sleeps without a timeout, in a queue with a timer that is far off. */
static readyq_watch far_timer;

static void open_sleeping(struct pool *pool, int nworkers)
{
    open_pool(pool, nworkers, 0);
    far_timer = (readyq_watch){0};
    CHECK_IS(readyq_add_timer(pool->q, &far_timer, LONG, 0), 0);
    for (int i = 0; i < nworkers; i++)
        send_to_sleep(&pool->workers[i], -1);
}

static void check_sleeper_takes(struct pool *pool, readyq_watch *w)
{
    CHECK(await_taken(&pool->workers[0]) == w);
    close_pool(pool);
}

static void test_a_sleeper_gets_a_file_that_is_added(void)
{
    struct pool pool;
    readyq_watch w;
    const int file = open_file();
    open_sleeping(&pool, 1);
    add(pool.q, &w, file, READYQ_READ);
    check_sleeper_takes(&pool, &w);
    close(file);
}

static void test_a_sleeper_gets_a_file_that_is_modified(void)
{
    struct pool pool;
    readyq_watch w;
    const int file = open_file();
    open_sleeping(&pool, 1);
    add(pool.q, &w, file, 0);
    CHECK(!is_idle_within(&pool.workers[0], SOON));
    CHECK_IS(readyq_modify(&w, READYQ_WRITE), 0);
    check_sleeper_takes(&pool, &w);
    close(file);
}

static void test_a_sleeper_gets_a_trigger_that_is_fired(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_sleeping(&pool, 1);
    CHECK_IS(readyq_add_trigger(pool.q, &w), 0);
    CHECK_IS(readyq_fire(&w), 0);
    check_sleeper_takes(&pool, &w);
}

static void test_a_sleeper_gets_a_signal(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_sleeping(&pool, 1);
    CHECK_IS(readyq_add_signal(pool.q, &w, SIGUSR1), 0);
    CHECK_IS(raise(SIGUSR1), 0); /* in this thread, not in the one that sleeps */
    check_sleeper_takes(&pool, &w);
}

static void test_a_sleeper_gets_a_nearer_timer(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_sleeping(&pool, 1);
    CHECK_IS(readyq_add_timer(pool.q, &w, MS, 0), 0);
    check_sleeper_takes(&pool, &w);
}

static void test_a_sleeper_gets_a_timer_that_is_restarted_to_be_nearer(void)
{
    struct pool pool;
    open_sleeping(&pool, 1);
    CHECK_IS(readyq_restart(&far_timer, MS), 0);
    check_sleeper_takes(&pool, &far_timer);
}

static void test_a_sleeper_gets_a_timer_that_had_left_and_is_restarted(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_pool(&pool, 1, 0);
    CHECK_IS(readyq_add_timer(pool.q, &w, 0, 0), 0);
    CHECK_TAKES(pool.q, &w);
    send_to_sleep(&pool.workers[0], -1);
    CHECK_IS(readyq_restart(&w, MS), 0);
    check_sleeper_takes(&pool, &w);
}

static void test_a_sleeper_gets_a_process_that_had_ended_before_it_was_added(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_sleeping(&pool, 1);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK_IS(readyq_add_process(pool.q, &w, pid), 0);
    check_sleeper_takes(&pool, &w);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
}

/* A watch that is given back by readyq_done(), and by a wait whose maximum leaves it. */
static void test_a_sleeper_gets_what_another_thread_gives_back(void)
{
    for (int way = 0; way < 2; way++) {
        struct pool pool;
        readyq_batch batch = {0};
        readyq_watch w[2] = {0};
        open_pool(&pool, 1, 0);
        for (int i = 0; i < 2; i++) {
            CHECK_IS(readyq_add_trigger(pool.q, &w[i]), 0);
            CHECK_IS(readyq_fire(&w[i]), 0);
        }
        CHECK_IS(readyq_wait(pool.q, &batch, LONG, 0), 2);
        send_to_sleep(&pool.workers[0], -1);
        CHECK(!is_idle_within(&pool.workers[0], SOON));
        if (way == 0)
            CHECK_IS(readyq_done(&batch), 0);
        else
            CHECK_IS(readyq_wait(pool.q, &batch, LONG, 1), 1);
        check_sleeper_takes(&pool, &w[way]);
        CHECK_IS(readyq_done(&batch), 0);
    }
}

static void test_a_sleeper_gets_what_a_wait_with_a_maximum_found_beside_its_own(void)
{
    struct pool pool;
    readyq_watch w[POOL] = {0};
    open_pool(&pool, POOL, 0);
    for (int i = 0; i < POOL; i++) {
        pool.workers[i].max = 1;
        CHECK_IS(readyq_add_timer(pool.q, &w[i], SOON, 0), 0);
    }
    for (int i = 0; i < POOL; i++)
        start_wait(&pool.workers[i], -1);
    for (int i = 0; i < POOL; i++)
        CHECK(await_taken(&pool.workers[i]) != NULL);
    for (int i = 0; i < POOL; i++)
        CHECK(w[i].queue == NULL);
    close_pool(&pool);
}

static void test_close_ends_all_sleeps(void)
{
    struct pool pool;
    open_sleeping(&pool, POOL);
    readyq_ref(pool.q);
    CHECK_IS(readyq_close(pool.q), 0);
    for (int i = 0; i < POOL; i++) {
        await(&pool.workers[i]);
        CHECK_IS(pool.workers[i].result, -ESHUTDOWN);
    }
    close_pool(&pool);
    readyq_unref(pool.q);
}

static void test_a_wake_ends_one_sleep(void)
{
    struct pool pool;
    open_sleeping(&pool, 2);
    CHECK_IS(readyq_wake(pool.q), 0);
    struct worker *woken = await_one_of_two(&pool);
    CHECK_IS(woken->result, 0);
    CHECK(!is_idle_within(other_of_two(&pool, woken), SOON));
    CHECK_IS(readyq_wake(pool.q), 0);
    await(other_of_two(&pool, woken));
    CHECK_IS(other_of_two(&pool, woken)->result, 0);
    close_pool(&pool);
}

/* The kernel reports the data and the wake together to the first worker; the second one sleeps. */
static void test_a_wake_that_comes_beside_an_event_ends_the_sleep_of_another_thread(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ);
    for (int i = 0; i < 2; i++)
        send_to_stop(&pool.workers[i], BEFORE);
    put(pool.p[1]);
    CHECK_IS(readyq_wake(pool.q), 0);
    pool.workers[0].stops |= AFTER;
    let_go(&pool.workers[0], BEFORE);
    await_stop(&pool.workers[0], AFTER);
    get(pool.p[0]);
    let_go(&pool.workers[1], BEFORE);
    sleep_ns(MS);
    let_go(&pool.workers[0], AFTER);
    await(&pool.workers[1]);
    CHECK_IS(pool.workers[1].result, 0);
    CHECK(await_taken(&pool.workers[0]) == &pool.w);
    close_pool(&pool);
}

static void test_a_wake_that_comes_beside_an_event_ends_the_next_wait(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_pool(&pool, 1, READYQ_READ);
    CHECK_IS(readyq_add_trigger(pool.q, &w), 0);
    send_to_stop(&pool.workers[0], BEFORE);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_IS(readyq_wake(pool.q), 0);
    let_go(&pool.workers[0], BEFORE);
    CHECK(await_taken(&pool.workers[0]) == &w);
    CHECK_IS(wait_within(&pool.workers[0], -1), 0);
    close_pool(&pool);
}

/* A look takes no time, and leaves the wake to a thread that sleeps. */
static void test_a_wake_is_not_used_up_by_a_wait_without_time_beside_a_sleeper(void)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ);
    send_to_stop(&pool.workers[0], BEFORE);
    CHECK_IS(readyq_wake(pool.q), 0);
    CHECK_IS(wait_within(&pool.workers[1], 0), 0);
    let_go(&pool.workers[0], BEFORE);
    await(&pool.workers[0]);
    CHECK_IS(pool.workers[0].result, 0);
    close_pool(&pool);
}

static void test_changes_that_bring_a_sleeper_nothing_do_not_end_its_wait(void)
{
    struct pool pool;
    readyq_watch w = {0};
    open_pool(&pool, 1, 0);
    const int64_t before = now_ns();
    send_to_sleep(&pool.workers[0], 3 * SOON);
    for (int i = 0; i < 10; i++) {
        CHECK_IS(readyq_add_timer(pool.q, &w, LONG, 0), 0);
        CHECK_IS(readyq_restart(&w, LONG / 2), 0);
        CHECK_IS(readyq_remove(&w), 0);
        CHECK_IS(readyq_modify(&pool.w, READYQ_READ), 0);
        sleep_ns(MS);
    }
    await(&pool.workers[0]);
    CHECK_IS(pool.workers[0].result, 0);
    CHECK(now_ns() - before >= 3 * SOON);
    close_pool(&pool);
}

/* ------------------------------------------------------------------ time */

/* One of the two sleeps until the timer is due. The one that gets the event does not wait again. */
static void check_succession(readyq_watch *timer, bool nearer)
{
    struct pool pool;
    open_pool(&pool, 2, READYQ_READ);
    *timer = (readyq_watch){0};
    for (int i = 0; i < 2; i++)
        pool.workers[i].max = 1;
    if (!nearer)
        CHECK_IS(readyq_add_timer(pool.q, timer, SOON, 0), 0);
    for (int i = 0; i < 2; i++)
        start_wait(&pool.workers[i], -1);
    if (nearer)
        CHECK_IS(readyq_add_timer(pool.q, timer, SOON, 0), 0);
    sleep_ns(MS);
    put(pool.p[1]);
    struct worker *first = await_one_of_two(&pool);
    struct worker *second = other_of_two(&pool, first);
    CHECK(take_next(first) == &pool.w || first->taken == timer);
    if (first->taken == timer)
        put(pool.p[1]); /* this machine is slow */
    CHECK(await_taken(second) == (first->taken == timer ? &pool.w : timer));
    close_pool(&pool);
}

static void test_the_thread_that_sleeps_until_a_timer_is_due_has_a_successor(void)
{
    readyq_watch timer;
    for (int i = 0; i < 5; i++) {
        check_succession(&timer, false);
        check_succession(&timer, true);
    }
}

/* Wakes end the sleeps one after the other, that of the timekeeper among them. */
static void test_a_timer_is_on_time_after_each_sleeper_but_one_has_left(void)
{
    struct pool pool;
    readyq_watch w = {0};
    int idle = 0;
    open_pool(&pool, POOL, READYQ_READ);
    const int64_t before = now_ns();
    CHECK_IS(readyq_add_timer(pool.q, &w, 3 * SOON, 0), 0);
    for (int i = 0; i < POOL; i++)
        start_wait(&pool.workers[i], -1);
    while (idle < POOL - 1) {
        CHECK_IS(readyq_wake(pool.q), 0);
        const int was = idle;
        while (idle == was) {
            sleep_ns(MS / 10);
            idle = 0;
            for (int i = 0; i < POOL; i++)
                idle += is_idle(&pool.workers[i]);
        }
    }
    for (int i = 0; i < POOL; i++)
        await(&pool.workers[i]);
    CHECK(w.queue == pool.q);
    CHECK(now_ns() - before >= 3 * SOON);
    CHECK(now_ns() - before < LONG / 2);
    close_pool(&pool);
}

static void test_a_timeout_shorter_than_the_timer_of_another_sleeper_is_kept(void)
{
    for (int done = 0; done < 2;) {
        struct pool pool;
        readyq_watch w = {0};
        open_pool(&pool, 2, READYQ_READ);
        CHECK_IS(readyq_add_timer(pool.q, &w, 4 * SOON, 0), 0);
        start_wait(&pool.workers[0], SOON); /* it sleeps until its own end first */
        start_wait(&pool.workers[1], -1);
        await(&pool.workers[0]);
        if (pool.workers[0].result == 0) { /* in time; a busy machine may be too slow */
            CHECK(await_taken(&pool.workers[1]) == &w);
            done++;
        }
        close_pool(&pool);
    }
}

/* The deadline that the timekeeper sleeps to is moved away, and another one is set. */
static bool replace_timer(struct pool *pool, readyq_watch w[2])
{
    CHECK_IS(readyq_add_timer(pool->q, &w[0], SOON, 0), 0);
    for (int i = 0; i < 2; i++)
        start_wait(&pool->workers[i], -1);
    const int error = readyq_remove(&w[0]);
    CHECK_IS(readyq_add_timer(pool->q, &w[1], 2 * SOON, 0), 0);
    return error == 0 && !is_idle(&pool->workers[0]) && !is_idle(&pool->workers[1]);
}

static void test_a_timer_removed_and_another_added_are_seen_by_the_sleepers(void)
{
    for (int done = 0; done < 3;) {
        struct pool pool;
        readyq_watch w[2] = {0};
        open_pool(&pool, 2, READYQ_READ);
        if (replace_timer(&pool, w)) { /* in time; a busy machine may be too slow */
            struct worker *first = await_one_of_two(&pool);
            CHECK(take_next(first) == &w[1]);
            CHECK(!is_idle_within(other_of_two(&pool, first), MS));
            done++;
        }
        close_pool(&pool);
    }
}

static void test_the_timeouts_of_two_waits_on_a_virtual_clock_both_come(void)
{
    struct pool pool;
    const int64_t before = now_ns();
    open_pool_with(&pool, 2, (struct readyq_options){.virtual_clock = true});
    pool.workers[0].timeout = LONG;
    pool.workers[1].timeout = 2 * LONG;
    for (int i = 0; i < 2; i++)
        tell(&pool.workers[i], work_wait);
    for (int i = 0; i < 2; i++) {
        await(&pool.workers[i]);
        CHECK_IS(pool.workers[i].result, 0);
    }
    CHECK(readyq_now(pool.q) >= 2 * LONG);
    CHECK(now_ns() - before < LONG / 2);
    close_pool(&pool);
}

static void test_a_timer_on_a_virtual_clock_reaches_one_of_two_that_sleep(void)
{
    struct pool pool;
    readyq_watch w[2] = {0};
    const int64_t before = now_ns();
    open_pool_with(&pool, 2, (struct readyq_options){.virtual_clock = true});
    for (int i = 0; i < 2; i++)
        send_to_sleep(&pool.workers[i], -1);
    CHECK_IS(readyq_add_timer(pool.q, &w[0], LONG, 0), 0);
    struct worker *first = await_one_of_two(&pool);
    CHECK(take_next(first) == &w[0]);
    CHECK(!is_idle_within(other_of_two(&pool, first), SOON));
    CHECK_IS(readyq_add_timer(pool.q, &w[1], LONG, 0), 0);
    CHECK(await_taken(other_of_two(&pool, first)) == &w[1]);
    CHECK_IS(readyq_now(pool.q), 2 * LONG);
    CHECK(now_ns() - before < LONG / 2);
    close_pool(&pool);
}

static void test_a_wait_with_a_timeout_on_a_virtual_clock_ends_beside_one_without(void)
{
    struct pool pool;
    open_pool_with(&pool, 2, (struct readyq_options){.virtual_clock = true});
    add(pool.q, &pool.w, pool.p[0], READYQ_READ);
    send_to_sleep(&pool.workers[0], -1);
    CHECK_IS(wait_within(&pool.workers[1], LONG), 0);
    CHECK_IS(readyq_now(pool.q), LONG);
    CHECK(!is_idle_within(&pool.workers[0], SOON));
    put(pool.p[1]);
    CHECK(await_taken(&pool.workers[0]) == &pool.w);
    close_pool(&pool);
}

/* ------------------------------------------------------------------ a ghost */

/* A registration that is reported and cannot be removed. Calls the system call itself:
 * ThreadSanitizer would report close() as a race with a thread that registers this number in a new
 * kernel queue. */
static int add_ghost(struct pool *pool, int p[2])
{
    readyq_watch w;
    open_pipe(p);
    add(pool->q, &w, p[0], READYQ_READ);
    const int copy = dup(p[0]);
    CHECK(copy >= 0);
    CHECK_IS(syscall(SYS_close, p[0]), 0);
    CHECK_IS(readyq_remove(&w), 0);
    return copy;
}

static void test_a_ghost_is_removed_while_others_sleep_and_they_sleep_on(void)
{
    struct pool pool;
    int p[2], edge[2];
    readyq_watch edged, trigger = {0};
    open_pool(&pool, 3, READYQ_READ);
    open_unix(edge);
    put(edge[1]);
    add(pool.q, &edged, edge[0], READYQ_READ | READYQ_EDGE);
    CHECK_TAKES(pool.q, &edged);
    const int copy = add_ghost(&pool, p);
    for (int i = 0; i < 3; i++)
        send_to_sleep(&pool.workers[i], -1);
    const uint64_t before = count_kernel_waits(&pool);
    put(p[1]);
    while (stats_of(pool.q).rebuilds == 0 && has_ghosts(pool.q))
        sleep_ns(MS / 10);
    sleep_ns(SOON);
    for (int i = 0; i < 3; i++) /* an edge that was reported is not reported again */
        CHECK(!is_idle(&pool.workers[i]));
    CHECK(count_kernel_waits(&pool) - before < 40);
    CHECK_IS(stats_of(pool.q).rebuilds, has_ghosts(pool.q));
    CHECK_IS(stats_of(pool.q).ghosts, has_ghosts(pool.q));
    put(pool.p[1]);
    put(edge[1]);
    CHECK_IS(readyq_add_trigger(pool.q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    int found = 0;
    while (found < 3) {
        found = 0;
        for (int i = 0; i < 3; i++)
            if (is_idle(&pool.workers[i]))
                found += pool.workers[i].result;
        sleep_ns(MS / 10);
    }
    CHECK_IS(found, 3);
    close_pool(&pool);
    close(copy);
    close(p[1]);
    close_pair(edge);
}

/* The first worker finds the ghost, which is reported once; the second one sleeps, is not woken by
 * it, and has to leave the kernel. */
static void check_ghost_found_by_one(bool with_event)
{
    struct pool pool;
    int p[2];
    open_pool(&pool, 2, READYQ_READ);
    if (!has_ghosts(pool.q)) {
        close_pool(&pool);
        return;
    }
    const int copy = add_ghost(&pool, p);
    for (int i = 0; i < 2; i++)
        send_to_stop(&pool.workers[i], BEFORE);
    put(p[1]);
    if (with_event)
        put(pool.p[1]);
    pool.workers[0].stops |= AFTER;
    let_go(&pool.workers[0], BEFORE);
    await_stop(&pool.workers[0], AFTER);
    get(copy);
    if (with_event)
        get(pool.p[0]);
    let_go(&pool.workers[1], BEFORE);
    sleep_ns(MS);
    let_go(&pool.workers[0], AFTER);
    while (stats_of(pool.q).rebuilds == 0)
        sleep_ns(MS / 10);
    CHECK_IS(is_idle_within(&pool.workers[0], SOON), with_event);
    CHECK(!is_idle(&pool.workers[1]));
    CHECK_IS(stats_of(pool.q).rebuilds, 1);
    CHECK_IS(stats_of(pool.q).ghosts, 1);
    close_pool(&pool);
    close(copy);
    close(p[1]);
}

static void test_a_ghost_that_one_thread_found_is_removed_though_the_others_sleep(void)
{
    check_ghost_found_by_one(false);
    check_ghost_found_by_one(true);
}

static void test_what_a_thread_holds_is_silent_in_the_new_kernel_queue_too(void)
{
    static const uint32_t modes[] = {0, READYQ_EXCLUSIVE};
    for (int take = 0; take < 2; take++)
        for (int i = 0; i < 2; i++) {
            struct pool pool;
            int p[2];
            hold_level(&pool, take, modes[i]);
            const int copy = add_ghost(&pool, p);
            put(p[1]);
            while (stats_of(pool.q).rebuilds == 0 && has_ghosts(pool.q))
                sleep_ns(MS / 10);
            const uint64_t before = count_kernel_waits(&pool);
            CHECK(!is_idle_within(&pool.workers[1], SOON));
            CHECK_FEW(&pool, before);
            make(&pool.workers[0], work_done);
            CHECK(await_taken(&pool.workers[1]) == &pool.w);
            close_pool(&pool);
            close(copy);
            close(p[1]);
        }
}

/* Every worker that has returned waits again, for a moment. */
static void keep_waiting(struct pool *pool)
{
    for (int i = 0; i < pool->nworkers; i++)
        if (is_idle(&pool->workers[i])) {
            CHECK(pool->workers[i].result >= 0);
            pool->workers[i].timeout = MS / 10;
            tell(&pool->workers[i], work_wait);
        }
}

/* Threads begin and end their waits while others are kicked out of the kernel. */
static void test_ghosts_are_removed_in_a_pool_at_work(void)
{
    enum { GHOSTS = 8 };
    struct pool pool;
    readyq_watch w = {0};
    int p[2], copies[GHOSTS], writers[GHOSTS];
    open_pool(&pool, POOL, READYQ_READ);
    CHECK_IS(readyq_add_timer(pool.q, &w, 0, MS / 20), 0);
    for (int i = 0; i < GHOSTS; i++) {
        copies[i] = add_ghost(&pool, p);
        writers[i] = p[1];
        put(p[1]);
        for (int j = 0; j < 100 || (has_ghosts(pool.q) && (int)stats_of(pool.q).ghosts <= i); j++)
            keep_waiting(&pool);
    }
    for (int i = 0; i < POOL; i++) {
        await(&pool.workers[i]);
        make(&pool.workers[i], work_done);
    }
    put(pool.p[1]);
    CHECK(wait_within(&pool.workers[0], LONG) > 0);
    CHECK_IS(stats_of(pool.q).ghosts, has_ghosts(pool.q) ? GHOSTS : 0);
    close_pool(&pool);
    for (int i = 0; i < GHOSTS; i++) {
        close(copies[i]);
        close(writers[i]);
    }
}

/* ------------------------------------------------------------------ what a wait reports */

enum { TIMERS = 4, WAITS = 40000 };

struct reports {
    atomic_int waits, taken, wrong;
};

static void take_what_is_reported(struct worker *worker)
{
    struct reports *reports = worker->argument;
    while (reports->waits++ < WAITS) {
        const int n = readyq_wait(worker->q, &worker->batch, -1, worker->max);
        CHECK(n > 0 && (worker->max == 0 || n <= worker->max));
        for (int i = 0; i < n; i++) {
            const readyq_watch *w = readyq_next(&worker->batch);
            reports->wrong += w == NULL || w->ready != READYQ_FIRED || w->count == 0;
        }
        reports->taken += n;
        CHECK(readyq_next(&worker->batch) == NULL);
    }
    work_done(worker); /* the others need what it holds */
}

static void test_a_wait_that_returns_more_than_0_yields_as_many_in_every_thread(void)
{
    struct pool pool;
    struct reports reports = {0};
    readyq_watch w[TIMERS] = {0};
    open_pool(&pool, POOL, READYQ_READ);
    for (int i = 0; i < TIMERS; i++)
        CHECK_IS(readyq_add_timer(pool.q, &w[i], 0, MS / 100 + i * MS / 300), 0);
    for (int i = 0; i < POOL; i++) {
        pool.workers[i].argument = &reports;
        pool.workers[i].max = i % 2 ? 1 : 0;
        tell(&pool.workers[i], take_what_is_reported);
    }
    for (int i = 0; i < POOL; i++)
        await(&pool.workers[i]);
    CHECK_IS(reports.wrong, 0);
    CHECK(reports.taken >= WAITS);
    close_pool(&pool);
}

/* ------------------------------------------------------------------ messages */

struct messages {
    uint32_t mode;
    atomic_int served;
    atomic_bool wrong;
};

/* Answers each message that is there. */
static void serve(struct worker *worker)
{
    struct messages *messages = worker->argument;
    while (readyq_wait(worker->q, &worker->batch, -1, 0) >= 0)
        for (readyq_watch *w; (w = readyq_next(&worker->batch)) != NULL;) {
            char byte;
            if (read(w->fd, &byte, 1) != 1)
                messages->wrong = true;
            messages->served++;
            CHECK_IS(write(w->fd, &byte, 1), 1);
            if (messages->mode & READYQ_ONESHOT) { /* at the end, the queue is closed */
                const int error = readyq_modify(w, READYQ_READ | messages->mode);
                CHECK(error == 0 || error == -ENOENT || error == -ESHUTDOWN);
            }
        }
}

static void ask(int fd)
{
    char byte = 'x';
    CHECK_IS(write(fd, &byte, 1), 1);
    CHECK_IS(read(fd, &byte, 1), 1);
}

static double count_calls_per_message(uint32_t mode, int nmessages)
{
    struct pool pool;
    struct messages messages = {.mode = mode};
    open_pool(&pool, POOL, READYQ_READ | mode);
    CHECK(fcntl(pool.p[1], F_SETFL, 0) >= 0);
    for (int i = 0; i < POOL; i++) {
        pool.workers[i].argument = &messages;
        tell(&pool.workers[i], serve);
    }
    for (int i = 0; i < 100; i++) /* until all are there */
        ask(pool.p[1]);
    const struct readyq_stats before = stats_of(pool.q);
    for (int i = 0; i < nmessages; i++)
        ask(pool.p[1]);
    const struct readyq_stats after = stats_of(pool.q);
    CHECK(!messages.wrong);
    CHECK_IS(messages.served, nmessages + 100);
    CHECK_IS(after.ghosts, 0);
    close_pool(&pool);
    return (double)(after.kernel_waits - before.kernel_waits + after.changes - before.changes) /
           nmessages;
}

/* A change is two calls where the old filters are deleted first (kqueue.c). */
static void check_calls_per_message(uint32_t mode)
{
    enum { MESSAGES = 3000 };
    const double calls = count_calls_per_message(mode, MESSAGES), most = HAS_EPOLL ? 2.3 : 3.3;
    if (calls > most) {
        printf("# %.2f system calls per message\n", calls);
        CHECK(calls <= most);
    }
}

static void test_a_message_costs_a_pool_two_system_calls_in_level_mode(void)
{
    check_calls_per_message(0);
}

static void test_a_message_costs_a_pool_two_system_calls_in_oneshot_mode(void)
{
    check_calls_per_message(READYQ_ONESHOT);
}

static void test_messages_are_served_once_each_in_exclusive_mode(void)
{
    count_calls_per_message(READYQ_EXCLUSIVE, 3000);
}

/* Several sockets, so that several messages are under way at the same time. */
static void test_many_messages_at_once_are_served_once_each(void)
{
    enum { SOCKETS = 8, ROUNDS = 500 };
    static const uint32_t modes[] = {0, READYQ_ONESHOT, READYQ_EXCLUSIVE};
    for (int m = 0; m < 3; m++) {
        struct pool pool;
        struct messages messages = {.mode = modes[m]};
        int p[SOCKETS][2];
        readyq_watch w[SOCKETS];
        open_pool(&pool, POOL, 0);
        for (int i = 0; i < SOCKETS; i++) {
            open_unix(p[i]);
            CHECK(fcntl(p[i][1], F_SETFL, 0) >= 0);
            add(pool.q, &w[i], p[i][0], READYQ_READ | modes[m]);
        }
        for (int i = 0; i < POOL; i++) {
            pool.workers[i].argument = &messages;
            tell(&pool.workers[i], serve);
        }
        for (int i = 0; i < ROUNDS; i++) {
            for (int j = 0; j < SOCKETS; j++)
                put(p[j][1]);
            for (int j = 0; j < SOCKETS; j++)
                get(p[j][1]);
        }
        CHECK(!messages.wrong);
        CHECK_IS(messages.served, ROUNDS * SOCKETS);
        close_pool(&pool);
        for (int i = 0; i < SOCKETS; i++)
            close_pair(p[i]);
    }
}

TESTS(TEST(test_what_one_thread_took_comes_to_another_when_it_is_done_and_still_ready),
      TEST(test_what_one_thread_left_comes_to_another_when_it_is_done_and_still_ready),
      TEST(test_what_one_thread_held_and_was_drained_comes_to_no_other),
      TEST(test_data_for_what_one_thread_holds_wakes_no_other),
      TEST(test_what_the_kernel_reported_to_two_threads_is_not_delivered_after_one_drained_it),
      TEST(test_what_the_kernel_reported_to_two_threads_is_given_to_one_of_them),
      TEST(test_a_late_event_of_a_thread_that_slept_for_long_is_no_ghost),
      TEST(test_a_look_that_got_a_late_event_looks_again),
      TEST(test_what_one_thread_left_and_was_drained_comes_to_no_wait_that_begins_later),
      TEST(test_a_modified_watch_is_released_before_its_thread_is_done),
      TEST(test_a_watch_removed_while_held_can_be_added_and_comes_to_another_thread),
      TEST(test_a_hang_up_while_a_thread_holds_a_watch_comes_when_it_is_given_back),
      TEST(test_an_event_of_a_removed_watch_is_not_delivered_to_the_next_one_of_its_number),
      TEST(test_a_descriptor_closed_while_a_thread_holds_it_makes_no_thread_spin),
      TEST(test_an_edge_that_comes_while_its_watch_is_held_is_delivered_when_it_is_given_back),
      TEST(test_an_edge_that_comes_while_its_watch_is_held_comes_to_the_holders_next_wait),
      TEST(test_an_edge_that_comes_while_its_watch_is_pending_is_merged),
      TEST(test_fires_while_a_trigger_is_held_are_delivered_when_it_is_given_back),
      TEST(test_signals_while_their_watch_is_held_are_delivered_when_it_is_given_back),
      TEST(test_a_spent_oneshot_is_silent_until_it_is_modified),
      TEST(test_a_file_that_is_held_is_given_to_no_other_and_then_at_once),
      TEST(test_a_periodic_timer_that_was_taken_wakes_no_thread_and_counts_what_it_missed),
      TEST(test_a_periodic_timer_that_was_left_wakes_no_thread_and_counts_what_it_missed),
      TEST(test_a_sleeper_gets_a_file_that_is_added),
      TEST(test_a_sleeper_gets_a_file_that_is_modified),
      TEST(test_a_sleeper_gets_a_trigger_that_is_fired), TEST(test_a_sleeper_gets_a_signal),
      TEST(test_a_sleeper_gets_a_nearer_timer),
      TEST(test_a_sleeper_gets_a_timer_that_is_restarted_to_be_nearer),
      TEST(test_a_sleeper_gets_a_timer_that_had_left_and_is_restarted),
      TEST(test_a_sleeper_gets_a_process_that_had_ended_before_it_was_added),
      TEST(test_a_sleeper_gets_what_another_thread_gives_back),
      TEST(test_a_sleeper_gets_what_a_wait_with_a_maximum_found_beside_its_own),
      TEST(test_close_ends_all_sleeps), TEST(test_a_wake_ends_one_sleep),
      TEST(test_a_wake_that_comes_beside_an_event_ends_the_sleep_of_another_thread),
      TEST(test_a_wake_that_comes_beside_an_event_ends_the_next_wait),
      TEST(test_a_wake_is_not_used_up_by_a_wait_without_time_beside_a_sleeper),
      TEST(test_changes_that_bring_a_sleeper_nothing_do_not_end_its_wait),
      TEST(test_the_thread_that_sleeps_until_a_timer_is_due_has_a_successor),
      TEST(test_a_timer_is_on_time_after_each_sleeper_but_one_has_left),
      TEST(test_a_timeout_shorter_than_the_timer_of_another_sleeper_is_kept),
      TEST(test_a_timer_removed_and_another_added_are_seen_by_the_sleepers),
      TEST(test_the_timeouts_of_two_waits_on_a_virtual_clock_both_come),
      TEST(test_a_timer_on_a_virtual_clock_reaches_one_of_two_that_sleep),
      TEST(test_a_wait_with_a_timeout_on_a_virtual_clock_ends_beside_one_without),
      TEST(test_a_ghost_is_removed_while_others_sleep_and_they_sleep_on),
      TEST(test_a_ghost_that_one_thread_found_is_removed_though_the_others_sleep),
      TEST(test_what_a_thread_holds_is_silent_in_the_new_kernel_queue_too),
      TEST(test_ghosts_are_removed_in_a_pool_at_work),
      TEST(test_a_wait_that_returns_more_than_0_yields_as_many_in_every_thread),
      TEST(test_a_message_costs_a_pool_two_system_calls_in_level_mode),
      TEST(test_a_message_costs_a_pool_two_system_calls_in_oneshot_mode),
      TEST(test_messages_are_served_once_each_in_exclusive_mode),
      TEST(test_many_messages_at_once_are_served_once_each))
