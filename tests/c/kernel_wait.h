/* SPDX-License-Identifier: MIT
 *
 * The kernel's call that waits for events, which the linker replaces (see the Makefile): a test
 * that includes this writes before_wait(), and after_wait(), which gets the call's result.
 */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include "check.h"

static void before_wait(void);
static void after_wait(int n);

#if HAS_EPOLL

#include <sys/epoll.h>

int __real_epoll_wait(int set, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int set, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int set, struct epoll_event *events, int max, int timeout)
{
    before_wait();
    const int n = __real_epoll_wait(set, events, max, timeout);
    after_wait(n);
    return n;
}

#else

#include "kevent_call.h"

int __wrap_kevent(int kq, const struct kevent *changes, event_count nchanges, struct kevent *events,
                  event_count nevents, const struct timespec *timeout)
{
    if (nchanges > 0 || nevents == 0) /* it does not wait */
        return __real_kevent(kq, changes, nchanges, events, nevents, timeout);
    before_wait();
    const int n = __real_kevent(kq, changes, nchanges, events, nevents, timeout);
    after_wait(n);
    return n;
}

#endif
#endif
