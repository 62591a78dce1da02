# SPDX-License-Identifier: MIT
"""The queue's descriptor in other loops: readable while a wait would return something."""

import asyncio
import select
import time

import pytest

SOON = 10


def readable(queue, timeout=0):
    poll = select.poll()
    poll.register(queue, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def test_descriptor_is_readable_for_a_ready_descriptor(queue, make):
    here, there = make.unix()
    queue.add(here, "r")
    assert not readable(queue)
    there.send(b"x")
    assert readable(queue, SOON)
    list(queue.wait(0))
    assert readable(queue)
    here.recv(1)
    list(queue.wait(0))
    assert not readable(queue)


def test_descriptor_is_readable_for_a_timer_when_it_is_due(queue):
    queue.fileno()
    begin = time.monotonic()
    queue.add_timer(0.3)
    assert not readable(queue)
    assert readable(queue, SOON)
    assert time.monotonic() - begin >= 0.3
    assert len(list(queue.wait(0))) == 1
    assert not readable(queue)


def test_descriptor_is_readable_for_a_timer_set_before_it_was_asked_for(queue):
    queue.add_timer(0.01)
    assert readable(queue, SOON)


def test_descriptor_is_not_readable_for_a_timer_that_was_removed(queue):
    queue.fileno()
    queue.add_timer(0.01).remove()
    assert not readable(queue, 0.05)


def test_descriptor_is_readable_for_a_fired_trigger_and_a_wake(queue):
    queue.fileno()
    queue.add_trigger().fire()
    assert readable(queue, SOON)
    list(queue.wait(0))
    assert not readable(queue)
    queue.wake()
    assert readable(queue, SOON)
    list(queue.wait(0))
    assert not readable(queue)


def test_descriptor_is_readable_for_what_was_left(queue, make):
    for _ in range(3):
        here, _ = make.unix()
        queue.add(here, "w")
    queue.fileno()
    assert len(list(queue.wait(0, 1))) == 1
    assert readable(queue)


def test_descriptor_is_readable_for_a_file(queue, make):
    queue.fileno()
    watch = queue.add(make.file(), "r")
    assert readable(queue)
    watch.remove()
    assert not readable(queue)


def test_descriptor_stays_the_same(queue):
    assert queue.fileno() == queue.fileno() >= 0


def test_queue_in_epoll(queue, make):
    here, there = make.unix()
    queue.add(here, "r")
    with select.epoll() as epoll:
        epoll.register(queue, select.EPOLLIN)
        assert epoll.poll(0) == []
        there.send(b"x")
        assert epoll.poll(SOON) == [(queue.fileno(), select.EPOLLIN)]


def test_queue_in_a_queue(queue, make):
    here, there = make.unix()
    inner = make.queue()
    watch = inner.add(here, "r")
    outer = queue.add(inner, "r", data=inner)
    assert list(queue.wait(0)) == []
    there.send(b"x")
    assert list(queue.wait(SOON)) == [outer]
    assert list(outer.data.wait(0)) == [watch]
    here.recv(1)
    list(inner.wait(0))
    assert list(queue.wait(0)) == []
    timer = inner.add_timer(0.01)
    assert list(queue.wait(SOON)) == [outer]
    assert list(inner.wait(0)) == [timer]


def test_queue_in_asyncio(queue, make):
    here, there = make.unix()
    calls = []

    async def main():
        done = asyncio.Event()

        def on_ready():
            queue.dispatch(0)
            if len(calls) == 3:
                done.set()

        queue.add(here, "r", data=lambda watch: calls.append(here.recv(1)))
        queue.add_timer(0.01, data=lambda watch: calls.append("timer"))
        trigger = queue.add_trigger(data=lambda watch: calls.append("trigger"))
        loop = asyncio.get_running_loop()
        loop.add_reader(queue, on_ready)
        loop.call_later(0.02, there.send, b"x")
        loop.call_later(0.03, trigger.fire)
        await asyncio.wait_for(done.wait(), SOON)
        loop.remove_reader(queue)

    asyncio.run(main())
    assert sorted(map(str, calls)) == ["b'x'", "timer", "trigger"]


@pytest.mark.parametrize("depth", [2, 3])
def test_queues_in_queues(make, depth):
    queues = [make.queue() for _ in range(depth)]
    for outer, inner in zip(queues, queues[1:]):
        outer.add(inner, "r", data=inner)
    trigger = queues[-1].add_trigger()
    assert list(queues[0].wait(0)) == []
    trigger.fire()
    found = list(queues[0].wait(SOON))
    while found[0].kind == "fd":
        found = list(found[0].data.wait(0))
    assert found == [trigger]
