/* SPDX-License-Identifier: MIT
 *
 * What happens between two steps of a call. Threads meet there at times; here they do at will, by
 * meanwhile.h.
 */
#include "meanwhile.h"
#include "things.h"

static struct {
    readyq *q;
    readyq_watch w, other;
    int p[2], file;
    pthread_t thread;
} s;
static atomic_bool reached, go_on;

static void wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag))
        sleep_ns(MS / 10);
}

static void begin(void)
{
    s.q = open_queue();
    open_unix(s.p);
    s.file = open_file();
}

static void end(void)
{
    readyq_close(s.q);
    close_pair(s.p);
    close(s.file);
}

/* ------------------------------------------------------------------ the kernel has answered */

static void lose_interest(void)
{
    CHECK_IS(readyq_modify(&s.w, READYQ_PRIORITY), 0);
}

static void lose_interest_but_once(void)
{
    CHECK_IS(readyq_modify(&s.w, READYQ_PRIORITY | READYQ_ONESHOT), 0);
}

static void test_what_is_modified_while_the_kernel_answers_is_not_told_of_what_it_was(void)
{
    void (*const losses[])(void) = {lose_interest, lose_interest_but_once};

    for (int i = 0; i < 2; i++) {
        begin();
        put(s.p[1]);
        add(s.q, &s.w, s.p[0], READYQ_READ);
        happenings[ANSWERED] = losses[i];
        CHECK_QUIET(s.q);
        CHECK_IS(readyq_modify(&s.w, READYQ_READ), 0);
        CHECK_TAKES(s.q, &s.w);
        end();
    }
}

static void wait_too(void)
{
    CHECK_IS(readyq_wait(s.q, 0, 0), 0);
}

/* What the leader asks of again is not there for another until the kernel has told. */
static void test_who_waits_while_what_was_left_is_asked_again_gets_none_of_it(void)
{
    begin();
    put(s.p[1]);
    add(s.q, &s.w, s.p[0], READYQ_READ);
    CHECK_IS(readyq_wait(s.q, 0, 0), 1);
    happenings[ANSWERED] = wait_too;
    CHECK_TAKES(s.q, &s.w);
    CHECK(happenings[ANSWERED] == NULL);
    end();
}

static void close_queue(void)
{
    readyq_close(s.q);
}

static void test_the_last_one_in_a_closed_queue_frees_it(void)
{
    begin();
    add(s.q, &s.w, s.p[0], READYQ_READ);
    happenings[ANSWERED] = close_queue;
    CHECK_IS(readyq_wait(s.q, MS, 0), -ESHUTDOWN);
    CHECK(s.w.queue == NULL);
    s.q = NULL;
    end();
}

static void add_file(void)
{
    add(s.q, &s.other, s.file, READYQ_READ);
}

static void resume_file(void)
{
    CHECK_IS(readyq_modify(&s.other, READYQ_READ), 0);
}

static void test_a_file_that_is_added_or_resumed_ends_a_wait_that_is_under_way(void)
{
    begin();
    happenings[ANSWERED] = add_file;
    CHECK(take_within(s.q, MS) == &s.other);
    CHECK_IS(readyq_modify(&s.other, 0), 0);
    happenings[ANSWERED] = resume_file;
    CHECK(take_within(s.q, MS) == &s.other);
    end();
}

/* ------------------------------------------------------------------ a follower sleeps */

static void *follow(void *unused)
{
    (void)unused;
    CHECK(readyq_wait(s.q, LONG, 0) >= 0);
    while (readyq_next(s.q) != NULL)
        ;
    go_on = true;
    return NULL;
}

/* Once its wait is counted it follows: who leads is in the middle of asking. */
static void start_follower_in(void *(*wait)(void *))
{
    const uint64_t waits = stats_of(s.q).waits;

    s.thread = start(wait, NULL);
    while (stats_of(s.q).waits == waits)
        sleep_ns(MS / 10);
}

static void start_follower(void)
{
    start_follower_in(follow);
}

static void start_follower_and_add_file(void)
{
    start_follower();
    add_file();
}

static void start_follower_and_close(void)
{
    start_follower();
    close(s.p[0]);
}

static void wake_follower(void)
{
    CHECK_IS(readyq_wake(s.q), 0);
    join(s.thread);
}

