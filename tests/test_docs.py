# SPDX-License-Identifier: MIT
"""The docstrings of the Python package exist, and their examples run."""

import doctest
import signal
import socket
import sys

import pytest

import readyq
import readyq.aio
import readyq.picture
import readyq.selector


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
