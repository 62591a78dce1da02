# SPDX-License-Identifier: MIT
"""Set-up uses what is installed, and prints the exact command to run if it cannot install
something.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def set_up(*arguments, tree=ROOT, **environment):
    return subprocess.run(
        ["tools/setup.sh", *arguments],
        cwd=tree,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def commands(tmp_path):
    """A folder with package managers that only write down that they were called, and fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("apt-get", "pip", "npm", "go"):
        command = folder / name
        command.write_text(f"#!/bin/sh\necho {name} >>{folder}/called\nexit 1\n", encoding="utf-8")
        command.chmod(0o755)
    return folder


def tree_with(folder, extras):
    """A tree with set-up alone, which installs these extras for `make test`."""
    text = (ROOT / "tools" / "setup.sh").read_text(encoding="utf-8")
    text, found = re.subn(r'^extras="[^"]*"', f'extras="{extras}"', text, flags=re.MULTILINE)
    assert found == 1
    script = folder / "tools" / "setup.sh"
    script.parent.mkdir()
    script.write_text(text, encoding="utf-8")
    script.chmod(0o755)
    return folder


def test_with_everything_present_nothing_is_fetched(tmp_path, commands):
    tree = tree_with(tmp_path, "make compiler lua")
    path = f"{commands}:{os.environ['PATH']}"
    result = set_up("test", tree=tree, PATH=path, PYTHON=sys.executable)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not (commands / "called").exists()


def test_what_only_some_tests_use_is_tried_once(tmp_path, commands):
    tree = tree_with(tmp_path, "speedscope")  # which npm installs
    path = f"{commands}:{os.environ['PATH']}"
    for _ in range(2):
        result = set_up("test", tree=tree, PATH=path, PYTHON=sys.executable)
        assert result.returncode == 0, result.stderr
        assert (commands / "called").read_text(encoding="utf-8") == "npm\n"


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
