# SPDX-License-Identifier: MIT
"""Every code block of the README and of the site runs, and prints what the block below it says.

A block in ```python, ```lua or ```c is a program; the ```text block that follows is its output. A
program in Lua runs on each Lua that has the modules it requires; a program whose library is missing
is skipped. A block in ```pycon is a session. The sessions in ```console are typed into a terminal
by tests/test_prompt*.py. A program that has no output below it is a chat server.
"""

import contextlib
import doctest
import importlib.util
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import pythons
import test_lua

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {"readyq.socket": "socket", "socket": "socket", "luv": "luv", "ssl": "ssl"}
LIBRARIES = {"glib-unix.h": "glib-2.0", "uv.h": "libuv"}  # by header: names for pkg-config
PACKAGES = {"glib-2.0": "libglib2.0-dev", "libuv": "libuv1-dev"}
LONG = 60
TRIES = 3  # the programs show time passing, and the machine may be busy


def blocks(page):
    """(line, language, code, output or None) of each block that is a program or a session."""
    text = page.read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    for one, after in zip(found, [*found[1:], None]):
        if one[1] not in ("python", "lua", "c", "pycon"):
            continue
        follows = after and after[1] == "text" and not text[one.end() : after.start()].strip()
        line = text.count("\n", 0, one.start()) + 1
        yield line, one[1], one[2], after[2] if follows else None


def missing_for(code, language):
    """What a program needs that is not installed, or None."""
    if language == "python" and python_for(code) is None:
        return f"a Python package of {modules_of(code)} is missing: make setup"
    if language == "c":
        for name in packages_of(code):
            if subprocess.run(["pkg-config", "--exists", name], check=False).returncode != 0:
                return f"{name} is missing: apt install {PACKAGES[name]}"
    if language == "lua" and not luas_for(code):
        return f"a module of {sorted(set(NEEDS.values()))} is missing: make setup"
    return None


def modules_of(code):
    return re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)


def python_for(code):
    """A Python that has the modules that the program imports, or None."""
    if all(importlib.util.find_spec(module) for module in modules_of(code)):
        return sys.executable
    return pythons.with_modules(*modules_of(code))


def packages_of(code):
    """The names by which pkg-config knows the libraries that a C program includes."""
    return [name for file, name in LIBRARIES.items() if f"#include <{file}>" in code]


def luas_for(code):
    """Each Lua that has the modules that the program requires."""
    modules = {NEEDS[name] for name in re.findall(r'require "(.+?)"', code) if name in NEEDS}
    return [lua for lua in test_lua.LUAS if all(test_lua.has_module(lua, name) for name in modules)]


def cases():
    """(code, output, how it runs) of each block."""
    for page in PAGES:
        for line, language, code, output in blocks(page):
            name = f"{page.relative_to(ROOT)}:{line}"
            reason = missing_for(code, language)
            if reason:
                skip = pytest.mark.skip(reason=reason)
                yield pytest.param(code, output, language, id=name, marks=skip)
            elif language == "lua":
                for lua in luas_for(code):
                    yield pytest.param(code, output, lua, id=f"{name}-{Path(lua).name}")
            else:
                yield pytest.param(code, output, language, id=name)


CASES = list(cases())
PROGRAMS = [case for case in CASES if case.values[1] is not None]
SESSIONS = [case for case in CASES if case.values[2] == "pycon"]
SERVERS = [case for case in CASES if case.values[1] is None and '"TERM"' in case.values[0]]
KINDS = [PROGRAMS, SESSIONS, SERVERS]


def compile_c(code, folder):
    source, program = folder / "program.c", folder / "program"
    source.write_text(code)
    flags = f"-std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -Werror -I{ROOT / 'core'}"
    compiler = [*shlex.split(os.environ.get("CC", "cc")), *flags.split(), "-o", program]
    command = [*compiler, source, ROOT / "build" / "libreadyq.a"]
    if packages := packages_of(code):
        command += shlex.split(
            subprocess.check_output(["pkg-config", "--cflags", "--libs", *packages], text=True)
        )
    subprocess.run(command, check=True)
    return [program]


def command_of(code, runner, folder):
    """The command that runs a program, and its environment."""
    if runner == "c":
        return compile_c(code, folder), None
    if runner == "python":
        source = folder / "program.py"
        source.write_text(code)
        return [python_for(code), source], None
    source = folder / "program.lua"
    source.write_text(code)
    return [runner, source], test_lua.environment(runner)


@pytest.mark.parametrize(("code", "output", "runner"), PROGRAMS)
def test_a_program_prints_what_the_page_says(code, output, runner, tmp_path):
    command, environment = command_of(code, runner, tmp_path)
    for _ in range(TRIES):
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=LONG, cwd=tmp_path, env=environment
        )
        if result.stdout == output:
            break
    assert (result.stdout, result.returncode) == (output, 0), result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize(("code", "output", "runner"), SESSIONS)
def test_a_session_shows_what_the_page_says(code, output, runner, tmp_path):
    session = tmp_path / "session.txt"
    session.write_text(code)
    assert doctest.DocTestParser().get_examples(code)
    command = [sys.executable, "-m", "doctest", "-o", "ELLIPSIS", session]
    for _ in range(TRIES):
        result = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
        if result.returncode == 0:
            break
    assert (result.stdout, result.returncode) == ("", 0), result.stderr


class Chat:
    """The chat server of a tutorial, and clients for it."""

    def __init__(self, command, environment):
        self.server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.port = int(self.server.stdout.readline().split()[-1])

    @contextlib.contextmanager
    def client(self):
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=LONG) as sock,
            sock.makefile("rwb") as client,
        ):
            assert client.readline() == b"welcome\n"
            yield client

    def end(self):
        self.server.send_signal(signal.SIGTERM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.server.communicate()


@pytest.fixture(params=[pytest.param(case.values, id=case.id) for case in SERVERS])
def chat(request, tmp_path):
    code, _, runner = request.param
    with Chat(*command_of(code, runner, tmp_path)) as chat:
        yield chat


def test_a_chat_server_delays_nobody_for_a_slow_reader_and_says_good_bye(chat):
    """One client floods with more than the kernel buffers, one reads nothing, one reads: it gets
    all lines, in order."""
    lines = [b"line %04d %s\n" % (number, b"x" * 4000) for number in range(3000)]
    with chat.client() as writer, chat.client() as reader, chat.client() as slow:
        for start in range(0, len(lines), 100):  # a reader that keeps up is never far behind
            part = lines[start : start + 100]
            writer.write(b"".join(part))
            writer.flush()
            assert [reader.readline() for _ in part] == part
        chat.end()
        for client in (writer, reader):
            assert client.readline() == b"the server ends\n"
            assert client.readline() == b""
        received = slow.read()  # what the server kept for it, or nothing more if it was dropped
        assert b"".join(lines).startswith(received.removesuffix(b"the server ends\n"))
    assert chat.server.wait(LONG) == 0
    assert chat.server.stderr.read() == ""


def test_every_block_is_run():
    run = [case.id for kind in KINDS for case in kind]
    assert sorted(run) == sorted(case.id for case in CASES)
    assert len(run) > 60


def test_every_image_is_there_and_is_well_formed():
    images = [
        page.parent / image
        for page in PAGES
        for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert images
    for image in images:
        assert ElementTree.parse(image).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("language", ["c", "python", "lua"])
def test_the_examples_of_the_readme_are_short(language):
    (code,) = [code for _, name, code, _ in blocks(ROOT / "README.md") if name == language]
    assert len(code.splitlines()) <= 24
