/* SPDX-License-Identifier: MIT
 *
 * The world that operations.c turns bytes into: two queues, a few descriptors, a few watches, and
 * beside each watch what must be true of it. A watch's memory is its own block and goes when the
 * contract says that it may, so that AddressSanitizer sees who looks at it later.
 */
#ifndef WORLD_H
#define WORLD_H

#include "fuzz.h"
#include "readyq.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { QUEUES = 2, THINGS = 10, WATCHES = 12 };

#define DIRECTIONS (READYQ_READ | READYQ_WRITE | READYQ_PRIORITY)

struct queue {
    readyq *q;   /* NULL: there is none */
    int refs;    /* beside the one of readyq_open() */
    int nest;    /* its readyq_fileno(), or -1 */
    int left;    /* what readyq_next() still owes, at most */
    bool closed; /* a reference keeps it */
    bool is_virtual;
    bool woken;     /* the next wait may return early */
    bool disturbed; /* what it owes may have gone */
};

struct watch {
    readyq_watch *w;
    struct queue *in;     /* where it was added, NULL when it is out */
    bool closed;          /* its number was closed: it may become inactive at any time */
    bool spent;           /* ONESHOT, delivered, not modified since */
    bool delivered;       /* in this round */
    int64_t due, period;  /* of a timer */
    uint64_t fired, told; /* of a trigger or signal: fires; what counts told */
};

struct world {
    const uint8_t *at, *end;
    struct queue queues[QUEUES];
    struct watch watches[WATCHES];
    int things[THINGS]; /* descriptors, or -1 */
    bool forked;        /* once is enough */
};

/* ------------------------------------------------------------------ bytes */

static inline uint8_t byte(struct world *o)
{
    return o->at < o->end ? *o->at++ : 0;
}

static inline struct queue *any_queue(struct world *o)
{
    return &o->queues[byte(o) % QUEUES];
}

static inline struct watch *any_watch(struct world *o)
{
    return &o->watches[byte(o) % WATCHES];
}

static inline int *any_thing(struct world *o)
{
    return &o->things[byte(o) % THINGS];
}

static inline int64_t any_time(struct world *o)
{
    static const int64_t odd[] = {
        0, -1, -2, INT64_MIN, INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, 1000000000, 3600000000000};
    const uint8_t b = byte(o);

    return b < 200 ? b : odd[b % (sizeof odd / sizeof *odd)];
}

static inline uint32_t any_interest(struct world *o)
{
    static const uint32_t bits[] = {READYQ_READ,    READYQ_WRITE,    READYQ_EDGE,
                                    READYQ_ONESHOT, READYQ_PRIORITY, READYQ_EXCLUSIVE};
    const uint8_t b = byte(o);
    uint32_t interest = b < 250 ? 0 : 0x8u << (b % 8 * 4);

    for (unsigned i = 0; i < 6; i++)
        interest |= b >> i & 1 ? bits[i] : 0;
    return interest;
}

/* A descriptor of ours, a number that may be anything, or nonsense. */
static inline int any_number(struct world *o)
{
    static const int odd[] = {-1, -100, 1 << 20, 0x7fffffff, -0x7fffffff - 1};
    const uint8_t b = byte(o);

    if (b < 160)
        return o->things[b % THINGS];
    return b < 230 ? 3 + b % (NUMBERS - 3) : odd[b % 5];
}

/* ------------------------------------------------------------------ watches */

/* Fresh memory, clean or stray. */
static inline void renew(struct watch *s, bool stray)
{
    free(s->w);
    memset(s, 0, sizeof *s);
    s->w = malloc(sizeof *s->w);
    CHECK(s->w != NULL);
    memset(s->w, stray ? 0xa5 : 0, sizeof *s->w);
    s->w->data = s;
}

static inline bool is_ours(const struct world *o, int fd)
{
    for (int i = 0; i < THINGS; i++)
        if (fd >= 0 && o->things[i] == fd)
            return true;
    return false;
}

/* The number was closed, or is another file's now. */
static inline void forget_number(struct world *o, int fd)
{
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in != NULL && o->watches[i].w->fd == fd)
            o->watches[i].closed = true;
    for (int i = 0; i < QUEUES; i++)
        o->queues[i].disturbed = true;
}

