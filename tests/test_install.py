# SPDX-License-Identifier: MIT
"""The installed files work away from the source tree, and are removed without a trace."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from installing import MAKE, ROOT, copy_sources, run, version, without_paths

VENV_PYTHON = ROOT / "build" / "venv" / "bin" / "python"
LUA = os.environ.get("LUA", "lua5.4")


def find_with_setuptools():
    check = "import setuptools as s; assert int(s.__version__.split('.')[0]) >= 77; import pip"
    for python in (sys.executable, VENV_PYTHON):
        if Path(python).exists():
            result = subprocess.run([python, "-c", check], capture_output=True, check=False)
            if result.returncode == 0:
                return python
    return None


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    install("install", prefix)
    return prefix


def install(what, prefix, *options, sources=ROOT):
    run(MAKE, "-s", what, f"PREFIX={prefix}", *options, cwd=sources, env=without_paths())


def paths_of_lua(prefix):
    (share,) = (prefix / "share" / "lua").iterdir()
    (lib,) = (prefix / "lib" / "lua").iterdir()
    return {**without_paths(), "LUA_PATH": f"{share}/?.lua", "LUA_CPATH": f"{lib}/?.so"}


def test_lua_runs_on_the_installed_modules(prefix):
    code = 'for _, name in ipairs {"loop", "select", "repl"} do require("readyq." .. name) end '
    code += 'local readyq = require("readyq"); readyq.new():close(); io.write(readyq.VERSION)'
    assert run(LUA, "-e", code, env=paths_of_lua(prefix), cwd=prefix) == version()


def run_python(prefix, code):
    (site,) = prefix.glob("lib*/python*/*-packages")
    environment = {**without_paths(), "PYTHONPATH": str(site)}
    return run(sys.executable, "-c", code, env=environment, cwd=prefix)


def test_python_runs_on_the_installed_package(prefix):
    code = "import readyq, readyq.timeline, importlib.metadata as m; readyq.Queue().close(); "
    code += "print(readyq.__file__, readyq.__version__, m.version('readyq'))"
    file, core, package = run_python(prefix, code).split()
    assert file.startswith(f"{prefix}/")
    assert core == package == version()


def test_what_is_installed_of_the_python_package_is_what_pip_installs(prefix):
    names = {path.name for path in prefix.glob("lib/python*/*/readyq/**/*.*")}
    package = ROOT / "python" / "readyq"
    kinds = (".py", ".pyi", ".css", ".js")
    assert names >= {path.name for path in package.rglob("*.*") if path.suffix in kinds}
    assert names >= {"py.typed"}
    metadata = next(prefix.glob("lib/python*/*/readyq-*.dist-info/METADATA")).read_text()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for field in ("description", "requires-python", "license"):
        value = re.search(rf'^{field} = "(.+)"', project, re.MULTILINE)[1]
        assert f": {value}\n" in metadata


def test_licence_and_manual_pages_are_installed(prefix):
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (prefix / "share/doc/readyq/LICENSE").read_text(encoding="utf-8") == licence
    pages = {page.name for page in (prefix / "share" / "man" / "man3").iterdir()}
    assert {"readyq.3", "readyq_wait.3", "readyq_explain.3"} <= pages


def tree_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_uninstall_leaves_no_trace(tmp_path):
    """Nor does it remove what was there, or what others put into directories that install made."""
    for name in ("share/man/man3/mine.3", "lib/empty/", "include/readyq.d/other.h"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("mine")
    before = tree_of(tmp_path)
    install("install", tmp_path)
    install("install", tmp_path)
    run_python(tmp_path, "import readyq.timeline")  # compiles what it imports
    older = tmp_path / "lib" / "libreadyq.so.0.0.1"
    older.write_text("of an older version")
    with (tmp_path / "share/doc/readyq/installed").open("a", encoding="utf-8") as installed:
        installed.write(f"{older}\n")
    assert len(tree_of(tmp_path)) > len(before) + 100
    install("uninstall", tmp_path)
    assert tree_of(tmp_path) == before

    install("install-c", tmp_path)
    (tmp_path / "lib" / "pkgconfig" / "other.pc").write_text("mine")
    install("uninstall", tmp_path)
    assert tree_of(tmp_path) == sorted([*before, "lib/pkgconfig", "lib/pkgconfig/other.pc"])


def test_uninstall_of_nothing_says_so(tmp_path):
    command = (MAKE, "-s", "uninstall", f"PREFIX={tmp_path}")
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=without_paths())
    assert "nothing is installed there" in result.stderr
    assert tree_of(tmp_path) == []


def test_the_prefix_must_be_absolute(tmp_path):
    command = (MAKE, "-s", "install-c", "PREFIX=somewhere")
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=without_paths())
    assert result.returncode != 0
    assert "must be absolute" in result.stderr
    assert not (ROOT / "somewhere").exists()


def test_each_part_is_installed_without_the_other_languages(tmp_path):
    sources = copy_sources(tmp_path / "sources")
    options = ("CC=cc", "CFLAGS=-O0 -g0")
    for part, without, expected in (
        ("install-c", ("PYTHON=none", "LUA=none"), {"lib/libreadyq.a", "include/readyq.h"}),
        ("install-python", ("LUA=none",), {"share/doc/readyq/LICENSE"}),
        ("install-lua", ("PYTHON=none",), {"share/doc/readyq/LICENSE"}),
    ):
        prefix = tmp_path / part
        prefix.mkdir()
        install(part, prefix, *without, *options, sources=sources)
        assert expected <= set(tree_of(prefix))
        assert (prefix / "include").exists() == (part == "install-c")
    run_python(tmp_path / "install-python", "import readyq; readyq.Queue().close()")
    environment = paths_of_lua(tmp_path / "install-lua")
    run(LUA, "-e", 'require("readyq").new():close()', env=environment, cwd=tmp_path)


def test_gnu_names_of_directories_and_destdir_are_honoured(tmp_path):
    stage = tmp_path / "stage"
    where = "prefix=/opt/readyq libdir=/opt/readyq/lib64 includedir=/opt/inc mandir=/man"
    options = (f"DESTDIR={stage}", *where.split())
    run(MAKE, "-s", "install", *options, cwd=ROOT, env=without_paths())
    assert {path.name for path in stage.iterdir()} == {"opt", "man"}
    for name in ("lib64/libreadyq.a", "lib64/cmake/readyq/readyqConfig.cmake"):
        assert (stage / "opt/readyq" / name).exists()
    assert (stage / "opt/inc/readyq.h").exists()
    assert (stage / "man/man3/readyq.3").exists()
    text = (stage / "opt/readyq/lib64/pkgconfig/readyq.pc").read_text(encoding="utf-8")
    assert "prefix=/opt/readyq\nlibdir=${prefix}/lib64\nincludedir=/opt/inc\n" in text
    for path in stage.rglob("*"):
        if path.is_file() and path.suffix not in (".so", ".pyc") and ".so." not in path.name:
            assert str(stage).encode() not in path.read_bytes(), path
    run(MAKE, "-s", "uninstall", *options, cwd=ROOT, env=without_paths())
    assert tree_of(stage) == []


def test_python_package_is_built_and_found_away_from_its_sources(tmp_path):
    python = find_with_setuptools()
    if python is None:
        pytest.skip("setuptools 77 or later is missing: run make setup")
    sources = copy_sources(tmp_path / "sources")
    target = tmp_path / "target"
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--target", target)
    quickly = {**without_paths(), "CFLAGS": "-O0 -g0"}  # speed does not matter here
    run(python, "-m", "pip", "-q", "install", *options, sources, env=quickly)
    code = "import readyq; q = readyq.Queue(); print(readyq.__file__, q.backend); q.close()"
    environment = {**without_paths(), "PYTHONPATH": str(target)}
    assert run(sys.executable, "-c", code, env=environment, cwd=tmp_path).startswith(str(target))
    assert {path.name for path in (target / "readyq").iterdir()} >= {"_core.pyi", "py.typed"}
    assert next(target.glob("readyq-*.dist-info")).name == f"readyq-{version()}.dist-info"


HEADERS = {
    "lua5.1": "/usr/include/lua5.1",
    "lua5.2": "/usr/include/lua5.2",
    "lua5.3": "/usr/include/lua5.3",
    "lua5.4": "/usr/include/lua5.4",
    "luajit": "/usr/include/luajit-2.1",
}
FOUND = [
    lua for lua, headers in HEADERS.items() if shutil.which(lua) and Path(headers, "lua.h").exists()
]
# luarocks finds each Lua by its version; of two that share one it must be told which.
VARIABLES = {"luajit": (f"LUA={shutil.which('luajit')}", f"LUA_INCDIR={HEADERS['luajit']}")}
QUICK = "CFLAGS=-O0 -g0 -fPIC"  # speed does not matter here


@pytest.fixture
def luarocks():
    if shutil.which("luarocks") is None:
        pytest.skip("luarocks is missing: apt-get install luarocks")
    return "luarocks"


@pytest.mark.parametrize("name", ["scm-1", f"{version()}-1"])
def test_rockspecs_pass_luarocks_lint(luarocks, name):
    run(luarocks, "lint", ROOT / f"readyq-{name}.rockspec")


def number_of(lua):
    return run(lua, "-e", "io.write((_VERSION:gsub('Lua ', '')))")


def check_tree(lua, tree):
    """The modules that luarocks installed into the tree work with this Lua."""
    number = number_of(lua)
    environment = {
        **without_paths(),
        "LUA_PATH": f"{tree}/share/lua/{number}/?.lua",
        "LUA_CPATH": f"{tree}/lib/lua/{number}/?.so",
    }
    code = 'for _, name in ipairs {"loop", "select", "repl"} do require("readyq." .. name) end '
    code += 'local q = require("readyq").new(); io.write(q:backend()); q:close()'
    assert run(lua, "-e", code, env=environment, cwd=tree) != ""


def test_the_rockspec_of_the_newest_sources_differs_in_its_version_alone():
    released, newest = (
        (ROOT / f"readyq-{name}.rockspec").read_text(encoding="utf-8")
        for name in (f"{version()}-1", "scm-1")
    )
    assert newest == released.replace(f'"{version()}-1"', '"scm-1"')


def test_one_copy_of_the_sources_is_built_for_one_lua_after_another_and_packed(luarocks, tmp_path):
    """What luarocks installed from it works, and so does what it packed of that, without them."""
    sources, packed = copy_sources(tmp_path / "sources"), tmp_path / "packed"
    packed.mkdir()
    for lua in FOUND:
        call = (luarocks, f"--lua-version={number_of(lua)}", f"--tree={tmp_path / lua}")
        options = (f"readyq-{version()}-1.rockspec", QUICK, *VARIABLES.get(lua, ()))
        run(*call, "make", *options, cwd=sources, env=without_paths())
        check_tree(lua, tmp_path / lua)
    shutil.rmtree(sources)
    for lua in FOUND:
        call = (luarocks, f"--lua-version={number_of(lua)}")
        pack = ("pack", "readyq", f"{version()}-1")
        run(*call, f"--tree={tmp_path / lua}", *pack, cwd=packed, env=without_paths())
        (rock,) = packed.glob("readyq-*.rock")
        other = tmp_path / f"other-{lua}"
        run(*call, f"--tree={other}", "install", rock, cwd=packed, env=without_paths())
        check_tree(lua, other)
        rock.unlink()


def test_packed_sources_are_installed_by_luarocks_away_from_the_tree(luarocks, tmp_path):
    sources = copy_sources(tmp_path / "sources")
    packed = sources / run(MAKE, "-s", "rock", cwd=sources, env=without_paths()).strip()
    rock = shutil.move(packed, tmp_path)
    shutil.rmtree(sources)
    lua, tree = FOUND[-1], tmp_path / "tree"
    install = (luarocks, f"--lua-version={number_of(lua)}", f"--tree={tree}", "install", rock)
    run(*install, QUICK, *VARIABLES.get(lua, ()), cwd=tmp_path, env=without_paths())
    check_tree(lua, tree)


def test_make_env_lets_both_languages_find_what_was_built(tmp_path):
    script = f"""
        eval "$({MAKE} -s -C '{ROOT}' env)"
        '{sys.executable}' -c 'import readyq; print(readyq.__file__)'
        '{LUA}' -e 'print(require("readyq") ~= nil)'
    """
    assert run("sh", "-ec", script, cwd=tmp_path, env=without_paths()).splitlines() == [
        f"{ROOT}/python/readyq/__init__.py",
        "true",
    ]


def test_test_run_uses_what_was_built_in_place():
    found = Path(importlib.util.find_spec("readyq._core").origin)
    assert found.parent == ROOT / "python" / "readyq"
