# SPDX-License-Identifier: MIT
"""Delays in Python, like c/delay.h: `delay.py WAY COUNT [NS | holds]`. For each line on standard
input it prints COUNT delays in nanoseconds. With `holds` a third thread computes meanwhile without
a pause, so that it holds the GIL whenever it can.
"""

import asyncio
import contextlib
import os
import queue
import select
import selectors
import sys
import threading
import time

import readyq

ASLEEP, LOOK, LOST = 0.0002, 0.00002, 20.0
now = time.monotonic_ns


def pin(index):
    """Pins this thread to a core: the waiting one to the last, all others to the first."""
    with contextlib.suppress(AttributeError):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[index]})


# ------------------------------------------------------------------ threads
# Each way has a function that returns two: send(), which the main thread calls, and wait(seen),
# which another thread calls once, and which calls seen() each time.


def with_wake():
    own = readyq.Queue()

    def wait(seen):
        while True:
            own.wait()
            seen()

    return own.wake, wait


def with_trigger():
    own = readyq.Queue()
    trigger = own.add_trigger()

    def wait(seen):
        while True:
            for _watch in own.wait():
                seen()

    return trigger.fire, wait


def with_eventfd():
    fd, epoll = os.eventfd(0), select.epoll()
    epoll.register(fd, select.EPOLLIN)

    def wait(seen):
        while True:
            epoll.poll()
            seen()
            os.eventfd_read(fd)

    return lambda: os.eventfd_write(fd, 1), wait


def with_event():
    event = threading.Event()

    def wait(seen):
        while True:
            event.wait()
            seen()
            event.clear()

    return event.set, wait


def with_simple_queue():
    items = queue.SimpleQueue()

    def wait(seen):
        while True:
            items.get()
            seen()

    return lambda: items.put(None), wait


def with_loop(new_event_loop):
    loop = new_event_loop()
    callback = []

    def wait(seen):
        callback.append(seen)
        loop.run_forever()

    return lambda: loop.call_soon_threadsafe(callback[0]), wait


def new_uvloop():
    import uvloop

    return uvloop.new_event_loop()


def with_gevent():
    import gevent

    made, opened = [], threading.Event()

    def wait(seen):
        hub = gevent.get_hub()
        async_ = hub.loop.async_()
        async_.start(seen)
        made.append(async_)
        opened.set()
        while True:
            gevent.sleep(3600)

    def send():
        opened.wait()
        made[0].send()

    return send, wait


def with_trio():
    import trio

    made, opened = [], threading.Event()

    def wait(seen):
        async def main():
            made.append((trio.lowlevel.current_trio_token(), seen))
            opened.set()
            await trio.sleep_forever()

        trio.run(main)

    def send():
        opened.wait()
        token, seen = made[0]
        token.run_sync_soon(seen)

    return send, wait


MESSAGES = {
    "wake": with_wake,
    "trigger": with_trigger,
    "os.eventfd": with_eventfd,
    "threading.Event": with_event,
    "SimpleQueue": with_simple_queue,
    "asyncio stock": lambda: with_loop(asyncio.new_event_loop),
    "asyncio readyq": lambda: with_loop(readyq.new_event_loop),
    "asyncio uvloop": lambda: with_loop(new_uvloop),
    "gevent": with_gevent,
    "trio": with_trio,
}


in_round = threading.Event()


def compute():
    while True:
        in_round.wait()
        while in_round.is_set():
            pass


def delays_of_messages(way, holds):
    send, wait = MESSAGES[way]()
    arrived = []

    def run_waiting():
        pin(-1)
        wait(lambda: arrived.append(now()))

    threading.Thread(target=run_waiting, daemon=True).start()
    pin(0)
    if holds:
        threading.Thread(target=compute, daemon=True).start()
    time.sleep(0.1)

    def measure():
        time.sleep(ASLEEP)  # the waiting thread has time to fall asleep
        arrived.clear()
        start = now()
        send()
        while not arrived:
            assert now() - start < LOST * 1e9, "the message was lost"
            time.sleep(LOOK)
        return arrived[0] - start

    return measure


# ------------------------------------------------------------------ sleeps
# Each way has a function that returns one that sleeps so many seconds.


def sleep_by_queue_timer():
    own = readyq.Queue()

    def sleep(seconds):
        own.add_timer(seconds)
        for _watch in own.wait():
            pass

    return sleep


def sleep_in_loop(new_event_loop):
    loop = new_event_loop()

    def sleep(seconds):
        loop.call_later(seconds, loop.stop)
        loop.run_forever()

    return sleep


def sleep_in_gevent():
    import gevent

    return gevent.sleep


SLEEPS = {
    "wait": lambda: readyq.Queue().wait,
    "timer": sleep_by_queue_timer,
    "time.sleep": lambda: time.sleep,
    "select.epoll": lambda: select.epoll().poll,
    "selectors": lambda: selectors.DefaultSelector().select,
    "asyncio stock": lambda: sleep_in_loop(asyncio.new_event_loop),
    "asyncio readyq": lambda: sleep_in_loop(readyq.new_event_loop),
    "asyncio uvloop": lambda: sleep_in_loop(new_uvloop),
    "gevent": sleep_in_gevent,
}


def excesses_of_sleeps(way, ns):
    sleep, seconds = SLEEPS[way](), ns / 1e9

    def measure():
        start = now()
        sleep(seconds)
        return now() - start - ns

    return measure


def main(way, count, argument=""):
    if argument.isdigit():
        measure = excesses_of_sleeps(way, int(argument))
    else:
        measure = delays_of_messages(way, argument == "holds")
    for _ in sys.stdin:
        in_round.set()
        delays = [measure() for _ in range(int(count))]
        in_round.clear()
        print(*delays, flush=True)
    os._exit(0)  # the other threads do not end


main(*sys.argv[1:])
