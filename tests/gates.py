# SPDX-License-Identifier: MIT
"""The gates: which tests cannot pass on which kernel, and why, as gates.txt lists it.

A test behind a gate is expected to fail: one that passes is an error, so that a gate which is no
longer needed goes; only what fails "at times" may do both, and what would end the whole run is "not
run". `make gates` prints the table as docs/kernels.md shows it.
"""

import fnmatch
import pathlib
import sys
from typing import NamedTuple

FILE = pathlib.Path(__file__).with_name("gates.txt")
TIMES, NEVER = ", at times", ", not run"
SECONDS = 3  # for a test behind a gate, which may fail by never ending


class Gate(NamedTuple):
    backend: str
    where: str
    tests: str
    reason: str


def read():
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return [Gate(*map(str.strip, line.split("|"))) for line in lines if not line.startswith("#")]


def is_here(where):
    """kqueue is libkqueue where the system is Linux, and the system's own elsewhere."""
    system = where.removesuffix(TIMES).removesuffix(NEVER)
    return sys.platform == {"Linux": "linux", "libkqueue": "linux"}.get(system, system)


def find(backend, test):
    """The gate of a test, `language/file/function`, or None."""
    for gate in read():
        if gate.backend == backend and is_here(gate.where):
            for pattern in gate.tests.split():
                if fnmatch.fnmatchcase(test, pattern):
                    return gate
    return None


def marks(backend, test):
    """pytest's marks for a test on a backend."""
    import pytest

    gate = find(backend, test)
    if gate is None:
        return []
    strict, run = not gate.where.endswith(TIMES), not gate.where.endswith(NEVER)
    return [pytest.mark.xfail(reason=gate.reason, strict=strict, run=run)]


def table():
    """The gates in Markdown."""
    rows = [("backend", "where", "tests", "reason"), ("---",) * 4]
    for gate in read():
        tests = "<br>".join(f"`{pattern}`" for pattern in gate.tests.split())
        rows.append(gate._replace(tests=tests))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    print(table(), end="")
