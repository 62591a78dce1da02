/* SPDX-License-Identifier: MIT
 *
 * Signal handlers of other code, installed before and after the library's, and other copies of the
 * library in the process (see the Makefile): all of them keep working, and an active watch fires.
 * The linker replaces sigaction by the function here, so that a test can act between two steps of a
 * handler.
 */
#include "workers.h"

#include <dlfcn.h>
#include <setjmp.h>

int __real_sigaction(int signal, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int signal, const struct sigaction *new, struct sigaction *old);

static void (*_Atomic after_question)(void); /* is called once, after the current action was read */

int __wrap_sigaction(int signal, const struct sigaction *new, struct sigaction *old)
{
    const int result = __real_sigaction(signal, new, old);
    void (*then)(void) = new == NULL ? atomic_exchange(&after_question, NULL) : NULL;
    if (then != NULL)
        then();
    return result;
}

/* ------------------------------------------------------------------ other handlers */

static atomic_int below, above;
static siginfo_t last_info;
static void *last_context;

static void on_below(int signal)
{
    (void)signal;
    below++;
}

static void on_below_with_info(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    below++;
    last_info = *info;
    last_context = context;
}

static void on_above(int signal)
{
    (void)signal;
    above++;
}

static void on_above_with_info(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    above++;
}

static void install(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK_IS(sigaction(signal, &action, NULL), 0);
}

static void install_with_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    CHECK_IS(sigaction(signal, &action, NULL), 0);
}

static struct sigaction current(int signal)
{
    struct sigaction action;
    CHECK_IS(sigaction(signal, NULL, &action), 0);
    return action;
}

/* Sends the signal and checks how often each of the two handlers is called. */
static void check_calls(int signal, int below_calls, int above_calls)
{
    below = above = 0;
    CHECK_IS(raise(signal), 0);
    CHECK_IS(below, below_calls);
    CHECK_IS(above, above_calls);
}

/* ------------------------------------------------------------------ one watch in one queue */

struct one {
    readyq *q;
    readyq_watch w;
};

static void watch(struct one *one, int signal)
{
    memset(one, 0, sizeof *one);
    one->q = open_queue();
    CHECK_IS(readyq_add_signal(one->q, &one->w, signal), 0);
}

static void unwatch(struct one *one)
{
    CHECK_IS(readyq_remove(&one->w), 0);
    readyq_close(one->q);
}

/* It has fired once. This only looks: a wait that sleeps could change the handlers. */
static void check_fired(struct one *one)
{
    CHECK(take_within(one->q, 0) == &one->w);
    CHECK_IS(one->w.count, 1);
    CHECK(take_within(one->q, 0) == NULL);
}

static void check_silent(struct one *one)
{
    CHECK(take_within(one->q, 0) == NULL);
}

static void sleep_in_wait(struct one *one)
{
    CHECK(take_within(one->q, MS) == NULL);
}

/* Runs it in a child, and returns the child's wait status. */
static int in_child(void (*run)(void *), void *argument)
{
    int status;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        run(argument);
        _exit(0);
    }
    CHECK_IS(waitpid(pid, &status, 0), pid);
    return status;
}

/* ------------------------------------------------------------------ installed before */

static void test_a_handler_that_was_installed_before_is_called_too(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    check_calls(SIGUSR1, 1, 0);
    check_fired(&one);
    unwatch(&one);
    check_calls(SIGUSR1, 1, 0);
}

static void test_a_handler_that_was_installed_before_gets_the_signals_information(void)
{
    struct one one;
    install_with_info(SIGUSR1, on_below_with_info, 0);
    watch(&one, SIGUSR1);
    CHECK_IS(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42}), 0);
    CHECK_IS(below, 1);
    CHECK_IS(last_info.si_signo, SIGUSR1);
    CHECK_IS(last_info.si_code, SI_QUEUE);
    CHECK_IS(last_info.si_pid, getpid());
    CHECK_IS(last_info.si_value.sival_int, 42);
    CHECK(last_context != NULL);
    check_fired(&one);
    unwatch(&one);
}

static void test_watches_in_several_queues_call_the_handler_below_once(void)
{
    struct one one, other;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    watch(&other, SIGUSR1);
    check_calls(SIGUSR1, 1, 0);
    check_fired(&one);
    check_fired(&other);
    unwatch(&one);
    check_calls(SIGUSR1, 1, 0);
    check_fired(&other);
    unwatch(&other);
    check_calls(SIGUSR1, 1, 0);
}

static void test_errno_is_kept(void)
{
    struct one one;
    watch(&one, SIGUSR1);
    errno = EDOM;
    raise(SIGUSR1);
    CHECK_IS(errno, EDOM);
    unwatch(&one);
}

static _Alignas(16) char other_stack[65536];
static bool was_on_other_stack;

static void note_stack(int signal)
{
    const char here = (char)signal;
    was_on_other_stack = &here >= other_stack && &here < other_stack + sizeof other_stack;
}

