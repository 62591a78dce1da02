/* SPDX-License-Identifier: MIT
 *
 * Watches and the table by descriptor: adding, changing, removing, finding. A number may be
 * closed and opened again behind our back, so each registration has a generation, and the kernel
 * is asked whether an old one still lives. What timers, signals, processes and triggers need
 * beyond that is in their own files.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_interest(uint32_t interest)
{
    if (interest & ~(READYQ__DIRECTIONS | READYQ__MODES))
        return false;
    return interest == 0 || (interest & READYQ__DIRECTIONS) != 0;
}

/* What the kernel is to watch for: a paused or spent watch stays registered, so that its number
 * is known to be taken, but silent. */
uint32_t readyq__kernel_interest(const readyq_watch *w)
{
    if (w->kind == READYQ_KIND_PROCESS)
        return READYQ_READ | READYQ_ONESHOT;
    if (!w->armed)
        return READYQ_EDGE;
    return w->interest | (w->own.flags & READYQ__QUIET ? READYQ_EDGE : 0);
}

static int grow_table(readyq *q, int fd)
{
    size_t need = (size_t)fd + 1, room = q->nslots ? q->nslots : 64;
    struct readyq__slot *slots;

    if (need <= q->nslots)
        return 0;
    if (fcntl(fd, F_GETFD) < 0) /* no memory for a number that is none */
        return -errno;
    while (room < need)
        room *= 2;
    slots = realloc(q->slots, room * sizeof *slots);
    if (slots == NULL)
        return -ENOMEM;
    memset(slots + q->nslots, 0, (room - q->nslots) * sizeof *slots);
    q->slots = slots;
    q->nslots = room;
    return 0;
}

/* No event of the registration that was here is known any more. */
void readyq__vacate(readyq *q, int fd)
{
    q->slots[fd].watch = NULL;
    q->slots[fd].generation++;
}

/* ------------------------------------------------------------------ in and out of a queue */

/* Leaves alone what threads look at that fire a watch while it is out of a queue. */
static void clear(readyq_watch *w)
{
    if (w->own.self != w) { /* stray memory, which nobody fires */
        readyq__fire_init(w);
        w->queue = NULL;
        w->own.self = w;
    }
    memset(&w->own, 0, offsetof(readyq_watch, own.firing) - offsetof(readyq_watch, own));
    w->interest = w->ready = 0;
    w->signal = 0;
    w->pid = 0;
}

int readyq__admit(readyq *q, readyq_watch *w, enum readyq_kind kind)
{
    if (w->own.self == w && w->queue != NULL)
        return -EBUSY;
    if (readyq__make_line(q, q->size + 1) < 0)
        return -ENOMEM;
    clear(w);
    w->fd = w->status = -1;
    w->count = 1;
    __atomic_store_n(&w->kind, (uint8_t)kind, __ATOMIC_RELAXED);
    readyq__arm(w, true);
    return 0;
}

/* Sets `armed`, and whether it may go the short way (readyq__found). */
void readyq__arm(readyq_watch *w, bool armed)
{
    const bool plain = armed && w->kind == READYQ_KIND_FD && !(w->interest & READYQ_ONESHOT);

    w->armed = armed;
    w->own.flags = (uint8_t)((w->own.flags & ~READYQ__ODD) | (plain ? 0 : READYQ__ODD));
}

void readyq__settle(readyq *q, readyq_watch *w)
{
    w->own.state = READYQ__ACTIVE;
    q->size++;
    __atomic_store_n(&w->queue, q, __ATOMIC_RELEASE);
}

/* What each kind holds beyond the lists. */
static void release(readyq *q, readyq_watch *w)
{
    switch (w->kind) {
    case READYQ_KIND_FD: readyq__unregister(q, w); break;
    case READYQ_KIND_TIMER: readyq__timer_remove(q, w); break;
    case READYQ_KIND_SIGNAL:
        readyq__signal_stop(w);
        readyq__fire_stop(w);
        break;
    case READYQ_KIND_PROCESS: q->backend->process(q, w, false); break;
    default: readyq__fire_stop(w); break;
    }
}

