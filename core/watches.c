/* SPDX-License-Identifier: MIT
 *
 * Descriptors: adding one, changing its interest; and the calls that are the same for watches of
 * every kind.
 */
#include "internal.h"

#include <fcntl.h>

static bool is_interest(uint32_t interest)
{
    if (interest & ~(READYQ__DIRECTIONS | READYQ__MODES))
        return false;
    return interest == 0 || (interest & READYQ__DIRECTIONS) != 0;
}

/* ------------------------------------------------------------------ the kind */

/* The requested bits, and an end with the direction that it ends. Bits that the kernel reports
 * unrequested are let through if nothing else is left; otherwise they would be reported forever. */
static uint32_t mask(uint32_t bits, uint32_t interest)
{
    const uint32_t asked = interest & READYQ__DIRECTIONS;
    const uint32_t ends = (asked & (READYQ_READ | READYQ_WRITE)) << 4;
    const uint32_t event = bits & (asked | ends | READYQ_ERROR);

    if (event == 0 && (bits & READYQ__HANGUP))
        return READYQ_READ_CLOSED | READYQ_WRITE_CLOSED;
    return event != 0 ? event : bits & ~READYQ__DIRECTIONS;
}

/* A level-triggered watch that a batch holds is reported again by the kernel when it is given back;
 * until then it is muted, so that no thread is woken for it. */
static void handle_event(readyq *q, readyq_watch *w, uint32_t bits)
{
    if (!w->armed || (w->own.flags & READYQ__INITIAL))
        return;
    bits = mask(bits, w->interest);
    if (bits == 0)
        return;
    if (!readyq__is_level(w)) {
        readyq__list(q, w, bits);
        return;
    }
    if (w->own.flags & READYQ__ONCE)
        w->own.flags |= READYQ__MUTED; /* by the kernel */
    if (w->own.place == READYQ__IDLE || q->nbatches < 2 ||
        (w->own.place == READYQ__LISTED && w->own.event == 0))
        readyq__list(q, w, bits); /* no batch holds it */
    else if (!(w->own.flags & READYQ__MUTED))
        readyq__mute(q, w);
}

static void deliver(readyq *q, readyq_watch *w)
{
    (void)q;
    if (w->interest & READYQ_ONESHOT)
        readyq__arm(w, false);
}

static void list_file(readyq *q, readyq_watch *w)
{
    uint32_t bits = w->interest & (READYQ_READ | READYQ_WRITE);

    if (w->own.file.ended)
        bits = w->interest & READYQ_WRITE ? READYQ_WRITE | READYQ_WRITE_CLOSED : 0;
    if (w->armed && bits != 0)
        readyq__list(q, w, bits);
}

static void give_back(readyq *q, readyq_watch *w)
{
    if (w->own.flags & READYQ__FILE) {
        if (!(w->interest & READYQ_EDGE))
            list_file(q, w);
    } else if (readyq__is_level(w)) {
        if (q->nbatches > 1 || (w->own.flags & (READYQ__MUTED | READYQ__ONCE)))
            readyq__unmute(q, w);
    }
}

const struct readyq__kind readyq__kind_fd = {
    .event = handle_event, .deliver = deliver, .give_back = give_back, .stop = readyq__unregister};

/* ------------------------------------------------------------------ adding and changing */

/* `inner`: the id of the queue whose descriptor it is, or 0. */
static int start(readyq *q, readyq_watch *w, int fd, uint32_t interest, uint32_t inner)
{
    const readyq_watch before = *w;
    int error = readyq__prepare(w, READYQ_KIND_FD);

    if (error < 0)
        return error;
    w->fd = fd;
    w->interest = interest;
    w->own.inner = inner;
    readyq__arm(w, interest != 0);
    error = readyq__register(q, w);
    if (error < 0) {
        *w = before;
        return error;
    }
    readyq__activate(q, w);
    if (w->own.flags & READYQ__FILE)
        list_file(q, w);
    return 0;
}

/* `refused`: the error of a check that was made before. */
static int add(readyq *q, readyq_watch *w, int fd, uint32_t interest, uint32_t inner, int refused)
{
    int error = readyq__enter(q);

    if (error < 0)
        return error;
    if (refused < 0)
        error = refused;
    else if (fd == q->pollable || fd == q->kernel)
        error = readyq__refuse(READYQ__OWN_DESCRIPTOR);
    else
        error = start(q, w, fd, interest, inner);
    readyq__leave(q);
    return error;
}

int readyq_add(readyq *q, readyq_watch *w, int fd, uint32_t interest)
{
    uint32_t inner = 0;
    int error;

    if (!is_interest(interest))
        return readyq__refuse(READYQ__BAD_INTEREST);
    if (fd < 0)
        return readyq__refuse(READYQ__NOT_OPEN);
    if (!readyq__may_be_circle(q, fd))
        return add(q, w, fd, interest, 0, 0);
    readyq__lock_registry();
    error = readyq__check_circle(q, fd, &inner);
    error = add(q, w, fd, interest, inner, error);
    readyq__unlock_registry();
    return error;
}

/* Sets the interest of the watch, arms it, and changes the kernel's registration. */
static int change(readyq *q, readyq_watch *w, uint32_t interest)
{
    const uint32_t before = w->interest, old = readyq__kernel_interest(w);
    const uint8_t flags = w->own.flags;
    const bool armed = w->armed;
    int error;

    w->interest = interest;
    readyq__arm(w, interest != 0);
    w->own.flags &= (uint8_t) ~(READYQ__MUTED | READYQ__ONCE);
    readyq__refuse(READYQ__NO_REASON);
    if (flags & READYQ__FILE)
        error = readyq__is_same_file(w) ? 0 : fcntl(w->fd, F_GETFD) < 0 ? -EBADF : -ENOENT;
    else
        error = readyq__update(q, w->fd, old, readyq__kernel_interest(w));
    if (error < 0) {
        w->interest = before;
        w->armed = armed;
        w->own.flags = flags;
        return error == -EBADF    ? readyq__refuse(READYQ__DESCRIPTOR_CLOSED)
               : error == -ENOENT ? readyq__refuse(READYQ__NUMBER_REUSED)
                                  : error;
    }
    q->exclusive |= (interest & READYQ_EXCLUSIVE) != 0;
    readyq__unlist(q, w);
    if (flags & READYQ__FILE)
        list_file(q, w);
    return 0;
}

int readyq_modify(readyq_watch *w, uint32_t interest)
{
    int error;
    readyq *q = readyq__enter_of(w, &error);

    if (q == NULL)
        return error;
    if (w->kind != READYQ_KIND_FD)
        error = readyq__refuse(READYQ__NOT_A_DESCRIPTOR);
    else if (!is_interest(interest))
        error = readyq__refuse(READYQ__BAD_INTEREST);
    else if (w->own.place == READYQ__STALE)
        error = readyq__refuse(READYQ__NUMBER_REUSED);
    else
        error = change(q, w, interest);
    readyq__leave(q);
    return error;
}

/* ------------------------------------------------------------------ every kind */

int readyq_remove(readyq_watch *w)
{
    int error;
    readyq *q = readyq__enter_of(w, &error);

    if (readyq__fired_in(w) != 0)
        readyq__set_fired_in(w, 0); /* readyq_restart() does not add it again */
    if (q == NULL)
        return error;
    w->ready = 0;
    readyq__detach(q, w);
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

size_t readyq_size(readyq *q)
{
    size_t size;

    readyq__lock(q);
    size = q->size;
    readyq__unlock(q);
    return size;
}
