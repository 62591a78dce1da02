/* SPDX-License-Identifier: MIT
 *
 * q:dispatch(timeout, max): waits, then calls the data of each ready watch, or resumes it if it is
 * a coroutine. An error propagates at once, and the watches that were not taken are left for the
 * next wait. If a callback waits on the same queue, that wait gets them, and this dispatch ends when
 * the callback returns.
 *
 * A callback may yield through dispatch, which then continues in continue_dispatch(). Lua 5.1 and
 * LuaJIT cannot continue a C function, so there lua/readyq.lua has a dispatch in Lua.
 */
#include "binding.h"

#ifdef HAS_CONTINUATIONS

enum { AT_QUEUE = 1, AT_WATCHES, AT_WAIT }; /* on the stack during a dispatch; the last: number */

/* [-1, +0, e] Raises the error on top, which ended the coroutine: a string gets its traceback. */
static void raise_error_of(lua_State *L, lua_State *co)
{
    if (lua_type(L, -1) == LUA_TSTRING)
        luaL_traceback(L, co, lua_tostring(L, -1), 0);
    if (lua_status(co) > LUA_YIELD) /* not one that runs, or that was dead before */
        close_thread(co, L);
    lua_error(L);
}

/* [-0, +0, -] It has ended, or was closed. lua_resume() does not check this in all versions. */
static bool is_dead(lua_State *co)
{
    lua_Debug frame;

    return lua_status(co) == LUA_OK && lua_gettop(co) == 0 && !lua_getstack(co, 0, &frame);
}

/* [-3, +0, e] Resumes the coroutine on top with the two values below; what it yields is dropped. */
static void resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, -1);
    int status, results = 0;

    if (is_dead(co)) {
        lua_pushliteral(L, "cannot resume dead coroutine");
        raise_error_of(L, co);
    }
    if (!lua_checkstack(co, 2))
        luaL_error(L, "dispatch: the stack of a coroutine is full");
    lua_pop(L, 1);
    lua_xmove(L, co, 2);
    status = resume_thread(co, L, 2, &results);
    if (status > LUA_YIELD) {
        lua_xmove(co, L, 1);
        raise_error_of(L, co);
    }
    lua_pop(co, results);
}

/* [-0, +0, e] The data, on top, can be called; else raises. */
static void check_callable(lua_State *L)
{
    if (luaL_getmetafield(L, -1, "__call")) {
        lua_pop(L, 1);
        return;
    }
    luaq_push_watch(L, lua_touserdata(L, AT_WAIT + 1));
    luaL_error(L, "dispatch: readyq.watch: %s has no function or coroutine as its data",
               lua_tostring(L, -1));
}

/* [-n, +1, e] Calls what the batch still has; `count` were called before. */
continuation(continue_dispatch, dispatch_rest, count)
{
    struct queue *q = lua_touserdata(L, AT_QUEUE);
    const lua_Integer wait = lua_tointeger(L, AT_WAIT);
    enum taken taken;

    while (q->wait == wait && (taken = luaq_take(L, q, AT_QUEUE, AT_WATCHES)) != END) {
        int type;

        count++;
        if (taken == RESUMED)
            continue;
        if (taken == RAISED)
            raise_error_of(L, lua_tothread(L, -2));
        type = lua_type(L, -1);
        if (type == LUA_TTHREAD) {
            resume(L);
            continue;
        }
        if (type != LUA_TFUNCTION)
            check_callable(L);
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

    lua_settop(L, 3);
    q = luaq_begin_wait(L);
    lua_getiuservalue(L, AT_QUEUE, QUEUE_WATCHES);
    lua_replace(L, AT_WATCHES);
    lua_pushinteger(L, q->wait);
    lua_replace(L, AT_WAIT);
    return dispatch_rest(L, 0);
}

const luaL_Reg luaq_dispatch_methods[] = {{"dispatch", dispatch}, {NULL, NULL}};

#else

const luaL_Reg luaq_dispatch_methods[] = {{NULL, NULL}};

#endif
