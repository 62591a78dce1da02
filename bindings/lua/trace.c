/* SPDX-License-Identifier: MIT
 *
 * Tracing: one line of text for each call and each delivery, passed to a function of the program.
 */
#include "binding.h"

/* ------------------------------------------------------------------ lines */

/* [-1, +0, e] Hands the line on top to the function of the queue at `queue`. While it runs the
 * queue is not traced, so that it may use the queue. */
static void say(lua_State *L, int queue)
{
    struct queue *q = lua_touserdata(L, queue);
    int status;

    lua_getiuservalue(L, queue, QUEUE_TRACE);
    lua_insert(L, -2);
    q->traced = false;
    status = lua_pcall(L, 1, 0, 0);
    lua_getiuservalue(L, queue, QUEUE_TRACE);
    q->traced = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (status != 0)
        lua_error(L);
}

void luaq_trace(lua_State *L, int queue, const char *call)
{
    lua_pushfstring(L, "readyq: %s", call);
    say(L, queue);
}

void luaq_trace_wait(lua_State *L, int64_t timeout, int n)
{
    if (timeout < 0)
        lua_pushfstring(L, "readyq: wait (forever): %d ready", n);
    else
        lua_pushfstring(L, "readyq: wait (%f s): %d ready", (lua_Number)timeout / 1e9, n);
    say(L, 1);
}

void luaq_trace_watch(lua_State *L, int queue, const char *call, int watch)
{
    luaq_push_watch(L, lua_touserdata(L, watch));
    lua_pushfstring(L, "readyq: %s %s", call, lua_tostring(L, -1));
    say(L, queue);
    lua_pop(L, 1);
}
