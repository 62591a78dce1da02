/* SPDX-License-Identifier: MIT
 *
 * What the files of the Lua binding share: its two objects and the functions that one file calls in
 * another. Differences between the versions of Lua are handled in compat.h.
 *
 * Upvalues  The functions of the module, and the methods and metamethods of queues and watches,
 *           have the same ones: the two metatables, so that a type is checked with one comparison,
 *           and a Lua function that loops n times and does nothing else, which is called to let
 *           Lua's hooks run. All other C functions have none, or their own.
 * Ownership A queue keeps its watches in a table by slot; a watch keeps its queue, its source and
 *           its data. All of these are user values, where the collector sees them. The core's
 *           watch and batch are embedded in the Lua objects, which never move.
 * Results   Misuse raises. A failed system call returns nil, message, errno.
 * Stack     [-popped, +pushed, raises]: `e` any error, `m` only lack of memory, `-` none.
 */
#ifndef READYQ_LUA_BINDING_H
#define READYQ_LUA_BINDING_H

#include "compat.h"
#include "readyq.h"

#include <errno.h>

enum { QUEUE_TYPE = 1, WATCH_TYPE, TURN, UPVALUES = TURN };
#define upvalue(n) lua_upvalueindex(n)

struct queue {
    readyq *core;            /* NULL once it is closed */
    readyq_batch batch;      /* of the last wait */
    lua_Integer wait;        /* the number of the last wait, from 1 on */
    bool ended;              /* the loop of the last wait has run to its end, or had nothing */
    bool numbered;           /* the loop of an earlier one has not: it may still run (wait.c) */
    int left;                /* watches in the batch, at most */
    int awaited;             /* number of watches that coroutines are awaiting */
    int forbidden;           /* no coroutine begins to await one while this is above 0 */
    lua_State *running;      /* the coroutine that the loop resumed last, while it runs */
    int slots;               /* size of the table of watches */
    int free;                /* the first free slot, 0 when there is none */
    bool polled;             /* its descriptor was handed out: another loop may poll it */
    bool traced;             /* it has a tracer, which is not running now */
    readyq_recording *trace; /* the recording that its lines are made from */
    uint64_t shown;          /* the position in it */
};

enum { QUEUE_WATCHES = 1, QUEUE_NEXT, QUEUE_TRACE, QUEUE_VALUES = QUEUE_TRACE };

struct watch {
    readyq_watch core; /* first: a pointer to one is a pointer to the other */
    lua_Number period; /* of a timer, in seconds as given; 0 for none */
    bool kept;         /* it is in its queue's table, in the slot luaq_slot() */
    bool is_function;  /* its data is one: dispatch() need not look, which costs 140 instructions */
    lua_Integer awaited; /* after which wait of the queue a coroutine began to await it; 0: none */
    lua_CFunction ask;   /* says what its object's descriptor is; NULL: it cannot be awaited */
    lua_CFunction dirty; /* whether the object itself holds bytes, or NULL */
};

enum { WATCH_QUEUE = 1, WATCH_SOURCE, WATCH_DATA, WATCH_HANDLE, WATCH_WAITER = WATCH_HANDLE };
enum { WATCH_VALUES = WATCH_DATA, TRIGGER_VALUES = WATCH_HANDLE, FD_VALUES = WATCH_WAITER };

/* ------------------------------------------------------------------ closing.c */

void luaq_expect_closing(lua_State *L); /* [-0, +0, m] called before any object is made */

/* The object on top, which has a finalizer, is finalized at the latest when the state is closed.
 * Raises if that has happened. [-0, +0, e] */
void luaq_note(lua_State *L);

/* ------------------------------------------------------------------ queue.c */

extern const luaL_Reg luaq_queue_methods[], luaq_queue_events[];

struct queue *luaq_test_queue(lua_State *L, int index); /* [-0, +0, -] NULL: another type */
struct queue *luaq_check_type(lua_State *L);            /* [-0, +0, e] argument 1 */
struct queue *luaq_check_queue(lua_State *L);           /* [-0, +0, e] and it is not closed */
int luaq_new(lua_State *L);                             /* readyq.new(options) */

/* ------------------------------------------------------------------ sources.c, members.c */

extern const luaL_Reg luaq_sources_methods[], luaq_members_methods[], luaq_members_events[];

/* The program that runs Lua has a handler for Ctrl-C which raises "interrupted!". If it is installed
 * now, makes it count as the default action, which a watch replaces. */
void luaq_find_interrupt_handler(void);

/* Its slot in its queue's table, even after it has left the table, for pairs(). It is the core's
 * `data`, in the part of the watch that a delivery touches anyway. */
static inline int luaq_slot(const readyq_watch *w)
{
    return (int)(intptr_t)w->data;
}

/* Makes the value on top the data of the watch at `watch`. [-1, +0, -] */
void luaq_set_data(lua_State *L, int watch);

/* Puts the watch at `watch` into the table of its queue. [-0, +0, m] */
void luaq_keep(lua_State *L, int watch);

/* The watch at `watch` has left the core: its slot becomes free. [-0, +0, -] */
void luaq_forget(lua_State *L, int watch);

/* Forgets watches whose descriptor the core found closed, and gives its warnings. `queue` is the
 * stack index of `q`, which may be closed. [-0, +0, e] */
void luaq_tidy(lua_State *L, struct queue *q, int queue);

/* ------------------------------------------------------------------ watch.c */

