/* SPDX-License-Identifier: MIT
 *
 * The watchdog of a queue in debug mode: notices mistakes in the program that uses the queue and
 * tells each once, in a sentence. Off, q->watchdog is NULL, and what observes a queue is skipped by
 * the branch that a recording needs anyway (q->observed).
 *
 * Spinning. A level-triggered watch is reported by each wait until somebody reads, writes or
 * changes it. Its turns are counted while there is no sign of that: it was not reported by a wait
 * that found everything; its interest was set; a sample of its descriptor (progress.c) differs,
 * taken at every few turns: when the watch is reported, when its handler has returned, and when the
 * thread waits again. After so many turns the reason is looked for. Without a reason that is
 * certain the count begins again.
 *
 * Where nothing counts what is read, the sample after the handler shows it, before other handlers
 * of the same thread can have sent as much again. A thread that takes all watches first, and
 * handles them later, is known by the time between its last take and its next wait: such turns are
 * "loose" and prove nothing.
 *
 * At a sleep, once in a second, every watch is looked at: whether its descriptor was closed, whether
 * an EDGE watch has been left with data, whether a signal is blocked in every thread. A sleep is cut
 * into seconds for that.
 *
 * A turn is the time in which a thread handles what one wait has found. What it sleeps in a queue
 * meanwhile is none of it; and it counts only if the thread has worked for so long, or has blocked,
 * and was not kept from running by others.
 *
 * What there is to tell is kept as text and the id of the watch, since it may be removed and freed
 * before it is told (warnings.c). The lock is held in all of these functions.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define SECOND INT64_C(1000000000)

enum {
    PENDING = 16,  /* sentences kept until they are told */
    ASKED = 64,    /* watches of which a second sample is due */
    SCANNED = 256, /* watches that one sleep looks at */
};

/* A loop that makes longer turns than this does not spin; or may do the work that samples alone do
 * not show. In nanoseconds on average. */
#define SLOW_TURN 1000000
#define QUICK_TURN 100000
#define LOOSE_TURN 5000 /* after all is handled */

/* What the watchdog knows of the watch of one descriptor number. */
struct entry {
    uint64_t watch; /* its id */
    struct readyq__identity file;
    char was[80]; /* what the descriptor was when it was added */

    uint64_t turns, wait; /* without progress; the last of them */
    int64_t since;        /* the first of them */
    struct readyq__subject subject;
    struct readyq__sample sample;
    struct readyq__calls calls; /* at half of the turns */
    bool calls_known;
    uint64_t sampled, loose; /* turns that were sampled; those that prove nothing */

    bool had_edge;       /* EDGE, and it was reported */
    int64_t left, found; /* what it was left with, and when that was found; 0: it was not */
    unsigned told;       /* by 1 << enum readyq_warning */
};

struct watchdog {
    struct readyq_debug debug;
    bool pulled;           /* by readyq_warning() */
    struct entry *entries; /* by descriptor number */
    size_t nentries;
    struct readyq__sentence pending[PENDING];
    size_t npending;
    uint64_t waits;    /* that ended */
    uint64_t complete; /* the last one that found everything */
    struct asked {
        int fd;
        uint32_t thread, bits;
        uint64_t watch;
    } asked[ASKED];
    size_t nasked;
    int64_t next_scan;  /* a time */
    size_t next_number; /* the descriptor where it begins */
    int64_t last_turn;  /* that was told */
};

/* A watch that may not exist any more. */
struct handled {
    uint64_t watch;
    uint32_t bits;
    uint8_t kind;
    int number;
    int64_t time;
};

/* The turn of this thread. */
static READYQ__THREAD_LOCAL struct {
    uint32_t queue; /* its id; 0: none */
    unsigned handlers;
    int64_t since, taken, left; /* of the first, of the last; when it was done with all */
    struct usage {
        int64_t worked; /* nanoseconds */
        long blocks;    /* how often it has blocked */
    } usage;            /* when it began */
    struct handled present, longest;
} turn;

/* ------------------------------------------------------------------ sentences */

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

/* A place for a sentence; NULL: too many wait to be told. */
static char *begin_sentence(readyq *q, enum readyq_warning kind, uint64_t watch)
{
    struct watchdog *dog = q->watchdog;
    struct readyq__sentence *sentence = &dog->pending[dog->npending];

    if (dog->npending == PENDING)
        return NULL;
    dog->npending++;
    sentence->kind = kind;
    sentence->watch = watch;
    return sentence->text;
}

