# SPDX-License-Identifier: MIT
"""Mistakes that are easily made: each error says what, of which object, why and what to do, and
its traceback ends at the line that made the mistake.

The table has the call, the class and the whole message. {sock} and the like stand for what the
message says of things that differ from run to run.
"""

import datetime
import functools
import math
import os
import signal
import socket
import types

import pytest

import readyq
from readyq import EDGE, READ, READ_CLOSED, WRITE

SOON = 10
LETTERS = 'bits such as readyq.READ or letters such as "rw"'
BY_NAME = "; pass data by name: data=..."
COMBINE = (
    "the interest is not valid; combine READ, WRITE and PRIORITY, with EDGE, ONESHOT or "
    "EXCLUSIVE if wanted, or use 0 to pause"
)
NAMES = 'use a name such as "TERM" or "SIGTERM", or a number (kill -l lists the signals)'
UNCATCHABLE = "SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE and SIGILL cannot be watched"
ASYNC = (
    "its data is an async function, which dispatch() cannot await; pass a plain function that "
    "starts a task, or take the watch from wait()"
)
BEFORE = "remove a watch before its descriptor is closed"
NO_FILENO = "a descriptor must be an int or have fileno(), not"


def tick(watch):
    pass


async def fetch(watch):
    pass


def produce(watch):
    yield watch


class Client:
    def __repr__(self):
        return "<Client>"

    async def __call__(self, watch):
        pass

    async def handle(self, watch):
        pass


class Numbered:
    """A file-like object whose fileno() is not a number."""

    def __repr__(self):
        return "<Numbered>"

    def fileno(self):
        return "3"


class Lost(Numbered):
    def fileno(self):
        return -1


class Unborn:
    pid = None


def shorten(text):
    """As messages do: an object's repr takes 80 characters at most."""
    return text if len(text) <= 80 else text[:77] + "..."


@pytest.fixture
def world(queue, make):
    """What the calls in the table use, and what messages say about it."""
    w = types.SimpleNamespace(q=queue, other=make.queue(), client=Client())
    w.sock, w.free = make.unix()
    w.closed = make.unix()[0]
    w.closed.close()
    w.file = make.file()
    w.file.close()
    w.watch = queue.add(w.sock, data="mine")
    w.foreign = w.other.add(w.free)
    w.fired, w.gone = queue.add_timer(0), queue.add_timer(9)
    assert list(queue.wait(SOON)) == [w.fired]
    w.gone.remove()
    w.trigger = queue.add_trigger()
    w.shut = make.queue()
    w.left = w.shut.add_trigger()
    w.shut.close()
    w.reused, w.late = (queue.add(reader) for reader, _ in (make.pipe(), make.pipe()))
    os.dup2(make.pipe()[0].fileno(), w.reused.fd)
    w.say = {
        "sock": f"descriptor {w.sock.fileno()} (UNIX socket, connected)",
        "free": f"descriptor {w.free.fileno()} (UNIX socket, connected)",
        "free_watch": f"<readyq.Watch fd {w.free.fileno()} (UNIX socket, connected) interest READ>",
        "closed": shorten(repr(w.closed)),
        "queue": f"descriptor {queue.fileno()} ([eventpoll])",
        "late": f"descriptor {w.late.fd} (closed)",
        "reused": f"descriptor {w.reused.fd} (pipe)",
    }
    w.late.source.close()
    return w


def dispatch(w, data):
    w.trigger.data = data
    w.trigger.fire()
    return w.q.dispatch(0)


EBADF, EEXIST, ESRCH = "[Errno 9] ", "[Errno 17] ", "[Errno 3] "

