# SPDX-License-Identifier: MIT
"""Nothing is delivered for a removed watch, and a number that is reused is a new file."""

import os
import socket

import pytest


def test_remove_while_ready_reports_nothing(queue, make):
    here, there = make.unix()
    watch = queue.add(here, "r")
    there.send(b"x")
    watch.remove()
    assert list(queue.wait(0)) == []
    assert not watch.active
    assert len(queue) == 0


def test_remove_in_the_same_batch_reports_nothing(queue, make):
    pairs = [make.unix() for _ in range(3)]
    watches = [queue.add(here, "w") for here, _ in pairs]
    first = list(queue.wait(0, 1))
    assert len(first) == 1
    gone = next(watch for watch in watches if watch not in first)
    queue.remove(gone)
    assert gone not in list(queue.wait(0))


def test_dispatch_skips_what_an_earlier_call_removed(queue, make):
    pairs = [make.unix() for _ in range(2)]
    called = []

    def remove_all(watch):
        called.append(watch)
        for other in queue:
            other.remove()

    for here, _ in pairs:
        queue.add(here, "w", data=remove_all)
    assert queue.dispatch(0) == 1
    assert len(called) == 1


def test_removed_watch_is_not_ready(queue, make):
    here, _ = make.unix()
    watch = queue.add(here, "w")
    assert list(queue.wait(0)) == [watch]
    assert watch.ready != 0
    watch.remove()
    assert (watch.ready, watch.readable, watch.writable) == (0, False, False)


@pytest.mark.parametrize("by", ["watch", "object", "number"])
def test_remove_after_close_succeeds(queue, make, by):
    here, _ = make.unix()
    watch = queue.add(here, "r")
    name = {"watch": watch, "object": here, "number": here.fileno()}[by]
    here.close()
    queue.remove(name)
    assert not watch.active
    assert len(queue) == 0


def test_closed_file_object_is_still_found(queue, make):
    reader, writer = make.pipe()
    queue.add_trigger()
    watch = queue.add(reader, "r")
    queue.add(writer, "w")
    reader.close()
    assert queue[reader] is watch
    queue.remove(reader)
    assert reader not in queue


def reuse(old, make):
    """Closes `old` and opens another pair, one end of which has its number."""
    number = old.fileno()
    old.close()
    pair = make.unix()
    here = next((end for end in pair if end.fileno() == number), None)
    if here is None:
        here = pair[0]
        os.dup2(here.fileno(), number)
        new = socket.socket(fileno=number)
        here.close()
        here = make.keep(new)
    there = pair[0] if pair[1] is here else pair[1]
    assert here.fileno() == number
    return here, there


def test_number_that_is_reused_can_be_added_again(queue, make):
    old, _ = make.unix()
    stale = queue.add(old, "r", data="old")
    new, peer = reuse(old, make)
    watch = queue.add(new, "r", data="new")
    assert not stale.active
    assert stale not in queue
    assert queue[new] is watch
    assert len(queue) == 1
    assert list(queue) == [watch]
    peer.send(b"x")
    assert list(queue.wait(0)) == [watch]


def test_watch_of_a_reused_number_is_removed_already(queue, make):
    old, _ = make.unix()
    stale = queue.add(old, "r")
    new, peer = reuse(old, make)
    watch = queue.add(new, "r")
    assert not stale.remove()
    peer.send(b"x")
    assert list(queue.wait(0)) == [watch]


def test_closed_file_does_not_make_the_next_owner_of_its_number_fire(queue, make):
    old, old_peer = make.unix()
    queue.add(old, "r")
    old_peer.send(b"x")
    new, _ = reuse(old, make)
    queue.add(new, "r")
    assert list(queue.wait(0.02)) == []


def test_found_then_closed_and_reused_is_not_delivered(queue, make):
    pairs = [make.unix() for _ in range(2)]
    for here, there in pairs:
        queue.add(here, "r", data=here)
        there.send(b"x")
    (first,) = queue.wait(0, 1)
    other = next(here for here, _ in pairs if here is not first.data)
    new, _ = reuse(other, make)
    watch = queue.add(new, "r")
    assert watch not in list(queue.wait(0))


def test_many_reused_numbers_keep_their_own_data(queue, make):
    for round_number in range(200):
        here, there = socket.socketpair()
        watch = queue.add(here, "r", data=round_number)
        there.send(b"x")
        assert list(queue.wait(0)) == [watch]
        assert watch.data == round_number
        here.close()
        there.close()
    assert len(queue) <= 2


def test_check_tells_what_the_kernel_watches_and_the_queue_does_not(queue, make):
    if queue.backend == "kqueue":
        pytest.skip("kqueue has no ghosts, and does not list what it watches: Linux does")
    here, there = make.unix()
    watch = queue.add(here.fileno())
    assert queue.check() == []
    copy = make.file_of(os.dup(here.fileno()), "rb")
    number = here.fileno()
    here.close()
    watch.remove()
    ghost = f"fd {number}: the kernel still watches it, but the queue does not (a ghost)"
    assert queue.check() == [ghost]
    there.send(b"x")
    with pytest.warns(ResourceWarning, match=f"fd {number} was closed"):
        assert not queue.wait(0.01)
    assert queue.check() == []
    copy.close()
