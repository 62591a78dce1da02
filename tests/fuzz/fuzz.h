/* SPDX-License-Identifier: MIT
 *
 * Shared by the fuzzers in C: a check whose failure is a finding, and the set of open descriptors.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBERS = 64 }; /* descriptors that are checked */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__FILE__, __LINE__, #condition);                                                  \
    } while (0)

_Noreturn static inline void fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

/* A bit for each number that is open. */
static inline uint64_t open_numbers(void)
{
    uint64_t found = 0;

    for (int fd = 0; fd < NUMBERS; fd++)
        found |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
