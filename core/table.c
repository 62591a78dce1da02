/* SPDX-License-Identifier: MIT
 *
 * The descriptor table, and how a watch gets into and out of a queue. A number may be closed and
 * opened again without the library's knowledge, so each registration has a generation, and the
 * kernel is asked whether an old one still exists.
 */
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------ registrations */

/* A paused or spent watch stays registered, but silent, so that its number is known to be taken. */
uint32_t readyq__kernel_interest(const readyq_watch *w)
{
    if (w->kind == READYQ_KIND_PROCESS)
        return READYQ_READ | READYQ_ONESHOT;
    if (!w->armed || (w->own.flags & READYQ__MUTED))
        return READYQ_EDGE;
    return w->interest | (w->own.flags & READYQ__ONE_EVENT ? READYQ_ONESHOT : 0);
}

/* From now on, events of the number's previous registration are stale. */
static void begin_generation(readyq *q, struct readyq__slot *slot)
{
    slot->generation++;
    slot->changed = (uint32_t)q->fetches;
}

bool readyq__is_own(const readyq *q, int fd)
{
    return fd == q->kernel || fd == q->next_kernel || fd == q->wakeup.fd || fd == q->wakeup_write ||
           fd == q->pollable || fd == q->pollable_timer;
}

void readyq__close_kernel(readyq *q, int *kernel, bool forked)
{
    if (*kernel >= 0)
        q->backend->close(*kernel, forked);
    *kernel = -1;
}

void readyq__drop_next(readyq *q)
{
    readyq__close_kernel(q, &q->next_kernel, false);
    q->filled = 0;
}

/* Makes a change in the next kernel queue, too. If that fails, it is filled from the beginning. */
static void update_next(readyq *q, int fd, uint32_t old, uint32_t interest)
{
    if (q->backend->update(q, q->next_kernel, fd, old, interest) < 0)
        readyq__drop_next(q);
}

int readyq__update(readyq *q, int fd, uint32_t old, uint32_t interest)
{
    struct readyq__slot *slot = &q->slots[fd];
    const struct readyq__slot before = *slot;
    int error;

    if (readyq__is_forked(q) || q->closed)
        return 0;
    begin_generation(q, slot);
    error = q->backend->update(q, q->kernel, fd, old, interest);
    if (error < 0)
        *slot = before;
    else if ((size_t)fd < q->filled)
        update_next(q, fd, old, interest);
    return error;
}

static void vacate(readyq *q, struct readyq__slot *slot)
{
    slot->watch = NULL;
    begin_generation(q, slot);
}

static int grow(readyq *q, int fd)
{
    size_t need = (size_t)fd + 1, room = q->nslots ? q->nslots : 64;
    struct readyq__slot *slots;

    if (need <= q->nslots)
        return 0;
    if (fcntl(fd, F_GETFD) < 0) /* no memory for a number that is not open */
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

/* ------------------------------------------------------------------ files never block */

/* Whether a pipe without a reader is at this number. Not all kernels give a pipe a device and an
 * inode of its own, so this looks for its hang-up. */
static bool has_hung_up(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLOUT};

    return poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR));
}

bool readyq__is_same_file(const readyq_watch *w)
{
    struct stat file;

    return fstat(w->fd, &file) == 0 && w->own.file.device == (uint64_t)file.st_dev &&
           w->own.file.inode == (uint64_t)file.st_ino &&
           w->own.file.ended == S_ISFIFO(file.st_mode) &&
           (!w->own.file.ended || has_hung_up(w->fd));
}

/* The kernel refuses to watch the file, so it is always ready. -EEXIST: `old`, another watch of its
 * number, is for the same file. */
static int register_file(readyq *q, readyq_watch *w, const readyq_watch *old)
{
    struct stat file;

    if (fstat(w->fd, &file) < 0)
        return -errno;
    w->own.file.device = (uint64_t)file.st_dev;
    w->own.file.inode = (uint64_t)file.st_ino;
    w->own.file.ended = S_ISFIFO(file.st_mode);
    if (old != NULL && (old->own.flags & READYQ__FILE) &&
        old->own.file.device == w->own.file.device && old->own.file.inode == w->own.file.inode)
        return -EEXIST;
    w->own.flags |= READYQ__FILE;
    q->nfiles++;
    begin_generation(q, &q->slots[w->fd]);
    return 0;
}

void readyq__list_file(readyq *q, readyq_watch *w)
{
    uint32_t bits = w->interest & (READYQ_READ | READYQ_WRITE);

    if (w->own.file.ended)
        bits = w->interest & READYQ_WRITE ? READYQ_WRITE | READYQ_WRITE_CLOSED : 0;
    if (w->armed && bits != 0)
        readyq__list(q, w, bits);
}

/* Whether the kernel queue still has the file of `old` under its number, if update() does not
 * report that. */
static bool is_registered(readyq *q, const readyq_watch *old)
{
    return q->backend->is_registered != NULL && old != NULL && !(old->own.flags & READYQ__FILE) &&
           q->backend->is_registered(q, old->fd);
}

