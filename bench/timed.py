# SPDX-License-Identifier: MIT
"""The timed part: processor time of the counted scenarios, of 100 ready descriptors among a
growing number of idle ones and of timers beside a million others, and memory for each watch.
"""

import resource

import counted
import rounds
import subjects
from results import Chapter, Row

CHAPTERS = [
    Chapter(
        "growth",
        "100 ready among a growing number",
        """\
One wait that returns 100 ready descriptors, while others that are not ready are watched as well:
processor time for each event. A flat line means that the cost does not depend on how many are
watched. The last number is close to the limit on open descriptors here.""",
        "make bench BENCH=timed",
        plot="lines",
        unit="ns",
    ),
    Chapter(
        "memory",
        "Memory for each watch",
        """\
Memory of the process divided by the number of watched descriptors: the library's share, and the
object that every program keeps for a descriptor. The kernel's share is in
[Scaling](scaling.md).""",
        "make bench BENCH=timed",
        unit="bytes",
    ),
    Chapter(
        "timers pending",
        "Timers, by the number pending",
        """\
Processor time to restart a timer, and to add one and let it fire, with 1, 1,000 and 1,000,000
timers pending. Each round restarts or adds all of them and then waits once, so a single timer also
pays for the wait. asyncio and uvloop have no restart; they cancel one and add another.""",
        "make bench BENCH=timed",
        unit="ns",
        what=("restart, 1000000", "add and fire, 1000000"),
    ),
]

# Operations in a round, so that it takes some ten milliseconds; less of what is costly to set up.
OPERATIONS = {"C": 100_000, "Rust": 100_000, "Python": 20_000, "Lua": 20_000}
ROUNDS, TURNS_ONCE = 11, 500
PENDING = {1: 11, 1_000: 11, 1_000_000: 2}  # timers, and rounds
GROWTH_ROUNDS = 9
SPARE = 300  # descriptors for other use below the limit


def largest(quick):
    """The most descriptors that a process may watch here: the limit of open files bounds it."""
    return 200 if quick else min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20_000) - SPARE


class Timed:
    """One subject in one scenario: a process, whose rounds give nanoseconds per operation."""

    def __init__(self, subject, scenario, n, turns, fds, cores=(rounds.OURS,)):
        words = [*subject.command(), "time", scenario, n, turns]
        self.process = rounds.Process(f"{subject.name} {scenario}", words, cores, pass_fds=fds)

    def ask(self):
        nanoseconds, operations = self.process.ask()
        return nanoseconds / operations


def ours():
    return [subject for subject in subjects.present() if subject.is_ours]


def measure(who, scenario, n, turns, count, fds=(), cores=(rounds.OURS,)):
    """{subject: (median, spread)} of those that have the scenario. `turns`: of a round, or a
    function of the subject.
    """
    own, processes = [], []
    try:
        for subject in who:
            if scenario not in subject.scenarios:
                continue
            own_turns = turns(subject) if callable(turns) else turns
            one = Timed(subject, scenario, n, own_turns, fds, cores)
            processes.append(one.process)
            own.append(rounds.Round(subject, one.ask))
        rounds.interleave(own, count)
    finally:
        for process in processes:
            process.close()
    return {one.key: rounds.median_and_spread(one.answers) for one in own}


def rows(group, what, found, unit="ns"):
    return [
        Row(group, what, subject.name, subject.language, unit, round(value, 1), round(spread, 1))
        for subject, (value, spread) in found.items()
    ]


# ------------------------------------------------------------------ time


def time_of_scenarios(quick, fds):
    who, count = (ours(), 1) if quick else (subjects.present(), ROUNDS)

    def turns_of(n):
        scale = n * (1_000 if quick else 1)
        return lambda subject: max(OPERATIONS[subject.language] // scale, 1)

    for one in counted.SCENARIOS:
        rounds.note(f"timed: {one.group}, {one.what}")
        if one.name in counted.USED_UP:
            turns = 20 if quick else min(TURNS_ONCE, largest(quick) // (count + 2))
            found = measure(who, one.name, one.n * turns * (count + 1), turns, count, fds)
        else:
            found = measure(who, one.name, one.n, turns_of(one.n), count, fds)
        yield from rows(one.group, one.what, found)
    pool = counted.POOL
    rounds.note(f"timed: {pool.what}")
    found = measure(who, pool.name, pool.n, 1 if quick else 20, count, cores=rounds.ALL)
    yield from rows(pool.group, pool.what, found)


def growth(quick, fds):
    """The same number of events, and what is watched beside them."""
    most = largest(quick)
    turns, count = (2, 1) if quick else (200, GROWTH_ROUNDS)
    for n in [most] if quick else [*(n for n in (100, 1_000, 10_000) if n < most), most]:
        rounds.note(f"timed: 100 ready among {n}")
        found = measure(subjects.present(), "ready", n, turns, count, fds)
        yield from rows("growth", str(n), found)


def pending(quick):
    """What a timer costs beside n - 1 others. A round of a million is one turn."""
    who = ours() if quick else subjects.present()
    for n, count in {1: 1}.items() if quick else PENDING.items():
        rounds.note(f"timed: {n} timers")
        for scenario, what in (("timer_restart", "restart"), ("timer_fire", "add and fire")):
            turns = max((100 if quick else 20_000) // n, 1)
            found = measure(who, scenario, n, turns, count)
            yield from rows("timers pending", f"{what}, {n}", found)


# ------------------------------------------------------------------ memory


def resident(pid):
    """Bytes of its own memory that a process has in use."""
    return rounds.number_in(f"/proc/{pid}/status", "RssAnon") * 1024


def resident_with(subject, n, fds):
    one = Timed(subject, "ready", n, 1, fds)
    try:
        one.ask()
        return resident(one.process.pid)
    finally:
        one.process.close()


def memory(quick, fds):
    """Bytes for each watch, with the object that the program has for it."""
    few, many = 150, largest(quick)
    for subject in ours() if quick else subjects.present():
        if "ready" not in subject.scenarios:
            continue
        with rounds.leaving_out_what_fails():
            difference = resident_with(subject, many, fds) - resident_with(subject, few, fds)
            yield Row(
                "memory",
                "a watch and its object",
                subject.name,
                subject.language,
                "bytes",
                round(difference / (many - few)),
            )


def run(quick):
    fds = subjects.descriptors(largest(quick) - subjects.IDLE + subjects.READY)
    yield from time_of_scenarios(quick, fds)
    yield from growth(quick, fds)
    yield from memory(quick, fds)
    yield from pending(quick)
