/* SPDX-License-Identifier: MIT
 *
 * Waiting: the methods wait and dispatch. They look first with the GIL in hand, give it up only
 * to sleep, and let Python's signal handlers run when a signal ends the sleep.
 */
#include "binding.h"

#include <stdio.h>

#define FAILED INT_MIN /* an exception is set; no -errno, as -1 would be */
#define FOREVER INT64_MAX

struct wait {
    Queue *queue;
    readyq *core;
    int64_t timeout, deadline; /* nanoseconds; on the queue's clock */
    int max;
};

static bool begin_wait(struct wait *wait, Queue *queue, const char *call, PyObject *timeout,
                       PyObject *max)
{
    *wait = (struct wait){.queue = queue, .timeout = FOREVER, .deadline = FOREVER};
    if (timeout != NULL && timeout != Py_None && !read_seconds("timeout", timeout, &wait->timeout))
        return false;
    if (max != NULL && max != Py_None) {
        if (!read_integer("maxevents", max, &wait->max))
            return false;
        if (wait->max < 1) {
            PyErr_Format(PyExc_ValueError, "maxevents must be >= 1 or None, not %d", wait->max);
            return false;
        }
    }
    wait->core = enter_queue(queue, call);
    return wait->core != NULL;
}

static int64_t time_left(const struct wait *wait)
{
    int64_t left;

    if (wait->timeout == 0)
        return 0;
    if (wait->deadline == FOREVER)
        return -1;
    left = wait->deadline - readyq_now(wait->core);
    return left > 0 ? left : 0;
}

/* The clock is read when a sleep begins, and not where something is ready at once. */
static void set_deadline(struct wait *wait)
{
    int64_t now;

    if (wait->timeout == 0 || wait->timeout == FOREVER || wait->deadline != FOREVER)
        return;
    now = readyq_now(wait->core);
    if (wait->timeout < FOREVER - now)
        wait->deadline = now + wait->timeout;
}

/* What is ready already, or a sleep that ends at the deadline, by a wake or by an exception. */
static int sleep_on(struct wait *wait)
{
    int n;

    set_deadline(wait);
    do {
        int64_t left = time_left(wait);

        if (PyErr_CheckSignals() < 0)
            return FAILED;
        Py_BEGIN_ALLOW_THREADS n = readyq_wait(wait->core, left, wait->max);
        Py_END_ALLOW_THREADS
    } while (n == -EINTR);
    return n;
}

static int look(struct wait *wait)
{
    int n = wait->timeout == 0 ? readyq_wait(wait->core, 0, wait->max)
                               : readyq_look(wait->core, wait->max);

    return n == 0 && wait->timeout != 0 ? sleep_on(wait) : n;
}

/* A ghost is told of before anything is taken, so that a warning made an error loses nothing. */
static int warn_of_ghosts(const struct wait *wait)
{
    int fd;

    while ((fd = readyq_ghost(wait->core)) >= 0) {
        if (wait->queue->silent)
            continue;
        if (PyErr_WarnFormat(PyExc_ResourceWarning, 1,
                             "fd %d was closed before its watch was removed, and a duplicate keeps "
                             "its file open: remove() before close()",
                             fd) < 0)
            return FAILED;
    }
    return 0;
}

static void trace_wait(const struct wait *wait, const char *call, int n)
{
    char limit[32] = "for ever";

    if (wait->timeout != FOREVER)
        snprintf(limit, sizeof limit, "%.9g s", (double)wait->timeout / 1e9);
    trace_text(wait->queue, "%s (%s): %d ready", call, limit, n);
}

/* How many are ready now, the queue's own housekeeping done; or FAILED. */
static int settle(const struct wait *wait, const char *call, int n)
{
    if (n == FAILED)
        return FAILED;
    if (n < 0) {
        raise_error(call, -1, n);
        return FAILED;
    }
    drop_stale(wait->queue);
    if (warn_of_ghosts(wait) < 0)
        return FAILED;
    if (wait->queue->tracer != NULL)
        trace_wait(wait, call, n);
    return n;
}

