/* SPDX-License-Identifier: MIT
 *
 * Shows how an event queue works: an echo conversation over TCP, served by one thread that sleeps
 * until there is something to do. The same program as demo.py and demo.lua. `demo FILE` saves a
 * recording of it, which python -m readyq.timeline draws.
 */
#include "readyq.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static readyq *queue;
static readyq_recording *recording;
static readyq_batch batch;
static readyq_watch listener = {.data = (char[]){"listener"}}, peer = {.data = (char[]){"peer"}};
static int64_t asleep;

static void step(int number, const char *what, const char *more)
{
    printf("  %d. %-17s %s\n", number, what, more);
    fflush(stdout);
}

static void give_up(const char *call, int error)
{
    char why[400];
    fprintf(stderr, "demo: %s\n", readyq_explain(call, -1, error, why, sizeof why));
    exit(1);
}

static int make_socket(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)address, size) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) < 0)
        give_up("socket", -errno);
    return fd;
}

static void pause_for(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* The other process: connects, sends two messages, each after a pause, and reads the echoes. */
static int speak(const struct sockaddr_in *address)
{
    const char *words[] = {"hello", "how are you?"};
    char echo[100];
    int fd = socket(AF_INET, SOCK_STREAM, 0), same = 0;
    pause_for(300);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        pause_for(200);
        if (write(fd, words[i], n) == (ssize_t)n && read(fd, echo, sizeof echo) == (ssize_t)n)
            same += memcmp(echo, words[i], n) == 0;
    }
    pause_for(100);
    return same != 2;
}

static readyq_watch *sleep_until_ready(void)
{
    char more[100];
    step(4, "thread asleep", "in the kernel, until something is ready");
    int64_t before = readyq_now(queue);
    int n = readyq_wait(queue, &batch, 10000000000, 1);
    if (n <= 0)
        give_up("wait", n < 0 ? n : -ETIMEDOUT);
    int64_t slept = readyq_now(queue) - before;
    readyq_watch *w = readyq_next(&batch);
    asleep += slept;
    snprintf(more, sizeof more, "after %.1f ms, with the watch \"%s\": READ%s", (double)slept / 1e6,
             (char *)w->data, w->ready & READYQ_READ_CLOSED ? "|READ_CLOSED" : "");
    step(5, "woken", more);
    return w;
}

static void accept_peer(void)
{
    char more[100];
    int fd = accept(listener.fd, NULL, NULL);
    int result = readyq_add(queue, &peer, fd, READYQ_READ);
    if (result < 0)
        give_up("add", result);
    snprintf(more, sizeof more, "descriptor %d; READ registered, as the watch \"peer\"\n", fd);
    step(6, "peer accepted", more);
}

/* False at the end of the conversation. */
static bool echo(void)
{
    char text[100], more[200];
    ssize_t n = read(peer.fd, text, sizeof text);
    if (n <= 0 || write(peer.fd, text, (size_t)n) != n) {
        step(6, "read", "the end: the peer has closed\n");
        return false;
    }
    snprintf(more, sizeof more, "\"%.*s\", and written back\n", (int)n, text);
    step(6, "read", more);
    return true;
}

static void sum_up(int64_t begin, pid_t pid)
{
    int status;
    struct readyq_stats stats;
    readyq_stats(queue, &stats);
    printf("  The thread slept %.1f of %.1f ms. The queue made %" PRIu64 " system calls: %" PRIu64
           "\n  asked the kernel what is ready, %" PRIu64 " changed what it watches.",
           (double)asleep / 1e6, (double)(readyq_now(queue) - begin) / 1e6,
           stats.kernel_waits + stats.changes, stats.kernel_waits, stats.changes);
    waitpid(pid, &status, 0);
    printf(" The peer %s.\n\n", status == 0 ? "received every word" : "received something else");
}

int main(int argc, char **argv)
{
    char more[100];
    struct sockaddr_in address;
    printf(
        "An echo conversation over TCP, in C: one thread sleeps until something that it watches\n"
        "is ready, which wakes it.\n\n");
    int error = readyq_open(&queue, NULL);
    if (error < 0)
        give_up("open", error);
    if ((error = readyq_record(queue, 1000, &recording)) < 0)
        give_up("record", error);
    int64_t begin = readyq_now(queue);
    step(1, "queue created", readyq_backend(queue));
    int fd = make_socket(&address);
    snprintf(more, sizeof more, "descriptor %d, listening on 127.0.0.1:%d", fd,
             ntohs(address.sin_port));
    step(2, "socket made", more);
    if ((error = readyq_add(queue, &listener, fd, READYQ_READ)) < 0)
        give_up("add", error);
    step(3, "READ registered", "as the watch \"listener\"");
    pid_t pid = fork();
    if (pid == 0)
        _exit(speak(&address));
    bool going_on = true;
    while (going_on)
        if (sleep_until_ready() == &listener)
            accept_peer();
        else
            going_on = echo();
    sum_up(begin, pid);
    readyq_done(&batch);
    if (argc > 1 && (error = readyq_save(recording, argv[1])) < 0)
        give_up("save", error);
    readyq_discard(recording);
    return readyq_close(queue);
}
