/* SPDX-License-Identifier: MIT
 *
 * What the records of a recording are about: its watches, which may be gone, with their names, and
 * its threads. Each gets a track in the trace file.
 */
#include "save.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ finding */

struct readyq__lane *readyq__find_lane(const struct readyq__trace *in, uint64_t id)
{
    size_t low = 0, high = in->nwatches;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (in->watches[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return &in->watches[low];
}

struct readyq__thread *readyq__find_thread(struct readyq__trace *in, uint32_t id)
{
    struct readyq__thread *thread = in->threads;

    while (thread < in->threads + in->nthreads && thread->id != id)
        thread++;
    if (thread == in->threads + in->nthreads) {
        *thread = (struct readyq__thread){id, NONE, 0, NONE, NONE, NONE, false, NULL, 0, 0};
        in->nthreads++;
    }
    return thread;
}

/* ------------------------------------------------------------------ collecting */

static int compare(const void *a, const void *b)
{
    const uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

    return first < second ? -1 : first > second;
}

/* One for each watch that has a record, and one with id 0 for the records that are about no
 * watch. */
static int collect_watches(struct readyq__trace *in)
{
    uint64_t *ids = calloc(in->n + 1, sizeof *ids);
    size_t n = 0;

    if (ids == NULL)
        return -ENOMEM;
    ids[n++] = 0;
    for (size_t i = 0; i < in->n; i++)
        ids[n++] = in->records[i].watch;
    qsort(ids, n, sizeof *ids, compare);
    for (size_t i = 0; i < n; i++)
        if (in->nwatches == 0 || ids[i] != ids[in->nwatches - 1])
            ids[in->nwatches++] = ids[i];
    in->watches = calloc(in->nwatches, sizeof *in->watches);
    for (size_t i = 0; in->watches != NULL && i < in->nwatches; i++) {
        in->watches[i].id = ids[i];
        in->watches[i].ready = in->watches[i].fired = NONE;
    }
    free(ids);
    return in->watches != NULL ? 0 : -ENOMEM;
}

/* `certain`: the text was made when the watch was added, so it describes the file of this watch. A
 * later one replaces it only if the socket was not connected, and may have been connected since. */
static void set_name(struct readyq__lane *watch, const char *text, bool certain)
{
    const bool better = *watch->name == '\0' || strstr(watch->name, "not connected") != NULL;

    if ((certain || better) && strcmp(text, "closed") != 0)
        memcpy(watch->name, text, strlen(text) + 1);
}

static void collect_names(struct readyq__trace *in)
{
    char text[READYQ__DESCRIPTION_SIZE + READYQ__PART];
    size_t length = 0;

    for (size_t i = 0; i < in->n; i++) {
        const struct readyq_record *record = &in->records[i];
        struct readyq__lane *watch = readyq__find_lane(in, record->watch);

        if (record->type != READYQ__DESCRIPTION) {
            watch->source = *record;
            continue;
        }
        if ((size_t)record->number != length) { /* its beginning was dropped */
            length = 0;
            continue;
        }
        memcpy(text + length, (const char *)record + offsetof(struct readyq_record, time),
               READYQ__PART);
        if (memchr(text + length, '\0', READYQ__PART) != NULL) {
            set_name(watch, text, record->kind == 0);
            length = 0;
        } else {
            length += READYQ__PART;
        }
    }
}

/* Describes the descriptors that are still watched. */
static void look_at_descriptors(struct readyq__trace *in, const readyq *q)
{
    char text[READYQ__DESCRIPTION_SIZE];

    for (size_t i = 0; i < in->nwatches; i++) {
        struct readyq__lane *watch = &in->watches[i];
        const size_t fd = (size_t)watch->source.number;

        if (watch->source.kind == READYQ_KIND_FD && fd < q->nslots && q->slots[fd].watch != NULL &&
            q->slots[fd].watch->own.id == watch->id)
            set_name(watch, readyq_describe((int)fd, text, sizeof text), false);
    }
}

static void measure(struct readyq__trace *in, uint64_t written)
{
    in->start = INT64_MAX;
    in->dropped = written;
    for (size_t i = 0; i < in->n; i++) {
        const struct readyq_record *record = &in->records[i];

        if (record->type == READYQ__DESCRIPTION)
            continue;
        in->dropped--;
        in->start = record->time < in->start ? record->time : in->start;
        in->end = record->time > in->end ? record->time : in->end;
    }
}

/* Everything is copied with the lock held, and written without it. */
int readyq__collect(struct readyq__trace *in, readyq_recording *r)
{
    uint64_t written;
    int error = -ENOMEM;

    readyq__lock(r->queue);
    readyq__record_wakes(r->queue);
    written = r->rounds * r->size + (size_t)(r->place - r->ring) - r->parts;
    in->records =
        calloc(r->rounds > 0 ? r->size : (size_t)(r->place - r->ring) + 1, sizeof *in->records);
    if (in->records != NULL) {
        readyq__read_slots(r, 0, in->records, r->size, &in->n);
        error = collect_watches(in);
    }
    if (error == 0) {
        collect_names(in);
        look_at_descriptors(in, r->queue);
    }
    in->end = r->on ? readyq__monotonic() : r->stopped;
    readyq__unlock(r->queue);
    in->threads = error == 0 ? calloc(in->n + 1, sizeof *in->threads) : NULL;
    if (in->threads == NULL)
        return -ENOMEM;
    measure(in, written);
    return 0;
}
