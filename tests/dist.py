# SPDX-License-Identifier: MIT
"""Checks the packages that `make dist` built: that none is missing, that the wheels need nothing
newer than their names say and work, that the package for luarocks is built for each Lua, and that
the checksums and the list of contents are right. `make test-dist` and `make release` run it. It is
no part of `make test`, since building all packages takes minutes.

READYQ_DIST is the folder (dist/).
"""

import hashlib
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from hardening import GUARDS, guards, symbols

ROOT = Path(__file__).resolve().parent.parent
DIST = Path(os.environ.get("READYQ_DIST", ROOT / "dist"))
sys.path.insert(0, str(ROOT / "tools"))

import dist  # noqa: E402
import project  # noqa: E402
import sbom  # noqa: E402
import wheels  # noqa: E402

VERSION = project.version()
WHEELS = sorted(DIST.glob("*.whl"))
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
README = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]


def name_of(wheel):
    return wheel.name.split("-", 2)[2].removesuffix(".whl")


def test_no_package_is_missing():
    names = {path.name for path in DIST.iterdir()}
    assert names >= {
        f"readyq-{VERSION}.tar.gz",
        f"readyq-{VERSION}-source.tar.gz",
        f"readyq-{VERSION}-1.src.rock",
        f"readyq-{VERSION}.cdx.json",
        "SHA256SUMS",
    }
    policies = [one.policy for one in wheels.libraries()]
    built = {name_of(one) for one in WHEELS}
    pythons = {one.split("-")[1] for one in built}
    assert pythons
    for python in pythons:
        for policy in policies:
            assert any(f"-{python}-" in one and policy in one for one in built)
    assert (f"readyq-{VERSION}-1.rockspec" in names) == bool(project.home())


