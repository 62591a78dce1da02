/* SPDX-License-Identifier: MIT
 *
 * readyq_check(): compares the descriptor table with what the kernel says it watches, and puts each
 * difference into words. For tests, and for debugging.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

/* What the kernel watches under one number. A number that was closed while a duplicate kept its
 * file open, and was then registered again, has several registrations: the current one counts. */
struct registered {
    bool current;
    uint32_t interest; /* of the current one */
};

struct check {
    readyq *q;
    struct registered *found; /* by number; as many as q->nslots */
    int differences;
    char *text;
    size_t size, used;
};

static void report(struct check *check, int fd, const char *source, const char *what)
{
    int n;

    check->differences++;
    if (check->used >= check->size)
        return;
    n = snprintf(check->text + check->used, check->size - check->used, "fd %d%s: %s\n", fd, source,
                 what);
    check->used += n > 0 ? (size_t)n : 0;
}

static void note(void *data, int fd, uint64_t key, uint32_t interest)
{
    struct check *check = data;
    const readyq *q = check->q;

    if ((size_t)fd >= q->nslots) {
        report(check, fd, "", "the kernel watches it, but the queue never did");
        return;
    }
    if (key == readyq__key(q, fd) && q->slots[fd].watch != NULL) {
        check->found[fd].current = true;
        check->found[fd].interest = interest;
    } else {
        report(check, fd, "", "the kernel still watches it, but the queue does not (a ghost)");
    }
}

/* EXCLUSIVE is a hint that a kernel may refuse. A registration that is silent, because it was
 * disarmed or because the kernel has reported the one event for which it was armed, has no
 * direction. */
static bool agrees(const readyq_watch *w, uint32_t interest)
{
    const uint32_t wanted = readyq__kernel_interest(w), once = interest & READYQ_ONESHOT;
    const uint32_t mask = READYQ__DIRECTIONS | READYQ_EDGE | READYQ_ONESHOT;

    if (!(interest & READYQ__DIRECTIONS))
        return !(wanted & READYQ__DIRECTIONS) || (once & wanted);
    return (wanted & mask) == (interest & mask);
}

static void compare(struct check *check, int fd)
{
    const readyq_watch *w = check->q->slots[fd].watch;
    char wanted[128], real[128], what[320], name[240], source[250];

    if (w == NULL || (w->own.flags & READYQ__FILE))
        return;
    if (check->found[fd].current && agrees(w, check->found[fd].interest))
        return;
    snprintf(source, sizeof source, " (%s)", readyq_describe(fd, name, sizeof name));
    if (!check->found[fd].current) {
        report(check, fd, source, "the queue watches it, but the kernel does not");
    } else {
        readyq_describe_bits(readyq__kernel_interest(w), wanted, sizeof wanted);
        readyq_describe_bits(check->found[fd].interest, real, sizeof real);
        snprintf(what, sizeof what, "the queue watches it for %s, but the kernel for %s", wanted,
                 real);
        report(check, fd, source, what);
    }
}

/* The lock is held. */
static int check_table(struct check *check)
{
    readyq *q = check->q;
    int error;

    check->found = calloc(q->nslots + 1, sizeof *check->found);
    if (check->found == NULL)
        return -ENOMEM;
    error = q->backend->list(q, note, check);
    for (size_t fd = 0; error == 0 && fd < q->nslots; fd++)
        compare(check, (int)fd);
    free(check->found);
    return error;
}

int readyq_check(readyq *q, char *text, size_t size)
{
    struct check check = {.q = q, .text = text, .size = size};
    int error = readyq__enter(q);

    if (size > 0)
        *text = '\0';
    if (error < 0)
        return error;
    error = q->backend->list == NULL ? -ENOSYS : check_table(&check);
    readyq__leave(q);
    return error < 0 ? error : check.differences;
}
