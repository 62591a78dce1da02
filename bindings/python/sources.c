/* SPDX-License-Identifier: MIT
 *
 * Putting sources into a queue: the methods add, add_timer, add_signal, add_process and
 * add_trigger. They read their arguments and end in one function that makes the watch.
 */
#include "binding.h"

#include <stdio.h>

struct source {
    const char *call;
    enum readyq_kind kind;
    int number; /* descriptor, signal or process */
    uint32_t interest;
    int64_t delay, period;
};

static int add_to_core(readyq *core, readyq_watch *watch, const struct source *source)
{
    switch (source->kind) {
    case READYQ_KIND_FD: return readyq_add(core, watch, source->number, source->interest);
    case READYQ_KIND_TIMER: return readyq_add_timer(core, watch, source->delay, source->period);
    case READYQ_KIND_SIGNAL: return readyq_add_signal(core, watch, source->number);
    case READYQ_KIND_PROCESS: return readyq_add_process(core, watch, source->number);
    default: return readyq_add_trigger(core, watch);
    }
}

/* As a user would write it, for a message. */
static PyObject *raise_refusal(const struct source *source, int error)
{
    char call[BITS_SIZE + 32], bits[BITS_SIZE];

    if (source->kind == READYQ_KIND_FD)
        snprintf(call, sizeof call, source->number < 0 ? "add(%s) of %d" : "add(%s)",
                 print_bits(source->interest, bits), source->number);
    else if (source->kind == READYQ_KIND_SIGNAL || source->kind == READYQ_KIND_PROCESS)
        snprintf(call, sizeof call, "%s(%d)", source->call, source->number);
    else
        snprintf(call, sizeof call, "%s", source->call);
    return raise_error(call, source->kind == READYQ_KIND_FD ? source->number : -1, error);
}

static PyObject *add_source(Queue *self, const struct source *source, PyObject *object,
                            PyObject *data)
{
    readyq *core = enter_queue(self, source->call);
    Watch *watch;
    int error;

    if (core == NULL)
        return NULL;
    watch = new_watch(self, object, data != NULL ? data : Py_None);
    if (watch == NULL)
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    error = add_to_core(core, &watch->core, source);
    if (error >= 0)
        hold_watch(self, watch);
    Py_END_CRITICAL_SECTION();
    if (error < 0) {
        Py_DECREF(watch);
        return raise_refusal(source, error);
    }
    drop_stale(self);
    trace_watch(self, source->call, watch);
    return (PyObject *)watch;
}

PyObject *add_descriptor(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords)
{
    static const struct signature signature = {"add", {"source", "interest", "data", NULL}, 2};
    struct source source = {.call = "add", .kind = READYQ_KIND_FD};
    PyObject *values[3];

    if (!read_arguments(&signature, arguments, positional, keywords, values) ||
        !read_descriptor(values[0], &source.number) || !read_interest(values[1], &source.interest))
        return NULL;
    return add_source((Queue *)self, &source, values[0], values[2]);
}

PyObject *add_timer(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                    PyObject *keywords)
{
    static const struct signature signature = {"add_timer", {"delay", "data", "period", NULL}, 1};
    struct source source = {.call = "add_timer", .kind = READYQ_KIND_TIMER};
    PyObject *values[3];

    if (!read_arguments(&signature, arguments, positional, keywords, values) ||
        !read_seconds("delay", values[0], &source.delay))
        return NULL;
    if (values[2] != NULL && values[2] != Py_None &&
        !read_seconds("period", values[2], &source.period))
        return NULL;
    return add_source((Queue *)self, &source, Py_None, values[1]);
}

static PyObject *add_number(PyObject *self, struct source *source, const char *name,
                            PyObject *const *values)
{
    if (!read_integer(name, values[0], &source->number))
        return NULL;
    return add_source((Queue *)self, source, values[0], values[1]);
}

PyObject *add_signal(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                     PyObject *keywords)
{
    static const struct signature signature = {"add_signal", {"signum", "data", NULL}, 1};
    struct source source = {.call = "add_signal", .kind = READYQ_KIND_SIGNAL};
    PyObject *values[2];

    if (!read_arguments(&signature, arguments, positional, keywords, values))
        return NULL;
    return add_number(self, &source, "signum", values);
}

PyObject *add_process(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                      PyObject *keywords)
{
    static const struct signature signature = {"add_process", {"pid", "data", NULL}, 1};
    struct source source = {.call = "add_process", .kind = READYQ_KIND_PROCESS};
    PyObject *values[2];

    if (!read_arguments(&signature, arguments, positional, keywords, values))
        return NULL;
    return add_number(self, &source, "pid", values);
}

PyObject *add_trigger(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                      PyObject *keywords)
{
    static const struct signature signature = {"add_trigger", {"data", NULL}, 0};
    struct source source = {.call = "add_trigger", .kind = READYQ_KIND_TRIGGER};
    PyObject *values[1];

    if (!read_arguments(&signature, arguments, positional, keywords, values))
        return NULL;
    return add_source((Queue *)self, &source, Py_None, values[0]);
}
