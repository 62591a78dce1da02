# SPDX-License-Identifier: MIT
"""Support for Python's own prompt of 3.13 and later: prints output above the line being edited, and
finds keys that the prompt has already read.

That prompt has no interface for this. The parts of its implementation that are used here are looked
up when they are needed; if they are different, output appears at the cursor, as in older prompts.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


def find_reader() -> Any:
    """The prompt that waits for a key and calls the input hook now; None in another prompt."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "_pyrepl.reader" and "self" in frame.f_locals:
            return frame.f_locals["self"]
        frame = frame.f_back
    return None


def has_keys(reader: Any) -> bool:
    """Whether the reader has a key to handle. It may have read that key already, so that poll() on
    the terminal would not show it.
    """
    try:
        return bool(reader.console.wait(0))
    except (AttributeError, TypeError):
        return False


def make_redraw(reader: Any) -> tuple[Callable[[], None], Callable[[], None]] | None:
    """What to call before output and after it; None where the prompt is not as expected."""
    try:
        console, refresh = reader.console, reader.refresh
        prepare, restore = console.prepare, console.restore
        _, _ = reader.cxy
    except (AttributeError, TypeError, ValueError):
        return None

    def erase() -> None:
        restore()
        row = reader.cxy[1]
        sys.stdout.write("\r" + (f"\x1b[{row}A" if row else "") + "\x1b[J")
        sys.stdout.flush()

    def draw() -> None:
        width = console.width
        sys.stdout.write(" " * width + "\r")  # wraps unless the cursor is in the first column
        sys.stdout.flush()
        prepare()
        refresh()

    return erase, draw
