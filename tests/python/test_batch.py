# SPDX-License-Identifier: MIT
"""The result of wait(): an iterator that takes one watch at a time and gives the others back."""

import contextlib
import gc
import operator
import os
import signal
import subprocess
import sys
import threading
import weakref

import pytest

import readyq
from readyq import EDGE, ONESHOT, READ

SOON = 10


def end(child):
    """Ends a process, which is not reaped."""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def all_kinds(queue, make):
    """Watches of every kind, all ready."""
    pairs = [make.unix() for _ in range(3)]
    for _, there in pairs:
        there.send(b"x")
    watches = [
        queue.add(here, interest)
        for (here, _), interest in zip(pairs, (READ, READ | EDGE, READ | ONESHOT))
    ]
    child = make.child()
    watches += [queue.add(make.file(), "r"), queue.add_timer(0), queue.add_timer(0, period=60)]
    watches += [queue.add_trigger(), queue.add_signal(signal.SIGUSR1)]
    watches += [queue.add_process(child.pid)]
    watches[6].fire()
    os.kill(os.getpid(), signal.SIGUSR1)
    end(child)
    while len(queue.wait(SOON)) < len(watches):
        pass
    return watches


@pytest.fixture
def triggers(queue):
    watches = [queue.add_trigger(data=number) for number in range(5)]
    for watch in watches:
        watch.fire()
    return watches


# ------------------------------------------------------------------ looking at it


def test_it_can_be_looked_at_without_taking_anything(queue, triggers):
    batch = queue.wait(0)
    for _ in range(2):
        assert len(batch) == operator.length_hint(batch) == 5
        assert batch
        assert all(watch in batch for watch in triggers)
        assert queue.add_trigger() not in batch
        assert "text" not in batch
        assert [watch.ready for watch in triggers] == [0] * 5
    assert next(batch) is triggers[0]
    assert len(batch) == 4
    assert triggers[0] not in batch
    assert list(batch) == triggers[1:]
    assert not batch
    assert len(batch) == 0
    assert next(batch, None) is None


def test_its_repr_shows_what_is_ready_and_not_what_was_before(queue, make):
    here, there = make.unix()
    watch = queue.add(here, "rw")
    assert list(queue.wait(0)) == [watch]
    there.send(b"x")
    batch = queue.wait(0)
    what = f"<readyq.Watch fd {here.fileno()} (UNIX socket, connected) interest READ|WRITE"
    assert repr(batch) == f"<readyq.Batch [{what}, ready READ|WRITE>]>"
    assert repr(watch) == f"{what}, ready WRITE>"
    queue.add_trigger(data="mail").fire()
    assert repr(queue.wait(0)).endswith(", <readyq.Watch trigger, ready FIRED, data='mail'>]>")
    watch.remove()
    assert repr(batch) == "<readyq.Batch []>"


def test_its_repr_ends_where_it_is_in_its_own_data(queue):
    trigger = queue.add_trigger()
    trigger.fire()
    trigger.data = batch = queue.wait(0)
    assert repr(batch).count("trigger") == 1


def test_it_is_unpacked_like_any_iterator(queue, triggers):
    first, *others = queue.wait(0)
    assert [first, *others] == triggers
    triggers[1].fire()
    (only,) = queue.wait(0)
    assert only is triggers[1]
    with pytest.raises(ValueError, match="not enough values"):
        (only,) = queue.wait(0)
    with pytest.raises(TypeError, match="subscriptable"):
        queue.wait(0)[0]


def test_it_is_an_iterator_and_holds_its_queue(queue):
    batch = queue.wait(0)
    assert iter(batch) is batch
    assert queue in gc.get_referents(batch)
    assert readyq.Batch is type(batch)
    assert gc.is_tracked(batch)


# ------------------------------------------------------------------ leaving it early


def test_leaving_the_loop_at_once_loses_nothing_of_any_kind(queue, all_kinds):
    taken = []
    while len(taken) < len(all_kinds):
        for watch in queue.wait(SOON):
            taken.append(watch)
            if watch.interest == READ:
                watch.modify(0)  # a level-triggered watch would be reported again
            break
    assert set(taken) == set(all_kinds)


@pytest.mark.parametrize("leave", ["break", "raise", "return", "next", "drop"])
def test_each_way_of_leaving_leaves_the_rest_to_the_next_wait(queue, triggers, leave):
    def loop():
        for watch in queue.wait(0):
            if leave == "break":
                break
            if leave == "raise":
                raise LookupError
            return watch

    if leave == "next":
        assert next(queue.wait(0)) is triggers[0]
    elif leave == "drop":
        queue.wait(0)
        triggers.insert(0, None)
    else:
        with contextlib.suppress(LookupError):
            loop()
    assert list(queue.wait(0)) == triggers[1:]


