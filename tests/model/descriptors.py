# SPDX-License-Identifier: MIT
"""Operations on descriptors, done to real ones and to the model's files.

Their arguments are small integers, and any value is valid: it picks something that exists, or
nothing happens. So a shorter list of operations is valid, too, and a failure can be made small. If
there is a script, the operations are written down as a program.
"""

import os
import select
import time
from abc import ABC, abstractmethod

from model import calls
from model.files import (
    ERROR,
    PRIORITY,
    READ,
    READ_CLOSED,
    WRITE,
    WRITE_CLOSED,
    Counter,
    End,
    File,
    PipeReader,
    PipeWriter,
    Plain,
    Tcp,
    Unix,
    pair,
)
from model.model import DisagreementError
from model.script import Script

MOST = 14  # descriptors at a time
SETTLED = 5  # seconds in which TCP has delivered everything

PAIRS = {
    "pipe": ("os.pipe()", os.pipe, PipeReader, PipeWriter),
    "unix": ("unix()", calls.unix, Unix, Unix),
    "tcp": ("tcp()", calls.tcp, Tcp, Tcp),
}
SINGLES = {
    "eventfd": ("os.eventfd(0)", lambda: os.eventfd(0), Counter),
    "file": ("os.memfd_create('file')", lambda: os.memfd_create("file"), Plain),
}


def polled(fd, file):
    """The bits that poll(2) returns for a number, in the model's terms."""
    events = calls.poll(fd)
    hangup, error = events & select.POLLHUP, events & select.POLLERR
    bits = (READ if events & select.POLLIN else 0) | (WRITE if events & select.POLLOUT else 0)
    if isinstance(file, (PipeReader, PipeWriter)):
        bits |= READ | READ_CLOSED if hangup else 0
        return bits | (WRITE | WRITE_CLOSED if error else 0)
    bits |= READ | READ_CLOSED if events & select.POLLRDHUP else 0
    bits |= READ | WRITE | WRITE_CLOSED if hangup else 0
    return bits | (READ | WRITE | ERROR if error else 0)


