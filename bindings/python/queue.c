/* SPDX-License-Identifier: MIT
 *
 * The type Queue: its life, the gate that every call passes, the small calls, and the table of its
 * methods. Sources are added in sources.c, found in members.c, and waited for in wait.c.
 */
#include "binding.h"
#include "queue_docs.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ its life */

readyq *pyq_enter_queue(Queue *self, const char *call)
{
    if (!self->closed)
        return self->core;
    return (readyq *)(void *)pyq_raise_error(call, -1, -ESHUTDOWN);
}

/* It is closed until __init__ opens it. */
static PyObject *new_queue(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kw))
{
    PyObject *module = pyq_find_module(type);
    Queue *self;

    if (module == NULL)
        return NULL;
    self = (Queue *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = PyModule_GetState(module);
    self->watches.next = self->watches.prev = &self->watches;
    self->closed = true;
    return (PyObject *)self;
}

static bool read_clock(PyObject *clock, bool *virtual)
{
    const bool text = clock == NULL || PyUnicode_Check(clock);
    PyObject *shown;

    *virtual = clock != NULL && text && PyUnicode_CompareWithASCIIString(clock, "virtual") == 0;
    if (*virtual || clock == NULL || (text && PyUnicode_CompareWithASCIIString(clock, "real") == 0))
        return true;
    shown = pyq_show_object(clock);
    if (shown != NULL)
        PyErr_Format(text ? PyExc_ValueError : PyExc_TypeError,
                     "Queue: clock must be \"real\" or \"virtual\", not %U", shown);
    Py_XDECREF(shown);
    return false;
}

static int init_queue(PyObject *object, PyObject *args, PyObject *kw)
{
    static char first[] = "clock", second[] = "warn", third[] = "debug"; /* must be writable */
    static char *names[] = {first, second, third, NULL};
    struct readyq_options options = {.interruptible = true};
    struct readyq_debug thresholds = {0};
    Queue *self = (Queue *)object;
    PyObject *clock = NULL, *debug = NULL;
    int error, warn = true;

    if (!PyArg_ParseTupleAndKeywords(args, kw, "|O$pO:Queue", names, &clock, &warn, &debug) ||
        !read_clock(clock, &options.virtual_clock) || !pyq_read_debug(debug, &options, &thresholds))
        return -1;
    Py_BEGIN_CRITICAL_SECTION(self);
    error = self->core != NULL ? -EALREADY : readyq_open(&self->core, &options);
    Py_END_CRITICAL_SECTION();
    if (error == -EALREADY) {
        PyErr_SetString(PyExc_ValueError, "Queue.__init__() was already called");
        return -1;
    }
    if (error < 0) {
        pyq_raise_error("Queue", -1, error);
        return -1;
    }
    readyq_ref(self->core); /* late calls by other threads get the closed error */
    self->silent = !warn;
    self->closed = false;
    return 0;
}

static void close_queue(Queue *self)
{
    Watch *watch;
    bool first;

    Py_BEGIN_CRITICAL_SECTION(self);
    first = !self->closed;
    self->closed = true;
    if (first)
        readyq_close(self->core);
    Py_END_CRITICAL_SECTION();
    do {
        watch = NULL;
        Py_BEGIN_CRITICAL_SECTION(self);
        if (self->watches.next != &self->watches) {
            watch = watch_at(self->watches.next);
            pyq_release_watch(watch);
        }
        Py_END_CRITICAL_SECTION();
        Py_XDECREF(watch);
    } while (watch != NULL);
}

static int traverse_queue(PyObject *object, visitproc visit, void *arg)
{
    Queue *self = (Queue *)object;

    Py_VISIT(Py_TYPE(self));
    for (struct place *at = self->watches.next; at != &self->watches; at = at->next)
        Py_VISIT(watch_at(at));
    if (self->spare != NULL)
        Py_VISIT(Py_TYPE(self->spare));
    Py_VISIT(self->tracer);
    return 0;
}

static int clear_queue(PyObject *object)
{
    Queue *self = (Queue *)object;

    close_queue(self);
    pyq_free_spare_batch(self);
    pyq_end_trace(self);
    return 0;
}

static void dealloc_queue(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Queue *self = (Queue *)object;

    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    clear_queue(object);
    if (self->core != NULL)
        readyq_unref(self->core);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ------------------------------------------------------------------ small calls */

static PyObject *queue_close(PyObject *object, PyObject *Py_UNUSED(none))
{
    Queue *self = (Queue *)object;

    if (!self->closed)
        pyq_trace_close(self);
    close_queue(self);
    Py_RETURN_NONE;
}

static PyObject *queue_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return pyq_enter_queue((Queue *)self, "with q") != NULL ? Py_NewRef(self) : NULL;
}

static PyObject *queue_exit(PyObject *self, PyObject *Py_UNUSED(exception))
{
    return queue_close(self, NULL);
}

static PyObject *queue_wake(PyObject *object, PyObject *Py_UNUSED(none))
{
    Queue *self = (Queue *)object;
    readyq *core = pyq_enter_queue(self, "wake");

    if (core == NULL)
        return NULL;
    readyq_wake(core); /* if another thread has closed it, no thread waits */
    pyq_trace(self, NULL, NULL);
    Py_RETURN_NONE;
}

static PyObject *queue_fileno(PyObject *self, PyObject *Py_UNUSED(none))
{
    readyq *core = pyq_enter_queue((Queue *)self, "fileno");
    int fd;

    if (core == NULL)
        return NULL;
    fd = readyq_fileno(core);
    return fd >= 0 ? PyLong_FromLong(fd) : pyq_raise_error("fileno", -1, fd);
}

static PyObject *queue_now(PyObject *self, PyObject *Py_UNUSED(none))
{
    readyq *core = pyq_enter_queue((Queue *)self, "now");

    return core != NULL ? PyFloat_FromDouble((double)readyq_now(core) / 1e9) : NULL;
}

static PyObject *fill_counts(PyObject *tuple, const uint64_t counts[], size_t n)
{
    for (size_t i = 0; tuple != NULL && i < n; i++)
        PyStructSequence_SetItem(tuple, (Py_ssize_t)i, PyLong_FromUnsignedLongLong(counts[i]));
    if (tuple != NULL && PyErr_Occurred() != NULL)
        Py_CLEAR(tuple);
    return tuple;
}

static PyObject *build_kinds(const State *state, const struct readyq_stats *stats)
{
    PyObject *kinds = PyDict_New();

    for (int kind = READYQ_KIND_FD; kinds != NULL && kind <= READYQ_KIND_TRIGGER; kind++) {
#define VALUE(name) stats->kinds[kind].name,
        const uint64_t counts[] = {READYQ_FIGURES_OF_KIND(VALUE)};
#undef VALUE
        PyObject *tuple = fill_counts(PyStructSequence_New(state->kind_stats_type), counts,
                                      sizeof counts / sizeof *counts);

        if (tuple == NULL || PyDict_SetItemString(kinds, readyq_kind_name(kind), tuple) < 0)
            Py_CLEAR(kinds);
        Py_XDECREF(tuple);
    }
    return kinds;
}

static PyObject *build_stats(const State *state, const struct readyq_stats *stats)
{
#define VALUE(name, meaning) stats->name,
    const uint64_t counts[] = {READYQ_FIGURES(VALUE)};
#undef VALUE
    const Py_ssize_t fields = sizeof counts / sizeof *counts;
    PyObject *kinds = build_kinds(state, stats), *result = NULL;

    if (kinds != NULL)
        result = fill_counts(PyStructSequence_New(state->stats_type), counts, (size_t)fields);
    if (result == NULL) {
        Py_XDECREF(kinds);
        return NULL;
    }
    PyStructSequence_SetItem(result, fields,
                             stats->ghost_fd < 0 ? Py_NewRef(Py_None)
                                                 : PyLong_FromLong(stats->ghost_fd));
    PyStructSequence_SetItem(result, fields + 1, kinds);
    if (PyErr_Occurred() != NULL)
        Py_CLEAR(result);
    return result;
}

static PyObject *queue_stats(PyObject *object, PyObject *Py_UNUSED(none))
{
    Queue *self = (Queue *)object;
    readyq *core = pyq_enter_queue(self, "stats");
    struct readyq_stats stats;

    if (core == NULL)
        return NULL;
    readyq_stats(core, &stats);
    return build_stats(self->state, &stats);
}

static PyObject *queue_check(PyObject *self, PyObject *Py_UNUSED(none))
{
    readyq *core = pyq_enter_queue((Queue *)self, "check");
    PyObject *text, *lines;
    char differences[8192];
    int n;

    if (core == NULL)
        return NULL;
    n = readyq_check(core, differences, sizeof differences);
    if (n < 0)
        return pyq_raise_error("check", -1, n);
    text = PyUnicode_DecodeUTF8(differences, (Py_ssize_t)strlen(differences), "replace");
    lines = text != NULL ? PyUnicode_Splitlines(text, 0) : NULL;
    Py_XDECREF(text);
    return lines;
}

static PyObject *get_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Queue *)self)->closed);
}

