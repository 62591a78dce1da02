/* SPDX-License-Identifier: MIT
 *
 * Recordings: what they keep, how they are read and saved, and that the figures of the queue agree
 * with them.
 */
#include "things.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

static readyq_recording *record(readyq *q, size_t records)
{
    readyq_recording *r = NULL;
    CHECK_IS(readyq_record(q, records, &r), 0);
    CHECK(r != NULL);
    return r;
}

/* How many records of a type there are. */
static int count(readyq_recording *r, enum readyq_record_type type)
{
    struct readyq_record records[7]; /* several calls are needed */
    uint64_t from = 0;
    int found = 0;
    for (size_t n; (n = readyq_records(r, &from, records, 7)) > 0;)
        for (size_t i = 0; i < n; i++)
            found += records[i].type == type;
    return found;
}

/* The text of the saved file, to be freed. */
static char *save(readyq_recording *r)
{
    char path[] = "/tmp/readyq-XXXXXX", *text = calloc(1, 1 << 20);
    const int fd = mkstemp(path);
    CHECK_IS(readyq_save(r, path), 0);
    const ssize_t length = read(fd, text, (1 << 20) - 1);
    CHECK(length > 0);
    CHECK_HAS(text + length - 4, "\n]}\n");
    close(fd);
    unlink(path);
    return text;
}

static int count_in(const char *text, const char *part)
{
    int found = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        found++;
    return found;
}

/* ------------------------------------------------------------------ what is kept */

static void test_a_position_behind_the_newest_record_is_the_end(void)
{
    struct readyq_record one;
    uint64_t from = UINT64_C(1) << 40;
    readyq *q = open_queue();
    readyq_recording *r = record(q, 10);
    CHECK_IS(readyq_records(r, &from, &one, 1), 0);
    CHECK_IS(from, 1);
    readyq_discard(r);
    readyq_close(q);
}

static void test_a_link_to_a_file_that_cannot_be_written_completely_stays(void)
{
    char path[] = "/tmp/readyq-XXXXXX", link[64];
    struct rlimit before, small;
    struct stat status;
    readyq *q = open_queue();
    readyq_recording *r = record(q, 10);
    close(mkstemp(path));
    snprintf(link, sizeof link, "%s.link", path);
    CHECK_IS(symlink(path, link), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 10;
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_IS(readyq_save(r, link), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK_IS(lstat(link, &status), 0);
    unlink(link);
    unlink(path);
    readyq_discard(r);
    readyq_close(q);
}

static void test_the_records_of_a_stopped_recording_do_not_change(void)
{
    struct readyq_record once[10], again[10];
    uint64_t from = 0, from_again = 0;
    readyq_watch w = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 10);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_IS(readyq_fire(&w), 0);
    readyq_stop(r);
    const size_t n = readyq_records(r, &from, once, 10);
    sleep_ns(MS);
    CHECK_IS(readyq_records(r, &from_again, again, 10), n);
    CHECK(memcmp(once, again, n * sizeof *once) == 0);
    readyq_discard(r);
    readyq_close(q);
}

static void test_a_recording_shows_each_step_in_order(void)
{
    static const uint8_t steps[] = {
        READYQ_RECORD_START, READYQ_RECORD_ADD,      READYQ_RECORD_FIRE,     READYQ_RECORD_EVENT,
        READYQ_RECORD_WAIT,  READYQ_RECORD_WAIT_END, READYQ_RECORD_DELIVERY, READYQ_RECORD_DONE,
        READYQ_RECORD_DONE,  READYQ_RECORD_REMOVE,   READYQ_RECORD_CLOSE};
    struct readyq_record records[20];
    char text[80];
    uint64_t from = 0;
    readyq_watch w = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 20);
    const int64_t before = now_ns();
    CHECK_IS(readyq_id(&w), 0);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(readyq_remove(&w), 0);
    readyq_close(q);
    CHECK_IS(readyq_records(r, &from, records, 20), sizeof steps);
    for (size_t i = 0; i < sizeof steps; i++)
        CHECK_IS(records[i].type, steps[i]);
    for (size_t i = 1; i < sizeof steps; i++) {
        CHECK(records[i].time >= before - MS && records[i].time <= now_ns());
        CHECK(records[i].time >= records[i - 1].time);
        CHECK_IS(records[i].thread, records[0].thread);
        CHECK_IS(records[i].unused, 0);
    }
    CHECK_IS(records[1].watch, readyq_id(&w));
    CHECK_IS(records[1].kind, READYQ_KIND_TRIGGER);
    CHECK_IS(records[4].value, LONG);
    CHECK_IS(records[5].value, 1);
    CHECK_IS(records[5].watch, 0);
    CHECK_HAS(readyq_describe_record(&records[6], text, sizeof text), "delivery trigger FIRED 1");
    CHECK_HAS(readyq_describe_record(&records[4], text, sizeof text), "wait 30000000000");
    CHECK_IS(readyq_records(r, &from, records, 20), 0);
    readyq_discard(r);
}

