/* SPDX-License-Identifier: MIT
 *
 * Events between two steps of a call. Between threads these happen by chance; here they happen at
 * chosen moments, by means of meanwhile.h.
 */
#include "meanwhile.h"

static void *look_once(void *unused)
{
    s.result = readyq_wait(s.q, &s.others, 0, 0);
    while (readyq_next(&s.others) != NULL)
        ;
    return unused;
}

static void look_in_another_thread(void)
{
    join(start(look_once, NULL));
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

/* The event is late, and is not mistaken for one of a ghost. */
static void test_a_watch_modified_while_the_kernel_answers_gets_no_event_of_the_old_interest(void)
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
        CHECK_IS(stats_of(s.q).stale, 1);
        CHECK_IS(stats_of(s.q).ghosts, 0);
        end();
    }
}

static void remove_and_add_again(void)
{
    CHECK_IS(readyq_remove(&s.w), 0);
    CHECK_IS(readyq_add(s.q, &s.w, s.p[0], READYQ_READ | READYQ_EDGE), 0);
}

static void test_an_edge_is_reported_to_the_watch_that_is_added_while_the_kernel_answers(void)
{
    const int64_t timeouts[] = {LONG, 0};

    for (int i = 0; i < 2; i++) {
        begin();
        put(s.p[1]);
        add(s.q, &s.w, s.p[0], READYQ_READ | READYQ_EDGE);
        happenings[ANSWERED] = remove_and_add_again;
        CHECK(take_within(s.q, timeouts[i]) == &s.w);
        CHECK_QUIET(s.q);
        CHECK_IS(stats_of(s.q).ghosts, 0);
        end();
    }
}

static void test_what_was_left_goes_to_one_of_two_that_wait(void)
{
    begin();
    put(s.p[1]);
    add(s.q, &s.w, s.p[0], READYQ_READ);
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), 1);
    happenings[ANSWERED] = look_in_another_thread;
    CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0) + s.result, 1);
    CHECK(happenings[ANSWERED] == NULL);
    readyq_done(&s.batch);
    readyq_done(&s.others);
    CHECK_TAKES(s.q, &s.w);
    get(s.p[0]);
    CHECK_QUIET(s.q);
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
    CHECK_IS(readyq_wait(s.q, &s.batch, MS, 0), -ESHUTDOWN);
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

static void start_waiter_and_add_file(void)
{
    start_waiter();
    add_file();
}

static void test_a_file_is_delivered_to_one_of_two_waiters(void)
{
    begin();
    happenings[ANSWERED] = start_waiter_and_add_file;
    int taken = readyq_wait(s.q, &s.batch, MS, 0);
    taken += wake_waiter();
    CHECK_IS(taken, 1);
    CHECK_IS(readyq_remove(&s.other), 0);
    end();
}

static void close_watched(void)
{
    close(s.p[0]);
}

/* Both calls change the registration of a descriptor that is gone: the wait of another thread mutes
 * the watch, because it is held; giving it back unmutes it. */
static void test_a_descriptor_that_is_closed_around_its_delivery_to_one_of_two_is_no_error(void)
{
    for (int early = 0; early < 2; early++) {
        begin();
        put(s.p[1]);
        add(s.q, &s.w, s.p[0], READYQ_READ);
        CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), 1);
        CHECK(readyq_next(&s.batch) == &s.w);
        if (early)
            happenings[ANSWERED] = close_watched;
        look_in_another_thread();
        CHECK_IS(s.result, 0);
        if (!early)
            close_watched();
        CHECK_IS(readyq_wait(s.q, &s.batch, 0, 0), 0);
        CHECK(readyq_stale(s.q) == &s.w);
        CHECK_IS(readyq_remove(&s.w), -ENOENT);
        CHECK_IS(stats_of(s.q).ghosts, 0);
        s.p[0] = dup(s.p[1]);
        end();
    }
}

static void start_waiter_and_close(void)
{
    start_waiter();
    close_queue();
}

static void test_closing_a_queue_while_it_delivers_ends_both_waits_with_the_closed_error(void)
{
    begin();
    put(s.p[1]);
    add(s.q, &s.w, s.p[0], READYQ_READ | READYQ_EDGE);
    happenings[ANSWERED] = start_waiter_and_close;
    CHECK_IS(readyq_wait(s.q, &s.batch, LONG, 0), -ESHUTDOWN);
    join(s.thread);
    CHECK_IS(s.result, -ESHUTDOWN);
    s.q = NULL;
    end();
}

