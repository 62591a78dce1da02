/* SPDX-License-Identifier: MIT
 *
 * Counts the blocks that calloc returned and that were not freed; queues are among them. The
 * library keeps a list of its queues, so a leak checker does not report a queue that was not freed.
 * The linker replaces both functions by those here (see the Makefile).
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "check.h"

#include <stdatomic.h>

void *__real_calloc(size_t n, size_t size);
void __real_free(void *memory);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *memory);

enum { BLOCKS = 64 };
static _Atomic(void *) blocks[BLOCKS];

static bool replace_block(void *old, void *new)
{
    for (int i = 0; i < BLOCKS; i++) {
        void *expected = old;
        if (atomic_compare_exchange_strong(&blocks[i], &expected, new))
            return true;
    }
    return false;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *memory = __real_calloc(n, size);
    CHECK(replace_block(NULL, memory));
    return memory;
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        replace_block(memory, NULL);
    __real_free(memory);
}

static int count_blocks(void)
{
    int n = 0;
    for (int i = 0; i < BLOCKS; i++)
        n += blocks[i] != NULL;
    return n;
}

#endif
