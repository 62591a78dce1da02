/* SPDX-License-Identifier: MIT
 *
 * Tracing: one readable line for each call and each delivery, handed to what the user named.
 * What is off costs a test of one pointer; what is on never changes what the queue does.
 */
#include "binding.h"

/* A callable is called with the line; a file gets it with its newline. */
static PyObject *choose_tracer(PyObject *target)
{
    PyObject *write;

    if (PyCallable_Check(target))
        return Py_NewRef(target);
    write = PyObject_GetAttrString(target, "write");
    if (write == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Format(PyExc_TypeError,
                     "trace() needs a file, something to call with a line, or None, not %.100s",
                     Py_TYPE(target)->tp_name);
    Py_XDECREF(write);
    return write != NULL ? Py_NewRef(target) : NULL;
}

PyObject *pyq_set_tracer(PyObject *object, PyObject *target)
{
    Queue *self = (Queue *)object;
    PyObject *old, *tracer = NULL;

    if (pyq_enter_queue(self, "trace") == NULL)
        return NULL;
    if (target != Py_None) {
        tracer = choose_tracer(target);
        if (tracer == NULL)
            return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(self);
    old = self->tracer;
    self->tracer = tracer;
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(old);
    Py_RETURN_NONE;
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

/* Takes the line's reference; NULL is a line that could not be made. */
static void report(Queue *self, PyObject *line)
{
    PyObject *result = NULL, *tracer;

    Py_BEGIN_CRITICAL_SECTION(self);
    tracer = Py_XNewRef(self->tracer);
    Py_END_CRITICAL_SECTION();
    if (tracer != NULL && line != NULL) {
        self->tracing = PyThread_get_thread_ident();
        result = hand_over(tracer, line);
        self->tracing = 0;
    }
    if (PyErr_Occurred() != NULL)
        PyErr_WriteUnraisable(tracer);
    Py_XDECREF(result);
    Py_XDECREF(tracer);
    Py_XDECREF(line);
}

static bool is_traced(const Queue *self)
{
    return self->tracer != NULL && self->tracing != PyThread_get_thread_ident();
}

void pyq_trace_watch(Queue *self, const char *call, Watch *watch)
{
    PyObject *inner, *line = NULL;

    if (!is_traced(self))
        return;
    inner = pyq_describe_watch(watch);
    if (inner != NULL)
        line = PyUnicode_FromFormat("readyq: %s %U", call, inner);
    Py_XDECREF(inner);
    report(self, line);
}

void pyq_trace_text(Queue *self, const char *format, ...)
{
    PyObject *inner, *line = NULL;
    va_list arguments;

    if (!is_traced(self))
        return;
    va_start(arguments, format);
    inner = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (inner != NULL)
        line = PyUnicode_FromFormat("readyq: %U", inner);
    Py_XDECREF(inner);
    report(self, line);
}
