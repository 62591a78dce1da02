/* SPDX-License-Identifier: MIT
 *
 * Texts that describe a descriptor, bits, or a watch. They are meant for people, are the same in
 * all three languages, and are never made while an event is handled. The reasons for failures are
 * in explain.c.
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

/* ------------------------------------------------------------------ descriptors */

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

/* With the name under which the file was opened, if the system has /proc. */
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

/* A name may come from anyone, for example a peer. Control characters, in ASCII or UTF-8, could
 * control the terminal that shows it: they are replaced by question marks. */
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

/* ------------------------------------------------------------------ bits and watches */

static const struct {
    uint32_t bit;
    const char *name;
} bit_names[] = {
    {READYQ_READ, "READ"},
    {READYQ_WRITE, "WRITE"},
    {READYQ_PRIORITY, "PRIORITY"},
    {READYQ_READ_CLOSED, "READ_CLOSED"},
    {READYQ_WRITE_CLOSED, "WRITE_CLOSED"},
    {READYQ_ERROR, "ERROR"},
    {READYQ_FIRED, "FIRED"},
    {READYQ_EDGE, "EDGE"},
    {READYQ_ONESHOT, "ONESHOT"},
    {READYQ_EXCLUSIVE, "EXCLUSIVE"},
};

enum { BITS = sizeof bit_names / sizeof *bit_names };

const char *readyq_bit_name(unsigned index, uint32_t *bit)
{
    if (index >= BITS)
        return NULL;
    *bit = bit_names[index].bit;
    return bit_names[index].name;
}

/* Appends to text[size] at `used`, and returns how much is used afterwards; what does not fit is
 * cut off. */
static size_t append(char *text, size_t size, size_t used, const char *separator, const char *word)
{
    const int more = used < size ? snprintf(text + used, size - used, "%s%s", separator, word) : 0;

    return used + (more > 0 ? (size_t)more : 0);
}

char *readyq_describe_bits(uint32_t bits, char *text, size_t size)
{
    char number[16];
    size_t used = 0;

    for (size_t i = 0; i < BITS; i++) {
        if (bits & bit_names[i].bit)
            used = append(text, size, used, used > 0 ? "|" : "", bit_names[i].name);
        bits &= ~bit_names[i].bit;
    }
    if (bits != 0 || used == 0) {
        snprintf(number, sizeof number, bits != 0 ? "%#x" : "%x", (unsigned)bits);
        append(text, size, used, used > 0 ? "|" : "", number);
    }
    return text;
}

const char *readyq_kind_name(int kind)
{
    static const char *const names[] = {"none", "fd", "timer", "signal", "process", "trigger"};

    return kind > 0 && kind <= READYQ_KIND_TRIGGER ? names[kind] : names[0];
}

/* A number that its watch no longer holds may belong to another file. */
static void describe_source(const readyq_watch *w, char *text, size_t size)
{
    char what[256];

    if (w->kind == READYQ_KIND_FD && readyq__get(w, queue) != NULL)
        snprintf(text, size, "fd %d (%s)", w->fd, readyq_describe(w->fd, what, sizeof what));
    else if (w->kind == READYQ_KIND_FD)
        snprintf(text, size, "fd %d", w->fd);
    else if (w->kind == READYQ_KIND_SIGNAL)
        snprintf(text, size, "signal %d", w->signal);
    else if (w->kind == READYQ_KIND_PROCESS)
        snprintf(text, size, "process %ld", (long)w->pid);
    else
        snprintf(text, size, "%s", readyq_kind_name(w->kind));
}

char *readyq_describe_watch(const readyq_watch *w, uint32_t ready, char *text, size_t size)
{
    const uint32_t wanted = readyq__get(w, interest);
    const uint64_t times = readyq__get(w, count);
    const char *state = wanted == 0 ? " (paused)" : readyq__get(w, armed) ? "" : " (disarmed)";
    char source[288], bits[128], interest[160] = "", event[160] = "", count[40] = "";

    describe_source(w, source, sizeof source);
    if (readyq__get(w, queue) == NULL)
        snprintf(interest, sizeof interest, ", inactive");
    else if (w->kind == READYQ_KIND_FD)
        snprintf(interest, sizeof interest, " interest %s%s",
                 readyq_describe_bits(wanted, bits, sizeof bits), state);
    if (ready != 0)
        snprintf(event, sizeof event, ", ready %s", readyq_describe_bits(ready, bits, sizeof bits));
    if (ready != 0 && ready == readyq__get(w, ready) && times > 1)
        snprintf(count, sizeof count, ", count %llu", (unsigned long long)times);
    if (size > 0)
        snprintf(text, size, "%s%s%s%s", source, interest, event, count);
    return text;
}
