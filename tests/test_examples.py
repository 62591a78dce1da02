# SPDX-License-Identifier: MIT
"""The examples work as documented, with real clients, files and processes."""

import contextlib
import http.client
import os
import pty
import re
import select
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
LUA = os.environ.get("LUA", "lua5.4")
MEGABYTE = os.urandom(1 << 20)
LONG = 60  # seconds for anything that must happen, even on a busy machine


def has_luasocket():
    command = [LUA, "-e", 'require "socket"']
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def command_for(name, language):
    if language == "c":
        return [ROOT / "build" / "examples" / name]
    if language == "python":
        return [sys.executable, EXAMPLES / f"{name}.py"]
    return [LUA, "-e", 'if warn then warn "@on" end', EXAMPLES / f"{name}.lua"]


class Server:
    """One echo server, and clients for it."""

    def __init__(self, name, language, **options):
        self.process = subprocess.Popen(
            command_for(name, language), stdout=subprocess.PIPE, text=True, **options
        )
        self.clients = []
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.communicate(timeout=LONG)
            pytest.fail(f"the server said {line!r} and ended with {self.process.returncode}")
        self.port = int(line.split()[-1])

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=LONG)
        self.clients.append(client)
        return client

    def close(self):
        """Ctrl-C ends it without an error."""
        for client in self.clients:
            client.close()
        self.process.send_signal(signal.SIGINT)
        self.process.stdout.close()
        assert self.process.wait(LONG) == 0


ECHO = ["echo c", "echo python", "echo lua"]


@pytest.fixture(params=[*ECHO, "loop python"])
def server(request):
    name, language = request.param.split()
    if language == "lua" and not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    server = Server(name, language)
    yield server
    server.close()


def receive(client, size):
    data = bytearray()
    while len(data) < size:
        part = client.recv(65536)
        assert part, f"closed after {len(data)} of {size} bytes"
        data += part
    return bytes(data)


def check_echo(client, data=b"hello"):
    client.sendall(data)
    assert receive(client, len(data)) == data


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def send_in_background(client, data):
    thread = threading.Thread(target=client.sendall, args=(data,), daemon=True)
    thread.start()
    return thread


def test_client_receives_what_it_sent(server):
    client = server.connect()
    check_echo(client)
    check_echo(client, b"\0\r\n\xff" * 1000)


def test_five_hundred_clients_each_hear_their_own(server):
    clients = [server.connect() for _ in range(500)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.sendall(f"{turn}:{number:04}".encode())
        for number, client in enumerate(clients):
            assert receive(client, 6) == f"{turn}:{number:04}".encode()


def test_half_close_gets_all_back_and_then_the_end(server):
    client = server.connect()
    sender = send_in_background(client, MEGABYTE)
    data = receive(client, len(MEGABYTE))
    sender.join(LONG)
    client.shutdown(socket.SHUT_WR)
    assert data == MEGABYTE
    assert client.recv(1) == b""


def test_half_close_with_much_unsent_gets_all_back(server):
    client = server.connect()
    client.sendall(MEGABYTE[:100000])
    client.shutdown(socket.SHUT_WR)
    assert receive(client, 100000) == MEGABYTE[:100000]
    assert client.recv(1) == b""


def test_reset_of_one_client_is_not_noticed_by_another(server):
    steady = server.connect()
    for _ in range(50):
        rude = server.connect()
        rude.sendall(b"x" * 10000)
        reset(rude)
        check_echo(steady)


def test_reset_while_much_is_unsent_is_not_noticed_by_another(server):
    steady, rude = server.connect(), server.connect()
    rude.setblocking(False)
    fill(rude)
    reset(rude)
    check_echo(steady)


def test_client_that_leaves_at_once_is_not_noticed_by_another(server):
    steady = server.connect()
    for _ in range(50):
        server.connect().close()
    check_echo(steady)


def test_megabyte_sent_without_reading_comes_back_whole(server):
    steady, greedy = server.connect(), server.connect()
    sender = send_in_background(greedy, MEGABYTE)
    time.sleep(0.3)
    check_echo(steady)
    assert receive(greedy, len(MEGABYTE)) == MEGABYTE
    sender.join(LONG)
    check_echo(greedy)


def fill(client, enough=64 << 20):
    """Sends until the server reads no more for a while; returns how much."""
    sent = 0
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_WRITE)
        while sent < enough and selector.select(0.5):
            sent += client.send(MEGABYTE)
    return sent


