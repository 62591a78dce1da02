# SPDX-License-Identifier: MIT
"""The kernel's side of the model: open files, what they contain, and which bits are ready.

A file is held open by numbers, and by copies of them in children; it ends with the last one. Each
end of a pipe or a connection knows how much arrived and was not read. `level()` returns the bits
that are ready now. EDGE depends on changes, so these are passed to the watches of the file: `owed`
are bits that appeared, or appeared again, since the last delivery of the watch; `stirred` means
that something changed, so that a kernel may report the ready bits once more (epoll checks all bits
at any event).
"""

READ, PRIORITY, WRITE = 0x001, 0x002, 0x004
READ_CLOSED, ERROR, WRITE_CLOSED, FIRED = 0x010, 0x020, 0x040, 0x080
EDGE, ONESHOT, EXCLUSIVE = 0x100, 0x200, 0x400
DIRECTIONS = READ | PRIORITY | WRITE

UNREAD = 40  # the model writes no more than this many unread bytes, so nothing fills up


class File:
    """An open file without an end: it is held and watched, and its bits never change."""

    never_blocks = False
    restless = False  # it may change at any later time
    peer = None
    gone = False

    def __init__(self):
        self.holders = 0
        self.watches = []  # that are notified of changes

    def level(self):
        return READ | WRITE

    def unasked(self):
        """Bits that the kernel reports even if they were not requested."""
        return self.level() & ERROR

    def tell(self, before, news=0):
        """Owes the watches the bits that appeared since `before`, and `news`."""
        news |= self.level() & ~before
        for watch in self.watches if news else ():
            watch.hear(news)

    def stir(self):
        for watch in self.watches:
            watch.stirred = True

    def hold(self):
        self.holders += 1

    def drop(self):
        self.holders -= 1
        if self.holders == 0:
            self.vanish()

    def vanish(self):
        self.gone = True
        self.watches = []

    def can_write(self):
        return False

    def can_read(self):
        return False


class Plain(File):
    """A regular file. No kernel queue watches it, and no call on it blocks."""

    never_blocks = True


class Counter(File):
    """An eventfd: writing adds to it, reading empties it."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def level(self):
        return WRITE | (READ if self.count else 0)

    def can_write(self):
        return True

    def can_read(self):
        return self.count > 0

    def write(self, n):
        before = self.level()
        self.count += n
        self.tell(before, READ)

    def read(self):
        self.count = 0
        self.stir()


class End(File):
    """One end of a pipe or of a connection."""

    reads = writes = True

    def __init__(self):
        super().__init__()
        self.incoming = 0  # bytes that the peer wrote and that were not read
        self.full = False  # there is no room for more bytes
        self.shut = False  # this end was shut down for writing
        self.cut = False  # the connection was reset
        self.error = False  # the error that is pending

    def ended(self):
        """Nothing more will arrive."""
        return self.peer.gone or self.peer.shut or self.cut

    def deaf(self):
        """What is written will not be read, as far as this end can know."""
        return self.peer.gone

    def level(self):
        bits = 0
        if self.reads and (self.incoming or self.ended()):
            bits |= READ
        if self.reads and self.ended():
            bits |= READ_CLOSED
        if self.writes and (not self.peer.full or self.deaf()):
            bits |= WRITE
        if self.writes and self.deaf():
            bits |= WRITE_CLOSED
        return bits | (DIRECTIONS | ERROR if self.error else 0)

    def can_write(self):
        peer = self.peer
        refused = self.shut or self.cut or self.error or peer.gone or peer.full
        return self.writes and not refused and peer.incoming < UNREAD

    def can_read(self):
        """A read would not block; a pending error is collected first."""
        return self.reads and not self.error and bool(self.incoming or self.ended())

    def write(self, n, fills=False):
        peer, before = self.peer, self.peer.level()
        peer.incoming += n
        peer.full = fills
        peer.tell(before, READ)

    def read(self, n):
        """Reads up to n bytes, or everything if the buffer is full, because it depends on the
        kernel when a half-empty buffer has room. Returns how many.
        """
        n = self.incoming if self.full else min(n, self.incoming)
        before = self.peer.level()
        self.incoming -= n
        self.full = self.full and self.incoming > 0
        self.peer.tell(before)
        self.peer.stir()
        return n

    def shut_down(self):
        """An end's own action is not a change for it; a kernel may report it nevertheless."""
        before = self.peer.level()
        self.shut = True
        self.peer.tell(before)
        self.peer.stir()
        self.stir()

    def collect(self):
        """Takes the pending error, as SO_ERROR does."""
        self.error = False

    def vanish(self):
        before = self.peer.level()
        super().vanish()
        self.end()
        self.peer.tell(before)
        self.peer.stir()

    def end(self):
        """The effects on the peer, besides that this end is gone."""


class Pipe(End):
    def unasked(self):
        return self.level() & ~DIRECTIONS


class PipeReader(Pipe):
    writes = False


class PipeWriter(Pipe):
    reads = False


class Socket(End):
    def unasked(self):
        ends = READ_CLOSED | WRITE_CLOSED if self.ended() and self.deaf() else 0
        return self.level() & (ends | ERROR)


class Unix(Socket):
    """One of a socketpair."""

    def deaf(self):
        return self.peer.gone or (self.shut and self.ended())

    def end(self):
        if self.incoming and not self.peer.gone:
            self.peer.error = True  # the bytes that it wrote were never read


class Tcp(Socket):
    """One end of a TCP connection, which knows only what the other end sends."""

    aborted = False  # it will be closed with a reset instead of an end

    def deaf(self):
        return self.cut or (self.shut and self.ended())

    @property
    def restless(self):
        """An end is acknowledged some ten milliseconds later, which may be reported with EDGE."""
        return self.shut or self.ended()

    def over(self):
        """Both ends were shut down for writing: there is no connection to reset."""
        return self.cut or (self.shut and self.ended())

    def end(self):
        """A close that leaves bytes unread resets the connection, and so does one that was
        `aborted`.
        """
        if (self.incoming or self.aborted) and not self.over() and not self.peer.gone:
            self.peer.cut = self.peer.error = True


def pair(one, other):
    one.peer, other.peer = other, one
    return one, other
