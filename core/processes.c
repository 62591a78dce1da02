/* SPDX-License-Identifier: MIT
 *
 * Processes: a pidfd in the set like any other descriptor. Where the kernel has none (before 5.3)
 * or a sandbox forbids it, SIGCHLD is watched and every watched child is asked for after it. kqueue
 * tells by itself. The status is read without reaping: that is the parent's to do.
 */
#include "internal.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same on every architecture */
#endif
static int open_process(pid_t pid)
{
    const int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}
#else
static int open_process(pid_t pid)
{
    (void)pid;
    return -ENOSYS;
}
#endif

/* The status as waitpid() would store it. */
static int encode(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* 1: it has ended, with *status, -1 where only its parent knows. 0: not yet. -ECHILD: not ours. */
static int ask(pid_t pid, int *status)
{
    siginfo_t info;
    int done;

    memset(&info, 0, sizeof info);
    do
        done = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    *status = encode(&info);
    return 1;
}

static void list_ended(readyq *q, readyq_watch *w)
{
    w->own.counted = 1;
    readyq__list(q, w, READYQ_FIRED);
}

void readyq__process_ended(readyq *q, readyq_watch *w)
{
    ask(w->pid, &w->status);
    list_ended(q, w);
}

/* ------------------------------------------------------------------ told by the backend */

#if defined(READYQ__KQUEUE)

/* It may be told before it can be waited for: that is a matter of its last instructions. */
void readyq__process_exited(readyq *q, pid_t pid)
{
    for (struct readyq__link *link = q->children.next; link != &q->children; link = link->next) {
        readyq_watch *w = readyq__owner(link, group);

        if (w->pid != pid)
            continue;
        while (ask(pid, &w->status) == 0)
            sched_yield();
        list_ended(q, w);
    }
}

/* What the kernel said to being asked to tell. */
int readyq__process_told(readyq *q, readyq_watch *w, int error)
{
    if (error == -ESRCH && ask(w->pid, &w->status) == 1) /* ended, and not reaped */
        list_ended(q, w);
    else if (error < 0)
        return error;
    if (w->own.group.next == NULL)
        readyq__link_before(&q->children, &w->own.group);
    return 0;
}

int readyq__processes_rewatch(readyq *q)
{
    int error = 0;

    for (struct readyq__link *link = q->children.next; link != &q->children; link = link->next) {
        readyq_watch *w = readyq__owner(link, group);

        error = q->backend->process(q, w, true);
        if (error == -ESRCH) { /* another process's child, and gone */
            list_ended(q, w);
            error = 0;
        }
        if (error < 0)
            break;
    }
    return error;
}
#else
int readyq__processes_rewatch(readyq *q)
{
    (void)q; /* a pidfd is a descriptor, and signals are the process's */
    return 0;
}
#endif

/* ------------------------------------------------------------------ by SIGCHLD */

void readyq__reap_news(readyq *q)
{
    struct readyq__link *link, *next;

    for (link = q->children.next; link != &q->children; link = next) {
        readyq_watch *w = readyq__owner(link, group);

        next = link->next;
        if (ask(w->pid, &w->status) != 0)
            list_ended(q, w);
    }
}

static int watch_children(readyq *q)
{
    readyq_watch *w = &q->child_signal;
    int error;

    if (w->own.state == READYQ__ACTIVE)
        return 0;
    readyq__admit(q, w, READYQ_KIND_SIGNAL); /* it is free, and has no place in the line */
    w->queue = q;
    error = readyq__signal_start(w, SIGCHLD);
    if (error == 0)
        w->own.state = READYQ__ACTIVE;
    else
        w->queue = NULL;
    return error;
}

static void unwatch_children(readyq *q)
{
    readyq_watch *w = &q->child_signal;

    if (!readyq__list_empty(&q->children))
        return;
    readyq__signal_stop(w);
    readyq__fire_stop(w);
    w->own.state = READYQ__UNUSED;
    w->queue = NULL;
}

static int add_child(readyq *q, readyq_watch *w)
{
    int status, error;

    if (ask(w->pid, &status) < 0) {
        errno = 0;
        kill(w->pid, 0);
        return errno == ESRCH ? -ESRCH : -ECHILD;
    }
    error = watch_children(q);
    if (error < 0)
        return error;
    readyq__link_before(&q->children, &w->own.group);
    readyq__reap_news(q); /* it may have ended before SIGCHLD was watched */
    return 0;
}

/* ------------------------------------------------------------------ by pidfd, or by SIGCHLD */

static void unwatch(readyq *q, readyq_watch *w)
{
    if (w->fd >= 0) {
        readyq__unregister(q, w);
        close(w->fd);
        w->fd = -1;
    } else {
        readyq__unlink(&w->own.group);
        unwatch_children(q);
    }
}

static int watch(readyq *q, readyq_watch *w)
{
    int error = open_process(w->pid);

    if (error == -ENOSYS || error == -EPERM)
        return add_child(q, w);
    if (error < 0)
        return error == -EINVAL || error == -ENOENT ? -ESRCH : error; /* a thread, not a process */
    w->fd = error;
    error = readyq__register(q, w);
    if (error < 0) {
        close(w->fd);
        w->fd = -1;
    }
    return error;
}

int readyq__process_watch(readyq *q, readyq_watch *w, bool watched)
{
    if (watched)
        return watch(q, w);
    unwatch(q, w);
    return 0;
}

/* ------------------------------------------------------------------ the call */

int readyq_add_process(readyq *q, readyq_watch *w, pid_t pid)
{
    int error;

    if (pid <= 0)
        return -EINVAL;
    error = readyq__enter(q);
    if (error < 0)
        return error;
    error = readyq__admit(q, w, READYQ_KIND_PROCESS);
    if (error == 0) {
        w->pid = pid;
        error = q->backend->process(q, w, true);
    }
    if (error == 0)
        readyq__settle(q, w);
    if (error == 0 && (w->own.flags & READYQ__LISTED) && q->leading)
        readyq__kick(q);
    readyq__leave(q);
    return error;
}
