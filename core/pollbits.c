/* SPDX-License-Identifier: MIT
 *
 * Linux: what the bits of poll(2) mean, which epoll reports.
 *
 *  1. POLLHUP and POLLERR are reported unasked, also for an empty mask.
 *  2. The write end of a pipe whose reader is gone is POLLERR alone, the read end whose writer is
 *     gone POLLHUP alone. Neither has an error to collect.
 *  3. A socket that never connected is POLLHUP without POLLRDHUP: nothing is closed. POLLRDHUP
 *     comes only where it was asked for, so it is asked for with reading alone: a writer would
 *     otherwise be woken for ever by a peer that has stopped writing.
 *  4. What the kernel shows as files (in sysfs) reports POLLERR beside POLLPRI; no error is meant.
 */
#include "internal.h"

#if defined(__linux__)

#include <poll.h>
#include <sys/stat.h>

_Static_assert(READYQ_READ == POLLIN && READYQ_PRIORITY == POLLPRI && READYQ_WRITE == POLLOUT,
               "the directions are poll's");

uint32_t readyq__to_poll(uint32_t interest)
{
    return (interest & READYQ__DIRECTIONS) | (interest & READYQ_READ ? POLLRDHUP : 0);
}

uint32_t readyq__ask_closed(int fd, uint32_t closed)
{
    struct pollfd one = {.fd = fd, .events = POLLRDHUP};

    return poll(&one, 1, 0) == 1 && (one.revents & POLLRDHUP) ? closed : 0;
}

/* Notes 1 to 4: they mean what the kind of file makes of them. */
static uint32_t from_hangup(int fd, uint32_t events)
{
    const uint32_t both = READYQ_READ_CLOSED | READYQ_WRITE_CLOSED;
    struct stat file = {0};
    uint32_t bits = 0;

    fstat(fd, &file);
    if (S_ISFIFO(file.st_mode)) {
        if (events & POLLHUP)
            bits |= READYQ_READ | READYQ_READ_CLOSED;
        if (events & POLLERR)
            bits |= READYQ_WRITE | READYQ_WRITE_CLOSED;
        return bits;
    }
    if (events & POLLHUP)
        bits |= READYQ_READ | READYQ_WRITE | READYQ__HANGUP |
                (S_ISSOCK(file.st_mode) ? readyq__ask_closed(fd, both) : both);
    if (events & POLLERR)
        bits |= READYQ__DIRECTIONS | (S_ISREG(file.st_mode) ? 0 : READYQ_ERROR);
    return bits;
}

uint32_t readyq__from_poll(int fd, uint32_t events)
{
    uint32_t bits = events & READYQ__DIRECTIONS;

    if (events & POLLRDHUP)
        bits |= READYQ_READ | READYQ_READ_CLOSED;
    if (events & (POLLHUP | POLLERR))
        bits |= from_hangup(fd, events);
    return bits;
}

#else
typedef int readyq__no_pollbits; /* this platform has kqueue */
#endif
