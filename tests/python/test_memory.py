# SPDX-License-Identifier: MIT
"""When Python's memory runs out: MemoryError, nothing changed, nothing lost, and it works again."""

import pytest

PROGRAM = """
import _testcapi, os, readyq

def starve(call, check):
    points = 0
    while True:
        failed = False
        _testcapi.set_nomemory(points, points + 1)
        points += 1
        try:
            result = call()
        except MemoryError:
            failed = True
        finally:
            _testcapi.remove_mem_hooks()
        check(failed)
        if not failed:
            return result, points
        assert points < 1000

q = readyq.Queue()
reader, writer = os.pipe()
os.write(writer, b"x")

def check_size(size):
    def check(failed):
        assert len(q) == size + (not failed), (len(q), size, failed)
    return check

w, first = starve(lambda: q.add(reader, readyq.READ, data="data"), check_size(0))
t, second = starve(lambda: q.add_timer(0, "timer"), check_size(1))
assert w.active and t.active and q[reader] is w
ready, third = starve(lambda: q.wait(5), lambda failed: None)
assert {x.data for x in ready} == {"data", "timer"}, ready
text, _ = starve(lambda: repr(w), lambda failed: None)
_, _ = starve(lambda: w.modify("rw"), lambda failed: None)
assert w.interest == readyq.READ | readyq.WRITE
q.close()
print("starved", first > 1, second > 1, third > 1)
"""


def test_a_lack_of_memory_at_any_point_changes_nothing(python):
    pytest.importorskip("_testcapi", reason="needs CPython's test modules (libpython3-testsuite)")
    output, errors = python(PROGRAM).communicate(timeout=60)
    assert output == "starved True True True\n", errors
