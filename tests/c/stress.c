/* SPDX-License-Identifier: MIT
 *
 * Every call against every other, from several threads. Built with ThreadSanitizer too.
 */
#include "things.h"

#include <stdatomic.h>

enum { ROUNDS = 1000, CHANGERS = 4, WAITERS = 3 };

struct stress {
    readyq *q;
    int p[CHANGERS][2];
    atomic_int taken, errors;
};

static void note(struct stress *s, int result)
{
    if (result < 0 && result != -ESHUTDOWN)
        s->errors++;
}

static void *change_again_and_again(void *argument)
{
    static atomic_int next;
    struct stress *s = argument;
    int *p = s->p[next++];
    readyq_watch w = {0}, timer = {0}, trigger = {0};
    for (int i = 0; i < ROUNDS; i++) {
        note(s, readyq_add(s->q, &w, p[0], READYQ_READ));
        note(s, readyq_add_timer(s->q, &timer, MS / 10, MS / 10));
        note(s, readyq_add_trigger(s->q, &trigger));
        put(p[1]);
        readyq_fire(&trigger);
        readyq_modify(&w, READYQ_READ | (i % 2 ? READYQ_EDGE : READYQ_ONESHOT));
        readyq_wake(s->q);
        get(p[0]);
        readyq_remove(&w);
        readyq_remove(&timer);
        readyq_remove(&trigger);
    }
    return NULL;
}

static void *wait_until_closed(void *argument)
{
    struct stress *s = argument;
    readyq_batch batch = {0};
    int n;
    while ((n = readyq_wait(s->q, &batch, MS, 2)) >= 0)
        while (readyq_next(&batch) != NULL)
            s->taken++;
    CHECK_IS(n, -ESHUTDOWN);
    return NULL;
}

static void run_stress(bool close_early)
{
    struct stress s = {0};
    pthread_t changers[CHANGERS], waiters[WAITERS];
    s.q = readyq_ref(open_queue());
    for (int i = 0; i < CHANGERS; i++)
        open_pipe(s.p[i]);
    for (int i = 0; i < WAITERS; i++)
        waiters[i] = start(wait_until_closed, &s);
    for (int i = 0; i < CHANGERS; i++)
        changers[i] = start(change_again_and_again, &s);
    if (close_early)
        CHECK_IS(readyq_close(s.q), 0);
    for (int i = 0; i < CHANGERS; i++)
        join(changers[i]);
    if (!close_early)
        CHECK_IS(readyq_close(s.q), 0);
    for (int i = 0; i < WAITERS; i++)
        join(waiters[i]);
    CHECK_IS(s.errors, 0);
    CHECK_IS(stats_of(s.q).ghosts, 0);
    readyq_unref(s.q);
    for (int i = 0; i < CHANGERS; i++)
        close_pair(s.p[i]);
}

static void test_every_change_against_every_wait_works(void)
{
    run_stress(false);
}

static void test_close_against_every_call_works(void)
{
    run_stress(true);
}

struct described {
    readyq_watch fd, timer, trigger;
    atomic_bool enough;
};

static void describe(const readyq_watch *w)
{
    const uint32_t ready = __atomic_load_n(&w->ready, __ATOMIC_RELAXED);
    char text[400];
    CHECK(*readyq_describe_watch(w, ready, text, sizeof text) != 0);
}

static void *describe_again_and_again(void *argument)
{
    struct described *d = argument;
    while (!d->enough) {
        describe(&d->fd);
        describe(&d->timer);
        describe(&d->trigger);
    }
    return NULL;
}

static void test_a_watch_can_be_described_while_another_thread_changes_it(void)
{
    int p[2];
    struct described d = {0};
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &d.fd, p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(q, &d.timer, MS / 10, MS / 10), 0);
    CHECK_IS(readyq_add_trigger(q, &d.trigger), 0);
    pthread_t thread = start(describe_again_and_again, &d);
    readyq_batch batch = {0};
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_IS(readyq_modify(&d.fd, READYQ_READ | (i % 2 ? READYQ_ONESHOT : 0)), 0);
        CHECK_IS(readyq_fire(&d.trigger), 0);
        CHECK(readyq_wait(q, &batch, 0, 0) >= 2);
        while (readyq_next(&batch) != NULL)
            ;
    }
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(readyq_remove(&d.fd), 0);
    CHECK_IS(readyq_remove(&d.trigger), 0);
    CHECK_IS(readyq_close(q), 0);
    d.enough = true;
    join(thread);
    close_pair(p);
}

