# SPDX-License-Identifier: MIT
"""A few calls that Python does not provide. A printed program contains those that it needs, so they
use nothing but the standard library.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios


def unix():
    """Both ends of a socketpair with small buffers, as numbers."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    return [end.detach() for end in ends]


def tcp():
    """Both ends of a connection, as numbers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return [client.detach(), server.detach()]


def borrow(fd, call):
    """Calls a function with a socket object for the number."""
    borrowed = socket.socket(fileno=fd)
    try:
        return call(borrowed)
    finally:
        borrowed.detach()


def shut_down(fd):
    borrow(fd, lambda end: end.shutdown(socket.SHUT_WR))


def collect(fd):
    return borrow(fd, lambda end: end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def reset(fd):
    """Closes a TCP connection with a reset instead of an end."""
    linger = struct.pack("ii", 1, 0)
    borrow(fd, lambda end: end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger))
    os.close(fd)


def fill(fd):
    """Writes until there is no more room; returns how much."""
    n = 0
    os.set_blocking(fd, False)
    try:
        while True:
            n += os.write(fd, bytes(65536))
    except BlockingIOError:
        return n
    finally:
        os.set_blocking(fd, True)


def read(fd, n):
    """Reads n bytes that are known to be there, or the end if n is 0; returns how many."""
    had = len(os.read(fd, n or 1))
    while had < n:
        got = len(os.read(fd, n - had))
        if got == 0:
            break
        had += got
    return had


def unread(fd):
    """How many bytes have arrived and were not read."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def poll(fd):
    """The bits that Linux's poll(2) returns for a number. Where Linux plays a kernel with kqueue,
    select.poll is that kernel's, and epoll asks Linux, of all but what never blocks.
    """
    events = select.POLLIN | select.POLLOUT | select.POLLRDHUP
    poller = select.epoll() if "KQUEUE_AS" in os.environ else select.poll()
    try:
        poller.register(fd, events)
    except PermissionError:
        return select.POLLIN | select.POLLOUT
    return dict(poller.poll(0)).get(fd, 0)


def spawn(status):
    """Starts a child that keeps all descriptors that are open now; returns its id and a
    descriptor that ends it.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for number in signal.SIGALRM, signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(300)  # so that a forgotten child ends by itself
            os.read(reader, 1)
        finally:
            os._exit(status)
    os.close(reader)
    return pid, writer


def end_child(pid, writer):
    """Ends the child, which is not reaped."""
    os.write(writer, b"x")
    os.close(writer)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


class StopError(Exception):
    """Leaves dispatch() early."""


steps = []  # the actions of the next callbacks


def called(watch):
    """The data of every watch, for dispatch() to call."""
    if steps:
        steps.pop(0)()


def dispatch(q, timeout, after, step, stops):
    """Dispatches; one of the callbacks does a step, and may stop the dispatch."""

    def take_step():
        step()
        if stops:
            raise StopError

    steps[:] = [int] * after + [take_step]
    with contextlib.suppress(StopError):
        q.dispatch(timeout)
    steps.clear()
