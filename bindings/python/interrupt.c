/* SPDX-License-Identifier: MIT
 *
 * Ctrl-C while SIGINT is watched. Python has one handler in C for all signals. As long as it raises
 * KeyboardInterrupt for SIGINT, it counts as the default action, which a watch replaces; once a
 * program has set a handler of its own for SIGINT, it is called like any other handler.
 */
#include "binding.h"

#include <signal.h>

static void (*_Atomic handler)(int); /* Python's, in C; NULL while it is not known */

void pyq_find_interrupt_handler(void)
{
    struct sigaction now;

    if (handler == NULL && sigaction(SIGINT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN)
        handler = now.sa_handler;
}

/* Whether Python raises KeyboardInterrupt. */
static int is_keyboard_interrupt(bool *is)
{
    PyObject *module = PyImport_ImportModule("_signal"), *present = NULL, *standard = NULL;

    if (module == NULL)
        return -1;
    standard = PyObject_GetAttrString(module, "default_int_handler");
    if (standard != NULL)
        present = PyObject_CallMethod(module, "getsignal", "i", SIGINT);
    *is = present == standard;
    Py_DECREF(module);
    Py_XDECREF(standard);
    Py_XDECREF(present);
    return present != NULL ? 0 : -1;
}

/* Python's handlers belong to the main interpreter. */
int pyq_follow_interrupt_handler(void)
{
    bool is;

    if (PyInterpreterState_Get() != PyInterpreterState_Main())
        return 0;
    pyq_find_interrupt_handler();
    if (is_keyboard_interrupt(&is) < 0)
        return -1;
    readyq_default_handler(SIGINT, is ? handler : NULL);
    return 0;
}
