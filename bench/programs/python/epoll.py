# SPDX-License-Identifier: MIT
"""`select.epoll` with a dict, the loop of somebody without a library: see program.py."""

import os
import select
import socket
import sys
import threading

import program
from program import IDLE, READY, Object

ONESHOT = select.EPOLLIN | select.EPOLLONESHOT


def ready(n):
    epoll, objects = select.epoll(), {}
    for fd in range(READY, READY + n):
        epoll.register(fd, select.EPOLLIN)
        objects[fd] = Object(fd)
    poll = epoll.poll

    def run(turns):
        for _ in range(turns):
            for fd, _events in poll():
                item = objects[fd]  # noqa: F841
        return program.events(n, turns)

    return run


def rearm(n):
    epoll, objects = select.epoll(), {}
    for fd in range(READY, READY + n):
        epoll.register(fd, ONESHOT)
        objects[fd] = Object(fd)
    poll = epoll.poll

    def run(turns):
        for _ in range(turns):
            for fd, _events in poll():
                item = objects[fd]  # noqa: F841
                epoll.modify(fd, ONESHOT)
        return turns * n

    return run


def add(n):
    epoll, objects, new = select.epoll(), {}, iter([Object(IDLE + i) for i in range(n)])

    def run(turns):
        for _ in range(turns):
            item = next(new)
            epoll.register(item.fd, select.EPOLLIN)
            objects[item.fd] = item
        epoll.poll(0)
        return turns

    return run


def remove(n):
    epoll, objects, old = select.epoll(), {}, iter(range(IDLE, IDLE + n))
    for fd in range(IDLE, IDLE + n):
        epoll.register(fd, select.EPOLLIN)
        objects[fd] = Object(fd)

    def run(turns):
        for _ in range(turns):
            fd = next(old)
            epoll.unregister(fd)
            del objects[fd]
        epoll.poll(0)
        return turns

    return run


def add_remove(n):
    epoll, objects, new = select.epoll(), {}, [Object(IDLE + i) for i in range(n)]

    def run(turns):
        for _ in range(turns):
            for item in new:
                epoll.register(item.fd, select.EPOLLIN)
                objects[item.fd] = item
                epoll.unregister(item.fd)
                del objects[item.fd]
            epoll.poll(0)
        return turns * n

    return run


def modify(n):
    epoll = select.epoll()
    for fd in range(IDLE, IDLE + n):
        epoll.register(fd, select.EPOLLIN)

    def run(turns):
        interest = select.EPOLLIN
        for _ in range(turns):
            interest ^= select.EPOLLOUT
            for fd in range(IDLE, IDLE + n):
                epoll.modify(fd, interest)
            epoll.poll(0)
        return turns * n

    return run


def wake(n):
    epoll = select.epoll()
    here, there = os.pipe()
    epoll.register(here, select.EPOLLIN)

    def run(turns):
        for _ in range(turns):
            os.write(there, b"x")
            epoll.poll()
            os.read(here, 4096)
        return turns

    return run


def pool(n):
    """Four threads; one message at a time, which one of them answers. Without EPOLLONESHOT several
    threads would get the same event."""
    epoll, theirs, ours = select.epoll(), {}, []
    for _ in range(n):
        here, there = socket.socketpair()
        epoll.register(there, ONESHOT)
        theirs[there.fileno()] = there
        ours.append(here)

    def serve():
        while True:
            for fd, _events in epoll.poll():
                there = theirs[fd]
                there.send(there.recv(1))
                epoll.modify(fd, ONESHOT)

    for _ in range(4):
        threading.Thread(target=serve, daemon=True).start()

    def run(turns):
        for _ in range(turns):
            for here in ours:
                here.send(b"x")
                here.recv(1)
        return turns * n

    return run


SCENARIOS = [ready, rearm, add, remove, add_remove, modify, wake, pool]

if __name__ == "__main__":
    program.main({one.__name__: one for one in SCENARIOS}, sys.argv[1:])
