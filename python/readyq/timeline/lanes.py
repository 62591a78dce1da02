# SPDX-License-Identifier: MIT
"""One lane of the picture: the bars, marks and labels of a thread or watch. Coordinates are pixels.

A bar that would be narrower than a column (2 pixels) goes into the column that it begins in, and
that column is filled. In a lane with many columns in which several bars begin, each column is
filled up to the share of its time that they take, but at least to a third, so that it can be seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

from readyq.timeline import text
from readyq.timeline.recording import Mark, Span, Track

HEIGHT = 36.0
BAR_TOP, BAR = 4.0, 18.0
STRIP, CALLS = 28.5, 31.0  # the lines of marks of a watch and a thread
COLUMN = 2.0
LEAST = 1 / 3
DENSE = 12  # a lane with more columns than this that have several bars shows shares
SIGN = 9.0
GAP = 4.0  # around a label
CROWD = 24  # a lane with more bars than this has no labels beside bars
SIZE = 11.0  # of the labels' font
KINDS = ("sleep", "handler", "ready", "handled")  # of bars, in the order in which they are drawn

Place = Callable[[int], float]  # from a time to x


@dataclass
class Bar:
    x: float
    width: float
    kind: str
    title: str
    labels: tuple[str, ...]  # that it could have, the best one first

    @property
    def end(self) -> float:
        return self.x + self.width


@dataclass
class Label:
    """Words in a bar, or beside it."""

    left: float
    room: float
    words: str
    kind: str  # of the bar that it is in; "" beside a bar
    anchor: str  # which part of the words has its place for certain: start, middle or end

    @property
    def right(self) -> float:
        return self.left + self.room


@dataclass
class Sign:
    """A mark, or several that are too close to be told apart."""

    x: float
    kind: str
    title: str


@dataclass
class Lane:
    track: Track
    tracks: tuple[Track, ...] = ()  # if it shows several as one
    together: bool = False  # they overlap
    y: float = 0.0
    bars: list[Bar] = field(default_factory=list[Bar])
    columns: dict[str, list[tuple[float, float]]] = field(
        default_factory=dict[str, list[tuple[float, float]]]
    )  # x and share
    signs: list[Sign] = field(default_factory=list[Sign])
    labels: list[Label] = field(default_factory=list[Label])
    lines: list[tuple[float, float]] = field(
        default_factory=list[tuple[float, float]]
    )  # while a watch is in the queue,
    # or a thread is seen
    crossed: list[float] = field(default_factory=list[float])  # by arrows, at these x

    @property
    def strip(self) -> float:
        """The y of its marks."""
        return self.y + (CALLS if self.track.kind == "thread" else STRIP)

    @property
    def name(self) -> str:
        """`fd 7` in `fd 7 (a pipe)`."""
        return text.visible(self.track.name.partition(" (")[0])

    @property
    def description(self) -> str:
        """For a watch the words in parentheses, `a pipe` in `fd 7 (a pipe)`, and how many watches
        it shows; for a thread or the queue what it did.
        """
        if self.track.kind == "queue":
            kinds = Counter(mark.kind for mark in self.track.marks)
            return ", ".join(text.count(number, kind) for kind, number in kinds.items())
        if self.track.kind == "thread" and not self.together:
            return text.count(self.track.waits, "wait")
        _, parenthesis, rest = self.track.name.partition(" (")
        parts = [rest[:-1] if rest.endswith(")") else rest] if parenthesis else []
        if self.tracks and not self.together:
            parts.append(f"{len(self.tracks):,}, one after another")
        return text.visible("; ".join(parts))

    @property
    def total(self) -> str:
        """How many times it was handled, and how long in all."""
        kind = "handled" if self.track.kind == "watch" else "handler"
        number = self.track.count(kind)
        if not number:
            return ""
        return f"{text.count(number, 'turn')}, {text.duration(self.track.total(kind))}"


def fill(lane: Lane, place: Place, start: float, end: float) -> None:
    """Adds the bars, columns and marks to a plot from `start` to `end`."""
    narrow = {kind: _add_bars(lane, kind, place, end) for kind in KINDS}
    several = sum(len(spans) > 1 for columns in narrow.values() for spans in columns.values())
    for kind, columns in narrow.items():
        for column, spans in sorted(columns.items()):
            left = column * COLUMN
            if several > DENSE:
                taken = sum(place(span.end) - place(span.begin) for span in spans)
                share = min(max(taken / COLUMN, LEAST), 1.0)
                lane.columns.setdefault(kind, []).append((left, share))
            else:
                lane.bars.append(_bars(spans, left) if len(spans) > 1 else _bar(spans[0], left))
    _leave_out_covered(lane)
    _add_signs(lane, place)
    add_lines(lane, place, start, end)


def _add_bars(lane: Lane, kind: str, place: Place, end: float) -> dict[int, list[Span]]:
    """Returns those that are too narrow, by column."""
    narrow: dict[int, list[Span]] = {}
    for span in lane.track.spans:
        if span.kind != kind:
            continue
        left, right = place(span.begin), place(span.end)
        if right - left >= COLUMN:
            lane.bars.append(_bar(span, left, right - left))
        else:
            narrow.setdefault(int(min(left, end - COLUMN) / COLUMN), []).append(span)
    return narrow


def _leave_out_covered(lane: Lane) -> None:
    """Most watches are taken immediately: then the bar of `handled` covers that of `ready`."""
    handled = [(bar.x, bar.end) for bar in lane.bars if bar.kind == "handled"]
    handled += [(x, x + COLUMN) for x, _ in lane.columns.get("handled", ())]
    handled.sort()

    def is_covered(x: float) -> bool:
        index = bisect_right(handled, (x + COLUMN / 2, inf)) - 1
        return index >= 0 and x < handled[index][1]

    lane.bars = [
        bar
        for bar in lane.bars
        if bar.kind != "ready" or bar.width > COLUMN or not is_covered(bar.x)
    ]
    columns = [column for column in lane.columns.pop("ready", ()) if not is_covered(column[0])]
    if columns:
        lane.columns["ready"] = columns


_SEVERAL = {
    "sleep": "sleeps, which took",
    "handler": "handlers, which took",
    "ready": "times ready, for",
    "handled": "deliveries, whose handling took",
}


def _bars(spans: list[Span], left: float) -> Bar:
    """A bar for several spans in one column."""
    kind = spans[0].kind
    time = text.duration(sum(span.end - span.begin for span in spans))
    return Bar(left, COLUMN, kind, f"{len(spans):,} {_SEVERAL[kind]} {time} in all", ())


def _bar(span: Span, left: float, width: float = COLUMN) -> Bar:
    time = text.duration(span.end - span.begin)
    if span.is_cut:
        time = f"> {time}"
    name = text.visible(span.name)
    if span.kind == "sleep":
        return Bar(
            left, width, "sleep", f"asleep in the kernel for {time}", (f"asleep {time}", time)
        )
    if span.kind == "ready":
        return Bar(left, width, "ready", f"{name}: ready for {time} before it was taken", ())
    if span.kind == "handled":
        return Bar(left, width, "handled", f"{name}: handled in {time}", (f"{name} {time}", time))
    short = name.partition(" (")[0]
    title = f"the handler of {name} ran for {time}"
    return Bar(left, width, "handler", title, (f"{short}: {time}", time))


def _add_signs(lane: Lane, place: Place) -> None:
    groups: list[list[Mark]] = []
    for mark in lane.track.marks:
        if groups and place(mark.at) - place(groups[-1][0].at) < SIGN + 1:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    for group in groups:
        title = ", ".join(map(tell, group[:4]))
        if len(group) > 4:
            title += f" and {len(group) - 4:,} more"
        kind = group[0].kind if len({mark.kind for mark in group}) == 1 else "several"
        lane.signs.append(Sign(place(group[0].at), kind, title))


def tell(mark: Mark) -> str:
    """A mark in words."""
    if mark.kind == "ghost":
        return f"a ghost of descriptor {mark.details.get('fd')}"
    more = mark.details.get("interest", mark.details.get("why"))
    return text.visible(f"{mark.name} {more}" if isinstance(more, str) and more else mark.name)


def add_lines(lane: Lane, place: Place, start: float, end: float) -> None:
    """Adds the lines that show how long a watch is in the queue, or a thread is seen."""
    if lane.together:
        return
    for track in lane.tracks or (lane.track,):
        begins, ends = track.lifetime
        if track.kind == "thread" and begins is not None and ends is not None:
            lane.lines.append((place(begins), place(ends)))
        elif track.kind == "watch":
            left = start if begins is None else place(begins)
            lane.lines.append((left, end if ends is None else place(ends)))


def add_labels(lane: Lane, begin: float, end: float) -> None:
    """Writes into wide bars, and beside narrow ones of watches, where nothing is in the way.

    Expects `crossed` to be complete.
    """
    if lane.together:
        return
    taken: list[tuple[float, float, Bar | None]] = []
    taken += [(bar.x, bar.end, bar) for bar in lane.bars]
    taken += [(at, at + COLUMN, None) for columns in lane.columns.values() for at, _ in columns]
    taken += [(at - 1, at + 1, None) for at in lane.crossed]
    crowded = sum(bar.kind == "handled" for bar in lane.bars) > CROWD
    for bar in sorted(lane.bars, key=lambda bar: -bar.width):
        for label in _candidates(bar, crowded):
            left, right = label.left - 1, label.right + 1
            if left < begin or right > end:
                continue
            inside = bar if label.kind else None
            # What is drawn below a bar does not matter to a text inside it.
            if all(b is inside is not None or y <= left or right <= x for x, y, b in taken):
                lane.labels.append(label)
                taken.append((left, right, None))
                break


def _candidates(bar: Bar, crowded: bool) -> Iterator[Label]:
    for words in bar.labels:
        room = text.width(words, SIZE)
        if room + 2 * GAP <= bar.width:
            yield Label(bar.x + (bar.width - room) / 2, room, words, bar.kind, "middle")
        elif bar.kind == "handled" and not crowded:
            yield Label(bar.end + GAP, room, words, "", "start")
            yield Label(bar.x - GAP - room, room, words, "", "end")
