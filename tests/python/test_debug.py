# SPDX-License-Identifier: MIT
"""Debug mode: each mistake that the watchdog knows is warned of once, at the caller's line and with
the data of the watch; and a loop that makes none is silent. The cases that need no language are in
tests/c/watchdog.c.
"""

import gc
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import warnings

import pytest

import readyq
from readyq import EDGE, READ

PACKAGE = str(pathlib.Path(readyq.__file__).parents[1])
QUICK = {"turns": 1000, "turn": 0.05, "rest": 0.05}


@pytest.fixture
def queue(make):
    return make.queue(debug=QUICK)


@pytest.fixture
def pair(make):
    return make.unix()


@pytest.fixture
def caught():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def on_ready(_watch):
    """Does nothing."""


def the_only(caught, category):
    assert [(str(one.message), one.filename) for one in caught] == [
        (str(caught[0].message), __file__)
    ]
    assert caught[0].category is category
    return str(caught[0].message)


def test_watch_that_spins_is_named_with_its_data(queue, pair, caught):
    here, there = pair
    there.send(b"hello")
    queue.add(here, data=on_ready)
    for _ in range(3000):
        queue.dispatch(0)
    text = the_only(caught, RuntimeWarning)
    assert text.startswith(
        f"fd {here.fileno()} (UNIX socket, connected) interest READ, ready READ: "
    )
    assert "1,000 times in 0." in text
    assert "nobody reads the available data" in text
    assert text.endswith(f"(data={on_ready!r})")


def test_server_that_reads_is_silent(queue, pair, caught):
    here, there = pair
    queue.add(here, data=lambda _: here.send(here.recv(1)))
    for _ in range(3000):
        there.send(b"x")
        queue.dispatch(0)
        assert there.recv(1) == b"x"
    assert not [str(one.message) for one in caught]


def test_end_that_is_not_handled(queue, pair, caught):
    here, there = pair
    there.close()
    queue.add(here, data=lambda _: here.recv(1))
    for _ in range(3000):
        queue.dispatch(0)
    assert "the end of its data is not handled" in the_only(caught, RuntimeWarning)


def test_long_turn_names_the_handler(queue, caught):
    def blocks(_):
        time.sleep(0.1)

    queue.add_timer(0, data=on_ready, period=10)
    queue.add_timer(0, data=blocks, period=10)
    queue.dispatch()
    queue.dispatch(0)
    text = the_only(caught, RuntimeWarning)
    assert re.match(r"timer, ready FIRED: its handler took [\d.]+ s of a turn of [\d.]+ s ", text)
    assert "with 2 handlers" in text
    assert text.endswith(f"(data={blocks!r})")


def test_what_a_program_does_between_its_waits_is_no_turn(queue, caught):
    queue.add_timer(0, data=on_ready, period=0.001)
    for _ in range(2):
        queue.dispatch()
        time.sleep(0.1)
        list(queue.wait())
        time.sleep(0.1)
        repr(queue.wait())
        time.sleep(0.1)
    assert not [str(one.message) for one in caught]


def test_long_turn_of_a_watch_that_is_gone_is_named_without_its_data(queue, caught):
    def leaves(watch):
        watch.remove()
        time.sleep(0.1)

    queue.add_trigger(data=leaves).fire()
    queue.dispatch(0)
    queue.dispatch(0)
    text = the_only(caught, RuntimeWarning)
    assert text.startswith("trigger: its handler took 0.")
    assert text.endswith("nothing else was handled in that time")


def test_object_that_was_collected(queue, caught):
    here, there = socket.socketpair()
    queue.add(here.fileno(), data="the lost one")
    del here
    gc.collect()
    caught.clear()  # CPython's own
    queue.wait(0.2)
    text = the_only(caught, ResourceWarning)
    assert "it was closed before its watch was removed" in text
    assert text.endswith("(data='the lost one')")
    there.close()


def test_object_that_was_closed(queue, pair, caught):
    number = pair[0].fileno()
    watch = queue.add(pair[0])
    pair[0].close()
    queue.wait(0.2)
    assert f"fd {number} (was: UNIX socket" in the_only(caught, ResourceWarning)
    watch.remove()


def test_closed_number_that_is_added_again_is_warned_of_there(queue, caught, make):
    here, there = make.keep(*socket.socketpair())
    others = make.keep(*socket.socketpair())
    queue.add(here, data="old")
    os.dup2(others[0].fileno(), here.fileno())
    queue.add(here.fileno(), data="new")
    text = the_only(caught, ResourceWarning)
    assert "its number belongs to another file now" in text
    assert text.endswith("(data='old')")


