/* SPDX-License-Identifier: MIT
 *
 * Signals as a kind of source. The handler (handlers.c) counts in the watch and sets q->signalled;
 * the next wait collects it.
 */
#include "internal.h"

#include <signal.h>

#ifndef NSIG
#define NSIG 65
#endif

/* The handler may count one more at any time. */
static void deliver(readyq *q, readyq_watch *w)
{
    (void)q;
    w->count = __atomic_exchange_n(&w->caught, 0, __ATOMIC_SEQ_CST);
}

static void stop(readyq *q, readyq_watch *w)
{
    (void)q;
    readyq__unhandle_signal(w);
    readyq__unlink(&w->own.source.group);
}

const struct readyq__kind readyq__kind_signal = {
    .event = readyq__list, .deliver = deliver, .stop = stop};

void readyq__collect_signals(readyq *q)
{
    struct readyq__link *link, *next;

    atomic_exchange(&q->signalled, false); /* a read too: what a later signal announces is seen */
    for (link = q->signals.next; link != &q->signals; link = next) {
        readyq_watch *w = readyq__owner(link, source.group);

        next = link->next;
        if (__atomic_load_n(&w->caught, __ATOMIC_SEQ_CST) > 0)
            q->kinds[w->kind]->event(q, w, READYQ_FIRED);
    }
}

int readyq__start_signal(readyq *q, readyq_watch *w, int signal)
{
    int error;

    w->signal = signal;
    w->caught = 0;
    w->queue = q; /* for the handler, which may run at once */
    error = readyq__handle_signal(w);
    if (error == 0)
        readyq__link_before(&q->signals, &w->own.source.group);
    else
        w->queue = NULL;
    return error;
}

/* Signals that cannot be caught, and those after which the thread cannot continue. */
static int check(int signal)
{
    switch (signal) {
    case SIGKILL:
    case SIGSTOP: return readyq__refuse(READYQ__UNCATCHABLE_SIGNAL);
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL: return readyq__refuse(READYQ__FATAL_SIGNAL);
    default: return signal > 0 && signal < NSIG ? 0 : readyq__refuse(READYQ__NO_SIGNAL);
    }
}

static int add(readyq *q, readyq_watch *w, int signal, uint8_t flags)
{
    const readyq_watch before = *w;
    int error = check(signal);

    if (error == 0)
        error = readyq__enter(q);
    if (error < 0)
        return error;
    error = readyq__prepare(w, READYQ_KIND_SIGNAL);
    if (error == 0) {
        w->own.flags |= flags;
        error = readyq__start_signal(q, w, signal);
        if (error == 0)
            readyq__activate(q, w);
        else
            *w = before;
    }
    readyq__leave(q);
    return error == 0 ? readyq__is_blocked_everywhere(signal) : error;
}

int readyq_add_signal(readyq *q, readyq_watch *w, int signal)
{
    return add(q, w, signal, 0);
}

int readyq_replace_signal(readyq *q, readyq_watch *w, int signal)
{
    return add(q, w, signal, READYQ__REPLACES);
}
