/* SPDX-License-Identifier: MIT
 *
 * Ctrl-C while SIGINT is watched. Python has one handler in C for all signals. As long as it raises
 * KeyboardInterrupt for SIGINT, it counts as the default action, which a watch replaces; once a
 * program has set a handler of its own for SIGINT, it is called like any other handler.
 */
#include "binding.h"

#include <signal.h>

static void (*_Atomic handler)(int); /* Python's, in C; NULL while it is not known */

static void find_handler(void)
{
    struct sigaction now;

    if (handler == NULL && sigaction(SIGINT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN)
        handler = now.sa_handler;
}

/* Python's handlers belong to the main interpreter. */
int pyq_prepare_interrupt(State *state)
{
    PyObject *module;

    if (PyInterpreterState_Get() != PyInterpreterState_Main())
        return 0;
    find_handler();
    module = PyImport_ImportModule("_signal");
    if (module == NULL)
        return -1;
    state->sigint = PyLong_FromLong(SIGINT);
    state->keyboard_interrupt = PyObject_GetAttrString(module, "default_int_handler");
    state->getsignal = PyObject_GetAttrString(module, "getsignal");
    Py_DECREF(module);
    return PyErr_Occurred() == NULL ? 0 : -1;
}

int pyq_follow_interrupt(const State *state)
{
    PyObject *present;

    if (state->getsignal == NULL) /* not in the main interpreter, or at its end */
        return 0;
    find_handler();
    present = PyObject_CallOneArg(state->getsignal, state->sigint);
    if (present == NULL)
        return -1;
    readyq_default_handler(SIGINT, present == state->keyboard_interrupt ? handler : NULL);
    Py_DECREF(present);
    return 0;
}
