# SPDX-License-Identifier: MIT
"""Signal watches, with real signals, beside Python's own handlers."""

import os
import signal
import subprocess
import threading
import time

import pytest

from readyq import FIRED

SOON = 10
USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


def send(signum):
    os.kill(os.getpid(), signum)


@pytest.fixture(autouse=True)
def handlers_are_put_back():
    watched = (USR1, USR2, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    before = [signal.getsignal(signum) for signum in watched]
    yield
    assert [signal.getsignal(signum) for signum in watched] == before


def action_of(signum):
    """The action of the signal: "caught", "ignored" or "default"."""
    with open("/proc/self/status") as status:
        masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    for word, mask in (("caught", "SigCgt"), ("ignored", "SigIgn")):
        if int(masks[mask], 16) >> (signum - 1) & 1:
            return word
    return "default"


def test_signal_makes_its_watch_ready(queue):
    watch = queue.add_signal(USR1, data="signal")
    send(USR1)
    assert list(queue.wait(SOON)) == [watch]
    assert (watch.ready, watch.count, watch.data, watch.source) == (FIRED, 1, "signal", USR1)
    assert watch.active
    assert list(queue.wait(0)) == []


def test_signal_ends_a_sleep(queue):
    watch = queue.add_signal(USR1)
    timer = threading.Timer(0.05, send, [USR1])
    timer.start()
    assert list(queue.wait(SOON)) == [watch]
    timer.join()


def test_signals_before_the_delivery_are_counted(queue):
    watch = queue.add_signal(USR1)
    for _ in range(5):
        send(USR1)
    assert list(queue.wait(SOON)) == [watch]
    assert watch.count == 5
    send(USR1)
    assert next(queue.wait(SOON)).count == 1


def test_several_watches_and_queues_share_a_signal(queue, make):
    other = make.queue()
    watches = [queue.add_signal(USR1), queue.add_signal(USR1), other.add_signal(USR1)]
    send(USR1)
    assert set(queue.wait(SOON)) == set(watches[:2])
    assert list(other.wait(SOON)) == watches[2:]
    watches[0].remove()
    send(USR1)
    assert list(queue.wait(SOON)) == watches[1:2]
    assert list(other.wait(SOON)) == watches[2:]


def test_removed_watch_reports_nothing(queue):
    watch = queue.add_signal(USR1)
    other = queue.add_signal(USR1)
    send(USR1)
    watch.remove()
    assert list(queue.wait(SOON)) == [other]
    assert watch.ready == 0


@pytest.mark.parametrize("end", ["remove", "close"])
def test_default_action_comes_back_with_the_last_watch(make, end):
    queue = make.queue()
    assert action_of(USR2) == "default"
    watches = [queue.add_signal(USR2), queue.add_signal(USR2)]
    assert action_of(USR2) == "caught"
    if end == "close":
        queue.close()
    else:
        watches[0].remove()
        assert action_of(USR2) == "caught"
        watches[1].remove()
    assert action_of(USR2) == "default"


def test_handler_of_python_runs_beside_a_watch_and_after_it(queue):
    heard = []
    before = signal.signal(USR1, lambda *_: heard.append("python"))
    try:
        watch = queue.add_signal(USR1)
        send(USR1)
        assert list(queue.wait(SOON)) == [watch]
        assert heard == ["python"]
        watch.remove()
        send(USR1)
        assert heard == ["python"] * 2
    finally:
        signal.signal(USR1, before)


def test_handler_of_python_ends_with_the_wait_that_it_interrupts(queue, start):
    """A handler that raises loses no event."""

    def fail(*_):
        raise LookupError("from the handler")

    before = signal.signal(USR1, fail)
    try:
        watch = queue.add_signal(USR1, data=pytest.fail)
        for call in (queue.wait, queue.dispatch):
            timer = threading.Timer(0.05, send, [USR1])
            timer.start()
            with pytest.raises(LookupError, match="from the handler"):
                call(SOON)
            timer.join()
            assert list(queue.wait(0)) == [watch]
    finally:
        signal.signal(USR1, before)


def test_handler_of_python_that_is_installed_later_runs_too(queue):
    heard = []
    watch = queue.add_signal(USR1)
    before = signal.signal(USR1, lambda *_: heard.append("python"))
    try:
        assert list(queue.wait(0.01)) == []
        for _ in range(2):
            send(USR1)
            assert list(queue.wait(SOON)) == [watch]
        assert heard == ["python"] * 2
        watch.remove()
        send(USR1)
        assert heard == ["python"] * 3
    finally:
        signal.signal(USR1, before)
    assert action_of(USR1) == "default"


def test_wait_that_does_not_sleep_notices_a_handler_that_replaced_ours(queue):
    watch = queue.add_signal(USR1)
    before = signal.signal(USR1, lambda *_: None)
    try:
        assert list(queue.wait(0)) == []
        send(USR1)
        assert list(queue.wait(0)) == [watch]
    finally:
        signal.signal(USR1, before)


def test_handler_of_ctrl_c_that_is_not_pythons_default_runs_beside_a_watch(queue):
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("python"))
    try:
        watch = queue.add_signal(signal.SIGINT)
        send(signal.SIGINT)
        assert list(queue.wait(SOON)) == [watch]
        assert heard == ["python"]
        watch.remove()
    finally:
        signal.signal(signal.SIGINT, before)


