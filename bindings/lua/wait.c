/* SPDX-License-Identifier: MIT
 *
 * Waiting: the sleep that Lua's hooks can interrupt, and the iterator that hands out what is
 * ready. A wait allocates nothing: the iterator is made once, with the queue.
 */
#include "binding.h"

/* [-0, +0, -] */
static void move_hook(lua_State *from, lua_State *to)
{
    lua_sethook(to, lua_gethook(from), lua_gethookmask(from), lua_gethookcount(from));
    lua_sethook(from, NULL, 0, 0);
}

/* After how many instructions a hook wants to be called, if that is soon. */
static int steps_to_hook(lua_State *L)
{
    const int count = lua_gethookmask(L) & LUA_MASKCOUNT ? lua_gethookcount(L) : 0;

    return count < 100000 ? count : 0;
}

/* [-0, +0, e] Gives hooks their turn by calling a function that does nothing. The stock
 * interpreter answers Ctrl-C with a hook in the main thread only; a coroutine borrows it, so that
 * the interrupt comes at once there too. Where it raises, it has done its work. */
static void give_turn(lua_State *L)
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

/* The part of the timeout that is left. */
static int64_t time_left(readyq *core, int64_t timeout, int64_t start)
{
    int64_t passed;

    if (timeout <= 0)
        return timeout;
    passed = readyq_now(core) - start;
    return passed < timeout ? timeout - passed : 0;
}

/* [-0, +0, e] How many are ready, or -errno. */
static int wait_interruptibly(lua_State *L, struct queue *q, int64_t timeout, int max)
{
    const int64_t start = timeout > 0 ? readyq_now(q->core) : 0;
    int n = readyq_wait(q->core, timeout, max);

    while (n == -EINTR) {
        give_turn(L);
        luaq_check_queue(L);
        n = readyq_wait(q->core, time_left(q->core, timeout, start), max);
    }
    return n;
}

/* [-3, +2, e] q:wait(timeout, max): the iterator and how many it will give. A generic `for`
 * would call whatever is returned, so that here a failed system call raises too. */
int luaq_wait(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int64_t timeout = luaq_timeout(L, 2);
    int max = 0, n;

    if (!lua_isnoneornil(L, 3)) {
        max = luaq_int(L, 3, "the maximum");
        if (max < 1)
            luaq_refuse(L, 3, "the maximum must be at least 1 (nil is no limit)");
    }
    n = wait_interruptibly(L, q, timeout, max);
    if (n < 0) {
        luaq_fail(L, 1, "wait", -1, n);
        return luaL_error(L, "%s", lua_tostring(L, -2));
    }
    if (q->traced)
        luaq_trace_wait(L, timeout, n);
    luaq_tidy(L, 1);
    lua_getiuservalue(L, 1, QUEUE_NEXT);
    lua_pushinteger(L, n);
    return 2;
}

/* [-2, +3, -] Watch, ready bits and data; nothing at the end, and after a close. */
int luaq_next(lua_State *L)
{
    struct queue *q = lua_touserdata(L, upvalue(1));
    readyq_watch *w = q->core != NULL ? readyq_next(q->core) : NULL;

    if (w == NULL)
        return 0;
    lua_rawgeti(L, upvalue(2), luaq_slot(w));
    lua_pushinteger(L, w->ready);
    lua_getiuservalue(L, -2, WATCH_DATA);
    if (w->queue == NULL)
        luaq_forget(L, lua_gettop(L) - 2);
    if (q->traced)
        luaq_trace_watch(L, upvalue(1), "ready", lua_gettop(L) - 2);
    return 3;
}
