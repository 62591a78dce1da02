/* SPDX-License-Identifier: MIT
 *
 * Parts of the Lua memory tests that cannot be written in Lua: an allocator that refuses memory to
 * the running state, and a collector that runs at every step.
 */
#include <lauxlib.h>
#include <lua.h>

static lua_Alloc plenty; /* the state's own */
static void *plenty_data;
static int left; /* allocations until one is refused */

/* Refuses two: Lua retries after a collection. */
static void *refuse_one(void *data, void *memory, size_t old, size_t size)
{
    if (size > (memory != NULL ? old : 0) && left > -2 && --left < 0)
        return NULL;
    return plenty(data, memory, old, size);
}

/* poor.refuse(n): n allocations succeed, then one is refused. */
static int poor_refuse(lua_State *L)
{
    left = (int)luaL_checkinteger(L, 1);
    plenty = lua_getallocf(L, &plenty_data);
    lua_setallocf(L, refuse_one, plenty_data);
    return 0;
}

/* poor.relent(): refuses no more. Returns whether one was refused. */
static int poor_relent(lua_State *L)
{
    lua_setallocf(L, plenty, plenty_data);
    lua_pushboolean(L, left < 0);
    return 1;
}

static void collect(lua_State *L, lua_Debug *event)
{
    (void)event;
    lua_gc(L, LUA_GCCOLLECT, 0);
}

/* poor.collect_always() */
static int poor_collect_always(lua_State *L)
{
    lua_sethook(L, collect, LUA_MASKCOUNT, 1);
    return 0;
}

__attribute__((visibility("default"))) int luaopen_poor(lua_State *L);

int luaopen_poor(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, poor_refuse);
    lua_setfield(L, -2, "refuse");
    lua_pushcfunction(L, poor_relent);
    lua_setfield(L, -2, "relent");
    lua_pushcfunction(L, poor_collect_always);
    lua_setfield(L, -2, "collect_always");
    return 1;
}
