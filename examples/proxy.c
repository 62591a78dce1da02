/* SPDX-License-Identifier: MIT
 *
 * Forwards TCP connections on this machine: `proxy PORT TARGET_PORT`. It has no buffers: what one
 * socket cannot take yet stays in the receive buffer of the other one, so that TCP slows the sender
 * down. Ctrl-C ends it. */
#include <readyq.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 65536, PAUSE = 100000000 /* ns, while no descriptor is free */ };

/* One of the two sockets of a connection. */
struct end {
    readyq_watch watch; /* the first member: a watch is converted to its end */
    struct end *other;
    bool waiting; /* it has sent what the other one cannot take yet */
    bool ended;   /* it has sent its last byte */
};

static readyq *q;
static readyq_watch accepting, pause_timer, interrupt;

static struct sockaddr_in local(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Sends on what has arrived from an end, as far as possible. False: the connection is broken. */
static bool forward(struct end *from)
{
    char data[ROOM];
    const ssize_t n = recv(from->watch.fd, data, sizeof data, MSG_PEEK);
    ssize_t sent = 0;

    from->waiting = false;
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0) {
        from->ended = true;
        return shutdown(from->other->watch.fd, SHUT_WR) == 0;
    }
    sent = send(from->other->watch.fd, data, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    from->waiting = sent < n;
    return sent <= 0 || recv(from->watch.fd, data, (size_t)sent, 0) == sent; /* out of the kernel */
}

/* An end is read unless it must wait, and then the other one is asked for room. */
static void update(struct end *end)
{
    const uint32_t interest =
        (end->ended || end->waiting ? 0 : READYQ_READ) | (end->other->waiting ? READYQ_WRITE : 0);

    if (interest != end->watch.interest)
        readyq_modify(&end->watch, interest);
}

static void finish(struct end *both)
{
    for (int i = 0; i < 2; i++) { /* nothing more is delivered for a removed watch */
        readyq_remove(&both[i].watch);
        close(both[i].watch.fd);
    }
    free(both);
}

static void serve(struct end *end)
{
    struct end *other = end->other;
    const uint32_t ready = end->watch.ready;

    if ((!(ready & READYQ_READ) || forward(end)) && (!(ready & READYQ_WRITE) || forward(other)) &&
        !(end->ended && other->ended)) {
        update(end);
        update(other);
    } else {
        finish(end < other ? end : other);
    }
}

/* A socket that connects is ready for writing when it has succeeded or failed. */
static void accept_client(const struct sockaddr_in *target)
{
    const int near = accept(accepting.fd, NULL, NULL), far = socket(AF_INET, SOCK_STREAM, 0);
    struct end *both = calloc(2, sizeof *both);

    fcntl(near, F_SETFL, O_NONBLOCK);
    fcntl(far, F_SETFL, O_NONBLOCK);
    if (!both || readyq_add(q, &both[0].watch, near, 0) < 0 ||
        readyq_add(q, &both[1].watch, far, READYQ_READ | READYQ_WRITE) < 0) {
        readyq_modify(&accepting, 0); /* no descriptor, no memory: try again soon */
        readyq_add_timer(q, &pause_timer, PAUSE, 0);
        if (both)
            readyq_remove(&both[0].watch);
        free(both);
        close(near);
        close(far);
        return;
    }
    both[0].other = &both[1];
    both[1].other = &both[0];
    both[0].waiting = true;
    if (connect(far, (const struct sockaddr *)target, sizeof *target) < 0 && errno != EINPROGRESS)
        finish(both);
}

int main(int count, char **words)
{
    struct sockaddr_in here = local(count > 2 ? words[1] : "0"), target = local(words[count - 1]);
    socklen_t size = sizeof here;
    const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    readyq_watch *w;
    readyq_batch batch = {0};

    fcntl(listener, F_SETFL, O_NONBLOCK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (count < 3 || bind(listener, (struct sockaddr *)&here, size) < 0 ||
        listen(listener, 128) < 0 || readyq_open(&q, NULL) < 0)
        return fputs("usage: proxy PORT TARGET_PORT\n", stderr), 1;
    readyq_add(q, &accepting, listener, READYQ_READ);
    readyq_add_signal(q, &interrupt, SIGINT);
    getsockname(listener, (struct sockaddr *)&here, &size);
    printf("listening on %d\n", ntohs(here.sin_port));
    fflush(stdout);
    while (!interrupt.ready && readyq_wait(q, &batch, -1, 0) >= 0)
        while ((w = readyq_next(&batch)) != NULL)
            if (w == &accepting)
                accept_client(&target);
            else if (w == &pause_timer)
                readyq_modify(&accepting, READYQ_READ);
            else if (w != &interrupt)
                serve((struct end *)w);
    readyq_done(&batch);
    return readyq_close(q);
}