static void test_a_handler_that_was_installed_before_runs_on_its_alternate_stack(void)
{
    const stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    stack_t old;
    struct one one;
    CHECK_IS(sigaltstack(&stack, &old), 0);
    install(SIGUSR1, note_stack, SA_ONSTACK);
    watch(&one, SIGUSR1);
    raise(SIGUSR1);
    CHECK(was_on_other_stack);
    unwatch(&one);
    CHECK_IS(sigaltstack(&old, NULL), 0);
}

/* ------------------------------------------------------------------ its flags */

/* The result of a read that blocks while the signal arrives, and a byte some time after it. */
static ssize_t read_through_signal(void)
{
    int p[2];
    char byte;
    CHECK_IS(pipe(p), 0);
    const pid_t reader = getpid(), pid = fork();
    if (pid == 0) {
        sleep_ns(5 * SOON); /* until it sleeps in read() */
        CHECK_IS(kill(reader, SIGUSR1), 0);
        sleep_ns(SOON);
        put(p[1]);
        _exit(0);
    }
    const ssize_t n = read(p[0], &byte, 1);
    const int error = errno;
    expect_success(pid);
    close_pair(p);
    errno = error;
    return n;
}

static void test_system_calls_are_interrupted_if_the_handler_before_wants_that(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    CHECK_IS(read_through_signal(), -1);
    CHECK_IS(errno, EINTR);
    CHECK_IS(below, 1);
    check_fired(&one);
    unwatch(&one);
}

static void test_system_calls_are_restarted_if_the_handler_before_wants_that(void)
{
    struct one one;
    install(SIGUSR1, on_below, SA_RESTART);
    watch(&one, SIGUSR1);
    CHECK_IS(read_through_signal(), 1);
    CHECK_IS(below, 1);
    check_fired(&one);
    unwatch(&one);
}

static void exit_at_once(void *unused)
{
    (void)unused;
}

static void check_no_zombie(void)
{
    struct one one;
    watch(&one, SIGCHLD);
    const pid_t pid = fork();
    if (pid == 0) {
        exit_at_once(NULL);
        _exit(0);
    }
    CHECK_TAKES(one.q, &one.w);
    CHECK_IS(waitpid(pid, NULL, 0), -1);
    CHECK_IS(errno, ECHILD);
    unwatch(&one);
}

static void test_children_leave_no_zombies_where_sigchld_was_ignored(void)
{
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    check_no_zombie();
    CHECK(current(SIGCHLD).sa_handler == SIG_IGN);
}

static void test_children_leave_no_zombies_where_the_handler_before_wants_that(void)
{
    install(SIGCHLD, on_below, SA_NOCLDWAIT);
    check_no_zombie();
    CHECK_IS(below, 1);
}

