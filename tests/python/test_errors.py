# SPDX-License-Identifier: MIT
"""Misuse and refusals: the right class, a message that explains it, and nothing changed."""

import errno
import os
import re
import socket

import pytest

import readyq
from readyq import EDGE, EXCLUSIVE, FIRED, PRIORITY, READ, READ_CLOSED, WRITE, _core

SOON = 10


@pytest.fixture
def unchanged(queue, make):
    """A queue with a watch that must be unchanged after the test."""
    here, there = make.unix()
    watch = queue.add(here, "r", data="mine")
    yield queue
    assert list(queue) == [watch]
    assert (watch.interest, watch.active, watch.armed, watch.data) == (READ, True, True, "mine")
    assert list(queue.wait(0)) == []
    there.send(b"x")
    assert list(queue.wait(0)) == [watch]


def test_second_add_is_refused_with_what_it_is(unchanged):
    (watch,) = unchanged
    with pytest.raises(FileExistsError) as caught:
        unchanged.add(watch.source, "w")
    assert caught.value.errno == errno.EEXIST
    assert f"descriptor {watch.fd} (UNIX" in str(caught.value)
    assert "this queue already watches it" in str(caught.value)
    with pytest.raises(FileExistsError):
        unchanged.add(watch.fd, "w")


def test_closed_and_negative_descriptors_are_refused(unchanged, make):
    here, _ = make.unix()
    number = here.fileno()
    here.close()
    for wrong in (number, -1):
        with pytest.raises(OSError, match="not open") as caught:
            unchanged.add(wrong, "r")
        assert caught.value.errno == errno.EBADF


def test_closed_objects_are_refused_as_closed(unchanged, make):
    here, _ = make.unix()
    here.close()
    with pytest.raises(ValueError, match=r"add\(\) failed for <socket.*: it is closed"):
        unchanged.add(here, "r")


def test_a_negative_descriptor_is_named(unchanged):
    with pytest.raises(OSError, match=r"add\(READ\) failed for -1: it is not open"):
        unchanged.add(-1, "r")


def test_fileno_of_a_closed_file_raises_its_own_error(unchanged, make):
    reader, _ = make.pipe()
    reader.close()
    with pytest.raises(ValueError, match="closed file"):
        unchanged.add(reader, "r")


@pytest.mark.parametrize("wrong", [True, False, None, 1.5, "1", b"1", [], object()], ids=repr)
def test_what_is_no_descriptor_is_refused(unchanged, wrong):
    name = re.escape(f"{type(wrong).__name__} {wrong!r}")
    for call in (
        lambda: unchanged.add(wrong, "r"),
        lambda: unchanged.remove(wrong),
        lambda: unchanged.modify(wrong, "r"),
        lambda: unchanged[wrong],
        lambda: wrong in unchanged,
    ):
        with pytest.raises(TypeError, match=rf"a descriptor .* have fileno\(\), not {name}"):
            call()


@pytest.mark.parametrize("wrong", ["1", None, 1.5, True])
def test_fileno_that_returns_no_number_is_refused(unchanged, wrong):
    class Thing:
        def fileno(self):
            return wrong

    with pytest.raises(TypeError, match=r"fileno\(\) of Thing must be an int, not "):
        unchanged.add(Thing(), "r")


class Interrupted:
    """As if Ctrl-C was pressed while it is shown."""

    def __repr__(self):
        raise KeyboardInterrupt


class InterruptedNumber(float):
    __repr__ = Interrupted.__repr__


class InterruptedDescriptor(Interrupted):
    def fileno(self):
        return -1


def test_ctrl_c_while_an_object_is_shown_is_raised(unchanged):
    for call in (
        lambda: unchanged.add(Interrupted()),
        lambda: unchanged.add(InterruptedDescriptor()),
        lambda: unchanged.wait(maxevents=Interrupted()),
        lambda: unchanged.wait(InterruptedNumber(-1)),
        lambda: readyq.Queue(clock=Interrupted()),
        lambda: readyq.Queue(debug=Interrupted()),
        lambda: unchanged.add_timer(0, data=Interrupted()) and repr(unchanged.wait(1)),
    ):
        with pytest.raises(KeyboardInterrupt):
            call()
    for watch in unchanged:
        if isinstance(watch.data, Interrupted):
            watch.remove()


class Failing:
    def __index__(self):
        raise LookupError("mine")


def test_an_exception_of_index_propagates(unchanged, make):
    here, _ = make.unix()
    for call in (
        lambda: unchanged.add(Failing(), "r"),
        lambda: unchanged.add(here, Failing()),
        lambda: unchanged.add_process(Failing()),
        lambda: unchanged.wait(0, Failing()),
        lambda: unchanged.record(Failing()),
    ):
        with pytest.raises(LookupError, match="mine"):
            call()


