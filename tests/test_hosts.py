# SPDX-License-Identifier: MIT
"""The prompts of others, in a real terminal, run a queue while you type: Python's, IPython's."""

import os
import sys
from pathlib import Path

import pytest
import pythons

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = os.environ.get("READYQ_PACKAGE", str(ROOT / "python"))


@pytest.fixture
def start(terminal):
    def start(*arguments, **environment):
        terminal.start(sys.executable, *arguments, **{"PYTHONPATH": PACKAGE, **environment})
        terminal.expect(r"^>>> $|^>>>$")
        return terminal

    return start


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
    """Ctrl-C in that moment took the key away, and the prompt slept on through the signal."""
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
    screen = ipython.expect(r"ZeroDivisionError: division by zero")
    assert "----> 1 bad = q.add_timer(0.1, data=lambda w: 1 / 0)" in screen
    assert "prompt.py" not in screen
    assert "report" not in screen
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


# ------------------------------------------------------------------ lines without readline

UNEDITED = """
import sys, readyq
assert "readline" not in sys.modules
q = readyq.Queue()
readyq.install_inputhook(q)
q.add_timer(0.1, data=lambda w: print("tick", flush=True), period=0.1)
print("begun", flush=True)
for line in iter(input, "end"):
    print("length", len(line), flush=True)
"""


@pytest.mark.parametrize("length", [50, 99, 100, 300, 2000, 4094])
def test_a_line_of_any_length_is_read_while_a_queue_runs(terminal, tmp_path, length):
    """Without readline, input() reads a line in parts, and the hook is called before each."""
    (tmp_path / "unedited.py").write_text(UNEDITED)
    (tmp_path / "line").write_text("x" * length + "\n")
    terminal.start(sys.executable, tmp_path / "unedited.py", PYTHONPATH=PACKAGE)
    terminal.expect(r"^begun\n(tick\n)+tick$")
    terminal.tmux("load-buffer", str(tmp_path / "line"))
    terminal.tmux("paste-buffer")
    terminal.expect(rf"length {length}$")
    terminal.expect(rf"length {length}\n(tick\n)+tick$")
    terminal.enter("end")
    terminal.expect_end()