static void test_children_that_stop_are_not_reported_where_the_handler_before_wants_that(void)
{
    struct one one;
    int status;
    install(SIGCHLD, on_below, SA_NOCLDSTOP);
    watch(&one, SIGCHLD);
    const pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    CHECK_IS(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    check_silent(&one);
    CHECK_IS(kill(pid, SIGCONT), 0);
    CHECK_TAKES(one.q, &one.w);
    CHECK_IS(waitpid(pid, &status, 0), pid);
    unwatch(&one);
}

/* ------------------------------------------------------------------ replaced after a watch */

enum replacement { PLAIN, BY_SIGNAL, WITH_INFO, ONCE, REPLACEMENTS };

static void replace(int signum, enum replacement how)
{
    if (how == PLAIN)
        install(signum, on_above, 0);
    else if (how == BY_SIGNAL)
        CHECK(signal(signum, on_above) != SIG_ERR);
    else if (how == WITH_INFO)
        install_with_info(signum, on_above_with_info, SA_RESTART);
    else
        install(signum, on_above, (int)SA_RESETHAND);
}

static void test_a_watch_that_is_added_after_the_handler_was_replaced_fires_and_so_do_all(void)
{
    for (int how = 0; how < REPLACEMENTS; how++) {
        struct one one, later;
        install(SIGUSR1, on_below, 0);
        watch(&one, SIGUSR1);
        replace(SIGUSR1, (enum replacement)how);
        watch(&later, SIGUSR1);
        for (int i = 0; i < 3; i++) {
            check_calls(SIGUSR1, 0, 1);
            check_fired(&later);
            check_fired(&one);
        }
        unwatch(&later);
        check_calls(SIGUSR1, 0, 1);
        check_fired(&one);
        unwatch(&one);
        CHECK(how == WITH_INFO ? current(SIGUSR1).sa_sigaction == on_above_with_info
                               : current(SIGUSR1).sa_handler == on_above);
        check_calls(SIGUSR1, 0, 1);
    }
}

static void test_a_watch_fires_again_after_a_wait_that_sleeps_though_the_handler_was_replaced(void)
{
    for (int how = 0; how < REPLACEMENTS; how++) {
        struct one one;
        install(SIGUSR1, on_below, 0);
        watch(&one, SIGUSR1);
        replace(SIGUSR1, (enum replacement)how);
        sleep_in_wait(&one);
        for (int i = 0; i < 3; i++) {
            check_calls(SIGUSR1, 0, 1);
            check_fired(&one);
        }
        unwatch(&one);
        check_calls(SIGUSR1, 0, 1);
    }
}

/* The next signal would end the process. */
static void test_a_watch_fires_again_after_the_handler_on_top_has_reset_itself(void)
{
    struct one one;
    watch(&one, SIGUSR1);
    install(SIGUSR1, on_above, (int)SA_RESETHAND);
    check_calls(SIGUSR1, 0, 1);
    CHECK(current(SIGUSR1).sa_handler == SIG_DFL);
    sleep_in_wait(&one);
    check_calls(SIGUSR1, 0, 0);
    check_fired(&one);
    unwatch(&one);
    CHECK(current(SIGUSR1).sa_handler == SIG_DFL);
}

static void test_a_watch_fires_again_after_the_signal_was_ignored(void)
{
    struct one one;
    watch(&one, SIGUSR1);
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    sleep_in_wait(&one);
    check_calls(SIGUSR1, 0, 0);
    check_fired(&one);
    unwatch(&one);
    CHECK(current(SIGUSR1).sa_handler == SIG_IGN);
}

static struct sigaction saved;

static void on_above_and_chain(int signal, siginfo_t *info, void *context)
{
    above++;
    if (saved.sa_flags & SA_SIGINFO)
        saved.sa_sigaction(signal, info, context);
    else if (saved.sa_handler != SIG_DFL && saved.sa_handler != SIG_IGN)
        saved.sa_handler(signal);
}

static void install_chained(int signal)
{
    const struct sigaction action = {.sa_sigaction = on_above_and_chain, .sa_flags = SA_SIGINFO};
    CHECK_IS(sigaction(signal, &action, &saved), 0);
}

static void test_a_handler_on_top_that_calls_the_one_it_replaced_does_no_harm(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    install_chained(SIGUSR1);
    check_calls(SIGUSR1, 1, 1);
    check_fired(&one);
    sleep_in_wait(&one); /* the library's handler is at the top and at the bottom now */
    check_calls(SIGUSR1, 1, 1);
    check_fired(&one);
    unwatch(&one);
    check_calls(SIGUSR1, 1, 1);
    CHECK_IS(sigaction(SIGUSR1, &saved, NULL), 0);
    check_calls(SIGUSR1, 1, 0);
    check_calls(SIGUSR1, 1, 0);
}

static void test_a_handler_that_calls_ours_can_come_and_go_again_and_again(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    for (int i = 0; i < 20; i++) {
        install_chained(SIGUSR1);
        sleep_in_wait(&one);
        check_calls(SIGUSR1, 1, 1);
        check_fired(&one);
        CHECK_IS(sigaction(SIGUSR1, &saved, NULL), 0);
        sleep_in_wait(&one);
        check_calls(SIGUSR1, 1, 0);
        check_fired(&one);
    }
    unwatch(&one);
    check_calls(SIGUSR1, 1, 0);
}

static void test_handlers_can_be_replaced_again_and_again(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    for (int i = 0; i < 50; i++) {
        replace(SIGUSR1, (enum replacement)(i % REPLACEMENTS));
        sleep_in_wait(&one);
        check_calls(SIGUSR1, 0, 1);
        check_fired(&one);
    }
    unwatch(&one);
    check_calls(SIGUSR1, 0, 1);
}

/* ------------------------------------------------------------------ removed below another */

/* Another handler is on top while the watch is removed, and restores ours afterwards. */
static void leave_ours_behind(void)
{
    struct one one;
    struct sigaction other = {.sa_handler = on_above}, ours;
    watch(&one, SIGTERM);
    CHECK_IS(sigaction(SIGTERM, &other, &ours), 0);
    unwatch(&one);
    check_calls(SIGTERM, 0, 1);
    CHECK_IS(sigaction(SIGTERM, &ours, NULL), 0);
}

static void leave_ours_behind_and_die(void *unused)
{
    (void)unused;
    leave_ours_behind();
    raise(SIGTERM);
}

static void test_the_default_action_is_restored_though_another_handler_was_on_top(void)
{
    const int status = in_child(leave_ours_behind_and_die, NULL);
    CHECK(WIFSIGNALED(status));
    CHECK_IS(WTERMSIG(status), SIGTERM);
}

static void test_a_signal_is_ignored_again_though_another_handler_was_on_top(void)
{
    CHECK(signal(SIGTERM, SIG_IGN) != SIG_ERR);
    leave_ours_behind();
    check_calls(SIGTERM, 0, 0);
    CHECK(current(SIGTERM).sa_handler == SIG_IGN);
}

static void test_the_handler_before_is_called_again_though_another_handler_was_on_top(void)
{
    install(SIGTERM, on_below, 0);
    leave_ours_behind();
    check_calls(SIGTERM, 1, 0);
    CHECK(current(SIGTERM).sa_handler == on_below);
    check_calls(SIGTERM, 1, 0);
}

static void test_a_watch_added_after_a_handler_was_left_behind_fires(void)
{
    struct one one;
    install(SIGTERM, on_below, 0);
    for (int i = 0; i < 20; i++) {
        leave_ours_behind();
        if (i % 2)
            check_calls(SIGTERM, 1, 0);
        watch(&one, SIGTERM);
        check_calls(SIGTERM, 1, 0);
        check_fired(&one);
        unwatch(&one);
        check_calls(SIGTERM, 1, 0);
    }
}

static struct {
    struct worker worker;
    readyq_watch w;
} adder;

static void add_signal_in_worker(struct worker *worker)
{
    CHECK_IS(readyq_add_signal(worker->q, &adder.w, SIGTERM), 0);
}

static void add_in_another_thread(void)
{
    make(&adder.worker, add_signal_in_worker);
}

/* It finds the library's handler installed, which has found that it has no watch. */
static void test_a_watch_added_while_a_handler_that_was_left_behind_is_undone_fires(void)
{
    readyq *q = open_queue();
    install(SIGTERM, on_below, 0);
    hire(&adder.worker, q);
    leave_ours_behind();
    after_question = add_in_another_thread;
    check_calls(SIGTERM, 1, 0);
    CHECK(adder.w.queue == q);
    CHECK_TAKES(q, &adder.w);
    check_calls(SIGTERM, 1, 0);
    CHECK(take_within(q, 0) == &adder.w);
    dismiss(&adder.worker);
    readyq_close(q);
    check_calls(SIGTERM, 1, 0);
}

static void unwind_two_levels_and_die(void *unused)
{
    struct one one, later;
    struct sigaction other = {.sa_handler = on_above}, lower, upper;
    (void)unused;
    watch(&one, SIGTERM);
    CHECK_IS(sigaction(SIGTERM, &other, &lower), 0);
    watch(&later, SIGTERM);
    CHECK_IS(sigaction(SIGTERM, &other, &upper), 0);
    unwatch(&one);
    unwatch(&later);
    CHECK_IS(sigaction(SIGTERM, &upper, NULL), 0);
    check_calls(SIGTERM, 0, 1);
    CHECK_IS(sigaction(SIGTERM, &lower, NULL), 0);
    raise(SIGTERM);
}

static void test_handlers_that_were_left_behind_at_two_places_are_undone_one_by_one(void)
{
    const int status = in_child(unwind_two_levels_and_die, NULL);
    CHECK(WIFSIGNALED(status));
    CHECK_IS(WTERMSIG(status), SIGTERM);
}

/* ------------------------------------------------------------------ copies of the library */

struct copy {
    void *library;
    int (*open)(readyq **q, const struct readyq_options *options);
    int (*close)(readyq *q);
    int (*add_signal)(readyq *q, readyq_watch *w, int signal);
    int (*remove)(readyq_watch *w);
    int (*wait)(readyq *q, readyq_batch *batch, int64_t timeout, int max);
    readyq_watch *(*next)(readyq_batch *batch);
    int (*done)(readyq_batch *batch);
    readyq *q;
    readyq_watch w;
    bool active;
};

#ifndef COPIES /* defined in the Makefile: the prefix of the names of the copies */
#define COPIES "copy"
#endif

enum { COPIES_LOADED = 3 };
static struct copy copies[COPIES_LOADED];

static void find_function(struct copy *copy, const char *name, void *function)
{
    void *symbol = dlsym(copy->library, name);
    CHECK(symbol != NULL);
    memcpy(function, &symbol, sizeof symbol);
}

static void load_copy(struct copy *copy, int number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%d.so", COPIES, number);
    copy->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (copy->library == NULL)
        fail(__FILE__, __LINE__, dlerror());
    find_function(copy, "readyq_open", &copy->open);
    find_function(copy, "readyq_close", &copy->close);
    find_function(copy, "readyq_add_signal", &copy->add_signal);
    find_function(copy, "readyq_remove", &copy->remove);
    find_function(copy, "readyq_wait", &copy->wait);
    find_function(copy, "readyq_next", &copy->next);
    find_function(copy, "readyq_done", &copy->done);
}

/* The copy in this program, and two that are loaded. */
static void open_copies(void)
{
    copies[0] = (struct copy){NULL,          readyq_open,    readyq_close, readyq_add_signal,
                              readyq_remove, readyq_wait,    readyq_next,  readyq_done,
                              NULL,          {.data = NULL}, false};
    for (int i = 0; i < COPIES_LOADED; i++) {
        if (i > 0)
            load_copy(&copies[i], i);
        CHECK_IS(copies[i].open(&copies[i].q, NULL), 0);
        for (int j = 0; j < i; j++)
            CHECK(copies[i].wait != copies[j].wait);
    }
}

static void close_copies(void)
{
    for (int i = 0; i < COPIES_LOADED; i++) {
        CHECK_IS(copies[i].close(copies[i].q), 0);
        if (copies[i].library != NULL)
            CHECK_IS(dlclose(copies[i].library), 0);
    }
}

static void watch_by(struct copy *copy)
{
    copy->w = (readyq_watch){0};
    CHECK_IS(copy->add_signal(copy->q, &copy->w, SIGUSR1), 0);
    copy->active = true;
}

static void unwatch_by(struct copy *copy)
{
    CHECK_IS(copy->remove(&copy->w), 0);
    copy->active = false;
}

static void sleep_in_wait_of(struct copy *copy)
{
    readyq_batch batch = {0};
    CHECK_IS(copy->wait(copy->q, &batch, MS, 0), 0);
    CHECK_IS(copy->done(&batch), 0);
}

/* Its watch fires once if it is active, and not at all otherwise. */
static void check_copy(struct copy *copy)
{
    readyq_batch batch = {0};
    CHECK_IS(copy->wait(copy->q, &batch, 0, 0), copy->active);
    if (copy->active) {
        CHECK(copy->next(&batch) == &copy->w);
        CHECK_IS(copy->w.count, 1);
    }
    CHECK_IS(copy->done(&batch), 0);
}

/* A signal reaches every copy with a watch and the handler below, once each. */
static void check_copies(int below_calls, int above_calls)
{
    check_calls(SIGUSR1, below_calls, above_calls);
    for (int i = 0; i < COPIES_LOADED; i++)
        check_copy(&copies[i]);
}

static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

static void test_copies_of_the_library_all_get_a_signal_whatever_the_order_of_adding(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            for (int k = 0; k < 3; k++) {
                watch_by(&copies[orders[i][k]]);
                check_copies(1, 0);
            }
            for (int k = 0; k < 3; k++) {
                unwatch_by(&copies[orders[j][k]]);
                check_copies(1, 0);
            }
            CHECK(current(SIGUSR1).sa_handler == on_below);
        }
    close_copies();
}

