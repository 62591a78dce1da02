/* SPDX-License-Identifier: MIT
 *
 * Waiting. Every thread that waits asks the kernel itself:
 *
 *     1. give back what this thread's batches hold            give_back()
 *     2. list what is ready without the kernel                collect()
 *     3. fetch kernel events, sleeping if nothing is listed   fetch()
 *     4. move the front of the ready list to the batch        fill_batch()
 *
 * Steps 2, 3 and 2 again are repeated until step 4 has something to move, or the wait is over. The
 * lock is released in 3 while the thread is in the kernel, and in await_replacement().
 *
 * Level-triggered watches that earlier waits left on the ready list may have been drained since.
 * mark_unconfirmed() clears their events and arms them before step 2, and so does a batch that is
 * given back while this thread sleeps (batches.c). Step 3 then fetches everything that is ready,
 * without sleeping, and drop_unready() takes the watches that it did not report off the list.
 *
 * Sleeping. readyq_wake() and signal handlers take no lock, so they may come between a thread's
 * last look at the queue and its sleep. They publish (`woken`, `signalled`) and then read
 * `sleepers`; a thread that is about to sleep counts itself in `sleepers` and then reads both once
 * more. All of these are sequentially consistent, so one of the two sides sees the other.
 * Everything else that may end a sleep happens under the lock and is handled in readyq__leave()
 * (gate.c), which kicks one sleeping thread if there is work left: a listed watch, a wake, a
 * signal, a deadline that is not covered, a kernel queue to be replaced, the close. wait.pml is a
 * model of this for the model checker spin; `make spin` runs it.
 *
 * Time. One sleeping thread is the timekeeper: its sleep ends at the next deadline of a timer,
 * which is then `covered`. The others sleep until the deadlines of their calls. When the timekeeper
 * leaves, readyq__leave() kicks a successor.
 *
 * Ghosts. To remove one, the kernel queue is replaced (rebuild.c). Each wait goes a step further in
 * filling the next one, before and after it asks the kernel, and does not sleep until the next one
 * is full. It is put in place while no thread is in the kernel: each sleeping thread is kicked,
 * newly arriving ones wait, and the thread that finds no other in the kernel replaces it.
 */
#include "internal.h"

struct call { /* of readyq_wait(), readyq_wait_until() or readyq_look() */
    readyq *q;
    readyq_batch *batch;
    int64_t timeout, deadline; /* with a timeout > 0 the deadline is computed from it */
    int64_t time;              /* on the monotonic clock, when it was last read */
    size_t max;
    bool is_look; /* of readyq_look(): leaves a wake to the next wait */
    bool woken;   /* a wake has ended it */
};

/* ------------------------------------------------------------------ observing */

static uint32_t look_bit(const struct call *call)
{
    return call->is_look ? READYQ_RECORD_LOOKS : 0;
}

static void record_wait(const struct call *call)
{
    readyq *q = call->q;
    int64_t timeout = call->timeout;

    if (timeout < 0 && call->deadline != READYQ__FOREVER)
        timeout = call->deadline > readyq__now(q) ? call->deadline - readyq__now(q) : 0;
    readyq__record(q, READYQ_RECORD_WAIT, NULL, look_bit(call), timeout);
}

static READYQ__OUT_OF_LINE void observe_wait(const struct call *call)
{
    if (readyq__is_recorded(call->q))
        record_wait(call);
    if (call->q->watchdog != NULL)
        readyq__watchdog_wait(call->q);
}

/* The batch is open, so that the queue lives while the watchdog's function is called. */
static READYQ__OUT_OF_LINE void observe_wait_end(const struct call *call, int n)
{
    readyq *q = call->q;

    if (readyq__is_recorded(q)) {
        readyq__record_wakes(q);
        readyq__record(q, READYQ_RECORD_WAIT_END, NULL,
                       look_bit(call) | (call->woken ? READYQ_RECORD_WOKEN : 0), n);
    }
    if (q->watchdog == NULL || n < 0)
        return;
    readyq__watchdog_wait_end(q, call->batch, (size_t)n < call->max);
    readyq__tell(q);
}