def test_the_checksums_are_those_of_all_files():
    lines = (DIST / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert set(listed) == {path.name for path in DIST.iterdir()} - {"SHA256SUMS"}
    for name, digest in listed.items():
        assert hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest


def test_the_list_of_contents_is_valid_cyclonedx():
    validation = pytest.importorskip(
        "cyclonedx.validation.json", reason="run tools/setup.sh release"
    )
    from cyclonedx.schema import SchemaVersion

    text = (DIST / f"readyq-{VERSION}.cdx.json").read_text(encoding="utf-8")
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    files = {one["name"]: one["hashes"][0]["content"] for one in json.loads(text)["components"]}
    written = {"SHA256SUMS", f"readyq-{VERSION}.cdx.json"}
    assert set(files) == {path.name for path in DIST.iterdir()} - written
    for name, digest in files.items():
        assert sbom.describe(DIST / name)["hashes"][0]["content"] == digest


@pytest.fixture(params=WHEELS, ids=name_of)
def wheel(request, tmp_path):
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    return request.param


def test_auditwheel_agrees_with_the_name_of_the_wheel(wheel):
    command = [sys.executable, "-m", "auditwheel", "show", "--json", wheel]
    shown = json.loads(project.run(*command))
    assert shown["overall_tag"] in wheel.name


def test_the_module_is_hardened_has_no_paths_and_exports_one_name(wheel, tmp_path):
    (module,) = (tmp_path / "readyq").glob("_core*.so")
    assert guards(module) == GUARDS
    assert symbols(module)[0] == {"PyInit__core"}
    content = module.read_bytes()
    for place in (str(Path.home()), str(ROOT), "/tmp/"):
        assert place.encode() not in content
    assert ("musl" in module.name) == (
        "musllinux" in wheel.name and wheel_version(wheel) >= (3, 11)
    )


def wheel_version(wheel):
    major, minor = re.search(r"-cp(\d)(\d+)-", wheel.name).groups()
    return int(major), int(minor)


def test_the_wheel_works_where_its_python_and_c_library_are(wheel, tmp_path):
    tag = wheel.name.split("-")[3]
    python = {one.name: one for one in wheels.installed()}.get(tag)
    if "musllinux" in wheel.name:
        pytest.skip(f"needs a CPython for musl: {tag}")
    if python is None:
        pytest.skip(f"needs the Python {tag}")
    variables = {**project.environment(), "PYTHONPATH": str(tmp_path)}
    command = [python.program, "-W", "error", "-c", README]
    assert project.run(*command, cwd=tmp_path, env=variables) == "a friend says hello\n"


def test_a_second_build_is_the_same_byte_for_byte(tmp_path):
    """Of everything but the wheels, and of the wheels of one Python."""
    if not project.is_repository() or project.git("status", "--porcelain"):
        pytest.skip("needs a clone without changes, of which dist/ was built")
    dist.build(tmp_path / "again", [wheels.installed()[-1]])
    for path in (tmp_path / "again").iterdir():
        if path.suffix not in (".json", "") and (DIST / path.name).exists():
            assert path.read_bytes() == (DIST / path.name).read_bytes(), path.name


LUAS = {
    "lua5.1": "/usr/include/lua5.1",
    "lua5.2": "/usr/include/lua5.2",
    "lua5.3": "/usr/include/lua5.3",
    "lua5.4": "/usr/include/lua5.4",
    "luajit": "/usr/include/luajit-2.1",
}


@pytest.mark.parametrize("lua", LUAS)
def test_luarocks_installs_the_rock_for_each_lua(lua, tmp_path):
    if shutil.which("luarocks") is None:
        pytest.skip("needs the program luarocks (apt-get install luarocks)")
    if shutil.which(lua) is None or not Path(LUAS[lua], "lua.h").exists():
        pytest.skip(f"needs {lua} with its headers")
    number = project.run(lua, "-e", "io.write((_VERSION:gsub('Lua ', '')))")
    rock = DIST / f"readyq-{VERSION}-1.src.rock"
    variables = [f"LUA={shutil.which(lua)}", f"LUA_INCDIR={LUAS[lua]}", "CFLAGS=-O0 -fPIC"]
    call = ["luarocks", f"--lua-version={number}", f"--tree={tmp_path}"]
    project.run(*call, "install", rock, *variables, cwd=tmp_path)
    places = {
        "LUA_PATH": f"{tmp_path}/share/lua/{number}/?.lua",
        "LUA_CPATH": f"{tmp_path}/lib/lua/{number}/?.so",
    }
    code = 'local q = require("readyq").new(); io.write(q:backend()); q:close()'
    assert project.run(lua, "-e", code, env={**project.environment(), **places}, cwd=tmp_path)
    project.run(*call, "remove", "readyq", cwd=tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "readyq" in path.name]
    assert left == []


def test_luarocks_packs_the_rockspec_that_names_a_home(tmp_path):
    """With a clone in place of the public home."""
    if shutil.which("luarocks") is None:
        pytest.skip("needs the program luarocks (apt-get install luarocks)")
    if not project.is_repository():
        pytest.skip("needs a clone of the repository")
    home = tmp_path / "home"
    project.run("git", "clone", "-q", ROOT, home)
    project.git("tag", project.tag(), where=home)
    spec = tmp_path / dist.rockspec_name()
    text = dist.rockspec(ROOT, f"git+file://{home}", project.tag())
    spec.write_text(text, encoding="utf-8")
    project.run("luarocks", "pack", spec, cwd=tmp_path)
    (rock,) = tmp_path.glob("*.src.rock")
    with zipfile.ZipFile(rock) as packed:
        assert any(name.endswith("core/readyq.h") for name in packed.namelist())


def test_the_source_archive_is_the_commit(tmp_path):
    if not project.is_repository():
        pytest.skip("needs the clone that dist/ was built of")
    listed = project.run("tar", "-tzf", DIST / f"readyq-{VERSION}-source.tar.gz").splitlines()
    names = {name.partition("/")[2] for name in listed}
    assert names == set(project.git("ls-tree", "-r", "--name-only", "HEAD").splitlines())
