# SPDX-License-Identifier: MIT
"""Every method of a queue and its watches, called from several threads at the same time, for a
second. With a GIL this tests interleavings of calls; without one, of their parts.
"""

import gc
import itertools
import os
import random
import socket
import sys
import sysconfig
import threading
import time

import pytest

import readyq
from readyq import EDGE, ONESHOT, READ, WRITE

SOON = 60
SECONDS = 1.0
GONE = (KeyError, FileExistsError)  # another thread was faster

without_gil = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="needs a CPython without a GIL: build one by `./configure --disable-gil`, install pytest"
    " into it, and run `make PYTHON=python3.14t check TESTS=tests/python`",
)


@without_gil
def test_importing_readyq_leaves_the_gil_off(python):
    child = python(
        "import sys, warnings; warnings.simplefilter('error')\n"
        "import readyq, readyq.aio, readyq.console, readyq.picture, readyq.prompt\n"
        "print(sys._is_gil_enabled())"
    )
    assert child.communicate(timeout=SOON) == ("False\n", "")
    assert not sys._is_gil_enabled()


def random_calls(queue, sockets, watches):
    """Every call, on one of the objects that other threads use at the same time."""
    here = random.choice(sockets)
    any_watch = random.choice(watches or [queue.add_trigger()])
    return [
        lambda: watches.append(queue.add(here, random.choice("rw"), data=here)),
        lambda: queue.add(here, random.choice([READ | EDGE, WRITE | ONESHOT])),
        lambda: watches.append(queue.add_timer(random.random() / 100, data=print)),
        lambda: watches.append(queue.add_trigger(data=len)),
        lambda: queue.add_process(os.getppid()).remove(),
        lambda: queue.modify(here, random.choice(["r", "w", 0])),
        lambda: queue.remove(here),
        lambda: queue.remove(any_watch),
        lambda: queue[here].source,
        lambda: (here in queue, any_watch in queue, len(queue), list(queue)),
        lambda: (queue.closed, queue.backend, queue.fileno(), queue.stats().watches),
        lambda: (repr(queue), str(queue), queue._repr_html_(), repr(any_watch)),
        lambda: queue.wake(),
        lambda: list(queue.wait(0.001, maxevents=2)),
        lambda: [watch.ready and watch.count for watch in queue.wait(0)],
        lambda: queue.trace(random.choice([None, str])),
        lambda: any_watch.kind == "fd" and any_watch.modify(random.choice(["rw", 0])),
        lambda: any_watch.kind == "trigger" and any_watch.fire(),
        lambda: any_watch.remove(),
        lambda: setattr(any_watch, "data", random.random()),
        lambda: (any_watch.data, any_watch.source, any_watch.queue, any_watch.status),
        lambda: (any_watch.ready, any_watch.readable, any_watch.writable, any_watch.fd),
        lambda: (any_watch.interest, any_watch.armed, any_watch.active, any_watch.deliveries),
        lambda: watches.clear() if len(watches) > 100 else None,
    ]


def test_every_call_from_every_thread_at_once(queue, make, start):
    pairs = [make.unix() for _ in range(5)]
    watches, end = [], time.monotonic() + SECONDS
    before = sys.getrefcount(queue)

    def hammer():
        made = 0
        while made == 0 or time.monotonic() < end:  # a thread may begin late
            try:
                for call in random.sample(random_calls(queue, [a for a, _ in pairs], watches), 8):
                    made += 1
                    call()
            except GONE:
                pass
        return made

    def write():
        while time.monotonic() < end:
            for here, there in pairs:
                there.send(b"x")
                here.recv(100)

    threads = [start(hammer) for _ in range(4)] + [start(write)]
    assert all(thread.result(SOON) for thread in threads[:4])
    threads[4].result(SOON)
    queue.trace(None)
    for watch in queue:
        watch.remove()
    assert (len(queue), list(queue), list(queue.wait(0))) == (0, [], [])
    here, there = make.unix()
    there.send(b"x")
    assert list(queue.wait(0)) == []
    watch = queue.add(here, "r")
    assert list(queue.wait(SOON)) == [watch]
    watch.remove()
    del watch
    watches.clear()
    gc.collect()  # without a GIL, objects that another thread dropped are released here
    assert sys.getrefcount(queue) == before


def test_dispatch_from_every_thread_calls_each_fire(queue, start):
    end, fired = time.monotonic() + SECONDS, itertools.count()
    called = itertools.count()
    triggers = [queue.add_trigger(data=lambda watch: next(called)) for _ in range(8)]

    def fire():
        while time.monotonic() < end:
            for trigger in triggers:
                trigger.fire()
                next(fired)

    def dispatch():
        while time.monotonic() < end:
            queue.dispatch(0.01)

    for thread in [start(dispatch) for _ in range(3)] + [start(fire) for _ in range(2)]:
        thread.result(SOON)
    queue.dispatch(0)
    assert 8 <= next(called) <= next(fired)
    assert list(queue.wait(0)) == []


def test_signals_are_watched_in_many_queues_at_once(start):
    def work():
        for _ in range(50):
            with readyq.Queue() as queue:
                watch = queue.add_signal(10)
                queue.add_signal(12).remove()
                assert list(queue.wait(0)) in ([], [watch])

    for thread in [start(work) for _ in range(4)]:
        thread.result(SOON)


def test_a_queue_is_opened_once_however_many_threads_begin(start):
    for _ in range(50):
        queue = readyq.Queue.__new__(readyq.Queue)
        barrier = threading.Barrier(3)

        def begin(queue=queue, barrier=barrier):
            barrier.wait()
            try:
                queue.__init__()
            except ValueError:
                return 0
            return 1

        assert sum(one.result(SOON) for one in [start(begin) for _ in range(3)]) == 1
        queue.close()


def test_a_selector_is_used_from_every_thread(make, start):
    end = time.monotonic() + SECONDS
    selector = make.keep(readyq.Selector())

    def work():
        count = 0
        while time.monotonic() < end:
            here, there = socket.socketpair()
            with here, there:
                key = selector.register(here, 1, data=here)
                there.send(b"x")
                assert selector.get_key(here) == key
                assert {mask for _, mask in selector.select(0)} <= {1, 2}
                selector.modify(here, 2)
                selector.unregister(here)
                count += 1
        return count

    assert all(one.result(SOON) for one in [start(work) for _ in range(4)])
    assert len(selector.get_map()) == 0


def test_the_input_hook_is_set_from_every_thread(python):
    child = python(
        """
import threading
from readyq import _core
def work():
    for _ in range(20000):
        _core.set_inputhook(lambda: None)
        _core.set_inputhook(None)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("done")
"""
    )
    assert child.communicate(timeout=SOON) == ("done\n", "")
