# SPDX-License-Identifier: MIT
"""kqueue on Linux, as each of five kernels: the programs that check the kqueue for tests
(tests/kqueue), and the C tests on a core that uses it. What the kernel cannot do must fail
(tests/kqueue/gates.py). `make test-kqueue AS=macos` also runs the tests of Python and Lua, the
model and the fuzzer of operations so.
"""

import concurrent.futures
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from kqueue.gates import GATES, LINUX_ONLY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux plays other kernels")

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "tests" / "kqueue"
BUILD = ROOT / "build" / "kqueue"
EVERY = ("freebsd", "netbsd", "openbsd", "macos", "dragonfly")
RELATED = ("netbsd7", "netbsd2023")  # the core is the same for them as for netbsd
KERNELS = tuple(os.environ.get("KQUEUE_KERNELS", " ".join(EVERY)).split())
CASES = sorted(path.stem for path in HERE.glob("test_*.c"))
TIMEOUT = 600  # of a program; each of its tests has $TEST_SECONDS


def make(*arguments):
    command = ["make", "-s", "-C", str(HERE), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


def run(program, kernel, *names, **more):
    environment = {"TEST_SECONDS": "200", **os.environ, "KQUEUE_AS": kernel, **more}
    return subprocess.run(
        [program, *names], capture_output=True, text=True, timeout=TIMEOUT, env=environment
    )


# ------------------------------------------------------------------ the kqueue for tests itself


@functools.cache
def cases(kernel):
    """What each program prints as this kernel. They mostly sleep, so they run at once."""
    make("cases")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = pool.map(lambda name: run(BUILD / "cases" / name, kernel), CASES)
        return dict(zip(CASES, results, strict=True))


@pytest.mark.parametrize("program", CASES)
@pytest.mark.parametrize("kernel", [*EVERY, *RELATED])
def test_it_does_what_the_kernel_does(kernel, program):
    result = cases(kernel)[program]
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("netbsd", "a_kqueue_in_itself"),
        ("netbsd", "kqueues_in_a_circle"),
    ],
)
def test_it_aborts_where_the_kernel_would_panic(kernel, name):
    make("cases")
    result = run(BUILD / "cases" / "test_queues", kernel, name, KQUEUE_PANIC="1")
    assert result.returncode == -signal.SIGABRT, result.stdout + result.stderr
    assert f"{kernel} would panic" in result.stderr


# ------------------------------------------------------------------ the C tests on it

PROGRAMS = {
    path.stem: re.findall(r"^static void\s(test_\w+)\(void\)", path.read_text(), re.MULTILINE)
    for path in sorted((ROOT / "tests" / "c").glob("*.c"))
    if path.stem not in LINUX_ONLY
}
LOAD = ("memory", "pool")  # what they cost matters more than the kernel: they run as one of them
RUNS = [
    (kernel, program)
    for kernel in KERNELS
    for program in PROGRAMS
    if program not in LOAD or kernel == KERNELS[0]
]
TESTS = [(kernel, program, name) for kernel, program in RUNS for name in PROGRAMS[program]]


@functools.cache
def outputs(kernel):
    """What each C test prints as this kernel."""
    make(f"AS={kernel}", "c")
    programs = BUILD / kernel / "c"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        names = [program for one, program in RUNS if one == kernel]
        results = pool.map(lambda name: run(programs / name, kernel), names)
        return dict(zip(names, results, strict=True))


@pytest.mark.parametrize(("kernel", "program", "name"), TESTS)
def test_c(kernel, program, name):
    result = outputs(kernel)[program]
    why, verdict = re.search(
        rf"^((?:#.*\n)*)(.*ok) \d+ - {name}$", result.stdout + "\n", re.MULTILINE
    ).groups()
    assert verdict == "ok", why + result.stderr


@pytest.mark.parametrize("kernel", EVERY)
def test_gates_are_at_most_six(kernel):
    assert len(GATES[kernel]) <= 6