static int register_in_kernel(readyq *q, readyq_watch *w, const readyq_watch *old)
{
    const uint32_t interest = readyq__kernel_interest(w);
    int error;

    if (is_registered(q, old))
        return -EEXIST;
    error = readyq__update(q, w->fd, 0, interest);
    if (error == -EEXIST && old == NULL) { /* the file of a removed watch, back at its number */
        readyq__update(q, w->fd, interest, 0);
        error = readyq__update(q, w->fd, 0, interest);
    }
    return error == -EPERM ? register_file(q, w, old) : error;
}

/* ------------------------------------------------------------------ the table */

int readyq__register(readyq *q, readyq_watch *w)
{
    readyq_watch *old;
    int error = grow(q, w->fd);

    if (error < 0)
        return error;
    old = q->slots[w->fd].watch;
    error = register_in_kernel(q, w, old);
    if (error < 0)
        return error;
    q->slots[w->fd].watch = w;
    if (old != NULL)
        readyq__mark_stale(q, old);
    q->exclusive |= (w->interest & READYQ_EXCLUSIVE) != 0;
    return 0;
}

void readyq__unregister(readyq *q, readyq_watch *w)
{
    struct readyq__slot *slot = &q->slots[w->fd];

    if (slot->watch != w)
        return;
    if (!(w->own.flags & READYQ__FILE))
        readyq__update(q, w->fd, readyq__kernel_interest(w), 0);
    vacate(q, slot);
}

int readyq__change_registration(readyq *q, readyq_watch *w, uint32_t old)
{
    int error = readyq__update(q, w->fd, old, readyq__kernel_interest(w));

    if (error == -EPERM && (error = register_file(q, w, NULL)) == 0)
        readyq__list_file(q, w);
    return error;
}

static void set_flags(readyq *q, readyq_watch *w, unsigned flags)
{
    const uint32_t old = readyq__kernel_interest(w);

    w->own.flags = (uint8_t)flags;
    if (readyq__change_registration(q, w, old) < 0)
        readyq__mark_stale(q, w);
}

/* From now on the kernel does not report it, except for a hang-up, once (epoll.c, note 2). */
void readyq__mute(readyq *q, readyq_watch *w)
{
    set_flags(q, w, w->own.flags | READYQ__MUTED);
}

/* While several batches are open it is armed for one event: the kernel then mutes it by itself when
 * it reports it, and no other thread is woken for it. The change is made even if it was not muted:
 * another thread may have fetched an event of it, which the new generation makes stale. */
void readyq__unmute(readyq *q, readyq_watch *w)
{
    const unsigned once = q->nbatches > 1 ? READYQ__ONE_EVENT : 0;

    set_flags(q, w, (w->own.flags & ~(unsigned)(READYQ__MUTED | READYQ__ONE_EVENT)) | once);
}

/* ------------------------------------------------------------------ in and out of a queue */

void readyq__prepare(readyq *q, readyq_watch *w, const readyq_watch *wanted)
{
    readyq__forget_refusal();
    memcpy(&w->own, &wanted->own,
           offsetof(readyq_watch, own.fired.home) - offsetof(readyq_watch, own));
    readyq__set_fired_in(w, 0);
    w->own.id = ++q->last_watch;
    w->interest = wanted->interest;
    w->ready = 0;
    w->count = 1;
    w->fd = wanted->fd;
    w->pid = wanted->pid;
    w->status = wanted->status;
    readyq__set(w, kind, wanted->kind);
    readyq__arm(w, true);
}

void readyq__arm(readyq_watch *w, bool armed)
{
    const bool plain = armed && w->kind == READYQ_KIND_FD && !(w->interest & READYQ_ONESHOT);

    readyq__set(w, armed, armed);
    w->own.flags = (uint8_t)((w->own.flags & ~READYQ__SLOW) | (plain ? 0 : READYQ__SLOW));
}

void readyq__activate(readyq *q, readyq_watch *w)
{
    q->size++;
    q->stats.kinds[w->kind].watches++;
    q->stats.kinds[w->kind].adds++;
    if (readyq__is_recorded(q))
        readyq__write_add(q, w);
    if (q->watchdog != NULL)
        readyq__watchdog_add(q, w);
    __atomic_store_n(&w->queue, q, __ATOMIC_RELEASE);
}

/* Undoes everything that adding the watch did, except that the watch stays in the queue. */
static void stop(readyq *q, readyq_watch *w)
{
    readyq__unlist(q, w);
    q->kinds[w->kind]->stop(q, w);
    q->size--;
    q->stats.kinds[w->kind].watches--;
    q->nfiles -= (w->own.flags & READYQ__FILE) != 0;
    readyq__set(w, armed, false);
    w->own.flags = 0;
}

void readyq__detach(readyq *q, readyq_watch *w)
{
    if (w->own.place != READYQ__STALE) {
        stop(q, w);
    } else {
        readyq__unlist(q, w);
    }
    __atomic_store_n(&w->queue, NULL, __ATOMIC_RELEASE);
}

void readyq__mark_stale(readyq *q, readyq_watch *w)
{
    struct readyq__slot *slot = &q->slots[w->fd];

    if (slot->watch == w) /* the kernel's registration of the number is not to be removed with it */
        vacate(q, slot);
    readyq__record_remove(q, w, READYQ_REMOVAL_STALE);
    if (q->watchdog != NULL)
        readyq__watchdog_stale(q, w);
    stop(q, w);
    readyq__set(w, ready, 0);
    w->own.place = READYQ__STALE;
    readyq__link_before(&q->stale, &w->own.link);
}
