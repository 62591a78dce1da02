# SPDX-License-Identifier: MIT
"""`make test-stdlib`: CPython's own tests of selectors and asyncio, with readyq.Selector in place
of every selector and with the stock selectors. Fails unless both ran and passed the same tests.
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).with_name("suite.py")

# Tests of CPython for its epoll selector alone, which readyq contradicts by its promises: a file,
# which the kernel refuses, is always ready, as with the poll and select selectors.
DIFFERENT = {"test.test_selectors.EpollSelectorTestCase.test_register_file"}

# Tests that skip themselves unless the class has the name of one of CPython's own.
BY_NAME = "test_modify_unregister"


def run(module, selector):
    result = subprocess.run(
        [sys.executable, str(SUITE), module, selector],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=900,
        check=False,
    )
    try:
        counts = json.loads(result.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"{module} on {selector} did not run:\n{result.stdout}{result.stderr}")
    if set(counts["failed"]) - DIFFERENT:
        print(result.stderr)
    return counts


def compare(module):
    stock, ours = run(module, "stock"), run(module, "readyq")
    failed = set(ours["failed"]) - DIFFERENT
    skipped = {name for name in ours["skipped"] if not name.endswith(BY_NAME)}
    same = stock["run"] == ours["run"] and skipped <= set(stock["skipped"])
    for name, counts in (("stock", stock), ("readyq", ours)):
        print(
            f"{module} on {name}: {counts['run']} run, {len(counts['failed'])} failed, "
            f"{len(counts['skipped'])} skipped",
            flush=True,
        )
    for name in sorted(set(ours["failed"]) & DIFFERENT):
        print(f"  by promise: {name}")
    for name in sorted(failed - set(stock["failed"])):
        print(f"  FAILED on readyq alone: {name}")
    return same and not failed - set(stock["failed"])


def main():
    try:
        import test.test_asyncio
        import test.test_selectors  # noqa: F401
    except ImportError as error:
        sys.exit(
            f"test-stdlib: this Python has no tests of its own ({error}); Debian's are in the "
            "package libpython3-testsuite"
        )
    print(platform.python_implementation(), platform.python_version(), flush=True)
    modules = sys.argv[1:] or ["test_selectors", "test_asyncio"]
    results = [compare(module) for module in modules]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
