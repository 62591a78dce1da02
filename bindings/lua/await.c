/* SPDX-License-Identifier: MIT
 *
 * The wait of a coroutine for a watch, for readyq.loop: nearly all of its waits are for reading
 * and have no timeout. Such a wait is noted in the watch, and the loop of the queue's last wait
 * resumes the coroutine itself. scheduler.lua and descriptor.lua have the general form of a wait;
 * with release() they take over one that is noted here.
 *
 * The whole of such a wait is in C, from the program's call to its return. With a frame of Lua
 * between them, a table for each descriptor and a lookup in a weak table for each coroutine, an
 * echo took 8,600 instructions instead of 7,300 and, with 200 connections and 512 KiB of L2, 22
 * cache misses instead of 12 (callgrind and cachegrind, Lua 5.4).
 *
 * Where Lua cannot say whether a coroutine can yield, there are no such waits.
 */
#include "binding.h"

#include <string.h>

#ifdef HAS_ISYIELDABLE

enum { DIRECTIONS = READYQ_READ | READYQ_WRITE | READYQ_PRIORITY };

/* What a coroutine is resumed with when its event has come: nothing else has this address. */
static char event;

/* ------------------------------------------------------------------ resuming */

/* [-0, +0 or 1, -] Resumes a coroutine of the loop with the value on top of its stack. Returns
 * whether it raised an error; if so, pushes the error. Only a coroutine that was resumed here can
 * begin a wait of this kind: the loop will then resume it, and not, for example, the caller of a
 * generator. The watch that it awaits stays on top of its stack, for awaits(). */
static bool resume_known(lua_State *L, struct queue *q, lua_State *co)
{
    lua_State *outer = q->running;
    int status, results = 0;
    bool is_awaiting;

    q->running = co;
    status = resume_thread(co, L, 1, &results);
    is_awaiting = q->running == NULL;
    q->running = outer;
    if (status > LUA_YIELD)
        lua_xmove(co, L, 1);
    else if (!is_awaiting && results > 0)
        lua_pop(co, results);
    return status > LUA_YIELD;
}

/* [-0, +0, -] The wait noted in the watch is over. */
static void forget_waiter(lua_State *L, int watch)
{
    lua_pushnil(L);
    lua_setiuservalue(L, watch, WATCH_WAITER);
}

/* The watch keeps the coroutine until a run of the coroutine has ended without another wait for the
 * watch: if it were stored again for each wait, the collector would look at the watch again and
 * again. */
enum taken luaq_end_await(lua_State *L, struct queue *q, int watch)
{
    struct watch *w = lua_touserdata(L, watch);
    const int top = lua_gettop(L);
    enum taken result = TAKEN;
    lua_State *co;

    if ((w->core.ready & DIRECTIONS) != READYQ_READ)
        return TAKEN;
    if (w->awaited > q->wait) /* the event is older than the wait */
        return RESUMED;
    lua_getiuservalue(L, watch, WATCH_WAITER);
    co = lua_tothread(L, -1);
    if (lua_status(co) == LUA_YIELD) { /* the program has not closed it */
        w->awaited = 0;
        q->awaited--;
        lua_pushlightuserdata(co, &event); /* the frame of read_object() has room */
        result = resume_known(L, q, co) ? RAISED : RESUMED;
        if (w->awaited == 0)
            forget_waiter(L, watch);
    }
    if (result != RAISED)
        lua_settop(L, top);
    return result;
}

/* [-2, +0 or 2, -] resume(co, value), with no other arguments: resumes a coroutine that is
 * suspended in a call to C, whose frame has room for the value. Returns nothing, whatever it
 * yields; or true and its error. */
static int resume(lua_State *L)
{
    struct queue *q = lua_touserdata(L, upvalue(1));
    lua_State *co = lua_tothread(L, 1);
    lua_Debug frame;

    if (lua_status(co) != LUA_YIELD) {
        lua_pushboolean(L, true);
        lua_pushstring(L, lua_getstack(co, 0, &frame) ? "cannot resume non-suspended coroutine"
                                                      : "cannot resume dead coroutine");
        return 2;
    }
    lua_xmove(L, co, 1);
    if (!resume_known(L, q, co))
        return 0;
    lua_pushboolean(L, true);
    lua_insert(L, -2);
    return 2;
}

/* [-1, +1, e] resumer(queue): a function resume(co, value) for the loop with this queue. */
static int resumer(lua_State *L)
{
    luaq_check_type(L);
    lua_settop(L, 1);
    lua_pushcclosure(L, resume, 1);
    return 1;
}

/* ------------------------------------------------------------------ waiting */

