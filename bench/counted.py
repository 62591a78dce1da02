# SPDX-License-Identifier: MIT
"""The counted part: user instructions (callgrind) and system calls (strace) per operation. The same
numbers come out of every run on the same machine with the same programs, however busy it is.

A program marks where it begins to repeat itself (see programs/c/program.c): some turns, a mark,
three times as many turns, a mark. The difference of the two is free of what is done once, such as
entering a loop.
"""

import concurrent.futures
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import subjects
from results import Chapter, Row

MARKS = {"C": "getppid", "Python": "getppid", "Rust": "getppid", "Lua": "clock"}
# As a system call: os.clock() in Lua reads the processor time.
SHOWN = {"getppid": "getppid(", "clock": "clock_gettime(CLOCK_PROCESS_CPUTIME_ID"}
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
NEEDS = {"valgrind": "apt-get install valgrind", "strace": "apt-get install strace"}


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    n: int  # per turn, of those that use up what they have ("add" ...): see USED_UP
    group: str  # of the row
    what: str

    def word(self, factor):
        """For the command line: name, n, turns. Those in USED_UP do one operation in each turn."""
        is_long = self.n == 100 or self.name in ("close", "ghost")
        turns = factor * (FEW_TURNS if is_long else MANY_TURNS)
        n = self.n * 5 * turns if self.name in USED_UP else self.n
        return f"{self.name}:{n}:{turns}"


# The first run of turns is to warm up; few are measured, and three times as many.
FEW_TURNS, MANY_TURNS = 4, 100
FACTORS = {"C": 5, "Rust": 5, "Lua": 2, "Python": 1}  # what is fast to count is repeated more often
USED_UP = ("add", "remove", "timer_add", "timer_cancel", "close")
IDLE = 5 * MANY_TURNS * max(FACTORS.values())
SCENARIOS = [
    Scenario("ready", 1, "event", "1 ready"),
    Scenario("ready", 100, "event", "100 ready"),
    Scenario("rearm", 100, "event", "100 ready, one-shot, armed again"),
    Scenario("add", 1, "change", "add"),
    Scenario("modify", 100, "change", "modify"),
    Scenario("remove", 1, "change", "remove"),
    Scenario("add_remove", 100, "change", "add and remove before a wait"),
    Scenario("timer_add", 1, "timer", "add"),
    Scenario("timer_restart", 100, "timer", "restart"),
    # Twice as many as are cancelled: asyncio builds its heap anew when most are.
    Scenario("timer_cancel", 2, "timer", "cancel"),
    Scenario("timer_fire", 1, "timer", "add and fire, 1"),
    Scenario("timer_fire", 100, "timer", "add and fire, 100"),
    Scenario("wake", 1, "wake", "wake, then wait"),
    Scenario("soon", 100, "coroutine", "call_soon, 100"),
    Scenario("sleep", 1, "coroutine", "sleep(0), 1"),
    Scenario("sleep", 100, "coroutine", "sleep(0), 100"),
]
POOL = Scenario("pool", 100, "pool", "a message answered by one of four threads")
COUNTED_ONLY = [  # by timed.py not at all
    Scenario("close", 1, "rare", "close, 1,000 watched"),
    Scenario("embedded", 1, "rare", "embedded, 1 ready"),
    Scenario("ghost", 1, "rare", "a ghost among 1,000"),
]
IMPORTS = ("readyq", "select", "selectors", "asyncio", "uvloop", "gevent", "trio")

