# SPDX-License-Identifier: MIT
"""When Python's memory runs out: MemoryError, nothing changed or lost, and it works again later.

Each call is repeated with each of its allocations refused in turn, until it succeeds.
"""

import sys
import sysconfig

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

def sweep(call, points, look=lambda: None):
    # What each call gave or raised, of what is refused anyway, or can do without some memory.
    given = []
    for point in range(points):
        result = None
        _testcapi.set_nomemory(point, point + 1)
        try:
            result = call()
        except Exception as error:
            result = error
        finally:
            _testcapi.remove_mem_hooks()
        look()
        given.append(type(result) if isinstance(result, Exception) else result)
    return given

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
    lambda: q.add_timer(0, data="timer", period=None),
    lambda: q.add_signal("USR1", data="signal"),
    lambda: q.add_process(os.getpid(), data="process"),
    lambda: q.add_trigger(data="trigger"),
):
    watches.append(starve(call, check_size))
    size += 1
fd, timer, signalled, process, trigger = watches
assert all(w.active for w in watches) and q[reader] is fd
starve(lambda: trigger.fire())
os.kill(os.getpid(), signal.SIGUSR1)
ready = list(starve(lambda: q.wait(5)))
assert {w.data for w in ready} == {"fd", "timer", "signal", "trigger"}, ready
assert trigger.count == 1 and not timer.active
for call in (
    lambda: q.modify(reader, "rw"),
    lambda: fd.modify("r"),
    lambda: repr(q) + repr(fd) + str(q),
    lambda: q._repr_html_(),
    lambda: q.fileno(),
    lambda: list(q),
    lambda: reader in q,
    lambda: q[reader],
    lambda: readyq.bits(3),
    lambda: readyq.describe(reader),
):
    starve(call)
assert fd.interest == readyq.READ and len(q) == 4
for _ in range(300):
    list(q.wait(0))
assert starve(lambda: q.stats()).waits > 300

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
fd = q.add(reader, "r", data=called.append)
starve(lambda: q.dispatch(0))
assert called and set(called) == {fd}
lines = []
starve(lambda: q.trace(lines.append))
list(starve(lambda: q.wait(0)))
q.trace(None)
assert any("ready" in line for line in lines), lines
trigger = q.add_trigger(data="kept")
for _ in range(20):
    trigger.fire()
    batch = starve(lambda: q.wait(0))
    starve(lambda: repr(batch))
    assert starve(lambda: fd in batch)
    assert set(batch) == {fd, trigger}
assert [w.data for w in q.wait(0)] == [called.append]
q.close()
print("as ever", sum(refused) >= 5)
"""

TRACE = """
lost, lines = [], []
sys.unraisablehook = lambda error: lost.append(error.exc_type)
class File:
    def write(self, line):
        lines.append(line)
q = readyq.Queue()
fd = q.add(reader, "r", data="x" * 200)
for target in (File(), lambda line: lines.append(line + "\\n")):
    q.trace(target)
    del lost[:], lines[:]
    taken = [found for found in sweep(lambda: next(q.wait(0)), 60) if found is not MemoryError]
    assert all(found is fd for found in taken) and len(taken) > 30
    refused.append(len(lost))
    assert set(lost) == {MemoryError} and len(lost) > 5, lost
    assert lines[-1].startswith("readyq: ready fd") and lines[-1].endswith("xxx...\\n"), lines
q.trace(None)
short, whole = "<readyq.Watch timer, data=<str object>>", repr(q.add_timer(9, data="x" * 200))
texts = sweep(lambda: repr(list(q)[1]), 60)
assert texts[-1] == whole and set(texts) == {MemoryError, short, whole}, set(texts)
refused.append(texts.count(MemoryError))
q.close()
print("as ever", sum(refused) >= 5)
"""

ERRORS = """
class Gone:
    def fileno(self):
        return -1
    async def __call__(self, watch):
        pass
gone = Gone()
q = readyq.Queue()
fd = q.add(reader, "r", data=gone)
closed = readyq.Queue()
closed.close()
for kind, call in (
    (FileExistsError, lambda: q.add(reader, "r")),
    (OSError, lambda: q.add(-1, "r")),
    (KeyError, lambda: q.remove(writer)),
    (ValueError, lambda: closed.wait(0)),
    (ValueError, lambda: fd.fire()),
    (ValueError, lambda: q.wait(-1)),
    (ValueError, lambda: q.add(gone)),
    (ValueError, lambda: q.add_signal("NONE")),
    (TypeError, lambda: q.add_process(gone)),
    (TypeError, lambda: q.add("name", "r")),
    (TypeError, lambda: q.dispatch(0)),
    (TypeError, lambda: q.add()),
):
    raised = sweep(call, 40)
    assert raised[-1] is kind and set(raised) == {MemoryError, kind}, (kind, set(raised))
    refused.append(raised.count(MemoryError))
