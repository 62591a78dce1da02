# SPDX-License-Identifier: MIT
"""Pictures of a queue: the table that print(q) shows, and the same in HTML for notebooks.

This reads what a queue and its watches tell of themselves, and changes nothing.
"""

from __future__ import annotations

import html
import signal
from typing import Any

from readyq._core import Queue, Watch, bits, describe

_HEADER = ("kind", "source", "interest", "ready", "deliveries", "data")


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


def _data(watch: Watch[Any]) -> str:
    data = getattr(watch, "data", None)  # it may have been deleted
    if data is None:
        return ""
    try:
        text = getattr(data, "__qualname__", None) or repr(data)
    except Exception:
        text = f"<{type(data).__name__} object>"
    text = " ".join(str(text).split())
    return text if len(text) <= 40 else text[:37] + "..."


def _ready(watch: Watch[Any]) -> str:
    if not watch.ready:
        return ""
    return bits(watch.ready) + (f" x{watch.count}" if watch.count > 1 else "")


def _rows(queue: Queue) -> list[tuple[str, ...]]:
    return [
        (w.kind, _source(w), _interest(w), _ready(w), str(w.deliveries), _data(w)) for w in queue
    ]


def table(queue: Queue) -> str:
    """The queue's repr, and below it one line for each watch."""
    if queue.closed or not len(queue):
        return repr(queue)
    rows = [_HEADER, *_rows(queue)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return "\n".join([repr(queue), *(f"  {line}".rstrip() for line in lines)])


def html_table(queue: Queue) -> str:
    """The same as an HTML table."""
    rows = [] if queue.closed else _rows(queue)
    parts = ["<table>", f"<caption>{html.escape(repr(queue))}</caption>"]
    parts.append("<tr>" + "".join(f"<th>{name}</th>" for name in _HEADER) + "</tr>")
    for row in rows:
        parts.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    return "\n".join([*parts, "</table>"])
