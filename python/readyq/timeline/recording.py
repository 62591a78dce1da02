# SPDX-License-Identifier: MIT
"""Reads a recording: the trace file that a queue saves, in C, Python and Lua.

The file is JSON in the Chrome Trace Event format, and otherData.readyq says that a queue wrote it.
Events that this version does not know are left out, so that newer files can be shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Union, cast

Source = Union[str, bytes, bytearray, Mapping[str, Any]]

_FIRST_WATCH = 1_000_000_000  # tracks below are of threads, the others of watches
_QUEUE = -1  # what concerns the whole queue has a track of its own here
_LONGEST = 2**62  # nanoseconds; 146 years
_SPANS = ("wait", "sleep", "handler", "ready", "handled")
_MARKS = ("wake", "fire", "change")
_OF_QUEUE = ("ghost", "rebuild", "fork")


class BadRecordingError(ValueError):
    """The data is not a recording, or is damaged. The message says in what way."""


class Span(NamedTuple):
    """Something that took time. Times are in nanoseconds from the first record."""

    begin: int
    end: int
    kind: str  # of a thread: wait, sleep, handler; of a watch: ready, handled
    name: str
    details: Mapping[str, Any]

    @property
    def is_cut(self) -> bool:
        """Whether it began before the recording did, or went on when the recording ended."""
        return bool(self.details.get("cut") or self.details.get("open"))


class Mark(NamedTuple):
    """Something that took no time: a point on a track."""

    at: int
    kind: str  # of a thread: wake, fire; of a watch: add, modify, remove, restart;
    # of the queue: ghost, rebuild, fork
    name: str
    details: Mapping[str, Any]


class Arrow(NamedTuple):
    """Something on one track that ended a sleep of a thread."""

    begin: int
    source: int  # the track
    end: int
    target: int
    kind: str  # ready, wake or fire


@dataclass
class Track:
    """A thread, a watch or the queue."""

    number: int
    name: str
    spans: list[Span] = field(default_factory=list[Span])
    marks: list[Mark] = field(default_factory=list[Mark])
    seen: list[int] = field(default_factory=list[int])  # when a thread did what has no mark

    @property
    def kind(self) -> str:
        """thread, watch or queue"""
        if self.number == _QUEUE:
            return "queue"
        return "watch" if self.number >= _FIRST_WATCH else "thread"

    def total(self, kind: str) -> int:
        """The nanoseconds that its spans of a kind took."""
        return sum(span.end - span.begin for span in self.spans if span.kind == kind)

    def count(self, kind: str) -> int:
        return sum(span.kind == kind for span in self.spans)

    @property
    def waits(self) -> int:
        """How many times the program waited. Python checks before it sleeps ("look"); a check that
        finds nothing is the beginning of a wait, and not counted.
        """
        return sum(
            span.kind == "wait" and (span.name != "look" or span.details.get("ready") != 0)
            for span in self.spans
        )

    @property
    def lifetime(self) -> tuple[int | None, int | None]:
        """When a watch was added and removed, or a thread was first and last seen. The first is
        None if that was before the recording began, the second if it had not happened at its end.
        """
        if self.kind == "watch":
            added = [mark.at for mark in self.marks if mark.kind == "add"]
            removed = [mark.at for mark in self.marks if mark.kind == "remove"]
            return (added[0] if added else None), (removed[-1] if removed else None)
        moments = [one for span in self.spans for one in (span.begin, span.end)]
        moments += [*self.seen, *(mark.at for mark in self.marks)]
        return (min(moments), max(moments)) if moments else (None, None)


@dataclass
class Recording:
    """What happened in a queue, from `begin` to `end`."""

    backend: str = ""
    dropped: int = 0
    begin: int = 0
    end: int = 0
    threads: list[Track] = field(default_factory=list[Track])
    watches: list[Track] = field(default_factory=list[Track])
    queue: Track = field(default_factory=lambda: Track(_QUEUE, "queue"))
    arrows: list[Arrow] = field(default_factory=list[Arrow])

    @property
    def is_empty(self) -> bool:
        return not (self.threads or self.watches)


def read(source: Source) -> Recording:
    """The recording in a trace file's text, or in what json.loads() makes of it.

    Raises BadRecordingError.
    """
    data = _mapping(source if isinstance(source, Mapping) else _parse(source))
    if data is None:
        raise BadRecordingError("is not a readyq recording: it is JSON, but not an object")
    about, events = _mapping(data.get("otherData")), _list(data.get("traceEvents"))
    if about is None or "readyq" not in about:
        what = "JSON of another kind" if events is None else "another program's trace"
        raise BadRecordingError(f"is not a readyq recording, but {what}")
    if events is None:
        raise BadRecordingError("is damaged: it has no list of events")
    recording = Recording(backend=str(about.get("backend", "")), dropped=_dropped(about))
    _Reader(recording).read(events)
    return recording


def _parse(source: str | bytes | bytearray) -> Any:
    if not source.strip():
        raise BadRecordingError("is empty")
    try:
        return json.loads(source, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        # What is cut off is missed at the end, or in the string that began last.
        rest = error.doc[error.pos :]
        if not rest.strip() or error.msg.startswith("Unterminated string"):
            raise BadRecordingError("is truncated: the JSON ends too early") from error
        message = f"is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise BadRecordingError(message) from error
    except RecursionError as error:
        message = "is not a readyq recording: its JSON is nested too deeply"
        raise BadRecordingError(message) from error
    except ValueError as error:
        raise BadRecordingError(f"is not valid JSON: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed")


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _list(value: Any) -> list[Any] | None:
    items = cast("list[Any]", value)
    return items if isinstance(value, list) else None


def _dropped(about: Mapping[str, Any]) -> int:
    dropped = about.get("dropped", 0)
    if type(dropped) is not int or dropped < 0:
        raise BadRecordingError("is damaged: otherData.dropped is not a number of records")
    return dropped


def _time(event: Mapping[str, Any], key: str) -> int:
    """The time under this key of the event; the file has it in microseconds."""
    value: object = event.get(key, 0 if key == "dur" else None)
    # Not converted before it is known to be small: it can be infinite, or a huge integer.
    if isinstance(value, (int, float)) and 0 <= value <= _LONGEST / 1000:
        return round(value * 1000)
    raise ValueError(f"its {key} is not a time")


def _number(event: Mapping[str, Any], key: str) -> int:
    value = event.get(key)
    if type(value) is int:  # bool is a subclass
        return value
    raise ValueError(f"its {key} is not a number")


def _string(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key, "")
    if isinstance(value, str):
        return value
    raise ValueError(f"its {key} is not a string")


class _Reader:
    """Sorts the events of a file into tracks, and finds what ended each sleep."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.tracks: dict[int, Track] = {}
        self.names: dict[int, str] = {}
        self.order: dict[int, int] = {}
        self.starts: dict[Any, tuple[int, int]] = {}  # of flows, by their id: track and time
        self.ends: list[tuple[Any, int, int]] = []

    def read(self, events: list[Any]) -> None:
        for index, one in enumerate(events):
            try:
                event = _mapping(one)
                if event is None:
                    raise ValueError("it is not an object")
                self.take(event)
            except ValueError as error:
                message = f"is damaged: event {index + 1} of {len(events)}: {error}"
                raise BadRecordingError(message) from None
        self.finish()

    def track(self, event: Mapping[str, Any]) -> Track:
        number = _number(event, "tid")
        if number not in self.tracks:
            self.tracks[number] = Track(number, "")
        return self.tracks[number]

    def take(self, event: Mapping[str, Any]) -> None:
        phase, kind, name = event.get("ph"), _string(event, "cat"), _string(event, "name")
        details = _mapping(event.get("args", {}))
        if details is None:
            raise ValueError("its args are not an object")
        if phase == "M":
            self.describe(event, name, details)
        elif phase == "X" and kind in _SPANS:
            begin = _time(event, "ts")
            end = begin + _time(event, "dur")
            self.track(event).spans.append(Span(begin, end, kind, name, details))
        elif phase == "i" and kind == "queue":
            at = _time(event, "ts")
            self.track(event).seen.append(at)
            if name in _OF_QUEUE:
                self.recording.queue.marks.append(Mark(at, name, name, details))
        elif phase == "i" and kind in _MARKS:
            kind = name if kind == "change" else kind
            self.track(event).marks.append(Mark(_time(event, "ts"), kind, name, details))
        elif phase in ("s", "f"):
            flow = event.get("id")
            if not isinstance(flow, (int, str)):
                raise ValueError("its id is neither a number nor a string")
            place = self.track(event).number, _time(event, "ts")
            if phase == "s":
                self.starts[flow] = place
            else:
                self.ends.append((flow, *place))

    def describe(self, event: Mapping[str, Any], name: str, details: Mapping[str, Any]) -> None:
        if name == "thread_name":
            self.names[self.track(event).number] = _string(details, "name")
        elif name == "thread_sort_index":
            self.order[_number(event, "tid")] = _number(details, "sort_index")

    def finish(self) -> None:
        tracks = sorted(
            self.tracks.values(), key=lambda track: (self.order.get(track.number, 0), track.number)
        )
        recording = self.recording
        for track in tracks:
            default = f"{track.kind} {track.number % _FIRST_WATCH}"
            track.name = self.names.get(track.number) or default
            # Of two that begin together, the outer one comes first.
            track.spans.sort(key=lambda span: (span.begin, -span.end))
            track.marks.sort(key=lambda mark: mark.at)
        recording.threads = [track for track in tracks if track.kind == "thread"]
        recording.watches = [track for track in tracks if track.kind == "watch"]
        recording.queue.marks.sort(key=lambda mark: mark.at)
        moments: list[int] = []
        for track in tracks:
            moments += [*track.seen, *(mark.at for mark in track.marks)]
            moments += [one for span in track.spans for one in (span.begin, span.end)]
        recording.begin, recording.end = min(moments, default=0), max(moments, default=0)
        self.connect()

    def connect(self) -> None:
        """Adds an arrow for each wake, fire and event that ended a sleep."""
        arrows = self.recording.arrows
        calls = {
            (track.number, mark.at): mark.kind
            for track in self.recording.threads
            for mark in track.marks
        }
        for flow, track, at in self.ends:
            if flow in self.starts:  # it may have been dropped
                source, begin = self.starts[flow]
                kind = calls.get((source, begin), "wake")
                arrows.append(Arrow(begin, source, at, track, kind))
        ready = {
            (track.number, span.end): span.begin
            for track in self.recording.watches
            for span in track.spans
            if span.kind == "ready"
        }
        for thread in self.recording.threads:
            arrows += _wakers(thread, ready)
        arrows.sort()


def _wakers(thread: Track, ready: Mapping[tuple[int, int], int]) -> Iterator[Arrow]:
    """An arrow for each watch that became ready in a sleep of the thread and was taken after it.

    `ready` maps the track of a watch and the time at which it was taken to the time since which
    it was ready.
    """
    sleep: Span | None = None  # the last one of the wait before the handler
    for span in thread.spans:
        if span.kind == "wait":
            sleep = None
        elif span.kind == "sleep":
            sleep = span
        elif span.kind == "handler" and sleep is not None:
            watch = span.details.get("watch")
            if not isinstance(watch, int):
                continue
            number = _FIRST_WATCH + watch
            since = ready.get((number, span.begin))
            if since is not None and since >= sleep.begin:
                yield Arrow(since, number, sleep.end, thread.number, "ready")
