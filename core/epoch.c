/* SPDX-License-Identifier: MIT
 *
 * The epoch: a number that distinguishes a process from its parent; every call that could use
 * objects of another process compares it. It is in a page that the kernel clears in a child
 * (MADV_WIPEONFORK, Linux 4.14), however the child was made.
 */
#include "internal.h"

#include <sys/mman.h>
#include <unistd.h>

static uint32_t plain_epoch = 1; /* where there is no such page; only fork.c sets it */
volatile uint32_t *readyq__epoch = &plain_epoch;

#if defined(MADV_WIPEONFORK)
void readyq__open_epoch(void)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return;
    if (madvise(page, size, MADV_WIPEONFORK) < 0) {
        munmap(page, size);
        return;
    }
    *(uint32_t *)page = plain_epoch;
    readyq__epoch = page;
}
#else
void readyq__open_epoch(void)
{
}
#endif
