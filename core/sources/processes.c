/* SPDX-License-Identifier: MIT
 *
 * Processes: a pidfd, registered like any other descriptor. If the kernel has none (before 5.3) or
 * a sandbox forbids it, SIGCHLD is watched instead, and every watched child is checked after it.
 * kqueue watches processes itself. The status is read without reaping, which is left to the parent.
 */
#include "internal.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#if READYQ__HAS_EPOLL
#include <sys/syscall.h>
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same on every architecture */
#endif
#define BY_PIDFD ((idtype_t)3) /* P_PIDFD */
static int open_process(pid_t pid)
{
    const int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}
#else
#define BY_PIDFD P_PID
static int open_process(pid_t pid)
{
    (void)pid;
    return -ENOSYS;
}
#endif

/* ------------------------------------------------------------------ how it ended */

/* The status as waitpid() would store it. */
static int encode(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static int wait_for(idtype_t type, int id, siginfo_t *info)
{
    int done;

    memset(info, 0, sizeof *info);
    do
        done = waitid(type, (id_t)id, info, WEXITED | WNOHANG | WNOWAIT);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : 0;
}

/* 1: it has ended, with *status, -1 if it is not known. 0: not yet. -ECHILD: not a child. Asks
 * through the pidfd (5.4), which cannot stand for another process with the same id. */
static int ask(const readyq_watch *w, int *status)
{
    siginfo_t info;
    int error = -EINVAL;

    if (w->fd >= 0)
        error = wait_for(BY_PIDFD, w->fd, &info);
    if (error == -EINVAL)
        error = wait_for(P_PID, w->pid, &info);
    if (error < 0)
        return error;
    if (info.si_pid == 0)
        return 0;
    *status = encode(&info);
    return 1;
}

/* The kernel may report the end shortly before the status is available. */
static void list_ended(readyq *q, readyq_watch *w)
{
    int status = -1;

    for (int tries = 0; ask(w, &status) == 0 && tries < 100; tries++)
        readyq__pause();
    readyq__set(w, status, status);
    readyq__list(q, w, READYQ_FIRED);
}

/* ------------------------------------------------------------------ by SIGCHLD */

/* SIGCHLD was caught, or a child that may already have ended was added. */
static void check_children(readyq *q, readyq_watch *sigchld, uint32_t bits)
{
    (void)bits;
    sigchld->caught = 0;
    for (struct readyq__link *link = q->children.next; link != &q->children; link = link->next) {
        readyq_watch *w = readyq__owner(link, source.group);
        int status;

        if (w->own.event == 0 && ask(w, &status) != 0)
            list_ended(q, w);
    }
}

const struct readyq__kind readyq__kind_sigchld = {.event = check_children};

static int watch_child(readyq *q, readyq_watch *w)
{
    int status, error = ask(w, &status);

    if (error < 0)
        return kill(w->pid, 0) < 0 && errno == ESRCH ? -ESRCH : -ECHILD;
    if (q->sigchld.queue == NULL) {
        readyq__prepare(q, &q->sigchld,
                        &(readyq_watch){.kind = READYQ__KIND_SIGCHLD, .fd = -1, .signal = SIGCHLD});
        error = readyq__kind_signal.start(q, &q->sigchld);
        if (error < 0)
            return error;
    }
    readyq__link_before(&q->children, &w->own.source.group);
    check_children(q, &q->sigchld, 0);
    return 0;
}

/* ------------------------------------------------------------------ the kind */

/* Its pidfd, or the kernel, reports that it has ended. */
static void handle_event(readyq *q, readyq_watch *w, uint32_t bits)
{
    (void)bits;
    if (w->own.event == 0)
        list_ended(q, w);
}

static void deliver(readyq *q, readyq_watch *w)
{
    readyq__set_fired_in(w, q->id); /* before it leaves the queue */
    readyq__detach(q, w);
}

/* A pidfd whose number belongs to another file now is not closed. */
static void stop(readyq *q, readyq_watch *w)
{
    if (w->fd < 0) {
        readyq__unlink(&w->own.source.group);
        if (q->backend->watch_process != NULL)
            q->backend->watch_process(q, w, false);
        else if (readyq__list_empty(&q->children)) {
            readyq__kind_signal.stop(q, &q->sigchld);
            q->sigchld.queue = NULL;
        }
        return;
    }
    if (q->slots[w->fd].watch == w) {
        readyq__unregister(q, w);
        close(w->fd);
    }
    w->fd = -1;
}

/* kqueue also reports -ESRCH for a child that has ended and was not reaped, and for one that is
 * exiting, whose status will be available in a moment. */
static int watch_by_kernel(readyq *q, readyq_watch *w)
{
    int status, error = q->backend->watch_process(q, w, true);

    if (error == -ESRCH && ask(w, &status) >= 0)
        list_ended(q, w);
    else if (error < 0)
        return error;
    readyq__link_before(&q->children, &w->own.source.group);
    return 0;
}

static int start(readyq *q, readyq_watch *w)
{
    int fd, error;

    if (w->pid <= 0)
        return readyq__refuse(EINVAL, "it is not a process id", "a process id is greater than 0");
    if (q->backend->watch_process != NULL)
        return watch_by_kernel(q, w);
    fd = open_process(w->pid);
    if (fd == -ENOSYS || fd == -EPERM)
        return watch_child(q, w);
    if (fd < 0)
        return fd == -EINVAL || fd == -ENOENT ? -ESRCH : fd; /* a thread, not a process */
    w->fd = fd;
    error = readyq__register(q, w);
    if (error < 0)
        close(fd);
    return error;
}

const struct readyq__kind readyq__kind_process = {
    .start = start, .event = handle_event, .deliver = deliver, .stop = stop};

int readyq_add_process(readyq *q, readyq_watch *w, pid_t pid)
{
    const readyq_watch wanted = {.kind = READYQ_KIND_PROCESS, .fd = -1, .pid = pid, .status = -1};

    return readyq__add(q, w, &wanted);
}