def test_server_stops_reading_from_a_client_that_does_not_read(server):
    steady, greedy = server.connect(), server.connect()
    greedy.setblocking(False)
    sent = fill(greedy)
    assert sent < 64 << 20
    check_echo(steady)
    greedy.settimeout(LONG)
    assert len(receive(greedy, sent)) == sent
    check_echo(greedy)


def test_idle_server_sleeps(server):
    check_echo(server.connect())
    used = processor_time(server.process.pid)
    time.sleep(0.5)
    assert processor_time(server.process.pid) - used <= 0.1


def processor_time(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limit_descriptors(process, free):
    """Lets a process open so many descriptors more."""
    resource = pytest.importorskip("resource", reason="no rlimits on this platform")
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    limit = len(os.listdir(f"/proc/{process.pid}/fd")) + free
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hard))


# The loop in thirty lines continues to serve as well, but it tries again all the time.
@pytest.mark.parametrize("server", ECHO, indirect=True)
@pytest.mark.parametrize("leaves", [True, False], ids=["one leaves", "more are allowed"])
def test_server_out_of_descriptors_serves_on_and_takes_the_next_when_one_is_free(server, leaves):
    check_echo(server.connect())
    limit_descriptors(server.process, 2)
    inside = [server.connect() for _ in range(2)]
    for client in inside:
        check_echo(client)
    waiting = server.connect()
    waiting.sendall(b"me too")
    used = processor_time(server.process.pid)
    time.sleep(0.5)
    assert processor_time(server.process.pid) - used <= 0.1
    check_echo(inside[0])
    if leaves:
        inside[1].close()
    else:
        limit_descriptors(server.process, 2)
    assert receive(waiting, 6) == b"me too"


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ("chat python", b"who are you?\n"),
        ("chat lua", b"who are you?\n"),
        ("files python", b"HTTP/1.1 404"),
        ("forward python", b""),
        ("forward lua", b""),
        ("game python", b"Your name?\r\n"),
        ("pool c", b"3\n"),
        ("proxy c", b""),
    ],
)
def test_example_without_a_free_descriptor_sleeps_and_accepts_later(example, words, start):
    name, language = example.split()
    if language == "lua" and not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    with socket.create_server(("127.0.0.1", 0)) as target:
        host = ["127.0.0.1"] if name == "forward" else []
        more = [*host, target.getsockname()[1]] if name in ("forward", "proxy") else []
        program = start(name, 0, *more, language=language)
        address = ("127.0.0.1", port_of(program))
        limit_descriptors(program, 0)
        with socket.create_connection(address, timeout=LONG) as waiting:
            time.sleep(0.2)
            used = processor_time(program.pid)
            time.sleep(0.5)
            assert processor_time(program.pid) - used <= 0.1
            limit_descriptors(program, 10)
            if more:  # a forwarder accepts and connects; one in C refuses its first client
                with socket.create_connection(address, timeout=LONG):
                    target.settimeout(LONG)
                    target.accept()[0].close()
                return
            waiting.sendall(b"GET /none HTTP/1.0\r\n\r\n" if name == "files" else b"12\n")
            assert receive(waiting, len(words)).startswith(words)


@pytest.mark.parametrize("example", [*ECHO, "loop python"])
def test_server_under_load_and_idle_is_not_accused_by_the_watchdog(example, monkeypatch, tmp_path):
    name, language = example.split()
    if language == "lua" and not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    monkeypatch.setenv("READYQ_DEBUG", "1")
    with open(tmp_path / "errors", "w+") as errors:
        server = Server(name, language, stderr=errors)
        clients, greedy = [server.connect() for _ in range(20)], server.connect()
        sender = send_in_background(greedy, MEGABYTE * 8)
        for _ in range(20):
            for client in clients:
                client.sendall(b"hello")
            for client in clients:
                assert receive(client, 5) == b"hello"
        receive(greedy, len(MEGABYTE) * 8)
        sender.join(LONG)
        clients[0].shutdown(socket.SHUT_WR)
        time.sleep(1.5)
        check_echo(clients[1])
        server.close()
        errors.seek(0)
        assert errors.read() == ""