REPEAT = "make bench BENCH=counted"
CHAPTERS = [
    Chapter(
        "event",
        "Events",
        """\
One wait, and taking its events: each event leads to the object that the program attached to the
descriptor, and nothing is done with that object. With 100 ready, 100 events share the cost of the
wait; with 1 ready, one event pays for it, as in an idle server. One-shot watches are armed again in
each turn, which takes a system call for each watch in every library. Where the library calls a
function (libev, libuv, libevent, `dispatch`, asyncio, uvloop, gevent, luv, luaevent), the call
to an empty function is included.""",
        REPEAT,
        unit="instructions",
        what=("100 ready", "1 ready"),
    ),
    Chapter(
        "change",
        "Changes",
        """\
Watching one more descriptor, changing its interest, and removing it. If a library defers a change,
the wait that passes it to the kernel is included. The last column is for a descriptor that is added
and removed before the next wait.""",
        REPEAT,
        unit="instructions",
    ),
    Chapter(
        "timer",
        "Timers",
        """\
Adding a timer that is due in an hour, restarting it, cancelling it, and timers that are due
immediately: add, wait and take, one or a hundred per turn. The timers that are restarted are always
those that are due first, as with connections that have the same timeout and are all in use. In C,
those that are added and cancelled are a millisecond apart: libev and libuv read the clock once per
turn, and equal times would leave their heaps with nothing to do. asyncio has no restart; a timer is
cancelled and another is added. uvloop counts in milliseconds.""",
        REPEAT,
        unit="instructions",
    ),
    Chapter(
        "wake",
        "Wakes",
        """\
Waking a queue, and the wait that returns because of it, in one thread.""",
        REPEAT,
        unit="instructions",
    ),
    Chapter(
        "coroutine",
        "Callbacks and coroutines",
        """\
`call_soon` of a hundred callbacks, and one coroutine or a hundred that repeatedly sleep for 0
seconds, so that the others have their turn.""",
        REPEAT,
        unit="instructions",
    ),
    Chapter(
        "pool",
        "A pool of threads",
        """\
Four threads wait on one queue. A message arrives on one of 100 sockets; the thread that gets it
reads it and answers, and only then is the next one sent. The figure counts the system calls of the
four threads, without those of locks, whose number depends on timing. Two of them are the read and
the answer.""",
        REPEAT,
        unit="system calls",
    ),
    Chapter(
        "rare",
        "Closing, embedding, ghosts",
        """\
Closing a queue that watches 1,000 descriptors. A queue embedded in another event loop: that loop's
wait for the queue's descriptor, and one batch with one event. A ghost: a descriptor is closed
before its watch is removed, while a duplicate keeps its file open and ready, so that the kernel
reports it again and again, until the library has moved the 1,000 other watches to another kernel
queue. For each watch readyq also asks the kernel whether the number still refers to the same file,
which takes a second call.""",
        REPEAT,
        unit="system calls",
    ),
    Chapter(
        "import",
        "Importing",
        """\
The first `import` of a module in a Python program; the module is already compiled.""",
        REPEAT,
        unit="instructions",
    ),
]


class FailedError(Exception):
    """A program did not do what it was asked for; the text says which."""


def run_program(tool, subject, words, folder):
    """Runs a program under a tool, and returns [(few, many)] operations of each scenario."""
    command = ["setarch", "-R", *tool, *subject.command(), "count", *words]
    environment = {**os.environ, **ENVIRONMENT}
    if subject.language == "Lua":
        environment["LD_PRELOAD"] = subjects.fixed_time()
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
        pass_fds=subjects.descriptors(IDLE),
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    if result.returncode != 0 or [line[0] for line in lines] != words:
        raise FailedError(f"{subject.language}, {subject.name}: {result.stderr.strip()[-2000:]}")
    return [(int(few), int(many)) for _, few, many in lines]


def per_operation(counts, operations):
    """What one operation costs, for each scenario: of the counts there are three for each, of the
    set-up, of few turns, and of many."""
    assert len(counts) == 3 * len(operations), "a mark was not seen"
    pairs = zip(counts[1::3], counts[2::3], operations)
    return [(many - few) / (of_many - of_few) for few, many, (of_few, of_many) in pairs]