static void test_a_file_is_handed_to_one_of_two_waiters(void)
{
    begin();
    happenings[ANSWERED] = start_follower_and_add_file;
    CHECK_IS(readyq_wait(s.q, MS, 0), 1);
    CHECK(readyq_next(s.q) == &s.other);
    CHECK_IS(readyq_remove(&s.other), 0);
    wake_follower();
    end();
}

/* What is handed to one of two is made quiet, and loud again by the next wait. */
static void test_a_descriptor_that_is_closed_around_its_delivery_to_one_of_two_is_no_error(void)
{
    for (int early = 0; early < 2; early++) {
        const readyq_watch *found;

        begin();
        put(s.p[1]);
        add(s.q, &s.w, s.p[0], READYQ_READ);
        happenings[ANSWERED] = early ? start_follower_and_close : start_follower;
        CHECK_IS(readyq_wait(s.q, LONG, 0), 1);
        found = readyq_next(s.q); /* who leads by now may have seen that it was closed */
        CHECK(found == &s.w || (early && found == NULL));
        if (!early)
            close(s.p[0]);
        CHECK_IS(readyq_wait(s.q, 0, 0), 0);
        CHECK_IS(readyq_remove(&s.w), 0);
        wake_follower();
        s.p[0] = dup(s.p[1]);
        end();
    }
}

static void *be_shut_out(void *unused)
{
    CHECK_IS(readyq_wait(s.q, LONG, 0), -ESHUTDOWN);
    return unused;
}

static void start_follower_and_close_at_the_next(void)
{
    start_follower_in(be_shut_out);
    happenings[ANSWERED] = close_queue;
}

static void test_a_queue_that_is_closed_while_it_is_handing_out_says_so_to_both_waiters(void)
{
    begin();
    put(s.p[1]);
    add(s.q, &s.w, s.p[0], READYQ_READ);
    happenings[ANSWERED] = start_follower_and_close_at_the_next;
    CHECK_IS(readyq_wait(s.q, LONG, 0), -ESHUTDOWN);
    join(s.thread);
    s.q = NULL;
    end();
}

static void hold_follower(void)
{
    atomic_store(&reached, true);
    wait_for(&go_on);
}

static void release_follower(void)
{
    atomic_store(&go_on, true);
    join(s.thread);
}

/* It comes from its sleep while the leader asks again of what is in line: that is not there yet. */
static void test_a_follower_takes_nothing_that_is_being_asked_again(void)
{
    begin();
    add(s.q, &s.w, s.p[0], READYQ_READ);
    happenings[ANSWERED] = start_follower;
    happenings[SLEPT] = hold_follower;
    CHECK_IS(readyq_wait(s.q, MS, 0), 0);
    wait_for(&reached);
    put(s.p[1]);
    CHECK_IS(readyq_wait(s.q, LONG, 0), 1);
    happenings[ANSWERED] = release_follower;
    CHECK_IS(readyq_wait(s.q, LONG, 0), 1);
    CHECK(readyq_next(s.q) == &s.w);
    end();
}

static void *wait_a_little(void *unused)
{
    CHECK_IS(readyq_wait(s.q, 5, 0), 0);
    return unused;
}

static void start_another_little_wait(void)
{
    start_follower_in(wait_a_little);
}

/* Another wait has moved a virtual clock beyond the end of this one. */
static void test_a_virtual_clock_does_not_go_back(void)
{
    begin();
    readyq_close(s.q);
    s.q = open_queue_with((struct readyq_options){.virtual_clock = true});
    const int64_t before = readyq_now(s.q);
    CHECK_IS(readyq_wake(s.q), 0);
    happenings[ANSWERED] = start_another_little_wait;
    happenings[SLEPT] = hold_follower;
    CHECK_IS(readyq_wait(s.q, -1, 0), 0);
    wait_for(&reached);
    CHECK_IS(readyq_wait(s.q, 1000, 0), 0);
    release_follower();
    CHECK_IS(readyq_now(s.q) - before, 1000);
    end();
}

static void wake(void)
{
    CHECK_IS(readyq_wake(s.q), 0);
}

static void wake_next_time(void)
{
    happenings[TIMING] = wake;
}