/* ------------------------------------------------------------------ 1. giving back */

/* Clears the event of level-triggered watches that earlier waits left on the ready list, and arms
 * them: they may be muted if several batches were open when they were reported. */
static void mark_unconfirmed(readyq *q)
{
    struct readyq__link *link, *next;
    bool any = false;

    if (!q->may_be_level)
        return;
    for (link = q->ready.next; link != &q->ready; link = next) {
        readyq_watch *w = readyq__owner(link, link);

        next = link->next;
        if (!readyq__is_level(w))
            continue;
        any = true;
        w->own.event = 0;
        if (w->own.flags & READYQ__MUTED)
            readyq__unmute(q, w);
    }
    q->may_be_level = q->any_unconfirmed = any;
}

/* Takes off the ready list what is no longer ready: unconfirmed watches that the kernel did not
 * report again, and files, always ready, that were closed. */
static void drop_unready(readyq *q)
{
    struct readyq__link *link, *next;

    if (!q->any_unconfirmed && q->nfiles == 0)
        return;
    q->any_unconfirmed = false;
    for (link = q->ready.next; link != &q->ready; link = next) {
        readyq_watch *w = readyq__owner(link, link);

        next = link->next;
        if ((w->own.flags & READYQ__FILE) && !readyq__is_same_file(w)) {
            readyq__mark_stale(q, w);
        } else if (w->own.event == 0) {
            readyq__unlink(link);
            w->own.place = READYQ__IDLE;
            q->nready--;
            readyq__record(q, READYQ_RECORD_LAPSE, w, 0, 0);
        }
    }
}

/* A thread that waits again has finished with its watches: its other batches are closed. */
static void give_back(readyq *q, readyq_batch *batch)
{
    if (batch->own.queue == NULL)
        readyq__open_batch(q, batch);
    else
        readyq__give_back(q, batch);
    batch->own.thread = (uintptr_t)pthread_self();
    if (q->nbatches > 1)
        readyq__close_batches(q, true, batch);
    mark_unconfirmed(q);
}

/* ------------------------------------------------------------------ 2. without the kernel */

/* The time of the call, on the queue's clock. */
static int64_t now_of(const struct call *call)
{
    return call->q->virtual_clock ? call->q->now : call->time;
}

/* Reads the clock if this call needs it: when it begins, and each time after system calls. */
static void read_clock(struct call *call)
{
    if (call->timeout != 0 || call->q->ntimers > 0)
        call->time = readyq__monotonic();
}

static inline void collect(const struct call *call)
{
    readyq *q = call->q;

    if (atomic_load(&q->signalled))
        readyq__collect_signals(q);
    if (q->ntimers > 0)
        readyq__expire(q, now_of(call));
}

/* Whether a wake ends this call; if so, it uses the wake up. A call with timeout 0 returns anyway,
 * so it leaves the wake to a thread that sleeps. An exchange, unlike a store, also reads:
 * everything that was published before the wake that it uses up is seen. */
static bool take_wake(struct call *call)
{
    readyq *q = call->q;

    if (call->is_look || !atomic_load(&q->woken) || (call->timeout == 0 && q->asleep > 0))
        return false;
    atomic_exchange(&q->woken, false);
    call->woken = true;
    return true;
}

/* The kernel had nothing: virtual time jumps to the next deadline, if this call would sleep. */
static void jump(const struct call *call)
{
    readyq *q = call->q;
    const int64_t due = readyq__next_due(q), until = due < call->deadline ? due : call->deadline;

    if (call->timeout == 0 || atomic_load(&q->woken))
        return;
    if (until != READYQ__FOREVER && until > q->now)
        q->now = until;
    collect(call);
}

/* ------------------------------------------------------------------ 3. asking the kernel */

/* The deadline that ends the sleep. If no sleeping thread covers the next timer, this one becomes
 * the timekeeper. A former timekeeper, for a later timer, sleeps on until its own deadline. */
