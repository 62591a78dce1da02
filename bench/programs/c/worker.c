/* SPDX-License-Identifier: MIT
 *
 * One of several echo servers that share a port, each with a queue of its own: `worker
 * exclusive|plain FD`, where FD is a listening socket that does not block. For each line on standard
 * input it prints how many connections it has accepted so far. It ends at the end of its input.
 */
#include "readyq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 16384 };

static readyq *queue;
static readyq_watch listener, input;
static long accepted;

static void need(bool good, const char *call)
{
    if (good)
        return;
    perror(call);
    exit(1);
}

static void add(readyq_watch *w, int fd, uint32_t interest)
{
    need(readyq_add(queue, w, fd, interest) >= 0, "readyq_add");
}

static void accept_client(void)
{
    const int fd = accept(listener.fd, NULL, NULL);
    readyq_watch *client;

    if (fd < 0) {
        need(errno == EAGAIN, "accept"); /* another worker was faster */
        return;
    }
    accepted++;
    client = calloc(1, sizeof *client);
    need(client != NULL, "calloc");
    add(client, fd, READYQ_READ);
}

static void answer(readyq_watch *client)
{
    static char buffer[ROOM];
    const ssize_t n = recv(client->fd, buffer, sizeof buffer, 0);

    if (n > 0 && send(client->fd, buffer, (size_t)n, MSG_NOSIGNAL) == n)
        return;
    readyq_remove(client);
    close(client->fd);
    free(client);
}

static void report(void)
{
    char line[16];

    if (read(input.fd, line, sizeof line) <= 0)
        exit(0);
    printf("%ld\n", accepted);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    readyq_batch batch = {0};
    readyq_watch *w;

    if (argc != 3) {
        fprintf(stderr, "usage: worker exclusive|plain FD\n");
        return 2;
    }
    need(readyq_open(&queue, NULL) >= 0, "readyq_open");
    add(&listener, atoi(argv[2]),
        READYQ_READ | (strcmp(argv[1], "exclusive") == 0 ? READYQ_EXCLUSIVE : 0));
    add(&input, STDIN_FILENO, READYQ_READ);
    for (;;) {
        readyq_wait(queue, &batch, -1, 0);
        while ((w = readyq_next(&batch)) != NULL)
            if (w == &listener)
                accept_client();
            else if (w == &input)
                report();
            else
                answer(w);
    }
}
