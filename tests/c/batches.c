/* SPDX-License-Identifier: MIT
 *
 * Batches: what a wait found belongs to the thread that waited and is taken one at a time. The rest
 * is given back by readyq_done() or by the thread's next wait. Built with ThreadSanitizer, too. The
 * linker replaces calloc and free by the functions in blocks.h (see the Makefile), which count the
 * queues in memory.
 */
#include "blocks.h"
#include "workers.h"

enum { SOME = 4 };

/* Triggers that were fired in the order of the array. */
struct some {
    readyq *q;
    readyq_batch batch;
    readyq_watch w[SOME];
};

static void open_some(struct some *s)
{
    memset(s, 0, sizeof *s);
    s->q = open_queue();
    for (int i = 0; i < SOME; i++) {
        CHECK_IS(readyq_add_trigger(s->q, &s->w[i]), 0);
        CHECK_IS(readyq_fire(&s->w[i]), 0);
    }
}

static void close_some(struct some *s)
{
    CHECK_IS(readyq_done(&s->batch), 0);
    readyq_close(s->q);
}

static void add_fired_trigger(readyq *q, readyq_watch *w)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_trigger(q, w), 0);
    CHECK_IS(readyq_fire(w), 0);
}

static void add_timer(readyq *q, readyq_watch *w, int64_t delay, int64_t period)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_timer(q, w, delay, period), 0);
}

static size_t count_left(readyq_batch *batch)
{
    return readyq_peek(batch, NULL, NULL, 0);
}

/* Takes exactly these watches, in this order. */
static void check_takes(readyq_batch *batch, readyq_watch *const expected[], size_t n)
{
    CHECK_IS(count_left(batch), n);
    for (size_t i = 0; i < n; i++)
        CHECK(readyq_next(batch) == expected[i]);
    CHECK(readyq_next(batch) == NULL);
}

static void run(bool elsewhere, void *(*function)(void *), void *argument)
{
    if (elsewhere)
        join(start(function, argument));
    else
        function(argument);
}

/* ------------------------------------------------------------------ not open */

static void test_a_zeroed_batch_yields_nothing_and_can_be_finished(void)
{
    readyq_batch batch = {0};
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(count_left(&batch), 0);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK(readyq_next(&batch) == NULL);
}

static void test_a_finished_batch_yields_nothing_and_can_be_finished_again(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) == &s.w[0]);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(count_left(&s.batch), 0);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(count_ready(s.q, 0), SOME - 1);
    close_some(&s);
}

static void test_a_batch_whose_queue_is_closed_yields_nothing(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) == &s.w[0]);
    CHECK_IS(readyq_close(s.q), 0);
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(count_left(&s.batch), 0);
    for (int i = 0; i < SOME; i++)
        CHECK(s.w[i].queue == NULL);
    memset(s.w, 0, sizeof s.w); /* their memory is not used any more */
    CHECK_IS(count_blocks(), 1);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK_IS(count_blocks(), 0);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK(readyq_next(&s.batch) == NULL);
}

static void test_a_wait_on_a_closed_queue_finishes_the_batch(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    readyq_ref(s.q);
    CHECK_IS(readyq_close(s.q), 0);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), -ESHUTDOWN);
    readyq_unref(s.q);
    CHECK_IS(count_blocks(), 0); /* the batch held no reference any more */
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(readyq_done(&s.batch), 0);
}

static void test_an_open_batch_keeps_the_memory_of_its_queue_and_nothing_else(void)
{
    const int before = count_descriptors();
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 2), 2);
    CHECK_IS(readyq_close(s.q), 0);
    CHECK_IS(count_descriptors(), before);
    CHECK_IS(readyq_wake(s.q), -ESHUTDOWN);
    CHECK_IS(readyq_size(s.q), 0);
    CHECK_IS(count_blocks(), 1);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK_IS(count_blocks(), 0);
}

static void test_a_finished_batch_keeps_no_memory(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 2), 2);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK_IS(readyq_close(s.q), 0);
    CHECK_IS(count_blocks(), 0);
}

static void test_a_batch_that_was_never_finished_is_closed_by_its_threads_next_wait(void)
{
    struct some s;
    readyq_batch forgotten = {0};
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &forgotten, LONG, 0), SOME);
    CHECK(readyq_next(&forgotten) == &s.w[0]);
    CHECK_IS(readyq_fire(&s.w[0]), 0);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&forgotten) == NULL);
    CHECK_IS(count_left(&forgotten), 0);
    CHECK_IS(count_left(&s.batch), SOME);
    close_some(&s);
    CHECK_IS(count_blocks(), 0);
    CHECK_IS(readyq_done(&forgotten), 0);
}