/* Every few rounds each of them is removed and added, in changing order. */
static void test_copies_that_come_and_go_in_turn_do_not_call_each_other_in_a_circle(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    watch_by(&copies[0]);
    watch_by(&copies[1]);
    for (int i = 0; i < 50; i++) {
        struct copy *copy = &copies[i % 3];
        if (copy->active)
            unwatch_by(copy);
        else
            watch_by(copy);
        check_copies(1, 0);
        for (int j = 0; j < COPIES_LOADED; j++)
            if (i % 5 == 0)
                sleep_in_wait_of(&copies[j]);
        check_copies(1, 0);
    }
    close_copies();
    check_calls(SIGUSR1, 1, 0);
}

static void test_two_copies_that_alternate_do_not_call_each_other_in_a_circle(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    watch_by(&copies[1]);
    for (int i = 0; i < 50; i++) {
        watch_by(&copies[2]);
        unwatch_by(&copies[1]);
        check_copies(1, 0);
        watch_by(&copies[1]);
        unwatch_by(&copies[2]);
        check_copies(1, 0);
    }
    unwatch_by(&copies[1]);
    close_copies();
    check_calls(SIGUSR1, 1, 0);
}

/* A handler that does not call the one it replaced keeps the signal from the copy below it, until a
 * wait of that copy sleeps. */
