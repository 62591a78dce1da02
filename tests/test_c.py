# SPDX-License-Identifier: MIT
"""The C tests, tests/c/*.c: each of their functions is a test here.

They are built with AddressSanitizer and UndefinedBehaviorSanitizer where the compiler has them
(without where coverage is measured); those about threads also with ThreadSanitizer. One test alone,
once they are built: `build/tests/address,undefined/flow test_...`.
"""

import fcntl
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import pytest
from kqueue.gates import LINUX_ONLY

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "c"
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
# A forked child cannot join the threads of its parent.
ENVIRONMENT = {**os.environ, "TSAN_OPTIONS": "report_thread_leaks=0"}


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


@functools.cache
def build(program, sanitizer):
    make = os.environ.get("MAKE", "make")
    command = [make, "-s", "-C", str(SOURCES), f"SANITIZE={sanitizer}", program]
    (ROOT / "build" / "tests").mkdir(parents=True, exist_ok=True)
    with open(ROOT / "build" / "tests" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one tree build one after the other
        result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / "build" / "tests" / (sanitizer or "plain") / program


def run(program, sanitizer, name):
    if program in WRAPPED and not can_wrap():
        pytest.skip("the linker cannot replace functions (--wrap): Apple's has no such option")
    command = [build(program, sanitizer), name]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("program", "name"), TESTS)
def test_c(program, name):
    run(program, MEMORY if program not in PLAIN and can_sanitize(MEMORY) else "", name)


@pytest.mark.parametrize(
    ("program", "name"), [test for test in TESTS if test.values[0] in THREADED]
)
def test_c_without_a_race(program, name):
    if not can_sanitize(THREADS):
        pytest.skip(
            "the C compiler cannot link -fsanitize=thread: install libtsan (gcc) or compiler-rt"
        )
    run(program, THREADS, name)
