/* SPDX-License-Identifier: MIT
 *
 * The world on which operations.c acts: two queues, a few descriptors, watches and batches, each
 * with the state that it must have. The memory of a watch or a batch is a block of its own and is
 * freed as soon as the contract allows it, so that AddressSanitizer detects a later use.
 *
 * Two threads wait, one after the other, never together: a watch that one of them holds must not be
 * given to the other one.
 */
#ifndef WORLD_H
#define WORLD_H

#include "fuzz.h"
#include "readyq.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { QUEUES = 2, THINGS = 10, WATCHES = 12, BATCHES = 4 };

#define DIRECTIONS (READYQ_READ | READYQ_WRITE | READYQ_PRIORITY)

struct queue {
    readyq *q;           /* NULL: none */
    int refs;            /* besides the one of readyq_open() */
    int nest;            /* its readyq_fileno(), or -1 */
    unsigned generation; /* how many queues were opened in this place */
    bool closed;         /* a reference keeps it */
    bool is_virtual;
    bool woken; /* the next wait may return early */
};

struct batch {
    readyq_batch *b;
    struct queue *of; /* the queue in which it is open, or NULL */
    int thread;       /* the thread that waited last */
};

struct watch {
    readyq_watch *w;
    struct queue *in;    /* the queue to which it was added, or NULL */
    struct batch *held;  /* the batch that holds it */
    bool pending;        /* and has not taken it yet */
    bool returned;       /* it was pending when it was given back */
    bool owed;           /* it must come with the next wait, before newer ones */
    bool closed;         /* its number was closed: it may become inactive at any time */
    bool spent;          /* ONESHOT, delivered, not modified since */
    bool delivered;      /* in this round */
    int64_t due, period; /* of a timer */
    struct queue *home;  /* of a timer that has fired: its queue, and that queue's generation */
    unsigned generation;
    uint64_t fired, told; /* of a trigger or signal: fires; the counts delivered */
};

struct world {
    const uint8_t *at, *end;
    struct queue queues[QUEUES];
    struct watch watches[WATCHES];
    struct batch batches[BATCHES];
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

static inline struct batch *any_batch(struct world *o)
{
    return &o->batches[byte(o) % BATCHES];
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

/* A descriptor of this program, a number that may be anything, or an invalid one. */
static inline int any_number(struct world *o)
{
    static const int odd[] = {-1, -100, 1 << 20, 0x7fffffff, -0x7fffffff - 1};
    const uint8_t b = byte(o);

    if (b < 160)
        return o->things[b % THINGS];
    return b < 230 ? 3 + b % (NUMBERS - 3) : odd[b % 5];
}

/* ------------------------------------------------------------------ watches and batches */

/* Fresh memory. */
static inline void renew(struct watch *s)
{
    free(s->w);
    memset(s, 0, sizeof *s);
    s->w = calloc(1, sizeof *s->w);
    CHECK(s->w != NULL);
    s->w->data = s;
}

static inline void renew_batch(struct batch *b)
{
    free(b->b);
    b->of = NULL;
    b->b = calloc(1, sizeof *b->b);
    CHECK(b->b != NULL);
}

/* The watch is in no batch, and everything found for it is dropped. */
static inline void release(struct watch *s)
{
    s->held = NULL;
    s->pending = s->returned = s->owed = false;
}

static inline bool is_level(const struct watch *s)
{
    return s->w->kind == READYQ_KIND_FD && !(s->w->interest & (READYQ_EDGE | READYQ_ONESHOT));
}

/* The batch's watches are given back. */
static inline void give_back(struct world *o, struct batch *b)
{
    for (int i = 0; i < WATCHES; i++) {
        struct watch *s = &o->watches[i];

        if (s->held != b)
            continue;
        s->returned |= s->pending;
        s->owed |= s->pending && !is_level(s) && !s->closed;
        s->held = NULL;
        s->pending = false;
    }
}

static inline bool is_ours(const struct world *o, int fd)
{
    for (int i = 0; i < THINGS; i++)
        if (fd >= 0 && o->things[i] == fd)
            return true;
    return false;
}

static inline void mark_closed(struct watch *s)
{
    s->closed = true;
    s->owed = false;
}

/* The number was closed, or belongs to another file now. */
static inline void forget_number(struct world *o, int fd)
{
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in != NULL && o->watches[i].w->fd == fd)
            mark_closed(&o->watches[i]);
}

static inline void close_thing(struct world *o, int *thing)
{
    if (*thing < 0)
        return;
    forget_number(o, *thing);
    close(*thing);
    *thing = -1;
}

/* All watches of a queue are removed, and its batches are empty. */
static inline void empty_queue(struct world *o, struct queue *of)
{
    for (int i = 0; i < BATCHES; i++)
        if (o->batches[i].of == of) {
            CHECK(readyq_next(o->batches[i].b) == NULL);
            CHECK(readyq_peek(o->batches[i].b, NULL, NULL, 0) == 0);
            o->batches[i].of = NULL;
        }
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in == of) {
            CHECK(o->watches[i].w->queue == NULL);
            CHECK(o->watches[i].w->ready == 0);
            renew(&o->watches[i]);
        }
}

