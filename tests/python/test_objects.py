# SPDX-License-Identifier: MIT
"""Queue and Watch as Python objects: collection, attributes, repr, subclasses, traces."""

import copy
import io
import os
import pickle
import sys
import threading
import weakref

import pytest

import readyq
from readyq import EDGE, FIRED, ONESHOT, READ, WRITE

SOON = 10


def test_version_is_that_of_the_core():
    assert readyq.__version__.count(".") == 2


def test_everything_in_all_exists():
    assert all(hasattr(readyq, name) for name in readyq.__all__)


def test_queue_is_the_collection_of_its_watches(queue, make):
    here, there = make.unix()
    watches = [queue.add(here, "r"), queue.add_timer(10), queue.add_trigger()]
    assert len(queue) == 3
    assert list(queue) == watches
    assert all(watch in queue for watch in watches)
    assert here in queue
    assert here.fileno() in queue
    assert there not in queue
    assert queue[here] is queue[here.fileno()] is queue[watches[0]] is watches[0]


def test_iteration_goes_over_a_snapshot(queue):
    for number in range(10):
        queue.add_timer(10, data=number)
    for watch in queue:
        watch.remove()
        queue.add_trigger()
    assert [watch.kind for watch in queue] == ["trigger"] * 10


def test_a_queue_is_true_whatever_it_holds(make):
    queue = make.queue()
    assert queue
    assert len(queue) == 0
    queue.add_trigger()
    assert queue
    queue.close()
    assert queue


def test_read_is_asked_for_by_default(queue, make):
    here, there = make.unix()
    watch = queue.add(here, data="mine")
    assert (watch.interest, watch.data) == (READ, "mine")
    assert queue.add(source=there).interest == READ


class Number:
    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


def test_integers_may_be_objects_with_an_index(queue, make):
    here, _ = make.unix()
    watch = queue.add(Number(here.fileno()), Number(WRITE))
    assert (watch.fd, watch.interest) == (here.fileno(), WRITE)
    assert Number(here.fileno()) in queue
    assert queue[Number(here.fileno())] is watch
    queue.modify(Number(here.fileno()), Number(READ | WRITE))
    watch.modify(Number(WRITE))
    assert list(queue.wait(0, Number(1))) == [watch]
    assert queue.remove(Number(here.fileno()))
    assert queue.add_signal(Number(10)).remove()
    assert queue.add_process(Number(os.getpid())).remove()
    assert readyq.bits(Number(5)) == "READ|WRITE"
    assert readyq.describe(Number(here.fileno())).startswith("UNIX socket")


class Port:
    """Like a serial port, whose fileno() raises an error of its own once it is closed."""

    def __init__(self, sock, error):
        self.sock, self.error, self.open = sock, error, True

    def fileno(self):
        if self.open:
            return self.sock.fileno()
        raise self.error


ERRORS = [OSError(9, "port"), ValueError("closed"), AttributeError("fd"), TypeError("no fd"), None]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_what_was_added_is_found_when_it_has_no_descriptor_any_more(queue, make, error):
    here, _ = make.unix()
    port = Port(here, error)
    watch, others = queue.add(port), [queue.add_trigger(), queue.add(make.unix()[0])]
    port.open = False
    assert port in queue
    assert queue[port] is watch
    queue.modify(port, "rw")
    assert watch.interest == READ | WRITE
    assert queue.remove(port) is True
    assert set(queue) == set(others)


def test_what_was_closed_is_removed_and_its_modify_says_that_it_is_closed(queue, make):
    here, _ = make.unix()
    watch = queue.add(here)
    here.close()
    assert here in queue
    assert queue[here] is watch
    with pytest.raises(OSError, match="it was closed"):
        queue.modify(here, "w")
    assert queue.remove(here) is True


def test_ctrl_c_in_fileno_is_raised(queue, make):
    port = Port(make.unix()[0], KeyboardInterrupt())
    queue.add(port)
    port.open = False
    for call in (queue.remove, queue.__contains__, queue.__getitem__):
        with pytest.raises(KeyboardInterrupt):
            call(port)


def test_an_object_that_has_another_descriptor_now_is_still_found(queue, make):
    port = Port(make.unix()[0], None)
    watch = queue.add(port)
    port.sock = make.unix()[0]
    assert queue[port] is watch
    assert queue.remove(port) is True


