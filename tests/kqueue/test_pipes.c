/* SPDX-License-Identifier: MIT
 *
 * Pipes, FIFOs and pseudo-terminals in a kqueue: what is ready, and how an end is reported.
 */
#include "cases.h"

#include <sys/stat.h>

static void read_is_reported_as_long_as_there_is_data(void)
{
    int p[2], kq = kqueue();
    struct kevent event;

    open_pair(p);
    CHECK_IS(change_it(kq, p[0], EVFILT_READ, EV_ADD, 0, 7), 0);
    CHECK_IS(count_events(kq), 0);
    put(p[1]);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(take(kq, &event), 1);
        CHECK_IS((int)event.ident, p[0]);
        CHECK_IS((int)event.filter, (int)EVFILT_READ);
        CHECK_IS((intptr_t)event.udata, 7);
        CHECK_IS(event.data, 1);
        CHECK_IS(event.flags & (EV_EOF | EV_ERROR), 0);
    }
    get(p[0]);
    CHECK_IS(count_events(kq), 0);
    close_pair(p);
    close(kq);
}

static void clear_is_reported_once_for_each_write(void)
{
    int p[2], kq = kqueue();

    open_pair(p);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    for (int i = 0; i < 2; i++) {
        put(p[1]);
        CHECK_IS(count_events(kq), 1);
        CHECK_IS(count_events(kq), 0);
    }
    close_pair(p);
    close(kq);
}

static void the_end_of_reading_comes_with_what_is_left(void)
{
    int p[2], kq = kqueue();
    struct kevent event;

    open_pair(p);
    put(p[1]);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    close(p[1]);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    CHECK_IS(event.fflags, 0);
    get(p[0]);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    CHECK_IS(event.data, 0);
    close(p[0]);
    close(kq);
}

static void write_without_a_reader(void)
{
    int p[2], kq = kqueue();
    struct kevent event;
    const int error = per_kernel(EPIPE, EBADF, EBADF, EBADF, 0, 0, EPIPE);

    open_pair(p);
    close(p[0]);
    CHECK_IS(change(kq, p[1], EVFILT_WRITE, EV_ADD), error);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(take(kq, &event), error == 0);
        CHECK_IS(event.flags & EV_EOF, error == 0 ? EV_EOF : 0);
    }
    close(p[1]);
    close(kq);
}

/* Where nothing is reported, the pipe is full; otherwise the knote is queued already. */
static void the_reader_of_a_full_pipe_goes(void)
{
    int p[2], kq = kqueue();
    struct kevent event;
    const int seen = per_kernel(1, 0, 0, 0, 0, 1, 1);

    open_pair(p);
    fill(p[1]);
    CHECK_IS(change(kq, p[1], EVFILT_WRITE, EV_ADD), 0);
    CHECK_IS(count_events(kq), 0);
    close(p[0]);
    CHECK_IS(take(kq, &event), seen);
    CHECK_IS(event.flags & EV_EOF, seen ? EV_EOF : 0);
    CHECK_IS(count_events(kq), per_kernel(0, 0, 0, 0, 0, 1, 1));
    CHECK_IS(change(kq, p[1], EVFILT_WRITE, EV_DELETE), per_kernel(ENOENT, 0, 0, 0, 0, 0, 0));
    close(p[1]);
    close(kq);
}

static void a_filter_of_the_other_direction(void)
{
    int p[2], kq = kqueue();
    struct kevent event;
    const int refused = per_kernel(0, 0, 0, EINVAL, 0, 0, 0);
    const int at_end = per_kernel(1, 1, 1, 0, 1, 1, 1);
    const int no_peer = per_kernel(EPIPE, EBADF, EBADF, EINVAL, 0, 0, EPIPE);

    open_pair(p);
    CHECK_IS(change(kq, p[1], EVFILT_READ, EV_ADD), refused);
    put(p[1]);
    CHECK_IS(count_events(kq), 0);
    close(p[0]);
    CHECK_IS(take(kq, &event), at_end);
    CHECK_IS(event.flags & EV_EOF, at_end ? EV_EOF : 0);
    CHECK_IS(event.data, 0);
    close(p[1]);
    open_pair(p);
    CHECK_IS(change(kq, p[0], EVFILT_WRITE, EV_ADD), refused);
    CHECK_IS(count_events(kq), per_kernel(1, 0, 0, 0, 1, 0, 1));
    change(kq, p[0], EVFILT_WRITE, EV_DELETE);
    close(p[1]);
    CHECK_IS(change(kq, p[0], EVFILT_WRITE, EV_ADD), no_peer);
    close(p[0]);
    close(kq);
}