/* The next ready watch with a reference, or NULL. One that has left the queue by its delivery
 * brings the reference that the ring had. In a critical section of the queue. */
static inline Watch *take_next(readyq *core)
{
    readyq_watch *next = readyq_next(core);
    Watch *watch;

    if (next == NULL)
        return NULL;
    watch = watch_of(next);
    watch->deliveries++;
    if (next->queue == NULL)
        release_watch(watch);
    else
        Py_INCREF(watch);
    return watch;
}

/* ------------------------------------------------------------------ wait */

static void trace_deliveries(Queue *self, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        trace_watch(self, "ready", (Watch *)PyList_GET_ITEM(list, i));
}

/* Up to n ready watches; fewer when other threads took some. */
static PyObject *take_list(const struct wait *wait, int n)
{
    PyObject *list = PyList_New(n);
    Py_ssize_t taken = 0;

    if (list == NULL)
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(wait->queue);
    while (taken < n) {
        Watch *watch = take_next(wait->core);

        if (watch == NULL)
            break;
        PyList_SET_ITEM(list, taken++, (PyObject *)watch);
    }
    Py_END_CRITICAL_SECTION();
    Py_SET_SIZE(list, taken); /* what is behind was not filled */
    if (wait->queue->tracer != NULL)
        trace_deliveries(wait->queue, list);
    return list;
}

PyObject *wait_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                     PyObject *keywords)
{
    static const struct signature signature = {"wait", {"timeout", "maxevents", NULL}, 0};
    PyObject *values[2], *list;
    struct wait wait;
    int n;

    if (!read_arguments(&signature, arguments, positional, keywords, values) ||
        !begin_wait(&wait, (Queue *)self, "wait", values[0], values[1]))
        return NULL;
    n = settle(&wait, "wait", look(&wait));
    for (;;) {
        if (n < 0)
            return NULL;
        list = take_list(&wait, n);
        if (list == NULL || n == 0 || PyList_GET_SIZE(list) > 0)
            return list;
        Py_DECREF(list); /* other threads were faster */
        n = settle(&wait, "wait", sleep_on(&wait));
    }
}

/* ------------------------------------------------------------------ dispatch */

static int call_data(Watch *watch)
{
    PyObject *data, *result;

    Py_BEGIN_CRITICAL_SECTION(watch);
    data = Py_XNewRef(watch->data);
    Py_END_CRITICAL_SECTION();
    if (data == NULL || !PyCallable_Check(data)) {
        PyErr_Format(PyExc_TypeError, "dispatch() calls data, which cannot be called in %R", watch);
        result = NULL;
    } else {
        result = PyObject_CallFunctionObjArgs(data, (PyObject *)watch, NULL);
    }
    Py_XDECREF(data);
    Py_XDECREF(result);
    return result != NULL ? 0 : FAILED;
}

/* Calls for up to n ready watches, each taken when its turn comes. */
static int call_ready(const struct wait *wait, int n)
{
    int called = 0;

    while (called < n) {
        Watch *watch;
        int error;

        Py_BEGIN_CRITICAL_SECTION(wait->queue);
        watch = take_next(wait->core);
        Py_END_CRITICAL_SECTION();
        if (watch == NULL)
            break;
        trace_watch(wait->queue, "ready", watch);
        error = call_data(watch);
        Py_DECREF(watch);
        if (error < 0)
            return FAILED;
        called++;
    }
    return called;
}

PyObject *dispatch_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords)
{
    static const struct signature signature = {"dispatch", {"timeout", NULL}, 0};
    PyObject *values[1];
    struct wait wait;
    int n, called;

    if (!read_arguments(&signature, arguments, positional, keywords, values) ||
        !begin_wait(&wait, (Queue *)self, "dispatch", values[0], NULL))
        return NULL;
    n = settle(&wait, "dispatch", look(&wait));
    for (;;) {
        if (n < 0)
            return NULL;
        called = call_ready(&wait, n);
        if (called < 0)
            return NULL;
        if (n == 0 || called > 0)
            return PyLong_FromLong(called);
        n = settle(&wait, "dispatch", sleep_on(&wait)); /* other threads were faster */
    }
}
