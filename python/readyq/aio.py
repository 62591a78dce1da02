# SPDX-License-Identifier: MIT
"""asyncio on readyq, and a Queue inside a loop of asyncio that is already there.

The loop is the standard library's own, on a readyq.Selector: it sleeps to the microsecond, and all
that asyncio does works on it. Nothing of asyncio is done anew here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from readyq._core import Queue
from readyq.selector import Selector

_T = TypeVar("_T")


def new_event_loop() -> asyncio.SelectorEventLoop:
    """A new asyncio event loop on a readyq.Selector, as asyncio.new_event_loop() makes one.

    It is for asyncio.Runner(loop_factory=readyq.new_event_loop) and asyncio.run(), which takes a
    loop_factory too from Python 3.12 on.

    >>> loop = new_event_loop()
    >>> loop.run_until_complete(asyncio.sleep(0.0002, "slept"))
    'slept'
    >>> loop.close()
    """
    return asyncio.SelectorEventLoop(Selector())


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
        return _run_by_policy(main, debug)


if sys.version_info < (3, 11):
    # There a policy alone tells asyncio.run() which loop to make.

    class _Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return new_event_loop()

    def _run_by_policy(main: Coroutine[Any, Any, _T], debug: bool | None) -> _T:
        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(_Policy())
        try:
            return asyncio.run(main, debug=debug)
        finally:
            asyncio.set_event_loop_policy(before)


def attach(queue: Queue, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], object]:
    """Have a loop of asyncio, of any make, dispatch a queue: data(watch) is called on the loop.

    loop is the running one unless it is given. Returns a function that ends it; call that before
    the queue is closed. What data(watch) raises goes to the loop's exception handler.

    >>> async def main():
    ...     queue, done = Queue(), asyncio.Event()
    ...     end = attach(queue)
    ...     watch = queue.add_timer(0.01, data=lambda watch: done.set())
    ...     await done.wait()
    ...     end()
    >>> asyncio.run(main())
    """
    loop, fd = loop or asyncio.get_running_loop(), queue.fileno()
    loop.add_reader(fd, queue.dispatch, 0)
    return partial(loop.remove_reader, fd)
