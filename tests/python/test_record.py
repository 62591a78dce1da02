# SPDX-License-Identifier: MIT
"""Recordings and figures, as in tests/c/record.c, and what they are as Python objects."""

import collections
import json
import os
import socket
import sys
import threading
import time
import types

import pytest

import readyq
from readyq import ONESHOT, READ, WRITE


@pytest.fixture
def save(tmp_path):
    def save(recording):
        recording.save(tmp_path / "run.json")
        return json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))

    return save


def count(saved, **wanted):
    events = saved["traceEvents"]
    return sum(all(e.get(key) == wanted[key] for key in wanted) for e in events)


def test_a_recording_shows_each_step_in_order(queue):
    before = time.monotonic_ns()
    with queue.record() as recording:
        trigger = queue.add_trigger()
        trigger.fire()
        assert list(queue.wait(1.5)) == [trigger]
        trigger.remove()
    queue.wake()
    types = [record.type for record in recording]
    assert types[:4] == ["start", "add", "fire", "event"]
    assert types[4:8] == ["wait", "wait_end", "delivery", "done"]
    assert types[-1] == "remove"
    records = list(recording)
    assert {record.thread for record in records} == {threading.get_native_id()}
    assert records[1].watch == records[6].watch > 0
    assert records[1].kind == records[6].kind == "trigger"
    assert (records[0].watch, records[0].kind, records[0].number) == (None, None, None)
    assert (records[6].bits, records[6].value) == (readyq.FIRED, 1)
    times = [record.time for record in records]
    assert before - 10**6 <= times[0] <= times[-1] <= time.monotonic_ns()
    assert times == sorted(times)


def test_the_newest_records_are_kept_and_the_dropped_ones_counted(queue):
    recording = queue.record(4)
    trigger = queue.add_trigger()
    for _ in range(5):
        trigger.fire()
    assert (len(recording), recording.dropped) == (4, 2 + 10 - 4)
    assert [record.type for record in recording] == ["fire", "event"] * 2
    assert repr(recording) == "<readyq.Recording, 4 records, 8 dropped>"


def test_a_stopped_recording_keeps_its_records(queue):
    with queue.record() as first, queue.record(records=10) as second:
        trigger = queue.add_trigger()
        first.stop()
        trigger.fire()
    trigger.fire()
    assert [record.type for record in first] == ["start", "add"]
    assert [record.type for record in second] == ["start", "add", "fire", "event"]
    assert first


def run_all(queue, make, recording):
    pairs = [make.unix() for _ in range(20)]
    watches = [
        queue.add(here, READ | (ONESHOT if i == 7 else 0)) for i, (here, _) in enumerate(pairs)
    ]
    for _, there in pairs:
        there.send(b"x")
    timer, trigger = queue.add_timer(0), queue.add_trigger()

    def wait_until_it_sleeps():
        while list(recording)[-1].type != "sleep":
            time.sleep(0.01)

    def fire_and_wake():
        wait_until_it_sleeps()
        trigger.fire()
        wait_until_it_sleeps()
        queue.wake()

    other = threading.Thread(target=fire_and_wake)
    other.start()
    next(queue.wait(None, 10))
    batch = queue.wait()
    watches[15].remove()
    watches[16].modify(READ | WRITE)
    for watch in batch:
        if watch.kind == "fd" and watch is not watches[16]:
            watch.source.recv(10)
    watches[16].modify(0)
    timer.restart(30)
    batch = None
    while list(queue.wait()):
        pass
    other.join()
    for watch in list(queue):
        watch.remove()


def test_counts_in_a_saved_recording_equal_the_stats(queue, make, save):
    recording = queue.record()
    run_all(queue, make, recording)
    stats, saved = queue.stats(), save(recording)
    assert stats.deliveries > 15
    assert count(saved, cat="wait") == stats.waits
    assert count(saved, cat="handler") == stats.deliveries
    assert count(saved, cat="wake") == stats.wakes == 1
    assert count(saved, cat="fire") == stats.fires == 1
    assert count(saved, cat="change", name="add") == stats.adds
    assert count(saved, cat="change", name="remove") == stats.removes == stats.adds
    counts = collections.Counter(record.type for record in recording)
    assert counts["event"] == stats.events
    assert recording.dropped == saved["otherData"]["dropped"] == 0
    assert count(saved, ph="s") == count(saved, ph="f") == 2


@pytest.mark.parametrize("stopped", [False, True])
def test_what_lasts_at_the_end_lasts_until_the_recording_is_saved_or_stopped(queue, save, stopped):
    recording = queue.record()
    queue.add_trigger().fire()
    batch = queue.wait(1.5)
    next(batch)
    time.sleep(0.02)
    if stopped:
        recording.stop()
        time.sleep(0.5)
    [handler] = (e for e in save(recording)["traceEvents"] if e.get("cat") == "handler")
    assert handler["args"]["open"]
    assert 20_000 <= handler["dur"] < 500_000


def test_stats_count_by_kind(queue, make):
    here, there = make.unix()
    there.send(b"x")
    queue.add(here)
    queue.add_timer(0)
    trigger = queue.add_trigger()
    trigger.fire()
    trigger.fire()
    assert len(list(queue.wait(0))) == 3
    stats = queue.stats()
    assert list(stats.kinds) == ["fd", "timer", "signal", "process", "trigger"]
    assert stats.kinds["fd"] == (1, 1, 1, 1)
    assert stats.kinds["timer"] == (0, 1, 1, 1)
    assert stats.kinds["trigger"] == (1, 1, 2, 1)
    assert stats.kinds["process"].deliveries == 0
    assert (stats.watches, stats.adds, stats.removes, stats.fires) == (2, 3, 1, 2)
    assert (stats.events, stats.deliveries, stats.largest_batch) == (4, 3, 3)
    assert stats.system_calls == stats.kernel_waits + stats.changes + stats.kicks


