/* SPDX-License-Identifier: MIT
 *
 * kevent(2), for tests in which the linker replaces it (see the Makefile).
 */
#ifndef KEVENT_CALL_H
#define KEVENT_CALL_H

#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>

#if defined(__NetBSD__)
typedef size_t event_count;
#else
typedef int event_count;
#endif

int __real_kevent(int kq, const struct kevent *changes, event_count nchanges, struct kevent *events,
                  event_count nevents, const struct timespec *timeout);
int __wrap_kevent(int kq, const struct kevent *changes, event_count nchanges, struct kevent *events,
                  event_count nevents, const struct timespec *timeout);

#endif
