# SPDX-License-Identifier: MIT
"""asyncio: `aio.py stock ...` on its own loop, `aio.py readyq ...` and `aio.py uvloop ...` on
others; see program.py. A loop runs until the first callback has counted the turns, so that none
pays for leaving run_forever() in each.
"""

import asyncio
import importlib
import sys

import program
from program import HOUR, IDLE, READY, Counter, Object

MODULE = {"stock": "asyncio"}.get(sys.argv[1], sys.argv[1])
new_loop = importlib.import_module(MODULE).new_event_loop
SOON = 0.001 if MODULE == "uvloop" else 0  # for uvloop, 0 is call_soon() and not a timer


def look(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_with(loop, counter, n):
    def run(turns):
        counter.left = turns
        loop.run_forever()
        return program.events(n, turns)

    return run


def ready(n):
    loop = new_loop()
    first = Counter(READY, loop.stop)
    for item in [first, *(Object(READY + i) for i in range(1, n))]:
        loop.add_reader(item.fd, item.handle)
    return run_with(loop, first, n)


def add(n):
    loop, objects = new_loop(), iter([Object(IDLE + i) for i in range(n)])

    def run(turns):
        for _ in range(turns):
            item = next(objects)
            loop.add_reader(item.fd, item.handle)
        look(loop)
        return turns

    return run


def remove(n):
    loop, old = new_loop(), iter(range(IDLE, IDLE + n))
    for fd in range(IDLE, IDLE + n):
        loop.add_reader(fd, Object(fd).handle)

    def run(turns):
        for _ in range(turns):
            loop.remove_reader(next(old))
        look(loop)
        return turns

    return run


def add_remove(n):
    loop, objects = new_loop(), [Object(IDLE + i) for i in range(n)]

    def run(turns):
        for _ in range(turns):
            for item in objects:
                loop.add_reader(item.fd, item.handle)
                loop.remove_reader(item.fd)
            look(loop)
        return turns * n

    return run


def modify(n):
    """Adds a writer beside the reader, and removes it in the next turn."""
    loop, objects = new_loop(), [Object(IDLE + i) for i in range(n)]
    for item in objects:
        loop.add_reader(item.fd, item.handle)

    def run(turns):
        for turn in range(turns):
            for item in objects:
                if turn % 2:
                    loop.remove_writer(item.fd)
                else:
                    loop.add_writer(item.fd, item.handle)
            look(loop)
        return turns * n

    return run


def timer_add(n):
    loop, objects = new_loop(), iter([Object() for _ in range(n)])
    handles = []

    def run(turns):
        for _ in range(turns):
            handles.append(loop.call_later(HOUR, next(objects).handle))
        look(loop)
        return turns

    return run


def timer_cancel(n):
    loop = new_loop()
    handles = iter([loop.call_later(HOUR, Object().handle) for _ in range(n)])

    def run(turns):
        for _ in range(turns):
            next(handles).cancel()
        look(loop)
        return turns

    return run


def timer_restart(n):
    """asyncio has no call for it: a program cancels the handle, and adds another."""
    loop = new_loop()
    objects = [Object() for _ in range(n)]
    handles = [loop.call_later(HOUR, item.handle) for item in objects]

    def run(turns):
        for _ in range(turns):
            for i, item in enumerate(objects):
                handles[i].cancel()
                handles[i] = loop.call_later(HOUR, item.handle)
            look(loop)
        return turns * n

    return run


class Again(Counter):
    """The first of n timers: it adds all of them anew, until the turns are done."""

    def __init__(self, loop, n):
        super().__init__(-1, loop.stop)
        self.loop, self.objects = loop, [self, *(Object() for _ in range(n - 1))]

    def handle(self):
        if self.left:
            self.left -= 1
            for item in self.objects:
                self.loop.call_later(SOON, item.handle)
        else:
            self.stop()


def timer_fire(n):
    loop = new_loop()
    first = Again(loop, n)

    def run(turns):
        first.left = turns
        loop.call_soon(first.handle)
        loop.run_forever()
        return turns * n

    return run


def wake(n):
    """The callback of call_soon_threadsafe() asks for the next."""
    loop = new_loop()
    counter = Counter(-1, loop.stop)

    def step():
        counter.handle()
        if counter.left:
            loop.call_soon_threadsafe(step)

    def run(turns):
        counter.left = turns
        loop.call_soon_threadsafe(step)
        loop.run_forever()
        return turns

    return run


def soon(n):
    """n callbacks by call_soon() in each turn."""
    loop = new_loop()
    first = Soon(loop, n)

    def run(turns):
        first.left = turns
        loop.call_soon(first.handle)
        loop.run_forever()
        return turns * n

    return run


class Soon(Again):
    def handle(self):
        if self.left:
            self.left -= 1
            for item in self.objects:
                self.loop.call_soon(item.handle)
        else:
            self.stop()


def sleep(n):
    """n tasks, each of which sleeps 0 seconds again and again."""
    loop = new_loop()

    async def doze(turns):
        for _ in range(turns):
            await asyncio.sleep(0)

    async def together(turns):
        await asyncio.gather(*(doze(turns) for _ in range(n)))

    def run(turns):
        loop.run_until_complete(together(turns))
        return turns * n

    return run


SCENARIOS = [ready, add, remove, add_remove, modify]
SCENARIOS += [timer_add, timer_cancel, timer_restart, timer_fire, wake, soon, sleep]

if __name__ == "__main__":
    program.main({one.__name__: one for one in SCENARIOS}, sys.argv[2:])
