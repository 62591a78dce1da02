/* SPDX-License-Identifier: MIT
 *
 * The life of a recording, and reading it. Records are written by record.c; a trace file is written
 * by save.c.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST (1u << 30)

/* ------------------------------------------------------------------ its life */

/* From now on, and until the last recording ends, the short path of readyq_next() stops at once. */
static void update_batches(readyq *q)
{
    q->observed = readyq__is_recorded(q) || q->watchdog != NULL;
    q->counts_only = readyq__is_recorded(q) && q->watchdog == NULL && readyq__counts_cycles;
    for (struct readyq__link *at = q->batches.next; at != &q->batches; at = at->next)
        readyq__set_next(q, readyq__batch_at(at), readyq__batch_at(at)->own.next);
}

/* Wakes before the first recording are not recorded. */
static void begin(readyq *q, readyq_recording *r)
{
    if (!readyq__is_recorded(q))
        q->wakes_recorded = atomic_load(&q->wakes);
    q->refs++;
    r->on = true;
    r->next = q->recordings;
    q->recordings = r;
    update_batches(q);
}

int readyq_record(readyq *q, size_t records, readyq_recording **out)
{
    readyq_recording *r;
    int error = 0;

    *out = NULL;
    if (records < 1)
        return readyq__refuse(EINVAL, "a recording must have room for at least one record",
                              "use 1 or more");
    if (records > MOST)
        return readyq__refuse(EINVAL, "a recording can have at most 1073741824 records",
                              "use fewer (100,000 take 4 MB)");
    if (SIZE_MAX / sizeof r->ring[0] < records + 2)
        return -ENOMEM;
    r = calloc(1, sizeof *r + records * sizeof r->ring[0]); /* big ones are pages of zeros */
    if (r == NULL)
        return -ENOMEM;
    r->queue = q;
    r->size = records;
    r->place = r->ring;
    r->end = r->ring + records;
    readyq__choose_counter();
    readyq__lock(q);
    if (q->closed)
        error = -ESHUTDOWN;
    else
        begin(q, r);
    if (error == 0)
        readyq__record_start(q, r);
    readyq__unlock(q);
    if (error < 0)
        free(r);
    else
        *out = r;
    return error;
}

static void end(readyq *q, readyq_recording *r)
{
    _Atomic(readyq_recording *) *first = &q->recordings;
    readyq_recording *before = *first;

    if (!r->on)
        return;
    readyq__record_wakes(q);
    r->on = false;
    r->stopped = readyq__monotonic();
    r->stopped_ticks = readyq__ticks();
    if (before == r) {
        *first = r->next;
    } else {
        while (before->next != r)
            before = before->next;
        before->next = r->next;
    }
    update_batches(q);
}

void readyq_stop(readyq_recording *r)
{
    readyq__lock(r->queue);
    end(r->queue, r);
    readyq__unlock(r->queue);
}

void readyq_discard(readyq_recording *r)
{
    readyq *q;

    if (r == NULL)
        return;
    q = r->queue;
    readyq__lock(q);
    end(q, r);
    readyq__release(q);
    free(r);
}

/* ------------------------------------------------------------------ reading */

/* Positions are counted from the start of the recording. */
static uint64_t end_of(const readyq_recording *r)
{
    return r->rounds * r->size + (size_t)(r->place - r->ring);
}

static uint64_t start_of(const readyq_recording *r)
{
    return end_of(r) > r->size ? end_of(r) - r->size : 0;
}

static const struct readyq_record *slot_at(const readyq_recording *r, uint64_t position)
{
    return &r->ring[position % r->size];
}

static size_t count(const readyq_recording *r)
{
    size_t n = 0;

    for (uint64_t at = start_of(r); at < end_of(r); at++)
        n += slot_at(r, at)->type != READYQ__DESCRIPTION;
    return n;
}

size_t readyq_recorded(readyq_recording *r, uint64_t *dropped)
{
    size_t n;

    readyq__lock(r->queue);
    readyq__record_wakes(r->queue);
    n = count(r);
    if (dropped != NULL)
        *dropped = end_of(r) - r->parts - n;
    readyq__unlock(r->queue);
    return n;
}

/* ------------------------------------------------------------------ times */

/* A moment, on the clock and on the counter. */
struct moment {
    int64_t time, ticks;
};

/* The moments before and after the records that are being read. */
struct span {
    struct moment before, after;
};

static bool read_moment(const struct readyq_record *slot, struct moment *moment)
{
    if (slot->kind != READYQ_KIND_NONE || slot->type == READYQ__DESCRIPTION || slot->watch == 0)
        return false;
    moment->time = slot->time;
    moment->ticks = (int64_t)slot->watch;
    return true;
}

/* The first moment from a position on. If there is none: now, or when the recording stopped. */
static struct moment find_after(const readyq_recording *r, uint64_t from)
{
    struct moment moment = {r->stopped, r->stopped_ticks};

    if (r->on)
        moment = (struct moment){readyq__monotonic(), readyq__ticks()};
    while (from < end_of(r) && !read_moment(slot_at(r, from), &moment))
        from++;
    return moment;
}

/* If the record of the moment before was dropped, everything up to the next moment gets that
 * moment's time. */
