/* SPDX-License-Identifier: MIT
 *
 * What the files of the kqueue for tests share. All of it is guarded by one lock.
 */
#ifndef KQUEUE_KNOTES_H
#define KQUEUE_KNOTES_H

#include "kernels.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/event.h>
#include <sys/queue.h>
#include <sys/stat.h>

/* The epoll sets of a kqueue. The first contains the others. */
enum { READS, WRITES, EXCEPTS, SETS };

/* What is behind a knote. */
enum kind { NO_FILE, PIPE, FIFO, SOCKET, TERMINAL, KQUEUE, NEVER_BLOCKS, OTHER };

/* Status. QUEUED: on the list that the next scan takes. ACTIVE: the filter said it is ready. */
enum { ACTIVE = 1, QUEUED = 2, DISABLED = 4 };

struct knote {
    LIST_ENTRY(knote) link;   /* in its bucket */
    TAILQ_ENTRY(knote) queue; /* with QUEUED */
    struct kqueue *kq;
    struct kevent event; /* what a scan reports */
    unsigned fflags;     /* as given by the caller */
    int64_t data;
    int status;
    enum kind kind;
    int fd;               /* what epoll watches: the number, or a timerfd or pidfd of its own */
    bool watched;         /* fd is in the set */
    bool triggered;       /* EVFILT_USER */
    uint32_t generation;  /* of epoll's registration */
    uint64_t file;        /* tells one file from another: device and inode */
    struct kqueue *inner; /* of kind KQUEUE */
};

enum { BUCKETS = 1024, NUMBERS = 4 };

struct kqueue {
    LIST_ENTRY(kqueue) link;
    int numbers[NUMBERS]; /* what kqueue() returned, and duplicates of it; -1: none */
    int sets[SETS];       /* at high numbers of our own; the first is a duplicate, too */
    int bell;             /* an eventfd in the first set: readable while `count` is not 0 */
    TAILQ_HEAD(, knote) queue;
    int count;
    int sleepers;
    int level;      /* xnu's kq_level */
    int watchers;   /* knotes of other kqueues on this one */
    bool notifying; /* its watchers are being told */
    LIST_HEAD(, knote) buckets[BUCKETS];
};

LIST_HEAD(kqueues, kqueue);
extern struct kqueues kqueues;

/* filters.c */

/* Makes the knote ready to be watched; 0, or an errno. */
int attach(struct knote *kn);
void detach(struct knote *kn);

/* The kernels' f_event: whether it is ready; sets what is to be reported. */
bool is_ready(struct knote *kn);

bool is_pipe(int fd); /* not a FIFO */

/* Linux's poll(2), without sleeping; no cancellation point: kqueue.c. */
struct pollfd;
bool ask(struct pollfd *one);

/* fstat(), as Linux has it: wrappers.c has one of its own. */
int stat_file(int fd, struct stat *file);

/* What identifies the file under a number; 0: none. */
uint64_t file_of(int fd);

/* so_error of a socket that has one. */
unsigned error_of(int fd);

/* shutdown() of the sending side was called for this socket. */
void note_shutdown(int fd);

/* queue.c */
void lock(void);
void unlock(void);
_Noreturn void panic(const char *why);
struct kqueue *kqueue_of(int number);
bool is_open(const struct kqueue *kq); /* it has a number; or threads only sleep in it */
void add_number(struct kqueue *kq, int number);
struct knote *find_knote(struct kqueue *kq, uintptr_t ident, int filter);
void activate(struct knote *kn);
void pump(struct kqueue *kq);

/* Descriptors of our own have high numbers, whatever limit the program has: raise_number() moves
 * one between raise_limit() and restore_limit(). -1 stays -1. */
void raise_limit(void);
void restore_limit(void);
int raise_number(int fd);

bool is_child(void); /* the tables are another process's */

/* Drops what is registered for numbers from `first` to `last`, and kqueues that have them. */
void drop_numbers(unsigned first, unsigned last);

/* In a child after fork: a kqueue is not inherited. */
void forget_all(void);

#endif
