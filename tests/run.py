# SPDX-License-Identifier: MIT
"""Runs all tests (`make test`): several processes of pytest at a time, because many tests sleep.
Each has a group of test files, and what it prints is shown when it has ended. The last line says
what was skipped, and which commands get it. With JUnit files as arguments it runs nothing, but
counts what they have.
"""

import collections
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "results"
# What takes longest begins first. Each file that is not named here is in the group "tests".
GROUPS = [
    "tests/test_pages.py tests/test_examples.py tests/test_neighbours.py tests/test_races.py",
    "tests/test_lua.py",
    "tests/test_kqueue.py",
    "tests/test_bench.py tests/test_counts.py tests/test_stdlib.py tests/model",
    "tests/test_install.py tests/test_packages.py tests/test_library.py",
    "tests/test_prompt_screen.py tests/test_prompt_lua_screen.py",
    "tests/test_spin.py",
    "tests/test_prompt.py tests/test_prompt_lua.py tests/test_prompt_start.py tests/test_hosts.py",
    "tests",
    "tests/test_c.py",
]
COMMAND = re.compile(
    r"(?:apt(?:-get)?|pip|npm|luarocks) install [-\w.+/ ]*\w|make setup|tools/setup\.sh \w+"
)


def run(number, words):
    begun = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={RESULTS}/tests.{number}.xml"]
    process = subprocess.Popen(
        [*command, "-p", "no:cacheprovider", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process.stdout:
        output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, busy = time.monotonic() - begun, usage.ru_utime + usage.ru_stime
    title = f"{shlex.join(words)} ({seconds:.0f} s, {busy:.0f} s of processor time)"
    print(f"\n---- {title}\n{output}", end="", flush=True)
    return process.returncode == 0


def run_all():
    groups = [group.split() for group in GROUPS]
    named = [path for group in groups for path in group if path != "tests"]
    groups[groups.index(["tests"])] += [f"--ignore={path}" for path in named]
    RESULTS.mkdir(parents=True, exist_ok=True)
    for path in RESULTS.glob("tests.*.xml"):
        path.unlink()
    jobs = int(os.environ.get("JOBS") or (os.cpu_count() or 1) + 1)
    print(f"tests: {len(groups)} groups, {jobs} at a time; this takes minutes", flush=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        passed = all([*pool.map(run, range(len(groups)), groups)])
    counts, skipped, good = count(sorted(RESULTS.glob("tests.*.xml")))
    print(f"\n{counts}\n{skipped}")
    return good and passed


def count(files):
    """Two lines, the results and what was skipped, and whether there are tests and all are good."""
    failed, expected, skips = 0, 0, []
    cases = [case for file in files for case in ElementTree.parse(file).iter("testcase")]
    for case in cases:
        failed += case.find("failure") is not None or case.find("error") is not None
        skip = case.find("skipped")
        if skip is not None and skip.get("type") == "pytest.xfail":
            expected += 1
        elif skip is not None:
            skips.append(skip.get("message"))
    passed = len(cases) - failed - len(skips) - expected
    counts = f"{passed + expected} passed, {failed} failed, {len(skips)} skipped"
    known = f"; {expected} of those passed are failures that this system causes" if expected else ""
    return counts, explain(skips) + known, failed == 0 and passed > 0


def explain(skips):
    """The commands that get what was missing, and for how many tests."""
    commands = collections.Counter(match[0] for match in map(COMMAND.search, skips) if match)
    parts = [f"{number} run after `{command}`" for command, number in commands.most_common()]
    others = len(skips) - sum(commands.values())
    if others:
        parts.append(f"{others} need what no command here gets (reasons: above)")
    return f"skipped: {'; '.join(parts) or 'nothing'}"


def main():
    if not sys.argv[1:]:
        sys.exit(not run_all())
    counts, skipped, good = count(sys.argv[1:])
    print(f"{skipped}\n{counts}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