MISTAKES = [
    # data by position, and other arguments in the wrong place
    (lambda w: w.q.add(w.free, w.client), TypeError,
     f"add: interest must be {LETTERS}, not Client <Client>{BY_NAME}"),
    (lambda w: w.q.add(w.free, "a client"), ValueError,
     f"add: interest must be made of \"r\", \"w\" and \"p\", not 'a client'{BY_NAME}"),
    (lambda w: w.q.add(w.free, READ, w.client), TypeError,
     f"add() takes at most 2 positional arguments (3 given){BY_NAME}"),
    (lambda w: w.q.add(READ, w.client), TypeError,
     f"add: interest must be {LETTERS}, not Client <Client>{BY_NAME}"),
    (lambda w: w.q.add_timer(1, tick), TypeError,
     f"add_timer() takes at most 1 positional argument (2 given){BY_NAME}, period=..."),
    (lambda w: w.q.add_timer(w.client), TypeError,
     "add_timer: delay must be a number of seconds, not Client <Client>"),
    (lambda w: w.q.add_signal(signal.SIGTERM, tick), TypeError,
     f"add_signal() takes at most 1 positional argument (2 given){BY_NAME}"),
    (lambda w: w.q.add_process(1, tick), TypeError,
     f"add_process() takes at most 1 positional argument (2 given){BY_NAME}"),
    (lambda w: w.q.add_trigger(tick), TypeError,
     f"add_trigger() takes at most 0 positional arguments (1 given){BY_NAME}"),
    (lambda w: w.q.add(), TypeError, "add() needs argument 'source'"),
    (lambda w: w.q.add(w.free, callback=tick), TypeError,
     "add() got an unexpected keyword argument 'callback'; its arguments: source, interest, data"),
    (lambda w: w.q.add_timer(1, interval=2), TypeError,
     "add_timer() got an unexpected keyword argument 'interval'; its arguments: delay, data, "
     "period"),
    (lambda w: w.q.wait(seconds=1), TypeError,
     "wait() got an unexpected keyword argument 'seconds'; its arguments: timeout, maxevents"),
    (lambda w: w.q.modify(w.sock), TypeError, "modify() needs argument 'interest'"),
    # no descriptors
    (lambda w: w.q.add(w.closed), ValueError,
     "add() failed for {closed}: it is closed (its fileno() is negative); use an open one"),
    (lambda w: w.q.add(Lost()), ValueError,
     "add() failed for <Numbered>: it is closed (its fileno() is negative); use an open one"),
    (lambda w: w.q.add(w.file), ValueError, "I/O operation on closed file"),
    (lambda w: w.q.add(777_777), OSError,
     EBADF + "add(READ) failed for descriptor 777777 (closed): it is not open; use the number of "
     "an open descriptor"),
    (lambda w: w.q.add(w.closed.fileno(), WRITE), OSError,
     EBADF + "add(WRITE) failed for -1: it is not open; use the number of an open descriptor"),
    (lambda w: w.q.add(1.0), TypeError, f"add: {NO_FILENO} float 1.0"),
    (lambda w: w.q.add("3"), TypeError, f"add: {NO_FILENO} str '3'"),
    (lambda w: w.q.add(None), TypeError, f"add: {NO_FILENO} NoneType None"),
    (lambda w: w.q.add(True), TypeError, f"add: {NO_FILENO} bool True"),
    (lambda w: w.q.add([]), TypeError, f"add: {NO_FILENO} list []"),
    (lambda w: w.q.add(w.client), TypeError, f"add: {NO_FILENO} Client <Client>"),
    (lambda w: w.q.add(socket.socket), TypeError,
     f"add: {NO_FILENO} type <class 'socket.socket'>"),
    (lambda w: w.q.add(w.foreign), TypeError, f"add: {NO_FILENO} readyq.Watch {{free_watch}}"),
    (lambda w: w.q.add(Numbered()), TypeError,
     "add: fileno() of Numbered must be an int, not str '3'"),
    (lambda w: w.q.add(2**31), ValueError, "add: descriptor is out of range: 2147483648"),
    (lambda w: w.q.add(10**5000), ValueError, "add: descriptor is out of range: <int object>"),
    (lambda w: w.q.add(w.q), ValueError,
     "add(READ) failed for {queue}: it belongs to this queue; a queue cannot watch itself"),
    # interests
    (lambda w: w.q.add(w.free, "rx"), ValueError,
     f"add: interest must be made of \"r\", \"w\" and \"p\", not 'rx'{BY_NAME}"),
    (lambda w: w.q.add(w.free, ""), ValueError,
     f"add: interest must be made of \"r\", \"w\" and \"p\", not ''{BY_NAME}"),
    (lambda w: w.q.add(w.free, EDGE), ValueError, f"add(EDGE) failed for {{free}}: {COMBINE}"),
    (lambda w: w.q.add(w.free, READ | READ_CLOSED), ValueError,
     f"add(READ|READ_CLOSED) failed for {{free}}: {COMBINE}"),
    (lambda w: w.q.add(w.free, 0x2000), ValueError, f"add(0x2000) failed for {{free}}: {COMBINE}"),
    (lambda w: w.q.add(w.free, -1), ValueError, "add: interest is out of range: -1"),
    (lambda w: w.q.add(w.free, True), TypeError,
     f"add: interest must be {LETTERS}, not bool True{BY_NAME}"),
    (lambda w: w.watch.modify(EDGE), ValueError, f"modify(EDGE) failed for {{sock}}: {COMBINE}"),
    (lambda w: w.watch.modify(None), TypeError,
     f"modify: interest must be {LETTERS}, not NoneType None"),
    # what is watched, and what is not
    (lambda w: w.q.add(w.sock, WRITE), FileExistsError,
     EEXIST + "add(WRITE) failed for {sock}: this queue already watches it; modify its watch, or "
     "remove it first"),
    (lambda w: w.q.remove(w.free), KeyError,
     "remove() failed for {free}: this queue does not watch it; there is nothing to remove"),
    (lambda w: w.q.remove(w.closed), KeyError,
     "remove() failed for {closed}: this queue does not watch it; there is nothing to remove"),
    (lambda w: w.q.modify(w.free, "w"), KeyError,
     "modify() failed for {free}: this queue does not watch it; add it first"),
    (lambda w: w.q[w.free], KeyError,
     "q[source] failed for {free}: this queue does not watch it; add it first"),
    (lambda w: w.q[777_777], KeyError,
     "q[source] failed for descriptor 777777 (closed): this queue does not watch it; add it "
     "first"),
    (lambda w: w.q["mine"], TypeError, f"q[source]: {NO_FILENO} str 'mine'"),
    (lambda w: w.q.remove(w.foreign), KeyError,
     "remove() failed for {free_watch}: it is not in this queue but in another; call "
     "the watch's own methods"),
    (lambda w: w.q[w.fired], KeyError,
     "q[source] failed for <readyq.Watch timer, inactive, ready FIRED>: it is no longer in this "
     "queue; add its source again"),
    (lambda w: w.fired.modify("r"), KeyError,
     "modify(READ) failed for a timer: it has fired and left its queue; nothing more needs to be"
     " done"),
    (lambda w: w.gone.restart(1), KeyError,
     "restart() failed for a timer: the watch was removed from its queue; add it again"),
    (lambda w: w.late.modify("rw"), OSError,
     EBADF + f"modify(READ|WRITE) failed for {{late}}: it was closed; {BEFORE}"),
    (lambda w: w.q.modify(w.reused.fd, 0), OSError,
     EBADF + "modify(0) failed for {reused}: it was closed, and the number belongs to another "
     f"file now; {BEFORE}"),
    # one kind of watch for another
    (lambda w: w.watch.restart(1), ValueError,
     "restart() failed for {sock}: it is not a timer; only a timer can be restarted"),
    (lambda w: w.watch.fire(), ValueError,
     "fire() failed for {sock}: it is not a trigger; only a trigger can be fired"),
    (lambda w: w.trigger.modify("r"), ValueError,
     "modify(READ) failed for a trigger: it is not a descriptor's watch; only a descriptor's "
     "watch has an interest"),
    # time
    (lambda w: w.q.wait("1"), TypeError, "wait: timeout must be a number of seconds, not str '1'"),
    (lambda w: w.q.wait(-1), ValueError, "wait: timeout must be a number of seconds >= 0, not -1"),
    (lambda w: w.q.wait(math.nan), ValueError,
     "wait: timeout must be a number of seconds >= 0, not nan"),
    (lambda w: w.q.wait(datetime.timedelta(0, 1)), TypeError,
     "wait: timeout must be a number of seconds, not datetime.timedelta "
     "datetime.timedelta(seconds=1)"),
    (lambda w: w.q.dispatch(-0.5), ValueError,
     "dispatch: timeout must be a number of seconds >= 0, not -0.5"),
    (lambda w: w.q.add_timer(-1), ValueError,
     "add_timer: delay must be a number of seconds >= 0, not -1"),
    (lambda w: w.q.add_timer(1, period=-1), ValueError,
     "add_timer: period must be a number of seconds >= 0, not -1"),
    (lambda w: w.q.wait(0, 0), ValueError, "wait: maxevents must be >= 1 or None, not 0"),
    (lambda w: w.q.wait(0, -1), ValueError, "wait: maxevents must be >= 1 or None, not -1"),
    (lambda w: w.q.wait(0, 1.0), TypeError,
     "wait: maxevents must be an int or None, not float 1.0"),
    (lambda w: w.q.record("x"), TypeError, "record: records must be an int, not str 'x'"),
    (lambda w: w.q.record(True), TypeError, "record: records must be an int, not bool True"),
    (lambda w: w.q.record(0), ValueError, "record: records must be >= 1, not 0"),
    (lambda w: w.q.record(-1), ValueError, "record: records must be >= 1, not -1"),
    # signals and processes
    (lambda w: w.q.add_signal("FOO"), ValueError,
     f"add_signal: no signal is called 'FOO'; {NAMES}"),
    (lambda w: w.q.add_signal("term"), ValueError,
     f"add_signal: no signal is called 'term'; {NAMES}"),
    (lambda w: w.q.add_signal("SIG_IGN"), ValueError,
     f"add_signal: no signal is called 'SIG_IGN'; {NAMES}"),
    (lambda w: w.q.add_signal(signal.SIGKILL), ValueError,
     f"add_signal(9) failed: this signal cannot be caught; {UNCATCHABLE}"),
    (lambda w: w.q.add_signal("SEGV"), ValueError,
     f"add_signal(11) failed: the thread cannot continue after this signal; {UNCATCHABLE}"),
    (lambda w: w.q.add_signal(0), ValueError,
     "add_signal(0) failed: there is no such signal; kill -l lists the signals"),
    (lambda w: w.q.add_signal(None), TypeError,
     'add_signal: signum must be an int or a name such as "TERM", not NoneType None'),
    (lambda w: w.q.add_process(0), ValueError,
     "add_process(0) failed: it is not a process id; a process id is greater than 0"),
    (lambda w: w.q.add_process(w.client), TypeError,
     "add_process: pid must be an int or have an integer pid, not Client <Client>"),
    (lambda w: w.q.add_process(None), TypeError,
     "add_process: pid must be an int or have an integer pid, not NoneType None"),
    (lambda w: w.q.add_process(Unborn()), TypeError,
     "add_process: pid of Unborn must be an int, not NoneType None"),
    (lambda w: w.q.add_process(2**22 + 1), ProcessLookupError,
     ESRCH + "add_process(4194305) failed: there is no such process; watch a process before it is "
     "reaped (waitpid)"),
    # data that dispatch cannot call
    (lambda w: dispatch(w, fetch), TypeError,
     f"dispatch() failed for <readyq.Watch trigger, data={fetch!r}>: {ASYNC}"),
    (lambda w: dispatch(w, w.client.handle), TypeError,
     "dispatch() failed for <readyq.Watch trigger, data=<bound method Client.handle of "
     f"<Client>>>: {ASYNC}"),
    (lambda w: dispatch(w, functools.partial(w.client.handle)), TypeError,
     "dispatch() failed for <readyq.Watch trigger, data=functools.partial(<bound method "
     f"Client.handle of <Client>>)>: {ASYNC}"),
    (lambda w: dispatch(w, w.client), TypeError,
     f"dispatch() failed for <readyq.Watch trigger, data=<Client>>: {ASYNC}"),
    (lambda w: dispatch(w, produce), TypeError,
     f"dispatch() failed for <readyq.Watch trigger, data={produce!r}>: its data is a generator "
     "function, and calling it would run none of its code; pass a plain function, or take the "
     "watch from wait()"),
    (lambda w: dispatch(w, tick(w.trigger)), TypeError,
     "dispatch() failed for <readyq.Watch trigger>: it has no data to call; pass a function as "
     "data, or take the watch from wait()"),
    (lambda w: dispatch(w, "mail"), TypeError,
     "dispatch() failed for <readyq.Watch trigger, data='mail'>: its data cannot be called; pass a "
     "function as data, or take the watch from wait()"),
    # closed queues, and what is no queue
    (lambda w: w.shut.add(w.free), ValueError, "add() failed: the queue is closed; open a new one"),
    (lambda w: w.shut.wait(0), ValueError, "wait() failed: the queue is closed; open a new one"),
    (lambda w: w.left.fire(), ValueError, "fire() failed: the queue is closed; open a new one"),
    (lambda w: readyq.Queue("epoll"), ValueError,
     "Queue: clock must be \"real\" or \"virtual\", not 'epoll'"),
    (lambda w: readyq.Queue(1024), TypeError,
     'Queue: clock must be "real" or "virtual", not 1024'),
    (lambda w: readyq.Queue(debug={1: 1}), ValueError,
     'Queue: debug has no threshold 1; it has "turns", "turn" and "rest"'),
    (lambda w: w.q.wait(0)[0], TypeError, "'readyq.Batch' object is not subscriptable"),
    (lambda w: w.q.trace("log.txt"), TypeError,
     "trace() needs a file, a function to call with a line, or None, not str"),
    (lambda w: readyq.bits("rx"), ValueError,
     "bits: value must be made of \"r\", \"w\" and \"p\", not 'rx'"),
    (lambda w: readyq.describe("log.txt"), TypeError, f"describe: {NO_FILENO} str 'log.txt'"),
]  # fmt: skip


