/* SPDX-License-Identifier: MIT
 *
 * The queue's life: opening, closing, references; and the functions that return information about
 * it.
 */
#include "internal.h"

#include <stdlib.h>

static const struct readyq__kind *const kinds[READYQ__KINDS] = {
    [READYQ_KIND_FD] = &readyq__kind_fd,
    [READYQ_KIND_TIMER] = &readyq__kind_timer,
    [READYQ_KIND_SIGNAL] = &readyq__kind_signal,
    [READYQ_KIND_PROCESS] = &readyq__kind_process,
    [READYQ_KIND_TRIGGER] = &readyq__kind_trigger,
    [READYQ__KIND_WAKEUP] = &readyq__kind_wakeup,
    [READYQ__KIND_SIGCHLD] = &readyq__kind_sigchld,
};

/* ------------------------------------------------------------------ opening */

static readyq *create(const struct readyq_options *options)
{
    readyq *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    if (pthread_mutex_init(&q->lock, NULL) != 0) {
        free(q);
        return NULL;
    }
    if (pthread_cond_init(&q->kernel_left, NULL) != 0) {
        pthread_mutex_destroy(&q->lock);
        free(q);
        return NULL;
    }
    q->cancel_state = PTHREAD_CANCEL_ENABLE;
    q->backend = &READYQ__BACKEND;
    q->kinds = kinds;
    readyq__list_init(&q->ready);
    readyq__list_init(&q->batches);
    readyq__list_init(&q->stale);
    readyq__list_init(&q->signals);
    readyq__list_init(&q->triggers);
    readyq__list_init(&q->children);
    q->kernel = q->next_kernel = q->wakeup.fd = q->wakeup_write = -1;
    q->pollable = q->pollable_timer = q->stats.ghost_fd = -1;
    q->covered = READYQ__FOREVER;
    q->refs = 1;
    q->wakeup.kind = READYQ__KIND_WAKEUP;
    q->wakeup.interest = READYQ_READ | READYQ_EDGE;
    readyq__arm(&q->wakeup, true);
    if (options != NULL) {
        q->virtual_clock = options->virtual_clock;
        q->interruptible = options->interruptible;
    }
    return q;
}

/* The queue is no longer in the registry: otherwise a fork in between would leave it in the
 * child's. */
