/* SPDX-License-Identifier: MIT
 *
 * Which ready bits are reported, for which kind of descriptor and after which event: the table of
 * the contract.
 */
#include "things.h"

#include <sys/eventfd.h>

#define RW (READYQ_READ | READYQ_WRITE)
#define CLOSED (READYQ_READ_CLOSED | READYQ_WRITE_CLOSED)

/* The bits that one look at a descriptor finds: level-triggered, so they stay until they change. */
static uint32_t look_at(int fd, uint32_t interest)
{
    readyq_watch w;
    readyq *q = open_queue();
    add(q, &w, fd, interest);
    uint32_t bits = take_within(q, MS) == &w ? w.ready : 0;
    readyq_close(q);
    return bits;
}

/* Data may take some time to arrive over loopback. */
static void check_ready(int line, int fd, uint32_t interest, uint32_t expected)
{
    uint32_t bits = 0;
    for (int i = 0; i < 1000; i++)
        if ((bits = look_at(fd, interest)) == expected)
            break;
    check_is(__FILE__, line, "ready", bits, expected);
}

#define CHECK_READY(fd, interest, expected) check_ready(__LINE__, fd, interest, expected)

/* ------------------------------------------------------------------ sockets */

typedef void opener(int p[2]);

static void check_stream(opener *open_it)
{
    int p[2];
    open_it(p);
    CHECK_READY(p[0], READYQ_READ, 0);
    CHECK_READY(p[0], RW, READYQ_WRITE);
    put(p[1]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ);
    CHECK_READY(p[0], READYQ_WRITE, READYQ_WRITE);
    CHECK_READY(p[0], RW, RW);
    get(p[0]);
    CHECK_READY(p[0], RW, READYQ_WRITE);
    fill(p[0]);
    CHECK_READY(p[0], RW, 0);
    drain(p[1]);
    close_pair(p);
}

static void test_tcp_reads_and_writes(void)
{
    check_stream(open_tcp);
}

static void test_unix_socket_reads_and_writes(void)
{
    check_stream(open_unix);
}

static void check_half_close(opener *open_it)
{
    int p[2];
    open_it(p);
    put(p[1]);
    CHECK_IS(shutdown(p[1], SHUT_WR), 0);
    CHECK_READY(p[0], RW, RW | READYQ_READ_CLOSED);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    get(p[0]);
    CHECK_READY(p[0], RW, RW | READYQ_READ_CLOSED);
    CHECK_READY(p[1], RW, READYQ_WRITE);
    close_pair(p);
}

static void test_tcp_half_close_by_the_peer_ends_reading_only(void)
{
    check_half_close(open_tcp);
}

static void test_unix_half_close_by_the_peer_ends_reading_only(void)
{
    check_half_close(open_unix);
}

static void test_half_close_does_not_wake_a_writer_without_room(void)
{
    int p[2];
    open_unix(p);
    fill(p[0]);
    CHECK_IS(shutdown(p[1], SHUT_WR), 0);
    CHECK_READY(p[0], READYQ_WRITE, 0);
    CHECK_READY(p[0], RW, READYQ_READ | READYQ_READ_CLOSED);
    close_pair(p);
}

