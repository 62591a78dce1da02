# SPDX-License-Identifier: MIT
"""Every code block of the README and of the site runs, and prints what the block below it says.

A block in ```python, ```lua or ```c is a program; the ```text block that follows is its output. A
program in Lua runs on each Lua that has the modules it requires; a program whose library is missing
is skipped. A block in ```pycon is a session. The sessions in ```console are typed into a terminal
by tests/test_prompt*.py. A program that has no output below it is a chat server, which has tests of
its own.
"""

import contextlib
import doctest
import importlib.util
import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import pythons
import test_lua

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import terminal  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
CODE = ("python", "lua", "c", "pycon")
NEEDS = {
    "readyq.socket": "socket",
    "socket": "socket",
    "luv": "luv",
    "ssl": "ssl",
    "copas": "copas",
    "posix.signal": "posix.signal",
    "lgi": "lgi",
}
INSTALL = {"gi": "apt install python3-gi", "lgi": "apt install lua-lgi"}  # others: make setup
LIBRARIES = {"glib-unix.h": "glib-2.0", "uv.h": "libuv"}  # by header: names for pkg-config
PACKAGES = {"glib-2.0": "libglib2.0-dev", "libuv": "libuv1-dev"}
LONG = 60
TRIES = 3  # the programs show time passing, and the machine may be busy


def blocks(page):
    """(line, language, code, output or None) of each block that is a program or a session."""
    text = page.read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    for one, after in zip(found, [*found[1:], None]):
        if one[2] not in CODE:
            continue
        follows = after and after[2] == "text" and not text[one.end() : after.start()].strip()
        line = text.count("\n", 0, one.start()) + 1
        output = textwrap.dedent(after[3]) if follows else None
        yield line, one[2], textwrap.dedent(one[3]), output


def missing_for(code, language):
    """What a program needs that is not installed, or None."""
    if "/proc/" in code and not Path("/proc/self/mounts").exists():
        return "/proc is missing: only Linux has it"
    if "/proc/pressure/" in code and not can_trigger():
        return "pressure triggers are missing: Linux with CONFIG_PSI, and root on older kernels"
    if language == "python" and python_for(code) is None:
        return how_to_get([m for m in modules_of(code) if not importlib.util.find_spec(m)])
    if language == "c":
        for name in packages_of(code):
            if subprocess.run(["pkg-config", "--exists", name], check=False).returncode != 0:
                return f"{name} is missing: apt install {PACKAGES[name]}"
    if language == "lua" and not luas_for(code):
        return how_to_get(lua_modules_of(code))
    return None


def how_to_get(modules):
    commands = {INSTALL.get(module, "make setup") for module in modules}
    return f"one of {sorted(modules)} is missing: {', '.join(sorted(commands))}"


def can_trigger():
    """Whether the kernel takes a trigger for its pressure files."""
    try:
        with open("/proc/pressure/memory", "r+b", buffering=0) as file:
            file.write(b"some 150000 2000000\0")
    except OSError:
        return False
    return True


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


def lua_modules_of(code):
    """The modules that a program in Lua requires, and that not every Lua has."""
    return {NEEDS[name] for name in re.findall(r'require\(?\s*"(.+?)"', code) if name in NEEDS}


def luas_for(code):
    """Each Lua that has the modules that the program requires."""
    modules = lua_modules_of(code)
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
    """The chat server of a tutorial, with some of its limits changed, and clients for it."""

    def __init__(self, code, runner, folder, **limits):
        for name, value in limits.items():
            code, found = re.subn(
                rf"^((?:local )?{name} = )\S+", rf"\g<1>{value}", code, flags=re.M
            )
            assert found == 1
        command, environment = command_of(code, runner, folder)
        self.server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.port = int(self.server.stdout.readline().split()[-1])
        self.clients = contextlib.ExitStack()

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=LONG)
        return self.clients.enter_context(sock)

    def client(self):
        client = self.clients.enter_context(self.connect().makefile("rwb"))
        assert client.readline() == b"welcome\n"
        return client

    def processor_time(self):
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.server.send_signal(signal.SIGTERM)
        assert self.server.wait(LONG) == 0
        assert self.server.stderr.read() == ""

    def close(self):
        with contextlib.suppress(OSError):  # what was not sent
            self.clients.close()
        self.server.kill()
        self.server.communicate()


@pytest.fixture(params=[pytest.param(case.values, id=case.id) for case in SERVERS])
def start(request, tmp_path):
    """Starts a chat server; its limits can be given."""
    code, _, runner = request.param
    with contextlib.ExitStack() as stack:

        def start(**limits):
            chat = Chat(code, runner, tmp_path, **limits)
            stack.callback(chat.close)
            return chat

        yield start


LINES = [b"line %05d %s\n" % (number, b"x" * 4000) for number in range(6000)]
TEXT = b"".join(LINES)  # more than the kernel buffers


