# SPDX-License-Identifier: MIT
"""The queue's side of the model: what a wait may report, and what it must.

This is the contract in executable form. It does not import readyq: a test does the same to a real
queue and to this one, and hands over what the real one reported. Whatever the contract leaves open
is open here: the order of what is ready at once, and which ones a wait with a maximum picks.

A watch *offers* two sets of bits: what must be told of it now, and what may be. For most they are
the same. They differ where the contract promises less:
- EDGE must tell what is owed, and may tell it with anything else that is so.
- EDGE and ONESHOT are not asked of the kernel again once they were fetched: what an earlier wait
  may have fetched, and did not deliver because of its maximum, may still be told (`seen`).
- A watch whose number was closed (`doubtful`) need tell nothing more, as long as it does not lie.

A watch that was in a batch and was not taken is *left*: where it is still ready, the next wait
reports it before all that are not.
"""

from model.files import (
    DIRECTIONS,
    EDGE,
    ERROR,
    EXCLUSIVE,
    FIRED,
    ONESHOT,
    READ,
    READ_CLOSED,
    WRITE,
    WRITE_CLOSED,
)

FOREVER = float("inf")
LINES = {"timer": "due", "trigger": "fired"}  # kinds that are reported in order
ANYTHING = DIRECTIONS | READ_CLOSED | WRITE_CLOSED | ERROR


class DisagreementError(AssertionError):
    """The queue did what the model does not allow."""


def wanted(file, interest):
    """What a watch is told of what is so: the directions it asked for, each with its end, and
    errors. Where none of that is so, what the kernel reports unasked is told alone."""
    asked, bits = interest & DIRECTIONS, file.level()
    ends = (asked & (READ | WRITE)) << 4
    return bits & (asked | ends | ERROR) or file.unasked()


class Watch:
    """One registration. `owed`, `stirred` (see files.py) and `seen` are of descriptors, `pending`
    and `stamp` of all others: how often they went off unseen, and when the first time.

    `doubtful`: its number was closed. `confused`: and is taken for its file's again, though it is
    another's, so that anything may be told."""

    def __init__(self, queue, kind, name):
        self.queue, self.kind, self.name = queue, kind, name
        self.line = LINES.get(kind)
        self.active = self.armed = True
        self.interest = self.owed = self.seen = self.pending = 0
        self.stirred = self.doubtful = self.confused = self.removed = False
        self.fd = self.file = self.stamp = self.signal = self.child = self.status = None
        self.due = self.period = self.order = None
        self.passed = {}  # who was delivered, how often, while this one was ready and was not
        self.taken_for = []  # files that the kernel may have it on when it is confused

    def first_due(self):
        """When a timer is due, or was: the first expiration of a periodic one that was not taken."""
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

    def offer(self):
        """(what must be told now, what may be)"""
        if self.kind != "fd":
            return (FIRED, FIRED) if self.pending else (0, 0)
        if not self.armed:
            return 0, 0
        if self.confused:
            return 0, ANYTHING
        now = 0 if self.file.gone else wanted(self.file, self.interest)
        must = now
        if self.interest & EDGE:
            must = now & self.owed
            now = now if self.owed or self.stirred or self.file.restless else 0
        if self.doubtful:
            return 0, self.doubt(now | self.seen)
        return must, now | self.seen

    def doubt(self, may):
        """What a hang-up means, and EXCLUSIVE's end, is looked up by the number."""
        if (may & ~DIRECTIONS) or (may and self.interest & EXCLUSIVE):
            return ANYTHING
        return may


class Queue:
    def __init__(self):
        self.watches = []
        self.left = set()  # in a batch, and not taken
        self.ghosts = []  # (file, number, interest) that the kernel may still tell of
        self.now = 0  # nanoseconds, on the virtual clock
        self.woken = False
        self.events = 0  # stamps: what fired first is told first

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
        """In a child: all that it has is the numbers and what is so."""
        self.ghosts = []
        self.left.clear()
        for watch in self.watches:
            watch.status = None  # it is no child of this process
            watch.line = None  # what fired before comes in any order
            if watch.kind == "fd":
                watch.confused |= watch.doubtful
                if not (watch.file.gone or watch.file.never_blocks):  # what is told of by the queue
                    watch.owed |= watch.file.level()

    def is_haunted(self):
        return bool(self.ghosts) or any(watch.doubtful for watch in self.watches)

    def remove(self, watch, table):
        """Taken out by its user. The kernel cannot be told to forget a number that was closed."""
        self.forget(watch)
        watch.removed = True
        if watch.kind != "fd" or watch.file.never_blocks:
            return  # the kernel has nothing of it
        self.lay(table.get(watch.fd), watch.fd)  # a ghost with its number back goes in its stead
        for file in [watch.file] * watch.doubtful + watch.taken_for:
            if not file.gone and table.get(watch.fd) is not file:
                self.ghosts.append((file, watch.fd, 0 if watch.confused else watch.interest))

    def closed(self, fd):
        """The number was closed, with its watch still in the queue."""
        watch = self.at(fd)
        if watch is not None:
            watch.doubtful = True

    def opened(self, fd, file):
        """A number was given to a file. A watch of another file that was there may be taken for
        one of this where the number had a ghost of it."""
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
        """A signal: one event for all that watch it."""
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
        """Fired or not."""
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
        """The kernel has nothing of this file and number any more, or another watch's."""
        self.ghosts = [ghost for ghost in self.ghosts if ghost[:2] != (file, fd)]

    def change_ghost(self, file, fd):
        """It has its number back, and was given the interest of the watch that is there now."""
        if any(ghost[:2] == (file, fd) for ghost in self.ghosts):
            self.lay(file, fd)
            self.ghosts.append((file, fd, 0))

    def haunting(self):
        """Numbers of ghosts that the kernel will tell of when it is asked for everything."""
        sure, maybe = set(), set()
        for watch in self.watches:
            if watch.doubtful and not all(file.gone for file in [watch.file, *watch.taken_for]):
                maybe.add(watch.fd)
        for file, fd, interest in self.ghosts:
            if not file.gone:
                maybe.add(fd)
                level = interest & DIRECTIONS and not interest & (EDGE | ONESHOT)
                if level and wanted(file, interest):
                    sure.add(fd)
        return sure, maybe
