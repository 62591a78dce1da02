# SPDX-License-Identifier: MIT
"""When descriptors run out: OSError with EMFILE, nothing changed or lost, and it works again later.

test_memory.py tests what happens without memory.
"""


def test_full_descriptor_table_is_explained_and_changes_nothing(python):
    child = python(
        """
import errno, os, resource, readyq, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
q = readyq.Queue()
here, there = socket.socketpair()
q.add(here, "r")
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass

def refused(call):
    try:
        call()
    except OSError as error:
        assert error.errno == errno.EMFILE, error
        assert "no descriptors left" in str(error), error
        return True

for call in (readyq.Queue, q.fileno, lambda: q.add_process(os.getppid())):
    assert refused(call)
assert len(q) == 1
there.send(b"x")
assert len(list(q.wait(0))) == 1
for fd in taken:
    os.close(fd)
before = os.listdir("/proc/self/fd")
for fill in range(8):
    fds = []
    try:
        while True:
            fds.append(os.dup(0))
    except OSError:
        pass
    for _ in range(fill):
        os.close(fds.pop())
    refused(lambda: readyq.Queue().close())
    for fd in fds:
        os.close(fd)
    assert os.listdir("/proc/self/fd") == before
assert q.fileno() >= 0
here.close(); there.close()
"""
    )
    assert child.communicate(timeout=10) == ("", "")


def test_child_that_cannot_open_a_queue_gets_that_error_from_every_call_until_it_can(python):
    child = python(
        """
import errno, os, resource, readyq, signal, socket
q = readyq.Queue()
here, there = socket.socketpair()
watch = q.add(here, "r")
trigger = q.add_trigger()
child = os.fork()
if child > 0:
    assert os.waitpid(child, 0)[1] == 0
    raise SystemExit
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
for call in (
    lambda: q.add(there, "r"),
    lambda: q.add_timer(0),
    lambda: q.add_signal(signal.SIGUSR1),
    lambda: q.add_process(os.getppid()),
    lambda: q.add_trigger(),
    lambda: q.modify(here, "w"),
    lambda: q.wait(0),
    lambda: q.wait(0.01),
    lambda: q.dispatch(0),
    lambda: q.fileno(),
    lambda: watch.remove(),
):
    try:
        call()
    except OSError as error:
        assert error.errno == errno.EMFILE, error
        assert "no descriptors left" in str(error), error
    else:
        raise AssertionError("a queue without descriptors")
assert list(q) == [watch, trigger] and watch.interest == readyq.READ and there not in q
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
trigger.fire()
there.send(b"x")
found = []
while len(found) < 2:
    found += list(q.wait(10))
assert set(found) == {watch, trigger}
"""
    )
    assert child.communicate(timeout=20) == ("", "")
