# SPDX-License-Identifier: MIT
"""asyncio on readyq, and a Queue inside an existing asyncio loop.

The loop is the standard library's own, running on a readyq.Selector: timeouts are not rounded to
milliseconds, and everything in asyncio works. Only the code for one turn of the loop is
reimplemented, for speed.
"""

from __future__ import annotations

import asyncio
import heapq
import select
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from readyq._core import ERROR, READ, WRITE, WRITE_CLOSED, Batch, Queue
from readyq.arguments import check_queue
from readyq.selector import Selector

_T = TypeVar("_T")

# The bits for which the reader, and the writer, of a descriptor that has both are called. As with a
# selector, an error, or a peer that no longer reads, makes the descriptor ready for both.
_READABLE = READ | ERROR | WRITE_CLOSED
_WRITABLE = WRITE | ERROR | WRITE_CLOSED

# asyncio's turn is the same in these versions, except for the arithmetic of its timeout.
_KNOWN_TURN = sys.version_info < (3, 14)


class _EventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with a faster turn: it takes handles straight from the ready watches, where
    asyncio makes and reads a list of keys, and reads the clock only if there are timers.

    asyncio's own turn is used in debug mode, which times each callback, and in versions of Python
    whose turn may be different.
    """

    _debug: bool
    _stopping: bool
    _selector: Any  # a Selector
    _ready: deque[Any]
    _scheduled: list[Any]
    _timer_cancelled_count: int
    _clock_resolution: float

    def _run_once(self) -> None:
        if self._debug or not _KNOWN_TURN:
            super()._run_once()  # type: ignore[misc]
            return
        if self._timer_cancelled_count:
            self._drop_cancelled_timers()
        ready, scheduled = self._ready, self._scheduled
        timeout: float | None = None
        if ready or self._stopping:
            timeout = 0
        elif scheduled:
            left = scheduled[0]._when - self.time()
            timeout = left if left > 0 else 0  # 0 also for NaN
        watch: Any = None
        for watch in self._selector._wait(timeout):
            reader, writer = watch.data
            if reader is not None and (writer is None or watch.ready & _READABLE):
                if reader._cancelled:
                    self._remove_reader(watch.source)  # type: ignore[attr-defined]
                else:
                    ready.append(reader)
            if writer is not None and (reader is None or watch.ready & _WRITABLE):
                if writer._cancelled:
                    self._remove_writer(watch.source)  # type: ignore[attr-defined]
                else:
                    ready.append(writer)
        watch = reader = writer = None  # a callback that removes them frees them
        if scheduled:
            end = self.time() + self._clock_resolution
            while scheduled:
                handle = scheduled[0]
                if handle._when >= end:
                    break
                heapq.heappop(scheduled)
                handle._scheduled = False
                ready.append(handle)
        for _ in range(len(ready)):  # those that callbacks add are for the next turn
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        handle = None  # if it raised, the frame is in a traceback

    def _drop_cancelled_timers(self) -> None:
        """Drops those at the head of the heap, or all of them if there are many."""
        scheduled = self._scheduled
        if len(scheduled) > 100 and self._timer_cancelled_count > len(scheduled) / 2:
            for handle in scheduled:
                handle._scheduled = not handle._cancelled
            scheduled[:] = [handle for handle in scheduled if handle._scheduled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False


class _GreenletSelector(Selector):
    """A Selector for programs that gevent has patched. It sleeps in gevent's functions, so that
    other greenlets, which take the place of threads there, run in the meantime."""

    def __init__(self) -> None:
        super().__init__()
        self._wait = self._wait_in_gevent

    def _wait_in_gevent(self, timeout: float | None) -> Batch:
        end = None if timeout is None else time.monotonic() + timeout
        time.sleep(0)  # the others run even if this loop never sleeps
        while True:
            batch = self._queue.wait(0)
            left = None if end is None else max(0, end - time.monotonic())
            if batch or left == 0:
                return batch
            select.select([self.fileno()], [], [], left)


def _is_patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("select"))


def new_event_loop() -> asyncio.SelectorEventLoop:
    """A new asyncio event loop, like that of asyncio.new_event_loop(), on a readyq.Selector.

    It is for asyncio.Runner(loop_factory=readyq.new_event_loop), and from Python 3.12 on for
    asyncio.run(loop_factory=readyq.new_event_loop). After gevent's monkey patching the loop lets
    other greenlets run while it waits.

    >>> loop = new_event_loop()
    >>> loop.run_until_complete(asyncio.sleep(0.0002, "slept"))
    'slept'
    >>> loop.close()
    """
    return _EventLoop(_GreenletSelector() if _is_patched_by_gevent() else Selector())


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """asyncio.run() on a loop from new_event_loop(): run a coroutine and return its result.

    debug is the loop's debug mode; None leaves it to asyncio. Raises RuntimeError if a loop is
    already running in this thread, and whatever the coroutine raises.

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
        """Like asyncio.run(), which before 3.11 takes a loop only from the process's policy."""
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
        dispatch(), which keeps an event that it cannot deliver, and would fail again forever."""
        delivered = self._queue.stats().deliveries
        message = f"dispatch() of {self._queue!r} raised an exception"
        if delivered == self._delivered:
            self.detach()
            message += (
                " again and delivered nothing in between, so the queue has been detached from the"
                " loop: fix the cause, then attach() it again"
            )
        self._delivered = delivered
        self._loop.call_exception_handler({"message": message, "exception": error})

    def detach(self) -> bool:
        try:
            return self._loop.remove_reader(self._fd) is not False  # uvloop returns None
        except RuntimeError:  # the queue was closed, and a transport has its number now
            if self._queue.closed:
                return False
            raise


def attach(queue: Queue, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], bool]:
    """Have an asyncio loop dispatch a queue: data(watch) is called on the loop.

    loop defaults to the running one, and may be any implementation that has add_reader(). Call
    attach() in the thread of the loop. A loop has one attachment per queue: attaching again
    replaces the first.

    Returns a function that ends the attachment, best called before the queue is closed. It returns
    whether it ended one, and may be called more than once, even after the close.

    Exceptions from dispatch(), including those from data(watch), go to the loop's exception
    handler. If dispatch() fails twice and delivers nothing in between, for example because the
    data of a ready watch cannot be called, the queue is detached, and the second report says so.
    Raises TypeError for anything but a Queue or a loop, ValueError for a closed queue,
    RuntimeError without a running loop.

    >>> async def main():
    ...     queue, done = Queue(), asyncio.Event()
    ...     detach = attach(queue)
    ...     watch = queue.add_timer(0.01, data=lambda watch: done.set())
    ...     await done.wait()
    ...     detach()
    >>> asyncio.run(main())
    """
    check_queue("attach", queue)
    if loop is None:
        loop = asyncio.get_running_loop()
    if not hasattr(loop, "add_reader"):
        kind = type(loop).__name__
        raise TypeError(f"attach: loop must be an event loop of asyncio, not {kind}")
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
