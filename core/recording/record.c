/* SPDX-License-Identifier: MIT
 *
 * Writing records of what a queue does. A recording is a ring: nothing is allocated for a record,
 * and the newest are kept. All of this is done with the queue's lock held, except for
 * readyq_wake(), which takes no lock: it leaves the time and the thread of the wake, and the next
 * thread that takes the lock writes the record.
 *
 * What a descriptor was must be known even after its watch is gone, so it is described when the
 * watch is added and when it is removed, in the slots of the ring that follow that record. So a
 * description is dropped when the records around it are, and at the latest with the last record of
 * its watch.
 */
#include "internal.h"

#include <unistd.h>

/* ------------------------------------------------------------------ threads */

READYQ__THREAD_LOCAL uint32_t readyq__thread_id;

#if defined(__linux__)
static uint32_t ask_id(void)
{
    return (uint32_t)gettid();
}
#else
static uint32_t ask_id(void)
{
    static atomic_uint_fast32_t last;

    return (uint32_t)atomic_fetch_add(&last, 1) + 1;
}
#endif

uint32_t readyq__make_thread_id(void)
{
    readyq__thread_id = ask_id();
    return readyq__thread_id;
}

/* ------------------------------------------------------------------ the ring */

int readyq__number_of(const readyq_watch *w)
{
    switch (w->kind) {
    case READYQ_KIND_FD: return w->fd;
    case READYQ_KIND_SIGNAL: return w->signal;
    case READYQ_KIND_PROCESS: return (int)w->pid;
    default: return -1;
    }
}

void readyq__write_record(readyq *q, enum readyq_record_type type, const readyq_watch *w,
                          uint32_t bits, int64_t value)
{
    const int number = w != NULL ? readyq__number_of(w) : -1;
    const uint64_t id = w != NULL ? w->own.id : 0;
    const uint8_t kind = w != NULL ? w->kind : READYQ_KIND_NONE;
    const int64_t ticks = readyq__ticks();
    const uint32_t thread = readyq__thread();

    for (readyq_recording *r = q->recordings; r != NULL; r = r->next)
        *readyq__new_record(r) = (struct readyq_record){
            id, (uint8_t)type, kind, READYQ__TICKS, number, ticks, value, bits, thread};
}

/* A record with both the time and the ticks. */
static inline struct readyq_record make_mark(enum readyq_record_type type, int64_t now,
                                             int64_t value)
{
    return (struct readyq_record){
        .watch = (uint64_t)(readyq__counts_cycles ? readyq__ticks() : now),
        .type = (uint8_t)type,
        .number = -1,
        .time = now,
        .value = value,
        .thread = readyq__thread(),
    };
}

/* Their value is not written: the readers clear it (recording.c). */
void readyq__record_events(readyq *q, const struct readyq__link *last)
{
    const int64_t ticks = readyq__ticks();
    const uint32_t thread = readyq__thread();

    for (readyq_recording *r = q->recordings; r != NULL; r = r->next) {
        const struct readyq__link *at = q->ready.prev;
        struct readyq_record *place = r->place; /* in a register */

        do {
            const readyq_watch *w;

            at = at->next;
            w = readyq__owner(at, link);
            place->watch = w->own.id;
            place->type = READYQ_RECORD_EVENT;
            place->kind = READYQ_KIND_FD;
            place->unused = READYQ__TICKS;
            place->number = w->fd;
            place->time = ticks;
            place->bits = w->own.event;
            place->thread = thread;
            if (++place == r->end) {
                place = r->ring;
                r->rounds++;
            }
        } while (at != last);
        r->place = place;
    }
}

void readyq__record_start(readyq *q, readyq_recording *r)
{
    *readyq__new_record(r) = make_mark(READYQ_RECORD_START, readyq__monotonic(), (int64_t)q->size);
}

/* ------------------------------------------------------------------ watches come and go */

static void put_description(readyq *q, const readyq_watch *w, const char *text, bool removed)
{
    const size_t length = strlen(text) + 1;

    for (readyq_recording *r = q->recordings; r != NULL; r = r->next)
        for (size_t at = 0; at < length; at += READYQ__PART) {
            struct readyq_record part = {.watch = w->own.id, .type = READYQ__DESCRIPTION};
            const size_t left = length - at;

            part.kind = removed;
            part.number = (int)at;
            memcpy((char *)&part + offsetof(struct readyq_record, time), text + at,
                   left < READYQ__PART ? left : READYQ__PART);
            *readyq__new_record(r) = part;
            r->parts++;
        }
}

static void describe(readyq *q, const readyq_watch *w, bool removed)
{
    char text[READYQ__DESCRIPTION_SIZE];

    if (w->kind == READYQ_KIND_FD)
        put_description(q, w, readyq_describe(w->fd, text, sizeof text), removed);
}

void readyq__write_add(readyq *q, const readyq_watch *w)
{
    readyq__write_record(q, READYQ_RECORD_ADD, w, w->interest, 0);
    describe(q, w, false);
}

void readyq__write_remove(readyq *q, const readyq_watch *w, enum readyq_removal why)
{
    readyq__write_record(q, READYQ_RECORD_REMOVE, w, 0, why);
    if (why != READYQ_REMOVAL_STALE)
        describe(q, w, true);
}

void readyq__record_ghost(readyq *q, int fd)
{
    const readyq_watch gone = {.kind = READYQ_KIND_FD, .fd = fd};

    readyq__record(q, READYQ_RECORD_GHOST, &gone, 0, 0);
}

/* ------------------------------------------------------------------ wakes */

/* A wake that merges with this one does not replace its time, unless both are called at the
 * same time. */
void readyq__note_wake(readyq *q)
{
    if (!readyq__is_recorded(q) || atomic_load(&q->woken))
        return;
    atomic_store(&q->wake_thread, readyq__thread());
    atomic_store(&q->wake_time, readyq__monotonic());
}

void readyq__record_wakes(readyq *q)
{
    const struct readyq_record record = {
        .type = READYQ_RECORD_WAKE,
        .number = -1,
        .time = atomic_load(&q->wake_time),
        .thread = (uint32_t)atomic_load(&q->wake_thread),
    };

    for (; q->wakes_recorded < atomic_load(&q->wakes); q->wakes_recorded++)
        for (readyq_recording *r = q->recordings; r != NULL; r = r->next)
            *readyq__new_record(r) = record;
}

/* ------------------------------------------------------------------ sleeps */

void readyq__record_sleep(readyq *q, enum readyq_record_type type, int64_t now, int64_t value)
{
    for (readyq_recording *r = q->recordings; r != NULL; r = r->next)
        *readyq__new_record(r) = make_mark(type, now, value);
}
