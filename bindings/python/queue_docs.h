/* SPDX-License-Identifier: MIT
 *
 * The docstrings of readyq.Queue, for queue.c only.
 */
#ifndef READYQ_PYTHON_QUEUE_DOCS_H
#define READYQ_PYTHON_QUEUE_DOCS_H

#include <Python.h>

PyDoc_STRVAR(
    queue_doc,
    "Queue(clock=\"real\", *, warn=True, debug=None)\n"
    "--\n"
    "\n"
    "One event queue: add sources, wait until one is ready, take the ready ones.\n"
    "\n"
    "clock is \"real\", or \"virtual\": time then stands still, except that it jumps to the\n"
    "next deadline when a wait would sleep. With warn=False there is no ResourceWarning for a\n"
    "descriptor that was closed before its watch was removed, while a duplicate keeps its file\n"
    "open. Raises ValueError for an unknown clock, OSError if the kernel refuses.\n"
    "\n"
    "With debug=True, or READYQ_DEBUG=1 in the environment, a watchdog warns once about each\n"
    "mistake that it notices, with the watch, its data and the reason: RuntimeWarning for a watch\n"
    "that is reported again and again although nobody reads, writes or changes it, for handlers\n"
    "that take too long, for an EDGE watch whose data was not read completely, and for a signal\n"
    "that every thread blocks; ResourceWarning for a watch whose object was closed or\n"
    "garbage-collected. A dict sets the thresholds:\n"
    "debug={\"turns\": 10000, \"turn\": 0.1, \"rest\": 1}, times in seconds.\n"
    "\n"
    "Every method may be called from any thread, even while another thread waits. len(q) counts the\n"
    "watches, iterating over q goes through a snapshot of them, q[sock] is the watch of a source\n"
    "(KeyError if there is none), and `sock in q` tells whether there is one. A queue is always true.\n"
    "print(q) shows a table of the watches.\n"
    "\n"
    "Once the queue is closed, close() and the end of a with block do nothing, len(q) is 0, list(q)\n"
    "is empty and `sock in q` is False; every other method, and q[sock], raises ValueError.\n"
    "\n"
    "    >>> with readyq.Queue() as q:\n"
    "    ...     q.add(sock, data=\"my socket\")\n"
    "    ...     for w in q.wait(timeout=1.5):\n"
    "    ...         print(w.data, w.fd, readyq.bits(w.ready))\n");

PyDoc_STRVAR(
    queue_add_doc,
    "add($self, /, source, interest=1, *, data=None)\n"
    "--\n"
    "\n"
    "Watch a descriptor and return its Watch.\n"
    "\n"
    "source is an int or an object with fileno(), which the queue keeps alive and never reads,\n"
    "closes or changes. interest is a combination of bits (READ, WRITE, PRIORITY, with EDGE,\n"
    "ONESHOT and EXCLUSIVE as wanted; 0 adds it paused) or a string of \"r\", \"w\" and \"p\";\n"
    "the default is READ (1).\n"
    "Files that never block are always ready. Raises FileExistsError when source is already\n"
    "watched, OSError (EBADF) for a number that is not open, ValueError for a closed object (its\n"
    "fileno() is -1) and for invalid bits, TypeError for anything that is not a descriptor, and\n"
    "whatever fileno() raises.\n"
    "\n"
    "    >>> w = q.add(sock, readyq.READ | readyq.EDGE, data=connection)\n");

PyDoc_STRVAR(
    queue_add_timer_doc,
    "add_timer($self, /, delay, *, data=None, period=None)\n"
    "--\n"
    "\n"
    "Add a timer that fires delay seconds from now, then every period seconds; return its Watch.\n"
    "\n"
    "Both are numbers >= 0; infinity means never. Without a period, or with 0, the timer fires once\n"
    "and removes itself. Each expiration is counted from when the previous one was due; missed\n"
    "expirations are delivered together, and count is their number. Raises ValueError for negative\n"
    "numbers and NaN.\n"
    "\n"
    "    >>> q.add_timer(0.5, data=tick, period=0.5)\n");

