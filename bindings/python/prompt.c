/* SPDX-License-Identifier: MIT
 *
 * What the prompt needs that cannot be written in Python: the interpreter's input hook, and the way
 * from a queue to its pictures. What the hook waits for, and how a table looks, are in
 * python/readyq/.
 */
#include "binding.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* One for the process, as PyOS_InputHook is; the main interpreter's. */
static PyObject *hook;
static pthread_mutex_t hook_guard = PTHREAD_MUTEX_INITIALIZER; /* where there is no GIL */

static PyObject *get_hook(void)
{
    PyObject *function;

    pthread_mutex_lock(&hook_guard);
    function = Py_XNewRef(hook);
    pthread_mutex_unlock(&hook_guard);
    return function;
}

/* Without readline a line is read by fgets() in parts of a few hundred bytes, and this is called
 * before each part. poll() does not see what stdio has buffered, so stdin gets no buffer. This is
 * done where no line is being read: in the thread that reads, before it reads. */
static void unbuffer_keyboard(void)
{
    static bool done;

    if (!done && isatty(STDIN_FILENO))
        setvbuf(stdin, NULL, _IONBF, 0);
    done = true;
}

static int is_key_there(void)
{
    struct pollfd keyboard = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&keyboard, 1, 0) > 0;
}

/* The prompt calls this, with or without the GIL, before it waits for a key. If a signal has ended
 * the prompt's own wait, as errno still shows, the prompt is about to run Python's handlers: any
 * Python code here would run them first, and what they raise would never reach the prompt. If a key
 * has ended that wait, the prompt is about to read the key: Ctrl-C in between takes the key out of
 * the terminal, and the read sleeps on through the signal, so nothing slow may come in between. */
static int run_hook(void)
{
    PyGILState_STATE state;
    PyObject *function, *result;
    int error = errno;

    unbuffer_keyboard();
    if (error == EINTR || is_key_there()) {
        errno = 0;
        return 0;
    }
    state = PyGILState_Ensure();
    function = get_hook();
    if (function != NULL) {
        result = PyObject_CallObject(function, NULL);
        if (result == NULL)
            PyErr_WriteUnraisable(function);
        Py_XDECREF(result);
        Py_DECREF(function);
    }
    PyGILState_Release(state);
    errno = 0;
    return 0;
}

/* Takes over a reference, and returns the previous hook with its reference. */
static PyObject *swap_hook(PyObject *function)
{
    PyObject *old;

    pthread_mutex_lock(&hook_guard);
    old = hook;
    hook = function;
    if (function != NULL)
        PyOS_InputHook = run_hook;
    else if (PyOS_InputHook == run_hook)
        PyOS_InputHook = NULL;
    pthread_mutex_unlock(&hook_guard);
    return old;
}

PyObject *pyq_set_inputhook(PyObject *Py_UNUSED(self), PyObject *function)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_RuntimeError, "only the main interpreter has a prompt");
        return NULL;
    }
    if (function != Py_None && !PyCallable_Check(function)) {
        PyErr_Format(PyExc_TypeError, "set_inputhook() needs a function or None, not %.100s",
                     Py_TYPE(function)->tp_name);
        return NULL;
    }
    Py_XDECREF(swap_hook(function != Py_None ? Py_NewRef(function) : NULL));
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ pictures */

/* The time is taken before the import, which may take long. */
static PyObject *call_picture(const char *name, PyObject *self)
{
    Queue *queue = (Queue *)self;
    double now = queue->closed ? 0 : (double)readyq_now(queue->core) / 1e9;
    PyObject *picture = PyImport_ImportModule("readyq.picture");
    PyObject *text;

    if (picture == NULL)
        return NULL;
    text = PyObject_CallMethod(picture, name, "Od", self, now);
    Py_DECREF(picture);
    return text;
}

/* While the interpreter shuts down, nothing can be imported. */
PyObject *pyq_print_queue(PyObject *self)
{
    PyObject *text = call_picture("table", self);

    if (text != NULL || !PyErr_ExceptionMatches(PyExc_ImportError))
        return text;
    PyErr_Clear();
    return pyq_show_queue(self);
}

PyObject *pyq_print_queue_as_html(PyObject *self, PyObject *Py_UNUSED(none))
{
    return call_picture("html_table", self);
}
