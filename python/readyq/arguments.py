# SPDX-License-Identifier: MIT
"""Checks of arguments that the parts in Python share."""

from __future__ import annotations

from readyq._core import Queue


def check_queue(call: str, queue: object) -> None:
    """Raise TypeError for anything but a Queue, ValueError if it is closed."""
    if not isinstance(queue, Queue):
        raise TypeError(f"{call}: queue must be a readyq.Queue, not {type(queue).__name__}")
    if queue.closed:
        raise ValueError(f"{call}() failed: the queue is closed; open a new one")
