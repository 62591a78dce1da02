# SPDX-License-Identifier: MIT
"""A session of `python -m readyq`: its names, its queue, its asyncio loop, and how code runs there.

Lines are read in toolkit.py, with prompt_toolkit, or else in plain.py.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import codeop
import contextvars
import inspect
import linecache
import os
import sys
import termios
import traceback
import types
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import readyq
from readyq import _core, prompt
from readyq._core import Queue

_HELP = (
    "q is a queue. It calls the functions of its watches while you type, as in\n"
    "    q.add_timer(1, data=lambda w: print('tick'), period=1)\n"
    "print(q) shows it, help(q) explains it, await works. Ctrl-D exits."
)
_MISSING = (
    "Plain console: prompt_toolkit is missing, so output may mix with what you type.\n"
    'To install it: pip install "readyq[prompt]"'
)
_OF_CODEOP = 0x4200  # its flags to accept incomplete input, of no use for complete input
_CLOSING = 1.0  # seconds that tasks have to end after they are cancelled


class Session:
    """One session. The queue that `q` names runs on the loop, which runs while the user types."""

    def __init__(self) -> None:
        module = types.ModuleType("__main__")  # so that pickle finds what is defined here
        sys.modules["__main__"] = module
        self.names = vars(module)
        self.names.update(
            {name: getattr(readyq, name) for name in readyq.__all__ if name[0] != "_"}
        )
        self.own_queue = self.queue = Queue()
        self.names.update(__builtins__=builtins, readyq=readyq, q=self.queue)
        self.compile = codeop.CommandCompiler()
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.loop = readyq.new_event_loop()
        self.fire: Callable[[Queue], bool] = partial(prompt.fire, show=self.show)
        self._context = contextvars.copy_context()
        self._inputs = 0
        self._detach = prompt.run_beside(self.loop, self.queue, fire=self._fire)

    def _fire(self, queue: Queue) -> bool:
        return self.fire(queue)

    # ------------------------------------------------------------------ code

    def name_input(self, source: str) -> str:
        """A file name for what was typed, under which tracebacks find its lines."""
        self._inputs += 1
        name = f"<input {self._inputs}>"
        lines = [f"{line}\n" for line in source.splitlines()]
        linecache.cache[name] = (len(source), None, lines, name)
        return name

    def is_complete(self, source: str) -> bool:
        """Whether what was typed can be run: it needs no further line, or has an error."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for symbol in ("single", "exec"):  # exec: several statements that were pasted
                try:
                    return self.compile(source, "<input>", symbol) is not None
                except (SyntaxError, ValueError, OverflowError):
                    pass
        return True

    def run(self, source: str) -> None:
        """Run what was typed, one statement or several. The last one's value is shown."""
        name = self.name_input(source)
        try:
            codes = self._compile_all(source, name)
        except (SyntaxError, ValueError, OverflowError) as error:
            self.show(type(error), error.with_traceback(None), None)
            return
        for code in codes:
            if not self.run_code(code):
                return

    def _compile_all(self, source: str, name: str) -> list[types.CodeType]:
        flags = self.compile.compiler.flags & ~_OF_CODEOP
        tree = compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, True)
        if len({one.lineno for one in tree.body}) < 2:  # as on one line: `a(); b()`
            return [compile(source, name, "single", flags, True)]
        first, last = ast.Module(tree.body[:-1], []), ast.Interactive(tree.body[-1:])
        return [
            compile(first, name, "exec", flags, True),
            compile(last, name, "single", flags, True),
        ]

    def run_code(self, code: types.CodeType) -> bool:
        """Run compiled code on the loop, and show what it raises. Returns whether it succeeded.

        SystemExit propagates.
        """
        try:
            result = self._call(types.FunctionType(code, self.names))
            if code.co_flags & inspect.CO_COROUTINE:
                self._finish(self._create_task(result))
        except SystemExit:
            raise
        except BaseException as error:
            self.show_error(error)
            return False
        finally:
            self._follow()
        return True

    def _call(self, function: Callable[[], Any]) -> Any:
        """Call the function as the loop would, so that asyncio.create_task() works in a line
        without await. Other callbacks of the loop do not run until it returns.
        """
        asyncio._set_running_loop(self.loop)
        try:
            return self._context.run(function)
        finally:
            asyncio._set_running_loop(None)

    def _create_task(self, coroutine: Any) -> asyncio.Task[Any]:
        if sys.version_info >= (3, 11):
            return self.loop.create_task(coroutine, context=self._context)
        return self.loop.create_task(coroutine)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        try:
            self.loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            self.loop.run_until_complete(asyncio.wait([task]))
            raise

    def run_script(self, path: str, source: bytes) -> None:
        """Run a script in the session's namespace, outside the loop: asyncio.run() works in it."""
        self.names["__file__"] = path
        try:
            exec(compile(source, path, "exec", dont_inherit=True), self.names)
        except BaseException as error:
            self.show_error(error)
        self._follow()

    def _follow(self) -> None:
        """Run the queue that `q` names now; forget one that was closed."""
        queue = self.names.get("q")
        if isinstance(queue, Queue) and queue is not self.queue and not queue.closed:
            self._detach()
            self.queue = queue
            self._detach = prompt.run_beside(self.loop, queue, fire=self._fire)
        elif self.queue.closed:
            self._detach()

    # ------------------------------------------------------------------ errors

    def show_error(self, error: BaseException) -> None:
        """Show what the user's code raised, without the frames of readyq and asyncio below it."""
        trace = error.__traceback__
        while trace and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] in _OURS:
            trace = trace.tb_next
        self.show(type(error), error.with_traceback(trace), trace)

    def show(
        self, kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
    ) -> None:
        """Show an exception as sys.excepthook() does; Ctrl-C is one line."""
        if issubclass(kind, (KeyboardInterrupt, SystemExit)):
            lines = traceback.format_exception_only(kind, error)
            print("\n" if _echoes() else "", *lines, sep="", end="", file=sys.stderr)
            return
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
        if sys.version_info >= (3, 12):
            sys.last_exc = error
        if sys.excepthook is sys.__excepthook__ and sys.version_info < (3, 13):
            traceback.print_exception(kind, error, trace)  # which knows the lines of inputs
        else:
            sys.excepthook(kind, error, trace)
        if issubclass(kind, RuntimeError) and "from a running event loop" in str(error):
            print(
                "A loop is already running at this prompt: write `await main()` instead.",
                file=sys.stderr,
            )

    # ------------------------------------------------------------------ while others wait

    def pump(self) -> None:
        """The input hook: until a key is pressed, run the loop, or the queue if the loop runs."""
        if asyncio._get_running_loop() is not None:  # input() in a line or a callback
            prompt.pump(self.queue, fire=self._fire)
            return
        self.loop.add_reader(0, self.loop.stop)
        try:
            self.loop.run_forever()
        except KeyboardInterrupt:
            prompt.interrupt_prompt()
        finally:
            self.loop.remove_reader(0)

    def close(self) -> None:
        """Cancel the tasks, and close the loop and the queue."""
        _core.set_inputhook(None)
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=_CLOSING))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self._detach()
        self.loop.close()
        self.own_queue.close()


