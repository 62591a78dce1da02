# SPDX-License-Identifier: MIT
"""Dropped objects are released: references, memory, descriptors, cycles."""

import gc
import os
import sys
import tracemalloc
import weakref

import pytest

import readyq


class Data:
    def __call__(self, watch):
        pass


def references(*objects):
    return [sys.getrefcount(thing) for thing in objects]


def test_each_way_out_gives_back_data_and_source(queue, make):
    data, (here, there) = Data(), make.unix()
    there.send(b"x")
    before = references(data, here, queue)
    ways = [
        lambda: queue.add(here, "r", data=data).remove(),
        lambda: queue.remove(queue.add(here, "r", data=data)),
        lambda: queue.add(here, "r", data=data) and list(queue.wait(0)) and queue.remove(here),
        lambda: queue.add(here, "r", data=data) and queue.dispatch(0) and queue.remove(here),
        lambda: queue.add_timer(0, data=data) and list(queue.wait()),
        lambda: queue.add_timer(0, data=data) and queue.dispatch(),
        lambda: queue.add_timer(9, data=data).remove(),
        lambda: queue.add_signal(10, data=data).remove(),
        lambda: queue.add_trigger(data=data).remove(),
        lambda: queue.add_process(os.getppid(), data=data).remove(),
        lambda: next(iter(queue.add_trigger(data=data).queue)).remove(),
        lambda: repr(queue.add_trigger(data=data)) and [watch.remove() for watch in queue],
    ]
    for way in ways:
        for _ in range(3):
            way()
        assert references(data, here, queue) == before


def test_refused_calls_keep_nothing(queue, make):
    data, (here, _) = Data(), make.unix()
    queue.add(here, "r")
    before = references(data, here, queue)
    for call in (
        lambda: queue.add(here, "r", data=data),
        lambda: queue.add(here, 4096, data=data),
        lambda: queue.add(-1, "r", data=data),
        lambda: queue.add("no", "r", data=data),
        lambda: queue.add_timer(-1, data=data),
        lambda: queue.add_signal(9, data=data),
        lambda: queue.add_process(-1, data=data),
        lambda: queue.wait(data),
        lambda: queue.modify(data, "r"),
        lambda: queue.remove(12345),
    ):
        with pytest.raises((OSError, ValueError, TypeError, KeyError)):
            call()
    assert references(data, here, queue) == before


def test_close_gives_back_everything(make):
    data, (here, _) = Data(), make.unix()
    before = references(data, here)
    queue = make.queue()
    queue.add(here, "r", data=data)
    queue.add_timer(10, data=data)
    queue.add_trigger(data=data)
    queue.trace(data)
    queue.close()
    del queue
    make.opened.pop_all().close()
    gc.collect()
    assert references(data) == before[:1]


def test_a_long_chain_of_watches_is_freed_without_recursion(python):
    """Each is the data of the next. Their destructors nested, and overflowed the C stack."""
    child = python(
        "import readyq\n"
        "q, watch = readyq.Queue(), None\n"
        "for _ in range(10**6):\n"
        "    watch = q.add_trigger(data=watch)\n"
        "del watch\n"
        "q.close()\n"
        "print('freed')"
    )
    assert child.communicate(timeout=60) == ("freed\n", "")


def test_dropped_queue_closes():
    fds = len(os.listdir("/proc/self/fd"))
    queue = readyq.Queue()
    alive = weakref.ref(queue)
    assert len(os.listdir("/proc/self/fd")) > fds
    del queue
    assert alive() is None
    assert len(os.listdir("/proc/self/fd")) == fds


def test_cycles_through_data_are_collected(make):
    here, _ = make.unix()
    fds = len(os.listdir("/proc/self/fd"))
    queue, data = readyq.Queue(), Data()
    data.watch = queue.add(here, "r", data=data)
    data.timer = queue.add_timer(10, data=data.watch)
    data.queue = queue
    queue.trace(lambda line, queue=queue: None)
    alive = [weakref.ref(queue), weakref.ref(data), weakref.ref(data.watch)]
    del queue, data
    gc.collect()
    assert [ref() for ref in alive] == [None, None, None]
    assert len(os.listdir("/proc/self/fd")) == fds


