/* SPDX-License-Identifier: MIT
 *
 * A fuzzer of the Lua binding: bytes choose a function, its arguments and the use of its results:
 * any value for any argument, wrong selves, metamethods called by name, and callbacks that close
 * the queue, collect garbage, fail or continue with the input. Every call is protected; only Lua's
 * own errors may come out. The allocator checks the sizes that Lua passes back, and may refuse an
 * allocation.
 */
#include "values.h"

int luaopen_readyq_core(lua_State *L);

/* ------------------------------------------------------------------ calls */

/* No call may sleep: every queue is woken, so that its next wait returns at once. */
static void wake_all(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, VALUE_TABLE);
    for (int i = 1; i <= VALUES; i++) {
        struct queue *q;

        lua_rawgeti(L, -1, i);
        q = luaL_testudata(L, -1, "readyq.queue");
        if (q != NULL && q->core != NULL)
            readyq_wake(q->core);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* If the first of three results is nil, the others are a message and a number. */
static void check_results(lua_State *L, int first)
{
    const int n = lua_gettop(L) - first + 1;

    if (n != 3 || !lua_isnil(L, first))
        return;
    CHECK(lua_type(L, first + 1) == LUA_TSTRING);
    CHECK(lua_isinteger(L, first + 2));
}

/* [-0, +0, e] One call; its first result is kept. */
static int call_one(lua_State *L)
{
    const int first = lua_gettop(L) + 1, function = byte() % nfunctions + 1;

    if (++calls > CALLS || at >= end)
        return 0;
    luaL_checkstack(L, 20, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, FUNCTION_TABLE);
    lua_rawgeti(L, first, function);
    lua_remove(L, first);
    for (int i = byte() % 6; i > 0; i--)
        push_value(L);
    wake_all(L);
    lua_call(L, lua_gettop(L) - first, LUA_MULTRET);
    check_results(L, first);
    lua_settop(L, first);
    lua_rawgeti(L, LUA_REGISTRYINDEX, VALUE_TABLE);
    lua_insert(L, first);
    lua_rawseti(L, first, byte() % VALUES + 1);
    lua_settop(L, first - 1);
    return 0;
}

/* ------------------------------------------------------------------ the module */

/* [-n, +n, e] Calls its first argument: an iterator, or any other value. */
static int call_value(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* [-1, +0, e] Appends the function on top. */
static void keep_function(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, FUNCTION_TABLE);
    lua_insert(L, -2);
    lua_rawseti(L, -2, ++nfunctions);
    lua_pop(L, 1);
}

/* [-0, +0, e] In the order of the lists, not of Lua's hash tables, so that an input always has the
 * same meaning. */
static void keep_functions(lua_State *L, int of, const luaL_Reg *list)
{
    for (; list->name != NULL; list++) {
        lua_getfield(L, of, list->name);
        CHECK(lua_isfunction(L, -1));
        keep_function(L);
    }
}

/* [-0, +0, e] */
static void keep_all_functions(lua_State *L)
{
    static const luaL_Reg module[] = {{"new", NULL}, {"fire", NULL}, {NULL, NULL}};
    static const luaL_Reg more[] = {{"dispatch", NULL}, {NULL, NULL}};
    static const luaL_Reg index[] = {{"__index", NULL}, {NULL, NULL}};
    static const luaL_Reg threads[] = {
        {"resume", NULL}, {"close", NULL}, {"wrap", NULL}, {"create", NULL}, {NULL, NULL}};

    nfunctions = 0;
    lua_settop(L, 0);
    luaL_requiref(L, "readyq.core", luaopen_readyq_core, 0); /* 1 */
    lua_getfield(L, 1, "new");
    lua_call(L, 0, 1); /* 2: a queue */
    lua_getfield(L, 2, "add_trigger");
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1); /* 3: a watch */
    CHECK(lua_getmetatable(L, 2) && lua_getmetatable(L, 3));
    lua_pushvalue(L, 4);
    lua_setfield(L, LUA_REGISTRYINDEX, "readyq.queue"); /* for luaL_testudata() */
    lua_getglobal(L, "coroutine");                      /* 6 */
    keep_functions(L, 1, module);
    keep_functions(L, 2, luaq_queue_methods);
    keep_functions(L, 2, luaq_sources_methods);
    keep_functions(L, 2, luaq_members_methods);
    keep_functions(L, 2, more);
    keep_functions(L, 3, luaq_watch_methods);
    keep_functions(L, 4, luaq_queue_events);
    keep_functions(L, 4, luaq_members_events);
    keep_functions(L, 5, luaq_watch_events);
    keep_functions(L, 5, index);
    keep_functions(L, 6, threads);
    lua_pushcfunction(L, call_value);
    keep_function(L);
    lua_settop(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, VALUE_TABLE);
    lua_insert(L, 2);
    lua_rawseti(L, 2, 1);
}

static void warn(void *data, const char *message, int more)
{
    (void)data, (void)more;
    CHECK(strlen(message) > 0);
}

static lua_State *open_state(void)
{
    lua_State *L = lua_newstate(allocate, NULL);

    CHECK(L != NULL);
    lua_setwarnf(L, warn, NULL);
    luaL_openlibs(L);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, VALUE_TABLE);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, FUNCTION_TABLE);
    luaL_requiref(L, "readyq.core", luaopen_readyq_core, 0);
    CHECK(luaL_dofile(L, "lua/readyq.lua") == LUA_OK);
    keep_all_functions(L);
    lua_settop(L, 0);
    return L;
}

/* ------------------------------------------------------------------ one input */

static void set_collector(lua_State *L, uint8_t mode)
{
    if (until_refusal > 0)
        lua_gc(L, LUA_GCSTOP);
    else if (mode % 4 == 1)
        lua_gc(L, LUA_GCGEN, 0, 0);
    else if (mode % 4 == 2)
        lua_gc(L, LUA_GCINC, 10, 1000, 1);
}

static void run(lua_State *L)
{
    const uint8_t mode = byte(), refuse = byte();
    int result;

    until_refusal = refuse < 128 ? 0 : (refuse - 126) * (1 + mode % 7);
    set_collector(L, mode);
    for (calls = 0; calls < CALLS && at < end;) {
        lua_pushcfunction(L, call_one);
        result = lua_pcall(L, 0, 0, 0);
        CHECK(result == LUA_OK || result == LUA_ERRRUN || (result == LUA_ERRMEM && refuse >= 128));
        lua_settop(L, 0);
        depth = 0;
        if (mode % 4 == 3)
            collect(L);
    }
    until_refusal = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t before = open_numbers();
    struct sigaction action, action_before;
    lua_State *L;

    at = data;
    end = data + size;
    CHECK(sigaction(SIGTERM, NULL, &action_before) == 0);
    CHECK(pipe(descriptors) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, descriptors + 2) == 0);
    CHECK(write(descriptors[1], "x", 1) == 1);
    L = open_state();
    run(L);
    lua_close(L);
    CHECK(allocated == 0);
    for (int i = 0; i < 4; i++)
        CHECK(close(descriptors[i]) == 0);
    CHECK(open_numbers() == before);
    CHECK(sigaction(SIGTERM, NULL, &action) == 0);
    CHECK(action.sa_handler == action_before.sa_handler);
    return 0;
}
