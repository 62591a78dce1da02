# SPDX-License-Identifier: MIT
"""The libraries built here are hardened, and export no more symbols than necessary."""

import os
import platform
from pathlib import Path

import pytest
from hardening import GUARDS, guards, symbols

import readyq._core

ROOT = Path(__file__).resolve().parent.parent
PYTHON, LUA = Path(readyq._core.__file__), ROOT / "build" / "lua" / "readyq" / "core.so"
LIBRARIES = [ROOT / "build" / "libreadyq.so", PYTHON, LUA]
OPTIMIZED = any(f"-O{level}" in os.environ.get("CFLAGS", "").split() for level in "123s")


@pytest.mark.parametrize("library", LIBRARIES, ids=["c", "python", "lua"])
def test_libraries_are_hardened(library):
    assert guards(library) == GUARDS


@pytest.mark.skipif(
    not OPTIMIZED or platform.libc_ver()[0] != "glibc",
    reason="needs glibc, and a build whose CFLAGS optimize (make check)",
)
@pytest.mark.parametrize("library", LIBRARIES, ids=["c", "python", "lua"])
def test_libraries_use_the_checked_calls_of_the_c_library(library):
    assert "__snprintf_chk" in symbols(library)[1]


@pytest.mark.parametrize(
    ("library", "name"),
    [(PYTHON, "PyInit__core"), (LUA, "luaopen_readyq_core")],
    ids=["python", "lua"],
)
def test_modules_export_only_their_init_function(library, name):
    assert symbols(library)[0] == {name}