static int64_t claim_deadline(const struct call *call)
{
    readyq *q = call->q;
    const int64_t due = readyq__next_due(q);

    if (due >= q->covered)
        return call->deadline;
    q->timekeeper = call->batch;
    q->covered = due;
    return due < call->deadline ? due : call->deadline;
}

/* How long to sleep in the kernel; may make this thread the timekeeper. On the virtual clock it
 * sleeps only if there is no deadline. */
static int64_t time_to_sleep(const struct call *call)
{
    readyq *q = call->q;
    int64_t until;

    if (call->timeout == 0 || q->any_unconfirmed || !readyq__list_empty(&q->ready))
        return 0;
    if (q->ghost_found && !q->rebuild_due) /* the next kernel queue is not complete */
        return 0;
    if (q->virtual_clock) {
        const bool any =
            call->deadline != READYQ__FOREVER || readyq__next_due(q) != READYQ__FOREVER;

        return any ? 0 : -1;
    }
    until = claim_deadline(call);
    if (until == READYQ__FOREVER)
        return -1;
    until -= now_of(call);
    return until > 0 ? until : 0;
}

/* Another library may have replaced the handler for a watched signal since the last wait. */
static void check_handlers(readyq *q)
{
    for (struct readyq__link *at = q->signals.next; at != &q->signals; at = at->next)
        readyq__check_handler(readyq__owner(at, source.group)->signal);
}

/* Counts the thread as a sleeper, and then looks for what was published before it was counted: see
 * the head of this file. Returns the timeout, or 0 if there is something. */
static int64_t begin_sleep(const struct call *call, int64_t timeout)
{
    readyq *q = call->q;

    if (q->watchdog != NULL)
        timeout = readyq__watchdog_sleep(q, timeout);
    readyq__count_sleep(q, call->time, timeout);
    q->asleep++;
    readyq__publish_sleepers(q);
    return atomic_load(&q->woken) || atomic_load(&q->signalled) ? 0 : timeout;
}

/* The last thread to leave a closed queue closes its descriptors. */
static inline void leave_kernel(const struct call *call, bool slept)
{
    readyq *q = call->q;

    q->in_kernel--;
    if (slept) {
        readyq__count_sleep_end(q, call->time);
        q->asleep--;
        readyq__publish_sleepers(q);
    }
    if (q->timekeeper == call->batch) {
        q->timekeeper = NULL;
        q->covered = READYQ__FOREVER;
    }
    if (q->in_kernel > 0)
        return;
    if (q->closed && !atomic_load(&q->shut))
        readyq__tear_down(q);
    if (q->rebuild_due)
        pthread_cond_broadcast(&q->kernel_left);
}

/* Fetches as many events as the batch has room for in addition to what is listed, but at least one,
 * so that a list that is never empty does not hold up the kernel's events. Fetches again, without
 * sleeping, if the kernel may have more, or if all events were stale: another thread may have
 * changed the watches during the fetch, and they may be ready. If watches are unconfirmed, fetches
 * everything: a watch that stays unconfirmed is not ready, or was fetched by another thread, which
 * lists it. */
static inline int fetch_some(const struct call *call, int64_t timeout)
{
    readyq *q = call->q;
    const size_t ready = readyq__count_ready(q), space = ready < call->max ? call->max - ready : 1;
    const int most = space < READYQ__FETCH ? (int)space : READYQ__FETCH;
    const uint64_t stale = q->stats.stale;
    bool more;
    int n;

    if (q->any_unconfirmed)
        return readyq__fetch_all(q, q->kernel);
    q->stats.kernel_waits++;
    n = q->backend->wait(q, q->kernel, most, timeout);
    if (n == most)
        more = readyq__count_ready(q) < call->max;
    else
        more = n > 0 && q->stats.stale != stale && readyq__list_empty(&q->ready);
    return more ? readyq__fetch_all(q, q->kernel) : n;
}

/* pthread_cancel() ended the sleep, perhaps after the kernel had returned events to it. One of them
 * may be a kick; an unnecessary kick does no harm. */
