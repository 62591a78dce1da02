/* SPDX-License-Identifier: MIT
 *
 * Texts of watches, batches and queues, for repr, traces and messages: the core's, with what Python
 * adds. An Exception from a user's own repr is not passed on.
 */
#include "binding.h"

PyObject *pyq_name_bits(uint32_t bits)
{
    char text[BITS_SIZE];

    return PyUnicode_FromString(readyq_describe_bits(bits, text, sizeof text));
}

/* ------------------------------------------------------------------ data */

PyObject *pyq_show_object(PyObject *object)
{
    PyObject *text = PyObject_Repr(object), *start;

    if (text == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        text = PyUnicode_FromFormat("<%.100s object>", Py_TYPE(object)->tp_name);
    }
    if (text == NULL || PyUnicode_GET_LENGTH(text) <= 80)
        return text;
    start = PyUnicode_Substring(text, 0, 77);
    Py_DECREF(text);
    if (start == NULL)
        return NULL;
    text = PyUnicode_FromFormat("%U...", start);
    Py_DECREF(start);
    return text;
}

PyObject *pyq_show_data(Watch *watch)
{
    PyObject *data = pyq_data_of(watch), *shown, *text;

    if (data == NULL || data == Py_None) {
        Py_XDECREF(data);
        return PyUnicode_FromString("");
    }
    shown = pyq_show_object(data);
    Py_DECREF(data);
    if (shown == NULL)
        return NULL;
    text = PyUnicode_FromFormat("data=%U", shown);
    Py_DECREF(shown);
    return text;
}

/* ------------------------------------------------------------------ the whole */

/* The text may contain a file's name. */
static PyObject *describe(Watch *watch, uint32_t ready)
{
    char core[512];
    PyObject *source, *data, *text = NULL;

    source =
        PyUnicode_DecodeFSDefault(readyq_describe_watch(&watch->core, ready, core, sizeof core));
    data = source != NULL ? pyq_show_data(watch) : NULL;
    if (data != NULL)
        text = PyUnicode_FromFormat("%U%s%U", source, PyUnicode_GET_LENGTH(data) > 0 ? ", " : "",
                                    data);
    Py_XDECREF(source);
    Py_XDECREF(data);
    return text;
}

PyObject *pyq_describe_watch(Watch *watch)
{
    return describe(watch, LOAD(watch, ready));
}

static PyObject *show(Watch *watch, uint32_t ready)
{
    int inside = Py_ReprEnter((PyObject *)watch); /* the repr of data may include the watch */
    PyObject *inner, *text;

    if (inside != 0)
        return inside > 0 ? PyUnicode_FromString("<readyq.Watch ...>") : NULL;
    inner = describe(watch, ready);
    Py_ReprLeave((PyObject *)watch);
    if (inner == NULL)
        return NULL;
    text = PyUnicode_FromFormat("<readyq.Watch %U>", inner);
    Py_DECREF(inner);
    return text;
}

PyObject *pyq_show_watch(PyObject *watch)
{
    return show((Watch *)watch, LOAD((Watch *)watch, ready));
}

PyObject *pyq_show_batch(PyObject *watches, const uint32_t *ready)
{
    PyObject *texts = PyList_New(0), *comma, *joined, *text;

    for (Py_ssize_t i = 0; texts != NULL && i < PyList_GET_SIZE(watches); i++) {
        text = show((Watch *)PyList_GET_ITEM(watches, i), ready[i]);
        if (text == NULL || PyList_Append(texts, text) < 0)
            Py_CLEAR(texts);
        Py_XDECREF(text);
    }
    if (texts == NULL)
        return NULL;
    comma = PyUnicode_FromString(", ");
    joined = comma != NULL ? PyUnicode_Join(comma, texts) : NULL;
    text = joined != NULL ? PyUnicode_FromFormat("<readyq.Batch [%U]>", joined) : NULL;
    Py_XDECREF(comma);
    Py_XDECREF(joined);
    Py_DECREF(texts);
    return text;
}

PyObject *pyq_show_queue(PyObject *object)
{
    const Queue *queue = (Queue *)object;
    const char *name = Py_TYPE(queue)->tp_name; /* with the module for our own type */
    size_t size;

    if (queue->closed)
        return PyUnicode_FromFormat("<%s closed>", name);
    size = readyq_size(queue->core);
    return PyUnicode_FromFormat("<%s %s, %zu watch%s>", name, readyq_backend(queue->core), size,
                                size == 1 ? "" : "es");
}
