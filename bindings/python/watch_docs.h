/* SPDX-License-Identifier: MIT
 *
 * The docstrings of readyq.Watch, for watch.c only.
 */
#ifndef READYQ_PYTHON_WATCH_DOCS_H
#define READYQ_PYTHON_WATCH_DOCS_H

#include <Python.h>

PyDoc_STRVAR(
    watch_doc,
    "One registration in one queue: what add() returns and what wait() gives back.\n"
    "\n"
    "It is made by Queue.add() and the other add methods, never by calling Watch. The queue keeps\n"
    "it alive while it is active. Its methods may be called from any thread.\n"
    "\n"
    "    >>> w = q.add(sock, data=connection)\n"
    "    >>> w.modify(\"rw\")\n"
    "    >>> w.remove()\n");

PyDoc_STRVAR(watch_queue_doc, "The Queue it was added to, even after it was removed.");
PyDoc_STRVAR(
    watch_source_doc,
    "What was added, as it was given: the object or descriptor, the signal's number or name, the\n"
    "process's id or object; None for a timer and for a trigger.");
PyDoc_STRVAR(
    watch_data_doc,
    "Any object of yours, as given to add(); can be set. dispatch() calls it with the watch.");
PyDoc_STRVAR(watch_interest_doc, "int: the bits it asks for; 0 while it is paused.");
PyDoc_STRVAR(
    watch_ready_doc,
    "int: the bits that the last delivery reported, in any thread; 0 before the first delivery and\n"
    "once the watch is removed.");
PyDoc_STRVAR(
    watch_count_doc,
    "int: expirations, signals or calls to fire since the previous delivery, in any thread; 1 for a\n"
    "descriptor.");
PyDoc_STRVAR(watch_deliveries_doc, "int: how many times it was delivered.");
PyDoc_STRVAR(
    watch_armed_doc,
    "bool: False while paused, after a ONESHOT delivery until modify(), and once it is inactive.");
PyDoc_STRVAR(watch_kind_doc, "str: \"fd\", \"timer\", \"signal\", \"process\" or \"trigger\".");
PyDoc_STRVAR(watch_fd_doc, "int: the descriptor that is watched; None for the other kinds.");
PyDoc_STRVAR(
    watch_active_doc,
    "bool: whether it is in its queue. False once it is removed, once its descriptor's number\n"
    "belongs to another watch, and once the queue is closed. For a process, and for a timer\n"
    "without a period, also False once it was delivered.");
PyDoc_STRVAR(
    watch_status_doc,
    "int: how the process ended, as os.waitpid() gives it; None until that is delivered, or if\n"
    "it cannot be known. The process is not reaped.");
PyDoc_STRVAR(
    watch_due_doc,
    "float: when a timer fires next, in seconds on the queue's clock, which is time.monotonic()'s\n"
    "unless it is virtual; infinity if never. None for other kinds and for a timer that is not\n"
    "running.");
PyDoc_STRVAR(watch_period_doc,
             "float: the seconds after which a timer fires again; None if it does not.");
PyDoc_STRVAR(watch_readable_doc, "bool: whether ready has READ.");
PyDoc_STRVAR(watch_writable_doc, "bool: whether ready has WRITE.");

PyDoc_STRVAR(
    watch_modify_doc,
    "modify($self, interest, /)\n"
    "--\n"
    "\n"
    "Change the interest, and arm the watch again. Interest 0 pauses it.\n"
    "\n"
    "interest is a combination of bits such as readyq.READ | readyq.EDGE, or letters such as\n"
    "\"rw\". Raises ValueError for invalid bits, for a watch of a kind other than \"fd\" and for\n"
    "a closed queue, KeyError if the watch was removed, OSError (EBADF) if its descriptor was\n"
    "closed.");

PyDoc_STRVAR(
    watch_remove_doc,
    "remove($self, /)\n"
    "--\n"
    "\n"
    "Remove it from its queue: it is no longer delivered, not even later in the same batch.\n"
    "\n"
    "This also works if the descriptor was closed. Returns whether the watch was in its queue: False\n"
    "for a watch that has fired or was removed. restart() refuses a timer that was removed, even if\n"
    "it had fired before.");

PyDoc_STRVAR(
    watch_restart_doc,
    "restart($self, delay, /)\n"
    "--\n"
    "\n"
    "Restart a timer: it fires delay seconds from now, and then once per period.\n"
    "\n"
    "An expiration that has not been taken yet is dropped. A timer that has fired is added to its\n"
    "queue again. Raises ValueError for other kinds, for a negative delay or NaN and for a closed\n"
    "queue, KeyError when it was removed.\n"
    "\n"
    "    >>> idle = q.add_timer(30, data=close)\n"
    "    >>> idle.restart(30)\n");

PyDoc_STRVAR(
    watch_fire_doc,
    "fire($self, /)\n"
    "--\n"
    "\n"
    "Make a trigger ready, from any thread. If it is fired several times before the delivery,\n"
    "there is one delivery, and count says how many times it was fired.\n"
    "\n"
    "Raises ValueError for other kinds and for a closed queue, KeyError when it was removed.");

PyDoc_STRVAR(class_getitem_doc, "For a type checker, Watch[T] is a watch whose data is a T.");

#endif