static void test_the_newest_records_are_kept_and_the_dropped_ones_counted(void)
{
    readyq_watch w = {0};
    uint64_t dropped = 7, from = 0;
    struct readyq_record records[10];
    readyq *q = open_queue();
    readyq_recording *r = record(q, 4);
    CHECK_IS(readyq_recorded(r, &dropped), 1);
    CHECK_IS(dropped, 0);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    for (int i = 0; i < 5; i++)
        CHECK_IS(readyq_fire(&w), 0);
    CHECK_IS(readyq_recorded(r, &dropped), 4);
    CHECK_IS(dropped, 2 + 10 - 4);
    CHECK_IS(readyq_records(r, &from, records, 10), 4);
    CHECK_IS(records[0].type, READYQ_RECORD_FIRE);
    CHECK_IS(records[3].type, READYQ_RECORD_EVENT);
    readyq_discard(r);
    readyq_close(q);
}

static void test_a_stopped_recording_keeps_its_records(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    readyq_recording *first = record(q, 100), *second = record(q, 100);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    readyq_stop(first);
    readyq_stop(first);
    CHECK_IS(readyq_fire(&w), 0);
    readyq_stop(second);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_TAKES(q, &w);
    CHECK_IS(count(first, READYQ_RECORD_ADD), 1);
    CHECK_IS(count(first, READYQ_RECORD_FIRE), 0);
    CHECK_IS(count(second, READYQ_RECORD_FIRE), 1);
    readyq_discard(first);
    readyq_discard(second);
    readyq_discard(NULL);
    readyq_close(q);
}

static void test_recording_begins_and_ends_while_a_batch_is_open(void)
{
    int p[4][2];
    readyq_watch w[4];
    readyq_batch batch = {0};
    readyq *q = open_queue();
    for (int i = 0; i < 4; i++) {
        open_pipe(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ);
    }
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 4);
    CHECK(readyq_next(&batch) == &w[0]);
    readyq_recording *r = record(q, 100);
    CHECK(readyq_next(&batch) == &w[1]);
    CHECK_IS(readyq_remove(&w[2]), 0);
    readyq_stop(r);
    CHECK(readyq_next(&batch) == &w[3]);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_done(&batch), 0);
    CHECK_IS(count(r, READYQ_RECORD_DELIVERY), 1);
    CHECK_IS(stats_of(q).deliveries, 3);
    readyq_discard(r);
    readyq_close(q);
    for (int i = 0; i < 4; i++)
        close_pair(p[i]);
}

/* ------------------------------------------------------------------ figures */

static void *fire_and_wake(void *trigger)
{
    readyq_watch *w = trigger;
    readyq *q = w->queue;
    sleep_ns(SOON);
    CHECK_IS(readyq_fire(w), 0);
    sleep_ns(SOON);
    CHECK_IS(readyq_wake(q), 0);
    return NULL;
}

