/* SPDX-License-Identifier: MIT
 *
 * The lock of a queue, in a process with several threads. A thread that holds it is not cancelled;
 * what each call does in a process with one thread is inline (inline.h).
 */
#include "internal.h"

void readyq__take_lock(readyq *q)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&q->lock);
    q->cancel_state = state;
}

void readyq__drop_lock(readyq *q)
{
    int state = q->cancel_state;

    pthread_mutex_unlock(&q->lock);
    pthread_setcancelstate(state, &state);
}

/* ------------------------------------------------------------------ around a system call */

/* A sleep can be cancelled only in the system call, and only if the thread can be cancelled at
 * all. */
static bool is_cancellable(const struct readyq__syscall *call, int64_t timeout)
{
    return timeout != 0 && call->cancel_state == PTHREAD_CANCEL_ENABLE;
}

void readyq__begin_syscall(readyq *q, struct readyq__syscall *call, int64_t timeout)
{
    int before;

    call->cancel_state = q->cancel_state;
    pthread_mutex_unlock(&q->lock);
    if (is_cancellable(call, timeout)) {
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &call->cancel_type);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
    }
}

void readyq__end_syscall(readyq *q, const struct readyq__syscall *call, int64_t timeout)
{
    int before;

    if (is_cancellable(call, timeout)) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        pthread_setcanceltype(call->cancel_type, &before);
    }
    pthread_mutex_lock(&q->lock);
    q->cancel_state = call->cancel_state;
}
