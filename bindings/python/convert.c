/* SPDX-License-Identifier: MIT
 *
 * From Python values to the core's: arguments of a call, seconds, descriptors, interest. Errors
 * that the core finds are in errors.c.
 */
#include "binding.h"

static bool name_argument(const struct signature *signature, PyObject *keyword, Py_ssize_t *index)
{
    for (*index = 0; signature->names[*index] != NULL; ++*index)
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[*index]) == 0)
            return true;
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", signature->call,
                 keyword);
    return false;
}

static bool read_keywords(const struct signature *signature, PyObject *const *arguments,
                          PyObject *keywords, PyObject **values)
{
    Py_ssize_t index;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        if (!name_argument(signature, keyword, &index))
            return false;
        if (values[index] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument %R",
                         signature->call, keyword);
            return false;
        }
        values[index] = arguments[i];
    }
    return true;
}

bool read_arguments(const struct signature *signature, PyObject *const *arguments,
                    Py_ssize_t positional, PyObject *keywords, PyObject **values)
{
    Py_ssize_t names = 0;

    for (; signature->names[names] != NULL; names++)
        values[names] = names < positional ? arguments[names] : NULL;
    if (positional > names) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)",
                     signature->call, names, positional);
        return false;
    }
    if (keywords != NULL && !read_keywords(signature, arguments + positional, keywords, values))
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

static bool refuse_seconds(const char *name, PyObject *object)
{
    PyErr_Format(PyExc_ValueError, "%s must be a number of seconds >= 0, not %R", name, object);
    return false;
}

static bool scale_integer(const char *name, PyObject *object, int64_t *nanoseconds)
{
    int overflow;
    long long seconds = PyLong_AsLongLongAndOverflow(object, &overflow);

    if (overflow < 0 || (overflow == 0 && seconds < 0))
        return refuse_seconds(name, object);
    if (overflow > 0 || seconds > INT64_MAX / 1000000000)
        *nanoseconds = INT64_MAX;
    else
        *nanoseconds = seconds * 1000000000;
    return true;
}

static bool scale_float(const char *name, PyObject *object, int64_t *nanoseconds)
{
    double exact = PyFloat_AsDouble(object) * 1e9;

    if (PyErr_Occurred() != NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s must be a number of seconds, not %.100s", name,
                         Py_TYPE(object)->tp_name);
        return false;
    }
    if (!(exact >= 0)) /* negative, or not a number */
        return refuse_seconds(name, object);
    if (exact >= 9.2e18) {
        *nanoseconds = INT64_MAX;
        return true;
    }
    *nanoseconds = (int64_t)exact;
    if ((double)*nanoseconds < exact)
        ++*nanoseconds;
    return true;
}

bool read_seconds(const char *name, PyObject *object, int64_t *nanoseconds)
{
    if (PyLong_Check(object))
        return scale_integer(name, object, nanoseconds);
    return scale_float(name, object, nanoseconds);
}

bool read_integer(const char *name, PyObject *object, int *value)
{
    int overflow;
    long number;

    if (!PyLong_Check(object) || PyBool_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not %.100s", name,
                     Py_TYPE(object)->tp_name);
        return false;
    }
    number = PyLong_AsLongAndOverflow(object, &overflow);
    if (overflow != 0 || number < INT_MIN || number > INT_MAX) {
        PyErr_Format(PyExc_ValueError, "%s is out of range: %R", name, object);
        return false;
    }
    *value = (int)number;
    return true;
}

bool read_descriptor(PyObject *object, int *fd)
{
    PyObject *number;
    bool fits;

    if (PyLong_Check(object) && !PyBool_Check(object))
        return read_integer("descriptor", object, fd);
    number = PyObject_CallMethod(object, "fileno", NULL);
    if (number == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Format(PyExc_TypeError, "a descriptor is an int or has fileno(), unlike %.100s",
                         Py_TYPE(object)->tp_name);
        return false;
    }
    fits = read_integer("fileno()", number, fd);
    Py_DECREF(number);
    return fits;
}

static bool spell_interest(PyObject *object, uint32_t *interest)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(object);

    *interest = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        switch (PyUnicode_READ_CHAR(object, i)) {
        case 'r': *interest |= READYQ_READ; break;
        case 'w': *interest |= READYQ_WRITE; break;
        case 'p': *interest |= READYQ_PRIORITY; break;
        default: length = 0;
        }
    }
    if (length == 0)
        PyErr_Format(PyExc_ValueError, "interest must be made of \"r\", \"w\" and \"p\", not %R",
                     object);
    return length != 0;
}

bool read_interest(PyObject *object, uint32_t *interest)
{
    int overflow;
    long long bits;

    if (PyUnicode_Check(object))
        return spell_interest(object, interest);
    if (!PyLong_Check(object) || PyBool_Check(object)) {
        PyErr_Format(PyExc_TypeError,
                     "interest must be bits such as readyq.READ or letters such as \"rw\", "
                     "not %.100s",
                     Py_TYPE(object)->tp_name);
        return false;
    }
    bits = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0 || bits < 0 || bits > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "interest is out of range: %R", object);
        return false;
    }
    *interest = (uint32_t)bits;
    return true;
}
