# SPDX-License-Identifier: MIT
"""The queue's side of the model: what a wait may report, and what it must report.

This is the contract in executable form. It does not import readyq: a test does the same operations
to a real queue and to this one, and passes what the real one reported. Whatever the contract leaves
open is open here: the order of watches that become ready together, and which of them a wait with a
maximum picks.

A watch *offers* two sets of bits: those that must be reported now, and those that may be. For most
watches they are the same. They differ where the contract promises less:
- EDGE must report what is owed, and may report it with any other bits that are ready.
- The kernel is not asked again about EDGE and ONESHOT events after they were fetched: bits that an
  earlier wait may have fetched, and did not deliver because of its maximum, may still be reported
  (`seen`).
- A watch whose number was closed (`doubtful`) need not report anything, but must not report what is
  not true.

A watch that was in a batch and was not taken is *left*: if it is still ready, the next wait reports
it before all others.
"""

import os
from collections import Counter

from model.files import (
    DIRECTIONS,
    EDGE,
    ERROR,
    EXCLUSIVE,
    FIRED,
    ONESHOT,
    PRIORITY,
    READ,
    READ_CLOSED,
    WRITE,
    WRITE_CLOSED,
    Pipe,
    PipeReader,
    Socket,
    Tcp,
)

KQUEUE = "KQUEUE_AS" in os.environ  # otherwise epoll
FOREVER = float("inf")
LINES = {"timer": "due", "trigger": "fired"}  # kinds that are reported in order
ANYTHING = DIRECTIONS | READ_CLOSED | WRITE_CLOSED | ERROR


class DisagreementError(AssertionError):
    """The queue did what the model does not allow."""


def wanted(file, interest):
    """The bits that a watch reports: the directions it requested, each with its end, and errors. If
    none of these is ready, the bits that the kernel reports unrequested.
    """
    asked, bits = interest & DIRECTIONS, file.level()
    ends = (asked & (READ | WRITE)) << 4
    return bits & (asked | ends | ERROR) or file.unasked()


def narrow(file, bits):
    """Of the bits that epoll must report, those that kqueue must: it reports nothing unrequested,
    an end where epoll has an error as well, except for TCP, and out-of-band data on some kernels.
    """
    without = PRIORITY if isinstance(file, Tcp) else PRIORITY | ERROR
    return bits & ~without if bits & (READ | WRITE) else 0


def widen(file, interest, bits):
    """What kqueue may report beside: on most kernels a pipe has two directions at each end, and a
    write to a socket that was shut down does not block, although it is full.
    """
    if isinstance(file, Socket) and file.shut:
        bits |= interest & WRITE
    if isinstance(file, Pipe):
        bits |= interest & (WRITE if file.reads else READ)
        if file.peer.gone:
            bits |= (interest & (READ | WRITE)) << 4
    return bits


class Watch:
    """One registration. `owed`, `stirred` (see files.py) and `seen` belong to descriptors,
    `pending` and `stamp` to all others: how often they fired without a delivery, and when the first
    time.

    `doubtful`: its number was closed. `confused`: its number was closed and belongs to its file
    again, or is mistaken for it, so that any bits may be reported.
    """

    def __init__(self, queue, kind, name):
        self.queue, self.kind, self.name = queue, kind, name
        self.line = LINES.get(kind)
        self.active = self.armed = True
        self.interest = self.owed = self.seen = self.pending = 0
        self.stirred = self.doubtful = self.confused = self.removed = False
        self.fd = self.file = self.stamp = self.signal = self.child = self.status = None
        self.due = self.period = self.order = None
        self.passed = {}  # how often each other was delivered while this was ready and was not
        self.taken_for = []  # files under which the kernel may have it when it is confused

    def first_due(self):
        """When a timer is due. For a periodic one: its first expiration that was not taken."""
        return self.due - self.pending * self.period if self.due and self.period else self.due

    def ask_anew(self, interest):
        self.interest = interest
        self.armed = interest != 0
        self.owed = self.file.level()
        self.seen = 0
        self.stirred = False
        self.passed = {}

    def hear(self, news):
        """Something arrived."""
        self.owed |= news

    def asks_once(self):
        return bool(self.interest & (EDGE | ONESHOT))

    def may_be_unknown(self):
        """kqueue's filters go when the number is closed. FreeBSD drops WRITE on the reading end of
        a pipe as well, when the writer has gone (pipeclose).
        """
        return self.doubtful or (isinstance(self.file, PipeReader) and self.file.ended())

    def offer(self):
        """(bits that must be reported now, bits that may be)"""
        if self.kind != "fd":
            return (FIRED, FIRED) if self.pending else (0, 0)
        if not self.armed:
            return 0, 0
        if self.confused:
            return 0, ANYTHING
        now = 0 if self.file.gone else wanted(self.file, self.interest)
        must = narrow(self.file, now) if KQUEUE else now
        if self.interest & EDGE:
            must &= self.owed
            now = now if self.owed or self.stirred or self.file.restless else 0
        now = widen(self.file, self.interest, now) if KQUEUE else now
        if self.doubtful:
            return 0, self.doubt(now | self.seen)
        return must, now | self.seen

    def doubt(self, may):
        """The meaning of a hang-up, and the end with EXCLUSIVE, are looked up by number."""
        if (may & ~DIRECTIONS) or (may and self.interest & EXCLUSIVE):
            return ANYTHING
        return may


