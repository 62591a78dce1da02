# SPDX-License-Identifier: MIT
"""Every call from any thread: changes during a wait, several waiters, wake, close."""

import concurrent.futures
import socket
import threading
import time

import pytest

from readyq import EDGE, ONESHOT, READ

SOON = 10


def test_add_takes_effect_in_a_running_wait(queue, make, start, nap):
    here, there = make.unix()
    waiting = start(queue.wait, SOON)
    nap()
    watch = queue.add(here, "r")
    there.send(b"x")
    assert list(waiting.result(SOON)) == [watch]


def test_modify_takes_effect_in_a_running_wait(queue, make, start, nap):
    here, _ = make.unix()
    watch = queue.add(here, "r")
    waiting = start(queue.wait, SOON)
    nap()
    watch.modify("w")
    assert list(waiting.result(SOON)) == [watch]


def test_remove_takes_effect_in_a_running_wait(queue, make, start, nap):
    here, there = make.unix()
    watch = queue.add(here, "r")
    waiting = start(queue.wait, 0.2)
    nap()
    watch.remove()
    there.send(b"x")
    assert list(waiting.result(SOON)) == []


def test_interpreter_runs_while_a_thread_waits(queue, start, nap):
    waiting = start(queue.wait, SOON)
    nap()
    assert sum(range(100000)) == 4999950000
    queue.wake()
    assert list(waiting.result(SOON)) == []


def test_wake_ends_a_running_wait(queue, start, nap):
    waiting = start(queue.wait)
    nap()
    queue.wake()
    assert list(waiting.result(SOON)) == []


def test_a_sleep_that_a_wake_ends_asks_the_kernel_once(queue, start, nap):
    waits = threading.Semaphore(0)

    def wake_often():
        for _ in range(20):
            assert waits.acquire(timeout=SOON)  # two wakes before a wait would be one
            nap()
            queue.wake()

    before = queue.stats()
    start(wake_often)
    for _ in range(20):
        waits.release()
        assert list(queue.wait(SOON)) == []
    assert queue.stats().kernel_waits - before.kernel_waits <= 25


def test_wake_before_the_wait_is_not_lost_and_several_are_one(queue):
    for _ in range(5):
        queue.wake()
    assert list(queue.wait(SOON)) == []
    begin = time.monotonic()
    assert list(queue.wait(0.02)) == []
    assert time.monotonic() - begin >= 0.02


def test_wake_ends_a_wait_of_zero_too(queue):
    queue.wake()
    assert list(queue.wait(0)) == []
    begin = time.monotonic()
    assert list(queue.wait(0.02)) == []
    assert time.monotonic() - begin >= 0.02


def test_wake_ends_dispatch(queue, start, nap):
    waiting = start(queue.dispatch)
    nap()
    queue.wake()
    assert waiting.result(SOON) == 0


def test_wakes_never_get_lost_between_two_threads(queue, start):
    def wait_often():
        for _ in range(2000):
            assert list(queue.wait(SOON)) == []
            done.release()

    done = threading.Semaphore(0)
    waiting = start(wait_often)
    begin = time.monotonic()
    for _ in range(2000):
        queue.wake()
        assert done.acquire(timeout=SOON)
    waiting.result(SOON)
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("interest", [READ, READ | EDGE, READ | ONESHOT])
def test_each_event_goes_to_exactly_one_of_several_waiters(queue, make, start, nap, interest):
    here, there = make.unix()
    watch = queue.add(here, interest)
    waits = [start(queue.wait, SOON) for _ in range(4)]
    nap()
    there.send(b"x")
    deadline = time.monotonic() + SOON
    while not any(wait.done() for wait in waits) and time.monotonic() < deadline:
        nap()
    nap()
    (first,) = (wait for wait in waits if wait.done())
    assert list(first.result()) == [watch]
    here.recv(1)
    for _ in range(3):
        before = sum(wait.done() for wait in waits)
        queue.wake()
        while sum(wait.done() for wait in waits) == before:
            nap()
    assert [len(wait.result(SOON)) for wait in waits] == [0, 0, 0, 0]


