/* SPDX-License-Identifier: MIT
 *
 * The watchdog of a queue in debug mode: notices mistakes in the program that uses the queue and
 * reports each once, in a sentence. When it is off, q->watchdog is NULL, and what observes a queue
 * is skipped by the branch that a recording needs anyway (q->observed).
 *
 * This file creates and frees it, and has its notes on each watch, and the sentences; what it looks
 * for is in spins.c, turns.c and oversights.c.
 *
 * A warning is kept as a text and the id of the watch, since the watch may be removed and freed
 * before the warning is given (warnings.c). The lock is held in all functions of the watchdog.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

static readyq_watch *find_in(struct readyq__link *list, uint64_t id)
{
    for (struct readyq__link *at = list->next; at != list; at = at->next)
        if (readyq__owner(at, link)->own.id == id)
            return readyq__owner(at, link);
    return NULL;
}

static readyq_watch *find_in_group(struct readyq__link *list, uint64_t id)
{
    for (struct readyq__link *at = list->next; at != list; at = at->next)
        if (readyq__owner(at, source.group)->own.id == id)
            return readyq__owner(at, source.group);
    return NULL;
}

readyq_watch *readyq__find_by_id(readyq *q, uint64_t id)
{
    struct readyq__link *const groups[] = {&q->signals, &q->triggers, &q->children};
    readyq_watch *w = NULL;

    for (size_t fd = 0; fd < q->nslots; fd++)
        if (q->slots[fd].watch != NULL && q->slots[fd].watch->own.id == id)
            return q->slots[fd].watch;
    for (size_t i = 0; i < q->ntimers; i++)
        if (q->timers[i].watch->own.id == id)
            return q->timers[i].watch;
    for (size_t i = 0; i < sizeof groups / sizeof *groups && w == NULL; i++)
        w = find_in_group(groups[i], id);
    if (w == NULL)
        w = find_in(&q->stale, id);
    if (w == NULL)
        w = find_in(&q->ready, id);
    for (struct readyq__link *at = q->batches.next; at != &q->batches && w == NULL; at = at->next)
        w = find_in(&readyq__batch_at(at)->own.held, id);
    return w;
}

bool readyq__has_place(const readyq *q)
{
    return q->watchdog->npending < READYQ__PENDING;
}

char *readyq__begin_sentence(readyq *q, enum readyq_warning kind, uint64_t watch)
{
    struct readyq__watchdog *dog = q->watchdog;
    struct readyq__sentence *sentence = &dog->pending[dog->npending];

    dog->npending++;
    sentence->kind = kind;
    sentence->watch = watch;
    return sentence->text;
}

void readyq__say(readyq *q, enum readyq_warning kind, const readyq_watch *w, uint32_t bits,
                 const char *what)
{
    char *text = readyq__begin_sentence(q, kind, w->own.id), watch[512];

    snprintf(text, READYQ__SENTENCE, "%s: %s", readyq_describe_watch(w, bits, watch, sizeof watch),
             what);
}

bool readyq__watchdog_pop(readyq *q, struct readyq__sentence *sentence)
{
    struct readyq__watchdog *dog = q->watchdog;

    if (dog->npending == 0)
        return false;
    *sentence = dog->pending[0];
    memmove(dog->pending, dog->pending + 1, --dog->npending * sizeof *sentence);
    return true;
}

/* ------------------------------------------------------------------ notes */

struct readyq__notes *readyq__notes_of(readyq *q, const readyq_watch *w)
{
    struct readyq__watchdog *dog = q->watchdog;
    struct readyq__notes *notes;

    if (w->kind != READYQ_KIND_FD || (size_t)w->fd >= dog->nnotes)
        return NULL;
    notes = &dog->notes[w->fd];
    return notes->watch == w->own.id ? notes : NULL;
}

static bool grow(readyq *q)
{
    struct readyq__watchdog *dog = q->watchdog;
    struct readyq__notes *notes = realloc(dog->notes, q->nslots * sizeof *notes);

    if (notes == NULL)
        return false;
    memset(notes + dog->nnotes, 0, (q->nslots - dog->nnotes) * sizeof *notes);
    dog->notes = notes;
    dog->nnotes = q->nslots;
    return true;
}

/* If no memory is left, the watch is not checked. */
void readyq__watchdog_add(readyq *q, const readyq_watch *w)
{
    struct readyq__watchdog *dog = q->watchdog;

    if (w->kind != READYQ_KIND_FD || (dog->nnotes < q->nslots && !grow(q)))
        return;
    dog->notes[w->fd] = (struct readyq__notes){.watch = w->own.id};
    readyq__identify(w->fd, &dog->notes[w->fd].file);
    readyq_describe(w->fd, dog->notes[w->fd].was, sizeof dog->notes[w->fd].was);
}

void readyq__watchdog_change(readyq *q, const readyq_watch *w)
{
    struct readyq__notes *notes = readyq__notes_of(q, w);

    if (notes == NULL)
        return;
    notes->turns = 0;
    notes->had_edge = false;
    notes->found = 0;
}

bool readyq__is_first(const readyq *q, struct readyq__notes *notes, enum readyq_warning kind)
{
    if ((notes->told & 1u << kind) || !readyq__has_place(q))
        return false;
    notes->told |= 1u << kind;
    return true;
}

/* ------------------------------------------------------------------ its life */

static void set_default(int64_t *value, int64_t standard)
{
    if (*value <= 0)
        *value = standard;
}

int readyq__watchdog_open(readyq *q, const struct readyq_debug *debug)
{
    struct readyq__watchdog *dog = calloc(1, sizeof *dog);

    if (dog == NULL)
        return -ENOMEM;
    if (debug != NULL)
        dog->debug = *debug;
    if (dog->debug.turns == 0)
        dog->debug.turns = 10000;
    set_default(&dog->debug.turn, READYQ__SECOND / 10);
    set_default(&dog->debug.rest, READYQ__SECOND);
    dog->last_turn = readyq__monotonic() - 2 * READYQ__SECOND;
    q->watchdog = dog;
    q->observed = true;
    return 0;
}

void readyq__watchdog_close(readyq *q)
{
    if (q->watchdog != NULL)
        free(q->watchdog->notes);
    free(q->watchdog);
}
