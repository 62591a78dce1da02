# SPDX-License-Identifier: MIT
"""The documentation of the Python package is true: its programs and the examples of its docstrings
run.
"""

import doctest
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import readyq
import readyq.aio
import readyq.picture
import readyq.selector

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
PRINTED = [
    "timer a hundredth of a second FIRED\n",
    "['add', 'event', 'delivery', 'remove']\n",
    "3 are ready\nfirst\n['third']\n",
    "slept a fifth of a millisecond\n",
    "rang\n",
]


@pytest.mark.parametrize(("program", "printed"), list(zip(PROGRAMS, PRINTED)))
def test_a_program_of_the_guide_prints_what_it_says(program, printed):
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.stdout, result.returncode) == (printed, 0), result.stderr


def test_every_program_of_the_guide_is_run():
    assert len(PROGRAMS) == len(PRINTED)


@pytest.mark.parametrize("module", [readyq.selector, readyq.aio], ids=lambda one: one.__name__)
def test_examples_in_the_docstrings_of_a_module_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


PUBLIC = [
    *(value for name, value in vars(readyq.Queue).items() if name[0] != "_"),
    *(value for name, value in vars(readyq.Watch).items() if name[0] != "_"),
    *(value for name, value in vars(readyq.Batch).items() if name[0] != "_"),
    *(value for name, value in vars(readyq.Recording).items() if name[0] != "_"),
    *(value for name in readyq.__all__ if callable(value := getattr(readyq, name))),
]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda one: getattr(one, "__name__", "?"))
def test_everything_public_has_a_docstring(thing):
    assert thing.__doc__


@pytest.fixture
def names(tmp_path, monkeypatch):
    """The names that the examples of the extension's docstrings use."""
    monkeypatch.chdir(tmp_path)
    here, there = socket.socketpair()
    there.send(b"hello")
    with here, there, readyq.Queue() as queue:
        yield {
            "readyq": readyq,
            "q": queue,
            "sock": here,
            "connection": "mine",
            "signal": signal,
            "sys": sys,
            "stop": None,
            "tick": None,
            "mailbox": None,
            "handle": print,
            "close": None,
        }


EXAMPLES = [
    *(getattr(readyq.Queue, name) for name in "add add_timer add_signal add_trigger".split()),
    *(
        readyq.Queue.wait,
        readyq.Queue.record,
        readyq.Queue.trace,
        readyq.Recording,
        readyq.Watch,
        readyq.Watch.restart,
        readyq.Batch,
    ),
]


@pytest.mark.parametrize("thing", EXAMPLES, ids=lambda one: one.__name__)
def test_examples_in_the_docstrings_of_the_extension_run(thing, names):
    examples = doctest.DocTestParser().get_examples(thing.__doc__)
    assert examples
    names["q"].add_timer(0.001)
    for example in examples:
        exec(compile(example.source, thing.__name__, "exec"), names)
