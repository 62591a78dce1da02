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
import warnings

import pytest

import readyq

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
    assert selector.get_key(here) is selector.get_key(here.fileno()) is key
    assert dict(selector.get_map()) == {here.fileno(): key}
    assert selector.unregister(here) is key
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
    assert selector.get_key(here) is key
    assert selector.unregister(here) is key


def test_a_reused_number_can_be_registered_without_unregister(selector, make):
    old, other = make.unix()
    selector.register(old, READ, "old")
    number = old.detach()
    os.close(number)
    new, peer = make.unix()
    if new.fileno() != number:
        new = make.keep(socket.socket(fileno=os.dup2(new.fileno(), number)))
    selector.register(new, READ, "new")
    peer.send(b"x")
    assert [key.data for key, _ in selector.select(10)] == ["new"]


def test_modify_to_the_same_asks_nothing_of_the_kernel(selector, make):
    here, _ = make.unix()
    key = selector.register(here, READ, "data")
    before = kernel_changes(selector)
    assert selector.modify(here, READ, key.data) is key
    assert selector.modify(here, READ, "other") == (here, here.fileno(), READ, "other")
    assert kernel_changes(selector) == before
    assert selector.modify(here, BOTH, "other").events == BOTH
    assert [events for _, events in selector.select(10)] == [WRITE]


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
