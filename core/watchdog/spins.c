/* SPDX-License-Identifier: MIT
 *
 * The watchdog: spinning. A level-triggered watch is reported by each wait until somebody reads,
 * writes or changes it. Its turns are counted until there is a sign of that: a wait that found
 * everything did not report it; its interest was set; or two samples of its descriptor (progress.c)
 * differ. Samples are taken every few turns: when the watch is reported, when its handler has
 * returned, and when the thread waits again. After a number of turns the reason is determined. If
 * no reason is certain, the count starts again.
 *
 * If nothing counts what is read, the sample after the handler shows it, before other handlers of
 * the same thread can have sent as much again. A thread that takes all watches first, and handles
 * them later, is recognised by the time between its last take and its next wait: such turns are
 * "loose" and prove nothing.
 */
#include "internal.h"

#include <stdio.h>

/* Average lengths of a turn, in nanoseconds. A loop whose turns are longer than the first does not
 * spin. If they are longer than the second, it may do work that samples alone do not show. */
#define SLOW_TURN 1000000
#define QUICK_TURN 100000

/* "10,000" */
static const char *print_number(uint64_t number, char text[32])
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    char *at = text;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

/* Whether there were fewer calls that read or write than turns, since the calls were counted. */
static bool has_few_calls(const struct readyq__watchdog *dog, const struct readyq__notes *notes,
                          uint32_t bits, const struct readyq__calls *now)
{
    const uint64_t calls =
        bits & READYQ_READ ? now->reads - notes->calls.reads : now->writes - notes->calls.writes;

    return calls < dog->debug.turns / 4;
}

/* All that is known is that the samples do not differ. */
static bool are_samples_enough(const struct readyq__notes *notes, int fd, uint32_t bits, bool quick)
{
    if (!quick || notes->loose > notes->sampled / 4)
        return false;
    if (bits & READYQ_READ)
        return notes->subject.listens || readyq__has_little_unread(fd);
    return notes->subject.shows_writes;
}

static bool is_certain(const struct readyq__watchdog *dog, const struct readyq__notes *notes,
                       int fd, uint32_t bits, bool quick)
{
    const enum readyq__evidence evidence = notes->subject.evidence;
    struct readyq__calls now;

    if (evidence == READYQ__CALLS && notes->calls_known && readyq__count_calls(&now))
        return has_few_calls(dog, notes, bits, &now);
    if (evidence == READYQ__CALLS || evidence == READYQ__SAMPLES)
        return are_samples_enough(notes, fd, bits, quick);
    return evidence == READYQ__EXACT;
}

static const char *explain_listener(bool certain)
{
    if (!readyq__are_descriptors_left())
        return "no descriptors are left, so accept fails and connections keep waiting: close some "
               "descriptors, raise RLIMIT_NOFILE (ulimit -n), or pause the watch for a while";
    return certain ? "nobody accepts the waiting connections: call accept" : NULL;
}

static const char *explain_error(const readyq_watch *w, uint32_t bits)
{
    if (readyq__queues_errors(w->fd))
        return "nobody reads its error queue (IP_RECVERR): call recvmsg(MSG_ERRQUEUE)";
    if (bits & READYQ_READ)
        return "its handler reads neither its data nor the error: call "
               "getsockopt(SO_ERROR), and remove the watch if the connection is lost";
    return "nobody reads its error: call getsockopt(SO_ERROR), and remove the watch if the "
           "connection is lost";
}

/* Whether nothing more will ever arrive. READ_CLOSED is not reported for a file, since it may
 * grow. */
static bool is_at_end(const struct readyq__notes *notes, uint32_t bits)
{
    if (notes->subject.is_file)
        return (bits & READYQ_READ) && notes->sample.unread == 0;
    return (bits & READYQ_READ_CLOSED) && notes->sample.unread <= 0;
}

/* The reason that applies; NULL: the program may be working on it. */
static const char *explain_spin(const struct readyq__watchdog *dog,
                                const struct readyq__notes *notes, const readyq_watch *w,
                                uint32_t bits, bool quick)
{
    const bool certain = is_certain(dog, notes, w->fd, bits, quick);

    if (notes->subject.listens)
        return explain_listener(certain);
    if (bits & READYQ_ERROR)
        return certain || (quick && notes->subject.evidence == READYQ__BLIND)
                   ? explain_error(w, bits)
                   : NULL;
    if (is_at_end(notes, bits))
        return "the end of its data is not handled: remove the watch once a read returns no bytes";
    if (bits & READYQ_WRITE_CLOSED)
        return "nobody reads at its other end any more: remove the watch";
    if (!certain)
        return NULL;
    if ((bits & READYQ_READ) && (notes->sample.unread != 0 || !(bits & READYQ_WRITE)))
        return "nobody reads the available data";
    if (bits & READYQ_PRIORITY)
        return "nobody reads the exceptional data: call recv(MSG_OOB), or read the file again";
    return "WRITE is asked for though nothing is sent: ask for it only while data is waiting to be "
           "sent";
}

