# SPDX-License-Identifier: MIT
"""The examples work as documented: the echo server in three languages, and the demo."""

import contextlib
import os
import pty
import re
import select
import selectors
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


# The loop in thirty lines continues to serve as well, but it tries again all the time.
@pytest.mark.parametrize("server", ECHO, indirect=True)
def test_server_out_of_descriptors_serves_on_and_takes_the_next_when_one_leaves(server):
    resource = pytest.importorskip("resource", reason="no rlimits on this platform")
    check_echo(server.connect())
    limit = len(os.listdir(f"/proc/{server.process.pid}/fd")) + 2
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    inside = [server.connect() for _ in range(2)]
    for client in inside:
        check_echo(client)
    waiting = server.connect()
    waiting.sendall(b"me too")
    used = processor_time(server.process.pid)
    time.sleep(0.5)
    assert processor_time(server.process.pid) - used <= 0.1
    check_echo(inside[0])
    inside[1].close()
    assert receive(waiting, 6) == b"me too"


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

    def __init__(self, **environment):
        command = command_for("chat", "lua")
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
                assert receive(other, len(name) + 6) == f"{name} came\n".encode()
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


@pytest.fixture
def chat():
    if not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    chat = Chat()
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
        assert receive(client, 16) == b"the server ends\n"
        assert client.recv(1) == b""


def test_chat_with_a_slow_reader_loses_and_breaks_no_line_and_delays_nobody(chat):
    lines, size = 100_000, len(b"ann: line 000000\n")
    expected = b"".join(b"ann: line %06d\n" % number for number in range(lines))
    ann, bob, slow = (chat.connect(name) for name in ("ann", "bob", "slow"))
    text = expected.replace(b"ann: ", b"")
    sender = send_in_background(ann, text)
    assert receive(bob, lines * size) == expected
    sender.join(LONG)
    assert not sender.is_alive()
    bob.sendall(b"done\n")  # and the slow one has read nothing yet
    assert receive(ann, 10) == b"bob: done\n"
    assert receive(slow, lines * size + 10) == expected + b"bob: done\n"
    chat.end(signal.SIGINT)


def test_chat_ends_in_time_while_a_client_reads_nothing(chat):
    ann, _ = chat.connect("ann"), chat.connect("slow")
    ann.sendall(b"%s\n" % (b"x" * 4000) * 5000)
    ann.sendall(b"half a li")
    time.sleep(0.5)
    chat.end(signal.SIGTERM)


def test_chat_closes_the_connection_of_a_client_that_says_nothing():
    if not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    chat = Chat(CHAT_IDLE="0.5")
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
    client.sendall(b"x" * 100_000)
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    chat.end(signal.SIGINT)


# ------------------------------------------------------------------ a serial line


@pytest.fixture
def start():
    """Starts an example in Lua, which is ended with the test, or if it takes too long."""
    programs = []

    def start(name, *arguments):
        command = [*command_for(name, "lua"), *arguments]
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


def test_supervisor_decodes_statuses_and_starts_again_later_and_later(start):
    program = start("supervisor", "sh -c 'exit 3'", "sh -c 'kill -9 $$'", "sleep 60")
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
