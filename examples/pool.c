/* SPDX-License-Identifier: MIT
 *
 * A pool of threads on one queue: `pool [PORT] [THREADS]`. Each line from a client is answered with
 * the sum of its digits. The watches are level-triggered: while a thread has one in its batch no
 * other thread gets it, so a client needs no lock. Ctrl-C ends it. */
#include <readyq.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_THREADS = 64, PAUSE = 100000000 /* ns, while no descriptor is free */ };

struct client {
    readyq_watch watch; /* the first member: a watch is converted to its client */
    unsigned sum;       /* of the digits of a line that has not ended */
};

static readyq *q;
static readyq_watch accepting, pause_timer, interrupt;

static void accept_client(void)
{
    const int fd = accept(accepting.fd, NULL, NULL);
    struct client *client = fd < 0 ? NULL : calloc(1, sizeof *client);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) { /* otherwise another thread was quicker */
            readyq_modify(&accepting, 0);
            readyq_add_timer(q, &pause_timer, PAUSE, 0);
        }
        return;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (!client || readyq_add(q, &client->watch, fd, READYQ_READ) < 0) {
        free(client);
        close(fd);
    }
}

/* False: the client has gone. One that does not read its answers is dropped. */
static bool answer(struct client *client)
{
    char text[4096], line[32];
    const ssize_t n = read(client->watch.fd, text, sizeof text);

    for (ssize_t i = 0; i < n; i++) {
        if (isdigit((unsigned char)text[i]))
            client->sum += (unsigned)(text[i] - '0');
        if (text[i] != '\n')
            continue;
        const int size = snprintf(line, sizeof line, "%u\n", client->sum);
        if (send(client->watch.fd, line, (size_t)size, MSG_NOSIGNAL) != size)
            return false;
        client->sum = 0;
    }
    return n > 0;
}

/* The thread that took a watch may free it: no other thread uses it until this one waits again. */
static void serve(struct client *client)
{
    if (answer(client))
        return;
    readyq_remove(&client->watch);
    close(client->watch.fd);
    free(client);
}

/* A thread of the pool. `max` 1 shares the work: a thread takes one client at a time. */
static void *work(void *unused)
{
    readyq_batch batch = {0};
    readyq_watch *w;

    while (readyq_wait(q, &batch, -1, 1) >= 0) /* -ESHUTDOWN: the queue was closed */
        while ((w = readyq_next(&batch)) != NULL)
            if (w == &accepting)
                accept_client();
            else if (w == &pause_timer)
                readyq_modify(&accepting, READYQ_READ);
            else if (w == &interrupt)
                readyq_close(q); /* wakes all threads */
            else
                serve((struct client *)w);
    readyq_done(&batch);
    return unused;
}

int main(int count, char **words)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)(count > 1 ? atoi(words[1]) : 0)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    const int wanted = count > 2 ? atoi(words[2]) : 4;
    const int threads = wanted > 0 && wanted < MOST_THREADS ? wanted : MOST_THREADS;
    pthread_t pool[MOST_THREADS];

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0 ||
        readyq_open(&q, NULL) < 0)
        return perror("pool"), 1;
    readyq_ref(q); /* so that the threads can call readyq_wait() after the close */
    readyq_add(q, &accepting, listener, READYQ_READ);
    readyq_add_signal(q, &interrupt, SIGINT);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&pool[i], NULL, work, NULL) != 0)
            return perror("pool"), 1;
    for (int i = 0; i < threads; i++)
        pthread_join(pool[i], NULL);
    readyq_unref(q);
    return 0;
}