static void say(readyq *q, enum readyq_warning kind, const readyq_watch *w, uint32_t bits,
                const char *what)
{
    char *text = begin_sentence(q, kind, w->own.id), watch[512];

    if (text != NULL)
        snprintf(text, READYQ__SENTENCE, "%s: %s",
                 readyq_describe_watch(w, bits, watch, sizeof watch), what);
}

const struct readyq_debug *readyq__watchdog_options(const readyq *q)
{
    return &q->watchdog->debug;
}

bool readyq__watchdog_pop(readyq *q, struct readyq__sentence *sentence)
{
    struct watchdog *dog = q->watchdog;

    if (dog->npending == 0)
        return false;
    *sentence = dog->pending[0];
    memmove(dog->pending, dog->pending + 1, --dog->npending * sizeof *sentence);
    return true;
}

bool readyq__watchdog_has_more(const readyq *q)
{
    return q->watchdog->npending > 0;
}

/* ------------------------------------------------------------------ entries */

static struct entry *entry_of(readyq *q, const readyq_watch *w)
{
    struct watchdog *dog = q->watchdog;
    struct entry *entry;

    if (w->kind != READYQ_KIND_FD || w->fd < 0 || (size_t)w->fd >= dog->nentries)
        return NULL;
    entry = &dog->entries[w->fd];
    return entry->watch == w->own.id ? entry : NULL;
}

static bool grow(readyq *q)
{
    struct watchdog *dog = q->watchdog;
    struct entry *entries = realloc(dog->entries, q->nslots * sizeof *entries);

    if (entries == NULL)
        return false;
    memset(entries + dog->nentries, 0, (q->nslots - dog->nentries) * sizeof *entries);
    dog->entries = entries;
    dog->nentries = q->nslots;
    return true;
}

/* Without memory the watch is not looked at. */
void readyq__watchdog_add(readyq *q, const readyq_watch *w)
{
    struct watchdog *dog = q->watchdog;

    if (w->kind != READYQ_KIND_FD || (dog->nentries < q->nslots && !grow(q)))
        return;
    dog->entries[w->fd] = (struct entry){.watch = w->own.id};
    readyq__identify(w->fd, &dog->entries[w->fd].file);
    readyq_describe(w->fd, dog->entries[w->fd].was, sizeof dog->entries[w->fd].was);
}

void readyq__watchdog_change(readyq *q, const readyq_watch *w)
{
    struct entry *entry = entry_of(q, w);

    if (entry == NULL)
        return;
    entry->turns = 0;
    entry->had_edge = false;
    entry->found = 0;
}

/* Whether this is the first warning of its kind for this watch. */
static bool first_time(struct entry *entry, enum readyq_warning kind)
{
    const bool first = !(entry->told & 1u << kind);

    entry->told |= 1u << kind;
    return first;
}

/* ------------------------------------------------------------------ spinning */

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

/* Whether less was read, or written, by calls than there were turns since the calls were counted. */
static bool has_few_calls(const struct watchdog *dog, const struct entry *entry, uint32_t bits,
                          const struct readyq__calls *now)
{
    const uint64_t calls =
        bits & READYQ_READ ? now->reads - entry->calls.reads : now->writes - entry->calls.writes;

    return calls < dog->debug.turns / 4;
}

/* All that is known is that the samples do not differ. */
static bool are_samples_enough(const struct entry *entry, int fd, uint32_t bits, bool quick)
{
    if (!quick || entry->loose > entry->sampled / 4)
        return false;
    if (bits & READYQ_READ)
        return entry->subject.listens || readyq__has_little_unread(fd);
    return entry->subject.shows_writes;
}

static bool is_certain(const struct watchdog *dog, const struct entry *entry, int fd, uint32_t bits,
                       bool quick)
{
    const enum readyq__evidence evidence = entry->subject.evidence;
    struct readyq__calls now;

    if (evidence == READYQ__CALLS && entry->calls_known && readyq__count_calls(&now))
        return has_few_calls(dog, entry, bits, &now);
    if (evidence == READYQ__CALLS || evidence == READYQ__SAMPLES)
        return are_samples_enough(entry, fd, bits, quick);
    return evidence == READYQ__EXACT;
}