def test_what_was_left_comes_before_what_is_new(queue, triggers, make):
    assert next(queue.wait(0)) is triggers[0]
    here, there = make.unix()
    there.send(b"x")
    new = queue.add(here, READ)
    triggers[0].fire()
    found = list(queue.wait(0))
    assert found[:4] == triggers[1:]
    assert set(found[4:]) == {new, triggers[0]}


def test_a_count_that_was_not_taken_goes_on(queue):
    trigger = queue.add_trigger()
    for _ in range(3):
        trigger.fire()
        assert len(queue.wait(0)) == 1
        assert trigger.count == 1
    assert next(queue.wait(0)).count == 3


def test_maxevents_and_leaving_early_serve_all_in_turn(queue, make):
    watches = {queue.add(make.unix()[0], "w") for _ in range(6)}
    seen = set()
    for _ in range(6):
        seen.add(next(queue.wait(0, maxevents=2)))
    assert seen == watches


def test_a_generator_that_is_left_gives_back_when_it_is_closed(queue, triggers):
    def ready():
        yield from queue.wait(0)

    left = ready()
    assert next(left) is triggers[0]
    left.close()
    assert list(queue.wait(0)) == triggers[1:]


def test_a_generator_ends_when_its_thread_has_waited_again(queue, triggers):
    def ready():
        yield from queue.wait(0)

    left = ready()
    assert next(left) is triggers[0]
    assert list(queue.wait(0)) == triggers[1:]
    assert list(left) == []


def test_a_generator_that_is_collected_gives_back(queue, triggers):
    def ready(itself):
        yield from queue.wait(0)

    cycle = []
    cycle.append(ready(cycle))
    assert next(cycle[0]) is triggers[0]
    del cycle
    gc.collect()
    assert list(queue.wait(0)) == triggers[1:]


def test_a_generator_that_another_thread_drops_gives_back(queue, triggers, start):
    def ready():
        yield from queue.wait(0)

    left = [ready()]
    assert next(left[0]) is triggers[0]
    assert start(lambda: list(queue.wait(0))).result(SOON) == []
    start(left.clear).result(SOON)
    assert list(queue.wait(0)) == triggers[1:]


def test_a_traceback_gives_back_when_it_is_dropped(queue, triggers, start):
    def fail():
        batch = queue.wait(0)
        raise LookupError(next(batch).data)

    kept = []
    try:
        fail()
    except LookupError as error:
        kept.append(error)
    assert start(lambda: list(queue.wait(0))).result(SOON) == []
    kept.clear()
    assert start(lambda: list(queue.wait(0))).result(SOON) == triggers[1:]


def test_a_traceback_that_keeps_the_batch_loses_nothing(queue, triggers):
    def fail():
        batch = queue.wait(0)
        raise LookupError(next(batch).data)

    with pytest.raises(LookupError) as caught:
        fail()
    assert caught.value.args == (0,)
    assert list(queue.wait(0)) == triggers[1:]


# ------------------------------------------------------------------ changes in between


def test_a_watch_that_the_loop_removes_is_not_taken(queue, all_kinds):
    batch = queue.wait(SOON)
    kept = next(batch)
    for watch in all_kinds:
        if watch is not kept:
            assert watch.remove()
            assert watch not in batch
    assert list(batch) == []
    assert [watch.ready for watch in all_kinds if watch is not kept] == [0] * (len(all_kinds) - 1)


def test_a_loop_that_removes_the_others_sees_one_only(queue, all_kinds):
    seen = []
    for watch in queue.wait(0):
        seen.append(watch)
        for other in all_kinds:
            if other is not watch:
                queue.remove(other)
    assert len(seen) == 1
    assert set(queue) <= set(seen)


def test_list_takes_all_at_once_and_what_is_removed_then_says_so(queue, triggers):
    taken = list(queue.wait(0))
    assert taken == triggers
    triggers[1].remove()
    assert (triggers[1].ready, triggers[1].active) == (0, False)
    assert triggers[2].ready


def test_a_watch_that_the_loop_modifies_is_asked_for_anew(queue, make):
    pairs = [make.unix() for _ in range(2)]
    watches = [queue.add(here, "w") for here, _ in pairs]
    (first,) = queue.wait(0, 1)
    batch = queue.wait(0)
    other = watches[1] if first is watches[0] else watches[0]
    other.modify("r")
    assert list(batch) == [first]
    assert list(queue.wait(0)) == [first]


