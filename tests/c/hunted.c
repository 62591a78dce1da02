/* SPDX-License-Identifier: MIT
 *
 * Faults that the fuzzers (tests/fuzz) and the fault injection (faults.c) found, each with its
 * cause in one line.
 */
#include "things.h"

/* poll(2) reports a hang-up, which masked to nothing: the wait asked the kernel endlessly. */
static void test_a_wait_for_priority_data_of_an_unconnected_socket_does_not_spin(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_queue();
    int fd = unblocked(socket(AF_INET, SOCK_STREAM, 0));
    if (has_priority(q)) {
        add(q, &w, fd, READYQ_PRIORITY);
        CHECK(readyq_wait(q, &batch, SOON, 0) >= 0);
        CHECK(stats_of(q).kernel_waits < 10);
        while (readyq_next(&batch) != NULL)
            CHECK_IS(w.ready, READYQ_READ_CLOSED | READYQ_WRITE_CLOSED);
        readyq_done(&batch);
    }
    readyq_close(q);
    close(fd);
}

/* The registration of the socket outlived its watch, and its event was delivered to any watch with
 * that number, even after that watch was removed. */
static void test_a_file_that_took_a_watched_sockets_number_gets_no_event_of_the_socket(void)
{
    int p[2], file = open_file();
    readyq_watch w, other;
    readyq *q = open_queue();
    open_unix(p);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK_QUIET(q);
    CHECK_IS(dup2(file, p[0]), p[0]);
    add(q, &other, p[0], READYQ_READ);
    CHECK(readyq_stale(q) == &w);
    CHECK_TAKES(q, &other);
    CHECK_IS(other.ready, READYQ_READ);
    CHECK_IS(readyq_remove(&other), 0);
    (void)!send(p[1], "x", 1, MSG_NOSIGNAL); /* to the socket, if something keeps it open */
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
    close(file);
}

/* The queue marked the watch stale during its modify, which then took it off the list of stale
 * watches: closing the queue did not remove it. */
static void test_a_watch_found_closed_in_its_modify_is_still_in_its_queue(void)
{
    int p[2], others[6][2];
    readyq_watch w, more[6];
    readyq *q = open_queue();
    CHECK(readyq_fileno(q) >= 0);
    open_pipe(p);
    for (int i = 0; i < 6; i++)
        open_pipe(others[i]);
    add(q, &w, p[0], READYQ_READ | READYQ_ONESHOT);
    put(p[1]);
    CHECK_TAKES(q, &w);
    close(p[0]);
    for (int i = 0; i < 6; i++)
        add(q, &more[i], others[i][0], READYQ_READ);
    CHECK_IS(readyq_modify(&w, READYQ_READ), -EBADF);
    readyq_close(q);
    CHECK(w.queue == NULL);
    close(p[1]);
    for (int i = 0; i < 6; i++)
        close_pair(others[i]);
}

/* A child mistook its own readyq_fileno() for the file that had been watched under that number. */
static void test_a_closed_number_that_fileno_took_is_not_watched_in_a_child(void)
{
    int p[2], number;
    readyq_watch w, other;
    readyq *q = open_queue();
    open_pipe(p);
    number = dup(p[0]);
    add(q, &w, number, READYQ_READ);
    close(number);
    CHECK_IS(readyq_fileno(q), number);
    add(q, &other, p[0], READYQ_READ);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_QUIET(q);
        put(p[1]);
        CHECK_TAKES(q, &other);
        CHECK(!w.armed);
        _exit(0);
    }
    expect_success(pid);
    readyq_close(q);
    close_pair(p);
}

static void check_other_data(readyq *q, uint32_t mode)
{
    int p[2];
    readyq_watch w;
    open_tcp(p);
    add(q, &w, p[0], READYQ_PRIORITY | mode);
    put(p[1]);
    const uint64_t before = stats_of(q).kernel_waits;
    for (int j = 0; j < 3; j++)
        CHECK_QUIET(q);
    CHECK(stats_of(q).kernel_waits - before < 30);
    CHECK_IS(send(p[1], "!", 1, MSG_OOB), 1);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_PRIORITY);
    if (mode == 0)
        CHECK_TAKES(q, &w);
    CHECK_IS(readyq_remove(&w), 0);
    close_pair(p);
}

/* A wait for priority data was ended by ordinary data again and again. */
static void test_a_wait_for_priority_data_sleeps_over_other_data(void)
{
    static const uint32_t modes[] = {0, READYQ_EDGE, READYQ_ONESHOT, READYQ_EDGE | READYQ_ONESHOT};
    readyq *q = open_queue();
    for (int i = 0; i < 4 && has_priority(q); i++)
        check_other_data(q, modes[i]);
    readyq_close(q);
}

TESTS(TEST(test_a_closed_number_that_fileno_took_is_not_watched_in_a_child),
      TEST(test_a_file_that_took_a_watched_sockets_number_gets_no_event_of_the_socket),
      TEST(test_a_watch_found_closed_in_its_modify_is_still_in_its_queue),
      TEST(test_a_wait_for_priority_data_of_an_unconnected_socket_does_not_spin),
      TEST(test_a_wait_for_priority_data_sleeps_over_other_data))
