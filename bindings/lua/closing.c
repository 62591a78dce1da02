/* SPDX-License-Identifier: MIT
 *
 * The end of a Lua state. lua_close() calls the finalizers of all objects, the newest object first,
 * and then frees them. If a finalizer makes an object then, that object is freed without its own
 * finalizer. So every object that needs one is noted in a table. A sentinel that is older than
 * these objects finalizes all that the table has. From then on no such object can be made.
 */
#include "binding.h"

#define OBJECTS "readyq.objects" /* in the registry: the table; false once the sentinel has ended */

/* [-1, +0, e] The sentinel's __gc. Most of the objects are already finalized. To finalize one twice
 * does no harm. */
static int end_objects(lua_State *L)
{
    lua_settop(L, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, OBJECTS);
    lua_pushboolean(L, false);
    lua_setfield(L, LUA_REGISTRYINDEX, OBJECTS);
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_settop(L, 2))
        if (luaL_getmetafield(L, 2, "__gc")) {
            lua_pushvalue(L, 2);
            lua_call(L, 1, 0);
        }
    return 0;
}

/* [-0, +1, m] The metatable of the sentinel must have its __gc before it is set. */
static void push_sentinel(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, end_objects);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

void luaq_expect_closing(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, OBJECTS);
    if (lua_isnil(L, -1)) {
        lua_newtable(L);
        lua_createtable(L, 0, 2); /* its metatable, which keeps the sentinel */
        lua_pushliteral(L, "k");
        lua_setfield(L, -2, "__mode");
        push_sentinel(L);
        lua_setfield(L, -2, "sentinel");
        lua_setmetatable(L, -2);
        lua_setfield(L, LUA_REGISTRYINDEX, OBJECTS);
    }
    lua_pop(L, 1);
}

void luaq_note(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, OBJECTS);
    if (!lua_istable(L, -1))
        luaL_error(L, "the Lua state is being closed");
    lua_pushvalue(L, -2);
    lua_pushboolean(L, true);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}
