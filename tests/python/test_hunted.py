# SPDX-License-Identifier: MIT
"""Faults that `make model` (tests/model) found. Each docstring says what went wrong."""

import errno
import os
import select
import socket
import warnings

import pytest

from readyq import EDGE, EXCLUSIVE, READ, WRITE


def test_a_fire_does_not_take_a_place_in_the_maximum(queue, make):
    """A wait with a maximum of one took the kernel's event for the fire."""
    trigger = queue.add_trigger()
    trigger.fire()
    trigger.remove()
    watch = queue.add(make.unix()[0], "w")
    assert list(queue.wait(0, 1)) == [watch]


def test_a_wake_does_not_take_a_place_in_the_maximum(queue, make):
    queue.wake()
    watches = [queue.add(make.unix()[0], "w") for _ in range(2)]
    assert set(queue.wait(0, 2)) == set(watches)


def test_a_file_that_was_closed_does_not_take_a_place_in_the_maximum(queue, make):
    """It was listed and found closed, and the kernel was not asked for another event."""
    trigger, (here, _) = queue.add_trigger(), make.unix()
    with make.file() as file:
        trigger.fire()
        queue.add(file, "w")
        assert list(queue.wait(0, 1)) == [trigger]
    trigger.fire()
    trigger.remove()
    watch = queue.add(here, "w")
    assert list(queue.wait(0, 1)) == [watch]


def test_modify_of_a_number_that_became_a_file_says_that_it_was_closed(queue, make):
    """The error was EPERM, which the kernel returns for files."""
    here, _ = make.unix()
    number = here.fileno()
    watch = queue.add(here, "r")
    os.dup2(make.file().fileno(), number)
    with pytest.raises(OSError, match="closed") as caught:
        watch.modify("rw")
    assert caught.value.errno == errno.EBADF


def test_the_new_file_of_a_closed_number_is_not_reported_as_a_ghost(queue, make):
    """The search for closed numbers registered the new file in the old set, and its hang-up was
    reported as a ghost.
    """
    here, there = make.unix()
    copy = make.keep(socket.socket(fileno=os.dup(here.fileno())))
    closed = make.pipe()[0]
    reader, writer = make.pipe()
    queue.add(closed, "r")
    watch = queue.add(here, "r")
    reader.close()
    os.dup2(writer.fileno(), closed.fileno())
    here.close()
    watch.remove()
    there.send(b"x")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        list(queue.wait(0))
    assert copy.recv(1) == b"x"
    assert not [one for one in warned if f"fd {closed.fileno()} " in str(one.message)]


def test_a_number_that_was_exclusive_is_added_again_when_it_comes_back(queue, make):
    """Changing the kernel's old registration was refused, because that one was EXCLUSIVE."""
    here, there = make.unix()
    number, kept = here.fileno(), os.dup(here.fileno())
    watch = queue.add(number, READ | EXCLUSIVE)
    here.close()
    watch.remove()
    os.dup2(kept, number)
    os.close(kept)
    make.file_of(number, "rb")
    watch = queue.add(number, "r")
    there.send(b"x")
    assert list(queue.wait(0)) == [watch]


def test_edge_does_not_report_what_was_read_before_the_wait(queue, make):
    """The old READ was delivered when WRITE was ready."""
    here, there = make.unix()
    watch = queue.add(here, READ | WRITE | EDGE)
    assert list(queue.wait(0)) == [watch]
    there.send(b"x")
    here.recv(1)
    assert not any(one.readable for one in queue.wait(0))


def test_edge_for_writing_is_reported_once_though_the_peer_writes_no_more(queue, make, fill, drain):
    """The edge was delivered twice, the second time by a new registration."""
    here, there = make.unix()
    there.shutdown(socket.SHUT_WR)
    fill(here)
    watch = queue.add(here, WRITE | EDGE)
    assert list(queue.wait(0)) == []
    assert list(queue.wait(0)) == []
    drain(there)
    for _ in range(3):
        queue.add(make.unix()[0], "w")
    assert sum(watch in list(queue.wait(0, 2)) for _ in range(4)) == 1


def test_a_file_on_a_closed_number_gets_no_event_of_the_file_before_it(make):
    """The registration of the file that had the number before was still there."""
    queue = make.queue(warn=False)
    reader, writer = make.pipe()
    copy = make.file_of(os.dup(reader.fileno()), "rb")
    queue.add(reader, READ | EDGE)
    assert list(queue.wait(0)) == []
    os.dup2(make.file().fileno(), reader.fileno())
    watch = queue.add(reader, READ | EDGE)
    assert list(queue.wait(0)) == [watch]
    writer.write(b"x")
    assert list(queue.wait(0)) == []
    assert copy.read(1) == b"x"


def test_a_closed_number_that_was_detected_keeps_no_file_open(queue, make):
    """The watch was marked stale, but its registration was not removed and kept the file open."""
    here, there = make.unix()
    queue.add(here, READ | EDGE)
    assert list(queue.wait(0)) == []
    copy = os.dup(here.fileno())
    here.close()
    there.shutdown(socket.SHUT_WR)
    list(queue.wait(0))
    list(queue.wait(0))
    os.close(copy)
    there.setblocking(False)
    assert there.recv(1) == b""


def test_descriptor_is_silent_after_a_ghost_that_a_child_shared(make):
    """The old kernel queue, which the child kept open, was left in the set that is polled."""
    queue = make.queue(warn=False)
    here, there = make.unix()
    watch = queue.add(here, "r")
    reader, writer = os.pipe()
    number = queue.fileno()
    child = os.fork()
    if child == 0:
        os.read(reader, 1)
        os._exit(0)
    here.close()
    watch.remove()
    there.send(b"x")
    assert list(queue.wait(0)) == []
    readable = select.select([number], [], [], 0)[0]
    os.write(writer, b"x")
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert readable == []


def test_edge_of_many_arrivals_is_reported_once_under_a_maximum(queue, make):
    """One arrival was delivered, and the others by the waits that followed."""
    here, there = make.pipe()
    watch = queue.add(here, READ | EDGE)
    assert list(queue.wait(0)) == []
    for _ in range(3):
        there.write(b"x")
    assert list(queue.wait(0, 1)) == [watch]
    assert list(queue.wait(0, 1)) == []


def test_descriptor_is_readable_after_a_wait_that_was_full(queue, make):
    """The wait returned before the kernel was asked again: an outer loop slept forever."""
    here, there = make.unix()
    number = queue.fileno()
    watch = queue.add(here, "r")
    there.send(b"x")
    for _ in range(3):
        assert list(queue.wait(0, 1)) == [watch]
        assert select.select([number], [], [], 0)[0] == [number]