static void test_copies_fire_again_after_another_handler_was_put_between_them(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    watch_by(&copies[0]);
    install(SIGUSR1, on_above, 0);
    watch_by(&copies[1]);
    sleep_in_wait_of(&copies[0]);
    check_copies(0, 1);
    for (int i = 0; i < 50; i++) {
        sleep_in_wait_of(&copies[i % 2]);
        check_copies(0, 1);
    }
    unwatch_by(&copies[0]);
    unwatch_by(&copies[1]);
    close_copies();
    check_calls(SIGUSR1, 0, 1);
}

static void test_copies_fire_again_after_another_handler_was_put_on_top(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    for (int i = 0; i < 50; i++) {
        watch_by(&copies[0]);
        watch_by(&copies[1]);
        install(SIGUSR1, on_above, 0);
        sleep_in_wait_of(&copies[i % 2]);
        sleep_in_wait_of(&copies[1 - i % 2]);
        check_copies(0, 1);
        unwatch_by(&copies[i / 2 % 2]);
        check_copies(0, 1);
        unwatch_by(&copies[1 - i / 2 % 2]);
        check_calls(SIGUSR1, 0, 1);
    }
    close_copies();
}

/* ------------------------------------------------------------------ unloading */

static void test_a_signal_after_a_copy_was_unloaded_reaches_the_handler_before(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    watch_by(&copies[1]);
    check_copies(1, 0);
    unwatch_by(&copies[1]);
    close_copies();
    check_calls(SIGUSR1, 1, 0);
}

