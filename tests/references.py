# SPDX-License-Identifier: MIT
"""Finds references that are never released: `make references`.

Builds the binding for a debug CPython, which counts all references, and runs each test of
tests/python in it several times, like `-R` of CPython's own tests: a test fails if there are more
references after each round than before it. This file is the program, and in that interpreter it is
also pytest's plugin. PYTHON_DEBUG names another interpreter than python3-dbg.
"""

import array
import gc
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "build" / "references"
WARMING, ROUNDS = 3, 4  # the caches of the interpreter and of pytest fill first
FLAGS = "-std=c11 -D_GNU_SOURCE -DPy_DEBUG -fPIC -shared -fvisibility=hidden -pthread -O1".split()


def find_debug():
    """An interpreter that counts references, and the directory of its headers."""
    question = "import sys, sysconfig; sys.gettotalrefcount(); print(sysconfig.get_path('include'))"
    for name in (os.environ.get("PYTHON_DEBUG", "python3-dbg"), sys.executable):
        if shutil.which(name) is not None:
            asked = subprocess.run([name, "-c", question], capture_output=True, text=True)
            if asked.returncode == 0:
                return name, asked.stdout.strip()
    sys.exit("references: no debug CPython: apt-get install python3-dbg, or set PYTHON_DEBUG")


def build(include):
    package = PACKAGE / "readyq"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for path in ROOT.glob("python/readyq/*.py"):
        (package / path.name).symlink_to(path)
    sources = [*ROOT.glob("core/**/*.c"), *ROOT.glob("bindings/python/*.c")]
    command = [os.environ.get("CC", "cc"), *FLAGS, "-isystem", include, f"-I{ROOT}/core"]
    command += [*map(str, sources), "-o", str(package / "_core.so")]
    subprocess.run(command, check=True)


def main():
    python, include = find_debug()
    build(include)
    places = [PACKAGE, ROOT / "tests", sysconfig.get_path("purelib")]  # pytest works in any Python
    command = [python, "-m", "pytest", "-p", "references", "-q", "--tb=short"]
    tests = sys.argv[1:] or [str(ROOT / "tests" / "python")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    return subprocess.run([*command, *tests], env=environment).returncode


# ------------------------------------------------------------------ the plugin


def growth(counts):
    """The smallest growth in a round."""
    return min(after - before for before, after in zip(counts[WARMING - 1 :], counts[WARMING:]))


def pytest_runtest_protocol(item, nextitem):
    if "python" in item.fixturenames:  # the test runs another process
        return None
    from _pytest.runner import runtestprotocol

    counts = array.array("q", bytes(8 * (WARMING + ROUNDS)))
    for number in range(len(counts)):
        following = None if number + 1 < len(counts) else nextitem
        reports = runtestprotocol(item, log=False, nextitem=following)
        if not all(report.passed for report in reports):
            break
        re.purge()
        gc.collect()
        counts[number] = sys.gettotalrefcount()
    else:
        if growth(counts) > 0:
            reports[1].outcome = "failed"
            reports[1].longrepr = f"references are left behind in each round: {list(counts)}"
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


if __name__ == "__main__":
    sys.exit(main())