def test_stats_measure_sleep_and_turns(queue):
    queue.wait(0.02)
    before = queue.stats()
    assert 20_000_000 <= before.slept < 10**10
    time.sleep(0.05)
    queue.wait(0.001)
    after = queue.stats()
    assert 50_000_000 <= after.busy - before.busy < 10**10
    assert after.longest_turn == max(after.busy - before.busy, before.longest_turn)


def test_every_figure_is_described(queue):
    for kind in (readyq.Stats, readyq.KindStats, readyq.Record):
        names = [name for name in vars(kind) if not name.startswith(("_", "n_"))]
        assert len(names) in (4, 8, 21)
        assert all(getattr(kind, name).__doc__ for name in names)


def test_a_saved_recording_names_watches_that_are_gone(queue, make, save):
    here, _ = make.unix()
    recording = queue.record()
    watch = queue.add(here)
    fd = here.fileno()
    here.close()
    queue.remove(watch)
    queue.close()
    assert count(
        save(recording), name="thread_name", args={"name": f"fd {fd} (UNIX socket, connected)"}
    )


def test_a_name_with_quotes_control_characters_and_markup_is_escaped(queue, tmp_path, save):
    name = os.fsencode(tmp_path) + b'/"\\<b>&\n\x7f \xe2\x82\xac \xff'
    if len(name) > 100:
        os.chdir(tmp_path)
        name = os.path.basename(name)
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(name)
        with queue.record() as recording:
            queue.add(there)
        saved = save(recording)
    assert "<" not in (tmp_path / "run.json").read_text(encoding="utf-8")
    names = [e["args"]["name"] for e in saved["traceEvents"] if e["name"] == "thread_name"]
    assert '"\\<b>&?? € \ufffd' in names[-1]


def test_a_file_that_cannot_be_written_is_reported(queue, tmp_path):
    recording = queue.record()
    with pytest.raises(FileNotFoundError, match="there is no such directory; create it first") as e:
        recording.save(tmp_path / "no" / "run.json")
    assert e.value.filename == tmp_path / "no" / "run.json"
    with pytest.raises(IsADirectoryError):
        recording.save(str(tmp_path))
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="the disk is full; free some space"):
            recording.save(b"/dev/full")
    for path in (None, 5, "a\0b"):
        with pytest.raises((TypeError, ValueError)):
            recording.save(path)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (0, "must be >= 1, not 0"),
        (-1, "must be >= 1, not -1"),
        (-(2**70), "is out of range: -"),
        (2**31 - 1, "at most 1073741824"),
        (2**70, "is out of range: "),
    ],
)
def test_a_recording_without_records_or_with_too_many_is_refused(queue, records, why):
    with pytest.raises(ValueError, match=f"record.*{why}"):
        queue.record(records)


def test_a_closed_queue_is_not_recorded(queue):
    queue.close()
    with pytest.raises(ValueError, match=r"record\(\) failed: the queue is closed"):
        queue.record()
    with pytest.raises(TypeError, match="record"):
        queue.record(10, 20)


def test_a_recording_says_how_many_records_it_has(queue):
    recording = queue.record(1)
    assert repr(recording) == "<readyq.Recording, 1 record, 0 dropped>"
    queue.add_trigger()
    assert repr(recording) == "<readyq.Recording, 1 record, 1 dropped>"


@pytest.mark.parametrize("records", [1.5, "1", None, True])
def test_a_number_of_records_that_is_no_integer_is_refused(queue, records):
    with pytest.raises(TypeError):
        queue.record(records)
    with pytest.raises(TypeError):
        readyq.Recording()


def test_the_recording_of_a_closed_queue_is_kept(queue, save):
    recording = queue.record()
    queue.add_trigger()
    queue.close()
    assert count(save(recording), cat="queue", name="close") == 1
    assert [record.type for record in recording] == ["start", "add", "close", "remove"]
    with pytest.raises(ValueError, match="closed"):
        queue.record()


def test_a_child_continues_its_copy_of_a_recording(queue):
    recording = queue.record()
    trigger = queue.add_trigger()
    pid = os.fork()
    if pid == 0:
        trigger.fire()
        types = [record.type for record in recording]
        os._exit(types != ["start", "add", "fork", "fire", "event"])
    assert os.waitpid(pid, 0)[1] == 0
    assert [record.type for record in recording] == ["start", "add"]


def test_recordings_begin_and_end_while_other_threads_wait(queue, tmp_path):
    over = threading.Event()

    def work():
        while not over.is_set():
            list(queue.wait(0.001))

    trigger = queue.add_trigger()
    queue.add_timer(0, period=0.0001)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with queue.record(500) as recording:
            trigger.fire()
            time.sleep(0.002)
        recording.save(tmp_path / "run.json")
        assert sum(record.type == "fire" for record in recording) <= 1
    over.set()
    for thread in threads:
        thread.join()


def test_a_notebook_shows_a_recording_as_a_picture(queue, monkeypatch):
    timeline = types.ModuleType("readyq.timeline")
    timeline.svg = lambda text: f"<svg>{json.loads(text)['otherData']['backend']}</svg>"
    monkeypatch.setitem(sys.modules, "readyq.timeline", timeline)
    assert queue.record()._repr_svg_() == f"<svg>{queue.backend}</svg>"


def test_the_times_of_a_stopped_recording_stay_as_they_are(queue):
    """The records after the last mark were placed between its time and that of the reading."""
    trigger = queue.add_trigger()
    with queue.record() as recording:
        for _ in range(20):
            trigger.fire()
            list(queue.wait(0))
    first = list(recording)
    time.sleep(0.01)
    assert list(recording) == first
