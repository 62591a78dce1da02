# SPDX-License-Identifier: MIT
"""Finds a Python for a test that needs packages besides readyq: the one that runs the tests, the
virtual environment under build/ into which set-up installs packages from PyPI, or the system's, if
it is of the same version; and other versions, for which the package is built into a folder of the
test.
"""

import functools
import glob
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv" / "bin" / "python"
PACKAGE = os.environ.get("READYQ_PACKAGE", str(ROOT / "python"))
SAME = f"import sys; assert sys.version_info[:2] == {sys.version_info[:2]}; "
PACKAGES = {"zmq": "pyzmq"}  # where the name is not the module's
MODULE = "-dynamiclib -undefined dynamic_lookup" if sys.platform == "darwin" else "-shared"
FLAGS = f"{MODULE} -fPIC -O0 -std=c11 -D_GNU_SOURCE -DREADYQ_STATIC -pthread -Icore -isystem"


def find(*modules):
    """A Python of the version that readyq is built for that has these modules; else a skip."""
    names = " and ".join(PACKAGES.get(module, module) for module in modules)
    return with_modules(*modules) or pytest.skip(f"needs the Python packages {names} (make setup)")


@functools.cache
def with_modules(*modules):
    """The same, or None."""
    code = SAME + "import " + ", ".join(modules)
    for python in (sys.executable, VENV, "/usr/bin/python3"):
        command = [python, "-c", code]
        if Path(python).exists() and subprocess.run(command, capture_output=True).returncode == 0:
            return str(python)
    return None


def find_version(number):
    """A Python of this version, such as 3.13, or None."""
    if number == "{}.{}".format(*sys.version_info):
        return sys.executable
    installed = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{number}.*/bin/python"))
    for python in [shutil.which(f"python{number}"), *sorted(installed)]:
        code = f"import sys; assert '{{}}.{{}}'.format(*sys.version_info) == '{number}'"
        command = [python, "-c", code]
        if python and subprocess.run(command, capture_output=True).returncode == 0:
            return python
    return None


def build(python, folder, *modules):
    """The folder, which holds the package built for this Python, and pure modules from another."""
    asked = "import sysconfig as s; print(s.get_path('include'), s.get_config_var('EXT_SUFFIX'))"
    include, suffix = subprocess.check_output([python, "-c", asked], text=True).split()
    if not Path(include, "Python.h").exists():
        pytest.skip(f"needs the headers of {python}")
    package = Path(shutil.copytree(ROOT / "python" / "readyq", folder / "readyq"))
    sources = [*ROOT.glob("core/**/*.c"), *ROOT.glob("bindings/python/*.c")]
    flags = [*shlex.split(FLAGS), include, *sources, "-o", package / f"_core{suffix}"]
    subprocess.run([os.environ.get("CC") or "cc", *flags], cwd=ROOT, check=True)
    code = "import importlib.util as u, sys; print(u.find_spec(sys.argv[1]).origin)"
    for module in modules:
        origin = subprocess.check_output([find(module), "-c", code, module], text=True).strip()
        for part in Path(origin).parent.parent.glob(f"{module}*"):  # and what describes it
            (folder / part.name).symlink_to(part)
    return folder
