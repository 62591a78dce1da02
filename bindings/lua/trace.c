/* SPDX-License-Identifier: MIT
 *
 * Watches in words: for tostring() and for the lines of q:trace().
 */
#include "binding.h"

/* [-0, +1, m] "READ|WRITE" */
static void push_bits(lua_State *L, uint32_t bits)
{
    luaL_Buffer text;
    const char *between = "";

    luaL_buffinit(L, &text);
    for (const struct luaq_bit *bit = luaq_bits; bit->name != NULL; bit++) {
        if (!(bits & bit->value))
            continue;
        luaL_addstring(&text, between);
        luaL_addstring(&text, bit->name);
        between = "|";
    }
    if (bits == 0)
        luaL_addstring(&text, "0");
    luaL_pushresult(&text);
}

/* [-0, +1, m] */
static void push_source(lua_State *L, const readyq_watch *w)
{
    char what[256];

    if (w->kind == READYQ_KIND_FD && w->queue != NULL)
        lua_pushfstring(L, "fd %d (%s)", w->fd, readyq_describe(w->fd, what, sizeof what));
    else if (w->kind == READYQ_KIND_FD) /* the number may be another's by now */
        lua_pushfstring(L, "fd %d", w->fd);
    else if (w->kind == READYQ_KIND_SIGNAL)
        lua_pushfstring(L, "signal %d", w->signal);
    else if (w->kind == READYQ_KIND_PROCESS)
        lua_pushfstring(L, "process %d", (int)w->pid);
    else
        lua_pushstring(L, luaq_kinds[w->kind]);
}

/* [-0, +1, m] */
static void push_interest(lua_State *L, const readyq_watch *w)
{
    if (w->queue == NULL) {
        lua_pushliteral(L, ", inactive");
    } else if (w->kind != READYQ_KIND_FD) {
        lua_pushliteral(L, "");
    } else {
        push_bits(L, w->interest);
        lua_pushfstring(L, " interest %s%s", lua_tostring(L, -1),
                        w->interest == 0 ? " (paused)"
                        : w->armed       ? ""
                                         : " (disarmed)");
        lua_remove(L, -2);
    }
}

/* [-0, +1, m] */
static void push_ready(lua_State *L, const readyq_watch *w)
{
    char count[24];

    if (w->ready == 0) {
        lua_pushliteral(L, "");
        return;
    }
    push_bits(L, w->ready);
    if (w->count > 1) {
        snprintf(count, sizeof count, "%llu", (unsigned long long)w->count);
        lua_pushfstring(L, ", ready %s, count %s", lua_tostring(L, -1), count);
    } else {
        lua_pushfstring(L, ", ready %s", lua_tostring(L, -1));
    }
    lua_remove(L, -2);
}

void luaq_push_watch(lua_State *L, const readyq_watch *w)
{
    push_source(L, w);
    push_interest(L, w);
    push_ready(L, w);
    lua_concat(L, 3);
}

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
        lua_pushfstring(L, "readyq: wait (for ever): %d ready", n);
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
