/* SPDX-License-Identifier: MIT
 *
 * readyq.core: puts the binding together. lua/readyq.lua adds what can be written in Lua.
 */
#include "binding.h"

static const luaL_Reg functions[] = {
    {"new", luaq_new},
    {"fire", luaq_fire},
    {NULL, NULL},
};

/* [-0, +0, m] Adds functions to the table on top; the upvalues are at 1 to UPVALUES. */
static void add_functions(lua_State *L, const luaL_Reg *list)
{
    for (int i = 1; i <= UPVALUES; i++)
        lua_pushvalue(L, i);
    luaL_setfuncs(L, list, UPVALUES);
}

/* [-0, +1, m] A table of methods for the metatable at `type`, which gets the events. */
static void make_type(lua_State *L, int type, const char *name, const luaL_Reg *methods,
                      const luaL_Reg *events)
{
    lua_pushvalue(L, type);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    add_functions(L, events);
    lua_pop(L, 1);
    lua_newtable(L);
    add_functions(L, methods);
}

/* [-0, +1, m] */
static void make_queue_type(lua_State *L)
{
    make_type(L, QUEUE_TYPE, "readyq.queue", luaq_queue_methods, luaq_queue_events);
    add_functions(L, luaq_sources_methods);
    add_functions(L, luaq_members_methods);
    add_functions(L, luaq_dispatch_methods);
    add_functions(L, luaq_recording_methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, QUEUE_TYPE, "__index");
    lua_pushvalue(L, QUEUE_TYPE);
    add_functions(L, luaq_members_events);
    lua_pop(L, 1);
}

/* [-0, +0, m] Methods and fields are in one table, the members. */
static void make_watch_type(lua_State *L)
{
    make_type(L, WATCH_TYPE, "readyq.watch", luaq_watch_methods, luaq_watch_events);
    luaq_watch_members(L);
    for (int i = 1; i <= UPVALUES; i++)
        lua_pushvalue(L, i);
    lua_pushvalue(L, -UPVALUES - 1);
    lua_pushcclosure(L, luaq_watch_index, UPVALUES + 1);
    lua_setfield(L, WATCH_TYPE, "__index");
    lua_pop(L, 1);
}

/* [-0, +1, e] LuaJIT must not compile it, since its hooks do not run in compiled code. */
static void push_turn(lua_State *L)
{
    static const char code[] = "local function turn(steps) for _ = 1, steps do end end "
                               "if jit then jit.off(turn) end "
                               "return turn";

    if (luaL_loadstring(L, code) != 0)
        lua_error(L);
    lua_call(L, 0, 1);
}

/* [-2, +1, e] */
READYQ_API int luaopen_readyq_core(lua_State *L)
{
    const char *name;
    uint32_t bit;

    lua_settop(L, 0);
    luaq_find_interrupt_handler();
    remember_main_thread(L);
    luaq_expect_closing(L);
    lua_newtable(L); /* QUEUE_TYPE */
    lua_newtable(L); /* WATCH_TYPE */
    push_turn(L);    /* TURN */
    lua_newtable(L);
    add_functions(L, functions);
    add_functions(L, luaq_dispatch_functions);
    for (unsigned i = 0; (name = readyq_bit_name(i, &bit)) != NULL; i++) {
        lua_pushinteger(L, bit);
        lua_setfield(L, -2, name);
    }
    lua_pushstring(L, readyq_version());
    lua_setfield(L, -2, "VERSION");
    lua_newtable(L);
    add_functions(L, luaq_await_functions);
    lua_setfield(L, -2, "coroutines");
    make_watch_type(L);
    make_queue_type(L);
    lua_setfield(L, -2, "methods");
    return 1;
}
