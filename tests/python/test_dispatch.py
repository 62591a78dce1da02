# SPDX-License-Identifier: MIT
"""dispatch(): what it calls, and what it refuses to call before it takes the event."""

import functools
import os
import re
import signal
import unittest.mock

import pytest

import readyq
from readyq import EDGE, READ

SOON = 10


async def fetch(watch):
    raise AssertionError("nobody awaits it")


async def fetch_all(watch):
    yield watch


class Client:
    async def __call__(self, watch):
        pass

    async def fetch(self, watch):
        pass

    @staticmethod
    async def fetch_one(watch):
        pass

    @classmethod
    async def fetch_more(cls, watch):
        pass


ASYNC = [
    fetch,
    fetch_all,
    Client(),
    Client().fetch,
    Client.fetch_one,
    Client.fetch_more,
    functools.partial(fetch),
    functools.partial(functools.partial(Client().fetch)),
    functools.partial(Client()),
]


@pytest.mark.parametrize("data", [*ASYNC, None, "text", 5, object()], ids=repr)
def test_data_that_cannot_be_called_keeps_the_event(queue, make, data):
    here, there = make.unix()
    there.send(b"x")
    watches = [queue.add(here, READ | EDGE), queue.add_timer(0), queue.add_trigger()]
    watches.append(queue.add_signal("USR1"))
    watches[2].fire()
    os.kill(os.getpid(), signal.SIGUSR1)
    while len(queue.wait(SOON)) < len(watches):
        pass
    called = []
    for watch in watches:
        watch.data = data
    for _ in range(3):
        with pytest.raises(TypeError, match=r"dispatch\(\) failed for <readyq.Watch .*: it"):
            queue.dispatch(0)
    for watch in watches:
        watch.data = called.append
    assert queue.dispatch(0) == 4
    assert set(called) == set(watches)
    assert [watch.count for watch in watches] == [1] * 4


def test_what_comes_before_data_that_cannot_be_called_is_called(queue):
    called = []
    triggers = [queue.add_trigger(data=data) for data in (called.append, fetch, called.append)]
    for trigger in triggers:
        trigger.fire()
    for _ in range(2):
        with pytest.raises(TypeError, match=f"data={re.escape(repr(fetch))}>: "):
            queue.dispatch(0)
    assert called == triggers[:1]
    assert list(queue.wait(0)) == triggers[1:]


def test_data_that_a_callback_replaces_is_looked_at_when_its_turn_comes(queue):
    def swap(watch):
        triggers[1].data, triggers[2].data = called.append, "text"

    called = []
    triggers = [queue.add_trigger(data=data) for data in (swap, fetch, called.append)]
    for trigger in triggers:
        trigger.fire()
    with pytest.raises(TypeError, match="data='text'>: "):
        queue.dispatch(0)
    assert called == triggers[1:2]
    assert list(queue.wait(0)) == triggers[2:]


class Plain:
    def __call__(self, watch):
        pass


CALLABLE = {
    "a function": lambda: lambda watch: None,
    "a method of a list": lambda: [].append,
    "a builtin": lambda: id,
    "a partial": lambda: functools.partial(lambda what, watch: None, "what"),
    "a partial of a partial of a builtin": lambda: functools.partial(functools.partial(id)),
    "an object": Plain,
    "a method": lambda: Plain().__call__,
    "a class": lambda: str,
    "a method of a type": lambda: readyq.Watch.remove,
    "a cached function": lambda: functools.lru_cache(lambda watch: None),
    "a mock": unittest.mock.Mock,
}


@pytest.mark.parametrize("make_data", CALLABLE.values(), ids=CALLABLE)
def test_everything_else_is_called(queue, make_data):
    data = make_data()
    for _ in range(3):
        queue.add_trigger(data=data).fire()
    assert queue.dispatch(0) == 3


def test_a_type_that_gets_another_call_is_looked_at_again(queue):
    class Plain:
        def __call__(self, watch):
            pass

    trigger = queue.add_trigger(data=Plain())
    trigger.fire()
    assert queue.dispatch(0) == 1
    trigger.fire()
    assert queue.dispatch(0) == 1
    Plain.__call__ = Client.__call__
    trigger.fire()
    with pytest.raises(TypeError, match="async function"):
        queue.dispatch(0)
    assert list(queue.wait(0)) == [trigger]
