# SPDX-License-Identifier: MIT
"""An echo server on one queue: `echo.py [port]`. The same program as echo.c and echo.lua.

One thread sleeps until some client can be read or written, serves that client as far as possible
without blocking, and sleeps again. Ctrl-C ends it.
"""

import errno
import signal
import socket
import sys

import readyq

ROOM = 65536  # how many bytes a client may send ahead of what it reads back
PAUSE = 0.1  # seconds after which accept is tried again if no descriptor was free


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.ended = False  # the client has sent its last byte
        self.unsent = bytearray()
        self.watch = queue.add(sock, readyq.READ, data=self)


def drop(client):
    client.watch.remove()
    client.sock.close()


def accept_clients():
    try:
        while True:
            sock, _ = listener.source.accept()
            sock.setblocking(False)
            Client(sock)
    except BlockingIOError:
        return
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            listener.modify(0)
            queue.add_timer(PAUSE, data=listener)


def read_from(client):
    """Read what has arrived. False when the connection is broken."""
    try:
        data = client.sock.recv(ROOM - len(client.unsent))
    except BlockingIOError:
        return True
    except OSError:
        return False
    client.ended = not data
    client.unsent += data
    return True


def write_to(client):
    """Write as much as possible and keep the rest. False when the connection is broken."""
    try:
        n = client.sock.send(client.unsent)
    except BlockingIOError:
        return True
    except OSError:
        return False
    del client.unsent[:n]
    return True


def serve(client):
    alive = True
    if client.watch.ready & readyq.READ:
        alive = read_from(client)
    if alive and client.unsent:
        alive = write_to(client)
    if not alive or (client.ended and not client.unsent):
        drop(client)
        return
    interest = 0
    if not client.ended and len(client.unsent) < ROOM // 2:
        interest |= readyq.READ
    if client.unsent:
        interest |= readyq.WRITE
    if interest != client.watch.interest:
        client.watch.modify(interest)


def listen_on(port):
    sock = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
    sock.setblocking(False)
    print("listening on", sock.getsockname()[1], flush=True)
    return sock


def run():
    while True:
        for w in queue.wait():
            if w is interrupt:
                return
            elif w is listener:
                accept_clients()
            elif w.kind == "timer":
                w.data.modify(readyq.READ)  # the end of the listener's pause
            else:
                serve(w.data)


with readyq.Queue() as queue:
    listener = queue.add(listen_on(int(sys.argv[1]) if len(sys.argv) > 1 else 0), readyq.READ)
    interrupt = queue.add_signal(signal.SIGINT)
    run()
