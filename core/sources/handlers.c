/* SPDX-License-Identifier: MIT
 *
 * The process's signal handlers. One handler serves the watches of all queues; it marks them, kicks
 * their queues, and calls the handler that was there before. No signal is left blocked, since
 * children would inherit that.
 *
 * Handlers of other libraries may be below our handler (installed before it) and above it
 * (installed later). There is no way to find out whether a handler above ours calls ours. So when
 * our handler is needed and is not the current action, it is installed again on top. Each
 * installation is a level: a handler function with its own `before`, since one function in two
 * places in a chain would call itself forever. Only the newest level, and the one that is the
 * current action, mark watches; the others pass the signal down. Levels are used in turn, from the
 * one that is the current action on: when a handler above it has been taken away again, the levels
 * above it are free. A chain of more than seven handlers, each installed while a signal is watched
 * and each calling ours below it, would call itself forever. Another copy of this library (Python's
 * next to Lua's) is recognised by its signal mask. It passes a signal down, and also a probe: a
 * call that asks whether a handler of this copy is below it.
 *
 * A handler walks a list that other threads may change. A thread that unlinks a watch waits until
 * no handler that may still see the watch is running.
 */
#include "internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__linux__)
#include <dirent.h>
#endif

enum { LEVELS = 8 };

static struct handled {
    readyq_watch *first;     /* linked by own.source.next_same_signal; atomic */
    int running;             /* handlers that are running; atomic */
    int newest;              /* the level installed last; atomic */
    void (*by_default)(int); /* readyq_default_handler(); atomic */
    struct sigaction before[LEVELS];
} handled[NSIG];

pthread_mutex_t readyq__handlers_lock = PTHREAD_MUTEX_INITIALIZER;

/* ------------------------------------------------------------------ in the handler */

static void mark_watches(const struct handled *of)
{
    readyq_watch *w = __atomic_load_n(&of->first, __ATOMIC_SEQ_CST);

    for (; w != NULL; w = __atomic_load_n(&w->own.source.next_same_signal, __ATOMIC_SEQ_CST)) {
        readyq *q = __atomic_load_n(&w->queue, __ATOMIC_ACQUIRE);

        __atomic_fetch_add(&w->caught, 1, __ATOMIC_SEQ_CST);
        atomic_store(&q->signalled, true); /* then `sleepers`; see wait.c */
        if (atomic_load(&q->sleepers) > 0 && !readyq__is_forked(q))
            readyq__kick(q);
    }
}

static bool is_default(const struct handled *of, const struct sigaction *action)
{
    return !(action->sa_flags & SA_SIGINFO) &&
           action->sa_handler == __atomic_load_n(&of->by_default, __ATOMIC_SEQ_CST);
}

static void call_before(const struct sigaction *before, int signal, siginfo_t *info, void *context)
{
    if (before->sa_flags & SA_SIGINFO)
        before->sa_sigaction(signal, info, context);
    else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
        before->sa_handler(signal);
}

/* The mask of our handlers, by which copies of the library recognise each other: no other program
 * blocks all signals except these two. */
static void fill_mask(sigset_t *mask)
{
    sigfillset(mask);
    sigdelset(mask, SIGTRAP);
    sigdelset(mask, SIGSYS);
}

