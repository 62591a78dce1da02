# SPDX-License-Identifier: MIT
"""readyq in Python with `for w in q.wait()`: see program.py."""

import socket
import sys
import threading

import program
from program import HOUR, IDLE, READY, Object

import readyq


def ready(n):
    queue = readyq.Queue()
    for fd in range(READY, READY + n):
        queue.add(fd, data=Object(fd))
    wait = queue.wait

    def run(turns):
        for _ in range(turns):
            for w in wait():
                item = w.data  # noqa: F841
        return program.events(n, turns)

    return run


def rearm(n):
    queue = readyq.Queue()
    interest = readyq.READ | readyq.ONESHOT
    for fd in range(READY, READY + n):
        queue.add(fd, interest, data=Object(fd))
    wait = queue.wait

    def run(turns):
        for _ in range(turns):
            for w in wait():
                item = w.data  # noqa: F841
                w.modify(interest)
        return turns * n

    return run


def add(n):
    queue, objects = readyq.Queue(), iter([Object(IDLE + i) for i in range(n)])
    watches = []

    def run(turns):
        for _ in range(turns):
            item = next(objects)
            watches.append(queue.add(item.fd, data=item))
        queue.wait(0)
        return turns

    return run


def remove(n):
    queue = readyq.Queue()
    watches = iter([queue.add(IDLE + i, data=Object(IDLE + i)) for i in range(n)])

    def run(turns):
        for _ in range(turns):
            next(watches).remove()
        queue.wait(0)
        return turns

    return run


def add_remove(n):
    queue, objects = readyq.Queue(), [Object(IDLE + i) for i in range(n)]

    def run(turns):
        for _ in range(turns):
            for item in objects:
                queue.add(item.fd, data=item).remove()
            queue.wait(0)
        return turns * n

    return run


def modify(n):
    queue = readyq.Queue()
    watches = [queue.add(IDLE + i, data=Object(IDLE + i)) for i in range(n)]

    def run(turns):
        interest = readyq.READ
        for _ in range(turns):
            interest ^= readyq.WRITE
            for w in watches:
                w.modify(interest)
            queue.wait(0)
        return turns * n

    return run


def timer_add(n):
    queue, objects = readyq.Queue(), iter([Object() for _ in range(n)])
    watches = []

    def run(turns):
        for _ in range(turns):
            watches.append(queue.add_timer(HOUR, data=next(objects)))
        queue.wait(0)
        return turns

    return run


def timer_cancel(n):
    queue = readyq.Queue()
    watches = iter([queue.add_timer(HOUR, data=Object()) for _ in range(n)])

    def run(turns):
        for _ in range(turns):
            next(watches).remove()
        queue.wait(0)
        return turns

    return run


def timer_restart(n):
    queue = readyq.Queue()
    watches = [queue.add_timer(HOUR, data=Object()) for _ in range(n)]

    def run(turns):
        for _ in range(turns):
            for w in watches:
                w.restart(HOUR)
            queue.wait(0)
        return turns * n

    return run


def timer_fire(n):
    queue, objects = readyq.Queue(), [Object() for _ in range(n)]

    def run(turns):
        for _ in range(turns):
            for item in objects:
                queue.add_timer(0, data=item)
            for w in queue.wait():
                item = w.data
        return turns * n

    return run


def wake(n):
    queue = readyq.Queue()

    def run(turns):
        for _ in range(turns):
            queue.wake()
            queue.wait()
        return turns

    return run


def pool(n):
    """Four threads; one message at a time, which one of them answers."""
    queue = readyq.Queue()
    ours = []
    for _ in range(n):
        here, there = socket.socketpair()
        queue.add(there, data=there)
        ours.append(here)

    def serve():
        while True:
            for w in queue.wait():
                w.data.send(w.data.recv(1))

    for _ in range(4):
        threading.Thread(target=serve, daemon=True).start()

    def run(turns):
        for _ in range(turns):
            for here in ours:
                here.send(b"x")
                here.recv(1)
        return turns * n

    return run


SCENARIOS = [ready, rearm, add, remove, add_remove, modify]
SCENARIOS += [timer_add, timer_cancel, timer_restart, timer_fire, wake, pool]

if __name__ == "__main__":
    program.main({one.__name__: one for one in SCENARIOS}, sys.argv[1:])
