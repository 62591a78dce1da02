/* SPDX-License-Identifier: MIT
 *
 * pthread_cancel(): a thread is cancelled in a wait that sleeps and in no other call, and the
 * events that it was about to get go to other threads. Built without sanitizers, which do not
 * notice that the stack of a cancelled thread is unwound.
 */
#include "blocks.h"
#include "workers.h"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

enum { LEVEL, EDGE, ONESHOT, TRIGGER, TIMER, WAKE, CAUSES };

struct cancelling {
    readyq *q;
    int p[TRIGGER][2];
    readyq_watch w[WAKE];
    atomic_int caused[CAUSES], seen[CAUSES];
    atomic_bool wrong;
};

/* Some C libraries cancel a thread in read() although it has cancellation disabled, if
 * pthread_cancel() was called just before it was (glibc before 2.41). */
static ssize_t read_whole(int fd, void *bytes, size_t size)
{
#if defined(__linux__)
    return syscall(SYS_read, fd, bytes, size);
#else
    return read(fd, bytes, size);
#endif
}

static void see(struct cancelling *c, readyq_watch *w)
{
    const int cause = (int)(w - c->w);
    char bytes[64];
    if (cause == TRIGGER || cause == TIMER) {
        c->seen[cause] += (int)w->count;
        return;
    }
    const ssize_t n = read_whole(w->fd, bytes, sizeof bytes);
    if (n > 0)
        c->seen[cause] += (int)n;
    else if (cause == LEVEL)
        c->wrong = true;
    if (cause == ONESHOT)
        CHECK_IS(readyq_modify(w, w->interest), 0);
}

/* Only the wait is a cancellation point. */
static int wait_and_see(struct cancelling *c, readyq_batch *batch)
{
    int state;
    const int n = readyq_wait(c->q, batch, -1, 0);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    c->seen[WAKE] += n == 0;
    for (readyq_watch *w; (w = readyq_next(batch)) != NULL;)
        see(c, w);
    pthread_setcancelstate(state, &state);
    return n;
}

static void *wait_until_cancelled(void *argument)
{
    readyq_batch batch = {0};
    while (wait_and_see(argument, &batch) >= 0)
        ;
    readyq_done(&batch);
    return NULL;
}

static void see_until_closed(struct worker *worker)
{
    while (wait_and_see(worker->argument, &worker->batch) >= 0)
        ;
}

static void bring_about(struct cancelling *c, int cause)
{
    if (cause < TRIGGER)
        put(c->p[cause][1]);
    else if (cause == TRIGGER)
        CHECK_IS(readyq_fire(&c->w[TRIGGER]), 0);
    else if (cause == TIMER)
        CHECK_IS(readyq_restart(&c->w[TIMER], MS / 10), 0);
    else
        CHECK_IS(readyq_wake(c->q), 0);
    c->caused[cause]++;
}

static void open_cancelling(struct cancelling *c)
{
    static const uint32_t modes[] = {0, READYQ_EDGE, READYQ_ONESHOT};
    memset(c, 0, sizeof *c);
    c->q = open_queue();
    for (int i = 0; i < TRIGGER; i++) {
        open_unix(c->p[i]);
        add(c->q, &c->w[i], c->p[i][0], READYQ_READ | modes[i]);
    }
    CHECK_IS(readyq_add_trigger(c->q, &c->w[TRIGGER]), 0);
    CHECK_IS(readyq_add_timer(c->q, &c->w[TIMER], 0, 0), 0);
    CHECK_TAKES(c->q, &c->w[TIMER]);
}

