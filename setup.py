# SPDX-License-Identifier: MIT
"""Builds readyq._core. What describes the package is in pyproject.toml, its version in readyq.h."""

import re
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup


def libkqueue(option):
    """What pkg-config says of libkqueue, which is kqueue on Linux; nothing where there is none."""
    if sys.platform != "linux" or shutil.which("pkg-config") is None:
        return []
    command = ["pkg-config", option, "libkqueue"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.split() if result.returncode == 0 else []


header = Path("core/readyq.h").read_text(encoding="utf-8")
kqueue = libkqueue("--libs")
version = re.search(r'^#define READYQ_VERSION "(.+)"', header, re.MULTILINE)

setup(
    version=version[1],
    ext_modules=[
        Extension(
            "readyq._core",
            sources=sorted(glob("core/*.c") + glob("bindings/python/*.c")),
            depends=sorted(glob("core/*.h") + glob("bindings/python/*.h")),
            include_dirs=["core"],
            define_macros=[
                ("_GNU_SOURCE", "1"),
                ("READYQ_STATIC", "1"),
                *([("READYQ_LIBKQUEUE", "1")] if kqueue else []),
            ],
            extra_compile_args=[
                "-std=c11",
                "-fvisibility=hidden",
                "-pthread",
                *libkqueue("--cflags"),
            ],
            extra_link_args=["-pthread", *kqueue],
            runtime_library_dirs=libkqueue("--variable=libdir"),
        )
    ],
)