def test_attributes_of_each_kind(queue, make):
    here, _ = make.unix()
    child = make.child()
    sources = {
        "fd": (queue.add(here, "rw", data=1), here, here.fileno(), READ | WRITE),
        "timer": (queue.add_timer(10, data=1), None, None, 0),
        "signal": (queue.add_signal(10, data=1), 10, None, 0),
        "process": (queue.add_process(child.pid, data=1), child.pid, None, 0),
        "trigger": (queue.add_trigger(data=1), None, None, 0),
    }
    for kind, (watch, source, fd, interest) in sources.items():
        assert (watch.kind, watch.source, watch.fd) == (kind, source, fd)
        assert (watch.interest, watch.ready, watch.status) == (interest, 0, None)
        assert (watch.queue, watch.data, watch.active, watch.armed) == (queue, 1, True, True)
        assert (watch.readable, watch.writable) == (False, False)


def test_only_data_can_be_set(queue, make):
    here, _ = make.unix()
    watch = queue.add(here, "r")
    assert watch.data is None
    watch.data = "new"
    assert watch.data == "new"
    names = "queue kind fd source interest ready count active armed status due period"
    for name in names.split():
        with pytest.raises(AttributeError):
            setattr(watch, name, 1)
    with pytest.raises(AttributeError):
        watch.other = 1
    with pytest.raises(AttributeError):
        queue.closed = False


def test_data_that_was_deleted_is_no_crash(queue):
    watch = queue.add_trigger(data=1)
    del watch.data
    with pytest.raises(AttributeError):
        watch.data  # noqa: B018
    watch.fire()
    assert "trigger" in repr(watch)
    with pytest.raises(TypeError, match="no data to call"):
        queue.dispatch(0)


def test_repr_of_a_queue(queue):
    assert repr(queue) == f"<readyq.Queue {queue.backend}, 0 watches>"
    queue.add_trigger()
    assert repr(queue) == f"<readyq.Queue {queue.backend}, 1 watch>"


def test_repr_of_a_descriptor_s_watch(queue, make):
    here, there = make.tcp()
    watch = queue.add(here, READ | ONESHOT, data=["conn"])
    names = [f"127.0.0.1:{end.getsockname()[1]}" for end in (here, there)]
    start = f"<readyq.Watch fd {here.fileno()} (TCP {names[0]} to {names[1]}) interest READ|ONESHOT"
    assert repr(watch) == start + ", data=['conn']>"
    there.send(b"x")
    assert list(queue.wait(10)) == [watch]
    assert repr(watch) == start + " (disarmed), ready READ, data=['conn']>"
    watch.modify(0)
    assert " interest 0 (paused)" in repr(watch)
    watch.remove()
    assert repr(watch) == f"<readyq.Watch fd {watch.fd}, inactive, data=['conn']>"


def test_repr_of_the_other_kinds(virtual, make):
    child = make.child()
    timer = virtual.add_timer(1, period=1)
    assert repr(timer) == "<readyq.Watch timer>"
    list(virtual.wait(3))
    assert repr(timer) == "<readyq.Watch timer, ready FIRED>"
    trigger = virtual.add_trigger()
    trigger.fire()
    trigger.fire()
    assert trigger in list(virtual.wait(0))
    assert repr(trigger) == "<readyq.Watch trigger, ready FIRED, count 2>"
    assert repr(virtual.add_signal(10)) == "<readyq.Watch signal 10>"
    assert repr(virtual.add_process(child.pid)) == f"<readyq.Watch process {child.pid}>"


def test_repr_never_raises_for_what_data_does(queue):
    class Rude:
        def __repr__(self):
            raise LookupError

    assert repr(queue.add_trigger(data=Rude())) == "<readyq.Watch trigger, data=<Rude object>>"
    long = repr(queue.add_trigger(data="x" * 1000))
    assert long.endswith("xxx...>")
    assert len(long) < 150
    data = []
    data.append(queue.add_trigger(data=data))
    assert repr(data[0]) == "<readyq.Watch trigger, data=[<readyq.Watch ...>]>"


def test_repr_is_ended_by_ctrl_c_in_that_of_data(queue):
    class Slow:
        def __repr__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repr(queue.add_trigger(data=Slow()))


def test_queue_is_a_context_manager(make):
    with make.queue() as queue:
        assert not queue.closed
    assert queue.closed
    with pytest.raises(LookupError), make.queue() as queue:
        raise LookupError
    assert queue.closed


def test_queue_can_be_subclassed():
    class Mine(readyq.Queue):
        def __init__(self, name):
            super().__init__()
            self.name = name

    with Mine("a") as queue:
        watch = queue.add_timer(0)
        assert watch.queue is queue
        assert queue.name == "a"
        assert list(queue.wait(10)) == [watch]
        assert repr(queue) == f"<Mine {queue.backend}, 0 watches>"


def test_watch_and_its_queue_can_be_referred_to_weakly(queue):
    watch = queue.add_trigger()
    assert weakref.ref(watch)() is watch
    assert weakref.ref(queue)() is queue


def test_watches_are_hashable_by_identity(queue):
    watches = {queue.add_trigger(), queue.add_trigger()}
    assert len(watches) == 2


