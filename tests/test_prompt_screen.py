# SPDX-License-Identifier: MIT
"""What the screen shows while output appears above the line that is edited, with prompt_toolkit and
at Python 3.13's own prompt, on Python 3.11 and 3.13. A terminal has 80 columns; where lines wrap,
also 40.
"""

import re
import sys
import time

import pytest
import pythons
import screens

VERSIONS = ("3.11", "3.13")
LINE = "text = '" + "abcdefghij" * 10 + "'; len(text)"
TICKS = "w=q.add_timer(0.1, data=lambda w: print('tick', w.deliveries), period=0.1)"
expect_right = screens.Ticks(">>>", TICKS).expect_right


@pytest.fixture(scope="session", params=VERSIONS)
def python(request, tmp_path_factory):
    """A Python of this version, and the path where it finds readyq and prompt_toolkit."""
    pythons.find("prompt_toolkit", "wcwidth")
    python = pythons.find_version(request.param)
    if python is None:
        pytest.skip(f"needs Python {request.param}")
    if python == sys.executable:
        return pythons.find("prompt_toolkit"), pythons.PACKAGE
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    return python, pythons.build(python, folder, "prompt_toolkit", "wcwidth")


@pytest.fixture
def columns(request):
    return getattr(request, "param", 80)


in_both_widths = pytest.mark.parametrize("columns", [80, 40], indirect=True)


@pytest.fixture
def start(terminal, python, columns, tmp_path):
    def start(*arguments, **environment):
        program, path = python
        for name in ("READYQ_HISTORY", "PYTHON_HISTORY"):
            environment[name] = tmp_path / "history"
        terminal.start(program, *arguments, columns=columns, PYTHONPATH=path, **environment)
        terminal.expect(r"^>>>$")
        return terminal

    return start


@pytest.fixture
def console(start):
    return start("-m", "readyq")


@in_both_widths
def test_a_long_line_is_edited_in_its_middle_while_a_timer_prints(console, columns):
    assert len(LINE) >= 120
    console.enter(TICKS)
    # What is typed before the prompt is there, the terminal shows as well.
    console.expect(r"^tick \d+\n>>>$")
    text = LINE
    console.write(text)
    expect_right(console, text, columns)
    for keys, place, typed in (
        (["Left"] * 60, len(LINE) - 60, "MIDDLE"),
        (["Home"], 0, "first = 1; "),
        (["End"], len(LINE) + 17, ", w.remove()"),
    ):
        console.keys(*keys)
        expect_right(console, text, columns)
        console.write(typed)
        text = text[:place] + typed + text[place:]
        expect_right(console, text, columns)
    console.keys("Enter")
    console.expect(r"^\(106, True\)\n>>>$")


def test_a_block_of_lines_is_edited_while_a_timer_prints(console):
    console.enter(TICKS)
    console.write("def two():\n    number = 1\n    return number\n")
    console.expect(r"^\.\.\.     return number\n\.\.\.(     )?$")
    console.keys("Up", "Up", "End")
    console.write("1")
    block = ["def two():", "...     number = 11", "...     return number", "..."]
    console.expect(r"^tick \d+\n>>> " + re.escape("\n".join(block)) + "$")
    console.expect(r"^tick \d+\ntick \d+\ntick \d+\n>>> def two")
    console.keys("Down", "Down", "End", "Enter")
    console.enter("two(), w.remove()")
    console.expect(r"^\(11, True\)$")


def test_a_block_that_is_typed_line_by_line_is_indented_and_run(console):
    console.enter("for number in 6, 7:")
    console.expect(r"^\.\.\.$")
    console.enter("print('got', number)")
    console.expect(r"^\.\.\.     print\('got', number\)\n\.\.\.$")
    console.keys("Enter")
    console.expect(r"^got 6\ngot 7\n>>>$")


def test_output_without_a_newline_grows_above_the_line(console):
    console.enter("w = q.add_timer(0.1, data=lambda w: print('.', end='', flush=True), period=0.1)")
    console.write("1 + ")
    console.expect(r"^\.{5,}\n>>> 1 \+$")
    console.write("w.remove()")
    console.keys("Enter")
    screen = console.expect(r"^\.+\n>>> 1 \+ w\.remove\(\)\n\.*2$")  # some after Enter
    assert len(re.findall(r"^\.+$", screen, re.MULTILINE)) == 1


def test_a_prompt_begins_in_the_first_column(console):
    console.enter("import os; print('no newline', end='')")
    console.expect(r"^no newline\n>>>$")
    console.enter("_ = os.system('printf of-a-child')")
    console.expect(r"^of-a-child\n>>>$")


def test_what_threads_and_loggers_write_appears_above_the_line(console):
    console.enter("import threading, logging; logging.basicConfig(format='log %(message)s')")
    console.enter("t = threading.Timer(0.3, lambda: (print('thread'), logging.warning('careful')))")
    console.enter("t.start()")
    console.write("half a line")
    console.expect(r"^thread\nlog careful\n>>> half a line$")