static void test_tcp_close_by_the_peer_ends_reading(void)
{
    int p[2];
    open_tcp(p);
    put(p[1]);
    close(p[1]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    get(p[0]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    close(p[0]);
}

static void test_unix_close_by_the_peer_ends_both(void)
{
    int p[2];
    open_unix(p);
    put(p[1]);
    close(p[1]);
    CHECK_READY(p[0], RW, RW | CLOSED);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    CHECK_READY(p[0], READYQ_WRITE, READYQ_WRITE | READYQ_WRITE_CLOSED);
    close(p[0]);
}

static void test_tcp_reset_is_an_error_in_every_direction_and_stays_to_be_collected(void)
{
    int p[2];
    open_tcp(p);
    reset(p[1]);
    CHECK_READY(p[0], RW, RW | CLOSED | READYQ_ERROR);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED | READYQ_ERROR);
    CHECK_READY(p[0], READYQ_WRITE, READYQ_WRITE | READYQ_WRITE_CLOSED | READYQ_ERROR);
    CHECK_IS(collect_error(p[0]), ECONNRESET);
    CHECK_READY(p[0], RW, RW | CLOSED);
    close(p[0]);
}

static void test_tcp_connection_comes_as_write(void)
{
    struct sockaddr_in address;
    int listener = open_listener(&address), fd = unblocked(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_READY(listener, READYQ_READ, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    CHECK(result == 0 || errno == EINPROGRESS);
    CHECK_READY(fd, RW, READYQ_WRITE);
    CHECK_READY(listener, READYQ_READ, READYQ_READ);
    CHECK_IS(collect_error(fd), 0);
    close(fd);
    close(listener);
}

static void test_tcp_refused_connection_comes_as_write_with_error(void)
{
    struct sockaddr_in address;
    close(open_listener(&address));
    int fd = unblocked(socket(AF_INET, SOCK_STREAM, 0));
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    CHECK(result < 0 && errno == EINPROGRESS);
    CHECK_READY(fd, READYQ_WRITE, READYQ_WRITE | READYQ_WRITE_CLOSED | READYQ_ERROR);
    CHECK_IS(collect_error(fd), ECONNREFUSED);
    close(fd);
}

static void test_own_shutdown_of_reading_ends_reading(void)
{
    int p[2];
    open_tcp(p);
    CHECK_IS(shutdown(p[0], SHUT_RD), 0);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    close_pair(p);
}

static void test_out_of_band_byte_comes_as_priority(void)
{
    int p[2];
    open_tcp(p);
    CHECK_READY(p[0], READYQ_PRIORITY, 0);
    CHECK_IS(send(p[1], "!", 1, MSG_OOB), 1);
    CHECK_READY(p[0], READYQ_PRIORITY, READYQ_PRIORITY);
    CHECK_READY(p[0], READYQ_PRIORITY | READYQ_WRITE, READYQ_PRIORITY | READYQ_WRITE);
    char byte;
    CHECK_IS(recv(p[0], &byte, 1, MSG_OOB), 1);
    CHECK_READY(p[0], READYQ_PRIORITY, 0);
    close_pair(p);
}

/* kqueue has one field for both. Where PRIORITY alone has no filter, or its filter does not see
 * errors, nothing is reported. */
static void test_error_is_not_taken_for_out_of_band_data(void)
{
    struct sockaddr_in address;
    readyq_watch w = {0};
    readyq *q = open_queue();
    close(open_listener(&address));
    int fd = unblocked(socket(AF_INET, SOCK_STREAM, 0));
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    CHECK(result < 0 && errno == EINPROGRESS);
    CHECK_READY(fd, READYQ_WRITE, READYQ_WRITE | READYQ_WRITE_CLOSED | READYQ_ERROR);
    int error = readyq_add(q, &w, fd, READYQ_PRIORITY);
    CHECK(error == 0 || error == -ENOTSUP);
    CHECK(take_within(q, SOON) == NULL || (w.ready & READYQ_ERROR));
    readyq_close(q);
    close(fd);
}

static void test_datagram_socket_reads_and_writes(void)
{
    int p[2];
    CHECK_IS(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
    unblocked(p[0]);
    CHECK_READY(p[0], RW, READYQ_WRITE);
    put(p[1]);
    CHECK_READY(p[0], RW, RW);
    get(p[0]);
    CHECK_READY(p[0], READYQ_READ, 0);
    close_pair(p);
}

/* ------------------------------------------------------------------ pipes, FIFOs, terminals */

static void check_pipe(opener *open_it)
{
    int p[2];
    open_it(p);
    CHECK_READY(p[0], READYQ_READ, 0);
    CHECK_READY(p[1], READYQ_WRITE, READYQ_WRITE);
    put(p[1]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ);
    fill(p[1]);
    CHECK_READY(p[1], READYQ_WRITE, 0);
    drain(p[0]);
    CHECK_READY(p[1], READYQ_WRITE, READYQ_WRITE);
    put(p[1]);
    close(p[1]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    get(p[0]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    close(p[0]);
}

static void test_pipe_reads_writes_and_ends(void)
{
    check_pipe(open_pipe);
}

static void test_fifo_reads_writes_and_ends(void)
{
    check_pipe(open_fifo);
}

static void check_reader_gone(opener *open_it)
{
    int p[2];
    open_it(p);
    fill(p[1]);
    close(p[0]);
    uint32_t bits = look_at(p[1], READYQ_WRITE);
    CHECK_IS(bits & ~READYQ_ERROR, READYQ_WRITE | READYQ_WRITE_CLOSED);
    close(p[1]);
}

static void test_writer_of_a_full_pipe_wakes_when_the_reader_is_gone(void)
{
    check_reader_gone(open_pipe);
}

static void test_writer_of_a_full_fifo_wakes_when_the_reader_is_gone(void)
{
    check_reader_gone(open_fifo);
}

/* kqueue: its name is gone, so it looks like an unnamed pipe, and is watched like one. */
static void test_full_fifo_without_a_name_wakes_nobody(void)
{
    int p[2];
    struct readyq_stats before, after;
    readyq_watch w;
    readyq *q = open_queue();
    open_fifo(p);
    fill(p[1]);
    add(q, &w, p[1], READYQ_WRITE);
    CHECK_IS(readyq_stats(q, &before), 0);
    CHECK_QUIET(q);
    CHECK_IS(readyq_stats(q, &after), 0);
    CHECK(after.kernel_waits - before.kernel_waits < 5);
    drain(p[0]);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void test_fifo_reads_again_after_a_new_writer_came(void)
{
    char folder[] = "/tmp/readyq-XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/fifo", folder);
    CHECK_IS(mkfifo(path, 0600), 0);
    int reader = unblocked(open(path, O_RDONLY | O_NONBLOCK));
    CHECK_READY(reader, READYQ_READ, 0);
    close(open(path, O_WRONLY));
    CHECK_READY(reader, READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    int writer = open(path, O_WRONLY);
    CHECK_READY(reader, READYQ_READ, 0);
    put(writer);
    CHECK_READY(reader, READYQ_READ, READYQ_READ);
    close(writer);
    close(reader);
    unlink(path);
    rmdir(folder);
}

static void test_terminal_reads_writes_and_ends(void)
{
    int p[2];
    open_terminal(p);
    CHECK_READY(p[0], RW, READYQ_WRITE);
    CHECK_READY(p[1], RW, READYQ_WRITE);
    put(p[0]);
    CHECK_READY(p[1], RW, RW);
    get(p[1]);
    put(p[1]);
    CHECK_READY(p[0], RW, RW);
    close(p[1]);
    CHECK_READY(p[0], READYQ_READ, READYQ_READ | READYQ_READ_CLOSED);
    close(p[0]);
}

static void test_terminal_whose_master_is_gone_ends(void)
{
    int p[2];
    open_terminal(p);
    close(p[0]);
    uint32_t bits = look_at(p[1], READYQ_READ);
    CHECK_IS(bits & (READYQ_READ | READYQ_READ_CLOSED), READYQ_READ | READYQ_READ_CLOSED);
    close(p[1]);
}

static void test_eventfd_reads_and_writes(void)
{
    uint64_t most = UINT64_MAX - 1, value;
    int fd = eventfd(0, EFD_NONBLOCK);
    CHECK_READY(fd, RW, READYQ_WRITE);
    CHECK_IS(write(fd, &(uint64_t){1}, 8), 8);
    CHECK_READY(fd, RW, RW);
    CHECK_IS(read(fd, &value, 8), 8);
    CHECK_IS(write(fd, &most, 8), 8);
    CHECK_READY(fd, RW, READYQ_READ);
    close(fd);
}

/* ------------------------------------------------------------------ files that never block */

static void check_always_ready(int fd)
{
    CHECK_READY(fd, READYQ_READ, READYQ_READ);
    CHECK_READY(fd, READYQ_WRITE, READYQ_WRITE);
    CHECK_READY(fd, RW, RW);
    close(fd);
}

static void test_regular_file_is_always_ready(void)
{
    check_always_ready(open_file());
}

static void test_file_at_its_end_is_ready(void)
{
    int fd = open_file();
    CHECK_IS(lseek(fd, 0, SEEK_END), 5);
    check_always_ready(fd);
}

static void test_directory_is_always_ready(void)
{
    check_always_ready(open("/", O_RDONLY));
}

static void test_null_device_is_always_ready(void)
{
    check_always_ready(open("/dev/null", O_RDWR));
}

static void test_what_is_always_ready_does_not_keep_the_rest_waiting(void)
{
    int p[2], fd = open_file();
    readyq_watch file, w;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &file, fd, READYQ_READ);
    add(q, &w, p[0], READYQ_READ);
    CHECK_TAKES(q, &file);
    CHECK_TAKES(q, &file);
    put(p[1]);
    CHECK_IS(count_ready(q, -1), 2);
    CHECK_IS(readyq_remove(&file), 0);
    CHECK_TAKES(q, &w);
    get(p[0]);
    CHECK_QUIET(q);
    readyq_close(q);
    close_pair(p);
    close(fd);
}

TESTS(TEST(test_tcp_reads_and_writes), TEST(test_unix_socket_reads_and_writes),
      TEST(test_tcp_half_close_by_the_peer_ends_reading_only),
      TEST(test_unix_half_close_by_the_peer_ends_reading_only),
      TEST(test_half_close_does_not_wake_a_writer_without_room),
      TEST(test_tcp_close_by_the_peer_ends_reading), TEST(test_unix_close_by_the_peer_ends_both),
      TEST(test_tcp_reset_is_an_error_in_every_direction_and_stays_to_be_collected),
      TEST(test_tcp_connection_comes_as_write),
      TEST(test_tcp_refused_connection_comes_as_write_with_error),
      TEST(test_own_shutdown_of_reading_ends_reading),
      TEST(test_out_of_band_byte_comes_as_priority),
      TEST(test_error_is_not_taken_for_out_of_band_data),
      TEST(test_datagram_socket_reads_and_writes), TEST(test_pipe_reads_writes_and_ends),
      TEST(test_fifo_reads_writes_and_ends),
      TEST(test_writer_of_a_full_pipe_wakes_when_the_reader_is_gone),
      TEST(test_writer_of_a_full_fifo_wakes_when_the_reader_is_gone),
      TEST(test_full_fifo_without_a_name_wakes_nobody),
      TEST(test_fifo_reads_again_after_a_new_writer_came),
      TEST(test_terminal_reads_writes_and_ends), TEST(test_terminal_whose_master_is_gone_ends),
      TEST(test_eventfd_reads_and_writes), TEST(test_regular_file_is_always_ready),
      TEST(test_file_at_its_end_is_ready), TEST(test_directory_is_always_ready),
      TEST(test_null_device_is_always_ready),
      TEST(test_what_is_always_ready_does_not_keep_the_rest_waiting))