/* How often the timer must have expired by `now`. */
static inline uint64_t expirations(const struct watch *s, int64_t now)
{
    if (s->due == INT64_MAX || now < s->due)
        return 0;
    return s->period == 0 ? 1 : (uint64_t)((now - s->due) / s->period) + 1;
}

/* ------------------------------------------------------------------ the checks */

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

/* One delivery. A timer that has fired is sometimes kept, to be restarted. */
static inline void check_delivery(struct world *o, struct batch *b, readyq_watch *w)
{
    struct watch *s = w->data;
    struct queue *of = b->of;
    const bool leaves =
        w->kind == READYQ_KIND_PROCESS || (w->kind == READYQ_KIND_TIMER && s->period == 0);

    CHECK(s->w == w && s->in == of && s->held == b && s->pending);
    CHECK(w->queue == (leaves ? NULL : of->q));
    s->pending = false;
    s->delivered = true;
    if (w->kind == READYQ_KIND_FD)
        check_descriptor(s);
    else
        check_counts(s);
    if (!leaves)
        return;
    release(s);
    s->in = NULL;
    s->home = of;
    s->generation = of->generation;
    if (w->kind == READYQ_KIND_PROCESS || byte(o) % 2)
        renew(s);
}

/* A batch has exactly the watches that it must have. A watch whose number was closed may be
 * missing. */
static inline void check_batch(struct world *o, struct batch *b)
{
    readyq_watch *found[WATCHES];
    const size_t n = readyq_peek(b->b, found, NULL, WATCHES);

    CHECK(n <= WATCHES);
    for (size_t i = 0; i < n; i++) {
        const struct watch *s = found[i]->data;

        CHECK(s->w == found[i] && s->held == b && s->pending);
    }
    for (int i = 0; i < WATCHES; i++) {
        struct watch *s = &o->watches[i];
        bool there = false;

        for (size_t j = 0; j < n; j++)
            there |= found[j] == s->w;
        CHECK(there || s->held != b || !s->pending || s->closed);
        if (!there && s->held == b && s->pending)
            release(s);
    }
}

/* After a wait that put `n` watches into a batch: no other batch has them, those that were left by
 * an earlier wait come first, and all of them are there unless the batch is `full`. */
static inline void check_found(struct world *o, struct batch *b, int n, bool full)
{
    readyq_watch *found[WATCHES];
    bool newer = false;

    CHECK(readyq_peek(b->b, found, NULL, WATCHES) == (size_t)n && n <= WATCHES);
    for (int i = 0; i < n; i++) {
        struct watch *s = found[i]->data;

        CHECK(s->w == found[i] && s->in == b->of && s->held == NULL);
        CHECK(!newer || !s->owed);
        newer |= !s->returned;
        release(s);
        s->held = b;
        s->pending = true;
    }
    for (int i = 0; i < WATCHES; i++) {
        struct watch *s = &o->watches[i];

        if (s->in == b->of && s->held == NULL) {
            CHECK(full || !s->owed);
            s->returned &= full;
        }
    }
}

/* With kqueue Linux plays another kernel (tests/kqueue), and its poll(2) does not say what that does
 * about exceptional data, which not each of them has, and about a pipe's end of the other direction. */
static inline bool is_comparable(int fd, uint32_t interest)
{
#if defined(READYQ_KQUEUE)
    const long mode = syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE;
    struct stat file;

    if (fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) && mode != O_RDWR)
        return interest == (mode == O_RDONLY ? READYQ_READ : READYQ_WRITE);
    return !(interest & READYQ_PRIORITY);
#else
    (void)fd, (void)interest;
    return true;
#endif
}

/* After a wait and all its deliveries, nothing having been done in between: whether poll(2) and the
 * queue agree about a level-triggered descriptor. */
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
        return s->closed || !s->w->armed || (s->w->interest & READYQ_EDGE) ||
               !is_comparable(s->w->fd,
                              s->w->interest & (READYQ_READ | READYQ_WRITE | READYQ_PRIORITY)) ||
               agrees_with_poll(s);
    default: return true;
    }
}

#endif