PyDoc_STRVAR(
    queue_add_signal_doc,
    "add_signal($self, /, signum, *, data=None)\n"
    "--\n"
    "\n"
    "Add a watch that fires when this process receives a signal, and return it.\n"
    "\n"
    "signum is a number such as signal.SIGTERM, or a name: \"TERM\" or \"SIGTERM\". The watch's count\n"
    "is how many arrived. A handler that was installed before, such as one set with the signal\n"
    "module, is called too. A default action is replaced while the signal is watched; for SIGINT\n"
    "this includes KeyboardInterrupt, so Ctrl-C is an event and nothing else. Removing the last\n"
    "watch restores the default action. Warns (RuntimeWarning) when every thread blocks the signal.\n"
    "Raises ValueError for a number or name that is not a signal, and for a signal that cannot be\n"
    "watched, such as SIGKILL.\n"
    "\n"
    "    >>> q.add_signal(signal.SIGTERM, data=stop)\n");

PyDoc_STRVAR(
    queue_add_process_doc,
    "add_process($self, /, pid, *, data=None)\n"
    "--\n"
    "\n"
    "Add a watch that fires once, when process pid ends, or immediately if it has already ended,\n"
    "and return the watch.\n"
    "\n"
    "pid is an int, or an object with an integer pid, such as subprocess.Popen, which the queue then\n"
    "keeps alive. The watch removes itself when it is taken. For a child of this process, status is\n"
    "what os.waitpid() gives; the child is not reaped. Raises ProcessLookupError if there is no such\n"
    "process, ValueError for pid <= 0.\n"
    "\n"
    "    >>> q.add_process(child, data=on_exit)\n");

PyDoc_STRVAR(queue_add_trigger_doc,
             "add_trigger($self, /, *, data=None)\n"
             "--\n"
             "\n"
             "Add a watch that fires when its fire() is called, from any thread, and return it.\n"
             "\n"
             "    >>> t = q.add_trigger(data=mailbox)\n"
             "    >>> t.fire()\n");

PyDoc_STRVAR(
    queue_modify_doc,
    "modify($self, /, watch, interest)\n"
    "--\n"
    "\n"
    "Call modify() on a watch.\n"
    "\n"
    "Pass the watch itself, or the descriptor or object that was added; a closed object is found,\n"
    "too. Raises KeyError when it is not in this queue.");

PyDoc_STRVAR(
    queue_get_doc,
    "get($self, /, source, default=None)\n"
    "--\n"
    "\n"
    "The watch of a descriptor or object that was added, like q[source]; otherwise default.\n"
    "\n"
    "    >>> if q.get(sock) is None:\n"
    "    ...     q.add(sock)\n");

PyDoc_STRVAR(
    queue_remove_doc,
    "remove($self, watch, /)\n"
    "--\n"
    "\n"
    "Call remove() on a watch.\n"
    "\n"
    "Pass the watch itself, or the descriptor or object that was added; a closed object is found,\n"
    "too. Returns False for a watch that has fired or was removed,\n"
    "otherwise True. Raises KeyError for anything that was not added to this queue.");

PyDoc_STRVAR(
    queue_wait_doc,
    "wait($self, /, timeout=None, maxevents=None)\n"
    "--\n"
    "\n"
    "Wait until something is ready, and return a Batch, an iterator over the ready watches.\n"
    "\n"
    "timeout is in seconds: None waits forever; 0 checks and returns at once; a larger number\n"
    "ends the wait after that time, never early. The batch is then empty, as it is when wake()\n"
    "has ended the wait. maxevents limits the batch. Each watch is in it once; taking it sets its\n"
    "ready and count. Watches that were not taken are delivered by the next wait, before newer\n"
    "ones. With several waiting threads, each event goes to one of them.\n"
    "\n"
    "Python's signal handlers run at once, and an exception in one ends the wait. Raises\n"
    "ValueError for a negative timeout, NaN or maxevents < 1, and when the queue is closed, even\n"
    "during the wait.\n"
    "\n"
    "    >>> for w in q.wait(timeout=1.5):\n"
    "    ...     handle(w.data, w.ready)\n");

