/* SPDX-License-Identifier: MIT
 *
 * The queue's life: opening it, entering it from any thread, closing, references,
 * and the small questions about it. Watches are in watches.c, waiting in wait.c.
 */
#include "internal.h"

#include <stdlib.h>

static void init_lists(readyq *q)
{
    readyq__list_init(&q->always);
    readyq__list_init(&q->quiet);
    readyq__list_init(&q->stale);
    readyq__list_init(&q->fireable);
    readyq__list_init(&q->children);
}

static readyq *create(const struct readyq_options *options)
{
    readyq *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    if (pthread_mutex_init(&q->lock, NULL) != 0) {
        free(q);
        return NULL;
    }
    init_lists(q);
    q->backend = &READYQ__BACKEND;
    q->kernel.fd = q->wakeup.fd = q->wakeup_write = q->baton = q->baton_write = -1;
    q->nest = q->nest_timer = q->stats.ghost_fd = -1;
    q->refs = 1;
    if (options != NULL) {
        q->virtual_clock = options->virtual_clock;
        q->interruptible = options->interruptible;
    }
    return q;
}

static void destroy(readyq *q)
{
    free(q->slots);
    free(q->timers);
    free(q->ready.at);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

int readyq_open(readyq **out, const struct readyq_options *options)
{
    readyq *q = create(options);
    int error;

    *out = NULL;
    if (q == NULL)
        return -ENOMEM;
    error = q->backend->open(q);
    if (error >= 0 && (error = readyq__wakeup_open(q)) < 0)
        q->backend->close(q, false);
    if (error < 0) {
        destroy(q);
        return error;
    }
    readyq__enlist(q);
    *out = q;
    return 0;
}

int readyq__enter(readyq *q)
{
    int error = 0;

    readyq__lock(q);
    if (q->closed)
        error = -ESHUTDOWN;
    else if (q->forked)
        error = readyq__rebuild_forked(q);
    if (error < 0)
        readyq__unlock(q);
    return error;
}

void readyq__leave(readyq *q)
{
    if (q->nest >= 0)
        readyq__nest_update(q);
    readyq__unlock(q);
}

static void detach(readyq *q, readyq_watch *w)
{
    w->ready = 0;
    readyq__detach(q, w, READYQ__UNUSED);
}

/* Every watch out, of whatever kind. */
static void detach_all(readyq *q)
{
    struct readyq__link *lists[] = {&q->always, &q->fireable, &q->children, &q->stale};

    while (q->ntimers > 0)
        detach(q, q->timers[0].watch);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        while (!readyq__list_empty(lists[i]))
            detach(q, readyq__owner(lists[i]->next, group));
    for (size_t fd = 0; fd < q->nslots; fd++)
        if (q->slots[fd].watch != NULL && q->slots[fd].watch != &q->wakeup)
            detach(q, q->slots[fd].watch);
    for (uint32_t i = q->ready.head; i != q->ready.tail; i++) /* one-shot timers that went off */
        if (q->ready.at[i & q->ready.mask] != NULL)
            detach(q, q->ready.at[i & q->ready.mask]);
}

/* Gives up the descriptors, once no thread can be using them. */
static void tear_down(readyq *q)
{
    readyq__nest_close(q);
    q->backend->close(q, false);
    readyq__wakeup_close(q);
    readyq__baton_close(q);
}

void readyq__begin_child(readyq *q)
{
    const bool is_left = q->closed && q->inside > 0;

    readyq__forget_threads(q);
    if (is_left) {
        q->backend->close(q, true);
        tear_down(q);
    }
}

static void shut(readyq *q)
{
    if (q->closed)
        return;
    if (q->forked) /* what the kernel has is the parent's */
        q->backend->close(q, true);
    detach_all(q);
    q->closed = true;
    if (q->inside > 0) {
        readyq__kick(q);
        readyq__baton_pass(q, q->followers);
    } else {
        tear_down(q);
    }
}

static void drop(readyq *q, bool close)
{
    bool last = false;

    readyq__lock(q);
    if (!close || !q->closed) {
        last = --q->refs == 0;
        if (close || last)
            shut(q);
    }
    last = last && q->inside == 0;
    readyq__unlock(q);
    if (last) {
        readyq__delist(q);
        destroy(q);
    }
}

void readyq__come_outside(readyq *q)
{
    bool last = false;

    if (--q->inside == 0 && q->closed) {
        tear_down(q);
        last = q->refs == 0;
    }
    if (q->closed)
        readyq__unlock(q);
    else
        readyq__leave(q);
    if (last) {
        readyq__delist(q);
        destroy(q);
    }
}

int readyq_close(readyq *q)
{
    if (q != NULL)
        drop(q, true);
    return 0;
}

readyq *readyq_ref(readyq *q)
{
    readyq__lock(q);
    q->refs++;
    readyq__unlock(q);
    return q;
}

void readyq_unref(readyq *q)
{
    drop(q, false);
}

const char *readyq_backend(readyq *q)
{
    return q->backend->name;
}

size_t readyq_size(readyq *q)
{
    size_t size;

    readyq__lock(q);
    size = q->size;
    readyq__unlock(q);
    return size;
}

int readyq_stats(readyq *q, struct readyq_stats *stats)
{
    readyq__lock(q);
    *stats = q->stats;
    stats->watches = q->size;
    stats->wakes = atomic_load(&q->wakes);
    readyq__unlock(q);
    return 0;
}

int readyq_ghost(readyq *q)
{
    int fd = -1;

    readyq__lock(q);
    if (q->nghosts > 0)
        fd = q->ghosts[--q->nghosts];
    readyq__unlock(q);
    return fd;
}
