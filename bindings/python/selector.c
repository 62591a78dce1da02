/* SPDX-License-Identifier: MIT
 *
 * The keys of readyq.Selector. A watch holds all that is in a selectors.SelectorKey, so a key is
 * made when it is asked for: kept, it would cost as much memory as half a watch. The class of the
 * keys, a tuple's subclass, is passed by the caller.
 */
#include "binding.h"

enum { EVENT_READ = 1, EVENT_WRITE = 2 }; /* of the module selectors */

/* A descriptor in error, or without a reader at its other end, is ready for both, as for poll(2).
 * One whose peer only stopped writing may still be full. */
#define BROKEN (READYQ_ERROR | READYQ_WRITE_CLOSED)

static long choose_events(uint32_t bits, uint32_t both)
{
    return (bits & (READYQ_READ | both) ? EVENT_READ : 0) |
           (bits & (READYQ_WRITE | both) ? EVENT_WRITE : 0);
}

static long asked_of(const Watch *watch)
{
    return choose_events(LOAD(watch, interest), 0);
}

/* A watch for one event is delivered for that event. */
static long found_of(const Watch *watch)
{
    const long asked = asked_of(watch);

    return asked == (EVENT_READ | EVENT_WRITE) ? choose_events(LOAD(watch, ready), BROKEN) : asked;
}

/* What tuple.__new__(type, (fileobj, fd, events, data)) makes, without that tuple. */
static PyObject *make_key(PyTypeObject *type, Watch *watch)
{
    PyObject *key = type->tp_alloc(type, 4), *fd, *events, *data;

    if (key == NULL)
        return NULL;
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)key)->ob_hash = -1; /* not computed yet */
#endif
    fd = PyLong_FromLong(watch->core.fd);
    events = PyLong_FromLong(asked_of(watch));
    data = pyq_data_of(watch);
    PyTuple_SET_ITEM(key, 0, Py_NewRef(watch->source));
    PyTuple_SET_ITEM(key, 1, fd);
    PyTuple_SET_ITEM(key, 2, events);
    PyTuple_SET_ITEM(key, 3, data != NULL ? data : Py_NewRef(Py_None)); /* it was deleted */
    if (fd == NULL || events == NULL)
        Py_CLEAR(key);
    return key;
}

static bool append_pair(PyObject *list, PyTypeObject *type, Watch *watch)
{
    PyObject *key = make_key(type, watch), *events = PyLong_FromLong(found_of(watch));
    PyObject *pair = key != NULL && events != NULL ? PyTuple_Pack(2, key, events) : NULL;
    const bool done = pair != NULL && PyList_Append(list, pair) == 0;

    Py_XDECREF(pair);
    Py_XDECREF(events);
    Py_XDECREF(key);
    return done;
}

/* The arguments of both functions: an object of type `expected`, and a subclass of tuple. */
static bool check(PyObject *const *arguments, Py_ssize_t n, PyTypeObject *expected)
{
    if (n == 2 && Py_TYPE(arguments[0]) == expected && PyType_Check(arguments[1]) &&
        PyType_IsSubtype((PyTypeObject *)arguments[1], &PyTuple_Type))
        return true;
    PyErr_Format(PyExc_TypeError, "the arguments must be a %s and a subclass of tuple",
                 expected != NULL ? expected->tp_name : "readyq object");
    return false;
}

PyObject *pyq_make_key(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    const State *state = PyModule_GetState(module);

    if (!check(arguments, n, state->watch_type))
        return NULL;
    return make_key((PyTypeObject *)arguments[1], (Watch *)arguments[0]);
}

PyObject *pyq_take_keys(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    const State *state = PyModule_GetState(module);
    PyObject *list;
    Watch *watch;
    bool done = true;

    if (!check(arguments, n, state->batch_type))
        return NULL;
    list = PyList_New(0);
    while (list != NULL && done && (watch = pyq_take_watch((Batch *)arguments[0])) != NULL) {
        done = append_pair(list, (PyTypeObject *)arguments[1], watch);
        Py_DECREF(watch);
    }
    if (!done)
        Py_CLEAR(list);
    return list;
}
