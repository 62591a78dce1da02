/* SPDX-License-Identifier: MIT
 *
 * Calling data, for dispatch(). Data that cannot be called, or that only makes a generator when it
 * is called, is refused before its watch is taken, so that the event is left to the next wait.
 */
#include "binding.h"

#include <string.h>

/* The function, written in Python, that a call to data runs. NULL if there is none, without an
 * exception, or on failure. */
static PyObject *find_function(PyObject *data)
{
    PyObject *called, *function = NULL;
    bool is_partial;

    if (PyFunction_Check(data))
        return Py_NewRef(data);
    if (PyMethod_Check(data))
        return find_function(PyMethod_GET_FUNCTION(data));
    if (PyCFunction_Check(data) || PyType_Check(data))
        return NULL;
    is_partial = strcmp(Py_TYPE(data)->tp_name, "functools.partial") == 0;
    called = is_partial ? PyObject_GetAttrString(data, "func")
                        : PyObject_GetAttrString((PyObject *)Py_TYPE(data), "__call__");
    if (called != NULL && (is_partial || PyFunction_Check(called)))
        function = find_function(called);
    Py_XDECREF(called);
    return function;
}

static inline int flags_of(PyObject *function)
{
    return ((PyCodeObject *)PyFunction_GET_CODE(function))->co_flags;
}

/* Why data must not be called, or NULL, perhaps with an exception. */
static const char *find_fault(PyObject *data)
{
    PyObject *function;
    int flags;

    if (data == NULL || data == Py_None)
        return "it has no data to call; pass a function as data, or take the watch from wait()";
    if (!PyCallable_Check(data))
        return "its data cannot be called; pass a function as data, or take the watch from wait()";
    function = find_function(data);
    flags = function != NULL ? flags_of(function) : 0;
    Py_XDECREF(function);
    if (flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))
        return "its data is an async function, which dispatch() cannot await; pass a plain "
               "function that starts a task, or take the watch from wait()";
    if (flags & CO_GENERATOR)
        return "its data is a generator function, and calling it would run none of its code; "
               "pass a plain function, or take the watch from wait()";
    return NULL;
}

/* The short path of check_watch(): a function or a method that runs when it is called. */
static inline bool is_plain(Watch *watch)
{
    PyObject *data;
    bool plain;

    Py_BEGIN_CRITICAL_SECTION(watch);
    data = watch->core.data;
    if (data != NULL && PyMethod_Check(data))
        data = PyMethod_GET_FUNCTION(data);
    plain = data != NULL && PyFunction_Check(data) &&
            !(flags_of(data) & (CO_COROUTINE | CO_ASYNC_GENERATOR | CO_GENERATOR));
    Py_END_CRITICAL_SECTION();
    return plain;
}

/* Whether its data can be called; else an exception. */
static bool check_watch(Watch *watch)
{
    PyObject *data = pyq_data_of(watch);
    const char *fault = find_fault(data);

    Py_XDECREF(data);
    if (fault != NULL)
        PyErr_Format(PyExc_TypeError, "dispatch() failed for %R: %s", watch, fault);
    return PyErr_Occurred() == NULL;
}

/* ------------------------------------------------------------------ calling */

/* The next watch, with a reference and not taken; NULL at the end. */
static Watch *first_watch(Batch *batch)
{
    Watch *watch = NULL;
    readyq_watch *first;

    Py_BEGIN_CRITICAL_SECTION(batch->queue);
    first = readyq_first(&batch->core);
    if (first != NULL)
        watch = (Watch *)Py_NewRef(watch_of(first));
    Py_END_CRITICAL_SECTION();
    return watch;
}

static bool check_first(Batch *batch)
{
    Watch *first = first_watch(batch);
    const bool good = first == NULL || is_plain(first) || check_watch(first);

    Py_XDECREF(first);
    return good;
}

/* The function of a method is called with the object, which is all that the method would do. */
static PyObject *call_object(PyObject *data, PyObject *watch)
{
    PyObject *arguments[] = {watch, watch};

    if (!PyMethod_Check(data))
        return PyObject_Vectorcall(data, arguments, 1, NULL);
    arguments[0] = PyMethod_GET_SELF(data);
    return PyObject_Vectorcall(PyMethod_GET_FUNCTION(data), arguments, 2, NULL);
}

/* Another thread may have removed the watch that was checked, or changed its data. */
static bool call_data(Watch *watch)
{
    PyObject *data = pyq_data_of(watch), *result;

    if (data == NULL)
        return check_watch(watch);
    result = call_object(data, (PyObject *)watch);
    Py_DECREF(data);
    Py_XDECREF(result);
    return result != NULL;
}

int pyq_call_ready(Batch *batch)
{
    int called = 0;
    Watch *watch;
    bool done;

    for (;;) {
        if (!check_first(batch))
            return -1;
        watch = pyq_take_watch(batch);
        if (watch == NULL)
            return called;
        done = call_data(watch);
        Py_DECREF(watch);
        if (!done)
            return -1;
        called++;
    }
}
