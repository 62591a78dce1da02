/* SPDX-License-Identifier: MIT
 *
 * Recordings: what q:record() returns. The core keeps the records; here they become tables.
 */
#include "binding.h"

#include <string.h>

#define RECORDING "readyq.recording"

static readyq_recording **check_type(lua_State *L)
{
    readyq_recording **r = luaL_testudata(L, 1, RECORDING);

    if (r == NULL)
        luaq_refuse(L, 1, "readyq.recording expected, got %s", luaL_typename(L, 1));
    return r;
}

/* Another object's finalizer may use it after its own. */
static readyq_recording **check(lua_State *L)
{
    readyq_recording **r = check_type(L);

    if (*r == NULL)
        luaL_error(L, "attempt to use a collected readyq.recording");
    return r;
}

/* ------------------------------------------------------------------ its life */

/* [-1, +1, e] r:stop() and __close */
static int stop(lua_State *L)
{
    readyq_stop(*check(L));
    lua_pushboolean(L, true);
    return 1;
}

/* [-1, +0, -] __gc */
static int discard(lua_State *L)
{
    readyq_recording **r = check_type(L);

    readyq_discard(*r);
    *r = NULL;
    return 0;
}

/* ------------------------------------------------------------------ saving */

/* [-2, +n, e] r:save(path) */
static int save(lua_State *L)
{
    readyq_recording **r = check(L);
    size_t length;
    const char *path = luaL_checklstring(L, 2, &length);
    int error;

    if (strlen(path) != length)
        luaq_refuse(L, 2, "the name of a file cannot contain a zero byte");
    error = readyq_save(*r, path);
    if (error < 0)
        return luaq_fail(L, 2, lua_pushfstring(L, "save('%s')", path), -1, error);
    lua_pushboolean(L, true);
    return 1;
}

/* ------------------------------------------------------------------ reading */

static void set_integer(lua_State *L, const char *name, int64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* [-0, +1, m] */
static void push_record(lua_State *L, const struct readyq_record *record)
{
    lua_createtable(L, 0, 8);
    set_integer(L, "time", record->time);
    set_integer(L, "thread", record->thread);
    set_string(L, "type", readyq_record_name(record->type));
    if (record->watch != 0) {
        set_integer(L, "watch", (int64_t)record->watch);
        set_string(L, "kind", readyq_kind_name(record->kind));
    }
    if (record->number >= 0)
        set_integer(L, "number", record->number);
    set_integer(L, "bits", record->bits);
    set_integer(L, "value", record->value);
}

/* [-1, +1, m] The iterator; its upvalues: the list, and the index of the last one. */
static int next_record(lua_State *L)
{
    const lua_Integer index = lua_tointeger(L, lua_upvalueindex(2)) + 1;

    lua_pushinteger(L, index);
    lua_replace(L, lua_upvalueindex(2));
    lua_rawgeti(L, lua_upvalueindex(1), (int)index);
    return 1;
}

/* [-1, +1, e] r:records(): over a snapshot */
static int records(lua_State *L)
{
    readyq_recording **r = check(L);
    struct readyq_record some[32];
    uint64_t from = 0;
    int index = 0;
    size_t n;

    lua_newtable(L);
    while ((n = readyq_records(*r, &from, some, 32)) > 0)
        for (size_t i = 0; i < n; i++) {
            push_record(L, &some[i]);
            lua_rawseti(L, -2, ++index);
        }
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_record, 2);
    return 1;
}

/* [-1, +1, e] #r */
static int length(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)readyq_recorded(*check(L), NULL));
    return 1;
}

/* [-1, +1, e] r:dropped() */
static int dropped(lua_State *L)
{
    uint64_t count;

    readyq_recorded(*check(L), &count);
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

/* [-1, +1, e] tostring(r) */
static int to_string(lua_State *L)
{
    uint64_t count;
    const size_t kept = readyq_recorded(*check(L), &count);
    char text[96];

    snprintf(text, sizeof text, "readyq.recording: records: %zu, dropped: %llu", kept,
             (unsigned long long)count);
    lua_pushstring(L, text);
    return 1;
}

/* ------------------------------------------------------------------ q:record() */

/* [-0, +0, e] */
static size_t read_count(lua_State *L)
{
    const lua_Number most = (lua_Number)(SIZE_MAX / 4), count = luaL_optnumber(L, 2, 100000);

    if (count >= most)
        return SIZE_MAX;
    if (count < 0)
        luaq_refuse(L, 2, "the number of records is negative: %f", count);
    if (count != count || count != (lua_Number)(size_t)count)
        luaq_refuse(L, 2, "the number of records is not an integer: %f", count);
    return (size_t)count;
}

/* [-0, +1, m] */
static void push_type(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"dropped", dropped}, {"records", records}, {"save", save}, {"stop", stop}, {NULL, NULL}};
    static const luaL_Reg events[] = {{"__close", stop},
                                      {"__gc", discard},
                                      {"__len", length},
                                      {"__tostring", to_string},
                                      {NULL, NULL}};

    if (!luaL_newmetatable(L, RECORDING))
        return;
    luaL_setfuncs(L, events, 0);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
}

/* [-2, +n, e] q:record(records). The type is set while there is nothing to discard yet. */
static int record(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const size_t count = read_count(L);
    readyq_recording **r = lua_newuserdatauv(L, sizeof *r, 0);
    int error;

    *r = NULL;
    push_type(L);
    lua_setmetatable(L, -2);
    luaq_note(L);
    error = readyq_record(q->core, count, r);
    return error < 0 ? luaq_fail(L, 2, "record", -1, error) : 1;
}

const luaL_Reg luaq_recording_methods[] = {{"record", record}, {NULL, NULL}};
