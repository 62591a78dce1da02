/* SPDX-License-Identifier: MIT
 *
 * Waiting: the methods wait and dispatch. They look first with the GIL held, release it only to
 * sleep, and run Python's signal handlers when a signal ends the sleep.
 */
#include "binding.h"

#include <stdio.h>

#define FAILED INT_MIN /* an exception is set; not an -errno, as -1 would be */
#define FOREVER INT64_MAX

struct wait_call {
    Queue *queue;
    readyq *core;
    Batch *batch;
    int64_t timeout; /* nanoseconds, or FOREVER */
    int max;
};

static bool begin_wait(struct wait_call *wait, Queue *queue, const char *call, PyObject *timeout,
                       PyObject *max)
{
    *wait = (struct wait_call){.queue = queue, .timeout = FOREVER};
    if (timeout != NULL && timeout != Py_None &&
        !pyq_read_seconds(call, "timeout", timeout, &wait->timeout))
        return false;
    if (max != NULL && max != Py_None &&
        !pyq_read_count(call, "maxevents", "an int or None", ">= 1 or None", max, &wait->max))
        return false;
    wait->core = pyq_enter_queue(queue, call);
    if (wait->core == NULL || (queue->watches_interrupt && pyq_follow_interrupt(queue->state) < 0))
        return false;
    wait->batch = pyq_new_batch(queue);
    return wait->batch != NULL;
}

/* Begins the wait, or continues it after a signal. */
static int wait_without_gil(const struct wait_call *wait, bool again)
{
    const int64_t timeout = wait->timeout == FOREVER ? -1 : wait->timeout;
    readyq_batch *batch = &wait->batch->core;
    PyThreadState *state = PyEval_SaveThread();
    int n = again ? readyq_wait_until(wait->core, batch, readyq_deadline(batch), wait->max)
                  : readyq_wait(wait->core, batch, timeout, wait->max);

    PyEval_RestoreThread(state);
    return n;
}

/* While this thread waited for the GIL, another one may have removed all that was found. */
static bool is_sleep_over(const struct wait_call *wait, int n)
{
    return n != -EINTR && (n <= 0 || readyq_peek(&wait->batch->core, NULL, NULL, 0) > 0);
}

/* Waits until something is ready, until the deadline, a wake or an exception. A handler that raises
 * after something was found loses nothing, as the batch gives it back. */
static int sleep_on(const struct wait_call *wait)
{
    int n;

    if (PyErr_CheckSignals() < 0)
        return FAILED;
    for (n = wait_without_gil(wait, false);; n = wait_without_gil(wait, true)) {
        if (PyErr_CheckSignals() < 0 || pyq_warn(wait->queue) < 0)
            return FAILED;
        if (is_sleep_over(wait, n))
            return n;
    }
}

static int look(const struct wait_call *wait)
{
    int n = wait->timeout == 0 ? readyq_wait(wait->core, &wait->batch->core, 0, wait->max)
                               : readyq_look(wait->core, &wait->batch->core, wait->max);

    return n == 0 && wait->timeout != 0 ? sleep_on(wait) : n;
}

static int warn_of_ghosts(const struct wait_call *wait)
{
    char text[256];
    int fd;

    while ((fd = readyq_ghost(wait->core)) >= 0) {
        if (wait->queue->silent)
            continue;
        readyq_explain_ghost(fd, text, sizeof text);
        if (PyErr_WarnEx(PyExc_ResourceWarning, text, 1) < 0)
            return FAILED;
    }
    return 0;
}

/* Before anything is taken, so that a warning that raises loses nothing. */
static int report(const struct wait_call *wait)
{
    if (pyq_warn(wait->queue) < 0)
        return FAILED;
    pyq_drop_stale(wait->queue);
    return warn_of_ghosts(wait);
}

static void trace_wait(const struct wait_call *wait, const char *call)
{
    char name[64];

    if (wait->timeout != FOREVER)
        snprintf(name, sizeof name, "%s (%.9g s)", call, (double)wait->timeout / 1e9);
    else
        snprintf(name, sizeof name, "%s (forever)", call);
    pyq_trace(wait->queue, name, NULL);
}

/* Fills the batch. How many watches were found, or FAILED. */
static int fill_batch(const struct wait_call *wait, const char *call)
{
    int n = look(wait);

    if (n == FAILED)
        return FAILED;
    if (n < 0) {
        pyq_raise_error(call, -1, n);
        return FAILED;
    }
    if (readyq_has_reports(wait->core) && report(wait) < 0)
        return FAILED;
    if (wait->queue->trace != NULL)
        trace_wait(wait, call);
    return n;
}

/* ------------------------------------------------------------------ wait */

PyObject *pyq_wait_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords)
{
    static const struct signature signature = {"wait", {"timeout", "maxevents", NULL}, 0, 2, NULL};
    PyObject *values[2];
    struct wait_call wait;

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        !begin_wait(&wait, (Queue *)self, "wait", values[0], values[1]))
        return NULL;
    if (fill_batch(&wait, "wait") < 0) {
        Py_DECREF(wait.batch);
        return NULL;
    }
    PyObject_GC_Track((PyObject *)wait.batch);
    return (PyObject *)wait.batch;
}

/* ------------------------------------------------------------------ dispatch */

/* The batch is an object on the heap here too: a callback that switches greenlets moves the C
 * stack. */
PyObject *pyq_dispatch_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                             PyObject *keywords)
{
    static const struct signature signature = {"dispatch", {"timeout", NULL}, 0, 1, NULL};
    PyObject *values[1];
    struct wait_call wait;
    int called;

    if (!pyq_read_arguments(&signature, arguments, positional, keywords, values) ||
        !begin_wait(&wait, (Queue *)self, "dispatch", values[0], NULL))
        return NULL;
    called = fill_batch(&wait, "dispatch");
    if (called > 0)
        called = pyq_call_ready(wait.batch);
    Py_DECREF(wait.batch);
    return called >= 0 ? PyLong_FromLong(called) : NULL;
}
