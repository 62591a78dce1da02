/* SPDX-License-Identifier: MIT
 *
 * Forwards TCP connections on this machine: `proxy PORT TARGET_PORT`. While the buffer of a
 * direction is full nothing is read from its sender, so that TCP slows the sender down. Ctrl-C ends
 * it. */
#include <readyq.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 65536, PAUSE = 100000000 /* ns, while no descriptor is free */ };

/* One of the two sockets of a connection, and what waits to be sent to it. */
struct end {
    readyq_watch watch; /* the first member: a watch is converted to its end */
    struct end *other;
    size_t size;
    bool ended; /* it has sent its last byte */
    bool shut;  /* it was told that the other one has ended */
    char data[ROOM];
};

static readyq *q;
static readyq_watch accepting, pause_timer, interrupt;

static struct sockaddr_in local(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct end *add_end(int fd)
{
    struct end *end = calloc(1, sizeof *end);

    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (end && readyq_add(q, &end->watch, fd, 0) < 0) {
        free(end);
        end = NULL;
    }
    return end;
}

/* Asks for what an end can do: read if there is room, write if something waits. */
static void update(struct end *end)
{
    uint32_t interest = 0;

    if (!end->ended && end->other->size < ROOM)
        interest |= READYQ_READ;
    if (end->size > 0 || (end->other->ended && !end->shut))
        interest |= READYQ_WRITE;
    if (interest != end->watch.interest)
        readyq_modify(&end->watch, interest);
}

/* Each moves what can be moved without blocking. False: the connection is broken. */
static bool receive(struct end *end)
{
    struct end *to = end->other;
    const ssize_t n = read(end->watch.fd, to->data + to->size, ROOM - to->size);

    if (n < 0)
        return errno == EAGAIN;
    end->ended = n == 0;
    to->size += (size_t)n;
    return true;
}

static bool send_rest(struct end *end)
{
    const ssize_t n = send(end->watch.fd, end->data, end->size, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN;
    end->size -= (size_t)n;
    memmove(end->data, end->data + n, end->size);
    if (end->size == 0 && end->other->ended && !end->shut) {
        shutdown(end->watch.fd, SHUT_WR);
        end->shut = true;
    }
    return true;
}

static void serve(struct end *end)
{
    struct end *other = end->other;
    const uint32_t ready = end->watch.ready;
    bool ok = !(ready & READYQ_READ) || receive(end);

    ok = ok && (!(ready & READYQ_WRITE) || send_rest(end));
    if (ok && !(end->shut && other->shut)) {
        update(end);
        update(other);
        return;
    }
    readyq_remove(&end->watch);
    readyq_remove(&other->watch);
    close(end->watch.fd);
    close(other->watch.fd);
    free(other); /* nothing is delivered for a removed watch, not even later in this batch */
    free(end);
}

static void accept_client(const char *port)
{
    const struct sockaddr_in address = local(port);
    const int near = accept(accepting.fd, NULL, NULL), far = socket(AF_INET, SOCK_STREAM, 0);
    struct end *client = near < 0 ? NULL : add_end(near), *target = far < 0 ? NULL : add_end(far);

    if (!client || !target) { /* no descriptor, no memory: try again soon */
        readyq_modify(&accepting, 0);
        readyq_add_timer(q, &pause_timer, PAUSE, 0);
        if (client)
            readyq_remove(&client->watch);
        if (target)
            readyq_remove(&target->watch);
        free(client);
        free(target);
        close(near);
        close(far);
        return;
    }
    client->other = target;
    target->other = client;
    /* An error of connect is reported when the socket is written to. */
    if (connect(far, (const struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        target->ended = true;
    update(client);
    update(target);
}

int main(int count, char **words)
{
    struct sockaddr_in address = local(count > 1 ? words[1] : "0");
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    readyq_watch *w;
    readyq_batch batch = {0};

    fcntl(listener, F_SETFL, O_NONBLOCK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (count < 3 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 128) < 0 || readyq_open(&q, NULL) < 0)
        return fputs("usage: proxy PORT TARGET_PORT\n", stderr), 1;
    readyq_add(q, &accepting, listener, READYQ_READ);
    readyq_add_signal(q, &interrupt, SIGINT);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!interrupt.ready && readyq_wait(q, &batch, -1, 0) >= 0)
        while ((w = readyq_next(&batch)) != NULL)
            if (w == &accepting)
                accept_client(words[2]);
            else if (w == &pause_timer)
                readyq_modify(&accepting, READYQ_READ);
            else if (w != &interrupt)
                serve((struct end *)w);
    readyq_done(&batch);
    return readyq_close(q);
}