static void end_cancelled(void *argument)
{
    struct call *call = argument;
    readyq *q = call->q;

    pthread_mutex_lock(&q->lock);
    q->cancel_state = PTHREAD_CANCEL_DISABLE; /* of a thread that is being cancelled */
    read_clock(call);
    leave_kernel(call, true);
    atomic_store(&q->kicked, false);
    if (!atomic_load(&q->shut))
        readyq__rearm_all(q);
    if (q->observed)
        observe_wait_end(call, -ECANCELED);
    readyq__close_batch(q, call->batch);
    readyq__release(q); /* the batch's reference */
}

/* Sleeps until there are events, if nothing is listed. Returns how many events the last system call
 * returned, kicks included, which may be 0 even before the timeout; or -errno. A thread is counted
 * as asleep even if its last look (begin_sleep) makes it return at once. */
static int fetch(struct call *call, int64_t wanted)
{
    readyq *q = call->q;
    const int64_t timeout = wanted != 0 ? begin_sleep(call, wanted) : 0;
    int n;

    q->in_kernel++;
    if (timeout != 0 && !readyq__alone()) {
        pthread_cleanup_push(end_cancelled, call);
        n = fetch_some(call, timeout);
        pthread_cleanup_pop(0);
    } else {
        n = fetch_some(call, timeout);
    }
    read_clock(call);
    leave_kernel(call, wanted != 0);
    return n;
}

/* A ghost was found: fills the next kernel queue by a step if it is not complete. 0 or -errno. */
static int prepare_if_due(readyq *q)
{
    return !q->rebuild_due && !q->closed ? readyq__prepare_rebuild(q) : 0;
}

/* Replaces the kernel queue if that is due and no thread is in the kernel. 0 or -errno. */
static int replace_if_possible(readyq *q)
{
    int error;

    if (!q->rebuild_due || q->in_kernel > 0)
        return 0;
    error = q->closed ? 0 : readyq__rebuild(q);
    q->rebuild_due = false;
    pthread_cond_broadcast(&q->kernel_left);
    return error;
}

/* No thread enters the kernel while a replacement is due. This one kicks a sleeping thread; each
 * kicked thread kicks the next, here or in readyq__leave(). */
static int await_replacement(struct call *call)
{
    readyq *q = call->q;
    const int cancel_state = q->cancel_state, error = prepare_if_due(q);

    while (q->rebuild_due && q->in_kernel > 0 && !q->closed) {
        if (q->asleep > 0)
            readyq__kick(q);
        pthread_cond_wait(&q->kernel_left, &q->lock);
        q->cancel_state = cancel_state; /* another thread held the lock */
        read_clock(call);
    }
    return error < 0 ? error : replace_if_possible(q);
}

/* ------------------------------------------------------------------ 4. filling the batch */

/* Moves up to `max` watches from the front of the ready list to the batch, which is empty, and
 * returns how many. They stay LISTED until they are taken, so this is a single splice. */
static int fill_batch(readyq *q, readyq_batch *batch, size_t max)
{
    struct readyq__link *const held = &batch->own.held, *const ready = &q->ready, *rest = ready;
    size_t n;

    n = readyq__count_ready(q);
    if (n == 0)
        return 0;
    if (n > max)
        for (n = 0, rest = ready->next; n < max; n++)
            rest = rest->next;
    held->next = ready->next;
    held->prev = rest->prev;
    held->next->prev = held;
    held->prev->next = held;
    ready->next = rest;
    rest->prev = ready;
    readyq__set_next(q, batch, held->next);
    readyq__pollable_fill(q, batch);
    q->nready -= n;
    q->stats.deliveries += n;
    if (n > q->stats.largest_batch)
        q->stats.largest_batch = n;
    return (int)n;
}

/* ------------------------------------------------------------------ one wait */

static bool is_over(const struct call *call)
{
    return call->timeout == 0 ||
           (call->deadline != READYQ__FOREVER && now_of(call) >= call->deadline);
}

/* A binding's look, before a wait: if the queue's last sleep was a real one, or if a wake will end
 * the wait, only the wait asks the kernel. */
