/* SPDX-License-Identifier: MIT
 *
 * A refused call has one reason, the one that applies, and changes nothing, the watch included. The
 * linker replaces the core's allocations by those here (see the Makefile).
 */
#include "workers.h"

#include <sys/resource.h>

#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#endif

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool no_memory;

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return no_memory ? NULL : __real_realloc(memory, size);
}

/* ------------------------------------------------------------------ the text */

static const char BAD_INTEREST[] = "the interest is not valid";
static const char OWN_DESCRIPTOR[] = "it belongs to this queue";
static const char NEGATIVE_DELAY[] = "the delay is negative";
static const char NOT_ADDED[] = "the watch was never added to a queue";
static const char REMOVED[] = "the watch was removed from its queue";
static const char HAS_FIRED[] = "it has fired and left its queue";
static const char IN_A_QUEUE[] = "the watch is already in a queue";
static const char NOT_OPEN[] = "it is not open";
static const char WAS_CLOSED[] = "it was closed";
static const char REUSED[] = "it was closed, and the number belongs to another file now";
static const char QUEUE_CLOSED[] = "the queue is closed";
static const char NO_DESCRIPTOR_LEFT[] = "this process has no descriptors left";
static const char NO_MEMORY[] = "no memory is left";
static const char CIRCLE[] = "queues would watch each other in a circle";
static const char TOO_DEEP[] = "the chain of queues, each watching the next, would be too long";

/* "CALL() failed[ for descriptor N (KIND)]: REASON; ADVICE" */
static void check_reason(int line, const char *call, int fd, int error, int expected,
                         const char *reason)
{
    char text[400], start[64], number[32], rest[200];
    check_is(__FILE__, line, call, error, expected);
    CHECK(readyq_explain(call, fd, error, text, sizeof text) == text);
    snprintf(start, sizeof start, "%s%s failed%s", call, strchr(call, '(') ? "" : "()",
             fd >= 0 ? " for " : ": ");
    CHECK_IS(strncmp(text, start, strlen(start)), 0);
    snprintf(number, sizeof number, " for descriptor %d (", fd);
    check_has(__FILE__, line, text, fd >= 0 ? number : start);
    snprintf(rest, sizeof rest, ": %s; ", reason);
    check_has(__FILE__, line, text, rest);
    CHECK(strlen(strchr(text, ';')) > 5);
}

#define CHECK_REASON(call, fd, result, error, reason)                                              \
    check_reason(__LINE__, call, fd, result, error, reason)

static struct rlimit limit_descriptors(rlim_t most)
{
    struct rlimit old, now;
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &old), 0);
    now = (struct rlimit){.rlim_cur = most, .rlim_max = old.rlim_max};
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &now), 0);
    return old;
}

/* ------------------------------------------------------------------ bad arguments */

static void test_the_reason_of_an_invalid_interest(void)
{
    int p[2];
    readyq_watch w = {0};
    readyq *q = open_queue();
    open_pipe(p);
    CHECK_REASON("add", p[0], readyq_add(q, &w, p[0], READYQ_EDGE), -EINVAL, BAD_INTEREST);
    CHECK_REASON("add", p[0], readyq_add(q, &w, p[0], 0x8000), -EINVAL, BAD_INTEREST);
    add(q, &w, p[0], READYQ_READ);
    CHECK_REASON("modify", p[0], readyq_modify(&w, READYQ_FIRED), -EINVAL, BAD_INTEREST);
    readyq_close(q);
    close_pair(p);
}

static void test_the_reason_where_a_queue_would_watch_itself(void)
{
    const int lowest = dup(0);
    readyq_watch w = {0};
    close(lowest);
    readyq *q = open_queue(); /* its kernel queue has that number */
    const int fd = readyq_fileno(q), copy = dup(lowest);
    CHECK_REASON("add", fd, readyq_add(q, &w, fd, READYQ_READ), -EINVAL, OWN_DESCRIPTOR);
    CHECK_REASON("add", lowest, readyq_add(q, &w, lowest, READYQ_READ), -EINVAL, OWN_DESCRIPTOR);
    if (has_ghosts(q)) /* epoll recognises itself under any number */
        CHECK_REASON("add", copy, readyq_add(q, &w, copy, READYQ_READ), -EINVAL, OWN_DESCRIPTOR);
    close(copy);
    readyq_close(q);
}

