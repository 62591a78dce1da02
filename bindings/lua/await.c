/* SPDX-License-Identifier: MIT
 *
 * The wait of a coroutine for a watch, for readyq.loop: nearly all of its waits are for reading
 * and have no timeout. Such a wait is noted in the watch, and the loop of the queue's last wait
 * resumes the coroutine itself. scheduler.lua and descriptor.lua have the general form of a wait;
 * they take over one that is noted here with release().
 *
 * An echo with waits in this form takes 2,700 of 11,100 instructions less (callgrind,
 * Lua 5.4). Where Lua cannot say whether a coroutine can yield, await() always refuses.
 *
 * current() and resume() do what scheduler.lua needs for every wait in one call each.
 */
#include "binding.h"

#ifdef HAS_ISYIELDABLE

enum { DIRECTIONS = READYQ_READ | READYQ_WRITE | READYQ_PRIORITY };

/* [-0, +1, -] Pushes the queue of the watch. */
static struct queue *push_queue(lua_State *L, int watch)
{
    lua_getiuservalue(L, watch, WATCH_QUEUE);
    return lua_touserdata(L, -1);
}

/* [-0, +0, -] The wait noted in the watch is over. */
static void forget_waiter(lua_State *L, struct queue *q, int watch)
{
    struct watch *w = lua_touserdata(L, watch);

    w->awaited = 0;
    q->awaited--;
    lua_pushnil(L);
    lua_setiuservalue(L, watch, WATCH_WAITER);
}

/* [-0, +0 or 1, -] Resumes the coroutine on top, with the watch. RAISED: pushes its error. */
static enum taken resume_waiter(lua_State *L, int watch)
{
    lua_State *co = lua_tothread(L, -1);
    int results = 0;

    lua_pushvalue(L, watch);
    lua_xmove(L, co, 1);
    if (resume_thread(co, L, 1, &results) > LUA_YIELD) {
        lua_xmove(co, L, 1);
        return RAISED;
    }
    lua_pop(co, results);
    return RESUMED;
}

enum taken luaq_end_await(lua_State *L, struct queue *q, int watch)
{
    const struct watch *w = lua_touserdata(L, watch);
    const int top = lua_gettop(L);
    enum taken result = TAKEN;
    lua_State *co;

    if ((w->core.ready & DIRECTIONS) != READYQ_READ)
        return TAKEN;
    if (w->awaited > q->wait) /* the event is older than the wait */
        return RESUMED;
    lua_getiuservalue(L, watch, WATCH_WAITER);
    co = lua_tothread(L, -1);
    if (lua_status(co) == LUA_YIELD && lua_checkstack(co, 1)) { /* the program has not closed it */
        forget_waiter(L, q, watch);
        result = resume_waiter(L, watch);
    }
    if (result != RAISED)
        lua_settop(L, top);
    return result;
}

/* [-0, +0, -] Whether the coroutine has the watch's data in the table `readers`. */
static bool is_reader(lua_State *L)
{
    bool same;

    lua_pushthread(L);
    lua_rawget(L, 2);
    lua_getiuservalue(L, 1, WATCH_DATA);
    same = lua_istable(L, -2) && lua_rawequal(L, -1, -2);
    lua_settop(L, 4);
    return same;
}

/* [-0, +0, e] */
static bool is_dirty(lua_State *L)
{
    bool dirty;

    lua_pushvalue(L, 4);
    lua_pushvalue(L, 3);
    lua_call(L, 1, 1);
    dirty = lua_toboolean(L, -1);
    lua_settop(L, 4);
    return dirty;
}

/* [-0, +0, -] Notes in the watch at 1 that the running coroutine awaits it. */
static void note_waiter(lua_State *L, struct watch *w)
{
    struct queue *q = push_queue(L, 1);

    lua_pushthread(L);
    lua_setiuservalue(L, 1, WATCH_WAITER);
    w->awaited = q->wait + 1;
    q->awaited++;
}

/* [-4, +n, e] await(watch, readers, object, dirty): suspends the coroutine that runs until the
 * watch is ready for reading, if its entry in `readers` is the watch's data. Returns the watch
 * then, and at once if dirty(object) is true. If it cannot do so, it returns `readers`. Any other
 * code that resumes the coroutine has to call release(). */
static int await(lua_State *L)
{
    struct watch *w = luaq_test_watch(L, 1);

    lua_settop(L, 4);
    if (w == NULL || w->awaited != 0 || !lua_isyieldable(L) || !is_reader(L)) {
        lua_settop(L, 2);
        return 1;
    }
    if (lua_toboolean(L, 4) && is_dirty(L)) {
        lua_settop(L, 1);
        return 1;
    }
    note_waiter(L, w);
    return lua_yield(L, 0);
}

/* [-1, +2, e] release(watch): the coroutine that awaits it, if any, and whether its wait began
 * after the queue reported what it reports now. The coroutine no longer awaits the watch. */
static int release(lua_State *L)
{
    const struct watch *w = luaq_check_watch(L, 1);
    struct queue *q;

    if (w->awaited == 0)
        return 0;
    q = push_queue(L, 1);
    lua_getiuservalue(L, 1, WATCH_WAITER);
    lua_pushboolean(L, w->awaited > q->wait);
    forget_waiter(L, q, 1);
    return 2;
}

/* [-1, +1, e] count(queue): how many of its watches coroutines await. */
static int count(lua_State *L)
{
    lua_pushinteger(L, luaq_check_type(L)->awaited);
    return 1;
}

/* [-2, +0 or 2, -] resume(co, value): resumes a coroutine that is suspended in a call of C, whose
 * frame has room for the value. Returns nothing, whatever it yields; or true and its error. */
static int resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    lua_Debug frame;
    int results = 0;

    if (lua_status(co) != LUA_YIELD) {
        lua_pushboolean(L, true);
        lua_pushstring(L, lua_getstack(co, 0, &frame) ? "cannot resume non-suspended coroutine"
                                                      : "cannot resume dead coroutine");
        return 2;
    }
    lua_settop(L, 2);
    lua_xmove(L, co, 1);
    if (resume_thread(co, L, 1, &results) <= LUA_YIELD) {
        lua_pop(co, results);
        return 0;
    }
    lua_pushboolean(L, true);
    lua_xmove(co, L, 1);
    return 2;
}

/* [-1, +0 or 2, e] current(tasks): the running coroutine and its entry in the table `tasks`, if it
 * can yield. */
static int current(lua_State *L)
{
    if (!lua_isyieldable(L))
        return 0;
    lua_settop(L, 1);
    lua_pushthread(L);
    lua_pushthread(L);
    lua_rawget(L, 1);
    return 2;
}

const luaL_Reg luaq_await_functions[] = {
    {"await", await},     {"release", release}, {"count", count},
    {"current", current}, {"resume", resume},   {NULL, NULL},
};

#else

enum taken luaq_end_await(lua_State *L, struct queue *q, int watch)
{
    (void)L, (void)q, (void)watch;
    return TAKEN;
}

static int await(lua_State *L)
{
    lua_settop(L, 2);
    return 1;
}

static int release(lua_State *L)
{
    (void)L;
    return 0;
}

static int count(lua_State *L)
{
    lua_pushinteger(L, 0);
    return 1;
}

static int current(lua_State *L)
{
    (void)L;
    return 0;
}

/* scheduler.lua has a `resume` of its own. */
const luaL_Reg luaq_await_functions[] = {
    {"await", await}, {"release", release}, {"count", count}, {"current", current}, {NULL, NULL}};

#endif
