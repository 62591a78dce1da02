# SPDX-License-Identifier: MIT
"""One event queue for descriptors, timers, signals, processes and triggers.

Add sources to a Queue, wait until at least one is ready, and take the ready ones:

    import readyq

    with readyq.Queue() as q:
        q.add(sock, data="my socket")
        for w in q.wait(timeout=1.5):
            print(w.data, readyq.bits(w.ready))

A watch asks for the bits in its interest, and a delivery sets those in ready. They are plain ints,
which are combined with | and tested with &; bits() gives their names.

READ          reading would not block: data, end of file, a connection, or an error
WRITE         writing would not block: space, a completed connection, or an error
PRIORITY      exceptional data, such as a socket's out-of-band data
READ_CLOSED   ready only: nothing arrives after what is buffered
WRITE_CLOSED  ready only: the peer will not read what is written
ERROR         ready only: an error is pending; reported with every direction that was asked for
FIRED         ready only: a timer, signal, process or trigger fired
EDGE          interest only: report once per new arrival
ONESHOT       interest only: disarm after one delivery; modify() arms it again
EXCLUSIVE     interest only: wake at least one of the queues that watch the same file, not all

Interest 0 pauses a watch. Without EDGE or ONESHOT it is level-triggered: it is ready again and
again until the data is read.

This file only lists the names; the queue itself is in the extension module _core. The parts
in Python are imported when they are first used, with the modules of the standard library that
they need.
"""

from __future__ import annotations

from readyq._core import (
    EDGE,
    ERROR,
    EXCLUSIVE,
    FIRED,
    ONESHOT,
    PRIORITY,
    READ,
    READ_CLOSED,
    WRITE,
    WRITE_CLOSED,
    Batch,
    KindStats,
    Queue,
    Record,
    Recording,
    Stats,
    Watch,
    __version__,
    bits,
    describe,
)

TYPE_CHECKING = False  # as in typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from readyq.aio import attach, new_event_loop, run
    from readyq.prompt import install_inputhook, load_ipython_extension, uninstall_inputhook
    from readyq.selector import Selector

__all__ = [
    "EDGE",
    "ERROR",
    "EXCLUSIVE",
    "FIRED",
    "ONESHOT",
    "PRIORITY",
    "READ",
    "READ_CLOSED",
    "WRITE",
    "WRITE_CLOSED",
    "Batch",
    "KindStats",
    "Queue",
    "Record",
    "Recording",
    "Selector",
    "Stats",
    "Watch",
    "__version__",
    "attach",
    "bits",
    "describe",
    "install_inputhook",
    "load_ipython_extension",
    "new_event_loop",
    "run",
    "uninstall_inputhook",
]

_LATER = {
    "Selector": "selector",
    "attach": "aio",
    "install_inputhook": "prompt",
    "load_ipython_extension": "prompt",
    "new_event_loop": "aio",
    "run": "aio",
    "uninstall_inputhook": "prompt",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'readyq' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"readyq.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