@pytest.mark.parametrize("language", ["c", "python", "lua"])
def test_demo_shows_the_six_steps_and_which_thread_slept(language):
    command = command_for("demo", language)
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert result.returncode == 0, result.stderr
    text = result.stdout
    steps = re.findall(r"^  (\d)\. ", text, re.MULTILINE)
    assert "".join(steps) == "123" + "456" * (len(steps) // 3 - 1)
    places = [text.index(word) for word in ("queue created", "READ registered", "thread asleep")]
    assert places == sorted(places)
    assert text.count("5. woken") == text.count("thread asleep") >= 3
    assert '"how are you?"' in text
    slept, whole = map(float, re.search(r"slept ([\d.]+) of ([\d.]+) ms", text).groups())
    assert 500 <= slept <= whole
    calls, waits, changes = map(
        int, re.search(r"made (\d+) .*?: (\d+)\s+asked.*? (\d+) changed", text, re.DOTALL).groups()
    )
    assert calls == waits + changes
    assert waits >= 3
    if language != "lua" or has_luasocket():
        assert "socket made" in text
        assert "received every word" in text


def words_of(language):
    """The output of a demo, without numbers and without the name of the language."""
    command = command_for("demo", language)
    text = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True).stdout
    return re.sub(r"[\d.]+", "N", re.sub(r"in (C|Python|Lua):", "in X:", text))


def test_demo_prints_the_same_in_three_languages():
    if not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    assert words_of("c") == words_of("python") == words_of("lua")


# ------------------------------------------------------------------ the chat


class Chat:
    """The chat server, and clients for it."""

    def __init__(self, language, **environment):
        command = command_for("chat", language)
        self.server = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.port = int(self.server.stdout.readline().split()[-1])
        self.clients, self.named = [], []

    def connect(self, name=None):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=LONG)
        self.clients.append(client)
        assert receive(client, 13) == b"who are you?\n"
        if name:
            client.sendall(f"{name}\n".encode())
            for other in self.named:
                assert receive(other, len(name) + 8) == f"{name} joined\n".encode()
            self.named.append(client)
        return client

    def end(self, number):
        self.server.send_signal(number)
        assert self.server.wait(LONG) == 0
        assert self.server.stderr.read() == ""

    def close(self):
        for client in self.clients:
            client.close()
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait(LONG)
        self.server.stdout.close()
        self.server.stderr.close()


@pytest.fixture(params=["python", "lua"])
def language(request):
    if request.param == "lua" and not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    return request.param


@pytest.fixture
def chat(language):
    chat = Chat(language)
    yield chat
    chat.close()