static struct span find_span(const readyq_recording *r, uint64_t from)
{
    const struct moment after = find_after(r, from);
    struct span span = {after, after};

    while (from > start_of(r) && !read_moment(slot_at(r, --from), &span.before))
        ;
    return span;
}

static int64_t time_of(const struct span *span, int64_t ticks)
{
    const int64_t whole = span->after.ticks - span->before.ticks;
    const int64_t part = ticks - span->before.ticks;

    if (whole <= 0 || part <= 0)
        return span->before.time;
    if (part >= whole)
        return span->after.time;
    return span->before.time + (int64_t)((double)(span->after.time - span->before.time) *
                                         ((double)part / (double)whole));
}

/* ------------------------------------------------------------------ reading */

uint64_t readyq__read_slots(readyq_recording *r, uint64_t from, struct readyq_record slots[],
                            size_t size, size_t *n)
{
    uint64_t at = from < start_of(r) ? start_of(r) : from < end_of(r) ? from : end_of(r);
    struct span span = find_span(r, at);

    for (*n = 0; at < end_of(r) && *n < size; at++) {
        struct readyq_record *slot = &slots[(*n)++];

        *slot = *slot_at(r, at);
        if (read_moment(slot, &span.before)) {
            span.after = find_after(r, at + 1);
            slot->watch = 0;
        } else if (slot->unused == READYQ__TICKS && slot->type != READYQ__DESCRIPTION) {
            slot->time = time_of(&span, slot->time);
            slot->unused = 0;
            slot->value = slot->type == READYQ_RECORD_EVENT ? 0 : slot->value;
        }
    }
    return at;
}

size_t readyq_records(readyq_recording *r, uint64_t *from, struct readyq_record records[],
                      size_t size)
{
    size_t n = 0, kept = 0;

    readyq__lock(r->queue);
    readyq__record_wakes(r->queue);
    do {
        *from = readyq__read_slots(r, *from, records + kept, size - kept, &n);
        for (size_t i = kept, slots = kept + n; i < slots; i++)
            if (records[i].type != READYQ__DESCRIPTION)
                records[kept++] = records[i];
    } while (n > 0 && kept < size);
    readyq__unlock(r->queue);
    return kept;
}

/* ------------------------------------------------------------------ texts */

const char *readyq_record_name(int type)
{
    static const char *const names[] = {
        "none",     "start", "add",   "modify",    "remove", "restart", "fire",
        "wake",     "wait",  "sleep", "sleep_end", "event",  "lapse",   "wait_end",
        "delivery", "done",  "ghost", "rebuild",   "fork",   "close",
    };

    return type > 0 && type <= READYQ_RECORD_CLOSE ? names[type] : names[0];
}

const char *readyq_trace_name(const struct readyq_record *record)
{
    static const char *const adds[] = {"add",        "add",         "add_timer",
                                       "add_signal", "add_process", "add_trigger"};

    switch (record->type) {
    case READYQ_RECORD_ADD: return adds[record->kind <= READYQ_KIND_TRIGGER ? record->kind : 0];
    case READYQ_RECORD_DELIVERY: return "ready";
    case READYQ_RECORD_REMOVE:
        return record->value == READYQ_REMOVAL_CALL || record->value == READYQ_REMOVAL_STALE
                   ? "remove"
                   : NULL;
    case READYQ_RECORD_WAIT_END: /* it goes on after an empty look or a signal */
        return record->value > 0 || (record->value == 0 && !(record->bits & READYQ_RECORD_LOOKS))
                   ? "wait"
                   : NULL;
    case READYQ_RECORD_MODIFY:
    case READYQ_RECORD_RESTART:
    case READYQ_RECORD_FIRE:
    case READYQ_RECORD_WAKE:
    case READYQ_RECORD_GHOST:
    case READYQ_RECORD_REBUILD:
    case READYQ_RECORD_FORK:
    case READYQ_RECORD_CLOSE: return readyq_record_name(record->type);
    default: return NULL;
    }
}

char *readyq__describe_source(const struct readyq_record *record, char *text, size_t size)
{
    const char *kind = readyq_kind_name(record->kind);

    if (record->number >= 0)
        snprintf(text, size, "%s %d", kind, record->number);
    else
        snprintf(text, size, "%s", kind);
    return text;
}

char *readyq_describe_record(const struct readyq_record *record, char *text, size_t size)
{
    const char *name = readyq_record_name(record->type);
    char source[40] = "", bits[128] = "", value[32] = "";

    if (record->kind != READYQ_KIND_NONE)
        readyq__describe_source(record, source, sizeof source);
    if (record->kind != READYQ_KIND_NONE && record->bits != 0)
        readyq_describe_bits(record->bits, bits, sizeof bits);
    if (record->value != 0 || record->type == READYQ_RECORD_WAIT_END)
        snprintf(value, sizeof value, "%lld", (long long)record->value);
    if (size > 0)
        snprintf(text, size, "%s%s%s%s%s%s%s", name, *source ? " " : "", source, *bits ? " " : "",
                 bits, *value ? " " : "", value);
    return text;
}

uint32_t readyq_thread(void)
{
    return readyq__thread();
}

uint64_t readyq_id(const readyq_watch *w)
{
    return w->own.id;
}
