/* SPDX-License-Identifier: MIT
 *
 * Tracing: one readable line for each call and each delivery, passed to the file or function that
 * the user gave. The lines are a view of a recording: after each method call its new records
 * are shown, including those of other threads and of what the core found by itself.
 */
#include "binding.h"

enum { RECORDS = 128 }; /* of one call, and what is recorded meanwhile */

/* The call whose records are shown. */
struct call {
    Queue *queue;
    const char *name; /* of a wait, with its timeout */
    Watch *watch;     /* its own, or NULL */
    uint32_t thread;
};

/* A callable is called with the line; a file gets it with its newline. */
static PyObject *choose_tracer(PyObject *target)
{
    PyObject *write;

    if (PyCallable_Check(target))
        return Py_NewRef(target);
    write = PyObject_GetAttrString(target, "write");
    if (write == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Format(PyExc_TypeError,
                     "trace() needs a file, a function to call with a line, or None, not %.100s",
                     Py_TYPE(target)->tp_name);
    Py_XDECREF(write);
    return write != NULL ? Py_NewRef(target) : NULL;
}

PyObject *pyq_set_tracer(PyObject *object, PyObject *target)
{
    Queue *self = (Queue *)object;
    readyq *core = pyq_enter_queue(self, "trace");
    readyq_recording *old_trace, *trace = NULL;
    PyObject *old, *tracer = NULL;
    int error = 0;

    if (core == NULL)
        return NULL;
    if (target != Py_None) {
        tracer = choose_tracer(target);
        if (tracer == NULL)
            return NULL;
        error = readyq_record(core, RECORDS, &trace);
    }
    if (error < 0) {
        Py_DECREF(tracer);
        return pyq_raise_error("trace", -1, error);
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    old = self->tracer;
    old_trace = self->trace;
    self->tracer = tracer;
    self->trace = trace;
    self->shown = 0;
    Py_END_CRITICAL_SECTION();
    readyq_discard(old_trace);
    Py_XDECREF(old);
    Py_RETURN_NONE;
}

void pyq_end_trace(Queue *self)
{
    readyq_discard(self->trace);
    self->trace = NULL;
    Py_CLEAR(self->tracer);
}

static PyObject *hand_over(PyObject *tracer, PyObject *line)
{
    PyObject *whole, *result;

    if (PyCallable_Check(tracer))
        return PyObject_CallFunctionObjArgs(tracer, line, NULL);
    whole = PyUnicode_FromFormat("%U\n", line);
    if (whole == NULL)
        return NULL;
    result = PyObject_CallMethod(tracer, "write", "O", whole);
    Py_DECREF(whole);
    return result;
}

/* Takes over the reference to the line; NULL is a line that could not be made. */
static void report(Queue *self, PyObject *line)
{
    PyObject *result = NULL, *tracer;

    Py_BEGIN_CRITICAL_SECTION(self);
    tracer = Py_XNewRef(self->tracer);
    Py_END_CRITICAL_SECTION();
    if (tracer != NULL && line != NULL)
        result = hand_over(tracer, line);
    if (PyErr_Occurred() != NULL)
        PyErr_WriteUnraisable(tracer);
    Py_XDECREF(result);
    Py_XDECREF(tracer);
    Py_XDECREF(line);
}

/* ------------------------------------------------------------------ lines */

/* The watch of a record, with a reference: the one at hand, or one that the queue has. */
static Watch *find_watch(Queue *self, Watch *at_hand, uint64_t id)
{
    Watch *found = NULL;

    if (at_hand != NULL && readyq_id(&at_hand->core) == id)
        return (Watch *)Py_NewRef(at_hand);
    Py_BEGIN_CRITICAL_SECTION(self);
    for (struct place *at = self->watches.next; at != &self->watches && found == NULL;
         at = at->next)
        if (readyq_id(&watch_at(at)->core) == id)
            found = (Watch *)Py_NewRef(watch_at(at));
    Py_END_CRITICAL_SECTION();
    return found;
}

static PyObject *show_watch(const char *name, Watch *watch)
{
    PyObject *inner = pyq_describe_watch(watch), *line = NULL;

    if (inner != NULL)
        line = PyUnicode_FromFormat("readyq: %s %U", name, inner);
    Py_XDECREF(inner);
    return line;
}

static PyObject *show_record(const struct call *call, const struct readyq_record *record)
{
    const char *name = readyq_trace_name(record);
    const bool is_own = record->thread == call->thread && call->name != NULL;
    Watch *watch = record->watch != 0 ? find_watch(call->queue, call->watch, record->watch) : NULL;
    char text[200];
    PyObject *line;

    if (watch != NULL)
        line = show_watch(name, watch);
    else if (record->type == READYQ_RECORD_WAIT_END)
        line = PyUnicode_FromFormat("readyq: %s: %lld ready", is_own ? call->name : name,
                                    (long long)record->value);
    else if (record->kind != READYQ_KIND_NONE)
        line =
            PyUnicode_FromFormat("readyq: %s", readyq_describe_record(record, text, sizeof text));
    else
        line = PyUnicode_FromFormat("readyq: %s", name);
    Py_XDECREF(watch);
    return line;
}

static size_t read_records(Queue *self, struct readyq_record records[RECORDS])
{
    size_t n = 0;

    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->trace != NULL) /* the tracer may end the trace */
        n = readyq_records(self->trace, &self->shown, records, RECORDS);
    Py_END_CRITICAL_SECTION();
    return n;
}

/* False if this thread is inside the tracer; otherwise Py_ReprLeave() ends it. CPython keeps the
 * objects that a thread is busy with, so that a repr that includes itself ends: that fits here. */
static bool enter_tracer(Queue *self)
{
    const int inside = Py_ReprEnter((PyObject *)self);

    if (inside < 0)
        PyErr_WriteUnraisable((PyObject *)self);
    return inside == 0;
}

/* Shows what was recorded since the last time. What the tracer itself does with the queue is not
 * shown by its thread; another thread that makes a call meanwhile shows it. */
void pyq_trace(Queue *self, const char *name, Watch *watch)
{
    struct readyq_record records[RECORDS];
    struct call call = {self, name, watch, 0};
    size_t n;

    if (self->trace == NULL || !enter_tracer(self))
        return;
    call.thread = readyq_thread();
    for (bool own = true; (n = read_records(self, records)) > 0; own = false)
        for (size_t i = 0; i < n; i++)
            if ((own || records[i].thread != call.thread) && readyq_trace_name(&records[i]) != NULL)
                report(self, show_record(&call, &records[i]));
    Py_ReprLeave((PyObject *)self);
}

void pyq_trace_close(Queue *self)
{
    if (self->trace == NULL || !enter_tracer(self))
        return;
    report(self, PyUnicode_FromString("readyq: close"));
    Py_ReprLeave((PyObject *)self);
}
