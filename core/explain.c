/* SPDX-License-Identifier: MIT
 *
 * Texts that explain why a call failed and what to do, one reason each; and the warnings that a
 * binding shows. Descriptions of descriptors come from describe.c.
 */
#include "internal.h"

#include <stdio.h>

#define SIGNALS "SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE and SIGILL cannot be watched"

/* The refusals of the core itself. */
static const struct {
    int error;
    const char *why, *advice;
} refusals[] = {
    [READYQ__BAD_INTEREST] = {EINVAL, "the interest is not valid",
                              "combine READ, WRITE and PRIORITY, with EDGE, ONESHOT or EXCLUSIVE "
                              "if wanted, or use 0 to pause"},
    [READYQ__NOT_OPEN] = {EBADF, "it is not open", "use the number of an open descriptor"},
    [READYQ__OWN_DESCRIPTOR] = {EINVAL, "it belongs to this queue", "a queue cannot watch itself"},
    [READYQ__NEGATIVE_DELAY] = {EINVAL, "the delay is negative", "use 0 or more"},
    [READYQ__NEGATIVE_PERIOD] = {EINVAL, "the period is negative", "use 0 or more"},
    [READYQ__NEGATIVE_TIMEOUT] = {EINVAL, "the timeout is negative",
                                  "use 0 or more, or -1 to wait forever"},
    [READYQ__NEGATIVE_DEADLINE] = {EINVAL, "the deadline is negative",
                                   "add to readyq_now(), or use INT64_MAX to wait forever"},
    [READYQ__NEGATIVE_MAXIMUM] = {EINVAL, "the maximum is negative", "use 0 for no maximum"},
    [READYQ__NO_SIGNAL] = {EINVAL, "there is no such signal", "kill -l lists the signals"},
    [READYQ__UNCATCHABLE_SIGNAL] = {EINVAL, "this signal cannot be caught", SIGNALS},
    [READYQ__FATAL_SIGNAL] = {EINVAL, "the thread cannot continue after this signal", SIGNALS},
    [READYQ__RESERVED_SIGNAL] = {EINVAL, "the C library reserves this signal",
                                 "real-time signals begin at SIGRTMIN"},
    [READYQ__NO_PROCESS_ID] = {EINVAL, "it is not a process id", "a process id is greater than 0"},
    [READYQ__NOT_A_DESCRIPTOR] = {EINVAL, "it is not a descriptor's watch",
                                  "only a descriptor's watch has an interest"},
    [READYQ__NOT_A_TIMER] = {EINVAL, "it is not a timer", "only a timer can be restarted"},
    [READYQ__NOT_A_TRIGGER] = {EINVAL, "it is not a trigger", "only a trigger can be fired"},
    [READYQ__IN_A_QUEUE] = {EBUSY, "the watch is in a queue already",
                            "remove it first, or use another watch"},
    [READYQ__NOT_ADDED] = {ENOENT, "the watch was never added to a queue", "add it first"},
    [READYQ__REMOVED] = {ENOENT, "the watch was removed from its queue", "add it again"},
    [READYQ__HAS_FIRED] = {ENOENT, "it has fired and left its queue", "nothing is left to do"},
    [READYQ__DESCRIPTOR_CLOSED] = {EBADF, "it was closed",
                                   "remove a watch before its descriptor is closed"},
    [READYQ__NUMBER_REUSED] = {EBADF, "it was closed, and the number belongs to another file now",
                               "remove a watch before its descriptor is closed"},
    [READYQ__QUEUE_CLOSED] = {ESHUTDOWN, "the queue is closed", "open a new one"},
    [READYQ__CIRCLE] = {ELOOP, "queues would watch each other in a circle", "break the circle"},
    [READYQ__TOO_DEEP] = {ELOOP, "too many queues would watch each other in a row",
                          "the kernel allows two queues below a queue"},
    [READYQ__NOT_A_CHILD] = {ECHILD, "it is not a child of this process",
                             "without pidfd only children can be watched"},
};

/* What the kernel refuses. */
static const struct {
    int error;
    const char *why, *advice;
} errors[] = {
    {EBADF, "it is not open", "use the number of an open descriptor"},
    {EEXIST, "it is watched by this queue already", "modify its watch, or remove it first"},
    {EBUSY, "the watch is in a queue already", "remove it first, or use another watch"},
    {ENOENT, "the watch is not in a queue", "add it first"},
    {ESHUTDOWN, "the queue is closed", "open a new one"},
    {EINTR, "a signal interrupted it", "call it again"},
    {ELOOP, "queues would watch each other in a circle", "break the circle"},
    {EMFILE, "this process has no descriptor left",
     "close some, or raise RLIMIT_NOFILE (ulimit -n)"},
    {ENFILE, "the system has no descriptor left", "close some, or raise fs.file-max"},
    {ENOMEM, "no memory is left", "remove watches, or free memory"},
    {ENOSPC, "the user's limit of watches is reached",
     "remove watches, or raise fs.epoll.max_user_watches"},
    {ENOSYS, "this kernel does not support it", "see docs/kernels.md for what it needs"},
    {ENOTSUP, "this kernel does not report that interest", "ask for READ or WRITE alone"},
    {EPERM, "it is not permitted here", "find the sandbox or policy that forbids it"},
    {ESRCH, "there is no such process", "watch a process before its end is collected (waitpid)"},
    {ECHILD, "it is not a child of this process", "without pidfd only children can be watched"},
};

/* Of this thread. With glibc in the memory that each thread has from its start: otherwise a module
 * that was opened by dlopen() would allocate it at the first refusal. */
#if defined(__GLIBC__)
__attribute__((tls_model("initial-exec")))
#endif
static _Thread_local enum readyq__reason last_reason;

int readyq__refuse(enum readyq__reason reason)
{
    last_reason = reason;
    return -refusals[reason].error;
}

char *readyq_explain(const char *call, int fd, int error, char *text, size_t size)
{
    const int number = error < 0 ? -error : error;
    const enum readyq__reason reason = last_reason;
    const char *why = strerror(number), *advice = "see errno(3)";
    char what[160], of[192] = "";

    last_reason = 0;
    if (reason != 0 && refusals[reason].error == number) {
        why = refusals[reason].why;
        advice = refusals[reason].advice;
    } else {
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
            if (errors[i].error == number) {
                why = errors[i].why;
                advice = errors[i].advice;
            }
    }
    if (fd >= 0)
        snprintf(of, sizeof of, " of descriptor %d (%s)", fd,
                 readyq_describe(fd, what, sizeof what));
    if (size > 0)
        snprintf(text, size, "%s%s failed: %s; %s", call, of, why, advice);
    return text;
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
