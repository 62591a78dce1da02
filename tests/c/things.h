/* SPDX-License-Identifier: MIT
 *
 * The real things that tests watch (pipes, sockets, terminals, files), and a few helpers that most
 * tests share. Descriptors opened here do not block. Pairs are {read from, write to} where the two
 * ends differ.
 */
#ifndef THINGS_H
#define THINGS_H

#include "check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>

#define MS 1000000LL
#define SECOND 1000000000LL
#define SOON (20 * MS)     /* long enough to conclude that nothing arrives */
#define LONG (30 * SECOND) /* long enough for anything that must happen */

/* ------------------------------------------------------------------ time and threads */

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static inline void sleep_ns(int64_t ns)
{
    struct timespec left = {ns / SECOND, ns % SECOND};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static inline pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    CHECK_IS(pthread_create(&thread, NULL, run, argument), 0);
    return thread;
}

static inline void join(pthread_t thread)
{
    CHECK_IS(pthread_join(thread, NULL), 0);
}

/* Waits for a child that ends by _exit(0), or by fail(). */
static inline void expect_success(pid_t pid)
{
    int status = 0;
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(status, 0);
}

/* ------------------------------------------------------------------ descriptors */

static inline int unblocked(int fd)
{
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) >= 0);
    return fd;
}

static inline void open_pipe(int p[2])
{
    CHECK_IS(pipe(p), 0);
    unblocked(p[0]);
    unblocked(p[1]);
}

static inline void open_unix(int p[2])
{
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
    unblocked(p[0]);
    unblocked(p[1]);
}

static inline int open_listener(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_IS(bind(fd, (struct sockaddr *)address, size), 0);
    CHECK_IS(listen(fd, 64), 0);
    CHECK_IS(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return unblocked(fd);
}

static inline int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_IS(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return unblocked(fd);
}

static inline void open_tcp(int p[2])
{
    struct sockaddr_in address;
    int listener = open_listener(&address);
    p[0] = connect_to(&address);
    p[1] = unblocked(accept(listener, NULL, NULL));
    close(listener);
}

/* A terminal in raw mode: {master, slave}. */
static inline void open_terminal(int p[2])
{
    struct termios mode;
    p[0] = unblocked(posix_openpt(O_RDWR | O_NOCTTY));
    CHECK_IS(grantpt(p[0]), 0);
    CHECK_IS(unlockpt(p[0]), 0);
    p[1] = unblocked(open(ptsname(p[0]), O_RDWR | O_NOCTTY));
    CHECK_IS(tcgetattr(p[1], &mode), 0);
    cfmakeraw(&mode);
    CHECK_IS(tcsetattr(p[1], TCSANOW, &mode), 0);
}

/* The two ends of a FIFO, whose name is removed at once. */
static inline void open_fifo(int p[2])
{
    char folder[] = "/tmp/readyq-XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/fifo", folder);
    CHECK_IS(mkfifo(path, 0600), 0);
    p[0] = unblocked(open(path, O_RDONLY | O_NONBLOCK));
    p[1] = unblocked(open(path, O_WRONLY | O_NONBLOCK));
    unlink(path);
    rmdir(folder);
}

/* A regular file without a name, with a line in it. */
static inline int open_file(void)
{
    char path[] = "/tmp/readyq-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    CHECK_IS(write(fd, "line\n", 5), 5);
    CHECK_IS(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static inline void close_pair(const int p[2])
{
    CHECK_IS(close(p[0]), 0);
    CHECK_IS(close(p[1]), 0);
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

/* Writes until no more fits, also after what is on its way has arrived. */
static inline void fill(int fd)
{
    static const char bytes[65536];
    for (bool full = false; !full; sleep_ns(MS)) {
        full = true;
        for (size_t size = sizeof bytes; size > 0; size /= 2)
            while (write(fd, bytes, size) > 0)
                full = false;
        CHECK_IS(errno, EAGAIN);
    }
}

/* Reads all there is. */
static inline void drain(int fd)
{
    char bytes[65536];
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
}

/* Closes a TCP socket so that its peer gets a reset. */
static inline void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    CHECK_IS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    CHECK_IS(close(fd), 0);
}

/* Reads and clears the pending error of a socket. */
static inline int collect_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    CHECK_IS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error;
}

/* ------------------------------------------------------------------ queues */

static inline readyq *open_queue_with(struct readyq_options options)
{
    readyq *q = NULL;
    CHECK_IS(readyq_open(&q, &options), 0);
    CHECK(q != NULL);
    return q;
}

static inline readyq *open_queue(void)
{
    return open_queue_with((struct readyq_options){0});
}

static inline void add(readyq *q, readyq_watch *w, int fd, uint32_t interest)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add(q, w, fd, interest), 0);
}

/* Whether this kernel has PRIORITY; bits.c tests that it does. */
static inline bool has_priority(readyq *q)
{
    int p[2];
    readyq_watch w = {0};
    open_unix(p);
    const int error = readyq_add(q, &w, p[0], READYQ_PRIORITY);
    CHECK(error == 0 || error == -ENOTSUP);
    readyq_remove(&w);
    close_pair(p);
    return error == 0;
}

/* The one watch that a wait finds, or NULL if it finds none. Its batch is closed at once, so that
 * nothing is held. */
static inline readyq_watch *take_within(readyq *q, int64_t timeout)
{
    readyq_batch batch = {0};
    int n = readyq_wait(q, &batch, timeout, 0);
    CHECK(n == 0 || n == 1);
    readyq_watch *w = readyq_next(&batch);
    CHECK_IS(w != NULL, n);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_IS(readyq_done(&batch), 0);
    return w;
}

static inline readyq_watch *take(readyq *q)
{
    return take_within(q, LONG);
}

/* How many watches a wait finds, or its error. Takes none of them. */
static inline int count_ready(readyq *q, int64_t timeout)
{
    readyq_batch batch = {0};
    int n = readyq_wait(q, &batch, timeout, 0);
    CHECK_IS(readyq_done(&batch), 0);
    return n;
}

/* The same, and takes all of them. */
static inline int take_all_within(readyq *q, int64_t timeout)
{
    readyq_batch batch = {0};
    int n = readyq_wait(q, &batch, timeout, 0), taken = 0;
    while (readyq_next(&batch) != NULL)
        taken++;
    CHECK_IS(taken, n > 0 ? n : 0);
    CHECK_IS(readyq_done(&batch), 0);
    return n;
}

static inline struct readyq_stats stats_of(readyq *q)
{
    struct readyq_stats stats;
    CHECK_IS(readyq_stats(q, &stats), 0);
    return stats;
}

/* Whether the kernel queue keeps a registration whose number was closed, so that it must be
 * replaced to remove the ghost. With kqueue there are no ghosts. */
static inline bool has_ghosts(readyq *q)
{
    return strcmp(readyq_backend(q), "epoll") == 0;
}

#define CHECK_TAKES(q, w) CHECK(take(q) == (w))
#define CHECK_QUIET(q) CHECK(take_within(q, SOON) == NULL)

#endif
