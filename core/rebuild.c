/* SPDX-License-Identifier: MIT
 *
 * Building the kernel queue anew from the table: in a child after fork, whose set is its parent's,
 * and to lose a ghost, a registration that cannot be removed because its number was closed while a
 * duplicate keeps the file open.
 *
 * Registering an EDGE watch tells once what is there already. After a fork that is all the child
 * can know. To lose a ghost the old set is still at hand, and tells old from new: it is drained
 * before; what the new set tells of edges at first is an echo; what the old set tells of them
 * after that arrived in between, and is news.
 */
#include "internal.h"

#include <string.h>

static bool in_kernel(const readyq_watch *w)
{
    return w != NULL && !(w->own.flags & READYQ__ALWAYS);
}

/* Found and not yet taken: the kernel has disarmed it. */
static bool is_spent(const readyq_watch *w)
{
    return (w->interest & READYQ_ONESHOT) && w->own.found != 0;
}

/* A number that was closed and that readyq_fileno() has opened for another file since. */
static bool is_another(const readyq *q, const readyq_watch *w)
{
    return w->kind == READYQ_KIND_FD && (w->fd == q->nest || w->fd == q->nest_timer);
}

static int register_all(readyq *q)
{
    for (size_t fd = 0; fd < q->nslots; fd++) {
        readyq_watch *w = q->slots[fd].watch;
        uint32_t interest;
        int error;

        if (!in_kernel(w))
            continue;
        interest = is_spent(w) ? READYQ_EDGE : readyq__kernel_interest(w);
        error = is_another(q, w) ? -EBADF : q->backend->update(q, (int)fd, 0, interest);
        if (error == -EBADF || error == -EPERM || error == -EINVAL) /* closed, or another's now */
            readyq__abandon(q, w);
        else if (error < 0 && error != -EEXIST) /* the wake-up is there already */
            return error;
        else if (w->kind == READYQ_KIND_FD && (interest & READYQ_EDGE))
            w->own.flags |= READYQ__ECHO;
    }
    return readyq__processes_rewatch(q);
}

/* The set still has each file under its number, unless it was closed. What a number is now must not
 * fire in its stead. */
static void abandon_closed(readyq *q)
{
    for (size_t fd = 0; fd < q->nslots; fd++) {
        readyq_watch *w = q->slots[fd].watch;
        int error;

        if (!in_kernel(w))
            continue;
        error = q->backend->update(q, (int)fd, 0, READYQ_EDGE);
        if (error == -EEXIST)
            continue;
        if (error == 0)
            q->backend->update(q, (int)fd, READYQ_EDGE, 0);
        readyq__abandon(q, w);
    }
}

static void clear_echoes(readyq *q)
{
    for (size_t fd = 0; fd < q->nslots; fd++)
        if (q->slots[fd].watch != NULL)
            q->slots[fd].watch->own.flags &= (uint8_t)~READYQ__ECHO;
}

/* A new kernel queue in place of `old`, which the caller closes; on failure nothing changed. */
static int open_anew(readyq *q, struct readyq__kernel *old)
{
    int error;

    *old = q->kernel;
    memset(&q->kernel, 0, sizeof q->kernel);
    q->kernel.fd = -1;
    error = q->backend->open(q);
    if (error >= 0 && (error = register_all(q)) < 0)
        q->backend->close(q, false);
    if (error < 0) {
        clear_echoes(q);
        q->kernel = *old;
    }
    return error;
}

static int replace(readyq *q)
{
    struct readyq__kernel old, new;
    int error;

    readyq__look_all(q);
    abandon_closed(q);
    error = open_anew(q, &old);
    if (error < 0)
        return error;
    readyq__look_all(q); /* hears the echoes */
    clear_echoes(q);
    new = q->kernel;
    q->kernel = old;
    readyq__look_all(q); /* what came meanwhile */
    readyq__nest_leave(q);
    q->backend->close(q, false);
    q->kernel = new;
    q->haunted = false;
    q->stats.rebuilds++;
    return readyq__nest_rebuild(q, false);
}

/* A change that another thread made meanwhile would reach one of the two sets alone. */
int readyq__rebuild(readyq *q)
{
    int error;

    q->rebuilding = true;
    error = replace(q);
    q->rebuilding = false;
    return error;
}

/* Ends a fire that was under way, and tells whether there was one that nobody saw. */
static bool end_fires(readyq_watch *w)
{
    const bool fired = w->own.pending > 0;

    w->own.firing = 0;
    w->own.counted += w->own.pending;
    w->own.pending = 0;
    return fired;
}

/* Threads that were waiting or firing do not exist in this process; one of them may have counted
 * its fire and not yet put the watch on the stack. */
void readyq__forget_threads(readyq *q)
{
    struct readyq__link *link;

    q->leading = false;
    q->followers = q->inside = 0;
    atomic_store(&q->kicking, 0);
    atomic_store(&q->hot, NULL);
    for (link = q->fireable.next; link != &q->fireable; link = link->next) {
        readyq_watch *w = readyq__owner(link, group);

        if (end_fires(w))
            readyq__list(q, w, READYQ_FIRED);
    }
    if (end_fires(&q->child_signal))
        readyq__reap_news(q);
}

int readyq__rebuild_forked(readyq *q)
{
    int error;

    q->backend->close(q, true);
    readyq__wakeup_close(q);
    readyq__baton_close(q);
    error = q->backend->open(q);
    if (error < 0)
        return error;
    error = readyq__wakeup_open(q);
    if (error >= 0)
        error = register_all(q);
    clear_echoes(q);
    if (error >= 0)
        error = readyq__nest_rebuild(q, true);
    if (error < 0) {
        q->backend->close(q, false);
        readyq__wakeup_close(q);
        return error;
    }
    q->stats.rebuilds++;
    atomic_store(&q->forked, false);
    return 0;
}
