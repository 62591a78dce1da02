/* SPDX-License-Identifier: MIT
 *
 * A part of internal.h: the short path of nearly every kernel event, from a backend to the ready
 * list, inline because its cost matters. ready.c has the other path.
 */
#ifndef READYQ_EVENTS_H
#define READYQ_EVENTS_H

/* Event, place and flags in one comparison: the first eight bytes of `own`. */
static inline uint64_t readyq__word(const readyq_watch *w)
{
    uint64_t word;

    memcpy(&word, &w->own, sizeof word);
    return word;
}

/* The word of a watch at `place` without an event or flags. */
static inline uint64_t readyq__word_of(enum readyq__place place)
{
    const readyq_watch w = {.own = {.place = (uint8_t)place}};

    return readyq__word(&w);
}

static inline uint64_t readyq__key(const readyq *q, int fd)
{
    return (uint64_t)q->slots[fd].generation << 32 | (uint32_t)fd;
}

/* Kernel events. The backend calls readyq__begin_events() with their number, then
 * readyq__event_plain() or readyq__event_other() for each, then readyq__end_events(). The short
 * path of nearly every event keeps the end of the ready list in a register. `bits`: READYQ_ bits
 * that are not masked yet. */
struct readyq__events {
    readyq *q;
    const struct readyq__slot *slots;
    struct readyq__link *last;
};

static inline struct readyq__events readyq__begin_events(readyq *q, size_t n)
{
    q->stats.kinds[READYQ_KIND_FD].events += n;
    q->nready += n;
    q->may_be_level |= n > 0;
    return (struct readyq__events){q, q->slots, q->ready.prev};
}

static inline void readyq__end_events(struct readyq__events *events)
{
    readyq *q = events->q;

    if (readyq__is_recorded(q) && events->last != q->ready.prev)
        readyq__record_events(q, events->last);
    events->last->next = &q->ready;
    q->ready.prev = events->last;
}

/* An event that is not plain after all: readyq__begin_events() has counted it in advance. */
static inline void readyq__drop_event(struct readyq__events *events)
{
    events->q->stats.kinds[READYQ_KIND_FD].events--;
    events->q->nready--;
}

/* Any other kernel event. */
static inline void readyq__event_other(struct readyq__events *events, uint64_t key, uint32_t bits)
{
    readyq__drop_event(events);
    readyq__end_events(events);
    readyq__event_slow(events->q, key, bits);
    events->last = events->q->ready.prev;
}

/* A kernel event that has only direction bits, possibly including some that were not asked for. */
static inline void readyq__event_plain(struct readyq__events *events, uint64_t key, uint32_t bits)
{
    const struct readyq__slot *slot = &events->slots[(uint32_t)key];
    readyq_watch *w = slot->watch;

    if (slot->generation == (uint32_t)(key >> 32) && readyq__word(w) == 0 &&
        (bits & w->interest) != 0) {
        w->own.event = bits & w->interest;
        w->own.place = READYQ__LISTED;
        w->own.link.prev = events->last;
        events->last->next = &w->own.link;
        events->last = &w->own.link;
    } else {
        readyq__event_other(events, key, bits);
    }
}

#endif