assert list(q) == [fd] and fd.interest == readyq.READ
q.close()
print("as ever", sum(refused) >= 5)
"""

MODULE = """
import _imp, gc
from readyq import _core
kept = [_core]

def load():
    kept[0] = _imp.create_dynamic(_core.__spec__)
    _imp.exec_dynamic(kept[0])

loaded = sweep(load, 400, lambda: gc.get_referents(kept[0])) # also of a half-made one
# SystemError is what CPython says of some types that it could not make.
assert set(loaded) - {SystemError} == {MemoryError, None}, set(loaded)
refused.append(loaded.count(MemoryError))
module = kept[0]
names = ("Queue", "Watch", "Batch", "Stats")
assert all(getattr(module, name) in gc.get_referents(module) for name in names)
assert module.Queue is not readyq.Queue
with module.Queue() as q:
    q.add(reader, "r", data="data")
    assert [w.data for w in q.wait(0)] == ["data"]
print("as ever", sum(refused) >= 5)
"""

RECORD = """
q = readyq.Queue()
recording = starve(lambda: q.record(1000))
watch = q.add(reader, "r")
for _ in range(20):
    assert list(q.wait(0)) == [watch]
records = starve(lambda: list(recording))
assert len(records) == len(recording) > 60 and records[0].type == "start"
before_repr = repr(recording)
assert starve(lambda: repr(recording)) == before_repr
saved = sweep(lambda: recording.save("/nowhere/run.json"), 40)
assert saved[-1] is FileNotFoundError and set(saved) == {MemoryError, FileNotFoundError}
if q.backend == "epoll":  # kqueue does not list what it watches
    assert starve(lambda: q.check()) == []
assert starve(lambda: q.now()) > 0
for _ in range(300):
    q.wait(0)
for name, kind in starve(lambda: q.stats()).kinds.items():
    assert kind.watches == (name == "fd"), (name, kind)
q.close()
print("as ever", sum(refused) >= 5)
"""

DEBUG = """
import warnings
warnings.simplefilter("error")
watched = []
def watch_closed():
    for q, watch, other in watched:
        assert list(q) == [watch]
        q.close()
        os.close(other)
    q = readyq.Queue(debug={"rest": 0})
    fd, other = os.pipe()
    watched[:] = [(q, q.add(fd, data="x" * 200), other)]
    os.close(fd)

watch_closed()
raised = sweep(lambda: watched[0][0].wait(5), 60, watch_closed)
assert raised[-1] is ResourceWarning and set(raised) == {MemoryError, ResourceWarning}, raised
refused.append(raised.count(MemoryError))
print("as ever", sum(refused) >= 5)
"""

SELECTOR = """
import fcntl, selectors
high = fcntl.fcntl(reader, fcntl.F_DUPFD, 300)
os.close(reader)
reader = high
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


can_make_types = pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="CPython 3.13 crashes where its own types are made without memory: use 3.12",
)

can_push_frames = pytest.mark.skipif(
    hasattr(sys, "gettotalrefcount") and sys.version_info < (3, 12),
    reason="a debug CPython 3.11 aborts where a comprehension lacks memory: use 3.12",
)


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="PyList_New of CPython 3.13t frees what it did not set: use a CPython with a GIL",
)
@pytest.mark.parametrize(
    "story",
    [
        *(WATCHES, DISPATCH, TRACE, ERRORS, RECORD, DEBUG),
        pytest.param(MODULE, marks=can_make_types),
        pytest.param(SELECTOR, marks=can_push_frames),
    ],
    ids=["watches", "dispatch", "trace", "errors", "record", "debug", "module", "selector"],
)
def test_a_lack_of_memory_at_any_point_changes_nothing(python, story):
    pytest.importorskip("_testcapi", reason="needs CPython's test modules (libpython3-testsuite)")
    output, errors = python(STARVE + story).communicate(timeout=60)
    assert output == "as ever True\n", errors
