# SPDX-License-Identifier: MIT
"""Output above the line that prompt_toolkit edits.

While a prompt is shown, text that is written to the session's sys.stdout and sys.stderr appears
above it: the prompt is erased, whole lines are written, and the prompt is drawn again below. Text
that has no newline yet is shown as a line of the prompt, so that it can grow.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text

_LONGEST = 1000  # characters without a newline that are shown as a part of the prompt


class Screen:
    """The terminal of a session: who may write to it, and where."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._app: Application[Any] | None = None
        self._from_threads: list[tuple[TextIO, str]] = []
        self._erase: Callable[[], None] = lambda: None
        self._unfinished = ""
        self._streams: list[tuple[str, TextIO]] = []

    def __enter__(self) -> Screen:
        """Take the place of sys.stdout and sys.stderr, where they are terminals."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                self._streams.append((name, stream))
                setattr(sys, name, _Stream(self, stream))
        return self

    def __exit__(self, *exception: object) -> None:
        for name, stream in self._streams:
            setattr(sys, name, stream)

    def begin(self, app: Application[Any], erase: Callable[[], None]) -> None:
        """A prompt is about to be shown: start it in the first column. erase() will erase it."""
        self._erase = erase
        for _, stream in self._streams:
            stream.flush()
        self._app = app
        width = app.output.get_size().columns
        app.output.write_raw(" " * width + "\r")  # wraps unless the cursor is there already
        app.output.flush()

    def end(self) -> None:
        """The prompt is over: what is written goes to the terminal."""
        self._app = None
        self._unfinished = ""
        self._drain()

    def message(self) -> StyleAndTextTuples:
        """What the prompt shows before what is typed."""
        shown: StyleAndTextTuples = []
        if self._unfinished:
            line = self._unfinished.rstrip("\r").rpartition("\r")[2].expandtabs()
            shown = [*to_formatted_text(ANSI(line)), ("", "\n")]
        return [*shown, ("class:prompt", str(getattr(sys, "ps1", ">>> ")))]

    def write(self, stream: TextIO, text: str) -> None:
        """Write text, above the prompt if one is shown. May be called from any thread."""
        app = self._app
        if app is None or not app.is_running:
            stream.write(text)
        elif threading.get_ident() == self._thread:
            self._write_above(app, stream, text)
        else:
            with self._lock:
                self._from_threads.append((stream, text))
            self._loop.call_soon_threadsafe(self._drain)

    def _write_above(self, app: Application[Any], stream: TextIO, text: str) -> None:
        text = self._unfinished + text
        if len(text) > _LONGEST and "\n" not in text:
            text += "\n"
        lines, newline, self._unfinished = text.rpartition("\n")
        if newline:
            self._erase()
            stream.write(lines + newline)
            stream.flush()
        app.invalidate()

    def _drain(self) -> None:
        with self._lock:
            pending, self._from_threads = self._from_threads, []
        for stream, text in pending:
            self.write(stream, text)


class _Stream:
    """Takes the place of a text stream."""

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        self._screen = screen
        self._stream = stream

    def write(self, text: str) -> int:
        self._screen.write(self._stream, "".join([text]))  # TypeError unless it is a str
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