def test_chat_sends_each_line_to_all_others(chat):
    ann, bob = chat.connect("ann"), chat.connect("bob")
    ann.sendall(b"hel")
    ann.sendall(b"lo\nyou\n")
    assert receive(bob, 20) == b"ann: hello\nann: you\n"
    bob.close()
    assert receive(ann, 9) == b"bob left\n"
    chat.end(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_chat_ends_by_a_signal_while_a_client_has_no_name(chat, number):
    ann = chat.connect("ann")
    unnamed = chat.connect()
    chat.end(number)
    for client in (ann, unnamed):
        assert receive(client, 28) == b"the server is shutting down\n"
        assert client.recv(1) == b""


LINES, SIZE = 6000, len(b"ann: line 000000 ") + 4000
SAID = b"".join(b"ann: line %06d %s" % (number, b"x" * 3999 + b"\n") for number in range(LINES))


def test_chat_pauses_the_sender_while_a_reader_is_slow_and_loses_and_breaks_no_line(chat):
    ann, bob, slow = (chat.connect(name) for name in ("ann", "bob", "slow"))
    text = SAID.replace(b"ann: ", b"")
    sender = send_in_background(ann, text)
    answers = []
    reader = threading.Thread(target=lambda: answers.append(receive(bob, len(SAID))), daemon=True)
    reader.start()
    reader.join(1)
    assert reader.is_alive()
    assert sender.is_alive()
    assert receive(slow, len(SAID)) == SAID
    for thread in (reader, sender):
        thread.join(LONG)
        assert not thread.is_alive()
    assert answers == [SAID]
    bob.sendall(b"done\n")
    assert receive(ann, 10) == receive(slow, 10) == b"bob: done\n"
    chat.end(signal.SIGINT)


def test_chat_closes_the_connection_of_a_reader_that_makes_no_room(language):
    chat = Chat(language, CHAT_STALL="0.5")
    ann, bob, _stuck = (chat.connect(name) for name in ("ann", "bob", "stuck"))
    send_in_background(ann, SAID.replace(b"ann: ", b""))
    lines, text = [], bob.makefile("rb")
    while len(lines) < LINES + 1:
        lines.append(text.readline())
    assert b"stuck left\n" in lines
    lines.remove(b"stuck left\n")
    assert b"".join(lines) == SAID
    assert receive(ann, 11) == b"stuck left\n"
    text.close()
    chat.end(signal.SIGINT)
    chat.close()


def test_chat_ends_in_time_while_a_client_reads_nothing(chat):
    ann, _ = chat.connect("ann"), chat.connect("slow")
    ann.sendall(b"%s\n" % (b"x" * 4000) * 5000)
    ann.sendall(b"half a li")
    time.sleep(0.5)
    chat.end(signal.SIGTERM)


def test_chat_closes_the_connection_of_a_client_that_says_nothing(language):
    chat = Chat(language, CHAT_IDLE="0.5")
    ann = chat.connect("ann")
    for _ in range(4):
        time.sleep(0.2)
        ann.sendall(b"still here\n")
    assert receive(ann, 28) == b"you were silent for too long\n"
    assert ann.recv(1) == b""
    chat.end(signal.SIGINT)
    chat.close()


def test_chat_closes_the_connection_of_a_client_whose_line_has_no_end(chat):
    client = chat.connect("ann")
    client.sendall(b"x" * 4097)
    assert receive(client, 22) == b"your line is too long\n"
    assert client.recv(1) == b""
    chat.end(signal.SIGINT)


# ------------------------------------------------------------------ a serial line


@pytest.fixture
def start():
    """Starts an example, which is ended with the test, or if it takes too long."""
    programs = []

    def start(name, *arguments, language="lua"):
        command = [*command_for(name, language), *map(str, arguments)]
        program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        watchdog = threading.Timer(LONG, program.kill)
        watchdog.start()
        programs.append((program, watchdog))
        return program

    yield start
    for program, watchdog in programs:
        watchdog.cancel()
        program.kill()
        program.wait(LONG)
        program.stdin.close()
        program.stdout.close()


def read_until(stream, text):
    """The lines of a program up to one that has the text."""
    lines = []
    for line in stream:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    pytest.fail(f"{text!r} did not come: {lines}")


def read_line(fd):
    """A line of a terminal, which may come in pieces."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += os.read(fd, 100)
    return line


def test_serial_reads_lines_and_is_not_stopped_by_half_a_line(start):
    master, slave = pty.openpty()
    program = start("serial", os.ttyname(slave))
    os.write(master, b"ready\n")  # the terminal may still echo
    read_until(program.stdout, "ready")
    if select.select([master], [], [], 0)[0]:
        os.read(master, 100)
    os.write(master, b"hel")
    assert read_until(program.stdout, "half") == ["half a line: hel"]
    program.stdin.write("set speed\nset ")
    program.stdin.flush()
    assert read_line(master) == b"set speed\r\n"
    os.write(master, b"lo\r\nworld\r\n")
    assert read_until(program.stdout, "world") == ["hello", "world"]
    os.close(slave)
    os.close(master)
    read_until(program.stdout, "the device is gone")
    assert program.wait(LONG) == 0


def test_serial_ends_by_ctrl_c(start):
    master, slave = pty.openpty()
    program = start("serial", os.ttyname(slave))
    os.write(master, b"ready\n")
    read_until(program.stdout, "ready")
    program.send_signal(signal.SIGINT)
    assert program.wait(LONG) == 0
    os.close(slave)
    os.close(master)


# ------------------------------------------------------------------ the supervisor


@pytest.mark.parametrize("language", ["python", "lua"])
def test_supervisor_decodes_statuses_and_starts_again_later_and_later(start, language):
    commands = ["sh -c 'exit 3'", "sh -c 'kill -9 $$'", "sleep 60"]
    program = start("supervisor", *commands, language=language)
    lines = []
    while sum("in 0.4 s" in line for line in lines) < 2:
        lines.append(program.stdout.readline())
        assert lines[-1]
    program.send_signal(signal.SIGTERM)
    lines += program.stdout.readlines()
    assert program.wait(LONG) == 0
    for name, end in (("exit 3", "exited with code 3"), ("kill -9 $$", "was ended by signal 9")):
        own = [line.partition("': ")[2] for line in lines if name in line]
        assert [re.sub(r"as \d+$", "as N", line.strip()) for line in own[:6]] == [
            "started as N",
            end,
            "starts again in 0.1 s",
            "started as N",
            end,
            "starts again in 0.2 s",
        ]
    sleeper = [line.strip() for line in lines if line.startswith("sleep")]
    assert sleeper[1:] == ["sleep 60: was ended by signal 15"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(sleeper[0].split()[-1]), 0)


# ------------------------------------------------------------------ tail


@pytest.mark.parametrize("language", ["python", "lua"])
def test_tail_follows_files_that_grow_are_cut_and_come_later(start, language, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("before\n")
    program = start("tail", one, two, language=language)
    read_until(program.stdout, "following 2 files")
    for path, text, mode in ((one, "first\n", "a"), (two, "second\n", "w"), (two, "third\n", "a")):
        with path.open(mode) as file:
            file.write(text)
        header = [] if text == "third\n" else [f"==> {path} <=="]
        assert read_until(program.stdout, text.strip()) == [*header, text.strip()]
    one.write_text("new\n")  # shorter than before
    assert read_until(program.stdout, "new") == [f"==> {one} <==", "new"]
    program.send_signal(signal.SIGINT)
    assert program.wait(LONG) == 0


# ------------------------------------------------------------------ forwarders and pools


def port_of(program):
    return int(read_until(program.stdout, "listening on")[0].split()[-1])


@pytest.fixture(params=["forward python", "forward lua", "proxy c"])
def forwarder(request, start):
    """A function that starts a forwarder to a port and returns its own port."""
    name, language = request.param.split()
    if language == "lua" and not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    host = [] if name == "proxy" else ["127.0.0.1"]
    programs = []

    def forward_to(port):
        programs.append(start(name, 0, *host, port, language=language))
        forward_to.program = programs[-1]
        return port_of(programs[-1])

    yield forward_to
    for program in programs:
        program.send_signal(signal.SIGINT)
        assert program.wait(LONG) == 0


def test_forwarder_passes_both_directions_and_each_end(forwarder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = forwarder(listener.getsockname()[1])
        near = socket.create_connection(("127.0.0.1", port), timeout=LONG)
        far, _ = listener.accept()
        far.settimeout(LONG)
        with near, far:
            sender = send_in_background(near, MEGABYTE)
            assert receive(far, len(MEGABYTE)) == MEGABYTE
            sender.join(LONG)
            near.shutdown(socket.SHUT_WR)
            assert far.recv(1) == b""
            far.sendall(b"the answer")
            far.close()
            assert receive(near, 10) == b"the answer"
            assert near.recv(1) == b""


def test_forwarder_stops_reading_while_the_receiver_does_not_read(forwarder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = forwarder(listener.getsockname()[1])
        near = socket.create_connection(("127.0.0.1", port), timeout=LONG)
        far, _ = listener.accept()
        far.settimeout(LONG)
        with near, far:
            near.setblocking(False)
            sent = fill(near)
            assert sent < 64 << 20
            assert len(receive(far, sent)) == sent


def test_forwarder_sleeps_while_a_connection_is_silent(forwarder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = forwarder(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port), timeout=LONG) as near:
            far, _ = listener.accept()
            with far:
                far.sendall(b"hello")
                assert receive(near, 5) == b"hello"
                before = processor_time(forwarder.program.pid)
                time.sleep(1)
                assert processor_time(forwarder.program.pid) - before <= 0.05


def test_forwarder_closes_when_nobody_listens_at_the_target(forwarder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        unused = listener.getsockname()[1]
    address = ("127.0.0.1", forwarder(unused))
    with (
        socket.create_connection(address, timeout=LONG) as near,
        contextlib.suppress(ConnectionResetError),
    ):
        assert near.recv(1) == b""


def test_pool_answers_each_client_and_frees_those_that_leave(start):
    program = start("pool", 0, 4, language="c")
    port = port_of(program)
    clients = [socket.create_connection(("127.0.0.1", port), timeout=LONG) for _ in range(50)]
    for turn in range(5):
        for number, client in enumerate(clients):
            client.sendall(b"%d and %d\n" % (number, turn))
        for number, client in enumerate(clients):
            total = sum(map(int, str(number))) + turn
            assert receive(client, len(str(total)) + 1) == b"%d\n" % total
        clients.pop().close()
        reset(clients.pop())
    program.send_signal(signal.SIGINT)
    assert program.wait(LONG) == 0
    for client in clients:
        client.close()


# ------------------------------------------------------------------ files by HTTP


@pytest.fixture
def files(start, tmp_path):
    """The port of a file server for a folder with two files."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "index.html").write_text("<p>hello</p>")
    (folder / "large.bin").write_bytes(MEGABYTE * 8)
    (tmp_path / "secret").write_text("outside")
    program = start("files", 0, folder, language="python")
    yield port_of(program)
    program.send_signal(signal.SIGINT)
    assert program.wait(LONG) == 0


def fetch(connection, path, method="GET"):
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read()


def test_file_server_sends_files_on_one_connection_and_nothing_from_outside(files):
    connection = http.client.HTTPConnection("127.0.0.1", files, timeout=LONG)
    assert fetch(connection, "/") == (200, "text/html", b"<p>hello</p>")
    assert fetch(connection, "/index.html?x", "HEAD") == (200, "text/html", b"")
    assert fetch(connection, "/large.bin")[2] == MEGABYTE * 8
    for path in ("/none", "/../secret", "/%2e%2e/secret", "//etc/passwd"):
        assert fetch(connection, path)[0] == 404
    assert fetch(connection, "/", "DELETE")[0] == 405
    connection.close()


def test_file_server_is_not_stopped_by_slow_and_rude_clients(files):
    slow = socket.create_connection(("127.0.0.1", files), timeout=LONG)
    slow.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
    rude = [socket.create_connection(("127.0.0.1", files), timeout=LONG) for _ in range(3)]
    rude[0].sendall(b"GET / HT")
    rude[1].sendall(b"\0\r\n\r\n")
    rude[2].sendall(b"x" * 100_000)
    reset(rude[2])
    connection = http.client.HTTPConnection("127.0.0.1", files, timeout=LONG)
    assert fetch(connection, "/")[0] == 200
    connection.close()
    head = slow.recv(4096)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    for client in (slow, *rude):
        client.close()


def test_file_server_survives_wrk(files):
    if not shutil.which("wrk"):
        pytest.skip("wrk is missing: apt install wrk")
    command = ["wrk", "-t", "1", "-c", "200", "-d", "2s", f"http://127.0.0.1:{files}/"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True)
    assert int(re.search(r"(\d+) requests in", result.stdout)[1]) > 100, result.stdout
    assert "Non-2xx" not in result.stdout
    connection = http.client.HTTPConnection("127.0.0.1", files, timeout=LONG)
    assert fetch(connection, "/")[0] == 200
    connection.close()


# ------------------------------------------------------------------ the game


def test_game_is_won_by_the_player_who_guesses_the_number(start):
    program = start("game", 0, language="python")
    port = port_of(program)
    with contextlib.ExitStack() as stack:
        players = []
        for name in ("ann", "bob"):
            sock = socket.create_connection(("127.0.0.1", port), timeout=LONG)
            player = stack.enter_context(stack.enter_context(sock).makefile("rw"))
            assert player.readline() == "Your name?\n"
            players.append(player)
            player.write(f"{name}\n")
            player.flush()
            for other in players:
                assert other.readline() == f"{name} plays.\n"
            assert player.readline() == "Guess a number from 1 to 100.\n"
        ann, bob = players
        low, high, answer = 1, 100, ""
        while "wins" not in answer:
            guess = (low + high) // 2
            ann.write(f"{guess}\n")
            ann.flush()
            answer = ann.readline()
            low, high = (guess + 1, high) if "larger" in answer else (low, guess - 1)
        assert answer == f"ann wins: it was {guess}.\n"
        assert bob.readline() == answer
        assert bob.readline() == "Guess a number from 1 to 100.\n"
    program.send_signal(signal.SIGINT)
    assert program.wait(LONG) == 0


# ------------------------------------------------------------------ the index


def test_the_index_names_each_example():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "__pycache__"}
    assert set(re.findall(r"\]\((.+?)\)", text)) == names


# ------------------------------------------------------------------ beside cqueues


@pytest.mark.parametrize("outer", ["loop", "controller"])
def test_cqueues_and_the_loop_run_side_by_side(outer):
    has_cqueues = subprocess.run([LUA, "-e", 'require "cqueues"'], capture_output=True, check=False)
    if has_cqueues.returncode != 0:
        pytest.skip("cqueues is missing: apt install lua-cqueues")
    command = [*command_for("cqueues", "lua"), outer]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True)
    lines = [line.split() for line in result.stdout.splitlines()]
    for name in ("cqueues", "readyq"):
        assert [turn for who, turn in lines if who == name] == ["1", "2", "3"]
