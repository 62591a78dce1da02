/* SPDX-License-Identifier: MIT
 *
 * Waiting. Of the threads that wait on a queue one, the leader, asks the kernel; the others, its
 * followers, sleep until they are passed the baton. So kernel events are fetched by one thread at
 * a time, and what it does not take is there for the next.
 *
 * Level-triggered and many waiters: what the leader takes away would still be ready when the next
 * thread asks the kernel, and each waiter in turn would get the same byte. So while others sleep,
 * a level-triggered watch that is handed out is made quiet: EDGE in the kernel, which tells only
 * of new arrivals. The next wait that begins makes it level again, and then sees what is left.
 *
 * Left untaken: what an earlier wait found and nobody took comes first in the next. A
 * level-triggered one is asked of the kernel again, and keeps its place if it is still ready.
 */
#include "internal.h"

struct turn { /* one call of wait */
    int64_t timeout, deadline;
    int max;
    bool consume; /* a wake ends it and is used up */
};

static bool is_level(const readyq_watch *w)
{
    return w->kind == READYQ_KIND_FD && !(w->interest & (READYQ_EDGE | READYQ_ONESHOT));
}

/* ------------------------------------------------------------------ asking the kernel */

static int ask(readyq *q, size_t room, int64_t timeout)
{
    q->clears_asked = q->clears;
    q->stats.kernel_waits++;
    return q->backend->wait(q, room < READYQ__BATCH ? (int)room : READYQ__BATCH, timeout);
}

/* Everything that is ready now. The kernel turns its list round, so a full batch may be followed
 * by more, and ends by telling of the same again. */
int readyq__look_all(readyq *q)
{
    size_t left = q->size / READYQ__BATCH + 1;
    int n;

    do {
        n = ask(q, READYQ__BATCH, 0);
    } while (n == READYQ__BATCH && left-- > 0);
    return n;
}

/* ------------------------------------------------------------------ what never blocks */

static bool is_always_ready(const readyq_watch *w)
{
    return w->armed && (w->interest & (READYQ_READ | READYQ_WRITE)) &&
           !(w->own.flags & (READYQ__LISTED | READYQ__SAID));
}

static bool has_always(const readyq *q)
{
    for (struct readyq__link *link = q->always.next; link != &q->always; link = link->next)
        if (is_always_ready(readyq__owner(link, group)))
            return true;
    return false;
}

/* After what the kernel told, so that they take their turn. Returns whether one was found closed:
 * it may have been in line, where the kernel was then asked for less. */
static bool list_always(readyq *q)
{
    struct readyq__link *link, *next;
    bool closed = false;

    for (link = q->always.next; link != &q->always; link = next) {
        readyq_watch *w = readyq__owner(link, group);

        next = link->next;
        if (!is_always_ready(w) && !(w->own.flags & READYQ__LISTED))
            continue;
        if (!readyq__same_file(w)) {
            readyq__abandon(q, w);
            closed = true;
            continue;
        }
        if (w->interest & READYQ_EDGE)
            w->own.flags |= READYQ__SAID;
        readyq__list(q, w, w->interest & (READYQ_READ | READYQ_WRITE));
    }
    return closed;
}

/* ------------------------------------------------------------------ what was left untaken */

static readyq_watch *in_line(const readyq *q, uint32_t index)
{
    return q->ready.at[index & q->ready.mask];
}

/* Empties what was found of the level-triggered ones, which keep their places, to be asked again.
 * Only the leader may ask: else they leave the line, and the kernel will tell the leader. Returns
 * whether there is anything to ask. What was seen not to be level-triggered is not looked at
 * again: a long line may be taken one by one. */
static bool recall(readyq *q, bool ask_again)
{
    struct readyq__ring *ring = &q->ready;
    uint32_t i = ring->seen - ring->limit <= ring->tail - ring->limit ? ring->seen : ring->limit;
    bool any = false;

    for (; i != ring->tail; i++) {
        readyq_watch *w = in_line(q, i);

        if (w == NULL || !is_level(w) || (w->own.flags & READYQ__ALWAYS))
            continue;
        if (!any)
            ring->seen = i;
        any = true;
        w->own.found = 0;
        if (!ask_again)
            readyq__unlist(q, w);
    }
    if (!any)
        ring->seen = ring->tail;
    return any && ask_again;
}

