/* SPDX-License-Identifier: MIT
 *
 * The type Recording: what Queue.record() returns. The core keeps the records; here they become
 * tuples.
 */
#include "binding.h"

typedef struct {
    PyObject_HEAD
    readyq_recording *core;
    State *state; /* lives as long as our type does */
} Recording;

/* ------------------------------------------------------------------ its life */

PyObject *pyq_record_queue(PyObject *object, PyObject *const *arguments, Py_ssize_t positional,
                           PyObject *keywords)
{
    static const struct signature signature = {"record", {"records", NULL}, 0, 1, NULL};
    const State *state = ((Queue *)object)->state;
    PyObject *values[1];
    readyq *core;
    readyq_recording *recording;
    Recording *self;
    int error, records = 100000;

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        (values[0] != NULL &&
         !pyq_read_count("record", "records", "an int", ">= 1", values[0], &records)))
        return NULL;
    core = pyq_enter_queue((Queue *)object, "record");
    if (core == NULL)
        return NULL;
    error = readyq_record(core, (size_t)records, &recording);
    if (error < 0)
        return pyq_raise_error("record", -1, error);
    self = PyObject_New(Recording, state->recording_type);
    if (self == NULL) {
        readyq_discard(recording);
        return NULL;
    }
    self->core = recording;
    self->state = ((Queue *)object)->state;
    return (PyObject *)self;
}

static void dealloc_recording(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    readyq_discard(((Recording *)self)->core);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *stop(PyObject *self, PyObject *Py_UNUSED(none))
{
    readyq_stop(((Recording *)self)->core);
    Py_RETURN_NONE;
}

static PyObject *enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return Py_NewRef(self);
}

static PyObject *leave(PyObject *self, PyObject *Py_UNUSED(exception))
{
    return stop(self, NULL);
}

/* ------------------------------------------------------------------ saving */

static PyObject *save(PyObject *self, PyObject *path)
{
    PyObject *bytes;
    int error;

    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    Py_BEGIN_ALLOW_THREADS error = readyq_save(((Recording *)self)->core, PyBytes_AS_STRING(bytes));
    Py_END_ALLOW_THREADS Py_DECREF(bytes);
    if (error < 0)
        return pyq_raise_os_error("save", error, path);
    Py_RETURN_NONE;
}

static PyObject *draw(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *notebook = PyImport_ImportModule("readyq.notebook"), *text;

    if (notebook == NULL)
        return NULL;
    text = PyObject_CallMethod(notebook, "draw_recording", "O", self);
    Py_DECREF(notebook);
    return text;
}

/* ------------------------------------------------------------------ reading */

static PyObject *number_or_none(bool any, long number)
{
    return any ? PyLong_FromLong(number) : Py_NewRef(Py_None);
}

static PyObject *build_record(const State *state, const struct readyq_record *record)
{
    const bool watch = record->watch != 0;
    PyObject *tuple = PyStructSequence_New(state->record_type);
    Py_ssize_t i = 0;

    if (tuple == NULL)
        return NULL;
    PyStructSequence_SetItem(tuple, i++, PyLong_FromLongLong(record->time));
    PyStructSequence_SetItem(tuple, i++, PyLong_FromUnsignedLong(record->thread));
    PyStructSequence_SetItem(tuple, i++, PyUnicode_FromString(readyq_record_name(record->type)));
    PyStructSequence_SetItem(
        tuple, i++, watch ? PyLong_FromUnsignedLongLong(record->watch) : Py_NewRef(Py_None));
    PyStructSequence_SetItem(tuple, i++,
                             watch ? PyUnicode_FromString(readyq_kind_name(record->kind))
                                   : Py_NewRef(Py_None));
    PyStructSequence_SetItem(tuple, i++, number_or_none(record->number >= 0, record->number));
    PyStructSequence_SetItem(tuple, i++, PyLong_FromUnsignedLong(record->bits));
    PyStructSequence_SetItem(tuple, i++, PyLong_FromLongLong(record->value));
    if (PyErr_Occurred() == NULL)
        return tuple;
    Py_DECREF(tuple);
    return NULL;
}

