/* SPDX-License-Identifier: MIT
 *
 * What each kernel does: the table of kernels.h.
 */
#include "kernels.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kernel kernels[] = {
    {
        .name = "freebsd",
        .write_without_reader = EPIPE,
        .reader_goes = ONCE,
        .wrong_end = BOTH_WAYS,
        .change_is_add = true,
        .disabled_first = true,
        .oneshot_unasked = true,
        .except = MISSING,
        .no_such_filter = EINVAL,
        .refuses_itself = true,
        .zombies = true,
        .receipt_needs_room = true,
        .fifo_wrong_end = FIFO_SILENT,
    },
    {
        .name = "netbsd",
        .write_without_reader = EBADF,
        .reader_goes = UNSEEN,
        .wrong_end = AT_END,
        .change_is_add = true,
        .clear_hides_dispatch = true,
        .oneshot_unasked = true,
        .except = MISSING,
        .no_such_filter = EINVAL,
        .circle_panics = true,
        .receipt_needs_room = true,
        .close_wakes = true,
        .fifo_write_eof = true,
        .tty_end = TTY_NO_END,
    },
    {
        .name = "netbsd7", /* 7.99.34, the one that runs as a library */
        .write_without_reader = EBADF,
        .reader_goes = UNSEEN,
        .wrong_end = AT_END,
        .clear_hides_dispatch = true,
        .oneshot_unasked = true,
        .except = MISSING,
        .no_such_filter = EPERM,
        .circle_panics = true,
        .receipt_needs_room = true,
        .fifo_write_eof = true,
        .tty_end = TTY_NO_END,
    },
    {
        .name = "netbsd2023",
        .write_without_reader = EBADF,
        .reader_goes = UNSEEN,
        .wrong_end = REFUSED,
        .change_is_add = true,
        .clear_hides_dispatch = true,
        .oneshot_unasked = true,
        .except = MISSING,
        .no_such_filter = EINVAL,
        .circle_panics = true,
        .receipt_needs_room = true,
        .close_wakes = true,
        .fifo_write_eof = true,
        .tty_end = TTY_NO_END,
    },
    {
        .name = "openbsd",
        .write_without_reader = 0,
        .reader_goes = UNSEEN,
        .wrong_end = BOTH_WAYS,
        .oneshot_unasked = true,
        .except = ONLY_OOB,
        .no_such_filter = EINVAL,
        .receipt_needs_room = true,
        .close_wakes = true,
        .fifo_wrong_end = FIFO_REFUSED,
        .tty_end = TTY_READ_ENDS,
    },
    {
        .name = "macos",
        .write_without_reader = 0,
        .wrong_end = AT_END,
        .change_is_add = true,
        .disabled_first = true,
        .disable_dequeues = true,
        .except = LIKE_READ,
        .no_such_filter = EINVAL,
        .refuses_itself = true,
        .levels = 10,
        .knote_before_file = true,
        .longest = INT32_MAX,
        .close_wakes = true,
        .fifo_never_eof = true,
        .device_needs_lowat = true,
    },
    {
        .name = "dragonfly",
        .write_without_reader = EPIPE,
        .wrong_end = BOTH_WAYS,
        .change_is_add = true,
        .oneshot_unasked = true,
        .except = ONLY_OOB,
        .no_such_filter = EOPNOTSUPP,
        .zombies = true,
        .receipt_needs_room = true,
    },
};

const struct kernel *kqueue_kernel(void)
{
    static const struct kernel *chosen;
    const char *name = getenv("KQUEUE_AS");

    if (chosen != NULL)
        return chosen;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (name != NULL && strcmp(kernels[i].name, name) == 0)
            chosen = &kernels[i];
    if (chosen == NULL) {
        fprintf(stderr, "kqueue: set KQUEUE_AS to freebsd, netbsd, openbsd, macos or dragonfly\n");
        abort();
    }
    return chosen;
}