static const char *explain_listener(bool certain)
{
    if (!readyq__are_descriptors_left())
        return "no descriptor is left, so that accept fails and its connections wait: close some, "
               "raise RLIMIT_NOFILE (ulimit -n), or pause the watch for a while";
    return certain ? "nobody accepts the connections that wait: call accept" : NULL;
}

static const char *explain_error(const readyq_watch *w, uint32_t bits)
{
    if (readyq__queues_errors(w->fd))
        return "nobody reads its error queue (IP_RECVERR): call recvmsg(MSG_ERRQUEUE)";
    if (bits & READYQ_READ)
        return "its handler neither reads it nor collects the error: call "
               "getsockopt(SO_ERROR), and remove the watch if the connection is lost";
    return "nobody collects its error: call getsockopt(SO_ERROR), and remove the watch if the "
           "connection is lost";
}

/* Whether nothing will ever arrive. Of a file READ_CLOSED is not reported, since it may grow. */
static bool is_at_end(const struct entry *entry, uint32_t bits)
{
    if (entry->subject.is_file)
        return (bits & READYQ_READ) && entry->sample.unread == 0;
    return (bits & READYQ_READ_CLOSED) && entry->sample.unread <= 0;
}

/* The one that applies; NULL: it may be that somebody works on it. */
static const char *explain_spin(const struct watchdog *dog, const struct entry *entry,
                                const readyq_watch *w, uint32_t bits, bool quick)
{
    const bool certain = is_certain(dog, entry, w->fd, bits, quick);

    if (entry->subject.listens)
        return explain_listener(certain);
    if (bits & READYQ_ERROR)
        return certain || (quick && entry->subject.evidence == READYQ__BLIND)
                   ? explain_error(w, bits)
                   : NULL;
    if (is_at_end(entry, bits))
        return "its end is not handled: remove the watch once reading returns nothing";
    if (bits & READYQ_WRITE_CLOSED)
        return "nobody reads its other end any more: remove the watch";
    if (!certain)
        return NULL;
    if ((bits & READYQ_READ) && (entry->sample.unread != 0 || !(bits & READYQ_WRITE)))
        return "nobody reads the data that is there";
    if (bits & READYQ_PRIORITY)
        return "nobody collects the exceptional data: recv(MSG_OOB), or read the file again";
    return "WRITE is asked for though nothing is sent: ask for it only while data waits to be sent";
}

/* It was reported so many times. */
static void judge(readyq *q, struct entry *entry, const readyq_watch *w, uint32_t bits, int64_t now)
{
    const int64_t time = now - entry->since, average = time / (int64_t)entry->turns;
    const uint64_t turns = entry->turns;
    const char *why = NULL;
    char text[READYQ__SENTENCE], number[32];

    if (average <= SLOW_TURN)
        why = explain_spin(q->watchdog, entry, w, bits, average <= QUICK_TURN);
    entry->turns = 0;
    if (why == NULL || !first_time(entry, READYQ_WARNING_SPIN))
        return;
    snprintf(text, sizeof text, "%s turns in %.2g s; %s", print_number(turns, number),
             (double)time / (double)SECOND, why);
    say(q, READYQ_WARNING_SPIN, w, bits, text);
}

/* A second sample of it is due when this thread waits again. */
static void ask_later(struct watchdog *dog, const readyq_watch *w, uint32_t bits)
{
    if (dog->nasked < ASKED)
        dog->asked[dog->nasked++] = (struct asked){w->fd, readyq__thread(), bits, w->own.id};
}

/* False: there was progress since the last sample. */
static bool compare_sample(struct entry *entry, int fd)
{
    struct readyq__sample now;

    readyq__take_sample(fd, &entry->subject, &now);
    if (readyq__has_progress(&entry->sample, &now))
        return false;
    entry->sample = now;
    return true;
}