static inline void close_thing(struct world *o, int *thing)
{
    if (*thing < 0)
        return;
    forget_number(o, *thing);
    close(*thing);
    *thing = -1;
}

/* All of a queue's watches are out. */
static inline void empty_queue(struct world *o, struct queue *of)
{
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in == of) {
            CHECK(o->watches[i].w->queue == NULL);
            CHECK(o->watches[i].w->ready == 0);
            renew(&o->watches[i], i % 2);
        }
}

/* How often it must have gone off by `now`. */
static inline uint64_t expirations(const struct watch *s, int64_t now)
{
    if (s->due == INT64_MAX || now < s->due)
        return 0;
    return s->period == 0 ? 1 : (uint64_t)((now - s->due) / s->period) + 1;
}

/* ------------------------------------------------------------------ what must be true */

static inline void check_size(struct world *o, struct queue *of)
{
    size_t least = 0, most = 0;

    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in == of) {
            least += !o->watches[i].closed;
            most++;
        }
    CHECK(readyq_size(of->q) >= least);
    CHECK(readyq_size(of->q) <= most);
}

static inline void check_descriptor(struct watch *s)
{
    const readyq_watch *w = s->w;

    CHECK(w->ready != 0 && w->interest != 0 && w->count == 1);
    CHECK((w->ready & DIRECTIONS & ~w->interest) == 0);
    CHECK((w->ready & (READYQ_FIRED | READYQ_EDGE | READYQ_ONESHOT | READYQ_EXCLUSIVE)) == 0);
    CHECK(!s->spent);
    s->spent = (w->interest & READYQ_ONESHOT) != 0;
    CHECK(w->armed == !s->spent || s->closed);
}

static inline void check_counts(struct watch *s)
{
    const readyq_watch *w = s->w;

    CHECK(w->ready == READYQ_FIRED && w->count >= 1);
    s->told += w->count;
    if (w->kind == READYQ_KIND_TIMER)
        CHECK(s->told <= expirations(s, readyq_now(s->in->q)));
    else if (w->kind == READYQ_KIND_PROCESS)
        CHECK(w->count == 1 && (w->status == 7 << 8 || w->status == -1));
    else
        CHECK(s->told <= s->fired);
}

/* One delivery. */
static inline void check_delivery(struct queue *of, readyq_watch *w)
{
    struct watch *s = w->data;
    const bool leaves =
        w->kind == READYQ_KIND_PROCESS || (w->kind == READYQ_KIND_TIMER && s->period == 0);

    CHECK(s->w == w && s->in == of);
    CHECK(w->queue == (leaves ? NULL : of->q));
    s->delivered = true;
    if (w->kind == READYQ_KIND_FD)
        check_descriptor(s);
    else
        check_counts(s);
    if (leaves)
        renew(s, false);
}

/* After a wait and all its deliveries, nothing having been done in between: whether poll(2) and
 * the queue are of one mind about a level-triggered descriptor. */
static inline bool agrees_with_poll(const struct watch *s)
{
    const uint32_t interest = s->w->interest;
    struct pollfd one = {.fd = s->w->fd};

    if (interest & READYQ_READ)
        one.events |= POLLIN | POLLRDHUP;
    if (interest & READYQ_WRITE)
        one.events |= POLLOUT;
    if (interest & READYQ_PRIORITY)
        one.events |= POLLPRI;
    CHECK(poll(&one, 1, 0) >= 0);
    CHECK(!s->delivered || one.revents != 0);
    return s->delivered == (one.revents != 0);
}

static inline bool is_told(const struct watch *s)
{
    const struct queue *of = s->in;

    switch (s->w->kind) {
    case READYQ_KIND_TIMER: return !of->is_virtual || s->told == expirations(s, readyq_now(of->q));
    case READYQ_KIND_SIGNAL:
    case READYQ_KIND_TRIGGER: return s->told == s->fired;
    case READYQ_KIND_FD:
        return s->closed || !s->w->armed || (s->w->interest & READYQ_EDGE) || agrees_with_poll(s);
    default: return true;
    }
}

#endif
