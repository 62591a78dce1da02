# SPDX-License-Identifier: MIT
"""The type stubs describe the module correctly, and the examples type-check against them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv" / "bin" / "python"
PROGRAM = """
import socket
import subprocess
import readyq

class Client: ...

q = readyq.Queue()
w = q.add(socket.socket(), readyq.READ | readyq.EDGE, data=Client())
reveal_type(w)
reveal_type(q.add(socket.socket(), data=Client()).data)
reveal_type(q.add_signal("TERM", data=Client()).data)
reveal_type(q.add_process(subprocess.Popen("true"), data=Client()).data)
reveal_type(q.add(0, "rw").data)
reveal_type(q.add_timer(1, data=Client()).data)
reveal_type([found.ready for found in q.wait(timeout=1.5)])
reveal_type(readyq.Selector().register(0, 1).fd)
async def main() -> int: return 1
reveal_type(readyq.run(main()))
"""
REVEALED = [
    "readyq._core.Watch[program.Client]",
    "program.Client",
    "program.Client",
    "program.Client",
    "Any",
    "program.Client",
    "list[int]",
    "int",
    "int",
]


@pytest.fixture(scope="module")
def python():
    """A Python with mypy, of the version that the module was built for."""
    version = "import mypy, readyq, sys; print(sys.version_info[:2])"
    for python in (sys.executable, VENV):
        if Path(python).exists():
            result = subprocess.run([python, "-c", version], capture_output=True, text=True)
            if result.stdout.strip() == str(sys.version_info[:2]):
                return python
    pytest.skip("needs the Python package mypy (make setup)")


def run(python, folder, *words):
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    command = [python, "-m", *words]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300
    )
    return result.returncode, (result.stdout + result.stderr).replace("builtins.", "")


def test_stubs_are_exactly_what_the_module_is(python, tmp_path):
    code = "import prompt_toolkit"  # each module of the package is imported
    if subprocess.run([python, "-c", code], capture_output=True).returncode != 0:
        pytest.skip("needs the Python package prompt_toolkit (make setup)")
    assert run(python, tmp_path, "mypy.stubtest", "readyq")[0] == 0


def test_types_of_data_are_known_to_a_checker(python, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    code, output = run(python, tmp_path, "mypy", "--strict", "program.py")
    revealed = [line.partition('type is "')[2] for line in output.splitlines() if "type is" in line]
    assert code == 0, output
    assert len(revealed) == len(REVEALED)
    for line, expected in zip(revealed, REVEALED):
        assert line.startswith(expected), output
