# SPDX-License-Identifier: MIT
"""The console of `python -m readyq`: Python's own, with a queue that runs while it waits.

How the queue runs meanwhile is in prompt.py. `await` runs on an asyncio loop that is made when it
is first used; from then on the loop too goes on while you type.
"""

from __future__ import annotations

import ast
import asyncio
import atexit
import builtins
import code
import contextlib
import inspect
import os
import sys
import types
from collections.abc import Coroutine
from typing import Any

import readyq
from readyq import _core, prompt
from readyq._core import Queue

_HELP = (
    "q is a queue, and what is registered in it is called while you type, as in\n"
    "    q.add_timer(1, data=lambda w: print('tick'), period=1)\n"
    "print(q) shows it, help(q) explains it, await works. Ctrl-D leaves."
)


class Console(code.InteractiveConsole):
    """One session: its names, its queue, its loop."""

    def __init__(self, queue: Queue) -> None:
        names = {name: getattr(readyq, name) for name in readyq.__all__ if name[0] != "_"}
        names.update(__name__="__main__", __builtins__=builtins, readyq=readyq, q=queue)
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.queue = queue
        self.loop: asyncio.AbstractEventLoop | None = None
        self.prompt: str | None = None  # what is shown while the user types

    def raw_input(self, prompt: str = "") -> str:
        self.prompt = prompt
        try:
            return super().raw_input(prompt)
        finally:
            self.prompt = None

    def fire(self, queue: Queue) -> bool:
        """Call what is ready, on a line of its own, and then show again what is being typed."""
        called = prompt.fire(queue, self._wipe)
        if called and self.prompt is not None:
            sys.stdout.write(f"\r{self.prompt}{_typed()}")
            sys.stdout.flush()
        return called

    def _wipe(self) -> None:
        if self.prompt is not None:
            sys.stdout.write("\r\x1b[K")

    def runcode(self, code: types.CodeType) -> None:
        """As Python's own, and a statement with `await` runs on the loop."""
        try:
            result = types.FunctionType(code, self.locals)()
            if inspect.iscoroutine(result):
                self._await(result)
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()

    def _await(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if self.loop is None:
            self.loop = readyq.new_event_loop()
            prompt.run_beside(self.loop, self.queue, fire=self.fire)
        task = self.loop.create_task(coroutine)
        try:
            self.loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self.loop.run_until_complete(task)
            raise

    def pump(self) -> None:
        """What the prompt calls before it waits for a key."""
        if self.loop is None:
            prompt.pump(self.queue, fire=self.fire)
            return
        self.loop.add_reader(0, self.loop.stop)
        try:
            self.loop.run_forever()
        except KeyboardInterrupt:
            prompt.interrupt_prompt()
        finally:
            self.loop.remove_reader(0)

    def close(self) -> None:
        _core.set_inputhook(None)
        if self.loop is not None:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
        self.queue.close()


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
    path = os.environ.get("READYQ_HISTORY") or os.path.expanduser("~/.readyq_history")
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    atexit.register(_write_history, path)


def _write_history(path: str) -> None:
    import readline

    readline.set_history_length(1000)
    with contextlib.suppress(OSError):
        readline.write_history_file(path)


def main() -> None:
    """Run the console on a new queue until Ctrl-D or exit()."""
    console = Console(Queue())
    _use_readline(console.locals)
    _core.set_inputhook(console.pump)
    version = sys.version.split()[0]
    banner = f"readyq {readyq.__version__} on {console.queue.backend}, Python {version}\n{_HELP}"
    try:
        console.interact(banner, exitmsg="")
    finally:
        console.close()