void readyq__detach(readyq *q, readyq_watch *w, int state)
{
    if (w->own.state == READYQ__ACTIVE) {
        release(q, w);
        q->size--;
        q->clears++;
    }
    readyq__unlist(q, w);
    readyq__unlink(&w->own.group);
    w->own.state = (uint8_t)state;
    w->armed = false;
    w->own.flags = 0;
    if (state == READYQ__STALE)
        readyq__link_before(&q->stale, &w->own.group);
    else
        __atomic_store_n(&w->queue, NULL, __ATOMIC_RELEASE);
}

void readyq__abandon(readyq *q, readyq_watch *w)
{
    if (q->slots[w->fd].watch == w) /* the kernel's registration of that number is not its own */
        readyq__vacate(q, w->fd);
    w->ready = 0;
    readyq__detach(q, w, READYQ__STALE);
}

readyq_watch *readyq_stale(readyq *q)
{
    readyq_watch *w = NULL;

    readyq__lock(q);
    if (!readyq__list_empty(&q->stale)) {
        w = readyq__owner(q->stale.next, group);
        readyq__detach(q, w, READYQ__DROPPED);
    }
    readyq__unlock(q);
    return w;
}

/* ------------------------------------------------------------------ files never block */

bool readyq__same_file(const readyq_watch *w)
{
    struct stat file;

    return fstat(w->fd, &file) == 0 && w->own.device == (uint64_t)file.st_dev &&
           w->own.file == (uint64_t)file.st_ino;
}

/* Which file it is. -EEXIST: the one of `old`, another watch of its number. -EPERM: one that the
 * kernel is not to be asked about. */
static int identify(readyq_watch *w, const readyq_watch *old)
{
    struct stat file;

    if (fstat(w->fd, &file) < 0)
        return -errno;
    w->own.device = (uint64_t)file.st_dev;
    w->own.file = (uint64_t)file.st_ino;
    if (old != NULL && old->own.device == w->own.device && old->own.file == w->own.file)
        return -EEXIST;
    return S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) ? -EPERM : 0;
}

/* The kernel refuses to watch it: ready at any time. */
static int register_always(readyq *q, readyq_watch *w, const readyq_watch *old)
{
    const int error = identify(w, old);

    if (error < 0 && error != -EPERM)
        return error;
    w->own.flags |= READYQ__ALWAYS;
    readyq__link_before(&q->always, &w->own.group);
    if (q->leading)
        readyq__kick(q); /* the kernel will not wake it */
    return 0;
}

/* Takes what the kernel has of the number; see readyq__backend for what it answers. */
static int tell_kernel(readyq *q, readyq_watch *w, const readyq_watch *old)
{
    const uint32_t interest = readyq__kernel_interest(w);
    int error = q->backend->update(q, w->fd, 0, interest);

    if (error == -EEXIST && old == NULL) { /* of one that went, duplicated back to its number */
        q->backend->update(q, w->fd, interest, 0);
        error = q->backend->update(q, w->fd, 0, interest);
    }
    return error == -EPERM ? register_always(q, w, old) : error;
}

/* ------------------------------------------------------------------ the table */

int readyq__register(readyq *q, readyq_watch *w)
{
    struct readyq__slot *slot;
    readyq_watch *old;
    int error = grow_table(q, w->fd);

    if (error < 0)
        return error;
    slot = &q->slots[w->fd];
    old = slot->watch;
    slot->generation++;
    error = tell_kernel(q, w, old);
    if (error < 0) {
        slot->generation--;
        return error;
    }
    slot->watch = w;
    if (old != NULL)
        readyq__abandon(q, old);
    q->exclusive |= (w->interest & READYQ_EXCLUSIVE) != 0;
    return 0;
}

