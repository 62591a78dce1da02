/* SPDX-License-Identifier: MIT
 *
 * Descriptors: adding one, changing its interest; and the calls that are the same for watches of
 * every kind.
 */
#include "internal.h"

#include <fcntl.h>

/* 0 or -EINVAL. */
static int check_interest(uint32_t interest)
{
    const uint32_t unknown = interest & ~(READYQ__DIRECTIONS | READYQ__MODES);

    if (unknown == 0 && (interest == 0 || (interest & READYQ__DIRECTIONS) != 0))
        return 0;
    return readyq__refuse(EINVAL, "the interest is not valid",
                          "combine READ, WRITE and PRIORITY, with EDGE, ONESHOT or EXCLUSIVE if "
                          "wanted, or use 0 to pause");
}

/* ------------------------------------------------------------------ the kind */

/* The requested bits; READ_CLOSED and WRITE_CLOSED only with the direction that they end; and
 * ERROR. Bits that the kernel reports unrequested are let through if nothing else is left;
 * otherwise they would be reported forever. */
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
    if (!w->armed || (q->edges_ignored && (w->interest & READYQ_EDGE)))
        return;
    bits = mask(bits, w->interest);
    if (bits == 0)
        return;
    if (!readyq__is_level(w)) {
        readyq__list(q, w, bits);
        return;
    }
    if (w->own.flags & READYQ__ONE_EVENT)
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

static void give_back(readyq *q, readyq_watch *w)
{
    if (w->own.flags & READYQ__FILE) {
        if (!(w->interest & READYQ_EDGE))
            readyq__list_file(q, w);
    } else if (readyq__is_level(w)) {
        if (q->nbatches > 1 || (w->own.flags & (READYQ__MUTED | READYQ__ONE_EVENT)))
            readyq__unmute(q, w);
    }
}

static int start(readyq *q, readyq_watch *w)
{
    int error = check_interest(w->interest);

    if (error < 0)
        return error;
    if (w->fd < 0)
        return -EBADF;
    if (readyq__is_own(q, w->fd))
        return readyq__refuse_own();
    readyq__arm(w, w->interest != 0);
    error = readyq__register(q, w);
    if (error == 0 && (w->own.flags & READYQ__FILE))
        readyq__list_file(q, w);
    return error;
}

const struct readyq__kind readyq__kind_fd = {.start = start,
                                             .event = handle_event,
                                             .deliver = deliver,
                                             .give_back = give_back,
                                             .stop = readyq__unregister};

/* ------------------------------------------------------------------ adding and changing */

int readyq__add(readyq *q, readyq_watch *w, const readyq_watch *wanted)
{
    readyq_watch before;
    int error = readyq__enter_to_add(q, w);

    if (error < 0)
        return error;
    before = *w;
    readyq__prepare(q, w, wanted);
    error = q->kinds[w->kind]->start(q, w);
    if (error == 0)
        readyq__activate(q, w);
    else
        *w = before;
    readyq__leave(q);
    return error;
}

int readyq_add(readyq *q, readyq_watch *w, int fd, uint32_t interest)
{
    readyq_watch wanted = {.kind = READYQ_KIND_FD, .fd = fd, .interest = interest};
    int error;

    if (!readyq__may_be_circle(q, fd))
        return readyq__add(q, w, &wanted);
    readyq__lock_registry();
    error = readyq__check_circle(q, fd, &wanted.own.inner);
    if (error == 0)
        error = readyq__add(q, w, &wanted);
    readyq__unlock_registry();
    return error;
}

/* Why the kernel refused a change. */
static int refuse_change(int error)
{
    static const char advice[] = "remove a watch before its descriptor is closed";

    if (error == -EBADF)
        return readyq__refuse(EBADF, "it was closed", advice);
    if (error == -ENOENT)
        return readyq__refuse(EBADF, "it was closed, and the number belongs to another file now",
                              advice);
    return error;
}

/* Sets the interest of the watch, arms it, and changes the kernel's registration. */
static int change(readyq *q, readyq_watch *w, uint32_t interest)
{
    const uint32_t before = w->interest, old = readyq__kernel_interest(w);
    const uint8_t flags = w->own.flags;
    const bool armed = w->armed;
    int error;

    readyq__set(w, interest, interest);
    readyq__arm(w, interest != 0);
    w->own.flags &= (uint8_t) ~(READYQ__MUTED | READYQ__ONE_EVENT);
    readyq__forget_refusal();
    if (w->own.place == READYQ__STALE)
        error = -ENOENT;
    else if (flags & READYQ__FILE)
        error = readyq__is_same_file(w) ? 0 : fcntl(w->fd, F_GETFD) < 0 ? -EBADF : -ENOENT;
    else
        error = readyq__change_registration(q, w, old);
    if (error < 0) {
        readyq__set(w, interest, before);
        readyq__set(w, armed, armed);
        w->own.flags = flags;
        return refuse_change(error);
    }
    q->exclusive |= (interest & READYQ_EXCLUSIVE) != 0;
    readyq__record(q, READYQ_RECORD_MODIFY, w, interest, 0);
    if (q->watchdog != NULL)
        readyq__watchdog_change(q, w);
    readyq__unlist(q, w);
    if (w->own.flags & READYQ__FILE)
        readyq__list_file(q, w);
    return 0;
}

int readyq_modify(readyq_watch *w, uint32_t interest)
{
    int error;
    readyq *q = readyq__enter_of(w, &error);

    if (q == NULL)
        return error;
    if (w->kind != READYQ_KIND_FD)
        error = readyq__refuse(EINVAL, "it is not a descriptor's watch",
                               "only a descriptor's watch has an interest");
    else
        error = check_interest(interest);
    if (error == 0)
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
    readyq__set(w, ready, 0);
    if (w->own.place != READYQ__STALE)
        readyq__record_remove(q, w, READYQ_REMOVAL_CALL);
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
