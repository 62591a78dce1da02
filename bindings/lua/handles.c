/* SPDX-License-Identifier: MIT
 *
 * Handles: how a trigger is fired from another Lua state of this process, in any thread. A handle
 * is the address of the core's watch, for readyq_fire() in C. readyq.fire() looks it up in a list
 * of the live ones first.
 *
 * Locks. The lock of the list is held while a trigger is fired, so that neither the watch nor its
 * queue is freed meanwhile. The core's locks are taken while it is held; nothing that holds one of
 * them takes it, and neither does a fork, since guard_fork() runs before the core's handlers.
 */
#include "binding.h"

#include <pthread.h>

/* A Lua object that the trigger keeps and that keeps the trigger, so that the memory of both
 * lasts until end_handle(). */
struct handle {
    readyq_watch *trigger;
    readyq *queue; /* a reference to the trigger's; NULL if it was already removed */
    struct handle *next, *prev;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle handles = {NULL, NULL, &handles, &handles};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void lock_handles(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_handles(void)
{
    pthread_mutex_unlock(&lock);
}

/* A child must not start with a lock that a thread of its parent holds. */
static void guard_fork(void)
{
    pthread_atfork(lock_handles, unlock_handles, unlock_handles);
}

/* [-1, +0, -] __gc, which may be called twice (closing.c) */
static int end_handle(lua_State *L)
{
    struct handle *h = lua_touserdata(L, 1);

    lock_handles();
    h->prev->next = h->next;
    h->next->prev = h->prev;
    h->next = h->prev = h;
    unlock_handles();
    if (h->queue != NULL)
        readyq_unref(h->queue);
    h->queue = NULL;
    return 0;
}

/* [-0, +1, e] */
static void push_handle(lua_State *L, struct watch *w)
{
    struct handle *h = lua_newuserdatauv(L, sizeof *h, 1);

    h->trigger = &w->core;
    h->queue = NULL;
    h->next = h->prev = h;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, end_handle);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaq_note(L);
    if (w->core.queue != NULL)
        h->queue = readyq_ref(w->core.queue);
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

/* Fires the trigger. Returns the core's error, with its text; the trigger may be freed as soon as
 * the lock is released. */
static int fire_if_alive(const void *trigger, char *text, size_t size)
{
    struct handle *h;
    int error = -ENOENT;

    lock_handles();
    for (h = handles.next; h != &handles && h->trigger != trigger;)
        h = h->next;
    if (h != &handles)
        error = readyq_fire(h->trigger);
    if (h == &handles)
        snprintf(text, size,
                 "fire() failed for a trigger: the trigger was garbage-collected; keep a "
                 "reference to its watch");
    else if (error < 0)
        readyq_explain_watch("fire", h->trigger, error, text, size);
    unlock_handles();
    return error;
}

/* [-1, +n, e] readyq.fire(handle) */
int luaq_fire(lua_State *L)
{
    char text[320];
    int error;

    if (!lua_islightuserdata(L, 1))
        luaq_refuse(L, 1, "the handle of a trigger is expected");
    error = fire_if_alive(lua_touserdata(L, 1), text, sizeof text);
    if (error < 0)
        return luaq_fail_with(L, text, error);
    lua_pushboolean(L, true);
    return 1;
}
