/* SPDX-License-Identifier: MIT
 *
 * q:dispatch(timeout, max): waits, then calls the data of each ready watch, or resumes it if it is
 * a coroutine. An error propagates at once, and the watches that were not taken are left for the
 * next wait. Data that can be neither called nor resumed is refused before its watch is taken, so
 * that this event, too, is left. If a callback waits on the same queue, that wait gets the rest,
 * and this dispatch ends when the callback returns.
 *
 * A callback may yield through dispatch, which then continues in continue_dispatch(). Lua 5.1 and
 * LuaJIT cannot continue a C function, so there lua/readyq.lua has a dispatch in Lua.
 */
#include "binding.h"

/* [-0, +0, -] Whether the coroutine has yielded, or has not begun. */
static bool is_suspended(lua_State *co)
{
    lua_Debug frame;

    if (lua_status(co) != LUA_OK)
        return lua_status(co) == LUA_YIELD;
    return lua_gettop(co) > 0 && !lua_getstack(co, 0, &frame);
}

/* [-0, +0, -] */
static bool is_running(lua_State *co)
{
    lua_Debug frame;

    return lua_status(co) == LUA_OK && lua_getstack(co, 0, &frame);
}

/* [-0, +0, e] Why the data on top, which is not a function, can be neither called nor resumed; NULL
 * if it can. */
static const char *find_fault(lua_State *L)
{
    lua_State *co = lua_tothread(L, -1);

    if (co != NULL) {
        if (is_suspended(co))
            return NULL;
        return is_running(co) ? ": cannot resume non-suspended coroutine"
                              : ": cannot resume dead coroutine";
    }
    if (!luaL_getmetafield(L, -1, "__call"))
        return " has no function or coroutine as its data";
    lua_pop(L, 1);
    return NULL;
}

/* [-0, +0 or 1, e] Whether the data of the watch can be called or resumed; if not, pushes why. */
static __attribute__((noinline)) bool check_data(lua_State *L, const readyq_watch *w, int watches)
{
    const char *fault;

    lua_rawgeti(L, watches, luaq_slot(w));
    lua_getiuservalue(L, -1, WATCH_DATA);
    fault = find_fault(L);
    if (fault == NULL) {
        lua_pop(L, 2);
        return true;
    }
    luaq_push_watch(L, w);
    lua_pushfstring(L, "dispatch: readyq.watch: %s%s", lua_tostring(L, -1), fault);
    return false;
}

/* [-0, +0 or 1, e] Whether the first watch of the batch, if any, can be dispatched; if not, pushes
 * why. `watches` is the stack index of the queue's table of watches. */
static inline bool check_first(lua_State *L, struct queue *q, int watches)
{
    const struct watch *w = (const struct watch *)readyq_first(&q->batch);

    return w == NULL || w->is_function || w->awaited != 0 || check_data(L, &w->core, watches);
}

#ifdef HAS_CONTINUATIONS

enum { AT_QUEUE = 1, AT_WATCHES, AT_WAIT }; /* on the stack during a dispatch; the last: number */

/* [-1, +0, e] Raises the error on top, which ended the coroutine: a string gets its traceback. */
static void raise_error_of(lua_State *L, lua_State *co)
{
    if (lua_type(L, -1) == LUA_TSTRING)
        luaL_traceback(L, co, lua_tostring(L, -1), 0);
    close_thread(co, L);
    lua_error(L);
}

/* [-3, +0, e] Resumes the coroutine on top with the two values below; what it yields is dropped. */
static void resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, -1);
    int status, results = 0;

    if (!lua_checkstack(co, 2))
        luaL_error(L, "dispatch: the stack of a coroutine is full");
    lua_insert(L, -3); /* it stays on the stack: nothing else may refer to it */
    lua_xmove(L, co, 2);
    status = resume_thread(co, L, 2, &results);
    if (status > LUA_YIELD) {
        lua_xmove(co, L, 1);
        raise_error_of(L, co);
    }
    lua_pop(co, results);
    lua_pop(L, 1);
}

/* [-n, +1, e] Calls what the batch still has; `count` were called before. */
continuation(continue_dispatch, dispatch_rest, count)
{
    struct queue *q = lua_touserdata(L, AT_QUEUE);
    const lua_Integer wait = lua_tointeger(L, AT_WAIT);
    enum taken taken;

    while (q->wait == wait) {
        if (!check_first(L, q, AT_WATCHES))
            return luaL_error(L, "%s", lua_tostring(L, -1));
        taken = luaq_take(L, q, AT_QUEUE, AT_WATCHES);
        if (taken == END)
            break;
        count++;
        if (taken == RESUMED)
            continue;
        if (taken == RAISED)
            raise_error_of(L, lua_tothread(L, -2));
        if (lua_isthread(L, -1)) {
            resume(L);
            continue;
        }
        lua_insert(L, -3);
        lua_callk(L, 2, 0, count, continue_dispatch);
    }
    lua_pushinteger(L, count);
    return 1;
}

/* [-n, +1, e] */
static int dispatch(lua_State *L)
{
    const struct queue *q;

    q = luaq_begin_wait(L);
    lua_settop(L, AT_QUEUE);
    lua_getiuservalue(L, AT_QUEUE, QUEUE_WATCHES);
    lua_pushinteger(L, q->wait);
    return dispatch_rest(L, 0);
}

const luaL_Reg luaq_dispatch_methods[] = {{"dispatch", dispatch}, {NULL, NULL}};
const luaL_Reg luaq_dispatch_functions[] = {{NULL, NULL}};

#else

/* [-2, +0 or 1, e] check_first(queue, state): why the data of the next watch that the iterator of
 * that wait would return can be neither called nor resumed, or nothing. */
static int check_first_of(lua_State *L)
{
    struct queue *q = luaq_check_type(L);
    const lua_Integer wait = luaL_checkinteger(L, 2);

    lua_getiuservalue(L, 1, QUEUE_WATCHES);
    return q->wait == wait && !check_first(L, q, lua_gettop(L)) ? 1 : 0;
}

const luaL_Reg luaq_dispatch_methods[] = {{NULL, NULL}};
const luaL_Reg luaq_dispatch_functions[] = {{"check_first", check_first_of}, {NULL, NULL}};

#endif
