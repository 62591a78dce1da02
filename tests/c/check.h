/* SPDX-License-Identifier: MIT
 *
 * The test harness: CHECK() and the list of tests. Each test runs in a process of its own with an
 * alarm, so that it cannot affect or block another one. A test that leaves a descriptor open fails.
 * Helpers that make things to watch are in things.h.
 *
 *     build/tests/flow [test...]   prints TAP; $TEST_SECONDS is the alarm
 */
#ifndef CHECK_H
#define CHECK_H

#include "readyq.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef COVERAGE /* a process that ends by _exit() is counted, too */
void __gcov_dump(void);
#define _exit(code) (__gcov_dump(), (_exit)(code))
#endif

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__FILE__, __LINE__, #condition);                                                  \
    } while (0)

#define CHECK_IS(actual, expected)                                                                 \
    check_is(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))

#define CHECK_HAS(text, part) check_has(__FILE__, __LINE__, text, part)

#define TEST(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }
#define TESTS(...)                                                                                 \
    static const struct test tests[] = {__VA_ARGS__};                                              \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return run_tests(argc, argv, tests, sizeof tests / sizeof tests[0]);                       \
    }

static pid_t test_process; /* not its children, whose queues it would build */
/* The core uses epoll, eventfd and pidfd; not where Linux plays a kernel with kqueue
 * (tests/kqueue). */
#if defined(__linux__) && !defined(READYQ_KQUEUE)
#define HAS_EPOLL 1
#else
#define HAS_EPOLL 0
#endif

struct test {
    const char *name;
    void (*run)(void);
};

_Noreturn static inline void fail(const char *file, int line, const char *what)
{
    printf("# %s:%d: %s\n", file, line, what);
    fflush(stdout);
    _exit(1);
}

static inline void check_is(const char *file, int line, const char *what, long long actual,
                            long long expected)
{
    char text[400];
    if (actual == expected)
        return;
    snprintf(text, sizeof text, "%s is %lld (0x%llx), not %lld (0x%llx)", what, actual,
             (unsigned long long)actual, expected, (unsigned long long)expected);
    fail(file, line, text);
}

static inline void check_has(const char *file, int line, const char *text, const char *part)
{
    char message[800];
    if (strstr(text, part) != NULL)
        return;
    snprintf(message, sizeof message, "\"%s\" does not contain \"%s\"", text, part);
    fail(file, line, message);
}

/* Before a test closes its queue: what the queue watches is what the kernel watches. Descriptors
 * that the test closed itself, and what a failed call leaves, are no fault of the queue. */
static inline int checked_close(const char *file, int line, readyq *q)
{
    char text[2000];

    if (q != NULL && getpid() == test_process && readyq_check(q, text, sizeof text) > 0 &&
        strstr(text, "the queue watches it for") != NULL)
        fail(file, line, text);
    return readyq_close(q);
}
#define readyq_close(q) checked_close(__FILE__, __LINE__, q)

static inline int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static inline unsigned test_seconds(void)
{
    const char *text = getenv("TEST_SECONDS");
    return text != NULL ? (unsigned)atoi(text) : 60;
}

static inline void run_here(const struct test *test)
{
    test_process = getpid();
    int before = count_descriptors();
    setpgid(0, 0);
    alarm(test_seconds());
    test->run();
    CHECK_IS(count_descriptors(), before);
    exit(0);
}

static inline bool run_test(const struct test *test)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        run_here(test);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    kill(-pid, SIGKILL); /* children that the test left behind */
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("# still running after %u s\n", test_seconds());
    else if (WIFSIGNALED(status))
        printf("# ended by signal %d\n", WTERMSIG(status));
    return status == 0;
}

static inline bool is_asked_for(const struct test *test, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], test->name) == 0)
            return true;
    return argc == 1;
}

static inline int run_tests(int argc, char **argv, const struct test *tests, size_t ntests)
{
    int number = 0, failed = 0;
    for (size_t i = 0; i < ntests; i++) {
        if (!is_asked_for(&tests[i], argc, argv))
            continue;
        bool passed = run_test(&tests[i]);
        failed += !passed;
        printf("%s %d - %s\n", passed ? "ok" : "not ok", ++number, tests[i].name);
    }
    printf("1..%d\n", number);
    return failed > 0 || number == 0;
}

#endif
