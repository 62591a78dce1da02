/* SPDX-License-Identifier: MIT
 *
 * The queue object: its type, opening and closing it, the questions about it, the table of its
 * methods. Sources are added in sources.c, found in members.c, and waited for in wait.c.
 */
#include "binding.h"

#include <string.h>

/* ------------------------------------------------------------------ gates */

struct queue *luaq_test_queue(lua_State *L, int index)
{
    struct queue *q = lua_touserdata(L, index);
    bool same;

    if (q == NULL || !lua_getmetatable(L, index))
        return NULL;
    same = lua_rawequal(L, -1, upvalue(QUEUE_TYPE));
    lua_pop(L, 1);
    return same ? q : NULL;
}

struct queue *luaq_check_type(lua_State *L)
{
    struct queue *q = luaq_test_queue(L, 1);

    if (q == NULL)
        luaq_refuse(L, 1, "readyq.queue expected, got %s", luaL_typename(L, 1));
    return q;
}

struct queue *luaq_check_queue(lua_State *L)
{
    struct queue *q = luaq_check_type(L);

    if (q->core == NULL)
        luaL_error(L, "attempt to use a closed readyq.queue");
    return q;
}

/* ------------------------------------------------------------------ life */

/* [-0, +0, e] The clock is at 3. */
static bool is_virtual(lua_State *L)
{
    const char *clock;

    if (lua_type(L, 3) != LUA_TSTRING)
        luaq_refuse(L, 1, "clock must be a string, 'real' or 'virtual', not a %s",
                    luaL_typename(L, 3));
    clock = lua_tostring(L, 3);
    if (strcmp(clock, "virtual") != 0 && strcmp(clock, "real") != 0)
        luaq_refuse(L, 1, "clock must be 'real' or 'virtual', not '%s'", clock);
    return strcmp(clock, "virtual") == 0;
}

/* [-0, +0, e] Its name is at 2. */
static _Noreturn void refuse_option(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        luaq_refuse(L, 1, "the name of an option is a string ('clock' or 'debug'), not a %s",
                    luaL_typename(L, 2));
    luaq_refuse(L, 1, "unknown option '%s' (the options are 'clock' and 'debug')",
                lua_tostring(L, 2));
}

/* [-0, +0, e] */
static void read_options(lua_State *L, struct readyq_options *options, struct readyq_debug *debug)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";

        if (strcmp(name, "clock") == 0)
            options->virtual_clock = is_virtual(L);
        else if (strcmp(name, "debug") == 0)
            luaq_read_debug(L, options, debug);
        else
            refuse_option(L);
        lua_settop(L, 2);
    }
}

/* [-0, +1, e] A closed queue. */
static struct queue *push_closed(lua_State *L)
{
    struct queue *q = lua_newuserdatauv(L, sizeof *q, QUEUE_VALUES);
    const int index = lua_gettop(L);

    memset(q, 0, sizeof *q);
    q->ended = true;
    lua_pushvalue(L, upvalue(QUEUE_TYPE));
    lua_setmetatable(L, index);
    luaq_note(L);
    lua_newtable(L);
    lua_pushvalue(L, index);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, luaq_next, 2);
    lua_setiuservalue(L, index, QUEUE_NEXT);
    lua_setiuservalue(L, index, QUEUE_WATCHES);
    return q;
}

int luaq_new(lua_State *L)
{
    struct readyq_options options = {.interruptible = true};
    struct readyq_debug debug = {0};
    struct queue *q;
    int error;

    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        read_options(L, &options, &debug);
    q = push_closed(L);
    error = readyq_open(&q->core, &options);
    return error < 0 ? luaq_fail(L, 1, "new", -1, error) : 1;
}

/* [-1, +1, e] close, __close and __gc. */
static int queue_close(lua_State *L)
{
    struct queue *q = luaq_check_type(L);
    readyq *core = q->core;

    lua_settop(L, 1);
    q->core = NULL;
    readyq_close(core);
    readyq_done(&q->batch); /* it holds a reference to the core's queue */
    lua_getiuservalue(L, 1, QUEUE_WATCHES);
    for (int slot = 1; slot <= q->slots; slot++) {
        lua_rawgeti(L, 2, slot);
        if (lua_isuserdata(L, 3))
            luaq_forget(L, 3);
        lua_settop(L, 2);
    }
    luaq_end_trace(q);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, QUEUE_TRACE);
    lua_pushboolean(L, true);
    return 1;
}

/* ------------------------------------------------------------------ questions */

/* [-1, +1, e] q:closed() */
static int queue_closed(lua_State *L)
{
    lua_pushboolean(L, luaq_check_type(L)->core == NULL);
    return 1;
}

