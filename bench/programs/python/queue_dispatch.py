# SPDX-License-Identifier: MIT
"""readyq in Python with `q.dispatch()`, which calls the data of each watch: see program.py."""

import sys

import program
from program import READY, Object

import readyq


def ready(n):
    queue = readyq.Queue()
    for fd in range(READY, READY + n):
        queue.add(fd, data=Object(fd).handle)
    dispatch = queue.dispatch

    def run(turns):
        for _ in range(turns):
            dispatch()
        return program.events(n, turns)

    return run


def rearm(n):
    queue = readyq.Queue()
    interest = readyq.READ | readyq.ONESHOT

    def handle(w):
        w.modify(interest)

    for fd in range(READY, READY + n):
        queue.add(fd, interest, data=handle)

    def run(turns):
        for _ in range(turns):
            queue.dispatch()
        return turns * n

    return run


def timer_fire(n):
    queue, handlers = readyq.Queue(), [Object().handle for _ in range(n)]

    def run(turns):
        for _ in range(turns):
            for handle in handlers:
                queue.add_timer(0, data=handle)
            queue.dispatch()
        return turns * n

    return run


def wake(n):
    queue = readyq.Queue()

    def run(turns):
        for _ in range(turns):
            queue.wake()
            queue.dispatch()
        return turns

    return run


SCENARIOS = [ready, rearm, timer_fire, wake]

if __name__ == "__main__":
    program.main({one.__name__: one for one in SCENARIOS}, sys.argv[1:])