/* Its handler is in the middle of the chain, and later on its top. */
static void test_a_copy_can_be_unloaded_while_others_were_installed_over_its_handler(void)
{
    open_copies();
    install(SIGUSR1, on_below, 0);
    watch_by(&copies[1]);
    watch_by(&copies[0]);
    unwatch_by(&copies[1]);
    CHECK_IS(copies[1].close(copies[1].q), 0);
    CHECK_IS(dlclose(copies[1].library), 0);
    check_calls(SIGUSR1, 1, 0);
    check_copy(&copies[0]);
    unwatch_by(&copies[0]);
    check_calls(SIGUSR1, 1, 0);
    check_calls(SIGUSR1, 1, 0);
    CHECK(current(SIGUSR1).sa_handler == on_below);
    CHECK_IS(copies[0].close(copies[0].q), 0);
    CHECK_IS(copies[2].close(copies[2].q), 0);
    CHECK_IS(dlclose(copies[2].library), 0);
}

static void test_a_copy_can_be_unloaded_while_a_handler_that_will_restore_its_own_is_on_top(void)
{
    struct sigaction other = {.sa_handler = on_above}, theirs;
    open_copies();
    install(SIGUSR1, on_below, 0);
    watch_by(&copies[1]);
    CHECK_IS(sigaction(SIGUSR1, &other, &theirs), 0);
    unwatch_by(&copies[1]);
    close_copies();
    check_calls(SIGUSR1, 0, 1);
    CHECK_IS(sigaction(SIGUSR1, &theirs, NULL), 0);
    check_calls(SIGUSR1, 1, 0);
    check_calls(SIGUSR1, 1, 0);
}

/* ------------------------------------------------------------------ leaving by a jump */

static sigjmp_buf way_out;

static void jump_out(int signal)
{
    below++;
    siglongjmp(way_out, signal);
}

static void test_the_handler_below_may_leave_by_a_jump(void)
{
    struct one one;
    volatile int jumps = 0;
    install(SIGUSR1, jump_out, 0);
    watch(&one, SIGUSR1);
    if (sigsetjmp(way_out, 1) != 0)
        jumps++;
    while (jumps < 100)
        raise(SIGUSR1);
    CHECK_IS(below, 100);
    CHECK(take_within(one.q, 0) == &one.w);
    CHECK_IS(one.w.count, 100);
    unwatch(&one); /* waits for handlers that run */
    if (sigsetjmp(way_out, 1) == 0)
        raise(SIGUSR1);
    CHECK_IS(below, 101);
}

/* ------------------------------------------------------------------ readyq_default_handler() */

static void
test_a_handler_that_counts_as_the_default_is_not_called_while_the_signal_is_watched(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    CHECK_IS(readyq_default_handler(SIGUSR1, on_below), 0);
    check_calls(SIGUSR1, 1, 0);
    watch(&one, SIGUSR1);
    check_calls(SIGUSR1, 0, 0);
    check_fired(&one);
    CHECK_IS(readyq_default_handler(SIGUSR1, NULL), 0);
    check_calls(SIGUSR1, 1, 0);
    check_fired(&one);
    CHECK_IS(readyq_default_handler(SIGUSR1, on_below), 0);
    unwatch(&one);
    check_calls(SIGUSR1, 1, 0);
}

static void test_a_handler_installed_over_the_default_one_is_called(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    CHECK_IS(readyq_default_handler(SIGUSR1, on_below), 0);
    watch(&one, SIGUSR1);
    install(SIGUSR1, on_above, 0);
    CHECK_QUIET(one.q);
    check_calls(SIGUSR1, 0, 1);
    check_fired(&one);
    unwatch(&one);
    check_calls(SIGUSR1, 0, 1);
}

static void test_only_a_handler_without_sa_siginfo_counts_as_the_default(void)
{
    union {
        void (*with_info)(int, siginfo_t *, void *);
        void (*plain)(int);
    } same = {on_below_with_info};
    struct one one;
    install_with_info(SIGUSR1, on_below_with_info, 0);
    CHECK_IS(readyq_default_handler(SIGUSR1, same.plain), 0);
    watch(&one, SIGUSR1);
    check_calls(SIGUSR1, 1, 0);
    check_fired(&one);
    unwatch(&one);
}

static void test_no_handler_counts_for_a_signal_that_cannot_be_watched(void)
{
    static const int bad[] = {0, -1, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 1000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_IS(readyq_default_handler(bad[i], on_below), -EINVAL);
}

/* ------------------------------------------------------------------ blocked signals */

static void block(int signal, int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    CHECK_IS(pthread_sigmask(how, &set, NULL), 0);
}

static void test_adding_a_signal_that_every_thread_blocks_returns_1_and_fires_once_unblocked(void)
{
    readyq_watch w = {0};
    readyq *q = open_queue();
    block(SIGUSR1, SIG_BLOCK);
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 1);
    CHECK(w.queue == q);
    CHECK(w.armed);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    CHECK_QUIET(q);
    block(SIGUSR1, SIG_UNBLOCK);
    CHECK_TAKES(q, &w);
    CHECK_IS(w.count, 1);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
    readyq_close(q);
}

