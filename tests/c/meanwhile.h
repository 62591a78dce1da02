/* SPDX-License-Identifier: MIT
 *
 * Chosen moments inside a call to the core: the linker replaces some of the core's system calls by
 * those here (see the Makefile), and at each of them a function of the test can be called, once.
 * Also a queue, two descriptors and another thread for tests that do so.
 */
#ifndef MEANWHILE_H
#define MEANWHILE_H

#include "things.h"
#include "wrap.h"

#include <stdatomic.h>
#include <sys/epoll.h>

/* A wait is about to ask the kernel; the kernel has answered a wait; before the lock is taken;
 * while the core waits for another thread; before a kick is written; before the clock is read. */
enum moment { ASKING, ANSWERED, LOCKING, PAUSING, WRITING, TIMING, MOMENTS };

static void (*_Atomic happenings[MOMENTS])(void);
static _Thread_local int locks; /* held by this thread */

static void happen(enum moment moment)
{
    const int error = errno;
    void (*happening)(void) = atomic_exchange(&happenings[moment], NULL);

    if (happening != NULL)
        happening();
    errno = error;
}

/* A wait asks without holding the lock; while the core replaces the kernel queue it asks with the
 * lock. */
static void happen_in_wait(enum moment moment)
{
    if (locks == 0)
        happen(moment);
}

WRAP(int, epoll_wait, (int set, struct epoll_event *events, int max, int timeout))
{
    int n;

    happen_in_wait(ASKING);
    n = __real_epoll_wait(set, events, max, timeout);
    happen_in_wait(ANSWERED);
    return n;
}

static long on_syscall(long number, const long a[6])
{
    long result;

    if (number == SYS_epoll_pwait2)
        happen_in_wait(ASKING);
    result = real_syscall(number, a);
    if (number == SYS_epoll_pwait2)
        happen_in_wait(ANSWERED);
    return result;
}

WRAP(ssize_t, write, (int fd, const void *bytes, size_t size))
{
    happen(WRITING);
    return __real_write(fd, bytes, size);
}

WRAP(int, pthread_mutex_lock, (pthread_mutex_t * lock))
{
    happen(LOCKING);
    locks++;
    return __real_pthread_mutex_lock(lock);
}

WRAP(int, pthread_mutex_unlock, (pthread_mutex_t * lock))
{
    locks--;
    return __real_pthread_mutex_unlock(lock);
}

/* The core pauses while it holds a lock; the tests' own sleeps hold none. */
WRAP(int, nanosleep, (const struct timespec *time, struct timespec *left))
{
    if (locks > 0)
        happen(PAUSING);
    return __real_nanosleep(time, left);
}

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *time))
{
    happen(TIMING);
    return __real_clock_gettime(clock, time);
}

/* ------------------------------------------------------------------ what the tests share */

static struct {
    readyq *q;
    readyq_watch w, other;
    int p[2], file;
    pthread_t thread;
    readyq_batch batch, others; /* of this thread, and of the other one */
    int result;                 /* of the other thread's wait */
} s;
static atomic_bool reached, go_on;

static inline void wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag))
        sleep_ns(MS / 10);
}

static inline void *nothing(void *unused)
{
    return unused;
}

static inline void begin_with(struct readyq_options options)
{
    memset(&s, 0, sizeof s);
    join(start(nothing, NULL)); /* a process with one thread takes no lock */
    s.q = open_queue_with(options);
    open_unix(s.p);
    s.file = open_file();
}

static inline void begin(void)
{
    begin_with((struct readyq_options){0});
}

static inline void end(void)
{
    readyq_done(&s.batch);
    readyq_done(&s.others);
    readyq_close(s.q);
    close_pair(s.p);
    close(s.file);
}

/* ------------------------------------------------------------------ another thread waits */

/* Keeps what it takes until the end of the test. */
static inline void *wait_long(void *unused)
{
    s.result = readyq_wait(s.q, &s.others, LONG, 0);
    while (readyq_next(&s.others) != NULL)
        ;
    return unused;
}

static inline void start_waiter(void)
{
    const uint64_t kernel_waits = stats_of(s.q).kernel_waits;

    s.thread = start(wait_long, NULL);
    while (stats_of(s.q).kernel_waits == kernel_waits)
        sleep_ns(MS / 10);
    sleep_ns(MS); /* now it sleeps, or is about to */
}

/* The other thread stays there until release_waiter(). */
static inline void hold(void)
{
    atomic_store(&reached, true);
    wait_for(&go_on);
}

static inline void release_waiter(void)
{
    atomic_store(&go_on, true);
}

/* Another thread waits, and has reached that moment of its wait when this returns. `cause` lets it
 * get there. */
static inline void start_waiter_held_at(enum moment moment, void (*cause)(void))
{
    reached = go_on = false;
    happenings[moment] = hold;
    if (moment == ANSWERED)
        start_waiter();
    else
        s.thread = start(wait_long, NULL);
    if (cause != NULL)
        cause();
    wait_for(&reached);
}

/* Returns how many watches it took. */
static inline int wake_waiter(void)
{
    CHECK_IS(readyq_wake(s.q), 0);
    join(s.thread);
    CHECK(s.result >= 0);
    return s.result;
}

static inline void wake(void)
{
    CHECK_IS(readyq_wake(s.q), 0);
}

static int keeper, writer; /* of the ghost's file */

/* Leaves a registration that is reported once more and cannot be removed. */
static inline void haunt(void)
{
    int p[2];
    open_unix(p);
    add(s.q, &s.other, p[0], READYQ_READ | READYQ_EDGE);
    keeper = dup(p[0]);
    writer = p[1];
    close(p[0]);
    CHECK_IS(readyq_remove(&s.other), 0);
}

static inline void end_haunted(void)
{
    close(keeper);
    close(writer);
    end();
}

#endif
