/* SPDX-License-Identifier: MIT
 *
 * The watch object: its fields, and the methods that concern it alone. Adding and finding
 * watches is in sources.c and members.c.
 */
#include "binding.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ gates */

struct watch *luaq_test_watch(lua_State *L, int index)
{
    struct watch *w = lua_touserdata(L, index);
    bool same;

    if (w == NULL || !lua_getmetatable(L, index))
        return NULL;
    same = lua_rawequal(L, -1, upvalue(WATCH_TYPE));
    lua_pop(L, 1);
    return same ? w : NULL;
}

struct watch *luaq_check_watch(lua_State *L, int arg)
{
    struct watch *w = luaq_test_watch(L, arg);

    if (w == NULL)
        luaq_refuse(L, arg, "readyq.watch expected, got %s", luaL_typename(L, arg));
    return w;
}

/* ------------------------------------------------------------------ fields */

enum field {
    ACTIVE = 1,
    ARMED,
    COUNT,
    DATA,
    DUE,
    FD,
    INTEREST,
    KIND,
    PERIOD,
    QUEUE,
    READABLE,
    READY,
    SOURCE,
    STATUS,
    WRITABLE
};

static const struct {
    const char *name;
    enum field field;
} fields[] = {
    {"active", ACTIVE}, {"armed", ARMED},   {"count", COUNT},       {"data", DATA},
    {"due", DUE},       {"fd", FD},         {"interest", INTEREST}, {"kind", KIND},
    {"period", PERIOD}, {"queue", QUEUE},   {"ready", READY},       {"readable", READABLE},
    {"source", SOURCE}, {"status", STATUS}, {"writable", WRITABLE},
};

void luaq_watch_members(lua_State *L)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        lua_pushinteger(L, fields[i].field);
        lua_setfield(L, -2, fields[i].name);
    }
}

/* [-0, +1, -] -1 stands for none in the core. */
static void push_or_nil(lua_State *L, int value)
{
    if (value < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, value);
}

/* [-0, +1, -] When the timer is due, in seconds on its queue's clock; nil if it is not running. */
static void push_due(lua_State *L, readyq_watch *w)
{
    const int64_t due = readyq_due(w);

    if (due < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, due == INT64_MAX ? (lua_Number)HUGE_VAL : (lua_Number)due / 1e9);
}

/* [-0, +1, m] The value of field `field` of the watch at 1. */
static void push_field(lua_State *L, struct watch *watch, enum field field)
{
    readyq_watch *w = &watch->core;

    switch (field) {
    case ACTIVE: lua_pushboolean(L, w->queue != NULL); break;
    case ARMED: lua_pushboolean(L, w->armed); break;
    case COUNT: lua_pushinteger(L, (lua_Integer)w->count); break;
    case DATA: lua_getiuservalue(L, 1, WATCH_DATA); break;
    case DUE: push_due(L, w); break;
    case FD: push_or_nil(L, w->kind == READYQ_KIND_FD ? w->fd : -1); break;
    case INTEREST: lua_pushinteger(L, w->interest); break;
    case KIND: lua_pushstring(L, readyq_kind_name(w->kind)); break;
    case PERIOD:
        if (watch->period > 0)
            lua_pushnumber(L, watch->period);
        else
            lua_pushnil(L);
        break;
    case QUEUE: lua_getiuservalue(L, 1, WATCH_QUEUE); break;
    case READABLE: lua_pushboolean(L, (w->ready & READYQ_READ) != 0); break;
    case READY: lua_pushinteger(L, w->ready); break;
    case SOURCE: lua_getiuservalue(L, 1, WATCH_SOURCE); break;
    case STATUS:
        push_or_nil(L, w->kind == READYQ_KIND_PROCESS && w->ready & READYQ_FIRED ? w->status : -1);
        break;
    default: lua_pushboolean(L, (w->ready & READYQ_WRITE) != 0); break; /* WRITABLE */
    }
}

int luaq_watch_index(lua_State *L)
{
    struct watch *w = luaq_check_watch(L, 1);

    lua_settop(L, 2);
    lua_rawget(L, upvalue(UPVALUES + 1));
    if (lua_type(L, 2) == LUA_TNUMBER)
        push_field(L, w, (enum field)lua_tointeger(L, 2));
    return 1;
}