def test_a_fire_inside_the_loop_comes_with_the_next_wait(queue, triggers):
    for watch in queue.wait(0):
        triggers[0].fire()
        last = watch
    assert last is triggers[4]
    assert list(queue.wait(0)) == [triggers[0]]
    assert triggers[0].count == 5


def test_a_wait_inside_the_loop_takes_the_rest_and_ends_it(queue, triggers):
    inner = []
    for watch in queue.wait(0):
        assert watch is triggers[0]
        inner += queue.wait(0)
    assert inner == triggers[1:]
    assert list(queue.wait(0)) == []


def test_a_dispatch_inside_the_loop_calls_the_rest_and_ends_it(queue, triggers):
    called = []
    for watch in triggers:
        watch.data = called.append
    for _ in queue.wait(0):
        assert queue.dispatch(0) == 4
    assert called == triggers[1:]


def test_a_wait_of_another_queue_inside_the_loop_changes_nothing(queue, triggers, make):
    other = make.queue()
    seen = []
    for watch in queue.wait(0):
        seen.append(watch)
        other.wait(0)
    assert seen == triggers


def test_a_batch_that_is_kept_is_empty_once_its_thread_waits_again(queue, triggers):
    kept = []
    for _ in range(3):
        kept.append(queue.wait(0))
    assert [len(batch) for batch in kept] == [0, 0, 5]
    assert next(kept[0], None) is None
    assert list(kept[2]) == triggers
    assert "[]" in repr(kept[1])


def test_a_batch_that_is_kept_in_a_variable_costs_no_system_call_more(queue, make):
    for _ in range(10):
        here, there = make.unix()
        there.send(b"x")
        queue.add(here, "r")
    ready = queue.wait(0)
    before = queue.stats()
    for _ in range(10):
        ready = queue.wait(0)
        assert len(list(ready)) == 10
    after = queue.stats()
    assert after.changes == before.changes
    assert after.kernel_waits - before.kernel_waits == 10


def test_restarting_a_timer_takes_it_out_of_the_batch(queue):
    timers = [queue.add_timer(0), queue.add_timer(0)]
    batch = queue.wait(SOON)
    timers[1].restart(60)
    assert list(batch) == timers[:1]
    assert timers[1].active


# ------------------------------------------------------------------ threads


def test_no_other_thread_gets_what_a_batch_holds_taken_or_not(queue, make, start):
    watches = []
    for _ in range(2):
        here, there = make.unix()
        there.send(b"x")
        watches.append(queue.add(here, "r"))
    batch = queue.wait(0)
    next(batch)
    assert start(lambda: len(queue.wait(0.05))).result(SOON) == 0
    assert len(list(batch)) == 1
    assert start(lambda: len(queue.wait(0.05))).result(SOON) == 0
    del batch
    assert start(lambda: set(queue.wait(SOON))).result(SOON) == set(watches)


def test_dropping_it_ends_the_wait_of_another_thread(queue, triggers, start, nap):
    batch = queue.wait(0)
    assert next(batch) is triggers[0]
    waiting = start(lambda: list(queue.wait(SOON)))
    nap()
    assert not waiting.done()
    del batch
    assert waiting.result(SOON) == triggers[1:]


def test_it_can_be_dropped_and_taken_from_in_another_thread(queue, triggers, start):
    kept = [queue.wait(0)]
    assert start(lambda: next(kept[0])).result(SOON) is triggers[0]
    start(kept.clear).result(SOON)
    assert list(queue.wait(0)) == triggers[1:]


def test_it_is_given_back_though_its_thread_has_ended(queue, triggers, start):
    batch = start(queue.wait, 0).result(SOON)
    assert next(batch) is triggers[0]
    del batch
    gc.collect()
    assert set(queue.wait(0)) == set(triggers[1:])


def test_a_watch_removed_by_another_thread_is_skipped(queue, triggers, start):
    batch = queue.wait(0)
    assert next(batch) is triggers[0]
    start(triggers[1].remove).result(SOON)
    assert list(batch) == triggers[2:]


