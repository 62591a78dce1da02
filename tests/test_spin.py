# SPDX-License-Identifier: MIT
"""core/wait.pml, the model of the waiting protocol, searched completely by the model checker spin.

All threads together have too many states, so each run has some of them. Then the model is broken in
one place at a time (FORGET_x), because a proof that cannot fail proves nothing.
"""

import functools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import pytest

MODEL = pathlib.Path(__file__).resolve().parent.parent / "core" / "wait.pml"

RUNS = {
    "three waiters and a wake": "WAITERS=3 WAKES=1",
    "three waiters and two fires": "WAITERS=3 FIRES=2",
    "two wakes and two fires": "WAKES=2 FIRES=2",
    "a wake, a fire and a close": "WAKES=1 FIRES=1 CLOSES=1",
    "two signals and a fire": "SIGNALS=2 FIRES=1",
    "three waiters and a timer": "WAITERS=3 TIMERS=1",
    "a nearer timer": "TIMERS=2",
    "a timer and a wake": "TIMERS=1 WAKES=1",
    "three waiters and a rebuild": "WAITERS=3 GHOSTS=1",
    "a rebuild and a wake": "GHOSTS=1 WAKES=1",
    "a rebuild, a cancelled waiter and a close": "GHOSTS=1 CANCELS=1 CLOSES=1",
    "a cancelled waiter, a signal and a close": "CANCELS=1 SIGNALS=1 CLOSES=1",
    "a cancelled waiter, a wake and data": "CANCELS=1 WAKES=1 ARRIVALS=1",
    "a cancelled waiter and two fires": "CANCELS=1 FIRES=2",
    "a pollable queue, a wake and a close": "POLLABLE=1 WAKES=1 CLOSES=1",
}

# For each omission a small run in which it matters, and the assertion that fails there.
BROKEN = {
    "LAST_LOOK": ("WAKES=1", "!(woken)"),
    "PUBLISHING_FIRST": ("WAKES=1", "!(woken)"),
    "CLEARING": ("FIRES=2", "((count==0)&&(place==0))"),
    "CLEARING_FIRST": ("WAKES=2", "!(woken)"),
    "CLEARING_SIGNALLED_FIRST": ("SIGNALS=3", "(!(signalled)&&!(caught))"),
    "LISTED": ("FIRES=1", "((count==0)&&(place==0))"),
    "CLOSED": ("CLOSES=1", "(asleep==0)"),
    "REBUILD_DUE": ("GHOSTS=1", "!(rebuild_due)"),
    "NEARER_DEADLINE": ("TIMERS=2", "((!(near)&&!(far))&&!(timer_listed))"),
    "SUCCESSION": ("TIMERS=1", "((!(near)&&!(far))&&!(timer_listed))"),
    "WOKEN": ("WAKES=1", "!(woken)"),
    "WAKE_BESIDE_EVENTS": ("WAKES=1 FIRES=1", "(woke==(ended+woken))"),
    "SIGNALLED": ("SIGNALS=1 CANCELS=1", "(!(signalled)&&!(caught))"),
    "NOTING": ("FIRES=2", "((count==0)&&(place==0))"),
    "SHUT": ("WAKES=1 CLOSES=1", "!(torn)"),
    "KICKING": ("WAKES=1 CLOSES=1", "!(torn)"),
    "DISABLING_CANCELLATION": ("WAKES=1 CLOSES=1", "(!(lock)&&(kicking==0))"),
    "IN_KERNEL": ("GHOSTS=1", "((inside==0)&&!(torn))"),
    "GATE": ("GHOSTS=1", "!(rebuild_due)"),
    "KICKING_OUT": ("GHOSTS=1", "(gated==0)"),
    "BROADCAST": ("GHOSTS=1", "(gated==0)"),
    "LAST_ONE_OUT": ("GHOSTS=1 CANCELS=1", "(gated==0)"),
    "CLEARING_OF_CANCELLED": ("CANCELS=1 FIRES=1", "((count==0)&&(place==0))"),
    "REARMING": ("CANCELS=1 ARRIVALS=1", "!(data)"),
}


def find_steps(table, report):
    """The lines of the steps of each process, and of those that the search reached."""
    missed = set()
    process = None
    for line in report.splitlines():
        if heading := re.match(r"unreached in (?:proctype )?(\w+)", line):
            process = heading[1]
        elif step := re.match(r"\t\S+:\d+, state (\d+),", line):
            missed.add((process, step[1]))
    steps, reached = set(), set()
    for line in table.splitlines():
        if heading := re.match(r"(?:proctype|init) ?(\w*)", line):
            process = heading[1] or "init"
        elif step := re.match(r"\tstate +(\d+) .*?:(\d+) =>", line):
            steps.add((process, int(step[2])))
            if (process, step[1]) not in missed:
                reached.add((process, int(step[2])))
    return steps, reached


@functools.cache
def search(definitions):
    """The report of spin, the lines of the steps, and those that were reached."""
    if shutil.which("spin") is None:
        pytest.skip("needs the program spin (apt-get install spin)")
    cc = shlex.split(os.environ.get("CC", "cc"))
    # To optimize it takes longer than most of the searches.
    options = ["-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c"]
    with tempfile.TemporaryDirectory() as folder:

        def run(*command):
            result = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=900
            )
            assert result.returncode == 0, result.stdout + result.stderr
            return result.stdout

        # -o3: each statement remains a separate step, so that the reached ones can be counted.
        run("spin", "-o3", *[f"-D{name}" for name in definitions.split()], "-a", str(MODEL))
        run(*cc, *options)
        # A thread that sleeps forever is no error by itself: the model asserts when it is (-E).
        report = run("./pan", "-E", "-m1000000")
        assert "max search depth too small" not in report, report
        return report, *find_steps(run("./pan", "-d"), report)


@pytest.mark.parametrize("name", RUNS)
def test_no_order_of_steps_breaks_a_promise(name):
    report = search(RUNS[name])[0]
    assert "errors: 0" in report, report


def test_every_step_of_the_model_is_reached():
    searches = [search(definitions) for definitions in RUNS.values()]
    steps = set().union(*(steps for _, steps, _ in searches))
    reached = set().union(*(reached for _, _, reached in searches))
    assert len(steps) > 100
    assert sorted(steps - reached) == []


def test_every_omission_is_tried():
    forgotten = set(re.findall(r"\bFORGET_(\w+)", MODEL.read_text(encoding="utf-8"))) - {"x"}
    assert forgotten == set(BROKEN)


@pytest.mark.parametrize("forgotten", BROKEN)
def test_each_omission_breaks_a_promise(forgotten):
    definitions, assertion = BROKEN[forgotten]
    report = search(f"{definitions} FORGET_{forgotten}")[0]
    violated = re.search(r"assertion violated (.*) \(at depth", report)
    assert violated is not None, report
    assert violated[1].replace(" ", "") == assertion