static void test_the_wait_of_a_cancelled_thread_ends_in_a_recording(void)
{
    struct cancelling c;
    struct readyq_record records[60];
    uint64_t from = 0;
    readyq_recording *r;
    int ended = 0;
    open_cancelling(&c);
    CHECK_IS(readyq_record(c.q, 60, &r), 0);
    pthread_t thread = start(wait_until_cancelled, &c);
    while (stats_of(c.q).kernel_waits < 2)
        sleep_ns(MS);
    sleep_ns(SOON);
    CHECK_IS(pthread_cancel(thread), 0);
    join(thread);
    const size_t n = readyq_records(r, &from, records, 60);
    for (size_t i = 0; i < n; i++)
        ended += records[i].type == READYQ_RECORD_WAIT_END && records[i].value == -ECANCELED;
    CHECK_IS(ended, 1);
    readyq_discard(r);
    readyq_close(c.q);
    for (int i = 0; i < TRIGGER; i++)
        close_pair(c.p[i]);
}

static void cancel_one(struct cancelling *c, int round)
{
    const int cause = round % CAUSES;
    pthread_t thread = start(wait_until_cancelled, c);
    sleep_ns(round * 7919 % 300000);
    if (round / CAUSES % 2) {
        bring_about(c, cause);
        CHECK_IS(pthread_cancel(thread), 0);
    } else {
        CHECK_IS(pthread_cancel(thread), 0);
        bring_about(c, cause);
    }
    join(thread);
    while (c->seen[cause] < c->caused[cause])
        sleep_ns(MS / 50);
    CHECK_IS(c->seen[cause], c->caused[cause]);
    CHECK(!c->wrong);
}

static void test_when_a_waiting_thread_is_cancelled_the_others_get_all_events(void)
{
    struct cancelling c;
    struct worker worker;
    open_cancelling(&c);
    hire(&worker, c.q);
    worker.argument = &c;
    tell(&worker, see_until_closed);
    for (int round = 0; round < 1000; round++)
        cancel_one(&c, round);
    readyq_ref(c.q);
    CHECK_IS(readyq_close(c.q), 0);
    await(&worker);
    dismiss(&worker);
    readyq_unref(c.q);
    for (int i = 0; i < TRIGGER; i++)
        close_pair(c.p[i]);
}

/* ------------------------------------------------------------------ one thread */

struct cancelled {
    readyq *q;
    readyq_batch batch;
    readyq_watch w;
    int p[2], result, state;
    atomic_bool reached; /* the call before the wait in which it is cancelled, or after it */
};

static void open_cancelled(struct cancelled *c)
{
    memset(c, 0, sizeof *c);
    c->q = open_queue();
    c->result = -1;
    open_pipe(c->p);
    add(c->q, &c->w, c->p[0], READYQ_READ);
}

static void close_cancelled(struct cancelled *c)
{
    CHECK_IS(readyq_done(&c->batch), 0);
    readyq_close(c->q);
    close_pair(c->p);
}

static void await_sleep(readyq *q, uint64_t kernel_waits)
{
    while (stats_of(q).kernel_waits == kernel_waits)
        sleep_ns(MS / 20);
    sleep_ns(MS);
}

static void *sleep_once(void *argument)
{
    struct cancelled *c = argument;
    c->result = readyq_wait(c->q, &c->batch, -1, 0);
    return NULL;
}

static void test_the_memory_of_a_batch_whose_thread_was_cancelled_is_not_used_any_more(void)
{
    struct cancelled c;
    open_cancelled(&c);
    const uint64_t before = stats_of(c.q).kernel_waits;
    pthread_t thread = start(sleep_once, &c);
    await_sleep(c.q, before);
    CHECK_IS(pthread_cancel(thread), 0);
    join(thread);
    CHECK_IS(c.result, -1);
    CHECK(readyq_next(&c.batch) == NULL);
    memset(&c.batch, 0xff, sizeof c.batch);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    CHECK_TAKES(c.q, &c.w);
    c.batch = (readyq_batch){0};
    close_cancelled(&c);
}

static void test_a_queue_is_freed_though_a_thread_was_cancelled_in_its_wait(void)
{
    const int before = count_descriptors(), blocks_before = count_blocks();
    struct cancelled c;
    open_cancelled(&c);
    const uint64_t waits = stats_of(c.q).kernel_waits;
    pthread_t thread = start(sleep_once, &c);
    await_sleep(c.q, waits);
    CHECK_IS(pthread_cancel(thread), 0);
    join(thread);
    CHECK_IS(c.result, -1);
    CHECK_IS(readyq_close(c.q), 0);
    close_pair(c.p);
    CHECK_IS(count_descriptors(), before);
    CHECK_IS(count_blocks(), blocks_before);
    CHECK(readyq_next(&c.batch) == NULL);
    CHECK_IS(readyq_done(&c.batch), 0);
}

