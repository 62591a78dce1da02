# SPDX-License-Identifier: MIT
"""The counted part: user instructions (callgrind) and system calls (strace) per operation. The same
numbers come out of every run on the same machine with the same programs, however busy it is.

A program marks where it begins to repeat itself (see programs/c/program.c): 50 turns, a mark, 150
turns, a mark. The difference of the two is free of what is done once, such as entering a loop.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import subjects
from results import Chapter, Row

IDLE = 600
MARKS = {"C": "getppid", "Python": "getppid", "Rust": "getppid", "Lua": "clock"}
# As a system call: os.clock() in Lua reads the processor time.
SHOWN = {"getppid": "getppid()", "clock": "clock_gettime(CLOCK_PROCESS_CPUTIME_ID"}
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
NEEDS = {"valgrind": "apt-get install valgrind", "strace": "apt-get install strace"}

# Scenario and n, the group of the row, and what the report calls it.
SCENARIOS = [
    ("ready", 1, "event", "1 ready"),
    ("ready", 100, "event", "100 ready"),
    ("rearm", 100, "event", "100 ready, one-shot, armed again"),
    ("add", 300, "change", "add"),
    ("modify", 100, "change", "modify"),
    ("remove", 300, "change", "remove"),
    ("add_remove", 100, "change", "add and remove before a wait"),
    ("timer_add", 300, "timer", "add"),
    ("timer_restart", 100, "timer", "restart"),
    ("timer_cancel", 300, "timer", "cancel"),
    ("timer_fire", 1, "timer", "add and fire, 1"),
    ("timer_fire", 100, "timer", "add and fire, 100"),
    ("wake", 1, "wake", "wake, then wait"),
    ("soon", 100, "coroutine", "call_soon, 100"),
    ("sleep", 1, "coroutine", "sleep(0), 1"),
    ("sleep", 100, "coroutine", "sleep(0), 100"),
]
POOL = ("pool", 16, "pool", "a message answered by one of four threads")


class Failed(Exception):
    """A program did not do what it was asked for; the text says which."""


def run_program(tool, subject, words, folder):
    """Runs a program under a tool, and returns [(few, many)] operations of each scenario."""
    command = ["setarch", "-R", *tool, *subject.command(), "count", *words]
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        pass_fds=subjects.descriptors(IDLE),
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    if result.returncode != 0 or [line[0] for line in lines] != words:
        raise Failed(f"{subject.language}, {subject.name}: {result.stderr.strip()[-2000:]}")
    return [(int(few), int(many)) for _, few, many in lines]


def per_operation(counts, operations):
    """What one operation costs, for each scenario: of the counts there are three for each, of the
    set-up, of few turns, and of many."""
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


def system_calls(subject, words, others=False):
    """Per operation of each scenario; `others`: of the threads that do not set the marks."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        operations = run_program(["strace", "-f", "-qq", "-o", log], subject, words, folder)
        counts, count = [], 0
        first = None
        for line in log.read_text(errors="replace").splitlines():
            thread, _, call = line.partition(" ")
            first = first or thread
            if SHOWN[MARKS[subject.language]] in call:
                counts.append(count)
                count = 0
            elif "resumed>" not in call and call.lstrip()[:1].isalpha():
                count += not others or thread != first
    return per_operation(counts, operations)


def rows_of(subject, scenarios, unit, measure):
    """The rows of those scenarios that the program has, all measured in one run of it."""
    mine = [one for one in scenarios if one[0] in subject.scenarios]
    if not mine:
        return []
    values = measure(subject, [f"{name}:{n}" for name, n, _, _ in mine])
    return [
        Row(group, what, subject.name, subject.language, unit, round(value, 2))
        for (_, _, group, what), value in zip(mine, values)
    ]


def lacking():
    """The commands that get what the counting itself needs."""
    return [get for tool, get in NEEDS.items() if shutil.which(tool) is None]


def count(subject, calls=True):
    """The rows of one subject."""
    rows = rows_of(subject, SCENARIOS, "instructions", instructions)
    if calls:
        rows += rows_of(subject, SCENARIOS, "system calls", system_calls)
        rows += rows_of(subject, [POOL], "system calls", lambda *one: system_calls(*one, True))
    return rows


def run(quick):
    """Rows of all subjects; `quick`: of readyq's own."""
    for subject in subjects.present():
        if quick and not subject.is_ours:
            continue
        print(f"  {subject.language}: {subject.name}", file=sys.stderr, flush=True)
        yield from count(subject)