/* ------------------------------------------------------------------ the virtual clock */

static void *wait_5(void *unused)
{
    CHECK_IS(count_ready(s.q, 5), 0);
    return unused;
}

static void *wait_1000(void *unused)
{
    CHECK_IS(count_ready(s.q, 1000), 0);
    return unused;
}

static void wait_5_in_another_thread(void)
{
    join(start(wait_5, NULL));
}

static void wait_1000_in_another_thread(void)
{
    join(start(wait_1000, NULL));
}

/* Another wait has moved the clock, beyond the end of this wait or not. */
static void test_a_virtual_clock_does_not_go_back(void)
{
    begin_with((struct readyq_options){.virtual_clock = true});
    const int64_t before = readyq_now(s.q);
    happenings[ANSWERED] = wait_5_in_another_thread;
    CHECK_IS(readyq_wait(s.q, &s.batch, 1000, 0), 0);
    CHECK_IS(readyq_now(s.q) - before, 1000);
    happenings[ANSWERED] = wait_1000_in_another_thread;
    CHECK_IS(readyq_wait(s.q, &s.batch, 5, 0), 0);
    CHECK_IS(readyq_now(s.q) - before, 2000);
    end();
}

/* ------------------------------------------------------------------ a sleep begins */

static void raise_signal(void)
{
    CHECK_IS(raise(SIGUSR1), 0);
}

static void fire_other(void)
{
    CHECK_IS(readyq_fire(&s.other), 0);
}

static void add_timer(void)
{
    CHECK_IS(readyq_add_timer(s.q, &s.other, MS, 0), 0);
}

/* While the clock is read for the length of the sleep, or before the kernel is asked. */
static void check_ends_a_wait(void (*happening)(void), int found)
{
    for (int asking = 0; asking < 2; asking++) {
        const int64_t before = now_ns();

        happenings[asking ? ASKING : TIMING] = happening;
        CHECK_IS(take_all_within(s.q, LONG), found);
        CHECK(now_ns() - before < LONG / 2);
    }
}

static void test_a_wake_ends_a_wait_that_is_computing_its_timeout(void)
{
    begin();
    CHECK_QUIET(s.q);
    check_ends_a_wait(wake, 0);
    end();
}

static void test_a_signal_ends_a_wait_that_is_about_to_sleep(void)
{
    begin();
    CHECK_IS(readyq_add_signal(s.q, &s.w, SIGUSR1), 0);
    CHECK_QUIET(s.q);
    check_ends_a_wait(raise_signal, 1);
    end();
}

static void test_a_fire_and_a_nearer_timer_end_a_wait_that_is_about_to_sleep(void)
{
    begin();
    CHECK_IS(readyq_add_trigger(s.q, &s.other), 0);
    happenings[ASKING] = fire_other;
    CHECK_TAKES(s.q, &s.other);
    CHECK_IS(readyq_remove(&s.other), 0);
    happenings[ASKING] = add_timer;
    CHECK_TAKES(s.q, &s.other);
    end();
}

static void test_a_wait_of_0_leaves_a_wake_to_a_thread_that_sleeps(void)
{
    begin();
    const int64_t before = now_ns();
    start_waiter_held_at(ANSWERED, wake);
    CHECK_IS(count_ready(s.q, 0), 0);
    release_waiter();
    join(s.thread);
    CHECK_IS(s.result, 0);
    CHECK(now_ns() - before < LONG / 2);
    end();
}

/* ------------------------------------------------------------------ replacing the kernel queue */

static void release_waiter_to_sleep(void)
{
    release_waiter();
    sleep_ns(SOON);
}