static PyObject *get_backend(PyObject *object, void *Py_UNUSED(closure))
{
    Queue *self = (Queue *)object;

    if (self->core == NULL)
        return pyq_raise_error("q.backend", -1, -ESHUTDOWN);
    return PyUnicode_FromString(readyq_backend(self->core));
}

/* True even while nothing is watched, unlike other collections. */
static int is_true(PyObject *Py_UNUSED(self))
{
    return 1;
}

/* ------------------------------------------------------------------ the type */

static PyMemberDef members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(Queue, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"backend", get_backend, NULL, queue_backend_doc, NULL},
    {"closed", get_closed, NULL, queue_closed_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"add", AS_METHOD(pyq_add_descriptor), FAST_KEYWORDS, queue_add_doc},
    {"add_timer", AS_METHOD(pyq_add_timer), FAST_KEYWORDS, queue_add_timer_doc},
    {"add_signal", AS_METHOD(pyq_add_signal), FAST_KEYWORDS, queue_add_signal_doc},
    {"add_process", AS_METHOD(pyq_add_process), FAST_KEYWORDS, queue_add_process_doc},
    {"add_trigger", AS_METHOD(pyq_add_trigger), FAST_KEYWORDS, queue_add_trigger_doc},
    {"modify", AS_METHOD(pyq_modify_member), FAST_KEYWORDS, queue_modify_doc},
    {"remove", pyq_remove_member, METH_O, queue_remove_doc},
    {"get", AS_METHOD(pyq_get_or_default), FAST_KEYWORDS, queue_get_doc},
    {"wait", AS_METHOD(pyq_wait_queue), FAST_KEYWORDS, queue_wait_doc},
    {"dispatch", AS_METHOD(pyq_dispatch_queue), FAST_KEYWORDS, queue_dispatch_doc},
    {"wake", queue_wake, METH_NOARGS, queue_wake_doc},
    {"fileno", queue_fileno, METH_NOARGS, queue_fileno_doc},
    {"now", queue_now, METH_NOARGS, queue_now_doc},
    {"stats", queue_stats, METH_NOARGS, queue_stats_doc},
    {"record", AS_METHOD(pyq_record_queue), FAST_KEYWORDS, queue_record_doc},
    {"check", queue_check, METH_NOARGS, queue_check_doc},
    {"trace", pyq_set_tracer, METH_O, queue_trace_doc},
    {"close", queue_close, METH_NOARGS, queue_close_doc},
    {"_repr_html_", pyq_print_queue_as_html, METH_NOARGS, queue_html_doc},
    {"__enter__", queue_enter, METH_NOARGS, NULL},
    {"__exit__", queue_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)queue_doc},
    {Py_tp_new, new_queue},
    {Py_tp_init, init_queue},
    {Py_tp_traverse, traverse_queue},
    {Py_tp_clear, clear_queue},
    {Py_tp_dealloc, dealloc_queue},
    {Py_tp_repr, pyq_show_queue},
    {Py_tp_iter, pyq_iterate_members},
    {Py_nb_bool, is_true},
    {Py_sq_length, pyq_count_members},
    {Py_mp_length, pyq_count_members},
    {Py_sq_contains, pyq_has_member},
    {Py_mp_subscript, pyq_get_member},
    {Py_tp_members, members},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {Py_tp_str, pyq_print_queue},
    {0, NULL},
};

PyType_Spec pyq_queue_spec = {
    .name = "readyq.Queue",
    .basicsize = sizeof(Queue),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
