/* SPDX-License-Identifier: MIT
 *
 * Words: what a descriptor is, and why a call on it failed and what to do. Only ever called when
 * somebody wants to read it; never on the way of an event.
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
    return 0; /* it has no name */
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

/* The name the file was opened by, where the system tells. */
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

/* A name is whoever's who gave it, a peer's too: what would command the terminal that shows it, in
 * ASCII or in UTF-8, becomes question marks. */
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

/* Where `call` is not NULL the reason is for calls that begin with it. */
static const struct {
    const char *call;
    int error;
    const char *why, *advice;
} reasons[] = {
    {"add_signal", EINVAL, "it is no signal that a process can go on after catching",
     "any but SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE and SIGILL can be watched"},
    {"add_process", EINVAL, "it is no process id", "a process id is greater than 0"},
    {"add_timer", EINVAL, "delay or period is negative", "both are 0 or more"},
    {"add", EINVAL, "the interest means nothing, or it is the queue's own descriptor",
     "an interest is READ, WRITE or PRIORITY, or their sum, with EDGE, ONESHOT or EXCLUSIVE, or 0"},
    {"modify", EINVAL, "the interest means nothing, or the watch is not of a descriptor",
     "an interest is READ, WRITE or PRIORITY, or their sum, with EDGE, ONESHOT or EXCLUSIVE, or 0"},
    {"fire", EINVAL, "it is not a trigger", "only what add_trigger made can be fired"},
    {"wait", EINVAL, "timeout or maximum is negative", "-1 waits for ever, 0 is no maximum"},
    {NULL, EBADF, "it is not open", "remove a watch before its descriptor is closed"},
    {NULL, EEXIST, "it is watched by this queue already", "modify its watch, or remove it first"},
    {NULL, EBUSY, "the watch is in a queue already", "remove it there first, or use another watch"},
    {NULL, ENOENT, "the watch is not in a queue", "add it first"},
    {NULL, ESHUTDOWN, "the queue is closed", "open a new one"},
    {NULL, EINVAL, "an argument means nothing here", "see the call's description"},
    {NULL, ELOOP, "queues would watch each other, or more than five deep", "break the circle"},
    {NULL, EMFILE, "this process has no descriptor left",
     "close some, or raise RLIMIT_NOFILE (ulimit -n)"},
    {NULL, ENFILE, "the system has no descriptor left", "close some, or raise fs.file-max"},
    {NULL, ENOMEM, "there is no memory left", "remove watches, or free memory"},
    {NULL, ENOSPC, "the user's limit of watches is reached",
     "remove watches, or raise fs.epoll.max_user_watches"},
    {NULL, ENOSYS, "this kernel does not have it", "a newer kernel is needed"},
    {NULL, ENOTSUP, "this kernel does not tell of it", "ask for READ or WRITE alone"},
    {NULL, EPERM, "it is not permitted here", "see what sandbox or policy forbids it"},
    {NULL, ESRCH, "there is no such process", "it has ended and been reaped, or the id is wrong"},
    {NULL, ECHILD, "it is not a child of this process",
     "without pidfd only children can be watched"},
};
enum { REASONS = sizeof reasons / sizeof *reasons };

static bool begins_with(const char *text, const char *start)
{
    return start == NULL || strncmp(text, start, strlen(start)) == 0;
}

char *readyq_explain(const char *call, int fd, int error, char *text, size_t size)
{
    const int number = error < 0 ? -error : error;
    const char *why = strerror(number), *advice = "see errno(3)";
    char what[160], of[192] = "";

    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].error == number && begins_with(call, reasons[i].call)) {
            why = reasons[i].why;
            advice = reasons[i].advice;
            break;
        }
    if (fd >= 0)
        snprintf(of, sizeof of, " of descriptor %d (%s)", fd,
                 readyq_describe(fd, what, sizeof what));
    if (size > 0)
        snprintf(text, size, "%s%s failed: %s; %s", call, of, why, advice);
    return text;
}
