# SPDX-License-Identifier: MIT
"""The console of `python -m readyq` without prompt_toolkit: Python's own, with readline if present.

The interpreter's input hook runs the loop while a line is typed. Output from callbacks wipes the
line, and the line is shown again below it, with its cursor at the end.
"""

from __future__ import annotations

import atexit
import code
import contextlib
import shutil
import sys
import types
from functools import partial
from typing import Any

from readyq import prompt
from readyq._core import Queue
from readyq.console import Session, history_path

_REMEMBERED = 1000  # lines of the history that are kept


class _Console(code.InteractiveConsole):
    def __init__(self, session: Session) -> None:
        super().__init__(session.names)
        self.session = session
        self.compile = session.compile
        self.prompt: str | None = None  # what is shown while the user types
        session.fire = self._fire

    def raw_input(self, prompt: str = "") -> str:
        self.prompt = prompt
        try:
            return super().raw_input(prompt)
        finally:
            self.prompt = None

    def runsource(self, source: str, filename: str = "", symbol: str = "single") -> bool:
        if source.strip() and self.session.is_complete(source):
            filename = self.session.name_input(source)
        return super().runsource(source, filename, symbol)

    def runcode(self, code: types.CodeType) -> None:
        self.session.run_code(code)

    def _fire(self, queue: Queue) -> bool:
        """Call what is ready, on a line of its own, and then show again what is being typed."""
        called = prompt.fire(queue, self._wipe, self.session.show)
        if called and self.prompt is not None:
            width = shutil.get_terminal_size().columns
            # The blanks reach the next line if the output did not end with a newline.
            sys.stdout.write(f"{' ' * width}\r{self.prompt}{_typed()}")
            sys.stdout.flush()
        return called

    def _wipe(self) -> None:
        if self.prompt is not None:
            sys.stdout.write("\r\x1b[K")


def _typed() -> str:
    readline = sys.modules.get("readline")
    return readline.get_line_buffer() if readline else ""


def _use_readline(names: dict[str, Any]) -> None:
    """History and completion, where Python has readline."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    path = history_path()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    atexit.register(partial(_write_history, path, readline.get_current_history_length()))


def _write_history(path: str, old: int) -> None:
    """Append the lines of this session. What was there is not written again, because readline
    cannot read back entries of several lines.
    """
    import readline

    readline.set_history_length(_REMEMBERED)
    new = readline.get_current_history_length() - old
    with contextlib.suppress(OSError):
        if not hasattr(readline, "append_history_file"):  # libedit
            readline.write_history_file(path)
        elif new > 0:
            with open(path, "a"):  # which must exist
                pass
            readline.append_history_file(new, path)


def interact(session: Session, banner: str) -> None:
    """Read lines and run them until Ctrl-D or exit()."""
    _use_readline(session.names)
    _Console(session).interact(banner, exitmsg="")