/* The list of all records so far. */
static PyObject *list_records(Recording *self)
{
    struct readyq_record records[64];
    PyObject *list = PyList_New(0), *record;
    uint64_t from = 0;
    size_t n;

    while (list != NULL && (n = readyq_records(self->core, &from, records, 64)) > 0)
        for (size_t i = 0; list != NULL && i < n; i++) {
            record = build_record(self->state, &records[i]);
            if (record == NULL || PyList_Append(list, record) < 0)
                Py_CLEAR(list);
            Py_XDECREF(record);
        }
    return list;
}

static PyObject *iterate(PyObject *self)
{
    PyObject *list = list_records((Recording *)self), *iterator;

    if (list == NULL)
        return NULL;
    iterator = PyObject_GetIter(list);
    Py_DECREF(list);
    return iterator;
}

static Py_ssize_t count(PyObject *self)
{
    return (Py_ssize_t)readyq_recorded(((Recording *)self)->core, NULL);
}

/* True even while it has no records, unlike other collections. */
static int is_true(PyObject *Py_UNUSED(self))
{
    return 1;
}

static PyObject *get_dropped(PyObject *self, void *Py_UNUSED(closure))
{
    uint64_t dropped;

    readyq_recorded(((Recording *)self)->core, &dropped);
    return PyLong_FromUnsignedLongLong(dropped);
}

static PyObject *repr_recording(PyObject *self)
{
    uint64_t dropped;
    const size_t kept = readyq_recorded(((Recording *)self)->core, &dropped);

    return PyUnicode_FromFormat("<readyq.Recording, %zu record%s, %llu dropped>", kept,
                                kept == 1 ? "" : "s", (unsigned long long)dropped);
}

/* ------------------------------------------------------------------ the type */

PyDoc_STRVAR(
    recording_doc,
    "What a queue and its threads did, step by step, since Queue.record() began to record it.\n"
    "\n"
    "As a context manager it stops at the end of the block. len() counts the records; iterating\n"
    "goes through a snapshot of them, as readyq.Record objects, the oldest first. It can be read\n"
    "and saved after the queue has been closed. A notebook shows it as a picture.\n"
    "\n"
    "    >>> with q.record() as recording:\n"
    "    ...     ready = q.wait(timeout=1.5)\n"
    "    >>> recording.save(\"run.json\")\n");

PyDoc_STRVAR(stop_doc, "stop($self, /)\n"
                       "--\n"
                       "\n"
                       "End the recording and keep its records. Stopping again does nothing.");

PyDoc_STRVAR(
    save_doc,
    "save($self, path, /)\n"
    "--\n"
    "\n"
    "Write the records to a file in the Chrome Trace Event format (JSON).\n"
    "\n"
    "https://ui.perfetto.dev and Speedscope show it, and python -m readyq.timeline draws it. Raises\n"
    "OSError; a file that could not be written completely is removed.");

PyDoc_STRVAR(svg_doc, "_repr_svg_($self, /)\n"
                      "--\n"
                      "\n"
                      "The records as a picture, for a notebook.");

PyDoc_STRVAR(dropped_doc, "int: how many older records were dropped to make room for newer ones.");

static PyMethodDef methods[] = {
    {"stop", stop, METH_NOARGS, stop_doc},      {"save", save, METH_O, save_doc},
    {"_repr_svg_", draw, METH_NOARGS, svg_doc}, {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", leave, METH_VARARGS, NULL},    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"dropped", get_dropped, NULL, dropped_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)recording_doc},
    {Py_tp_dealloc, dealloc_recording},
    {Py_tp_repr, repr_recording},
    {Py_tp_iter, iterate},
    {Py_sq_length, count},
    {Py_nb_bool, is_true},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec pyq_recording_spec = {
    .name = "readyq.Recording",
    .basicsize = sizeof(Recording),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
