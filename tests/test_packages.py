# SPDX-License-Identifier: MIT
"""The source package builds and tests itself, and the wheel contains everything it needs."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
import pythons
from hardening import GUARDS, guards, symbols
from installing import copy_sources

import readyq

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv" / "bin" / "python"
TIMELINE = "python/readyq/timeline/*.*"
NEEDS = """
import build.__main__, setuptools
assert int(setuptools.__version__.split(".")[0]) >= 77
"""


class Packages(NamedTuple):
    sources: Path
    sdist: Path
    wheel: Path


def find_builder():
    for python in (sys.executable, VENV):
        if Path(python).exists():
            result = subprocess.run([python, "-c", NEEDS], capture_output=True, check=False)
            if result.returncode == 0:
                return python
    return None


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A copy of this tree, the source package made of it, and the wheel built only from that."""
    python = find_builder()
    if python is None:
        pytest.skip("needs the Python packages build and setuptools 77 (make setup)")
    folder = tmp_path_factory.mktemp("packages")
    sources = copy_sources(folder / "sources")
    command = [python, "-m", "build", "--no-isolation", "-o", folder / "dist", sources]
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, "CFLAGS": "-O0 -g0"},  # speed does not matter here
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (sdist,), (wheel,) = ((folder / "dist").glob(one) for one in ("*.tar.gz", "*.whl"))
    return Packages(sources, sdist, wheel)


def test_both_are_of_the_version_in_the_header(packages):
    assert packages.sdist.name == f"readyq-{readyq.__version__}.tar.gz"
    assert packages.wheel.name.startswith(f"readyq-{readyq.__version__}-cp")


def names_in(sdist):
    with tarfile.open(sdist) as archive:
        return {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}


def kept(names):
    """All but the settings of the host and of editors, and what setuptools writes."""
    others = r"\.ci/|\.github/|\.editorconfig$|\.gitignore$"
    written = r"PKG-INFO$|setup\.cfg$|python/readyq\.egg-info/"
    return {name for name in names if not re.match(f"{others}|{written}", name)}


def test_the_source_package_is_the_repository(packages):
    files = (path for path in packages.sources.rglob("*") if path.is_file())
    names = {str(path.relative_to(packages.sources)) for path in files}
    assert kept(names_in(packages.sdist)) == kept(names)


def test_the_source_package_tests_itself(packages, tmp_path):
    """With the wheel that was built from it, and nothing of this tree."""
    subprocess.run(["tar", "-xf", packages.sdist, "-C", tmp_path], check=True)
    (sources,) = tmp_path.glob("readyq-*")
    with zipfile.ZipFile(packages.wheel) as archive:
        archive.extractall(tmp_path / "site")
    site = str(tmp_path / "site")
    command = [sys.executable, "-m", "pytest", "-q", "tests/python/test_time.py"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=sources,
        env={**os.environ, "PYTHONPATH": site, "READYQ_PACKAGE": site},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\d+ passed", result.stdout)


def test_the_wheel_works_away_from_its_sources(packages, tmp_path):
    target = tmp_path / "unpacked"
    with zipfile.ZipFile(packages.wheel) as archive:
        archive.extractall(target)
    package = target / "readyq"
    names = {str(path.relative_to(target)) for path in package.rglob("*")}
    for pattern in ("python/readyq/*.py*", TIMELINE, "python/readyq/py.typed"):
        for path in ROOT.glob(pattern):
            if "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT / "python")) in names
    assert use(sys.executable, tmp_path, target) == [readyq.__version__, str(package)]


def use(python, folder, *paths):
    """The version and the path of the package that a Python finds, after it has run a loop."""
    code = "import readyq, asyncio; readyq.run(asyncio.sleep(0)); "
    code += "print(readyq.__version__, *readyq.__path__)"
    result = subprocess.run(
        [python, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_the_metadata_of_the_wheel_is_complete(packages):
    with zipfile.ZipFile(packages.wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Requires-Python"] == ">=3.9"
    assert metadata["License-Expression"] == "MIT"
    needed = metadata.get_all("Requires-Dist")
    assert needed
    assert all(one.endswith('; extra == "prompt"') for one in needed)
    classifiers = metadata.get_all("Classifier")
    version = "Programming Language :: Python :: {}.{}"
    assert version.format(*sys.version_info) in classifiers
    assert "Typing :: Typed" in classifiers
    assert metadata.get_payload().startswith("# readyq")


@pytest.mark.parametrize("home", ["", "https://host.invalid/readyq"])
def test_the_metadata_name_the_home_once_there_is_one(packages, tmp_path, home):
    sources = tmp_path / "sources"
    shutil.copytree(packages.sources, sources, ignore=shutil.ignore_patterns("tests", "docs"))
    description = sources / "pyproject.toml"
    text = re.sub('^home = ".*"', f'home = "{home}"', description.read_text("utf-8"), flags=re.M)
    description.write_text(text, encoding="utf-8")
    code = "import setuptools.build_meta as b; b.prepare_metadata_for_build_wheel('made')"
    (sources / "made").mkdir()
    subprocess.run([find_builder(), "-c", code], cwd=sources, check=True, capture_output=True)
    (written,) = sources.glob("made/*.dist-info/METADATA")
    metadata = email.message_from_bytes(written.read_bytes())
    assert metadata.get_all("Project-URL", []) == ([f"Source, {home}"] if home else [])


def test_the_wheel_needs_the_c_library_alone(packages, tmp_path):
    python = pythons.find("auditwheel")
    path = os.pathsep.join([str(Path(python).parent), os.environ["PATH"]])
    command = [python, "-m", "auditwheel", "repair", "-w", tmp_path, packages.wheel]
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (repaired,) = tmp_path.glob("*.whl")
    assert re.search(r"-(many|musl)linux_", repaired.name)
    with zipfile.ZipFile(repaired) as archive:
        assert not any(".libs/" in name for name in archive.namelist())
        archive.extractall(tmp_path / "site")
    place = str(tmp_path / "site" / "readyq")
    assert use(sys.executable, tmp_path, tmp_path / "site") == [readyq.__version__, place]


def test_the_wheels_module_is_hardened_and_exports_only_its_init_function(packages, tmp_path):
    with zipfile.ZipFile(packages.wheel) as archive:
        archive.extractall(tmp_path)
    (module,) = (tmp_path / "readyq").glob("_core*.so")
    assert guards(module) == GUARDS
    assert symbols(module)[0] == {"PyInit__core"}


def test_pip_installs_it_editable_without_isolation(packages, tmp_path):
    subprocess.run(["tar", "-xf", packages.sdist, "-C", tmp_path], check=True)
    (sources,) = tmp_path.glob("readyq-*")
    builder = find_builder()
    setuptools = subprocess.check_output(
        [builder, "-c", "import setuptools as s; print(*s.__path__)"], text=True
    )
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "home"], check=True)
    python = tmp_path / "home" / "bin" / "python"
    quickly = {"CFLAGS": "-O0 -g0", "PYTHONPATH": str(Path(setuptools).parent)}
    command = [python, "-m", "pip", "install", "--no-build-isolation", "--no-index", "-e", sources]
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, **quickly},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert use(python, tmp_path) == [readyq.__version__, str(sources / "python" / "readyq")]
