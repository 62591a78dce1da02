/* SPDX-License-Identifier: MIT
 *
 * How a child opens a queue's descriptors again and registers its watches again when the numbers
 * may belong to other files by then. The other tests of fork are in fork.c and forks.c.
 */
#include "things.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>

static void limit_descriptors(int most)
{
    struct rlimit limit;
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)most;
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_a_wake_is_the_first_call_in_a_child(void)
{
    readyq *q = open_queue();
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK_IS(readyq_wake(q), 0);
        CHECK_IS(count_ready(q, LONG), 0);
        CHECK_QUIET(q);
        _exit(0);
    }
    expect_success(pid);
    readyq_close(q);
}

enum { FIRED = 64 };

static readyq_watch fired[FIRED];
static atomic_bool firing, over;

static void *fire_all(void *none)
{
    for (; !over; firing = true)
        for (int i = 0; i < FIRED; i++)
            CHECK_IS(readyq_fire(&fired[i]), 0);
    return none;
}

/* The threads of the child must not be mistaken for threads of its parent, which do not exist
 * there. */
static void test_a_childs_own_threads_fire_before_its_first_call(void)
{
    readyq *q = open_queue();
    for (int i = 0; i < FIRED; i++)
        CHECK_IS(readyq_add_trigger(q, &fired[i]), 0);
    for (int round = 0; round < 30; round++) {
        const pid_t pid = fork();
        if (pid == 0) {
            pthread_t thread = start(fire_all, NULL);
            while (!firing)
                ;
            for (int i = 0; i < 20; i++)
                CHECK(take_all_within(q, LONG) >= 0);
            over = true;
            join(thread);
            for (int i = 0; i < FIRED; i++)
                CHECK_IS(readyq_remove(&fired[i]), 0);
            readyq_close(q);
            _exit(0);
        }
        expect_success(pid);
    }
    readyq_close(q);
}

/* The numbers were closed. In the child the last one belongs to a file; the queue itself opens the
 * others. */
static void test_closed_numbers_that_are_taken_in_a_child_are_stale(void)
{
    enum { COUNT = 8 };
    int numbers[COUNT], p[2], file = open_file();
    readyq_watch w[COUNT], other;
    open_pipe(p);
    for (int i = 0; i < COUNT; i++)
        numbers[i] = dup(p[0]);
    readyq *q = open_queue();
    add(q, &other, p[0], READYQ_READ);
    for (int i = 0; i < COUNT; i++) {
        add(q, &w[i], numbers[i], READYQ_READ);
        close(numbers[i]);
    }
    CHECK_IS(readyq_fileno(q), numbers[0]);
    const pid_t pid = fork();
    if (pid == 0) {
        int stale = 0;
        CHECK_IS(dup2(file, numbers[COUNT - 1]), numbers[COUNT - 1]);
        CHECK_QUIET(q);
        put(p[1]);
        CHECK_TAKES(q, &other);
        while (readyq_stale(q) != NULL)
            stale++;
        CHECK_IS(stale, COUNT);
        CHECK_IS(readyq_size(q), 1);
        _exit(0);
    }
    expect_success(pid);
    readyq_close(q);
    close_pair(p);
    close(file);
}

/* At the fork no number is free. Later some are, but the number that its fileno must have is above
 * the limit. The child used to close a number again when it belonged to another file, and changed
 * its parent's queue. */
static void test_a_child_that_cannot_have_its_fileno_yet_closes_no_descriptor_of_others(void)
{
    enum { HIGH = 64, FREE = 40 };
    int p[2], meet[2], held[HIGH + 1], nheld = 0, before, own;
    readyq_watch w, trigger = {0};
    open_pipe(p);
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, meet), 0);
    do
        held[nheld++] = dup(0);
    while (held[nheld - 1] < HIGH);
    readyq *q = open_queue();
    struct pollfd one = {.fd = readyq_fileno(q), .events = POLLIN};
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    limit_descriptors(FREE);
    const pid_t pid = fork();
    if (pid == 0) {
        while (nheld > 0)
            close(held[--nheld]);
        before = count_descriptors();
        for (int i = 0; i < 3; i++) {
            count_ready(q, 0);
            own = dup(p[1]);
            CHECK(own >= 0);
            CHECK(readyq_fileno(q) < 0);
            CHECK_IS(close(own), 0);
        }
        limit_descriptors(2 * HIGH);
        CHECK_IS(readyq_fileno(q), one.fd);
        put(p[1]);
        CHECK_TAKES(q, &w);
        CHECK_IS(count_descriptors(), before + (HAS_EPOLL ? 0 : 2)); /* kqueues are not inherited */
        get(p[0]);
        CHECK_IS(readyq_fire(&trigger), 0);
        CHECK_IS(poll(&one, 1, 0), 1);
        put(meet[1]);
        get(meet[1]);
        _exit(0);
    }
    limit_descriptors(2 * HIGH);
    close(meet[1]);
    get(meet[0]);
    if (!HAS_EPOLL) /* a kqueue is readable until it was asked, though what was there is gone */
        CHECK_IS(count_ready(q, 0), 0);
    CHECK_IS(poll(&one, 1, 0), 0);
    put(meet[0]);
    expect_success(pid);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
    close(meet[0]);
    while (nheld > 0)
        close(held[--nheld]);
}

TESTS(TEST(test_a_wake_is_the_first_call_in_a_child),
      TEST(test_a_childs_own_threads_fire_before_its_first_call),
      TEST(test_closed_numbers_that_are_taken_in_a_child_are_stale),
      TEST(test_a_child_that_cannot_have_its_fileno_yet_closes_no_descriptor_of_others))
