# SPDX-License-Identifier: MIT
"""A chat server with callbacks: `chat.py [port]`. The same chat as chat.lua.

Try it with `nc 127.0.0.1 PORT`. Output for a slow client is kept, up to a limit, and
delays no other client. Ctrl-C and SIGTERM end the server.
"""

import errno
import os
import socket
import sys

import readyq

NAME_TIME = 60.0  # seconds to say who one is
IDLE_TIME = float(os.environ.get("CHAT_IDLE", "3600"))  # seconds without a line
GOODBYE_TIME = 2.0  # seconds to read the rest, for one who leaves
BACKLOG = 64 << 20  # bytes that may wait for a client
LONGEST = 4096  # bytes in a line

q = readyq.Queue()
clients = set()


class Client:
    def __init__(self, sock):
        sock.setblocking(False)
        self.sock = sock
        self.name = None
        self.leaving = False
        self.received, self.unsent = b"", bytearray()
        self.watch = q.add(sock, data=self.serve)
        self.timer = q.add_timer(min(NAME_TIME, IDLE_TIME), data=self.time_is_over)
        clients.add(self)
        self.say("who are you?")

    def serve(self, w):
        if w.readable and not self.leaving:
            self.receive()
        if w.writable and w.active:
            self.send()

    # ---------------------------------------------------------------- receiving

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            self.take(line.decode(errors="replace").rstrip("\r"))
        if not data or len(self.received) > LONGEST:
            self.leave()

    def take(self, line):
        self.timer.restart(IDLE_TIME)
        if self.name is None:
            self.name = line
            self.say_to_others(f"{self.name} came")
        else:
            self.say_to_others(f"{self.name}: {line}")

    def say_to_others(self, line):
        for client in list(clients):
            if client is not self and client.name is not None:
                client.say(line)

    # ---------------------------------------------------------------- sending

    def say(self, line):
        if self.leaving:
            return
        was_empty = not self.unsent
        self.unsent += line.encode() + b"\n"
        if was_empty:
            self.send()
        elif len(self.unsent) > BACKLOG:
            self.close()

    def send(self):
        try:
            del self.unsent[: self.sock.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self.leaving and not self.unsent:
            self.close()
            return
        interest = 0 if self.leaving else readyq.READ
        interest |= readyq.WRITE if self.unsent else 0
        if interest != self.watch.interest:
            self.watch.modify(interest)

    # ---------------------------------------------------------------- leaving

    def time_is_over(self, w):
        if self.leaving:
            self.close()
        else:
            self.say("you were silent for too long")
            self.leave()

    def leave(self):
        """What waits for the client is sent, and then its connection is closed."""
        if self.leaving or not self.watch.active:
            return
        self.leaving = True
        self.timer.restart(GOODBYE_TIME)
        self.say_that_it_left()
        self.send()

    def say_that_it_left(self):
        name, self.name = self.name, None
        if name is not None:
            self.say_to_others(f"{name} left")

    def close(self):
        clients.discard(self)
        self.timer.remove()
        self.watch.remove()
        self.sock.close()
        self.say_that_it_left()
        if listener.active and listener.interest == 0:
            listener.modify(readyq.READ)


def accept(w):
    try:
        sock, _ = w.source.accept()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            w.modify(0)  # no descriptor is free: paused until a client leaves
        return
    Client(sock)


def finish(w):
    listener.remove()
    listener.source.close()
    for client in clients:
        client.name = None  # nobody is told who leaves
    for client in list(clients):
        client.say("the server ends")
        client.leave()


server = socket.create_server(("127.0.0.1", int((sys.argv[1:] or ["0"])[0])), backlog=128)
server.setblocking(False)
listener = q.add(server, data=accept)
for name in ("INT", "TERM"):
    q.add_signal(name, data=finish)
print("listening on", server.getsockname()[1], flush=True)
while clients or listener.active:
    q.dispatch()
