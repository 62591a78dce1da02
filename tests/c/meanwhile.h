/* SPDX-License-Identifier: MIT
 *
 * Moments made to order, for meanwhile.c: the linker has some calls of the core come by here (see
 * the Makefile), and where one of them is made something happens, once.
 */
#ifndef MEANWHILE_H
#define MEANWHILE_H

#include "check.h"
#include "wrap.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>

/* The kernel has answered a wait; a follower has slept; before the lock; before giving way; before
 * a wake-up is written; before the time is read. */
enum moment { ANSWERED, SLEPT, LOCKING, YIELDING, WRITING, TIMING, MOMENTS };

static void (*_Atomic happenings[MOMENTS])(void);
static _Thread_local int locks; /* held by this thread: an answer is one only without */

static void happen(enum moment moment)
{
    const int error = errno;
    void (*happening)(void) =
        locks == 0 || moment != ANSWERED ? atomic_exchange(&happenings[moment], NULL) : NULL;

    if (happening != NULL)
        happening();
    errno = error;
}

WRAP(int, epoll_wait, (int set, struct epoll_event *events, int max, int timeout))
{
    const int n = __real_epoll_wait(set, events, max, timeout);

    happen(ANSWERED);
    return n;
}

static long on_syscall(long number, const long a[6])
{
    const long result = real_syscall(number, a);

    if (number == SYS_epoll_pwait2)
        happen(ANSWERED);
    return result;
}

WRAP(int, ppoll,
     (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask))
{
    const int result = __real_ppoll(fds, n, timeout, mask);

    happen(SLEPT);
    return result;
}

WRAP(int, pthread_mutex_lock, (pthread_mutex_t * lock))
{
    happen(LOCKING);
    locks++;
    return __real_pthread_mutex_lock(lock);
}

WRAP(int, pthread_mutex_unlock, (pthread_mutex_t * lock))
{
    locks--;
    return __real_pthread_mutex_unlock(lock);
}

WRAP(int, sched_yield, (void))
{
    happen(YIELDING);
    return __real_sched_yield();
}

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *time))
{
    happen(TIMING);
    return __real_clock_gettime(clock, time);
}

WRAP(ssize_t, write, (int fd, const void *bytes, size_t size))
{
    happen(WRITING);
    return __real_write(fd, bytes, size);
}

#endif
