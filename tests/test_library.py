# SPDX-License-Identifier: MIT
"""The installed C library as other programs find it: by pkg-config and by CMake; and its binary
interface, which stays compatible as long as the number in its SONAME does.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hardening import readelf, symbols
from installing import MAKE, ROOT, run, version, without_paths

HEADER = (ROOT / "core" / "readyq.h").read_text(encoding="utf-8")
SONAME = f"libreadyq.so.{version().split('.')[0]}"
COMPILER = shlex.split(os.environ.get("CC", "cc"))

PROGRAM = """
#include <readyq.h>
#include <stdio.h>
#if READYQ_VERSION_NUMBER < 0x000100
#error
#endif
int main(void)
{
    readyq *q;
    if (readyq_open(&q, NULL) < 0)
        return 1;
    printf("%s %s %d.%d.%d", READYQ_VERSION, readyq_version(), READYQ_VERSION_NUMBER >> 16,
           READYQ_VERSION_NUMBER >> 8 & 255, READYQ_VERSION_NUMBER & 255);
    return readyq_close(q);
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.13)
project(program C)
find_package(readyq {wanted} REQUIRED)
foreach(kind readyq readyq_static)
    add_executable(${{kind}} program.c)
    target_link_libraries(${{kind}} readyq::${{kind}})
endforeach()
"""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installation that was moved."""
    folder = tmp_path_factory.mktemp("library")
    first, prefix = folder / "first", folder / "usr"
    run(MAKE, "-s", "install-c", f"PREFIX={first}", cwd=ROOT, env=without_paths())
    return first.rename(prefix)


def check(program, prefix, *, static):
    """The program runs on the installed library, and its versions agree."""
    environment = {**without_paths(), "LD_LIBRARY_PATH": "" if static else str(prefix / "lib")}
    assert run(program, env=environment).split() == [version()] * 3
    needed = re.findall(r"NEEDED.*\[(.+)\]", readelf("--dynamic", program))
    assert (SONAME in needed) == (not static)


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_a_program_is_built_with_the_flags_of_pkg_config(prefix, tmp_path, static):
    if shutil.which("pkg-config") is None:
        pytest.skip("needs the program pkg-config (apt-get install pkg-config)")
    command = ["pkg-config", "--define-prefix", "--cflags", "--libs", "readyq"]
    folder = prefix / "lib" / "pkgconfig"
    words = run(*command, *["--static"] * static, env={**os.environ, "PKG_CONFIG_PATH": folder})
    words = shlex.split(words)
    if static:
        assert "-pthread" in words
        words = [word if word != "-lreadyq" else "-l:libreadyq.a" for word in words]
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text(PROGRAM, encoding="utf-8")
    run(*COMPILER, source, *words, "-o", program)
    check(program, prefix, static=static)


def configure(folder, prefix, wanted):
    if shutil.which("cmake") is None:
        pytest.skip("needs the program cmake (apt-get install cmake, or pip install cmake)")
    (folder / "program.c").write_text(PROGRAM, encoding="utf-8")
    project = PROJECT.format(wanted=wanted)
    (folder / "CMakeLists.txt").write_text(project, encoding="utf-8")
    command = ["cmake", "-S", folder, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}"]
    command = list(map(str, command))
    return subprocess.run(command, capture_output=True, text=True, env=without_paths())


def test_a_program_is_built_with_the_targets_of_cmake(prefix, tmp_path):
    result = configure(tmp_path, prefix, "0.1")
    assert result.returncode == 0, result.stderr
    run("cmake", "--build", tmp_path, env=without_paths())
    check(tmp_path / "readyq", prefix, static=False)
    check(tmp_path / "readyq_static", prefix, static=True)


@pytest.mark.parametrize("wanted", ["0.99", "1.0"])
def test_cmake_refuses_a_version_that_is_older_or_incompatible(prefix, tmp_path, wanted):
    result = configure(tmp_path, prefix, wanted)
    assert result.returncode != 0
    assert f"version: {version()}" in " ".join(result.stderr.split())


def test_the_soname_has_the_major_version(prefix):
    library = prefix / "lib" / "libreadyq.so"
    assert f"[{SONAME}]" in readelf("--dynamic", library)
    assert Path(os.readlink(library)).name == SONAME
    assert library.resolve().name == f"libreadyq.so.{version()}"


def test_it_exports_the_functions_of_the_header_and_nothing_else(prefix):
    names = set(re.findall(r"^READYQ_API .*?(readyq_\w+)\(", HEADER, re.MULTILINE))
    assert symbols(prefix / "lib" / "libreadyq.so")[0] == names


def test_debians_packages_have_its_version_and_its_functions():
    debian = ROOT / "debian"
    assert (debian / "changelog").read_text().startswith(f"readyq ({version()}-")
    lines = (debian / "libreadyq0.symbols").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"{SONAME} libreadyq{SONAME.rpartition('.')[2]} #MINVER#"
    names = {line.split("@")[0].strip() for line in lines if "@Base" in line}
    assert names == set(re.findall(r"^READYQ_API .*?(readyq_\w+)\(", HEADER, re.MULTILINE))


def compare(library, reference):
    command = ["tools/abi.sh", "compare", str(library), str(reference)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return result.returncode, result.stdout + result.stderr


needs_abidiff = pytest.mark.skipif(
    shutil.which("abidiff") is None, reason="needs abidiff (apt-get install abigail-tools)"
)


@needs_abidiff
def test_the_binary_interface_is_that_of_the_reference():
    if ".debug_info" not in readelf("--sections", ROOT / "build" / "libreadyq.so"):
        pytest.skip("needs a library with debug information: -g in CFLAGS")
    code, text = compare(ROOT / "build" / "libreadyq.so", ROOT / "packaging" / "libreadyq.abi")
    assert code == 0, text


INTERFACE = """
struct readyq_watch {{ int fd; void *data; {member} }};
int readyq_add(struct readyq_watch *w);
"""


@needs_abidiff
@pytest.mark.parametrize(
    ("member", "more", "soname", "code", "words"),
    [
        ("", "first", "libx.so.0", 0, ""),
        ("", "first later", "libx.so.0", 1, "make abi"),
        ("", "", "libx.so.0", 2, "readyq_first"),
        ("long more;", "first", "libx.so.0", 2, "long int more"),
        ("", "first", "libx.so.1", 2, "SONAME"),
    ],
    ids=["same", "addition", "removal", "another-layout", "another-soname"],
)
def test_a_change_of_the_binary_interface_is_found(tmp_path, member, more, soname, code, words):
    def build(name, soname, member, more):
        (tmp_path / "readyq.h").write_text(INTERFACE.format(member=member), encoding="utf-8")
        code = '#include "readyq.h"\nint readyq_add(struct readyq_watch *w) { return w->fd; }\n'
        for one in more.split():
            code += f"int readyq_{one}(int n); int readyq_{one}(int n) {{ return n; }}\n"
        source, library = tmp_path / f"{name}.c", tmp_path / f"{name}.so"
        source.write_text(code, encoding="utf-8")
        options = ("-g", "-shared", "-fPIC", f"-Wl,-soname,{soname}")
        run(*COMPILER, *options, source, "-o", library)
        return library

    reference = tmp_path / "reference.abi"
    old = build("old", "libx.so.0", "", "first")
    run(ROOT / "tools/abi.sh", "renew", old, reference, cwd=ROOT)
    result, text = compare(build("new", soname, member, more), reference)
    assert result == code, text
    assert words in text
