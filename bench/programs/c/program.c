/* SPDX-License-Identifier: MIT
 *
 * The command line of the programs in C; see program.h.
 */
#include "program.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

void need(int result, const char *call)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: error %d\n", call, result);
    exit(1);
}

int enclose(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    const int outer = epoll_create1(EPOLL_CLOEXEC);

    need(outer, "epoll_create1");
    need(epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    return outer;
}

static const struct scenario *find(const char *name, size_t length)
{
    for (const struct scenario *one = scenarios; one->name != NULL; one++)
        if (strlen(one->name) == length && strncmp(one->name, name, length) == 0)
            return one;
    fprintf(stderr, "no such scenario: %s\n", name);
    exit(2);
}

static int list(void)
{
    for (const struct scenario *one = scenarios; one->name != NULL; one++)
        puts(one->name);
    return 0;
}

/* callgrind and strace are told to notice getppid(), which nothing else calls here. */
static void mark(void)
{
    getppid();
}

static void count(const char *word)
{
    const size_t length = strcspn(word, ":");
    const struct scenario *one = find(word, length);
    long few, many;
    long turns;
    int n;

    if (sscanf(word + length, ":%d:%ld", &n, &turns) != 2)
        exit(2);
    one->setup(n);
    one->run(turns);
    mark();
    few = one->run(turns);
    mark();
    many = one->run(3 * turns);
    mark();
    printf("%s %ld %ld\n", word, few, many);
    fflush(stdout);
}

static int64_t processor_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* A round for each line of standard input. */
static int measure(const char *name, int n, long turns)
{
    const struct scenario *one = find(name, strlen(name));
    char line[16];

    one->setup(n);
    while (fgets(line, sizeof line, stdin) != NULL) {
        const int64_t before = processor_time();
        const long operations = one->run(turns);

        printf("%lld %ld\n", (long long)(processor_time() - before), operations);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    if (argc == 5 && strcmp(argv[1], "time") == 0)
        return measure(argv[2], atoi(argv[3]), atol(argv[4]));
    if (argc < 3 || strcmp(argv[1], "count") != 0)
        return 2;
    for (int i = 2; i < argc; i++)
        count(argv[i]);
    return 0;
}