static bool is_left_to_wait(const struct call *call)
{
    readyq *q = call->q;

    return call->is_look && (q->slept_last || atomic_load(&q->woken)) && !q->any_unconfirmed &&
           !q->ghost_found && readyq__list_empty(&q->ready);
}

/* What ends a wait, in this order: the close, events, an error, a wake, a signal, the timeout. What
 * was due or caught before the kernel is asked is listed before its events. A ghost that this call
 * has found is removed by it if the next kernel queue needs only one step. */
static int wait_for(struct call *call)
{
    readyq *q = call->q;
    int n, filled, error;

    for (;;) {
        error = q->ghost_found ? await_replacement(call) : 0;
        if (q->closed)
            return -ESHUTDOWN;
        collect(call);
        if (!call->is_look)
            check_handlers(q);
        n = is_left_to_wait(call) ? 0 : fetch(call, error < 0 ? 0 : time_to_sleep(call));
        if (q->ghost_found && error == 0 && (error = prepare_if_due(q)) == 0)
            error = replace_if_possible(q);
        if (q->closed)
            return -ESHUTDOWN;
        collect(call);
        drop_unready(q); /* unconfirmed by this call, or by another thread during the fetch */
        if (q->virtual_clock && n == 0 && error == 0 && readyq__list_empty(&q->ready))
            jump(call);
        filled = fill_batch(q, call->batch, call->max);
        if (filled > 0)
            return filled;
        if (error < 0 || (n < 0 && n != -EINTR))
            return error < 0 ? error : n;
        if (take_wake(call))
            return 0;
        if (q->watchdog != NULL && call->timeout != 0 && readyq__tell(q))
            return -EINTR;
        if (n == -EINTR && q->interruptible && call->timeout != 0)
            return -EINTR;
        if (is_over(call))
            return 0;
    }
}

static int wait_once(struct call *call, int max)
{
    readyq *q = call->q;
    readyq_batch *const batch = call->batch;
    uint64_t changes;
    int n;

    if (max < 0)
        return readyq__refuse(EINVAL, "the maximum is negative", "use 0 for no maximum");
    call->max = max > 0 ? (size_t)max : SIZE_MAX;
    if (batch->own.queue != NULL && batch->own.queue != q)
        readyq_done(batch);
    n = readyq__enter(q);
    if (n == -ESHUTDOWN)
        readyq_done(batch);
    if (n < 0)
        return n;
    read_clock(call);
    if (call->timeout > 0)
        call->deadline = readyq__deadline(now_of(call), call->timeout);
    batch->own.deadline = call->deadline;
    q->stats.waits++;
    changes = q->stats.changes;
    if (q->observed)
        observe_wait(call);
    give_back(q, batch);
    if (q->stats.changes != changes)
        read_clock(call); /* system calls take a while */
    n = wait_for(call);
    if (q->observed)
        observe_wait_end(call, n);
    if (n == -ESHUTDOWN) {
        readyq__close_batch(q, batch);
        readyq__release(q);
    } else {
        readyq__leave(q);
    }
    return n;
}

int readyq_wait(readyq *q, readyq_batch *batch, int64_t timeout, int max)
{
    struct call call = {.q = q, .batch = batch, .timeout = timeout, .deadline = READYQ__FOREVER};

    if (timeout < -1)
        return readyq__refuse(EINVAL, "the timeout is negative",
                              "use 0 or more, or -1 to wait forever");
    return wait_once(&call, max);
}

int readyq_wait_until(readyq *q, readyq_batch *batch, int64_t deadline, int max)
{
    struct call call = {.q = q, .batch = batch, .timeout = -1, .deadline = deadline};

    if (deadline < 0)
        return readyq__refuse(EINVAL, "the deadline is negative",
                              "add to readyq_now(), or use INT64_MAX to wait forever");
    return wait_once(&call, max);
}

int readyq_look(readyq *q, readyq_batch *batch, int max)
{
    struct call call = {.q = q, .batch = batch, .deadline = READYQ__FOREVER, .is_look = true};

    return wait_once(&call, max);
}

int64_t readyq_deadline(const readyq_batch *batch)
{
    return batch->own.deadline;
}
