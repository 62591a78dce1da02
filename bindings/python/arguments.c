/* SPDX-License-Identifier: MIT
 *
 * Converts Python values to the core's: arguments of a call, seconds, descriptors, interest. Errors
 * that the core finds are in errors.c.
 */
#include "binding.h"

#include <stdio.h>
#include <string.h>

static void refuse_keyword(const struct signature *signature, PyObject *keyword)
{
    char names[128] = "none";

    for (int i = 0, at = 0; signature->names[i] != NULL; i++)
        at += snprintf(names + at, sizeof names - (size_t)at, "%s%s", i > 0 ? ", " : "",
                       signature->names[i]);
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R; its arguments: %s",
                 signature->call, keyword, names);
}

/* Most keywords name an argument that follows the positional ones: those are tried first. */
static bool name_argument(const struct signature *signature, PyObject *keyword,
                          Py_ssize_t positional, Py_ssize_t *index)
{
    for (*index = positional; signature->names[*index] != NULL; ++*index)
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[*index]) == 0)
            return true;
    for (*index = 0; *index < positional; ++*index)
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[*index]) == 0)
            return true;
    refuse_keyword(signature, keyword);
    return false;
}

static bool read_keywords(const struct signature *signature, PyObject *const *arguments,
                          Py_ssize_t positional, PyObject *keywords, PyObject **values)
{
    Py_ssize_t index;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        if (!name_argument(signature, keyword, positional, &index))
            return false;
        if (values[index] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument %R",
                         signature->call, keyword);
            return false;
        }
        values[index] = arguments[positional + i];
    }
    return true;
}

static bool refuse_positional(const struct signature *signature, Py_ssize_t given)
{
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zd positional argument%s (%zd given)%s%s",
                 signature->call, signature->positional, signature->positional == 1 ? "" : "s",
                 given, signature->by_name != NULL ? "; pass " : "",
                 signature->by_name != NULL ? signature->by_name : "");
    return false;
}

bool pyq_read_arguments(const struct signature *signature, PyObject *const *arguments,
                        Py_ssize_t positional, PyObject *keywords, PyObject **values)
{
    for (Py_ssize_t i = 0; signature->names[i] != NULL; i++)
        values[i] = i < positional ? arguments[i] : NULL;
    if (positional > signature->positional)
        return refuse_positional(signature, positional);
    if (keywords != NULL && !read_keywords(signature, arguments, positional, keywords, values))
        return false;
    for (Py_ssize_t i = 0; i < signature->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() needs argument '%s'", signature->call,
                         signature->names[i]);
            return false;
        }
    }
    return true;
}

/* "wait: maxevents must be an int, not str 'x'" and then the advice */
static bool refuse_with(PyObject *type, const char *call, const char *name, const char *wanted,
                        PyObject *object, const char *advice)
{
    PyObject *shown = pyq_show_object(object);

    if (shown != NULL && type == PyExc_TypeError)
        PyErr_Format(type, "%s: %s must be %s, not %.100s %U%s", call, name, wanted,
                     Py_TYPE(object)->tp_name, shown, advice);
    else if (shown != NULL)
        PyErr_Format(type, "%s: %s must be %s, not %U%s", call, name, wanted, shown, advice);
    Py_XDECREF(shown);
    return false;
}

static bool refuse(PyObject *type, const char *call, const char *name, const char *wanted,
                   PyObject *object)
{
    return refuse_with(type, call, name, wanted, object, "");
}

/* ------------------------------------------------------------------ seconds */

static bool scale_integer(const char *call, const char *name, PyObject *object,
                          int64_t *nanoseconds)
{
    int overflow;
    long long seconds = PyLong_AsLongLongAndOverflow(object, &overflow);

    if (overflow < 0 || (overflow == 0 && seconds < 0))
        return refuse(PyExc_ValueError, call, name, "a number of seconds >= 0", object);
    if (overflow > 0 || seconds > INT64_MAX / 1000000000)
        *nanoseconds = INT64_MAX;
    else
        *nanoseconds = seconds * 1000000000;
    return true;
}

static bool scale_float(const char *call, const char *name, PyObject *object, int64_t *nanoseconds)
{
    double exact = PyFloat_AsDouble(object) * 1e9;

    if (PyErr_Occurred() != NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            refuse(PyExc_TypeError, call, name, "a number of seconds", object);
        }
        return false;
    }
    if (!(exact >= 0)) /* negative, or not a number */
        return refuse(PyExc_ValueError, call, name, "a number of seconds >= 0", object);
    if (exact >= 9.2e18) {
        *nanoseconds = INT64_MAX;
        return true;
    }
    *nanoseconds = (int64_t)exact;
    if ((double)*nanoseconds < exact)
        ++*nanoseconds;
    return true;
}

bool pyq_read_seconds(const char *call, const char *name, PyObject *object, int64_t *nanoseconds)
{
    if (PyLong_Check(object))
        return scale_integer(call, name, object, nanoseconds);
    return scale_float(call, name, object, nanoseconds);
}

/* ------------------------------------------------------------------ integers, descriptors */

/* An int or an object with __index__(); not a bool, which would be a mistake. */
static inline bool is_integer(PyObject *object)
{
    return PyLong_CheckExact(object) || (PyIndex_Check(object) && !PyBool_Check(object));
}

