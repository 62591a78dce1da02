# SPDX-License-Identifier: MIT
"""Serves the files of a folder over HTTP/1.1: `files.py [port] [folder]`.

One thread serves all clients. The kernel copies the files to the sockets (sendfile) as fast as each
client reads. Connections stay open for further requests, for IDLE seconds. Ctrl-C ends it.
"""

import errno
import mimetypes
import os
import socket
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import readyq

IDLE = 30.0  # seconds
LONGEST = 16384  # bytes of a request
PAUSE = 0.1  # seconds after which accept is tried again if no descriptor was free
folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".").resolve()


def find(target):
    """The file that a request asks for, or None."""
    path = (folder / unquote(urlsplit(target).path).lstrip("/")).resolve()
    if path.is_dir():
        path /= "index.html"
    return path if path.is_relative_to(folder) and path.is_file() else None


class Client:
    def __init__(self, sock):
        sock.setblocking(False)
        self.sock, self.file = sock, None
        self.received, self.unsent = b"", b""
        self.place = self.end = 0  # of the file: what is to be sent
        self.is_last = False
        self.watch = q.add(sock, data=self.serve)
        self.timer = q.add_timer(IDLE, data=lambda w: self.close())

    def serve(self, w):
        try:
            if w.readable:
                self.receive()
            self.send()
            while b"\r\n\r\n" in self.received and not self.is_last:
                self.answer()
                self.send()
        except BlockingIOError:
            self.want(readyq.WRITE if self.is_busy() else readyq.READ)
        except (OSError, ValueError):
            self.close()
        else:
            self.close() if self.is_last else self.want(readyq.READ)

    def receive(self):
        data = self.sock.recv(65536)
        self.timer.restart(IDLE)
        self.received += data
        is_long = len(self.received) > LONGEST and b"\r\n\r\n" not in self.received
        self.is_last = not data or is_long

    def answer(self):
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        request, *fields = head.decode("latin-1").split("\r\n")
        method, target, version = request.split(" ")
        names = {line.partition(":")[0].lower(): line for line in fields}
        close = "close" in names.get("connection", "" if version == "HTTP/1.1" else "close")
        self.is_last = close or method not in ("GET", "HEAD")  # a body would have to be skipped
        path = find(target)
        if method not in ("GET", "HEAD"):
            self.begin("405 Method Not Allowed", "text/plain", b"405\n")
        elif path is None:
            self.begin("404 Not Found", "text/plain", b"404\n" if method == "GET" else b"")
        else:
            self.file = open(path, "rb")  # noqa: SIM115 it is closed when it is sent
            size = os.fstat(self.file.fileno()).st_size
            self.place, self.end = 0, size if method == "GET" else 0
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            self.begin("200 OK", kind, b"", size)

    def begin(self, status, kind, body, size=None):
        length = len(body) if size is None else size
        end = "Connection: close\r\n" if self.is_last else ""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{end}\r\n"
        self.unsent = head.encode() + body

    def is_busy(self):
        return bool(self.unsent or self.file)

    def send(self):
        """Sends what waits; raises BlockingIOError while the client is slow."""
        while self.unsent:
            self.unsent = self.unsent[self.sock.send(self.unsent) :]
        while self.file and self.place < self.end:
            size = self.end - self.place
            sent = os.sendfile(self.sock.fileno(), self.file.fileno(), self.place, size)
            if sent == 0:
                raise OSError(errno.EPIPE, "the file became shorter")
            self.place += sent
            self.timer.restart(IDLE)
        if self.file:
            self.file.close()
            self.file = None

    def want(self, interest):
        if interest != self.watch.interest:
            self.watch.modify(interest)

    def close(self):
        self.watch.remove()
        self.timer.remove()
        self.sock.close()
        if self.file:
            self.file.close()


def accept(w):
    try:
        while True:
            Client(w.source.accept()[0])
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            w.modify(0)
            q.add_timer(PAUSE, data=lambda timer: w.modify(readyq.READ))


with readyq.Queue() as q:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = socket.create_server(("127.0.0.1", port), backlog=1024)
    server.setblocking(False)
    listener = q.add(server, data=accept)
    interrupt = q.add_signal("INT", data=lambda w: w.remove())
    print("listening on", server.getsockname()[1], flush=True)
    while interrupt.active:
        q.dispatch()
