# SPDX-License-Identifier: MIT
"""Makes trace files like those that a queue saves, with times, names and numbers as a test wants
them.
"""

import json
import random

MS, US = 1_000_000, 1_000
MAIN = 100  # the first thread
HOSTILE = (
    "fd 9 (a file </title><script>alert('x')</script> \u202e\" & \x1b[31m\ud800\n\u05d0\u05d1)"
)


class Trace:
    def __init__(self, **about):
        self.about = {"readyq": "0.1.0", "backend": "epoll", "dropped": 0, **about}
        self.events = []
        self.names = {}
        self.flows = 0

    def event(self, phase, track, category, name, at, **more):
        event = {"ph": phase, "pid": 1, "tid": track, "cat": category, "name": name}
        self.events.append({**event, "ts": at / 1000, **more})

    def name(self, track, name, order):
        self.names[track] = name
        for key, value in (("name", name), ("sort_index", order)):
            arguments = {key: value}
            event = {"ph": "M", "pid": 1, "tid": track, "name": f"thread_{key}", "args": arguments}
            self.events.append(event)

    def thread(self, number, name):
        self.name(number, name, number)

    def watch(self, number, name, at=0, interest="READ"):
        """A watch that is added; returns its track."""
        track = 1_000_000_000 + number
        self.name(track, name, track)
        self.change(track, "add", at, interest)
        return track

    def change(self, track, what, at, interest="READ"):
        self.event("i", track, "change", what, at, s="t", args={"interest": interest})

    def span(self, track, category, name, begin, end, **arguments):
        more = {"dur": (end - begin) / 1000, "args": arguments}
        self.event("X", track, category, name, begin, **more)

    def turn(self, thread, begin, sleep, *ready):
        """A wait that sleeps, and then takes what is ready: (track, bits, time that it takes).
        Returns its end.
        """
        woken = begin + US + sleep
        self.span(thread, "wait", "wait", begin, woken + US, timeout=None, ready=len(ready))
        self.span(thread, "sleep", "asleep in the kernel", begin + US, woken)
        now = woken + 2 * US
        for track, bits, took in ready:
            self.span(track, "ready", bits, woken, now)
            self.span(track, "handled", bits, now, now + took)
            arguments = {"watch": track - 1_000_000_000, "ready": bits, "count": 0}
            self.span(thread, "handler", self.names[track], now, now + took, **arguments)
            now += took
        return now

    def call(self, thread, what, at, woken, end):
        """wake() or fire(), which ends the wait of the thread `woken`."""
        self.event("i", thread, what, "fire trigger" if what == "fire" else what, at, s="t")
        self.flows += 1
        self.event("s", thread, "flow", "ends a wait", at, id=self.flows)
        self.event("f", woken, "flow", "ends a wait", end, id=self.flows, bp="e")

    def data(self):
        return {"displayTimeUnit": "ns", "otherData": self.about, "traceEvents": self.events}

    def text(self):
        return json.dumps(self.data())


def conversation():
    """A listener and a peer, as in examples/demo.py."""
    trace = Trace()
    trace.thread(MAIN, "main thread")
    trace.event("i", MAIN, "queue", "open", 0, s="p")
    listener = trace.watch(1, "fd 4 (TCP listening on 127.0.0.1:36841)", 50 * US)
    now = trace.turn(MAIN, 600 * US, 301 * MS, (listener, "READ", 91 * US))
    peer = trace.watch(2, "fd 5 (TCP 127.0.0.1:36841 to 127.0.0.1:51234)", now - 20 * US)
    for pause in (200, 201, 103):
        now = trace.turn(MAIN, now, pause * MS, (peer, "READ", 74 * US))
    return trace


def threads():
    """Three threads, each kind of watch and mark, and names with everything in them."""
    trace = Trace()
    for number, name in ((100, "main thread"), (101, "thread 101"), (102, "thread 102")):
        trace.thread(number, name)
    timer = trace.watch(1, "timer")
    trigger = trace.watch(2, "trigger", 300 * US)
    trace.watch(3, "signal 15 (SIGTERM)", 600 * US)
    pipe = trace.watch(4, HOSTILE, 900 * US)
    now = MS
    for turn in range(14):
        now = trace.turn(100, now, 9 * MS, (timer, "FIRED", (turn % 4 + 1) * 900 * US))
        if turn % 3 == 1:
            trace.change(timer, "restart", now - 100 * US)
            trace.change(timer, "modify", now - 90 * US)
        now += 300 * US
    now = 2 * MS
    for _ in range(6):
        woken = now + 20 * MS + US
        trace.call(102, "fire", woken - US, 101, woken)
        now = trace.turn(101, now, 20 * MS, (trigger, "FIRED", 1500 * US)) + 200 * US
    now = trace.turn(101, now, 8 * MS)
    trace.call(102, "wake", now - 8 * US, 101, now - 2 * US)
    for name, at in (("ghost", 50 * MS), ("rebuild", 60 * MS), ("fork", 100 * MS)):
        trace.event("i", 100, "queue", name, at, s="p", args={"fd": 9})
    now = trace.turn(102, 500 * US, 5 * MS, (pipe, "READ|READ_CLOSED", 9 * MS))
    trace.change(pipe, "remove", now)
    return trace


def crowd(watches=200, turns=1000):
    """Many watches, and turns that are much shorter than a pixel."""
    chance = random.Random(1)
    trace = Trace(dropped=12345)
    trace.thread(MAIN, "main thread")
    tracks = [
        trace.watch(number, f"fd {number + 6} (TCP 127.0.0.1:8080 to 127.0.0.1:{number + 40000})")
        for number in range(1, watches + 1)
    ]
    now = 0
    for _ in range(turns):
        ready = chance.sample(tracks, chance.choice((1, 1, 1, 2, 3)))
        took = [(track, "READ", chance.randint(5, 200) * US) for track in ready]
        now = trace.turn(MAIN, now, chance.randint(10, 900) * US, *took) + 3 * US
    return trace


def empty():
    return Trace()


def instant():
    """One record."""
    trace = Trace(backend="kqueue")
    trace.thread(MAIN, "main thread")
    trace.event("i", MAIN, "queue", "open", 0, s="p")
    return trace


def week():
    """Times that need other units than seconds."""
    trace = Trace()
    trace.thread(MAIN, "main thread")
    timer, now = trace.watch(1, "timer"), 0
    for _ in range(7):
        now = trace.turn(MAIN, now, 86_400_000 * MS, (timer, "FIRED", 5_000_000 * MS))
    return trace


def brief():
    """Times that need nanoseconds."""
    trace = Trace()
    trace.thread(MAIN, "main thread")
    trigger = trace.watch(1, "trigger")
    trace.turn(MAIN, 100, 1, (trigger, "FIRED", 900))
    return trace


def pool():
    """More threads than have a lane."""
    trace = Trace()
    for number in range(20):
        trace.thread(number + 1, f"thread {number + 1}")
    pipe = trace.watch(1, "fd 3 (a pipe)")
    for number in range(20):
        trace.turn(number + 1, number * MS, 30 * MS, (pipe, "READ", MS))
    return trace


ALL = (conversation, threads, crowd, empty, instant, week, brief, pool)
