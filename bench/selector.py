# SPDX-License-Identifier: MIT
"""readyq.Selector as a contender of run.py: `selector.py readyq|stock COUNT DESCRIPTOR...`. For
each line on standard input one round: nanoseconds for COUNT calls of select() with everything
ready, of register() and unregister(), and of a modify() that changes the interest.
"""

import selectors
import sys
import time

import readyq

READ, BOTH = selectors.EVENT_READ, selectors.EVENT_READ | selectors.EVENT_WRITE
CONTENDERS = {"readyq": readyq.Selector, "stock": selectors.DefaultSelector}

count = int(sys.argv[2])
selector = CONTENDERS[sys.argv[1]]()
other = CONTENDERS[sys.argv[1]]()
fds = [int(fd) for fd in sys.argv[3:]]
for fd in fds:
    selector.register(fd, READ, fd)


def select():
    for _ in range(count):
        for key, _events in selector.select():
            data = key.data  # noqa: F841


def register():
    fd = fds[0]
    for _ in range(count):
        other.register(fd, READ, fd)
        other.unregister(fd)


def modify():
    fd = fds[0]
    for _ in range(count // 2):
        selector.modify(fd, BOTH, fd)
        selector.modify(fd, READ, fd)


def measure(call):
    before = time.process_time_ns()
    call()
    return time.process_time_ns() - before


for _ in sys.stdin:
    print(measure(select), measure(register), measure(modify), flush=True)
