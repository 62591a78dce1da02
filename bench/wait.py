# SPDX-License-Identifier: MIT
"""Contenders of run.py in Python, like wait.c: `wait.py NAME WAITS DESCRIPTOR...`."""

import select
import selectors
import sys
import time

import readyq


class Object:
    """The object that a program would attach to a descriptor."""

    def __init__(self, fd):
        self.fd = fd


def with_readyq(objects, waits):
    queue = readyq.Queue()
    for item in objects:
        queue.add(item.fd, readyq.READ, data=item)
    wait = queue.wait

    def run_round():
        for _ in range(waits):
            for watch in wait():
                item = watch.data  # noqa: F841

    return run_round


def with_epoll(objects, waits):
    epoll = select.epoll()
    by_fd = {}
    for item in objects:
        epoll.register(item.fd, select.EPOLLIN)
        by_fd[item.fd] = item
    poll = epoll.poll

    def run_round():
        for _ in range(waits):
            for fd, _events in poll():
                item = by_fd[fd]  # noqa: F841

    return run_round


def with_selectors(objects, waits):
    selector = selectors.DefaultSelector()
    for item in objects:
        selector.register(item.fd, selectors.EVENT_READ, item)
    select = selector.select

    def run_round():
        for _ in range(waits):
            for key, _events in select():
                item = key.data  # noqa: F841

    return run_round


CONTENDERS = {"readyq": with_readyq, "epoll": with_epoll, "selectors": with_selectors}
objects = [Object(int(fd)) for fd in sys.argv[3:]]
run_round = CONTENDERS[sys.argv[1]](objects, int(sys.argv[2]))
for _ in sys.stdin:
    before = time.process_time_ns()
    run_round()
    print(time.process_time_ns() - before, flush=True)
