/* SPDX-License-Identifier: MIT
 *
 * Opening, mapping and entering io_uring's rings; see rings.h.
 *
 * Notes on this kernel, referred to below:
 *  1. The rings are memory shared with the kernel: a child does not get them.
 *  2. Forbidden by seccomp it is EPERM or ENOSYS, by the sysctl kernel.io_uring_disabled EPERM. A
 *     sandbox may also kill: being opened only on request is all that can be done about that.
 */
#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include "rings.h"
#endif
#endif

#if defined(IORING_POLL_ADD_MULTI) && defined(IORING_ENTER_EXT_ARG)

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define REQUESTS 256     /* the submission ring */
#define COMPLETIONS 4096 /* the completion ring; more is kept by the kernel */

/* Note 2. */
int readyq__rings_available(void)
{
    FILE *switched = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    struct utsname name = {0};
    unsigned major = 5, minor = 13;
    int off = 0;

    if (switched != NULL) {
        if (fscanf(switched, "%d", &off) != 1)
            off = 0;
        fclose(switched);
    }
    if (off == 2 || (off == 1 && geteuid() != 0))
        return -EPERM;
    uname(&name); /* a sandbox may forbid it: then the kernel is taken to be new enough */
    sscanf(name.release, "%u.%u", &major, &minor);
    return major * 1000 + minor < 5013 ? -ENOSYS : 0;
}

static void *map(int fd, size_t size, off_t what)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_DONTFORK); /* note 1 */
    return memory;
}

static int map_rings(struct readyq__rings *rings, const struct io_uring_params *of)
{
    const size_t sq = of->sq_off.array + of->sq_entries * sizeof(uint32_t);
    const size_t cq = of->cq_off.cqes + of->cq_entries * sizeof(struct io_uring_cqe);
    char *base;

    rings->memory_size = sq > cq ? sq : cq;
    rings->requests_size = of->sq_entries * sizeof(struct io_uring_sqe);
    rings->memory = map(rings->fd, rings->memory_size, IORING_OFF_SQ_RING);
    rings->requests = map(rings->fd, rings->requests_size, IORING_OFF_SQES);
    if (rings->memory == NULL || rings->requests == NULL)
        return -ENOMEM;
    base = rings->memory;
    rings->sq_head = (void *)(base + of->sq_off.head);
    rings->sq_tail = (void *)(base + of->sq_off.tail);
    rings->sq_array = (void *)(base + of->sq_off.array);
    rings->sq_mask = of->sq_entries - 1;
    rings->cq_head = (void *)(base + of->cq_off.head);
    rings->cq_tail = (void *)(base + of->cq_off.tail);
    rings->cqes = (void *)(base + of->cq_off.cqes);
    rings->cq_mask = of->cq_entries - 1;
    rings->sqes = rings->requests;
    return 0;
}

int readyq__rings_open(struct readyq__rings *rings)
{
    struct io_uring_params of = {.flags = IORING_SETUP_CQSIZE, .cq_entries = COMPLETIONS};
    const uint32_t needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SINGLE_MMAP;
    int error = 0;

    memset(rings, 0, sizeof *rings);
    rings->fd = (int)syscall(SYS_io_uring_setup, REQUESTS, &of); /* close-on-exec by itself */
    if (rings->fd < 0)
        return -errno;
    error = (of.features & needed) == needed ? map_rings(rings, &of) : -ENOSYS;
    if (error < 0)
        readyq__rings_close(rings, false);
    return error;
}

void readyq__rings_close(struct readyq__rings *rings, bool forked)
{
    if (rings->memory != NULL && !forked) /* note 1 */
        munmap(rings->memory, rings->memory_size);
    if (rings->requests != NULL && !forked)
        munmap(rings->requests, rings->requests_size);
    close(rings->fd);
    memset(rings, 0, sizeof *rings);
    rings->fd = -1;
}

int readyq__rings_enter(int fd, uint32_t submit, uint32_t complete, int64_t timeout)
{
    struct __kernel_timespec time = {timeout / 1000000000, timeout % 1000000000};
    struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8, .ts = (uint64_t)(uintptr_t)&time};
    const bool timed = timeout > 0;

    return (int)syscall(SYS_io_uring_enter, fd, submit, complete,
                        IORING_ENTER_GETEVENTS | (timed ? IORING_ENTER_EXT_ARG : 0),
                        timed ? (void *)&arg : NULL, timed ? sizeof arg : (size_t)0);
}

uint32_t readyq__rings_submit(struct readyq__rings *rings)
{
    uint32_t n, calls = 0;

    while ((n = readyq__rings_unsubmitted(rings)) > 0) {
        calls++;
        if (readyq__rings_enter(rings->fd, n, 0, 0) < 0 && errno != EINTR && errno != EAGAIN &&
            errno != EBUSY)
            break;
    }
    return calls;
}

#else
typedef int readyq__no_rings; /* this platform has none, or headers older than what is needed */
#endif
