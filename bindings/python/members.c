/* SPDX-License-Identifier: MIT
 *
 * A queue as the collection of its watches: finding one by its source, changing and removing it,
 * counting, iterating. Adding is in sources.c.
 */
#include "binding.h"

/* ------------------------------------------------------------------ finding */

/* For a source that was closed and has no descriptor any more. */
static Watch *find_by_identity(Queue *self, PyObject *source)
{
    Watch *found = NULL;

    Py_BEGIN_CRITICAL_SECTION(self);
    for (struct place *at = self->watches.next; at != &self->watches && found == NULL;
         at = at->next)
        if (watch_at(at)->source == source)
            found = (Watch *)Py_NewRef(watch_at(at));
    Py_END_CRITICAL_SECTION();
    return found;
}

static Watch *find_by_descriptor(Queue *self, int fd)
{
    readyq_watch *core;
    Watch *found = NULL;

    Py_BEGIN_CRITICAL_SECTION(self);
    core = self->core != NULL ? readyq_find(self->core, fd) : NULL;
    if (core != NULL)
        found = (Watch *)Py_NewRef(watch_of(core));
    Py_END_CRITICAL_SECTION();
    return found;
}

/* The watch that `object` is, or that has it as its source, with a reference; else NULL, with an
 * exception if it is neither a watch nor a descriptor. */
static Watch *find_watch(Queue *self, PyObject *object)
{
    int fd;

    if (Py_TYPE(object) == self->state->watch_type) {
        Watch *watch = (Watch *)object;
        return watch->queue == (PyObject *)self ? (Watch *)Py_NewRef(watch) : NULL;
    }
    if (!read_descriptor(object, &fd)) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) /* what closed files raise */
            return NULL;
        PyErr_Clear();
        fd = -1;
    }
    return fd >= 0 ? find_by_descriptor(self, fd) : find_by_identity(self, object);
}

#define UNKNOWN "this queue does not watch it; add it first"

static PyObject *raise_unknown_descriptor(const char *call, int fd)
{
    char text[256];
    PyObject *what = PyUnicode_DecodeFSDefault(readyq_describe(fd, text, sizeof text));

    if (what != NULL)
        PyErr_Format(PyExc_KeyError, "%s of descriptor %d (%U) failed: " UNKNOWN, call, fd, what);
    Py_XDECREF(what);
    return NULL;
}

static PyObject *raise_unknown(Queue *self, const char *call, PyObject *object)
{
    int fd;

    if (PyErr_Occurred() != NULL || enter_queue(self, call) == NULL)
        return NULL; /* another thread may have closed it */
    if (Py_TYPE(object) == self->state->watch_type) {
        PyErr_Format(PyExc_KeyError, "%s of %R failed: it is not in this queue", call, object);
        return NULL;
    }
    if (read_descriptor(object, &fd) && fd >= 0)
        return raise_unknown_descriptor(call, fd);
    PyErr_Clear();
    PyErr_Format(PyExc_KeyError, "%s of %R failed: " UNKNOWN, call, object);
    return NULL;
}

/* ------------------------------------------------------------------ changing, removing */

PyObject *modify_member(PyObject *object, PyObject *const *arguments, Py_ssize_t positional,
                        PyObject *keywords)
{
    static const struct signature signature = {"modify", {"watch", "interest", NULL}, 2};
    Queue *self = (Queue *)object;
    PyObject *values[2], *result;
    Watch *watch;

    if (!read_arguments(&signature, arguments, positional, keywords, values) ||
        enter_queue(self, "modify") == NULL)
        return NULL;
    watch = find_watch(self, values[0]);
    if (watch == NULL)
        return raise_unknown(self, "modify", values[0]);
    result = modify_watch(watch, values[1]);
    Py_DECREF(watch);
    return result;
}

PyObject *remove_member(PyObject *object, PyObject *source)
{
    Queue *self = (Queue *)object;
    PyObject *result;
    Watch *watch;

    if (enter_queue(self, "remove") == NULL)
        return NULL;
    watch = find_watch(self, source);
    if (watch == NULL)
        return raise_unknown(self, "remove", source);
    result = remove_watch(watch);
    Py_DECREF(watch);
    return result;
}

/* ------------------------------------------------------------------ as a collection */

PyObject *get_member(PyObject *object, PyObject *source)
{
    Queue *self = (Queue *)object;
    Watch *watch;

    if (enter_queue(self, "get") == NULL)
        return NULL;
    watch = find_watch(self, source);
    if (watch != NULL && watch->core.queue != NULL)
        return (PyObject *)watch;
    Py_XDECREF(watch); /* it was removed */
    return raise_unknown(self, "get", source);
}

int has_member(PyObject *object, PyObject *source)
{
    Watch *watch = find_watch((Queue *)object, source);
    bool active;

    if (watch == NULL)
        return PyErr_Occurred() != NULL ? -1 : 0;
    active = watch->core.queue != NULL;
    Py_DECREF(watch);
    return active;
}

Py_ssize_t count_members(PyObject *self)
{
    readyq *core = ((Queue *)self)->core;

    return core != NULL ? (Py_ssize_t)readyq_size(core) : 0;
}

/* Fills `list` with the queue's watches, up to `room`. Returns how many there are. */
static Py_ssize_t copy_ring(Queue *self, PyObject *list, Py_ssize_t room)
{
    Py_ssize_t count = 0;

    Py_BEGIN_CRITICAL_SECTION(self);
    for (struct place *at = self->watches.next; at != &self->watches; at = at->next) {
        if (count < room)
            PyList_SET_ITEM(list, count, Py_NewRef(watch_at(at)));
        count++;
    }
    Py_END_CRITICAL_SECTION();
    return count;
}

/* Over a snapshot, so that the loop's body may add and remove. */
PyObject *iterate_members(PyObject *object)
{
    Queue *self = (Queue *)object;
    Py_ssize_t count, room = copy_ring(self, NULL, 0);
    PyObject *list, *iterator;

    for (;;) {
        list = PyList_New(room);
        if (list == NULL)
            return NULL;
        count = copy_ring(self, list, room);
        if (count <= room)
            break;
        Py_DECREF(list); /* it grew while the list was made */
        room = count;
    }
    Py_SET_SIZE(list, count); /* the rest was not filled */
    iterator = PyObject_GetIter(list);
    Py_DECREF(list);
    return iterator;
}

/* ------------------------------------------------------------------ found dead */

void drop_stale(Queue *self)
{
    readyq_watch *core;

    do {
        Watch *dead = NULL;

        Py_BEGIN_CRITICAL_SECTION(self);
        core = readyq_stale(self->core);
        if (core != NULL) {
            dead = watch_of(core);
            release_watch(dead);
        }
        Py_END_CRITICAL_SECTION();
        Py_XDECREF(dead);
    } while (core != NULL);
}