def test_handler_of_ctrl_c_that_is_set_later_runs_beside_the_watch(queue):
    heard = []
    watch = queue.add_signal(signal.SIGINT)
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("python"))
    try:
        for _ in range(2):
            assert list(queue.wait(0)) == []  # notices the handler
            send(signal.SIGINT)
            assert list(queue.wait(SOON)) == [watch]
            assert heard == ["python"]
            heard.clear()
            signal.signal(signal.SIGINT, before)
            assert list(queue.wait(0)) == []
            send(signal.SIGINT)
            assert list(queue.wait(SOON)) == [watch]
            assert heard == []
            signal.signal(signal.SIGINT, lambda *_: heard.append("python"))
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_watches_of_ctrl_c_both_replace_keyboard_interrupt(queue):
    watches = [queue.add_signal(signal.SIGINT) for _ in range(2)]
    send(signal.SIGINT)
    assert set(queue.wait(SOON)) == set(watches)
    watches[0].remove()
    send(signal.SIGINT)
    assert list(queue.wait(SOON)) == watches[1:]


def test_signal_that_every_thread_blocks_is_warned_of(queue):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [USR2])
    try:
        with pytest.warns(RuntimeWarning, match=f"signal {int(USR2)} .* is blocked") as caught:
            watch = queue.add_signal(USR2)
        assert [warning.filename for warning in caught] == [__file__]
        assert watch.active
        with pytest.raises(RuntimeWarning):  # made an error here
            queue.add_signal(USR2)
        assert list(queue) == [watch]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    send(USR2)
    assert list(queue.wait(SOON)) == [watch]


def test_signal_that_another_thread_does_not_block_is_not_warned_of(queue, start):
    go_on = threading.Event()
    other = start(go_on.wait, SOON)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [USR2])
    try:
        watch = queue.add_signal(USR2)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    go_on.set()
    assert other.result(SOON)
    assert watch.active


def test_handlers_of_other_signals_go_on_working(queue):
    heard = []
    before = signal.signal(USR2, lambda *_: heard.append("python"))
    try:
        watch = queue.add_signal(USR1)
        send(USR2)
        assert list(queue.wait(0.02)) == []
        assert heard == ["python"]
        send(USR1)
        assert list(queue.wait(SOON)) == [watch]
    finally:
        signal.signal(USR2, before)


def test_ctrl_c_can_be_watched_instead_of_raising(queue):
    watch = queue.add_signal(signal.SIGINT)
    send(signal.SIGINT)
    assert list(queue.wait(SOON)) == [watch]
    watch.remove()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_number_of_the_signal_module_is_kept_as_source(queue):
    assert queue.add_signal(signal.SIGTERM).source is signal.SIGTERM


REFUSED = ["SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"]


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1"])
def test_signal_can_be_named(queue, name):
    watch = queue.add_signal(name, data="mine")
    assert (watch.source, watch.kind) == (name, "signal")
    assert "signal 10" in repr(watch)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert list(queue.wait(SOON)) == [watch]


@pytest.mark.parametrize("name", ["", "SIG", "SIGSIGTERM", "_IGN", "TERM ", "\ud800", "A" * 500])
def test_names_of_no_signal_are_refused(queue, name):
    with pytest.raises(ValueError, match="no signal is called"):
        queue.add_signal(name)
    assert len(queue) == 0


def test_ctrl_c_can_be_watched_by_its_name(queue):
    watch = queue.add_signal("INT")
    os.kill(os.getpid(), signal.SIGINT)
    assert list(queue.wait(SOON)) == [watch]


@pytest.mark.parametrize("signum", [0, -1, 65, 1000, *(getattr(signal, name) for name in REFUSED)])
def test_signals_that_cannot_be_watched_are_refused(queue, signum):
    with pytest.raises(ValueError, match=rf"add_signal\({int(signum)}\) failed"):
        queue.add_signal(signum)
    assert len(queue) == 0


def test_children_do_not_inherit_blocked_or_caught_signals(queue):
    queue.add_signal(USR1)
    output = subprocess.check_output(["cat", "/proc/self/status"], text=True)
    masks = dict(line.split(":\t") for line in output.splitlines() if line.startswith("Sig"))
    bit = 1 << (USR1 - 1)
    assert int(masks["SigBlk"], 16) & bit == 0
    assert int(masks["SigCgt"], 16) & bit == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_signals_from_outside_arrive(queue):
    watch = queue.add_signal(signal.SIGTERM)
    for _ in range(20):
        subprocess.run(["sh", "-c", f"kill -TERM {os.getpid()}"], check=True)
        assert list(queue.wait(SOON)) == [watch]


def test_no_signal_is_lost_in_a_storm(queue):
    queue.add_signal(USR1)
    total, sent = 0, 2000
    for _ in range(sent):
        send(USR1)
        total += sum(watch.count for watch in queue.wait(0))
    deadline = time.monotonic() + SOON
    while total < sent and time.monotonic() < deadline:
        total += sum(watch.count for watch in queue.wait(0.01))
    assert total == sent


def test_threads_share_a_watched_signal(queue, start, nap):
    watch = queue.add_signal(USR1)
    waiting = start(queue.wait, SOON)
    nap()
    send(USR1)
    assert list(waiting.result(SOON)) == [watch]
