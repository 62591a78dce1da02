/* SPDX-License-Identifier: MIT
 *
 * A queue as the collection of its watches: keeping them, finding one by its source, changing and
 * removing it, listing. Adding is in sources.c, the methods of a watch are in watch.c.
 */
#include "binding.h"

/* ------------------------------------------------------------------ keeping watches */

void luaq_keep(lua_State *L, int watch)
{
    struct watch *w = lua_touserdata(L, watch);
    struct queue *q;
    int slot;

    lua_getiuservalue(L, watch, WATCH_QUEUE);
    q = lua_touserdata(L, -1);
    slot = q->free > 0 ? q->free : q->slots + 1;
    lua_getiuservalue(L, -1, QUEUE_WATCHES);
    lua_rawgeti(L, -1, slot);
    q->free = (int)lua_tointeger(L, -1);
    lua_pushvalue(L, watch);
    lua_rawseti(L, -3, slot);
    lua_pop(L, 3);
    if (slot > q->slots)
        q->slots = slot;
    w->core.data = (void *)(intptr_t)slot; /* NOLINT(performance-no-int-to-ptr): a number */
    w->kept = true;
}

void luaq_set_data(lua_State *L, int watch)
{
    ((struct watch *)lua_touserdata(L, watch))->is_function = lua_isfunction(L, -1);
    lua_setiuservalue(L, watch, WATCH_DATA);
}

void luaq_forget(lua_State *L, int watch)
{
    struct watch *w = lua_touserdata(L, watch);
    struct queue *q;

    if (!w->kept)
        return;
    lua_getiuservalue(L, watch, WATCH_QUEUE);
    q = lua_touserdata(L, -1);
    lua_getiuservalue(L, -1, QUEUE_WATCHES);
    lua_pushinteger(L, q->free);
    lua_rawseti(L, -2, luaq_slot(&w->core));
    lua_pop(L, 2);
    q->free = luaq_slot(&w->core);
    w->kept = false;
}

/* [-0, +0, -] */
static void forget_dead(lua_State *L, int queue, const readyq_watch *dead)
{
    lua_getiuservalue(L, queue, QUEUE_WATCHES);
    lua_rawgeti(L, -1, luaq_slot(dead));
    luaq_forget(L, lua_gettop(L));
    lua_pop(L, 2);
}

/* [-0, +0, e] */
static void warn_of_ghost(lua_State *L, int fd)
{
    char text[256];

    lua_pushfstring(L, "readyq: %s", readyq_explain_ghost(fd, text, sizeof text));
    lua_warning(L, lua_tostring(L, -1), 0);
    lua_pop(L, 1);
}

void luaq_tidy(lua_State *L, struct queue *q, int queue)
{
    readyq_watch *dead;
    int fd;

    luaq_warn(L, q, queue);
    while (q->core != NULL && (dead = readyq_stale(q->core)) != NULL)
        forget_dead(L, queue, dead);
    while (q->core != NULL && (fd = readyq_ghost(q->core)) >= 0)
        warn_of_ghost(L, fd);
}

/* ------------------------------------------------------------------ finding */

