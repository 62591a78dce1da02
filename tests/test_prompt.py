# SPDX-License-Identifier: MIT
"""`python -m readyq` in a real terminal, with prompt_toolkit and plain: what is registered runs
while you type. Where output appears is in test_prompt_screen.py, other prompts in test_hosts.py.
"""

import re
from pathlib import Path

import pythons

ROOT = Path(__file__).resolve().parent.parent


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


def test_ctrl_d_ends_it_and_the_next_session_remembers(console, begin, history):
    console.enter("first = 'line'")
    console.expect(r"'line'\n>>>$")
    console.keys("C-d")
    console.expect_end()
    assert "first = 'line'" in history.read_text()
    again = begin()
    again.keys("Up")
    again.expect(r"^>>> first = 'line'$")


def test_both_consoles_share_a_history(toolkit, start, history):
    """A function is one entry with prompt_toolkit, and three lines without."""
    console = toolkit()
    console.enter("def two():\n    return 2\n")
    console.enter("two()")
    console.expect(r"^2$")
    console.keys("C-d")
    console.expect_end()
    assert history.read_bytes() == b"def two():\r\n    return 2\ntwo()\n"
    plain = start("-m", "readyq", "--plain")
    plain.enter("'plain'")
    plain.expect(r"^'plain'$")
    plain.keys("C-d")
    plain.expect_end()
    again = toolkit()
    again.keys("Up")
    again.expect(r"^>>> 'plain'$")
    again.keys("Up", "Up")
    again.expect(r"^>>> def two\(\):\n\.\.\.     return 2$")


def test_the_newest_thousand_entries_of_a_long_history_are_kept(toolkit, history):
    history.write_text("".join(f"{number}\n" for number in range(2500)))
    console = toolkit()
    console.keys("Up")
    console.expect(r"^>>> 2499$")
    lines = history.read_text().splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("1500", "2499", 1000)


def test_lines_are_highlighted(toolkit):
    pythons.find("prompt_toolkit", "pygments")
    console = toolkit()
    console.write("for one in two")
    console.expect(r"one in two$")
    coloured = console.tmux("capture-pane", "-p", "-e").stdout
    assert re.search(r"\x1b\[[\d;]+mfor\x1b", coloured), repr(coloured)


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


def test_a_task_of_a_line_without_await_runs_while_typing(console):
    console.enter("import asyncio")
    console.enter("async def beat():\n    await asyncio.sleep(0.2); print('beat')\n")
    console.enter("task = asyncio.create_task(beat())")
    console.write("half")
    console.expect(r"beat$")


def test_asyncio_run_says_what_to_write_instead(console):
    console.enter("import asyncio; async def main(): pass\n")
    console.enter("import asyncio")
    console.enter("asyncio.run(asyncio.sleep(0))")
    console.expect(r"^A loop is already running at this prompt: write `await main\(\)` instead\.$")


def test_a_variable_of_the_context_keeps_its_value(console):
    console.enter("import contextvars; name = contextvars.ContextVar('name')")
    console.enter("_ = name.set('kept')")
    console.enter("name.get()")
    console.expect(r"^'kept'$")


def test_what_is_defined_can_be_pickled(console):
    console.enter("import pickle; f = lambda: 0")
    console.enter("def two(): return 2\n")
    console.enter("pickle.loads(pickle.dumps(two))()")
    console.expect(r"^2$")


def test_the_queue_that_q_names_runs(console):
    console.enter("q = Queue(); w = q.add_timer(0.1, data=lambda w: print('of', 'mine'))")
    console.expect(r"^of mine$")


def test_the_queue_runs_during_await(console):
    console.enter("import asyncio; ring = lambda w: print('rang')")
    console.enter("w = q.add_timer(0.05, data=ring); await asyncio.sleep(0.5, 'over')")
    console.expect(r"^rang\n'over'\n>>>$")


def test_ctrl_c_is_one_line(console):
    console.enter("def spin():\n    while True: pass\n")
    console.enter("def outer(): spin()\n")
    console.enter("outer()")
    console.expect(r">>> outer\(\)$")
    console.keys("C-c")
    screen = console.expect(r"KeyboardInterrupt\n>>>$")
    assert "Traceback" not in screen, screen


def test_an_error_is_shown_with_its_line_and_no_frame_of_ours(console):
    console.enter("import asyncio")
    console.enter("async def fail():\n    await asyncio.sleep(0); 1 / 0\n")
    console.enter("await fail()")
    screen = console.expect(r"^ZeroDivisionError")
    assert "await asyncio.sleep(0); 1 / 0" in screen.split("Traceback")[1]
    assert "base_events" not in screen
    assert "console.py" not in screen


def test_ctrl_c_ends_an_await(console):
    console.enter("import asyncio; print('it', 'begins'); await asyncio.sleep(60)")
    console.expect(r"^it begins$")
    console.keys("C-c")
    console.expect(r"^KeyboardInterrupt\n>>>$")
    console.enter("6 * 7")
    console.expect(r"^42$")


def test_the_queue_shows_its_table(console):
    console.enter("import os; r, w = os.pipe(); _ = q.add(r, 'r', data='mine'); print(q)")
    console.expect(r"^  kind +source +interest +due in +every +ready +deliveries +data$")
    console.expect(r"^  fd +\d+ pipe +READ +0 +'mine'$")


def test_a_closed_queue_leaves_a_plain_prompt(console):
    console.enter("q.close()")
    console.enter("q")
    console.expect(r"^<readyq.Queue closed>$")
    console.enter("6 * 7")
    console.expect(r"^42$")


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