class Queue:
    def __init__(self):
        self.watches = []
        self.left = set()  # watches in a batch, not taken
        self.ghosts = []  # (file, number, interest) that the kernel may still report
        self.now = 0  # nanoseconds, on the virtual clock
        self.woken = False
        self.events = 0  # stamps: watches are reported in the order in which they fired

    # ------------------------------------------------------------------ watches

    def at(self, fd):
        """The watch of a number."""
        return next((w for w in self.watches if w.kind == "fd" and w.fd == fd), None)

    def enter(self, watch):
        self.watches.append(watch)
        return watch

    def add(self, name, fd, file, interest):
        watch = Watch(self, "fd", name)
        watch.fd, watch.file = fd, file
        watch.ask_anew(interest)
        file.watches.append(watch)
        self.lay(file, fd)
        return self.enter(watch)

    def modify(self, watch, interest):
        self.left.discard(watch)
        watch.ask_anew(interest)

    def forget(self, watch):
        """It has left the queue."""
        self.left.discard(watch)
        if watch.active:
            watch.active = False
            watch.armed = False
            self.watches.remove(watch)
            if watch.file is not None and watch in watch.file.watches:
                watch.file.watches.remove(watch)

    def forked(self):
        """In a child, which knows only the numbers and what is ready now."""
        self.ghosts = []
        self.left.clear()
        for watch in self.watches:
            watch.status = None  # it is not a child of this process
            watch.line = None  # earlier fires come in any order
            if watch.kind == "fd":
                watch.confused |= watch.doubtful
                if not (watch.file.gone or watch.file.never_blocks):  # reported by the kernel
                    watch.owed |= watch.file.level()

    def is_haunted(self):
        return bool(self.ghosts) or any(watch.doubtful for watch in self.watches)

    def remove(self, watch, table):
        """Removed by the user. A number that was closed cannot be removed from the kernel."""
        self.forget(watch)
        watch.removed = True
        if watch.kind != "fd" or watch.file.never_blocks or KQUEUE:
            return  # the kernel has no registration of it; kqueue's ends with its number
        self.lay(table.get(watch.fd), watch.fd)  # a ghost that has its number back is removed
        for file in [watch.file] * watch.doubtful + watch.taken_for:
            if not file.gone and table.get(watch.fd) is not file:
                self.ghosts.append((file, watch.fd, 0 if watch.confused else watch.interest))

    def closed(self, fd):
        """The number was closed, with its watch still in the queue."""
        watch = self.at(fd)
        if watch is not None:
            watch.doubtful = True

    def opened(self, fd, file):
        """A file got a number. A watch of another file under this number may be mistaken for one of
        this file, if the number had a ghost of it.
        """
        watch = self.at(fd)
        if watch is None:
            return
        if any(ghost[:2] == (file, fd) for ghost in self.ghosts):
            watch.confused = True
            watch.taken_for.append(file)

    def looked_at(self):
        """The kernel may have been asked, without a wait."""
        for watch in self.watches:
            if watch.kind == "fd" and watch.asks_once():
                watch.seen |= watch.offer()[1]

    # ------------------------------------------------------------------ what fires

    def stamp(self):
        self.events += 1
        return self.events

    def fire(self, watch, n=1):
        if not watch.pending:
            watch.stamp = self.stamp()
        watch.pending += n

    def add_trigger(self, name):
        return self.enter(Watch(self, "trigger", name))

    def add_signal(self, name, number):
        watch = self.enter(Watch(self, "signal", name))
        watch.signal = number
        return watch

    def caught(self, number):
        """A signal: one event for all watches of it."""
        stamp = self.stamp()
        for watch in self.watches:
            if watch.kind == "signal" and watch.signal == number:
                watch.stamp = watch.stamp if watch.pending else stamp
                watch.pending += 1

    def add_process(self, name, child):
        watch = self.enter(Watch(self, "process", name))
        watch.child, watch.pending, watch.status = child, int(child.ended), child.status
        return watch

    def ended(self, child):
        for watch in self.watches:
            if watch.child is child:
                watch.pending = 1

    def add_timer(self, name, delay, period):
        watch = Watch(self, "timer", name)
        watch.due, watch.period, watch.order = self.now + delay, period, self.stamp()
        return self.enter(watch)

    def restart(self, watch, delay):
        """Restarts a timer that has fired or not."""
        self.left.discard(watch)
        watch.pending = 0
        watch.due, watch.order = self.now + delay, self.stamp()
        if not watch.active:
            watch.active = watch.armed = True
            self.enter(watch)

    def next_due(self):
        dues = [w.due for w in self.watches if w.kind == "timer" and w.due is not None]
        return min(dues, default=FOREVER)

    def expire(self):
        for watch in self.watches:
            while watch.due is not None and watch.due <= self.now:
                if not watch.pending:
                    watch.stamp = (watch.due, watch.order)
                watch.pending += 1
                watch.due = watch.due + watch.period if watch.period else None

    # ------------------------------------------------------------------ ghosts

    def lay(self, file, fd):
        """The kernel has no registration of this file and number any more, or it belongs to another
        watch.
        """
        self.ghosts = [ghost for ghost in self.ghosts if ghost[:2] != (file, fd)]

    def change_ghost(self, file, fd):
        """A ghost whose number came back got the interest of the watch that is there now."""
        if any(ghost[:2] == (file, fd) for ghost in self.ghosts):
            self.lay(file, fd)
            self.ghosts.append((file, fd, 0))

    def haunting(self):
        """Numbers of ghosts that the kernel reports when it is asked for everything: surely, and
        perhaps, once for each file.
        """
        sure, maybe = set(), Counter()
        for watch in self.watches:
            if watch.doubtful:
                maybe[watch.fd] += sum(not file.gone for file in [watch.file, *watch.taken_for])
        for file, fd, interest in self.ghosts:
            if not file.gone:
                maybe[fd] += 1
                level = interest & DIRECTIONS and not interest & (EDGE | ONESHOT)
                if level and wanted(file, interest):
                    sure.add(fd)
        return sure, maybe
