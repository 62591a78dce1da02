# SPDX-License-Identifier: MIT
"""What is timed is timed in interleaved rounds: every subject is a process of its own that runs one
round for each line on its standard input, and they take turns. Whatever slows the machine for a
while slows all of them. The first round of each is not counted. A figure is the median of the
rounds, its spread their interquartile range.
"""

import contextlib
import ctypes
import dataclasses
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIFE = 1800  # seconds after which a process ends, whatever happens
PATIENCE = 60  # seconds for a round
LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1
ALL = sorted(os.sched_getaffinity(0))
OURS, THEIRS = ALL[-1], ALL[0]  # the cores of the subjects, and of what loads them


class FailedError(Exception):
    """A process did not do what it was asked."""


def start(command, cores, **options) -> Any:
    """A process that runs on these cores, and ends by itself or with this one."""

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cores)
        signal.alarm(LIFE)

    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        **options,
    )


def processor_time(pids):
    """Seconds of user and system time that these processes have used."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


class Process:
    """Answers each line that it is sent with a line of numbers."""

    def __init__(self, name, command, cores=(OURS,), **options):
        self.name = name
        self.popen = start(command, cores, **options)
        self.pid = self.popen.pid

    def ask(self, line: object = ""):
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self.popen.stdin, flush=True)
        return [float(word) for word in self.read_line().split()]

    def read_line(self):
        output = self.popen.stdout
        ready, _, _ = select.select([output], [], [], PATIENCE)
        line = output.readline() if ready else ""
        if not line:
            self.close()
            how = f"ended with {self.popen.returncode}" if ready else "took too long"
            raise FailedError(f"{self.name} {how}")
        return line

    def close(self):
        self.popen.kill()
        self.popen.communicate()


@dataclasses.dataclass
class Round:
    """Somebody who takes part in interleaved rounds."""

    key: object
    ask: object  # runs one round and returns what it found
    answers: list = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def leaving_out_what_fails():
    try:
        yield
    except FailedError as failure:
        note("left out:", failure)


def interleave(rounds, count):
    """Runs `count` rounds of each, and one before them that is not counted. One that fails is left
    out.
    """
    for turn in range(count + 1):
        for one in list(rounds):
            answer = None
            with leaving_out_what_fails():
                answer = one.ask()
            if answer is None:
                rounds.remove(one)
            elif turn:
                one.answers.append(answer)
    return rounds


def median_and_spread(values):
    """The median, and the interquartile range, which is 0 if there is one value."""
    values = sorted(values)
    if len(values) < 2:
        return values[0], 0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), high - low


def number_in(path, name):
    """The number in a file that has lines such as `name: 5 kB`."""
    for line in Path(path).read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise FailedError(f"{path} has no {name}")


def note(*words):
    print("bench:", *words, file=sys.stderr, flush=True)


@contextlib.contextmanager
def awake(program, seconds=LIFE):
    """Keeps every core from halting meanwhile, and for at most so many seconds."""
    spinners = [start([program, core, seconds], [core]) for core in {OURS, THEIRS}]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.communicate()
