/* SPDX-License-Identifier: MIT
 *
 * What a kqueue event means. Sources are named in kqueue.c.
 *
 * EV_EOF marks an end: of what can be read, or of what can be written. If fflags is set, it is
 * so_error, and there is an error as well, for both directions (filt_soread, filt_sowrite).
 *
 * WRITE also has EV_EOF after the program's own shutdown(SHUT_WR), which does not mean that the
 * peer has ended: poll(2), getpeername(2) and recv(2) tell the two apart. NetBSD's sopoll has no
 * POLLHUP; a socket whose peer is gone has no peer name (soisdisconnected).
 *
 * An error without an end, such as UDP's, has no flag at all ("temporary udp error").
 * recv(MSG_PEEK) returns it and leaves it pending (soreceive: "if ((flags & MSG_PEEK) == 0)
 * so->so_error = 0"), which getsockopt() would not. It is found once the data before it has been
 * read.
 *
 * The end of a pipe that is written to is watched with READ as well (kqueue.c, note 7).
 */
#include "internal.h"

#if !READYQ__HAS_EPOLL

#include <fcntl.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(NOTE_OOB)
#define NOTE_OOB 0 /* kqueue.c, note 9 */
#endif

/* An unnamed pipe: pipe_stat leaves st_nlink 0. Both ends of a pipe with two directions count:
 * F_GETFL says O_RDWR (kqueue.c, note 7). */
bool readyq__is_written_pipe(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) && file.st_nlink == 0 &&
           (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
}

uint32_t readyq__poll_both(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
    uint32_t bits = 0;

    if (poll(&one, 1, 0) == 1) {
        bits |= one.revents & POLLIN ? READYQ_READ : 0;
        bits |= one.revents & POLLOUT ? READYQ_WRITE : 0;
    }
    return bits;
}

/* 1 if data can be read, 0 at the end, or -errno; the error stays pending. */
static int peek(int fd)
{
    char byte;
    const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n < 0 ? -errno : (int)n;
}

bool readyq__is_error_pending(int fd)
{
    const int result = peek(fd);

    return result < 0 && result != -EAGAIN && result != -EINTR && result != -ENOTSOCK &&
           result != -ENOTCONN && result != -EINVAL && result != -EOPNOTSUPP;
}

/* Whether no more can be written because the peer is gone. After the program's own shutdown the
 * peer is still there and has not ended. A descriptor that is not a socket cannot be shut down. */
static bool is_peer_gone(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    return (poll(&one, 1, 0) == 1 && (one.revents & POLLHUP)) ||
           getpeername(fd, (void *)&address, &size) < 0 || peek(fd) == 0;
}

static uint32_t from_end(const struct kevent *event, uint32_t interest)
{
    const int fd = (int)event->ident;
    uint32_t bits;

    if (event->filter == EVFILT_WRITE)
        bits = READYQ_WRITE | (is_peer_gone(fd) ? READYQ_WRITE_CLOSED : 0);
    else
        bits = READYQ_READ | READYQ_READ_CLOSED;
    if (event->fflags != 0)
        bits |= READYQ__DIRECTIONS | READYQ_ERROR;
    else if (event->filter == EVFILT_READ && (interest & READYQ_WRITE) &&
             readyq__is_written_pipe(fd))
        bits |= READYQ_WRITE | READYQ_WRITE_CLOSED;
    return bits;
}

/* xnu's behaves like READ: at the end, fflags is so_error, not NOTE_OOB (kqueue.c, note 9). */
static uint32_t from_except(const struct kevent *event)
{
    if (event->flags & EV_EOF)
        return event->fflags != 0 ? READYQ__DIRECTIONS | READYQ_ERROR : 0;
    return event->fflags & NOTE_OOB ? READYQ_PRIORITY : 0;
}

uint32_t readyq__from_kevent(const struct kevent *event, uint32_t interest)
{
    const bool writes = event->filter == EVFILT_WRITE;

    if (event->flags & EV_ERROR)
        return READYQ__DIRECTIONS | READYQ_ERROR;
    if (!writes && event->filter != EVFILT_READ)
        return from_except(event);
    if (event->flags & EV_EOF)
        return from_end(event, interest);
    if ((writes ? !(interest & READYQ_READ) : event->data == 0) &&
        readyq__is_error_pending((int)event->ident))
        return READYQ__DIRECTIONS | READYQ_ERROR;
    return writes ? READYQ_WRITE : READYQ_READ;
}

#else
typedef int readyq__no_kevents; /* this platform has epoll */
#endif
