# SPDX-License-Identifier: MIT
"""A fuzzer of the Python binding: bytes choose a call and any objects for its arguments.

Only the exceptions that readyq documents may come out, and those that the objects raise themselves:
their methods fail, return invalid values, close the queue, or continue with the input. No
descriptor may be left open. The extension module is built with AddressSanitizer (see
tests/fuzz/Makefile).
"""

from __future__ import annotations

import gc
import math
import os
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import atheris  # type: ignore[import-not-found]

import readyq

CALLS, DEPTH, SLOTS = 40, 3, 12
DOCUMENTED = (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration)
OURS = (readyq.Queue, readyq.Watch, readyq.Selector, readyq.Recording, Iterator, Mapping)
# The attributes that may be used; "__del__" and the like are called only by Python itself.
METHODS = [
    *("add", "add_timer", "add_signal", "add_process", "add_trigger", "modify", "remove", "wait"),
    *("dispatch", "wake", "close", "fileno", "stats", "trace", "fire", "_repr_html_", "__init__"),
    *("restart", "record", "stop"),
    *("__len__", "__iter__", "__next__", "__contains__", "__getitem__", "__enter__", "__exit__"),
    *("__repr__", "__hash__", "__eq__", "__class_getitem__", "__reduce__", "register"),
    *("unregister", "select", "get_map", "get_key", "__call__", "__setattr__", "__delattr__"),
]
MEMBERS = [
    *(
        "queue",
        "kind",
        "fd",
        "source",
        "data",
        "interest",
        "ready",
        "count",
        "deliveries",
        "active",
    ),
    *("armed", "status", "readable", "writable", "closed", "backend", "ghost_fd", "watches"),
    *("due", "period", "dropped"),
]
FUNCTIONS = [readyq.Queue, readyq.Selector, readyq.bits, readyq.describe]
NAMES = ["source", "interest", "data", "delay", "period", "signum", "pid", "timeout", "maxevents"]
NUMERALS = [0, 1, 2, 7, -1, -2, 64, 1024, 2**31 - 1, 2**31, 2**32, 2**63, -(2**63) - 1, 10**30]
FLOATS = [0.0, -0.0, 0.5, 1e-10, 1e300, -1.0, math.nan, math.inf, -math.inf, 9.3e9]
STRINGS = [
    "",
    "r",
    "w",
    "rw",
    "p",
    "x",
    "epoll",
    "virtual",
    "real",
    "\0",
    "\ud800",
    "TERM",
    "SIG_IGN",
    "é",
]
SIGNALS = [10, 12, 15, 28, 9, 65]


class OwnError(Exception):
    """Raised by the objects that are passed as arguments."""


class World:
    """The objects on which one input acts."""

    def __init__(self, data: bytes) -> None:
        self.bytes = iter(data)
        self.ended = False
        self.calls = self.depth = 0
        self.made: list[Any] = []
        self.pair = socket.socketpair()
        self.pipe = os.pipe()
        self.values: list[Any] = [None] * SLOTS
        self.values[0] = self.keep(readyq.Queue(clock="virtual"))

    def byte(self) -> int:
        b = next(self.bytes, None)
        self.ended = b is None
        return b or 0

    def keep(self, value: Any) -> Any:
        if isinstance(value, (readyq.Queue, readyq.Selector)):
            self.made.append(value)
        return value

    def close(self) -> None:
        for one in self.made:
            one.close()
        for end in self.pair:
            end.close()
        for fd in self.pipe:
            os.close(fd)


class Odd:
    """An object each of whose methods does something unexpected."""

    def __init__(self, world: World) -> None:
        self.world = world

    def act(self, *arguments: object, **keywords: object) -> Any:
        world = self.world
        choice = world.byte() % 6
        if choice == 0:
            raise OwnError
        if choice == 1:
            world.made[world.byte() % len(world.made)].close()
        if choice == 2 and world.depth < DEPTH:
            world.depth += 1
            try:
                call(world)
            finally:
                wake_all(world)  # it may have been the argument of a wait
            world.depth -= 1
        if choice == 3:
            return world.values[world.byte() % SLOTS]
        return world.byte()

    fileno = __index__ = __float__ = __call__ = write = __eq__ = __hash__ = act
    __repr__ = __bool__ = __iter__ = __len__ = __str__ = act


def number_of(world: World) -> Any:
    b = world.byte()
    if b < 100:
        return [*world.pipe, *(end.fileno() for end in world.pair)][b % 4]
    if b < 180:
        return NUMERALS[b % len(NUMERALS)]
    return FLOATS[b % len(FLOATS)] if b < 240 else bool(b % 2)


def value(world: World) -> Any:
    b = world.byte()
    if b < 128:
        return world.values[b % SLOTS]
    makers = [
        lambda: number_of(world),
        lambda: number_of(world),
        lambda: STRINGS[world.byte() % len(STRINGS)],
        lambda: Odd(world),
        lambda: Odd(world).act,
        lambda: world.pair[world.byte() % 2],
        lambda: [world.byte()],
        lambda: SIGNALS[world.byte() % len(SIGNALS)],
        lambda: MEMBERS[world.byte() % len(MEMBERS)],
        lambda: "r" * 5000,
    ]
    return makers[b % len(makers)]()


def wake_all(world: World) -> None:
    """Wakes every queue, so that no wait sleeps."""
    for one in world.made:
        queue = one._queue if isinstance(one, readyq.Selector) else one
        if queue is not None and not queue.closed:
            queue.wake()


def function_of(world: World) -> Any:
    b, target = world.byte(), value(world)
    if not isinstance(target, OURS):
        return FUNCTIONS[b % len(FUNCTIONS)]
    if b < 190:
        return getattr(target, METHODS[b % len(METHODS)])
    if b < 230:
        name = MEMBERS[b % len(MEMBERS)]
        return lambda *arguments, **keywords: getattr(target, name)
    return getattr(OURS[b % 3], METHODS[world.byte() % len(METHODS)])


def call(world: World) -> None:
    world.calls += 1
    if world.calls > CALLS:
        return
    function = function_of(world)
    arguments = [value(world) for _ in range(world.byte() % 4)]
    keywords = {}
    if world.byte() % 3 == 0:
        keywords = {NAMES[world.byte() % len(NAMES)]: value(world)}
    wake_all(world)
    result = world.keep(function(*arguments, **keywords))
    world.values[world.byte() % SLOTS] = result


def open_numbers() -> list[str]:
    return os.listdir("/proc/self/fd")


def one_input(data: bytes) -> None:
    before = open_numbers()
    world = World(data)
    while world.calls < CALLS and not world.ended:
        try:
            call(world)
        except (*DOCUMENTED, OwnError):
            pass
        except RuntimeError as error:  # the messages of the standard library's selectors
            if str(error) != "Selector is closed":
                raise
        world.depth = 0
    world.close()
    world.made.clear()  # a selector that was initialized again may refer to the queue it had before
    world.values.clear()
    left = open_numbers()
    if left != before:
        gc.collect()
        left = open_numbers()
    assert left == before, (left, before)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
