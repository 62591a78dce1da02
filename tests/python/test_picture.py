# SPDX-License-Identifier: MIT
"""What print(q) shows of a queue, and what a notebook does."""

import functools
import os
import subprocess
import sys
import textwrap
import unicodedata

import pytest

from readyq import columns

FUNCTIONS = """
import functools, readyq
q = readyq.Queue("virtual")
q.add_timer(5, data=lambda w: None, period=0.25)
def outer():
    def inner(w): pass
    return inner
class Thing:
    def method(self, w): pass
q.add_timer(0.0015, data=outer())
q.add_timer(1e9, data=Thing().method)
q.add_timer(2, data=functools.partial(outer(), 1))
print(q)
"""


@pytest.fixture
def show(tmp_path):
    """Runs a program from a file of its own in a terminal's width, and returns its lines."""

    def show(program, **environment):
        (tmp_path / "loop.py").write_text(textwrap.dedent(program))
        command = [sys.executable, tmp_path / "loop.py"]
        environment = {name: str(value) for name, value in environment.items()}
        environment = {**os.environ, "PYTHONUTF8": "1", **environment}
        return subprocess.check_output(command, text=True, env=environment).splitlines()

    return show


def test_functions_are_shown_with_their_file_and_line_and_timers_with_their_time(show):
    rows = [line.split(maxsplit=1) for line in show(FUNCTIONS, COLUMNS=200)[2:]]
    assert [" ".join(rest.split()) for _, rest in rows] == [
        "5 s 0.25 s 0 <lambda> loop.py:4",
        "1.5 ms 0 inner loop.py:6",
        "1000000000 s 0 Thing.method loop.py:9",
        "2 s 0 partial(inner loop.py:6)",
    ]


def test_a_periodic_timer_that_went_off_shows_when_it_does_next(show):
    program = """
    import readyq
    q = readyq.Queue("virtual")
    q.add_timer(1, period=3)
    q.add_timer(1.5)
    list(q.wait())
    print(q)
    """
    first, second = show(program, COLUMNS=200)[2:]
    assert first.split() == ["timer", "3", "s", "3", "s", "FIRED", "1"]
    assert second.split() == ["timer", "0.5", "s", "0"]


MANY = """
import readyq, signal, socket
q = readyq.Queue()
here, there = socket.socketpair()
q.add(here, "rw", data="\\u65e5\\u672c\\u8a9e" * 30)
q.add_timer(1, data=lambda w: None, period=1)
q.add_signal(signal.SIGTERM, data="a long text that needs a lot of room on a line of a terminal")
print(q)
"""


def width(line):
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in line)


@pytest.mark.parametrize("room", [1, 7, 20, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(show, room):
    lines = show(MANY, COLUMNS=room)
    assert len(lines) == 5
    assert max(map(width, lines)) <= room


def test_a_narrow_terminal_shows_the_columns_that_matter(show):
    assert show(MANY, COLUMNS=120)[1].split() == (
        "kind source interest due in every deliveries data".split()
    )
    lines = show(MANY, COLUMNS=40)
    assert lines[1].split() == ["kind", "source", "data"]
    assert lines[3].split(maxsplit=1)[1] == "<lambda> loop.py:6"


def test_without_a_terminal_nothing_is_cut(show):
    environment = {"COLUMNS": "0"}  # as unset
    assert "a long text that needs a lot of room on a line of a" in "\n".join(
        show(MANY, **environment)
    )


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "lon.."),
        ("\u65e5\u672c\u8a9e", 5, "\u65e5.."),
        ("e\u0301" * 3, 3, "e\u0301" * 3),
        ("longer", 1, "."),
        ("longer", 0, ""),
    ],
)
def test_a_cell_is_cut_to_columns_not_characters(text, room, shown):
    assert columns.cut(text, room) == shown


def test_what_cannot_be_shown_is_named(queue):
    class Rude:
        def __call__(self):
            raise LookupError

        def __repr__(self):
            raise LookupError

        def __getattr__(self, name):
            raise LookupError(name)

    queue.add_timer(1, data=Rude())
    queue.add_timer(1, data=functools.partial(Rude()))
    assert str(queue).count("object>") == 2


def test_a_notebook_shows_a_closed_queue_as_closed(queue):
    queue.add_timer(1)
    assert "<table>" in queue._repr_html_()
    queue.close()
    assert queue._repr_html_() == "<pre>&lt;readyq.Queue closed&gt;</pre>"


def test_a_queue_that_is_printed_while_the_interpreter_shuts_down_is_its_repr(python):
    child = python(
        """
import readyq
class Late:
    def __del__(self):
        print(self.queue)
late = Late()
late.queue = readyq.Queue()
late.queue.add_timer(1)
"""
    )
    output, errors = child.communicate(timeout=20)
    assert output.endswith(", 1 watch>\n")
    assert (output.count("\n"), errors) == (1, "")
