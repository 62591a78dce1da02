# SPDX-License-Identifier: MIT
"""The Python prompts, in a real terminal: queues run while you type."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import pythons

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = os.environ.get("READYQ_PACKAGE", str(ROOT / "python"))


@pytest.fixture
def history(tmp_path):
    return tmp_path / "history"


@pytest.fixture
def start(terminal, history):
    def start(*arguments, **environment):
        environment = {"PYTHONPATH": PACKAGE, "READYQ_HISTORY": history, **environment}
        terminal.start(sys.executable, *arguments, **environment)
        terminal.expect(r"^>>> $|^>>>$")
        return terminal

    return start


@pytest.fixture
def console(start):
    return start("-m", "readyq")


def test_a_callback_runs_while_a_line_is_half_typed(console):
    console.enter("seen = 'half'")
    console.enter("w = q.add_timer(0.2, data=lambda w: print('tick', seen))")
    console.write("1 + ")
    console.expect(r"^tick half\n>>> 1 \+$")
    console.enter("41")
    console.expect(r"^42$")


def test_a_callback_of_a_descriptor_reads_what_came(console):
    console.enter("import socket; a, b = socket.socketpair()")
    console.enter("w = q.add(a, 'r', data=lambda w: print('got', w.source.recv(10)))")
    console.enter("b.send(b'hello')")
    console.expect(r"^got b'hello'$")


def test_an_exception_in_a_callback_is_shown_and_its_descriptor_paused(console):
    console.enter("import socket; a, b = socket.socketpair()")
    console.enter("w = q.add(a, 'r', data=lambda w: 1 / 0)")
    console.enter("_ = b.send(b'hello')")
    console.expect(r"^ZeroDivisionError: division by zero\npaused: <readyq.Watch fd")
    console.enter("print('still', 'here')")
    screen = console.expect(r"^still here$")
    assert screen.count("ZeroDivisionError") == 1
    assert "prompt.py" not in screen  # the traceback has no frames of readyq


def test_data_that_cannot_be_called_is_left_to_wait(console):
    console.enter("import socket; a, b = socket.socketpair()")
    console.enter("w = q.add(a, 'r', data='mine'); _ = b.send(b'x')")
    console.enter("[w.data for w in q.wait()]")
    console.expect(r"^\['mine'\]$")


def test_ctrl_c_drops_the_line_and_keeps_the_session(console):
    console.enter("x = 'kept'")
    console.write("this is no Python")
    console.expect(r"no Python$")
    console.keys("C-c")
    console.expect(r"^KeyboardInterrupt\n>>>$")
    console.enter("x")
    console.expect(r"^'kept'$")


def test_ctrl_c_works_again_and_again(console):
    for number in range(1, 6):
        console.write(f"line {number}")
        console.expect(rf"line {number}$")
        console.keys("C-c")
        console.expect(rf"(?s)(KeyboardInterrupt.*){{{number}}}>>>$")


def test_ctrl_c_ends_a_wait_and_a_callback(console):
    console.enter("q.wait()")
    console.expect(r"q\.wait\(\)$")
    console.keys("C-c")
    console.expect(r"^KeyboardInterrupt\n>>>$")
    console.enter(
        "import time; w = q.add_timer(0, data=lambda w: (print('began'), time.sleep(60)))"
    )
    console.expect(r"^began$")
    console.keys("C-c")
    console.expect(r"(?s)KeyboardInterrupt.*KeyboardInterrupt\n>>>$")
    console.enter("6 * 7")
    console.expect(r"^42$")


def test_ctrl_d_ends_it_and_the_next_session_remembers(console, history, tmp_path, start):
    console.enter("first = 'line'")
    console.expect(r"'line'\n>>>$")
    console.keys("C-d")
    console.expect_end()
    assert "first = 'line'" in history.read_text()
    again = start("-m", "readyq")
    again.keys("Up")
    again.expect(r"^>>> first = 'line'$")


def test_names_are_completed(console):
    console.write("q.add_tri")
    console.keys("Tab")
    console.expect(r"q\.add_trigger\($")


def test_await_works_and_tasks_go_on_while_typing(console):
    console.enter("import asyncio")
    console.enter("await asyncio.sleep(0.01, 'slept')")
    console.expect(r"^'slept'$")
    console.enter("async def beat():\n    await asyncio.sleep(0.2); print('beat')\n")
    console.enter("async def begin(): global task; task = asyncio.create_task(beat())\n")
    console.enter("await begin()")
    console.write("half")
    console.expect(r"beat$")


def test_the_queue_runs_during_await(console):
    console.enter("import asyncio; ring = lambda w: print('rang')")
    console.enter("w = q.add_timer(0.05, data=ring); await asyncio.sleep(0.5, 'over')")
    console.expect(r"^rang\n'over'\n>>>$")


def test_ctrl_c_ends_an_await(console):
    console.enter("import asyncio; await asyncio.sleep(60)")
    console.expect(r"sleep\(60\)$")
    console.keys("C-c")
    console.expect(r"^KeyboardInterrupt\n>>>$")
    console.enter("6 * 7")
    console.expect(r"^42$")


def test_the_queue_shows_its_table(console):
    console.enter("import os; r, w = os.pipe(); _ = q.add(r, 'r', data='mine'); print(q)")
    console.expect(r"^  kind +source +interest +ready +deliveries +data$")
    console.expect(r"^  fd +\d+ pipe +READ +0 +'mine'$")


def test_a_closed_queue_leaves_a_plain_prompt(console):
    console.enter("q.close()")
    console.enter("6 * 7")
    console.expect(r"^42$")


def test_it_reads_a_script_from_a_pipe():
    result = subprocess.run(
        [sys.executable, "-m", "readyq"],
        input="w = q.add_trigger(data=1); w.fire()\nprint([w.data for w in q.wait()])\n",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE, "READYQ_HISTORY": os.devnull},
        timeout=60,
    )
    assert "[1]" in result.stdout, result


# ------------------------------------------------------------------ other prompts

PROMPTS = [{}]
if sys.version_info >= (3, 13):
    PROMPTS = [{"PYTHON_BASIC_REPL": "1"}, {"TERM": "xterm-256color"}]


@pytest.mark.parametrize("environment", PROMPTS, ids=lambda one: next(iter(one), "only"))
def test_the_prompt_of_python_runs_a_queue_too(start, environment, tmp_path):
    (tmp_path / ".python_history").touch()
    plain = start("-q", HOME=tmp_path, **environment)
    plain.enter("import readyq; q = readyq.Queue(); readyq.install_inputhook(q)")
    plain.expect(r"inputhook\(q\)\n>>>$")  # what is typed before may be lost on a slow machine
    plain.enter("w = q.add_timer(0.1, data=lambda w: print('tick', 6 * 7))")
    plain.write("1 + ")
    plain.expect(r"tick 42$")
    plain.enter("2")
    plain.expect(r"^3$")
    plain.write("line to drop")
    plain.keys("C-c")
    plain.expect(r"KeyboardInterrupt\n>>>$")
    plain.enter("readyq.uninstall_inputhook(); w = q.add_timer(0, data=print)")
    plain.enter("'gone', len(q)")
    plain.expect(r"^\('gone', 1\)$")


@pytest.mark.parametrize("environment", PROMPTS, ids=lambda one: next(iter(one), "only"))
def test_nothing_runs_between_a_key_and_its_reading(start, environment, tmp_path):
    """Ctrl-C at that moment discarded the key, and the prompt slept on through the signal."""
    (tmp_path / ".python_history").touch()
    plain = start("-q", HOME=tmp_path, **environment)
    plain.enter("import select, readyq; late = []")
    plain.enter("keys = lambda: select.select([0], [], [], 0)[0]")
    plain.enter("readyq._core.set_inputhook(lambda: late.extend(keys()))")
    plain.enter("'the hook', 'is set'")
    plain.expect(r"^\('the hook', 'is set'\)$")
    for key in "1234567890":
        plain.write(key)
        plain.expect(rf"^>>> [0-9]*{key}$")
    plain.enter(" and len(late) < 5")
    plain.expect(r"^True$")


@pytest.fixture
def ipython(terminal, tmp_path):
    python = pythons.find("IPython")
    options = ["--no-banner", "--no-confirm-exit", "--colors=NoColor"]
    places = {"PYTHONPATH": PACKAGE, "IPYTHONDIR": tmp_path, "TERM": "xterm-256color"}
    terminal.start(python, "-m", "IPython", *options, **places)
    for number, line in enumerate(["%load_ext readyq", "%gui readyq"], 1):
        terminal.expect(rf"In \[{number}\]:")
        terminal.enter(line)
    terminal.expect(r"In \[3\]:")
    return terminal


def test_ipython_runs_a_queue_too(ipython):
    ipython.enter("w = q.add_timer(0.3, data=lambda w: print('tick', 6 * 7))")
    ipython.expect(r"tick 42")
    ipython.write("1 + ")
    ipython.expect(r"In \[4\]: 1 \+")
    ipython.enter("2")
    ipython.expect(r"Out\[4\]: 3")


def test_ipython_survives_an_exception_and_ctrl_c(ipython):
    ipython.enter("bad = q.add_timer(0.1, data=lambda w: 1 / 0)")
    ipython.expect(r"ZeroDivisionError: division by zero")
    ipython.write("to be dropped")
    ipython.keys("C-c")
    ipython.enter("6 * 7")
    ipython.expect(r"Out\[\d\]: 42")
    ipython.enter("print(q)")
    ipython.expect(r"<readyq.Queue \w+, 0 watches>")


def test_ipython_stops_running_it(ipython):
    ipython.enter("%gui")
    ipython.expect(r"In \[4\]:")
    ipython.enter("mail = q.add_trigger(data=lambda w: print('got', w.count)); mail.fire()")
    ipython.expect(r"In \[5\]:")
    ipython.enter("'calls', q.dispatch(0)")
    ipython.expect(r"got 1\n(.*\n)?Out\[5\]: \('calls', 1\)")


# ------------------------------------------------------------------ the session in the docs


def recorded_session():
    """The lines of docs/prompt-python.md that are typed, each with the output that must follow."""
    text = (ROOT / "docs" / "prompt-python.md").read_text(encoding="utf-8")
    session = re.search(r"```console\n(.*?)```", text, re.DOTALL)[1]
    steps = []
    for line in session.splitlines():
        if line.startswith(">>> "):
            steps.append((line[4:], []))
        elif steps:
            steps[-1][1].append(line)
    return steps


def pattern_of(line):
    """Numbers of descriptors, and with them the widths of columns, differ from run to run."""
    return re.sub(r"\d+", r"\\d+", re.sub(r"(\\ )+", " +", re.escape(line)))


def test_the_recorded_session_shows_what_it_says(console):
    steps = recorded_session()
    assert len(steps) > 5
    for typed, shown in steps:
        before = len(console.screen().splitlines())
        console.enter(typed)
        console.expect_lines([re.escape(f">>> {typed}"), *map(pattern_of, shown)], before - 1)