static void unblock_in_worker(struct worker *worker)
{
    block(SIGUSR1, SIG_UNBLOCK);
    (void)worker;
}

/* A new thread inherits the mask of the thread that starts it. */
static void test_adding_a_signal_that_one_thread_does_not_block_returns_0(void)
{
    struct worker workers[2];
    readyq_watch w = {0};
    readyq *q = open_queue();
    block(SIGUSR1, SIG_BLOCK);
    for (int i = 0; i < 2; i++)
        hire(&workers[i], q);
#if defined(__linux__) /* elsewhere the masks of other threads cannot be read */
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 1);
    CHECK_IS(readyq_remove(&w), 0);
#endif
    make(&workers[1], unblock_in_worker);
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
    CHECK_IS(kill(getpid(), SIGUSR1), 0);
    CHECK_TAKES(q, &w);
    for (int i = 0; i < 2; i++)
        dismiss(&workers[i]);
    readyq_close(q);
}

/* ------------------------------------------------------------------ fork */

static void check_in_child(void *argument)
{
    struct one *one = argument;
    check_calls(SIGUSR1, 1, 0);
    CHECK(take_within(one->q, LONG) == &one->w);
    replace(SIGUSR1, PLAIN);
    sleep_in_wait(one);
    check_calls(SIGUSR1, 0, 1);
    check_fired(one);
    unwatch(one);
    check_calls(SIGUSR1, 0, 1);
}

static void test_a_child_has_the_same_chain_and_the_parent_keeps_its_own(void)
{
    struct one one;
    install(SIGUSR1, on_below, 0);
    watch(&one, SIGUSR1);
    CHECK_IS(in_child(check_in_child, &one), 0);
    check_silent(&one);
    check_calls(SIGUSR1, 1, 0);
    check_fired(&one);
    unwatch(&one);
    check_calls(SIGUSR1, 1, 0);
}

static void remove_and_die(void *argument)
{
    unwatch(argument);
    raise(SIGUSR1);
}

static void test_a_child_that_removes_its_watch_has_the_default_action_again(void)
{
    struct one one;
    watch(&one, SIGUSR1);
    const int status = in_child(remove_and_die, &one);
    CHECK(WIFSIGNALED(status));
    CHECK_IS(WTERMSIG(status), SIGUSR1);
    check_calls(SIGUSR1, 0, 0);
    check_fired(&one);
    unwatch(&one);
}

/* ------------------------------------------------------------------ a storm */

enum { SIGNALS = 3000 };

static void send_many(struct worker *worker)
{
    (void)worker;
    for (int i = 0; i < SIGNALS; i++)
        while (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) < 0)
            sleep_ns(MS / 10);
}

/* Real-time signals queue up, so each is delivered. */
static void test_the_handler_below_is_called_for_each_signal_while_watches_come_and_go(void)
{
    struct worker worker;
    uint64_t count = 0;
    readyq *q = open_queue();
    install(SIGRTMIN, on_below, 0);
    hire(&worker, q);
    tell(&worker, send_many);
    while (!is_idle(&worker)) {
        readyq_watch w = {0};
        CHECK_IS(readyq_add_signal(q, &w, SIGRTMIN), 0);
        if (take_within(q, MS / 10) != NULL)
            count += w.count;
        CHECK_IS(readyq_remove(&w), 0);
    }
    dismiss(&worker);
    while (below < SIGNALS)
        sleep_ns(MS);
    CHECK_IS(below, SIGNALS);
    CHECK(count > 0 && count <= SIGNALS);
    CHECK(current(SIGRTMIN).sa_handler == on_below);
    readyq_close(q);
}

/* The library's handler is left behind each time, and removed by the first signal, in any
 * thread. */
static void test_a_watch_fires_though_signals_undo_a_handler_that_was_left_behind(void)
{
    struct worker worker;
    readyq *q = open_queue();
    install(SIGRTMIN, on_below, 0);
    hire(&worker, q);
    tell(&worker, send_many);
    while (!is_idle(&worker)) {
        readyq_watch w = {0};
        struct sigaction other = {.sa_handler = on_below}, ours;
        CHECK_IS(readyq_add_signal(q, &w, SIGRTMIN), 0);
        CHECK_IS(raise(SIGRTMIN), 0);
        below--;
        CHECK(take_within(q, 5 * SECOND) == &w);
        CHECK_IS(sigaction(SIGRTMIN, &other, &ours), 0);
        CHECK_IS(readyq_remove(&w), 0);
        CHECK_IS(sigaction(SIGRTMIN, &ours, NULL), 0);
    }
    dismiss(&worker);
    CHECK_IS(raise(SIGRTMIN), 0);
    CHECK_IS(below, SIGNALS + 1);
    CHECK(current(SIGRTMIN).sa_handler == on_below);
    readyq_close(q);
}

enum { OTHERS = 20 };