class Flood(threading.Thread):
    """Sends everything, as fast as the server reads."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.sent = client, 0
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError):  # the server or the test has ended
            for line in LINES:
                self.client.write(line)
                self.client.flush()
                self.sent += len(line)


def read_in_background(client):
    answer = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(client.read(len(TEXT))), daemon=True).start()
    return answer


def test_a_chat_pauses_the_sender_while_a_receiver_is_slow_and_loses_nothing(start):
    chat = start(STALL=LONG)
    writer, reader, slow = chat.client(), chat.client(), chat.client()
    flood, read = Flood(writer), read_in_background(reader)
    before = -1
    while before != flood.sent:
        before = flood.sent
        time.sleep(1)
    assert before < len(TEXT)
    used = chat.processor_time()
    time.sleep(0.5)
    assert chat.processor_time() - used <= 0.1
    assert slow.read(len(TEXT)) == TEXT
    assert read.get(timeout=LONG) == TEXT
    chat.end()
    assert [one.read() for one in (writer, reader, slow)] == [b"the server is shutting down\n"] * 3


def test_a_chat_drops_a_receiver_that_makes_no_room_and_serves_the_others(start):
    chat = start(STALL="0.5")
    writer, reader, stuck = chat.client(), chat.client(), chat.client()
    Flood(writer)
    assert reader.read(len(TEXT)) == TEXT
    with contextlib.suppress(ConnectionResetError):
        received = stuck.read()
        assert TEXT.startswith(received)
        assert len(received) < len(TEXT)
    chat.end()


def test_a_chat_does_not_wait_for_a_stuck_client_when_it_ends(start):
    chat = start(GOODBYE="0.5", STALL=LONG)
    writer, _stuck = chat.client(), chat.client()
    flood = Flood(writer)
    before = -1
    while before != flood.sent:
        before = flood.sent
        time.sleep(0.5)
    before = time.monotonic()
    chat.end()
    assert time.monotonic() - before < LONG / 2


@pytest.mark.parametrize("text", [b"x" * 5000, b"y" * 4097 + b"\n"])
def test_a_chat_refuses_a_line_that_is_too_long(start, text):
    chat = start()
    other, client = chat.client(), chat.client()
    client.write(b"z" * 4096 + b"\n")
    client.flush()
    assert other.readline() == b"z" * 4096 + b"\n"
    client.write(text)
    client.flush()
    assert client.read() == b"your line is too long\n"
    chat.end()


def test_a_chat_closes_the_connection_of_a_client_that_is_silent(start):
    chat = start(IDLE="1.5")
    client = chat.client()
    before = time.monotonic()
    for _ in range(3):
        time.sleep(0.6)
        client.write(b"still here\n")
        client.flush()
    assert client.read() == b"you were silent for too long\n"
    assert time.monotonic() - before > 3
    chat.end()


def test_a_chat_without_a_free_descriptor_accepts_later_although_no_client_leaves(start):
    resource = pytest.importorskip("resource", reason="no rlimits on this platform")
    chat = start()
    chat.client()
    _, hard = resource.prlimit(chat.server.pid, resource.RLIMIT_NOFILE)
    full = len(os.listdir(f"/proc/{chat.server.pid}/fd"))
    resource.prlimit(chat.server.pid, resource.RLIMIT_NOFILE, (full, hard))
    waiting = chat.connect()
    waiting.settimeout(0.5)
    used = chat.processor_time()
    with pytest.raises(TimeoutError):
        waiting.recv(100)
    assert chat.processor_time() - used <= 0.1
    resource.prlimit(chat.server.pid, resource.RLIMIT_NOFILE, (full + 10, hard))
    waiting.settimeout(LONG)
    assert waiting.recv(100) == b"welcome\n"
    chat.end()


def test_every_block_is_run():
    run = [case.id for kind in KINDS for case in kind]
    assert sorted(run) == sorted(case.id for case in CASES)
    assert len(run) > 60


def test_a_block_that_is_not_run_is_a_command_or_a_session_that_is_typed():
    found = {one[2] for page in PAGES for one in BLOCK.finditer(page.read_text(encoding="utf-8"))}
    others = {one for one in found if not one.startswith("{")} - set(CODE)
    assert others == {"text", "console", "sh", "cmake"}


def test_the_core_can_be_compiled_with_a_program_by_the_command_on_its_page(tmp_path):
    page = ROOT / "docs" / "recipes" / "c.md"
    (command,) = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    program, *_ = [code for _, language, code, _ in blocks(page) if language == "c"]
    (tmp_path / "program.c").write_text(program)
    (tmp_path / "core").symlink_to(ROOT / "core")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert subprocess.check_output([tmp_path / "a.out"], text=True) == "ann says hello\n"


def test_every_image_is_there_and_is_well_formed():
    images = [
        page.parent / image
        for page in PAGES
        for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert images
    for image in images:
        assert ElementTree.parse(image).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_every_link_to_an_example_leads_to_a_program():
    links = [
        page.parent / link
        for page in PAGES
        for link in re.findall(r"\]\(([^)#]*examples/\w+\.\w+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 10
    assert [link for link in links if not link.exists()] == []


def words_of(image):
    """The text of an animated picture, without white space."""
    text = "".join(ElementTree.parse(ROOT / "docs" / "images" / image).getroot().itertext())
    return "".join(text.split())


@pytest.mark.parametrize("name", terminal.SESSIONS)
def test_the_recording_of_a_prompt_shows_the_session_of_its_page(name):
    words, lines = words_of(f"{name}.svg"), terminal.session(name)
    assert len(lines) > 5
    for line in lines:
        assert "".join(line.split()) in words, "make recordings"


def test_the_recording_of_the_demo_shows_what_it_prints():
    words = words_of("make-demo.svg")
    for text in ("$ make demo", "in C:", "in Python:", "in Lua:", "6. peer accepted"):
        assert "".join(text.split()) in words, "make recordings"


@pytest.mark.parametrize("language", ["c", "python", "lua"])
def test_the_examples_of_the_readme_are_short(language):
    (code,) = [code for _, name, code, _ in blocks(ROOT / "README.md") if name == language]
    assert len(code.splitlines()) <= 24
