/* SPDX-License-Identifier: MIT
 *
 * Reports what the watchdog has noticed: in C with a call to the user's function, while the lock is
 * released; to a binding when it asks.
 */
#include "internal.h"

#include <stdio.h>

static void call(const struct readyq_debug *debug, readyq_watch *w, const char *text)
{
    const struct readyq__cancel before = readyq__hold_cancel();

    if (debug->warn != NULL)
        debug->warn(debug->data, w, text);
    else
        fprintf(stderr, "readyq: %s\n", text);
    readyq__release_cancel(before);
}

bool readyq__tell(readyq *q)
{
    const struct readyq_debug *debug = &q->watchdog->debug;
    struct readyq__sentence sentence;
    readyq_watch *w;

    if (debug->warn == NULL && q->interruptible)
        return q->watchdog->npending > 0;
    while (readyq__watchdog_pop(q, &sentence)) {
        w = readyq__find_by_id(q, sentence.watch);
        readyq__unlock(q);
        call(debug, w, sentence.text);
        readyq__lock(q);
    }
    return false;
}

int readyq_warning(readyq *q, readyq_watch **w, char *text, size_t size)
{
    struct readyq__sentence sentence;
    int kind = 0;

    *w = NULL;
    if (q->watchdog == NULL)
        return 0;
    readyq__lock(q);
    if (readyq__watchdog_pop(q, &sentence)) {
        kind = (int)sentence.kind;
        *w = readyq__find_by_id(q, sentence.watch);
        snprintf(text, size, "%s", sentence.text);
    }
    readyq__unlock(q);
    return kind;
}
