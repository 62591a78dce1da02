/* SPDX-License-Identifier: MIT
 *
 * What the fuzzers (tests/fuzz) and the sweep of faults (faults.c) found, each with its story in
 * one line.
 */
#include "things.h"

/* poll(2) calls it hung up, which masked to nothing: the wait asked the kernel without end. */
static void test_a_wait_for_priority_data_of_an_unconnected_socket_does_not_spin(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    int fd = unblocked(socket(AF_INET, SOCK_STREAM, 0));
    add(q, &w, fd, READYQ_PRIORITY);
    CHECK(readyq_wait(q, SOON, 0) >= 0);
    CHECK(stats_of(q).kernel_waits < 10);
    while (readyq_next(q) != NULL)
        CHECK_IS(w.ready, READYQ_READ_CLOSED | READYQ_WRITE_CLOSED);
    readyq_close(q);
    close(fd);
}

TESTS(TEST(test_a_wait_for_priority_data_of_an_unconnected_socket_does_not_spin))
