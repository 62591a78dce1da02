/* SPDX-License-Identifier: MIT
 *
 * The C API of Lua 5.4 on Lua 5.1, 5.2, 5.3, 5.5 and LuaJIT 2.1, as far as the binding uses it.
 * Only this file checks the version of Lua.
 */
#ifndef READYQ_LUA_COMPAT_H
#define READYQ_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>

#if LUA_VERSION_NUM >= 504

#define is_file_closed(stream) (((luaL_Stream *)(stream))->closef == NULL)

#else

/* User values 1 to `count` are in one table, and exist only where count > 0. */
#if LUA_VERSION_NUM >= 502
#define set_user_table lua_setuservalue
#define get_user_table lua_getuservalue
#define push_globals(L) lua_pushglobaltable(L)
#else
#define set_user_table lua_setfenv
#define get_user_table lua_getfenv
#define push_globals(L) lua_pushvalue(L, LUA_GLOBALSINDEX)
#endif

static inline void *lua_newuserdatauv(lua_State *L, size_t size, int count)
{
    void *memory = lua_newuserdata(L, size);

    if (count > 0) {
        lua_createtable(L, count, 0);
        set_user_table(L, -2);
    }
    return memory;
}

static inline int lua_getiuservalue(lua_State *L, int index, int n)
{
    get_user_table(L, index);
    lua_rawgeti(L, -1, n);
    lua_remove(L, -2);
    return lua_type(L, -1);
}

static inline int lua_setiuservalue(lua_State *L, int index, int n)
{
    get_user_table(L, index);
    lua_insert(L, -2);
    lua_rawseti(L, -2, n);
    lua_pop(L, 1);
    return 1;
}

/* Lua has had warnings since 5.4. In earlier versions a global function `warn`, if there is one,
 * receives them; its errors are ignored, since the call that warns has taken effect. */
static inline void lua_warning(lua_State *L, const char *message, int more)
{
    (void)more;
    push_globals(L);
    lua_pushliteral(L, "warn");
    lua_rawget(L, -2); /* _G may be strict: its __index may raise an error */
    lua_remove(L, -2);
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    lua_pushstring(L, message);
    if (lua_pcall(L, 1, 0, 0) != 0)
        lua_pop(L, 1);
}

#endif

#if LUA_VERSION_NUM == 502 || LUA_VERSION_NUM == 503
#define is_file_closed(stream) (((luaL_Stream *)(stream))->closef == NULL)
#endif

#if LUA_VERSION_NUM >= 502
#define HAS_CONTINUATIONS
#endif

/* Begins the definition of body(L, context), which lua_callk() can call through the continuation
 * `name`. */
#if LUA_VERSION_NUM == 502
typedef int lua_KContext;
#define continuation(name, body, context)                                                          \
    static int body(lua_State *L, lua_KContext context);                                           \
    static int name(lua_State *L)                                                                  \
    {                                                                                              \
        lua_KContext k;                                                                            \
                                                                                                   \
        lua_getctx(L, &k);                                                                         \
        return body(L, k);                                                                         \
    }                                                                                              \
    static int body(lua_State *L, lua_KContext context)
#elif LUA_VERSION_NUM > 502
#define continuation(name, body, context)                                                          \
    static int body(lua_State *L, lua_KContext context);                                           \
    static int name(lua_State *L, int status, lua_KContext k)                                      \
    {                                                                                              \
        (void)status;                                                                              \
        return body(L, k);                                                                         \
    }                                                                                              \
    static int body(lua_State *L, lua_KContext context)
#endif

/* Whether C code can ask if a coroutine can yield. */
#if LUA_VERSION_NUM >= 503
#define HAS_ISYIELDABLE
#endif

/* lua_resume() as in Lua 5.4: *results is the number of values that the coroutine yields. */
#if LUA_VERSION_NUM >= 504
#define resume_thread lua_resume
#elif LUA_VERSION_NUM >= 502
static inline int resume_thread(lua_State *co, lua_State *from, int arguments, int *results)
{
    const int status = lua_resume(co, from, arguments);

    *results = status == LUA_OK || status == LUA_YIELD ? lua_gettop(co) : 0;
    return status;
}
#endif

/* Cleans up a coroutine that raised; since Lua 5.4 that also closes its to-be-closed variables. */
static inline void close_thread(lua_State *co, lua_State *from)
{
    (void)from;
#if LUA_VERSION_NUM >= 505
    lua_closethread(co, from);
#elif LUA_VERSION_NUM == 504
    lua_resetthread(co);
#endif
    lua_settop(co, 0);
}

#if LUA_VERSION_NUM >= 502

static inline void remember_main_thread(lua_State *L)
{
    (void)L;
}

static inline lua_State *main_thread(lua_State *L)
{
    lua_State *main;

    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    main = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main;
}

#else

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* Lua 5.1 does not reveal its main thread; it is known if the module was loaded in it. */
static inline void remember_main_thread(lua_State *L)
{
    if (lua_pushthread(L))
        lua_setfield(L, LUA_REGISTRYINDEX, "readyq.main_thread");
    else
        lua_pop(L, 1);
}

static inline lua_State *main_thread(lua_State *L)
{
    lua_State *main;

    lua_getfield(L, LUA_REGISTRYINDEX, "readyq.main_thread");
    main = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main != NULL ? main : L;
}

/* An io file starts with its FILE pointer, NULL once it is closed. */
typedef struct {
    FILE *f;
} luaq_stream;
#define luaL_Stream luaq_stream
#define is_file_closed(stream) (((luaq_stream *)(stream))->f == NULL)
#define luaL_setfuncs luaq_setfuncs
#define luaL_testudata luaq_testudata

static inline void luaq_setfuncs(lua_State *L, const luaL_Reg *functions, int nup)
{
    for (; functions->name != NULL; functions++) {
        for (int i = 0; i < nup; i++)
            lua_pushvalue(L, -nup);
        lua_pushcclosure(L, functions->func, nup);
        lua_setfield(L, -(nup + 2), functions->name);
    }
    lua_pop(L, nup);
}

static inline void *luaq_testudata(lua_State *L, int index, const char *type)
{
    void *memory = lua_touserdata(L, index);
    bool same;

    if (memory == NULL || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, type);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? memory : NULL;
}

#endif
#endif
