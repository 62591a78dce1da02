# SPDX-License-Identifier: MIT
"""What the tests of installation share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))

from project import BUILT, version  # noqa: E402, F401

MAKE = os.environ.get("MAKE", "make")  # GNU make, which is gmake on the BSDs
PATHS = ("PYTHONPATH", "LUA_PATH", "LUA_CPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def run(*command, **options):
    command = [str(word) for word in command]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def copy_sources(target):
    """A tree without build products, as a user has it after unpacking the sources."""
    return shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*BUILT))


def without_paths():
    """The environment without the in-place build on any search path."""
    return {name: value for name, value in os.environ.items() if name not in PATHS}
