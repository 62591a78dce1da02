/* SPDX-License-Identifier: MIT
 *
 * Building a kernel queue from the table: for a new queue; in a child after fork, whose set is its
 * parent's; and to remove a ghost, a registration that cannot be removed because its number was
 * closed while a duplicate keeps the file open.
 *
 * Registering an EDGE watch reports once whatever is ready already. A child after fork cannot know
 * more, so an edge may be reported again there. When a ghost is removed the old set is still
 * available: it is emptied first; the first edges that the new set reports are ignored; any edges
 * that the old set reports after that arrived in between, and are new.
 */
#include "internal.h"

/* The kernel rotates its list, so a full fetch may be followed by more, and the end is reached when
 * it reports the same events again. */
int readyq__fetch_all(readyq *q)
{
    size_t left = q->size / READYQ__FETCH + 1;
    int n;

    do {
        q->stats.kernel_waits++;
        n = q->backend->wait(q, READYQ__FETCH, 0);
    } while (n == READYQ__FETCH && left-- > 0);
    return n;
}

static bool is_in_kernel(const readyq_watch *w)
{
    return w != NULL && !(w->own.flags & READYQ__FILE);
}

/* ONESHOT, found and not taken yet: the kernel has disarmed it. */
static bool is_spent(const readyq_watch *w)
{
    return (w->interest & READYQ_ONESHOT) && w->own.event != 0;
}

/* A number that was closed, and that this queue opened again, or any queue as its kernel queue:
 * where the kernel does not find circles, they must not come about here. */
static bool is_own(const readyq *q, const readyq_watch *w)
{
    const int fd = w->fd;

    return fd == q->kernel || fd == q->wakeup.fd || fd == q->wakeup_write || fd == q->pollable ||
           fd == q->pollable_timer ||
           (q->backend->is_queue != NULL && w->own.inner == 0 && q->backend->is_queue(fd, -1));
}

static int register_again(readyq *q, readyq_watch *w)
{
    const uint32_t interest = is_spent(w) ? READYQ_EDGE : readyq__kernel_interest(w);

    if (w != &q->wakeup && is_own(q, w))
        return -EBADF;
    if (w->kind == READYQ_KIND_FD && (interest & READYQ_EDGE))
        w->own.flags |= READYQ__INITIAL;
    return q->backend->update(q, w->fd, 0, interest);
}

static int register_all(readyq *q)
{
    for (size_t fd = 0; fd < q->nslots; fd++) {
        readyq_watch *w = q->slots[fd].watch;
        int error;

        if (!is_in_kernel(w))
            continue;
        error = register_again(q, w);
        if (error == -EBADF || error == -EPERM || error == -EINVAL) /* closed, or another's now */
            readyq__mark_stale(q, w);
        else if (error < 0 && error != -EEXIST)
            return error;
    }
    return 0;
}

/* Children that the kernel watches without a descriptor. One that cannot be watched has ended. */
static void watch_children(readyq *q)
{
    if (q->backend->watch_process == NULL)
        return;
    for (struct readyq__link *link = q->children.next; link != &q->children; link = link->next) {
        readyq_watch *w = readyq__owner(link, source.group);

        if (q->backend->watch_process(q, w, true) < 0)
            q->kinds[w->kind]->event(q, w, READYQ_FIRED);
    }
}

/* The set still has each file under its number, unless the number was closed. The present file of a
 * number must not be registered in its place. */
static void find_closed(readyq *q)
{
    for (size_t fd = 0; fd < q->nslots; fd++) {
        readyq_watch *w = q->slots[fd].watch;
        int error;

        if (!is_in_kernel(w))
            continue;
        error = q->backend->update(q, (int)fd, 0, READYQ_EDGE);
        if (error == -EEXIST)
            continue;
        if (error == 0)
            q->backend->update(q, (int)fd, READYQ_EDGE, 0);
        readyq__mark_stale(q, w);
    }
}

/* `replaced`: the ghosts that were counted are gone. */
static void clear_marks(readyq *q, bool replaced)
{
    for (size_t fd = 0; fd < q->nslots; fd++) {
        if (replaced)
            q->slots[fd].counted = 0;
        if (q->slots[fd].watch != NULL)
            q->slots[fd].watch->own.flags &= (uint8_t)~READYQ__INITIAL;
    }
}

/* On failure nothing changed. */
static int replace(readyq *q)
{
    const int old = q->kernel;
    int new, error;

    readyq__fetch_all(q);
    find_closed(q);
    error = q->backend->open(q);
    if (error == 0 && (error = register_all(q)) < 0)
        q->backend->close(q, false);
    if (error < 0) {
        clear_marks(q, false);
        q->kernel = old;
        return error;
    }
    readyq__fetch_all(q);
    clear_marks(q, false);
    new = q->kernel;
    q->kernel = old;
    readyq__fetch_all(q); /* events that arrived in the meantime */
    clear_marks(q, true);
    readyq__pollable_leave(q);
    q->backend->close(q, false);
    q->kernel = new;
    q->stats.rebuilds++;
    readyq__record(q, READYQ_RECORD_REBUILD, NULL, 0, 0);
    return readyq__pollable_rejoin(q);
}

/* The lock is kept while events are fetched: a change that another thread made in the meantime
 * would reach only one of the two sets. */
int readyq__rebuild(readyq *q)
{
    int error;

    q->lock_kept = true;
    error = replace(q);
    q->lock_kept = false;
    return error;
}

void readyq__rearm_all(readyq *q)
{
    for (size_t fd = 0; fd < q->nslots; fd++) {
        const readyq_watch *w = q->slots[fd].watch;

        if (is_in_kernel(w) && w->armed && !is_spent(w)) {
            const uint32_t interest = readyq__kernel_interest(w);

            readyq__update(q, (int)fd, interest, interest);
        }
    }
}

void readyq__tear_down(readyq *q)
{
    readyq__pollable_close(q);
    q->backend->close(q, false);
    readyq__wakeup_close(q);
}

/* ------------------------------------------------------------------ new queues and children */

void readyq__forget_threads(readyq *q)
{
    q->in_kernel = q->asleep = 0;
    q->timekeeper = NULL;
    q->covered = READYQ__FOREVER;
    q->lock_kept = false;
    atomic_store(&q->kicking, 0);
    atomic_store(&q->kicked, false);
    pthread_cond_init(&q->kernel_left, NULL);
    readyq__publish_sleepers(q);
    readyq__close_batches(q, false, NULL); /* they lie on stacks that the child may use again */
}

static int fill(readyq *q)
{
    const int old = q->wakeup.fd;
    int error = readyq__wakeup_open(q);

    if (error < 0)
        return error;
    if (old >= 0 && q->slots[old].watch == &q->wakeup)
        q->slots[old].watch = NULL;
    error = register_all(q);
    if (error == 0)
        error = readyq__register(q, &q->wakeup);
    clear_marks(q, true);
    if (error == 0 && q->pollable_forked)
        error = readyq__pollable_renew(q);
    if (error == 0)
        error = readyq__pollable_rejoin(q);
    return error;
}

int readyq__build(readyq *q)
{
    const uint32_t epoch = q->epoch;
    int error;

    q->backend->close(q, true);
    error = q->backend->open(q);
    if (error < 0)
        return error;
    q->epoch = *readyq__epoch; /* registrations are made from here on */
    error = fill(q);
    if (error < 0) {
        q->backend->close(q, false);
        q->epoch = epoch;
        return error;
    }
    watch_children(q);
    q->rebuild_due = false;
    return 0;
}
