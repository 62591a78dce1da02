# SPDX-License-Identifier: MIT
"""When Python's memory runs out: MemoryError, nothing changed, nothing lost, and it works again.

Each call is made with each of its allocations refused in turn, until it needs no more.
"""

import pytest

STARVE = """
import _testcapi, os, signal, sys, readyq

refused = []

def starve(call, check=lambda failed: None):
    for points in range(1000):
        result, failed = None, False
        _testcapi.set_nomemory(points, points + 1)
        try:
            result = call()
        except MemoryError:
            failed = True
        finally:
            _testcapi.remove_mem_hooks()
        check(failed)
        if not failed:
            refused.append(points)
            return result
        assert result is None
    raise AssertionError("never enough")

reader, writer = os.pipe()
os.write(writer, b"x")
count_open = lambda: len(os.listdir("/proc/self/fd"))
before = count_open()
"""

WATCHES = """
q = starve(readyq.Queue)
size = 0
def check_size(failed):
    assert len(q) == size + (not failed), (len(q), size, failed)

watches = []
for call in (
    lambda: q.add(reader, readyq.READ, data="fd"),
    lambda: q.add_timer(0, "timer", period=None),
    lambda: q.add_signal(signal.SIGUSR1, "signal"),
    lambda: q.add_process(os.getpid(), "process"),
    lambda: q.add_trigger(data="trigger"),
):
    watches.append(starve(call, check_size))
    size += 1
fd, timer, signalled, process, trigger = watches
assert all(w.active for w in watches) and q[reader] is fd
starve(lambda: trigger.fire())
os.kill(os.getpid(), signal.SIGUSR1)
ready = starve(lambda: q.wait(5))
assert {w.data for w in ready} == {"fd", "timer", "signal", "trigger"}, ready
assert trigger.count == 1 and not timer.active
for call in (
    lambda: q.modify(reader, "rw"),
    lambda: fd.modify("r"),
    lambda: repr(q) + repr(fd) + str(q),
    lambda: q._repr_html_(),
    lambda: q.stats(),
    lambda: q.fileno(),
    lambda: list(q),
    lambda: reader in q,
    lambda: q[reader],
    lambda: readyq.backends(),
    lambda: readyq.bits(3),
    lambda: readyq.describe(reader),
):
    starve(call)
assert fd.interest == readyq.READ and len(q) == 4

def check_removed(failed):
    assert fd.active == failed, failed

starve(lambda: fd.remove(), check_removed)
starve(lambda: q.remove(trigger))
assert len(q) == 2
starve(lambda: q.close())
assert q.closed and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
del q
assert count_open() == before, count_open()
print("as ever", sum(refused) >= 5)
"""

DISPATCH = """
called = []
q = readyq.Queue()
fd = q.add(reader, "r", called.append)
starve(lambda: q.dispatch(0))
assert called and set(called) == {fd}
lines = []
starve(lambda: q.trace(lines.append))
starve(lambda: q.wait(0))
q.trace(None)
assert any("ready" in line for line in lines), lines
trigger = q.add_trigger("kept")
for _ in range(20):
    trigger.fire()
    starve(lambda: q.wait(0))
assert [w.data for w in q.wait(0)] == [called.append]
q.close()
print("as ever", sum(refused) >= 5)
"""

SELECTOR = """
import selectors
s = readyq.Selector()
starve(lambda: s.register(reader, selectors.EVENT_READ, "key"))
assert len(s.get_map()) == 1
assert [(key.data, events) for key, events in starve(lambda: s.select(1))] == [("key", 1)]
starve(lambda: s.modify(reader, selectors.EVENT_READ | selectors.EVENT_WRITE, "other"))
assert [key.data for key, _ in starve(lambda: s.select(1))] == ["other"]
starve(lambda: s.get_key(reader))
starve(lambda: s.unregister(reader))
assert s.select(0) == []
s.close()
assert count_open() == before
print("as ever", sum(refused) >= 5)
"""


@pytest.mark.parametrize(
    "story", [WATCHES, DISPATCH, SELECTOR], ids=["watches", "dispatch", "selector"]
)
def test_a_lack_of_memory_at_any_point_changes_nothing(python, story):
    pytest.importorskip("_testcapi", reason="needs CPython's test modules (libpython3-testsuite)")
    output, errors = python(STARVE + story).communicate(timeout=60)
    assert output == "as ever True\n", errors
