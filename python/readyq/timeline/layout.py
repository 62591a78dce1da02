# SPDX-License-Identifier: MIT
"""Where everything in the picture goes: a lane for each thread and watch, arrows between them, a
time axis and notes. Coordinates are pixels; svg.py writes them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from readyq.timeline import lanes, text
from readyq.timeline.lanes import Lane, Place
from readyq.timeline.recording import Recording, Track

THREADS, WATCHES = 8, 24  # lanes of each at most
MARGIN = 14.0
HEADING = 24.0
ARROWS_APART = 6.0
ARROWS = 60  # from watches; if there is room for more, none of them is drawn
TITLE, NAME, SMALL = 14.0, 12.0, 11.0  # sizes of the font
NAMES = 110.0, 270.0  # the least and largest width of what is left of the plot
TICKS_APART = 72.0

_STEPS = [
    *(factor * 10**power for power in range(10) for factor in (1, 2, 5)),
    *(factor * 10**10 for factor in (1, 2, 3, 6)),  # up to a minute
    *(factor * 60 * 10**9 for factor in (2, 5, 10, 20, 30, 60, 120, 180, 360, 720)),
]


@dataclass
class Arrow:
    """From what ended a sleep to the end of that sleep."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str


@dataclass
class Layout:
    recording: Recording
    width: float
    plot: float = 0.0  # where the plot begins
    lanes: list[Lane] = field(default_factory=list[Lane])
    headings: list[tuple[float, str]] = field(
        default_factory=list[tuple[float, str]]
    )  # y and words
    ticks: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])  # x and words
    arrows: list[Arrow] = field(default_factory=list[Arrow])
    notes: list[str] = field(default_factory=list[str])
    bottom: float = 0.0  # of the lanes; the first one begins at 0

    @property
    def end(self) -> float:
        """Where the plot ends."""
        return self.width - MARGIN

    @property
    def whole(self) -> int:
        return max(self.recording.end - self.recording.begin, 1000)

    @property
    def place(self) -> Place:
        """The function from a time to its x."""
        begin, left = self.recording.begin, self.plot
        scale = (self.end - left) / self.whole
        return lambda at: left + (at - begin) * scale


def title(recording: Recording) -> list[str]:
    """The totals, in words."""
    if recording.is_empty:
        return ["Nothing was recorded"]
    whole = recording.end - recording.begin
    waiting = [track for track in recording.threads if track.count("wait")]
    asleep = sum(track.total("sleep") for track in waiting)
    deliveries = sum(track.count("handler") for track in recording.threads)
    on = f" on {text.visible(recording.backend)}" if recording.backend else ""
    return [
        f"A queue{on}: {text.duration(whole)}",
        text.count(sum(track.waits for track in waiting), "wait"),
        f"{text.share(asleep, whole * len(waiting))} asleep",
        text.count(deliveries, "delivery", "deliveries"),
        f"{text.count(recording.dropped, 'record')} dropped",
    ]


def arrange(recording: Recording, width: float) -> Layout:
    layout = Layout(recording, width)
    groups = {
        "threads": _choose([Lane(track) for track in recording.threads], THREADS),
        "queue": [Lane(recording.queue)] if recording.queue.marks else [],
        "watches": _choose(_chain(recording.watches), WATCHES),
    }
    # Columns are counted from the left edge, so that the plot begins with one.
    names = _names([lane for group in groups.values() for lane in group])
    layout.plot = ceil((2 * MARGIN + names) / lanes.COLUMN) * lanes.COLUMN
    for heading, group in groups.items():
        if group and heading != "queue":  # its lane has that name
            layout.headings.append((layout.bottom, heading))
            layout.bottom += HEADING
        for lane in group:
            lane.y = layout.bottom
            layout.bottom += lanes.HEIGHT
            layout.lanes.append(lane)
            lanes.fill(lane, layout.place, layout.plot, layout.end)
    _add_arrows(layout)
    for lane in layout.lanes:
        lanes.add_labels(lane, layout.plot, layout.end)
    _add_ticks(layout)
    _add_notes(layout)
    return layout


def _chain(watches: Sequence[Track]) -> list[Lane]:
    """A lane for each watch. Watches with the same name that are in the queue one after another
    share one, such as the timers of successive steps of a program, or the descriptors of successive
    pipes.
    """
    chains: list[list[Track]] = []
    open_chains: dict[str, list[list[Track]]] = {}
    for track in watches:
        begin, _ = track.lifetime
        for chain in open_chains.setdefault(track.name, []):
            _, end = chain[-1].lifetime
            if begin is not None and end is not None and end <= begin:
                chain.append(track)
                break
        else:
            chains.append([track])
            open_chains[track.name].append(chains[-1])
    return [_lane(chain) for chain in chains]


def _lane(tracks: Sequence[Track], name: str = "") -> Lane:
    if len(tracks) == 1 and not name:
        return Lane(tracks[0])
    whole = Track(tracks[0].number, name or tracks[0].name)
    for track in tracks:
        whole.spans += track.spans
        whole.marks += () if name else track.marks
    whole.spans.sort(key=lambda span: span.begin)
    return Lane(whole, tuple(tracks), together=bool(name))