/* Watches of three kinds, two threads, watches that are left, removed and modified. */
static void run_all(readyq *q)
{
    int p[20][2];
    readyq_watch w[20], timer = {0}, trigger = {0}, *taken;
    readyq_batch batch = {0};
    for (int i = 0; i < 20; i++) {
        open_unix(p[i]);
        put(p[i][1]);
        add(q, &w[i], p[i][0], READYQ_READ | (i == 7 ? READYQ_ONESHOT : 0));
    }
    CHECK_IS(readyq_add_timer(q, &timer, 0, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_wait(q, &batch, -1, 10), 10);
    CHECK(readyq_next(&batch) != NULL);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), 20);
    pthread_t other = start(fire_and_wake, &trigger);
    CHECK_IS(readyq_remove(&w[15]), 0);
    CHECK_IS(readyq_modify(&w[16], READYQ_READ | READYQ_WRITE), 0);
    while ((taken = readyq_next(&batch)) != NULL)
        if (taken->kind == READYQ_KIND_FD && taken != &w[16])
            get(taken->fd);
    readyq_modify(&w[16], 0);
    CHECK_IS(readyq_restart(&timer, LONG), 0);
    for (int n = 1; n > 0;) {
        n = readyq_wait(q, &batch, -1, 0);
        while (readyq_next(&batch) != NULL)
            ;
    }
    CHECK_IS(readyq_done(&batch), 0);
    join(other);
    for (int i = 0; i < 20; i++) {
        if (i != 15)
            CHECK_IS(readyq_remove(&w[i]), 0);
        close_pair(p[i]);
    }
    CHECK_IS(readyq_remove(&timer), 0);
    CHECK_IS(readyq_remove(&trigger), 0);
}

static void test_counts_in_a_saved_recording_equal_the_stats(void)
{
    readyq *q = open_queue();
    readyq_recording *r = record(q, 10000);
    run_all(q);
    const struct readyq_stats stats = stats_of(q);
    char *text = save(r);
    CHECK(stats.deliveries > 15);
    CHECK_IS(count_in(text, "\"cat\":\"wait\""), stats.waits);
    CHECK_IS(count_in(text, "\"cat\":\"handler\""), stats.deliveries);
    CHECK_IS(count_in(text, "\"cat\":\"wake\""), stats.wakes);
    CHECK_IS(count_in(text, "\"cat\":\"fire\""), stats.fires);
    CHECK_IS(count_in(text, "\"name\":\"add\""), stats.adds);
    CHECK_IS(count_in(text, "\"name\":\"remove\""), stats.removes);
    CHECK_IS(count(r, READYQ_RECORD_EVENT), stats.events);
    CHECK_IS(count(r, READYQ_RECORD_WAIT_END), stats.waits);
    CHECK_IS(count_in(text, "\"ph\":\"s\""), 2); /* of the fire, and of the wake */
    CHECK_IS(count_in(text, "\"ph\":\"f\""), 2);
    free(text);
    readyq_discard(r);
    readyq_close(q);
}

