# SPDX-License-Identifier: MIT
"""Shared by the tests of the Python binding: queues, and real things to watch."""

import concurrent.futures
import contextlib
import faulthandler
import gc
import os
import pathlib
import pty
import select
import socket
import subprocess
import sys
import threading
import time

import pytest

import readyq

SOON = 10  # seconds in which anything that must happen happens, even on a busy machine


@pytest.fixture(autouse=True)
def watchdog():
    """A test that hangs ends the run and prints where it hung."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def descriptors_are_given_back():
    before = len(os.listdir("/proc/self/fd"))
    yield
    if len(os.listdir("/proc/self/fd")) > before:
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


class Things:
    """Opens queues and things to watch; at the end closes those that the test left open."""

    def __init__(self, folder):
        self.folder = folder
        self.process = os.getpid()
        self.opened = contextlib.ExitStack()

    def keep(self, *things):
        for thing in things:
            self.opened.callback(thing.close)
        return things[0] if len(things) == 1 else things

    def queue(self, **options):
        queue = self.keep(readyq.Queue(**options))
        self.opened.callback(self.check, queue)
        return queue

    def check(self, queue):
        """What it watches is what the kernel watches, but for what the test closed itself."""
        if queue.closed or queue.backend != "epoll":  # no other kernel tells
            return
        if os.getpid() == self.process:
            assert not [line for line in queue.check() if "the queue watches it for" in line]

    def unix(self):
        return self.keep(*socket.socketpair())

    def tcp(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            return self.keep(client, listener.accept()[0])

    def file_of(self, fd, mode):
        return self.keep(open(fd, mode, buffering=0))

    def pipe(self):
        reader, writer = os.pipe()
        return self.file_of(reader, "rb"), self.file_of(writer, "wb")

    def fifo(self):
        path = self.folder / "fifo"
        os.mkfifo(path)
        reader = self.file_of(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
        return reader, self.file_of(os.open(path, os.O_WRONLY), "wb")

    def terminal(self):
        return [self.file_of(fd, "r+b") for fd in pty.openpty()]

    def file(self):
        path = self.folder / "file"
        path.write_bytes(b"text")
        return self.keep(open(path, "r+b", buffering=0))

    def child(self, code="import sys; sys.stdin.read()", **options):
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, **options)
        self.opened.callback(child.wait)
        self.opened.callback(child.kill)
        self.keep(child.stdin)
        return child


@pytest.fixture
def make(tmp_path):
    things = Things(tmp_path)
    with things.opened:
        yield things


@pytest.fixture
def queue(make):
    return make.queue()


@pytest.fixture
def virtual(make):
    return make.queue(clock="virtual")


@pytest.fixture
def start():
    """Calls a function in a thread and returns its future."""
    threads = []

    def call(future, function, args):
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    def start(function, *args):
        future = concurrent.futures.Future()
        thread = threading.Thread(target=call, args=(future, function, args), daemon=True)
        threads.append(thread)
        thread.start()
        return future

    yield start
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()


@pytest.fixture
def python():
    """Starts a program with pipes, and with this Python and readyq, or with others."""
    here = pathlib.Path(readyq.__file__).parents[1]
    children = []

    def python(code, program=sys.executable, package=here):
        child = subprocess.Popen(
            [program, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A debug CPython warns of objects that are left open at the end; other builds do not.
            env={
                **os.environ,
                "PYTHONPATH": str(package),
                "PYTHONWARNINGS": "ignore::ResourceWarning",
            },
        )
        children.append(child)
        return child

    yield python
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def fill():
    """Writes to a descriptor until it takes no more."""

    def fill(thing):
        fd = thing.fileno()
        blocking = os.get_blocking(fd)
        os.set_blocking(fd, False)
        for _ in range(3):  # the other side may accept more after a moment
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(fd, bytes(65536))
            time.sleep(0.01)
        os.set_blocking(fd, blocking)

    return fill


@pytest.fixture
def drain():
    """Reads everything that is there from a descriptor."""

    def drain(thing):
        while select.select([thing], [], [], 0)[0] and os.read(thing.fileno(), 65536):
            pass

    return drain


@pytest.fixture
def nap():
    """Sleeps long enough for another thread to begin to sleep, in all likelihood."""
    return lambda: time.sleep(0.05)
