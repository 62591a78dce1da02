/* SPDX-License-Identifier: MIT
 *
 * The client of bench/echo.py, for any server that sends back what it gets: `echo_client PORT
 * CONNECTIONS SIZE [reset]`. It opens CONNECTIONS to a port of this machine. For each line on standard input,
 * a number of milliseconds, it runs one round: each connection sends a message of SIZE bytes, a
 * line, and the next one when the answer is complete, until that time is over; then it waits for the
 * answers that are left. It prints how many answers there were, and in nanoseconds how long the round
 * took and how much processor time this client has used for it.
 * With `reset` its connections leave no trace in the kernel when they are closed (TIME_WAIT).
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 128, ROOM = 16384, CROWD = 256, FROM_ONE_ADDRESS = 5000, SILENCE_MS = 20000 };

struct connection {
    int fd;
    size_t got; /* bytes of the current answer */
};

static char buffer[ROOM], message[ROOM];
static size_t size;
static struct connection *connections;
static int count, epoll;
static bool resets;

static void need(bool good, const char *call)
{
    if (good)
        return;
    perror(call);
    exit(1);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec time;

    need(clock_gettime(clock, &time) == 0, "clock_gettime");
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void send_message(const struct connection *c)
{
    need(send(c->fd, message, size, 0) == (ssize_t)size, "send");
}

/* Whether the answer is complete. */
static bool receive(struct connection *c)
{
    const ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);

    need(n > 0, "recv");
    c->got += (size_t)n;
    if (c->got < size)
        return false;
    c->got = 0;
    return true;
}

/* The server accepts what is waiting before it answers: the connections never outrun it. */
static void catch_up(struct connection *c)
{
    send_message(c);
    while (!receive(c))
        continue;
}

/* From 127.0.0.1 on: the kernel searches long for a port where most ports of an address are used. */
static void use_address(int fd, int index)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index / FROM_ONE_ADDRESS));
    need(setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) == 0, "setsockopt");
    need(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
}

static void connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const struct linger reset = {.l_onoff = 1};
    const int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        need(c->fd >= 0, "socket");
        need(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "setsockopt");
        use_address(c->fd, i);
        need(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        need(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0, "epoll_ctl");
        if (resets)
            need(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0, "setsockopt");
        if (i % CROWD == CROWD - 1)
            catch_up(c);
    }
}

static int64_t run_round(int64_t end)
{
    struct epoll_event events[BATCH];
    int64_t answers = 0;
    int left = count; /* connections with a message under way */

    for (int i = 0; i < count; i++)
        send_message(&connections[i]);
    while (left > 0) {
        const int n = epoll_wait(epoll, events, BATCH, SILENCE_MS);
        const bool over = read_clock(CLOCK_MONOTONIC) >= end;

        need(n > 0, "no answer");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (!receive(c))
                continue;
            answers++;
            if (over)
                left--;
            else
                send_message(c);
        }
    }
    return answers;
}

static void run_rounds(void)
{
    char line[16];

    while (fgets(line, sizeof line, stdin) != NULL) {
        const int64_t wall = read_clock(CLOCK_MONOTONIC),
                      own = read_clock(CLOCK_PROCESS_CPUTIME_ID),
                      answers = run_round(wall + atoi(line) * INT64_C(1000000));

        printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", answers, read_clock(CLOCK_MONOTONIC) - wall,
               read_clock(CLOCK_PROCESS_CPUTIME_ID) - own);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    resets = argc == 5 && strcmp(argv[4], "reset") == 0;
    if ((argc != 4 && !resets) || atoi(argv[2]) <= 0 || atoi(argv[3]) <= 0 ||
        atoi(argv[3]) > ROOM) {
        fprintf(stderr, "usage: echo_client PORT CONNECTIONS SIZE [reset]\n");
        return 2;
    }
    count = atoi(argv[2]);
    size = (size_t)atoi(argv[3]);
    memset(message, 'x', size);
    message[size - 1] = '\n';
    connections = calloc((size_t)count, sizeof *connections);
    epoll = epoll_create1(0);
    need(connections != NULL && epoll >= 0, "open");
    connect_to(atoi(argv[1]));
    run_rounds();
    free(connections);
    return 0;
}
