# SPDX-License-Identifier: MIT
"""The latency part: how long after a thread has woken another one that waits, or fired its trigger,
that thread has seen it; and how much longer than requested a thread sleeps. Lua has no threads of
its own, so it only sleeps.
"""

import dataclasses
import functools
import statistics

import rounds
import subjects
from results import Chapter, Row

CHAPTERS = [
    Chapter(
        "latency",
        "Waking another thread",
        """\
A thread waits on one core; another thread on another core wakes it, or fires its trigger. The
figure is the time from before that call until after the wait has returned, with both cores kept
awake. In Python the second figure is measured while a third thread computes without a pause. Two
threads then want the GIL when the waking thread releases it: the figure is about 50 us if the
waiting thread gets it, and 5 ms more, the interpreter's switch interval, if the third one does.
Which outcome is more frequent differs from run to run, whatever the library, so these figures are
not compared.""",
        "make bench BENCH=latency",
        unit="us",
        what=("another thread",),
    ),
    Chapter(
        "oversleep",
        "Sleeping",
        """\
How much longer than requested a sleep takes. Even the best pay for the timer slack of the kernel
(50 us) and the path from the timer's interrupt to the thread. Libraries that count in whole
milliseconds are late by up to one millisecond more.""",
        "make bench BENCH=latency",
        unit="us",
        what=("0.1 ms",),
    ),
]

ROUNDS, DELAYS = 7, 100
HELD_DELAYS = 10  # each takes some tens of milliseconds
SLEEPS = {100_000: 100, 1_000_000: 50, 10_000_000: 10}  # nanoseconds, and how many in a round


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to wake a thread, or to sleep."""

    name: str
    language: str
    words: tuple  # of the command: C: the library and the way; else the way
    needs: str = ""

    def is_there(self):
        return not self.needs or subjects.FINDERS[self.language](self.needs)

    def command(self, count, *arguments):
        if self.language == "C":
            library, way = self.words
            return [build(library), way, count, *arguments]
        if self.language == "Lua":
            return [
                subjects.LUA,
                subjects.PROGRAMS / "lua" / "delay.lua",
                *self.words,
                count,
                *arguments,
            ]
        program = subjects.PROGRAMS / "python" / "delay.py"
        return [subjects.python(), program, *self.words, count, *arguments]


@functools.cache
def build(library):
    words = list(subjects.LIBRARIES[library][1]) if library in subjects.LIBRARIES else []
    words += ["-levent_pthreads"] if library == "libevent" else []
    return subjects.compile_c(f"delay_{library}", ["delay.c", f"delay_{library}.c"], words)


MESSAGES = [
    Way("readyq wake", "C", ("readyq", "wake")),
    Way("readyq trigger", "C", ("readyq", "trigger")),
    Way("bare eventfd, epoll", "C", ("bare", "eventfd")),
    Way("condition variable", "C", ("bare", "condition")),
    Way("libev async", "C", ("libev", "async"), "libev"),
    Way("libuv async", "C", ("libuv", "async"), "libuv"),
    Way("libevent active", "C", ("libevent", "event_active"), "libevent"),
    Way("readyq wake", "Python", ("wake",)),
    Way("readyq trigger", "Python", ("trigger",)),
    Way("eventfd, select.epoll", "Python", ("os.eventfd",)),
    Way("threading.Event", "Python", ("threading.Event",)),
    Way("queue.SimpleQueue", "Python", ("SimpleQueue",)),
    Way("readyq asyncio", "Python", ("asyncio readyq",)),
    Way("asyncio", "Python", ("asyncio stock",)),
    Way("uvloop", "Python", ("asyncio uvloop",), "uvloop"),
    Way("gevent", "Python", ("gevent",), "gevent"),
    Way("trio", "Python", ("trio",), "trio"),
]

SLEEPERS = [
    Way("readyq wait", "C", ("readyq", "wait")),
    Way("readyq timer", "C", ("readyq", "timer")),
    Way("epoll_pwait2", "C", ("bare", "epoll_pwait2")),
    Way("epoll_wait", "C", ("bare", "epoll_wait")),
    Way("libev", "C", ("libev", "timer"), "libev"),
    Way("libuv", "C", ("libuv", "timer"), "libuv"),
    Way("libevent", "C", ("libevent", "timer"), "libevent"),
    Way("libevent, precise", "C", ("libevent", "precise timer"), "libevent"),
    Way("readyq wait", "Python", ("wait",)),
    Way("readyq timer", "Python", ("timer",)),
    Way("time.sleep", "Python", ("time.sleep",)),
    Way("select.epoll", "Python", ("select.epoll",)),
    Way("selectors", "Python", ("selectors",)),
    Way("readyq asyncio", "Python", ("asyncio readyq",)),
    Way("asyncio", "Python", ("asyncio stock",)),
    Way("uvloop", "Python", ("asyncio uvloop",), "uvloop"),
    Way("gevent", "Python", ("gevent",), "gevent"),
    Way("readyq wait", "Lua", ("wait",), "socket"),
    Way("readyq timer", "Lua", ("timer",), "socket"),
    Way("readyq.loop", "Lua", ("loop",), "socket"),
    Way("LuaSocket", "Lua", ("luasocket",), "socket"),
    Way("luv", "Lua", ("luv",), "luv"),
    Way("cqueues", "Lua", ("cqueues",), "cqueues"),
    Way("luaevent", "Lua", ("luaevent",), "luaevent"),
]


def summary(group, what, way, answers):
    """The median of the rounds' medians, and the 99th percentile of all rounds together."""
    value, spread = rounds.median_and_spread(statistics.median(answer) for answer in answers)
    every = sorted(delay for answer in answers for delay in answer)
    late = every[min(len(every) * 99 // 100, len(every) - 1)]
    yield Row(group, what, way.name, way.language, "us", us(value), us(spread))
    yield Row(group, what, way.name, way.language, "us, 99th percentile", us(late))


def us(nanoseconds):
    return round(nanoseconds / 1000, 1)


def measure(group, what, ways, count, rounds_count, *arguments, together):
    """`together`: every process may use all cores; else they share one."""
    cores = rounds.ALL if together else (rounds.OURS,)
    own, processes = [], []
    rounds.note(f"{group}: {what}")
    try:
        for way in ways:
            if way.is_there():
                process = rounds.Process(way.name, way.command(count, *arguments), cores)
                processes.append(process)
                own.append(rounds.Round(way, process.ask))
        rounds.interleave(own, rounds_count)
    finally:
        for process in processes:
            process.close()
    for one in own:
        yield from summary(group, what, one.key, one.answers)


def run(quick):
    count = 1 if quick else ROUNDS
    awake = subjects.compile_c("awake", ["awake.c"])
    with rounds.awake(awake):
        delays = 3 if quick else DELAYS
        yield from measure("latency", "another thread", MESSAGES, delays, count, together=True)
        python = [way for way in MESSAGES if way.language == "Python"]
        delays = 1 if quick else HELD_DELAYS
        what = "while a third thread holds the GIL"
        yield from measure("latency", what, python, delays, count, "holds", together=True)
        for ns, sleeps in [(100_000, 1)] if quick else SLEEPS.items():
            what = f"{ns / 1e6:g} ms"
            yield from measure("oversleep", what, SLEEPERS, sleeps, count, ns, together=False)
