# SPDX-License-Identifier: MIT
"""The command line of the programs in Python, each of which measures one library, or one way to
use it, in the scenarios that bench/README.md describes:

    PROGRAM list
    PROGRAM count SCENARIO:N:TURNS...
    PROGRAM time SCENARIO N TURNS

A scenario is a function of n that starts with a new queue and returns `run(turns)`, which does so
many turns and returns how many operations these were.
"""

import gc
import os
import sys
import time

# The descriptors that a program inherits: READY and up to 99 more are readable for ever, IDLE and
# those above it never are.
READY, IDLE, MOST_READY = 100, 200, 100
# In these, more or less is alive after each run, so that collections would not cost the same.
USED_UP = ("add", "remove", "timer_add", "timer_cancel")
HOUR = 3600


class Object:
    """What a program would have for each descriptor or timer. Its method is called with the watch
    by `dispatch()`, and without an argument by asyncio and gevent."""

    def __init__(self, fd=-1):
        self.fd = fd

    def handle(self, watch=None):
        pass


class Counter(Object):
    """The first of several whose callback ends the loop after a number of turns."""

    def __init__(self, fd, stop):
        super().__init__(fd)
        self.left, self.stop = 0, stop

    def handle(self):
        self.left -= 1
        if not self.left:
            self.stop()


def events(n, turns):
    return min(n, MOST_READY) * turns


def count(name, scenario, n, turns):
    """callgrind and strace are told to notice getppid(), which nothing else calls here. Garbage is
    collected at the end of each run and not in between, where it would come by chance: the costs of
    what is alive are then the same in each run, and what a turn leaves behind is its own cost.
    """
    gc.disable()
    run = scenario(n)
    operations = []
    for times in (1, 1, 3):
        operations.append(run(times * turns))
        if name not in USED_UP:
            gc.collect()
        os.getppid()
    gc.collect()
    return operations[1:]


def measure(scenario, n, turns):
    """A round for each line of standard input."""
    run = scenario(n)
    for _ in sys.stdin:
        before = time.process_time_ns()
        operations = run(turns)
        print(time.process_time_ns() - before, operations, flush=True)


def main(scenarios, words):
    """`scenarios`: functions by name."""
    if words == ["list"]:
        print("\n".join(scenarios))
    elif words[0] == "count":
        for word in words[1:]:
            name, n, turns = word.split(":")
            print(word, *count(name, scenarios[name], int(n), int(turns)), flush=True)
    else:
        name, n, turns = words[1:]
        measure(scenarios[name], int(n), int(turns))
    sys.stdout.flush()
    os._exit(0)  # without closing anything: closing is not measured
