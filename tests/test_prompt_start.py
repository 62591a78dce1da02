# SPDX-License-Identifier: MIT
"""How `python -m readyq` is started: its command line, a script, without prompt_toolkit."""

import os
import subprocess
import sys

import pytest
import pythons

import readyq


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": pythons.PACKAGE, "READYQ_HISTORY": os.devnull},
        timeout=60,
        **options,
    )


def test_help_and_version_are_printed():
    shown = run("-m", "readyq", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "[script]" in shown.stdout
    assert 'pip install "readyq[prompt]"' in shown.stdout
    assert run("-m", "readyq", "--version").stdout == f"readyq {readyq.__version__}\n"


def test_an_unknown_option_and_a_missing_script_are_one_clear_line(tmp_path):
    missing = tmp_path / "missing.py"
    result = run("-m", "readyq", missing)
    line = f"python -m readyq: {missing}: No such file or directory\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", line)
    result = run("-m", "readyq", tmp_path)
    assert (result.returncode, result.stderr) == (
        2,
        line.replace(f"{missing}: No such file or", f"{tmp_path}: Is a"),
    )
    result = run("-m", "readyq", "--wrong")
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        2,
        "python -m readyq: error: unrecognized arguments: --wrong",
    )


SCRIPT = """
import asyncio, sys
print("script", sys.argv[1:], __name__, q.closed)
answer = asyncio.run(asyncio.sleep(0, 42))
w = q.add_timer(0.2, data=lambda w: print("from", "the script"))
"""


def test_a_script_runs_first_and_leaves_its_names(begin, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    console = begin(tmp_path / "script.py", "--help", "two")
    console.expect(r"^script \['--help', 'two'\] __main__ False$")
    console.expect(r"^from the script$")
    console.enter("answer")
    console.expect(r"^42$")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("1 / 0", r"^    1 / 0\n(.*\n)?ZeroDivisionError: division by zero$"),
        ("import sys; sys.exit(3)", r"^SystemExit: 3$"),
        ("what ever", r"^SyntaxError: "),
    ],
)
def test_a_script_that_fails_leaves_the_prompt(toolkit, tmp_path, line, shown):
    (tmp_path / "script.py").write_text(line)
    console = toolkit(tmp_path / "script.py")
    console.expect(shown)
    console.enter("6 * 7")
    console.expect(r"^42$")


def test_without_prompt_toolkit_the_banner_says_how_to_get_it(start):
    console = start("-S", "-m", "readyq")  # without the packages that are installed
    console.expect(r"prompt_toolkit is missing")
    console.expect(r'^To install it: pip install "readyq\[prompt\]"$')
    console.enter("w = q.add_timer(0, data=lambda w: print('tick', 6 * 7))")
    console.expect(r"^tick 42$")


def test_with_it_or_where_it_was_not_wanted_the_banner_does_not(console):
    assert "missing" not in console.expect(r"^print\(q\) shows it")


def test_it_reads_a_script_from_a_pipe():
    lines = "w = q.add_trigger(data=1); w.fire()\nprint([w.data for w in q.wait()])\n"
    result = run("-m", "readyq", input=lines)
    assert "[1]" in result.stdout, result
