/* SPDX-License-Identifier: MIT
 *
 * Debug mode: the argument `debug` of Queue, and the warnings of the core's watchdog, to which
 * Python adds the data of the watch.
 */
#include "binding.h"

/* ------------------------------------------------------------------ the argument */

static bool refuse_debug(PyObject *object)
{
    PyObject *shown = pyq_show_object(object);

    if (shown != NULL)
        PyErr_Format(PyExc_TypeError,
                     "Queue: debug must be a bool, or a dict with \"turns\", \"turn\" and "
                     "\"rest\", not %U",
                     shown);
    Py_XDECREF(shown);
    return false;
}

static bool read_turns(PyObject *value, uint64_t *turns)
{
    int number;

    if (!pyq_read_count("Queue", "debug[\"turns\"]", "an int", ">= 1", value, &number))
        return false;
    *turns = (uint64_t)number;
    return true;
}

/* 0 would stand for the default. */
static bool read_time(const char *name, PyObject *value, int64_t *time)
{
    if (!pyq_read_seconds("Queue", name, value, time))
        return false;
    *time += *time == 0;
    return true;
}

static bool refuse_threshold(PyObject *name)
{
    PyObject *shown = pyq_show_object(name);

    if (shown != NULL)
        PyErr_Format(PyExc_ValueError,
                     "Queue: debug has no threshold %U; it has \"turns\", \"turn\" and \"rest\"",
                     shown);
    Py_XDECREF(shown);
    return false;
}

static bool read_threshold(PyObject *name, PyObject *value, struct readyq_debug *debug)
{
    if (!PyUnicode_Check(name))
        return refuse_threshold(name);
    if (PyUnicode_CompareWithASCIIString(name, "turns") == 0)
        return read_turns(value, &debug->turns);
    if (PyUnicode_CompareWithASCIIString(name, "turn") == 0)
        return read_time("debug[\"turn\"]", value, &debug->turn);
    if (PyUnicode_CompareWithASCIIString(name, "rest") == 0)
        return read_time("debug[\"rest\"]", value, &debug->rest);
    return refuse_threshold(name);
}

bool pyq_read_debug(PyObject *object, struct readyq_options *options, struct readyq_debug *debug)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;

    if (object == NULL || object == Py_None || object == Py_False)
        return true;
    options->debug = debug;
    if (object == Py_True)
        return true;
    if (!PyDict_Check(object))
        return refuse_debug(object);
    while (PyDict_Next(object, &at, &name, &value))
        if (!read_threshold(name, value, debug))
            return false;
    return true;
}

/* ------------------------------------------------------------------ warnings */

/* The kind of the next warning, 0 if there is none, with a reference to its watch, or NULL. */
static int take_warning(Queue *self, Watch **watch, char *text, size_t size)
{
    readyq_watch *core;
    int kind;

    Py_BEGIN_CRITICAL_SECTION(self);
    kind = readyq_warning(self->core, &core, text, size);
    *watch = core != NULL ? (Watch *)Py_NewRef(watch_of(core)) : NULL;
    Py_END_CRITICAL_SECTION();
    return kind;
}

/* The text may contain a file's name. */
static PyObject *add_data(const char *text, Watch *watch)
{
    PyObject *sentence = PyUnicode_DecodeFSDefault(text), *data = NULL, *whole;

    if (sentence != NULL && watch != NULL)
        data = pyq_show_data(watch);
    if (sentence == NULL || (watch != NULL && data == NULL)) {
        Py_XDECREF(sentence);
        return NULL;
    }
    if (data == NULL || PyUnicode_GET_LENGTH(data) == 0) {
        Py_XDECREF(data);
        return sentence;
    }
    whole = PyUnicode_FromFormat("%U (%U)", sentence, data);
    Py_DECREF(sentence);
    Py_DECREF(data);
    return whole;
}

/* Takes over the reference to the text. */
static int warn_with(PyObject *category, PyObject *text)
{
    const int result = text != NULL ? PyErr_WarnFormat(category, 1, "%U", text) : -1;

    Py_XDECREF(text);
    return result;
}

int pyq_warn(Queue *self)
{
    char text[640];
    int kind, result = 0, n = 0;
    Watch *watch;

    while (result == 0 && (kind = take_warning(self, &watch, text, sizeof text)) != 0) {
        const bool closed = kind == READYQ_WARNING_CLOSED;

        n++;
        if (!(closed && self->silent))
            result = warn_with(closed ? PyExc_ResourceWarning : PyExc_RuntimeWarning,
                               add_data(text, watch));
        Py_XDECREF(watch);
    }
    return result < 0 ? -1 : n;
}