def test_a_batch_may_be_read_while_its_thread_closes_it_by_waiting_again(python):
    """The wait closes the signal handler's batch without the GIL. A reader that had seen the batch
    open, and waited for the lock, crashed."""
    child = python(
        """
import readyq, signal, sys, threading, time
sys.setswitchinterval(1e-6)
q, batch, stop = readyq.Queue(), None, False
def handler(*_):
    global batch
    batch = q.wait(0)
def read():
    while not stop:
        len(batch or "")
readers = [threading.Thread(target=read) for _ in range(2)]
for reader in readers: reader.start()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    q.wait(0.003)
signal.setitimer(signal.ITIMER_REAL, 0)
stop = True
for reader in readers: reader.join()
print("survived")
"""
    )
    assert child.communicate(timeout=60) == ("survived\n", "")


def test_a_wait_whose_events_were_all_removed_continues_until_its_deadline(queue, make, start, nap):
    """Two threads in turn: one finds what the other removes before it has the GIL again."""
    stop = threading.Event()
    empty = []

    def wait():
        while not stop.is_set():
            batch = queue.wait(SOON)
            if not batch and not stop.is_set():
                empty.append(batch)

    waiting = start(wait)
    for _ in range(300):
        here, there = make.unix()
        there.send(b"x")
        queue.add(here, "r").remove()
        here.close()
        there.close()
    stop.set()
    queue.wake()
    waiting.result(SOON)
    assert empty == []


