/* SPDX-License-Identifier: MIT
 *
 * Signals as a kind of source. The handler (handlers.c) counts the signals in the watch and sets
 * q->signalled; the next wait collects them.
 */
#include "internal.h"

#include <signal.h>

/* The handler may count one more at any time. */
static void deliver(readyq *q, readyq_watch *w)
{
    (void)q;
    readyq__set(w, count, __atomic_exchange_n(&w->caught, 0, __ATOMIC_SEQ_CST));
}

static void stop(readyq *q, readyq_watch *w)
{
    (void)q;
    readyq__unhandle_signal(w);
    readyq__unlink(&w->own.source.group);
}

void readyq__collect_signals(readyq *q)
{
    atomic_exchange(&q->signalled, false); /* also reads: what the handler published is seen */
    for (struct readyq__link *at = q->signals.next; at != &q->signals; at = at->next) {
        readyq_watch *w = readyq__owner(at, source.group);

        if (__atomic_load_n(&w->caught, __ATOMIC_SEQ_CST) > 0)
            q->kinds[w->kind]->event(q, w, READYQ_FIRED);
    }
}

/* Refuses signals that cannot be caught, and those after which the thread cannot continue. */
static int check(int signal)
{
    static const char all[] =
        "SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE and SIGILL cannot be watched";

    switch (signal) {
    case SIGKILL:
    case SIGSTOP: return readyq__refuse(EINVAL, "this signal cannot be caught", all);
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL: return readyq__refuse(EINVAL, "the thread cannot continue after this signal", all);
    }
    if (signal <= 0 || signal >= NSIG)
        return readyq__refuse(EINVAL, "there is no such signal", "kill -l lists the signals");
    return 0;
}

static int start(readyq *q, readyq_watch *w)
{
    int error = check(w->signal);

    if (error < 0)
        return error;
    w->queue = q; /* for the handler, which may run at once */
    error = readyq__handle_signal(w);
    if (error == 0)
        readyq__link_before(&q->signals, &w->own.source.group);
    else
        w->queue = NULL;
    return error;
}

const struct readyq__kind readyq__kind_signal = {
    .start = start, .event = readyq__list, .deliver = deliver, .stop = stop};

int readyq_add_signal(readyq *q, readyq_watch *w, int signal)
{
    const readyq_watch wanted = {.kind = READYQ_KIND_SIGNAL, .fd = -1, .signal = signal};
    const int error = readyq__add(q, w, &wanted);

    if (error < 0 || !readyq__is_blocked_everywhere(signal))
        return error;
    if (q->watchdog != NULL) {
        readyq__lock(q);
        if (w->queue == q)
            readyq__watchdog_blocked(q, w);
        readyq__unlock(q);
    }
    return 1;
}

int readyq_default_handler(int signal, void (*handler)(int))
{
    const int error = check(signal);

    if (error == 0)
        readyq__set_default_handler(signal, handler);
    return error;
}