def instructions(subject, words):
    """Per operation of each scenario, in user space. callgrind writes a file at each mark."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "-q", "--tool=callgrind", f"--dump-before={MARKS[subject.language]}"]
        operations = run_program([*tool, "--callgrind-out-file=out"], subject, words, folder)
        files = [Path(folder) / f"out.{number}" for number in range(1, 3 * len(words) + 1)]
        counts = [int(re.search(r"^totals: (\d+)", file.read_text(), re.M)[1]) for file in files]
    return per_operation(counts, operations)


def system_calls(subject, words):
    """Per operation of each scenario."""
    return calls_of(subject, words, lambda call, is_first: True)


def pool_calls(subject, words):
    """Those of the threads of the pool, which are not the first one. How often a thread has to wait
    for a lock is a matter of time, so that is left out."""
    return calls_of(subject, words, lambda call, is_first: not is_first and "futex(" not in call)


def calls_of(subject, words, counts_one):
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        operations = run_program(["strace", "-f", "-qq", "-o", log], subject, words, folder)
        counts, count = [], 0
        first = None
        for line in log.read_text(errors="replace").splitlines():
            thread, _, call = line.partition(" ")
            first = first or thread
            call = call.lstrip()
            if "resumed>" in call or not call[:1].isalpha():
                continue
            if call.startswith(SHOWN[MARKS[subject.language]]):
                counts.append(count)
                count = 0
            else:
                count += counts_one(call, thread == first)
    return per_operation(counts, operations)


def rows_of(subject, scenarios, unit, measure, factor=1):
    """The rows of those scenarios that the program has, all measured in one run of it."""
    if not subject.scenarios:
        raise FailedError(f"{subject.language}, {subject.name}: it does not start")
    mine = [one for one in scenarios if one.name in subject.scenarios]
    if not mine:
        return []
    values = measure(subject, [one.word(factor) for one in mine])
    return [
        Row(one.group, one.what, subject.name, subject.language, unit, round(value, 2))
        for one, value in zip(mine, values)
    ]


def import_cost(module):
    """Instructions, without those of the interpreter's own start; None if it cannot be imported."""
    python, code = subjects.python(), f"import os; os.getppid(); import {module}; os.getppid()"
    if subprocess.run([python, "-c", code], capture_output=True, check=False).returncode != 0:
        return None
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "-q", "--tool=callgrind", "--dump-before=getppid"]
        command = ["setarch", "-R", *tool, "--callgrind-out-file=out", python, "-c", code]
        environment = {**os.environ, **ENVIRONMENT}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        return int(re.search(r"^totals: (\d+)", (Path(folder) / "out.2").read_text(), re.M)[1])


def imports(quick):
    for module in IMPORTS:
        if quick and not module.startswith("readyq"):
            continue
        cost = import_cost(module)
        if cost is not None:
            yield Row("import", "import", module, "Python", "instructions", cost)


def lacking():
    """The commands that get what the counting itself needs."""
    return [get for tool, get in NEEDS.items() if shutil.which(tool) is None]


def count(subject):
    """The rows of one subject."""
    factor = FACTORS[subject.language]
    scenarios = SCENARIOS + COUNTED_ONLY
    rows = rows_of(subject, scenarios, "instructions", instructions, factor)
    rows += rows_of(subject, scenarios, "system calls", system_calls)
    return rows + rows_of(subject, [POOL], "system calls", pool_calls)


def count_or_leave_out(subject):
    """A peer that fails is left out, and said; readyq must not fail."""
    try:
        return count(subject)
    except FailedError as error:
        if subject.is_ours:
            raise
        print(f"bench: left out, it fails: {error}", file=sys.stderr)
        return []


def run(quick, languages=None):
    """Rows of all subjects; `quick`: of readyq's own. Counts do not depend on what else runs, so
    each processor counts a subject."""
    if missing := lacking():
        sys.exit("bench: counting needs more tools. Run as root: " + "; ".join(missing))
    chosen = [
        subject
        for subject in subjects.present()
        if (subject.is_ours or not quick) and (languages is None or subject.language in languages)
    ]
    subjects.descriptors(IDLE)
    subjects.fixed_time()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for subject, rows in zip(chosen, pool.map(count_or_leave_out, chosen)):
            print(f"  {subject.language}: {subject.name}", file=sys.stderr, flush=True)
            yield from rows
    if languages is None or "Python" in languages:
        yield from imports(quick)
