# SPDX-License-Identifier: MIT
"""The console of `python -m readyq` with prompt_toolkit.

prompt_toolkit runs on the session's asyncio loop, and so do the queue and the user's tasks. Ctrl-C
stays a signal while a line is typed, so that it also ends a callback that does not return.
"""

from __future__ import annotations

import contextlib
import contextvars
import signal
import sys
import termios
import time
from collections.abc import Generator
from contextlib import AbstractContextManager
from types import FrameType
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import create_output

from readyq import prompt
from readyq.console import Session, history_path
from readyq.editing import LineHistory, NameCompleter, make_keys, make_lexer
from readyq.resize import Resize
from readyq.screen import Screen

_PATIENCE = 0.3  # seconds after which a second Ctrl-C ends a task that blocks the loop


class _Input(Vt100Input):
    """The keyboard, whose Ctrl-C sends SIGINT even while a prompt is shown."""

    def raw_mode(self) -> AbstractContextManager[None]:
        return self._raw_mode()

    @contextlib.contextmanager
    def _raw_mode(self) -> Generator[None]:
        with super().raw_mode():
            mode = termios.tcgetattr(self.fileno())
            off = b"\0"  # _POSIX_VDISABLE
            mode[3] |= termios.ISIG
            mode[6][termios.VSUSP] = mode[6][termios.VQUIT] = off
            termios.tcsetattr(self.fileno(), termios.TCSANOW, mode)
            yield


class _Console:
    def __init__(self, session: Session, screen: Screen, stdout: TextIO) -> None:
        self._loop = session.loop
        self._show = session.show
        self._screen = screen
        self._context = contextvars.copy_context()
        self._pressed: float | None = None  # when an unanswered Ctrl-C was pressed
        self._prompt: PromptSession[str] = PromptSession(
            message=screen.message,
            multiline=True,
            prompt_continuation=lambda width, line, wrapped: "" if wrapped else _ps2(),
            key_bindings=make_keys(lambda: self._prompt.default_buffer, session.is_complete),
            lexer=make_lexer(),
            completer=NameCompleter(session.names),
            complete_while_typing=False,
            history=LineHistory(history_path()),
            enable_suspend=True,
            input=_Input(sys.stdin),
            output=create_output(stdout=stdout),
        )
        self._prompt.app.terminal_size_polling_interval = None  # SIGWINCH reports it
        self._resize = Resize(self._prompt.app, session.loop)

    def read(self) -> str:
        """One input, of one line or several. Raises KeyboardInterrupt and EOFError."""
        self._screen.begin(self._prompt.app, self._resize.erase)
        before = signal.signal(signal.SIGINT, self._interrupt)
        task = self._loop.create_task(
            self._prompt.prompt_async(
                pre_run=self._begin, set_exception_handler=False, handle_sigint=False
            )
        )
        try:
            while True:
                try:
                    return self._loop.run_until_complete(task)
                except KeyboardInterrupt as error:  # from one of the user's tasks, or a key
                    if task.done():
                        raise
                    self._show(type(error), error, None)
                except RuntimeError:  # the user's code stopped the loop
                    if task.done():
                        raise
        finally:
            if not task.done():  # a callback called exit()
                task.cancel()
                with contextlib.suppress(BaseException):
                    self._loop.run_until_complete(task)
            self._pressed = None
            signal.signal(signal.SIGINT, before)
            self._screen.end()

    def _begin(self) -> None:
        self._context = contextvars.copy_context()  # in which keys find their application
        self._resize.begin()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C: end the running callback, or else pass it on as a key."""
        now = time.monotonic()
        if prompt.is_calling(frame):
            raise KeyboardInterrupt
        if self._pressed is None:
            self._pressed = now
            self._loop.call_soon_threadsafe(self._press, context=self._context)
        elif now - self._pressed > _PATIENCE:
            self._pressed = None
            raise KeyboardInterrupt

    def _press(self) -> None:
        """The key, which drops the line, or ends a search in the history."""
        app = self._prompt.app
        if self._pressed is not None and app.is_running and not app.is_done:
            app.key_processor.feed(KeyPress(Keys.ControlC))
            app.key_processor.process_keys()
        self._pressed = None


def _ps2() -> str:
    return str(getattr(sys, "ps2", "... "))


def interact(session: Session, banner: str) -> None:
    """Read inputs and run them until Ctrl-D or exit()."""
    stdout = sys.stdout
    with Screen(session.loop) as screen:
        console = _Console(session, screen, stdout)
        print(banner)
        while True:
            try:
                source = console.read()
            except KeyboardInterrupt:
                print("KeyboardInterrupt")
            except EOFError:
                return
            else:
                if source.strip():
                    session.run(source)
