/* SPDX-License-Identifier: MIT
 *
 * Adding sources to a queue: the methods add, add_timer, add_signal, add_process and add_trigger.
 * They read their arguments and call one function that makes the watch.
 */
#include "binding.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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

/* The message shows the call as a user would write it. */
static PyObject *raise_refusal(const struct source *source, int error)
{
    char call[BITS_SIZE + 32], bits[BITS_SIZE], number[16];

    if (source->kind == READYQ_KIND_FD)
        snprintf(call, sizeof call, "add(%s)",
                 readyq_describe_bits(source->interest, bits, sizeof bits));
    else if (source->kind == READYQ_KIND_SIGNAL || source->kind == READYQ_KIND_PROCESS)
        snprintf(call, sizeof call, "%s(%d)", source->call, source->number);
    else
        snprintf(call, sizeof call, "%s", source->call);
    if (source->kind != READYQ_KIND_FD || source->number >= 0)
        return pyq_raise_error(call, source->kind == READYQ_KIND_FD ? source->number : -1, error);
    snprintf(number, sizeof number, "%d", source->number);
    return pyq_raise_error_for(call, number, error);
}

static int warn_of_blocked_signal(const struct source *source)
{
    char text[256];

    readyq_explain_blocked(source->number, text, sizeof text);
    return PyErr_WarnEx(PyExc_RuntimeWarning, text, 1);
}

/* In debug mode the watchdog warns of a blocked signal. If a warning raises, the source is not
 * watched. */
static PyObject *finish(Queue *self, const struct source *source, Watch *watch, bool blocked)
{
    int told = pyq_warn(self);

    if (blocked && told == 0)
        told = warn_of_blocked_signal(source);
    if (told >= 0)
        return (PyObject *)watch;
    pyq_detach_watch(watch);
    Py_DECREF(watch);
    return NULL;
}

static PyObject *add_source(Queue *self, const struct source *source, PyObject *object,
                            PyObject *data)
{
    readyq *core = pyq_enter_queue(self, source->call);
    Watch *watch;
    int result;

    if (core == NULL)
        return NULL;
    watch = pyq_new_watch(self, object, data != NULL ? data : Py_None);
    if (watch == NULL)
        return NULL;
    watch->period = source->period;
    Py_BEGIN_CRITICAL_SECTION(self);
    result = add_to_core(core, &watch->core, source);
    if (result >= 0)
        pyq_hold_watch(self, watch);
    Py_END_CRITICAL_SECTION();
    if (result < 0) {
        Py_DECREF(watch);
        return raise_refusal(source, result);
    }
    watch = (Watch *)finish(self, source, watch, result > 0);
    pyq_drop_stale(self);
    if (watch != NULL)
        pyq_trace(self, NULL, watch);
    return (PyObject *)watch;
}

#define DATA_BY_NAME "data by name: data=..."

PyObject *pyq_add_descriptor(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                             PyObject *keywords)
{
    static const struct signature signature = {
        "add", {"source", "interest", "data", NULL}, 1, 2, DATA_BY_NAME};
    struct source source = {.call = "add", .kind = READYQ_KIND_FD, .interest = READYQ_READ};
    PyObject *values[3];

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        !pyq_read_descriptor("add", values[0], &source.number))
        return NULL;
    if (values[1] != NULL && !pyq_read_interest("add", "interest", values[1], &source.interest))
        return NULL;
    return add_source((Queue *)self, &source, values[0], values[2]);
}

PyObject *pyq_add_timer(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                        PyObject *keywords)
{
    static const struct signature signature = {
        "add_timer", {"delay", "data", "period", NULL}, 1, 1, DATA_BY_NAME ", period=..."};
    struct source source = {.call = "add_timer", .kind = READYQ_KIND_TIMER};
    PyObject *values[3];

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        !pyq_read_seconds("add_timer", "delay", values[0], &source.delay))
        return NULL;
    if (values[2] != NULL && values[2] != Py_None &&
        !pyq_read_seconds("add_timer", "period", values[2], &source.period))
        return NULL;
    return add_source((Queue *)self, &source, Py_None, values[1]);
}

/* ------------------------------------------------------------------ signals */