static bool is_of_copy(const struct sigaction *action)
{
    sigset_t mask;
    bool same = (action->sa_flags & SA_SIGINFO) != 0;

    fill_mask(&mask);
    for (int signal = 1; signal < 32; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            same &= sigismember(&mask, signal) == sigismember(&action->sa_mask, signal);
    return same;
}

/* Asks the current action, if it is a copy's, whether it leads to the asking copy. */
enum { PROBE = 0x72647971 }; /* si_code; positive, so that only the process itself could send it */
struct probe {
    const void *asker; /* address of its table */
    bool is_reached;
};

static void on_signal(int level, int signal, siginfo_t *info, void *context);

#define LEVEL(n)                                                                                   \
    static void on_level_##n(int signal, siginfo_t *info, void *context)                           \
    {                                                                                              \
        on_signal(n, signal, info, context);                                                       \
    }
LEVEL(0)
LEVEL(1)
LEVEL(2)
LEVEL(3)
LEVEL(4)
LEVEL(5)
LEVEL(6)
LEVEL(7)
static void (*const handlers[LEVELS])(int, siginfo_t *, void *) = {
    on_level_0, on_level_1, on_level_2, on_level_3, on_level_4, on_level_5, on_level_6, on_level_7};

/* Which of our handlers it is, or -1. */
static int level_of(const struct sigaction *action)
{
    int level = LEVELS - 1;

    if (!(action->sa_flags & SA_SIGINFO))
        return -1;
    while (level >= 0 && action->sa_sigaction != handlers[level])
        level--;
    return level;
}

/* The level of the current action, or -1. */
static int current_level(int signal)
{
    struct sigaction now = {0};

    sigaction(signal, NULL, &now);
    return level_of(&now);
}

/* Our handler is the current action, but the signal no longer has a watch: another handler was
 * above ours when the last watch was removed, and has restored ours since. Restores the action that
 * ours replaced, and raises the signal again for it. If another thread has added a watch meanwhile,
 * and found our handler in place, our handler stays. */
static void withdraw(const struct handled *of, int signal, const struct sigaction *before)
{
    struct sigaction ours;

    sigaction(signal, before, &ours);
    if (__atomic_load_n(&of->first, __ATOMIC_SEQ_CST) != NULL)
        sigaction(signal, &ours, NULL);
    raise(signal); /* blocked until this handler returns */
}

/* A probe is not a signal: it is passed down only to copies of the library. */
static void answer(const struct handled *of, int level, int signal, siginfo_t *info)
{
    struct probe *probe = info->si_value.sival_ptr;
    const struct sigaction *before = &of->before[level];

    if (probe->asker == handled && level == __atomic_load_n(&of->newest, __ATOMIC_SEQ_CST))
        probe->is_reached = true;
    else if (is_of_copy(before))
        before->sa_sigaction(signal, info, NULL);
}

/* As its last step, calls the next handler below, which may not return (siglongjmp). */
static void on_signal(int level, int signal, siginfo_t *info, void *context)
{
    const int error = errno;
    struct handled *of = &handled[signal];
    const struct sigaction before = of->before[level];
    bool active, watched, over;
    struct readyq__cancel cancel;

    if (info != NULL && info->si_code == PROBE) {
        answer(of, level, signal, info);
        return;
    }
    cancel = readyq__hold_cancel();
    __atomic_fetch_add(&of->running, 1, __ATOMIC_SEQ_CST);
    active =
        level == __atomic_load_n(&of->newest, __ATOMIC_SEQ_CST) || current_level(signal) == level;
    if (active)
        mark_watches(of);
    watched = __atomic_load_n(&of->first, __ATOMIC_SEQ_CST) != NULL;
    over = !watched && current_level(signal) == level;
    if (over)
        withdraw(of, signal, &before);
    __atomic_fetch_sub(&of->running, 1, __ATOMIC_SEQ_CST);
    readyq__release_cancel(cancel);
    errno = error;
    if (!over && !(watched && is_default(of, &before)))
        call_before(&before, signal, info, context);
}

/* ------------------------------------------------------------------ installing */

/* The thread that changes the table must not be interrupted by a handler that reads it. */
static void lock_table(sigset_t *mask)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, mask);
    pthread_mutex_lock(&readyq__handlers_lock);
}

static void unlock_table(const sigset_t *mask)
{
    pthread_mutex_unlock(&readyq__handlers_lock);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

static bool is_function(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) ||
           (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

/* Whether a signal reaches our watches through copies of the library. */
static bool is_reached(int signal, const struct sigaction *now)
{
    struct probe probe = {.asker = handled};
    siginfo_t info;

    if (!is_of_copy(now))
        return false;
    memset(&info, 0, sizeof info);
    info.si_code = PROBE;
    info.si_value.sival_ptr = &probe;
    now->sa_sigaction(signal, &info, NULL);
    return probe.is_reached;
}

/* Keeps these properties of the action below: whether the signal interrupts system calls, so that
 * an interpreter can run its own handlers; whether children are reported when they stop, and
 * whether they become zombies. */
static int install(struct handled *of, int signal, const struct sigaction *now)
{
    const int level = (of->newest + 1) % LEVELS;
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK}, *before = &of->before[level];

    *before = *now;
    ours.sa_flags |= before->sa_flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT);
    if (!is_function(before))
        ours.sa_flags |= SA_RESTART;
    if (signal == SIGCHLD && before->sa_handler == SIG_IGN)
        ours.sa_flags |= SA_NOCLDWAIT;
    ours.sa_sigaction = handlers[level];
    fill_mask(&ours.sa_mask);
    if (sigaction(signal, &ours, NULL) < 0)
        return -errno;
    __atomic_store_n(&of->newest, level, __ATOMIC_SEQ_CST);
    return 0;
}