static void test_a_batch_can_be_finished_by_another_thread(void)
{
    struct some s;
    struct worker worker;
    open_some(&s);
    hire(&worker, s.q);
    CHECK_IS(wait_within(&worker, LONG), SOME);
    CHECK(take_next(&worker) == &s.w[0]);
    CHECK_IS(readyq_fire(&s.w[0]), 0);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), 0);
    CHECK_IS(readyq_done(&worker.batch), 0);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), SOME);
    CHECK(take_next(&worker) == NULL);
    dismiss(&worker);
    close_some(&s);
}

/* ------------------------------------------------------------------ two queues */

static void test_a_batch_used_with_another_queue_gives_back_to_the_first(void)
{
    struct some s, other;
    open_some(&s);
    open_some(&other);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) == &s.w[0]);
    CHECK_IS(readyq_fire(&s.w[0]), 0);
    CHECK_IS(readyq_wait(other.q, &s.batch, LONG, 1), 1);
    CHECK(readyq_next(&s.batch) == &other.w[0]);
    CHECK(readyq_next(&s.batch) == NULL);
    readyq_watch *const rest[] = {&s.w[1], &s.w[2], &s.w[3], &s.w[0]};
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    check_takes(&s.batch, rest, SOME);
    CHECK_IS(count_ready(other.q, 0), SOME - 1);
    close_some(&other);
    close_some(&s);
}

static void test_a_batch_used_with_another_queue_keeps_no_reference_to_the_first(void)
{
    struct some s, other;
    open_some(&s);
    open_some(&other);
    CHECK_IS(readyq_wait(s.q, &other.batch, LONG, 0), SOME);
    CHECK_IS(readyq_wait(other.q, &other.batch, LONG, 0), SOME);
    close_some(&s);
    CHECK_IS(count_blocks(), 1);
    CHECK(readyq_next(&other.batch) == &other.w[0]);
    close_some(&other);
}

/* ------------------------------------------------------------------ adding what is held */

static void check_busy(readyq *q, readyq_watch *w)
{
    CHECK_IS(readyq_add(q, w, 0, READYQ_READ), -EBUSY);
    CHECK_IS(readyq_add_timer(q, w, 0, 0), -EBUSY);
    CHECK_IS(readyq_add_signal(q, w, SIGUSR1), -EBUSY);
    CHECK_IS(readyq_add_process(q, w, getpid()), -EBUSY);
    CHECK_IS(readyq_add_trigger(q, w), -EBUSY);
}

static void test_a_watch_that_a_batch_holds_cannot_be_added(void)
{
    struct some s;
    readyq *other = open_queue();
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 2), 2);
    CHECK(readyq_next(&s.batch) == &s.w[0]);
    for (int i = 0; i < 2; i++) { /* taken, and pending */
        check_busy(s.q, &s.w[i]);
        check_busy(other, &s.w[i]);
    }
    CHECK_IS(readyq_size(s.q), SOME);
    CHECK_IS(readyq_size(other), 0);
    CHECK(readyq_next(&s.batch) == &s.w[1]);
    CHECK_IS(s.w[1].count, 1);
    readyq_close(other);
    close_some(&s);
}

static void test_a_timer_that_was_taken_can_be_added_to_any_queue_at_once(void)
{
    readyq_batch batch = {0};
    readyq_watch w[2];
    readyq *q = open_queue(), *other = open_queue();
    add_timer(q, &w[0], 0, 0);
    add_timer(q, &w[1], 0, 0);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    CHECK_IS(readyq_add_timer(q, &w[0], 0, 0), -EBUSY);
    CHECK(readyq_next(&batch) == &w[0]);
    CHECK(w[0].queue == NULL);
    CHECK_IS(readyq_add_trigger(other, &w[0]), 0);
    CHECK(readyq_next(&batch) == &w[1]);
    CHECK_IS(readyq_add_timer(q, &w[1], 0, 0), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_QUIET(other);
    CHECK_IS(readyq_fire(&w[0]), 0);
    CHECK_TAKES(other, &w[0]);
    CHECK_TAKES(q, &w[1]);
    CHECK_QUIET(q);
    readyq_close(q);
    readyq_close(other);
}

static void test_a_timer_that_was_taken_may_be_freed_at_once(void)
{
    readyq_batch batch = {0};
    readyq *q = open_queue();
    for (int i = 0; i < 3; i++) {
        readyq_watch *w = calloc(1, sizeof *w);
        CHECK_IS(readyq_add_timer(q, w, 0, 0), 0);
    }
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 3);
    for (readyq_watch *w; (w = readyq_next(&batch)) != NULL;)
        free(w);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 0);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
}