/* The upvalues of a function that reader() makes, and its stack while a coroutine waits in it. */
enum { READER_QUEUE = 1, READER_WATCHES, READER_WAIT, READER_CONCLUDE };
enum { AT_OBJECT = 1, AT_TIMEOUT, AT_WATCH, AT_VALUE };

/* [-0, +n, e] Calls a method of the object, which is in C and has no upvalues, as a C function: its
 * argument is at 1 here, too (AT_OBJECT), and find_watch() has made room on the stack for what it
 * pushes. Returns the index of its first result. A call through Lua takes 120 more instructions
 * (callgrind, Lua 5.4). */
static int call_method(lua_State *L, lua_CFunction method)
{
    const int results = method(L);

    return lua_gettop(L) - results + 1;
}

/* [-0, +0, e] Whether the object still has the descriptor of the watch. io.type() says only that a
 * file is open. */
static bool is_open(lua_State *L, const struct watch *w)
{
    const int answer = call_method(L, w->ask);
    bool same;

    if (lua_type(L, answer) == LUA_TNUMBER)
        same = lua_tonumber(L, answer) == w->core.fd;
    else
        same = lua_isstring(L, answer) && strcmp(lua_tostring(L, answer), "file") == 0;
    lua_settop(L, AT_WATCH);
    return same;
}

/* [-0, +0, e] Whether the object itself holds bytes. */
static bool is_dirty(lua_State *L, const struct watch *w)
{
    bool dirty;

    if (w->dirty == NULL)
        return false;
    dirty = lua_toboolean(L, call_method(L, w->dirty));
    lua_settop(L, AT_WATCH);
    return dirty;
}

/* [-0, +0 or 1, e] Pushes the watch of the object, and returns it, if the running coroutine can
 * wait for it in this form; else NULL. */
static struct watch *find_watch(lua_State *L, const struct queue *q)
{
    struct watch *w;

    if (q->running != L || q->forbidden > 0 || lua_toboolean(L, AT_TIMEOUT) || !lua_isyieldable(L))
        return NULL;
    lua_pushvalue(L, AT_OBJECT);
    lua_rawget(L, upvalue(READER_WATCHES));
    w = lua_touserdata(L, AT_WATCH);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    return w != NULL && w->ask != NULL && w->awaited == 0 && is_open(L, w) ? w : NULL;
}

/* [-0, +0, -] Notes in the watch that the running coroutine awaits it. */
static void note_waiter(lua_State *L, struct queue *q, struct watch *w)
{
    lua_getiuservalue(L, AT_WATCH, WATCH_WAITER);
    if (lua_tothread(L, -1) != L) {
        lua_pushthread(L);
        lua_setiuservalue(L, AT_WATCH, WATCH_WAITER);
    }
    lua_settop(L, AT_WATCH);
    w->awaited = q->wait + 1;
    q->awaited++;
    q->running = NULL;
}

/* [-n, +m, e] The coroutine was resumed. Returns true if its event has come. If the wait was taken
 * over, or the program has resumed it, returns what conclude(value, watch) does. */
static int end_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_settop(L, AT_VALUE);
    if (lua_touserdata(L, AT_VALUE) == &event) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushvalue(L, upvalue(READER_CONCLUDE));
    lua_insert(L, AT_WATCH);
    lua_insert(L, AT_VALUE);
    lua_call(L, 2, LUA_MULTRET);
    return lua_gettop(L) - AT_TIMEOUT;
}

static int pass_results(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    return lua_gettop(L);
}

/* [-2, +n, e] read(object, timeout): waits until the object is ready for reading, and returns true.
 * If that cannot be a wait of this form, it returns what wait(object, timeout) does; or nothing, if
 * reader() got no such function. */
static int read_object(lua_State *L)
{
    struct queue *q = lua_touserdata(L, upvalue(READER_QUEUE));
    struct watch *w;

    lua_settop(L, AT_TIMEOUT);
    w = find_watch(L, q);
    if (w != NULL && is_dirty(L, w)) {
        lua_pushboolean(L, true);
        return 1;
    }
    if (w != NULL) {
        note_waiter(L, q, w);
        return lua_yieldk(L, 1, 0, end_wait);
    }
    lua_settop(L, AT_TIMEOUT);
    lua_pushvalue(L, upvalue(READER_WAIT));
    if (lua_isnil(L, -1))
        return 0;
    lua_insert(L, AT_OBJECT);
    lua_callk(L, 2, LUA_MULTRET, 0, pass_results);
    return lua_gettop(L);
}

