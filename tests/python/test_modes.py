# SPDX-License-Identifier: MIT
"""Level, edge, one shot, pause, exclusive; and changing from one to the other."""

import pytest

from readyq import EDGE, EXCLUSIVE, ONESHOT, READ, READ_CLOSED, WRITE, WRITE_CLOSED

SOON = 10


def test_level_is_reported_until_all_is_read(queue, make):
    here, there = make.unix()
    watch = queue.add(here, "r")
    there.send(b"xy")
    assert list(queue.wait(0)) == [watch]
    here.recv(1)
    assert list(queue.wait(0)) == [watch]
    here.recv(1)
    assert list(queue.wait(0)) == []


def test_edge_is_reported_once_per_arrival(queue, make):
    here, there = make.unix()
    watch = queue.add(here, READ | EDGE)
    there.send(b"x")
    assert list(queue.wait(0)) == [watch]
    assert list(queue.wait(0)) == []
    there.send(b"y")
    assert list(queue.wait(0)) == [watch]
    there.close()
    assert list(queue.wait(0)) == [watch]
    assert watch.ready & ~WRITE_CLOSED == READ | READ_CLOSED
    assert list(queue.wait(0)) == []


def test_edge_reports_what_was_there_when_it_was_added(queue, make):
    here, there = make.unix()
    there.send(b"x")
    watch = queue.add(here, READ | EDGE)
    assert list(queue.wait(0)) == [watch]
    assert list(queue.wait(0)) == []


def test_oneshot_is_silent_until_it_is_modified(queue, make):
    here, there = make.unix()
    watch = queue.add(here, READ | ONESHOT)
    there.send(b"x")
    assert watch.armed
    assert list(queue.wait(0)) == [watch]
    assert not watch.armed
    assert watch.active
    there.send(b"y")
    there.close()
    assert list(queue.wait(0)) == []
    watch.modify(READ | ONESHOT)
    assert watch.armed
    assert list(queue.wait(0)) == [watch]


def test_oneshot_of_two_directions_is_spent_by_either(queue, make):
    here, there = make.unix()
    watch = queue.add(here, READ | WRITE | ONESHOT)
    assert list(queue.wait(0)) == [watch]
    assert watch.ready == WRITE
    there.send(b"x")
    assert list(queue.wait(0)) == []


def test_paused_watch_reports_nothing_not_even_a_hangup(queue, make):
    here, there = make.unix()
    watch = queue.add(here, 0)
    assert not watch.armed
    there.send(b"x")
    there.close()
    assert list(queue.wait(0.02)) == []
    watch.modify("r")
    assert list(queue.wait(0)) == [watch]
    watch.modify(0)
    assert list(queue.wait(0.02)) == []
    assert watch.interest == 0


def test_modify_changes_the_direction(queue, make):
    here, there = make.unix()
    watch = queue.add(here, WRITE)
    there.send(b"x")
    assert next(queue.wait(0)).ready == WRITE
    watch.modify(READ)
    assert next(queue.wait(0)).ready == READ
    queue.modify(here, "rw")
    assert next(queue.wait(0)).ready == READ | WRITE
    queue.modify(here.fileno(), WRITE)
    assert next(queue.wait(0)).ready == WRITE
    queue.modify(watch, READ)
    assert next(queue.wait(0)).ready == READ
    assert watch.interest == READ


def test_modify_asks_again_for_what_was_found_for_the_old_interest(queue, make):
    pairs = [make.unix() for _ in range(2)]
    first, second = (queue.add(here, WRITE) for here, _ in pairs)
    assert list(queue.wait(0, 1)) == [first]
    second.modify(READ)
    assert list(queue.wait(0)) == [first]


def test_modify_edge_reports_again_what_is_there(queue, make):
    here, there = make.unix()
    watch = queue.add(here, READ | EDGE)
    there.send(b"x")
    assert list(queue.wait(0)) == [watch]
    watch.modify(READ | EDGE)
    assert list(queue.wait(0)) == [watch]


@pytest.mark.parametrize("interest", [READ | EXCLUSIVE, READ | EDGE | EXCLUSIVE])
def test_of_two_exclusive_queues_at_least_one_wakes(queue, make, start, nap, interest):
    reader, writer = make.pipe()
    other = make.queue()
    queues = [queue, other]
    watches = [q.add(reader, interest) for q in queues]
    waits = [start(q.wait, SOON) for q in queues]
    nap()
    writer.write(b"x")
    while not any(wait.done() for wait in waits):
        nap()
    nap()
    for q in queues:
        q.wake()
    results = [list(wait.result(SOON)) for wait in waits]
    assert any(results)
    assert all(result in ([], [watch]) for result, watch in zip(results, watches))


def test_exclusive_can_be_modified_and_removed(queue, make):
    here, there = make.unix()
    watch = queue.add(here, READ | EXCLUSIVE)
    there.send(b"x")
    assert list(queue.wait(0)) == [watch]
    watch.modify(WRITE | EXCLUSIVE)
    assert next(queue.wait(0)).ready == WRITE
    watch.modify(READ)
    there.close()
    assert next(queue.wait(0)).ready & ~WRITE_CLOSED == READ | READ_CLOSED
    watch.remove()
    assert list(queue.wait(0)) == []


def test_exclusive_still_reports_a_peer_that_closed(queue, make):
    here, there = make.unix()
    watch = queue.add(here, READ | EXCLUSIVE)
    there.close()
    assert list(queue.wait(0)) == [watch]
    assert watch.ready & ~WRITE_CLOSED == READ | READ_CLOSED


def test_two_queues_watch_one_descriptor_each_in_its_way(queue, make):
    here, there = make.unix()
    other = make.queue()
    level = queue.add(here, READ)
    edge = other.add(here, READ | EDGE)
    there.send(b"x")
    assert (list(queue.wait(0)), list(other.wait(0))) == ([level], [edge])
    assert (list(queue.wait(0)), list(other.wait(0))) == ([level], [])
