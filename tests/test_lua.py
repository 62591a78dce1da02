# SPDX-License-Identifier: MIT
"""The Lua tests, tests/lua/test_*.lua: each of their functions is a test here.

They run with the Lua that was built for, and with each other Lua whose interpreter and headers are
installed. A test below a line `-- if CONDITION` runs on those where that holds. One test alone, in
the environment of `make env` and with the directory of unix.so in LUA_CPATH:
`lua5.4 tests/lua/run.lua test_flow test_...`.
"""

import contextlib
import fcntl
import functools
import http.server
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import termios
import threading
import time

import programs
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "lua"
BUILD = ROOT / "build" / "tests" / "lua"
CONFIG = dict(re.findall(r"^(\w+) = (.*)$", (ROOT / "build" / "config.mk").read_text(), re.M))
MAIN = CONFIG["lua"]
OTHERS = {
    "lua5.1": "/usr/include/lua5.1",
    "lua5.2": "/usr/include/lua5.2",
    "lua5.3": "/usr/include/lua5.3",
    "lua5.4": "/usr/include/lua5.4",
    "lua5.5": str(ROOT / "build" / "lua5.5"),  # Debian 12 has none: set-up builds it
    "luajit": "/usr/include/luajit-2.1",
}
SKIPPED = 77


def is_other(name):
    found = shutil.which(name)
    return (
        found is not None
        and not os.path.samefile(found, MAIN)
        and os.path.exists(f"{OTHERS[name]}/lua.h")
    )


OTHER_MODULES = os.environ.get("READYQ_LUA")  # make test-kqueue: only MAIN's are built so
LUAS = [MAIN] if OTHER_MODULES else [MAIN, *filter(is_other, OTHERS)]


@functools.cache
def holds(lua, condition):
    code = f"os.exit(({condition}) and 0 or 1)"
    return subprocess.run([lua, "-e", code], capture_output=True).returncode == 0


def has_module(lua, module):
    return holds(lua, f"pcall(require, '{module}')")


NEIGHBOURS = {
    "test_copas": "copas",
    "test_cqueues": "cqueues",
    "test_http": "http.server",
    "test_luaposix": "posix",
    "test_luv": "luv",
    "test_neighbours": "cqueues",
    "test_select": "socket",
    "test_socket": "socket",
    "test_socket_libraries": "socket",
    "test_socket_select": "socket",
    "test_tls": "ssl",
}


def luas_of(source):
    """The Luas on which a file of tests can run: a library is not packaged for every version of
    Lua.
    """
    module = NEIGHBOURS.get(source.stem)
    if module is None:
        return LUAS
    return [lua for lua in LUAS if has_module(lua, module)] or LUAS[:1]


def cases():
    """(file, test, Lua) of each test. One Lua tries what needs a module that none has: it is
    skipped there, with the command that installs the module.
    """
    for source in sorted(TESTS.glob("test_*.lua")):
        for condition, name in TEST.findall(source.read_text()):
            luas = luas_of(source)
            able = [lua for lua in luas if holds(lua, condition or "true")]
            if not able and "require" in condition:
                able = luas[:1]
            yield from ((source.stem, name, lua) for lua in able)


TEST = re.compile(r"^(?:-- if (.*)\n)?function T\.(test_\w+)\(\)", re.MULTILINE)
CASES = [*cases()]


@functools.cache
def environment(lua):
    """The environment in which this Lua finds the modules, which are built for it if make has not
    done so.
    """
    name = pathlib.Path(lua).name
    directory = BUILD / name
    modules = pathlib.Path(OTHER_MODULES or ROOT / "build" / "lua") if lua == MAIN else directory
    include = OTHERS.get(lua, CONFIG["lua_include"])
    targets = ["modules"] if lua == MAIN else ["modules", "binding"]
    programs.make(TESTS, BUILD, f"LUA={name}", f"INCLUDE={include}", *targets)
    return {
        **os.environ,
        "LUA_PATH": f"{ROOT}/lua/?.lua;{os.environ.get('LUA_PATH', ';;')}",
        "LUA_CPATH": f"{modules}/?.so;{directory}/?.so;;",
    }


