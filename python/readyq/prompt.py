# SPDX-License-Identifier: MIT
"""The prompt whose queue keeps running while you type, and the same for other prompts.

Each prompt calls a function before it waits for a key. Ours waits for the keyboard and the queue
together, and calls what is ready, until a key is pressed. The input hook itself is in the extension
module; the console is in console.py.
"""

from __future__ import annotations

import select
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from readyq import _core, pyrepl
from readyq._core import Queue, Watch
from readyq.arguments import check_queue

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

_REST = 100  # milliseconds between checks while nothing that is ready can be called


def install_inputhook(queue: Queue) -> None:
    """Have the queue dispatched while the prompt waits for a key: data(watch) is called.

    It is for the plain prompt of python, in every version. A second call replaces the queue;
    closing the queue or uninstall_inputhook() ends it. A callback's exception is shown, and its
    watch is paused if it watches a descriptor; Ctrl-C in a callback ends the callback. Watches
    whose data cannot be called are left to your own wait(), and are shown if a later wait() could
    not deliver them again. Raises RuntimeError outside the main interpreter, TypeError for anything
    but a Queue, ValueError if it is closed.
    """
    check_queue("install_inputhook", queue)
    _core.set_inputhook(partial(_pump_python, queue))


def _pump_python(queue: Queue) -> None:
    """pump() for the prompt of `python`. At the prompt of Python 3.13 and later, output appears
    above the line that is typed.
    """
    reader = pyrepl.find_reader()
    redraw = pyrepl.make_redraw(reader) if reader is not None else None
    if redraw is None:
        pump(queue)
    elif not pyrepl.has_keys(reader):
        pump(queue, fire=partial(_fire_above, *redraw))


def _fire_above(erase: Callable[[], None], draw: Callable[[], None], queue: Queue) -> bool:
    called = fire(queue, erase)
    if called:
        draw()
    return called


def uninstall_inputhook() -> None:
    """Undo install_inputhook(); does nothing if nothing is installed."""
    _core.set_inputhook(None)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext readyq` in IPython and Jupyter: defines a queue `q`; `%gui readyq` keeps it
    running, `%gui` stops it.
    """
    queue = ipython.user_ns.setdefault("q", Queue())
    if hasattr(ipython, "kernel"):
        from readyq import notebook

        notebook.register(ipython, queue)
    else:
        hooks: Any = import_module("IPython.terminal.pt_inputhooks")
        hooks.register("readyq", partial(_pump_ipython, ipython, queue))


def _pump_ipython(ipython: Any, queue: Queue, context: Any) -> None:
    def show(*error: Any) -> None:
        # IPython's sys.excepthook would ask the user to report a bug in IPython.
        ipython.showtraceback(error, tb_offset=0)

    pump(queue, context.fileno(), partial(fire, show=show))


def fire(
    queue: Queue,
    before: Callable[[], object] = lambda: None,
    show: Callable[..., object] | None = None,
) -> bool:
    """Call data(watch) for each ready watch, and before() before the first call.

    show is called like sys.excepthook(), for what data(watch) raises. Returns whether data of any
    watch was called.
    """
    called = False
    for watch in queue.wait(0):
        if callable(watch.data):
            if not called:
                before()
            called = True
            _call(watch, show or sys.excepthook)
        elif watch.kind != "fd":
            print(f"ready: {watch!r}", flush=True)
    return called


def pump(queue: Queue, keyboard: int = 0, fire: Callable[[Queue], bool] = fire) -> None:
    """Call whatever is ready, until a key is pressed."""
    try:
        keys, both = select.poll(), select.poll()
        keys.register(keyboard, select.POLLIN)
        both.register(keyboard, select.POLLIN)
        both.register(queue.fileno(), select.POLLIN)
        while all(fd != keyboard for fd, _ in both.poll()):
            if not fire(queue) and keys.poll(_REST):
                return
    except ValueError:
        if not queue.closed:
            raise
        uninstall_inputhook()
    except KeyboardInterrupt:
        interrupt_prompt()


def run_beside(
    loop: asyncio.AbstractEventLoop,
    queue: Queue,
    goes_on: Callable[[], bool] = lambda: True,
    fire: Callable[[Queue], bool] = fire,
) -> Callable[[], None]:
    """Have an asyncio loop call what is ready, as long as goes_on() is true. It pauses for a moment
    whenever nothing that is ready can be called. Returns a function that ends it.
    """
    fd = queue.fileno()
    ended = False

    def begin() -> None:
        if not ended and not queue.closed:
            loop.add_reader(fd, look)

    def look() -> None:
        if queue.closed or not goes_on():
            end()
        elif not fire(queue) and not ended:
            loop.remove_reader(fd)
            loop.call_later(_REST / 1000, begin)

    def end() -> None:
        nonlocal ended
        if not ended:
            loop.remove_reader(fd)
        ended = True

    begin()
    return end


def is_calling(frame: FrameType | None) -> bool:
    """Whether this frame runs in a callback that the prompt calls."""
    while frame is not None and frame.f_code is not _call.__code__:
        frame = frame.f_back
    return frame is not None


def interrupt_prompt() -> None:
    """Send the Ctrl-C again in a moment: it was for the prompt, which was not waiting then."""
    main = threading.main_thread().ident
    threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()


def _call(watch: Watch[Any], show: Callable[..., object]) -> None:
    try:
        watch.data(watch)
    except (Exception, KeyboardInterrupt) as error:
        shown = error.__traceback__.tb_next if error.__traceback__ else None  # without ours
        show(type(error), error.with_traceback(shown), shown)
        if watch.kind == "fd" and watch.active:
            watch.modify(0)
            print(f"paused: {watch!r}; call its modify() to arm it again", file=sys.stderr)
    sys.stdout.flush()
