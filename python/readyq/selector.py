# SPDX-License-Identifier: MIT
"""readyq.Selector: the interface of the standard library's selectors over a Queue.

The data of a watch is the pair that select() returns for it, so that select() is one wait and reads
one attribute of each ready watch. The module selectors documents what a selector does.
"""

from __future__ import annotations

import _socket
from collections.abc import Iterator, Mapping
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import TYPE_CHECKING, Any

from readyq._core import ERROR, READ, WRITE, WRITE_CLOSED, Queue, Watch

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_INTEREST = {EVENT_READ: READ, EVENT_WRITE: WRITE, EVENT_READ | EVENT_WRITE: READ | WRITE}

# The events by the value of ready, for watches of both; a watch of one event is delivered for that
# one. A descriptor in error, or without a reader at its other end, is ready for both, as for
# poll(2). One whose peer only stopped writing may still be full.
_BROKEN = ERROR | WRITE_CLOSED
_EVENTS = [
    (EVENT_READ if ready & (READ | _BROKEN) else 0)
    | (EVENT_WRITE if ready & (WRITE | _BROKEN) else 0)
    for ready in range(128)
]

_Pair = tuple[SelectorKey, int]
_make_key = SelectorKey._make  # in half the time of SelectorKey()


def _interest_of(events: int) -> int:
    try:
        return _INTEREST[events]
    except KeyError:
        raise ValueError(f"Invalid events: {events!r}") from None


def _descriptor_of(fileobj: FileDescriptorLike) -> int:
    if isinstance(fileobj, int):
        fd = fileobj
    else:
        try:
            fd = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"Invalid file object: {fileobj!r}") from error
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


# ------------------------------------------------------------------ finding


def _find_closed(queue: Queue, fileobj: FileDescriptorLike) -> Watch[_Pair] | None:
    """The watch of a file object that has no descriptor any more, found by identity. None if the
    object has a descriptor; the exception of its fileno() if it was never registered."""
    try:
        _descriptor_of(fileobj)
    except Exception:  # what a closed object raises is its own affair
        for watch in queue:
            if watch.data[0].fileobj is fileobj:
                return watch
        raise
    return None


def _find(queue: Queue, fileobj: FileDescriptorLike) -> Watch[_Pair] | None:
    """The watch of a file object or descriptor; None if it has none.

    `in` comes first because asyncio looks up every descriptor before it registers it, and the
    KeyError of queue[fd] describes the descriptor, which takes system calls.
    """
    try:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd in queue:
            return queue[fd]
    except Exception:  # of its fileno(), or it was removed or the queue was closed in between
        pass
    return _find_closed(queue, fileobj)


def _unknown(fileobj: FileDescriptorLike) -> KeyError:
    return KeyError(f"{fileobj!r} is not registered")


class _Keys(Mapping["FileDescriptorLike", SelectorKey]):
    """What get_map() returns: the keys by file object or descriptor, as they are now."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[int]:
        return iter([watch.data[0].fd for watch in self._queue])

    def __getitem__(self, fileobj: FileDescriptorLike) -> SelectorKey:
        watch = _find(self._queue, fileobj)
        if watch is None:
            raise _unknown(fileobj)
        return watch.data[0]

    def get(self, fileobj: FileDescriptorLike, default: Any = None) -> Any:
        watch = _find(self._queue, fileobj)
        return default if watch is None else watch.data[0]


class Selector(BaseSelector):
    """A selector on a Queue, for everything that accepts a selectors.BaseSelector.

    >>> import selectors, socket
    >>> here, there = socket.socketpair()
    >>> selector = Selector()
    >>> key = selector.register(here, selectors.EVENT_READ, data="mine")
    >>> there.send(b"hello")
    5
    >>> [(key.data, events) for key, events in selector.select(timeout=1.5)]
    [('mine', 1)]
    >>> selector.close(); here.close(); there.close()

    It differs from selectors.EpollSelector in this: timeouts are not rounded to milliseconds; files
    and other descriptors that never block can be registered, and are always ready; if a descriptor
    was closed without unregister(), register() and modify() work when its number belongs to another
    file. Its methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._queue = Queue(warn=False)
        self._keys = _Keys(self._queue)
        self._add, self._wait = self._queue.add, self._queue.wait

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        """Watch a file object and return its key.

        events is EVENT_READ, EVENT_WRITE or both. Raises ValueError for other events, for an object
        without a descriptor and for a closed selector, KeyError when the descriptor is registered
        already, OSError when it is not open.
        """
        interest = _interest_of(events)
        fd = _descriptor_of(fileobj)
        key = _make_key((fileobj, fd, events, data))
        try:
            self._add(fd, interest, data=(key, events))
        except FileExistsError:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered") from None
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> SelectorKey:
        """Stop watching a file object, closed or not, and return the key it had.

        Raises KeyError when it is not registered.
        """
        watch = _find(self._queue, fileobj)
        if watch is None or not watch.remove():  # another thread may have been faster
            raise _unknown(fileobj)
        return watch.data[0]

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        """Change events and data of a file object, and return its new key.

        If the descriptor was closed without unregister() and its number belongs to another file
        now, that file is watched from then on. To notice this, the kernel is asked even if the
        events stay the same, unless nothing changes at all and the object is a socket. Raises
        KeyError when the object is not registered, ValueError for invalid events, OSError when the
        descriptor is closed; it is then unregistered.
        """
        watch = _find(self._queue, fileobj)
        if watch is None:
            raise _unknown(fileobj)
        key, asked = watch.data
        same = events == asked and data is key[3]
        if same and fileobj is key[0] and isinstance(fileobj, _socket.socket):
            return key  # a socket object that has a descriptor still has its first one
        interest = _interest_of(events)
        try:
            watch.modify(interest)
        except OSError:
            watch.remove()
            try:
                return self.register(fileobj, events, data)
            except Exception:  # the number is not open, as the first error says
                pass
            raise
        if not same:
            key = _make_key((key[0], key[1], events, data))
            watch.data = (key, events)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait until something is ready, and return a list of (key, events).

        timeout is in seconds: None waits forever; 0 and less return at once what is ready. It is
        not rounded, and select() never returns early. An exception that a signal handler raises
        ends the wait.
        """
        if timeout is not None and timeout <= 0:
            timeout = 0
        return [  # 3, which costs less than a global name, is EVENT_READ | EVENT_WRITE
            pair if (pair := watch.data)[1] != 3 else (pair[0], _EVENTS[watch.ready])
            for watch in self._wait(timeout)
        ]

    def close(self) -> None:
        """Unregister everything and close the queue. Closing again does nothing."""
        self._queue.close()

    def get_map(self) -> Mapping[FileDescriptorLike, SelectorKey]:
        """A mapping of file objects and descriptors to keys; None after close()."""
        return None if self._queue.closed else self._keys  # type: ignore[return-value]

    def get_key(self, fileobj: FileDescriptorLike) -> SelectorKey:
        """The key of a file object. Raises KeyError if it has none, RuntimeError after close()."""
        if self._queue.closed:
            raise RuntimeError("Selector is closed")
        watch = _find(self._queue, fileobj)
        if watch is None:
            raise _unknown(fileobj)
        return watch.data[0]

    def fileno(self) -> int:
        """A descriptor that is readable while select() would return something."""
        return self._queue.fileno()
