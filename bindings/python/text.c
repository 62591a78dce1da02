/* SPDX-License-Identifier: MIT
 *
 * Texts of bits, watches, batches and queues, for repr, traces and messages. An Exception of a
 * user's own repr is not raised.
 */
#include "binding.h"

#include <stdio.h>
#include <string.h>

char *print_bits(uint32_t bits, char text[BITS_SIZE])
{
    static const struct {
        uint32_t bit;
        const char *name;
    } known[] = {
        {READYQ_READ, "READ"},
        {READYQ_WRITE, "WRITE"},
        {READYQ_PRIORITY, "PRIORITY"},
        {READYQ_READ_CLOSED, "READ_CLOSED"},
        {READYQ_WRITE_CLOSED, "WRITE_CLOSED"},
        {READYQ_ERROR, "ERROR"},
        {READYQ_FIRED, "FIRED"},
        {READYQ_EDGE, "EDGE"},
        {READYQ_ONESHOT, "ONESHOT"},
        {READYQ_EXCLUSIVE, "EXCLUSIVE"},
    };
    char *end = text;

    memcpy(text, "0", 2);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (bits & known[i].bit)
            end += sprintf(end, "%s%s", end == text ? "" : "|", known[i].name);
        bits &= ~known[i].bit;
    }
    if (bits != 0)
        sprintf(end, "%s%#x", end == text ? "" : "|", (unsigned)bits);
    return text;
}

PyObject *name_bits(uint32_t bits)
{
    char text[BITS_SIZE];

    return PyUnicode_FromString(print_bits(bits, text));
}

static PyObject *name_descriptor(int fd)
{
    char text[256];
    PyObject *what, *name;

    what = PyUnicode_DecodeFSDefault(readyq_describe(fd, text, sizeof text));
    if (what == NULL)
        return NULL;
    name = PyUnicode_FromFormat("fd %d (%U)", fd, what);
    Py_DECREF(what);
    return name;
}

static PyObject *name_source(Watch *watch)
{
    const readyq_watch *core = &watch->core;

    switch (core->kind) {
    case READYQ_KIND_FD:
        if (core->queue != NULL) /* else the number may belong to another file */
            return name_descriptor(core->fd);
        return PyUnicode_FromFormat("fd %d", core->fd);
    case READYQ_KIND_TIMER: return PyUnicode_FromString("timer");
    case READYQ_KIND_SIGNAL: return PyUnicode_FromFormat("signal %d", core->signal);
    case READYQ_KIND_PROCESS: return PyUnicode_FromFormat("process %ld", (long)core->pid);
    default: return PyUnicode_FromString("trigger");
    }
}

/* ------------------------------------------------------------------ the parts of a watch */

static PyObject *show_interest(const readyq_watch *core)
{
    PyObject *bits, *text;

    if (core->queue == NULL)
        return PyUnicode_FromString(", inactive");
    if (core->kind != READYQ_KIND_FD)
        return PyUnicode_FromString("");
    bits = name_bits(core->interest);
    if (bits == NULL)
        return NULL;
    text = PyUnicode_FromFormat(" interest %U%s", bits,
                                core->interest == 0 ? " (paused)"
                                : core->armed       ? ""
                                                    : " (disarmed)");
    Py_DECREF(bits);
    return text;
}

static PyObject *show_ready(uint32_t ready, uint64_t count)
{
    PyObject *bits, *text;

    if (ready == 0)
        return PyUnicode_FromString("");
    bits = name_bits(ready);
    if (bits == NULL)
        return NULL;
    if (count > 1)
        text = PyUnicode_FromFormat(", ready %U, count %llu", bits, (unsigned long long)count);
    else
        text = PyUnicode_FromFormat(", ready %U", bits);
    Py_DECREF(bits);
    return text;
}

PyObject *show_object(PyObject *object)
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

static PyObject *show_data(Watch *watch)
{
    PyObject *data, *shown, *text;

    Py_BEGIN_CRITICAL_SECTION(watch);
    data = Py_XNewRef(watch->data);
    Py_END_CRITICAL_SECTION();
    if (data == NULL || data == Py_None) {
        Py_XDECREF(data);
        return PyUnicode_FromString("");
    }
    shown = show_object(data);
    Py_DECREF(data);
    if (shown == NULL)
        return NULL;
    text = PyUnicode_FromFormat(", data=%U", shown);
    Py_DECREF(shown);
    return text;
}

/* ------------------------------------------------------------------ the whole */

static PyObject *describe(Watch *watch, uint32_t bits, uint64_t count)
{
    PyObject *source = name_source(watch);
    PyObject *interest = source != NULL ? show_interest(&watch->core) : NULL;
    PyObject *ready = interest != NULL ? show_ready(bits, count) : NULL;
    PyObject *data = ready != NULL ? show_data(watch) : NULL;
    PyObject *text = NULL;

    if (data != NULL)
        text = PyUnicode_FromFormat("%U%U%U%U", source, interest, ready, data);
    Py_XDECREF(source);
    Py_XDECREF(interest);
    Py_XDECREF(ready);
    Py_XDECREF(data);
    return text;
}

PyObject *describe_watch(Watch *watch)
{
    return describe(watch, watch->core.ready, watch->core.count);
}

static PyObject *show(Watch *watch, uint32_t bits, uint64_t count)
{
    int inside = Py_ReprEnter((PyObject *)watch); /* the repr of data may include the watch */
    PyObject *inner, *text;

    if (inside != 0)
        return inside > 0 ? PyUnicode_FromString("<readyq.Watch ...>") : NULL;
    inner = describe(watch, bits, count);
    Py_ReprLeave((PyObject *)watch);
    if (inner == NULL)
        return NULL;
    text = PyUnicode_FromFormat("<readyq.Watch %U>", inner);
    Py_DECREF(inner);
    return text;
}

PyObject *show_watch(Watch *watch)
{
    return show(watch, watch->core.ready, watch->core.count);
}

/* `ready` is set when a watch is taken; until then own.event has the bits. */
static PyObject *show_pending(Watch *watch)
{
    return show(watch, watch->core.own.event, 1);
}

PyObject *show_batch(PyObject *watches)
{
    PyObject *texts = PyList_New(0), *comma, *joined, *text;

    for (Py_ssize_t i = 0; texts != NULL && i < PyList_GET_SIZE(watches); i++) {
        text = show_pending((Watch *)PyList_GET_ITEM(watches, i));
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

PyObject *show_queue(Queue *queue)
{
    const char *name = Py_TYPE(queue)->tp_name; /* with the module for our own type */
    size_t size;

    if (queue->closed)
        return PyUnicode_FromFormat("<%s closed>", name);
    size = readyq_size(queue->core);
    return PyUnicode_FromFormat("<%s %s, %zu watch%s>", name, readyq_backend(queue->core), size,
                                size == 1 ? "" : "es");
}
