# SPDX-License-Identifier: MIT
"""Pictures of recordings: what `python -m readyq.timeline` draws, and what it refuses."""

import base64
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import browser
import pytest
import recordings

import readyq
from readyq import timeline
from readyq.timeline import __main__ as command
from readyq.timeline import layout, look, text
from readyq.timeline.recording import read

SVG = "{http://www.w3.org/2000/svg}"
MS, US = recordings.MS, recordings.US
every = pytest.mark.parametrize("make", recordings.ALL, ids=lambda make: make.__name__)
widths = pytest.mark.parametrize("width", [500, 830, 1600])


def parse(make, width=830):
    return ElementTree.fromstring(timeline.svg(make().text(), width))


def offset(element):
    """The y of a group's transform."""
    return float(re.findall(r"translate\(\S+ (\S+)\)", element.get("transform", ""))[0])


def walk(root):
    """Each element that is drawn, with the y that its group adds."""
    for element in root:
        if element.tag == f"{SVG}g":
            yield from ((inner, offset(element)) for inner in element)
        else:
            yield element, 0.0


def words_of(element):
    """A text without its <title>."""
    return "".join([element.text or "", *(child.tail or "" for child in element)])


def text_boxes(root):
    """The words and the largest possible box of each text: left, top, right, bottom."""
    for element, down in walk(root):
        if element.tag != f"{SVG}text":
            continue
        size, words = float(element.get("font-size")), words_of(element)
        room = text.width(words, size, bold=element.get("font-weight") is not None)
        share = {"middle": 0.5, "end": 1}.get(element.get("text-anchor"), 0)
        left, base = float(element.get("x")) - share * room, float(element.get("y")) + down
        yield words, (left, base - 0.8 * size, left + room, base + 0.2 * size)


def bars(root, *kinds):
    for element, down in walk(root):
        if element.tag == f"{SVG}rect" and element.get("class") in kinds:
            left, top, width, height = (
                float(element.get(one)) for one in "x y width height".split()
            )
            yield left, top + down, left + width, top + down + height


def overlap(one, other):
    return (
        min(one[2], other[2]) - max(one[0], other[0]) > 0.11
        and min(one[3], other[3]) - max(one[1], other[1]) > 0.11
    )


def inside(one, other):
    return other[0] <= one[0] and one[2] <= other[2]


# ------------------------------------------------------------------ nothing overlaps, or is cut off


@every
@widths
def test_no_text_overlaps_another(make, width):
    boxes = list(text_boxes(parse(make, width)))
    assert boxes
    for (words, one), (others, other) in itertools.combinations(boxes, 2):
        assert not overlap(one, other), f"{words!r} and {others!r}"


@every
@widths
def test_no_text_or_bar_leaves_the_picture(make, width):
    root = parse(make, width)
    _, _, right, bottom = map(float, root.get("viewBox").split())
    boxes = [box for _, box in text_boxes(root)]
    boxes += bars(root, "sleep", "handler", "ready", "awake")
    for box in boxes:
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= right + 0.1
        assert box[3] <= bottom


@every
@widths
def test_a_text_is_in_a_bar_or_beside_it_but_not_across_its_edge(make, width):
    root = parse(make, width)
    edges = list(bars(root, "sleep", "handler", "ready"))
    for words, box in text_boxes(root):
        for bar in edges:
            assert not overlap(box, bar) or inside(box, bar), words


@every
def test_no_text_is_crossed_by_an_arrow(make):
    root = parse(make)
    boxes = list(text_boxes(root))
    for element, down in walk(root):
        if (element.get("class") or "").split()[:1] == ["arrow"] and down:
            x1, y1, x2, y2 = map(float, re.findall(r"[\d.]+", element.get("d")))
            arrow = min(x1, x2), min(y1, y2) + down, max(x1, x2) + 0.2, max(y1, y2) + down
            assert not [words for words, box in boxes if overlap(arrow, box)]


