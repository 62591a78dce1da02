/* SPDX-License-Identifier: MIT
 *
 * The methods add, add_timer, add_signal, add_process and add_trigger.
 */
#include "binding.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>

/* [-0, +1, e] A new watch, kept in the queue at 1. It keeps the values at `source` (0: none) and
 * `data` alive. The core does not know it yet. Checks last that no finalizer or method has closed
 * the queue meanwhile. */
static struct watch *push_watch(lua_State *L, int source, int data, int values)
{
    struct watch *w = lua_newuserdatauv(L, sizeof *w, values);
    const int index = lua_gettop(L);

    memset(w, 0, sizeof *w);
    lua_pushvalue(L, upvalue(WATCH_TYPE));
    lua_setmetatable(L, index);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, index, WATCH_QUEUE);
    if (source > 0) {
        lua_pushvalue(L, source);
        lua_setiuservalue(L, index, WATCH_SOURCE);
    }
    lua_pushvalue(L, data);
    luaq_set_data(L, index);
    luaq_keep(L, index);
    luaq_check_queue(L);
    return w;
}

/* [-0, +n, e] Returns the watch on top; or the core's error, which may be that of argument
 * `arg`. */
static int added(lua_State *L, int arg, const char *call, int fd, int error)
{
    const int watch = lua_gettop(L);
    struct queue *q = lua_touserdata(L, 1);

    if (error < 0) {
        luaq_forget(L, watch);
        return luaq_fail(L, arg, call, fd, error);
    }
    if (q->traced)
        luaq_trace(L, 1, watch);
    luaq_tidy(L, q, 1);
    return 1;
}

/* [-4, +n, e] q:add(source, interest, data); without an interest: READ */
static int queue_add(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int fd = luaq_descriptor(L, 2);
    const uint32_t interest = lua_isnoneornil(L, 3) ? READYQ_READ : luaq_interest(L, 3);
    struct watch *w;

    lua_settop(L, 4);
    w = push_watch(L, 2, 4, FD_VALUES);
    return added(L, 3, "add", fd, readyq_add(q->core, &w->core, fd, interest));
}

/* [-4, +n, e] q:add_timer(delay, data, period) */
static int queue_add_timer(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int64_t delay = luaq_delay(L, 2);
    const int64_t period = lua_isnoneornil(L, 4) ? 0 : luaq_delay(L, 4);
    struct watch *w;

    lua_settop(L, 4);
    w = push_watch(L, 0, 3, WATCH_VALUES);
    w->period = lua_tonumber(L, 4);
    return added(L, 2, "add_timer", -1, readyq_add_timer(q->core, &w->core, delay, period));
}

/* [-0, +0, e] */
static void warn_blocked(lua_State *L, int signal)
{
    char text[256];

    lua_pushfstring(L, "readyq: %s", readyq_explain_blocked(signal, text, sizeof text));
    lua_warning(L, lua_tostring(L, -1), 0);
    lua_pop(L, 1);
}

/* Whether a function is part of a shared library, and not of the program that runs Lua. */
static bool is_in_library(void (*function)(int))
{
    const char *name;
    void *address;
    Dl_info info;

    memcpy(&address, &function, sizeof address);
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL)
        return true; /* compiled at run time, as LuaJIT's callbacks are */
    name = strrchr(info.dli_fname, '/');
    name = name != NULL ? name : info.dli_fname;
    return strstr(name, ".so") != NULL || strstr(name, ".dylib") != NULL;
}

void luaq_find_interrupt_handler(void)
{
    struct sigaction now;

    if (sigaction(SIGINT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN && !is_in_library(now.sa_handler))
        readyq_default_handler(SIGINT, now.sa_handler);
}

/* [-3, +n, e] q:add_signal(signal, data) */
static int queue_add_signal(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int number = luaq_signal(L, 2);
    struct watch *w;
    int result;

    lua_settop(L, 3);
    w = push_watch(L, 2, 3, WATCH_VALUES);
    if (number == SIGINT)
        luaq_find_interrupt_handler();
    result = readyq_add_signal(q->core, &w->core, number);
    if (result > 0 && luaq_warn(L, q, 1) == 0) /* in debug mode the watchdog warns of it */
        warn_blocked(L, number);
    return added(L, 2, "add_signal", -1, result);
}

/* [-3, +n, e] q:add_process(pid, data) */
static int queue_add_process(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    const int pid = luaq_int(L, 2, "the process id");
    struct watch *w;

    lua_settop(L, 3);
    w = push_watch(L, 2, 3, WATCH_VALUES);
    return added(L, 2, "add_process", -1, readyq_add_process(q->core, &w->core, pid));
}

/* [-2, +n, e] q:add_trigger(data) */
static int queue_add_trigger(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    struct watch *w;

    lua_settop(L, 2);
    w = push_watch(L, 0, 2, TRIGGER_VALUES);
    return added(L, 2, "add_trigger", -1, readyq_add_trigger(q->core, &w->core));
}

const luaL_Reg luaq_sources_methods[] = {
    {"add", queue_add},
    {"add_timer", queue_add_timer},
    {"add_signal", queue_add_signal},
    {"add_process", queue_add_process},
    {"add_trigger", queue_add_trigger},
    {NULL, NULL},
};