void readyq__unregister(readyq *q, readyq_watch *w)
{
    struct readyq__slot *slot = &q->slots[w->fd];

    if (slot->watch != w)
        return;
    if (!(w->own.flags & READYQ__ALWAYS))
        q->backend->update(q, w->fd, readyq__kernel_interest(w), 0);
    readyq__vacate(q, w->fd);
}

/* ------------------------------------------------------------------ the calls */

int readyq_add(readyq *q, readyq_watch *w, int fd, uint32_t interest)
{
    int error;

    if (!is_interest(interest))
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    error = readyq__enter(q);
    if (error < 0)
        return error;
    error = fd == q->nest || fd == q->kernel.fd ? -EINVAL : readyq__admit(q, w, READYQ_KIND_FD);
    if (error == 0) {
        w->fd = fd;
        w->interest = interest;
        readyq__arm(w, interest != 0);
        error = readyq__register(q, w);
    }
    if (error == 0)
        readyq__settle(q, w);
    readyq__leave(q);
    return error;
}

static int change(readyq *q, readyq_watch *w, uint32_t interest)
{
    const uint32_t was = w->interest, old = readyq__kernel_interest(w);
    const uint8_t flags = w->own.flags;
    const bool was_armed = w->armed;
    int error = 0;

    w->interest = interest;
    readyq__arm(w, interest != 0);
    q->exclusive |= (interest & READYQ_EXCLUSIVE) != 0;
    w->own.flags &= (uint8_t) ~(READYQ__QUIET | READYQ__ECHO | READYQ__SAID);
    if (w->own.flags & READYQ__ALWAYS)
        error = readyq__same_file(w) ? 0 : -EBADF;
    else
        error = q->backend->update(q, w->fd, old, readyq__kernel_interest(w));
    if (error < 0) {
        w->interest = was;
        readyq__arm(w, was_armed);
        w->own.flags = flags;
        return error;
    }
    if (!(w->own.flags & READYQ__ALWAYS))
        readyq__unlink(&w->own.group); /* no longer quiet */
    else if (q->leading)
        readyq__kick(q);
    readyq__unlist(q, w);
    return 0;
}

/* The queue a watch is in, entered; or NULL and why. */
static readyq *enter_of(readyq_watch *w, int *error)
{
    readyq *q = w->own.self == w ? __atomic_load_n(&w->queue, __ATOMIC_ACQUIRE) : NULL;

    *error = -ENOENT;
    if (q == NULL)
        return NULL;
    *error = readyq__enter(q);
    if (*error < 0)
        return NULL;
    if (w->queue == q)
        return q;
    readyq__leave(q);
    *error = -ENOENT;
    return NULL;
}

int readyq_modify(readyq_watch *w, uint32_t interest)
{
    int error;
    readyq *q = enter_of(w, &error);

    if (q == NULL)
        return error;
    if (w->kind != READYQ_KIND_FD || !is_interest(interest))
        error = -EINVAL;
    else if (w->own.state != READYQ__ACTIVE)
        error = -EBADF;
    else
        error = change(q, w, interest);
    readyq__leave(q);
    return error;
}

int readyq_remove(readyq_watch *w)
{
    int error;
    readyq *q = enter_of(w, &error);

    if (q == NULL) {
        if (error != -ENOENT || w->own.self != w || w->own.state != READYQ__DROPPED)
            return error;
        w->own.state = READYQ__UNUSED;
        return 0;
    }
    w->ready = 0;
    readyq__detach(q, w, READYQ__UNUSED);
    readyq__leave(q);
    return 0;
}

readyq_watch *readyq_find(readyq *q, int fd)
{
    readyq_watch *w = NULL;

    readyq__lock(q);
    if (fd >= 0 && (size_t)fd < q->nslots)
        w = q->slots[fd].watch;
    if (w != NULL && w->kind != READYQ_KIND_FD)
        w = NULL;
    readyq__unlock(q);
    return w;
}
