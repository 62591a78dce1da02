# SPDX-License-Identifier: MIT
"""What the screen shows while the Lua prompt edits a line: output appears above it, in terminals of
80 and 40 columns.
"""

import os
import re
import subprocess
import time

import pytest
import screens

LUA = os.environ.get("LUA", "lua5.4")
LINE = "text = '" + "abcdefghij" * 10 + "' print(#text)"
TICKS = "w = q:add_timer(.1, function(w) n = (n or 0) + 1 print('tick ' .. n) end, .1)"
expect_right = screens.Ticks(">", TICKS).expect_right


@pytest.fixture
def columns(request):
    return getattr(request, "param", 80)


in_both_widths = pytest.mark.parametrize("columns", [80, 40], indirect=True)


@pytest.fixture
def start(terminal, columns, tmp_path):
    def start(*command, **environment):
        environment = {"READYQ_LUA_HISTORY": tmp_path / "history", **environment}
        command = command or (LUA, "-l", "readyq.repl")
        terminal.start(*command, columns=columns, **environment)
        terminal.expect(r"^readyq .*\n(.*\n)*>$")
        return terminal

    return start


@pytest.fixture
def console(start):
    return start()


@in_both_widths
def test_a_long_line_is_edited_in_its_middle_while_a_timer_prints(console, columns):
    assert len(LINE) >= 120
    console.enter(TICKS)
    text = LINE
    console.write(text)
    expect_right(console, text, columns)
    for keys, place, typed in (
        (["Left"] * 60, len(LINE) - 60, "MIDDLE"),
        (["Home"], 0, "first = 1; "),
        (["End"], len(LINE) + 17, " w:remove()"),
    ):
        console.keys(*keys)
        expect_right(console, text, columns)
        console.write(typed)
        text = text[:place] + typed + text[place:]
        expect_right(console, text, columns)
    console.keys("Enter")
    console.expect(r"^106\n>$")


@in_both_widths
def test_a_line_that_fills_its_rows_exactly_is_drawn_right(console, columns):
    console.enter(TICKS)
    text = "t=1" + " " * (2 * columns - 8) + "t=2"
    assert len(text) + 2 == 2 * columns
    console.write(text)
    expect_right(console, text, columns)
    console.keys("BSpace")
    expect_right(console, text[:-1], columns)
    console.write("34")
    expect_right(console, text[:-1] + "34", columns)


def test_output_without_a_newline_grows_above_the_line(console):
    console.enter("w = q:add_timer(0.1, function() io.write('.') end, 0.1)")
    console.write("1 + ")
    console.expect(r"^\.{5,}\n> 1 \+$")
    console.write("2, w:remove()")
    console.keys("Enter")
    screen = console.expect(r"^\.*3\s+true\n>$")
    assert len(re.findall(r"^\.+$", screen, re.MULTILINE)) == 1


def test_a_prompt_begins_in_the_first_column(console):
    console.enter("_ = io.write('no newline')")
    console.expect(r"^no newline\n>$")


def test_what_is_written_to_files_of_the_terminal_appears_above_the_line(console):
    console.enter("t = q:add_timer(.3, function() io.stdout:write('out\\n')")
    console.enter("io.stderr:write('err\\n') end)")
    console.write("half a line")
    console.expect(r"^out\nerr\n> half a line$")


@in_both_widths
def test_wide_characters_are_edited_while_a_timer_prints(console, columns):
    console.enter(TICKS)
    console.write("text = '" + "日本" * 8 + "'")
    console.keys("Left", "Left", "Left")
    console.write("語")
    text = "> text = '" + "日本" * 7 + "語日本'"
    lines = [text] if columns == 80 else [text[:25], text[25:]]
    console.expect(r"^tick \d+\n" + "\n".join(lines) + "$")
    console.keys("C-e")
    console.write(" w:remove() print(#text)")
    console.keys("Enter")
    console.expect(r"^51$")


def test_an_error_in_a_callback_appears_above_the_line(console):
    console.enter("w = q:add(io.popen('sleep .3; echo'), 'r', function() error('it broke') end)")
    console.write("half")
    console.expect(r"^stdin:1: it broke\nstack traceback:\n(.*\n)*paused: (.*\n)*> half$")


