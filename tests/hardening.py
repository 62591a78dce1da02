# SPDX-License-Identifier: MIT
"""Reads a shared library with readelf: the symbols it exports and uses, and its hardening."""

import shutil
import subprocess

import pytest

GUARDS = {"immediate binding", "read-only relocations", "no executable stack", "stack protector"}


def readelf(option, path):
    if shutil.which("readelf") is None:
        pytest.skip("needs the program readelf, and libraries in ELF (apt-get install binutils)")
    command = ["readelf", "-W", option, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(path):
    """The names that it exports, and those that it takes from other libraries."""
    rows = [line.split() for line in readelf("--dyn-syms", path).splitlines()]
    rows = [row for row in rows if len(row) >= 8 and row[4] in ("GLOBAL", "WEAK")]
    names = [(row[6] == "UND", row[7].partition("@")[0]) for row in rows]
    return {name for taken, name in names if not taken}, {name for taken, name in names if taken}


def guards(path):
    segments = [line.split() for line in readelf("--program-headers", path).splitlines()]
    stacks = [row[6] for row in segments if row[:1] == ["GNU_STACK"]]
    found = {
        "immediate binding": "BIND_NOW" in readelf("--dynamic", path),
        "read-only relocations": any(row[:1] == ["GNU_RELRO"] for row in segments),
        "no executable stack": stacks == ["RW"],
        "stack protector": "__stack_chk_fail" in symbols(path)[1],
    }
    return {name for name, holds in found.items() if holds}
