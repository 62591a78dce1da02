# SPDX-License-Identifier: MIT
"""Process watches, with real children, beside subprocess and os.waitpid."""

import os
import signal
import subprocess
import sys
import time

import pytest

from readyq import FIRED

SOON = 20


def spawn(code="pass"):
    return subprocess.Popen([sys.executable, "-S", "-c", code])


def await_end(pid):
    """Waits until it is a zombie, without reaping it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_end_of_a_child_is_reported_once_with_its_status(queue):
    child = spawn("import sys; sys.exit(7)")
    watch = queue.add_process(child.pid, data=child)
    assert watch.status is None
    assert list(queue.wait(SOON)) == [watch]
    assert (watch.ready, watch.count, watch.data, watch.fd) == (FIRED, 1, child, None)
    assert os.WIFEXITED(watch.status)
    assert os.WEXITSTATUS(watch.status) == 7
    assert not watch.active
    assert len(queue) == 0
    assert list(queue.wait(0)) == []
    assert child.wait() == 7


def test_child_is_not_reaped_and_the_status_is_that_of_waitpid(queue):
    child = spawn("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    watch = queue.add_process(child.pid)
    assert list(queue.wait(SOON)) == [watch]
    assert os.WTERMSIG(watch.status) == signal.SIGTERM
    assert os.waitpid(child.pid, 0) == (child.pid, watch.status)
    child.wait()


def test_zombie_is_reported_at_once(queue):
    child = spawn()
    await_end(child.pid)
    watch = queue.add_process(child.pid)
    assert list(queue.wait(SOON)) == [watch]
    assert watch.status == 0
    child.wait()


def test_watch_works_beside_subprocess(queue, make):
    child = make.child("import sys; sys.exit(len(sys.stdin.read()))")
    queue.add_process(child.pid, data=lambda watch: codes.append(child.wait()))
    codes = []
    assert list(queue.wait(0)) == []
    child.stdin.write(b"abc")
    child.stdin.close()
    assert queue.dispatch(SOON) == 1
    assert codes == [3]


def test_child_that_was_reaped_before_the_wait_is_still_reported(queue):
    child = spawn()
    watch = queue.add_process(child.pid)
    child.wait()
    assert list(queue.wait(SOON)) == [watch]
    assert watch.status is None


def test_removed_watch_reports_nothing(queue):
    child = spawn()
    watch = queue.add_process(child.pid)
    await_end(child.pid)
    watch.remove()
    assert list(queue.wait(0.02)) == []
    assert watch.status is None
    child.wait()


def test_several_watches_of_one_child(queue, make):
    child = spawn()
    other = make.queue()
    watches = {queue.add_process(child.pid), queue.add_process(child.pid)}
    elsewhere = other.add_process(child.pid)
    await_end(child.pid)
    found = set()
    while found != watches:
        found.update(queue.wait(SOON))
    assert list(other.wait(SOON)) == [elsewhere]
    child.wait()


def test_process_that_is_not_a_child_can_be_watched_without_status(queue, make):
    middle = make.child(
        "import subprocess, sys; child = subprocess.Popen(['sleep', '0.2']);"
        "print(child.pid, flush=True); sys.stdin.read(); child.wait()",
        stdout=subprocess.PIPE,
    )
    with middle.stdout:
        pid = int(middle.stdout.readline())
    watch = queue.add_process(pid)
    assert list(queue.wait(SOON)) == [watch]
    assert watch.status is None


def test_process_can_be_given_as_an_object_with_a_pid(queue, make):
    child = make.child()
    before = sys.getrefcount(child)
    watch = queue.add_process(child, data="child")
    assert watch.source is child
    assert sys.getrefcount(child) == before + 1
    assert child in queue
    assert queue[child] is watch
    child.kill()
    assert list(queue.wait(SOON)) == [watch]
    assert watch.status == signal.SIGKILL
    assert child not in queue
    with pytest.raises(KeyError, match="this queue does not watch it"):
        queue[child]
    del watch
    assert sys.getrefcount(child) == before


def test_process_is_removed_by_its_object(queue, make):
    child = make.child()
    watch = queue.add_process(child)
    assert queue.remove(child) is True
    assert (watch.active, len(queue)) == (False, 0)
    with pytest.raises(KeyError, match="nothing to remove"):
        queue.remove(child)


def test_an_error_of_an_objects_pid_is_not_changed(queue):
    class Gone:
        @property
        def pid(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        queue.add_process(Gone())


@pytest.mark.parametrize("pid", [0, -1, -(2**31)])
def test_pids_below_one_are_refused(queue, pid):
    with pytest.raises(ValueError, match=rf"add_process\({pid}\) failed"):
        queue.add_process(pid)


def test_process_that_does_not_exist_is_refused(queue):
    child = spawn()
    child.wait()
    with pytest.raises(ProcessLookupError, match="there is no such process"):
        queue.add_process(child.pid)
    assert len(queue) == 0


def test_many_children_come_with_their_own_status(queue):
    children = {}
    for number in range(30):
        child = spawn(f"import os; os._exit({number})")
        children[queue.add_process(child.pid, data=number)] = child
    deadline = time.monotonic() + 60
    left = set(children)
    while left and time.monotonic() < deadline:
        for watch in queue.wait(SOON):
            assert os.WEXITSTATUS(watch.status) == watch.data == children[watch].wait()
            left.remove(watch)
    assert not left
