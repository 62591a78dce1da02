# SPDX-License-Identifier: MIT
"""gevent, with a greenlet for each descriptor that waits for it again and again: see program.py."""

import sys

import gevent
import program
from gevent.hub import get_hub
from program import HOUR, IDLE, MOST_READY, READY, Object

hub = get_hub()
loop = hub.loop


def ready(n):
    watchers = [loop.io(fd, 1) for fd in range(READY, READY + min(n, MOST_READY))]
    idle = [loop.io(fd, 1) for fd in range(IDLE, READY + n)]
    for watcher in idle:
        watcher.start(Object().handle)

    def serve(watcher, turns):
        for _ in range(turns):
            hub.wait(watcher)

    def run(turns):
        gevent.joinall([gevent.spawn(serve, watcher, turns) for watcher in watchers])
        return program.events(n, turns)

    return run


def look():
    gevent.sleep(0)


def add(n):
    objects = iter([Object(IDLE + i) for i in range(n)])
    watchers = []

    def run(turns):
        for _ in range(turns):
            item = next(objects)
            watcher = loop.io(item.fd, 1)
            watcher.start(item.handle)
            watchers.append(watcher)
        look()
        return turns

    return run


def remove(n):
    watchers = [loop.io(IDLE + i, 1) for i in range(n)]
    for i, watcher in enumerate(watchers):
        watcher.start(Object(IDLE + i).handle)
    old = iter(watchers)

    def run(turns):
        for _ in range(turns):
            watcher = next(old)
            watcher.stop()
            watcher.close()
        look()
        return turns

    return run


def add_remove(n):
    objects = [Object(IDLE + i) for i in range(n)]

    def run(turns):
        for _ in range(turns):
            for item in objects:
                watcher = loop.io(item.fd, 1)
                watcher.start(item.handle)
                watcher.stop()
                watcher.close()
            look()
        return turns * n

    return run


def timer_add(n):
    objects, timers = iter([Object() for _ in range(n)]), []

    def run(turns):
        for _ in range(turns):
            timer = loop.timer(HOUR)
            timer.start(next(objects).handle)
            timers.append(timer)
        look()
        return turns

    return run


def timer_cancel(n):
    timers = [loop.timer(HOUR) for _ in range(n)]
    for timer in timers:
        timer.start(Object().handle)
    old = iter(timers)

    def run(turns):
        for _ in range(turns):
            timer = next(old)
            timer.stop()
            timer.close()
        look()
        return turns

    return run


def sleep(n):
    """n greenlets, each of which sleeps 0 seconds again and again."""

    def doze(turns):
        for _ in range(turns):
            gevent.sleep(0)

    def run(turns):
        gevent.joinall([gevent.spawn(doze, turns) for _ in range(n)])
        return turns * n

    return run


SCENARIOS = [ready, add, remove, add_remove, timer_add, timer_cancel, sleep]

if __name__ == "__main__":
    program.main({one.__name__: one for one in SCENARIOS}, sys.argv[1:])