@pytest.mark.parametrize(("module", "function", "lua"), CASES)
def test_lua(module, function, lua):
    result = subprocess.run(
        [lua, str(TESTS / "run.lua"), module, function],
        env=environment(lua),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if result.returncode == SKIPPED:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stdout + result.stderr


# ---- Ctrl-C at a terminal


def take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program at a terminal of its own, whose keyboard the test controls."""

    def __init__(self, lua, *arguments):
        self.keys, slave = pty.openpty()
        self.program = subprocess.Popen(
            [lua, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(lua),
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(slave)
        os.set_blocking(self.keys, False)
        self.shown = b""

    def type(self, text):
        os.write(self.keys, text.encode())

    def see(self, text, seconds=20):
        """Wait until the text is shown; forget what came before it."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, self.shown
            select.select([self.keys], [], [], left)
            with contextlib.suppress(OSError):  # nothing yet, or the program has ended
                self.shown += os.read(self.keys, 4096)
        self.shown = self.shown.partition(text.encode())[2]

    def wait_until_asleep(self):
        """Waits until the kernel reports that the program sleeps."""
        stat = pathlib.Path(f"/proc/{self.program.pid}/stat")
        deadline = time.monotonic() + 20
        while stat.read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self):
        self.program.kill()
        self.program.wait()
        os.close(self.keys)


@pytest.fixture
def terminal():
    with contextlib.ExitStack() as stack:

        def start(*words):
            return stack.enter_context(contextlib.closing(Terminal(*words)))

        yield start


WAITS = [
    "q:wait()",
    "for _ in q:wait(60) do end",
    "q:dispatch()",
    "assert(coroutine.resume(coroutine.create(function() q:wait() end)))",
]
INTERRUPTIONS = [(lua, wait) for lua in LUAS for wait in WAITS]


@pytest.mark.parametrize(("lua", "wait"), INTERRUPTIONS)
def test_ctrl_c_raises_interrupted_at_once(terminal, lua, wait):
    code = f"local q = require 'readyq'.new() io.write('ready\\n') {wait}"
    program = terminal(lua, "-e", code)
    program.see("ready")
    time.sleep(0.1)
    program.wait_until_asleep()
    program.type("\x03")
    program.see("interrupted!")
    assert program.program.wait(20) == 1


@pytest.mark.parametrize("lua", LUAS)
def test_ctrl_c_in_a_coroutine_is_reported_once(terminal, lua):
    code = """
        local q = require "readyq".new()
        local co = coroutine.create(function() q:wait() end)
        io.write("ready\\n")
        print("told", coroutine.resume(co))
        for i = 1, 1e5 do q:wait(0) end
        print("the end")
    """
    program = terminal(lua, "-e", code)
    program.see("ready")
    time.sleep(0.1)
    program.wait_until_asleep()
    program.type("\x03")
    program.see("interrupted!")
    program.see("the end")


@pytest.mark.parametrize("lua", LUAS)
def test_a_watched_ctrl_c_is_an_event_and_raises_nothing(terminal, lua):
    code = """
        local q = require "readyq".new()
        local w = q:add_signal("INT", "event")
        io.write("ready\\n")
        for turn = 1, 2 do
            for _, _, data in q:wait(60) do io.write(data, turn, "\\n") end
        end
        print(w:remove())
        q:wait(60)
    """
    program = terminal(lua, "-e", code)
    program.see("ready")
    for shown in ("event1", "event2"):
        time.sleep(0.1)
        program.wait_until_asleep()
        program.type("\x03")
        program.see(shown)
    program.see("true")
    time.sleep(0.1)
    program.wait_until_asleep()
    program.type("\x03")
    program.see("interrupted!")
    assert program.program.wait(20) == 1


def test_ctrl_c_at_the_prompt_leaves_a_queue_that_works(terminal):
    prompt = terminal(MAIN, "-i", "-e", "q = require 'readyq'.new() q:add_trigger('mail'):fire()")
    prompt.see("> ")
    for _ in range(2):
        prompt.type("for _, _, data in q:wait() do print('got ' .. data) end\n")
        prompt.see("got mail")
        prompt.see("> ")
        prompt.type("io.write('now', 'waiting\\n') for _ in q:wait() do end\n")
        prompt.see("nowwaiting")
        time.sleep(0.1)
        prompt.wait_until_asleep()
        prompt.type("\x03")
        prompt.see("interrupted!")
        prompt.see("> ")
        prompt.type("for w in q:watches() do w:fire() end\n")
        prompt.see("> ")


