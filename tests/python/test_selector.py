# SPDX-License-Identifier: MIT
"""readyq.Selector does what the selectors of the standard library do. tests/stdlib runs their own
tests with it; this file tests cases that those do not cover.
"""

import contextlib
import errno
import gc
import os
import selectors
import socket
import struct
import threading
import time
import tracemalloc
import warnings

import pytest

import readyq
from readyq import _core

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BOTH = READ | WRITE


@pytest.fixture
def selector(make):
    return make.keep(readyq.Selector())


def kernel_changes(selector):
    return selector._queue.stats().changes


def test_it_is_a_base_selector_and_a_context_manager():
    with readyq.Selector() as selector:
        assert isinstance(selector, selectors.BaseSelector)
        assert selector.get_map() == {}
    assert selector.get_map() is None


def test_a_key_is_returned_found_and_given_back(selector, make):
    here, _ = make.unix()
    key = selector.register(here, READ, "data")
    assert isinstance(key, selectors.SelectorKey)
    assert key == (here, here.fileno(), READ, "data")
    assert selector.get_key(here) == selector.get_key(here.fileno()) == key
    assert dict(selector.get_map()) == {here.fileno(): key}
    assert selector.unregister(here) == key
    assert len(selector.get_map()) == 0


@pytest.mark.parametrize("events", [0, -1, 4, 7, "r", None])
def test_invalid_events_are_refused_and_nothing_is_registered(selector, make, events):
    here, _ = make.unix()
    with pytest.raises(ValueError, match="Invalid events"):
        selector.register(here, events)
    selector.register(here, READ)
    with pytest.raises(ValueError, match="Invalid events"):
        selector.modify(here, events)
    assert selector.get_key(here).events == READ


class Odd:
    def __init__(self, number):
        self.fileno = lambda: number


@pytest.mark.parametrize("fileobj", [-1, "file", None, object(), Odd(-1), Odd("x"), Odd(None)])
def test_an_object_without_a_descriptor_is_refused_as_by_the_stock_selector(selector, fileobj):
    with selectors.DefaultSelector() as stock:
        for call in (
            lambda one: one.register(fileobj, READ),
            lambda one: one.unregister(fileobj),
            lambda one: one.modify(fileobj, READ),
            lambda one: one.get_key(fileobj),
        ):
            with pytest.raises((ValueError, KeyError)) as expected:
                call(stock)
            with pytest.raises(expected.type):
                call(selector)


def test_an_unregistered_object_is_a_key_error(selector, make):
    here, _ = make.unix()
    for call in (selector.unregister, selector.get_key, lambda one: selector.modify(one, READ)):
        with pytest.raises(KeyError, match="is not registered"):
            call(here)


def test_a_descriptor_that_is_not_open_is_an_oserror(selector):
    fd = os.dup(0)
    os.close(fd)
    with pytest.raises(OSError, match="add") as error:
        selector.register(fd, READ)
    assert error.value.errno == errno.EBADF
    with pytest.raises(KeyError):
        selector.get_key(fd)


def test_a_closed_object_is_found_by_itself(selector, make):
    here, there = make.unix()
    key = selector.register(here, READ)
    selector.register(there, READ)
    here.close()
    assert selector.get_key(here) == key
    assert selector.unregister(here) == key


class Reopened:
    """A number that was closed behind the selector's back and belongs to another socket now."""

    def __init__(self, make, old):
        self.number = old.detach()
        os.close(self.number)
        new, self.peer = make.unix()
        if new.fileno() != self.number:
            number = os.dup2(new.fileno(), self.number)
            new.close()
            new = make.keep(socket.socket(fileno=number))
        self.new = new


class Port:
    """As those of serial and zmq, it raises an error of its own when it is closed."""

    class Error(Exception):
        pass

    def __init__(self, socket):
        self.socket = socket

    def fileno(self):
        if self.socket.fileno() < 0:
            raise Port.Error("the port is not open")
        return self.socket.fileno()


def test_a_closed_object_whose_fileno_raises_is_found_by_itself(selector, make):
    here, there = make.unix()
    port, other = Port(here), Port(here)
    key = selector.register(port, READ)
    selector.register(there, READ)
    here.close()
    with pytest.raises(Port.Error):
        selector.get_key(other)
    with pytest.raises(Port.Error):
        selector.register(other, READ)
    assert selector.get_key(port) == key
    assert port in selector.get_map()
    assert selector.unregister(port) == key
    with pytest.raises(Port.Error):
        selector.unregister(port)


def test_the_error_inside_a_fileno_is_the_cause_of_the_refusal(selector):
    class Broken:
        def fileno(self):
            return self.missing

    with pytest.raises(ValueError, match="Invalid file object") as error:
        selector.register(Broken(), READ)
    assert "missing" in str(error.value.__cause__)


def test_a_lookup_that_finds_nothing_leaves_the_descriptor_alone(selector, make):
    here, there = make.unix()
    key = selector.register(here, READ)
    keys = selector.get_map()
    assert keys.get(here) == keys.get(here.fileno()) == key
    assert keys.get(there) is None
    assert keys.get(there.fileno(), "none") == "none"
    assert there.fileno() not in keys