static void test_a_thread_that_sleeps_goes_on_in_the_kernel_queue_that_replaces_the_old_one(void)
{
    begin();
    haunt();
    add(s.q, &s.w, s.p[0], READYQ_READ | READYQ_EDGE);
    start_waiter_held_at(ASKING, NULL);
    put(writer);
    happenings[ANSWERED] = release_waiter_to_sleep;
    const int64_t before = now_ns();
    do /* on a busy machine, the first wait can be over before it has found the ghost */
        CHECK_IS(count_ready(s.q, 2 * SOON), 0);
    while (stats_of(s.q).rebuilds < has_ghosts(s.q) && now_ns() - before < LONG / 2);
    CHECK(now_ns() - before < LONG / 2);
    CHECK_IS(stats_of(s.q).rebuilds, has_ghosts(s.q));
    put(s.p[1]);
    join(s.thread);
    CHECK_IS(s.result, 1);
    end_haunted();
}

/* ------------------------------------------------------------------ kicks and the close */

static void *raise_in_thread(void *unused)
{
    raise_signal();
    return unused;
}

static void *wake_in_thread(void *unused)
{
    wake();
    return unused;
}

/* Another thread is about to write a kick, and does not go on until this one waits for it. */
static void start_to_write(void *(*run)(void *))
{
    CHECK(readyq_fileno(s.q) >= 0); /* as if a thread slept */
    reached = go_on = false;
    happenings[WRITING] = hold;
    happenings[PAUSING] = release_waiter;
    s.thread = start(run, NULL);
    wait_for(&reached);
}

static void check_waited(void)
{
    CHECK(go_on);
    join(s.thread);
}

static void test_a_signals_watch_is_not_gone_while_its_handler_runs(void)
{
    begin();
    CHECK_IS(readyq_add_signal(s.q, &s.w, SIGUSR1), 0);
    start_to_write(raise_in_thread);
    CHECK_IS(readyq_remove(&s.w), 0);
    check_waited();
    CHECK_QUIET(s.q);
    end();
}

static void test_a_queue_is_not_gone_while_it_is_woken(void)
{
    begin();
    start_to_write(wake_in_thread);
    readyq_ref(s.q);
    CHECK_IS(readyq_close(s.q), 0);
    check_waited();
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
    for (int i = 0; i < 2; i++) {
        add(s.q, &s.w, s.p[0], READYQ_READ);
        happenings[LOCKING] = remove_watch;
        CHECK_IS(i ? readyq_modify(&s.w, READYQ_WRITE) : readyq_remove(&s.w), -ENOENT);
    }
    CHECK_IS(readyq_add_trigger(s.q, &s.w), 0);
    happenings[LOCKING] = remove_watch;
    CHECK_IS(readyq_fire(&s.w), -ENOENT);
    CHECK_IS(readyq_add_timer(s.q, &s.w, LONG, 0), 0);
    happenings[LOCKING] = remove_watch;
    CHECK_IS(readyq_restart(&s.w, 0), -ENOENT);
    CHECK_QUIET(s.q);
    end();
}

TESTS(TEST(test_a_watch_modified_while_the_kernel_answers_gets_no_event_of_the_old_interest),
      TEST(test_an_edge_is_reported_to_the_watch_that_is_added_while_the_kernel_answers),
      TEST(test_what_was_left_goes_to_one_of_two_that_wait),
      TEST(test_the_last_one_in_a_closed_queue_frees_it),
      TEST(test_a_file_that_is_added_or_resumed_ends_a_wait_that_is_under_way),
      TEST(test_a_file_is_delivered_to_one_of_two_waiters),
      TEST(test_a_descriptor_that_is_closed_around_its_delivery_to_one_of_two_is_no_error),
      TEST(test_closing_a_queue_while_it_delivers_ends_both_waits_with_the_closed_error),
      TEST(test_a_virtual_clock_does_not_go_back),
      TEST(test_a_wake_ends_a_wait_that_is_computing_its_timeout),
      TEST(test_a_signal_ends_a_wait_that_is_about_to_sleep),
      TEST(test_a_fire_and_a_nearer_timer_end_a_wait_that_is_about_to_sleep),
      TEST(test_a_wait_of_0_leaves_a_wake_to_a_thread_that_sleeps),
      TEST(test_a_thread_that_sleeps_goes_on_in_the_kernel_queue_that_replaces_the_old_one),
      TEST(test_a_signals_watch_is_not_gone_while_its_handler_runs),
      TEST(test_a_queue_is_not_gone_while_it_is_woken),
      TEST(test_a_watch_that_is_removed_on_the_way_into_its_queue_is_enoent))