def test_a_negative_number_is_not_watched(unchanged):
    assert -1 not in unchanged
    with pytest.raises(KeyError, match=r"remove\(\) failed for -1: this queue does not watch it"):
        unchanged.remove(-1)


def test_an_exception_of_fileno_propagates(unchanged):
    class Thing:
        def fileno(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        unchanged.add(Thing(), "r")


@pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1, 2**64, 10**30])
def test_numbers_out_of_range_are_refused(unchanged, wrong):
    for call in (
        lambda: unchanged.add(wrong, "r"),
        lambda: unchanged.add_signal(wrong),
        lambda: unchanged.add_process(wrong),
        lambda: unchanged.wait(0, wrong),
    ):
        with pytest.raises(ValueError, match=f"out of range: {wrong}"):
            call()


@pytest.mark.parametrize(
    "wrong",
    [READ_CLOSED, READ | FIRED, EDGE, EXCLUSIVE, 0x1000, 2**31, 2**32 - 1, 2**32, 2**70, -1],
    ids=hex,
)
def test_invalid_interest_is_refused(unchanged, make, wrong):
    here, _ = make.unix()
    (watch,) = unchanged
    with pytest.raises(ValueError, match=r"is not valid|out of range"):
        unchanged.add(here, wrong)
    with pytest.raises(ValueError, match=r"is not valid|out of range"):
        watch.modify(wrong)
    assert here not in unchanged


@pytest.mark.parametrize("wrong", ["", "x", "rx", "R", "r w", "\u0155"])
def test_invalid_letters_are_refused(unchanged, make, wrong):
    here, _ = make.unix()
    with pytest.raises(ValueError, match='made of "r", "w" and "p", not '):
        unchanged.add(here, wrong)


@pytest.mark.parametrize("wrong", [None, 1.0, b"r", True, ["r"]])
def test_interest_of_another_type_is_refused(unchanged, make, wrong):
    here, _ = make.unix()
    with pytest.raises(TypeError, match=r"interest must be bits .* not "):
        unchanged.add(here, wrong)


def test_letters_and_bits_mean_the_same(queue, make):
    for letters, bits in (
        ("r", READ),
        ("w", WRITE),
        ("wr", READ | WRITE),
        ("p", PRIORITY),
        ("rwp", READ | WRITE | PRIORITY),
    ):
        here, _ = make.unix()
        assert queue.add(here, letters).interest == bits


@pytest.mark.parametrize("wrong", [0, -1, -(2**31)])
def test_maxevents_below_one_is_refused(unchanged, wrong):
    with pytest.raises(ValueError, match=f"maxevents must be >= 1 or None, not {wrong}"):
        unchanged.wait(0, wrong)
    with pytest.raises(TypeError, match=r"maxevents must be an int or None, not float 1\.0"):
        unchanged.wait(0, 1.0)


def test_unknown_watches_are_key_errors(unchanged, make):
    here, _ = make.unix()
    other = make.queue()
    foreign = other.add(here, "r")
    gone = other.add_timer(1)
    gone.remove()
    for wrong in (here, here.fileno(), 12345, foreign, gone):
        with pytest.raises(KeyError):
            unchanged[wrong]
        with pytest.raises(KeyError):
            unchanged.remove(wrong)
        with pytest.raises(KeyError):
            unchanged.modify(wrong, "r")
        assert wrong not in unchanged
    assert foreign.active
    with pytest.raises(KeyError, match=r"descriptor \d+ \(UNIX"):
        unchanged.remove(here)
    with pytest.raises(KeyError, match="not in this queue"):
        unchanged.remove(foreign)


@pytest.mark.parametrize("call", ["modify", "remove"])
def test_source_that_closes_the_queue_finds_it_closed(make, call):
    class Rude:
        def fileno(self):
            queue.close()
            return here.fileno()

    queue, (here, _) = make.queue(), make.unix()
    queue.add(here, "r")
    with pytest.raises(ValueError, match="the queue is closed"):
        getattr(queue, call)(*[Rude(), "r"][: 2 if call == "modify" else 1])


def test_object_that_was_closed_and_never_watched_is_a_key_error(unchanged, make):
    here, _ = make.unix()
    reader, _ = make.pipe()
    here.close()
    reader.close()
    for wrong in (here, reader):
        with pytest.raises(KeyError, match="this queue does not watch it"):
            unchanged.remove(wrong)
        assert wrong not in unchanged


