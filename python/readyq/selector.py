# SPDX-License-Identifier: MIT
"""readyq.Selector: the interface of the standard library's selectors over a Queue.

A watch holds everything that a SelectorKey holds: the key's file object is the source of the watch,
and the key's data is its data. Keys are made when they are asked for. The module selectors
documents what a selector does.
"""

from __future__ import annotations

import _socket
from collections.abc import Iterator, Mapping
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey

from readyq._core import READ, WRITE, Batch, Queue, Watch, make_key, take_keys

TYPE_CHECKING = False  # as in typing, whose import takes longer than all else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from _typeshed import FileDescriptorLike

_INTEREST = {EVENT_READ: READ, EVENT_WRITE: WRITE, EVENT_READ | EVENT_WRITE: READ | WRITE}


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


def _find(queue: Queue, fileobj: FileDescriptorLike) -> Watch[Any] | None:
    """The watch of a file object, closed or not, or of a descriptor; None if there is none.

    Raises what a selector raises if the object has no descriptor either.
    """
    try:
        watch = queue.get(fileobj)
    except Exception:  # from its fileno(), or because the queue is closed
        watch = None
    if watch is None:
        _descriptor_of(fileobj)
    return watch


def _unknown(fileobj: FileDescriptorLike) -> KeyError:
    return KeyError(f"{fileobj!r} is not registered")


class _Keys(Mapping["FileDescriptorLike", SelectorKey]):
    """What get_map() returns: the keys by file object or descriptor, as they are now."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[int]:
        return iter([watch.fd for watch in self._queue if watch.fd is not None])

    def __getitem__(self, fileobj: FileDescriptorLike) -> SelectorKey:
        watch = _find(self._queue, fileobj)
        if watch is None:
            raise _unknown(fileobj)
        return make_key(watch, SelectorKey)

    def get(self, fileobj: FileDescriptorLike, default: Any = None) -> Any:
        watch = _find(self._queue, fileobj)
        return default if watch is None else make_key(watch, SelectorKey)


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

    It differs from selectors.EpollSelector as follows: timeouts are not rounded to milliseconds;
    files and other descriptors that never block can be registered, and are always ready; if a
    descriptor was closed without unregister(), register() and modify() work when its number belongs
    to another file. Its methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._queue = Queue(warn=False)
        self._keys = _Keys(self._queue)
        self._add = self._queue.add
        self._wait: Callable[[float | None], Batch] = self._queue.wait

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        """Watch a file object and return its key.

        events is EVENT_READ, EVENT_WRITE or both. Raises ValueError for other events, for an object
        without a descriptor and for a closed selector, KeyError when the descriptor is registered
        already, OSError when it is not open.
        """
        interest = _interest_of(events)
        try:
            watch = self._add(fileobj, interest, data=data)
        except FileExistsError:
            fd = _descriptor_of(fileobj)
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered") from None
        except Exception:
            _descriptor_of(fileobj)  # raises what a selector raises for an object without one
            raise
        try:
            return make_key(watch, SelectorKey)
        except MemoryError:
            watch.remove()
            raise

    def unregister(self, fileobj: FileDescriptorLike) -> SelectorKey:
        """Stop watching a file object, closed or not, and return the key it had.

        Raises KeyError when it is not registered.
        """
        watch = _find(self._queue, fileobj)
        if watch is not None:
            key = make_key(watch, SelectorKey)
            if watch.remove():  # else another thread was faster
                return key
        raise _unknown(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> SelectorKey:
        """Change the events and data of a file object, and return its new key.

        If the descriptor was closed without unregister() and its number belongs to another file
        now, that file is watched from then on. To notice this, it asks the kernel even if the
        events stay the same, unless nothing changes at all and the object is a socket. Raises
        KeyError when the object is not registered, ValueError for invalid events, OSError when the
        descriptor is closed; it is then unregistered.
        """
        watch = _find(self._queue, fileobj)
        if watch is None:
            raise _unknown(fileobj)
        interest = _interest_of(events)
        same = interest == watch.interest and data is watch.data and fileobj is watch.source
        if same and isinstance(fileobj, _socket.socket):
            return make_key(watch, SelectorKey)  # a socket never gets another descriptor
        try:
            watch.modify(interest)
        except OSError:
            watch.remove()
            try:
                return self.register(fileobj, events, data)
            except Exception:  # the number is not open, as the first error says
                pass
            raise
        watch.data = data
        return make_key(watch, SelectorKey)

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait until something is ready, and return a list of (key, events).

        timeout is in seconds: None waits forever; 0 or less returns what is ready at once. It is
        not rounded, and select() never returns early. An exception that a signal handler raises
        ends the wait.
        """
        if timeout is not None and timeout <= 0:
            timeout = 0
        return take_keys(self._wait(timeout), SelectorKey)

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
        return make_key(watch, SelectorKey)

    def fileno(self) -> int:
        """A descriptor that is readable while select() would return something."""
        return self._queue.fileno()
