# SPDX-License-Identifier: MIT
"""Pictures of a queue: the table that print(q) shows, and the same in HTML for notebooks.

The queue and its watches are only read, never changed. Functions are named with their file and
line. A table for a terminal fits its width; that is done in columns.py.
"""

from __future__ import annotations

import functools
import html
import os
import signal
from typing import Any

from readyq._core import Queue, Watch, bits, describe
from readyq.columns import fit

_HEADER = ("kind", "source", "interest", "due in", "every", "ready", "deliveries", "data")
_LONGEST = 60  # characters of data


def _source(watch: Watch[Any]) -> str:
    if watch.fd is not None:
        return f"{watch.fd} {describe(watch.fd)}" if watch.active else f"{watch.fd}"
    if watch.kind == "signal":
        try:
            return signal.Signals(watch.source).name
        except ValueError:
            return str(watch.source)
    return str(watch.source) if watch.kind == "process" else ""


def _interest(watch: Watch[Any]) -> str:
    if watch.kind != "fd":
        return ""
    if watch.interest == 0:
        return "paused"
    return bits(watch.interest) + ("" if watch.armed else " (disarmed)")


def _seconds(seconds: float) -> str:
    """A time to three digits: 12 s, 0.25 s, 1.5 ms."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= 0.1 * size or unit == "us":
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 else f"{seconds:.0f} s"
    return ""


def _due(watch: Watch[Any], now: float) -> str:
    due = watch.due
    if due is None:
        return ""
    if due == float("inf"):
        return "never"
    return _seconds(due - now) if due > now else "now"


def _data(watch: Watch[Any]) -> str:
    data = getattr(watch, "data", None)  # it may have been deleted
    if data is None:
        return ""
    try:
        text = _function(data) or getattr(data, "__qualname__", None) or repr(data)
    except Exception:
        text = f"<{type(data).__name__} object>"
    text = " ".join(str(text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _function(data: Any) -> str:
    """A Python function with its file and line, `<lambda> loop.py:12`; '' for other data."""
    if isinstance(data, functools.partial):
        inner = _function(data.func) or getattr(data.func, "__qualname__", repr(data.func))
        return f"partial({inner})"
    code = getattr(data, "__code__", None)
    if code is None:
        return ""
    name = str(data.__qualname__).rpartition("<locals>.")[2]
    return f"{name} {os.path.basename(code.co_filename)}:{code.co_firstlineno}"


def _ready(watch: Watch[Any]) -> str:
    if not watch.ready:
        return ""
    return bits(watch.ready) + (f" x{watch.count}" if watch.count > 1 else "")


def _rows(queue: Queue, now: float) -> list[tuple[str, ...]]:
    return [
        (
            w.kind,
            _source(w),
            _interest(w),
            _due(w, now),
            "" if w.period is None else _seconds(w.period),
            _ready(w),
            str(w.deliveries),
            _data(w),
        )
        for w in queue
    ]


def table(queue: Queue, now: float) -> str:
    """The queue's repr, and below it a line for each watch, no longer than the terminal is wide.

    now is the time on the queue's clock.
    """
    if queue.closed or not len(queue):
        return repr(queue)
    return "\n".join(fit(repr(queue), [_HEADER, *_rows(queue, now)]))


def html_table(queue: Queue, now: float) -> str:
    """The same as an HTML table; for a closed or empty queue, only its repr."""
    if queue.closed or not len(queue):
        return f"<pre>{html.escape(repr(queue))}</pre>"
    parts = ["<table>", f"<caption>{html.escape(repr(queue))}</caption>"]
    parts.append("<tr>" + "".join(f"<th>{name}</th>" for name in _HEADER) + "</tr>")
    for row in _rows(queue, now):
        parts.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    return "\n".join([*parts, "</table>"])