/* It came after the wait had looked for it and before the kernel was asked, and slept on. */
static void test_a_wake_ends_a_wait_that_is_reckoning_how_long_to_sleep(void)
{
    begin();
    CHECK_QUIET(s.q);
    const int64_t before = now_ns();
    happenings[TIMING] = wake_next_time; /* the first time is for the deadline */
    CHECK_IS(readyq_wait(s.q, 5 * SECOND, 0), 0);
    CHECK(now_ns() - before < 4 * SECOND);
    end();
}

/* ------------------------------------------------------------------ who goes waits for who fires */

static void hold_write(void)
{
    atomic_store(&reached, true);
    wait_for(&go_on);
}

static void let_write(void)
{
    atomic_store(&go_on, true);
}

static void *raise_signal(void *unused)
{
    CHECK_IS(raise(SIGUSR1), 0);
    return unused;
}

static void *fire_trigger(void *unused)
{
    CHECK_IS(readyq_fire(&s.w), 0);
    return unused;
}

static void *wake_queue(void *unused)
{
    CHECK_IS(readyq_wake(s.q), 0);
    return unused;
}

/* Another thread is in the middle of writing a wake-up until this one gives way to it. */
static void start_to_write(void *(*run)(void *))
{
    reached = go_on = false;
    happenings[WRITING] = hold_write;
    happenings[YIELDING] = let_write;
    s.thread = start(run, NULL);
    wait_for(&reached);
}

static void check_gave_way(void)
{
    CHECK(go_on);
    join(s.thread);
}

static void test_a_watch_is_not_gone_while_it_is_fired(void)
{
    begin();
    CHECK_IS(readyq_add_signal(s.q, &s.w, SIGUSR1), 0);
    start_to_write(raise_signal);
    CHECK_IS(readyq_remove(&s.w), 0);
    check_gave_way();
    CHECK_QUIET(s.q);
    CHECK_IS(readyq_add_trigger(s.q, &s.w), 0);
    start_to_write(fire_trigger);
    CHECK_IS(readyq_remove(&s.w), 0);
    check_gave_way();
    CHECK_QUIET(s.q);
    end();
}

static void test_a_queue_is_not_gone_while_it_is_woken(void)
{
    begin();
    start_to_write(wake_queue);
    readyq_ref(s.q);
    CHECK_IS(readyq_close(s.q), 0);
    check_gave_way();
    CHECK_IS(readyq_wake(s.q), -ESHUTDOWN);
    readyq_unref(s.q);
    s.q = NULL;
    end();
}

static void remove_watch(void)
{
    CHECK_IS(readyq_remove(&s.w), 0);
}

static void test_a_watch_that_is_removed_on_the_way_into_its_queue_is_enoent(void)
{
    begin();
    happenings[ANSWERED] = start_follower; /* a process with one thread takes no lock */
    CHECK_IS(readyq_wait(s.q, MS, 0), 0);
    for (int i = 0; i < 2; i++) {
        add(s.q, &s.w, s.p[0], READYQ_READ);
        happenings[LOCKING] = remove_watch;
        CHECK_IS(i ? readyq_modify(&s.w, READYQ_WRITE) : readyq_remove(&s.w), -ENOENT);
    }
    wake_follower();
    end();
}

TESTS(TEST(test_what_is_modified_while_the_kernel_answers_is_not_told_of_what_it_was),
      TEST(test_who_waits_while_what_was_left_is_asked_again_gets_none_of_it),
      TEST(test_the_last_one_in_a_closed_queue_frees_it),
      TEST(test_a_file_that_is_added_or_resumed_ends_a_wait_that_is_under_way),
      TEST(test_a_file_is_handed_to_one_of_two_waiters),
      TEST(test_a_descriptor_that_is_closed_around_its_delivery_to_one_of_two_is_no_error),
      TEST(test_a_follower_takes_nothing_that_is_being_asked_again),
      TEST(test_a_queue_that_is_closed_while_it_is_handing_out_says_so_to_both_waiters),
      TEST(test_a_virtual_clock_does_not_go_back),
      TEST(test_a_wake_ends_a_wait_that_is_reckoning_how_long_to_sleep),
      TEST(test_a_watch_is_not_gone_while_it_is_fired),
      TEST(test_a_queue_is_not_gone_while_it_is_woken),
      TEST(test_a_watch_that_is_removed_on_the_way_into_its_queue_is_enoent))
