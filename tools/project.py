# SPDX-License-Identifier: MIT
"""What the tools for packages and releases know about this project, each fact from the only place
that has it: the version from readyq.h, the public home from pyproject.toml, the date from the
commit.

    python3 tools/project.py version|home|epoch     prints it
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "readyq"
SUMMARY = "One event queue over the kernel's own, in C, Python and Lua"
# What a tree contains besides the files of the repository.
BUILT = ("build", "dist", ".git", "*.so", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")


class FailedError(Exception):
    """A sentence for the user."""


def read(path, pattern):
    match = re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ""


def version():
    return read("core/readyq.h", r'^#define READYQ_VERSION "(.+)"')


def home():
    """The address of the public repository; empty if there is none."""
    return read("pyproject.toml", r'^home = "(.*)"')


def tag():
    return f"v{version()}"


def git(*words, where=ROOT):
    command = ["git", "-C", str(where), *words]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FailedError("git is missing") from None
    if result.returncode != 0:
        raise FailedError(f"git {words[0]}: {result.stderr.strip()}")
    return result.stdout.strip()


def is_repository():
    """Whether this tree is a clone, and not an unpacked archive, even inside another clone."""
    return (ROOT / ".git").exists()


def epoch():
    """The time that every packed file gets: SOURCE_DATE_EPOCH, or that of the commit."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    if is_repository():
        return int(git("log", "-1", "--format=%ct"))
    return int((ROOT / "core" / "readyq.h").stat().st_mtime)


def run(*command, **options):
    """Runs a program quietly; what it printed is shown if it fails."""
    command = [str(word) for word in command]
    options = {"env": environment(), **options}
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise FailedError(f"{' '.join(command)}\n{result.stdout}{result.stderr}".rstrip())
    return result.stdout


def environment(**more):
    """The environment, without variables that would find the build in this tree; with this
    Python's programs, and with the time of every packed file.
    """
    paths = ("PYTHONPATH", "LUA_PATH", "LUA_CPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if name not in paths}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "SOURCE_DATE_EPOCH": str(epoch()), **more}


if __name__ == "__main__":
    print({"version": version, "home": home, "epoch": epoch}[sys.argv[1]]())