PyDoc_STRVAR(
    queue_dispatch_doc,
    "dispatch($self, /, timeout=None)\n"
    "--\n"
    "\n"
    "Wait, then call data(watch) for each watch that is ready; return how many were called.\n"
    "\n"
    "timeout is as for wait(). An exception in a call goes to the caller at once, and the watches\n"
    "that have not been called yet are left to the next wait. Raises TypeError for data that cannot\n"
    "be called, and for an async or generator function, since calling it would run none of its code;\n"
    "such a watch is not taken, and is left to the next wait, too.\n"
    "\n"
    "    >>> q.add(sock, \"r\", data=lambda w: print(w.source.recv(100)))\n"
    "    >>> while True:\n"
    "    ...     q.dispatch()\n");

PyDoc_STRVAR(
    queue_now_doc,
    "now($self, /)\n"
    "--\n\n"
    "Return the queue's clock in seconds as a float: time.monotonic(), or the virtual clock, which\n"
    "starts at 0. Watch.due is on this clock.");

PyDoc_STRVAR(
    queue_wake_doc,
    "wake($self, /)\n"
    "--\n"
    "\n"
    "End one wait at once: one that is in progress, or else the next. Several calls merge into one\n"
    "wake until it has ended a wait.");

PyDoc_STRVAR(
    queue_fileno_doc,
    "fileno($self, /)\n"
    "--\n"
    "\n"
    "A descriptor that is readable while wait() would return something.\n"
    "\n"
    "It is for running the queue in another event loop. It belongs to the queue: do not read or\n"
    "close it.");

PyDoc_STRVAR(queue_stats_doc,
             "stats($self, /)\n"
             "--\n"
             "\n"
             "What the queue has done so far, as a readyq.Stats, whose fields are\n"
             "described in help(readyq.Stats). The counters are always on.");

PyDoc_STRVAR(
    queue_record_doc,
    "record($self, /, records=100000)\n"
    "--\n"
    "\n"
    "Record what the queue and its threads do from now on, and return a Recording.\n"
    "\n"
    "It keeps the newest records, 40 bytes each, and counts those it drops. A queue can have several\n"
    "recordings at the same time; a child process continues its copies of them. Raises ValueError\n"
    "for fewer than 1 record or too many, OSError (ENOMEM) if there is not enough memory.\n"
    "\n"
    "    >>> with q.record() as recording:\n"
    "    ...     ready = q.wait(timeout=1.5)\n"
    "    >>> recording.save(\"run.json\")\n");

PyDoc_STRVAR(
    queue_check_doc,
    "check($self, /)\n"
    "--\n"
    "\n"
    "Compare what the queue watches with what the kernel says it watches.\n"
    "\n"
    "Returns a list with a line for each difference, such as \"fd 7 (pipe): the queue watches it\n"
    "for READ, but the kernel for WRITE\". It is empty unless a watched descriptor was closed.\n"
    "The call is meant for tests, since it reads /proc and is slow. Raises OSError (ENOSYS) if the\n"
    "kernel does not report what it watches (kqueue).");

PyDoc_STRVAR(
    queue_trace_doc,
    "trace($self, target, /)\n"
    "--\n"
    "\n"
    "Report every call and delivery as one line of text; None ends the trace.\n"
    "\n"
    "target is a file to write to or a function to call with the line. Its exceptions go to\n"
    "sys.unraisablehook and have no other effect.\n"
    "\n"
    "    >>> q.trace(sys.stderr)\n");

PyDoc_STRVAR(queue_html_doc, "_repr_html_($self, /)\n"
                             "--\n"
                             "\n"
                             "What print() shows of the queue, as an HTML table for a notebook.");

PyDoc_STRVAR(
    queue_close_doc,
    "close($self, /)\n"
    "--\n"
    "\n"
    "Remove every watch and close the queue's descriptors; waiting threads get ValueError.\n"
    "\n"
    "Closing again does nothing. The sources stay open.");

PyDoc_STRVAR(queue_closed_doc, "bool: whether the queue is closed.");
PyDoc_STRVAR(queue_backend_doc,
             "str: the kernel interface, \"epoll\" on Linux, otherwise \"kqueue\".");

#endif
