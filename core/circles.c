/* SPDX-License-Identifier: MIT
 *
 * Finds queues that would watch each other in a circle, for kernels that do not find them: kqueue,
 * which may crash (kqueue.c, note 12). A watch of a queue's descriptor notes the id of that queue,
 * so the tables of all queues form a graph. The registry's lock is held from the check until the
 * watch is in the table, so that no queue is added to another in the meantime.
 */
#include "internal.h"

enum { UNSEEN, REACHED, FOLLOWED }; /* readyq.visit */

bool readyq__may_be_circle(const readyq *q, int fd)
{
    return q->backend->is_queue != NULL && q->backend->is_queue(fd, -1);
}

/* In a child that has not used `x` yet, its kernel queue is its parent's. */
static bool is_of(readyq *x, int fd)
{
    return (x->kernel >= 0 && !readyq__is_forked(x) && x->backend->is_queue(fd, x->kernel)) ||
           (x->pollable >= 0 && !x->pollable_forked && x->backend->is_queue(fd, x->pollable));
}

/* The queue that `fd` is a descriptor of, or NULL. */
static readyq *find_owner(int fd)
{
    for (readyq *x = readyq__first_queue(); x != NULL; x = x->next) {
        bool found;

        readyq__lock(x);
        found = is_of(x, fd);
        readyq__unlock(x);
        if (found)
            return x;
    }
    return NULL;
}

/* Marks the queues that `x` watches as reached. */
static void follow(readyq *x)
{
    readyq__lock(x);
    for (size_t fd = 0; fd < x->nslots; fd++) {
        const readyq_watch *w = x->slots[fd].watch;
        readyq *inner = NULL;

        if (w != NULL && w->kind == READYQ_KIND_FD && !(w->own.flags & READYQ__FILE))
            inner = readyq__find_queue(w->own.inner);
        if (inner != NULL && inner->visit == UNSEEN)
            inner->visit = REACHED;
    }
    readyq__unlock(x);
    x->visit = FOLLOWED;
}

static bool leads_to(readyq *from, const readyq *q)
{
    bool more = true;

    for (readyq *x = readyq__first_queue(); x != NULL; x = x->next)
        x->visit = x == from ? REACHED : UNSEEN;
    while (more && q->visit == UNSEEN) {
        more = false;
        for (readyq *x = readyq__first_queue(); x != NULL; x = x->next)
            if (x->visit == REACHED && x != q) {
                follow(x);
                more = true;
            }
    }
    return q->visit != UNSEEN;
}

int readyq__check_circle(readyq *q, int fd, uint32_t *inner)
{
    readyq *owner = find_owner(fd);

    if (owner == NULL)
        return 0;
    if (owner == q)
        return readyq__refuse_own();
    if (leads_to(owner, q))
        return -ELOOP;
    *inner = owner->id;
    return 0;
}
