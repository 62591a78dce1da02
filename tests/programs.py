# SPDX-License-Identifier: MIT
"""Builds and runs the programs of tests/c and tests/kqueue. Each prints a line of TAP for each of
its tests.
"""

import concurrent.futures
import contextlib
import fcntl
import os
import re
import subprocess

import pytest

CORES = os.cpu_count() or 1
RESULT = re.compile(r"^(ok|not ok) \d+ - (\w+)$", re.MULTILINE)


@contextlib.contextmanager
def alone(folder):
    """Several processes of pytest build in one tree: one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(sources, build, *arguments):
    command = [os.environ.get("MAKE", "make"), "-s", f"-j{CORES}", "-C", str(sources), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    with alone(build):
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


class Runs:
    """Runs programs in the background, each once, as many at a time as there are processors."""

    def __init__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(CORES)
        self.running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown(cancel_futures=True)

    def start(self, key, *command, **environment):
        self.running[key] = self.pool.submit(run, command, environment)

    def result(self, key):
        return self.running[key].result()

    def check(self, key, test):
        """Fails with what the test has printed, or with everything if it has no result."""
        begin, everything = 0, self.result(key).stdout
        for line in RESULT.finditer(everything):
            if line[2] == test:
                assert line[1] == "ok", everything[begin : line.start()]
                return
            begin = line.end() + 1
        pytest.fail(f"{test} has no result:\n{everything}")


def run(command, environment):
    return subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1800,
        # The alarm of each of its tests, which ends what hangs, also on a slow machine.
        env={"TEST_SECONDS": "200", **os.environ, **environment},
    )