def test_a_long_name_is_shortened_in_its_middle_and_whole_in_the_title():
    trace = recordings.Trace()
    name = f"fd 3 (unix /run/{'very/' * 30}long.sock)"
    trace.watch(1, name)
    root = ElementTree.fromstring(timeline.svg(trace.text()))
    [shown] = [one for one, _ in walk(root) if "…" in words_of(one)]
    beginning, end = words_of(shown).split("…")
    assert name.removeprefix("fd 3 (").startswith(beginning)
    assert name.removesuffix(")").endswith(end)
    assert shown.find(f"{SVG}title").text == name


# ------------------------------------------------------------------ what is shown


def shown(make):
    return [words for words, _ in text_boxes(parse(make))]


def test_the_title_has_the_totals():
    assert shown(recordings.conversation)[0] == (
        "A queue on epoll: 806 ms, 4 waits, 99.9 % asleep, 4 deliveries, 0 records dropped"
    )


def test_a_look_that_finds_nothing_is_no_wait_of_its_own():
    trace = recordings.conversation()
    for name, ready in (("look", 0), ("wait", 0), ("look", 1)):
        trace.span(recordings.MAIN, "wait", name, 806 * MS, 806 * MS, timeout=0, ready=ready)
    assert ", 6 waits, " in next(text_boxes(parse(lambda: trace)))[0]


def test_a_thread_is_drawn_from_the_start_of_the_recording():
    trace = recordings.Trace()
    trace.thread(100, "main thread")
    trace.event("i", 100, "queue", "start", 0, s="p")
    trace.turn(100, 10 * MS, 5 * MS)
    [lane] = layout.arrange(read(trace.data()), 830).lanes
    [(begin, _)] = lane.lines
    assert begin < lane.bars[0].x - 100


def test_a_beginner_reads_sleeps_handlers_and_names():
    words = shown(recordings.conversation)
    assert {"main thread", "asleep 301 ms", "asleep 200 ms"} <= set(words)
    assert {"fd 4", "TCP listening on 127.0.0.1:36841", "1 turn, 91 µs", "READ 91 µs"} <= set(words)
    assert {"asleep in the kernel", "a handler runs", "what ended a sleep", "added"} <= set(words)
    assert "removed" not in words  # the legend has what occurs


def test_each_kind_of_mark_is_drawn_and_explained():
    words = shown(recordings.threads)
    for kind in ("add", "remove", "several", "wake", "fire", "ghost", "rebuild", "fork"):
        assert look.LEGEND[kind] in words


@pytest.mark.parametrize(
    ("make", "ticks"),
    [
        (recordings.conversation, ["0", "200 ms", "400 ms", "600 ms", "800 ms"]),
        (recordings.week, ["0", "1 d", "2 d"]),
        (recordings.brief, ["0", "0.5 µs", "1.0 µs"]),
    ],
)
def test_the_axis_has_sensible_units(make, ticks):
    assert [words for _, words in layout.arrange(read(make().data()), 830).ticks][: len(ticks)] == (
        ticks
    )


@pytest.mark.parametrize(
    ("ns", "written"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (999_600, "1 ms"),
        (84_320, "84.3 µs"),
        (1_020_000_000, "1.02 s"),
        (3_723_000_000_000, "1 h 2 min"),
    ],
)
def test_a_time_has_three_digits(ns, written):
    assert text.duration(ns) == written


@pytest.mark.parametrize(
    ("part", "written"), [(0, "0 %"), (1, "0.1 %"), (99_999, "99.9 %"), (100_000, "100 %")]
)
def test_a_share_is_0_or_100_only_if_it_is_exact(part, written):
    assert text.share(part, 100_000) == written


def test_arrows_lead_from_what_ended_a_sleep():
    recording = read(recordings.threads().data())
    kinds = [(arrow.kind, arrow.source, arrow.target) for arrow in recording.arrows]
    assert kinds.count(("ready", 1_000_000_001, 100)) == 14
    assert kinds.count(("fire", 102, 101)) == 6
    assert kinds.count(("wake", 102, 101)) == 1


