/* SPDX-License-Identifier: MIT
 *
 * Echo over TCP for run.py, on bare epoll. `echo serve` is the simplest possible server, with which
 * the others are compared. `echo load PORT CONNECTIONS COUNT SIZE` is the client for all of them:
 * for each line on standard input it sends COUNT messages, each a line, on each connection, one at
 * a time, and prints how many nanoseconds that took.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 128, ROOM = 16384, MOST = 1024 };

static char buffer[ROOM], message[ROOM];

static void need(int result, const char *call)
{
    if (result >= 0)
        return;
    perror(call);
    exit(1);
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int open_socket(void)
{
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    need(fd, "socket");
    need(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "setsockopt");
    return fd;
}

static void serve_client(int fd)
{
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);

    if (n > 0)
        need((int)send(fd, buffer, (size_t)n, 0), "send");
    else
        close(fd);
}

static _Noreturn void serve(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct epoll_event events[BATCH];
    socklen_t size = sizeof address;
    int listener = open_socket(), epoll = epoll_create1(0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(bind(listener, (struct sockaddr *)&address, size), "bind");
    need(listen(listener, MOST), "listen");
    need(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    watch(epoll, listener);
    for (;;) {
        int n = epoll_wait(epoll, events, BATCH, -1);

        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                watch(epoll, accept(listener, NULL, NULL));
            else
                serve_client(events[i].data.fd);
    }
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* One round: each complete answer is followed by the next message, until COUNT were answered. */
static void load(int epoll, const int *fds, int connections, long count, size_t size)
{
    static size_t got[65536];
    static long sent[65536];
    struct epoll_event events[BATCH];
    long left = count * connections;

    for (int i = 0; i < connections; i++) {
        sent[fds[i]] = 1;
        need((int)send(fds[i], message, size, 0), "send");
    }
    while (left > 0) {
        int n = epoll_wait(epoll, events, BATCH, -1);

        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;
            const ssize_t more = recv(fd, buffer, sizeof buffer, 0);

            need(more > 0 ? 0 : -1, "recv");
            got[fd] += (size_t)more;
            if (got[fd] < size)
                continue;
            got[fd] = 0;
            left--;
            if (sent[fd]++ < count)
                need((int)send(fd, message, size, 0), "send");
        }
    }
}

static int run_load(int port, int connections, long count, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int epoll = epoll_create1(0), fds[MOST];
    char line[16];

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(message, 'x', size);
    message[size - 1] = '\n';
    for (int i = 0; i < connections; i++) {
        fds[i] = open_socket();
        need(connect(fds[i], (struct sockaddr *)&address, sizeof address), "connect");
        watch(epoll, fds[i]);
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        const int64_t before = now();

        load(epoll, fds, connections, count, size);
        printf("%lld\n", (long long)(now() - before));
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        serve();
    if (argc == 6 && strcmp(argv[1], "load") == 0 && atoi(argv[3]) <= MOST && atol(argv[5]) > 0 &&
        atol(argv[5]) <= ROOM)
        return run_load(atoi(argv[2]), atoi(argv[3]), atol(argv[4]), (size_t)atol(argv[5]));
    fprintf(stderr, "usage: echo serve | echo load PORT CONNECTIONS COUNT SIZE\n");
    return 2;
}
