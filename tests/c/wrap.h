/* SPDX-License-Identifier: MIT
 *
 * Calls by the core that the linker replaces in a test (`--wrap` in the Makefile): how such a
 * function is written, and syscall(), which has as many arguments as the call takes.
 */
#ifndef WRAP_H
#define WRAP_H

#include <stdarg.h>
#include <sys/syscall.h>

#define WRAP(type, name, parameters)                                                               \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters

static long on_syscall(long number, const long a[6]); /* written by the test */

long __real_syscall(long number, ...);
static inline long real_syscall(long number, const long a[6])
{
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Of the calls that the core makes. */
static inline int count_arguments(long number)
{
    return number == SYS_pidfd_open ? 2 : 6;
}

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    long a[6] = {0};
    va_list arguments;

    va_start(arguments, number);
    for (int i = 0; i < count_arguments(number); i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return on_syscall(number, a);
}

#endif