/* The events of the cancelled thread are requested again, but not those of watches that are
 * held. */
static void test_what_a_thread_holds_stays_silent_when_another_one_is_cancelled(void)
{
    struct cancelled c;
    struct worker holder, other;
    open_cancelled(&c);
    hire(&holder, c.q);
    hire(&other, c.q);
    put(c.p[1]);
    CHECK_IS(wait_within(&holder, LONG), 1);
    CHECK(take_next(&holder) == &c.w);
    CHECK_IS(wait_within(&other, 0), 0);
    send_to_sleep(&other, -1);
    const uint64_t waits = stats_of(c.q).kernel_waits;
    pthread_t thread = start(sleep_once, &c);
    await_sleep(c.q, waits);
    CHECK_IS(pthread_cancel(thread), 0);
    join(thread);
    const uint64_t before = stats_of(c.q).kernel_waits;
    CHECK(!is_idle_within(&other, SOON));
    CHECK(stats_of(c.q).kernel_waits - before < 10);
    make(&holder, work_done);
    CHECK(await_taken(&other) == &c.w);
    dismiss(&holder);
    dismiss(&other);
    close_cancelled(&c);
}

static void *sleep_disabled(void *argument)
{
    struct cancelled *c = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->state);
    CHECK_IS(readyq_add(c->q, &c->w, c->p[0], READYQ_READ), 0);
    c->result = readyq_wait(c->q, &c->batch, -1, 0);
    c->reached = true;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &c->state);
    pthread_testcancel();
    return NULL;
}

static void test_a_thread_that_has_disabled_cancellation_is_not_cancelled_in_a_wait(void)
{
    struct cancelled c;
    open_cancelled(&c);
    CHECK_IS(readyq_remove(&c.w), 0);
    const uint64_t before = stats_of(c.q).kernel_waits;
    pthread_t thread = start(sleep_disabled, &c);
    await_sleep(c.q, before);
    CHECK_IS(pthread_cancel(thread), 0);
    sleep_ns(MS);
    put(c.p[1]);
    join(thread);
    CHECK(c.reached);
    CHECK_IS(c.result, 1);
    CHECK_IS(c.state, PTHREAD_CANCEL_DISABLE);
    CHECK(readyq_next(&c.batch) == &c.w);
    close_cancelled(&c);
}

static int warned;

static void warn(void *data, readyq_watch *w, const char *text)
{
    (void)data;
    (void)w;
    (void)text;
    warned++;
    pthread_testcancel();
}

static const struct readyq_debug watchdog = {.turns = 1, .warn = warn};
static const struct readyq_options warned_of_everything = {.debug = &watchdog};

