/* SPDX-License-Identifier: MIT
 *
 * A queue as the collection of its watches: finding one by its source, changing and removing it,
 * counting, iterating. Adding is in sources.c.
 */
#include "binding.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ finding */

static bool has_object(const Watch *watch)
{
    return watch->core.kind == READYQ_KIND_FD || watch->core.kind == READYQ_KIND_PROCESS;
}

/* For a source that has no descriptor, or no longer has one. */
static Watch *find_by_identity(Queue *self, PyObject *source)
{
    Watch *found = NULL;

    Py_BEGIN_CRITICAL_SECTION(self);
    for (struct place *at = self->watches.next; at != &self->watches && found == NULL;
         at = at->next)
        if (watch_at(at)->source == source && has_object(watch_at(at)))
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

/* The watch that `object` is, or that has its descriptor, or that has it as its source, with a
 * reference; else NULL, with an exception if the object has no descriptor. Sets *fd to its
 * descriptor, or to a negative number. */
static Watch *find_watch(Queue *self, const char *call, PyObject *object, int *fd)
{
    Watch *watch = NULL;

    *fd = -1;
    if (Py_TYPE(object) == self->state->watch_type) {
        watch = (Watch *)object;
        return watch->queue == (PyObject *)self ? (Watch *)Py_NewRef(watch) : NULL;
    }
    if (pyq_read_descriptor(call, object, fd))
        watch = find_by_descriptor(self, *fd);
    else if (!PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    if (watch != NULL || PyLong_Check(object)) /* equal numbers need not be the same object */
        return watch;
    watch = find_by_identity(self, object);
    if (watch != NULL)
        PyErr_Clear(); /* its descriptor's */
    return watch;
}

/* After find_watch() found nothing: whether the object is simply not in the queue. It has a
 * descriptor, or is closed (ValueError, which closed files raise, too), or is a process without a
 * descriptor (TypeError). Then the exception is cleared; any other one stays. */
static bool is_unknown(PyObject *object)
{
    PyObject *type, *value, *traceback;
    bool process;

    if (PyErr_Occurred() == NULL)
        return true;
    if (PyLong_Check(object))
        return false;
    if (PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return true;
    }
    if (!PyErr_ExceptionMatches(PyExc_TypeError))
        return false;
    PyErr_Fetch(&type, &value, &traceback);
    process = !PyObject_HasAttrString(object, "fileno") && PyObject_HasAttrString(object, "pid");
    PyErr_Restore(type, value, traceback);
    if (process)
        PyErr_Clear();
    return process;
}

static PyObject *raise_unknown_descriptor(const char *call, int fd, const char *why)
{
    char what[256], target[288];

    snprintf(target, sizeof target, "descriptor %d (%s)", fd,
             readyq_describe(fd, what, sizeof what));
    return pyq_raise_failure(PyExc_KeyError, call, PyUnicode_DecodeFSDefault(target), why);
}

#define FOREIGN "it is not in this queue but in another; call the watch's own methods"
#define INACTIVE "it is no longer in this queue; add its source again"
#define UNKNOWN "this queue does not watch it; add it first"
#define NOTHING_TO_REMOVE "this queue does not watch it; there is nothing to remove"

/* `fd`: the object's, as find_watch() has read it. */
static PyObject *raise_unknown(Queue *self, const char *call, PyObject *object, int fd)
{
    const char *why = strcmp(call, "remove") == 0 ? NOTHING_TO_REMOVE : UNKNOWN;

    if (!is_unknown(object) || pyq_enter_queue(self, call) == NULL)
        return NULL; /* another thread may have closed it */
    if (Py_TYPE(object) == self->state->watch_type)
        return pyq_raise_failure(PyExc_KeyError, call, pyq_show_object(object),
                                 ((Watch *)object)->queue == (PyObject *)self ? INACTIVE : FOREIGN);
    if (fd >= 0)
        return raise_unknown_descriptor(call, fd, why);
    return pyq_raise_failure(PyExc_KeyError, call, pyq_show_object(object), why);
}

/* ------------------------------------------------------------------ changing, removing */

PyObject *pyq_modify_member(PyObject *object, PyObject *const *arguments, Py_ssize_t positional,
                            PyObject *keywords)
{
    static const struct signature signature = {"modify", {"watch", "interest", NULL}, 2, 2, NULL};
    Queue *self = (Queue *)object;
    PyObject *values[2], *result;
    Watch *watch;
    int fd;

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        pyq_enter_queue(self, "modify") == NULL)
        return NULL;
    watch = find_watch(self, "modify", values[0], &fd);
    if (watch == NULL)
        return raise_unknown(self, "modify", values[0], fd);
    result = pyq_modify_watch((PyObject *)watch, values[1]);
    Py_DECREF(watch);
    return result;
}

PyObject *pyq_remove_member(PyObject *object, PyObject *source)
{
    Queue *self = (Queue *)object;
    PyObject *result;
    Watch *watch;
    int fd;

    if (pyq_enter_queue(self, "remove") == NULL)
        return NULL;
    watch = find_watch(self, "remove", source, &fd);
    if (watch == NULL)
        return raise_unknown(self, "remove", source, fd);
    result = pyq_remove_watch((PyObject *)watch, NULL);
    Py_DECREF(watch);
    return result;
}

/* ------------------------------------------------------------------ as a collection */

/* Like find_watch(), but NULL for a watch that was removed. */
static PyObject *find_active(Queue *self, const char *call, PyObject *source, int *fd)
{
    Watch *watch = find_watch(self, call, source, fd);

    if (watch != NULL && LOAD(watch, queue) == NULL)
        Py_CLEAR(watch);
    return (PyObject *)watch;
}

PyObject *pyq_get_member(PyObject *object, PyObject *source)
{
    Queue *self = (Queue *)object;
    PyObject *watch;
    int fd;

    if (pyq_enter_queue(self, "q[source]") == NULL)
        return NULL;
    watch = find_active(self, "q[source]", source, &fd);
    return watch != NULL ? watch : raise_unknown(self, "q[source]", source, fd);
}

/* No error text is made: it would describe the descriptor, which takes system calls. */
PyObject *pyq_get_or_default(PyObject *object, PyObject *const *arguments, Py_ssize_t positional,
                             PyObject *keywords)
{
    static const struct signature signature = {"get", {"source", "default", NULL}, 1, 2, NULL};
    Queue *self = (Queue *)object;
    PyObject *values[2], *watch;
    int fd;

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        pyq_enter_queue(self, "get") == NULL)
        return NULL;
    watch = find_active(self, "get", values[0], &fd);
    if (watch != NULL || !is_unknown(values[0]))
        return watch;
    return Py_NewRef(values[1] != NULL ? values[1] : Py_None);
}

int pyq_has_member(PyObject *object, PyObject *source)
{
    int fd;
    Watch *watch = find_watch((Queue *)object, "source in q", source, &fd);
    bool active;

    if (watch == NULL)
        return is_unknown(source) ? 0 : -1;
    active = LOAD(watch, queue) != NULL;
    Py_DECREF(watch);
    return active;
}

Py_ssize_t pyq_count_members(PyObject *self)
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
PyObject *pyq_iterate_members(PyObject *object)
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

void pyq_drop_stale(Queue *self)
{
    readyq_watch *core;

    do {
        Watch *dead = NULL;

        Py_BEGIN_CRITICAL_SECTION(self);
        core = readyq_stale(self->core);
        if (core != NULL) {
            dead = watch_of(core);
            pyq_release_watch(dead);
        }
        Py_END_CRITICAL_SECTION();
        Py_XDECREF(dead);
    } while (core != NULL);
}