def last_line(error):
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[2][:60])
def test_a_mistake_is_explained_and_changes_nothing(world, mistake):
    call, kind, message = mistake
    watches = list(world.q)
    with pytest.raises(kind) as caught:
        call(world)
    assert type(caught.value) is kind
    said = caught.value.args[0] if kind is KeyError else str(caught.value)
    assert said == message.format(**world.say)
    assert last_line(caught.value) in (call.__code__, dispatch.__code__)
    assert list(world.q) == watches
    assert (world.watch.interest, world.watch.active) == (READ, True)


def test_the_table_has_forty_mistakes():
    assert len({message for _, _, message in MISTAKES}) >= 40


def test_an_error_of_the_objects_own_is_not_changed(queue):
    class Broken:
        def fileno(self):
            return self.number  # there is none

    class Raising:
        error = LookupError("mine")

        def fileno(self):
            raise self.error

    with pytest.raises(AttributeError, match="no attribute 'number'"):
        queue.add(Broken())
    thing = Raising()
    for call in (
        lambda: queue.add(thing),
        lambda: queue.remove(thing),
        lambda: queue.modify(thing, "r"),
        lambda: queue[thing],
        lambda: thing in queue,
        lambda: readyq.describe(thing),
    ):
        with pytest.raises(LookupError) as caught:
            call()
        assert caught.value is thing.error