/* The watch was reported as often as the threshold says. */
static void judge(readyq *q, struct readyq__notes *notes, const readyq_watch *w, uint32_t bits,
                  int64_t now)
{
    const int64_t time = now - notes->since, average = time / (int64_t)notes->turns;
    const uint64_t turns = notes->turns;
    const char *why = NULL;
    char text[READYQ__SENTENCE], number[32];

    if (average <= SLOW_TURN)
        why = explain_spin(q->watchdog, notes, w, bits, average <= QUICK_TURN);
    notes->turns = 0;
    if (why == NULL || !readyq__is_first(q, notes, READYQ_WARNING_SPIN))
        return;
    snprintf(text, sizeof text, "reported %s times in %.2g s; %s", print_number(turns, number),
             (double)time / (double)READYQ__SECOND, why);
    readyq__say(q, READYQ_WARNING_SPIN, w, bits, text);
}

/* A second sample of the watch is due when this thread waits again. */
static void ask_later(struct readyq__watchdog *dog, const readyq_watch *w, uint32_t bits)
{
    if (dog->nasked < READYQ__ASKED)
        dog->asked[dog->nasked++] =
            (struct readyq__asked){w->fd, readyq__thread(), bits, w->own.id};
}

/* False: there was progress since the last sample. */
static bool compare_sample(struct readyq__notes *notes, int fd)
{
    struct readyq__sample now;

    readyq__take_sample(fd, &notes->subject, &now);
    if (readyq__has_progress(&notes->sample, &now))
        return false;
    notes->sample = now;
    return true;
}

/* The first sample is taken after some turns: most watches do not reach that many in a row. */
static void count_turn(readyq *q, struct readyq__notes *notes, const readyq_watch *w, uint32_t bits,
                       int64_t now)
{
    struct readyq__watchdog *dog = q->watchdog;
    const uint64_t step = dog->debug.turns >= 1024 ? 16 : 1;

    if (notes->wait < dog->complete || notes->turns == 0) {
        notes->turns = 0;
        notes->since = now;
    }
    notes->wait = dog->waits;
    if (++notes->turns % step != 0 && notes->turns != dog->debug.turns)
        return;
    if (notes->turns == step) {
        notes->sampled = notes->loose = 0;
        notes->subject = readyq__examine(w->fd);
        readyq__take_sample(w->fd, &notes->subject, &notes->sample);
    } else if (!compare_sample(notes, w->fd)) {
        notes->turns = 0;
        return;
    }
    ask_later(dog, w, bits);
    if (notes->turns / step == dog->debug.turns / 2 / step &&
        notes->subject.evidence == READYQ__CALLS)
        notes->calls_known = readyq__count_calls(&notes->calls);
    if (notes->turns >= dog->debug.turns)
        judge(q, notes, w, bits, now);
}

static bool spins(const readyq_watch *w)
{
    return !(w->interest & (READYQ_EDGE | READYQ_ONESHOT));
}

void readyq__watchdog_wait_end(readyq *q, const readyq_batch *batch, bool complete)
{
    struct readyq__watchdog *dog = q->watchdog;
    const int64_t now = readyq__monotonic();

    dog->waits++;
    for (const struct readyq__link *at = batch->own.next; at != &batch->own.held; at = at->next) {
        const readyq_watch *w = readyq__owner(at, link);
        struct readyq__notes *notes = readyq__notes_of(q, w);

        if (notes == NULL)
            continue;
        notes->found = 0;
        notes->had_edge |= (w->interest & READYQ_EDGE) != 0;
        if (spins(w) && w->own.event != 0)
            count_turn(q, notes, w, w->own.event, now);
    }
    if (complete && q->nbatches == 1)
        dog->complete = dog->waits;
}

/* A watch that was reported and is no longer ready has been handled. */
static void ask_again(readyq *q, const struct readyq__asked *asked)
{
    const uint32_t directions = asked->bits & (READYQ__DIRECTIONS | READYQ_ERROR);
    struct readyq__watchdog *dog = q->watchdog;
    struct readyq__notes *notes = &dog->notes[asked->fd];

    if (notes->watch == asked->watch && notes->turns > 0 &&
        (readyq__ask_ready(asked->fd, directions) != directions ||
         !compare_sample(notes, asked->fd)))
        notes->turns = 0;
}

void readyq__spins_handled(readyq *q, uint64_t watch)
{
    struct readyq__watchdog *dog = q->watchdog;
    const uint32_t thread = readyq__thread();

    for (size_t i = 0; i < dog->nasked; i++)
        if (dog->asked[i].thread == thread && dog->asked[i].watch == watch)
            ask_again(q, &dog->asked[i]);
}

static void count_sampled(readyq *q, const struct readyq__asked *asked, bool loose)
{
    struct readyq__notes *notes = &q->watchdog->notes[asked->fd];

    if (notes->watch != asked->watch)
        return;
    notes->sampled++;
    notes->loose += loose;
}

void readyq__spins_wait(readyq *q, bool loose)
{
    struct readyq__watchdog *dog = q->watchdog;
    const uint32_t thread = readyq__thread();
    size_t left = 0;

    for (size_t i = 0; i < dog->nasked; i++) {
        if (dog->asked[i].thread != thread) {
            dog->asked[left++] = dog->asked[i];
            continue;
        }
        count_sampled(q, &dog->asked[i], loose);
        ask_again(q, &dog->asked[i]);
    }
    dog->nasked = left;
}