_OURS = ("readyq", "asyncio")


def _echoes() -> bool:
    """Whether the terminal shows what is typed. If so, it has already shown a Ctrl-C as ^C."""
    try:
        return bool(termios.tcgetattr(0)[3] & termios.ECHO)
    except termios.error:
        return False


def history_path() -> str:
    """The file that lines are remembered in."""
    return os.environ.get("READYQ_HISTORY") or os.path.expanduser("~/.readyq_history")


def _banner(session: Session, note: str) -> str:
    version = sys.version.split()[0]
    title = f"readyq {readyq.__version__} on {session.queue.backend}, Python {version}"
    return "\n".join([title, _HELP, *([note] if note else [])])


def _choose(plain: bool) -> tuple[Callable[[Session, str], None], str]:
    """What reads the lines, and a note for the banner."""
    from readyq.plain import interact

    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if plain or not on_terminal or os.environ.get("TERM", "dumb") == "dumb":
        return interact, ""
    try:
        from readyq import toolkit
    except ImportError:
        return interact, _MISSING
    return toolkit.interact, ""


def main(path: str | None = None, source: bytes | None = None, *, plain: bool = False) -> None:
    """Run a script, if one is given, and then a console until Ctrl-D or exit()."""
    interact, note = _choose(plain)
    session = Session()
    _core.set_inputhook(session.pump)
    try:
        if path is not None and source is not None:
            session.run_script(path, source)
        interact(session, _banner(session, note))
    finally:
        session.close()