/* ------------------------------------------------------------------ removing what is held */

static void *remove_it(void *w)
{
    CHECK_IS(readyq_remove(w), 0);
    CHECK_IS(((readyq_watch *)w)->ready, 0);
    memset(w, 0xff, sizeof(readyq_watch)); /* it must not be read any more */
    return NULL;
}

/* Takes the first `taken` watches, removes those in `set` in either order, and takes the rest. */
static void check_removed(int taken, int set, bool backwards, bool elsewhere)
{
    struct some s;
    readyq_watch *rest[SOME];
    size_t n = 0;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    for (int i = 0; i < taken; i++)
        CHECK(readyq_next(&s.batch) == &s.w[i]);
    for (int i = 0; i < SOME; i++) {
        const int at = backwards ? SOME - 1 - i : i;
        if (set >> at & 1)
            run(elsewhere, remove_it, &s.w[at]);
    }
    for (int i = taken; i < SOME; i++)
        if (!(set >> i & 1))
            rest[n++] = &s.w[i];
    check_takes(&s.batch, rest, n);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), 0);
    CHECK_IS(readyq_size(s.q), SOME - __builtin_popcount((unsigned)set));
    close_some(&s);
}

static void test_what_is_removed_from_a_batch_is_skipped_wherever_it_stands(void)
{
    for (int taken = 0; taken <= SOME; taken++)
        for (int set = 0; set < 1 << SOME; set++)
            for (int backwards = 0; backwards < 2; backwards++)
                check_removed(taken, set, backwards, false);
}

static void test_what_another_thread_removes_from_a_batch_is_skipped(void)
{
    for (int taken = 0; taken <= SOME; taken++)
        for (int set = 0; set < 1 << SOME; set++)
            check_removed(taken, set, false, true);
}

static void test_a_watch_removed_from_a_batch_can_be_added_again_and_fires(void)
{
    readyq_batch batch = {0};
    readyq_watch w[2];
    int p[2][2];
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        open_unix(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ | READYQ_EDGE);
    }
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    CHECK(readyq_next(&batch) != NULL);
    for (int i = 0; i < 2; i++) { /* one taken, one pending */
        CHECK_IS(readyq_remove(&w[i]), 0);
        CHECK_IS(readyq_add(q, &w[i], p[i][0], READYQ_READ | READYQ_EDGE), 0);
    }
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 2);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
    close_pair(p[0]);
    close_pair(p[1]);
}

/* ------------------------------------------------------------------ modifying what is held */

struct sockets {
    readyq *q;
    readyq_batch batch;
    int p[SOME][2];
    readyq_watch w[SOME];
};

static void open_sockets(struct sockets *s, uint32_t interest)
{
    memset(s, 0, sizeof *s);
    s->q = open_queue();
    for (int i = 0; i < SOME; i++) {
        open_unix(s->p[i]);
        add(s->q, &s->w[i], s->p[i][0], interest);
        put(s->p[i][1]);
    }
}

static void close_sockets(struct sockets *s)
{
    CHECK_IS(readyq_done(&s->batch), 0);
    readyq_close(s->q);
    for (int i = 0; i < SOME; i++)
        close_pair(s->p[i]);
}

static void *pause_it(void *w)
{
    CHECK_IS(readyq_modify(w, 0), 0);
    return NULL;
}

static void *write_edges(void *w)
{
    CHECK_IS(readyq_modify(w, READYQ_WRITE | READYQ_EDGE), 0);
    return NULL;
}

/* The first watch is taken when it is modified, the second is pending; the others are not
 * changed. */
static void check_modified(uint32_t interest, bool elsewhere, void *(*modify)(void *),
                           uint32_t expected)
{
    struct sockets s;
    int others = 0;
    open_sockets(&s, interest);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    readyq_watch *modified[2] = {readyq_next(&s.batch)};
    CHECK_IS(readyq_peek(&s.batch, &modified[1], NULL, 1), SOME - 1);
    for (int i = 0; i < 2; i++)
        run(elsewhere, modify, modified[i]);
    for (readyq_watch *w; (w = readyq_next(&s.batch)) != NULL; others++)
        CHECK(w != modified[0] && w != modified[1]);
    CHECK_IS(others, SOME - 2);
    for (int i = 0; i < SOME; i++)
        drain(s.p[i][0]);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), expected != 0 ? 2 : 0);
    for (readyq_watch *w; (w = readyq_next(&s.batch)) != NULL;) {
        CHECK(w == modified[0] || w == modified[1]);
        CHECK_IS(w->ready, expected);
    }
    close_sockets(&s);
}

