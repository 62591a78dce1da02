# SPDX-License-Identifier: MIT
"""An event loop with async and await in thirty lines, and an echo server on it: `loop.py [port]`.

A coroutine that cannot go on yields the socket it needs and what for. The loop watches that with
the coroutine as data, and sends it on when it is ready. Nothing here is asyncio's. Ctrl-C ends it.
"""

import signal
import socket
import sys
import types

import readyq


class Loop:
    def __init__(self):
        self.queue = readyq.Queue()

    def step(self, coroutine, watch=None):
        """Run it until it waits for the next thing; `watch` is what it waited for."""
        try:
            sock, interest = coroutine.send(None)
        except StopIteration:
            if watch is not None:
                watch.remove()
            return
        if watch is None or watch.source is not sock:
            if watch is not None:
                watch.remove()
            self.queue.add(sock, interest, data=coroutine)
        elif watch.interest != interest:
            watch.modify(interest)

    def run(self):
        stop = self.queue.add_signal(signal.SIGINT)
        while not stop.ready:
            for watch in self.queue.wait():
                if watch is not stop:
                    self.step(watch.data, watch)


@types.coroutine
def ready(sock, interest):
    yield sock, interest


async def send(sock, data):
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await ready(sock, readyq.WRITE)


async def echo(sock):
    with sock:
        try:
            while True:
                await ready(sock, readyq.READ)
                data = sock.recv(4096)
                if not data:
                    return
                await send(sock, data)
        except OSError:
            return


async def accept(listener):
    while True:
        await ready(listener, readyq.READ)
        try:
            sock, _ = listener.accept()
        except OSError:  # it is gone, or there is no descriptor to spare: try again
            continue
        sock.setblocking(False)
        loop.step(echo(sock))


if __name__ == "__main__":
    loop = Loop()
    listener = socket.create_server(("127.0.0.1", int((sys.argv[1:] or [0])[0])), backlog=1024)
    listener.setblocking(False)
    print("listening on", listener.getsockname()[1], flush=True)
    loop.step(accept(listener))
    loop.run()