/* [-3, +0, e] __newindex: `data` can be set, all other fields are read-only. */
static int watch_newindex(lua_State *L)
{
    luaq_check_watch(L, 1);
    lua_settop(L, 3);
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "data") != 0)
        return luaL_error(L, "field '%s' of a readyq.watch cannot be set; only 'data' can",
                          lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
    luaq_set_data(L, 1);
    return 0;
}

/* ------------------------------------------------------------------ methods */

/* [-0, +0, e] A line of trace, if the watch's queue is traced. */
static void trace(lua_State *L, int watch)
{
    const struct queue *q;

    lua_getiuservalue(L, watch, WATCH_QUEUE);
    q = lua_touserdata(L, -1);
    if (q->traced)
        luaq_trace(L, lua_gettop(L), watch);
    lua_pop(L, 1);
}

int luaq_modify(lua_State *L, int watch, int interest)
{
    struct watch *w = lua_touserdata(L, watch);
    const uint32_t bits = luaq_interest(L, interest);
    const int error = readyq_modify(&w->core, bits);

    if (error < 0)
        return luaq_fail_watch(L, interest, "modify", watch, error);
    trace(L, watch);
    lua_pushboolean(L, true);
    return 1;
}

int luaq_remove(lua_State *L, int watch)
{
    struct watch *w = lua_touserdata(L, watch);
    const int error = readyq_remove(&w->core);

    if (error < 0 && error != -ENOENT)
        return luaq_fail_watch(L, 1, "remove", watch, error);
    if (error == 0) {
        luaq_forget(L, watch);
        trace(L, watch);
    }
    lua_pushboolean(L, error == 0);
    return 1;
}

/* [-2, +n, e] w:modify(interest) */
static int watch_modify(lua_State *L)
{
    luaq_check_watch(L, 1);
    return luaq_modify(L, 1, 2);
}

/* [-1, +n, e] w:remove(): false if it was no longer in a queue. */
static int watch_remove(lua_State *L)
{
    luaq_check_watch(L, 1);
    return luaq_remove(L, 1);
}

/* [-2, +n, e] w:restart(delay). A timer that has fired is kept by its queue again. */
static int watch_restart(lua_State *L)
{
    struct watch *w = luaq_check_watch(L, 1);
    const int64_t delay = luaq_delay(L, 2);
    int error;

    if (!w->kept && w->core.kind == READYQ_KIND_TIMER)
        luaq_keep(L, 1);
    error = readyq_restart(&w->core, delay);
    if (w->core.queue == NULL)
        luaq_forget(L, 1);
    if (error < 0)
        return luaq_fail_watch(L, 1, "restart", 1, error);
    trace(L, 1);
    lua_pushboolean(L, true);
    return 1;
}

/* [-1, +n, e] w:fire() */
static int watch_fire(lua_State *L)
{
    struct watch *w = luaq_check_watch(L, 1);
    const int error = readyq_fire(&w->core);

    if (error < 0)
        return luaq_fail_watch(L, 1, "fire", 1, error);
    trace(L, 1);
    lua_pushboolean(L, true);
    return 1;
}

/* [-2, +1, e] w:has(bits): is any of them in `ready`? */
static int watch_has(lua_State *L)
{
    const struct watch *w = luaq_check_watch(L, 1);

    lua_pushboolean(L, (w->core.ready & luaq_interest(L, 2)) != 0);
    return 1;
}

void luaq_push_watch(lua_State *L, const readyq_watch *w)
{
    char text[512];

    lua_pushstring(L, readyq_describe_watch(w, w->ready, text, sizeof text));
}

/* [-1, +1, e] tostring(w) */
static int watch_tostring(lua_State *L)
{
    const struct watch *w = luaq_check_watch(L, 1);

    luaq_push_watch(L, &w->core);
    lua_pushfstring(L, "readyq.watch: %s", lua_tostring(L, -1));
    return 1;
}

const luaL_Reg luaq_watch_methods[] = {
    {"fire", watch_fire},
    {"handle", luaq_handle},
    {"has", watch_has},
    {"modify", watch_modify},
    {"remove", watch_remove},
    {"restart", watch_restart},
    {NULL, NULL},
};

const luaL_Reg luaq_watch_events[] = {
    {"__newindex", watch_newindex},
    {"__tostring", watch_tostring},
    {NULL, NULL},
};
