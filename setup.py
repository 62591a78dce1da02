# SPDX-License-Identifier: MIT
"""Builds readyq._core. The package is described in pyproject.toml, its version is in readyq.h. The
address of the repository is read here, since it may be empty.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path

from setuptools import Extension, setup

if sys.version_info < (3, 9):  # noqa: UP036
    sys.exit("readyq needs CPython 3.9 or later")


def accepted(*flags):
    """Those of the flags that the compiler and the linker know."""
    return flags if takes(*flags) else [flag for flag in flags if takes(flag)]


def takes(*flags):
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    program = "int main(void) { return 0; }"
    with tempfile.TemporaryDirectory() as folder:
        command = [*compiler, "-Werror", *flags, "-xc", "-", "-o", f"{folder}/program"]
        try:
            result = subprocess.run(command, input=program, text=True, capture_output=True)
        except OSError:
            return False
    return result.returncode == 0


def fortified():
    """The C library's own checks, which need an optimizing compiler."""
    flags = f"{sysconfig.get_config_var('CFLAGS')} {os.environ.get('CFLAGS', '')}"
    levels = re.findall(r"(?<!\S)-O(\S*)", flags)
    if not levels or levels[-1] == "0":
        return []
    return ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]


# What the modules of GNUmakefile are hardened with, too.
compile_guards = ("-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection")
if sys.platform == "darwin":  # it is for x86_64 only, and a Python may build for both at once
    compile_guards = compile_guards[:-1]
link_guards = ("-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack")
# A signal handler of the library can stay below another program's handler: it is never unloaded.
stay_loaded = ("-Wl,-z,nodelete",)


def read(path, pattern):
    return re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)[1]


home = read("pyproject.toml", r'^home = "(.*)"')

setup(
    version=read("core/readyq.h", r'^#define READYQ_VERSION "(.+)"'),
    project_urls={"Source": home} if home else {},
    ext_modules=[
        Extension(
            "readyq._core",
            sources=sorted(glob("core/**/*.c", recursive=True) + glob("bindings/python/*.c")),
            depends=sorted(glob("core/**/*.h", recursive=True) + glob("bindings/python/*.h")),
            include_dirs=["core"],
            define_macros=[("_GNU_SOURCE", "1"), ("READYQ_STATIC", "1")],
            extra_compile_args=[
                "-std=c11",
                "-fvisibility=hidden",
                "-pthread",
                *fortified(),
                *accepted(*compile_guards),
            ],
            extra_link_args=["-pthread", *accepted(*link_guards), *accepted(*stay_loaded)],
        )
    ],
)
