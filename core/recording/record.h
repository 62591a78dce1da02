/* SPDX-License-Identifier: MIT
 *
 * A part of internal.h: recordings, and what the queue writes into them. The functions that run
 * while nothing is recorded, and the one that records a delivery, are inline.
 */
#ifndef READYQ_RECORD_H
#define READYQ_RECORD_H

/* ------------------------------------------------------------------ record.c */

/* The id of this thread; 0 until it is first asked for. */
extern READYQ__THREAD_LOCAL uint32_t readyq__thread_id;
uint32_t readyq__make_thread_id(void);

static inline uint32_t readyq__thread(void)
{
    return readyq__thread_id != 0 ? readyq__thread_id : readyq__make_thread_id();
}

/* A recording is a ring of slots. A record takes one; a description of a watch's descriptor takes
 * as many as it needs (save.c). */
struct readyq_recording {
    readyq *queue; /* a reference */
    readyq_recording *next;
    bool on;                           /* in the queue's list */
    size_t size;                       /* of the ring */
    struct readyq_record *place, *end; /* where the next record goes; the end of the ring */
    uint64_t rounds;                   /* how many times the ring was filled */
    uint64_t parts;                    /* slots that descriptions took */
    int64_t stopped, stopped_ticks;    /* when it was stopped, if it is not `on` */
    struct readyq_record ring[];
};

/* The next slot, to be filled. */
static inline struct readyq_record *readyq__new_record(readyq_recording *r)
{
    struct readyq_record *slot = r->place;

    if (++r->place == r->end) {
        r->place = r->ring;
        r->rounds++;
    }
    return slot;
}

/* A counter that is read in few instructions, whereas reading the clock takes about 80. If the
 * machine has no counter that can be trusted: nanoseconds on the monotonic clock. */
static inline int64_t readyq__cycles(void) /* only if readyq__counts_cycles */
{
#if defined(__linux__) && defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

static inline int64_t readyq__ticks(void)
{
    return readyq__counts_cycles ? readyq__cycles() : readyq__monotonic();
}

/* Most records have their time in ticks: `unused` is TICKS. START and sleep records, for which the
 * clock is read anyway, hold the time there, and the ticks in `watch`. Readers compute the time of
 * the others from those before and after (recording.c). */
enum {
    READYQ__TICKS = 1,
    READYQ__DESCRIPTION = 0xff,     /* `type` of a slot that is a part of a description */
    READYQ__DESCRIPTION_SIZE = 256, /* of the whole, with its zero */
    READYQ__PART =                  /* bytes of it that fit into a slot: from `time` on */
    sizeof(struct readyq_record) - offsetof(struct readyq_record, time)
};

void readyq__write_record(readyq *q, enum readyq_record_type type, const readyq_watch *w,
                          uint32_t bits, int64_t value);

static inline bool readyq__is_recorded(const readyq *q)
{
    return atomic_load_explicit(&q->recordings, memory_order_relaxed) != NULL;
}

/* Records what is done, if the queue is recorded. */
static inline void readyq__record(readyq *q, enum readyq_record_type type, const readyq_watch *w,
                                  uint32_t bits, int64_t value)
{
    if (readyq__is_recorded(q))
        readyq__write_record(q, type, w, bits, value);
}

/* The first record of a new recording. */
void readyq__record_start(readyq *q, readyq_recording *r);

/* A watch enters the queue, or leaves it; `why`: enum readyq_removal. The queue is recorded. */
void readyq__write_add(readyq *q, const readyq_watch *w);
void readyq__write_remove(readyq *q, const readyq_watch *w, enum readyq_removal why);

static inline void readyq__record_remove(readyq *q, const readyq_watch *w, enum readyq_removal why)
{
    if (readyq__is_recorded(q))
        readyq__write_remove(q, w, why);
}

int readyq__number_of(const readyq_watch *w); /* its descriptor, signal, process id, or -1 */

/* readyq_next() has taken a watch; the queue is recorded. */
static inline void readyq__record_delivery(readyq *q, const readyq_watch *w, uint8_t kind,
                                           int number, int64_t count, int64_t ticks,
                                           uint32_t thread)
{
    const uint32_t bits = w->ready;
    const uint64_t id = w->own.id;
    readyq_recording *r = q->recordings;

    do
        *readyq__new_record(r) = (struct readyq_record){
            id, READYQ_RECORD_DELIVERY, kind, READYQ__TICKS, number, ticks, count, bits, thread};
    while ((r = r->next) != NULL);
}

/* Records an event for each watch after the current end of the ready list, up to and including
 * `last`. */
void readyq__record_events(readyq *q, const struct readyq__link *last);

/* The first notes the wake of this thread: readyq_wake() calls it without the lock, before it
 * publishes. The second writes the records of the wakes until now; its caller holds the lock. */
void readyq__note_wake(readyq *q);
void readyq__record_wakes(readyq *q);

void readyq__record_ghost(readyq *q, int fd);

/* SLEEP or SLEEP_END; the queue is recorded. */
void readyq__record_sleep(readyq *q, enum readyq_record_type type, int64_t now, int64_t value);

/* ------------------------------------------------------------------ recording.c */

/* Copies up to `size` slots from position `from` on, with their times; *n is how many. Returns the
 * position after them. */
uint64_t readyq__read_slots(readyq_recording *r, uint64_t from, struct readyq_record slots[],
                            size_t size, size_t *n);

char *readyq__describe_source(const struct readyq_record *record, char *text, size_t size);

#endif
