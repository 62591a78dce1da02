/* SPDX-License-Identifier: MIT
 *
 * Calling data, for dispatch(). Data that cannot be called, or whose call would do nothing, is
 * refused before its watch is taken, so that the event is left to the next wait.
 */
#include "binding.h"

#define NOT_RUN (CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR)

static inline int flags_of(PyObject *function)
{
    return ((PyCodeObject *)PyFunction_GET_CODE(function))->co_flags;
}

/* ------------------------------------------------------------------ what cannot be called */

/* Of a function of Python's whose call returns an object that nothing would run, or NULL. */
static const char *check_function(PyObject *function)
{
    const int flags = flags_of(function) & NOT_RUN;

    if (flags == 0)
        return NULL;
    return flags == CO_GENERATOR
               ? "its data is a generator function, whose call runs nothing; give a plain "
                 "function, or take the watch from wait()"
               : "its data is an async function, which dispatch() cannot await; give a plain "
                 "function that starts a task, or take the watch from wait()";
}

/* Of a function or a method; anything else is taken for plain. */
static const char *check_plain(PyObject *data)
{
    if (PyMethod_Check(data))
        data = PyMethod_GET_FUNCTION(data);
    return PyFunction_Check(data) ? check_function(data) : NULL;
}

/* Of an object whose type defines __call__(); NULL with or without an exception. The version of the
 * type that was last found plain is kept, since the lookup costs more than the rest of a call. A
 * type that is changed gets another version. */
static const char *check_type(State *state, PyTypeObject *type)
{
    const char *wrong;
    PyObject *call;

    if (PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG) &&
        type->tp_version_tag == atomic_load_explicit(&state->plain_type, memory_order_relaxed))
        return NULL;
    call = PyObject_GetAttrString((PyObject *)type, "__call__");
    if (call == NULL)
        return NULL;
    wrong = check_plain(call);
    Py_DECREF(call);
    if (wrong == NULL && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))
        atomic_store_explicit(&state->plain_type, type->tp_version_tag, memory_order_relaxed);
    return wrong;
}

/* What functools.partial calls, borrowed. */
static PyObject *function_of(State *state, PyObject *partial)
{
    return *(PyObject **)(void *)((char *)partial + state->partial_function);
}

/* Why data must not be called, or NULL, with or without an exception. */
static const char *check_data(State *state, PyObject *data)
{
    if (data == NULL || data == Py_None)
        return "it has no data to call; give a function as data, or take the watch from wait()";
    if (!PyCallable_Check(data))
        return "its data cannot be called; give a function as data, or take the watch from wait()";
    if (Py_TYPE(data) == state->partial_type)
        data = function_of(state, data);
    if (PyFunction_Check(data) || PyMethod_Check(data))
        return check_plain(data);
    if (PyType_Check(data) || !PyType_HasFeature(Py_TYPE(data), Py_TPFLAGS_HEAPTYPE))
        return NULL; /* a class, or written in C */
    return check_type(state, Py_TYPE(data));
}

static bool refuse_data(Watch *watch, const char *wrong)
{
    PyErr_Format(PyExc_TypeError, "dispatch of %R failed: %s", watch, wrong);
    return false;
}

static bool check_watch(State *state, Watch *watch)
{
    const char *wrong;
    PyObject *data;

    Py_BEGIN_CRITICAL_SECTION(watch);
    data = Py_XNewRef(watch->data);
    Py_END_CRITICAL_SECTION();
    wrong = check_data(state, data);
    Py_XDECREF(data);
    return wrong != NULL ? refuse_data(watch, wrong) : PyErr_Occurred() == NULL;
}

/* The common kinds of data, for which nothing else has to be looked at. Without the GIL another
 * thread could replace data meanwhile. */
static inline bool is_plain(PyObject *data)
{
#ifdef Py_GIL_DISABLED
    (void)data;
    return false;
#else
    if (data == NULL)
        return false;
    if (!PyFunction_Check(data) && PyMethod_Check(data))
        data = PyMethod_GET_FUNCTION(data);
    return PyFunction_Check(data) ? !(flags_of(data) & NOT_RUN) : PyCFunction_CheckExact(data);
#endif
}

/* ------------------------------------------------------------------ calling */

/* Whether the next watch, if there is one, can be called; else an exception. The batch is read
 * without the core's lock: a thread in readyq_wait() may at most unlink this watch meanwhile, whose
 * memory stays until it is released in a critical section of the queue. */
static inline bool check_next(Batch *batch)
{
    Watch *watch = NULL;
    struct readyq__link *next;
    bool good;

    Py_BEGIN_CRITICAL_SECTION(batch->queue);
    next = batch->core.own.next;
    if (next != batch->core.own.end) {
        watch = watch_of(OWNER_OF(next, readyq_watch, own.link));
        if (is_plain(watch->data))
            watch = NULL;
        else
            Py_INCREF(watch);
    }
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
