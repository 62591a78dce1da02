/* SPDX-License-Identifier: MIT
 *
 * Calls of the core that the linker has come by in a test (`--wrap` in the Makefile): how one is
 * written, and syscall(), whose arguments are as many as the call takes.
 */
#ifndef WRAP_H
#define WRAP_H

#include <stdarg.h>
#include <sys/syscall.h>

#define WRAP(type, name, parameters)                                                               \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters

static long on_syscall(long number, const long a[6]); /* what the test has happen there */

long __real_syscall(long number, ...);
static inline long real_syscall(long number, const long a[6])
{
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list arguments;

    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return on_syscall(number, a);
}

#endif
