# SPDX-License-Identifier: MIT
"""An event loop with async and await in thirty lines, and an echo server on it: `loop.py [port]`.

A coroutine that cannot continue yields a socket and the interest it needs. The loop watches the
socket with the coroutine's `send` as data, and calls it when the socket is ready. Nothing here uses
asyncio. Ctrl-C ends it.
"""

import signal
import socket
import sys
from typing import Any

import readyq


class Loop:
    def __init__(self):
        self.queue = readyq.Queue()

    def step(self, send, watch=None):
        """Run it until it waits for the next event; `watch` is what it waited for."""
        try:
            sock, interest = send(None)
        except StopIteration:
            if watch is not None:
                watch.remove()
            return
        if watch is None or watch.source is not sock:
            if watch is not None:
                watch.remove()
            self.queue.add(sock, interest, data=send)
        elif watch.interest != interest:
            watch.modify(interest)

    def run(self):
        wait, step = self.queue.wait, self.step
        stop = self.queue.add_signal(signal.SIGINT)
        while not stop.ready:
            for watch in wait():
                if watch is not stop:
                    step(watch.data, watch)


class Ready(tuple):
    """When awaited, it yields its contents: a pair of a socket and an interest."""

    __slots__ = ()
    __await__: Any = tuple.__iter__


def send_some(sock, data):
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0


async def send_rest(sock, data):
    while data:
        await Ready([(sock, readyq.WRITE)])
        data = data[send_some(sock, data) :]


async def echo(sock):
    readable = Ready([(sock, readyq.READ)])
    with sock:
        try:
            while True:
                await readable
                data = sock.recv(4096)
                if not data:
                    return
                sent = send_some(sock, data)
                if sent < len(data):
                    await send_rest(sock, data[sent:])
        except OSError:
            return


async def accept(listener):
    while True:
        await Ready([(listener, readyq.READ)])
        try:
            sock, _ = listener.accept()
        except OSError:  # the client is gone, or no descriptor is free: try again
            continue
        sock.setblocking(False)
        loop.step(echo(sock).send)


if __name__ == "__main__":
    loop = Loop()
    listener = socket.create_server(("127.0.0.1", int((sys.argv[1:] or [0])[0])), backlog=1024)
    listener.setblocking(False)
    print("listening on", listener.getsockname()[1], flush=True)
    loop.step(accept(listener).send)
    loop.run()
