/* SPDX-License-Identifier: MIT
 *
 * Old kernels and sandboxes: a seccomp filter refuses a system call as a kernel that lacks it
 * (ENOSYS) or a policy (EPERM) does. The promises hold nevertheless.
 */
#include "things.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* From now on, in this process and its children, the call returns `verdict`. */
static void filter_call(long call, uint32_t verdict)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, verdict),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    CHECK_IS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_IS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void refuse(long call, int error)
{
    filter_call(call, SECCOMP_RET_ERRNO | (uint32_t)error);
    CHECK_IS(syscall(call, -1, NULL, 0, NULL, NULL, 0), -1);
    CHECK_IS(errno, error);
}

/* ------------------------------------------------------------------ no epoll_pwait2 */

static void check_time(int error)
{
    const int64_t timeouts[] = {1, 100000, 300000, 2500000};
    int64_t shortest = LONG;
    int p[2];
    readyq_watch w;
    refuse(SYS_epoll_pwait2, error);
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    for (int i = 0; i < 40; i++) {
        const int64_t timeout = timeouts[i % 4], before = now_ns();
        CHECK_IS(count_ready(q, timeout), 0);
        const int64_t took = now_ns() - before;
        CHECK(took >= timeout);
        if (timeout == 100000 && took < shortest)
            shortest = took;
    }
    CHECK(shortest < MS); /* not with a clock that counts milliseconds */
    put(p[1]);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

static void
test_waits_on_a_kernel_without_epoll_pwait2_are_never_early_and_below_a_millisecond(void)
{
    check_time(ENOSYS);
}

static void
test_waits_in_a_sandbox_without_epoll_pwait2_are_never_early_and_below_a_millisecond(void)
{
    check_time(EPERM);
}

/* ------------------------------------------------------------------ no pidfd_open */

static pid_t start_child(int code)
{
    const pid_t pid = fork();
    if (pid == 0) {
        sleep_ns(SOON);
        _exit(code);
    }
    CHECK(pid > 0);
    return pid;
}

static void check_processes(int error)
{
    readyq_batch batch = {0};
    readyq_watch w[2] = {0}, other = {0};
    refuse(SYS_pidfd_open, error);
    readyq *q = open_queue();
    const pid_t pid[2] = {start_child(3), start_child(4)};
    CHECK_IS(readyq_add_process(q, &other, getppid()), -ECHILD);
    CHECK_IS(readyq_add_process(q, &other, INT32_MAX), -ESRCH);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(readyq_add_process(q, &w[i], pid[i]), 0);
        CHECK_IS(w[i].fd, -1);
    }
    for (int left = 2; left > 0;) {
        CHECK(readyq_wait(q, &batch, LONG, 0) > 0);
        for (readyq_watch *found; (found = readyq_next(&batch)) != NULL; left--)
            CHECK_IS(WEXITSTATUS(found->status), found == &w[0] ? 3 : 4);
    }
    CHECK_QUIET(q);
    for (int i = 0; i < 2; i++)
        CHECK_IS(waitpid(pid[i], NULL, 0), pid[i]);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_children_are_reported_on_a_kernel_without_pidfd_open(void)
{
    check_processes(ENOSYS);
}

static void test_children_are_reported_in_a_sandbox_without_pidfd_open(void)
{
    check_processes(EPERM);
}

static void take_the_grandchild(readyq *q)
{
    readyq_batch batch = {0};
    readyq_watch w = {0}, *found = NULL;
    const pid_t pid = start_child(5);
    CHECK_IS(readyq_add_process(q, &w, pid), 0);
    while (found != &w) {
        CHECK(readyq_wait(q, &batch, LONG, 0) > 0);
        found = readyq_next(&batch);
    }
    readyq_done(&batch);
    CHECK_IS(WEXITSTATUS(w.status), 5);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
}

static void test_a_child_ended_unseen_at_a_fork_does_not_hide_the_next_without_pidfd_open(void)
{
    readyq_watch w = {0};
    refuse(SYS_pidfd_open, ENOSYS);
    readyq *q = open_queue();
    const pid_t pid = start_child(3);
    CHECK_IS(readyq_add_process(q, &w, pid), 0);
    CHECK_IS(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    sleep_ns(SOON); /* SIGCHLD has come, and no wait */
    const pid_t copy = fork();
    if (copy == 0) {
        take_the_grandchild(q);
        _exit(0);
    }
    expect_success(copy);
    CHECK_TAKES(q, &w);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q);
}

static void *wait_for_one(void *q)
{
    CHECK_IS(take_all_within(q, LONG), 1);
    return NULL;
}

static void test_a_child_that_has_ended_ends_a_wait_without_pidfd_open_too(void)
{
    readyq_watch w = {0};
    const pid_t pid = start_child(3);
    CHECK_IS(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    refuse(SYS_pidfd_open, ENOSYS);
    readyq *q = open_queue();
    pthread_t waiter = start(wait_for_one, q);
    sleep_ns(SOON);
    CHECK_IS(readyq_add_process(q, &w, pid), 0);
    join(waiter);
    CHECK_IS(w.ready, READYQ_FIRED);
    CHECK_IS(WEXITSTATUS(w.status), 3);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q);
}

static void test_children_cannot_be_watched_where_signals_are_forbidden_too(void)
{
    readyq_watch w = {0};
    const pid_t pid = start_child(0);
    refuse(SYS_pidfd_open, EPERM);
    readyq *q = open_queue();
    refuse(SYS_rt_sigaction, EPERM);
    for (int i = 0; i < 2; i++)
        CHECK_IS(readyq_add_process(q, &w, pid), -EPERM);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_a_thread_is_not_a_process_with_either_error_of_the_kernel(void)
{
    static const int errors[] = {EINVAL, ENOENT};
    readyq_watch w = {0};
    readyq *q = open_queue();
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            refuse(SYS_pidfd_open, errors[i]);
            CHECK_IS(readyq_add_process(q, &w, getpid()), -ESRCH);
            _exit(0);
        }
        expect_success(pid);
    }
    readyq_close(q);
}