static void test_stats_count_by_kind(void)
{
    int p[2];
    readyq_watch w[3] = {{0}};
    readyq *q = open_queue();
    open_pipe(p);
    put(p[1]);
    add(q, &w[0], p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(q, &w[1], 0, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &w[2]), 0);
    CHECK_IS(readyq_fire(&w[2]), 0);
    CHECK_IS(readyq_fire(&w[2]), 0);
    CHECK_IS(take_all_within(q, 0), 3);
    const struct readyq_stats stats = stats_of(q);
    CHECK_IS(stats.kinds[READYQ_KIND_FD].deliveries, 1);
    CHECK_IS(stats.kinds[READYQ_KIND_FD].events, 1);
    CHECK_IS(stats.kinds[READYQ_KIND_TIMER].deliveries, 1);
    CHECK_IS(stats.kinds[READYQ_KIND_TIMER].watches, 0);
    CHECK_IS(stats.kinds[READYQ_KIND_TIMER].adds, 1);
    CHECK_IS(stats.kinds[READYQ_KIND_TRIGGER].events, 2);
    CHECK_IS(stats.kinds[READYQ_KIND_TRIGGER].deliveries, 1);
    CHECK_IS(stats.kinds[READYQ_KIND_TRIGGER].watches, 1);
    CHECK_IS(stats.watches, 2);
    CHECK_IS(stats.adds, 3);
    CHECK_IS(stats.removes, 1);
    CHECK_IS(stats.fires, 2);
    CHECK_IS(stats.events, 4);
    CHECK_IS(stats.deliveries, 3);
    CHECK_IS(stats.largest_batch, 3);
    CHECK_IS(stats.system_calls, stats.kernel_waits + stats.changes + stats.kicks);
    readyq_close(q);
    close_pair(p);
}

static void test_stats_measure_sleep_and_turns(void)
{
    readyq *q = open_queue();
    CHECK_IS(count_ready(q, SOON), 0);
    const struct readyq_stats before = stats_of(q);
    CHECK(before.slept >= SOON && before.slept < LONG);
    CHECK_IS(before.busy, 0);
    sleep_ns(2 * SOON);
    CHECK_IS(count_ready(q, 0), 0); /* it does not sleep, so it ends no turn */
    sleep_ns(SOON);
    CHECK_IS(count_ready(q, MS), 0);
    const struct readyq_stats after = stats_of(q);
    CHECK(after.busy >= 3 * SOON && after.busy < LONG);
    CHECK_IS(after.longest_turn, after.busy);
    CHECK(after.slept - before.slept < 3 * SOON);
    readyq_close(q);
}

/* ------------------------------------------------------------------ the file */

static void test_a_saved_recording_names_watches_that_are_gone(void)
{
    int p[2], file = open_file();
    readyq_watch w, f;
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close_pair(p);
    add(q, &f, file, READYQ_READ);
    CHECK_IS(readyq_remove(&w), 0);
    readyq_close(q);
    close(file);
    char *text = save(r), name[40];
    snprintf(name, sizeof name, "\"fd %d (pipe)\"", w.fd);
    CHECK_HAS(text, name);
    CHECK_HAS(text, "(file /tmp/readyq-");
    CHECK_HAS(text, "\"why\":\"closed queue\"");
    free(text);
    readyq_discard(r);
}

/* The saved text of a recording of a socket that has this name. */
static char *save_named(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    readyq_watch w;
    char folder[] = "/tmp/readyq-XXXXXX";
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name);
    CHECK_IS(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    add(q, &w, fd, READYQ_READ);
    char *text = save(r);
    unlink(address.sun_path);
    rmdir(folder);
    readyq_discard(r);
    readyq_close(q);
    close(fd);
    return text;
}

static void test_a_name_with_quotes_control_characters_and_markup_is_escaped(void)
{
    char *text = save_named("\"\\<b>&\n\x7f \xe2\x82\xac \xff \xed\xa0\x80");
    CHECK_HAS(text, "/\\u0022\\u005c\\u003cb\\u003e\\u0026?? \xe2\x82\xac \\ufffd \\ufffd\\ufffd");
    free(text);
}

#define BAD "\\ufffd"

