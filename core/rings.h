/* SPDX-License-Identifier: MIT
 *
 * io_uring's two rings, by its raw system calls: requests are put into one, completions taken out
 * of the other. What is asked with them is uring.c's affair. The caller sees to it that one thread
 * at a time puts, and one takes; any may enter the kernel.
 */
#ifndef READYQ_RINGS_H
#define READYQ_RINGS_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct readyq__rings {
    int fd;                  /* -1 when there are none */
    void *memory, *requests; /* mappings */
    size_t memory_size, requests_size;
    uint32_t *sq_head, *sq_tail, *sq_array, sq_mask;
    uint32_t *cq_head, *cq_tail, cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
};

/* As far as can be told without trying: 0, -EPERM where the administrator forbids it, -ENOSYS
 * where the kernel is too old. */
int readyq__rings_available(void);

int readyq__rings_open(struct readyq__rings *rings); /* 0 or -errno */
void readyq__rings_close(struct readyq__rings *rings, bool forked);

/* Submits up to `submit` requests and waits for `complete` completions, for up to `timeout` ns
 * (0 and -1: without an end). Returns how many it submitted, or -1 and errno. */
int readyq__rings_enter(int fd, uint32_t submit, uint32_t complete, int64_t timeout);

/* Has the kernel take all that was put; another thread may be at it too. Returns how many system
 * calls it took. */
uint32_t readyq__rings_submit(struct readyq__rings *rings);

static inline uint32_t readyq__rings_unsubmitted(const struct readyq__rings *rings)
{
    return *rings->sq_tail - __atomic_load_n(rings->sq_head, __ATOMIC_ACQUIRE);
}

/* One request more. Returns whether the ring is full now: it is to be submitted before the next. */
static inline bool readyq__rings_put(struct readyq__rings *rings, const struct io_uring_sqe *sqe)
{
    const uint32_t tail = *rings->sq_tail, place = tail & rings->sq_mask;

    rings->sqes[place] = *sqe;
    rings->sq_array[place] = place;
    __atomic_store_n(rings->sq_tail, tail + 1, __ATOMIC_RELEASE);
    return readyq__rings_unsubmitted(rings) > rings->sq_mask;
}

static inline uint32_t readyq__rings_completed(const struct readyq__rings *rings)
{
    return __atomic_load_n(rings->cq_tail, __ATOMIC_ACQUIRE) - *rings->cq_head;
}

/* The next completion, where there is one, and being done with it. */
static inline void readyq__rings_peek(const struct readyq__rings *rings, struct io_uring_cqe *cqe)
{
    *cqe = rings->cqes[*rings->cq_head & rings->cq_mask];
}

static inline void readyq__rings_advance(struct readyq__rings *rings)
{
    __atomic_store_n(rings->cq_head, *rings->cq_head + 1, __ATOMIC_RELEASE);
}

#endif
