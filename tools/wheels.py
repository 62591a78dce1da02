# SPDX-License-Identifier: MIT
"""Builds the wheels for Linux on this processor from a source package, one for each Python and C
library: manylinux2014 (glibc 2.17 and later) and musllinux_1_2 (musl 1.2 and later). The compiler
is zig's, which has the symbols of both libraries in each version, so that no old system is needed.
The wheels for other processors and for macOS are built by .github/workflows/wheels.yml.

    build/venv/bin/python tools/wheels.py SDIST FOLDER [PYTHON...]

Without PYTHON it takes each CPython 3.9 and later that it finds, one for each version. Two runs
make the same files, byte for byte: the tools have fixed versions (tools/setup.sh, SETUPTOOLS
below), every time is that of the commit, and none of the machine's paths is in the modules.
"""

import glob
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from project import FailedError, environment, run

# zig's copy of this header reports with an error that glibc before 2.32 has no such header, where
# real systems have no such file. The wheels then take every lock, as on such a system.
NO_SINGLE_THREADED = "#define __libc_single_threaded 0\n"
SETUPTOOLS = "setuptools==82.0.1"  # the last that runs on all of the Pythons
OLDEST = (3, 9)
FLAGS = "-O2 -g0"
ASK = """
import sys, sysconfig, os
of = sysconfig.get_config_var
include = sysconfig.get_path("include")
headers = os.path.exists(os.path.join(include, "Python.h"))
print(sys.implementation.name, *sys.version_info[:3], int(bool(of("Py_GIL_DISABLED"))),
      int(bool(of("Py_DEBUG"))), int(headers), of("EXT_SUFFIX"), include)
"""


class Python(NamedTuple):
    program: str
    version: tuple
    free_threaded: bool
    suffix: str  # of a module for glibc
    include: str

    @property
    def name(self):
        return "cp{}{}".format(*self.version) + "t" * self.free_threaded


class Library(NamedTuple):
    """A C library that wheels are built for."""

    policy: str
    target: str

    def suffix(self, python):
        # From 3.11 on, CPython tells the C libraries apart.
        if "musl" in self.policy and python.version >= (3, 11):
            return python.suffix.replace("-linux-gnu", "-linux-musl")
        return python.suffix


def libraries():
    machine = platform.machine()
    return [
        Library(f"manylinux2014_{machine}", f"{machine}-linux-gnu.2.17"),
        # -dynamic: otherwise zig would build a whole static musl to link what setup.py tries.
        Library(f"musllinux_1_2_{machine}", f"{machine}-linux-musl -dynamic"),
    ]


def ask(program):
    """The Python that this program is, or None if no wheel can be built for it."""
    result = subprocess.run([program, "-c", ASK], capture_output=True, text=True, check=False)
    words = result.stdout.strip().split(" ", 8)
    if result.returncode != 0 or len(words) != 9 or words[0] != "cpython":
        return None
    numbers = tuple(map(int, words[1:4]))
    free_threaded, debug, headers = (word == "1" for word in words[4:7])
    if numbers < OLDEST or debug or not headers:
        return None
    return numbers, Python(program, numbers[:2], free_threaded, *words[7:])


def installed():
    """The newest Python of each version that is on the path or in pyenv."""
    programs = glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python"))
    for folder in dict.fromkeys([*os.get_exec_path(), "/usr/bin", "/usr/local/bin"]):
        programs += glob.glob(f"{folder}/python3.*[0-9]") + glob.glob(f"{folder}/python3.*[0-9]t")
    found = {}
    for numbers, python in filter(None, map(ask, dict.fromkeys(programs))):
        if python.name not in found or numbers > found[python.name][0]:
            found[python.name] = numbers, python
    return sorted((python for _, python in found.values()), key=lambda one: one[1:3])


def named(program):
    """The Python of this path or name. pyenv's python3.12 on the path may be one that it refuses to
    run here, but has.
    """
    found = ask(shutil.which(program) or program)
    if found is not None:
        return found[1]
    for python in installed():
        if program == "python{}.{}".format(*python.version) + "t" * python.free_threaded:
            return python
    raise FailedError(f"{program} is not a CPython 3.9 or later with its headers")


def build(sdist, folder, pythons=None):
    """Builds all wheels into the folder, and returns their paths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    built = []
    for python in pythons or installed():
        for library in libraries():
            built.append(build_one(sdist, folder, python, library))
            print(f"wheels: {built[-1].name}", flush=True)
    return built


def find_zig():
    import ziglang

    return Path(ziglang.__file__).with_name("zig")


def linker(path, compiler, library):
    """A script that links a module. zig's stub of musl has the name of musl's own installation,
    but auditwheel knows only Alpine's. musl takes each name of this form to mean itself.
    """
    lines = ["#!/bin/sh -e", f'{compiler} -shared -s "$@"']
    if "musl" in library.policy:
        lines.append('while [ "$1" != -o ]; do shift; done')
        name = f"libc.musl-{platform.machine()}.so.1"
        lines.append(f'patchelf --replace-needed libc.so {name} "$2"')
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


def add_headers(folder, python):
    """What zig's headers lack. Debian's pyconfig.h includes the processor's, which is found in
    /usr/include, where the headers of this machine's C library are, too.
    """
    (folder / "sys").mkdir(parents=True)
    (folder / "sys" / "single_threaded.h").write_text(NO_SINGLE_THREADED, encoding="utf-8")
    include = Path(python.include)
    for one in include.parent.glob(f"*-linux-gnu*/{include.name}"):
        (folder / one.parent.name).mkdir()
        (folder / one.parent.name / one.name).symlink_to(one)


def build_one(sdist, folder, python, library):
    with tempfile.TemporaryDirectory() as work:
        headers = Path(work, "headers")
        add_headers(headers, python)
        compiler = f"{find_zig()} cc -target {library.target} -I{headers}"
        constraint = Path(work, "constraint.txt")
        constraint.write_text(SETUPTOOLS + "\n", encoding="utf-8")
        variables = environment(
            CC=compiler,
            LDSHARED=str(linker(Path(work, "link"), compiler, library)),
            CFLAGS=FLAGS,
            SETUPTOOLS_EXT_SUFFIX=library.suffix(python),
            PIP_CONSTRAINT=str(constraint),
            PIP_BUILD_CONSTRAINT=str(constraint),
        )
        pip = [sys.executable, "-m", "pip", "-q", "--python", python.program]
        run(*pip, "wheel", "--no-deps", "--no-cache-dir", "-w", work, sdist, env=variables)
        (raw,) = Path(work).glob("*.whl")
        # auditwheel knows the policies of this machine's C library by name, and finds those of
        # another by what the module needs. It refuses what the oldest system of a policy lacks.
        good = Path(work, "good")
        plat = "auto" if "musl" in library.policy else library.policy
        repair = [sys.executable, "-m", "auditwheel", "repair", "--plat", plat]
        run(*repair, "-w", good, raw, env=variables)
        (good,) = good.glob("*.whl")
        if library.policy not in good.name:
            raise FailedError(f"{good.name} is not a wheel for {library.policy}")
        return Path(shutil.copyfile(good, Path(folder, good.name)))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sdist, folder, *programs = sys.argv[1:]
    os.umask(0o022)  # the files' permissions are in the wheel
    try:
        build(sdist, folder, [named(one) for one in programs])
    except FailedError as error:
        sys.exit(f"wheels: {error}")


if __name__ == "__main__":
    main()
