/* SPDX-License-Identifier: MIT
 *
 * An echo server on one queue: `echo [port]`. The same program as echo.py and echo.lua.
 *
 * One thread sleeps until some client can be read or written, serves that client as far as possible
 * without blocking, and sleeps again. Ctrl-C ends it.
 */
#include "readyq.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536      /* how many bytes a client may send ahead of what it reads back */
#define PAUSE 100000000 /* ns after which accept is tried again if no descriptor was free */

struct client {
    readyq_watch watch;
    bool ended; /* the client has sent its last byte */
    size_t nunsent;
    char unsent[ROOM];
};

static readyq *queue;
static readyq_watch listener, interrupt;
static readyq_watch pause_timer; /* runs while no descriptor is free */

static void drop(struct client *client)
{
    readyq_remove(&client->watch);
    close(client->watch.fd);
    free(client);
}

static void accept_clients(void)
{
    int fd;
    while ((fd = accept(listener.fd, NULL, NULL)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
            readyq_add(queue, &client->watch, fd, READYQ_READ) < 0) {
            close(fd);
            free(client);
            continue;
        }
        client->watch.data = client;
    }
    if (errno == EMFILE || errno == ENFILE) {
        readyq_modify(&listener, 0);
        readyq_add_timer(queue, &pause_timer, PAUSE, 0);
    }
}

/* Reads everything that has arrived. False when the connection is broken. */
static bool read_from(struct client *client)
{
    ssize_t n = recv(client->watch.fd, client->unsent + client->nunsent, ROOM - client->nunsent, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->ended = n == 0;
    client->nunsent += (size_t)n;
    return true;
}

/* Writes as much as possible and keeps the rest. False when the connection is broken. */
static bool write_to(struct client *client)
{
    ssize_t n = send(client->watch.fd, client->unsent, client->nunsent, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->nunsent -= (size_t)n;
    memmove(client->unsent, client->unsent + n, client->nunsent);
    return true;
}

static void serve(struct client *client)
{
    bool alive = true;
    if (client->watch.ready & READYQ_READ)
        alive = read_from(client);
    if (alive && client->nunsent > 0)
        alive = write_to(client);
    if (!alive || (client->ended && client->nunsent == 0)) {
        drop(client);
        return;
    }
    uint32_t interest = 0;
    if (!client->ended && client->nunsent < ROOM / 2)
        interest |= READYQ_READ;
    if (client->nunsent > 0)
        interest |= READYQ_WRITE;
    if (interest != client->watch.interest)
        readyq_modify(&client->watch, interest);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, SOMAXCONN) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        perror("echo");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void check(const char *call, int fd, int result)
{
    char why[400];
    if (result >= 0)
        return;
    fprintf(stderr, "echo: %s\n", readyq_explain(call, fd, result, why, sizeof why));
    exit(1);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a client that left causes an error in send(), not a signal that
                                 ends the server */
    int fd = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    check("open", -1, readyq_open(&queue, NULL));
    check("add", fd, readyq_add(queue, &listener, fd, READYQ_READ));
    check("add_signal", -1, readyq_add_signal(queue, &interrupt, SIGINT));
    readyq_batch batch = {0};
    bool running = true;
    while (running) {
        readyq_watch *w;
        check("wait", -1, readyq_wait(queue, &batch, -1, 0));
        while ((w = readyq_next(&batch)) != NULL) {
            if (w == &interrupt)
                running = false;
            else if (w == &listener)
                accept_clients();
            else if (w == &pause_timer)
                readyq_modify(&listener, READYQ_READ);
            else
                serve(w->data);
        }
    }
    readyq_done(&batch);
    return readyq_close(queue);
}