@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
def test_queues_and_watches_are_not_copied(queue, act):
    for thing in (queue, queue.add_trigger()):
        with pytest.raises(TypeError, match="cannot pickle"):
            act(thing)


def test_watch_takes_the_type_of_its_data_in_annotations():
    assert readyq.Watch[int].__origin__ is readyq.Watch


def test_stats_count_what_was_done(queue, make):
    here, _ = make.unix()
    before = queue.stats()
    queue.add(here, "w")
    list(queue.wait(0))
    after = queue.stats()
    assert (after.watches, after.waits - before.waits) == (1, 1)
    assert after.deliveries == 1
    assert after.kernel_waits - before.kernel_waits == 1
    assert queue.backend != "epoll" or after.changes - before.changes == 1
    assert (after.stale, after.rebuilds, after.ghosts, after.ghost_fd) == (0, 0, 0, None)
    assert len(after) == 21


def test_wait_with_something_ready_asks_the_kernel_once(queue, make):
    here, _ = make.unix()
    queue.add(here, "w")
    before = queue.stats().kernel_waits
    for _ in range(10):
        queue.wait(1)
    assert queue.stats().kernel_waits - before == 10


def test_a_sleep_after_a_sleep_asks_the_kernel_once(queue):
    queue.wait(0.001)  # asks twice, as the queue may be busy
    before = queue.stats().kernel_waits
    for _ in range(10):
        queue.wait(0.001)
    assert queue.stats().kernel_waits - before == 10


def test_get_is_the_watch_or_the_default(queue, make):
    here, there = make.unix()
    watch = queue.add(here)
    assert queue.get(here) is queue.get(here.fileno()) is queue.get(watch) is watch
    assert queue.get(there) is None
    assert queue.get(there.fileno(), "none") == "none"
    assert queue.get(source=there, default=0) == 0
    here.close()
    assert queue.get(here) is watch
    watch.remove()
    assert queue.get(here) is queue.get(watch) is None
    for wrong in ("a name", 1.5, None):
        with pytest.raises(TypeError, match="descriptor"):
            queue.get(wrong)
    queue.close()
    with pytest.raises(ValueError, match="closed"):
        queue.get(there)


def test_docstrings_show_what_is_called(queue):
    for kind in (readyq.Queue, readyq.Watch, readyq.Batch):
        for name, value in vars(kind).items():
            if not name.startswith("_"):
                assert value.__doc__, name
    assert readyq.Queue.wait.__text_signature__ == "($self, /, timeout=None, maxevents=None)"


# ------------------------------------------------------------------ traces


def test_trace_shows_every_call_and_delivery_in_a_line(queue, make):
    here, there = make.unix()
    lines = []
    queue.trace(lines.append)
    watch = queue.add(here, "r", data="conn")
    there.send(b"x")
    list(queue.wait(1.5))
    watch.modify(READ | EDGE)
    queue.wake()
    watch.remove()
    queue.close()
    what = f"fd {here.fileno()} (UNIX"
    starts = [f"add {what}", "wait (1.5 s): 1 ready", f"ready {what}", f"modify {what}", "wake"]
    starts += [f"remove fd {here.fileno()}", "close"]
    assert len(lines) == len(starts)
    assert all(line.startswith("readyq: " + start) for line, start in zip(lines, starts))
    assert "ready READ, data='conn'" in lines[2]


def test_trace_shows_what_other_threads_and_the_core_do(queue, make):
    (here, _), lines = make.unix(), []
    queue.add_trigger(data="nobody's")
    trigger = queue.add_trigger(data="theirs")
    queue.add(here)
    queue.trace(lines.append)
    thread = threading.Thread(target=trigger.fire)
    thread.start()
    thread.join()
    os.dup2(make.unix()[0].fileno(), here.fileno())
    queue.add(here.fileno())
    queue.trace(None)
    assert lines[0].startswith("readyq: fire trigger")
    assert lines[0].endswith("data='theirs'")
    assert lines[1].startswith("readyq: remove fd")
    assert lines[2].startswith("readyq: add fd")
    assert len(lines) == 3


def test_trace_writes_to_a_file_until_it_is_ended(queue):
    file = io.StringIO()
    queue.trace(file)
    queue.wait(0)
    assert file.getvalue() == "readyq: wait (0 s): 0 ready\n"
    queue.trace(None)
    queue.wait(0)
    assert file.getvalue().count("\n") == 1


