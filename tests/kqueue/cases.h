/* SPDX-License-Identifier: MIT
 *
 * The harness of the programs that check a kqueue: plain kevent(2), nothing of readyq. They run on
 * the kqueue for tests, as each kernel, and unchanged on a BSD or macOS:
 *
 *     cc -o test_pipes test_pipes.c && ./test_pipes
 *
 * Each case says what each kernel does, by per_kernel(); the kernel is $KQUEUE_AS, or the one that
 * the program was compiled for. A case that fails prints its line and both values.
 */
#ifndef KQUEUE_CASES_H
#define KQUEUE_CASES_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FREEBSD, NETBSD, NETBSD7, NETBSD2023, OPENBSD, MACOS, DRAGONFLY, KERNELS };

static const char *const names[KERNELS] = {"freebsd", "netbsd", "netbsd7",  "netbsd2023",
                                           "openbsd", "macos",  "dragonfly"};

static inline int this_kernel(void)
{
    const char *name = getenv("KQUEUE_AS");

    for (int i = 0; name != NULL && i < KERNELS; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
#if defined(__FreeBSD__)
    return FREEBSD;
#elif defined(__NetBSD__)
    return NETBSD;
#elif defined(__OpenBSD__)
    return OPENBSD;
#elif defined(__APPLE__)
    return MACOS;
#elif defined(__DragonFly__)
    return DRAGONFLY;
#else
    fprintf(stderr, "set KQUEUE_AS\n");
    exit(2);
#endif
}

static inline int per_kernel(int freebsd, int netbsd, int netbsd7, int netbsd2023, int openbsd,
                             int macos, int dragonfly)
{
    const int values[KERNELS] = {freebsd, netbsd, netbsd7, netbsd2023, openbsd, macos, dragonfly};

    return values[this_kernel()];
}

/* ------------------------------------------------------------------ checks */

static int failures;

#define CHECK_IS(actual, expected) check_is(__LINE__, #actual, (actual), (expected))

static inline void check_is(int line, const char *what, long long actual, long long expected)
{
    if (actual == expected)
        return;
    printf("# line %d: %s is %lld, not %lld\n", line, what, actual, expected);
    failures++;
}

struct test_case {
    const char *name;
    void (*run)(void);
};

#define CASE(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }

/* All cases run in one process, in turn; with arguments, those that are named. */
#define CASES(...)                                                                                 \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct test_case cases[] = {__VA_ARGS__};                                     \
        return run_cases(cases, (int)(sizeof cases / sizeof *cases), argc, argv);                  \
    }

static inline bool is_named(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 1;
}

static inline int run_cases(const struct test_case *cases, int n, int argc, char **argv)
{
    int number = 0, failed = 0;

    alarm(60);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < n; i++) {
        if (!is_named(cases[i].name, argc, argv))
            continue;
        failures = 0;
        cases[i].run();
        printf("%s %d - %s\n", failures == 0 ? "ok" : "not ok", ++number, cases[i].name);
        failed += failures > 0;
    }
    printf("1..%d\n", number);
    return failed > 0 || number == 0;
}

/* ------------------------------------------------------------------ calls */

typedef __typeof__(((struct kevent *)NULL)->udata) udata_type; /* intptr_t on NetBSD before 10 */
typedef __typeof__(((struct kevent *)NULL)->filter) filter_type;
typedef __typeof__(((struct kevent *)NULL)->flags) flags_type;
typedef __typeof__(((struct kevent *)NULL)->fflags) fflags_type;

#if defined(__NetBSD__)
typedef size_t count_type; /* of a list */
#else
typedef int count_type;
#endif

#define UDATA(number) ((udata_type)(intptr_t)(number))
#define SOON 20 /* milliseconds: what must happen by itself has happened */

static inline struct kevent make_change(int ident, int filter, unsigned flags, unsigned fflags,
                                        int number)
{
    struct kevent change;

    memset(&change, 0, sizeof change);
    change.ident = (uintptr_t)ident;
    change.filter = (filter_type)filter;
    change.flags = (flags_type)flags;
    change.fflags = (fflags_type)fflags;
    change.udata = UDATA(number);
    return change;
}

/* 0 or the errno that the change got. */
static inline int change_it(int kq, int ident, int filter, unsigned flags, unsigned fflags,
                            int number)
{
    struct kevent change = make_change(ident, filter, flags, fflags, number);

    return kevent(kq, &change, 1, NULL, 0, NULL) < 0 ? errno : 0;
}

static inline int change(int kq, int ident, int filter, unsigned flags)
{
    return change_it(kq, ident, filter, flags, 0, ident);
}

static inline int take_some(int kq, struct kevent *events, int room, int milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

    return kevent(kq, NULL, 0, events, (count_type)room, &time);
}

/* The number of events; the first is in *event. */
static inline int take(int kq, struct kevent *event)
{
    struct kevent events[8];
    const int n = take_some(kq, events, 8, SOON);

    memset(event, 0, sizeof *event);
    if (n > 0)
        *event = events[0];
    return n;
}

static inline int count_events(int kq)
{
    struct kevent event;

    return take(kq, &event);
}

static inline bool polls_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return poll(&one, 1, SOON) == 1;
}

static inline void nap(void)
{
    poll(NULL, 0, SOON);
}

static inline void put(int fd)
{
    CHECK_IS(write(fd, "x", 1), 1);
}

static inline void get(int fd)
{
    char byte;

    CHECK_IS(read(fd, &byte, 1), 1);
}

static inline void fill(int fd)
{
    char bytes[4096] = {0};

    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, bytes, sizeof bytes) > 0 || write(fd, bytes, 1) > 0)
        ;
}

static inline void open_pair(int ends[2])
{
    CHECK_IS(pipe(ends), 0);
}

static inline void open_sockets(int ends[2])
{
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

static inline void close_pair(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

#endif
