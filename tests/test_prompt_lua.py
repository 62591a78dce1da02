# SPDX-License-Identifier: MIT
"""The Lua prompt, in a real terminal: queues run while you type, whether the prompt edits the line
or the terminal does.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LUA = os.environ.get("LUA", "lua5.4")


@pytest.fixture
def start(terminal, tmp_path):
    """Starts the prompt in a terminal."""

    def start(**environment):
        environment = {"READYQ_LUA_HISTORY": tmp_path / "history", **environment}
        terminal.start(LUA, "-l", "readyq.repl", **environment)
        terminal.expect(r"^readyq .*\n(.*\n)*>$")
        return terminal

    return start


@pytest.fixture(params=["edited", "plain"])
def console(request, start):
    return start() if request.param == "edited" else start(TERM="dumb")


def test_a_callback_runs_while_a_line_is_half_typed(console):
    console.enter("seen = 'half'")
    console.enter("w = q:add_timer(0.2, function() print('tick', seen) end)")
    console.write("1 + ")
    console.expect(r"^tick\s+half\n>( 1 \+)?$")
    console.enter("41")
    console.expect(r"^42\n>$")


def test_a_coroutine_runs_while_a_line_is_half_typed(console):
    console.enter("co = loop.spawn(function() loop.sleep(0.2) print('beat') end)")
    console.write("1 + ")
    console.expect(r"^beat\n>( 1 \+)?$")
    console.enter("41")
    console.expect(r"^42\n>$")


def test_lines_that_lack_their_end_are_continued(console):
    console.enter("for i = 1, 2 do")
    console.expect(r"^>>$")
    console.enter("print('turn ' .. i)")
    console.enter("end")
    console.expect(r"^turn 1\nturn 2\n>$")
    console.enter("1 +")
    console.enter("2")
    console.expect(r"^3\n>$")
    console.enter("= 'x', nil, 'y'")
    console.expect(r"^x\s+nil\s+y\n>$")


def test_errors_are_shown_with_their_traceback(console):
    console.enter("function f() error('it broke') end f()")
    console.expect(r"^stdin:1: it broke\nstack traceback:\n(.*\n)*>$")
    console.enter("end")
    console.expect(r"^stdin:1: .*near '?end'?.*\n>$")
    console.enter("co = loop.spawn(function() loop.sleep(0.01) error('so did I') end)")
    console.expect(r"^stdin:1: so did I\nstack traceback:\n(.*\n)*>$")
    console.enter("6 * 7")
    console.expect(r"^42\n>$")


def test_the_queue_of_the_prompt_cannot_be_closed(console):
    console.enter("q:close()")
    console.expect(r"^close: this is the queue of the prompt.*\n(.*\n)*>$")
    console.enter("own = readyq.new() own:close()")
    console.enter("own:closed()")
    console.expect(r"^true\n>$")


def test_a_failing_callback_of_a_descriptor_is_paused(console):
    console.enter("w = q:add(io.popen('echo x'), 'r', function() error('it broke') end)")
    console.expect(r"it broke\nstack traceback:\n(.*\n)*paused: readyq.watch: ")
    console.enter("print('still', 'here')")
    screen = console.expect(r"^still\s+here$")
    assert screen.count("paused: ") == 1


def test_ctrl_c_drops_the_line_and_keeps_the_session(console):
    console.enter("x = 'kept'")
    for number in range(1, 4):
        console.enter("for i = 1, 2 do")
        console.expect(r"^>>$")
        console.write(f"line {number}")
        console.expect(rf"line {number}$")
        console.keys("C-c")
        console.expect(rf"line {number}\^C\n>$")
    console.enter("x")
    console.expect(r"^kept\n>$")


@pytest.mark.parametrize(
    "code",
    [
        "while true do end",
        "loop.sleep(60)",
        "loop.spawn(function() while true do end end) loop.sleep(60)",
        "for w, ready, data in q:wait(60) do print 'woken' end",
        "readyq.new():wait(60)",
        "for _ in readyq.new():wait() do end",
        "pcall(loop.sleep, 60)" if "5.1" not in LUA else "loop.sleep(60)",
    ],
)
def test_ctrl_c_ends_what_runs_or_waits(request, console, code):
    plain = "plain" in request.node.name  # the terminal shows the keys meanwhile
    for _ in range(2):
        console.enter(f"print('be' .. 'gun') {code}")
        console.expect(r"^begun$")
        console.keys("C-c")
        console.expect(r"^\^C(.*\n)*>$" if plain else r"(interrupted!|woken)\n(.*\n)*>$")
        console.enter("'al' .. 'ive'")
        console.expect(r"^alive\n>$")
        console.tmux("send-keys", "-R")
        console.tmux("clear-history")


def test_a_yield_that_nothing_ends_gives_the_prompt_back(console):
    console.enter("coroutine.yield(1)")
    console.expect(r"^the code yielded, but is not waiting for anything\n>$")
    console.enter("6 * 7")
    console.expect(r"^42\n>$")


def test_a_coroutine_as_data_runs_and_the_prompt_still_sleeps(console):
    console.enter("t = q:add_timer(0.05, coroutine.create(function() print('it', 'ran') end))")
    console.expect(r"^it\s+ran$")
    console.enter("before = os.clock() loop.sleep(0.3) print(os.clock() - before < 0.1)")
    console.expect(r"^true\n>$")


def test_ctrl_d_ends_it(console):
    console.keys("C-d")
    console.expect_end()


def test_it_reads_a_script_from_a_pipe():
    result = subprocess.run(
        [LUA, "-l", "readyq.repl"],
        input="q:add_trigger(function() print 'fired' end):fire()\nloop.sleep(0.01)\n'end'",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "fired" in result.stdout
    assert "end" in result.stdout
    assert result.returncode == 0


def test_a_program_may_require_it_without_starting_it():
    code = "local repl = require 'readyq.repl' io.write(type(repl.run))"
    result = subprocess.run([LUA, "-e", code], capture_output=True, text=True, timeout=60)
    assert result.stdout == "function", result


def test_make_repl_lua_opens_it(terminal, tmp_path):
    history = {"READYQ_LUA_HISTORY": tmp_path / "history"}
    terminal.start(
        os.environ.get("MAKE", "make"), "-s", "-C", ROOT, "repl-lua", f"LUA={LUA}", **history
    )
    terminal.expect(r"^readyq .*\n>$")
    terminal.enter("'first' .. ' line'")
    terminal.expect(r"^first line\n>$")
    terminal.keys("C-d")
    terminal.expect_end()


# ------------------------------------------------------------------ the sessions in the docs


def recorded_sessions():
    """Each session of the pages: the lines that are typed, with their prompts and the output."""
    for page in ("prompt-lua.md", "tutorial/lua.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for number, session in enumerate(re.findall(r"```console\n(> .*?)```", text, re.DOTALL)):
            steps = []
            for line in session.splitlines():
                if line.startswith(("> ", ">> ")):
                    steps.append((*line.split(" ", 1), []))
                else:
                    steps[-1][2].append(line)
            yield pytest.param(steps, id=f"{page}-{number + 1}")


SESSIONS = list(recorded_sessions())


def test_there_are_sessions():
    assert len(SESSIONS) >= 3


@pytest.mark.parametrize("steps", SESSIONS)
def test_a_recorded_session_shows_what_it_says(console, steps):
    for prompt, typed, shown in steps:
        console.enter(typed)
        for line in shown:
            words = r"\s+".join(map(re.escape, line.split()))
            console.expect(rf"(?s)^{prompt} {re.escape(typed)}\n.*^ *{words}$")
        console.expect(rf"(?s)^{prompt} {re.escape(typed)}\n(.*\n)?>>?$(?!\n)")