def test_what_was_ready_before_a_wait_did_not_end_its_sleep():
    trace = recordings.Trace()
    trace.thread(100, "main thread")
    pipe = trace.watch(1, "fd 3 (a pipe)")
    trace.turn(100, 0, 5 * MS, (pipe, "READ", MS))
    trace.span(100, "wait", "wait", 8 * MS, 9 * MS, timeout=0, ready=1)
    trace.span(pipe, "ready", "READ", 7 * MS, 9 * MS)
    trace.span(pipe, "handled", "READ", 9 * MS, 10 * MS)
    trace.span(100, "handler", "fd 3 (a pipe)", 9 * MS, 10 * MS, watch=1, ready="READ", count=0)
    assert len(read(trace.data()).arrows) == 1


def test_arrows_without_room_do_not_hide_the_others():
    """Only those that there is room for are counted as too many."""
    trace = recordings.Trace()
    trace.thread(100, "main thread")
    pipe, now = trace.watch(1, "fd 3 (a pipe)"), 0
    for pause in [MS // 10] * 200 + [100 * MS] * 5:
        now = trace.turn(100, now, pause, (pipe, "READ", 10 * US))
    picture = layout.arrange(read(trace.data()), 830)
    assert 5 <= len(picture.arrows) <= 15
    hidden = 205 - len(picture.arrows)
    assert f"Arrows left out, because they are too close to others: {hidden}." in picture.notes


def test_too_many_arrows_are_left_out_and_counted():
    picture = layout.arrange(read(recordings.crowd().data()), 1600)
    assert picture.arrows == []
    assert any(
        note.startswith("Arrows left out, because there are too many: ") for note in picture.notes
    )


def test_many_bars_narrower_than_two_pixels_show_their_share_of_time():
    trace = recordings.Trace()
    pipe = trace.watch(1, "fd 3 (a pipe)")
    for begin in range(0, 400 * MS, 400 * US):  # a half of the first 400 of 1000 ms
        trace.span(pipe, "handled", "READ", begin, begin + 200 * US)
    for begin in range(500 * MS, 600 * MS, 400 * US):  # a tenth of 100 ms
        trace.span(pipe, "handled", "READ", begin, begin + 40 * US)
    trace.span(pipe, "handled", "READ", 999 * MS, 1000 * MS)
    picture = layout.arrange(read(trace.data()), 830)
    [lane] = picture.lanes
    assert lane.bars == []
    shares = lane.columns["handled"]
    half = [share for x, share in shares if x < picture.place(395 * MS)]
    rest = [share for x, share in shares if x > picture.place(505 * MS)]
    assert sum(half) / len(half) == pytest.approx(0.5, abs=0.05)
    assert all(1 / 3 <= share < 0.6 for share in rest)
    assert any("the share of time" in note for note in picture.notes)


def test_a_few_bars_narrower_than_two_pixels_are_two_pixels_wide():
    trace = recordings.Trace()
    pipe = trace.watch(1, "fd 3 (a pipe)")
    for begin in (0, 501 * MS, 501 * MS + 2 * US, 1000 * MS):
        trace.span(pipe, "handled", "READ", begin, begin + US)
    picture = layout.arrange(read(trace.data()), 830)
    [lane] = picture.lanes
    assert [(bar.width, bar.title) for bar in lane.bars] == [
        (2, "READ: handled in 1 µs"),
        (2, "2 deliveries, whose handling took 2 µs in all"),
        (2, "READ: handled in 1 µs"),
    ]
    assert lane.columns == {}
    assert any("is drawn two pixels wide." in note for note in picture.notes)


def test_many_watches_share_a_lane_and_the_note_counts_them():
    recording = read(recordings.crowd().data())
    picture = layout.arrange(recording, 830)
    watches = [lane for lane in picture.lanes if lane.track.kind == "watch"]
    assert len(watches) == layout.WATCHES
    assert watches[-1].name == "177 more watches"
    busiest = sorted(track.count("handled") for track in recording.watches)[-23:]
    assert sum(lane.track.count("handled") for lane in watches[:-1]) == sum(busiest)
    turns = sum(track.count("handled") for track in recording.watches)
    assert sum(lane.track.count("handled") for lane in watches) == turns
    assert any("177 least busy watches" in note for note in picture.notes)


def test_watches_of_one_name_that_follow_each_other_share_a_lane():
    trace = recordings.Trace()
    for number, (added, removed) in enumerate(((0, 3), (3, 5), (4, 9), (6, None), (10, None)), 1):
        timer = trace.watch(number, "timer", added * MS)
        if removed:
            trace.change(timer, "remove", removed * MS)
    trace.watch(6, "fd 3 (a pipe)", 10 * MS)
    picture = layout.arrange(read(trace.data()), 830)
    numbers = [
        [track.number % 100 for track in lane.tracks or (lane.track,)] for lane in picture.lanes
    ]
    assert numbers == [[1, 2, 4], [3, 5], [6]]
    assert [lane.description for lane in picture.lanes] == (
        ["3, one after another", "2, one after another", "a pipe"]
    )
    ends = [[line[1] == picture.end for line in lane.lines] for lane in picture.lanes]
    assert ends == [[False, False, True], [False, True], [True]]


def test_what_lasts_at_the_end_took_at_least_that_long():
    trace = recordings.Trace()
    trace.thread(100, "main thread")
    trace.span(100, "sleep", "asleep in the kernel", 0, 5 * MS, open=True)
    assert "asleep > 5 ms" in [words for words, _ in text_boxes(parse(lambda: trace))]


def test_many_threads_share_a_lane():
    assert "13 more threads" in shown(recordings.pool)


def test_100_000_records_make_less_than_a_megabyte():
    trace = recordings.crowd(2000, 14000)
    assert len(trace.events) > 100_000
    assert len(timeline.svg(trace.data())) < 1_000_000


def test_an_empty_recording_is_drawn_as_such():
    assert shown(recordings.empty) == ["Nothing was recorded"]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text_role", "ground"),
    [
        ("text", "ground"),
        ("quiet", "ground"),
        ("quiet", "raised"),
        ("in-sleep", "sleep"),
        ("in-handler", "handler"),
        ("in-ready", "ready"),
        ("found", "ground"),
    ],
)
def test_text_has_enough_contrast(text_role, ground, scheme):
    colours = (look.COLOURS[role][scheme] for role in (text_role, ground))
    darker, lighter = sorted(map(luminance, colours))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, level AA