/* Those that the kernel did not tell of again leave the line. */
static void dismiss(readyq *q)
{
    for (uint32_t i = q->ready.seen; i != q->ready.tail; i++) {
        readyq_watch *w = in_line(q, i);

        if (w != NULL && w->own.found == 0)
            readyq__unlist(q, w);
    }
}

/* ------------------------------------------------------------------ many waiters */

static void set_quiet(readyq *q, readyq_watch *w, bool quiet)
{
    const uint32_t old = readyq__kernel_interest(w);
    int error;

    w->own.flags ^= READYQ__QUIET;
    error = q->backend->update(q, w->fd, old, readyq__kernel_interest(w));
    if (error < 0) {
        w->own.flags ^= READYQ__QUIET;
        return;
    }
    readyq__unlink(&w->own.group);
    w->own.flags &= (uint8_t)~READYQ__ECHO;
    if (quiet) {
        w->own.flags |= READYQ__ECHO; /* an edge is told once when it is set */
        readyq__link_before(&q->quiet, &w->own.group);
    }
}

/* Makes quiet what this turn is about to hand out, and hears the echoes. */
static void hush(readyq *q, int max)
{
    int n = 0;

    for (uint32_t i = q->ready.limit; i != q->ready.tail && (max == 0 || n < max); i++) {
        readyq_watch *w = in_line(q, i);

        if (w == NULL)
            continue;
        n++;
        if (is_level(w) && !(w->own.flags & (READYQ__ALWAYS | READYQ__QUIET)))
            set_quiet(q, w, true);
    }
    if (readyq__list_empty(&q->quiet))
        return;
    readyq__look_all(q);
    for (struct readyq__link *link = q->quiet.next; link != &q->quiet; link = link->next)
        readyq__owner(link, group)->own.flags &= (uint8_t)~READYQ__ECHO;
}

static void unhush(readyq *q)
{
    while (!readyq__list_empty(&q->quiet)) {
        readyq_watch *w = readyq__owner(q->quiet.next, group);

        set_quiet(q, w, false);
        if (w->own.flags & READYQ__QUIET) { /* its descriptor was closed */
            readyq__unlink(&w->own.group);
            w->own.flags &= (uint8_t)~READYQ__QUIET;
        }
    }
}

/* ------------------------------------------------------------------ one turn */

/* Sees to what reached the queue without the kernel; true when the wait is to end. A kick that
 * finds one under way leaves it at that, so what it came for is looked for after `kicked` is
 * cleared, and by loads that no processor moves before it. */
static bool attend(readyq *q, const struct turn *turn)
{
    if (atomic_load(&q->kicked)) {
        atomic_store(&q->kicked, false);
        readyq__collect_fired(q);
    }
    if (!turn->consume || !atomic_load(&q->woken))
        return false;
    atomic_exchange(&q->woken, false); /* read, so that what a later wake announces is seen */
    return true;
}

/* How long the kernel may sleep. On the virtual clock nobody sleeps while a deadline is set. */
static int64_t time_to_sleep(readyq *q, const struct turn *turn)
{
    int64_t until = readyq__next_due(q);

    if (turn->timeout == 0 || readyq__unpromised(q) > 0 || has_always(q))
        return 0;
    if (turn->deadline < until)
        until = turn->deadline;
    if (until == READYQ__FOREVER)
        return -1;
    if (q->virtual_clock)
        return 0;
    until -= readyq__now(q);
    return until > 0 ? until : 0;
}

/* The kernel had nothing: virtual time jumps. */
static void jump(readyq *q, const struct turn *turn)
{
    int64_t until = readyq__next_due(q);

    if (!q->virtual_clock || turn->timeout == 0)
        return;
    if (turn->deadline < until)
        until = turn->deadline;
    if (until != READYQ__FOREVER && until > q->now)
        q->now = until;
}

static void expire(readyq *q)
{
    if (q->ntimers > 0)
        readyq__expire(q, readyq__now(q));
}

