/* SPDX-License-Identifier: MIT
 *
 * Texts: what a descriptor is, and why a call failed and what to do. Called only to be read by a
 * person; never while an event is handled.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ------------------------------------------------------------------ what a descriptor is */

static int print_address(const struct sockaddr_storage *address, socklen_t length, char *text,
                         size_t size)
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;
    const struct sockaddr_un *local = (const void *)address;
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        return snprintf(text, size, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    }
    if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        return snprintf(text, size, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    }
    if (address->ss_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path))
        return *local->sun_path != '\0' ? snprintf(text, size, "%s", local->sun_path)
                                        : snprintf(text, size, "@%s", local->sun_path + 1);
    return 0; /* unnamed */
}

static const char *name_socket(int family, int type)
{
    if (family == AF_UNIX)
        return type == SOCK_DGRAM ? "UNIX datagram socket" : "UNIX socket";
    if (family == AF_INET || family == AF_INET6)
        return type == SOCK_STREAM ? "TCP" : type == SOCK_DGRAM ? "UDP" : "raw IP socket";
    return "socket";
}

static int get_option(int fd, int option)
{
    int value = 0;
    socklen_t length = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : 0;
}

static void describe_socket(int fd, char *text, size_t size)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_length = sizeof here, there_length = sizeof there;
    char from[128] = "", to[128] = "";
    const char *kind, *state = ", not connected";
    bool connected;

    if (getsockname(fd, (void *)&here, &here_length) == 0)
        print_address(&here, here_length, from, sizeof from);
    connected = getpeername(fd, (void *)&there, &there_length) == 0;
    if (connected)
        print_address(&there, there_length, to, sizeof to);
    kind = name_socket(here.ss_family, get_option(fd, SO_TYPE));
    if (get_option(fd, SO_ACCEPTCONN))
        state = ", listening";
    if (connected && *to != '\0')
        snprintf(text, size, "%s%s%s to %s", kind, *from ? " " : "", from, to);
    else
        snprintf(text, size, "%s%s%s%s", kind, *from ? " " : "", from,
                 connected ? ", connected" : state);
}

/* With the name that the file was opened by, where the system has /proc. */
static void describe_named(int fd, const char *kind, char *text, size_t size)
{
    char link[64], path[1024];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    if (strncmp(path, "anon_inode:", 11) == 0)
        snprintf(text, size, "%s", path + 11);
    else if (*path == '/')
        snprintf(text, size, "%s %s", kind, path);
    else
        snprintf(text, size, "%s", kind);
}

/* A name can come from anyone, for example a peer. Control characters, in ASCII or UTF-8, could
 * command the terminal that shows it: they become question marks. */
static char *disarm(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
        else if (*at < ' ' || *at == 0x7f)
            *at = '?';
    }
    return text;
}

char *readyq_describe(int fd, char *text, size_t size)
{
    struct stat file = {0};

    if (size == 0)
        return text;
    if (fd < 0)
        snprintf(text, size, "no descriptor");
    else if (fstat(fd, &file) < 0 && errno == EBADF)
        snprintf(text, size, "closed");
    else if (S_ISSOCK(file.st_mode))
        describe_socket(fd, text, size);
    else if (S_ISFIFO(file.st_mode))
        describe_named(fd, "pipe", text, size);
    else if (S_ISREG(file.st_mode))
        describe_named(fd, "file", text, size);
    else if (S_ISDIR(file.st_mode))
        describe_named(fd, "directory", text, size);
    else if (S_ISCHR(file.st_mode))
        describe_named(fd, isatty(fd) ? "terminal" : "device", text, size);
    else
        describe_named(fd, "descriptor", text, size);
    return disarm(text);
}

/* ------------------------------------------------------------------ why a call failed */

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