/* ------------------------------------------------------------------ no fstat */

static void test_a_descriptor_whose_kind_is_unknown_is_described_too(void)
{
    char text[80];
    int p[2];
    open_pipe(p);
    refuse(SYS_newfstatat, EIO);
    refuse(SYS_fstat, EIO);
    CHECK_HAS(readyq_describe(p[0], text, sizeof text), "descriptor");
    close_pair(p);
}

/* ------------------------------------------------------------------ no eventfd */

static void *wait_once(void *q)
{
    CHECK_IS(count_ready(q, LONG), 0);
    return NULL;
}

/* The end of a pipe that wakes this queue, which is the only one to have any. */
static int find_write_end(void)
{
    for (int fd = 0; fd < 64; fd++) {
        struct stat file;
        if (fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) &&
            (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && fcntl(fd, F_GETFD) == FD_CLOEXEC)
            return fd;
    }
    return -1;
}

static void test_a_wake_where_the_pipe_is_full_is_a_wake(void)
{
    refuse(SYS_eventfd2, ENOSYS);
    readyq *q = open_queue();
    fill(find_write_end());
    CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(count_ready(q, LONG), 0);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void *wait_until_closed(void *q)
{
    CHECK_IS(count_ready(q, LONG), -ESHUTDOWN);
    return NULL;
}

static void test_a_close_wakes_all_waiters_without_eventfd_too(void)
{
    enum { WAITERS = 4 };
    pthread_t waiters[WAITERS];
    refuse(SYS_eventfd2, ENOSYS);
    readyq *q = readyq_ref(open_queue());
    for (int i = 0; i < WAITERS; i++)
        waiters[i] = start(wait_until_closed, q);
    sleep_ns(SOON);
    CHECK_IS(readyq_close(q), 0);
    for (int i = 0; i < WAITERS; i++)
        join(waiters[i]);
    readyq_unref(q);
}

static void check_wakes(int error)
{
    pthread_t waiters[2];
    readyq_watch trigger = {0};
    refuse(SYS_eventfd2, error);
    readyq *q = open_queue();
    for (int i = 0; i < 300; i++)
        CHECK_IS(readyq_wake(q), 0);
    CHECK_IS(count_ready(q, LONG), 0);
    CHECK_QUIET(q);
    for (int i = 0; i < 2; i++)
        waiters[i] = start(wait_once, q);
    sleep_ns(SOON);
    CHECK_IS(readyq_wake(q), 0);
    sleep_ns(SOON);
    CHECK_IS(readyq_wake(q), 0);
    for (int i = 0; i < 2; i++)
        join(waiters[i]);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(q, &trigger);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void test_wakes_work_on_a_kernel_without_eventfd(void)
{
    check_wakes(ENOSYS);
}

static void test_wakes_work_in_a_sandbox_without_eventfd(void)
{
    check_wakes(EPERM);
}

TESTS(TEST(test_waits_on_a_kernel_without_epoll_pwait2_are_never_early_and_below_a_millisecond),
      TEST(test_waits_in_a_sandbox_without_epoll_pwait2_are_never_early_and_below_a_millisecond),
      TEST(test_children_are_reported_on_a_kernel_without_pidfd_open),
      TEST(test_children_are_reported_in_a_sandbox_without_pidfd_open),
      TEST(test_a_child_ended_unseen_at_a_fork_does_not_hide_the_next_without_pidfd_open),
      TEST(test_a_child_that_has_ended_ends_a_wait_without_pidfd_open_too),
      TEST(test_children_cannot_be_watched_where_signals_are_forbidden_too),
      TEST(test_a_thread_is_not_a_process_with_either_error_of_the_kernel),
      TEST(test_a_descriptor_whose_kind_is_unknown_is_described_too),
      TEST(test_a_wake_where_the_pipe_is_full_is_a_wake),
      TEST(test_a_close_wakes_all_waiters_without_eventfd_too),
      TEST(test_wakes_work_on_a_kernel_without_eventfd),
      TEST(test_wakes_work_in_a_sandbox_without_eventfd))
