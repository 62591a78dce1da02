/* SPDX-License-Identifier: MIT
 *
 * When memory runs out. The linker replaces the core's allocations by those here (see the
 * Makefile), one of which fails: each in turn, until the whole story passes without a failure.
 */
#include "check.h"
#include "things.h"

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int until_refusal = -1; /* allocations that still succeed; negative: all */
static bool refused;

static bool is_refused(void)
{
    if (until_refusal < 0 || until_refusal-- > 0)
        return false;
    refused = true;
    return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_refused() ? NULL : __real_realloc(memory, size);
}

enum { TIMERS = 40 }; /* more than fit into the heap at first */

struct story {
    readyq *q;
    readyq_watch fd, timers[TIMERS], trigger;
};

/* A call that fails changes nothing, and succeeds when it is made again. */
static void add_everything(struct story *s, int fd)
{
    size_t size = 0;
    int error;

    CHECK((error = readyq_add(s->q, &s->fd, fd, READYQ_READ)) == 0 || error == -ENOMEM);
    CHECK_IS(readyq_size(s->q), size + (error == 0));
    CHECK_IS(s->fd.queue != NULL, error == 0);
    if (error < 0)
        CHECK_IS(readyq_add(s->q, &s->fd, fd, READYQ_READ), 0);
    size++;
    for (int i = 0; i < TIMERS; i++, size++) {
        CHECK((error = readyq_add_timer(s->q, &s->timers[i], 0, 0)) == 0 || error == -ENOMEM);
        CHECK_IS(readyq_size(s->q), size + (error == 0));
        if (error < 0)
            CHECK_IS(readyq_add_timer(s->q, &s->timers[i], 0, 0), 0);
    }
    CHECK((error = readyq_add_trigger(s->q, &s->trigger)) == 0 || error == -ENOMEM);
    if (error < 0)
        CHECK_IS(readyq_add_trigger(s->q, &s->trigger), 0);
    CHECK_IS(readyq_fire(&s->trigger), 0);
}

static void tell(int allowed, int fd, const struct readyq_options *options)
{
    static struct story s;
    int error;

    memset(&s, 0, sizeof s);
    refused = false;
    until_refusal = allowed;
    error = readyq_open(&s.q, options);
    CHECK(error == 0 || error == -ENOMEM);
    if (error < 0) {
        CHECK(s.q == NULL);
        return;
    }
    add_everything(&s, fd);
    until_refusal = -1;
    CHECK_IS(take_all_within(s.q, LONG), TIMERS + 2);
    readyq_close(s.q);
}

static int tell_with(const struct readyq_options *options)
{
    int p[2], high, points = 0;

    open_pipe(p);
    put(p[1]);
    CHECK((high = fcntl(p[0], F_DUPFD, 300)) >= 300); /* the table has to grow for it */
    do
        tell(points++, high, options);
    while (refused);
    close(high);
    close_pair(p);
    return points;
}

static void test_a_lack_of_memory_at_any_point_changes_nothing_and_leaves_nothing(void)
{
    const struct readyq_debug debug = {.turns = 0};
    const int points = tell_with(NULL);

    CHECK(points > 5);
    CHECK_IS(tell_with(&(struct readyq_options){.debug = &debug}), points + 2);
}

static void warn(void *data, readyq_watch *w, const char *text)
{
    (void)data, (void)w;
    fail(__FILE__, __LINE__, text);
}

/* In debug mode a watch for which no memory is left is not checked, and works. What is known of an
 * earlier watch of its number is not said of it. */
