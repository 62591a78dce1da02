/* SPDX-License-Identifier: MIT
 *
 * Tracing: one line of text for each call and each delivery, passed to a function of the program.
 * The lines are a view of a recording: after each method call its new records are shown, including
 * those of other threads and of what the core itself found.
 */
#include "binding.h"

enum { RECORDS = 128 }; /* of one call, and what is recorded meanwhile */

/* What a line is about. */
struct line {
    const struct readyq_record *record;
    const char *call;          /* of a wait, with its timeout, or NULL */
    const struct watch *watch; /* the call's own, or NULL */
};

static int show_line(lua_State *L);

/* [-0, +0, e] Argument 2 can be a tracer: a function, or an io file that is open. */
static void check_tracer(lua_State *L)
{
    const luaL_Stream *stream = luaL_testudata(L, 2, LUA_FILEHANDLE);

    if (!lua_isfunction(L, 2) && (stream == NULL || is_file_closed(stream)))
        luaq_refuse(L, 2, "open io file or function expected, got %s",
                    stream != NULL ? "closed file" : luaL_typename(L, 2));
}

/* [-2, +n, e] q:trace(tracer): nil ends the trace. */
int luaq_set_tracer(lua_State *L)
{
    struct queue *q = luaq_check_queue(L);
    readyq_recording *trace = NULL;
    int error = 0;

    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        check_tracer(L);
        lua_pushcclosure(L, show_line, 1);
        error = readyq_record(q->core, RECORDS, &trace);
    }
    if (error < 0)
        return luaq_fail(L, 2, "trace", -1, error);
    luaq_end_trace(q);
    q->trace = trace;
    q->traced = trace != NULL;
    lua_setiuservalue(L, 1, QUEUE_TRACE);
    lua_pushboolean(L, true);
    return 1;
}

void luaq_end_trace(struct queue *q)
{
    readyq_discard(q->trace);
    q->trace = NULL;
    q->traced = false;
    q->shown = 0;
}

/* ------------------------------------------------------------------ lines */

/* [-0, +1, m] `name` is that of the record. `call`: of a wait, with its timeout. */
static void push_line(lua_State *L, const struct readyq_record *record, const char *call,
                      const struct watch *watch)
{
    const char *name = readyq_trace_name(record);
    char text[200];

    if (watch != NULL && readyq_id(&watch->core) == record->watch) {
        luaq_push_watch(L, &watch->core);
        lua_pushfstring(L, "readyq: %s %s", name, lua_tostring(L, -1));
        lua_remove(L, -2);
    } else if (record->type == READYQ_RECORD_WAIT_END) {
        const bool is_own = record->thread == readyq_thread() && call != NULL;

        lua_pushfstring(L, "readyq: %s: %d ready", is_own ? call : name, (int)record->value);
    } else if (record->kind != READYQ_KIND_NONE) {
        lua_pushfstring(L, "readyq: %s", readyq_describe_record(record, text, sizeof text));
    } else {
        lua_pushfstring(L, "readyq: %s", name);
    }
}

/* [-1, +0, e] Passes a line to the tracer, its upvalue. */
static int show_line(lua_State *L)
{
    const struct line *line = lua_touserdata(L, 1);

    if (lua_isfunction(L, upvalue(1))) {
        lua_pushvalue(L, upvalue(1));
        push_line(L, line->record, line->call, line->watch);
        lua_call(L, 1, 0);
        return 0;
    }
    lua_getfield(L, upvalue(1), "write");
    lua_pushvalue(L, upvalue(1));
    push_line(L, line->record, line->call, line->watch);
    lua_pushliteral(L, "\n");
    lua_call(L, 3, 2);
    return lua_toboolean(L, -2) ? 0 : luaL_error(L, "%s", lua_tostring(L, -1));
}

/* [-1, +0, -] The error on top. */
static void warn_of_error(lua_State *L)
{
    const int type = lua_type(L, -1);
    char text[640];

    snprintf(text, sizeof text, "readyq: error in the tracer: %s",
             type == LUA_TSTRING ? lua_tostring(L, -1) : lua_typename(L, type));
    lua_pop(L, 1);
    lua_warning(L, text, 0);
}

/* [-0, +0, -] Shows one line. An error must not change what the traced call does, which has taken
 * effect: it becomes a warning. While the tracer runs the queue is not traced, so that it may use
 * the queue. */
static void say(lua_State *L, int queue, struct line *line)
{
    struct queue *q = lua_touserdata(L, queue);
    int status;

    lua_getiuservalue(L, queue, QUEUE_TRACE);
    lua_pushlightuserdata(L, line);
    q->traced = false;
    status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK)
        warn_of_error(L);
    q->traced = q->trace != NULL;
}

static size_t read_records(struct queue *q, struct readyq_record records[RECORDS])
{
    return q->trace != NULL ? readyq_records(q->trace, &q->shown, records, RECORDS) : 0;
}

/* What the tracer itself does with the queue, in this thread, is not shown. */
static void show_records(lua_State *L, int queue, const char *call, const struct watch *watch)
{
    struct queue *q = lua_touserdata(L, queue);
    struct line line = {.call = call, .watch = watch};
    struct readyq_record records[RECORDS];
    size_t n;

    for (bool own = true; (n = read_records(q, records)) > 0; own = false)
        for (size_t i = 0; i < n && q->trace != NULL; i++) {
            if (readyq_trace_name(&records[i]) == NULL ||
                (!own && records[i].thread == readyq_thread()))
                continue;
            line.record = &records[i];
            say(L, queue, &line);
        }
}

void luaq_trace(lua_State *L, int queue, int watch)
{
    show_records(L, queue, NULL, watch != 0 ? lua_touserdata(L, watch) : NULL);
}

void luaq_trace_wait(lua_State *L, int64_t timeout)
{
    if (timeout < 0)
        lua_pushliteral(L, "wait (forever)");
    else
        lua_pushfstring(L, "wait (%f s)", (lua_Number)timeout / 1e9);
    show_records(L, 1, lua_tostring(L, -1), NULL);
    lua_pop(L, 1);
}
