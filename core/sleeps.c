/* SPDX-License-Identifier: MIT
 *
 * How long threads sleep in the kernel, for readyq_stats(), and how long they are busy in between.
 */
#include "internal.h"

#define SHORT_SLEEP 10000 /* nanoseconds: longer than it takes to return what is ready */

static READYQ__THREAD_LOCAL struct {
    uint32_t queue; /* the id of the queue that this thread slept in last, or 0 */
    int64_t since;  /* when that sleep began; once it is over, when it ended */
} slept;

int64_t readyq__last_sleep(void)
{
    return slept.since;
}

/* The time since this thread's last sleep is a turn, if that was in this queue. */
void readyq__count_sleep(readyq *q, int64_t now, int64_t timeout)
{
    if (slept.queue == q->id) {
        const uint64_t turn = (uint64_t)(now - slept.since);

        q->stats.busy += turn;
        if (turn > q->stats.longest_turn)
            q->stats.longest_turn = turn;
    }
    slept.queue = q->id;
    slept.since = now;
    if (readyq__is_recorded(q))
        readyq__record_sleep(q, READYQ_RECORD_SLEEP, now, timeout);
}

void readyq__count_sleep_end(readyq *q, int64_t now)
{
    q->stats.slept += (uint64_t)(now - slept.since);
    q->slept_last = now - slept.since > SHORT_SLEEP;
    slept.since = now;
    if (readyq__is_recorded(q))
        readyq__record_sleep(q, READYQ_RECORD_SLEEP_END, now, 0);
}
