# SPDX-License-Identifier: MIT
"""Set-up uses what is installed, and prints the exact command to run if it cannot install
something.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def set_up(*arguments, **environment):
    return subprocess.run(
        ["tools/setup.sh", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_with_everything_present_nothing_is_fetched(tmp_path):
    log = tmp_path / "fetched"
    for name in ("apt-get", "pip"):
        command = tmp_path / name
        command.write_text(f"#!/bin/sh\necho {name} >>{log}\nexit 1\n", encoding="utf-8")
        command.chmod(0o755)
    result = set_up("test", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not log.exists()


def test_a_missing_item_is_named_with_the_command_that_installs_it():
    result = set_up("check", "lua", "lua_headers", LUA="lua9.9")
    assert result.returncode == 1
    assert "missing: lua lua_headers" in result.stderr
    assert "run as root: apt-get install liblua9.9-dev lua9.9" in result.stderr


SYSTEMS = {
    "FreeBSD": "run as root: pkg install lua99",
    "DragonFly": "run as root: pkg install lua99",
    "NetBSD": "run as root: pkgin install lua99",
    "OpenBSD": "run as root: pkg_add lua%9.9",
    "Darwin": "run: brew install lua@9.9",
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_on_other_systems_the_command_is_that_of_their_packages(system):
    result = set_up("check", "lua", "lua_headers", LUA="lua9.9", SYSTEM=system)
    assert result.returncode == 1
    assert result.stderr == f"setup: missing: lua lua_headers\nsetup: {SYSTEMS[system]}\n"


def test_another_make_says_that_gnu_make_is_needed():
    if shutil.which("bmake") is None:
        pytest.skip("needs the program bmake (apt-get install bmake)")
    result = subprocess.run(["bmake", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert "run gmake instead of make" in result.stderr


def test_an_unknown_command_is_refused():
    result = set_up("everything")
    assert result.returncode == 2
    assert "no such command: everything" in result.stderr
