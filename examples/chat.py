# SPDX-License-Identifier: MIT
"""A chat server with callbacks: `chat.py [port]`. The same chat as chat.lua; it adds names to the
last step of the tutorial.

Try it with `nc 127.0.0.1 PORT`. Nothing is lost: when more than FULL bytes wait for a client, the
server reads from no client until that one has taken them, or until STALL seconds have passed and
its connection is closed. Ctrl-C and SIGTERM end the server.
"""

import os
import socket
import sys

import readyq

NAME_TIME = 60.0  # seconds for a new client to give its name
IDLE = float(os.environ.get("CHAT_IDLE", "3600"))  # seconds without a line
STALL = float(
    os.environ.get("CHAT_STALL", "10")
)  # seconds for a client with a full buffer to make room
GOODBYE = 2.0  # seconds for a leaving client to take the rest
LONGEST = 4096  # bytes in a line
FULL = 65536  # bytes that may wait for a client before the server stops reading
PAUSE = 0.1  # seconds after which accept is tried again if no descriptor was free

q = readyq.Queue()
clients, full, paused = set(), set(), set()


class Client:
    def __init__(self, sock):
        sock.setblocking(False)
        self.sock, self.received, self.unsent = sock, b"", bytearray()
        self.name = None
        self.leaving = False
        self.watch = q.add(sock, data=self.serve)
        self.timer = q.add_timer(min(NAME_TIME, IDLE), data=self.time_is_up)
        clients.add(self)
        self.say("who are you?")

    def serve(self, w):
        if w.writable:
            self.send()
        if w.readable and w.active:
            self.receive()

    def update(self):
        """Asks for what this client can do now."""
        may_read = not self.leaving and self not in paused
        interest = (readyq.READ if may_read else 0) | (readyq.WRITE if self.unsent else 0)
        if interest != self.watch.interest:
            self.watch.modify(interest)

    # ---------------------------------------------------------------- receiving

    def receive(self):
        if full:  # a client reads too slowly: those that send have to wait
            paused.add(self)
            self.update()
            return
        try:
            text = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        *lines, self.received = (self.received + text).split(b"\n")
        if max(map(len, [*lines, self.received])) > LONGEST:
            self.leave("your line is too long")
            return
        for line in lines:
            self.take(line.decode(errors="replace").rstrip("\r"))
        if not text:
            self.leave()

    def take(self, line):
        self.timer.restart(IDLE)
        if self.name is None:
            self.name = line
            self.say_to_others(f"{self.name} joined")
        else:
            self.say_to_others(f"{self.name}: {line}")

    def say_to_others(self, line):
        for client in clients:
            if client is not self and client.name is not None:
                client.say(line)

    # ---------------------------------------------------------------- sending

    def say(self, line):
        """Keeps the line until the socket can be written."""
        if self.leaving:
            return
        self.unsent += line.encode() + b"\n"
        if len(self.unsent) > FULL and self not in full:
            full.add(self)
            self.timer.restart(STALL)
        self.update()

    def send(self):
        try:
            del self.unsent[: self.sock.send(self.unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self.unsent:
            return
        if self.leaving:
            self.close()
            return
        if self in full:
            self.timer.restart(IDLE)
            self.has_room()
        self.update()

    def has_room(self):
        full.discard(self)
        while paused and not full:
            client = paused.pop()
            client.timer.restart(IDLE)  # it was silent only because it was paused
            client.update()

    # ---------------------------------------------------------------- leaving

    def time_is_up(self, timer):
        if self.leaving or self in full:
            self.close()
        elif self not in paused:
            self.leave("you were silent for too long")

    def leave(self, *reason):
        """Sends what is waiting and the reason, and then closes."""
        if self.leaving:
            return
        for line in reason:
            self.say(line)
        self.leaving = True
        self.timer.restart(GOODBYE)
        self.is_gone()
        if self.unsent:
            self.update()
        else:
            self.close()

    def close(self):
        self.timer.remove()
        self.watch.remove()
        self.sock.close()
        clients.discard(self)
        self.is_gone()

    def is_gone(self):
        """It makes no one wait any more, and the others are told once."""
        paused.discard(self)
        self.has_room()
        name, self.name = self.name, None
        if name is not None:
            self.say_to_others(f"{name} left")


def accept(w):
    try:
        sock, _ = w.source.accept()
    except BlockingIOError:
        return
    except OSError:  # no descriptor is free: try again soon
        w.modify(0)
        q.add_timer(PAUSE, data=accept_again)
    else:
        Client(sock)


def accept_again(timer):
    if listener.active:
        listener.modify(readyq.READ)


def finish(w):
    listener.remove()
    listener.source.close()
    for client in clients:
        client.name = None  # so that no message says who leaves
    for client in list(clients):
        client.leave("the server is shutting down")


server = socket.create_server(("127.0.0.1", int((sys.argv[1:] or ["0"])[0])), backlog=128)
server.setblocking(False)
listener = q.add(server, data=accept)
for name in ("INT", "TERM"):
    q.add_signal(name, data=finish)
print("listening on", server.getsockname()[1], flush=True)
while clients or listener.active:
    q.dispatch()