/* Does nothing if an exception other than `expected` is set. */
static bool refuse_signal_name(PyObject *name, PyObject *expected)
{
    if (PyErr_Occurred() != NULL && !PyErr_ExceptionMatches(expected))
        return false;
    PyErr_Clear();
    PyErr_Format(
        PyExc_ValueError,
        "add_signal: no signal is called %R; use a name such as \"TERM\" or \"SIGTERM\", or "
        "a number (kill -l lists the signals)",
        name);
    return false;
}

/* `text` without its "SIG" consists of capital letters and digits, which excludes SIG_IGN and the
 * like. */
static bool is_signal_name(const char *text)
{
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    return *text != '\0' && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

/* The names are those of the signal module, which gets them from _signal, too. */
static bool read_signal_name(PyObject *name, int *number)
{
    const char *text = PyUnicode_AsUTF8(name);
    PyObject *module, *found;
    char full[32];
    bool good;

    if (text == NULL || !is_signal_name(text)) /* NULL for half of a surrogate pair */
        return refuse_signal_name(name, PyExc_UnicodeError);
    module = PyImport_ImportModule("_signal");
    if (module == NULL)
        return false;
    snprintf(full, sizeof full, "%s%s", strncmp(text, "SIG", 3) == 0 ? "" : "SIG", text);
    found = PyObject_GetAttrString(module, full);
    Py_DECREF(module);
    if (found == NULL)
        return refuse_signal_name(name, PyExc_AttributeError);
    good = pyq_read_integer("add_signal", "signum", "an int", found, number);
    Py_DECREF(found);
    return good;
}

static bool read_signal(PyObject *object, int *number)
{
    if (PyUnicode_Check(object))
        return read_signal_name(object, number);
    return pyq_read_integer("add_signal", "signum", "an int or a name such as \"TERM\"", object,
                            number);
}

PyObject *pyq_add_signal(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords)
{
    static const struct signature signature = {
        "add_signal", {"signum", "data", NULL}, 1, 1, DATA_BY_NAME};
    struct source source = {.call = "add_signal", .kind = READYQ_KIND_SIGNAL};
    PyObject *values[2];

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        !read_signal(values[0], &source.number))
        return NULL;
    if (source.number == SIGINT) {
        if (pyq_follow_interrupt(((Queue *)self)->state) < 0)
            return NULL;
        ((Queue *)self)->watches_interrupt = true;
    }
    return add_source((Queue *)self, &source, values[0], values[1]);
}

/* ------------------------------------------------------------------ processes, triggers */

/* The pid of an int, or of an object that has one, such as subprocess.Popen. */
static bool read_process(PyObject *object, int *pid)
{
    PyObject *number;
    char name[64];
    bool good;

    number = PyIndex_Check(object) ? NULL : PyObject_GetAttrString(object, "pid");
    if (number == NULL) {
        if (PyErr_Occurred() != NULL && !PyErr_ExceptionMatches(PyExc_AttributeError))
            return false;
        PyErr_Clear();
        return pyq_read_integer("add_process", "pid", "an int or have an integer pid", object, pid);
    }
    snprintf(name, sizeof name, "pid of %.40s", Py_TYPE(object)->tp_name);
    good = pyq_read_integer("add_process", name, "an int", number, pid);
    Py_DECREF(number);
    return good;
}

PyObject *pyq_add_process(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                          PyObject *keywords)
{
    static const struct signature signature = {
        "add_process", {"pid", "data", NULL}, 1, 1, DATA_BY_NAME};
    struct source source = {.call = "add_process", .kind = READYQ_KIND_PROCESS};
    PyObject *values[2];

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        !read_process(values[0], &source.number))
        return NULL;
    return add_source((Queue *)self, &source, values[0], values[1]);
}

PyObject *pyq_add_trigger(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                          PyObject *keywords)
{
    static const struct signature signature = {"add_trigger", {"data", NULL}, 0, 0, DATA_BY_NAME};
    struct source source = {.call = "add_trigger", .kind = READYQ_KIND_TRIGGER};
    PyObject *values[1];

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values))
        return NULL;
    return add_source((Queue *)self, &source, Py_None, values[0]);
}
