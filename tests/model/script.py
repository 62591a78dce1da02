# SPDX-License-Identifier: MIT
"""Writes down operations on a queue as a program that needs only readyq."""

import contextlib
import inspect
import re

from model import calls

IMPORTS = """\
import contextlib, fcntl, itertools, os, select, signal, socket, struct, sys, termios
import readyq
from readyq import *
from readyq import EDGE, ERROR, EXCLUSIVE, FIRED, ONESHOT, PRIORITY, READ, READ_CLOSED, WRITE

for number in signal.SIGUSR1, signal.SIGUSR2:
    signal.signal(number, signal.SIG_IGN)
"""

CALLS = {
    name: inspect.getsource(thing)
    for name, thing in vars(calls).items()
    if getattr(thing, "__module__", None) == calls.__name__
}
CALLS["steps"] = "steps = []\n"


class Script:
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    @contextlib.contextmanager
    def callback(self, call):
        """Lines written inside are the body of a callback; `call` comes after them."""
        before, self.lines = self.lines, []
        try:
            yield
        finally:
            names = re.findall(r"^([dw]\d+).* = ", "\n".join(self.lines), re.MULTILINE)
            body = [f"global {', '.join(names)}"] if names else []
            body += self.lines or ["pass"]
            before += ["def step():", *(f"    {line}" for line in body), call]
            self.lines = before

    def program(self):
        """The program, with the calls that it needs, and those that they need."""
        text = "\n".join(self.lines)
        needed, had = set(), None
        while needed != had:
            had = set(needed)
            words = set(re.findall(r"\w+", text + "".join(CALLS[name] for name in had)))
            needed = {name for name in CALLS if name in words}
        return "\n\n".join([IMPORTS, *(CALLS[name] for name in CALLS if name in needed), text])
