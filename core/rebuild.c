/* SPDX-License-Identifier: MIT
 *
 * Building a kernel queue from the table: for a new queue; in a child after fork, whose set is its
 * parent's; and to remove a ghost, a registration that cannot be removed because its number was
 * closed while a duplicate keeps the file open.
 *
 * Registering an EDGE watch reports, once, whatever is already ready. A child after fork cannot
 * know more, so an edge may be reported again there.
 *
 * To remove a ghost, each wait goes one step further in filling the next set. Descriptors below
 * q->filled are in both sets, and each change to them is made in both (table.c). Meanwhile only the
 * old set is asked for events, and the lock is free between the steps. The set is replaced when the
 * next one is complete and no thread is in the kernel. Events of EDGE watches that the next set has
 * by then are dropped: the old set has reported them, or is about to.
 */
#include "internal.h"

/* The kernel rotates its list, so a full fetch may be followed by more, and the end is reached when
 * it reports the same events again. */
int readyq__fetch_all(readyq *q, int kernel)
{
    size_t left = q->size / READYQ__FETCH + 1;
    int n;

    do {
        q->stats.kernel_waits++;
        n = q->backend->wait(q, kernel, READYQ__FETCH, 0);
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

/* Whether the number was closed and has become one of this queue's own descriptors. Where the
 * kernel does not refuse circles, the kernel queue of any other queue counts as well: registering
 * it without a check could close a circle. */
static bool has_become_own(const readyq *q, const readyq_watch *w)
{
    return readyq__is_own(q, w->fd) ||
           (q->backend->is_queue != NULL && w->own.inner == 0 && q->backend->is_queue(w->fd, -1));
}

static int register_again(readyq *q, int kernel, readyq_watch *w)
{
    const uint32_t interest = is_spent(w) ? READYQ_EDGE : readyq__kernel_interest(w);
    int error = -EBADF;

    if (w == &q->wakeup || !has_become_own(q, w))
        error = q->backend->update(q, kernel, w->fd, 0, interest);
    if (error != -EBADF && error != -EPERM && error != -EINVAL)
        return error == -EEXIST ? 0 : error;
    readyq__mark_stale(q, w); /* closed, or the number belongs to another file now */
    return 0;
}

static int register_all(readyq *q)
{
    int error = 0;

    for (size_t fd = 0; fd < q->nslots && error == 0; fd++)
        if (is_in_kernel(q->slots[fd].watch))
            error = register_again(q, q->kernel, q->slots[fd].watch);
    return error;
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

/* ------------------------------------------------------------------ removing a ghost */

/* The old set still has the file under its number, unless the number was closed. The current file
 * of a number must not be registered in its place. */
static bool is_same(readyq *q, int fd)
{
    const int error = q->backend->update(q, q->kernel, fd, 0, READYQ_EDGE);

    if (error == 0)
        q->backend->update(q, q->kernel, fd, READYQ_EDGE, 0);
    return error == -EEXIST;
}

static int copy(readyq *q, readyq_watch *w)
{
    if (is_same(q, w->fd))
        return register_again(q, q->next_kernel, w);
    readyq__mark_stale(q, w);
    return 0;
}

/* After a failure, the next event of a ghost starts it from the beginning. */
static int fill_next(readyq *q, size_t max)
{
    int error = 0;

    if (q->next_kernel < 0)
        error = q->next_kernel = q->backend->open();
    for (size_t n = 0; n < max && q->filled < q->nslots && error >= 0; q->filled++)
        if (is_in_kernel(q->slots[q->filled].watch)) {
            error = copy(q, q->slots[q->filled].watch);
            n++;
        }
    if (error < 0) {
        readyq__drop_next(q);
        q->ghost_found = false;
    }
    return error;
}

int readyq__prepare_rebuild(readyq *q)
{
    const int error = fill_next(q, READYQ__FETCH);

    q->rebuild_due = error >= 0 && q->filled == q->nslots;
    return error < 0 ? error : 0;
}

/* The lock is kept while events are fetched. With very many ghosts the old set cannot be fetched to
 * its end; no edge is dropped then, and some may be reported twice. */
static void replace(readyq *q)
{
    q->lock_kept = true;
    q->edges_ignored = readyq__fetch_all(q, q->kernel) < READYQ__FETCH;
    readyq__fetch_all(q, q->next_kernel);
    q->edges_ignored = false;
    readyq__fetch_all(q, q->kernel); /* what has come meanwhile */
    q->lock_kept = false;
    readyq__pollable_leave(q);
    readyq__close_kernel(q, &q->kernel, false);
    q->kernel = q->next_kernel;
    q->next_kernel = -1;
    q->filled = 0;
    q->ghost_found = false;
}

int readyq__rebuild(readyq *q)
{
    const int error = fill_next(q, SIZE_MAX); /* numbers that are new since the last step */

    if (error < 0)
        return error;
    replace(q);
    q->stats.rebuilds++;
    readyq__record(q, READYQ_RECORD_REBUILD, NULL, 0, 0);
    return readyq__pollable_rejoin(q);
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
    readyq__drop_next(q);
    readyq__close_kernel(q, &q->kernel, false);
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

    readyq__drop_next(q);
    readyq__close_kernel(q, &q->kernel, true);
    error = q->kernel = q->backend->open();
    if (error < 0)
        return error;
    q->epoch = *readyq__epoch; /* registrations are made from here on */
    error = fill(q);
    if (error < 0) {
        readyq__close_kernel(q, &q->kernel, false);
        q->epoch = epoch;
        return error;
    }
    watch_children(q);
    q->ghost_found = q->rebuild_due = false;
    return 0;
}