def test_threads_that_leave_their_loops_early_lose_nothing(queue, start):
    total, counts, lock = 600, {}, threading.Lock()
    triggers = [queue.add_trigger(data=number) for number in range(12)]
    done = threading.Event()

    def serve():
        while not done.is_set():
            for watch in queue.wait(0.05):
                with lock:
                    counts[watch] = counts.get(watch, 0) + watch.count
                break

    workers = [start(serve) for _ in range(3)]
    for _ in range(total // len(triggers)):
        for trigger in triggers:
            trigger.fire()
    for _ in range(1000):
        if sum(counts.values()) == total:
            break
        done.wait(0.01)
    done.set()
    for worker in workers:
        worker.result(SOON)
    assert counts == dict.fromkeys(triggers, total // len(triggers))


def test_threads_that_leave_early_lose_nothing_of_any_kind(queue, make, start):
    """Edges, one-shots, timers, signals, processes and triggers, each counted."""
    pairs = [make.unix() for _ in range(8)]
    for number, (here, there) in enumerate(pairs):
        queue.add(here, READ | (EDGE if number % 2 else ONESHOT), data="fd")
        there.send(b"x")
    for _ in range(8):
        queue.add_timer(0.001, data="timer")
        queue.add_trigger(data="trigger").fire()
    queue.add_signal("USR1", data="signal")
    children = [make.child() for _ in range(2)]
    for child in children:
        queue.add_process(child, data="process")
        end(child)
    expected = {"fd": 8, "timer": 8, "trigger": 8, "signal": 1, "process": 2}
    seen, lock, done = [], threading.Lock(), threading.Event()

    def serve():
        while not done.is_set():
            for watch in queue.wait(0.02):
                with lock:
                    seen.append(watch)
                break

    workers = [start(serve) for _ in range(4)]
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(1000):
        if len(seen) >= sum(expected.values()):
            break
        done.wait(0.01)
    done.wait(0.05)  # for what would come twice
    done.set()
    for worker in workers:
        worker.result(SOON)
    found = [watch.data for watch in seen]
    assert {kind: found.count(kind) for kind in expected} == expected
    assert len(set(seen)) == len(seen)


def test_a_watch_that_another_thread_has_removed_is_never_taken(queue, start):
    removed, wrong, done = set(), [], threading.Event()

    def serve():
        while not done.is_set():
            batch = queue.wait(0.01)
            while True:
                before = removed.copy()
                watch = next(batch, None)
                if watch is None:
                    break
                if watch in before:
                    wrong.append(watch)

    workers = [start(serve) for _ in range(2)]
    for _ in range(200):
        triggers = [queue.add_trigger() for _ in range(10)]
        for trigger in triggers:
            trigger.fire()
        for trigger in reversed(triggers):
            trigger.remove()
            removed.add(trigger)
    done.set()
    for worker in workers:
        worker.result(SOON)
    assert wrong == []
    assert len(queue) == 0


def test_threads_dispatch_each_event_once_though_callbacks_raise(queue, start):
    total, counts, lock = 300, [], threading.Lock()
    done = threading.Event()

    def called(watch):
        with lock:
            counts.append(watch.count)
        raise LookupError("mine")

    def serve():
        while not done.is_set():
            with contextlib.suppress(LookupError):
                queue.dispatch(0.02)

    triggers = [queue.add_trigger(data=called) for _ in range(6)]
    workers = [start(serve) for _ in range(3)]
    for number in range(total):
        triggers[number % 6].fire()
    for _ in range(1000):
        if sum(counts) == total:
            break
        done.wait(0.01)
    done.set()
    for worker in workers:
        worker.result(SOON)
    assert sum(counts) == total


# ------------------------------------------------------------------ closing, forking, collecting


def test_closing_the_queue_empties_it(queue, all_kinds):
    batch = queue.wait(0)
    next(batch)
    queue.close()
    assert len(batch) == 0
    assert list(batch) == []
    assert repr(batch) == "<readyq.Batch []>"
    assert not any(watch.active or watch.ready for watch in all_kinds)


def test_closing_the_queue_inside_its_loop_ends_the_loop(queue, triggers):
    for number, watch in enumerate(queue.wait(0)):
        assert (number, watch) == (0, triggers[0])
        queue.close()


def test_it_keeps_its_queue_and_the_queue_closes_after_it():
    fds = len(os.listdir("/proc/self/fd"))
    queue = readyq.Queue()
    trigger = weakref.ref(queue.add_trigger())
    trigger().fire()
    queue.add_timer(0)
    batch = queue.wait(0)
    del queue
    gc.collect()
    assert trigger() in batch
    assert [watch.kind for watch in batch] == ["trigger", "timer"]
    del batch
    gc.collect()
    assert trigger() is None
    assert len(os.listdir("/proc/self/fd")) == fds


def test_a_cycle_through_it_is_collected():
    queue = readyq.Queue()
    trigger = queue.add_trigger()
    trigger.fire()
    trigger.data = queue.wait(0)
    alive = weakref.ref(queue)
    del queue, trigger
    gc.collect()
    assert alive() is None


def test_a_batch_that_the_collector_finds_in_a_cycle_gives_back(queue, triggers):
    cycle = [queue.wait(0)]
    cycle.append(cycle)
    assert next(cycle[0]) is triggers[0]
    del cycle
    gc.collect()
    assert list(queue.wait(0)) == triggers[1:]


def test_closing_in_another_thread_ends_a_loop(queue, triggers, start):
    seen = []
    for watch in queue.wait(0):
        seen.append(watch)
        start(queue.close).result(SOON)
    assert seen == triggers[:1]
    assert (triggers[1].ready, triggers[1].active) == (0, False)


def test_both_processes_have_it_after_a_fork(python):
    child = python(
        """
import os, readyq, socket, sys
q = readyq.Queue()
pairs = [socket.socketpair() for _ in range(4)]
watches = [q.add(here, readyq.READ | mode) for (here, _), mode in
           zip(pairs, (0, readyq.EDGE, readyq.ONESHOT, 0))] + [q.add_trigger()]
for _, there in pairs: there.send(b"x")
watches[4].fire()
batch = q.wait(1)
first = next(batch)
pid = os.fork()
rest = set(batch)
assert rest == set(watches) - {first}, rest
del batch
if first is not watches[0] or pid:
    assert watches[0] in list(q.wait(1))
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
pairs[1][1].send(b"y")
assert watches[1] in list(q.wait(1))
for pair in pairs:
    for end in pair: end.close()
print("both")
"""
    )
    assert child.communicate(timeout=20) == ("both\n", "")


def test_a_child_gets_what_its_parents_other_thread_holds(python):
    child = python(
        """
import os, readyq, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
q = readyq.Queue()
triggers = [q.add_trigger() for _ in range(3)]
for trigger in triggers: trigger.fire()
held, go_on = threading.Event(), threading.Event()
def work():
    global batch
    batch = q.wait(0)
    next(batch)
    held.set()
    go_on.wait()
thread = threading.Thread(target=work)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    os._exit(not (list(q.wait(1)) == triggers[1:] and list(batch) == []))
assert os.waitpid(pid, 0)[1] == 0
assert list(q.wait(0)) == []
go_on.set()
thread.join()
assert list(batch) == triggers[1:]
"""
    )
    assert child.communicate(timeout=20) == ("", "")


def test_batches_that_are_left_at_the_end_are_no_crash():
    code = (
        "import readyq\n"
        "q = readyq.Queue()\n"
        "t = [q.add_trigger() for _ in range(3)]\n"
        "for w in t: w.fire()\n"
        "b = [q.wait(0), q.wait(0)]\n"
        "b.append(b)\n"
        "t[0].data = t[1].data = b\n"
        "next(b[1])\n"
    )
    package = os.path.dirname(os.path.dirname(readyq.__file__))
    environment = {**os.environ, "PYTHONPATH": package}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
