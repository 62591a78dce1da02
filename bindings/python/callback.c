/* SPDX-License-Identifier: MIT
 *
 * Calling data, for dispatch(). Data that cannot be called, or whose call would do nothing, is
 * refused before its watch is taken, so that the event is left to the next wait.
 */
#include "binding.h"

/* What is wrong with code whose call returns an object that nothing would run, or NULL. */
static const char *check_code(PyObject *function)
{
    const int flags = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_flags;

    if (!(flags & (CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR)))
        return NULL;
    return flags & CO_GENERATOR
               ? "its data is a generator function, whose call runs nothing; give a plain "
                 "function, or take the watch from wait()"
               : "its data is an async function, which dispatch() cannot await; give a plain "
                 "function that starts a task, or take the watch from wait()";
}

static const char *check_callable(State *state, PyObject *data);

/* `object`'s attribute, which is called in its place. */
static const char *check_attribute(State *state, PyObject *object, const char *name)
{
    PyObject *called = PyObject_GetAttrString(object, name);
    const char *wrong = NULL;

    if (called == NULL)
        PyErr_Clear();
    else if (PyFunction_Check(called) || PyMethod_Check(called))
        wrong = check_callable(state, called);
    Py_XDECREF(called);
    return wrong;
}

/* For what is neither a function nor a method of Python's. */
static const char *check_other(State *state, PyObject *data)
{
    PyTypeObject *type;
    const char *wrong;

    if (data == NULL || data == Py_None)
        return "it has no data to call; give a function as data, or take the watch from wait()";
    type = Py_TYPE(data);
    if (!PyCallable_Check(data))
        return "its data cannot be called; give a function as data, or take the watch from wait()";
    if (PyType_Check(data) || !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE))
        return NULL; /* a class, or written in C */
    Py_INCREF(data);
    wrong = (PyObject *)type == state->partial_type
                ? check_attribute(state, data, "func")
                : check_attribute(state, (PyObject *)type, "__call__");
    Py_DECREF(data);
    return wrong;
}

/* Why data must not be called, or NULL. */
static const char *check_callable(State *state, PyObject *data)
{
    if (data != NULL && PyMethod_Check(data))
        data = PyMethod_GET_FUNCTION(data);
    if (data != NULL && PyFunction_Check(data))
        return check_code(data);
    return check_other(state, data);
}

static bool refuse_data(Watch *watch, const char *wrong)
{
    PyErr_Format(PyExc_TypeError, "dispatch of %R failed: %s", watch, wrong);
    return false;
}

static bool check_watch(State *state, Watch *watch)
{
    const char *wrong;

    Py_BEGIN_CRITICAL_SECTION(watch);
    wrong = check_callable(state, watch->data);
    Py_END_CRITICAL_SECTION();
    return wrong == NULL || refuse_data(watch, wrong);
}

/* Whether the next watch, if there is one, can be called; else an exception. The batch is read
 * without the core's lock: a thread in readyq_wait() may at most unlink this watch meanwhile, whose
 * memory stays until it is released in a critical section of the queue. */
static bool check_next(Batch *batch)
{
    Watch *watch = NULL;
    struct readyq__link *next;
    bool good;

    Py_BEGIN_CRITICAL_SECTION(batch->queue);
    next = batch->core.own.next;
    if (next != batch->core.own.end)
        watch = (Watch *)Py_NewRef(watch_of(OWNER_OF(next, readyq_watch, own.link)));
    Py_END_CRITICAL_SECTION();
    if (watch == NULL)
        return true;
    good = check_watch(batch->queue->state, watch);
    Py_DECREF(watch);
    return good;
}

static bool call_data(Watch *watch)
{
    PyObject *data, *result;

    Py_BEGIN_CRITICAL_SECTION(watch);
    data = Py_XNewRef(watch->data);
    Py_END_CRITICAL_SECTION();
    if (data == NULL) /* another thread has deleted it in the meantime */
        return refuse_data(watch, "it has no data to call");
    result = PyObject_CallOneArg(data, (PyObject *)watch);
    Py_DECREF(data);
    Py_XDECREF(result);
    return result != NULL;
}

int call_ready(Batch *batch)
{
    int called = 0;
    Watch *watch;
    bool done;

    for (;;) {
        if (!check_next(batch))
            return -1;
        watch = take_watch(batch);
        if (watch == NULL)
            return called;
        done = call_data(watch);
        Py_DECREF(watch);
        if (!done)
            return -1;
        called++;
    }
}
