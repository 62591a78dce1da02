/* SPDX-License-Identifier: MIT
 *
 * Fault injection for faults.c: the linker replaces the core's system calls by those here (see the
 * Makefile). While a call to readyq runs, the n-th of the system calls that can fail with a given
 * error fails. Each function here lists the errors that the kernel returns for its call.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "check.h"
#include "wrap.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

/* Used as errors. SHORT: the call returns early without a result. NONE: no call fails. */
enum { SHORT = 0, NONE = -1 };

static struct {
    int error;       /* with which a system call fails */
    bool may_show;   /* else the failure must not be visible */
    bool armed;      /* in a call to readyq */
    int left;        /* system calls that still succeed */
    const char *hit; /* the system call that failed, or NULL */
} fault;

#define IS_DUE(...)                                                                                \
    is_due(__func__, (const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

static bool is_due(const char *name, const int *errors, size_t n)
{
    bool known = false;

    for (size_t i = 0; i < n; i++)
        known |= errors[i] == fault.error;
    if (!fault.armed || fault.hit != NULL || !known || fault.left-- > 0)
        return false;
    fault.hit = name;
    errno = fault.error;
    return true;
}

static int failed(void)
{
    errno = fault.error;
    return fault.error == SHORT ? 0 : -1;
}

/* Makes a call to readyq, and once more if it failed. `s` is the story. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const size_t size_ = s->q != NULL ? readyq_size(s->q) : 0;                                 \
        const bool hit_ = fault.hit != NULL;                                                       \
        int result_;                                                                               \
        fault.armed = true;                                                                        \
        result_ = (call);                                                                          \
        fault.armed = false;                                                                       \
        if (result_ < 0) {                                                                         \
            check_refusal(__FILE__, __LINE__, #call, result_, hit_);                               \
            CHECK(s->q == NULL || readyq_size(s->q) == size_);                                     \
            result_ = (call);                                                                      \
        }                                                                                          \
        if (result_ < 0)                                                                           \
            check_is(__FILE__, __LINE__, #call, result_, 0);                                       \
    } while (0)

static void check_refusal(const char *file, int line, const char *call, int result, bool hit_before)
{
    char text[300];

    if (result == -fault.error && fault.may_show && !hit_before && fault.hit != NULL)
        return;
    snprintf(text, sizeof text, "%s is %d after %s failed with %d", call, result,
             fault.hit != NULL ? fault.hit : "nothing", fault.error);
    fail(file, line, text);
}

/* ------------------------------------------------------------------ memory */

WRAP(void *, calloc, (size_t n, size_t size))
{
    return IS_DUE(ENOMEM) ? NULL : __real_calloc(n, size);
}

WRAP(void *, realloc, (void *memory, size_t size))
{
    return IS_DUE(ENOMEM) ? NULL : __real_realloc(memory, size);
}

WRAP(void *, mmap, (void *at, size_t size, int access, int flags, int fd, off_t offset))
{
    return IS_DUE(ENODEV) ? MAP_FAILED : __real_mmap(at, size, access, flags, fd, offset);
}

WRAP(int, madvise, (void *at, size_t size, int advice)) /* unknown before Linux 4.14 */
{
    return IS_DUE(ENOTSUP) ? -1 : __real_madvise(at, size, advice);
}

/* ------------------------------------------------------------------ descriptors */

WRAP(int, epoll_create1, (int flags))
{
    return IS_DUE(EMFILE, ENFILE, ENOMEM) ? failed() : __real_epoll_create1(flags);
}

WRAP(int, pthread_mutex_init, (pthread_mutex_t * lock, const pthread_mutexattr_t *attributes))
{
    return IS_DUE(ENOMEM) ? ENOMEM : __real_pthread_mutex_init(lock, attributes);
}

WRAP(int, eventfd, (unsigned count, int flags))
{
    return IS_DUE(EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM) ? failed() : __real_eventfd(count, flags);
}

WRAP(int, pipe2, (int ends[2], int flags))
{
    return IS_DUE(EMFILE, ENFILE) ? failed() : __real_pipe2(ends, flags);
}

WRAP(int, timerfd_create, (int clock, int flags))
{
    return IS_DUE(EMFILE, ENFILE, ENOMEM) ? failed() : __real_timerfd_create(clock, flags);
}

WRAP(int, dup3, (int old, int new, int flags))
{
    return IS_DUE(EBUSY, EINTR) ? failed() : __real_dup3(old, new, flags);
}

WRAP(int, close, (int fd)) /* the number is free even if it fails */
{
    const bool due = IS_DUE(EINTR, EIO);

    return __real_close(fd) < 0 || due ? failed() : 0;
}

WRAP(ssize_t, read, (int fd, void *bytes, size_t size))
{
    return IS_DUE(EAGAIN) ? failed() : __real_read(fd, bytes, size);
}

/* ------------------------------------------------------------------ watching */

/* It refuses what is registered already, and what it cannot watch, before it checks its limits. */
WRAP(int, epoll_ctl, (int set, int operation, int fd, struct epoll_event *event))
{
    const int result = __real_epoll_ctl(set, operation, fd, event);

    if (result < 0 || operation != EPOLL_CTL_ADD || !IS_DUE(ENOMEM, ENOSPC))
        return result;
    __real_epoll_ctl(set, EPOLL_CTL_DEL, fd, event);
    return failed();
}

WRAP(int, epoll_wait, (int set, struct epoll_event *events, int max, int timeout))
{
    if (IS_DUE(EINTR, SHORT))
        return failed();
    return __real_epoll_wait(set, events, max, timeout);
}

WRAP(int, ppoll,
     (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask))
{
    return IS_DUE(EINTR, ENOMEM, SHORT) ? failed() : __real_ppoll(fds, n, timeout, mask);
}

/* EINVAL: P_PIDFD, which is unknown before Linux 5.4. */
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options))
{
    if (IS_DUE(EINTR) || (type != P_PID && IS_DUE(EINVAL)))
        return failed();
    return __real_waitid(type, id, info, options);
}

/* ------------------------------------------------------------------ by number */

static bool is_call_due(long number)
{
    switch (number) {
    case SYS_pidfd_open: return IS_DUE(EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM);
    case SYS_epoll_pwait2: return IS_DUE(EINTR, ENOSYS, EPERM, SHORT);
    default: return false;
    }
}

static long on_syscall(long number, const long a[6])
{
    return is_call_due(number) ? failed() : real_syscall(number, a);
}

#endif
