# SPDX-License-Identifier: MIT
"""Timeouts and timers: never early, however large; and the virtual clock."""

import decimal
import fractions
import gc
import math
import os
import time

import pytest

from readyq import FIRED

SOON = 10


def took(function, *args):
    begin = time.monotonic()
    function(*args)
    return time.monotonic() - begin


@pytest.mark.parametrize("seconds", [0.0001, 0.0031, 0.05])
def test_wait_does_not_end_before_its_timeout(queue, seconds):
    for _ in range(10):
        assert took(queue.wait, seconds) >= seconds


def test_wait_of_zero_looks_and_returns(queue):
    assert took(queue.wait, 0) < SOON


@pytest.mark.parametrize(
    "timeout",
    [None, math.inf, 1e10, 1e300, 10**10, 10**30, 2**63, 9223372036, 9223372036.854775],
    ids=repr,
)
def test_huge_and_infinite_timeouts_wait_until_something_comes(queue, make, start, nap, timeout):
    here, there = make.unix()
    watch = queue.add(here, "r")
    waiting = start(queue.wait, timeout)
    nap()
    assert not waiting.done()
    there.send(b"x")
    assert list(waiting.result(SOON)) == [watch]


@pytest.mark.parametrize(
    "timeout", [1, 0.5, True, decimal.Decimal("0.5"), fractions.Fraction(1, 2), 5e-324], ids=repr
)
def test_any_number_is_a_timeout(queue, make, timeout):
    here, _ = make.unix()
    watch = queue.add(here, "w")
    assert list(queue.wait(timeout)) == [watch]


@pytest.mark.parametrize("timeout", [-1, -1e-9, -math.inf, math.nan, -(10**30)], ids=repr)
@pytest.mark.parametrize("call", ["wait", "dispatch"])
def test_negative_timeouts_and_nan_are_refused(queue, call, timeout):
    with pytest.raises(ValueError, match=r"timeout must be a number of seconds >= 0, not "):
        getattr(queue, call)(timeout)