def _choose(shown: list[Lane], limit: int) -> list[Lane]:
    """These lanes; if there are too many, the busiest, and one for the others together."""
    if len(shown) <= limit:
        return shown
    busiest = sorted(shown, key=lambda lane: -len(lane.track.spans) - len(lane.track.marks))
    rest = {lane.track.number for lane in busiest[limit - 1 :]}
    tracks = [
        track
        for lane in shown
        if lane.track.number in rest
        for track in lane.tracks or (lane.track,)
    ]
    kind = "watches" if tracks[0].kind == "watch" else "threads"
    together = _lane(tracks, f"{len(tracks):,} more {kind} (in one lane)")
    return [*(lane for lane in shown if lane.track.number not in rest), together]


def _names(shown: Sequence[Lane]) -> float:
    """The width of what is written left of the plot."""
    widest = 0.0
    for lane in shown:
        first = text.width(lane.name, NAME, bold=True)
        if lane.total:
            first += 2 * lanes.GAP + text.width(lane.total, SMALL)
        widest = max(widest, first, text.width(lane.description, SMALL))
    return min(max(widest, NAMES[0]), NAMES[1])


_Link = tuple[Lane, Lane, float, float, str]  # source and target, the x of both, the kind


def _add_arrows(layout: Layout) -> None:
    by_number = {lane.track.number: lane for lane in layout.lanes}
    by_number.update((track.number, lane) for lane in layout.lanes for track in lane.tracks)
    place = layout.place
    calls: list[_Link] = []
    ready: list[_Link] = []
    hidden = 0
    drawn: dict[float, list[float]] = {}  # the x of arrows to a lane, by its y
    for arrow in sorted(layout.recording.arrows, key=lambda arrow: arrow.kind == "ready"):
        source, target = by_number[arrow.source], by_number[arrow.target]
        if source is target:
            continue
        x1, x2 = place(arrow.begin), place(arrow.end)
        others = drawn.setdefault(target.y, [])
        if any(abs(x2 - other) < ARROWS_APART for other in others):
            hidden += 1
            continue
        others.append(x2)
        link = source, target, x1, x2, arrow.kind
        (ready if arrow.kind == "ready" else calls).append(link)
    if len(ready) > ARROWS:
        hidden += len(ready)
        ready = []
        reason = "because there are too many"
    else:
        reason = "because they are too close to others"
    for link in calls + ready:
        _add_arrow(layout, *link)
    if hidden:
        layout.notes.append(f"Arrows left out, {reason}: {hidden:,}.")


def _add_arrow(layout: Layout, source: Lane, target: Lane, x1: float, x2: float, kind: str) -> None:
    down = target.y > source.y
    y1 = source.y + lanes.BAR_TOP + lanes.BAR if kind == "ready" else source.strip
    y2 = target.y + lanes.BAR_TOP + (0 if down else lanes.BAR)
    layout.arrows.append(Arrow(x1, y1, x2, y2, kind))
    top, bottom = min(source.y, target.y), max(source.y, target.y)
    for lane in layout.lanes:
        if top < lane.y < bottom:
            middle = lane.y + lanes.BAR_TOP + lanes.BAR / 2
            lane.crossed.append(x1 + (x2 - x1) * (middle - y1) / (y2 - y1))


def _add_ticks(layout: Layout) -> None:
    if layout.recording.is_empty:
        return
    most = max((layout.end - layout.plot) / TICKS_APART, 1)
    day = 86400 * 10**9
    step = next(
        (step for step in _STEPS if layout.whole / step <= most),
        day * (int(layout.whole / day / most) + 1),
    )
    for at in range(0, layout.whole + 1, step):
        layout.ticks.append(
            (layout.place(layout.recording.begin + at), text.moment(at, step, layout.whole))
        )


def _add_notes(layout: Layout) -> None:
    notes = layout.notes
    for lane in layout.lanes:
        if lane.together:
            kind = "watches" if lane.track.kind == "watch" else "threads"
            notes.append(
                f"The {len(lane.tracks):,} least busy {kind} share one lane;"
                " the HTML page has a lane for each."
            )
    pixels = text.duration(round(layout.whole * lanes.COLUMN / (layout.end - layout.plot)))
    narrow = f"Anything shorter than {pixels} is drawn two pixels wide"
    if any(lane.columns for lane in layout.lanes):
        notes.append(
            f"{narrow}; in lanes with many of these, the height of the coloured part is the share"
            " of time that they take, but at least a third of the lane."
        )
    elif any(bar.width == lanes.COLUMN for lane in layout.lanes for bar in lane.bars):
        notes.append(f"{narrow}.")
    if layout.recording.dropped:
        dropped = text.count(layout.recording.dropped, "older record")
        notes.append(f"The recording was full: {dropped} had to be dropped.")
