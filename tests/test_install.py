# SPDX-License-Identifier: MIT
"""The installed files work away from the source tree: C library, Lua modules, both packages."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENV_PYTHON = ROOT / "build" / "venv" / "bin" / "python"
LUA = os.environ.get("LUA", "lua5.4")
MAKE = os.environ.get("MAKE", "make")  # GNU make, which is gmake on the BSDs
PATHS = ("PYTHONPATH", "LUA_PATH", "LUA_CPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")

PROGRAM = """
#include <readyq.h>
#include <stdio.h>
int main(void)
{
    readyq *q;
    if (readyq_open(&q, NULL) < 0)
        return 1;
    printf("%s %s", READYQ_VERSION, readyq_backend(q));
    return readyq_close(q);
}
"""


def run(*command, **options):
    command = [str(word) for word in command]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def version():
    header = (ROOT / "core" / "readyq.h").read_text(encoding="utf-8")
    return re.search(r'^#define READYQ_VERSION "(.+)"', header, re.MULTILINE)[1]


def copy_sources(target):
    """A tree without build products, as a user has it after unpacking the sources."""
    built = ("build", ".git", "*.so", "__pycache__", "*.egg-info", ".*_cache")
    return shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*built))


def without_paths():
    """The environment without the in-place build on any search path."""
    return {name: value for name, value in os.environ.items() if name not in PATHS}


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
    run(MAKE, "-s", "install", f"PREFIX={prefix}", cwd=ROOT, env=without_paths())
    return prefix


def flags(prefix, *, static):
    """The values of the pkg-config file, read as pkg-config reads it."""
    text = (prefix / "lib" / "pkgconfig" / "readyq.pc").read_text(encoding="utf-8")
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    fields = dict(re.findall(r"^([\w.]+): (.*)$", text, re.MULTILINE))
    assert fields["Version"] == version()
    line = f"{fields['Cflags']} {fields['Libs']} {fields['Libs.private'] if static else ''}"
    for name in ("libdir", "includedir"):
        line = line.replace(f"${{{name}}}", values[name])
    return shlex.split(line)


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_c_program_runs_on_the_installed_library(prefix, tmp_path, static):
    source = tmp_path / "program.c"
    source.write_text(PROGRAM, encoding="utf-8")
    words = flags(prefix, static=static)
    if static:
        archive = str(prefix / "lib" / "libreadyq.a")
        words = [archive if word == "-lreadyq" else word for word in words]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    run(*compiler, source, *words, "-o", tmp_path / "program")
    environment = {**without_paths(), "LD_LIBRARY_PATH": "" if static else str(prefix / "lib")}
    assert run(tmp_path / "program", env=environment).split()[0] == version()


def test_shared_library_shows_only_public_names(prefix):
    if shutil.which("nm") is None:
        pytest.skip("nm is missing: install binutils")
    lines = run("nm", "-D", "--defined-only", prefix / "lib" / "libreadyq.so").splitlines()
    names = {line.split()[-1] for line in lines}
    header = (ROOT / "core" / "readyq.h").read_text(encoding="utf-8")
    assert names == set(re.findall(r"^READYQ_API .*?(readyq_\w+)\(", header, re.MULTILINE))


def test_lua_runs_on_the_installed_modules(prefix):
    share, lib = prefix / "share" / "lua", prefix / "lib" / "lua"
    number = next(share.iterdir()).name
    environment = {
        **without_paths(),
        "LUA_PATH": f"{share}/{number}/?.lua",
        "LUA_CPATH": f"{lib}/{number}/?.so",
    }
    code = 'for _, name in ipairs {"loop", "select", "repl"} do require("readyq." .. name) end '
    code += 'local q = require("readyq").new(); io.write(q:backend()); q:close()'
    assert run(LUA, "-e", code, env=environment, cwd=prefix) != ""


def test_manual_pages_are_installed(prefix):
    pages = {page.name for page in (prefix / "share" / "man" / "man3").iterdir()}
    assert {"readyq.3", "readyq_wait.3", "readyq_explain.3"} <= pages


def test_staged_install_stays_in_its_directory(tmp_path):
    stage = tmp_path / "stage"
    arguments = (f"DESTDIR={stage}", "PREFIX=/opt/readyq")
    run(MAKE, "-s", "install", *arguments, cwd=ROOT, env=without_paths())
    assert [path.name for path in stage.iterdir()] == ["opt"]
    text = (stage / "opt/readyq/lib/pkgconfig/readyq.pc").read_text(encoding="utf-8")
    assert "prefix=/opt/readyq\n" in text
    assert str(stage) not in text


def test_python_package_is_built_and_found_away_from_its_sources(tmp_path):
    python = find_with_setuptools()
    if python is None:
        pytest.skip("setuptools 77 or later is missing: run make setup")
    sources = copy_sources(tmp_path / "sources")
    target = tmp_path / "target"
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--target", target)
    run(python, "-m", "pip", "-q", "install", *options, sources, env=without_paths())
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
QUICK = "CFLAGS=-O0 -fPIC"  # speed does not matter here


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


def test_the_newest_sources_are_built_by_luarocks(luarocks, tmp_path):
    sources = copy_sources(tmp_path / "sources")
    lua, tree = FOUND[0], tmp_path / "tree"
    make = (luarocks, f"--lua-version={number_of(lua)}", f"--tree={tree}", "make")
    options = (QUICK, *VARIABLES.get(lua, ()))
    run(*make, "readyq-scm-1.rockspec", *options, cwd=sources, env=without_paths())
    check_tree(lua, tree)


def test_one_copy_of_the_sources_is_built_for_one_lua_after_another(luarocks, tmp_path):
    sources = copy_sources(tmp_path / "sources")
    for lua in FOUND:
        tree = tmp_path / lua
        make = (luarocks, f"--lua-version={number_of(lua)}", f"--tree={tree}", "make")
        options = (f"readyq-{version()}-1.rockspec", QUICK, *VARIABLES.get(lua, ()))
        run(*make, *options, cwd=sources, env=without_paths())
        check_tree(lua, tree)


def test_packed_sources_are_installed_by_luarocks_away_from_the_tree(luarocks, tmp_path):
    sources = copy_sources(tmp_path / "sources")
    packed = sources / run(MAKE, "-s", "rock", cwd=sources, env=without_paths()).strip()
    rock = shutil.move(packed, tmp_path)
    shutil.rmtree(sources)
    lua, tree = FOUND[-1], tmp_path / "tree"
    install = (luarocks, f"--lua-version={number_of(lua)}", f"--tree={tree}", "install", rock)
    run(*install, QUICK, *VARIABLES.get(lua, ()), cwd=tmp_path, env=without_paths())
    check_tree(lua, tree)


@pytest.mark.parametrize("lua", FOUND)
def test_an_installed_rock_is_packed_by_luarocks(luarocks, tmp_path, lua):
    sources = copy_sources(tmp_path / "sources")
    tree, other = tmp_path / "tree", tmp_path / "other"
    call = (luarocks, f"--lua-version={number_of(lua)}")
    options = (f"readyq-{version()}-1.rockspec", QUICK, *VARIABLES.get(lua, ()))
    run(*call, f"--tree={tree}", "make", *options, cwd=sources, env=without_paths())
    check_tree(lua, tree)
    shutil.rmtree(sources)
    pack = (*call, f"--tree={tree}", "pack", "readyq", f"{version()}-1")
    run(*pack, cwd=tmp_path, env=without_paths())
    (rock,) = tmp_path.glob("readyq-*.rock")
    run(*call, f"--tree={other}", "install", rock, cwd=tmp_path, env=without_paths())
    check_tree(lua, other)


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
