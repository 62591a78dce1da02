/* SPDX-License-Identifier: MIT
 *
 * <sys/event.h> for a Linux that plays a BSD or macOS in tests; see ../kqueue.c. With
 * -DKQUEUE_AS_NETBSD and its like it declares what that kernel's header declares, and the macro by
 * which its compiler is known, so that the branches of the core that are compiled there are compiled
 * here; without, all. Values are FreeBSD's, except where only others have the name.
 */
#ifndef KQUEUE_SYS_EVENT_H
#define KQUEUE_SYS_EVENT_H

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* From here on the compiler is that kernel's. The headers above are Linux's, and must be read
 * before. */
#if defined(KQUEUE_AS_FREEBSD)
#define __FreeBSD__ 14
#elif defined(KQUEUE_AS_NETBSD)
#define __NetBSD__ 1
#elif defined(KQUEUE_AS_OPENBSD)
#define __OpenBSD__ 1
#elif defined(KQUEUE_AS_MACOS)
#define __APPLE__ 1
#elif defined(KQUEUE_AS_DRAGONFLY)
#define __DragonFly__ 6
#else
#define KQUEUE_AS_ANY 1
#endif

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_PROC (-5)
#define EVFILT_SIGNAL (-6)
#define EVFILT_TIMER (-7)
#define EVFILT_USER (-11)
#if defined(__OpenBSD__) || defined(__APPLE__) || defined(__DragonFly__) || defined(KQUEUE_AS_ANY)
#define EVFILT_EXCEPT (-15)
#define NOTE_OOB 0x0002
#endif

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080
#define EV_SYSFLAGS 0xf000
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_LOWAT 0x0001
#define NOTE_EXIT 0x80000000u
#if !defined(__DragonFly__) /* it counts timers in milliseconds only */
#define NOTE_SECONDS 0x0001
#define NOTE_MSECONDS 0x0002
#define NOTE_USECONDS 0x0004
#define NOTE_NSECONDS 0x0008
#endif
#define NOTE_FFNOP 0x00000000u
#define NOTE_FFAND 0x40000000u
#define NOTE_FFOR 0x80000000u
#define NOTE_FFCOPY 0xc0000000u
#define NOTE_FFCTRLMASK 0xc0000000u
#define NOTE_FFLAGSMASK 0x00ffffffu
#define NOTE_TRIGGER 0x01000000u

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
};

#define EV_SET(event, a, b, c, d, e, f)                                                            \
    (*(event) = (struct kevent){.ident = (uintptr_t)(a),                                           \
                                .filter = (short)(b),                                              \
                                .flags = (unsigned short)(c),                                      \
                                .fflags = (unsigned)(d),                                           \
                                .data = (e),                                                       \
                                .udata = (f)})

#if defined(__NetBSD__)
typedef size_t kqueue_count;
#else
typedef int kqueue_count;
#endif

int kqueue(void);
#if defined(__NetBSD__) || defined(__OpenBSD__) || defined(KQUEUE_AS_ANY)
int kqueue1(int flags);
#endif
int kevent(int kq, const struct kevent *changes, kqueue_count nchanges, struct kevent *events,
           kqueue_count nevents, const struct timespec *timeout);

#endif