extern const luaL_Reg luaq_watch_methods[], luaq_watch_events[];

struct watch *luaq_test_watch(lua_State *L, int index);    /* [-0, +0, -] NULL: another type */
struct watch *luaq_check_watch(lua_State *L, int arg);     /* [-0, +0, e] */
int luaq_modify(lua_State *L, int watch, int interest);    /* [-0, +n, e] returns n */
int luaq_remove(lua_State *L, int watch);                  /* [-0, +n, e] returns n */
void luaq_push_watch(lua_State *L, const readyq_watch *w); /* [-0, +1, m] "fd 7 (pipe) ..." */

/* __index has one more upvalue, the members: methods by name, and these fields. */
int luaq_watch_index(lua_State *L);
void luaq_watch_members(lua_State *L); /* [-0, +0, m] adds to the table on top */

/* ------------------------------------------------------------------ wait.c */

/* Waits with the arguments of q:wait(), at 1 to 3, and begins a batch. Returns the queue; `left`
 * are ready. A failed system call raises, since a `for` would call what is returned. [-0, +0, e] */
struct queue *luaq_begin_wait(lua_State *L);

/* What became of the next watch of a batch. */
enum taken {
    END,     /* there is none */
    TAKEN,   /* pushed: the watch, its ready bits and its data */
    RESUMED, /* nothing pushed: a coroutine that awaited it was resumed (await.c) */
    RAISED,  /* pushed: the watch, 0, that coroutine, and the error that it raised */
};

/* Takes the next watch of the batch. `queue` and `watches` are the stack indices of `q` and of its
 * table of watches. [-0, +0 to 4, e] */
enum taken luaq_take(lua_State *L, struct queue *q, int queue, int watches);

int luaq_wait(lua_State *L); /* q:wait(timeout, max) */
int luaq_next(lua_State *L); /* the iterator; its upvalues: the queue, the queue's watches */

/* ------------------------------------------------------------------ await.c */

extern const luaL_Reg luaq_await_functions[];

/* Resumes the coroutine that awaits the watch, which is ready. TAKEN: it must not be resumed now.
 * RAISED: pushes the coroutine and its error. [-0, +0 or 2, e] */
enum taken luaq_end_await(lua_State *L, struct queue *q, int watch);

/* ------------------------------------------------------------------ dispatch.c */

extern const luaL_Reg luaq_dispatch_methods[];   /* empty where lua/readyq.lua has it */
extern const luaL_Reg luaq_dispatch_functions[]; /* for lua/readyq.lua; empty elsewhere */

/* ------------------------------------------------------------------ arguments.c */

/* All [-0, +0, e]. Seconds become nanoseconds. A timeout may be nil: -1; a time beyond the clock's
 * range is INT64_MAX. */
int64_t luaq_timeout(lua_State *L, int arg);
int64_t luaq_delay(lua_State *L, int arg);
int luaq_int(lua_State *L, int arg, const char *what); /* whole and in range */
uint32_t luaq_interest(lua_State *L, int arg);         /* bits or letters */
int luaq_signal(lua_State *L, int arg);                /* number or name */
int luaq_descriptor(lua_State *L, int arg);
int luaq_find_descriptor(lua_State *L, int arg); /* -1 for an object that no longer has one */

/* The same for a number that is a part of argument `arg`; luaq_whole() reads the one at `index`. */
int64_t luaq_seconds(lua_State *L, lua_Number seconds, int arg, const char *what);
int luaq_whole(lua_State *L, int index, int arg, const char *what);

/* ------------------------------------------------------------------ errors.c */

/* Raises "bad argument" with a text as lua_pushfstring() makes it. [-0, +0, e] */
_Noreturn void luaq_refuse(lua_State *L, int arg, const char *format, ...);

/* Returns the core's error: nil, message, errno. Raises if the core refuses argument `arg`.
 * [-0, +3, e] */
int luaq_fail(lua_State *L, int arg, const char *call, int fd, int error);

/* The same for the watch at an index. If its queue was closed, that is the reason. [-0, +3, e] */
int luaq_fail_watch(lua_State *L, int arg, const char *call, int watch, int error);

/* Returns nil, the text and the errno of a call that failed. [-0, +3, m] */
int luaq_fail_with(lua_State *L, const char *text, int error);

/* ------------------------------------------------------------------ handles.c */

int luaq_handle(lua_State *L); /* t:handle() */
int luaq_fire(lua_State *L);   /* readyq.fire(handle) */

/* ------------------------------------------------------------------ recording.c */

extern const luaL_Reg luaq_recording_methods[];

/* ------------------------------------------------------------------ debug.c */

/* The option at 3. Sets options->debug to `debug` if it is wanted. [-0, +0, e] */
void luaq_read_debug(lua_State *L, struct readyq_options *options, struct readyq_debug *debug);

/* Gives the watchdog's warnings. Returns how many there were. [-0, +0, e] */
int luaq_warn(lua_State *L, const struct queue *q, int queue);

/* ------------------------------------------------------------------ trace.c */

int luaq_set_tracer(lua_State *L); /* q:trace(tracer) */
void luaq_end_trace(struct queue *q);

/* Called after a method of a queue that is traced: shows what was recorded since the last time.
 * `watch`: of the call, or 0. [-0, +0, -] */
void luaq_trace(lua_State *L, int queue, int watch);
void luaq_trace_wait(lua_State *L, int64_t timeout); /* [-0, +0, m] */

#endif