/* The first sample is taken after some turns: most watches do not have as many in a row. */
static void count_turn(readyq *q, struct entry *entry, const readyq_watch *w, uint32_t bits,
                       int64_t now)
{
    struct watchdog *dog = q->watchdog;
    const uint64_t step = dog->debug.turns >= 1024 ? 16 : 1;

    if (entry->wait < dog->complete || entry->turns == 0) {
        entry->turns = 0;
        entry->since = now;
    }
    entry->wait = dog->waits;
    if (++entry->turns % step != 0 && entry->turns != dog->debug.turns)
        return;
    if (entry->turns == step) {
        entry->sampled = entry->loose = 0;
        entry->subject = readyq__examine(w->fd);
        readyq__take_sample(w->fd, &entry->subject, &entry->sample);
    } else if (!compare_sample(entry, w->fd)) {
        entry->turns = 0;
        return;
    }
    ask_later(dog, w, bits);
    if (entry->turns / step == dog->debug.turns / 2 / step &&
        entry->subject.evidence == READYQ__CALLS)
        entry->calls_known = readyq__count_calls(&entry->calls);
    if (entry->turns >= dog->debug.turns)
        judge(q, entry, w, bits, now);
}

static bool spins(const readyq_watch *w)
{
    return w->kind == READYQ_KIND_FD && !(w->interest & (READYQ_EDGE | READYQ_ONESHOT));
}

void readyq__watchdog_wait_end(readyq *q, const readyq_batch *batch, bool complete)
{
    struct watchdog *dog = q->watchdog;
    const int64_t now = readyq__monotonic();

    dog->waits++;
    for (const struct readyq__link *at = batch->own.next; at != &batch->own.held; at = at->next) {
        const readyq_watch *w = readyq__owner(at, link);
        struct entry *entry = entry_of(q, w);

        if (entry == NULL)
            continue;
        entry->found = 0;
        entry->had_edge |= (w->interest & READYQ_EDGE) != 0;
        if (spins(w) && w->own.event != 0)
            count_turn(q, entry, w, w->own.event, now);
    }
    if (complete && q->nbatches == 1)
        dog->complete = dog->waits;
}

/* What was reported and is ready no more was handled. */
static void ask_again(readyq *q, const struct asked *asked)
{
    const uint32_t directions = asked->bits & (READYQ__DIRECTIONS | READYQ_ERROR);
    struct watchdog *dog = q->watchdog;
    struct entry *entry = &dog->entries[asked->fd];

    if (entry->watch == asked->watch && entry->turns > 0 &&
        ((directions & ~readyq__ask_ready(asked->fd)) || !compare_sample(entry, asked->fd)))
        entry->turns = 0;
}

/* After the handler of the watch that this thread took last. */
static void ask_of_handled(readyq *q)
{
    struct watchdog *dog = q->watchdog;
    const uint32_t thread = readyq__thread();

    for (size_t i = 0; i < dog->nasked; i++)
        if (dog->asked[i].thread == thread && dog->asked[i].watch == turn.present.watch)
            ask_again(q, &dog->asked[i]);
}

static void count_sampled(readyq *q, const struct asked *asked, bool loose)
{
    struct entry *entry = &q->watchdog->entries[asked->fd];

    if (entry->watch != asked->watch)
        return;
    entry->sampled++;
    entry->loose += loose;
}

void readyq__watchdog_wait(readyq *q)
{
    struct watchdog *dog = q->watchdog;
    const uint32_t thread = readyq__thread();
    size_t left = 0;
    const int64_t last = turn.handlers > 0 ? turn.taken : turn.left;
    const bool loose = turn.queue != q->id || readyq__monotonic() - last > LOOSE_TURN;

    readyq__watchdog_take(q, NULL);
    for (size_t i = 0; i < dog->nasked; i++) {
        if (dog->asked[i].thread != thread) {
            dog->asked[left++] = dog->asked[i];
            continue;
        }
        count_sampled(q, &dog->asked[i], loose);
        ask_again(q, &dog->asked[i]);
    }
    dog->nasked = left;
    turn.queue = 0;
}

/* ------------------------------------------------------------------ turns */

static void name_handled(readyq *q, const struct handled *handled, char *text, size_t size)
{
    const readyq_watch *w = readyq__find_by_id(q, handled->watch);

    if (w != NULL)
        readyq_describe_watch(w, handled->bits, text, size);
    else if (handled->number >= 0)
        snprintf(text, size, "%s %d, removed since", readyq_kind_name(handled->kind),
                 handled->number);
    else
        snprintf(text, size, "%s", readyq_kind_name(handled->kind));
}