static bool refuse_range(const char *call, const char *name, PyObject *object)
{
    PyObject *shown = pyq_show_object(object);

    if (shown != NULL)
        PyErr_Format(PyExc_ValueError, "%s: %s is out of range: %U", call, name, shown);
    Py_XDECREF(shown);
    return false;
}

/* The value of an object that is_integer(), or an overflow; false with an exception from its
 * __index__(). */
static inline bool read_index(PyObject *object, long long *value, int *overflow)
{
    PyObject *index;

    if (PyLong_CheckExact(object)) {
        *value = PyLong_AsLongLongAndOverflow(object, overflow);
        return true;
    }
    index = PyNumber_Index(object);
    if (index == NULL)
        return false;
    *value = PyLong_AsLongLongAndOverflow(index, overflow);
    Py_DECREF(index);
    return true;
}

bool pyq_read_integer(const char *call, const char *name, const char *wanted, PyObject *object,
                      int *value)
{
    long long number;
    int overflow;

    if (!is_integer(object))
        return refuse(PyExc_TypeError, call, name, wanted, object);
    if (!read_index(object, &number, &overflow))
        return false;
    if (overflow != 0 || number < INT_MIN || number > INT_MAX)
        return refuse_range(call, name, object);
    *value = (int)number;
    return true;
}

bool pyq_read_count(const char *call, const char *name, const char *type, const char *wanted,
                    PyObject *object, int *value)
{
    if (!pyq_read_integer(call, name, type, object, value))
        return false;
    return *value >= 1 || refuse(PyExc_ValueError, call, name, wanted, object);
}

/* Whether an AttributeError says that there is no attribute of that name, rather than coming from
 * inside the attribute. */
static bool lacks_attribute(PyObject *object, const char *name)
{
    PyObject *type, *value, *traceback;
    bool lacks;

    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        return false;
    PyErr_Fetch(&type, &value, &traceback);
    lacks = !PyObject_HasAttrString(object, name);
    PyErr_Restore(type, value, traceback);
    return lacks;
}

static bool refuse_descriptor(const char *call, PyObject *object)
{
    PyObject *shown = pyq_show_object(object);

    if (shown != NULL)
        PyErr_Format(PyExc_TypeError,
                     "%s: a descriptor must be an int or have fileno(), not %.100s %U", call,
                     Py_TYPE(object)->tp_name, shown);
    Py_XDECREF(shown);
    return false;
}

static bool read_fileno(const char *call, PyObject *object, int *fd, bool *closed)
{
    PyObject *number;
    char name[64];
    bool fits;

    if (PyType_Check(object)) /* only its instances have a descriptor */
        return refuse_descriptor(call, object);
    number = PyObject_CallMethod(object, "fileno", NULL);
    if (number == NULL) {
        if (!lacks_attribute(object, "fileno"))
            return false;
        PyErr_Clear();
        if (is_integer(object))
            return pyq_read_integer(call, "descriptor", "an int", object, fd);
        return refuse_descriptor(call, object);
    }
    snprintf(name, sizeof name, "fileno() of %.40s", Py_TYPE(object)->tp_name);
    fits = pyq_read_integer(call, name, "an int", number, fd);
    Py_DECREF(number);
    *closed = fits && *fd < 0;
    return fits;
}

bool pyq_read_number(const char *call, PyObject *object, int *fd, bool *closed)
{
    *closed = false;
    if (PyLong_Check(object) && !PyBool_Check(object))
        return pyq_read_integer(call, "descriptor", "an int", object, fd);
    return read_fileno(call, object, fd, closed);
}

bool pyq_read_descriptor(const char *call, PyObject *object, int *fd)
{
    bool closed;

    if (!pyq_read_number(call, object, fd, &closed))
        return false;
    if (!closed) /* a negative number is for the core to refuse */
        return true;
    pyq_raise_failure(PyExc_ValueError, call, pyq_show_object(object),
                      "it is closed (its fileno() is negative); use an open one");
    return false;
}

/* ------------------------------------------------------------------ interest */

static bool refuse_interest(PyObject *type, const char *call, const char *name, PyObject *object)
{
    return refuse_with(type, call, name,
                       type == PyExc_ValueError
                           ? "made of \"r\", \"w\" and \"p\""
                           : "bits such as readyq.READ or letters such as \"rw\"",
                       object, strcmp(call, "add") == 0 ? "; pass data by name: data=..." : "");
}

static bool spell_interest(const char *call, const char *name, PyObject *object, uint32_t *interest)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(object);

    *interest = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        switch (PyUnicode_READ_CHAR(object, i)) {
        case 'r': *interest |= READYQ_READ; break;
        case 'w': *interest |= READYQ_WRITE; break;
        case 'p': *interest |= READYQ_PRIORITY; break;
        default: return refuse_interest(PyExc_ValueError, call, name, object);
        }
    }
    return length > 0 || refuse_interest(PyExc_ValueError, call, name, object);
}

bool pyq_read_interest(const char *call, const char *name, PyObject *object, uint32_t *interest)
{
    long long bits;
    int overflow;

    if (PyUnicode_Check(object))
        return spell_interest(call, name, object, interest);
    if (!is_integer(object))
        return refuse_interest(PyExc_TypeError, call, name, object);
    if (!read_index(object, &bits, &overflow))
        return false;
    if (overflow != 0 || bits < 0 || bits > UINT32_MAX)
        return refuse_range(call, name, object);
    *interest = (uint32_t)bits;
    return true;
}