static void test_a_watch_that_cannot_be_checked_works(void)
{
    const struct readyq_debug debug = {.rest = 20 * MS, .warn = warn};
    readyq *q = open_queue_with((struct readyq_options){.debug = &debug});
    readyq_watch before, high, w, next;
    int p[2], other[2], low, number;

    open_pipe(p);
    open_unix(other);
    CHECK((low = dup(other[0])) >= 0);
    CHECK((number = fcntl(p[0], F_DUPFD, 300)) >= 300);
    add(q, &before, low, READYQ_READ);
    CHECK_IS(readyq_remove(&before), 0);
    CHECK_IS(dup2(p[0], low), low);
    until_refusal = 1; /* the table grows, and the notes do not */
    add(q, &high, number, READYQ_READ);
    CHECK(refused);
    CHECK_IS(readyq_modify(&high, READYQ_READ | READYQ_EDGE), 0);
    until_refusal = 0;
    add(q, &w, low, READYQ_READ);
    until_refusal = -1;
    CHECK_IS(readyq_modify(&w, READYQ_READ | READYQ_EDGE), 0);
    CHECK_QUIET(q);
    put(p[1]);
    CHECK_IS(take_all_within(q, LONG), 2);
    CHECK_IS(count_ready(q, 50 * MS), 0);
    CHECK_IS(dup2(other[0], number), number);
    add(q, &next, number, READYQ_READ);
    put(other[1]);
    CHECK_TAKES(q, &next);
    CHECK(readyq_stale(q) == &high);
    readyq_close(q);
    close(low);
    close(number);
    close_pair(p);
    close_pair(other);
}

static void test_a_check_without_memory_is_refused(void)
{
    char text[200];
    readyq *q = open_queue();
    const int differences = readyq_check(q, text, sizeof text);

    until_refusal = 0;
    CHECK_IS(readyq_check(q, text, sizeof text), differences == -ENOSYS ? -ENOSYS : -ENOMEM);
    CHECK_IS(*text, '\0');
    until_refusal = -1;
    CHECK_IS(readyq_check(q, text, sizeof text), differences);
    readyq_close(q);
}

static void test_a_recording_without_memory_is_refused(void)
{
    int points = 0;

    do {
        readyq_recording *r;
        readyq *q = open_queue();
        int error;

        refused = false;
        until_refusal = points++;
        error = readyq_record(q, 10, &r);
        CHECK_IS(r == NULL, error < 0);
        if (error == 0)
            error = readyq_save(r, "/dev/null");
        until_refusal = -1;
        CHECK_IS(error, refused ? -ENOMEM : 0);
        readyq_discard(r);
        readyq_close(q);
    } while (refused);
    CHECK_IS(points, 6);
}

static void test_waiting_allocates_nothing(void)
{
    readyq_batch batch = {0};
    int p[2];
    readyq_watch w, timer = {0};
    readyq *q = open_queue();

    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(q, &timer, 1, 1), 0);
    put(p[1]);
    refused = false;
    until_refusal = 0;
    for (int i = 0; i < 100; i++) {
        CHECK(readyq_wait(q, &batch, LONG, 0) > 0);
        while (readyq_next(&batch) != NULL)
            ;
    }
    until_refusal = -1;
    CHECK(!refused);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void play_round(readyq *q, const int p[2])
{
    readyq_watch w = {0}, timer = {0}, trigger = {0};

    CHECK_IS(readyq_add(q, &w, p[0], READYQ_READ), 0);
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(take_all_within(q, LONG), 3);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_remove(&trigger), 0);
    CHECK_IS(readyq_size(q), 0);
}

static void test_adding_and_removing_two_hundred_thousand_times_allocates_nothing(void)
{
    int p[2];
    readyq *q = open_queue();

    open_pipe(p);
    put(p[1]);
    play_round(q, p);
    refused = false;
    until_refusal = 0;
    for (int i = 0; i < 200000; i++)
        play_round(q, p);
    until_refusal = -1;
    CHECK(!refused);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_a_lack_of_memory_at_any_point_changes_nothing_and_leaves_nothing),
      TEST(test_a_watch_that_cannot_be_checked_works), TEST(test_a_check_without_memory_is_refused),
      TEST(test_a_recording_without_memory_is_refused), TEST(test_waiting_allocates_nothing),
      TEST(test_adding_and_removing_two_hundred_thousand_times_allocates_nothing))
