# SPDX-License-Identifier: MIT
"""The objects that the cycle collector is shown, and what it may do in between. test_leaks.py tests
that dropped objects are released.
"""

import gc

import pytest

import readyq
from readyq import _core


class Thing:
    def __call__(self, line):
        pass


def test_it_is_shown_what_each_object_keeps(queue, make):
    (here, _), data, tracer = make.unix(), Thing(), Thing()
    watch = queue.add(here, "r", data=data)
    queue.trace(tracer)
    batch = queue.wait(0)
    queue.wait(0)  # the queue keeps this batch, to use it again
    for held, keeper in (
        (data, watch),
        (here, watch),
        (queue, watch),
        (readyq.Watch, watch),
        (watch, queue),
        (tracer, queue),
        (queue, batch),
        (readyq.Batch, batch),
        (readyq.Batch, queue),
        (readyq.Queue, queue),
        (readyq.Queue, _core),
        (readyq.Watch, _core),
        (readyq.Batch, _core),
        (readyq.Recording, _core),
        (readyq.Record, _core),
        (readyq.Stats, _core),
        (type(queue.stats().kinds["fd"]), _core),
    ):
        assert any(one is held for one in gc.get_referents(keeper)), (held, keeper)
        assert any(one is keeper for one in gc.get_referrers(held)), (held, keeper)


def test_data_that_was_deleted_is_not_there_and_the_rest_works(queue):
    trigger = queue.add_trigger(data=Thing())
    del trigger.data
    assert not any(isinstance(kept, Thing) for kept in gc.get_referents(trigger))
    assert repr(trigger) == "<readyq.Watch trigger>"
    trigger.fire()
    with pytest.raises(TypeError, match="it has no data to call"):
        queue.dispatch(0)


class Adder:
    """Adds watches when it is collected, as a cycle of its own."""

    def __init__(self, queue):
        self.queue = queue
        self.itself = self

    def __del__(self):
        self.queue.add_trigger(data="late")
        self.queue.add_trigger(data="later")


def test_a_finalizer_may_add_while_the_watches_are_listed(queue):
    first = queue.add_trigger(data="first")
    Adder(queue)
    threshold = gc.get_threshold()
    spent = [[] for _ in range(200)]  # the free list: the next list is allocated
    gc.set_threshold(1)
    try:
        listed = iter(queue)
    finally:
        gc.set_threshold(*threshold)
    assert len(spent) == 200
    listed = list(listed)
    gc.collect()
    assert listed in ([first], list(queue))
    assert [watch.data for watch in queue] == ["first", "late", "later"]
