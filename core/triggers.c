/* SPDX-License-Identifier: MIT
 *
 * Triggers: watches that a program fires itself, from any thread.
 */
#include "internal.h"

static void deliver(readyq *q, readyq_watch *w)
{
    (void)q;
    w->count = w->own.source.count;
    w->own.source.count = 0;
}

static void stop(readyq *q, readyq_watch *w)
{
    (void)q;
    readyq__unlink(&w->own.source.group);
}

const struct readyq__kind readyq__kind_trigger = {.deliver = deliver, .stop = stop};

int readyq_add_trigger(readyq *q, readyq_watch *w)
{
    int error = readyq__enter(q);

    if (error < 0)
        return error;
    error = readyq__prepare(w, READYQ_KIND_TRIGGER);
    if (error == 0) {
        readyq__link_before(&q->triggers, &w->own.source.group);
        readyq__activate(q, w);
    }
    readyq__leave(q);
    return error;
}

int readyq_fire(readyq_watch *w)
{
    int error;
    readyq *q = readyq__enter_of(w, &error);

    if (q == NULL)
        return error;
    if (w->kind == READYQ_KIND_TRIGGER) {
        w->own.source.count++;
        readyq__list(q, w, READYQ_FIRED);
    } else {
        error = readyq__refuse(READYQ__NOT_A_TRIGGER);
    }
    readyq__leave(q);
    return error;
}