/* [-1, +n, e] q:fileno() and q:pollfd() */
static int queue_fileno(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int fd = readyq_fileno(q->core);

    if (fd < 0)
        return luaq_fail(L, 1, "fileno", -1, fd);
    q->polled = true;
    lua_pushinteger(L, fd);
    return 1;
}

/* [-1, +1, e] q:events(), called by cqueues: what to poll the queue's descriptor for. */
static int queue_events(lua_State *L)
{
    luaq_check_queue(L);
    lua_pushliteral(L, "r");
    return 1;
}

/* [-1, +1, e] q:timeout(), called by cqueues: none, since the descriptor reports timers too. */
static int queue_timeout(lua_State *L)
{
    luaq_check_queue(L);
    lua_pushnil(L);
    return 1;
}

/* [-1, +1, e] q:backend() */
static int queue_backend(lua_State *L)
{
    lua_pushstring(L, readyq_backend(luaq_check_queue(L)->core));
    return 1;
}

/* [-1, +1, e] q:now() */
static int queue_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)readyq_now(luaq_check_queue(L)->core) / 1e9);
    return 1;
}

/* [-1, +1, e] q:wake() */
static int queue_wake(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);

    readyq_wake(q->core);
    if (q->traced)
        luaq_trace(L, 1, 0);
    lua_pushboolean(L, true);
    return 1;
}

struct figure {
    const char *name;
    uint64_t value;
};

/* [-0, +0, m] Into the table on top. */
static void set_figures(lua_State *L, const struct figure figures[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lua_pushinteger(L, (lua_Integer)figures[i].value);
        lua_setfield(L, -2, figures[i].name);
    }
}

/* [-0, +1, m] */
static void push_kinds(lua_State *L, const struct readyq_stats *s)
{
    lua_newtable(L);
    for (int kind = READYQ_KIND_FD; kind <= READYQ_KIND_TRIGGER; kind++) {
#define FIGURE(name) {#name, s->kinds[kind].name},
        const struct figure figures[] = {READYQ_FIGURES_OF_KIND(FIGURE)};
#undef FIGURE

        lua_newtable(L);
        set_figures(L, figures, sizeof figures / sizeof *figures);
        lua_setfield(L, -2, readyq_kind_name(kind));
    }
}

/* [-0, +1, m] */
static void push_stats(lua_State *L, const struct readyq_stats *s)
{
#define FIGURE(name, meaning) {#name, s->name},
    const struct figure figures[] = {READYQ_FIGURES(FIGURE)};
#undef FIGURE

    lua_newtable(L);
    set_figures(L, figures, sizeof figures / sizeof *figures);
    if (s->ghost_fd >= 0) {
        lua_pushinteger(L, s->ghost_fd);
        lua_setfield(L, -2, "ghost_fd");
    }
    push_kinds(L, s);
    lua_setfield(L, -2, "kinds");
}

/* [-1, +1, e] q:check() */
static int queue_check(lua_State *L)
{
    char differences[8192], *line = differences, *end;
    const int n = readyq_check(luaq_check_queue(L)->core, differences, sizeof differences);

    if (n < 0)
        return luaq_fail(L, 1, "check", -1, n);
    lua_newtable(L);
    for (int i = 1; (end = strchr(line, '\n')) != NULL; i++, line = end + 1) {
        lua_pushlstring(L, line, (size_t)(end - line));
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* [-1, +1, e] q:stats() */
static int queue_stats(lua_State *L)
{
    struct readyq_stats stats;

    readyq_stats(luaq_check_queue(L)->core, &stats);
    push_stats(L, &stats);
    return 1;
}

/* [-1, +1, e] #q */
static int queue_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)readyq_size(luaq_check_queue(L)->core));
    return 1;
}

/* [-1, +1, e] tostring(q) */
static int queue_tostring(lua_State *L)
{
    const struct queue *q = luaq_check_type(L);

    if (q->core == NULL)
        lua_pushliteral(L, "readyq.queue: closed");
    else
        lua_pushfstring(L, "readyq.queue: %s, watches: %d", readyq_backend(q->core),
                        (int)readyq_size(q->core));
    return 1;
}

const luaL_Reg luaq_queue_methods[] = {
    {"backend", queue_backend}, {"close", queue_close},
    {"closed", queue_closed},   {"events", queue_events},
    {"fileno", queue_fileno},   {"now", queue_now},
    {"pollfd", queue_fileno},   {"check", queue_check},
    {"stats", queue_stats},     {"timeout", queue_timeout},
    {"trace", luaq_set_tracer}, {"wait", luaq_wait},
    {"wake", queue_wake},       {NULL, NULL},
};

const luaL_Reg luaq_queue_events[] = {
    {"__close", queue_close},       {"__gc", queue_close}, {"__len", queue_len},
    {"__tostring", queue_tostring}, {NULL, NULL},
};
