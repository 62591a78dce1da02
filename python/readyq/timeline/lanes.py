# SPDX-License-Identifier: MIT
"""One lane of the picture: the bars, marks and labels of a thread or watch. Coordinates are pixels.

A bar that would be narrower than a column (2 pixels) goes into the column that it begins in. A
column with one such bar is filled; one with several is filled up to the share of its time that they
take, but at least to a third, so that it can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from readyq.timeline import text
from readyq.timeline.recording import Mark, Span, Track

HEIGHT = 36.0
BAR_TOP, BAR = 4.0, 18.0
STRIP = 28.5  # the line of marks
COLUMN = 2.0
LEAST = 1 / 3
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
    x: float
    words: str
    room: float
    kind: str  # of the bar that it is in; "" beside a bar


@dataclass
class Sign:
    """A mark, or several that are too close to be told apart."""

    x: float
    kind: str
    title: str


@dataclass
class Lane:
    track: Track
    others: tuple[int, ...] = ()  # the tracks whose bars are in it, if it has no track of its own
    y: float = 0.0
    bars: list[Bar] = field(default_factory=list)
    columns: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # x and share
    signs: list[Sign] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    line: tuple[float, float] | None = None  # while a watch is in the queue, or a thread is seen
    crossed: list[float] = field(default_factory=list)  # by arrows, at these x

    @property
    def name(self) -> str:
        """`fd 7` of `fd 7 (a pipe)`."""
        return text.visible(self.track.name.partition(" (")[0])

    @property
    def description(self) -> str:
        """`a pipe` of `fd 7 (a pipe)`; of a thread, what it did."""
        _, parenthesis, rest = self.track.name.partition(" (")
        if parenthesis:
            return text.visible(rest[:-1] if rest.endswith(")") else rest)
        if self.track.is_watch:
            return ""
        return text.count(self.track.count("wait"), "wait")

    @property
    def total(self) -> str:
        """How often it was handled, and how long in all."""
        kind = "handled" if self.track.is_watch else "handler"
        number = self.track.count(kind)
        if not number:
            return ""
        return f"{text.count(number, 'turn')}, {text.duration(self.track.total(kind))}"


def fill(lane: Lane, place: Place, start: float, end: float) -> None:
    """Adds the bars, columns and marks to a plot from `start` to `end`."""
    for kind in KINDS:
        _add_bars(lane, kind, place, end)
    _add_signs(lane, place)
    add_line(lane, place, start, end)


def _add_bars(lane: Lane, kind: str, place: Place, end: float) -> None:
    narrow: dict[int, list[Span]] = {}
    for span in lane.track.spans:
        if span.kind != kind:
            continue
        left, right = place(span.begin), place(span.end)
        if right - left >= COLUMN:
            lane.bars.append(_bar(span, left, right - left))
        else:
            narrow.setdefault(int(min(left, end - COLUMN) / COLUMN), []).append(span)
    for column, spans in sorted(narrow.items()):
        left = column * COLUMN
        if len(spans) == 1:
            lane.bars.append(_bar(spans[0], left, COLUMN))
        else:
            taken = sum(place(span.end) - place(span.begin) for span in spans)
            share = min(max(taken / COLUMN, LEAST), 1.0)
            lane.columns.setdefault(kind, []).append((left, share))


def _bar(span: Span, left: float, width: float) -> Bar:
    time = text.duration(span.end - span.begin)
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
    interest = mark.details.get("interest")
    words = f"{mark.name} {interest}" if isinstance(interest, str) and interest else mark.name
    return text.visible(words)


def add_line(lane: Lane, place: Place, start: float, end: float) -> None:
    """Adds the line that shows how long the watch is in the queue, or the thread is seen."""
    if lane.others:
        return
    track = lane.track
    if track.is_watch:
        added = [mark.at for mark in track.marks if mark.kind == "add"]
        removed = [mark.at for mark in track.marks if mark.kind == "remove"]
        begin = place(added[0]) if added else start
        lane.line = begin, place(removed[-1]) if removed else end
        return
    moments = [one for span in track.spans for one in (span.begin, span.end)]
    moments += [mark.at for mark in track.marks]
    if moments:
        lane.line = place(min(moments)), place(max(moments))


def add_labels(lane: Lane, begin: float, end: float) -> None:
    """Writes into wide bars, and beside narrow ones of watches, where nothing is in the way.

    Expects `crossed` to be complete.
    """
    if lane.others:
        return
    taken: list[tuple[float, float, Bar | None]] = []
    taken += [(bar.x, bar.end, bar) for bar in lane.bars]
    taken += [(at, at + COLUMN, None) for columns in lane.columns.values() for at, _ in columns]
    taken += [(at - 1, at + 1, None) for at in lane.crossed]
    crowded = sum(bar.kind == "handled" for bar in lane.bars) > CROWD
    for bar in sorted(lane.bars, key=lambda bar: -bar.width):
        for label in _candidates(bar, crowded):
            left, right = label.x - 1, label.x + label.room + 1
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
            yield Label(bar.x + (bar.width - room) / 2, words, room, bar.kind)
        elif bar.kind == "handled" and not crowded:
            yield Label(bar.end + GAP, words, room, "")
            yield Label(bar.x - GAP - room, words, room, "")