def test_number_that_cannot_be_converted_raises_what_it_raises(queue):
    class Rude:
        def __float__(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        queue.wait(Rude())


@pytest.mark.parametrize("timeout", ["1", [], object(), 1j])
def test_timeouts_that_are_no_numbers_are_refused(queue, timeout):
    with pytest.raises(TypeError, match="timeout must be a number of seconds, not "):
        queue.wait(timeout)


# ------------------------------------------------------------------ timers


@pytest.mark.parametrize("delay", [0, 0.0001, 0.0031, 0.02])
def test_timer_goes_off_once_and_not_early(queue, delay):
    begin = time.monotonic()
    watch = queue.add_timer(delay, data="tick")
    assert list(queue.wait(SOON)) == [watch]
    assert time.monotonic() - begin >= delay
    assert (watch.ready, watch.count, watch.data) == (FIRED, 1, "tick")
    assert not watch.active
    assert len(queue) == 0
    assert list(queue.wait(0)) == []


def test_timers_go_off_in_the_order_of_their_deadlines(virtual):
    for delay in (3, 1, 2):
        virtual.add_timer(delay, data=delay)
    assert [watch.data for _ in range(3) for watch in virtual.wait()] == [1, 2, 3]


def test_timer_that_is_removed_does_not_go_off(virtual):
    watch = virtual.add_timer(1)
    later = virtual.add_timer(2)
    watch.remove()
    assert list(virtual.wait()) == [later]
    assert len(virtual) == 0


def test_timer_that_went_off_is_removed_already(queue):
    watch = queue.add_timer(0)
    assert list(queue.wait(SOON)) == [watch]
    assert not watch.remove()
    assert not queue.remove(watch)


def test_period_repeats_and_counts_what_was_missed(queue):
    watch = queue.add_timer(0.01, period=0.01)
    time.sleep(0.055)
    assert list(queue.wait(0)) == [watch]
    assert watch.count >= 5
    assert list(queue.wait(SOON)) == [watch]
    assert watch.active
    watch.remove()
    assert list(queue.wait(0.02)) == []


def test_period_does_not_drift(virtual):
    ticks = virtual.add_timer(1, period=1)
    for _ in range(5):
        assert list(virtual.wait()) == [ticks]
        assert ticks.count == 1
    assert list(virtual.wait(0.5)) == []
    assert list(virtual.wait(0.5)) == [ticks]


def test_first_delay_and_period_differ(virtual):
    watch = virtual.add_timer(0, period=10)
    assert list(virtual.wait(0)) == [watch]
    assert list(virtual.wait(9)) == []
    assert list(virtual.wait(1)) == [watch]


@pytest.mark.parametrize("delay", [math.inf, 1e300, 10**30])
def test_timer_that_is_too_far_away_never_comes(virtual, delay):
    watch = virtual.add_timer(delay)
    soon = virtual.add_timer(1e9)
    assert list(virtual.wait()) == [soon]
    assert watch.active


@pytest.mark.parametrize("period", [None, 0, 0.0])
def test_no_period_is_a_timer_that_goes_off_once(virtual, period):
    watch = virtual.add_timer(1, period=period)
    assert list(virtual.wait()) == [watch]
    assert not watch.active


@pytest.mark.parametrize("wrong", [-1, -1e-9, math.nan, -math.inf])
def test_negative_delays_and_periods_are_refused(queue, wrong):
    with pytest.raises(ValueError, match="delay must be a number of seconds >= 0"):
        queue.add_timer(wrong)
    with pytest.raises(ValueError, match="period must be a number of seconds >= 0"):
        queue.add_timer(1, period=wrong)
    with pytest.raises(TypeError, match="delay must be a number of seconds, not str"):
        queue.add_timer("1")
    assert len(queue) == 0


def test_timer_added_by_another_thread_shortens_a_wait(queue, start, nap):
    waiting = start(queue.wait, SOON)
    nap()
    watch = queue.add_timer(0)
    assert list(waiting.result(SOON)) == [watch]


def test_timer_does_not_end_a_wait_of_others_events(queue, make):
    here, there = make.unix()
    ready = queue.add(here, "w")
    timer = queue.add_timer(0)
    time.sleep(0.001)
    assert set(queue.wait(0)) == {ready, timer}


# ------------------------------------------------------------------ the virtual clock


def test_virtual_hour_takes_no_time(virtual):
    watch = virtual.add_timer(3600)
    assert took(list, virtual.wait()) < SOON
    assert not watch.active
    assert took(virtual.wait, 3600) < SOON


def test_virtual_time_stands_still_while_something_is_ready(virtual, make):
    here, there = make.unix()
    there.send(b"x")
    ready = virtual.add(here, "r")
    timer = virtual.add_timer(1)
    assert list(virtual.wait()) == [ready]
    here.recv(1)
    assert list(virtual.wait(0.5)) == []
    assert list(virtual.wait(0.5)) == [timer]


def test_fractions_of_a_nanosecond_are_rounded_up(virtual):
    timer = virtual.add_timer(1.5e-9)
    assert list(virtual.wait(1e-9)) == []
    assert list(virtual.wait(0.5e-9)) == [timer]


def test_virtual_timeout_comes_before_a_later_timer(virtual):
    timer = virtual.add_timer(2)
    assert list(virtual.wait(1)) == []
    assert list(virtual.wait(1)) == [timer]


def test_virtual_queue_waits_for_real_descriptors(virtual, make, start, nap):
    here, there = make.unix()
    watch = virtual.add(here, "r")
    waiting = start(virtual.wait)
    nap()
    assert not waiting.done()
    there.send(b"x")
    assert list(waiting.result(SOON)) == [watch]


# ------------------------------------------------------------------ restarting


def test_restart_pushes_a_timer_back(virtual):
    idle = virtual.add_timer(10)
    for _ in range(5):
        assert list(virtual.wait(9)) == []
        idle.restart(10)
    assert list(virtual.wait(10)) == [idle]


def test_restart_brings_a_timer_forward_in_a_running_wait(queue, start, nap):
    timer = queue.add_timer(60)
    waiting = start(lambda: list(queue.wait(SOON)))
    nap()
    timer.restart(0)
    assert waiting.result(SOON) == [timer]


def test_a_timer_that_has_fired_is_restarted_and_kept_by_its_queue(virtual):
    timer = virtual.add_timer(1, data="kept")
    for _ in range(3):
        assert list(virtual.wait()) == [timer]
        assert (timer.active, len(virtual), timer in virtual) == (False, 0, False)
        timer.restart(1)
        assert (timer.active, len(virtual), list(virtual)) == (True, 1, [timer])
    del timer
    gc.collect()
    (timer,) = virtual.wait()
    assert timer.data == "kept"


def test_restart_keeps_the_period(virtual):
    ticks = virtual.add_timer(1, period=2)
    ticks.restart(5)
    assert list(virtual.wait(4)) == []
    assert list(virtual.wait(1)) == [ticks]
    assert list(virtual.wait(1.5)) == []
    assert list(virtual.wait(0.5)) == [ticks]


def test_restart_drops_what_was_not_taken(virtual):
    timer = virtual.add_timer(1)
    assert len(virtual.wait()) == 1
    timer.restart(1)
    assert list(virtual.wait(0.5)) == []
    assert list(virtual.wait(0.5)) == [timer]
    assert timer.count == 1


def test_restart_inside_its_own_callback(virtual):
    fired = []

    def again(timer):
        fired.append(timer.count)
        if len(fired) < 3:
            timer.restart(1)

    virtual.add_timer(1, data=again)
    while len(virtual):
        virtual.dispatch()
    assert fired == [1, 1, 1]


def test_restart_is_for_timers_that_were_not_removed(queue, make):
    here, _ = make.unix()
    timer, gone, fired = queue.add_timer(9), queue.add_timer(9), queue.add_timer(0)
    gone.remove()
    assert list(queue.wait(SOON)) == [fired]
    fired.remove()
    for other in (queue.add(here, "r"), queue.add_trigger()):
        with pytest.raises(ValueError, match="only a timer can be restarted"):
            other.restart(1)
    for removed in (gone, fired):
        with pytest.raises(KeyError, match=r"restart\(\) failed for a timer"):
            removed.restart(1)
    for wrong in (-1, math.nan, "1", None):
        with pytest.raises((ValueError, TypeError), match="delay must be a number of seconds"):
            timer.restart(wrong)
    assert (timer.active, len(queue)) == (True, 3)


def test_restart_of_a_watch_that_cannot_run_changes_nothing(queue, make):
    here, _ = make.unix()
    timer, fired = queue.add_timer(9, period=2), queue.add_timer(0)
    others = [queue.add(here), queue.add_trigger(), queue.add_signal("USR1")]
    others.append(queue.add_process(os.getpid()))
    assert list(queue.wait(SOON)) == [fired]
    due = timer.due
    for other in others:
        with pytest.raises(ValueError, match="it is not a timer"):
            other.restart(1)
        assert (other.active, other.due, other.period) == (True, None, None)
    with pytest.raises(ValueError, match="seconds >= 0"):
        timer.restart(-1)
    assert (timer.due, timer.period) == (due, 2)
    queue.close()
    for watch in (timer, fired, *others):
        with pytest.raises(ValueError, match="the queue is closed"):
            watch.restart(1)
        assert (watch.active, watch.due, watch.remove()) == (False, None, False)
    assert (timer.period, fired.period) == (2, None)


def test_a_timer_that_has_fired_is_restarted_in_its_callback_and_from_a_thread(queue, start):
    fired = queue.add_timer(0)
    assert list(queue.wait(SOON)) == [fired]
    start(fired.restart, 0).result(SOON)
    assert (fired.active, fired in queue, fired.ready) == (True, True, 0)
    assert list(queue.wait(SOON)) == [fired]
    assert (fired.active, fired.due) == (False, None)
    fired.restart(60)
    assert fired.due > time.monotonic() + 50
    assert fired.remove() is True
    assert (fired.active, fired.due) == (False, None)


def test_due_is_on_the_clock_of_the_queue(queue, virtual):
    before = time.monotonic()
    timer = queue.add_timer(60)
    assert before + 60 <= timer.due <= time.monotonic() + 60
    due = timer.due
    timer.restart(120)
    assert timer.due - due >= 60
    one = virtual.add_timer(2, period=3)
    two = virtual.add_timer(7)
    assert two.due - one.due == 5
    first = one.due
    assert list(virtual.wait()) == [one]
    assert one.due == first + 3
    timer.remove()
    assert timer.due is None


def test_due_is_none_for_what_is_not_running_and_infinite_for_never(queue, make):
    here, _ = make.unix()
    fired = queue.add_timer(0)
    assert list(queue.wait(SOON)) == [fired]
    for watch in (fired, queue.add(here, "r"), queue.add_trigger()):
        assert (watch.due, watch.period) == (None, None)
    assert queue.add_timer(math.inf).due == math.inf
    timer = queue.add_timer(9, period=2.5)
    queue.close()
    assert (timer.due, timer.period) == (None, 2.5)


def test_period_is_in_seconds_and_none_without(queue):
    assert queue.add_timer(1, period=0.25).period == 0.25
    assert queue.add_timer(1, period=math.inf).period == math.inf
    assert queue.add_timer(1).period is None
    assert queue.add_timer(1, period=0).period is None


def test_now_is_the_clock_on_which_timers_are_due(queue, virtual):
    before = time.monotonic()
    assert before <= queue.now() <= time.monotonic()
    assert virtual.now() == 0
    timer = virtual.add_timer(2.5)
    assert timer.due == 2.5
    assert timer in list(virtual.wait(3))
    assert virtual.now() == 2.5


def test_a_timer_that_is_restarted_later_fires_in_its_new_place(virtual):
    moved = virtual.add_timer(1, data="moved")
    virtual.add_timer(3, data="before")
    moved.restart(3)
    virtual.add_timer(3, data="after")
    assert moved.due == virtual.now() + 3
    assert [w.data for w in virtual.wait()] == ["before", "moved", "after"]
