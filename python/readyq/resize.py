# SPDX-License-Identifier: MIT
"""Redraws the prompt when the terminal has become narrower.

Terminals then wrap the rows that are too long, which prompt_toolkit does not expect: it would
erase too few of them, and the beginning of the old line would remain above the new one.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from prompt_toolkit.application import Application


class Resize:
    """Watches the size of the terminal while an application runs."""

    def __init__(self, app: Application[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._columns = 0  # at the last rendering
        app.after_render += self._note

    def begin(self) -> None:
        """The application begins to run. It sets its own handler after this call."""
        self._loop.call_soon(self._take_signal)

    def _take_signal(self) -> None:
        if self._app.is_running:
            self._loop.add_signal_handler(signal.SIGWINCH, self._draw)

    def _note(self, _: Application[Any]) -> None:
        self._columns = self._app.output.get_size().columns

    def erase(self) -> None:
        """Erase the prompt, in the terminal's current size."""
        if self._app.renderer.last_rendered_screen is not None:
            rows = self._broken_rows(self._app.output.get_size().columns)
            if rows > 0:
                self._app.output.cursor_up(rows)
            self._app.renderer.erase()

    def _draw(self) -> None:
        if self._app.is_running:
            self.erase()
            self._app.invalidate()

    def _broken_rows(self, columns: int) -> int:
        """How many more rows the text above the cursor takes than it did when it was drawn."""
        screen = self._app.renderer.last_rendered_screen
        if screen is None or columns >= self._columns:
            return 0
        cursor = screen.get_cursor_position(self._app.layout.current_window)
        widths = [
            max((x for x, one in screen.data_buffer[y].items() if one.char.strip()), default=0)
            for y in range(cursor.y)
        ]
        return sum(width // columns for width in widths) + cursor.x // columns