@in_both_widths
def test_wide_characters_are_edited_while_a_timer_prints(console, columns):
    console.enter(TICKS)
    console.write("text = '" + "日本" * 8 + "'")
    console.keys("Left", "Left", "Left")
    console.write("語")
    text = ">>> text = '" + "日本" * 7 + "語日本'"
    lines = [text] if columns == 80 else [text[:26], text[26:]]
    console.expect(r"^tick \d+\n" + "\n".join(lines) + "$")
    console.keys("C-e")
    console.write("; w.remove()")
    console.keys("Enter")
    console.enter("len(text)")
    console.expect(r"^17$")


def test_ctrl_c_ends_a_search_in_the_history(console):
    console.enter("first = 'line'")
    console.expect(r"^>>> first = 'line'\n>>>$")  # the next prompt reads keys
    console.keys("C-r")
    console.write("fir")
    console.expect(r"search backward: fir$")
    console.keys("C-c")
    console.wait_until(lambda: "search" not in console.screen(), "the end of the search")
    console.keys("C-c")
    for _ in range(5):  # it is a signal, and may drop keys that were typed after it
        console.enter("6 * 7")
        time.sleep(1)
        if re.search(r"^42$", console.screen(), re.MULTILINE):
            break
    console.expect(r"^42$")


def test_a_second_ctrl_c_ends_a_task_that_blocks_the_loop(console):
    console.enter("import asyncio, time")
    # In one line, because the prompt of 3.13 indents what is typed ahead of it.
    console.enter("async def block(): print('blocking'); list(iter(lambda: time.sleep(0.1), 0))")
    console.expect(r"^\.\.\.$(?!\n)")
    console.enter("")
    console.enter("task = asyncio.create_task(block())")
    console.expect(r"^blocking$")
    console.keys("C-c")
    console.write("x")  # a moment later, by when nothing has happened
    time.sleep(0.5)
    console.keys("C-c")
    console.expect(r"KeyboardInterrupt\n(KeyboardInterrupt\n)?>>>")
    console.keys("C-c")
    console.enter("6 * 7")
    console.expect(r"^42$")


@in_both_widths
@pytest.mark.parametrize("python", ["3.13"], indirect=True)
def test_at_pythons_own_prompt_a_long_line_is_edited_in_its_middle(start, columns):
    console = start("-q", TERM="xterm-256color")
    console.enter("import readyq; q = readyq.Queue(); readyq.install_inputhook(q)")
    console.expect(r"\(q\)\n>>>$")
    console.enter("w = q.add_timer(0.1, data=lambda w: print('tick', w.deliveries), period=0.1)")
    console.write(LINE)
    console.keys(*["Left"] * 60)
    console.write("MIDDLE")
    text = LINE[:-60] + "MIDDLE" + LINE[-60:]
    room = columns - 1  # for the backslash at the end of a line that goes on
    lines = [f">>> {text}"[at : at + room] for at in range(0, len(text) + 4, room)]
    shown = re.escape("\\\n".join(lines))
    console.expect(rf"^tick (\d+)\n{shown}$")
    console.keys("C-e")
    console.write(", w.remove()")
    console.keys("Enter")
    screen = console.expect(r"^\(106, True\)$")
    assert screen.count(">>> text") == 1


def test_ctrl_c_ends_a_callback_and_keeps_the_line(console):
    console.enter("import time; long = lambda w: (print('began'), time.sleep(60))")
    console.enter("w = q.add_timer(1.5, data=long)")
    console.write("half")
    console.expect(r"^>>> half$")
    console.expect(r"^began$")
    console.keys("C-c")
    console.expect(r"^began\nKeyboardInterrupt\n>>> half$")
    console.write(" = 42; half")
    console.keys("Enter")
    console.expect(r"^42$")


@pytest.mark.parametrize("left", [0, 30, 70])
def test_the_line_is_drawn_anew_when_the_terminal_changes_its_width(console, columns, left):
    """Neither is a part of the line left behind, nor is output erased. (While the prompt
    changes, some is: a terminal breaks its rows a moment before it says so.)
    """
    console.enter("print(*range(20), sep='\\n')")
    console.expect(r"^19\n>>>$")
    console.write(LINE)
    console.expect("^" + re.escape("\n".join(screens.wrapped(f">>> {LINE}", columns))) + "$")
    console.keys(*["Left"] * left)

    def is_drawn():
        column = console.tmux("display-message", "-p", "#{cursor_x}").stdout
        return int(column) == (4 + len(LINE) - left) % columns

    console.wait_until(is_drawn, "the cursor")
    for columns in (50, 30, 41, 100, 77, 20, 79):
        console.tmux("resize-window", "-x", str(columns))
        lines = re.escape("\n".join(screens.wrapped(f">>> {LINE}", columns)))
        screen = console.expect(rf"^18\n19\n{lines}$")
        assert screen.count(">>> text") == 1
        console.wait_until(is_drawn, "the cursor")
        time.sleep(0.4)  # tmux reports a size up to 0.25 s after it has changed it