static void the_access_mode_of_a_pipe(void)
{
    const int two_way = per_kernel(1, 0, 0, 0, 1, 0, 1);
    int p[2];

    open_pair(p);
    CHECK_IS(fcntl(p[1], F_SETFL, O_NONBLOCK), 0);
    CHECK_IS(fcntl(p[0], F_GETFL) & (O_ACCMODE | O_NONBLOCK), two_way ? O_RDWR : O_RDONLY);
    CHECK_IS(fcntl(p[1], F_GETFL) & (O_ACCMODE | O_NONBLOCK),
             (two_way ? O_RDWR : O_WRONLY) | O_NONBLOCK);
    close_pair(p);
}

static void open_fifo(int ends[2], char *path)
{
    snprintf(path, 64, "/tmp/fifo.%d", (int)getpid());
    CHECK_IS(mkfifo(path, 0600), 0);
    ends[0] = open(path, O_RDONLY | O_NONBLOCK);
    ends[1] = open(path, O_WRONLY);
}

static void the_other_direction_of_a_fifo(void)
{
    int ends[2], kq = kqueue();
    char path[64];
    struct kevent event;
    const int asked = per_kernel(0, 1, 1, 1, 0, 1, 1);
    const int refused = per_kernel(0, 0, 0, 0, EINVAL, 0, 0);

    open_fifo(ends, path);
    CHECK_IS(change(kq, ends[1], EVFILT_READ, EV_ADD), refused);
    CHECK_IS(count_events(kq), 0);
    put(ends[1]);
    CHECK_IS(change(kq, ends[1], EVFILT_READ, EV_ADD), refused); /* Linux has no edge for it */
    CHECK_IS(take(kq, &event), asked);
    CHECK_IS(event.data, asked);
    get(ends[0]);
    CHECK_IS(count_events(kq), 0);
    close_pair(ends);
    unlink(path);
    close(kq);
}

static void the_ends_of_a_fifo(void)
{
    char path[64];
    int p[2], kq = kqueue();
    struct kevent event;

    open_fifo(p, path);
    CHECK_IS(change(kq, p[0], EVFILT_WRITE, EV_ADD), per_kernel(0, 0, 0, 0, EINVAL, 0, 0));
    change(kq, p[0], EVFILT_WRITE, EV_DELETE);
    CHECK_IS(change(kq, p[1], EVFILT_WRITE, EV_ADD), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, per_kernel(0, EV_EOF, EV_EOF, EV_EOF, 0, 0, 0));
    CHECK_IS(change(kq, p[1], EVFILT_WRITE, EV_DELETE), 0);
    CHECK_IS(change(kq, p[0], EVFILT_READ, EV_ADD), 0);
    CHECK_IS(count_events(kq), 0);
    close(p[1]);
    CHECK_IS(take(kq, &event), per_kernel(1, 1, 1, 1, 1, 0, 1));
    close(p[0]);
    unlink(path);
    close(kq);
}

static bool open_terminal(int ends[2])
{
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    if (ends[0] < 0)
        return false;
    CHECK_IS(grantpt(ends[0]), 0);
    CHECK_IS(unlockpt(ends[0]), 0);
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
    return true;
}

/* What is reported of one side when the other one has gone. */
static void check_hang_up(int side, int filter, int seen, int eof)
{
    int ends[2], kq = kqueue();
    struct kevent event;

    if (open_terminal(ends)) {
        CHECK_IS(change(kq, ends[side], filter, EV_ADD), 0);
        CHECK_IS(count_events(kq), filter == EVFILT_WRITE);
        close(ends[!side]);
        CHECK_IS(take(kq, &event), seen);
        CHECK_IS(event.flags & EV_EOF, eof ? EV_EOF : 0);
        close(ends[side]);
    }
    close(kq);
}

static void the_end_of_a_terminal(void)
{
    const int ends = per_kernel(1, 0, 0, 0, 1, 1, 1);
    const int write_ends = per_kernel(1, 0, 0, 0, 0, 1, 1);

    for (int side = 0; side < 2; side++)
        check_hang_up(side, EVFILT_READ, ends, ends);
    check_hang_up(0, EVFILT_WRITE, write_ends, write_ends);
    check_hang_up(1, EVFILT_WRITE, ends, write_ends); /* OpenBSD: there is room, and no end */
}

CASES(CASE(read_is_reported_as_long_as_there_is_data), CASE(clear_is_reported_once_for_each_write),
      CASE(the_end_of_reading_comes_with_what_is_left), CASE(write_without_a_reader),
      CASE(the_reader_of_a_full_pipe_goes), CASE(a_filter_of_the_other_direction),
      CASE(the_access_mode_of_a_pipe), CASE(the_other_direction_of_a_fifo),
      CASE(the_ends_of_a_fifo), CASE(the_end_of_a_terminal))
