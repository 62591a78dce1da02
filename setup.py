# SPDX-License-Identifier: MIT
"""Builds readyq._core. What describes the package is in pyproject.toml, its version in readyq.h."""

import re
from glob import glob
from pathlib import Path

from setuptools import Extension, setup

header = Path("core/readyq.h").read_text(encoding="utf-8")
version = re.search(r'^#define READYQ_VERSION "(.+)"', header, re.MULTILINE)

setup(
    version=version[1],
    ext_modules=[
        Extension(
            "readyq._core",
            sources=sorted(glob("core/*.c") + glob("bindings/python/*.c")),
            depends=sorted(glob("core/*.h") + glob("bindings/python/*.h")),
            include_dirs=["core"],
            define_macros=[("_GNU_SOURCE", "1"), ("READYQ_STATIC", "1")],
            extra_compile_args=["-std=c11", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread"],
        )
    ],
)