def test_a_key_takes_little_memory(selector, make):
    """Of the object that a watch is; the kernel's and the core's tables come to 16 bytes more."""
    reader, _ = make.pipe()
    copies = [os.dup(reader.fileno()) for _ in range(100)]
    selector.register(reader, READ)
    tracemalloc.start()
    try:
        for fd in copies:
            selector.register(fd, READ)
        size = tracemalloc.get_traced_memory()[0]
        for fd in copies:
            selector.unregister(fd)
    finally:
        tracemalloc.stop()
        for fd in copies:
            os.close(fd)
    assert size / 100 <= 200


def test_the_functions_behind_it_refuse_what_they_cannot_use(queue, make):
    watch, batch = queue.add(make.unix()[0]), queue.wait(0)
    for call, first in ((_core.make_key, watch), (_core.take_keys, batch)):
        for arguments in ((), (first,), (first, dict), (first, ()), (None, tuple)):
            with pytest.raises(TypeError, match="a subclass of tuple"):
                call(*arguments)


def test_of_two_threads_that_unregister_one_gets_the_key(selector, make, start):
    for _ in range(50):
        here, _peer = make.unix()
        key = selector.register(here, READ)
        barrier = threading.Barrier(2)

        def unregister(here=here, barrier=barrier):
            barrier.wait()
            try:
                return selector.unregister(here)
            except KeyError:
                return None

        futures = [start(unregister) for _ in range(2)]
        results = [future.result(10) for future in futures]
        assert sorted(results, key=bool) == [None, key]


def test_a_reused_number_can_be_registered_without_unregister(selector, make):
    old, _ = make.unix()
    selector.register(old, READ, "old")
    reopened = Reopened(make, old)
    selector.register(reopened.new, READ, "new")
    reopened.peer.send(b"x")
    assert [key.data for key, _ in selector.select(10)] == ["new"]


@pytest.mark.parametrize("events", [READ, BOTH])
@pytest.mark.parametrize("data", ["old", "new"])
@pytest.mark.parametrize("by_number", [True, False])
def test_modify_of_a_reused_number_watches_its_new_file(selector, make, events, data, by_number):
    old, _ = make.unix()
    selector.register(old.fileno() if by_number else old, READ, "old")
    reopened = Reopened(make, old)
    fileobj = reopened.number if by_number else reopened.new
    key = selector.modify(fileobj, events, data)
    assert key == (fileobj, reopened.number, events, data)
    assert selector.get_key(reopened.number) == key
    assert len(selector.get_map()) == 1
    reopened.peer.send(b"x")
    assert selector.select(10) == [(key, events)]


def test_modify_of_a_reused_number_watches_a_new_file_on_disk_too(selector, make):
    old, _ = make.unix()
    number = old.fileno()
    selector.register(number, READ, "old")
    old.detach()
    os.dup2(make.file().fileno(), number)
    make.file_of(number, "rb")
    key = selector.modify(number, READ, "new")
    assert selector.select(10) == [(key, READ)]


def test_modify_while_a_duplicate_keeps_the_old_file_open(selector, make):
    old, old_peer = make.unix()
    duplicate = make.keep(old.dup())
    selector.register(old, READ, "old")
    reopened = Reopened(make, old)
    old_peer.send(b"x")
    selector.modify(reopened.number, READ, "new")
    assert selector.select(0.01) == []
    reopened.peer.send(b"y")
    assert [key.data for key, _ in selector.select(10)] == ["new"]
    assert duplicate.recv(1) == b"x"


def test_a_watch_on_a_reused_number_refuses_modify_and_ends_with_the_next_add(queue, make):
    old, _ = make.unix()
    watch = queue.add(old, "r")
    reopened = Reopened(make, old)
    with pytest.raises(OSError, match="belongs to another file now"):
        watch.modify("rw")
    assert watch.active
    queue.add(reopened.new, "r")
    assert not watch.active
    assert not watch.remove()
    reopened.peer.send(b"x")
    assert [w.source for w in queue.wait(10)] == [reopened.new]


def test_modify_that_changes_nothing_of_a_socket_does_not_ask_the_kernel(selector, make):
    here, _ = make.unix()
    key = selector.register(here, READ, "data")
    before = kernel_changes(selector)
    assert selector.modify(here, READ, key.data) == key
    assert kernel_changes(selector) == before
    assert selector.modify(here, READ, "other") == (here, here.fileno(), READ, "other")
    assert selector.modify(here, BOTH, "other").events == BOTH
    assert [events for _, events in selector.select(10)] == [WRITE]


def test_a_modify_makes_at_most_one_system_call(selector, make):
    """Two with kqueue: filters are deleted and added."""
    calls = 1 if selector._queue.backend == "epoll" else 2
    here, _ = make.unix()
    number = here.fileno()
    key = selector.register(number, READ, "data")
    before = kernel_changes(selector)
    assert selector.modify(number, READ, "data") == key
    assert kernel_changes(selector) == before + calls
    selector.modify(number, BOTH, "other")
    assert kernel_changes(selector) == before + 2 * calls


