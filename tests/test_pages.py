# SPDX-License-Identifier: MIT
"""Every code block of the README and of the site runs, and prints what the block below it says.

A block in ```python, ```lua or ```c is a program; the ```text block that follows is its output. A
block in ```pycon is a session. A program without output has none below it: it is only compiled, or
run until it listens and then ended.
"""

import doctest
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = dict(re.findall(r"^(\w+) = (.*)$", (ROOT / "build" / "config.mk").read_text(), re.M))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """(line, language, code, output or None) of each block that is a program or a session."""
    text = page.read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    for one, after in zip(found, [*found[1:], None]):
        if one[1] not in ("python", "lua", "c", "pycon"):
            continue
        follows = after is not None and after[1] == "text" and not text[one.end() : after.start()].strip()
        line = text.count("\n", 0, one.start()) + 1
        yield line, one[1], one[2], after[2] if follows else None


CASES = [
    pytest.param(language, code, output, id=f"{page.relative_to(ROOT)}:{line}")
    for page in PAGES
    for line, language, code, output in blocks(page)
]


def run_c(code, tmp_path):
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text(code)
    flags = f"-std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -I{ROOT / 'core'}"
    compiler = [*shlex.split(os.environ.get("CC", "cc")), *flags.split()]
    if "int main(" not in code:
        subprocess.run([*compiler, "-c", "-o", program, source], check=True)
        return None
    library = ROOT / "build" / "libreadyq.a"
    subprocess.run([*compiler, "-o", program, source, library], check=True)
    return [program]


def command_of(language, code, tmp_path):
    if language == "c":
        return run_c(code, tmp_path)
    source = tmp_path / f"program.{language}"
    source.write_text(code)
    return [sys.executable if language == "python" else CONFIG["lua"], source]


def run_session(code):
    session = doctest.DocTestParser().get_doctest(code, {}, "session", None, 0)
    assert session.examples
    failures = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(session, out=failures.append)
    assert not failures, "".join(failures)


def check_server(command):
    """A program without output listens until it is ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline().startswith("listening on ")
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == 0
        finally:
            server.kill()


@pytest.mark.parametrize(("language", "code", "output"), CASES)
def test_a_block_prints_what_the_page_says(language, code, output, tmp_path):
    if language == "pycon":
        run_session(code)
        return
    command = command_of(language, code, tmp_path)
    if command is None:
        return
    if output is None:
        check_server(command)
        return
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (result.stdout, result.returncode) == (output, 0), result.stderr
    assert result.stderr == ""


def test_there_are_pages_with_programs():
    assert len(CASES) > 30