static void test_of_a_name_that_is_no_utf8_each_wrong_byte_is_replaced(void)
{
    static const struct {
        const char *name, *saved;
    } names[] = {
        {"\xc2\xa9.", "\xc2\xa9."},
        {"\xc1\x81.", BAD BAD "."}, /* longer than needed */
        {"\xe0\xa0\x80.", "\xe0\xa0\x80."},
        {"\xe0\x9f\xbf.", BAD BAD BAD "."},
        {"\xed\x9f\xbf.", "\xed\x9f\xbf."}, /* the last one before the surrogates */
        {"\xf0\x90\x80\x80.", "\xf0\x90\x80\x80."},
        {"\xf0\x8f\xbf\xbf.", BAD BAD BAD BAD "."},
        {"\xf4\x8f\xbf\xbf.", "\xf4\x8f\xbf\xbf."}, /* the last one of all */
        {"\xf4\x90\x80\x80.", BAD BAD BAD BAD "."},
        {"\xf5\x80\x80\x80.", BAD BAD BAD BAD "."},
        {"\xe2\x82.", BAD BAD "."}, /* cut */
        {"\xe2\x82\xc2\xa9.", BAD BAD "\xc2\xa9."},
    };
    char expected[80];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text = save_named(names[i].name);
        snprintf(expected, sizeof expected, "/%s,", names[i].saved);
        CHECK_HAS(text, expected);
        free(text);
    }
}

static void test_two_watches_of_the_same_number_each_have_their_name(void)
{
    int p[2], other[2];
    readyq_watch w, again;
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    char name[2][40];
    open_pipe(p);
    open_unix(other);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(dup2(other[0], p[0]), p[0]);
    add(q, &again, p[0], READYQ_READ);
    char *text = save(r);
    snprintf(name[0], sizeof name[0], "\"fd %d (pipe)\"", p[0]);
    snprintf(name[1], sizeof name[1], "\"fd %d (UNIX socket", p[0]);
    CHECK_HAS(text, name[0]);
    CHECK_HAS(text, name[1]);
    free(text);
    readyq_discard(r);
    readyq_close(q);
    close_pair(p);
    close_pair(other);
}

static void test_a_name_whose_beginning_was_dropped_is_not_shown(void)
{
    int shown = 0;
    for (size_t records = 1; records < 12; records++) {
        readyq_watch w;
        readyq *q = open_queue();
        readyq_recording *r = record(q, records);
        const int fd = open_file();
        add(q, &w, fd, READYQ_READ);
        close(fd);
        readyq_close(q);
        char *text = save(r);
        const bool has_begun = strstr(text, "(file /tmp/readyq-") != NULL;
        CHECK_IS(strstr(text, "deleted)") != NULL, has_begun);
        shown += has_begun;
        free(text);
        readyq_discard(r);
    }
    CHECK(shown > 0 && shown < 11);
}

static void ignore(int signal)
{
    (void)signal;
}

static void test_a_wait_that_fails_is_saved_with_its_error(void)
{
    const struct itimerval soon = {.it_value.tv_usec = 20000};
    readyq_batch batch = {0};
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    readyq_recording *r = record(q, 100);
    CHECK(signal(SIGALRM, ignore) != SIG_ERR);
    CHECK_IS(setitimer(ITIMER_REAL, &soon, NULL), 0);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), -EINTR);
    readyq_done(&batch);
    char *text = save(r);
    CHECK_HAS(text, "\"error\":\"Interrupted system call\"");
    free(text);
    readyq_discard(r);
    readyq_close(q);
}

static void test_the_clock_and_ghosts_are_saved(void)
{
    int p[2], keeper;
    readyq_watch w;
    char ghost[60];
    readyq *q = open_queue_with((struct readyq_options){.virtual_clock = true});
    readyq_recording *r = record(q, 100);
    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK((keeper = dup(p[0])) >= 0);
    close(p[0]);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_QUIET(q);
    char *text = save(r);
    CHECK_HAS(text, "\"clock\":\"virtual\"");
    snprintf(ghost, sizeof ghost, "\"fd\":%d}", p[0]);
    CHECK_IS(strstr(text, ghost) != NULL, HAS_EPOLL);
    free(text);
    readyq_discard(r);
    readyq_close(q);
    close(p[1]);
    close(keeper);
}

