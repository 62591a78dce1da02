/* SPDX-License-Identifier: MIT
 *
 * A part of internal.h: debug mode. progress.c asks the kernel about a descriptor, watchdog.c keeps
 * notes and sentences, spins.c, turns.c and oversights.c detect mistakes, warnings.c gives the
 * warnings to the user.
 */
#ifndef READYQ_WATCHDOG_H
#define READYQ_WATCHDOG_H

/* ------------------------------------------------------------------ progress.c */

/* How the watchdog can learn that a descriptor is neither read nor written to. */
enum readyq__evidence {
    READYQ__BLIND,   /* it cannot */
    READYQ__SAMPLES, /* samples that do not differ, if they are taken at short intervals */
    READYQ__CALLS,   /* the same, and the process makes no calls that read or write it */
    READYQ__EXACT,   /* samples that do not differ, at any interval */
};

struct readyq__subject { /* a descriptor */
    enum readyq__evidence evidence;
    bool is_socket, is_file, listens;
    bool shows_writes; /* samples differ, or calls are counted, when it is written to */
};

struct readyq__sample {
    int64_t unread; /* -1: it does not say */
    int64_t left;   /* decreases when something is read */
    uint64_t done;  /* changes when something is read or written */
};

struct readyq__calls { /* of this process */
    uint64_t reads, writes;
};

struct readyq__identity { /* of an open file */
    uint64_t device, inode;
};

struct readyq__subject readyq__examine(int fd);
void readyq__take_sample(int fd, const struct readyq__subject *subject,
                         struct readyq__sample *sample);
bool readyq__has_progress(const struct readyq__sample *before, const struct readyq__sample *after);
uint32_t readyq__ask_ready(int fd, uint32_t asked); /* which of these directions and ERROR it has */
bool readyq__queues_errors(int fd);
bool readyq__has_little_unread(int fd); /* too little to be a queue that its sender keeps full */
bool readyq__are_descriptors_left(void);
bool readyq__count_calls(struct readyq__calls *calls);
bool readyq__identify(int fd, struct readyq__identity *identity);

/* ------------------------------------------------------------------ watchdog.c */

#define READYQ__SECOND INT64_C(1000000000)

enum {
    READYQ__SENTENCE = 640, /* the longest */
    READYQ__PENDING = 16,   /* sentences kept until they are reported */
    READYQ__ASKED = 64,     /* watches of which a second sample is due */
};

struct readyq__sentence {
    enum readyq_warning kind;
    uint64_t watch; /* its id; 0: none */
    char text[READYQ__SENTENCE];
};

/* What the watchdog knows about the watch of one descriptor number. */
struct readyq__notes {
    uint64_t watch; /* its id */
    struct readyq__identity file;
    char was[80]; /* what the descriptor was when it was added */

    uint64_t turns, wait; /* turns without progress; the number of the last one's wait */
    int64_t since;        /* when the first of them began */
    struct readyq__subject subject;
    struct readyq__sample sample;
    struct readyq__calls calls; /* halfway to the threshold */
    bool calls_known;
    uint64_t sampled, loose; /* turns that were sampled; those that prove nothing */

    bool had_edge;       /* EDGE, and it was reported */
    int64_t left, found; /* the amount left unread, and when it was found; 0: nothing */
    unsigned told;       /* warnings that were given: 1 << enum readyq_warning */
};

struct readyq__watchdog {
    struct readyq_debug debug;
    struct readyq__notes *notes; /* by descriptor number */
    size_t nnotes;
    struct readyq__sentence pending[READYQ__PENDING];
    size_t npending;
    uint64_t waits;    /* how many have ended */
    uint64_t complete; /* the number of the last one that found everything */
    struct readyq__asked {
        int fd;
        uint32_t thread, bits;
        uint64_t watch;
    } asked[READYQ__ASKED];
    size_t nasked;
    int64_t next_scan;  /* when descriptors are next checked */
    size_t next_number; /* the first descriptor that is then checked */
    int64_t last_turn;  /* when a long turn was last reported */
};

/* The functions of the watchdog are only for a queue that has one, unless they say otherwise. */
int readyq__watchdog_open(readyq *q, const struct readyq_debug *debug); /* 0 or -ENOMEM */
void readyq__watchdog_close(readyq *q); /* does nothing without a watchdog */

void readyq__watchdog_add(readyq *q, const readyq_watch *w);    /* it is in the queue now */
void readyq__watchdog_change(readyq *q, const readyq_watch *w); /* readyq_modify() */

struct readyq__notes *readyq__notes_of(readyq *q, const readyq_watch *w); /* NULL: none */

/* Whether this is the first warning of its kind for this watch, and there is a place for it. If
 * there is none, it is given later. */
bool readyq__is_first(const readyq *q, struct readyq__notes *notes, enum readyq_warning kind);

/* False: too many sentences are waiting to be reported. */
bool readyq__has_place(const readyq *q);

/* The place for the text of a sentence, if there is one. */
char *readyq__begin_sentence(readyq *q, enum readyq_warning kind, uint64_t watch);
void readyq__say(readyq *q, enum readyq_warning kind, const readyq_watch *w, uint32_t bits,
                 const char *what);

/* The warnings that were not given yet, the oldest first. */
bool readyq__watchdog_pop(readyq *q, struct readyq__sentence *sentence);

/* The watch with this id, if it is in the queue. */
readyq_watch *readyq__find_by_id(readyq *q, uint64_t id);

/* ------------------------------------------------------------------ spins.c */

/* The wait of this thread has filled its batch. */
void readyq__watchdog_wait_end(readyq *q, const readyq_batch *batch, bool complete);

/* The handler of this watch has returned; this thread begins to wait. */
void readyq__spins_handled(readyq *q, uint64_t watch);
void readyq__spins_wait(readyq *q, bool loose);

/* ------------------------------------------------------------------ turns.c */

/* Called when this thread begins to wait, and when it takes `w` from its batch or, with NULL, is
 * done with the batch. */
void readyq__watchdog_wait(readyq *q);
void readyq__watchdog_take(readyq *q, const readyq_watch *w);

/* ------------------------------------------------------------------ oversights.c */

/* The descriptor of the watch was closed; its signal is blocked in every thread. */
void readyq__watchdog_stale(readyq *q, const readyq_watch *w);
void readyq__watchdog_blocked(readyq *q, readyq_watch *w);

/* This thread is about to sleep: returns how long it may sleep, 0 if there is a warning. */
int64_t readyq__watchdog_sleep(readyq *q, int64_t timeout);

/* ------------------------------------------------------------------ warnings.c */

/* Calls the user's function with each warning; releases the lock meanwhile. True: warnings are left
 * to readyq_warning(), for which a wait has to end. */
bool readyq__tell(readyq *q);

#endif