static void test_what_is_modified_in_a_batch_leaves_it_and_the_kernel_is_asked_again(void)
{
    static const uint32_t modes[] = {0, READYQ_EDGE, READYQ_ONESHOT};
    for (int i = 0; i < 3; i++)
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            check_modified(READYQ_READ | modes[i], elsewhere, pause_it, 0);
            check_modified(READYQ_READ | modes[i], elsewhere, write_edges, READYQ_WRITE);
        }
}

static void test_a_modified_watch_is_found_again_for_the_same_interest(void)
{
    struct sockets s;
    open_sockets(&s, READYQ_READ | READYQ_ONESHOT);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) != NULL);
    for (int i = 0; i < SOME; i++)
        CHECK_IS(readyq_modify(&s.w[i], READYQ_READ | READYQ_ONESHOT), 0);
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), SOME);
    close_sockets(&s);
}

/* ------------------------------------------------------------------ closing */

static void test_closing_the_queue_empties_the_open_batches_of_all_threads(void)
{
    struct some s;
    struct worker workers[2];
    open_some(&s);
    for (int i = 0; i < 2; i++) {
        hire(&workers[i], s.q);
        workers[i].max = 2;
        CHECK_IS(wait_within(&workers[i], LONG), 2);
        CHECK(take_next(&workers[i]) == &s.w[i * 2]);
    }
    CHECK_IS(readyq_close(s.q), 0);
    for (int i = 0; i < SOME; i++)
        CHECK(s.w[i].queue == NULL);
    memset(s.w, 0xff, sizeof s.w);
    for (int i = 0; i < 2; i++) {
        CHECK(take_next(&workers[i]) == NULL);
        CHECK_IS(count_blocks(), 1);
        dismiss(&workers[i]);
    }
    CHECK_IS(count_blocks(), 0);
}

static void take_until_closed(struct worker *worker)
{
    while (worker->result >= 0) {
        work_wait(worker);
        while (readyq_next(&worker->batch) != NULL)
            ;
    }
}

static void test_closing_the_queue_while_threads_take_from_their_batches_works(void)
{
    for (int round = 0; round < 50; round++) {
        struct some s;
        struct worker workers[2];
        open_some(&s);
        for (int i = 0; i < SOME; i++)
            CHECK_IS(readyq_remove(&s.w[i]), 0);
        for (int i = 0; i < SOME; i++)
            CHECK_IS(readyq_add_timer(s.q, &s.w[i], 0, MS / 100), 0);
        readyq_ref(s.q);
        for (int i = 0; i < 2; i++) {
            hire(&workers[i], s.q);
            tell(&workers[i], take_until_closed);
        }
        sleep_ns(round % 10 * MS / 10);
        CHECK_IS(readyq_close(s.q), 0);
        for (int i = 0; i < 2; i++) {
            await(&workers[i]);
            CHECK_IS(workers[i].result, -ESHUTDOWN);
            dismiss(&workers[i]);
        }
        readyq_unref(s.q);
    }
}

/* ------------------------------------------------------------------ not taken */

enum { KINDS = 6 };

/* One watch of each kind, ready. Level-triggered watches are tested further below. */
struct kinds {
    readyq *q;
    readyq_batch batch;
    int edge[2], oneshot[2];
    pid_t pid;
    readyq_watch w[KINDS], newer;
    readyq_watch *order[KINDS]; /* the order in which they were found first */
};

