# SPDX-License-Identifier: MIT
"""The kernel's side of the model: open files, what they hold, and what of them is ready.

A file is held open by numbers, and by children's copies of them; the last one that goes ends it.
Each end of a pipe or a connection knows what arrived and was not yet read. `level()` is what is so
now. What is news, which matters to EDGE, is told to the watches of the file: `owed` are bits that
came up, or came anew, since the watch was last delivered; `stirred` says that something moved, so
that a kernel may tell once more of what is there (epoll looks at all bits at any sign).
"""

READ, PRIORITY, WRITE = 0x001, 0x002, 0x004
READ_CLOSED, ERROR, WRITE_CLOSED, FIRED = 0x010, 0x020, 0x040, 0x080
EDGE, ONESHOT, EXCLUSIVE = 0x100, 0x200, 0x400
DIRECTIONS = READ | PRIORITY | WRITE

UNREAD = 40  # bytes left unread at which the model writes no more, so that nothing fills up unseen


class File:
    """An open file that knows no end: it is held, watched, and always the same."""

    never_blocks = False
    restless = False  # it stirs in its own time
    peer = None
    gone = False

    def __init__(self):
        self.holders = 0
        self.watches = []  # that are told what is news

    def level(self):
        return READ | WRITE

    def unasked(self):
        """Bits that the kernel reports whatever it was asked for."""
        return self.level() & ERROR

    def tell(self, before, news=0):
        """Owes the watches what came up since `before`, and `news`."""
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
        self.incoming = 0  # bytes that the peer wrote and nobody read
        self.full = False  # there is no room for more of them
        self.shut = False  # this end has said that it writes no more
        self.cut = False  # the connection was reset
        self.error = False  # and nobody has collected the error

    def ended(self):
        """Nothing more will arrive."""
        return self.peer.gone or self.peer.shut or self.cut

    def deaf(self):
        """Nobody will read what is written, as far as this end can know."""
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
        """Reads up to n bytes, or all where it is full: where half a buffer is room is the
        kernel's own affair. Returns how many."""
        n = self.incoming if self.full else min(n, self.incoming)
        before = self.peer.level()
        self.incoming -= n
        self.full = self.full and self.incoming > 0
        self.peer.tell(before)
        self.peer.stir()
        return n

    def shut_down(self):
        """What one does oneself is no news; a kernel may tell of it all the same."""
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
        """What the peer learns beyond that this end has gone."""


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
            self.peer.error = True  # what it wrote was never read


class Tcp(Socket):
    """One end of a TCP connection, which only hears what the other sends it."""

    aborted = False  # to be closed with a reset instead of an end

    def deaf(self):
        return self.cut or (self.shut and self.ended())

    @property
    def restless(self):
        """Ends are acknowledged some ten milliseconds later, which wakes who waits for an edge."""
        return self.shut or self.ended()

    def over(self):
        """Both ends have said that they write no more: there is no connection to reset."""
        return self.cut or (self.shut and self.ended())

    def end(self):
        """A close that leaves bytes unread resets the connection, and so does one made to."""
        if (self.incoming or self.aborted) and not self.over() and not self.peer.gone:
            self.peer.cut = self.peer.error = True


def pair(one, other):
    one.peer, other.peer = other, one
    return one, other
