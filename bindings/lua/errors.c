/* SPDX-License-Identifier: MIT
 *
 * Turns errors into Lua's: misuse raises; a failed system call returns nil, message, errno. The
 * sentences are readyq_explain()'s.
 */
#include "binding.h"

#include <stdarg.h>

void luaq_refuse(lua_State *L, int arg, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    lua_pushvfstring(L, format, values);
    va_end(values);
    luaL_argerror(L, arg, lua_tostring(L, -1));
    __builtin_unreachable(); /* lauxlib.h does not say that it never returns */
}

int luaq_fail_with(lua_State *L, const char *text, int error)
{
    lua_pushnil(L);
    lua_pushstring(L, text);
    lua_pushinteger(L, -error);
    return 3;
}

/* [-0, +3, e] */
static int fail(lua_State *L, int arg, const char *text, int error)
{
    return error == -EINVAL ? luaL_argerror(L, arg, text) : luaq_fail_with(L, text, error);
}

int luaq_fail(lua_State *L, int arg, const char *call, int fd, int error)
{
    char text[640];

    return fail(L, arg, readyq_explain(call, fd, error, text, sizeof text), error);
}

int luaq_fail_watch(lua_State *L, int arg, const char *call, int watch, int error)
{
    const struct watch *w = lua_touserdata(L, watch);
    const struct queue *q;
    char text[640];

    lua_getiuservalue(L, watch, WATCH_QUEUE);
    q = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (error == -ENOENT && q->core == NULL) /* it is in no queue, because that was closed */
        error = -ESHUTDOWN;
    return fail(L, arg, readyq_explain_watch(call, &w->core, error, text, sizeof text), error);
}
