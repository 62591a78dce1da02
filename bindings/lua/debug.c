/* SPDX-License-Identifier: MIT
 *
 * Debug mode: the option `debug` of readyq.new, and the warnings of the core's watchdog, to which
 * Lua adds the data of the watch.
 */
#include "binding.h"

#include <string.h>

/* ------------------------------------------------------------------ the option */

/* [-0, +0, e] The threshold at 5, whose name is at 4. 0 would stand for the default. */
static void read_threshold(lua_State *L, struct readyq_debug *debug)
{
    const char *name = lua_type(L, 4) == LUA_TSTRING ? lua_tostring(L, 4) : "";
    const bool is_turns = strcmp(name, "turns") == 0, is_turn = strcmp(name, "turn") == 0;

    if (!is_turns && !is_turn && strcmp(name, "rest") != 0)
        luaq_refuse(L, 1, "no such threshold: '%s' (debug has 'turns', 'turn' and 'rest')", name);
    if (lua_type(L, 5) != LUA_TNUMBER)
        luaq_refuse(L, 1, "debug.%s: number expected, got %s", name, luaL_typename(L, 5));
    if (is_turns) {
        const int turns = luaq_whole(L, 5, 1, "debug.turns");

        if (turns < 1)
            luaq_refuse(L, 1, "debug.turns must be at least 1");
        debug->turns = (uint64_t)turns;
    } else {
        int64_t *time = is_turn ? &debug->turn : &debug->rest;

        *time = luaq_seconds(L, lua_tonumber(L, 5), 1, lua_pushfstring(L, "debug.%s: ", name));
        *time += *time == 0;
    }
}

void luaq_read_debug(lua_State *L, struct readyq_options *options, struct readyq_debug *debug)
{
    const bool table = lua_istable(L, 3);

    if (!table && !lua_isboolean(L, 3))
        luaq_refuse(L, 1, "debug must be true, false or a table of thresholds");
    if (table || lua_toboolean(L, 3))
        options->debug = debug;
    if (!table)
        return;
    lua_pushnil(L);
    while (lua_next(L, 3) != 0) {
        read_threshold(L, debug);
        lua_settop(L, 4);
    }
}

/* ------------------------------------------------------------------ warnings */

/* [-1, +1, m] Replaces the data on top with text. It calls no metamethod. */
static void show_data(lua_State *L)
{
    const int type = lua_type(L, -1);
    lua_Debug info;

    if (type == LUA_TFUNCTION) {
        lua_getinfo(L, ">S", &info); /* pops the function */
        lua_pushfstring(L, "function <%s:%d>", info.short_src, info.linedefined);
        return;
    }
    if (type == LUA_TSTRING || type == LUA_TNUMBER)
        lua_pushfstring(L, type == LUA_TSTRING ? "'%s'" : "%s", lua_tostring(L, -1));
    else
        lua_pushfstring(L, "%s: %p", luaL_typename(L, -1), lua_topointer(L, -1));
    lua_remove(L, -2);
}

/* [-0, +1, m] " (data=...)", or "". */
static void push_data(lua_State *L, int queue, const readyq_watch *w)
{
    const int top = lua_gettop(L);

    if (w != NULL) {
        lua_getiuservalue(L, queue, QUEUE_WATCHES);
        lua_rawgeti(L, -1, luaq_slot(w));
        lua_getiuservalue(L, -1, WATCH_DATA);
    }
    if (w == NULL || lua_isnil(L, -1)) {
        lua_settop(L, top);
        lua_pushliteral(L, "");
        return;
    }
    show_data(L);
    lua_pushfstring(L, " (data=%s)", lua_tostring(L, -1));
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

int luaq_warn(lua_State *L, const struct queue *q, int queue)
{
    readyq_watch *w;
    char text[640];
    int n = 0;

    while (q->core != NULL && readyq_warning(q->core, &w, text, sizeof text) != 0) {
        n++;
        push_data(L, queue, w);
        lua_pushfstring(L, "readyq: %s%s", text, lua_tostring(L, -1));
        lua_warning(L, lua_tostring(L, -1), 0);
        lua_pop(L, 2);
    }
    return n;
}