/* [-0, +1, e] The watch whose source is argument 2, an object that may be closed; or nil. */
static void push_by_source(lua_State *L, const struct queue *q)
{
    lua_getiuservalue(L, 1, QUEUE_WATCHES);
    for (int slot = 1; slot <= q->slots; slot++) {
        lua_rawgeti(L, -1, slot);
        if (lua_isuserdata(L, -1)) {
            lua_getiuservalue(L, -1, WATCH_SOURCE);
            if (lua_rawequal(L, -1, 2)) {
                lua_pop(L, 1);
                return;
            }
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pushnil(L);
}

/* [-0, +1, e] The watch that argument 2 names: itself, or what was added; or nil. Returns the
 * descriptor, -1 if there is none. */
static int push_named_watch(lua_State *L, const struct queue *q)
{
    const struct watch *w = luaq_test_watch(L, 2);
    const bool object = lua_istable(L, 2) || lua_isuserdata(L, 2);
    readyq_watch *found;
    int fd;

    if (w != NULL) {
        if (w->core.queue != NULL && w->core.queue != q->core)
            luaq_refuse(L, 2, "the watch is in another queue");
        lua_pushvalue(L, 2);
        return w->core.fd;
    }
    fd = object ? luaq_find_descriptor(L, 2) : luaq_descriptor(L, 2);
    luaq_check_queue(L);
    found = readyq_find(q->core, fd);
    if (found != NULL) {
        lua_getiuservalue(L, 1, QUEUE_WATCHES);
        lua_rawgeti(L, -1, luaq_slot(found));
    } else if (object) {
        push_by_source(L, q);
    } else {
        lua_pushnil(L); /* an equal number may be a signal's or a process's */
    }
    return fd;
}

/* [-0, +3, m] The core has no reason for this. */
static int fail_unknown(lua_State *L, const char *call, int fd)
{
    static const char why[] = "this queue does not watch it; add it first";
    char what[256], text[400];

    if (fd >= 0)
        snprintf(text, sizeof text, "%s() failed for descriptor %d (%s): %s", call, fd,
                 readyq_describe(fd, what, sizeof what), why);
    else
        snprintf(text, sizeof text, "%s() failed: %s", call, why);
    return luaq_fail_with(L, text, -ENOENT);
}

/* [-2, +1, e] q:get(source): nil also for a watch that is no longer in the queue. */
static int queue_get(lua_State *L)
{
    const struct watch *w;

    push_named_watch(L, luaq_check_queue(L));
    w = lua_touserdata(L, -1);
    if (w != NULL && w->core.queue == NULL)
        lua_pushnil(L);
    return 1;
}

/* [-2, +n, e] q:remove(watch or source): false if the watch was no longer in a queue. */
static int queue_remove(lua_State *L)
{
    const int fd = push_named_watch(L, luaq_check_queue(L));

    return lua_isnil(L, -1) ? fail_unknown(L, "remove", fd) : luaq_remove(L, lua_gettop(L));
}

/* [-3, +n, e] q:modify(watch or source, interest) */
static int queue_modify(lua_State *L)
{
    int fd;

    lua_settop(L, 3);
    fd = push_named_watch(L, luaq_check_queue(L));
    return lua_isnil(L, -1) ? fail_unknown(L, "modify", fd) : luaq_modify(L, lua_gettop(L), 3);
}

/* [-2, +2, e] The step of pairs(q): the watch after the given one, with its data. */
static int next_watch(lua_State *L)
{
    const struct queue *q = luaq_check_type(L);
    const struct watch *w = lua_isnoneornil(L, 2) ? NULL : luaq_check_watch(L, 2);

    lua_getiuservalue(L, 1, QUEUE_WATCHES);
    for (int slot = w == NULL ? 1 : luaq_slot(&w->core) + 1; slot <= q->slots; slot++) {
        lua_rawgeti(L, -1, slot);
        if (lua_isuserdata(L, -1)) {
            lua_getiuservalue(L, -1, WATCH_DATA);
            return 2;
        }
        lua_pop(L, 1);
    }
    return 0;
}

/* [-1, +2, e] q:watches() and pairs(q) */
static int queue_watches(lua_State *L)
{
    luaq_check_queue(L);
    for (int i = 1; i <= UPVALUES; i++)
        lua_pushvalue(L, upvalue(i));
    lua_pushcclosure(L, next_watch, UPVALUES);
    lua_pushvalue(L, 1);
    return 2;
}

const luaL_Reg luaq_members_methods[] = {
    {"get", queue_get},
    {"modify", queue_modify},
    {"remove", queue_remove},
    {"watches", queue_watches},
    {NULL, NULL},
};

const luaL_Reg luaq_members_events[] = {
    {"__pairs", queue_watches},
    {NULL, NULL},
};
