/* SPDX-License-Identifier: MIT
 *
 * Texts that explain why a call failed and what to do, one reason each; and the warnings that a
 * binding shows. Descriptions of descriptors come from describe.c.
 */
#include "internal.h"

#include <stdio.h>

/* Refusals by the kernel, and those of the core that are the only ones with their number. */
static const struct readyq__refusal errors[] = {
    {EBADF, "it is not open", "use the number of an open descriptor"},
    {EEXIST, "this queue already watches it", "modify its watch, or remove it first"},
    {EBUSY, "the watch is already in a queue", "remove it first, or use another watch"},
    {ENOENT, "the watch is not in a queue", "add it first"},
    {ESHUTDOWN, "the queue is closed", "open a new one"},
    {EINTR, "a signal interrupted it", "call it again"},
    {ELOOP, "queues would watch each other in a circle", "break the circle"},
    {EMFILE, "this process has no descriptors left",
     "close some, or raise RLIMIT_NOFILE (ulimit -n)"},
    {ENFILE, "the system has no descriptors left", "close some, or raise fs.file-max"},
    {ENOMEM, "no memory is left", "remove watches, or free memory"},
    {ENOSPC, "the user's limit on watches is reached",
     "remove watches, or raise fs.epoll.max_user_watches"},
    {ENOSYS, "this kernel does not support it", "see docs/kernels.md for what readyq needs"},
    {ENOTSUP, "this kernel cannot report these events for it", "ask only for READ or WRITE"},
    {EPERM, "it is not permitted here", "find the sandbox or policy that forbids it"},
    {ESRCH, "there is no such process", "watch a process before it is reaped (waitpid)"},
    {ECHILD, "it is not a child of this process", "without pidfd only children can be watched"},
};

READYQ__THREAD_LOCAL struct readyq__refusal readyq__last_refusal;

int readyq__refuse(int error, const char *why, const char *advice)
{
    readyq__last_refusal = (struct readyq__refusal){error, why, advice};
    return -error;
}

int readyq__refuse_own(void)
{
    return readyq__refuse(EINVAL, "it belongs to this queue", "a queue cannot watch itself");
}

int readyq__refuse_depth(void)
{
    return readyq__refuse(ELOOP, "the chain of queues, each watching the next, would be too long",
                          "the kernel allows a queue to have two levels of queues below it");
}

/* A plain name is shown as a call. */
static const char *parentheses_of(const char *call)
{
    return strpbrk(call, "([. ") == NULL ? "()" : "";
}

char *readyq_explain_for(const char *call, const char *target, int error, char *text, size_t size)
{
    const int number = error < 0 ? -error : error;
    struct readyq__refusal reason = {number, strerror(number), "see errno(3)"};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].error == number)
            reason = errors[i];
    if (readyq__last_refusal.why != NULL && readyq__last_refusal.error == number)
        reason = readyq__last_refusal;
    readyq__forget_refusal();
    if (size > 0)
        snprintf(text, size, "%s%s failed%s%s: %s; %s", call, parentheses_of(call),
                 target != NULL ? " for " : "", target != NULL ? target : "", reason.why,
                 reason.advice);
    return text;
}

char *readyq_explain(const char *call, int fd, int error, char *text, size_t size)
{
    char what[160], target[192];

    if (fd >= 0)
        snprintf(target, sizeof target, "descriptor %d (%s)", fd,
                 readyq_describe(fd, what, sizeof what));
    return readyq_explain_for(call, fd >= 0 ? target : NULL, error, text, size);
}

/* The number of a watch that has left its queue may belong to another file: it is not described. */
char *readyq_explain_watch(const char *call, const readyq_watch *w, int error, char *text,
                           size_t size)
{
    char target[32];

    if (w->kind == READYQ_KIND_FD && readyq__get(w, queue) != NULL)
        return readyq_explain(call, w->fd, error, text, size);
    if (w->kind == READYQ_KIND_NONE) /* it was never added */
        return readyq_explain_for(call, NULL, error, text, size);
    if (w->kind == READYQ_KIND_FD)
        snprintf(target, sizeof target, "descriptor %d", w->fd);
    else if (w->kind == READYQ_KIND_SIGNAL)
        snprintf(target, sizeof target, "signal %d", w->signal);
    else if (w->kind == READYQ_KIND_PROCESS)
        snprintf(target, sizeof target, "process %ld", (long)w->pid);
    else
        snprintf(target, sizeof target, "a %s", readyq_kind_name(w->kind));
    return readyq_explain_for(call, target, error, text, size);
}

/* ------------------------------------------------------------------ warnings */

char *readyq_explain_ghost(int fd, char *text, size_t size)
{
    if (size > 0)
        snprintf(
            text, size,
            "fd %d was closed before its watch was removed, and a duplicate or a child keeps its "
            "file open: remove the watch before you close its descriptor",
            fd);
    return text;
}

char *readyq_explain_blocked(int signal, char *text, size_t size)
{
    if (size > 0)
        snprintf(
            text, size,
            "signal %d (%s) is blocked in every thread: its watch fires when a thread unblocks it",
            signal, strsignal(signal));
    return text;
}
