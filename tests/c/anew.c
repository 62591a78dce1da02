/* SPDX-License-Identifier: MIT
 *
 * What a queue builds anew in a child, where the numbers it knows are others' by then. The rest of
 * what a child may do is in fork.c.
 */
#include "things.h"

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
        CHECK_IS(readyq_wait(q, LONG, 0), 0);
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

/* The first call took them for threads of the parent, which are not there: a fire under way was
 * ended, so that the watch was refused for ever or led round in a circle. */
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
            for (int i = 0; i < 20; i++) {
                CHECK(readyq_wait(q, LONG, 0) >= 0);
                while (readyq_next(q) != NULL)
                    ;
            }
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

/* The numbers were closed: the last is a file's in the child, the others what the queue opens. */
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

/* It closed what it had closed before, which was another's by then. */
static void test_a_child_that_cannot_have_its_fileno_yet_closes_nothing_of_others(void)
{
    enum { HIGH = 64, FREE = 40 };
    int p[2], held[HIGH + 1], nheld = 0, before, own;
    readyq_watch w;
    open_pipe(p);
    do
        held[nheld++] = dup(0);
    while (held[nheld - 1] < HIGH);
    readyq *q = open_queue();
    const int number = readyq_fileno(q);
    add(q, &w, p[0], READYQ_READ);
    const pid_t pid = fork();
    if (pid == 0) {
        while (nheld > 0)
            close(held[--nheld]);
        before = count_descriptors();
        limit_descriptors(FREE); /* below the number that its fileno is to have */
        for (int i = 0; i < 3; i++) {
            CHECK(readyq_wait(q, 0, 0) < 0);
            own = dup(p[1]);
            CHECK(own >= 0);
            CHECK(readyq_fileno(q) < 0);
            CHECK_IS(close(own), 0);
        }
        limit_descriptors(2 * HIGH);
        CHECK_IS(readyq_fileno(q), number);
        put(p[1]);
        CHECK_TAKES(q, &w);
        CHECK_IS(count_descriptors(), before);
        _exit(0);
    }
    expect_success(pid);
    readyq_close(q);
    close_pair(p);
    while (nheld > 0)
        close(held[--nheld]);
}

TESTS(TEST(test_a_wake_is_the_first_call_in_a_child),
      TEST(test_a_childs_own_threads_fire_before_its_first_call),
      TEST(test_closed_numbers_that_are_taken_in_a_child_are_stale),
      TEST(test_a_child_that_cannot_have_its_fileno_yet_closes_nothing_of_others))
