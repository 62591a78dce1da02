# SPDX-License-Identifier: MIT
"""One event queue for descriptors, timers, signals, processes and triggers.

Put sources into a Queue, sleep in one call until at least one is ready, take the ready ones:

    import readyq

    with readyq.Queue() as q:
        q.add(sock, readyq.READ, data="my socket")
        for w in q.wait(timeout=1.5):
            print(w.data, readyq.bits(w.ready))

This file only names what readyq offers; the queue itself is in the extension module _core.
"""

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
    Queue,
    Stats,
    Watch,
    __version__,
    bits,
)

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
    "Queue",
    "Stats",
    "Watch",
    "__version__",
    "bits",
]
