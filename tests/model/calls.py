# SPDX-License-Identifier: MIT
"""The few calls that Python has no name for. A printed program carries along those that it needs,
so they need nothing but the standard library.
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
    """Both ends of a socketpair with little room, as numbers."""
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
    """Calls with a number as a socket."""
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
    """Reads n bytes that are known to be there, or the end where n is 0; returns how many."""
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
    """What poll(2) says of a number."""
    poller = select.poll()
    poller.register(fd, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    return dict(poller.poll(0)).get(fd, 0)


def spawn(status):
    """Starts a child that holds open what is open now; returns its id and what ends it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for number in signal.SIGALRM, signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(300)  # it does not outlive for long who forgets it
            os.read(reader, 1)
        finally:
            os._exit(status)
    os.close(reader)
    return pid, writer


def end_child(pid, writer):
    """Ends it, and leaves it to be reaped."""
    os.write(writer, b"x")
    os.close(writer)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


class StopError(Exception):
    """Leaves dispatch() early."""


steps = []  # what the next callbacks do


def called(watch):
    """Every watch's data, for dispatch() to call."""
    if steps:
        steps.pop(0)()


def dispatch(q, timeout, after, step, stops):
    """Lets callbacks be called, of which one takes a step, and may stop."""

    def take_step():
        step()
        if stops:
            raise StopError

    steps[:] = [int] * after + [take_step]
    with contextlib.suppress(StopError):
        q.dispatch(timeout)
    steps.clear()