static pid_t start_zombie(void)
{
    siginfo_t info;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(7);
    CHECK_IS(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static void open_kinds(struct kinds *k)
{
    memset(k, 0, sizeof *k);
    k->q = open_queue();
    open_unix(k->edge);
    open_unix(k->oneshot);
    k->pid = start_zombie();
    add(k->q, &k->w[0], k->edge[0], READYQ_READ | READYQ_EDGE);
    add(k->q, &k->w[1], k->oneshot[0], READYQ_READ | READYQ_ONESHOT);
    CHECK_IS(readyq_add_timer(k->q, &k->w[2], 0, 0), 0);
    add_fired_trigger(k->q, &k->w[3]);
    CHECK_IS(readyq_add_signal(k->q, &k->w[4], SIGUSR1), 0);
    CHECK_IS(readyq_add_process(k->q, &k->w[5], k->pid), 0);
    put(k->edge[1]);
    put(k->oneshot[1]);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    CHECK_IS(readyq_wait(k->q, &k->batch, LONG, 0), KINDS);
    CHECK_IS(readyq_peek(&k->batch, k->order, NULL, KINDS), KINDS);
}

static void close_kinds(struct kinds *k)
{
    CHECK_IS(readyq_done(&k->batch), 0);
    readyq_close(k->q);
    close_pair(k->edge);
    close_pair(k->oneshot);
    CHECK_IS(waitpid(k->pid, NULL, 0), k->pid);
}

enum giving_back { BY_DONE, BY_ITS_NEXT_WAIT, BY_ANOTHER_BATCH, WAYS };

/* Takes `taken` of them, and checks that the next wait returns the others in their order and then
 * the newer one. */
static void check_left(int taken, enum giving_back way, int max)
{
    struct kinds k;
    readyq_batch other = {0};
    open_kinds(&k);
    readyq_batch *const batch = way == BY_ANOTHER_BATCH ? &other : &k.batch;
    for (int i = 0; i < taken; i++)
        CHECK(readyq_next(&k.batch) == k.order[i]);
    if (way == BY_DONE)
        CHECK_IS(readyq_done(&k.batch), 0);
    add_fired_trigger(k.q, &k.newer);
    for (int i = taken, n = 0; i <= KINDS; i++, n--) {
        if (n == 0)
            n = readyq_wait(k.q, batch, LONG, max);
        CHECK(n > 0 && (max == 0 || n <= max));
        CHECK(readyq_next(batch) == (i < KINDS ? k.order[i] : &k.newer));
    }
    for (int i = 0; i < KINDS; i++) {
        CHECK(k.order[i]->ready != 0);
        CHECK_IS(k.order[i]->count, 1);
    }
    CHECK_IS(readyq_wait(k.q, batch, 0, 0), 0);
    CHECK_IS(readyq_done(&other), 0);
    close_kinds(&k);
}

static void test_what_was_not_taken_comes_with_the_next_wait_in_its_order_before_newer_ones(void)
{
    for (int taken = 0; taken <= KINDS; taken++)
        for (int way = 0; way < WAYS; way++)
            check_left(taken, (enum giving_back)way, 0);
}

static void test_what_was_not_taken_comes_first_under_a_maximum_too(void)
{
    for (int way = 0; way < WAYS; way++) {
        check_left(0, (enum giving_back)way, 1);
        check_left(2, (enum giving_back)way, 2);
    }
}

static void test_closing_the_queue_removes_what_a_batch_holds_of_every_kind(void)
{
    for (int taken = 0; taken <= KINDS; taken++) {
        struct kinds k;
        open_kinds(&k);
        for (int i = 0; i < taken; i++)
            CHECK(readyq_next(&k.batch) == k.order[i]);
        CHECK_IS(readyq_close(k.q), 0);
        for (int i = 0; i < KINDS; i++) {
            CHECK(k.w[i].queue == NULL);
            CHECK(!k.w[i].armed);
        }
        memset(k.w, 0xff, sizeof k.w);
        CHECK(readyq_next(&k.batch) == NULL);
        CHECK_IS(readyq_done(&k.batch), 0);
        close_pair(k.edge);
        close_pair(k.oneshot);
        CHECK_IS(waitpid(k.pid, NULL, 0), k.pid);
    }
}

static void test_what_was_given_back_again_and_again_is_still_there(void)
{
    struct kinds k;
    open_kinds(&k);
    for (int i = 0; i < 10; i++)
        CHECK_IS(readyq_wait(k.q, &k.batch, LONG, 0), KINDS);
    check_takes(&k.batch, k.order, KINDS);
    CHECK_IS(readyq_wait(k.q, &k.batch, 0, 0), 0);
    close_kinds(&k);
}

static void test_counts_go_on_while_a_watch_is_not_taken(void)
{
    readyq_watch trigger, timer, signal = {0};
    readyq *q = open_queue();
    int64_t before = now_ns();
    add_timer(q, &timer, MS, MS);
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    add_fired_trigger(q, &trigger);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    sleep_ns(2 * MS);
    CHECK_IS(count_ready(q, LONG), 3);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    sleep_ns(SOON);
    CHECK_IS(count_ready(q, LONG), 3);
    int64_t asked = now_ns();
    CHECK_IS(take_all_within(q, LONG), 3);
    CHECK_IS(trigger.count, 2);
    CHECK_IS(signal.count, 2);
    CHECK((int64_t)timer.count <= (now_ns() - before) / MS);
    CHECK((int64_t)timer.count >= SOON / MS);
    CHECK_IS(readyq_remove(&timer), 0);
    CHECK(asked > before);
    CHECK_QUIET(q);
    readyq_close(q);
}

/* ------------------------------------------------------------------ not taken, level-triggered */

/* Another thread has a batch that is open and empty. */
static void open_batch_elsewhere(struct worker *worker, readyq *q)
{
    hire(worker, q);
    CHECK_IS(wait_within(worker, 0), 0);
}

/* Sockets, the second of them EDGE, and a trigger that is fired later. The sockets in `drained` are
 * read before the next wait. */
static void check_level_left(unsigned drained, enum giving_back way, bool in_pool)
{
    struct sockets s;
    readyq_batch other = {0};
    readyq_watch *order[SOME], *expected[SOME + 1], newer;
    size_t n = 0;
    struct worker worker;
    open_sockets(&s, 0);
    if (in_pool)
        open_batch_elsewhere(&worker, s.q);
    for (int i = 0; i < SOME; i++)
        CHECK_IS(readyq_modify(&s.w[i], READYQ_READ | (i == 1 ? READYQ_EDGE : 0)), 0);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK_IS(readyq_peek(&s.batch, order, NULL, SOME), SOME);
    if (way == BY_DONE)
        CHECK_IS(readyq_done(&s.batch), 0);
    for (int i = 0; i < SOME; i++) {
        if (drained >> i & 1)
            get(order[i]->fd);
        if (!(drained >> i & 1) || order[i] == &s.w[1])
            expected[n++] = order[i];
    }
    add_fired_trigger(s.q, &newer);
    expected[n++] = &newer;
    readyq_batch *const batch = way == BY_ANOTHER_BATCH ? &other : &s.batch;
    CHECK_IS(readyq_wait(s.q, batch, LONG, 0), n);
    check_takes(batch, expected, n);
    CHECK_IS(readyq_done(&other), 0);
    if (in_pool)
        dismiss(&worker);
    close_sockets(&s);
}

static void test_level_triggered_ones_that_were_not_taken_keep_their_place_if_still_ready(void)
{
    for (unsigned drained = 0; drained < 1 << SOME; drained++)
        for (int way = 0; way < WAYS; way++) {
            check_level_left(drained, (enum giving_back)way, false);
            check_level_left(drained, (enum giving_back)way, true);
        }
}

static void test_level_triggered_ones_that_were_not_taken_do_not_end_a_wait_for_nothing(void)
{
    struct sockets s;
    open_sockets(&s, READYQ_READ);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    for (int i = 0; i < SOME; i++)
        get(s.p[i][0]);
    const int64_t before = now_ns();
    CHECK_IS(readyq_wait(s.q, &s.batch, SOON, 0), 0);
    CHECK(now_ns() - before >= SOON);
    CHECK(stats_of(s.q).kernel_waits < 10);
    close_sockets(&s);
}

enum { EIGHT = 8, TURNS = 10 };

static void check_nobody_starves(int max, bool finish, bool with_file, bool in_pool)
{
    readyq_batch batch = {0};
    struct worker other;
    readyq_watch w[EIGHT];
    int p[EIGHT][2], taken[EIGHT] = {0}, file = open_file();
    readyq *q = open_queue();
    if (in_pool)
        open_batch_elsewhere(&other, q);
    for (int i = 0; i < EIGHT; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], with_file && i == 5 ? file : p[i][0], READYQ_READ);
        w[i].data = &taken[i];
    }
    for (int i = 0; i < EIGHT * TURNS; i++) {
        CHECK(readyq_wait(q, &batch, LONG, max) > 0);
        ++*(int *)readyq_next(&batch)->data;
        if (finish)
            CHECK_IS(readyq_done(&batch), 0);
    }
    for (int i = 0; i < EIGHT; i++) /* a file is listed when it is added, before the others */
        CHECK(abs(taken[i] - TURNS) <= (with_file ? 1 : 0));
    CHECK_IS(readyq_done(&batch), 0);
    if (in_pool)
        dismiss(&other);
    readyq_close(q);
    for (int i = 0; i < EIGHT; i++)
        close_pair(p[i]);
    close(file);
}