static void check_refusal(readyq_recording *r, const char *path, int error, const char *why)
{
    char text[400];
    CHECK_IS(readyq_save(r, path), -error);
    CHECK_HAS(readyq_explain("save", -1, -error, text, sizeof text), why);
}

static void test_a_file_that_cannot_be_written_is_reported(void)
{
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    check_refusal(r, "/nowhere/run.json", ENOENT, "there is no such directory; create it first");
    check_refusal(r, "/tmp", EISDIR, "save() failed: Is a directory");
    check_refusal(r, "/dev/full", ENOSPC, "the disk is full; free some space");
    CHECK(access("/dev/full", F_OK) == 0);
    CHECK_IS(readyq_save(r, "/dev/null"), 0);
    readyq_discard(r);
    readyq_close(q);
}

#include <sys/resource.h>

static void test_a_file_that_is_too_long_is_removed(void)
{
    char folder[] = "/tmp/readyq-XXXXXX", path[64];
    const struct rlimit limit = {4096, RLIM_INFINITY};
    readyq_watch w = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 1000);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/run.json", folder);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    for (int i = 0; i < 100; i++)
        CHECK_IS(readyq_fire(&w), 0);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_IS(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_IS(readyq_save(r, path), -EFBIG);
    CHECK_IS(access(path, F_OK), -1);
    rmdir(folder);
    readyq_discard(r);
    readyq_close(q);
}

static void test_what_is_open_at_the_end_and_what_was_cut_is_marked(void)
{
    readyq_watch w[2] = {{0}};
    readyq_batch batch = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 6);
    CHECK_IS(readyq_add_trigger(q, &w[0]), 0);
    CHECK_IS(readyq_add_trigger(q, &w[1]), 0);
    CHECK_IS(readyq_fire(&w[0]), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK(readyq_next(&batch) == &w[0]);
    CHECK_IS(readyq_fire(&w[1]), 0);
    CHECK_IS(readyq_fire(&w[1]), 0);
    char *text = save(r);
    CHECK_HAS(text, "\"dropped\":6");
    CHECK_IS(count_in(text, "\"cut\":true"), 1);  /* the wait's begin */
    CHECK_IS(count_in(text, "\"open\":true"), 3); /* the handler, on two tracks; w[1] is ready */
    free(text);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_discard(r);
    readyq_close(q);
}

static void test_what_lasts_at_the_end_lasts_until_the_recording_is_saved_or_stopped(void)
{
    readyq_watch w = {0};
    readyq_batch batch = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    double length[2] = {0};
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_IS(readyq_fire(&w), 0);
    CHECK_IS(readyq_wait(q, &batch, 0, 0), 1);
    CHECK(readyq_next(&batch) == &w);
    for (int i = 0; i < 2; i++) {
        sleep_ns(20000000);
        readyq_stop(r);
        char *text = save(r), *handler = strstr(text, "\"cat\":\"handler\"");
        CHECK_IS(sscanf(strstr(handler, "\"dur\""), "\"dur\":%lf", &length[i]), 1);
        free(text);
    }
    CHECK(length[0] >= 20000);
    CHECK(length[1] - length[0] < 10000);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_discard(r);
    readyq_close(q);
}

static void check_timeout(readyq_recording *r, int64_t least, int64_t most)
{
    struct readyq_record records[20];
    uint64_t from = 0;
    const size_t n = readyq_records(r, &from, records, 20);
    int found = 0;
    for (size_t i = 0; i < n; i++)
        if (records[i].type == READYQ_RECORD_WAIT) {
            CHECK(records[i].value >= least && records[i].value <= most);
            found++;
        }
    CHECK_IS(found, 1);
}

