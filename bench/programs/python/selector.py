# SPDX-License-Identifier: MIT
"""`selectors`: `selector.py stock ...` for that of the standard library, `selector.py readyq ...`
for readyq.Selector; see program.py.
"""

import selectors
import sys

import program
from program import IDLE, READY, Object

import readyq

READ = selectors.EVENT_READ
new_selector = {"stock": selectors.DefaultSelector, "readyq": readyq.Selector}.get(sys.argv[1])


def ready(n):
    selector = new_selector()
    for fd in range(READY, READY + n):
        selector.register(fd, READ, Object(fd))
    select = selector.select

    def run(turns):
        for _ in range(turns):
            for key, _events in select():
                item = key.data  # noqa: F841
        return program.events(n, turns)

    return run


def add(n):
    selector, objects = new_selector(), iter([Object(IDLE + i) for i in range(n)])

    def run(turns):
        for _ in range(turns):
            item = next(objects)
            selector.register(item.fd, READ, item)
        selector.select(0)
        return turns

    return run


def remove(n):
    selector, old = new_selector(), iter(range(IDLE, IDLE + n))
    for fd in range(IDLE, IDLE + n):
        selector.register(fd, READ, Object(fd))

    def run(turns):
        for _ in range(turns):
            selector.unregister(next(old))
        selector.select(0)
        return turns

    return run


def add_remove(n):
    selector, objects = new_selector(), [Object(IDLE + i) for i in range(n)]

    def run(turns):
        for _ in range(turns):
            for item in objects:
                selector.register(item.fd, READ, item)
                selector.unregister(item.fd)
            selector.select(0)
        return turns * n

    return run


def modify(n):
    selector, objects = new_selector(), [Object(IDLE + i) for i in range(n)]
    for item in objects:
        selector.register(item.fd, READ, item)

    def run(turns):
        interest = READ
        for _ in range(turns):
            interest ^= selectors.EVENT_WRITE
            for item in objects:
                selector.modify(item.fd, interest, item)
            selector.select(0)
        return turns * n

    return run


SCENARIOS = [ready, add, remove, add_remove, modify]

if __name__ == "__main__":
    program.main({one.__name__: one for one in SCENARIOS}, sys.argv[2:])
