# SPDX-License-Identifier: MIT
"""The C tests, tests/c/*.c: each of their functions is a test here, run on every backend.

They are built with AddressSanitizer and UndefinedBehaviorSanitizer where the compiler has them
(plainly where coverage is measured); those about threads once more with ThreadSanitizer. One alone,
when they are built: `build/tests/address,undefined/flow epoll test_...`.
"""

import ctypes
import fcntl
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import gates
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "c"
MEMORY, THREADS = "" if "COVERAGE" in os.environ else "address,undefined", "thread"
THREADED = ("threads", "stress", "triggers")
# About the core or the system alone, or slow: on the default backend only.
ONCE = ("sandbox", "stress", "test_hundred_thousand", "test_two_hundred_thousand")
# A forked child cannot join the threads of its parent.
ENVIRONMENT = {**os.environ, "TSAN_OPTIONS": "report_thread_leaks=0"}


def works(backend):
    """Whether the kernel has it and permits it. The pair is a struct readyq_options."""
    queue = ctypes.c_void_p()
    options = (ctypes.c_char_p * 2)(backend.encode(), None)
    library = ctypes.CDLL(str(ROOT / "build" / "libreadyq.so"))
    if library.readyq_open(ctypes.byref(queue), options) < 0:
        return False
    library.readyq_close(queue)
    return True


BACKENDS = [name for name in ("epoll", "io_uring", "kqueue") if works(name)]
TESTS = [
    (source.stem, name)
    for source in sorted(SOURCES.glob("*.c"))
    for name in re.findall(r"^static void (test_\w+)\(void\)", source.read_text(), re.MULTILINE)
]


@functools.cache
def can_sanitize(sanitizer):
    program = "int main(void) { return 0; }"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, f"-fsanitize={sanitizer}", "-xc", "-", "-o", "/dev/null"]
    return subprocess.run(command, input=program, text=True, capture_output=True).returncode == 0


@functools.cache
def build(program, sanitizer):
    command = ["make", "-s", "-C", str(SOURCES), f"SANITIZE={sanitizer}", program]
    (ROOT / "build" / "tests").mkdir(parents=True, exist_ok=True)
    with open(ROOT / "build" / "tests" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one tree build one after the other
        result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / "build" / "tests" / (sanitizer or "plain") / program


def once_or_on(backend, program, name):
    if program == "meanwhile" and backend == "kqueue":
        return False  # libkqueue makes its calls itself: nothing happens beside them
    return backend == BACKENDS[0] or not (program in ONCE or name.startswith(ONCE))


def on_each_backend(tests):
    return [
        pytest.param(*test, backend, marks=gates.marks(backend, "c/{}/{}".format(*test)))
        for test in tests
        for backend in BACKENDS
        if once_or_on(backend, *test)
    ]


def run(program, sanitizer, backend, name):
    command = [build(program, sanitizer), backend, name]
    seconds = gates.SECONDS if gates.find(backend, f"c/{program}/{name}") else 60
    environment = {**ENVIRONMENT, "TEST_SECONDS": str(seconds)}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("program", "name", "backend"), on_each_backend(TESTS))
def test_c(program, name, backend):
    run(program, MEMORY if can_sanitize(MEMORY) else "", backend, name)


# kqueue on Linux is libkqueue, whose locks ThreadSanitizer does not see.
@pytest.mark.parametrize(
    ("program", "name", "backend"),
    [
        case
        for case in on_each_backend(test for test in TESTS if test[0] in THREADED)
        if not (sys.platform == "linux" and case.values[2] == "kqueue")
    ],
)
def test_c_without_a_race(program, name, backend):
    if not can_sanitize(THREADS):
        pytest.skip(
            "the C compiler cannot link -fsanitize=thread: install libtsan (gcc) or compiler-rt"
        )
    run(program, THREADS, backend, name)
