# SPDX-License-Identifier: MIT
"""An event that was found and not taken is delivered by a later wait."""

import pytest

from readyq import EDGE, ONESHOT, READ

SOON = 10


@pytest.fixture(params=[READ, READ | EDGE, READ | ONESHOT], ids=["level", "edge", "oneshot"])
def ready_watches(request, queue, make):
    watches = []
    for number in range(10):
        here, there = make.unix()
        watches.append(queue.add(here, request.param, data=number))
        there.send(b"x")
    return watches


def test_maxevents_leaves_the_rest_for_the_next_waits(queue, ready_watches):
    taken = []
    for _ in range(4):
        batch = list(queue.wait(0, maxevents=3))
        assert len(batch) <= 3
        taken += batch
        for watch in batch:
            watch.source.recv(1)
    assert sorted(watch.data for watch in taken) == list(range(10))
    assert list(queue.wait(0)) == []


def test_dispatch_that_raises_leaves_the_rest_for_the_next(queue, ready_watches):
    called = []

    def call(watch):
        called.append(watch)
        watch.source.recv(1)
        if len(called) == 4:
            raise LookupError("the fourth")

    for watch in ready_watches:
        watch.data = call
    with pytest.raises(LookupError, match="the fourth"):
        queue.dispatch(0)
    assert len(called) == 4
    assert queue.dispatch(0) == 6
    assert set(called) == set(ready_watches)
    assert queue.dispatch(0) == 0


def test_level_that_is_over_meanwhile_is_not_delivered(queue, make):
    pairs = [make.unix() for _ in range(2)]
    for here, there in pairs:
        queue.add(here, "r")
        there.send(b"x")
    (first,) = queue.wait(0, 1)
    for here, _ in pairs:
        here.recv(1)
    assert list(queue.wait(0)) == []
    assert first.active


def test_maxevents_serves_everyone_in_turn(queue, make):
    watches = set()
    for _ in range(10):
        here, _ = make.unix()
        watches.add(queue.add(here, "w"))
    seen = set()
    for _ in range(10):
        seen.update(queue.wait(0, maxevents=2))
    assert seen == watches


def test_wait_inside_dispatch_takes_what_dispatch_has_not_called_yet(queue, ready_watches):
    inner = []

    def call(watch):
        watch.source.recv(1)
        for other in queue.wait(0):
            other.source.recv(1)
            inner.append(other)

    for watch in ready_watches:
        watch.data = call
    assert queue.dispatch(0) == 1
    assert len(inner) == 9
    assert list(queue.wait(0)) == []


def test_everything_ready_comes_in_one_wait(queue, make):
    trigger_count = 3000
    triggers = [queue.add_trigger(data=number) for number in range(trigger_count)]
    for trigger in triggers:
        trigger.fire()
    assert {watch.data for watch in queue.wait(SOON)} == set(range(trigger_count))


def test_a_thousand_descriptors_come_in_one_wait(queue, make):
    watches = set()
    for _ in range(400):
        for end in make.unix():
            watches.add(queue.add(end, "w"))
    assert set(queue.wait(SOON)) == watches
