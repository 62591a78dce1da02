# SPDX-License-Identifier: MIT
"""asyncio on readyq, and a Queue inside an asyncio loop that is already there.

The loop is the standard library's own on a readyq.Selector: timeouts are not rounded to
milliseconds, and everything in asyncio works. Nothing of asyncio is implemented again here.
"""

from __future__ import annotations

import asyncio
import select
import sys
import time
import weakref
from collections.abc import Callable, Coroutine
from selectors import SelectorKey
from typing import Any, TypeVar

from readyq._core import Queue
from readyq.selector import Selector

_T = TypeVar("_T")


class _GreenletSelector(Selector):
    """A Selector for programs that gevent has patched. It sleeps in gevent's functions, so that
    other greenlets, which take the place of threads there, run in the meantime."""

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        end = None if timeout is None else time.monotonic() + timeout
        time.sleep(0)  # the others run even if this loop never sleeps
        while True:
            ready = super().select(0)
            left = None if end is None else max(0, end - time.monotonic())
            if ready or left == 0:
                return ready
            select.select([self.fileno()], [], [], left)


def _is_patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("select"))


def new_event_loop() -> asyncio.SelectorEventLoop:
    """A new asyncio event loop on a readyq.Selector, as asyncio.new_event_loop() makes one.

    It is for asyncio.Runner(loop_factory=readyq.new_event_loop), and from Python 3.12 on for
    asyncio.run(loop_factory=readyq.new_event_loop). After gevent's monkey patching the loop lets
    other greenlets run while it waits.

    >>> loop = new_event_loop()
    >>> loop.run_until_complete(asyncio.sleep(0.0002, "slept"))
    'slept'
    >>> loop.close()
    """
    return asyncio.SelectorEventLoop(_GreenletSelector() if _is_patched_by_gevent() else Selector())


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """asyncio.run() on a loop of new_event_loop(): run a coroutine and return its result.

    debug is the loop's debug mode; None leaves it as asyncio finds it. Raises RuntimeError when a
    loop runs in this thread, and what the coroutine raises.

    >>> run(asyncio.sleep(0.0002, "slept"))
    'slept'
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("readyq.run() cannot be called from a running event loop")
    if sys.version_info >= (3, 11):
        with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
            return runner.run(main)
    else:
        return _run_without_runner(main, debug)


if sys.version_info < (3, 11):

    def _run_without_runner(main: Coroutine[Any, Any, _T], debug: bool | None) -> _T:
        """What asyncio.run() does there, which takes a loop only from a policy of the process."""
        if not asyncio.iscoroutine(main):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        loop = new_event_loop()
        try:
            asyncio.set_event_loop(loop)
            if debug is not None:
                loop.set_debug(debug)
            return loop.run_until_complete(main)
        finally:
            try:
                asyncio.runners._cancel_all_tasks(loop)
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
            finally:
                asyncio.set_event_loop(None)
                loop.close()


# ------------------------------------------------------------------ a queue inside a loop


class _Reader:
    """What a loop calls when the queue is ready.

    The loop holds the only reference to it. Once it is gone the loop calls something else for that
    descriptor, or nothing, and there is nothing to detach.
    """

    def __init__(self, queue: Queue, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._queue, self._loop, self._fd = queue, loop, fd
        self._delivered: int | None = None  # deliveries of the queue at the last error

    def __call__(self) -> None:
        try:
            self._queue.dispatch(0)
        except Exception as error:
            if not self._queue.closed:
                self._report(error)

    def _report(self, error: Exception) -> None:
        """Passes an error on. After two without a delivery in between the loop stops calling
        dispatch(): it kept the event that it could not deliver, and would fail again forever."""
        delivered = self._queue.stats().deliveries
        message = f"dispatch() of {self._queue!r} raised an exception"
        if delivered == self._delivered:
            self.detach()
            message += (
                " again and delivered nothing in between, so the queue is detached from the loop: "
                "correct the cause, then attach() it again"
            )
        self._delivered = delivered
        self._loop.call_exception_handler({"message": message, "exception": error})

    def detach(self) -> bool:
        try:
            return self._loop.remove_reader(self._fd) is not False  # uvloop returns None
        except RuntimeError:  # the queue was closed, and its number is a transport's now
            if self._queue.closed:
                return False
            raise


def attach(queue: Queue, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], bool]:
    """Have an asyncio loop dispatch a queue: data(watch) is called on the loop.

    loop defaults to the running one, and may be of any implementation that has add_reader(). Call
    attach() in the thread of the loop. A loop has one attachment per queue: attaching again
    replaces the first.

    Returns a function that ends the attachment, best before the queue is closed. It returns whether
    it ended one, and may be called again, and after close.

    What dispatch() raises, the exceptions of data(watch) among them, goes to the loop's exception
    handler. If dispatch() fails twice and delivers nothing in between, as when the data of a ready
    watch cannot be called, the queue is detached, and the second report says so.

    >>> async def main():
    ...     queue, done = Queue(), asyncio.Event()
    ...     end = attach(queue)
    ...     watch = queue.add_timer(0.01, data=lambda watch: done.set())
    ...     await done.wait()
    ...     end()
    >>> asyncio.run(main())
    """
    loop = loop or asyncio.get_running_loop()
    fd = queue.fileno()
    loop.remove_reader(fd)  # of this queue, or of a closed one that had the number
    reader = _Reader(queue, loop, fd)
    loop.add_reader(fd, reader)
    return _make_end(weakref.ref(reader))


def _make_end(find_reader: Callable[[], _Reader | None]) -> Callable[[], bool]:
    def end() -> bool:
        reader = find_reader()
        return reader is not None and reader.detach()

    return end
