/* SPDX-License-Identifier: MIT
 *
 * The values that arguments.c uses: the input, an allocator that checks sizes, and values of all
 * kinds, among them functions that fail, collect garbage, yield or continue with the input.
 */
#ifndef VALUES_H
#define VALUES_H

#include "../../../bindings/lua/binding.h"
#include "../fuzz.h"

#include <lualib.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS = 60, DEPTH = 3, VALUES = 12 };
#define VALUE_TABLE (LUA_RIDX_LAST + 1) /* in the registry */
#define FUNCTION_TABLE (LUA_RIDX_LAST + 2)

static const uint8_t *at, *end;
static int calls, depth, nfunctions;
static int descriptors[4];

static uint8_t byte(void)
{
    return at < end ? *at++ : 0;
}

/* ------------------------------------------------------------------ the allocator */

static size_t allocated;
static int until_refusal; /* 0: none */

/* Each block is preceded by its size. Lua retries an allocation after a collection, so two are
 * refused. */
static void *allocate(void *data, void *block, size_t old, size_t size)
{
    size_t *head = block != NULL ? (size_t *)block - 2 : NULL, *moved;

    (void)data;
    if (head != NULL) {
        CHECK(head[0] == old);
        if (size == 0) {
            allocated -= old;
            free(head);
            return NULL;
        }
    } else {
        old = 0;
        if (size == 0)
            return NULL;
    }
    if (size > old && until_refusal > 0 && --until_refusal < 2)
        return NULL;
    moved = realloc(head, size + 2 * sizeof(size_t));
    CHECK(moved != NULL);
    allocated += size - old;
    moved[0] = size;
    return moved + 2;
}

/* ------------------------------------------------------------------ functions as arguments */

static int call_one(lua_State *L);

static int go_on(lua_State *L)
{
    if (depth >= DEPTH)
        return 0;
    depth++;
    lua_settop(L, 0);
    call_one(L);
    depth--;
    return 0;
}

static int give_number(lua_State *L)
{
    lua_pushinteger(L, descriptors[byte() % 4]);
    return 1;
}

static int give_any(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, VALUE_TABLE);
    lua_rawgeti(L, -1, byte() % VALUES + 1);
    return 1;
}

static int fail_with_table(lua_State *L)
{
    lua_newtable(L);
    return lua_error(L);
}

/* Finalizers are refused nothing: Lua would never call them again. */
static int collect(lua_State *L)
{
    const int refusal = until_refusal;

    until_refusal = 0;
    lua_gc(L, LUA_GCCOLLECT);
    until_refusal = refusal;
    return 0;
}

static int pause_thread(lua_State *L)
{
    return lua_yieldk(L, 0, 0, NULL);
}

static const lua_CFunction callbacks[] = {go_on,           give_number, give_any,
                                          fail_with_table, collect,     pause_thread};
enum { CALLBACKS = sizeof callbacks / sizeof *callbacks };

/* ------------------------------------------------------------------ values */

static void push_string(lua_State *L)
{
    static const char *const strings[] = {
        "r",       "w",    "rw",       "rwp",    "",      "data",   "colour", "clock",
        "virtual", "real", "epoll",    "kqueue", "lunar", "TERM",   "USR1",   "SIGUSR2",
        "KILL",    "x",    "interest", "kind",   "queue", "source", "status", "getfd",
        "fileno",  "1e9",  "0x10",     "rr",     "edge",  "none"};
    static char longest[3000];

    if (byte() % 8 == 0) {
        memset(longest, 'r', sizeof longest);
        lua_pushlstring(L, longest, sizeof longest);
    } else {
        lua_pushstring(L, strings[byte() % (sizeof strings / sizeof *strings)]);
    }
}

static void push_number(lua_State *L)
{
    static const double floats[] = {0.0, -0.0,  0.5,    1e-9, 1e-10, -1.0,
                                    3.0, 1e300, -1e300, 1e18, 9.3e9, 2147483648.0};
    static const lua_Integer integers[] = {0,  -1,   -2,         1,          2,         64,
                                           65, 1024, 2147483647, 2147483648, LLONG_MAX, LLONG_MIN};
    const uint8_t b = byte();

    if (b < 100)
        lua_pushinteger(L, b);
    else if (b < 180)
        lua_pushinteger(L, integers[b % 12]);
    else if (b < 250)
        lua_pushnumber(L, floats[b % 12]);
    else
        lua_pushnumber(L, b % 3 == 0 ? NAN : b % 3 == 1 ? INFINITY : -INFINITY);
}

/* A table that may be options, or an object with a descriptor. */
static void push_table(lua_State *L)
{
    static const char *const names[] = {"colour", "clock", "getfd", "fileno", "pollfd"};
    const uint8_t b = byte();

    lua_newtable(L);
    for (int i = 0; i < 5; i++) {
        if (!(b >> i & 1))
            continue;
        if (i >= 2)
            lua_pushcfunction(L, callbacks[byte() % CALLBACKS]);
        else
            push_string(L);
        lua_setfield(L, -2, names[i]);
    }
    if (b & 32)
        return;
    lua_pushvalue(L, -1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

static void push_thread(lua_State *L)
{
    lua_State *thread = lua_newthread(L);

    lua_pushcfunction(thread, callbacks[byte() % CALLBACKS]);
}

static void push_file(lua_State *L)
{
    lua_getglobal(L, "io");
    lua_getfield(L, -1, "tmpfile");
    lua_remove(L, -2);
    lua_call(L, 0, 1);
    if (byte() % 2 == 0 || lua_isnil(L, -1))
        return;
    lua_getfield(L, -1, "close");
    lua_pushvalue(L, -2);
    lua_call(L, 1, 0);
}

static void push_value(lua_State *L)
{
    const uint8_t b = byte();

    if (b < 128) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, VALUE_TABLE);
        lua_rawgeti(L, -1, b % VALUES + 1);
        lua_remove(L, -2);
        return;
    }
    switch (b % 10) {
    case 0: lua_pushnil(L); break;
    case 1: lua_pushboolean(L, b % 4 == 1); break;
    case 2:
    case 3: push_number(L); break;
    case 4: push_string(L); break;
    case 5: push_table(L); break;
    case 6: lua_pushcfunction(L, callbacks[byte() % CALLBACKS]); break;
    case 7: push_thread(L); break;
    case 8: lua_pushinteger(L, descriptors[byte() % 4]); break;
    default:
        if (b > 240)
            push_file(L);
        else
            lua_pushlightuserdata(L, L);
    }
}

#endif