def test_ctrl_c_ends_a_callback_and_keeps_the_line(console):
    console.enter("t = q:add_timer(1, function() print('began') while true do end end)")
    console.write("6 * ")
    console.expect(r"^began\n> 6 \*$|^began$")
    console.keys("C-c")
    console.expect(r"^stdin:1: interrupted!\n(.*\n)*> 6 \*$")
    console.enter("7")
    console.expect(r"^42\n>$")


def test_ctrl_c_clears_a_line_from_any_place_in_it(console):
    console.write("a line")
    console.keys("Left", "Left")
    console.keys("C-c")
    console.expect(r"^> a line\^C\n>$")
    console.enter("6 * 7")
    console.expect(r"^42\n>$")


def test_ctrl_c_ends_a_search_in_the_history(console):
    console.enter("first = 'line'")
    console.keys("C-r")
    console.write("fir")
    console.expect(r"^search backward: fir: first = 'line'$")
    console.keys("C-c")
    console.expect(r"'line'\^C\n>$")
    console.keys("C-r")
    console.write("fir")
    console.keys("End")
    console.write(" print(first)")
    console.keys("Enter")
    console.expect(r"^line\n>$")


def test_the_line_is_drawn_again_when_the_terminal_changes_its_width(console):
    console.enter(TICKS)
    console.write(LINE)
    expect_right(console, LINE, 80)
    console.tmux("resize-window", "-x", "50", "-y", "50")
    text = "\n".join(screens.wrapped(f"> {LINE}", 50))
    console.wait_until(lambda: console.screen().endswith(f"\n{text}"), text)
    seen = console.screen().count("\ntick")
    console.wait_until(lambda: console.screen().count("\ntick") > seen + 3, "four ticks")
    screen = console.wait_until(lambda: console.screen().endswith(f"\n{text}"), text)
    assert screen.count("> text") == 1


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    ("typed", "keys", "then", "line"),
    [
        ("one two", ["C-a"], "x", "xone two"),
        ("one two", ["C-w"], "x", "one x"),
        ("one two", ["C-u", "C-y", "C-y"], "", "one twoone two"),
        ("one two", ["M-b", "C-k"], "x", "one x"),
        ("one two", ["Home", "M-f", "Delete", "BSpace"], "x", "onxtwo"),
        ("one", ["Home", "Right", "C-d"], "x", "oxe"),
        ("one", ["C-b", "C-f", "C-f", "Left"], "x", "onxe"),
        ("äöü", ["Left", "BSpace"], "x", "äxü"),
        ("one", ["F5", "C-g", "M-x"], "x", "onex"),
    ],
)
def test_keys_edit_the_line(console, typed, keys, then, line):
    console.write(typed)
    console.keys(*keys)
    console.write(then)
    console.expect(rf"^> {line}$")


def test_up_and_down_recall_lines_also_of_an_earlier_session(start, terminal):
    console = start()
    console.enter("x = 'first'")
    console.enter("y = 'second'")
    console.expect(r"^> y = 'second'\n>$")
    console.keys("C-d")
    console.expect_end()
    console = start()
    console.write("half")
    console.keys("Up", "Up")
    console.expect(r"^> x = 'first'$")
    console.keys("Down", "Down")
    console.expect(r"^> half$")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("q:add_ti", "q:add_timer"),
        ("loop.queue:add_tr", "loop.queue:add_trigger"),
        ("x = string.gma", "x = string.gmatch"),
        ("print(io.stdin:setv", "print(io.stdin:setvbuf"),
        ("w = q:add_trigger() w:rem", "w = q:add_trigger() w:rem"),
        ("own_wo", "own_word"),
        ("own_word.fie", "own_word.field"),
        ("own_word.field:gs", "own_word.field:gsub"),
        ("own_watch:rem", "own_watch:remove"),
        ("own_watch.re", "own_watch.read"),
        ("retu", "return"),
        ("nothing.at.", "nothing.at."),
        ("  ", "      x"),
    ],
)
def test_tab_completes_globals_fields_and_methods(console, typed, line):
    console.enter("own_word = {field = 'text'} own_watch = q:add_trigger()")
    console.write(typed)
    console.keys("Tab")
    if line.isspace() or line.endswith(" x"):
        console.write("x")
    console.expect(rf"^> {re.escape(line)}$")