def test_the_picture_needs_nothing_else():
    picture = timeline.svg(recordings.threads().text())
    assert "<script" not in picture
    assert re.findall(r"https?://[^\"<]*", picture) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|url\(|href|@font-face", picture)
    assert "prefers-color-scheme:dark" in picture


# ------------------------------------------------------------------ names


def test_names_cannot_become_markup_or_move_other_text():
    root = parse(recordings.threads)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == (
        {"svg", "title", "style", "rect", "text", "g", "path"}
    )
    titles = {title.text for title in root.iter(f"{SVG}title")}
    assert text.visible(recordings.HOSTILE) in titles
    for shown in root.itertext():
        assert shown.isprintable() or not shown.strip()


def test_characters_without_a_shape_are_written_as_escapes():
    assert text.visible("a\x1b\n\u202e\ud800\u200fb") == "a\\x1b\\n\\u202e\\ud800\\u200fb"
    assert text.visible("é \u65e5 \u05d0") == "é \u65e5 \u05d0"


def test_a_page_has_one_script_of_data_and_one_that_draws():
    page = timeline.html(recordings.threads().text(), "</title><script>alert(1)</script>")
    assert page.count("<script") == page.count("</script>") == 2
    assert page.count("</title>") == 1
    assert not re.search(r"https?://|@import|url\(|src=|href=", page)


# ------------------------------------------------------------------ the command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text(recordings.conversation().text())
    return tmp_path


@pytest.fixture
def fail(folder, capsys):
    """Runs a command that fails, and returns its exit code and the one line that it writes."""

    def fail(*words):
        try:
            code = command.main(list(words))
        except SystemExit as end:
            code = end.code
        output = capsys.readouterr()
        [line] = output.err.splitlines()
        assert output.out == ""
        assert line.startswith("python -m readyq.timeline: ")
        return code, line.removeprefix("python -m readyq.timeline: ")

    return fail


def test_the_command_writes_an_svg_or_a_page(folder):
    for name, beginning in (("run.svg", "<svg "), ("run.html", "<!DOCTYPE html>")):
        words = [sys.executable, "-m", "readyq.timeline", "run.json", "-o", name]
        assert subprocess.check_output(words, stderr=subprocess.STDOUT) == b""
        assert (folder / name).read_text(encoding="utf-8").startswith(beginning)
    assert sorted(path.name for path in folder.iterdir()) == ["run.html", "run.json", "run.svg"]


def test_the_command_explains_itself():
    words = [sys.executable, "-m", "readyq.timeline", "--help"]
    assert "when each thread slept" in subprocess.check_output(words, text=True)


def test_the_width_is_that_of_the_picture(folder):
    assert command.main(["run.json", "-o", "run.svg", "--width", "1600"]) == 0
    assert ElementTree.parse(folder / "run.svg").getroot().get("width") == "1600"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: recording, -o/--output"),
        (["run.json"], "the following arguments are required: -o/--output"),
        (["run.json", "-o", "run.png"], "has to end in .svg or .html: run.png"),
        (["run.json", "-o", "run"], "has to end in .svg or .html: run"),
        (["run.json", "-o", "a\nb"], "has to end in .svg or .html: a\\nb"),
        (["run.json", "-o", "run.svg", "--width", "3"], "between 500 and 10000 pixels, not 3"),
        (["run.json", "-o", "run.svg", "--width", "x"], "invalid int value: 'x'"),
        (["run.json", "-o", "run.svg", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_wrong_command_is_one_line_and_2(fail, words, message):
    code, line = fail(*words)
    assert code == 2
    assert message in line


FOREIGN = {"traceEvents": [{"ph": "X", "tid": 1, "name": "a", "ts": 0, "dur": 1}]}
GOOD = recordings.conversation().text()


def damaged(**event):
    event = {"cat": "wait", **event}
    return json.dumps({"otherData": {"readyq": "0.1.0"}, "traceEvents": [event]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (GOOD[: len(GOOD) // 2], "is truncated"),
        (GOOD[:-1], "is truncated"),
        (GOOD[: GOOD.index("main thread") + 3], "is truncated"),
        (GOOD + "}", "is not valid JSON: Extra data at line 1"),
        ("not JSON", "is not valid JSON: Expecting value at line 1, column 1"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not valid JSON"),
        ("[1e999, NaN]", "is not valid JSON: NaN is not allowed"),
        ("[" * 100_000, "nested too deeply"),
        ("7", "is JSON, but not an object"),
        ("[]", "is JSON, but not an object"),
        (json.dumps(FOREIGN), "is not a readyq recording, but another program's trace"),
        (json.dumps(FOREIGN["traceEvents"]), "is not a readyq recording"),
        ('{"a": 1}', "is not a readyq recording, but JSON of another kind"),
        ('{"otherData": {"readyq": "0.1.0"}}', "is damaged: it has no list of events"),
        ('{"otherData": {"readyq": "1", "dropped": -1}, "traceEvents": []}', "otherData.dropped"),
        ('{"otherData": {"readyq": "1"}, "traceEvents": [7]}', "event 1 of 1: it is not an object"),
        (damaged(ph="X", tid=1), "event 1 of 1: its ts is not a time"),
        (damaged(ph="X", tid=1, ts=-1), "its ts is not a time"),
        (damaged(ph="X", tid=1, ts=10**400), "its ts is not a time"),
        (damaged(ph="X", tid=1, ts=0, dur=1e300), "its dur is not a time"),
        (damaged(ph="X", tid="1", ts=0), "its tid is not a number"),
        (damaged(ph="X", tid=1, ts=0, name=7), "its name is not a string"),
        (damaged(ph="X", tid=1, ts=0, args=[]), "its args are not an object"),
        (damaged(ph="s", tid=1, ts=0, id=[]), "its id is neither a number nor a string"),
        (damaged(ph="M", tid=1, name="thread_name", args={"name": 7}), "its name is not a string"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(folder, fail, content, message):
    path = folder / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, line = fail("bad.json", "-o", "bad.svg")
    assert code == 1
    assert line.startswith("bad.json ")
    assert message in line
    assert not (folder / "bad.svg").exists()


@pytest.mark.parametrize(
    ("recording", "picture", "message"),
    [
        ("none.json", "run.svg", "none.json cannot be read: No such file or directory"),
        (".", "run.svg", ". cannot be read: Is a directory"),
        ("run.json", "none/run.svg", "none/run.svg cannot be written: No such file or directory"),
        ("run.json", "taken.svg", "taken.svg cannot be written: Is a directory"),
        ("run.json", "/proc/run.svg", "/proc/run.svg cannot be written: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_or_written_is_named(folder, fail, recording, picture, message):
    (folder / "taken.svg").mkdir()
    assert fail(recording, "-o", picture) == (1, message)
    assert sorted(path.name for path in folder.iterdir()) == ["run.json", "taken.svg"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_older_picture(folder, monkeypatch):
    def fail(path, text, encoding):
        with open("/dev/full", "w", encoding=encoding) as file:
            file.write(text)

    (folder / "run.svg").write_text("older")
    monkeypatch.setattr(command.Path, "write_text", fail)
    assert command.main(["run.json", "-o", "run.svg"]) == 1
    assert (folder / "run.svg").read_text() == "older"


def test_events_that_are_not_known_are_left_out():
    trace = recordings.conversation()
    before = timeline.svg(trace.data())
    trace.events.append({"ph": "C", "name": "a counter", "ts": "soon", "tid": 1})
    trace.events.append({"ph": "Z"})
    trace.span(recordings.MAIN, "novelty", "of a newer version", 0, MS)
    assert timeline.svg(trace.data()) == before


def test_text_bytes_and_decoded_data_give_the_same_picture():
    trace = recordings.threads()
    pictures = {timeline.svg(one) for one in (trace.text(), trace.text().encode(), trace.data())}
    assert len(pictures) == 1


def test_importing_readyq_does_not_import_the_timeline():
    program = "import readyq, sys; print([name for name in sys.modules if 'timeline' in name])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


# ------------------------------------------------------------------ recordings of queues


@pytest.fixture
def recorded(queue, tmp_path):
    """The file of a queue that has had each kind of watch, and a thread that wakes it."""
    here, there = socket.socketpair()
    with here, there, queue.record() as recording:
        socket_watch = queue.add(here)
        queue.add_timer(0.02, period=0.05)
        queue.add_signal("USR1")
        trigger = queue.add_trigger()
        child = subprocess.Popen(["sleep", "0.03"])
        queue.add_process(child)

        def disturb():
            for action in (trigger.fire, queue.wake, lambda: there.send(b"x"), queue.wake):
                time.sleep(0.012)
                action()
            os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=disturb)
        thread.start()
        end = time.monotonic() + 0.15
        while thread.is_alive() or time.monotonic() < end:
            for watch in queue.wait(0.02):
                if watch is socket_watch:
                    here.recv(1)
                    watch.modify(readyq.READ | readyq.WRITE)
                    watch.modify(readyq.READ)
                elif watch is trigger and watch.deliveries == 1:
                    trigger.fire()  # it is ready again while it is handled
        thread.join()
        child.wait()
        socket_watch.remove()
    recording.save(tmp_path / "run.json")
    return tmp_path / "run.json"


def test_a_recording_is_drawn_with_what_ended_each_sleep(recorded):
    recording = read(recorded.read_bytes())
    assert {track.name.split()[0] for track in recording.watches} == (
        {"fd", "timer", "signal", "trigger", "process"}
    )
    names = {track.number: track.name for track in (*recording.threads, *recording.watches)}
    causes = {
        (one.kind, names[one.source].split()[0], names[one.target]) for one in recording.arrows
    }
    for kind, source in (
        ("ready", "fd"),
        ("ready", "timer"),
        ("fire", "thread"),
        ("wake", "thread"),
    ):
        assert (kind, source, "main thread") in causes
    picture = ElementTree.fromstring(timeline.svg(recorded.read_bytes()))
    assert "what ended a sleep" in [words for words, _ in text_boxes(picture)]


def test_the_bars_of_a_file_do_not_overlap_in_a_reader_that_computes_with_doubles(recorded):
    ends = {}
    events = [one for one in json.loads(recorded.read_text())["traceEvents"] if one["ph"] == "X"]
    assert len(events) > 20
    for event in sorted(events, key=lambda one: (one["ts"], -one["dur"])):
        open_ends = ends.setdefault(event["tid"], [])
        while open_ends and open_ends[-1] <= event["ts"]:
            open_ends.pop()
        end = event["ts"] + event["dur"]
        assert not open_ends or end <= open_ends[-1], event
        open_ends.append(end)


# ------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def chromium():
    if browser.find() is None:
        pytest.skip("needs the program chromium (apt-get install chromium)")
    with browser.Browser() as chromium:
        yield chromium
        assert chromium.problems == []
        assert [one for one in chromium.requests if not one.startswith(("file:", "data:"))] == []


BOXES = """[...document.querySelectorAll("text")].map((one) => {
    const {left, top, right, bottom} = one.getBoundingClientRect();
    return [one.lastChild.data, [left, top + 1.5, right, bottom - 1.5]];
})"""


@every
def test_a_browser_draws_every_text_apart_from_others(chromium, tmp_path, make):
    path = tmp_path / "run.svg"
    path.write_text(timeline.svg(make().text()), encoding="utf-8")
    chromium.window(830, 1200)
    chromium.open(path.as_uri())
    boxes = chromium.run(BOXES)
    assert boxes
    for (words, one), (others, other) in itertools.combinations(boxes, 2):
        assert not overlap(one, other), f"{words!r} and {others!r}"
    for words, box in boxes:
        assert 0 <= box[0] < box[2] <= 830, words


@pytest.fixture
def page(chromium, tmp_path):
    def page(make, scheme="light"):
        path = tmp_path / "run.html"
        path.write_text(timeline.html(make().text(), "run.json"), encoding="utf-8")
        chromium.window(1200, 700, scheme)
        chromium.open(path.as_uri())
        chromium.wait_until("width > 0")
        return chromium

    return page


def shown_part(page):
    return page.run("[view.begin / data.whole, view.end / data.whole]")


def place(page, lane, at):
    """Where a time of a lane is on the screen."""
    left, top = page.run(
        "(({left, top}) => [left, top - scroller.scrollTop])(canvas.getBoundingClientRect())"
    )
    return left + page.run(f"x({at})"), top + page.run(f"AXIS + {lane} * LANE + 12")


def test_the_wheel_and_keys_zoom_and_move(page):
    chromium = page(recordings.threads)
    assert shown_part(chromium) == [0, 1]
    x, y = place(chromium, 0, 80 * MS)
    under = chromium.run(f"time({x} - canvas.getBoundingClientRect().left)")
    chromium.wheel(x, y, -500)
    chromium.wait_until("view.end - view.begin < data.whole / 2")
    assert chromium.run(f"time({x} - canvas.getBoundingClientRect().left)") == pytest.approx(
        under, rel=1e-3
    )
    for key, holds in (
        ("+", "view.end - view.begin < length"),
        ("ArrowRight", "view.begin > begin"),
        ("ArrowLeft", "view.begin < begin"),
        ("-", "view.end - view.begin > length"),
        ("0", "view.begin === 0 && view.end === data.whole"),
    ):
        chromium.run("[globalThis.begin, globalThis.length] = [view.begin, view.end - view.begin]")
        chromium.key(key)
        chromium.wait_until(holds)


def test_a_drag_moves_and_with_shift_zooms_into_a_part(page):
    chromium = page(recordings.threads)
    begin, end = place(chromium, 0, 40 * MS), place(chromium, 0, 60 * MS)
    chromium.drag(begin, end, modifiers=8)
    chromium.wait_until("view.end - view.begin < data.whole / 2")
    assert chromium.run("[view.begin, view.end]") == pytest.approx([40 * MS, 60 * MS], rel=0.05)
    chromium.drag(place(chromium, 0, 50 * MS), place(chromium, 0, 55 * MS))
    chromium.wait_until("view.begin < 36e6")
    assert chromium.run("[view.begin, view.end]") == pytest.approx([35 * MS, 55 * MS], rel=0.05)


@pytest.mark.parametrize(
    ("lane", "at", "details"),
    [
        (0, 5 * MS, "main thread: asleep in the kernel for 9 ms, until timer, at"),
        (1, 5 * MS, "thread 101: asleep in the kernel for 20 ms, until fire() in thread 102,"),
        (2, 10 * MS, "thread 102: the handler of fd 9 (a file </title><script>"),
        (7, 10 * MS, "READ|READ_CLOSED, handled in 9 ms, at 5.5"),
    ],
)
def test_hovering_shows_details(page, lane, at, details):
    chromium = page(recordings.threads)
    chromium.mouse("mouseMoved", *place(chromium, lane, at))
    chromium.wait_until(f"details.textContent.includes({json.dumps(details)})")


def test_search_finds_by_name_and_jumps(page):
    chromium = page(recordings.crowd)
    chromium.key("/")
    chromium.type("fd 206")
    turns = chromium.run("data.lanes[200].items.handled.length")
    # The handlers in the thread's lane, and the watch's own lane.
    chromium.wait_until(f"byId('found').textContent === '{turns + 1} found'")
    assert chromium.run("document.querySelectorAll('.lane.found').length") == 2
    chromium.key("Enter")
    chromium.wait_until(f"byId('found').textContent === '1 of {turns + 1}'")
    assert "the handler of fd 206" in chromium.run("details.textContent")
    assert chromium.run("item.begin >= view.begin && item.end <= view.end")
    chromium.key("Escape")
    chromium.wait_until("found.length === 0 && byId('search').value === ''")


@pytest.mark.parametrize(("gap", "is_shown"), [(200, True), (30, False)])
def test_a_label_beside_a_bar_ends_before_the_next_bar_of_any_kind(page, gap, is_shown):
    trace = recordings.Trace()
    pipe, end = trace.watch(1, "fd 3 (a pipe)"), 400 * MS + 1230 * US
    trace.span(pipe, "handled", "READ", 400 * MS, end)
    trace.span(pipe, "ready", "WRITE", end + gap * MS, 1000 * MS)
    words = page(lambda: trace).run("""(() => {
        const words = [], write = draw.fillText;
        draw.fillText = (text) => words.push(text);
        paint();
        draw.fillText = write;
        return words;
    })()""")
    assert ("READ 1.23 ms" in words) == is_shown
    assert "1.23 ms" not in words
    assert any(word.startswith("WRITE") for word in words)


def test_a_lane_far_below_is_reached_by_keys(page):
    chromium = page(recordings.crowd)
    for _ in range(40):
        chromium.key("ArrowDown")
    chromium.wait_until("chosen === 39 && scroller.scrollTop > 0")
    chromium.key("n")
    chromium.wait_until("details.textContent.startsWith('fd 45 (')")
    first = chromium.run("details.textContent")
    chromium.key("n")
    chromium.wait_until(f"details.textContent !== {json.dumps(first)}")
    chromium.key("p")
    chromium.wait_until(f"details.textContent === {json.dumps(first)}")


def test_the_page_shows_every_watch(page):
    chromium = page(recordings.crowd)
    assert chromium.run("document.querySelectorAll('.lane').length") == 201
    assert chromium.run("scroller.scrollHeight") >= 201 * 36


@every
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_in_light_and_dark(page, make, scheme):
    chromium = page(make, scheme)
    ground = look.COLOURS["ground"][scheme == "dark"]
    parts = ", ".join(str(int(ground[at : at + 2], 16)) for at in (1, 3, 5))
    assert chromium.run("getComputedStyle(document.body).backgroundColor") == f"rgb({parts})"
    assert chromium.run("byId('lanes').scrollWidth <= byId('lanes').clientWidth")


SPEEDSCOPE = Path(__file__).parents[2] / "build/npm/node_modules/speedscope/dist/release/index.html"


@pytest.mark.skipif(
    not SPEEDSCOPE.exists(),
    reason="needs Speedscope (make setup)",
)
def test_speedscope_opens_a_recording_without_a_complaint(chromium, recorded, tmp_path):
    data = base64.b64encode(recorded.read_bytes()).decode()
    script = tmp_path / "run.js"
    script.write_text(f"speedscope.loadFileFromBase64('run.json', '{data}')")
    chromium.window(1200, 700)
    chromium.open(f"{SPEEDSCOPE.as_uri()}#localProfilePath={script}")
    chromium.wait_until("document.body.innerText.includes('main thread')")
    # It warns of bars that do not nest; the fixture requires that there are no warnings.
