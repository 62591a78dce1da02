# SPDX-License-Identifier: MIT
"""kqueue on Linux, as each of five kernels: the programs that check the kqueue for tests
(tests/kqueue), and the C tests on a core that uses it. What the kernel cannot do must fail
(tests/kqueue/gates.py). `make test-kqueue AS=macos` also runs the tests of Python and Lua, the
model and the fuzzer of operations so.
"""

import collections
import os
import pathlib
import re
import signal
import sys

import programs
import pytest
from kqueue.gates import GATES, LINUX_ONLY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux plays other kernels")

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "tests" / "kqueue"
BUILD = ROOT / "build" / "kqueue"
EVERY = ("freebsd", "netbsd", "openbsd", "macos", "dragonfly")
RELATED = {"netbsd7": "netbsd", "netbsd2023": "netbsd"}  # the core is the same for both of a pair
KERNELS = tuple(os.environ.get("KQUEUE_KERNELS", " ".join(EVERY)).split())
CASES = sorted(path.stem for path in HERE.glob("test_*.c"))


def make(*arguments):
    programs.make(HERE, BUILD, *arguments)


# ------------------------------------------------------------------ the kqueue for tests itself


@pytest.fixture(scope="module")
def cases():
    """What each program prints as each kernel."""
    make("cases")
    with programs.Runs() as runs:
        for kernel in [*EVERY, *RELATED]:
            for name in CASES:
                runs.start((kernel, name), BUILD / "cases" / name, KQUEUE_AS=kernel)
        yield runs


@pytest.mark.parametrize("program", CASES)
@pytest.mark.parametrize("kernel", [*EVERY, *RELATED])
def test_it_does_what_the_kernel_does(cases, kernel, program):
    result = cases.result((kernel, program))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("netbsd", "a_kqueue_in_itself"),
        ("netbsd", "kqueues_in_a_circle"),
    ],
)
def test_it_aborts_where_the_kernel_would_panic(kernel, name):
    make("cases")
    environment = {"KQUEUE_AS": kernel, "KQUEUE_PANIC": "1"}
    result = programs.run([BUILD / "cases" / "test_queues", name], environment)
    assert result.returncode == -signal.SIGABRT, result.stdout
    assert f"{kernel} would panic" in result.stdout


# ------------------------------------------------------------------ the C tests on it

PROGRAMS = {
    path.stem: re.findall(r"^static void\s(test_\w+)\(void\)", path.read_text(), re.MULTILINE)
    for path in sorted((ROOT / "tests" / "c").glob("*.c"))
    if path.stem not in LINUX_ONLY
}
LOAD = ("memory", "pool", "watchdog")  # they take longest, and hardly depend on the kernel
RUNS = [
    (kernel, program)
    for kernel in KERNELS
    for program in PROGRAMS
    if program not in LOAD or kernel == KERNELS[0]
]
RUNS += [(kernel, "kqueues") for kernel, core in RELATED.items() if core in KERNELS]
TESTS = [(kernel, program, name) for kernel, program in RUNS for name in PROGRAMS[program]]


@pytest.fixture(scope="module")
def runs(request):
    """The C programs of the selected tests, each run once as each kernel, with these tests."""
    selected = collections.defaultdict(list)
    for item in request.session.items:
        if item.function is test_c:
            values = item.callspec.params
            selected[values["kernel"], values["program"]].append(values["name"])
    with programs.Runs() as runs:
        for core in dict.fromkeys(RELATED.get(kernel, kernel) for kernel, _ in selected):
            make(f"AS={core}", "c")
        for (kernel, program), names in selected.items():
            command = [BUILD / RELATED.get(kernel, kernel) / "c" / program, *names]
            runs.start((kernel, program), *command, KQUEUE_AS=kernel)
        yield runs


@pytest.mark.parametrize(("kernel", "program", "name"), TESTS)
def test_c(runs, kernel, program, name):
    runs.check((kernel, program), name)


@pytest.mark.parametrize("kernel", EVERY)
def test_gates_are_at_most_six(kernel):
    assert len(GATES[kernel]) <= 6
