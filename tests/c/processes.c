/* SPDX-License-Identifier: MIT
 *
 * Processes: the end of a child is reported once, with its status, and the child is not reaped.
 */
#include "things.h"

#include <sys/syscall.h>

static void add_process(readyq *q, readyq_watch *w, pid_t pid)
{
    *w = (readyq_watch){0};
    CHECK_IS(readyq_add_process(q, w, pid), 0);
}

static pid_t start_child(int status, int64_t delay)
{
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ns(delay);
        _exit(status);
    }
    CHECK(pid > 0);
    return pid;
}

static void wait_until_zombie(pid_t pid)
{
    siginfo_t info;
    CHECK_IS(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* The delivery: everything that the watch of a process must report, and that the child is not
 * reaped. */
static void check_ended(readyq *q, readyq_watch *w, pid_t pid)
{
    int status = -1;
    CHECK_TAKES(q, w);
    CHECK_IS(w->ready, READYQ_FIRED);
    CHECK_IS(w->count, 1);
    CHECK_IS(w->pid, pid);
    CHECK(w->queue == NULL);
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(w->status, status);
    CHECK_QUIET(q);
}

static void test_end_of_a_child_is_reported_with_its_status_and_not_reaped(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(7, SOON);
    add_process(q, &w, pid);
    CHECK_IS(w.kind, READYQ_KIND_PROCESS);
    CHECK_IS(w.pid, pid);
    CHECK_IS(w.status, -1);
    CHECK_IS(readyq_size(q), 1);
    check_ended(q, &w, pid);
    CHECK_IS(WEXITSTATUS(w.status), 7);
    CHECK_IS(readyq_size(q), 0);
    readyq_close(q);
}

static void test_zombie_is_reported_at_once(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(3, 0);
    wait_until_zombie(pid);
    add_process(q, &w, pid);
    check_ended(q, &w, pid);
    CHECK_IS(WEXITSTATUS(w.status), 3);
    readyq_close(q);
}

static void test_child_ended_by_a_signal_says_which(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(0, LONG);
    add_process(q, &w, pid);
    CHECK_QUIET(q);
    CHECK_IS(kill(pid, SIGKILL), 0);
    check_ended(q, &w, pid);
    CHECK(WIFSIGNALED(w.status));
    CHECK_IS(WTERMSIG(w.status), SIGKILL);
    readyq_close(q);
}

static void test_stopped_child_has_not_ended(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(0, LONG);
    add_process(q, &w, pid);
    CHECK_IS(kill(pid, SIGSTOP), 0);
    CHECK_QUIET(q);
    CHECK_IS(kill(pid, SIGKILL), 0);
    check_ended(q, &w, pid);
    readyq_close(q);
}

static void test_removed_process_is_not_reported(void)
{
    readyq_batch batch = {0};
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(0, 0);
    add_process(q, &w, pid);
    wait_until_zombie(pid);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK(readyq_next(&batch) == NULL);
    CHECK_QUIET(q);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_one_process_may_be_watched_by_two_queues_and_twice(void)
{
    readyq_watch w[3];
    readyq *q[2] = {open_queue(), open_queue()};
    pid_t pid = start_child(9, SOON);
    add_process(q[0], &w[0], pid);
    add_process(q[1], &w[1], pid);
    add_process(q[1], &w[2], pid);
    CHECK_TAKES(q[0], &w[0]);
    for (int left = 2; left > 0;) {
        int n = take_all_within(q[1], LONG);
        CHECK(n > 0);
        left -= n;
    }
    for (int i = 0; i < 3; i++)
        CHECK_IS(WEXITSTATUS(w[i].status), 9);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q[0]);
    readyq_close(q[1]);
}

/* kqueue has one filter for both watches; removing the first must not remove it. */
static void test_the_end_of_a_process_is_reported_to_the_watch_that_remains(void)
{
    readyq_watch gone, w;
    readyq *q = open_queue();
    pid_t pid = start_child(3, LONG);
    add_process(q, &gone, pid);
    add_process(q, &w, pid);
    CHECK_IS(readyq_remove(&gone), 0);
    CHECK_IS(kill(pid, SIGKILL), 0);
    check_ended(q, &w, pid);
    readyq_close(q);
}

static void test_end_of_a_process_that_is_not_a_child_is_reported_without_status(void)
{
    int p[2];
    pid_t grandchild = 0;
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        grandchild = fork();
        if (grandchild == 0) {
            sleep_ns(5 * SOON);
            _exit(4);
        }
        CHECK_IS(write(p[1], &grandchild, sizeof grandchild), sizeof grandchild);
        _exit(0);
    }
    CHECK_IS(read(p[0], &grandchild, sizeof grandchild), sizeof grandchild);
    expect_success(pid);
    add_process(q, &w, grandchild);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.ready, READYQ_FIRED);
    CHECK_IS(w.status, -1);
    readyq_close(q);
    close_pair(p);
}

static void test_two_hundred_children_are_reported_once_each_with_their_status(void)
{
    readyq_batch batch = {0};
    enum { COUNT = 200 };
    static readyq_watch w[COUNT];
    readyq *q = open_queue();
    for (int i = 0; i < COUNT; i++)
        add_process(q, &w[i], start_child(i % 256, i % 2 ? 0 : i * MS / 20));
    for (int left = COUNT; left > 0;) {
        CHECK(readyq_wait(q, &batch, LONG, 0) > 0);
        for (readyq_watch *found; (found = readyq_next(&batch)) != NULL; left--) {
            CHECK_IS(found->status, ((found - w) % 256) << 8);
            CHECK_IS(waitpid(found->pid, NULL, 0), found->pid);
        }
    }
    CHECK_QUIET(q);
    CHECK_IS(readyq_size(q), 0);
    readyq_done(&batch);
    readyq_close(q);
}

