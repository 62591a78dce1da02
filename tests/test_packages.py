# SPDX-License-Identifier: MIT
"""The source package holds all that its wheel is built from, and the wheel all that it needs."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import readyq

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv" / "bin" / "python"
NEEDS = """
import build.__main__, setuptools
assert int(setuptools.__version__.split(".")[0]) >= 77
"""


def find_builder():
    for python in (sys.executable, VENV):
        if Path(python).exists():
            result = subprocess.run([python, "-c", NEEDS], capture_output=True, check=False)
            if result.returncode == 0:
                return python
    return None


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The source package, and the wheel that is built from it alone."""
    python = find_builder()
    if python is None:
        pytest.skip("needs the Python packages build and setuptools 77 (make setup)")
    built = ("build", ".git", "*.so", "__pycache__", "*.egg-info", ".*_cache")
    folder = tmp_path_factory.mktemp("packages")
    sources = shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(*built))
    command = [python, "-m", "build", "--no-isolation", "-o", folder / "dist", sources]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    return next((folder / "dist").glob("*.tar.gz")), next((folder / "dist").glob("*.whl"))


def test_both_are_of_the_version_in_the_header(packages):
    sdist, wheel = packages
    assert sdist.name == f"readyq-{readyq.__version__}.tar.gz"
    assert wheel.name.startswith(f"readyq-{readyq.__version__}-cp")


def test_the_source_package_has_every_source(packages):
    with tarfile.open(packages[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for pattern in ("core/*.[ch]", "bindings/python/*.[ch]", "python/readyq/*.py*"):
        for path in ROOT.glob(pattern):
            if "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT)) in names
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.py"} <= names


def test_the_wheel_works_away_from_its_sources(packages, tmp_path):
    target = tmp_path / "unpacked"
    with zipfile.ZipFile(packages[1]) as archive:
        archive.extractall(target)
    names = {path.name for path in (target / "readyq").iterdir()}
    expected = {path.name for path in (ROOT / "python" / "readyq").glob("*.py*")}
    assert names >= expected - {"__pycache__"} | {"py.typed"}
    code = "import readyq, asyncio; readyq.run(asyncio.sleep(0)); print(readyq.__version__)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert result.stdout.strip() == readyq.__version__, result.stderr
