# SPDX-License-Identifier: MIT
"""The examples work as documented: the echo server in three languages, and the demo."""

import os
import re
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
    return [LUA, EXAMPLES / f"{name}.lua"]


class Server:
    """One echo server, and clients for it."""

    def __init__(self, name, language):
        self.process = subprocess.Popen(
            command_for(name, language), stdout=subprocess.PIPE, text=True
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
        int, re.search(r"made (\d+) .*?: (\d+)\s+asked.*? (\d+) told", text, re.DOTALL).groups()
    )
    assert calls == waits + changes
    assert waits >= 3
    if language != "lua" or has_luasocket():
        assert "socket made" in text
        assert "heard every word" in text


def words_of(language):
    """The output of a demo, without numbers and without the name of the language."""
    command = command_for("demo", language)
    text = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True).stdout
    return re.sub(r"[\d.]+", "N", re.sub(r"in (C|Python|Lua):", "in X:", text))


def test_demo_prints_the_same_in_three_languages():
    if not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    assert words_of("c") == words_of("python") == words_of("lua")


def test_chat_sends_each_line_to_all_others():
    if not has_luasocket():
        pytest.skip("LuaSocket is missing: apt install lua-socket")
    command = command_for("chat", "lua")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().split()[-1])
        ann, bob = (socket.create_connection(("127.0.0.1", port), timeout=LONG) for _ in range(2))
        for client, name in ((ann, b"ann\n"), (bob, b"bob\n")):
            assert receive(client, 13) == b"who are you?\n"
            client.sendall(name)
            if client is bob:
                assert receive(ann, 9) == b"bob came\n"
        ann.sendall(b"hel")
        ann.sendall(b"lo\nyou\n")
        assert receive(bob, 20) == b"ann: hello\nann: you\n"
        bob.close()
        assert receive(ann, 9) == b"bob left\n"
        server.send_signal(signal.SIGINT)
        assert server.wait(LONG) == 0
        ann.close()


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
