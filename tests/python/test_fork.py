# SPDX-License-Identifier: MIT
"""After fork both processes have a queue of their own with the same watches."""

import ctypes
import faulthandler
import os
import platform
import signal
import struct
import subprocess
import sys
import traceback

import pytest

from readyq import EDGE, ONESHOT, READ

SOON = 10


@pytest.fixture(autouse=True)
def single_threaded(watchdog):
    """The watchdog is a thread, and fork warns of threads; here the child has an alarm instead."""
    faulthandler.cancel_dump_traceback_later()


def in_child(check):
    """Runs check() in a forked child, and asserts that it passed there."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(SOON)
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0) == (pid, 0)


def test_child_has_the_same_watches(queue, make):
    here, there = make.unix()
    watch = queue.add(here, "r", data="conn")
    timer = queue.add_timer(0.01, data="tick")
    there.send(b"x")

    def check():
        assert set(queue) == {watch, timer}
        found = set()
        while timer not in found:
            found.update(queue.wait(SOON))
        assert found == {watch, timer}
        assert queue.stats().rebuilds == 1

    in_child(check)
    assert queue.stats().rebuilds == 0


def test_changes_of_the_child_do_not_reach_the_parent(queue, make):
    pairs = [make.unix() for _ in range(3)]
    watches = [queue.add(here, "r") for here, _ in pairs]

    def check():
        watches[0].remove()
        watches[1].modify("w")
        queue.add(pairs[0][1], "w")
        assert watches[1] in list(queue.wait(SOON))
        queue.close()

    in_child(check)
    for _, there in pairs:
        there.send(b"x")
    assert set(queue.wait(SOON)) == set(watches)
    assert len(queue) == 3


def test_changes_of_the_parent_do_not_reach_the_child(queue, make):
    here, there = make.unix()
    reader, writer = os.pipe()
    watch = queue.add(here, "r")
    pid = os.fork()
    if pid == 0:
        signal.alarm(SOON)
        code = 1
        try:
            os.read(reader, 1)
            code = 0 if list(queue.wait(SOON)) == [watch] else 2
        finally:
            os._exit(code)
    watch.remove()
    queue.close()
    there.send(b"x")
    os.write(writer, b"x")
    assert os.waitpid(pid, 0) == (pid, 0)
    os.close(reader)
    os.close(writer)


def test_child_that_only_drops_the_queue_leaves_the_parent_alone(queue, make):
    here, there = make.unix()
    watch = queue.add(here, "r")
    in_child(queue.close)
    there.send(b"x")
    assert list(queue.wait(SOON)) == [watch]


def test_wake_and_fire_in_the_child_stay_in_the_child(queue):
    trigger = queue.add_trigger()

    def check():
        queue.wake()
        assert list(queue.wait(SOON)) == []
        trigger.fire()
        assert list(queue.wait(SOON)) == [trigger]

    in_child(check)
    assert list(queue.wait(0)) == []
    trigger.fire()
    assert list(queue.wait(SOON)) == [trigger]


def test_signals_are_watched_in_both(queue):
    watch = queue.add_signal(signal.SIGUSR1)

    def check():
        os.kill(os.getpid(), signal.SIGUSR1)
        assert list(queue.wait(SOON)) == [watch]

    in_child(check)
    assert list(queue.wait(0)) == []
    os.kill(os.getpid(), signal.SIGUSR1)
    assert list(queue.wait(SOON)) == [watch]


@pytest.mark.parametrize("mode", [EDGE, ONESHOT])
def test_edge_and_oneshot_events_are_not_lost_to_the_child(queue, make, mode):
    here, there = make.unix()
    watch = queue.add(here, READ | mode)
    there.send(b"x")
    in_child(lambda: list(queue.wait(SOON)) == [watch] or pytest.fail("nothing came"))
    assert list(queue.wait(SOON)) == [watch]


def test_fileno_works_in_the_child(queue, make):
    import select

    here, there = make.unix()
    queue.add(here, "r")
    fd = queue.fileno()

    def check():
        assert queue.fileno() == fd
        assert select.select([fd], [], [], 0)[0] == []
        there.send(b"x")
        assert select.select([fd], [], [], SOON)[0] == [fd]

    in_child(check)


def test_grandchildren_have_queues_too(queue, make):
    here, there = make.unix()
    watch = queue.add(here, "r")
    there.send(b"x")

    def check():
        in_child(lambda: list(queue.wait(SOON)) == [watch] or pytest.fail("nothing came"))
        assert list(queue.wait(SOON)) == [watch]

    in_child(check)


def test_fork_while_another_thread_waits(python):
    child = python(
        """
import os, readyq, socket, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
q = readyq.Queue()
here, there = socket.socketpair()
watch = q.add(here, "r")
found = []
thread = threading.Thread(target=lambda: found.extend(q.wait(10)))
thread.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        q.wake()
        assert list(q.wait(10)) == []
        other, peer = socket.socketpair()
        new = q.add(other, "r")
        peer.send(b"x")
        os._exit(0 if list(q.wait(10)) == [new] else 1)
    assert os.waitpid(pid, 0)[1] == 0
there.send(b"x")
thread.join()
assert found == [watch]
"""
    )
    assert child.communicate(timeout=30) == ("", "")


def test_multiprocessing_by_fork_uses_the_queue_of_its_parent(python):
    child = python(
        """
import multiprocessing, readyq
q = readyq.Queue()
t = q.add_trigger()
def work(number):
    t.fire()
    return len(list(q.wait(10))) + number
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(work, range(4)))
"""
    )
    assert child.communicate(timeout=30) == ("[1, 2, 3, 4]\n", "")


def test_exec_inherits_no_descriptor_of_the_queue(make):
    command = [sys.executable, "-S", "-c", "import os; print(os.listdir('/proc/self/fd'))"]
    before = subprocess.check_output(command, close_fds=False)
    queue = make.queue()
    queue.fileno()
    queue.add_process(os.getppid())
    assert subprocess.check_output(command, close_fds=False) == before


# eventfd2 and pipe2
WAKEUPS = {"x86_64": (290, 293), "aarch64": (19, 59)}.get(platform.machine(), ())


def refuse(call):
    """From now on the system call fails with EPERM in this process, by a seccomp filter."""
    steps = ((0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP


@pytest.mark.skipif(
    not WAKEUPS,
    reason=f"WAKEUPS has no system call numbers of {platform.machine()}: add them there",
)
def test_child_in_a_sandbox_gets_an_error_that_says_so(queue):
    """EPERM is 1, and the core's -1 was mistaken for an exception that is set."""

    def check():
        for call in WAKEUPS:
            refuse(call)
        for ask in (queue.wait, queue.dispatch):
            for timeout in (0, 0.01, None):
                with pytest.raises(PermissionError, match="not permitted here"):
                    ask(timeout)

    in_child(check)