def test_modify_of_a_closed_descriptor_unregisters_it(selector, make):
    here, _ = make.unix()
    number = here.fileno()
    selector.register(number, READ)
    here.close()
    with pytest.raises(OSError, match="modify"):
        selector.modify(number, WRITE)
    with pytest.raises(KeyError):
        selector.get_key(number)


def reset(connection):
    """Closes the socket so that its peer gets an error."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def connected_nowhere(make):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    refused = make.keep(socket.socket())
    refused.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        refused.connect(address)
    return refused


def situation(make, name):
    """A descriptor of which a stock selector reports more than the events that were requested."""
    here, there = make.tcp()
    reader, writer = make.pipe()
    if name == "data":
        there.send(b"x")
    elif name == "end":
        there.close()
    elif name == "half":
        there.shutdown(socket.SHUT_WR)
    elif name == "reset":
        reset(there)
    elif name == "both shut":
        there.close()
        here.shutdown(socket.SHUT_RDWR)
    elif name == "refused":
        return connected_nowhere(make)
    elif name == "pipe without writer":
        writer.close()
        return reader
    elif name == "pipe without reader":
        reader.close()
        return writer
    elif name == "terminal hung up":
        master, slave = make.terminal()
        slave.close()
        return master
    return here


SITUATIONS = ["idle", "data", "end", "half", "reset", "both shut", "refused"]
SITUATIONS += ["pipe without writer", "pipe without reader", "terminal hung up"]


# Without the reading end of a pipe that is also registered for writing: it cannot be written.
CASES = [
    (name, events)
    for name in SITUATIONS
    for events in (READ, WRITE, BOTH)
    if (name, events) != ("pipe without writer", BOTH)
]


@pytest.mark.parametrize(("name", "events"), CASES)
def test_events_are_those_of_the_stock_selector(selector, make, name, events):
    thing = situation(make, name)
    with selectors.DefaultSelector() as stock:
        stock.register(thing, events)
        selector.register(thing, events)
        time.sleep(0.02)  # data arrives over loopback after a moment
        expected = [found for _, found in stock.select(0)]
        assert [found for _, found in selector.select(0)] == expected


def test_a_timeout_is_kept_to_a_part_of_a_millisecond(selector):
    times = []
    for _ in range(50):
        before = time.perf_counter()
        assert selector.select(0.0002) == []
        times.append(time.perf_counter() - before)
    assert min(times) >= 0.0002
    assert min(times) < 0.001


def test_a_negative_timeout_looks_and_nan_is_refused(selector, make):
    here, there = make.unix()
    there.send(b"x")
    selector.register(here, READ)
    assert len(selector.select(-5)) == 1
    with pytest.raises(ValueError, match="timeout"):
        selector.select(float("nan"))


def test_a_file_is_always_ready(selector, make):
    file = make.file()
    key = selector.register(file, BOTH)
    assert selector.select() == [(key, BOTH)]


def test_closing_twice_is_allowed_and_later_calls_are_refused(selector, make):
    here, _ = make.unix()
    selector.register(here, READ)
    keys = selector.get_map()
    selector.close()
    selector.close()
    with pytest.raises(RuntimeError, match="closed"):
        selector.get_key(here)
    with pytest.raises(KeyError):
        keys[here]
    with pytest.raises(KeyError):
        selector.unregister(here)
    for call in (lambda: selector.register(here, READ), selector.select, selector.fileno):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_closing_before_unregister_makes_no_noise(selector, make):
    here, there = make.unix()
    duplicate = make.keep(here.dup())
    selector.register(here, READ)
    there.send(b"x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        here.close()
        selector.unregister(here)
        assert selector.select(0.01) == []
        assert selector.select(0.01) == []
        gc.collect()
    assert duplicate.recv(1) == b"x"


def test_its_descriptor_is_readable_while_select_has_something(selector, make):
    here, there = make.unix()
    selector.register(here, READ)
    with selectors.DefaultSelector() as outer:
        outer.register(selector.fileno(), READ)
        assert outer.select(0) == []
        there.send(b"x")
        assert len(outer.select(10)) == 1


def test_a_register_by_another_thread_takes_effect_in_a_running_select(selector, make):
    here, there = make.unix()
    there.send(b"x")
    timer = threading.Timer(0.05, selector.register, [here, READ, "late"])
    timer.start()
    assert [key.data for key, _ in selector.select(10)] == ["late"]
    timer.join()


def test_socketserver_and_subprocess_run_on_it(monkeypatch):
    import socketserver
    import subprocess
    import sys

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(self.rfile.readline().upper())

    monkeypatch.setattr(socketserver, "_ServerSelector", readyq.Selector)
    monkeypatch.setattr(subprocess, "_PopenSelector", readyq.Selector)
    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"HELLO\n"
        server.shutdown()
        thread.join()
    program = "import sys; print(sys.stdin.read().upper(), end='')"
    child = subprocess.run(
        [sys.executable, "-c", program], input="x" * 200000, capture_output=True, text=True
    )
    assert child.stdout == "X" * 200000
