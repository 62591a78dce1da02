# SPDX-License-Identifier: MIT
"""The C tests, tests/c/*.c: each of their functions is a test here.

They are built with AddressSanitizer and UndefinedBehaviorSanitizer where the compiler has them
(without where coverage is measured); the thread tests also with ThreadSanitizer. One test alone,
once they are built: `build/tests/address,undefined/flow test_...`.
"""

import collections
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import programs
import pytest
from kqueue.gates import LINUX_ONLY

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES, BUILD = ROOT / "tests" / "c", ROOT / "build" / "tests"
MEMORY, THREADS = "" if "COVERAGE" in os.environ else "address,undefined", "thread"
# Where the linker replaces functions by those of the test.
WRAPPED = {
    name
    for line in re.findall(r"^(.*): WRAP\b", (SOURCES / "Makefile").read_text(), re.MULTILINE)
    for name in re.findall(r"\$\(BUILD\)/(\w+)", line)
}
THREADED = ("batches", "pool", "record", "restart", "stress", "threads", "triggers")
PLAIN = ("cancel", "cancelled")  # sanitizers do not follow the stack of a thread that is cancelled
# Tests that must fail on Linux, and the reason; docs/kernels.md lists them, too. Those of the
# other kernels are in tests/kqueue/gates.py.
REASON = "a child registers by number, and only the parent's set knew the file of a closed one"
LIMITS = {"test_child_does_not_take_a_reused_number_for_the_closed_file": REASON}
ON_LINUX = sys.platform == "linux"
# What takes longest begins first.
LONG = ("watchdog", "pool", "strange", "forks")


def marks_of(program, name):
    if ON_LINUX and name in LIMITS:
        return [pytest.mark.xfail(reason=LIMITS[name], strict=True)]
    if not ON_LINUX and program in LINUX_ONLY:
        return [pytest.mark.skip("it is about calls and files that only Linux has")]
    return []


TESTS = [
    pytest.param(source.stem, name, marks=marks_of(source.stem, name))
    for source in sorted(SOURCES.glob("*.c"))
    for name in re.findall(r"^static void\s(test_\w+)\(void\)", source.read_text(), re.MULTILINE)
]


@functools.cache
def can_sanitize(sanitizer):
    program = "int main(void) { return 0; }"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, f"-fsanitize={sanitizer}", "-xc", "-", "-o", "/dev/null"]
    return subprocess.run(command, input=program, text=True, capture_output=True).returncode == 0


@functools.cache
def can_wrap():
    command = [*shlex.split(os.environ.get("CC", "cc")), "-Wl,--wrap=free", "-xc", "-"]
    program = "int main(void) { return 0; }"
    with tempfile.NamedTemporaryFile() as output:
        command += ["-o", output.name]
        result = subprocess.run(command, input=program, text=True, capture_output=True)
    return result.returncode == 0


def sanitizer_of(test, program):
    if test is test_c_without_a_race:
        return THREADS
    return MEMORY if program not in PLAIN and can_sanitize(MEMORY) else ""


def lacking(program, sanitizer):
    """Why it cannot be built."""
    if program in WRAPPED and not can_wrap():
        return "the linker cannot replace functions (--wrap): Apple's has no such option"
    if sanitizer == THREADS and not can_sanitize(THREADS):
        return "the C compiler cannot link -fsanitize=thread: install libtsan (gcc) or compiler-rt"
    return None


@pytest.fixture(scope="module")
def runs(request):
    """The programs of the selected tests, each run once with these."""
    selected = collections.defaultdict(lambda: collections.defaultdict(list))
    for item in request.session.items:
        if item.path == request.path and not item.get_closest_marker("skip"):
            program, name = item.callspec.params["program"], item.callspec.params["name"]
            sanitizer = sanitizer_of(item.function, program)
            if lacking(program, sanitizer) is None:
                selected[sanitizer][program].append(name)
    with programs.Runs() as runs:
        for sanitizer, names in selected.items():
            programs.make(SOURCES, BUILD, f"SANITIZE={sanitizer}", *names)
            for program in sorted(names, key=lambda program: program not in LONG):
                # A forked child cannot join the threads of its parent.
                command = [BUILD / (sanitizer or "plain") / program, *names[program]]
                runs.start((sanitizer, program), *command, TSAN_OPTIONS="report_thread_leaks=0")
        yield runs


def check(runs, test, program, name):
    sanitizer = sanitizer_of(test, program)
    if reason := lacking(program, sanitizer):
        pytest.skip(reason)
    runs.check((sanitizer, program), name)


@pytest.mark.parametrize(("program", "name"), TESTS)
def test_c(runs, program, name):
    check(runs, test_c, program, name)


@pytest.mark.parametrize(
    ("program", "name"), [test for test in TESTS if test.values[0] in THREADED]
)
def test_c_without_a_race(runs, program, name):
    check(runs, test_c_without_a_race, program, name)