# ---- a copas server with thousands of connections

MANY = 5000
SLOWLY = 120  # seconds for anything that must happen, even on a busy machine
WITH_COPAS = [lua for lua in LUAS if has_module(lua, "copas")]


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MANY + 1000:
        pytest.skip(f"needs {MANY + 1000} descriptors, and may have {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (MANY + 1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class CopasServer:
    def __init__(self, lua, select):
        command = [lua, str(TESTS / "copas_server.lua"), select]
        self.process = subprocess.Popen(
            command,
            env=environment(lua),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())
        self.clients = []

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=SLOWLY)
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.close()
        self.process.kill()
        self.process.communicate()


def check_echo(client, line):
    client.sendall(line)
    answer = b""
    while not answer.endswith(b"\n"):
        part = client.recv(100)
        assert part, "the server closed the connection"
        answer += part
    assert answer == line


@pytest.fixture(params=WITH_COPAS or [None])
def start_copas(request, many_descriptors):
    if request.param is None:
        pytest.skip("no Lua here has the module copas: apt-get install lua-copas lua5.1")
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(contextlib.closing(CopasServer(request.param, name)))


def test_a_copas_server_holds_five_thousand_connections(start_copas):
    server = start_copas("readyq")
    for number in range(MANY):
        check_echo(server.connect(), b"hello %d\n" % number)
    for number in range(0, MANY, 7):
        check_echo(server.clients[number], b"again %d\n" % number)
    for client in server.clients[: MANY // 2]:
        client.close()
    for number in range(MANY // 2, MANY, 11):
        check_echo(server.clients[number], b"still %d\n" % number)
    check_echo(server.connect(), b"one more\n")


def test_the_stock_select_ends_at_its_limit(start_copas):
    server = start_copas("stock")
    with contextlib.suppress(OSError, AssertionError):
        for number in range(1100):
            check_echo(server.connect(), b"hello %d\n" % number)
    assert 900 < len(server.clients) < 1100
    assert "descriptor too large for set size" in server.process.communicate(timeout=SLOWLY)[1]


# ---- two examples


class Late(http.server.BaseHTTPRequestHandler):
    """Answers when all requests have come."""

    requests = threading.Barrier(3)

    def do_GET(self):
        self.requests.wait(60)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("lua", [lua for lua in LUAS if has_module(lua, "socket")])
def test_fetch_requests_all_pages_at_once(lua):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            urls = [f"http://127.0.0.1:{server.server_port}/{name}" for name in ("a", "bb", "ccc")]
            command = [lua, str(ROOT / "examples" / "fetch.lua"), *urls]
            result = subprocess.run(
                command, env=environment(lua), capture_output=True, text=True, timeout=60
            )
        finally:
            server.shutdown()
            thread.join()
    assert result.returncode == 0, result.stderr
    printed = sorted(line.rpartition(", ")[0] for line in result.stdout.splitlines())
    assert printed == [f"{url}: 200, {size} bytes" for url, size in zip(urls, (2, 3, 4))]


@pytest.mark.parametrize("lua", [lua for lua in LUAS if has_module(lua, "socket")])
def test_chat_runs_on_each(lua):
    command = [lua, str(ROOT / "examples" / "chat.lua")]
    with subprocess.Popen(
        command, env=environment(lua), stdout=subprocess.PIPE, text=True
    ) as server:
        address = ("127.0.0.1", int(server.stdout.readline().split()[-1]))
        with (
            socket.create_connection(address, 60) as ann,
            socket.create_connection(address, 60) as bob,
        ):
            files = [client.makefile("rw") for client in (ann, bob)]
            for file, name in zip(files, ("ann", "bob")):
                assert file.readline() == "who are you?\n"
                file.write(name + "\n")
                file.flush()
                if name == "bob":
                    assert files[0].readline() == "bob joined\n"
            files[0].write("hello\n")
            files[0].flush()
            assert files[1].readline() == "ann: hello\n"
            with socket.create_connection(address, 60) as unnamed:
                assert unnamed.recv(100) == b"who are you?\n"
                server.send_signal(signal.SIGINT)
                assert server.wait(60) == 0