def test_tab_lists_what_there_is_above_the_line(console):
    console.write("q:add")
    console.keys("Tab")
    console.expect(r"^add +add_process +add_signal( +|\n)add_timer +add_trigger\n> q:add$")
    console.write("_tim")
    console.keys("Tab")
    console.expect(r"^> q:add_timer$")


# ------------------------------------------------------------------ tables and help


@in_both_widths
def test_print_shows_a_queue_as_a_table_that_fits_the_terminal(console, columns):
    console.enter("function tick() end")
    console.enter("own = readyq.new() pipe = io.popen('sleep 60; true')")
    console.enter("own:add(pipe, 'r', tick) own:add_timer(30, tick, 60)")
    console.enter("own:add_signal('USR1') own:add_trigger('mail')")
    console.enter("print(own)")
    screen = console.expect(r"^readyq.queue: epoll, watches: 4\n(.*\n)+ +trigger .*mail\n>$")
    table = screen[screen.rindex("readyq.queue") :].splitlines()[1:-1]
    assert max(map(len, table)) <= columns
    assert table[0].split()[0] == "kind"
    assert table[0].split()[-1] == "data"
    assert re.match(r"  fd +\d+ .*function st", table[1])
    if columns == 80:
        assert re.match(r"  fd +\d+ \(pipe\) +READ +function stdin:1$", table[1])
        assert re.match(r"  timer +(29\.\d|30) s +60 s +function stdin:1$", table[2])
        assert re.match(r"  signal +USR1$", table[3])
    console.enter("=own")
    console.wait_until(lambda: console.screen().count("watches: 4\n") == 2, "the second table")


def test_the_table_names_the_coroutines_that_wait(console):
    console.enter("co = loop.spawn(function() loop.sleep(60) end)")
    console.enter("print(q)")
    console.expect(r"^  timer .*coroutine stdin:1$")


def test_help_explains(console):
    console.enter("help")
    console.expect(r"^q is a queue")
    console.enter("help()")
    console.wait_until(lambda: console.screen().count("q is a queue") == 2, "help")


# ------------------------------------------------------------------ the terminal


def test_code_reads_a_line_of_the_terminal(console):
    console.enter("answer = io.read()")
    time.sleep(0.3)
    console.enter("forty two")
    console.enter("'<' .. answer .. '>'")
    console.expect(r"^<forty two>\n>$")


@pytest.mark.parametrize("way", ["C-d", "os.exit()", "q:add_timer(.3, function() os.exit() end)"])
def test_the_terminal_is_as_before_when_the_prompt_has_ended(start, way):
    script = f"stty -a >before; {LUA} -l readyq.repl; stty -a | cmp - before && echo same; cat"
    console = start("sh", "-c", f"cd $(mktemp -d); {script}")
    if way == "C-d":
        console.keys(way)
    else:
        console.enter(way)
    console.expect(r"^same$")


def test_a_terminal_that_cannot_move_its_cursor_gets_a_plain_prompt_that_says_so(start):
    console = start(TERM="dumb")
    screen = console.expect(r"^Line editing and completion are off")
    assert "TERM=dumb" in screen.replace("\n", "")


def test_without_stty_the_prompt_is_plain_and_says_what_is_missing(start, tmp_path):
    lua = subprocess.run(["which", LUA], capture_output=True, text=True).stdout.strip()
    (tmp_path / "sh").symlink_to("/bin/sh")
    console = start(lua, "-l", "readyq.repl", PATH=tmp_path)
    screen = console.expect(r"^Line editing and completion are off")
    assert "the program stty is missing (Debian: coreutils)" in screen.replace("\n", "")
    console.enter("6 * 7")
    console.expect(r"^42$")