static void tell_turn(readyq *q, int64_t time)
{
    const struct handled *longest = &turn.longest;
    char *text, watch[512];

    text = begin_sentence(q, READYQ_WARNING_TURN, longest->watch);
    if (text == NULL)
        return;
    name_handled(q, longest, watch, sizeof watch);
    if (turn.handlers == 1)
        snprintf(text, READYQ__SENTENCE,
                 "%s: its handler took %.2g s; nothing else is handled meanwhile", watch,
                 (double)time / (double)SECOND);
    else
        snprintf(text, READYQ__SENTENCE,
                 "%s: its handler took %.2g s of a turn of %.2g s with %u handlers; nothing else "
                 "is handled meanwhile",
                 watch, (double)longest->time / (double)SECOND, (double)time / (double)SECOND,
                 turn.handlers);
}

#if defined(RUSAGE_THREAD)
static struct usage get_usage(void)
{
    struct rusage usage = {0};
    int64_t microseconds;

    getrusage(RUSAGE_THREAD, &usage);
    microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return (struct usage){
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND + microseconds * 1000,
        usage.ru_nvcsw,
    };
}
#else
static struct usage get_usage(void) /* unknown: each thread has blocked */
{
    static _Thread_local long blocks;

    return (struct usage){0, ++blocks};
}
#endif

/* False: others had the processor meanwhile. */
static bool was_busy(int64_t time)
{
    const struct usage now = get_usage();

    return now.worked - turn.usage.worked > time || now.blocks != turn.usage.blocks;
}

static void end_handler(int64_t now)
{
    const int64_t slept = readyq__last_sleep();

    turn.present.time = now - (slept > turn.taken ? slept : turn.taken);
    if (slept > turn.since)
        turn.since = slept;
    if (turn.present.time >= turn.longest.time)
        turn.longest = turn.present;
}

static void end_turn(readyq *q, int64_t now)
{
    const int64_t time = now - turn.since;
    struct watchdog *dog = q->watchdog;

    if (turn.handlers > 0 && time > dog->debug.turn && now - dog->last_turn > SECOND &&
        was_busy(dog->debug.turn)) {
        dog->last_turn = now;
        tell_turn(q, time);
    }
    turn.handlers = 0;
    turn.longest.time = 0;
}

void readyq__watchdog_take(readyq *q, const readyq_watch *w)
{
    const int64_t now = readyq__monotonic();

    if (turn.queue != q->id)
        turn.handlers = 0;
    if (turn.handlers > 0) {
        end_handler(now);
        ask_of_handled(q);
    }
    if (w == NULL) {
        if (turn.handlers > 0)
            turn.left = readyq__monotonic();
        end_turn(q, now);
        return;
    }
    if (turn.handlers++ == 0) {
        turn.since = now;
        turn.longest.time = 0;
        turn.usage = get_usage();
    }
    turn.queue = q->id;
    turn.taken = now;
    turn.present = (struct handled){w->own.id, w->ready, w->kind, readyq__number_of(w), 0};
}

/* ------------------------------------------------------------------ what is looked at in sleep */

static void tell_closed(readyq *q, struct entry *entry, const readyq_watch *w, const char *how)
{
    char bits[128], *text;

    if (!first_time(entry, READYQ_WARNING_CLOSED))
        return;
    text = begin_sentence(q, READYQ_WARNING_CLOSED, w->own.id);
    if (text != NULL)
        snprintf(text, READYQ__SENTENCE,
                 "fd %d (it was: %s) interest %s: it was closed before its watch was removed%s; "
                 "remove the watch first, and keep the object that owns the descriptor until then",
                 w->fd, entry->was, readyq_describe_bits(w->interest, bits, sizeof bits), how);
}

static bool check_closed(readyq *q, struct entry *entry, const readyq_watch *w)
{
    struct readyq__identity file;

    if (!readyq__identify(w->fd, &file))
        tell_closed(q, entry, w, "");
    else if (file.device != entry->file.device || file.inode != entry->file.inode)
        tell_closed(q, entry, w, ", and its number belongs to another file now");
    else
        return false;
    return true;
}

void readyq__watchdog_stale(readyq *q, const readyq_watch *w)
{
    struct entry *entry = entry_of(q, w);

    if (entry != NULL)
        check_closed(q, entry, w);
}