static void destroy(readyq *q)
{
    readyq__watchdog_close(q);
    free(q->slots);
    free(q->timers);
    pthread_cond_destroy(&q->kernel_left);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static bool is_debug_wanted(void)
{
    const char *wish = getenv("READYQ_DEBUG");

    return wish != NULL && *wish != '\0' && strcmp(wish, "0") != 0;
}

int readyq_open(readyq **out, const struct readyq_options *options)
{
    readyq *q = create(options);
    int error;

    *out = NULL;
    if (q == NULL)
        return -ENOMEM;
    readyq__register_queue(q);
    readyq__lock(q);
    error = readyq__build(q);
    if (error == 0 && ((options != NULL && options->debug != NULL) || is_debug_wanted()))
        error = readyq__watchdog_open(q, options != NULL ? options->debug : NULL);
    if (error < 0) {
        readyq__release(q);
        return error;
    }
    readyq__unlock(q);
    *out = q;
    return 0;
}

/* ------------------------------------------------------------------ closing */

static void detach(readyq *q, readyq_watch *w)
{
    readyq__set(w, ready, 0);
    if (w->own.place != READYQ__STALE)
        readyq__record_remove(q, w, READYQ_REMOVAL_CLOSE);
    readyq__detach(q, w);
}

static void detach_list(readyq *q, struct readyq__link *list)
{
    while (!readyq__list_empty(list))
        detach(q, readyq__owner(list->next, link));
}

/* Removes every watch, whatever its place. */
static void detach_all(readyq *q)
{
    struct readyq__link *const groups[] = {
        &q->triggers, &q->children, /* the last one removes the watch of SIGCHLD */
        &q->signals};

    detach_list(q, &q->ready);
    for (struct readyq__link *at = q->batches.next; at != &q->batches; at = at->next)
        detach_list(q, &readyq__batch_at(at)->own.held);
    detach_list(q, &q->stale);
    while (q->ntimers > 0)
        detach(q, q->timers[0].watch);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        while (!readyq__list_empty(groups[i]))
            detach(q, readyq__owner(groups[i]->next, source.group));
    for (size_t fd = 0; fd < q->nslots; fd++)
        if (q->slots[fd].watch != NULL && q->slots[fd].watch != &q->wakeup)
            detach(q, q->slots[fd].watch);
}

static void shut(readyq *q)
{
    if (q->closed)
        return;
    if (readyq__is_forked(q)) /* the kernel's registrations belong to the parent */
        readyq__close_kernel(q, &q->kernel, true);
    readyq__record(q, READYQ_RECORD_CLOSE, NULL, 0, 0);
    /* From now on registrations end with the set, not one by one. */
    __atomic_store_n(&q->closed, true, __ATOMIC_SEQ_CST);
    detach_all(q);
    if (q->in_kernel == 0)
        readyq__tear_down(q);
}

void readyq__release(readyq *q)
{
    const bool last = --q->refs == 0;

    if (last)
        shut(q);
    readyq__leave(q);
    if (last) {
        readyq__unregister_queue(q);
        destroy(q);
    }
}

int readyq_close(readyq *q)
{
    if (q == NULL)
        return 0;
    readyq__lock(q);
    if (q->closed) {
        readyq__leave(q);
    } else {
        shut(q);
        readyq__release(q); /* the reference of readyq_open() */
    }
    return 0;
}

void readyq_unref(readyq *q)
{
    readyq__lock(q);
    readyq__release(q);
}

readyq *readyq_ref(readyq *q)
{
    readyq__lock(q);
    q->refs++;
    readyq__unlock(q);
    return q;
}

/* ------------------------------------------------------------------ information */

const char *readyq_version(void)
{
    return READYQ_VERSION;
}

const char *readyq_backend(readyq *q)
{
    return q->backend->name;
}

int readyq_fileno(readyq *q)
{
    int error = readyq__enter(q), fd;

    if (error < 0)
        return error;
    if (q->pollable < 0)
        error = readyq__pollable_open(q);
    fd = error < 0 ? error : q->pollable;
    readyq__leave(q);
    return fd;
}

/* How many of the watches in batches have not been taken yet. */
static size_t count_pending(const readyq *q)
{
    size_t n = 0;

    for (struct readyq__link *at = q->batches.next; at != &q->batches; at = at->next) {
        const readyq_batch *batch = readyq__batch_at(at);

        for (const struct readyq__link *link = batch->own.next; link != &batch->own.held;
             link = link->next)
            n++;
    }
    return n;
}

/* Deliveries of plain descriptors are counted by the batch (fill_batch), the others one by one. */
static void add_kinds(struct readyq_stats *stats)
{
    struct readyq_kind_stats *fd = &stats->kinds[READYQ_KIND_FD];

    fd->deliveries = stats->deliveries;
    for (int kind = READYQ_KIND_FD; kind <= READYQ_KIND_TRIGGER; kind++) {
        stats->adds += stats->kinds[kind].adds;
        stats->events += stats->kinds[kind].events;
        if (kind != READYQ_KIND_FD)
            fd->deliveries -= stats->kinds[kind].deliveries;
    }
    stats->removes = stats->adds - stats->watches;
}

int readyq_stats(readyq *q, struct readyq_stats *stats)
{
    readyq__lock(q);
    readyq__count_ready(q);
    *stats = q->stats;
    stats->watches = q->size;
    stats->wakes = atomic_load(&q->wakes);
    stats->kicks = atomic_load(&q->kicks);
    stats->deliveries -= count_pending(q);
    readyq__unlock(q);
    stats->system_calls = stats->kernel_waits + stats->changes + stats->kicks;
    add_kinds(stats);
    return 0;
}

bool readyq_has_reports(readyq *q)
{
    bool any;

    readyq__lock(q);
    any = q->ghosts_reported < q->stats.ghosts || !readyq__list_empty(&q->stale) ||
          (q->watchdog != NULL && q->watchdog->npending > 0);
    readyq__unlock(q);
    return any;
}

int readyq_ghost(readyq *q)
{
    int fd = -1;

    readyq__lock(q);
    if (q->stats.ghosts > q->ghosts_reported + READYQ__GHOSTS)
        q->ghosts_reported = q->stats.ghosts - READYQ__GHOSTS;
    if (q->ghosts_reported < q->stats.ghosts)
        fd = (int)(uint32_t)q->ghosts[q->ghosts_reported++ % READYQ__GHOSTS];
    readyq__unlock(q);
    return fd;
}

readyq_watch *readyq_stale(readyq *q)
{
    readyq_watch *w = NULL;

    readyq__lock(q);
    if (!readyq__list_empty(&q->stale)) {
        w = readyq__owner(q->stale.next, link);
        readyq__detach(q, w);
    }
    readyq__unlock(q);
    return w;
}

int64_t readyq_now(readyq *q)
{
    int64_t now;

    readyq__lock(q);
    now = readyq__now(q);
    readyq__unlock(q);
    return now;
}