static void test_a_loop_that_takes_one_and_leaves_serves_all_equally(void)
{
    static const int maxima[] = {0, 1, 3};
    for (int i = 0; i < 3; i++)
        for (unsigned ways = 0; ways < 8; ways++)
            check_nobody_starves(maxima[i], ways & 1, ways & 2, ways & 4);
}

/* ------------------------------------------------------------------ batches of one thread */

static void test_a_nested_wait_gets_what_the_outer_batch_had_left(void)
{
    struct some s;
    readyq_batch inner = {0};
    readyq_watch *const rest[] = {&s.w[1], &s.w[2], &s.w[3]};
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) == &s.w[0]);
    CHECK_IS(readyq_wait(s.q, &inner, LONG, 0), 3);
    check_takes(&inner, rest, 3);
    CHECK_IS(readyq_done(&inner), 0);
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), 0);
    close_some(&s);
}

static void test_a_nested_wait_gets_what_the_outer_one_took_and_did_not_read(void)
{
    int p[2];
    readyq_batch outer = {0}, inner = {0};
    readyq_watch w;
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wait(q, &outer, LONG, 0), 1);
    CHECK(readyq_next(&outer) == &w);
    CHECK_IS(readyq_wait(q, &inner, LONG, 0), 1);
    CHECK(readyq_next(&inner) == &w);
    get(p[0]);
    CHECK_IS(readyq_wait(q, &inner, 0, 0), 0);
    CHECK_IS(readyq_wait(q, &outer, 0, 0), 0);
    CHECK_IS(readyq_done(&inner), 0);
    CHECK_IS(readyq_done(&outer), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_batches_of_one_thread_in_two_queues_do_not_meet(void)
{
    struct some s, other;
    open_some(&s);
    open_some(&other);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK_IS(readyq_wait(other.q, &other.batch, LONG, 0), SOME);
    for (int i = 0; i < SOME; i++) {
        CHECK(readyq_next(&s.batch) == &s.w[i]);
        CHECK(readyq_next(&other.batch) == &other.w[i]);
    }
    close_some(&s);
    close_some(&other);
}

/* ------------------------------------------------------------------ maximum and peek */

static void test_a_maximum_leaves_the_others_in_order(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 3), 3);
    for (int i = 0; i < 3; i++)
        CHECK(readyq_next(&s.batch) == &s.w[i]);
    CHECK(readyq_next(&s.batch) == NULL);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 3), 1);
    CHECK(readyq_next(&s.batch) == &s.w[3]);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, INT32_MAX), 0);
    close_some(&s);
}

