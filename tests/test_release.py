# SPDX-License-Identifier: MIT
"""A release that cannot be made says each reason in one line and changes nothing; one that can be
made passes. Each test has a small clone of its own. What takes a build is in tests/dist.py.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from installing import version

ROOT = Path(__file__).resolve().parent.parent
FILES = ["CHANGELOG.md", "CITATION.cff", "pyproject.toml", "core/readyq.h"]
VERSION = version()
SPEC = f"readyq-{VERSION}-1.rockspec"
CHANGES = f"# Changelog\n\n## [Unreleased]\n\n## [{VERSION}] - 2026-01-31\n\n- The first.\n"
AUTHOR = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgSign=false"]


class Clone:
    def __init__(self, path):
        self.path = path
        for name in [*FILES, SPEC]:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
        (path / ".gitignore").write_text("build/\ndist/\n__pycache__/\n", encoding="utf-8")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "tools", path / "tools", ignore=ignored)
        self.change("CHANGELOG.md", ".*", CHANGES, re.DOTALL)
        self.change(
            "CITATION.cff", "^license:", "date-released: 2026-01-31\nlicense:", re.MULTILINE
        )
        self.git("init", "-q")
        self.commit()

    def git(self, *words):
        command = ["git", "-C", self.path, *AUTHOR, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change")

    def change(self, name, pattern, text, flags=0):
        old = (self.path / name).read_text(encoding="utf-8")
        new = re.sub(pattern, text, old, count=1, flags=flags)
        assert new != old
        (self.path / name).write_text(new, encoding="utf-8")

    def release(self, *arguments, python=sys.executable, **environment):
        """The lines that it says, without those about tools that this machine lacks."""
        before = self.state()
        command = [python, self.path / "tools" / "release.py", *arguments]
        result = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
        )
        assert self.state() == before
        assert result.returncode == bool(result.stderr), result.stderr
        lines = result.stderr.splitlines()
        assert all(line.startswith("release: ") for line in lines), result.stderr
        return [line for line in lines if "setup.sh release" not in line]

    def state(self):
        ignored = self.git("status", "--porcelain", "--ignored").splitlines()
        kept = [line for line in ignored if "build/" not in line and "__pycache__" not in line]
        return self.git("tag"), self.git("rev-parse", "HEAD"), kept


@pytest.fixture
def clone(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs the program git (apt-get install git)")
    return Clone(tmp_path / "clone")


def test_a_clean_tree_passes_every_check(clone):
    assert clone.release(VERSION, "--check") == []


def test_without_a_version_it_says_how_to_give_one(clone):
    assert clone.release() == ["release: say which version: make release RELEASE=1.2.3"]


def test_a_dirty_tree_is_refused(clone):
    (clone.path / "new.c").write_text("", encoding="utf-8")
    assert clone.release(VERSION) == ["release: the tree is not clean: ?? new.c"]


def test_an_existing_tag_is_refused(clone):
    clone.git("tag", f"v{VERSION}")
    assert clone.release(VERSION) == [f"release: the tag v{VERSION} exists"]


def test_a_wrong_version_is_refused_for_each_file_that_has_another(clone):
    assert clone.release("9.8.7")[:3] == [
        f"release: core/readyq.h has version {VERSION}, not 9.8.7",
        "release: there is no readyq-9.8.7-1.rockspec",
        f"release: CITATION.cff has version {VERSION}, not 9.8.7",
    ]
    assert clone.release("1.x")[0] == "release: '1.x' is not a version like 1.2.3"


@pytest.mark.parametrize(
    ("pattern", "text", "line"),
    [
        (r"## \[\d.*\n", "", "CHANGELOG.md has no section"),
        ("- The first.", "", f"the section of {VERSION} in CHANGELOG.md is empty"),
        (r"\[Unreleased\]", "[Unreleased]\n\n- More.", "CHANGELOG.md has changes above"),
        (
            "2026-01-31",
            "2026-01-30",
            "CITATION.cff has the date 2026-01-31, CHANGELOG.md has 2026-01-30",
        ),
    ],
)
def test_an_unfinished_changelog_is_refused(clone, pattern, text, line):
    clone.change("CHANGELOG.md", pattern, text)
    clone.commit()
    (said,) = clone.release(VERSION)
    assert line in said


def test_the_home_is_the_same_everywhere(clone):
    clone.change("pyproject.toml", 'home = ""', 'home = "https://host.invalid/readyq"')
    clone.commit()
    (said,) = clone.release(VERSION)
    assert "CITATION.cff has repository-code '', pyproject.toml home 'https:" in said
    clone.change("CITATION.cff", "type:", "repository-code: https://host.invalid/readyq\ntype:")
    clone.commit()
    assert clone.release(VERSION, "--check") == []


def test_each_missing_tool_is_named_with_the_command_that_installs_it(clone, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("git", "make"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    command = [bare / "bin" / "python", clone.path / "tools" / "release.py", VERSION]
    result = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": str(tmp_path / "bin")}, check=False
    )
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    said = "release: the Python package twine is missing (its description)"
    assert f"{said}: run tools/setup.sh release" in lines
    said = "release: the program luarocks is missing (the package for Lua)"
    assert f"{said}: run tools/setup.sh release" in lines
    assert not any("make" in line for line in lines)
    assert clone.git("tag") == ""


def test_an_unpacked_archive_is_refused(clone):
    shutil.rmtree(clone.path / ".git")
    command = [sys.executable, clone.path / "tools" / "release.py", VERSION]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "release: a release is made in a clone of the repository" in result.stderr


def test_the_list_of_contents_is_valid_and_names_every_file(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import sbom, pathlib; "
    code += "sbom.write(pathlib.Path(sys.argv[2]))"
    for name in ("one.whl", "two.tar.gz"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    for _ in range(2):
        command = [sys.executable, "-c", code, ROOT / "tools", tmp_path]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
        subprocess.run(command, check=True, env=environment)
        path = tmp_path / f"readyq-{VERSION}.cdx.json"
        text = path.read_text(encoding="utf-8")
        path.unlink()
    document = json.loads(text)
    assert [one["name"] for one in document["components"]] == ["one.whl", "two.tar.gz"]
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert document["metadata"]["component"]["version"] == VERSION


def test_wheels_are_built_with_the_headers_of_debians_python(tmp_path):
    """Which are in two directories below /usr/include, where zig does not look."""
    headers = tmp_path / "include" / "x86_64-linux-gnu" / "python3.9"
    headers.mkdir(parents=True)
    (headers / "pyconfig.h").write_text("", encoding="utf-8")
    code = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import wheels; "
    code += "python = wheels.Python('', (3, 9), False, '', sys.argv[2] + '/include/python3.9'); "
    code += "wheels.add_headers(pathlib.Path(sys.argv[2], 'found'), python)"
    subprocess.run([sys.executable, "-c", code, ROOT / "tools", tmp_path], check=True)
    assert (tmp_path / "found" / "x86_64-linux-gnu" / "python3.9" / "pyconfig.h").exists()
    assert (tmp_path / "found" / "sys" / "single_threaded.h").exists()
