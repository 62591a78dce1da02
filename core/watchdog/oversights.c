/* SPDX-License-Identifier: MIT
 *
 * The watchdog: what was forgotten. Before a sleep, once a second, or every `rest` if that is
 * shorter, watches are checked: whether the descriptor was closed, whether the data of an EDGE
 * watch was not read completely, whether a signal is blocked in every thread. For this purpose no
 * sleep is longer than a second.
 */
#include "internal.h"

#include <stdio.h>

enum { SCANNED = 256 }; /* watches that one sleep looks at */

static void tell_closed(readyq *q, struct readyq__notes *notes, const readyq_watch *w,
                        const char *how)
{
    char bits[128], *text;

    if (!readyq__is_first(q, notes, READYQ_WARNING_CLOSED))
        return;
    text = readyq__begin_sentence(q, READYQ_WARNING_CLOSED, w->own.id);
    snprintf(text, READYQ__SENTENCE,
             "fd %d (was: %s) interest %s: it was closed before its watch was removed%s; "
             "remove the watch first, and keep the object that owns the descriptor until then",
             w->fd, notes->was, readyq_describe_bits(w->interest, bits, sizeof bits), how);
}

static bool check_closed(readyq *q, struct readyq__notes *notes, const readyq_watch *w)
{
    struct readyq__identity file;

    if (!readyq__identify(w->fd, &file))
        tell_closed(q, notes, w, "");
    else if (file.device != notes->file.device || file.inode != notes->file.inode)
        tell_closed(q, notes, w, ", and its number belongs to another file now");
    else
        return false;
    return true;
}

void readyq__watchdog_stale(readyq *q, const readyq_watch *w)
{
    struct readyq__notes *notes = readyq__notes_of(q, w);

    if (notes != NULL)
        check_closed(q, notes, w);
}

/* How much an EDGE watch has left unread; -1: its error queue; 0: nothing. */
static int64_t count_left(const readyq_watch *w)
{
    const uint32_t ready = readyq__ask_ready(w->fd, READYQ_READ | READYQ_ERROR);
    const struct readyq__subject subject = readyq__examine(w->fd);
    struct readyq__sample sample;

    if ((ready & READYQ_ERROR) && readyq__queues_errors(w->fd))
        return -1;
    if (!(ready & w->interest & READYQ_READ))
        return 0;
    readyq__take_sample(w->fd, &subject, &sample);
    return sample.unread > 0 ? sample.unread : 0;
}

static void tell_left(readyq *q, struct readyq__notes *notes, const readyq_watch *w, int64_t now)
{
    const double time = (double)(now - notes->found) / (double)READYQ__SECOND;
    const bool listens = readyq__examine(w->fd).listens;
    char text[READYQ__SENTENCE];

    if (!readyq__is_first(q, notes, READYQ_WARNING_LEFT))
        return;
    if (notes->left < 0)
        snprintf(text, sizeof text,
                 "its error queue (IP_RECVERR) has been left unread for %.2g s, and EDGE does not "
                 "report it again: call recvmsg(MSG_ERRQUEUE) until it is empty",
                 time);
    else
        snprintf(text, sizeof text,
                 "%lld %s for %.2g s, and EDGE does not report %s again: %s until EAGAIN",
                 (long long)notes->left,
                 listens ? (notes->left == 1 ? "connection has been waiting"
                                             : "connections have been waiting")
                         : (notes->left == 1 ? "byte has been left unread"
                                             : "bytes have been left unread"),
                 time, notes->left == 1 ? "it" : "them", listens ? "accept" : "read");
    readyq__say(q, READYQ_WARNING_LEFT, w, 0, text);
}

/* It counts as left if it stays the same for a while. */
static void check_left(readyq *q, struct readyq__notes *notes, const readyq_watch *w, int64_t now)
{
    const bool edge = (w->interest & READYQ_EDGE) && notes->had_edge && w->armed;
    const int64_t left = edge && w->own.place == READYQ__IDLE ? count_left(w) : 0;

    if (left == 0) {
        notes->found = 0;
    } else if (notes->found == 0 || left != notes->left) {
        notes->found = now;
        notes->left = left;
    } else if (now - notes->found >= q->watchdog->debug.rest) {
        tell_left(q, notes, w, now);
    }
}

static void check_descriptors(readyq *q, int64_t now)
{
    struct readyq__watchdog *dog = q->watchdog;
    size_t fd = dog->next_number, looked = 0;

    for (size_t i = 0; i < dog->nnotes && looked < SCANNED; i++, fd++) {
        const readyq_watch *w;
        struct readyq__notes *notes;

        if (fd >= dog->nnotes)
            fd = 0;
        w = q->slots[fd].watch;
        notes = w != NULL && w->kind == READYQ_KIND_FD ? readyq__notes_of(q, w) : NULL;
        if (notes == NULL)
            continue;
        looked++;
        if (!check_closed(q, notes, w))
            check_left(q, notes, w, now);
    }
    dog->next_number = fd;
}

void readyq__watchdog_blocked(readyq *q, readyq_watch *w)
{
    char *text, why[256];

    if ((w->own.flags & READYQ__TOLD) || !readyq__has_place(q))
        return;
    text = readyq__begin_sentence(q, READYQ_WARNING_BLOCKED, w->own.id);
    w->own.flags |= READYQ__TOLD;
    snprintf(text, READYQ__SENTENCE, "%s", readyq_explain_blocked(w->signal, why, sizeof why));
}

static void check_signals(readyq *q)
{
    for (struct readyq__link *at = q->signals.next; at != &q->signals; at = at->next) {
        readyq_watch *w = readyq__owner(at, source.group);

        if (readyq__is_blocked_everywhere(w->signal))
            readyq__watchdog_blocked(q, w);
    }
}

int64_t readyq__watchdog_sleep(readyq *q, int64_t timeout)
{
    struct readyq__watchdog *dog = q->watchdog;
    const int64_t period = dog->debug.rest < READYQ__SECOND ? dog->debug.rest : READYQ__SECOND;
    const int64_t now = readyq__monotonic();

    if (now >= dog->next_scan) {
        dog->next_scan = now + period;
        check_descriptors(q, now);
        check_signals(q);
    }
    if (dog->npending > 0)
        return 0;
    return timeout < 0 || timeout > dog->next_scan - now ? dog->next_scan - now : timeout;
}