static void test_of_a_wait_until_a_time_the_time_that_is_left_is_recorded(void)
{
    readyq_batch batch = {0};
    for (int past = 0; past < 2; past++) {
        readyq *q = open_queue();
        readyq_recording *r = record(q, 20);
        const int64_t until = readyq_now(q) + (past ? -SECOND : SOON);
        CHECK_IS(readyq_wait_until(q, &batch, until, 0), 0);
        readyq_done(&batch);
        check_timeout(r, past ? 0 : 1, past ? 0 : SOON);
        readyq_discard(r);
        readyq_close(q);
    }
}

static void test_of_several_recordings_each_ends_by_itself(void)
{
    for (int ended = 0; ended < 3; ended++) {
        readyq *q = open_queue();
        readyq_recording *r[3];
        for (int i = 0; i < 3; i++)
            r[i] = record(q, 100);
        readyq_stop(r[ended]);
        CHECK_IS(readyq_wake(q), 0);
        CHECK_QUIET(q);
        for (int i = 0; i < 3; i++)
            CHECK_IS(count(r[i], READYQ_RECORD_WAIT), i != ended);
        for (int i = 0; i < 3; i++)
            readyq_discard(r[i]);
        readyq_close(q);
    }
}

static void test_records_of_kinds_that_do_not_exist_have_a_text_too(void)
{
    struct readyq_record later = {.type = 200, .kind = 200, .number = -1, .value = 3};
    const struct readyq_record add_later = {.type = READYQ_RECORD_ADD, .kind = 200};
    const struct readyq_record nothing = {.type = READYQ_RECORD_WAIT_END, .number = -1};
    char text[80] = "as before";
    CHECK_HAS(readyq_record_name(-1), "none");
    CHECK_HAS(readyq_record_name(200), "none");
    CHECK(readyq_trace_name(&later) == NULL);
    CHECK_HAS(readyq_trace_name(&add_later), "add");
    CHECK_HAS(readyq_describe_record(&nothing, text, 0), "as before");
    CHECK_HAS(readyq_describe_record(&nothing, text, sizeof text), "wait_end 0");
    CHECK_HAS(readyq_describe_record(&later, text, sizeof text), "none ");
    later.type = READYQ_RECORD_WAIT_END;
    later.value = -EINTR;
    CHECK(readyq_trace_name(&later) == NULL);
}

/* ------------------------------------------------------------------ misuse */

static void test_a_recording_without_records_or_with_too_many_is_refused(void)
{
    char text[400];
    readyq_recording *r;
    readyq *q = open_queue();
    CHECK_IS(readyq_record(q, 0, &r), -EINVAL);
    CHECK_HAS(readyq_explain("record", -1, -EINVAL, text, sizeof text), "at least one record");
    CHECK_IS(readyq_record(q, (size_t)1 << 40, &r), -EINVAL);
    CHECK_HAS(readyq_explain("record", -1, -EINVAL, text, sizeof text), "at most 1073741824");
    CHECK(r == NULL);
    readyq_ref(q);
    readyq_close(q);
    CHECK_IS(readyq_record(q, 1, &r), -ESHUTDOWN);
    readyq_unref(q);
}

static void test_the_recording_of_a_closed_queue_is_kept(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    readyq_close(q);
    CHECK_IS(count(r, READYQ_RECORD_CLOSE), 1);
    char *text = save(r);
    CHECK_HAS(text, "\"name\":\"close\"");
    free(text);
    readyq_stop(r);
    readyq_discard(r);
}

/* ------------------------------------------------------------------ other processes, threads */

static void test_a_child_continues_its_copy_of_a_recording(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    readyq_recording *r = record(q, 100);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK_IS(readyq_fire(&w), 0);
        CHECK_TAKES(q, &w);
        CHECK_IS(count(r, READYQ_RECORD_ADD), 1);
        CHECK_IS(count(r, READYQ_RECORD_FORK), 1);
        CHECK_IS(count(r, READYQ_RECORD_FIRE), stats_of(q).fires);
        char *text = save(r), own[40];
        snprintf(own, sizeof own, "\"pid\":%ld", (long)getpid());
        CHECK_HAS(text, own);
        CHECK_HAS(text, "\"main thread\"");
        free(text);
        _exit(0);
    }
    expect_success(pid);
    CHECK_IS(count(r, READYQ_RECORD_FIRE), 0);
    CHECK_IS(count(r, READYQ_RECORD_FORK), 0);
    readyq_discard(r);
    readyq_close(q);
}