/* All calls that may make a system call which is a cancellation point. */
static void *call_everything(void *argument)
{
    struct cancelled *c = argument;
    readyq *other;
    readyq_recording *recording;
    readyq_watch process = {0}, signal = {0}, timer = {0}, file = {0}, trigger = {0}, pipe = {0};
    const int null = open("/dev/null", O_RDONLY);
    sigset_t blocked;
    int p[2];
    open_pipe(p);
    put(p[1]);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_cancel(pthread_self());
    CHECK_IS(readyq_open(&other, &warned_of_everything), 0);
    CHECK_IS(readyq_record(other, 100, &recording), 0);
    CHECK(readyq_fileno(other) >= 0);
    CHECK_IS(readyq_add(other, &file, null, READYQ_READ), 0);
    CHECK_IS(readyq_add_process(other, &process, getpid()), 0);
    CHECK(readyq_add_signal(other, &signal, SIGUSR1) >= 0); /* blocked: asks for all threads */
    CHECK_IS(readyq_add_timer(other, &timer, 0, 0), 0);
    CHECK_IS(readyq_add_trigger(other, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(readyq_modify(&file, READYQ_WRITE), 0);
    CHECK_IS(readyq_wake(other), 0);
    CHECK(readyq_look(other, &c->batch, 0) > 0);
    CHECK(readyq_next(&c->batch) != NULL);
    CHECK(readyq_wait(other, &c->batch, 0, 0) > 0);
    CHECK_IS(readyq_done(&c->batch), 0);
    CHECK(readyq_wait(other, &c->batch, -1, 0) > 0); /* does not sleep */
    CHECK_IS(readyq_add(other, &pipe, p[0], READYQ_READ), 0);
    for (int i = 0; i < 5; i++) { /* the data is never read */
        CHECK(readyq_wait(other, &c->batch, 0, 0) > 0);
        while (readyq_next(&c->batch) != NULL)
            ;
    }
    CHECK(warned > 0);
    CHECK_IS(readyq_remove(&process), 0);
    CHECK_IS(readyq_remove(&signal), 0);
    CHECK_IS(readyq_save(recording, "/dev/null"), 0);
    CHECK_IS(readyq_close(other), 0);
    CHECK_IS(readyq_done(&c->batch), 0);
    readyq_discard(recording);
    c->reached = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->state);
    close(null);
    close_pair(p);
    pthread_setcancelstate(c->state, NULL);
    readyq_wait(c->q, &c->batch, -1, 0);
    c->result = 1;
    return NULL;
}

static void test_a_cancellation_takes_effect_in_a_wait_that_sleeps_and_in_no_other_call(void)
{
    struct cancelled c;
    open_cancelled(&c);
    join(start(call_everything, &c));
    CHECK(c.reached);
    CHECK_IS(c.state, PTHREAD_CANCEL_ENABLE);
    CHECK_IS(c.result, -1);
    put(c.p[1]);
    CHECK_TAKES(c.q, &c.w);
    close_cancelled(&c);
}

struct states {
    readyq *q;
    int state;
    atomic_bool wrong;
};

static void *compare_states(void *argument)
{
    struct states *s = argument;
    readyq_batch batch = {0};
    for (int i = 0; i < 3000; i++) {
        int before;
        pthread_setcancelstate(s->state, &before);
        CHECK(readyq_wait(s->q, &batch, i % 3 == 0 ? MS / 100 : 0, 0) >= 0);
        if (i % 2 == 0)
            CHECK_IS(readyq_done(&batch), 0);
        pthread_setcancelstate(s->state, &before);
        if (before != s->state)
            s->wrong = true;
    }
    CHECK_IS(readyq_done(&batch), 0);
    return NULL;
}

static void test_each_thread_leaves_a_wait_with_the_cancellation_state_that_it_had(void)
{
    readyq *q = open_queue();
    struct states states[2] = {{.q = q, .state = PTHREAD_CANCEL_ENABLE},
                               {.q = q, .state = PTHREAD_CANCEL_DISABLE}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start(compare_states, &states[i]);
    for (int i = 0; i < 2; i++) {
        join(threads[i]);
        CHECK(!states[i].wrong);
    }
    readyq_close(q);
}

TESTS(TEST(test_when_a_waiting_thread_is_cancelled_the_others_get_all_events),
      TEST(test_the_memory_of_a_batch_whose_thread_was_cancelled_is_not_used_any_more),
      TEST(test_a_queue_is_freed_though_a_thread_was_cancelled_in_its_wait),
      TEST(test_what_a_thread_holds_stays_silent_when_another_one_is_cancelled),
      TEST(test_a_thread_that_has_disabled_cancellation_is_not_cancelled_in_a_wait),
      TEST(test_a_cancellation_takes_effect_in_a_wait_that_sleeps_and_in_no_other_call),
      TEST(test_each_thread_leaves_a_wait_with_the_cancellation_state_that_it_had),
      TEST(test_the_wait_of_a_cancelled_thread_ends_in_a_recording))