static void test_the_reasons_of_negative_numbers(void)
{
    readyq_batch batch = {0};
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_REASON("add_timer", -1, readyq_add_timer(q, &w, -1, 0), -EINVAL, NEGATIVE_DELAY);
    CHECK_REASON("add_timer", -1, readyq_add_timer(q, &w, 0, -1), -EINVAL,
                 "the period is negative");
    CHECK_IS(readyq_add_timer(q, &w, LONG, 0), 0);
    CHECK_REASON("restart", -1, readyq_restart(&w, -1), -EINVAL, NEGATIVE_DELAY);
    CHECK_REASON("wait", -1, readyq_wait(q, &batch, -2, 0), -EINVAL, "the timeout is negative");
    CHECK_REASON("wait", -1, readyq_wait(q, &batch, 0, -1), -EINVAL, "the maximum is negative");
    CHECK_REASON("look", -1, readyq_look(q, &batch, -1), -EINVAL, "the maximum is negative");
    CHECK_REASON("wait_until", -1, readyq_wait_until(q, &batch, -1, 0), -EINVAL,
                 "the deadline is negative");
    CHECK_REASON("wait_until", -1, readyq_wait_until(q, &batch, 0, -1), -EINVAL,
                 "the maximum is negative");
    readyq_close(q);
}

static void test_the_reasons_of_signals_that_cannot_be_watched(void)
{
    static const struct {
        int signal;
        const char *reason;
    } cases[] = {
        {0, "there is no such signal"},
        {-1, "there is no such signal"},
        {1000, "there is no such signal"},
        {SIGKILL, "this signal cannot be caught"},
        {SIGSTOP, "this signal cannot be caught"},
        {SIGSEGV, "the thread cannot continue after this signal"},
        {SIGBUS, "the thread cannot continue after this signal"},
        {SIGFPE, "the thread cannot continue after this signal"},
        {SIGILL, "the thread cannot continue after this signal"},
#if defined(__GLIBC__)
        {32, "the C library reserves this signal"},
        {33, "the C library reserves this signal"},
#endif
        {65, "there is no such signal"}
    };
    readyq_watch w = {0};
    readyq *q = open_queue();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_REASON("add_signal", -1, readyq_add_signal(q, &w, cases[i].signal), -EINVAL,
                     cases[i].reason);
    CHECK_REASON("default_handler", -1, readyq_default_handler(SIGKILL, NULL), -EINVAL,
                 "this signal cannot be caught");
    readyq_close(q);
}

static void test_the_reasons_of_processes_that_cannot_be_watched(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_REASON("add_process", -1, readyq_add_process(q, &w, 0), -EINVAL,
                 "it is not a process id");
    CHECK_REASON("add_process", -1, readyq_add_process(q, &w, -1), -EINVAL,
                 "it is not a process id");
    CHECK_REASON("add_process", -1, readyq_add_process(q, &w, INT32_MAX), -ESRCH,
                 "there is no such process");
    readyq_close(q);
}

