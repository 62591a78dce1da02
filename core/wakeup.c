/* SPDX-License-Identifier: MIT
 *
 * Ending a sleep from outside: a kick writes to a descriptor in the kernel queue, an eventfd, or a
 * pipe where there is none or a sandbox forbids it. It is registered EDGE, so each kick ends the
 * sleep of one thread, and an eventfd need not be read. A kick has no meaning of its own: the
 * thread that receives it clears `kicked` and then reads the queue's state, so a kick that finds
 * `kicked` set need not write.
 */
#include "internal.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#if READYQ__HAS_EPOLL
#include <sys/eventfd.h>
static int open_counter(int ends[2])
{
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ends[0];
}
#else
static int open_counter(int ends[2])
{
    (void)ends;
    return -1;
}
#endif

#if defined(__APPLE__)
static int open_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}
#else
static int open_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}
#endif

static void close_ends(readyq *q)
{
    if (q->wakeup_write >= 0 && q->wakeup_write != q->wakeup.fd)
        close(q->wakeup_write);
    if (q->wakeup.fd >= 0)
        close(q->wakeup.fd);
    q->wakeup.fd = q->wakeup_write = -1;
}

int readyq__wakeup_open(readyq *q)
{
    int ends[2];

    if (open_counter(ends) < 0 && open_pipe(ends) < 0)
        return -errno;
    close_ends(q); /* a child's copies of its parent's */
    q->wakeup.fd = ends[0];
    q->wakeup_write = ends[1];
    atomic_store(&q->kicked, false);
    return 0;
}

void readyq__wakeup_close(readyq *q)
{
    atomic_store(&q->shut, true);
    while (atomic_load(&q->kicking) > 0)
        readyq__pause();
    close_ends(q);
}

/* A kick was received. `kicked` is cleared last: until then no thread writes. */
static void receive(readyq *q, readyq_watch *w, uint32_t bits)
{
    char bytes[64];

    (void)bits;
    if (w->fd != q->wakeup_write)
        while (read(w->fd, bytes, sizeof bytes) > 0)
            ;
    atomic_store(&q->kicked, false);
}

const struct readyq__kind readyq__kind_wakeup = {.event = receive};

/* An eventfd takes eight bytes. When it is full, a kick is under way. The thread cannot be
 * cancelled: it holds the lock, or called readyq__hold_cancel(). */
void readyq__kick(readyq *q)
{
    const int error = errno;
    const uint64_t one = 1;

    if (atomic_exchange(&q->kicked, true))
        return;
    atomic_fetch_add(&q->kicking, 1);
    atomic_fetch_add(&q->kicks, 1);
    if (!atomic_load(&q->shut)) {
        const size_t size = q->wakeup.fd == q->wakeup_write ? sizeof one : 1;
        const ssize_t written = write(q->wakeup_write, &one, size);

        (void)written;
    }
    atomic_fetch_sub(&q->kicking, 1);
    errno = error;
}

/* `woken` is published before `sleepers` is read: a thread that is about to sleep does the reverse
 * (wait.c). In a child, `sleepers` are the parent's: it must not write to the parent's wake-up. The
 * caller may be a signal handler in a thread that is cancelled asynchronously while it sleeps. */
int readyq_wake(readyq *q)
{
    struct readyq__cancel before;

    if (__atomic_load_n(&q->closed, __ATOMIC_SEQ_CST))
        return -ESHUTDOWN;
    before = readyq__hold_cancel();
    readyq__note_wake(q);
    if (!atomic_exchange(&q->woken, true)) {
        atomic_fetch_add(&q->wakes, 1);
        if (atomic_load(&q->sleepers) > 0 && !readyq__is_forked(q))
            readyq__kick(q);
    }
    readyq__release_cancel(before);
    return 0;
}

void readyq__pause(void)
{
    const struct timespec moment = {0, 50000};

    nanosleep(&moment, NULL);
}