static atomic_bool over;

static void *take_until_over(void *argument)
{
    readyq *q = argument;
    readyq_batch batch = {0};
    while (!over && readyq_wait(q, &batch, MS, 0) >= 0)
        while (readyq_next(&batch) != NULL)
            ;
    readyq_done(&batch);
    return NULL;
}

static void *wake_until_over(void *argument)
{
    while (!over)
        readyq_wake(argument);
    return NULL;
}

static void test_recordings_begin_and_end_while_other_threads_wait(void)
{
    readyq_watch w = {0}, tick = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_IS(readyq_add_timer(q, &tick, 0, MS / 10), 0);
    pthread_t threads[3] = {start(take_until_over, q), start(take_until_over, q),
                            start(wake_until_over, q)};
    const int64_t end = now_ns() + 10 * SOON;
    for (int i = 0; now_ns() < end; i++) {
        readyq_recording *r = record(q, 500), *other = i % 2 ? record(q, 1) : NULL;
        CHECK_IS(readyq_fire(&w), 0);
        sleep_ns(MS);
        readyq_stop(other != NULL ? other : r);
        CHECK(count(r, READYQ_RECORD_FIRE) <= 1);
        if (i % 8 == 0)
            free(save(r));
        readyq_discard(r);
        readyq_discard(other);
    }
    over = true;
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    readyq_close(q);
}

TESTS(TEST(test_a_position_behind_the_newest_record_is_the_end),
      TEST(test_a_link_to_a_file_that_cannot_be_written_completely_stays),
      TEST(test_the_records_of_a_stopped_recording_do_not_change),
      TEST(test_a_recording_shows_each_step_in_order),
      TEST(test_the_newest_records_are_kept_and_the_dropped_ones_counted),
      TEST(test_a_stopped_recording_keeps_its_records),
      TEST(test_recording_begins_and_ends_while_a_batch_is_open),
      TEST(test_counts_in_a_saved_recording_equal_the_stats), TEST(test_stats_count_by_kind),
      TEST(test_stats_measure_sleep_and_turns),
      TEST(test_a_saved_recording_names_watches_that_are_gone),
      TEST(test_a_name_with_quotes_control_characters_and_markup_is_escaped),
      TEST(test_of_a_name_that_is_no_utf8_each_wrong_byte_is_replaced),
      TEST(test_two_watches_of_the_same_number_each_have_their_name),
      TEST(test_a_name_whose_beginning_was_dropped_is_not_shown),
      TEST(test_a_wait_that_fails_is_saved_with_its_error),
      TEST(test_the_clock_and_ghosts_are_saved),
      TEST(test_a_file_that_cannot_be_written_is_reported),
      TEST(test_a_file_that_is_too_long_is_removed),
      TEST(test_what_is_open_at_the_end_and_what_was_cut_is_marked),
      TEST(test_what_lasts_at_the_end_lasts_until_the_recording_is_saved_or_stopped),
      TEST(test_of_several_recordings_each_ends_by_itself),
      TEST(test_records_of_kinds_that_do_not_exist_have_a_text_too),
      TEST(test_a_recording_without_records_or_with_too_many_is_refused),
      TEST(test_the_recording_of_a_closed_queue_is_kept),
      TEST(test_a_child_continues_its_copy_of_a_recording),
      TEST(test_recordings_begin_and_end_while_other_threads_wait),
      TEST(test_of_a_wait_until_a_time_the_time_that_is_left_is_recorded))