static atomic_bool enough;

static void raise_again_and_again(struct worker *worker)
{
    while (!enough)
        CHECK_IS(raise(SIGUSR1), 0);
    (void)worker;
}

/* A handler in another thread may just have found the watch. */
static void test_the_memory_of_a_watch_may_be_freed_when_it_was_removed_in_a_storm(void)
{
    struct worker workers[2];
    readyq_watch others[OTHERS] = {0};
    readyq *q = open_queue();
    for (int i = 0; i < OTHERS; i++)
        CHECK_IS(readyq_add_signal(q, &others[i], SIGUSR1), 0);
    for (int i = 0; i < 2; i++) {
        hire(&workers[i], q);
        tell(&workers[i], raise_again_and_again);
    }
    const int64_t end = now_ns() + SECOND / 2;
    while (now_ns() < end) {
        readyq_watch w = {0};
        CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
        CHECK_IS(readyq_remove(&w), 0);
        memset(&w, 0xff, sizeof w);
    }
    enough = true;
    for (int i = 0; i < 2; i++) {
        await(&workers[i]);
        dismiss(&workers[i]);
    }
    readyq_close(q);
}

TESTS(TEST(test_a_handler_that_was_installed_before_is_called_too),
      TEST(test_a_handler_that_was_installed_before_gets_the_signals_information),
      TEST(test_watches_in_several_queues_call_the_handler_below_once), TEST(test_errno_is_kept),
      TEST(test_a_handler_that_was_installed_before_runs_on_its_alternate_stack),
      TEST(test_system_calls_are_interrupted_if_the_handler_before_wants_that),
      TEST(test_system_calls_are_restarted_if_the_handler_before_wants_that),
      TEST(test_children_leave_no_zombies_where_sigchld_was_ignored),
      TEST(test_children_leave_no_zombies_where_the_handler_before_wants_that),
      TEST(test_children_that_stop_are_not_reported_where_the_handler_before_wants_that),
      TEST(test_a_watch_that_is_added_after_the_handler_was_replaced_fires_and_so_do_all),
      TEST(test_a_watch_fires_again_after_a_wait_that_sleeps_though_the_handler_was_replaced),
      TEST(test_a_watch_fires_again_after_the_handler_on_top_has_reset_itself),
      TEST(test_a_watch_fires_again_after_the_signal_was_ignored),
      TEST(test_a_handler_on_top_that_calls_the_one_it_replaced_does_no_harm),
      TEST(test_a_handler_that_calls_ours_can_come_and_go_again_and_again),
      TEST(test_handlers_can_be_replaced_again_and_again),
      TEST(test_the_default_action_is_restored_though_another_handler_was_on_top),
      TEST(test_a_signal_is_ignored_again_though_another_handler_was_on_top),
      TEST(test_the_handler_before_is_called_again_though_another_handler_was_on_top),
      TEST(test_a_watch_added_after_a_handler_was_left_behind_fires),
      TEST(test_a_watch_added_while_a_handler_that_was_left_behind_is_undone_fires),
      TEST(test_handlers_that_were_left_behind_at_two_places_are_undone_one_by_one),
      TEST(test_copies_of_the_library_all_get_a_signal_whatever_the_order_of_adding),
      TEST(test_copies_that_come_and_go_in_turn_do_not_call_each_other_in_a_circle),
      TEST(test_two_copies_that_alternate_do_not_call_each_other_in_a_circle),
      TEST(test_copies_fire_again_after_another_handler_was_put_between_them),
      TEST(test_copies_fire_again_after_another_handler_was_put_on_top),
      TEST(test_a_signal_after_a_copy_was_unloaded_reaches_the_handler_before),
      TEST(test_a_copy_can_be_unloaded_while_others_were_installed_over_its_handler),
      TEST(test_a_copy_can_be_unloaded_while_a_handler_that_will_restore_its_own_is_on_top),
      TEST(test_the_handler_below_may_leave_by_a_jump),
      TEST(test_a_handler_that_counts_as_the_default_is_not_called_while_the_signal_is_watched),
      TEST(test_a_handler_installed_over_the_default_one_is_called),
      TEST(test_only_a_handler_without_sa_siginfo_counts_as_the_default),
      TEST(test_no_handler_counts_for_a_signal_that_cannot_be_watched),
      TEST(test_adding_a_signal_that_every_thread_blocks_returns_1_and_fires_once_unblocked),
      TEST(test_adding_a_signal_that_one_thread_does_not_block_returns_0),
      TEST(test_a_child_has_the_same_chain_and_the_parent_keeps_its_own),
      TEST(test_a_child_that_removes_its_watch_has_the_default_action_again),
      TEST(test_the_handler_below_is_called_for_each_signal_while_watches_come_and_go),
      TEST(test_a_watch_fires_though_signals_undo_a_handler_that_was_left_behind),
      TEST(test_the_memory_of_a_watch_may_be_freed_when_it_was_removed_in_a_storm))
