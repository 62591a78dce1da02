/* SPDX-License-Identifier: MIT
 *
 * Triggers: watches that a program fires itself, from any thread.
 */
#include "internal.h"

static void deliver(readyq *q, readyq_watch *w)
{
    (void)q;
    readyq__set(w, count, w->own.source.count);
    w->own.source.count = 0;
}

static void stop(readyq *q, readyq_watch *w)
{
    (void)q;
    readyq__unlink(&w->own.source.group);
}

static int start(readyq *q, readyq_watch *w)
{
    readyq__link_before(&q->triggers, &w->own.source.group);
    return 0;
}

const struct readyq__kind readyq__kind_trigger = {.start = start, .deliver = deliver, .stop = stop};

int readyq_add_trigger(readyq *q, readyq_watch *w)
{
    return readyq__add(q, w, &(readyq_watch){.kind = READYQ_KIND_TRIGGER, .fd = -1});
}

int readyq_fire(readyq_watch *w)
{
    int error;
    readyq *q = readyq__enter_of(w, &error);

    if (q == NULL)
        return error;
    if (w->kind == READYQ_KIND_TRIGGER) {
        w->own.source.count++;
        q->stats.fires++;
        readyq__record(q, READYQ_RECORD_FIRE, w, 0, 0);
        readyq__list(q, w, READYQ_FIRED);
    } else {
        error = readyq__refuse(EINVAL, "it is not a trigger", "only a trigger can be fired");
    }
    readyq__leave(q);
    return error;
}
