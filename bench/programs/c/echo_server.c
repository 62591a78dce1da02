/* SPDX-License-Identifier: MIT
 *
 * Echo servers of echo.py in C: `echo_server bare|readyq`. The first is the simplest possible server
 * on epoll, with which all the others are compared; the second is the same program on a queue. Both
 * print their port, and serve until they are killed.
 */
#include "readyq.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 128, ROOM = 16384, BACKLOG = 1024 };

static char buffer[ROOM];

static void need(bool good, const char *call)
{
    if (good)
        return;
    perror(call);
    exit(1);
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(listener >= 0, "socket");
    need(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    need(listen(listener, BACKLOG) == 0, "listen");
    need(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static int accept_client(int listener)
{
    const int one = 1, fd = accept(listener, NULL, NULL);

    need(fd >= 0, "accept");
    need(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "setsockopt");
    return fd;
}

/* False at the end of the connection. A client has one message under way, so it always fits. */
static bool answer(int fd)
{
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);

    return n > 0 && send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n;
}

/* ------------------------------------------------------------------ bare */

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static _Noreturn void serve_bare(int listener)
{
    struct epoll_event events[BATCH];
    const int epoll = epoll_create1(0);

    watch(epoll, listener);
    for (;;) {
        const int n = epoll_wait(epoll, events, BATCH, -1);

        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                watch(epoll, accept_client(listener));
            else if (!answer(events[i].data.fd))
                close(events[i].data.fd);
    }
}

/* ------------------------------------------------------------------ readyq */

static void add_client(readyq *q, int fd)
{
    readyq_watch *client = calloc(1, sizeof *client);

    need(client != NULL && readyq_add(q, client, fd, READYQ_READ) >= 0, "readyq_add");
}

static void serve_client(readyq_watch *client)
{
    if (answer(client->fd))
        return;
    readyq_remove(client);
    close(client->fd);
    free(client);
}

static _Noreturn void serve_readyq(int listener)
{
    readyq *q;
    readyq_watch accepting = {0}, *w;
    readyq_batch batch = {0};

    need(readyq_open(&q, NULL) >= 0, "readyq_open");
    need(readyq_add(q, &accepting, listener, READYQ_READ) >= 0, "readyq_add");
    for (;;) {
        readyq_wait(q, &batch, -1, 0);
        while ((w = readyq_next(&batch)) != NULL)
            if (w == &accepting)
                add_client(q, accept_client(listener));
            else
                serve_client(w);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "bare") == 0)
        serve_bare(listen_anywhere());
    if (argc == 2 && strcmp(argv[1], "readyq") == 0)
        serve_readyq(listen_anywhere());
    fprintf(stderr, "usage: echo_server bare|readyq\n");
    return 2;
}
