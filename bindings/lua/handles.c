/* SPDX-License-Identifier: MIT
 *
 * Handles: how a trigger is fired from another Lua state of this process, in any thread. A handle
 * is the address of the core's watch, for readyq_fire() in C; a list of those that live keeps
 * readyq.fire() from touching one that is gone.
 */
#include "binding.h"

#include <pthread.h>

/* A Lua object that the trigger keeps and that keeps the trigger, so that the memory of both
 * lasts until the collector has called end_handle(). */
struct handle {
    readyq_watch *trigger;
    struct handle *next, *prev;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle handles = {NULL, &handles, &handles};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void lock_handles(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_handles(void)
{
    pthread_mutex_unlock(&lock);
}

/* A child must not start with the lock of a thread that it does not have. */
static void guard_fork(void)
{
    pthread_atfork(lock_handles, unlock_handles, unlock_handles);
}

/* [-1, +0, -] __gc */
static int end_handle(lua_State *L)
{
    struct handle *h = lua_touserdata(L, 1);

    lock_handles();
    h->prev->next = h->next;
    h->next->prev = h->prev;
    unlock_handles();
    return 0;
}

/* [-0, +1, m] */
static void push_handle(lua_State *L, struct watch *w)
{
    struct handle *h = lua_newuserdatauv(L, sizeof *h, 1);

    h->trigger = &w->core;
    h->next = h->prev = h;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, end_handle);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lock_handles();
    h->next = handles.next;
    h->prev = &handles;
    h->next->prev = h->prev->next = h;
    unlock_handles();
}

/* [-1, +1, e] t:handle() */
int luaq_handle(lua_State *L)
{
    struct watch *w = luaq_check_watch(L, 1);

    if (w->core.kind != READYQ_KIND_TRIGGER)
        luaq_refuse(L, 1, "only a trigger has a handle");
    pthread_once(&once, guard_fork);
    lua_getiuservalue(L, 1, WATCH_HANDLE);
    if (lua_isnil(L, -1)) {
        push_handle(L, w);
        lua_setiuservalue(L, 1, WATCH_HANDLE);
    }
    lua_pushlightuserdata(L, &w->core);
    return 1;
}

/* -ENOENT also when it is gone. */
static int fire_if_alive(const void *trigger)
{
    struct handle *h;
    int error = -ENOENT;

    lock_handles();
    for (h = handles.next; h != &handles && h->trigger != trigger;)
        h = h->next;
    if (h != &handles)
        error = readyq_fire(h->trigger);
    unlock_handles();
    return error;
}

/* [-1, +n, e] readyq.fire(handle) */
int luaq_fire(lua_State *L)
{
    int error;

    if (!lua_islightuserdata(L, 1))
        luaq_refuse(L, 1, "the handle of a trigger expected");
    error = fire_if_alive(lua_touserdata(L, 1));
    if (error < 0)
        return luaq_fail(L, 1, "fire", -1, error);
    lua_pushboolean(L, true);
    return 1;
}