def test_edge_that_was_left_with_data(queue, pair, caught):
    here, there = pair
    queue.add(here, READ | EDGE, data=lambda _: here.recv(1))
    there.send(b"hello")
    queue.dispatch()
    queue.wait(0.3)
    assert "4 bytes have been left unread for 0." in the_only(caught, RuntimeWarning)


def test_signal_that_becomes_blocked(queue, caught):
    queue.add_signal(signal.SIGUSR2, data="stop")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        queue.wait(0.2)
        queue.wait(0.2)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    text = the_only(caught, RuntimeWarning)
    assert "is blocked in every thread" in text
    assert text.endswith("(data='stop')")


def test_signal_that_is_blocked_when_it_is_added_is_warned_of_once(queue, caught):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        queue.add_signal(signal.SIGUSR2)
        queue.wait(0.2)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert "is blocked in every thread" in the_only(caught, RuntimeWarning)


def test_warning_that_raises_ends_the_wait_and_loses_nothing(queue, pair):
    here, there = pair
    there.send(b"x")
    watch = queue.add(here)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="1,000 times"):
            for _ in range(100_000):
                list(queue.wait(0))
    assert list(queue.wait(0)) == [watch]


class Interrupted:
    """As if Ctrl-C was pressed while it is shown."""

    def __repr__(self):
        raise KeyboardInterrupt


def test_ctrl_c_while_the_data_is_shown_is_raised(queue, pair):
    watch = queue.add(pair[0].fileno(), data=Interrupted())
    pair[0].close()
    with pytest.raises(KeyboardInterrupt):
        queue.wait()
    assert list(queue) == [watch]


def test_without_warn_a_closed_descriptor_is_not_warned_of_but_a_spin_is(make, pair, caught):
    queue = make.queue(debug=QUICK, warn=False)
    here, there = pair
    there.send(b"x")
    closed = queue.add(os.dup(here.fileno()))
    os.close(closed.fd)
    queue.wait(0.2)
    assert not caught
    queue.add(here)
    for _ in range(3000):
        list(queue.wait(0))
    assert "1,000 times" in the_only(caught, RuntimeWarning)


def test_warning_comes_out_of_a_sleep_without_a_deadline(queue, pair):
    queue.add(pair[0].fileno())
    pair[0].close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ResourceWarning):
            queue.wait()


# ------------------------------------------------------------------ the argument


@pytest.mark.parametrize(
    ("debug", "error", "match"),
    [
        (1, TypeError, "debug must be a bool, or a dict"),
        ({"turn": "soon"}, TypeError, "turn"),
        ({"turns": 0}, ValueError, "must be >= 1, not 0"),
        ({"turns": 1.5}, TypeError, "turns"),
        ({"turn": -1}, ValueError, "turn"),
        ({"speed": 1}, ValueError, "no threshold 'speed'"),
        ({1: 1}, ValueError, "no threshold 1;"),
    ],
)
def test_wrong_debug_is_refused(debug, error, match):
    with pytest.raises(error, match=match):
        readyq.Queue(debug=debug)


def test_debug_without_thresholds_has_the_usual_ones(make, pair, caught):
    queue = make.queue(debug=True)
    pair[1].send(b"x")
    queue.add(pair[0])
    for _ in range(20_500):
        list(queue.wait(0))
    assert "10,000 times" in the_only(caught, RuntimeWarning)


@pytest.mark.parametrize("debug", [None, False])
def test_without_debug_nothing_is_warned_of(debug, make, pair, caught, monkeypatch):
    monkeypatch.delenv("READYQ_DEBUG", raising=False)
    queue = make.queue(debug=debug)
    pair[1].send(b"x")
    queue.add(pair[0], data=on_ready)
    for _ in range(11000):
        queue.dispatch(0)
    assert not [str(one.message) for one in caught]


SPIN = """
import readyq, socket
here, there = socket.socketpair()
there.send(b"x")
with readyq.Queue() as queue:
    queue.add(here)
    for _ in range(10100):
        list(queue.wait(0))
here.close(), there.close()
"""


@pytest.mark.parametrize(("value", "warned"), [("1", True), ("0", False), ("", False)])
def test_environment_switches_it_on(value, warned):
    result = subprocess.run(
        [sys.executable, "-c", SPIN],
        env={**os.environ, "READYQ_DEBUG": value, "PYTHONPATH": PACKAGE},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ("10,000 times" in result.stderr) == warned
    assert result.stderr.count("Warning") == warned
