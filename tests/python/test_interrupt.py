# SPDX-License-Identifier: MIT
"""Signals without a watch, during a wait: Python's handlers run, and the wait continues."""

import os
import signal
import time

import pytest

SOON = 10


@pytest.fixture
def alarm():
    """Installs a handler for SIGALRM and sends that signal every 10 ms."""
    before = signal.getsignal(signal.SIGALRM)

    def alarm(handler):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

    yield alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def end_with_an_error(*_):
    signal.setitimer(signal.ITIMER_REAL, 0)  # a second one could arrive after the wait
    raise LookupError("from the handler")


def test_handler_runs_and_the_wait_goes_on_for_the_time_left(queue, alarm):
    calls = []
    alarm(lambda *_: calls.append(time.monotonic()))
    begin = time.monotonic()
    assert list(queue.wait(0.2)) == []
    assert time.monotonic() - begin >= 0.2
    assert len(calls) >= 2


def test_handler_that_raises_ends_the_wait_at_once(queue, alarm):
    with pytest.raises(LookupError, match="from the handler"):
        alarm(end_with_an_error)
        queue.wait()


def test_handler_that_raises_ends_a_dispatch_too(queue, alarm):
    with pytest.raises(LookupError):
        alarm(end_with_an_error)
        queue.dispatch()


def test_handler_may_make_the_wait_return(queue, make, alarm):
    here, there = make.unix()
    watch = queue.add(here, "r")
    alarm(lambda *_: there.send(b"x"))
    assert list(queue.wait(SOON)) == [watch]


def test_handler_may_add_to_the_queue(queue, alarm):
    added = []

    def handler(*_):
        if not added:
            added.append(queue.add_timer(0))

    alarm(handler)
    assert list(queue.wait(SOON)) == added


def test_handler_may_close_the_queue(queue, alarm):
    alarm(lambda *_: queue.close())
    with pytest.raises(ValueError, match="closed"):
        queue.wait()


def test_nothing_is_lost_to_an_interruption(queue, make, alarm):
    here, there = make.unix()
    watch = queue.add(here, "r")
    there.send(b"x")
    os.kill(os.getpid(), 0)
    alarm(lambda *_: None)
    for _ in range(20):
        assert list(queue.wait(SOON)) == [watch]
        time.sleep(0.005)


@pytest.mark.parametrize("call", ["q.wait()", "q.wait(1000)", "q.dispatch()"])
def test_ctrl_c_raises_keyboard_interrupt_at_once(python, call):
    child = python(
        f"""
import readyq
q = readyq.Queue()
print("waiting", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert child.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=SOON)
    assert (output, errors, child.returncode) == ("interrupted\n", "", 0)


def test_ctrl_c_ends_a_program_that_waits(python):
    child = python("import readyq; q = readyq.Queue(); print(1, flush=True); q.wait()")
    child.stdout.readline()
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate(timeout=SOON)[1]
    assert child.returncode == -signal.SIGINT


def test_wait_in_another_thread_sleeps_through_signals(python):
    child = python(
        """
import readyq, signal, threading, os, time
signal.signal(signal.SIGUSR1, lambda *_: None)
q = readyq.Queue()
found = []
thread = threading.Thread(target=lambda: found.append(list(q.wait(0.3))))
begin = time.monotonic()
thread.start()
while thread.is_alive():
    signal.pthread_kill(thread.ident, signal.SIGUSR1)
    time.sleep(0.01)
print(found, time.monotonic() - begin >= 0.3)
"""
    )
    assert child.communicate(timeout=SOON) == ("[[]] True\n", "")