class Descriptors(ABC):
    """Numbers and the files behind them."""

    def __init__(self):
        self.script = Script()
        self.table = {}  # the model's files by number
        self.names = {}  # the name of a number in the script
        self.made = 0

    def say(self, line):
        self.script.say(line)

    def name(self, letter):
        self.made += 1
        return f"{letter}{self.made}"

    # ------------------------------------------------------------------ picking

    @staticmethod
    def pick(index, things):
        things = list(things)
        return things[index % len(things)] if things else None

    def pick_number(self, index, able=lambda file: True):
        return self.pick(index, (fd for fd, file in self.table.items() if able(file)))

    def pick_file(self, index, kinds, able):
        """A number and its file, of these kinds and with this property, or two Nones."""
        fd = self.pick_number(index, lambda file: isinstance(file, kinds) and able(file))
        return fd, self.table.get(fd)

    # ------------------------------------------------------------------ what a queue learns of

    @abstractmethod
    def was_closed(self, fd):
        """The number is closed now."""

    @abstractmethod
    def was_opened(self, fd, file):
        """The number belongs to this file now."""

    # ------------------------------------------------------------------ opening

    def enter(self, fd, file, name):
        self.table[fd] = file
        self.names[fd] = name
        file.hold()
        self.was_opened(fd, file)

    def open(self, kind):
        if len(self.table) > MOST - 2 or (kind == "eventfd" and not hasattr(os, "eventfd")):
            return  # Python has it since 3.10
        name, other = self.name("d"), self.name("d")
        if kind in SINGLES:
            call, function, make = SINGLES[kind]
            self.say(f"{name} = {call}")
            self.enter(function(), make(), name)
            return
        call, function, make, make_other = PAIRS[kind]
        self.say(f"{name}, {other} = {call}")
        fds, ends = function(), pair(make(), make_other())
        self.enter(fds[0], ends[0], name)
        self.enter(fds[1], ends[1], other)
        self.settle(ends[0])

    def dup(self, index):
        old = self.pick_number(index)
        if old is None or len(self.table) >= MOST:
            return
        name = self.name("d")
        self.say(f"{name} = os.dup({self.names[old]})")
        self.enter(os.dup(old), self.table[old], name)

    # ------------------------------------------------------------------ closing

    def dup2(self, index, onto):
        """Gives a number to another file, which closes the one before."""
        old, new = self.pick_number(index), self.pick_number(onto)
        if old == new:
            return
        self.say(f"os.dup2({self.names[old]}, {self.names[new]})")
        os.dup2(old, new)
        name = self.names[new]
        file = self.leave(new)
        self.enter(new, self.table[old], name)
        self.let_go(file)

    def close_number(self, index):
        fd = self.pick_number(index)
        if fd is None:
            return
        self.say(f"os.close({self.names[fd]})")
        os.close(fd)
        self.let_go(self.leave(fd))

    def reset(self, index):
        fd, file = self.pick_file(index, Tcp, lambda file: file.holders == 1)
        if fd is None:
            return
        self.say(f"reset({self.names[fd]})")
        calls.reset(fd)
        file.aborted = True
        self.let_go(self.leave(fd))

    def leave(self, fd):
        self.was_closed(fd)
        return self.table.pop(fd)

    def let_go(self, file):
        file.drop()
        self.settle(file)

    # ------------------------------------------------------------------ reading and writing

    def write(self, index, n):
        fd, file = self.pick_file(index, File, lambda file: file.can_write())
        if isinstance(file, Counter):
            self.say(f"os.eventfd_write({self.names[fd]}, {n})")
            os.eventfd_write(fd, n)
        elif fd is not None:
            self.say(f"os.write({self.names[fd]}, bytes({n}))")
            os.write(fd, bytes(n))
        else:
            return
        file.write(n)
        self.settle(file)

    def fill(self, index):
        fd, file = self.pick_file(index, (PipeWriter, Unix), lambda file: file.can_write())
        if fd is not None:
            self.say(f"fill({self.names[fd]})")
            file.write(calls.fill(fd), fills=True)

    def read(self, index, n):
        fd, file = self.pick_file(index, File, lambda file: file.can_read())
        if isinstance(file, Counter):
            self.say(f"os.eventfd_read({self.names[fd]})")
            os.eventfd_read(fd)
            file.read()
        elif fd is not None:
            n = file.read(n)
            self.say(f"read({self.names[fd]}, {n})")
            if calls.read(fd, n) != n:
                raise DisagreementError(f"{self.names[fd]} had less than {n} bytes to read")
            self.settle(file)

    def shut_down(self, index):
        fd, file = self.pick_file(
            index, (Unix, Tcp), lambda file: not (file.shut or file.cut or file.peer.gone)
        )
        if fd is not None:
            self.say(f"shut_down({self.names[fd]})")
            calls.shut_down(fd)
            file.shut_down()
            self.settle(file)

    def collect(self, index):
        fd, file = self.pick_file(index, End, lambda file: file.error)
        if fd is not None:
            self.say(f"collect({self.names[fd]})")
            calls.collect(fd)
            file.collect()

    # ------------------------------------------------------------------ is the model right?

    def settle(self, file):
        """A change at one end of a TCP connection reaches the other end after some time."""
        if isinstance(file, Tcp):
            for fd, other in self.table.items():
                if other is file or other is file.peer:
                    until = time.monotonic() + SETTLED
                    self.compare_with_poll(fd, until)
                    while not other.cut and calls.unread(fd) != other.incoming:
                        if time.monotonic() > until:
                            raise DisagreementError(f"{self.names[fd]} has more or less to read")

    def compare_with_poll(self, fd, until=0):
        """Compares the model of the files with poll(2)."""
        expected = self.table[fd].level() & ~PRIORITY
        while polled(fd, self.table[fd]) != expected:
            if time.monotonic() > until:
                found = polled(fd, self.table[fd])
                name = self.names[fd]
                raise DisagreementError(
                    f"poll(2) says {found:#x} of {name}, the model {expected:#x}"
                )
            time.sleep(0.0001)