/* How much an EDGE watch was left with; -1: its error queue; 0: nothing. */
static int64_t count_left(const readyq_watch *w)
{
    const uint32_t ready = readyq__ask_ready(w->fd);
    const struct readyq__subject subject = readyq__examine(w->fd);
    struct readyq__sample sample;

    if ((ready & READYQ_ERROR) && readyq__queues_errors(w->fd))
        return -1;
    if (!(ready & w->interest & READYQ_READ))
        return 0;
    readyq__take_sample(w->fd, &subject, &sample);
    return sample.unread > 0 ? sample.unread : 0;
}

static void tell_left(readyq *q, struct entry *entry, const readyq_watch *w, int64_t now)
{
    const double time = (double)(now - entry->found) / (double)SECOND;
    const bool listens = readyq__examine(w->fd).listens;
    char text[READYQ__SENTENCE];

    if (!first_time(entry, READYQ_WARNING_LEFT))
        return;
    if (entry->left < 0)
        snprintf(text, sizeof text,
                 "its error queue (IP_RECVERR) has been left unread for %.2g s, and EDGE does not "
                 "report it again: call recvmsg(MSG_ERRQUEUE) until it is empty",
                 time);
    else
        snprintf(text, sizeof text,
                 "%lld %s left %.2g s ago, and EDGE does not report %s again: %s until EAGAIN",
                 (long long)entry->left,
                 listens ? (entry->left == 1 ? "connection was" : "connections were")
                         : (entry->left == 1 ? "byte was" : "bytes were"),
                 time, entry->left == 1 ? "it" : "them", listens ? "accept" : "read");
    say(q, READYQ_WARNING_LEFT, w, 0, text);
}

/* It counts as left if it stays the same for a while. */
static void check_left(readyq *q, struct entry *entry, const readyq_watch *w, int64_t now)
{
    const bool edge = (w->interest & READYQ_EDGE) && entry->had_edge && w->armed;
    const int64_t left = edge && w->own.place == READYQ__IDLE ? count_left(w) : 0;

    if (left == 0) {
        entry->found = 0;
    } else if (entry->found == 0 || left != entry->left) {
        entry->found = now;
        entry->left = left;
    } else if (now - entry->found >= q->watchdog->debug.rest) {
        tell_left(q, entry, w, now);
    }
}

static void check_descriptors(readyq *q, int64_t now)
{
    struct watchdog *dog = q->watchdog;
    size_t fd = dog->next_number, looked = 0;

    for (size_t i = 0; i < dog->nentries && looked < SCANNED; i++, fd++) {
        const readyq_watch *w;
        struct entry *entry;

        if (fd >= dog->nentries)
            fd = 0;
        w = q->slots[fd].watch;
        entry = w != NULL && w->kind == READYQ_KIND_FD ? entry_of(q, w) : NULL;
        if (entry == NULL)
            continue;
        looked++;
        if (!check_closed(q, entry, w))
            check_left(q, entry, w, now);
    }
    dog->next_number = fd;
}

void readyq__watchdog_blocked(readyq *q, readyq_watch *w)
{
    char *text, why[256];

    if (w->own.flags & READYQ__TOLD)
        return;
    text = begin_sentence(q, READYQ_WARNING_BLOCKED, w->own.id);
    if (text == NULL)
        return;
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
    struct watchdog *dog = q->watchdog;
    const int64_t period = dog->debug.rest < SECOND ? dog->debug.rest : SECOND;
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

/* ------------------------------------------------------------------ its life */

static void set_default(int64_t *value, int64_t standard)
{
    if (*value <= 0)
        *value = standard;
}

int readyq__watchdog_open(readyq *q, const struct readyq_debug *debug)
{
    struct watchdog *dog = calloc(1, sizeof *dog);

    if (dog == NULL)
        return -ENOMEM;
    if (debug != NULL)
        dog->debug = *debug;
    if (dog->debug.turns == 0)
        dog->debug.turns = 10000;
    set_default(&dog->debug.turn, SECOND / 10);
    set_default(&dog->debug.rest, SECOND);
    dog->last_turn = readyq__monotonic() - 2 * SECOND;
    q->watchdog = dog;
    q->observed = true;
    return 0;
}

void readyq__watchdog_close(readyq *q)
{
    if (q->watchdog != NULL)
        free(q->watchdog->entries);
    free(q->watchdog);
}