def test_an_error_text_does_not_ask_for_the_descriptor_again(queue):
    """The second call's KeyboardInterrupt was lost."""

    class Fickle:
        calls = 0

        def fileno(self):
            self.calls += 1
            if self.calls % 2 == 0:
                raise KeyboardInterrupt
            return 777_777

    for call in (queue.remove, queue.__getitem__, lambda thing: queue.modify(thing, "r")):
        with pytest.raises(KeyError, match="descriptor 777777"):
            call(Fickle())


SIGNAL = "USR1"  # the compiler interns it


@pytest.mark.parametrize("source", [None, SIGNAL, "".join(["U", "SR1"])], ids=repr)
def test_none_and_names_of_signals_are_not_looked_up(make, source):
    """Every timer and trigger has the source None."""
    queue, empty = make.queue(), make.queue()
    watches = [queue.add_timer(9), queue.add_trigger(), queue.add_signal(SIGNAL)]
    for call in (
        lambda q: q.remove(source),
        lambda q: q.modify(source, "r"),
        lambda q: q.get(source),
        lambda q: q[source],
        lambda q: source in q,
    ):
        with pytest.raises(TypeError, match=NO_FILENO.replace("()", r"\(\)")) as caught:
            call(queue)
        with pytest.raises(TypeError) as expected:
            call(empty)
        assert str(caught.value) == str(expected.value)
    assert list(queue) == watches


def test_a_watch_may_be_removed_again_and_again(world):
    for inactive in (world.fired, world.gone, world.left):
        assert inactive.remove() is False
    for inactive in (world.fired, world.gone):
        assert world.q.remove(inactive) is False


def test_a_callback_may_wait_and_a_loop_may_change_the_queue(queue, make):
    def wait_again(watch):
        called.append(watch)
        assert list(queue.wait(0)) == rest

    called, rest = [], []
    triggers = [queue.add_trigger(data=wait_again) for _ in range(3)]
    for trigger in triggers:
        trigger.fire()
    rest += triggers[1:]
    assert queue.dispatch(0) == 1
    assert called == triggers[:1]
    for watch in queue:
        watch.remove()
        queue.add_trigger()
    assert len(queue) == 3


def test_an_error_inside_data_is_raised_as_it_is(queue):
    queue.add_trigger(data=lambda: None).fire()
    with pytest.raises(TypeError, match="takes 0 positional arguments but 1 was given"):
        queue.dispatch(0)
