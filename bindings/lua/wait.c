/* SPDX-License-Identifier: MIT
 *
 * Waiting: a sleep that Lua's hooks can interrupt, and the iterator that takes the ready watches
 * from the queue's batch.
 *
 * A wait allocates nothing: the iterator is made once, with the queue. Each wait has a number, the
 * state of its generic `for`. A later wait of the same queue, even one inside the loop, gets what
 * the loop has not taken; the loop then ends, since its number is not the last wait's. While every
 * loop has run to its end before the next wait, no number is compared: that would cost a tenth of
 * the iterator's time.
 */
#include "binding.h"

/* [-0, +0, -] */
static void move_hook(lua_State *from, lua_State *to)
{
    lua_sethook(to, lua_gethook(from), lua_gethookmask(from), lua_gethookcount(from));
    lua_sethook(from, NULL, 0, 0);
}

/* After how many instructions a count hook is called, or 0 if that is not soon. */
static int steps_to_hook(lua_State *L)
{
    const int count = lua_gethookmask(L) & LUA_MASKCOUNT ? lua_gethookcount(L) : 0;

    return count < 100000 ? count : 0;
}

/* [-0, +0, e] Lets hooks run by calling a function that does nothing. The stock interpreter sets a
 * hook on Ctrl-C in the main thread only; a coroutine borrows it, so that the interrupt comes at
 * once there too. A hook that raises is not given back: it has done its work. */
static void run_hooks(lua_State *L)
{
    lua_State *main = main_thread(L);
    const bool borrow = main != L && lua_gethook(L) == NULL && lua_gethook(main) != NULL;

    if (borrow)
        move_hook(main, L);
    lua_pushvalue(L, upvalue(TURN));
    lua_pushinteger(L, steps_to_hook(L));
    lua_call(L, 1, 0);
    if (borrow)
        move_hook(L, main);
}

/* [-0, +0, e] How many are ready, or -errno. */
static int wait_interruptibly(lua_State *L, struct queue *q, int64_t timeout, int max)
{
    int n = readyq_wait(q->core, &q->batch, timeout, max);
    const int64_t deadline = readyq_deadline(&q->batch); /* hooks may use the batch, too */

    while (n == -EINTR) {
        run_hooks(L);
        luaq_warn(L, q, 1);
        luaq_check_queue(L);
        n = readyq_wait_until(q->core, &q->batch, deadline, max);
    }
    return n;
}

struct queue *luaq_begin_wait(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int64_t timeout = luaq_timeout(L, 2);
    int max = 0, n;

    if (!lua_isnoneornil(L, 3)) {
        max = luaq_int(L, 3, "the maximum");
        if (max < 1)
            luaq_refuse(L, 3, "the maximum must be at least 1 (nil means no limit)");
    }
    n = wait_interruptibly(L, q, timeout, max);
    if (n < 0) {
        luaq_fail(L, 1, "wait", -1, n);
        luaL_error(L, "%s", lua_tostring(L, -2));
    }
    q->left = n;
    q->wait++;
    q->numbered |= !q->ended;
    q->ended = n == 0;
    if (q->traced)
        luaq_trace_wait(L, timeout);
    if (q->core != NULL && readyq_has_reports(q->core)) /* the tracer may have closed it */
        luaq_tidy(L, q, 1);
    return q;
}

/* [-3, +3, e] q:wait(timeout, max): for a generic `for` the iterator and its state, which is the
 * number of the wait; and how many watches are ready. */
int luaq_wait(lua_State *L)
{
    const struct queue *q = luaq_begin_wait(L);

    lua_getiuservalue(L, 1, QUEUE_NEXT);
    lua_pushinteger(L, q->wait);
    lua_pushinteger(L, q->left);
    return 3;
}

/* [-0, +0, -] Takes the next watch of the batch, or NULL. What happens to a watch that the batch
 * holds does not show in the queue's descriptor. So, if another loop may poll that, the batch is
 * closed with its last watch. */
static readyq_watch *take(struct queue *q)
{
    readyq_watch *w = readyq_next(&q->batch);

    if (q->polled && (w == NULL || --q->left == 0))
        readyq_done(&q->batch);
    return w;
}

/* [-0, +0, -] Whether the state is an earlier wait's. A call without a state means the last
 * wait. */
static bool is_outdated(lua_State *L, const struct queue *q)
{
    const lua_Integer wait = lua_tointeger(L, 1);

    return wait != q->wait && wait != 0;
}

/* [-1, +0 or 4, e] A coroutine awaits the watch on top. TAKEN leaves the watch. */
static __attribute__((noinline)) enum taken end_await(lua_State *L, struct queue *q, int queue)
{
    const int watch = lua_gettop(L);
    const enum taken result = luaq_end_await(L, q, watch);

    if (result != TAKEN && q->traced)
        luaq_trace(L, queue, watch);
    if (result == RESUMED)
        lua_settop(L, watch - 1);
    if (result == RAISED) {
        lua_pushinteger(L, 0);
        lua_insert(L, watch + 1);
    }
    return result;
}

/* [-0, +0 to 4, e] luaq_take(), inlined: one more call would make the iterator a tenth slower. */
static inline __attribute__((always_inline)) enum taken push_next(lua_State *L, struct queue *q,
                                                                  int queue, int watches)
{
    readyq_watch *w = take(q);

    if (w == NULL) {
        q->ended = true;
        return END;
    }
    lua_rawgeti(L, watches, luaq_slot(w));
    if (((struct watch *)w)->awaited != 0) {
        const enum taken result = end_await(L, q, queue);

        if (result != TAKEN)
            return result;
    }
    lua_pushinteger(L, w->ready);
    lua_getiuservalue(L, -2, WATCH_DATA);
    if (w->queue == NULL)
        luaq_forget(L, lua_gettop(L) - 2);
    if (q->traced)
        luaq_trace(L, queue, lua_gettop(L) - 2);
    return TAKEN;
}

enum taken luaq_take(lua_State *L, struct queue *q, int queue, int watches)
{
    return push_next(L, q, queue, watches);
}

/* [-2, +4, -] Watch, ready bits and data of the next ready watch that no coroutine awaits. Nothing
 * at the end, after a close, and in the loop of an earlier wait. */
int luaq_next(lua_State *L)
{
    struct queue *q = lua_touserdata(L, upvalue(1));

    for (;;) {
        if (q->numbered && is_outdated(L, q))
            return 0;
        switch (push_next(L, q, upvalue(1), upvalue(2))) {
        case TAKEN: return 3;
        case RAISED: return 4;
        case RESUMED: break; /* it may have waited: then this loop is an earlier one's */
        default: return 0;
        }
    }
}