def test_watch_that_is_kept_keeps_its_queue():
    queue = readyq.Queue()
    trigger = queue.add_trigger()
    del queue
    gc.collect()
    trigger.fire()
    assert list(trigger.queue.wait(0)) == [trigger]
    trigger.queue.close()


def test_finalizer_may_use_the_queue_that_is_collected_with_it():
    seen = []

    class Rude:
        def __del__(self):
            try:
                self.queue.add_trigger()
                list(self.queue.wait(0))
            except ValueError as error:
                seen.append(str(error))
            else:
                seen.append("open")

    for _ in range(3):
        queue, rude = readyq.Queue(), Rude()
        rude.queue = queue
        queue.add_trigger(data=rude)
        del queue, rude
    gc.collect()
    assert len(seen) == 3


def grows(queue, make, measure):
    """By how much the measured value grows in each of some rounds, in which everything is done
    often.
    """
    here, there = make.unix()
    there.send(b"x")
    watch = queue.add(here, "rw", data=lambda watch: None)
    sizes = []
    for _ in range(4):
        for _ in range(1000):
            list(queue.wait(0))
            queue.dispatch(0)
            watch.modify("r")
            repr(queue.wait(0.0001))
            queue.add_timer(0).restart(0)
            kept = queue.wait()
            for _ in queue.wait():
                pass
            assert watch not in kept
            repr(watch)
            list(queue)
            queue.stats()
        gc.collect()
        sizes.append(measure())
    return [after - before for before, after in zip(sizes, sizes[1:])]


def test_waits_and_deliveries_leave_no_memory_behind(queue, make):
    tracemalloc.start()
    try:
        grown = grows(queue, make, lambda: tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert min(grown) < 1000


# A debug CPython counts all references: `make references`.
if hasattr(sys, "gettotalrefcount"):

    def test_waits_and_deliveries_leave_no_reference_behind(queue, make):
        assert min(grows(queue, make, sys.gettotalrefcount)) < 100


def resident():
    """Bytes of memory that this process uses in total."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc (Linux)")
def test_two_hundred_thousand_rounds_of_adding_and_removing_do_not_grow(queue, make):
    here, there = make.unix()
    there.send(b"x")
    sizes, numbers = [], []
    for _ in range(4):
        for _ in range(50_000):
            queue.add(here, "r", data=object())
            queue.add_timer(0, data=object())
            for watch in queue.wait():
                if watch.active:
                    watch.remove()
        sizes.append(resident())
        numbers.append(len(os.listdir("/proc/self/fd")))
    assert min(after - before for before, after in zip(sizes, sizes[1:])) < 100_000, sizes
    assert len(set(numbers)) == 1
    assert len(queue) == 0


def test_collection_during_a_wait_is_harmless(queue, make, start, nap):
    here, there = make.unix()
    watch = queue.add(here, "r")
    waiting = start(queue.wait, 10)
    nap()
    for _ in range(10):
        gc.collect()
    there.send(b"x")
    assert list(waiting.result(10)) == [watch]


def test_module_can_be_loaded_again_and_again(python):
    child = python(
        """
import gc, sys, weakref
def load():
    import readyq
    q = readyq.Queue()
    q.add_timer(0, data=q)
    assert len(list(q.wait())) == 1
    q.add_timer(9, data=q)
    return weakref.ref(readyq.Queue)
first = None
for _ in range(20):
    kind = load()
    for name in [name for name in sys.modules if name.startswith("readyq")]:
        del sys.modules[name]
    gc.collect()
    assert kind() is None
"""
    )
    assert child.communicate(timeout=20) == ("", "")


def test_queue_that_is_left_open_at_the_end_is_no_crash(python):
    child = python(
        """
import readyq, threading, os
q = readyq.Queue()
q.add(0, "r", data=q)
q.add_signal(10)
q.add_timer(1, period=1)
threading.Thread(target=q.wait, daemon=True).start()
"""
    )
    child.communicate(timeout=20)
    assert child.returncode == 0