static void test_child_reaped_by_someone_else_is_reported_without_status(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(5, SOON);
    add_process(q, &w, pid);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.status, -1);
    readyq_close(q);
}

static void test_bad_processes_are_refused(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(readyq_add_process(q, &w, 0), -EINVAL);
    CHECK_IS(readyq_add_process(q, &w, -1), -EINVAL);
    CHECK_IS(readyq_add_process(q, &w, INT32_MAX), -ESRCH);
    pid_t pid = start_child(0, 0);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    CHECK_IS(readyq_add_process(q, &w, pid), -ESRCH);
    CHECK(w.queue == NULL);
    CHECK_IS(readyq_size(q), 0);
    CHECK_QUIET(q);
    readyq_close(q);
}

static void *wait_with_its_own_id(void *argument)
{
    int *ends = argument;
    pid_t id = (pid_t)syscall(SYS_gettid);
    CHECK_IS(write(ends[1], &id, sizeof id), sizeof id);
    get(ends[2]);
    return NULL;
}

static void test_a_thread_is_not_a_process(void)
{
    int p[4];
    pid_t id = 0;
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK_IS(pipe(p), 0);
    CHECK_IS(pipe(p + 2), 0);
    pthread_t thread = start(wait_with_its_own_id, p);
    CHECK_IS(read(p[0], &id, sizeof id), sizeof id);
    CHECK_IS(readyq_add_process(q, &w, id), -ESRCH);
    put(p[3]);
    join(thread);
    readyq_close(q);
    close_pair(p);
    close_pair(p + 2);
}

static void test_the_descriptor_of_a_process_cannot_be_added(void)
{
    readyq_watch w, other = {0};
    readyq *q = open_queue();
    pid_t pid = start_child(0, LONG);
    add_process(q, &w, pid);
    if (w.fd >= 0) {
        CHECK(readyq_find(q, w.fd) == NULL);
        CHECK_IS(readyq_add(q, &other, w.fd, READYQ_READ), -EEXIST);
    }
    CHECK_IS(kill(pid, SIGKILL), 0);
    check_ended(q, &w, pid);
    readyq_close(q);
}

static void test_the_status_of_a_child_that_dumped_core_has_that_flag(void)
{
    char folder[] = "/tmp/readyq-XXXXXX";
    readyq_watch w;
    readyq *q = open_queue();
    CHECK(mkdtemp(folder) != NULL);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_IS(chdir(folder), 0);
        execl("/bin/sh", "sh", "-c", "ulimit -c unlimited; kill -ABRT $$", (char *)NULL);
        _exit(1);
    }
    add_process(q, &w, pid);
    check_ended(q, &w, pid); /* whether a core is written depends on the system */
    CHECK_IS(WTERMSIG(w.status), SIGABRT);
    readyq_close(q);
    pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-r", folder, (char *)NULL);
        _exit(1);
    }
    expect_success(pid);
}

/* Its descriptor belongs to the queue, but a program that closes all numbers closes it, too. */
static void test_a_process_whose_descriptor_was_closed_by_the_program_is_not_reported(void)
{
    int p[2];
    readyq_watch w;
    readyq *q = open_queue();
    pid_t pid = start_child(0, SOON);
    add_process(q, &w, pid);
    open_pipe(p);
    put(p[1]);
    if (w.fd >= 0)
        CHECK_IS(dup2(p[0], w.fd), w.fd);
    if (w.fd >= 0)
        CHECK(take_within(q, 2 * SOON) == NULL);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q);
    close_pair(p);
}

static void test_the_descriptor_of_a_process_that_is_watched_as_another_file_is_not_closed(void)
{
    int p[2];
    readyq_watch w, other;
    readyq *q = open_queue();
    pid_t pid = start_child(0, SOON);
    add_process(q, &w, pid);
    open_pipe(p);
    if (w.fd >= 0) {
        const int number = w.fd;
        CHECK_IS(dup2(p[0], number), number);
        add(q, &other, number, READYQ_READ);
        CHECK(readyq_stale(q) == &w);
        CHECK(fcntl(number, F_GETFD) >= 0);
        put(p[1]);
        CHECK_TAKES(q, &other);
        close(number);
    }
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_end_of_a_child_is_reported_with_its_status_and_not_reaped),
      TEST(test_zombie_is_reported_at_once), TEST(test_child_ended_by_a_signal_says_which),
      TEST(test_stopped_child_has_not_ended), TEST(test_removed_process_is_not_reported),
      TEST(test_one_process_may_be_watched_by_two_queues_and_twice),
      TEST(test_the_end_of_a_process_is_reported_to_the_watch_that_remains),
      TEST(test_end_of_a_process_that_is_not_a_child_is_reported_without_status),
      TEST(test_two_hundred_children_are_reported_once_each_with_their_status),
      TEST(test_child_reaped_by_someone_else_is_reported_without_status),
      TEST(test_bad_processes_are_refused), TEST(test_a_thread_is_not_a_process),
      TEST(test_the_descriptor_of_a_process_cannot_be_added),
      TEST(test_the_status_of_a_child_that_dumped_core_has_that_flag),
      TEST(test_a_process_whose_descriptor_was_closed_by_the_program_is_not_reported),
      TEST(test_the_descriptor_of_a_process_that_is_watched_as_another_file_is_not_closed))