static void fork_again_and_again(readyq *q)
{
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            CHECK(count_ready(q, 0) >= 0);
            CHECK_IS(readyq_close(q), 0);
            _exit(0);
        }
        expect_success(pid);
    }
}

static void test_fork_in_the_middle_of_changes_works(void)
{
    struct stress s = {.q = open_queue()};
    pthread_t changers[CHANGERS];
    for (int i = 0; i < CHANGERS; i++) {
        open_pipe(s.p[i]);
        changers[i] = start(change_again_and_again, &s);
    }
    fork_again_and_again(s.q);
    for (int i = 0; i < CHANGERS; i++)
        join(changers[i]);
    CHECK_IS(s.errors, 0);
    readyq_close(s.q);
    for (int i = 0; i < CHANGERS; i++)
        close_pair(s.p[i]);
}

struct relay {
    readyq *q;
    int fd;
    atomic_int bytes;
};

static void *read_what_comes(void *argument)
{
    struct relay *r = argument;
    readyq_batch batch = {0};
    while (readyq_wait(r->q, &batch, -1, 1) >= 0)
        if (readyq_next(&batch) != NULL)
            for (char byte; read(r->fd, &byte, 1) == 1;)
                r->bytes++;
    return NULL;
}

static void check_no_byte_is_left_lying(uint32_t interest)
{
    int p[2];
    readyq_watch w;
    pthread_t readers[WAITERS];
    struct relay r = {.q = readyq_ref(open_queue())};
    open_pipe(p);
    r.fd = p[0];
    add(r.q, &w, p[0], interest);
    for (int i = 0; i < WAITERS; i++)
        readers[i] = start(read_what_comes, &r);
    for (int i = 0; i < 2000; i++)
        put(p[1]);
    for (int i = 0; i < 5000 && r.bytes < 2000; i++)
        sleep_ns(MS);
    CHECK_IS(r.bytes, 2000);
    CHECK_IS(readyq_close(r.q), 0);
    for (int i = 0; i < WAITERS; i++)
        join(readers[i]);
    readyq_unref(r.q);
    close_pair(p);
}

static void test_no_byte_is_left_unread_by_three_level_readers(void)
{
    check_no_byte_is_left_lying(READYQ_READ);
}

static void test_no_byte_is_left_unread_by_three_edge_readers(void)
{
    check_no_byte_is_left_lying(READYQ_READ | READYQ_EDGE);
}

/* One byte at a time, the next when the last was read: a lost edge stops it forever. */
struct stream {
    int fd;
    atomic_bool enough;
    atomic_int sent, got;
};

static void *send_when_read(void *argument)
{
    struct stream *s = argument;
    for (unsigned i = 0; !s->enough; i++) {
        if (s->got < s->sent)
            continue;
        for (int64_t until = now_ns() + i * 7919 % 200 * 1000; now_ns() < until;)
            ; /* so that it comes at any moment of the other thread's work */
        put(s->fd);
        s->sent++;
    }
    return NULL;
}

static void take_byte(readyq *q, struct stream *s, int fd, int64_t timeout)
{
    if (take_within(q, timeout) == NULL)
        return;
    get(fd);
    s->got++;
}

static void test_no_edge_is_lost_while_ghosts_come_and_go(void)
{
    int p[2], ghost[2], keeper;
    readyq_watch w, g;
    struct stream s = {0};
    readyq *q = open_queue();
    open_unix(p);
    s.fd = p[1];
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    pthread_t thread = start(send_when_read, &s);
    for (int i = 0; i < 1000; i++) {
        open_pipe(ghost);
        put(ghost[1]);
        add(q, &g, ghost[0], READYQ_READ);
        keeper = dup(ghost[0]);
        close(ghost[0]);
        CHECK_IS(readyq_remove(&g), 0);
        take_byte(q, &s, p[0], MS);
        close(keeper);
        close(ghost[1]);
    }
    s.enough = true;
    join(thread);
    if (s.got < s.sent)
        take_byte(q, &s, p[0], LONG);
    CHECK_IS(s.got, s.sent);
    CHECK_IS(stats_of(q).ghosts, has_ghosts(q) ? 1000 : 0);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_every_change_against_every_wait_works), TEST(test_close_against_every_call_works),
      TEST(test_a_watch_can_be_described_while_another_thread_changes_it),
      TEST(test_fork_in_the_middle_of_changes_works),
      TEST(test_no_byte_is_left_unread_by_three_level_readers),
      TEST(test_no_byte_is_left_unread_by_three_edge_readers),
      TEST(test_no_edge_is_lost_while_ghosts_come_and_go))