/* Asks the kernel, for as long as it may sleep and for as much as there is room. */
static int ask_for(readyq *q, int max, int64_t sleep)
{
    const size_t have = readyq__unpromised(q), most = max > 0 ? (size_t)max : SIZE_MAX;
    size_t room = have < most ? most - have : 1;
    int n;

    if (room > READYQ__BATCH)
        room = READYQ__BATCH;
    n = ask(q, room, sleep);
    if (n == (int)room && readyq__unpromised(q) < most) /* some of it was no delivery */
        n = readyq__look_all(q);
    return n;
}

/* The same of what an earlier wait left; it is all that a first look need do. */
static int ask_again(readyq *q)
{
    const int n = readyq__look_all(q);

    dismiss(q);
    return n;
}

/* One question to the kernel with all that goes with it. 1: the turn is over, or -errno. */
static int step(readyq *q, const struct turn *turn, bool again)
{
    bool woken = attend(q, turn);
    int n;

    expire(q);
    if (again)
        n = ask_again(q);
    else
        n = ask_for(q, turn->max, woken ? 0 : time_to_sleep(q, turn));
    if (q->closed)
        return -ESHUTDOWN;
    if (n < 0 && n != -EINTR)
        return n;
    woken |= attend(q, turn);
    if (list_always(q) && readyq__unpromised(q) == 0)
        readyq__look_all(q);
    if (q->haunted && (n = readyq__rebuild(q)) < 0 && readyq__unpromised(q) == 0)
        return n;
    if (readyq__unpromised(q) == 0 && !woken)
        jump(q, turn);
    expire(q);
    if (readyq__unpromised(q) > 0 && q->followers > 0)
        hush(q, turn->max);
    if (q->closed)
        return -ESHUTDOWN;
    if (readyq__unpromised(q) > 0 || woken || turn->timeout == 0)
        return 1;
    if (n == -EINTR && q->interruptible)
        return -EINTR;
    return turn->deadline != READYQ__FOREVER && readyq__now(q) >= turn->deadline;
}

static int lead(readyq *q, const struct turn *turn)
{
    bool again = recall(q, true);
    int over;

    q->leading = true;
    while ((over = step(q, turn, again)) == 0)
        again = false;
    q->leading = false;
    return over < 0 ? over : readyq__promise(q, turn->max);
}

/* Another thread leads: sleeps until it passes the baton. */
static int follow(readyq *q, const struct turn *turn)
{
    int64_t left = -1;
    int error = readyq__baton_open(q);

    if (error < 0)
        return error;
    if (turn->deadline != READYQ__FOREVER) {
        left = turn->deadline - readyq__now(q);
        if (left <= 0)
            return 1;
    }
    q->followers++;
    error = readyq__baton_await(q, left);
    q->followers--;
    return error == -EINTR && !q->interruptible ? 0 : error;
}

static int take_turn(readyq *q, const struct turn *turn)
{
    int over = 0;

    while (over == 0) {
        bool woken;

        if (q->closed)
            return -ESHUTDOWN;
        if (!q->leading)
            return lead(q, turn);
        woken = attend(q, turn);
        if (woken || readyq__unpromised(q) > 0 || turn->timeout == 0)
            break;
        over = follow(q, turn);
    }
    return over < 0 ? over : readyq__promise(q, turn->max);
}

static int wait_once(readyq *q, int64_t timeout, int max, bool consume)
{
    struct turn turn = {timeout, READYQ__FOREVER, max, consume};
    int n;

    if (timeout < -1 || max < 0)
        return -EINVAL;
    n = readyq__enter(q);
    if (n < 0)
        return n;
    if (timeout > 0)
        turn.deadline = readyq__deadline(readyq__now(q), timeout);
    q->inside++;
    q->stats.waits++;
    readyq__take_back(q);
    unhush(q);
    if (q->leading)
        recall(q, false);
    n = take_turn(q, &turn);
    if (!q->leading && q->followers > 0)
        readyq__baton_pass(q, 1);
    readyq__come_outside(q);
    return n;
}

int readyq_wait(readyq *q, int64_t timeout, int max)
{
    return wait_once(q, timeout, max, true);
}

int readyq_look(readyq *q, int max)
{
    return wait_once(q, 0, max, false);
}