/* Installs our handler if the signal would not reach it. */
static int ensure(int signal)
{
    struct handled *of = &handled[signal];
    struct sigaction now;
    int level;

    if (sigaction(signal, NULL, &now) < 0)
        return errno != EINVAL ? -errno
                               : readyq__refuse(EINVAL, "the C library reserves this signal",
                                                "real-time signals begin at SIGRTMIN");
    level = level_of(&now);
    if (level < 0)
        return is_reached(signal, &now) ? 0 : install(of, signal, &now);
    __atomic_store_n(&of->newest, level, __ATOMIC_SEQ_CST);
    return 0;
}

static void link_in(struct handled *of, readyq_watch *w)
{
    w->own.source.next_same_signal = of->first;
    __atomic_store_n(&of->first, w, __ATOMIC_SEQ_CST);
}

/* After this no handler sees the watch. */
static void take_out(struct handled *of, readyq_watch *w)
{
    readyq_watch **link = &of->first;

    while (*link != w)
        link = &(*link)->own.source.next_same_signal;
    __atomic_store_n(link, w->own.source.next_same_signal, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&of->running, __ATOMIC_SEQ_CST) > 0)
        readyq__pause();
}

/* The watch is linked first: a handler of ours that was left behind without a watch may be about to
 * withdraw. */
int readyq__handle_signal(readyq_watch *w)
{
    struct handled *of = &handled[w->signal];
    sigset_t mask;
    int error;

    lock_table(&mask);
    link_in(of, w);
    error = ensure(w->signal);
    if (error < 0)
        take_out(of, w);
    unlock_table(&mask);
    return error;
}

void readyq__check_handler(int signal)
{
    sigset_t mask;

    if (current_level(signal) == __atomic_load_n(&handled[signal].newest, __ATOMIC_SEQ_CST))
        return;
    lock_table(&mask);
    ensure(signal);
    unlock_table(&mask);
}

void readyq__set_default_handler(int signal, void (*handler)(int))
{
    __atomic_store_n(&handled[signal].by_default, handler, __ATOMIC_SEQ_CST);
}

/* Restores the action below ours, if ours is the current one. */
static void uninstall(const struct handled *of, int signal)
{
    const int level = current_level(signal);

    if (level >= 0)
        sigaction(signal, &of->before[level], NULL);
}

void readyq__unhandle_signal(readyq_watch *w)
{
    struct handled *of = &handled[w->signal];
    sigset_t mask;

    lock_table(&mask);
    if (of->first == w && w->own.source.next_same_signal == NULL)
        uninstall(of, w->signal);
    take_out(of, w);
    unlock_table(&mask);
}

/* ------------------------------------------------------------------ blocked signals */

#if defined(__linux__)
/* Whether /proc says that thread `id` blocks the signal; true if it cannot say. */
static bool is_blocked_in(const char *id, int signal)
{
    char path[64], line[256];
    bool blocked = true;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", id);
    file = fopen(path, "re");
    if (file == NULL)
        return true;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            blocked = strtoull(line + 7, NULL, 16) >> (signal - 1) & 1;
    fclose(file);
    return blocked;
}

static bool is_blocked_in_all(int signal)
{
    DIR *threads = opendir("/proc/self/task");
    const struct dirent *thread;
    bool blocked = threads != NULL;

    /* cppcheck-suppress readdirCalled ; the DIR is this call's own */
    while (blocked && (thread = readdir(threads)) != NULL)
        if (thread->d_name[0] != '.')
            blocked = is_blocked_in(thread->d_name, signal);
    if (threads != NULL)
        closedir(threads);
    return blocked;
}
#else
static bool is_blocked_in_all(int signal)
{
    (void)signal; /* the masks of other threads cannot be read */
    return false;
}
#endif

bool readyq__is_blocked_everywhere(int signal)
{
    struct readyq__cancel cancel;
    bool blocked;
    sigset_t mask;

    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!sigismember(&mask, signal))
        return false;
    cancel = readyq__hold_cancel();
    blocked = readyq__alone() || is_blocked_in_all(signal);
    readyq__release_cancel(cancel);
    return blocked;
}

/* ------------------------------------------------------------------ fork */

/* Handlers of the parent's other threads are not running here. */
void readyq__handlers_child(void)
{
    for (int signal = 0; signal < NSIG; signal++)
        handled[signal].running = 0;
}
