# SPDX-License-Identifier: MIT
"""Forwards connections: `forward.py PORT HOST TARGET_PORT`. The same program as forward.lua.

Each direction of a connection has a buffer of a limited size. While it is full nothing is read from
the sender, so that TCP slows the sender down: back-pressure. Ctrl-C ends it.
"""

import errno
import os
import socket
import sys

import readyq

ROOM = 65536  # bytes of one direction that may wait
PAUSE = 0.1  # seconds after which accept is tried again if no descriptor was free


class End:
    """One of the two sockets of a connection, and what waits to be sent to it."""

    other: "End"

    def __init__(self, sock):
        sock.setblocking(False)
        self.sock = sock
        self.unsent = bytearray()
        self.has_ended = False  # it has sent its last byte
        self.is_shut = False  # it was told that the other one has ended
        self.watch = q.add(sock, 0, data=self.serve)

    def serve(self, w):
        try:
            if w.readable:
                self.receive()
            if w.writable:
                self.send()
        except BlockingIOError:
            pass
        except OSError:
            self.close_both()
            return
        self.update()
        self.other.update()
        if self.is_shut and self.other.is_shut:
            self.close_both()

    def receive(self):
        data = self.sock.recv(ROOM - len(self.other.unsent))
        self.has_ended = not data
        self.other.unsent += data

    def send(self):
        if self.unsent:
            del self.unsent[: self.sock.send(self.unsent)]
        elif error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))  # of connect
        if self.other.has_ended and not self.unsent and not self.is_shut:
            self.sock.shutdown(socket.SHUT_WR)
            self.is_shut = True

    def update(self):
        """Asks for what this end can do: read if there is room, write if something waits."""
        can_read = not self.has_ended and len(self.other.unsent) < ROOM
        must_write = self.unsent or (self.other.has_ended and not self.is_shut)
        interest = (readyq.READ if can_read else 0) | (readyq.WRITE if must_write else 0)
        if interest != self.watch.interest:
            self.watch.modify(interest)

    def close_both(self):
        for end in (self, self.other):
            end.watch.remove()
            end.sock.close()


def accept(w):
    try:
        client, _ = w.source.accept()
        target = socket.socket()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            w.modify(0)
            q.add_timer(PAUSE, data=lambda timer: w.modify(readyq.READ))
        return
    near, far = End(client), End(target)
    near.other, far.other = far, near
    target.connect_ex((sys.argv[2], int(sys.argv[3])))  # an error is reported when it is used
    near.update()
    far.update()


with readyq.Queue() as q:
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
    server.setblocking(False)
    listener = q.add(server, data=accept)
    interrupt = q.add_signal("INT", data=lambda w: w.remove())
    print("listening on", server.getsockname()[1], flush=True)
    while interrupt.active:
        q.dispatch()