def test_calls_on_a_removed_watch_are_key_errors(queue, make):
    here, _ = make.unix()
    watch = queue.add(here, "r")
    trigger = queue.add_trigger()
    watch.remove()
    trigger.remove()
    for call in (lambda: watch.modify("r"), trigger.fire):
        with pytest.raises(KeyError, match="the watch was removed"):
            call()
    with pytest.raises(KeyError, match="no longer in this queue"):
        queue[watch]


def test_remove_returns_whether_the_watch_was_in_its_queue(queue, make):
    here, _ = make.unix()
    for remove in (readyq.Watch.remove, queue.remove):
        watch = queue.add(here, "r")
        assert remove(watch) is True
        assert remove(watch) is False
        timer = queue.add_timer(0)
        assert list(queue.wait(SOON)) == [timer]
        assert remove(timer) is False
    queue.add(here, "r")
    assert queue.remove(here) is True
    watch = queue.add(here, "r")
    queue.close()
    assert watch.remove() is False


def test_modify_is_for_descriptors_and_fire_for_triggers(unchanged):
    (watch,) = unchanged
    with pytest.raises(ValueError, match=r"fire\(\) failed for descriptor"):
        watch.fire()
    others = [unchanged.add_timer(100), unchanged.add_trigger()]
    for other in others:
        with pytest.raises(ValueError, match=r"modify\(READ\) failed for a (timer|trigger)"):
            other.modify("r")
    with pytest.raises(ValueError, match=r"fire\(\) failed for a timer"):
        others[0].fire()
    for other in others:
        other.remove()


def test_modify_of_a_closed_descriptor_is_refused(queue, make):
    here, _ = make.unix()
    watch = queue.add(here, "r")
    here.close()
    with pytest.raises(OSError, match="it was closed") as caught:
        watch.modify("w")
    assert caught.value.errno == errno.EBADF


def test_closed_queue_refuses_everything_that_does_something(make):
    queue = make.queue()
    here, _ = make.unix()
    watch = queue.add(here, "w")
    trigger, timer, fired = queue.add_trigger(), queue.add_timer(9), queue.add_timer(0)
    assert fired in list(queue.wait(SOON))
    queue.close()
    for call in (
        lambda: queue.add(here, "r"),
        lambda: queue.add_timer(1),
        lambda: queue.add_signal(1),
        lambda: queue.add_process(1),
        queue.add_trigger,
        lambda: queue.modify(watch, "r"),
        lambda: queue.remove(watch),
        lambda: queue[here],
        lambda: queue.get(here),
        queue.record,
        queue.wait,
        lambda: queue.wait(0),
        queue.dispatch,
        queue.wake,
        queue.fileno,
        queue.now,
        queue.stats,
        queue.check,
        lambda: queue.trace(None),
        queue.__enter__,
        lambda: watch.modify("r"),
        trigger.fire,
        lambda: timer.restart(1),
        lambda: fired.restart(1),
    ):
        with pytest.raises(ValueError, match="the queue is closed"):
            call()


def test_closed_queue_still_answers_what_it_is(make):
    queue = make.queue()
    here, _ = make.unix()
    watch, backend = queue.add(here, "w"), queue.backend
    queue.close()
    queue.close()
    queue.__exit__(None, None, None)
    assert queue.closed
    assert (len(queue), list(queue), here in queue, watch in queue) == (0, [], False, False)
    assert queue.backend == backend
    assert repr(queue) == "<readyq.Queue closed>"
    assert not watch.active
    assert watch.data is None


def test_wrong_clocks_and_arguments_are_refused():
    with pytest.raises(ValueError, match=r'clock must be "real" or "virtual", not .sun.'):
        readyq.Queue(clock="sun")
    for wrong in ({"backend": "epoll"}, {"clock": None}, {"other": 1}):
        with pytest.raises(TypeError):
            readyq.Queue(**wrong)