def test_an_exception_of_the_trace_target_is_reported(queue):
    class Rude:
        @property
        def write(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        queue.trace(Rude())


def test_trace_shows_what_dispatch_calls(queue):
    lines = []
    queue.trace(lines.append)
    trigger = queue.add_trigger(data=lambda watch: lines.append("called"))
    trigger.fire()
    queue.dispatch()
    assert lines[1].startswith("readyq: fire trigger")
    assert lines[2] == "readyq: dispatch (forever): 1 ready"
    assert lines[3].startswith("readyq: ready trigger, ready FIRED")
    assert lines[4] == "called"


def test_tracer_that_raises_changes_nothing(queue, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def rude(line):
        raise LookupError(line)

    queue.trace(rude)
    trigger = queue.add_trigger()
    trigger.fire()
    assert list(queue.wait(0)) == [trigger]
    assert trigger.ready == FIRED
    assert [error.exc_type for error in unraisable] == [LookupError] * 4
    queue.trace(None)
    unraisable.clear()


def test_tracer_may_end_the_trace(queue):
    lines = []

    def tracer(line):
        lines.append(line)
        queue.trace(None)

    trigger = queue.add_trigger()
    queue.trace(tracer)
    trigger.fire()
    assert list(queue.wait(0)) == [trigger]
    assert lines == ["readyq: fire trigger"]


def test_tracer_may_close_the_queue(queue):
    lines = []

    def tracer(line):
        lines.append(line)
        queue.close()

    trigger = queue.add_trigger()
    queue.trace(tracer)
    trigger.fire()
    assert queue.closed
    assert lines == ["readyq: fire trigger"]


def test_tracer_may_use_the_queue(queue):
    lines = []
    queue.trace(lambda line: lines.append((line, list(queue.wait(0)))))
    queue.add_trigger()
    assert len(lines) == 1


def test_tracer_may_use_the_queue_while_another_thread_is_traced(queue, start):
    lines, inside, go_on = [], threading.Event(), threading.Event()

    def tracer(line):
        lines.append((threading.get_ident() == main, line.split()[1]))
        if not inside.is_set():
            inside.set()
            go_on.wait(SOON)
            queue.add_timer(9).remove()

    main = threading.get_ident()
    queue.trace(tracer)
    traced = start(lambda: queue.add_trigger().remove())
    inside.wait(SOON)
    queue.add_signal("USR1")
    go_on.set()
    traced.result(SOON)
    assert lines == [(False, "add_trigger"), (True, "add_signal"), (False, "remove")]


@pytest.mark.parametrize("call", ["wait", "dispatch"])
def test_tracer_that_takes_what_is_ready_leaves_nothing_to_the_wait(queue, call):
    taken = []
    trigger = queue.add_trigger(data=taken.append)
    trigger.fire()
    queue.trace(lambda line: taken.extend(queue.wait(0)))
    assert not getattr(queue, call)(0)
    assert taken == [trigger]


def test_the_table_shows_every_kind_of_watch(make, queue):
    reader, _ = make.pipe()
    queue.add(reader, "r", data="of a pipe")
    queue.add_timer(5, data=print)
    queue.add_trigger(data=[1]).fire()
    list(queue.wait(0))
    lines = str(queue).splitlines()
    assert lines[0] == repr(queue)
    assert lines[1].split() == "kind source interest due in every ready deliveries data".split()
    assert lines[2].split() == [
        "fd",
        str(reader.fileno()),
        "pipe",
        "READ",
        "0",
        "'of",
        "a",
        "pipe'",
    ]
    assert lines[3].split() == ["timer", "5", "s", "0", "print"]
    assert lines[4].split() == ["trigger", "FIRED", "1", "[1]"]
    assert "<td>of a pipe" not in queue._repr_html_()
    assert "<td>&#x27;of a pipe&#x27;</td>" in queue._repr_html_()


def test_the_table_shows_a_watch_whose_data_was_deleted(queue):
    watch = queue.add_timer(1, data="mine")
    del watch.data
    assert str(queue).splitlines()[-1].split() == ["timer", "1", "s", "0"]
    assert "<td>timer</td>" in queue._repr_html_()


def test_the_table_of_a_closed_or_empty_queue_is_its_repr(queue):
    assert str(queue) == repr(queue)
    queue.close()
    assert str(queue) == repr(queue)
    assert "closed" in queue._repr_html_()


def test_deliveries_are_counted(queue):
    watch = queue.add_trigger()
    for _ in range(3):
        watch.fire()
        assert list(queue.wait(0)) == [watch]
    assert watch.deliveries == 3


def test_describe_says_what_a_descriptor_is(make):
    reader, _ = make.pipe()
    assert readyq.describe(reader) == readyq.describe(reader.fileno()) == "pipe"
    with pytest.raises(TypeError):
        readyq.describe("pipe")


def test_queue_names_its_backend(queue):
    has_epoll = sys.platform == "linux" and "KQUEUE_AS" not in os.environ
    assert queue.backend == ("epoll" if has_epoll else "kqueue")