def test_many_events_are_shared_by_several_waiters_without_loss_or_double(queue, start):
    total, lock, counts = 2000, threading.Lock(), {}
    triggers = [queue.add_trigger(data=number) for number in range(20)]

    def serve():
        while True:
            for watch in queue.wait(SOON):
                if watch.data is None:
                    return
                with lock:
                    counts[watch.data] = counts.get(watch.data, 0) + 1

    workers = [start(serve) for _ in range(3)]
    pairs = [socket.socketpair() for _ in range(total // 10)]
    for number, (here, there) in enumerate(pairs):
        there.send(b"x")
        queue.add(here, READ | ONESHOT, data=("socket", number))
        triggers[number % 20].fire()
    deadline = time.monotonic() + SOON
    while sum(isinstance(key, tuple) for key in list(counts)) < len(pairs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for _ in workers:
        queue.add_timer(0)
        time.sleep(0.05)
    for worker in workers:
        worker.result(SOON)
    assert all(counts["socket", number] == 1 for number in range(len(pairs)))
    for here, there in pairs:
        here.close()
        there.close()


def test_waiter_whose_event_went_to_another_continues_to_wait(queue, start):
    taken = threading.Semaphore(0)
    triggers = [queue.add_trigger(data=number) for number in range(4)]

    def serve():
        while True:
            found = list(queue.wait())  # however long the others are faster
            assert found
            for watch in found:
                if watch.data is None:
                    return
                taken.release()

    workers = {start(serve) for _ in range(4)}
    for _ in range(750):
        for trigger in triggers:
            trigger.fire()
        for _ in triggers:
            assert taken.acquire(timeout=SOON)
    while workers:
        queue.add_timer(0)  # ends one: another one before that could be taken with it
        ended, workers = concurrent.futures.wait(workers, SOON, "FIRST_COMPLETED")
        assert [worker.result() for worker in ended] == [None]


def test_dispatch_in_two_threads_calls_each_once(queue, make, start, nap):
    called = []
    pairs = [make.unix() for _ in range(50)]
    for here, there in pairs:
        there.send(b"x")
        queue.add(here, READ | ONESHOT, data=called.append)
    counts = [start(queue.dispatch, SOON), start(queue.dispatch, 0.5)]
    deadline = time.monotonic() + SOON
    while len(called) < 50:
        assert time.monotonic() < deadline
        nap()
    queue.wake()
    queue.wake()
    assert sum(count.result(SOON) for count in counts) == 50
    assert len(set(called)) == 50


@pytest.mark.parametrize("waiters", [1, 3])
@pytest.mark.parametrize("call", ["wait", "dispatch"])
def test_close_wakes_every_waiter_with_the_closed_error(queue, start, nap, waiters, call):
    waits = [start(getattr(queue, call)) for _ in range(waiters)]
    nap()
    queue.close()
    for waiting in waits:
        with pytest.raises(ValueError, match="closed"):
            waiting.result(SOON)


def test_threads_may_do_anything_to_one_queue_at_once(queue, start):
    stop = time.monotonic() + 1

    def change():
        while time.monotonic() < stop:
            here, there = socket.socketpair()
            watch = queue.add(here, "r", data=here)
            there.send(b"x")
            watch.modify("rw")
            assert watch in queue
            assert queue[here] is watch
            watch.remove()
            trigger = queue.add_trigger()
            trigger.fire()
            trigger.remove()
            queue.add_timer(0)
            here.close()
            there.close()

    def look():
        while time.monotonic() < stop:
            for watch in queue:
                assert repr(watch).startswith("<readyq.Watch ")
            len(queue)
            queue.stats()
            queue.wake()

    def wait():
        while time.monotonic() < stop:
            for watch in queue.wait(0.01):
                assert watch.kind in ("fd", "timer", "trigger")

    workers = [start(work) for work in (change, change, look, wait, wait)]
    for worker in workers:
        worker.result(60)
    while list(queue.wait(0)):
        pass
    assert len(queue) == 0


def test_close_races_with_every_other_call(make, start):
    for _ in range(30):
        queue = make.queue()
        here, there = make.unix()
        there.send(b"x")

        def work(queue=queue, here=here):
            for _ in range(10000):
                watch = queue.add(here, "r")
                queue.wait(0)
                watch.modify("w")
                queue.wake()
                watch.remove()

        workers = [start(work), start(queue.wait)]
        time.sleep(0.005)
        queue.close()
        for worker in workers:
            with pytest.raises(ValueError, match="closed"):
                while True:
                    worker.result(SOON)
                    worker = start(queue.wait)
        here.close()
        there.close()
