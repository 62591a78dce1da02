# SPDX-License-Identifier: MIT
"""Finds invalid memory accesses and leaks: `make memory`.

Runs the C and Lua tests under valgrind, which also detects reads of uninitialised memory, and the
Lua tests with the binding built for AddressSanitizer and LeakSanitizer. (The C tests always run
with these two, see tests/test_c.py.) Under valgrind the results of the tests themselves are
ignored: it is slow, and lacks system calls that some tests need. Prints one line for each of the
three parts. Fails if there is an error, or if nothing was run.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
CONFIG = dict(re.findall(r"^(\w+) = (.*)$", (ROOT / "build" / "config.mk").read_text(), re.M))
SKIPPED = 77  # of tests/lua/run.lua
LUA_FLAGS = "-std=c11 -D_GNU_SOURCE -fPIC -shared -fvisibility=hidden -pthread -g -O1".split()
VALGRIND = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite,indirect"]
VALGRIND += ["--fair-sched=yes"]  # otherwise a thread that yields may be scheduled again at once
# A filter of system calls also applies to valgrind's own. Tests of threads are left to
# ThreadSanitizer, because valgrind runs one thread at a time.
NOT_UNDER_VALGRIND = {"sandbox", "stress", "threads"}


def run(command, **environment):
    """The exit status and the output."""
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=3000,
        env={**os.environ, "TEST_SECONDS": "900", **environment},
    )
    return result.returncode, result.stdout + result.stderr


def run_under_valgrind(name, command, **environment):
    """Whether it found no error in any of the processes, and its reports."""
    logs = ROOT / "build" / "memory" / "valgrind" / name
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    run([*VALGRIND, f"--log-file={logs}/%p", *command], **environment)
    found = [path.read_text(errors="replace") for path in sorted(logs.iterdir())]
    errors = [text for text in found if re.search(r"^==\d+==", text, re.MULTILINE)]
    return bool(found) and not errors, f"{name}: " + "".join(errors)


def in_pairs(function, things):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, things))


def report(name, results):
    """Prints the results, pairs (passed, output). Returns whether all passed."""
    failed = [text for passed, text in results if not passed]
    for text in failed:
        print(text[-5000:])
    print(f"memory: {name}: {len(results)} programs, {len(failed)} with errors")
    return not failed and bool(results)


# ---- C


def try_program(program):
    make = ["make", "-s", "-C", str(TESTS / "c"), "SANITIZE=", program]
    status, text = run(make)
    if status != 0:
        return False, text
    return run_under_valgrind(program, [ROOT / "build" / "tests" / "plain" / program])


def try_c():
    programs = {source.stem for source in (TESTS / "c").glob("*.c")} - NOT_UNDER_VALGRIND
    run(["make", "-s", "-C", str(TESTS / "c"), "SANITIZE=", "bits"])  # the core, once
    return report("C under valgrind", in_pairs(try_program, sorted(programs)))


# ---- Lua


def lua_tests():
    return [
        (source.stem, name)
        for source in sorted((TESTS / "lua").glob("test_*.lua"))
        for name in re.findall(r"^function T\.(test_\w+)\(\)", source.read_text(), re.M)
        if "two_hundred_thousand" not in name
    ]


def build_lua(*flags):
    """Builds the binding and the tests' own modules; returns the directory."""
    directory = ROOT / "build" / "memory" / ("asan" if flags else "plain")
    (directory / "readyq").mkdir(parents=True, exist_ok=True)
    binding = [*(ROOT / "bindings" / "lua").glob("*.c"), *(ROOT / "core").rglob("*.c")]
    for output, sources in {
        "readyq/core.so": binding,
        "unix.so": [TESTS / "lua" / "unix.c"],
        "poor.so": [TESTS / "lua" / "poor.c"],
    }.items():
        command = [os.environ.get("CC", "cc"), *LUA_FLAGS, *flags, *map(str, sources)]
        command += [f"-I{ROOT / 'core'}", f"-I{CONFIG['lua_include']}"]
        subprocess.run([*command, "-o", str(directory / output)], check=True)
    return directory


def lua_command(test):
    return [CONFIG["lua"], TESTS / "lua" / "run.lua", *test]


def lua_paths(directory):
    return {"LUA_PATH": f"{ROOT}/lua/?.lua;;", "LUA_CPATH": f"{directory}/?.so;;"}


def try_lua_under_valgrind():
    paths = lua_paths(build_lua())

    def try_one(test):
        return run_under_valgrind(".".join(test), lua_command(test), **paths)

    return report("Lua under valgrind", in_pairs(try_one, lua_tests()))


def try_lua_with_sanitizers():
    paths = lua_paths(build_lua("-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
    question = [os.environ.get("CC", "cc"), "-print-file-name=libasan.so"]
    library = subprocess.run(question, capture_output=True, text=True).stdout.strip()

    def try_one(test):
        status, text = run(
            lua_command(test), LD_PRELOAD=library, ASAN_OPTIONS="detect_leaks=1", **paths
        )
        return status in (0, SKIPPED), f"{test}: {text}"

    return report("Lua with AddressSanitizer and LeakSanitizer", in_pairs(try_one, lua_tests()))


def main():
    if shutil.which("valgrind") is None:
        sys.exit("memory: missing valgrind: apt-get install valgrind")
    good = [
        try_c(),
        try_lua_under_valgrind(),
        try_lua_with_sanitizers(),
    ]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