def test_calls_with_wrong_arguments_are_type_errors(unchanged):
    for call, message in (
        (lambda: unchanged.add(), "needs argument 'source'"),
        (lambda: unchanged.add(0, "r", 1, 2), r"at most 2 positional arguments \(4 given\)"),
        (lambda: unchanged.add(0, "r", source=1), "multiple values for argument 'source'"),
        (lambda: unchanged.wait(time=1), "unexpected keyword argument 'time'"),
        (lambda: unchanged.add_signal(b"TERM"), "signum must be an int or .*, not bytes b'TERM'"),
        (lambda: unchanged.add_process(None), "pid must be an int or .*, not NoneType"),
        (lambda: unchanged.add_timer(), "needs argument 'delay'"),
        (lambda: unchanged.add_signal(), "needs argument 'signum'"),
        (lambda: unchanged.add_process(), "needs argument 'pid'"),
        (lambda: unchanged.add_trigger(1), r"takes at most 0 positional arguments \(1 given\)"),
        (lambda: unchanged.modify(0), "needs argument 'interest'"),
        (lambda: unchanged.dispatch(0, 1), r"takes at most 1 positional argument \(2 given\)"),
        (lambda: unchanged.trace(1), r"trace\(\) needs a file"),
        (lambda: readyq.bits(1.5), "value must be bits"),
        (lambda: _core.set_inputhook(1), r"set_inputhook\(\) needs a function or None, not int"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


def test_what_is_no_queue_or_no_loop_is_refused_by_name(queue):
    shut = readyq.Queue()
    shut.close()
    with readyq.Selector() as selector:
        for call, error, message in (
            (lambda: readyq.attach(5), TypeError, "attach: queue must be .*, not int"),
            (lambda: readyq.attach(selector), TypeError, "attach: queue must be .* not Selector"),
            (lambda: readyq.attach(queue, 5), TypeError, "attach: loop must be .* not int"),
            (lambda: readyq.attach(queue, 0), TypeError, "attach: loop must be .* not int"),
            (lambda: readyq.attach(shut), ValueError, r"attach\(\) failed: the queue is closed"),
            (lambda: readyq.install_inputhook(None), TypeError, "install_inputhook: queue must be"),
            (lambda: readyq.install_inputhook(shut), ValueError, "install_inputhook.* is closed"),
        ):
            with pytest.raises(error, match=message):
                call()
    with pytest.raises(RuntimeError, match="no running event loop"):
        readyq.attach(queue)


def test_arguments_may_be_named(queue, make):
    here, _ = make.unix()
    assert queue.add(data=1, interest=WRITE, source=here).data == 1
    assert queue.add_timer(data=2, delay=0, period=5).data == 2
    assert queue.add_trigger(data=3).data == 3
    assert len(list(queue.wait(maxevents=1, timeout=0))) == 1
    assert 1 in [watch.data for watch in queue.wait(maxevents=None, timeout=0)]
    queue.modify(watch=here, interest="r")
    assert queue.dispatch.__doc__.startswith("Wait, then call")


def test_data_that_cannot_be_called_is_named_by_dispatch(queue, make):
    here, _ = make.unix()
    queue.add(here, "w", data="text")
    with pytest.raises(TypeError, match=r"<readyq.Watch fd .* data='text'>: its data can"):
        queue.dispatch(0)


def test_queue_cannot_watch_itself(queue):
    with pytest.raises(ValueError, match="a queue cannot watch itself"):
        queue.add(queue, "r")


def test_queues_cannot_watch_each_other(queue, make):
    other = make.queue()
    queue.add(other, "r")
    with pytest.raises(OSError, match="watch each other") as caught:
        other.add(queue, "r")
    assert caught.value.errno == errno.ELOOP
    assert len(other) == 0


@pytest.mark.parametrize("kind", [readyq.Watch, readyq.Batch])
def test_watches_and_batches_are_made_by_queues_alone(kind):
    with pytest.raises(TypeError, match=rf"cannot create 'readyq\.{kind.__name__}' instances"):
        kind()


def test_queue_is_opened_once(queue):
    with pytest.raises(ValueError, match="already"):
        queue.__init__()
    assert not queue.closed


def test_queue_that_was_never_opened_is_closed():
    queue = readyq.Queue.__new__(readyq.Queue)
    assert queue.closed
    assert (repr(queue), len(queue), list(queue)) == ("<readyq.Queue closed>", 0, [])
    for call in (queue.wait, queue.wake, lambda: queue.add(0, "r"), lambda: queue.backend):
        with pytest.raises(ValueError, match="the queue is closed"):
            call()
    assert 0 not in queue
    queue.close()


def test_socket_of_a_listener_in_messages_is_described(queue, make):
    listener = make.keep(socket.create_server(("127.0.0.1", 0)))
    port = listener.getsockname()[1]
    queue.add(listener, "r")
    with pytest.raises(FileExistsError, match=rf"TCP 127.0.0.1:{port}, listening"):
        queue.add(listener, "r")


def test_file_with_a_strange_name_is_described(queue, make):
    path = os.fsencode(make.folder) + b"/\xff\xfe"
    with open(path, "wb") as file:
        queue.add(file, "w")
        with pytest.raises(FileExistsError, match="file "):
            queue.add(file, "w")
        assert "\udcff" in repr(queue[file])


def test_errors_are_caught_by_their_class_outside_of_any_other(python):
    child = python(
        """
import os, readyq
q = readyq.Queue()
q.add(os.pipe()[0], "r")
try:
    q.add(next(iter(q)).fd, "r")
except FileExistsError:
    print("caught")
"""
    )
    assert child.communicate(timeout=10) == ("caught\n", "")