#if HAS_EPOLL
static void refuse_call(long call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    CHECK_IS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_IS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void refuse_pidfd(void)
{
    refuse_call(SYS_pidfd_open, ENOSYS);
}

static void refuse_queues(int error)
{
    refuse_call(SYS_epoll_create1, error);
}
#else
static void refuse_pidfd(void)
{
}

static void refuse_queues(int error)
{
    (void)error;
}
#endif

static void test_the_reason_where_only_children_can_be_watched(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    refuse_pidfd();
    const int error = readyq_add_process(q, &w, getppid());
    if (error != 0) /* kqueue watches any process */
        CHECK_REASON("add_process", -1, error, -ECHILD, "it is not a child of this process");
    CHECK_REASON("add_process", -1, readyq_add_process(q, &w, INT32_MAX),
                 error == 0 ? -EBUSY : -ESRCH,
                 error == 0 ? IN_A_QUEUE : "there is no such process");
    readyq_close(q);
}

static void test_the_reasons_of_calls_for_another_kind_of_watch(void)
{
    int p[2];
    readyq_watch fd, timer = {0}, trigger = {0};
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &fd, p[0], READYQ_READ);
    CHECK_IS(readyq_add_timer(q, &timer, LONG, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_REASON("modify", -1, readyq_modify(&timer, READYQ_READ), -EINVAL,
                 "it is not a descriptor's watch");
    CHECK_REASON("modify", -1, readyq_modify(&trigger, 0x8000), -EINVAL,
                 "it is not a descriptor's watch");
    CHECK_REASON("restart", p[0], readyq_restart(&fd, 0), -EINVAL, "it is not a timer");
    CHECK_REASON("restart", -1, readyq_restart(&trigger, 0), -EINVAL, "it is not a timer");
    CHECK_REASON("fire", p[0], readyq_fire(&fd), -EINVAL, "it is not a trigger");
    CHECK_REASON("fire", -1, readyq_fire(&timer), -EINVAL, "it is not a trigger");
    readyq_close(q);
    close_pair(p);
}

/* ------------------------------------------------------------------ where the watch is */

static void test_the_reason_where_a_watch_is_in_a_queue(void)
{
    int p[2];
    readyq_watch w = {0};
    readyq *q = open_queue(), *other = open_queue();
    open_pipe(p);
    CHECK_IS(readyq_add_trigger(q, &w), 0);
    CHECK_REASON("add", p[0], readyq_add(q, &w, p[0], READYQ_READ), -EBUSY, IN_A_QUEUE);
    CHECK_REASON("add", p[0], readyq_add(other, &w, p[0], READYQ_READ), -EBUSY, IN_A_QUEUE);
    CHECK_REASON("add_timer", -1, readyq_add_timer(q, &w, 0, 0), -EBUSY, IN_A_QUEUE);
    CHECK_REASON("add_signal", -1, readyq_add_signal(q, &w, SIGUSR1), -EBUSY, IN_A_QUEUE);
    CHECK_REASON("add_process", -1, readyq_add_process(q, &w, getpid()), -EBUSY, IN_A_QUEUE);
    CHECK_REASON("add_trigger", -1, readyq_add_trigger(q, &w), -EBUSY, IN_A_QUEUE);
    readyq_close(q);
    readyq_close(other);
    close_pair(p);
}

static void check_not_in_a_queue(readyq_watch *w, const char *reason)
{
    CHECK_REASON("modify", -1, readyq_modify(w, READYQ_READ), -ENOENT, reason);
    CHECK_REASON("fire", -1, readyq_fire(w), -ENOENT, reason);
    CHECK_REASON("remove", -1, readyq_remove(w), -ENOENT, reason);
}

static void test_the_reasons_where_a_watch_is_in_no_queue(void)
{
    int p[2];
    readyq_watch w = {0}, process = {0};
    readyq *q = open_queue();
    open_pipe(p);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    check_not_in_a_queue(&w, NOT_ADDED);
    CHECK_REASON("restart", -1, readyq_restart(&w, 0), -ENOENT, NOT_ADDED);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(readyq_remove(&w), 0);
    check_not_in_a_queue(&w, REMOVED);
    CHECK_REASON("restart", -1, readyq_restart(&w, 0), -ENOENT, REMOVED);
    CHECK_IS(readyq_add_process(q, &process, pid), 0);
    CHECK_TAKES(q, &process);
    check_not_in_a_queue(&process, HAS_FIRED);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), 0);
    CHECK_TAKES(q, &w);
    check_not_in_a_queue(&w, HAS_FIRED);
    CHECK_REASON("restart", -1, readyq_restart(&w, 0), -ENOENT, REMOVED); /* after it had fired */
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q);
    close_pair(p);
}

/* A removed watch is in no queue for another reason than one whose descriptor was found closed. */
static void test_the_reasons_where_a_descriptor_was_closed(void)
{
    int p[2], reused[2];
    readyq_watch w, other;
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close(p[0]);
    CHECK_REASON("modify", p[0], readyq_modify(&w, READYQ_WRITE), -EBADF, WAS_CLOSED);
    open_unix(reused);
    CHECK_IS(reused[0], p[0]);
    CHECK_REASON("modify", p[0], readyq_modify(&w, READYQ_WRITE), -EBADF, REUSED);
    add(q, &other, reused[0], READYQ_READ);
    CHECK_REASON("modify", p[0], readyq_modify(&w, READYQ_WRITE), -EBADF, REUSED);
    CHECK(readyq_stale(q) == &w);
    CHECK_REASON("modify", -1, readyq_modify(&w, READYQ_WRITE), -ENOENT, REMOVED);
    readyq_close(q);
    close_pair(reused);
    close(p[1]);
}

static void test_the_reason_where_an_always_ready_file_was_closed(void)
{
    readyq_watch w;
    const int file = open_file();
    readyq *q = open_queue();
    add(q, &w, file, READYQ_READ);
    close(file);
    CHECK_REASON("modify", file, readyq_modify(&w, READYQ_WRITE), -EBADF, WAS_CLOSED);
    const int other = open("/dev/null", O_RDONLY);
    CHECK_IS(other, file);
    CHECK_REASON("modify", file, readyq_modify(&w, READYQ_WRITE), -EBADF, REUSED);
    readyq_close(q);
    close(other);
}

static void test_the_reason_where_a_descriptor_is_watched_already(void)
{
    static const char reason[] = "this queue already watches it";
    int p[2];
    const int file = open_file();
    readyq_watch w, on_file, second = {0};
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    add(q, &on_file, file, READYQ_READ);
    CHECK_REASON("add", p[0], readyq_add(q, &second, p[0], READYQ_READ), -EEXIST, reason);
    CHECK_REASON("add", file, readyq_add(q, &second, file, READYQ_READ), -EEXIST, reason);
    readyq_close(q);
    close_pair(p);
    close(file);
}