/* [-4, +1, e] reader(queue, watches, wait, conclude): a function read(object, timeout), as above.
 * `watches` has the watch of each object. */
static int reader(lua_State *L)
{
    luaq_check_type(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 4);
    lua_pushcclosure(L, read_object, 4);
    return 1;
}

/* ------------------------------------------------------------------ together with other waits */

/* [-0, +0, -] A C function without upvalues, or NULL. */
static lua_CFunction plain_function(lua_State *L, int index)
{
    lua_CFunction f = lua_tocfunction(L, index);

    if (f == NULL || lua_getupvalue(L, index, 1) == NULL)
        return f;
    lua_pop(L, 1);
    return NULL;
}

/* [-3, +0, e] allow(watch, ask, dirty): the watch, which asks for READ, and for which no coroutine
 * waits in another form, may be awaited from now on, until release(). ask(object) says which
 * descriptor its object has, and dirty(object), if given, whether the object itself holds bytes.
 * This has an effect only if they are C functions. */
static int allow(lua_State *L)
{
    struct watch *w = luaq_check_watch(L, 1);
    const bool has_dirty = lua_toboolean(L, 3);

    w->dirty = plain_function(L, 3);
    w->ask = has_dirty && w->dirty == NULL ? NULL : plain_function(L, 2);
    return 0;
}

/* [-1, +2, e] release(watch): the coroutine that awaits it, if any, and whether its wait began
 * after the queue reported what it reports now. The coroutine no longer awaits the watch, and none
 * does until allow(). */
static int release(lua_State *L)
{
    struct watch *w = luaq_check_watch(L, 1);
    struct queue *q;

    w->ask = NULL;
    if (w->awaited == 0)
        return 0;
    lua_getiuservalue(L, 1, WATCH_QUEUE);
    q = lua_touserdata(L, -1);
    lua_getiuservalue(L, 1, WATCH_WAITER);
    lua_pushboolean(L, w->awaited > q->wait);
    forget_waiter(L, 1);
    w->awaited = 0;
    q->awaited--;
    return 2;
}

/* [-0, +0 or 1, -] Pushes the watch of the queue at 1 that the coroutine awaits, if there is
 * one. */
static int find_awaited(lua_State *L, const struct queue *q, const lua_State *co)
{
    lua_getiuservalue(L, 1, QUEUE_WATCHES);
    for (int slot = 1; slot <= q->slots; slot++) {
        const struct watch *w;

        lua_rawgeti(L, -1, slot);
        w = lua_touserdata(L, -1); /* NULL: the slot is free */
        if (w != NULL && w->awaited != 0) {
            lua_getiuservalue(L, -1, WATCH_WAITER);
            if (lua_tothread(L, -1) == co) {
                lua_pop(L, 1);
                return 1;
            }
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return 0;
}

/* [-2, +1, e] awaits(queue, co): the watch that a coroutine awaits, or nothing. For one that the
 * program has closed, it looks at each watch. */
static int awaits(lua_State *L)
{
    const struct queue *q = luaq_check_type(L);
    lua_State *co = lua_tothread(L, 2);
    lua_Debug frame;
    bool is_reading;

    if (!lua_getstack(co, 0, &frame))
        return lua_gettop(co) == 0 ? find_awaited(L, q, co) : 0;
    if (lua_status(co) != LUA_YIELD)
        return 0;
    lua_getinfo(co, "f", &frame);
    is_reading = lua_tocfunction(co, -1) == read_object;
    lua_pop(co, 1);
    if (!is_reading)
        return 0;
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    return 1;
}

/* [-2, +0, e] forbid(queue, change): while the sum of all changes is above 0, no wait begins in
 * this form. */
static int forbid(lua_State *L)
{
    luaq_check_type(L)->forbidden += (int)luaL_checkinteger(L, 2);
    return 0;
}

/* [-1, +1, e] count(queue): how many of its watches coroutines await. */
static int count(lua_State *L)
{
    lua_pushinteger(L, luaq_check_type(L)->awaited);
    return 1;
}

/* [-2, +0 or 2, e] current(tasks): the running coroutine and its entry in the table `tasks`, if it
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
    {"allow", allow},     {"awaits", awaits},   {"count", count},
    {"current", current}, {"forbid", forbid},   {"reader", reader},
    {"release", release}, {"resumer", resumer}, {NULL, NULL},
};

#else

enum taken luaq_end_await(lua_State *L, struct queue *q, int watch)
{
    (void)L, (void)q, (void)watch;
    return TAKEN;
}

const luaL_Reg luaq_await_functions[] = {{NULL, NULL}}; /* lua/readyq.lua has what the loop needs */

#endif
