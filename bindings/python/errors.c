/* SPDX-License-Identifier: MIT
 *
 * Turns the core's errors into exceptions: which class stands for which errno. The sentences are
 * readyq_explain()'s.
 */
#include "binding.h"

#include <stdio.h>
#include <string.h>

static PyObject *choose_class(int error)
{
    switch (error) {
    case -ESHUTDOWN:
    case -EINVAL: return PyExc_ValueError;
    case -ENOENT: return PyExc_KeyError;
    default: return PyExc_OSError; /* picks its subclass by errno */
    }
}

/* The class is taken from the object: in 3.9 `except` goes by the type that was set. Releases it. */
static PyObject *raise_os_error(PyObject *exception)
{
    if (exception != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    return NULL;
}

static PyObject *raise_text(int error, const char *text)
{
    PyObject *type = choose_class(error);
    PyObject *sentence = PyUnicode_DecodeFSDefault(text); /* it may hold a file's name */

    if (sentence == NULL)
        return NULL;
    if (type == PyExc_OSError)
        raise_os_error(PyObject_CallFunction(type, "iO", -error, sentence));
    else
        PyErr_SetObject(type, sentence);
    Py_DECREF(sentence);
    return NULL;
}

PyObject *pyq_raise_error(const char *call, int fd, int error)
{
    char text[512];

    return raise_text(error, readyq_explain(call, fd, error, text, sizeof text));
}

PyObject *pyq_raise_error_for(const char *call, const char *target, int error)
{
    char text[512];

    return raise_text(error, readyq_explain_for(call, target, error, text, sizeof text));
}

PyObject *pyq_raise_watch_error(const char *call, const Watch *watch, int error)
{
    char text[512];

    return raise_text(error, readyq_explain_watch(call, &watch->core, error, text, sizeof text));
}

PyObject *pyq_raise_os_error(const char *call, int error, PyObject *path)
{
    char text[512];

    readyq_explain(call, -1, error, text, sizeof text);
    return raise_os_error(PyObject_CallFunction(PyExc_OSError, "isO", -error, text, path));
}

/* The core does not write this text: the target may have characters that its text cannot hold. */
PyObject *pyq_raise_failure(PyObject *type, const char *call, PyObject *target, const char *why)
{
    const char *parentheses = strpbrk(call, "([. ") == NULL ? "()" : ""; /* as in the core */

    if (target != NULL)
        PyErr_Format(type, "%s%s failed for %U: %s", call, parentheses, target, why);
    Py_XDECREF(target);
    return NULL;
}
