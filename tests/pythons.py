# SPDX-License-Identifier: MIT
"""Finds a Python with the packages that a test needs besides readyq: the one that runs the tests,
or the virtual environment under build/ into which set-up installs packages from PyPI.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv" / "bin" / "python"
SAME = f"import sys; assert sys.version_info[:2] == {sys.version_info[:2]}; "
PACKAGES = {"zmq": "pyzmq"}  # where the name is not the module's


def find(*modules):
    """A Python of the version that readyq is built for that has these modules; else a skip."""
    names = " and ".join(PACKAGES.get(module, module) for module in modules)
    code = SAME + "import " + ", ".join(modules)
    for python in (sys.executable, VENV):
        command = [python, "-c", code]
        if Path(python).exists() and subprocess.run(command, capture_output=True).returncode == 0:
            return str(python)
    pytest.skip(f"needs the Python packages {names} (make setup)")
