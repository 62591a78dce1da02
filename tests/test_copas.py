# SPDX-License-Identifier: MIT
"""copas's own tests, with readyq.select in place of LuaSocket's: whatever passes with LuaSocket's
must pass. Packages of copas do not have these tests, so they run only if READYQ_COPAS names a
directory with its sources (conftest.py).
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from test_lua import LUAS, environment, has_module

SOURCES = os.environ["READYQ_COPAS"]
NEEDED = ("socket", "ssl", "binaryheap", "timerwheel")
OUTSIDE = {"request", "httpredirect"}  # they fetch pages from the internet
SLOWLY = 120


def names():
    files = sorted(Path(SOURCES, "tests").glob("*.lua"))
    return [file.stem for file in files if file.stem not in OUTSIDE]


@functools.cache
def missing(lua):
    return [module for module in NEEDED if not has_module(lua, module)]


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """A copy with the certificates that the tests need."""
    copy = tmp_path_factory.mktemp("copas") / "sources"
    shutil.copytree(SOURCES, copy)
    subprocess.run(["make", "certs"], cwd=copy, check=True, capture_output=True)
    return copy


@functools.cache
def run(lua, name, sources, select):
    install = "require 'readyq.select'.install()" if select == "readyq" else ""
    paths = f"{sources}/src/?.lua;{environment(lua)['LUA_PATH']}"
    result = subprocess.run(
        [lua, "-e", install, f"tests/{name}.lua"],
        cwd=sources,
        env={**environment(lua), "LUA_PATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SLOWLY,
    )
    return result.returncode, result.stdout


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("lua", LUAS)
def test_copas_passes_its_own_test(lua, name, sources):
    if missing(lua):
        pytest.skip(f"{lua} has no {', '.join(missing(lua))}: luarocks install copas luasec")
    code, output = run(lua, name, sources, "readyq")
    if code != 0 and run(lua, name, sources, "stock")[0] != 0:
        pytest.skip(f"tests/{name}.lua fails with LuaSocket's own select, too")
    assert code == 0, output