/* ------------------------------------------------------------------ a closed queue */

static void test_the_reason_of_every_call_on_a_closed_queue(void)
{
    readyq_batch batch = {0};
    readyq_watch w = {0}, fired = {0};
    readyq *q = readyq_ref(open_queue());
    CHECK_IS(readyq_add_timer(q, &fired, 0, 0), 0);
    CHECK_TAKES(q, &fired);
    CHECK_IS(readyq_close(q), 0);
    CHECK_REASON("add", 0, readyq_add(q, &w, 0, READYQ_READ), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("add_timer", -1, readyq_add_timer(q, &w, 0, 0), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("add_signal", -1, readyq_add_signal(q, &w, SIGUSR1), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("add_process", -1, readyq_add_process(q, &w, getpid()), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("add_trigger", -1, readyq_add_trigger(q, &w), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("restart", -1, readyq_restart(&fired, 0), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("wait", -1, readyq_wait(q, &batch, 0, 0), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("look", -1, readyq_look(q, &batch, 0), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("wake", -1, readyq_wake(q), -ESHUTDOWN, QUEUE_CLOSED);
    CHECK_REASON("fileno", -1, readyq_fileno(q), -ESHUTDOWN, QUEUE_CLOSED);
    readyq_unref(q);
    CHECK_REASON("restart", -1, readyq_restart(&fired, 0), -ESHUTDOWN, QUEUE_CLOSED);
}

static void close_while_it_waits(struct worker *worker)
{
    char text[400];
    work_wait(worker);
    readyq_explain("wait", -1, worker->result, text, sizeof text);
    CHECK_HAS(text, QUEUE_CLOSED);
}

static void test_the_reason_where_a_queue_is_closed_during_the_wait(void)
{
    struct worker worker;
    readyq *q = readyq_ref(open_queue());
    hire(&worker, q);
    tell(&worker, close_while_it_waits);
    sleep_ns(SOON);
    CHECK_IS(readyq_close(q), 0);
    await(&worker);
    CHECK_IS(worker.result, -ESHUTDOWN);
    dismiss(&worker);
    readyq_unref(q);
}

/* ------------------------------------------------------------------ refused by the kernel */

static void test_the_reason_where_a_descriptor_is_not_open(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_REASON("add", 999, readyq_add(q, &w, 999, READYQ_READ), -EBADF, NOT_OPEN);
    CHECK_REASON("add", 60, readyq_add(q, &w, 60, READYQ_READ), -EBADF, NOT_OPEN);
    CHECK_REASON("add", -1, readyq_add(q, &w, -1, READYQ_READ), -EBADF, NOT_OPEN);
#if HAS_EPOLL
    const int fd = open("/", O_PATH);
    CHECK_REASON("add", fd, readyq_add(q, &w, fd, READYQ_READ), -EBADF,
                 "it was opened with O_PATH");
    close(fd);
#endif
    readyq_close(q);
}

static void test_the_reason_where_no_descriptor_is_left(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue(), *other;
    const struct rlimit old = limit_descriptors(0);
    const int error = readyq_add_process(q, &w, getpid());
    CHECK_REASON("open", -1, readyq_open(&other, NULL), -EMFILE, NO_DESCRIPTOR_LEFT);
    CHECK_REASON("fileno", -1, readyq_fileno(q), -EMFILE, NO_DESCRIPTOR_LEFT);
    if (error != 0) /* kqueue needs none */
        CHECK_REASON("add_process", -1, error, -EMFILE, NO_DESCRIPTOR_LEFT);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
    readyq_close(q);
}

static void test_the_reason_where_no_memory_is_left(void)
{
    enum { ROOM = 16 };
    readyq_watch w = {0}, timers[ROOM] = {0};
    readyq *q = open_queue(), *other;
    const int fd = fcntl(0, F_DUPFD, 200);
    for (int i = 0; i < ROOM; i++)
        CHECK_IS(readyq_add_timer(q, &timers[i], LONG, 0), 0);
    no_memory = true;
    CHECK_REASON("open", -1, readyq_open(&other, NULL), -ENOMEM, NO_MEMORY);
    CHECK_REASON("add", fd, readyq_add(q, &w, fd, READYQ_READ), -ENOMEM, NO_MEMORY);
    CHECK_REASON("add_timer", -1, readyq_add_timer(q, &w, 0, 0), -ENOMEM, NO_MEMORY);
    no_memory = false;
    readyq_close(q);
    close(fd);
}

static void test_the_reason_where_a_sandbox_forbids_a_queue(void)
{
    readyq *q;
    refuse_queues(EPERM);
    const int error = readyq_open(&q, NULL);
    if (error == 0) /* not on this kernel */
        readyq_close(q);
    else
        CHECK_REASON("open", -1, error, -EPERM, "it is not permitted here");
}

static void on_signal(int signal)
{
    (void)signal;
}

static void test_the_reason_where_a_signal_ends_a_wait(void)
{
    readyq_batch batch = {0};
    readyq *q = open_queue_with((struct readyq_options){.interruptible = true});
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_IS(sigaction(SIGALRM, &action, NULL), 0);
    alarm(1);
    CHECK_REASON("wait", -1, readyq_wait(q, &batch, LONG, 0), -EINTR, "a signal interrupted it");
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
}

/* ------------------------------------------------------------------ queues in queues */

static void test_the_reason_where_queues_would_watch_each_other_in_a_circle(void)
{
    readyq_watch w[2] = {0};
    readyq *q[2] = {open_queue(), open_queue()};
    const int fd[2] = {readyq_fileno(q[0]), readyq_fileno(q[1])};
    CHECK_IS(readyq_add(q[0], &w[0], fd[1], READYQ_READ), 0);
    CHECK_REASON("add", fd[0], readyq_add(q[1], &w[1], fd[0], READYQ_READ), -ELOOP, CIRCLE);
    CHECK_IS(readyq_remove(&w[0]), 0);
    CHECK_IS(readyq_add(q[1], &w[1], fd[0], READYQ_READ), 0);
    CHECK_REASON("add", fd[1], readyq_add(q[0], &w[0], fd[1], READYQ_READ), -ELOOP, CIRCLE);
    for (int i = 0; i < 2; i++)
        readyq_close(q[i]);
}

/* Linux: a queue may have two levels of queues below it. kqueue, but for macOS, has no limit. */
static void test_the_reason_where_one_queue_too_many_is_added_below_others(void)
{
    enum { QUEUES = 12 };
    readyq_watch w[QUEUES] = {0};
    readyq *q[QUEUES] = {open_queue()};
    int n = 1, fd, error = 0;
    for (; n < QUEUES && error == 0; n++) {
        q[n] = open_queue();
        fd = readyq_fileno(q[n]);
        error = readyq_add(q[n - 1], &w[n], fd, READYQ_READ);
    }
    if (has_ghosts(q[0]))
        CHECK_IS(n, 4);
    if (error != 0)
        CHECK_REASON("add", fd, error, -ELOOP, TOO_DEEP);
    for (int i = 0; i < n; i++)
        readyq_close(q[i]);
}

/* The descriptor of the queue on top counts as one more queue. */
static void test_the_reason_where_one_queue_too_many_is_added_above_others(void)
{
    readyq_watch w[4] = {0};
    readyq *q[4];
    for (int i = 0; i < 4; i++)
        q[i] = open_queue();
    for (int i = 0; i < 2; i++)
        CHECK_IS(readyq_add(q[i + 1], &w[i], readyq_fileno(q[i]), READYQ_READ), 0);
    const int fd = readyq_fileno(q[2]);
    if (fd < 0) {
        CHECK_REASON("fileno", -1, fd, -ELOOP, TOO_DEEP);
    } else {
        const int error = readyq_add(q[3], &w[3], fd, READYQ_READ);
        if (error != 0)
            CHECK_REASON("add", fd, error, -ELOOP, TOO_DEEP);
    }
    for (int i = 0; i < 4; i++)
        readyq_close(q[i]);
}

/* ------------------------------------------------------------------ no other call's reason */

static void test_a_reason_that_was_not_read_is_not_given_for_a_later_failure(void)
{
    readyq_watch w = {0};
    int p[2];
    const int lowest = dup(0);
    close(lowest);
    readyq *q = open_queue();
    const int copy = dup(lowest);
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close(p[0]);
    CHECK_IS(readyq_modify(&w, READYQ_WRITE), -EBADF);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_REASON("add", 999, readyq_add(q, &w, 999, READYQ_READ), -EBADF, NOT_OPEN);
    CHECK_IS(readyq_add_timer(q, &w, -1, 0), -EINVAL);
    if (has_ghosts(q))
        CHECK_REASON("add", copy, readyq_add(q, &w, copy, READYQ_READ), -EINVAL, OWN_DESCRIPTOR);
    readyq_close(q);
    close(copy);
    close(p[1]);
}

/* The second failure has the same error and a reason of its own, or none that the core knows. */
static void test_a_second_reason_is_not_the_first_one(void)
{
    char text[400];
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_REASON("add_timer", -1, readyq_add_timer(q, &w, -1, 0), -EINVAL, NEGATIVE_DELAY);
    CHECK_REASON("add", 0, readyq_add(q, &w, 0, READYQ_EDGE), -EINVAL, BAD_INTEREST);
    readyq_explain("setsockopt", -1, -EINVAL, text, sizeof text);
    CHECK_HAS(text, strerror(EINVAL));
    CHECK(strstr(text, BAD_INTEREST) == NULL);
    CHECK_IS(readyq_add_timer(q, &w, -1, 0), -EINVAL);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), 0);
    readyq_explain("setsockopt", -1, -EXDEV, text, sizeof text);
    CHECK_HAS(text, strerror(EXDEV));
    readyq_close(q);
}

static void fail_otherwise(struct worker *worker)
{
    readyq_watch w = {0};
    CHECK_REASON("add", 0, readyq_add(worker->q, &w, 0, READYQ_EDGE), -EINVAL, BAD_INTEREST);
    CHECK_IS(readyq_add(worker->q, &w, 0, READYQ_EDGE), -EINVAL);
}

static void test_each_thread_gets_its_own_reason(void)
{
    struct worker worker;
    readyq_watch w = {0};
    readyq *q = open_queue();
    hire(&worker, q);
    const int error = readyq_add_timer(q, &w, -1, 0);
    make(&worker, fail_otherwise);
    CHECK_REASON("add_timer", -1, error, -EINVAL, NEGATIVE_DELAY);
    dismiss(&worker);
    readyq_close(q);
}

static void test_a_positive_error_number_is_explained_too(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    const int error = -readyq_add_timer(q, &w, -1, 0);
    CHECK_REASON("add_timer", -1, error, EINVAL, NEGATIVE_DELAY);
    readyq_close(q);
}

/* ------------------------------------------------------------------ the watch is not changed */

#define CHECK_UNCHANGED(w, call, error)                                                            \
    do {                                                                                           \
        char before[sizeof(readyq_watch)];                                                         \
        memcpy(before, w, sizeof before);                                                          \
        CHECK_IS(call, error);                                                                     \
        CHECK(memcmp(before, w, sizeof before) == 0);                                              \
    } while (0)

static void check_refused_adds(readyq *q, readyq_watch *w, int watched, int file)
{
    CHECK_UNCHANGED(w, readyq_add(q, w, -1, READYQ_READ), -EBADF);
    CHECK_UNCHANGED(w, readyq_add(q, w, 60, READYQ_READ), -EBADF);
    CHECK_UNCHANGED(w, readyq_add(q, w, 999, 0), -EBADF);
    CHECK_UNCHANGED(w, readyq_add(q, w, watched, READYQ_WRITE), -EEXIST);
    CHECK_UNCHANGED(w, readyq_add(q, w, file, READYQ_WRITE), -EEXIST);
    CHECK_UNCHANGED(w, readyq_add(q, w, watched, READYQ_ONESHOT), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add(q, w, readyq_fileno(q), READYQ_READ), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add_timer(q, w, -1, 1), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add_timer(q, w, 1, -1), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add_signal(q, w, SIGKILL), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add_signal(q, w, SIGSEGV), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add_signal(q, w, 0), -EINVAL);
#if defined(__GLIBC__)
    CHECK_UNCHANGED(w, readyq_add_signal(q, w, 32), -EINVAL);
#endif
    CHECK_UNCHANGED(w, readyq_add_process(q, w, 0), -EINVAL);
    CHECK_UNCHANGED(w, readyq_add_process(q, w, INT32_MAX), -ESRCH);
}

static void check_refused_for_want(readyq *q, readyq_watch *w)
{
    const int fd = fcntl(0, F_DUPFD, 200);
    no_memory = true;
    CHECK_UNCHANGED(w, readyq_add(q, w, fd, READYQ_READ), -ENOMEM);
    no_memory = false;
    close(fd);
    if (!has_ghosts(q)) /* kqueue watches a process without a descriptor */
        return;
    const struct rlimit old = limit_descriptors(0);
    CHECK_UNCHANGED(w, readyq_add_process(q, w, getpid()), -EMFILE);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void test_an_add_that_fails_changes_no_field_of_the_watch(void)
{
    int p[2], data;
    const int file = open_file();
    readyq_watch w = {0}, watched, on_file;
    readyq *q = open_queue(), *closed = readyq_ref(open_queue());
    open_unix(p);
    CHECK_IS(readyq_close(closed), 0);
    add(q, &watched, p[0], READYQ_READ);
    add(q, &on_file, file, READYQ_WRITE);
    for (int i = 0; i < 4; i++) { /* zeroed, and after it was in a queue in three ways */
        check_refused_adds(q, &w, p[0], file);
        check_refused_for_want(q, &w);
        CHECK_UNCHANGED(&w, readyq_add(closed, &w, p[1], READYQ_READ), -ESHUTDOWN);
        CHECK_UNCHANGED(&w, readyq_add_signal(closed, &w, SIGUSR1), -ESHUTDOWN);
        w.data = &data;
        if (i == 0)
            CHECK_IS(readyq_add(q, &w, p[1], READYQ_READ | READYQ_ONESHOT), 0);
        else if (i == 1)
            CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
        else
            CHECK_IS(readyq_add_timer(q, &w, LONG, MS), 0);
        CHECK_IS(readyq_remove(&w), 0);
    }
    readyq_unref(closed);
    readyq_close(q);
    close_pair(p);
    close(file);
}

static void check_busy(readyq *q, readyq_watch *w)
{
    CHECK_UNCHANGED(w, readyq_add(q, w, 0, READYQ_WRITE), -EBUSY);
    CHECK_UNCHANGED(w, readyq_add_timer(q, w, 1, 1), -EBUSY);
    CHECK_UNCHANGED(w, readyq_add_signal(q, w, SIGUSR1), -EBUSY);
    CHECK_UNCHANGED(w, readyq_add_process(q, w, getpid()), -EBUSY);
    CHECK_UNCHANGED(w, readyq_add_trigger(q, w), -EBUSY);
}

static void check_other_calls(readyq *q, readyq_watch *w)
{
    check_busy(q, w);
    CHECK_UNCHANGED(w, readyq_restart(w, -1), -EINVAL);
    if (w->kind != READYQ_KIND_TIMER)
        CHECK_UNCHANGED(w, readyq_restart(w, 1), -EINVAL);
    if (w->kind != READYQ_KIND_TRIGGER)
        CHECK_UNCHANGED(w, readyq_fire(w), -EINVAL);
    CHECK_UNCHANGED(w, readyq_modify(w, 0x8000), -EINVAL);
    if (w->kind != READYQ_KIND_FD)
        CHECK_UNCHANGED(w, readyq_modify(w, READYQ_READ), -EINVAL);
}

/* Idle, listed, pending and taken. */
static void test_a_call_that_fails_changes_no_field_of_a_watch_that_is_in_a_queue(void)
{
    int p[2];
    readyq_batch batch = {0};
    readyq_watch fd, timer = {0}, trigger = {0}, signal = {0};
    readyq_watch *const all[] = {&fd, &timer, &trigger, &signal};
    readyq *q = open_queue(), *other = open_queue();
    open_unix(p);
    add(q, &fd, p[0], READYQ_READ | READYQ_ONESHOT);
    CHECK_IS(readyq_add_timer(q, &timer, SOON, LONG), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    for (int state = 0; state < 4; state++) {
        for (int i = 0; i < 4; i++) {
            check_other_calls(q, all[i]);
            check_busy(other, all[i]);
        }
        if (state == 0) {
            put(p[1]);
            CHECK_IS(readyq_fire(&trigger), 0);
            CHECK_IS(raise(SIGUSR1), 0);
            sleep_ns(SOON);
            CHECK_IS(count_ready(q, LONG), 4);
        } else if (state == 1) {
            CHECK_IS(readyq_wait(q, &batch, LONG, 0), 4);
        } else {
            while (readyq_next(&batch) != NULL)
                ;
        }
    }
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
    readyq_close(other);
    close_pair(p);
}

static void check_modify_of_a_closed_one(uint32_t interest, bool pending, bool reused)
{
    int p[2], other[2] = {-1, -1};
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_queue();
    open_unix(p);
    put(p[1]);
    add(q, &w, p[0], interest);
    const int n = readyq_wait(q, &batch, 0, 0);
    if (!pending)
        readyq_next(&batch);
    close(p[0]);
    if (reused)
        open_unix(other);
    CHECK_UNCHANGED(&w, readyq_modify(&w, READYQ_WRITE), -EBADF);
    CHECK_UNCHANGED(&w, readyq_modify(&w, READYQ_READ | READYQ_ONESHOT), -EBADF);
    CHECK_UNCHANGED(&w, readyq_modify(&w, READYQ_READ | READYQ_EXCLUSIVE), -EBADF);
    CHECK_UNCHANGED(&w, readyq_modify(&w, 0), -EBADF);
    CHECK_IS(readyq_peek(&batch, NULL, NULL, 0), pending ? n : 0);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_done(&batch), 0);
    readyq_close(q);
    close(p[1]);
    if (reused)
        close_pair(other);
}

static void test_a_modify_that_fails_changes_no_field_of_the_watch(void)
{
    static const uint32_t modes[] = {0, READYQ_EDGE, READYQ_ONESHOT, READYQ_EXCLUSIVE};
    for (unsigned ways = 0; ways < 4; ways++) {
        for (int i = 0; i < 4; i++)
            check_modify_of_a_closed_one(READYQ_READ | modes[i], ways & 1, ways & 2);
        check_modify_of_a_closed_one(0, ways & 1, ways & 2);
    }
}

static void test_a_restart_that_fails_changes_no_field_of_the_watch(void)
{
    enum { ROOM = 16 };
    readyq_watch w = {0}, timers[ROOM] = {0};
    readyq *q = open_queue();
    CHECK_UNCHANGED(&w, readyq_restart(&w, 0), -ENOENT);
    CHECK_IS(readyq_add_timer(q, &w, 0, 0), 0);
    CHECK_TAKES(q, &w);
    CHECK_UNCHANGED(&w, readyq_restart(&w, -1), -EINVAL);
    for (int i = 0; i < ROOM; i++)
        CHECK_IS(readyq_add_timer(q, &timers[i], LONG, 0), 0);
    no_memory = true;
    CHECK_UNCHANGED(&w, readyq_restart(&w, 0), -ENOMEM);
    no_memory = false;
    CHECK_IS(readyq_restart(&w, 0), 0);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    CHECK_UNCHANGED(&w, readyq_restart(&w, 0), -ESHUTDOWN);
    CHECK_UNCHANGED(&timers[0], readyq_restart(&timers[0], 0), -ENOENT);
}

static void test_calls_on_a_watch_that_is_in_no_queue_change_no_field_of_it(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        CHECK_UNCHANGED(&w, readyq_modify(&w, READYQ_READ), -ENOENT);
        CHECK_UNCHANGED(&w, readyq_fire(&w), -ENOENT);
        CHECK_UNCHANGED(&w, readyq_remove(&w), -ENOENT);
        CHECK_UNCHANGED(&w, readyq_restart(&w, 0), -ENOENT);
        CHECK_UNCHANGED(&w, (int)readyq_due(&w), -1);
        CHECK_IS(readyq_add_trigger(q, &w), 0);
        CHECK_IS(readyq_remove(&w), 0);
    }
    readyq_close(q);
}

static void test_an_add_that_would_close_a_circle_changes_no_field_of_the_watch(void)
{
    readyq_watch w[2] = {0};
    readyq *q[2] = {open_queue(), open_queue()};
    CHECK_IS(readyq_add(q[0], &w[0], readyq_fileno(q[1]), READYQ_READ), 0);
    CHECK_UNCHANGED(&w[1], readyq_add(q[1], &w[1], readyq_fileno(q[0]), READYQ_READ), -ELOOP);
    readyq_close(q[0]);
    readyq_close(q[1]);
}

TESTS(TEST(test_the_reason_of_an_invalid_interest),
      TEST(test_the_reason_where_a_queue_would_watch_itself),
      TEST(test_the_reasons_of_negative_numbers),
      TEST(test_the_reasons_of_signals_that_cannot_be_watched),
      TEST(test_the_reasons_of_processes_that_cannot_be_watched),
      TEST(test_the_reason_where_only_children_can_be_watched),
      TEST(test_the_reasons_of_calls_for_another_kind_of_watch),
      TEST(test_the_reason_where_a_watch_is_in_a_queue),
      TEST(test_the_reasons_where_a_watch_is_in_no_queue),
      TEST(test_the_reasons_where_a_descriptor_was_closed),
      TEST(test_the_reason_where_an_always_ready_file_was_closed),
      TEST(test_the_reason_where_a_descriptor_is_watched_already),
      TEST(test_the_reason_of_every_call_on_a_closed_queue),
      TEST(test_the_reason_where_a_queue_is_closed_during_the_wait),
      TEST(test_the_reason_where_a_descriptor_is_not_open),
      TEST(test_the_reason_where_no_descriptor_is_left),
      TEST(test_the_reason_where_no_memory_is_left),
      TEST(test_the_reason_where_a_sandbox_forbids_a_queue),
      TEST(test_the_reason_where_a_signal_ends_a_wait),
      TEST(test_the_reason_where_queues_would_watch_each_other_in_a_circle),
      TEST(test_the_reason_where_one_queue_too_many_is_added_below_others),
      TEST(test_the_reason_where_one_queue_too_many_is_added_above_others),
      TEST(test_a_reason_that_was_not_read_is_not_given_for_a_later_failure),
      TEST(test_a_second_reason_is_not_the_first_one), TEST(test_each_thread_gets_its_own_reason),
      TEST(test_a_positive_error_number_is_explained_too),
      TEST(test_an_add_that_fails_changes_no_field_of_the_watch),
      TEST(test_a_call_that_fails_changes_no_field_of_a_watch_that_is_in_a_queue),
      TEST(test_a_modify_that_fails_changes_no_field_of_the_watch),
      TEST(test_a_restart_that_fails_changes_no_field_of_the_watch),
      TEST(test_calls_on_a_watch_that_is_in_no_queue_change_no_field_of_it),
      TEST(test_an_add_that_would_close_a_circle_changes_no_field_of_the_watch))