/* A wake was written to the descriptor that the kernel reports before the pipe's. */
static void test_a_maximum_of_one_finds_what_is_ready_beside_a_wake(void)
{
    int p[2];
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_queue();
    CHECK(readyq_fileno(q) >= 0);
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_wake(q), 0);
    put(p[1]);
    CHECK_IS(readyq_wait(q, &batch, 0, 1), 1);
    CHECK(readyq_next(&batch) == &w);
    get(p[0]);
    CHECK_IS(readyq_wait(q, &batch, -1, 1), 0); /* the wake */
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_peek_shows_what_next_will_take_and_takes_nothing(void)
{
    struct some s;
    readyq_watch *seen[SOME + 1];
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    for (size_t left = SOME; left > 0; left--) {
        memset(seen, 0, sizeof seen);
        CHECK_IS(readyq_peek(&s.batch, seen, NULL, 2), left);
        CHECK(seen[1] == (left > 1 ? &s.w[SOME - left + 1] : NULL));
        CHECK(seen[2] == NULL);
        CHECK_IS(readyq_peek(&s.batch, seen, NULL, SOME + 1), left);
        for (size_t i = 0; i < left; i++) {
            CHECK(seen[i] == &s.w[SOME - left + i]);
            CHECK_IS(seen[i]->ready, 0);
        }
        CHECK(readyq_first(&s.batch) == &s.w[SOME - left]);
        CHECK(readyq_next(&s.batch) == &s.w[SOME - left]);
        CHECK_IS(s.w[SOME - left].ready, READYQ_FIRED);
    }
    CHECK_IS(readyq_peek(&s.batch, seen, NULL, SOME), 0);
    CHECK(readyq_first(&s.batch) == NULL);
    readyq_done(&s.batch);
    CHECK(readyq_first(&s.batch) == NULL);
    close_some(&s);
}

static void test_a_wait_with_a_bad_argument_leaves_the_batch_as_it_is(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) == &s.w[0]);
    CHECK_IS(readyq_wait(s.q, &s.batch, -2, 0), -EINVAL);
    CHECK_IS(readyq_wait(s.q, &s.batch, INT64_MIN, 0), -EINVAL);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, -1), -EINVAL);
    CHECK_IS(readyq_look(s.q, &s.batch, INT32_MIN), -EINVAL);
    CHECK_IS(count_left(&s.batch), SOME - 1);
    CHECK(readyq_next(&s.batch) == &s.w[1]);
    close_some(&s);
}

static void test_a_look_leaves_a_wake_to_the_next_wait(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wake(s.q), 0);
    CHECK_IS(readyq_look(s.q, &s.batch, 0), SOME);
    while (readyq_next(&s.batch) != NULL)
        ;
    const uint64_t before = stats_of(s.q).kernel_waits;
    CHECK_IS(readyq_look(s.q, &s.batch, 0), 0);
    CHECK_IS(stats_of(s.q).kernel_waits, before); /* only the wait asks the kernel */
    CHECK_IS(readyq_wait(s.q, &s.batch, -1, 0), 0);
    CHECK_IS(stats_of(s.q).kernel_waits, before + 1);
    close_some(&s);
}

static void test_deliveries_count_what_was_taken(void)
{
    struct some s;
    open_some(&s);
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), SOME);
    CHECK(readyq_next(&s.batch) != NULL);
    CHECK_IS(readyq_done(&s.batch), 0);
    CHECK_IS(stats_of(s.q).deliveries, 1);
    CHECK_IS(take_all_within(s.q, LONG), SOME - 1);
    CHECK_IS(stats_of(s.q).deliveries, SOME);
    close_some(&s);
}

TESTS(TEST(test_a_zeroed_batch_yields_nothing_and_can_be_finished),
      TEST(test_a_finished_batch_yields_nothing_and_can_be_finished_again),
      TEST(test_a_batch_whose_queue_is_closed_yields_nothing),
      TEST(test_a_wait_on_a_closed_queue_finishes_the_batch),
      TEST(test_an_open_batch_keeps_the_memory_of_its_queue_and_nothing_else),
      TEST(test_a_finished_batch_keeps_no_memory),
      TEST(test_a_batch_that_was_never_finished_is_closed_by_its_threads_next_wait),
      TEST(test_a_batch_can_be_finished_by_another_thread),
      TEST(test_a_batch_used_with_another_queue_gives_back_to_the_first),
      TEST(test_a_batch_used_with_another_queue_keeps_no_reference_to_the_first),
      TEST(test_a_watch_that_a_batch_holds_cannot_be_added),
      TEST(test_a_timer_that_was_taken_can_be_added_to_any_queue_at_once),
      TEST(test_a_timer_that_was_taken_may_be_freed_at_once),
      TEST(test_what_is_removed_from_a_batch_is_skipped_wherever_it_stands),
      TEST(test_what_another_thread_removes_from_a_batch_is_skipped),
      TEST(test_a_watch_removed_from_a_batch_can_be_added_again_and_fires),
      TEST(test_what_is_modified_in_a_batch_leaves_it_and_the_kernel_is_asked_again),
      TEST(test_a_modified_watch_is_found_again_for_the_same_interest),
      TEST(test_closing_the_queue_empties_the_open_batches_of_all_threads),
      TEST(test_closing_the_queue_while_threads_take_from_their_batches_works),
      TEST(test_what_was_not_taken_comes_with_the_next_wait_in_its_order_before_newer_ones),
      TEST(test_what_was_not_taken_comes_first_under_a_maximum_too),
      TEST(test_closing_the_queue_removes_what_a_batch_holds_of_every_kind),
      TEST(test_what_was_given_back_again_and_again_is_still_there),
      TEST(test_counts_go_on_while_a_watch_is_not_taken),
      TEST(test_level_triggered_ones_that_were_not_taken_keep_their_place_if_still_ready),
      TEST(test_level_triggered_ones_that_were_not_taken_do_not_end_a_wait_for_nothing),
      TEST(test_a_loop_that_takes_one_and_leaves_serves_all_equally),
      TEST(test_a_nested_wait_gets_what_the_outer_batch_had_left),
      TEST(test_a_nested_wait_gets_what_the_outer_one_took_and_did_not_read),
      TEST(test_batches_of_one_thread_in_two_queues_do_not_meet),
      TEST(test_a_maximum_leaves_the_others_in_order),
      TEST(test_a_maximum_of_one_finds_what_is_ready_beside_a_wake),
      TEST(test_peek_shows_what_next_will_take_and_takes_nothing),
      TEST(test_a_wait_with_a_bad_argument_leaves_the_batch_as_it_is),
      TEST(test_a_look_leaves_a_wake_to_the_next_wait), TEST(test_deliveries_count_what_was_taken))
