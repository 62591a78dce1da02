# SPDX-License-Identifier: MIT
"""Writes the picture as an SVG that needs nothing else: no script, no font, no style sheet.

It has a background of its own, because a page whose colours do not follow the reader's system would
otherwise shine through. The rules of its style are for its own elements only, because a notebook
puts the SVG into a page with others.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from readyq.timeline import lanes, text
from readyq.timeline.lanes import Lane
from readyq.timeline.layout import MARGIN, NAME, SMALL, TITLE, Arrow, Layout, arrange, title
from readyq.timeline.look import COLOURS, DRAWN_AS, LEGEND, SHAPES
from readyq.timeline.recording import Recording

WIDTH = 830
NARROWEST = 500
LINE = 18.0  # the height of a line of text
TALL = 500.0  # from here on there is a second axis, at the top

_RULES = (  # selector, property, role
    (".ground", "fill", "ground"),
    (".ground", "stroke", "frame"),
    ("text", "fill", "text"),
    ("text.quiet", "fill", "quiet"),
    ("text.in-sleep", "fill", "in-sleep"),
    ("text.in-handler", "fill", "in-handler"),
    (".grid", "stroke", "grid"),
    (".line", "stroke", "awake"),
    (".awake", "fill", "awake"),
    (".sleep", "fill", "sleep"),
    (".handler", "fill", "handler"),
    (".ready", "fill", "ready"),
    (".columns.sleep", "stroke", "sleep"),
    (".columns.handler", "stroke", "handler"),
    (".columns.ready", "stroke", "ready"),
    (".mark", "fill", "text"),
    (".mark.open", "fill", "ground"),
    (".mark.open", "stroke", "text"),
    (".mark.call", "fill", "call"),
    (".arrow", "stroke", "quiet"),
    (".head", "fill", "quiet"),
    (".arrow.call", "stroke", "call"),
    (".head.call", "fill", "call"),
)
_FIXED = (
    "{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,'DejaVu Sans',sans-serif}"
    " .grid,.arrow,.columns,.line,.mark.open{fill:none}"
    " .line{stroke-width:2}.columns{stroke-width:2}.arrow{stroke-width:1.2}"
    ".mark.open{stroke-width:1.6}"
)


def render(recording: Recording, width: int = WIDTH) -> str:
    return _Writer(arrange(recording, max(width, NARROWEST))).picture()


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _style() -> str:
    def rules(scheme: int) -> str:
        return "".join(
            f".readyq-timeline {selector}{{{name}:{COLOURS[role][scheme]}}}"
            for selector, name, role in _RULES
        )

    fixed = _FIXED.replace(" .", " .readyq-timeline .").replace("}.", "}.readyq-timeline .")
    fixed = fixed.replace(",.", ",.readyq-timeline .")
    return f".readyq-timeline{fixed}{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}"


class _Writer:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.parts: list[str] = []
        self.room = layout.width - 2 * MARGIN

    def picture(self) -> str:
        layout = self.layout
        words = title(layout.recording)
        y = self.write_title(words)
        if layout.lanes:
            y = self.write_legend(y)
            self.parts.append(f'<g transform="translate(0 {_number(y)})">')
            self.write_grid()
            self.parts += map(self.arrow, layout.arrows)
            for lane in layout.lanes:
                self.write_lane(lane)
            for lane in layout.lanes:
                self.parts.append("".join(self.signs(lane)))
            self.write_axis(layout.bottom + 14)
            if layout.bottom > TALL:
                self.write_axis(16)
            self.parts.append("</g>")
            y += layout.bottom + 22
        y = self.write_notes(y)
        size = f"{_number(layout.width)} {_number(y)}"
        width, height = size.split()
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="readyq-timeline" role="img"'
                f' width="{width}" height="{height}" viewBox="0 0 {size}">',
                f"<title>{escape(', '.join(words))}</title>",
                f"<style>{_style()}</style>",
                f'<rect class="ground" x=".5" y=".5" rx="6" width="{_number(layout.width - 1)}"'
                f' height="{_number(y - 1)}"/>',
                *filter(None, self.parts),
                "</svg>\n",
            ]
        )

    # ------------------------------------------------------------------ around the plot

    def write_title(self, words: list[str]) -> float:
        y = 8.0
        for line in text.wrap(words, ", ", self.room, TITLE, bold=True):
            y += LINE + 2
            self.write(MARGIN, y - 5, line, TITLE, bold=True)
        return y

    def legend(self) -> Iterator[str]:
        shown = self.layout.lanes
        kinds = {DRAWN_AS.get(bar.kind, bar.kind) for lane in shown for bar in lane.bars}
        kinds |= {DRAWN_AS.get(kind, kind) for lane in shown for kind in lane.columns}
        kinds |= {sign.kind for lane in shown for sign in lane.signs}
        if any(lane.track.kind == "thread" and lane.lines for lane in shown):
            kinds.add("awake")
        if self.layout.arrows:
            kinds.add("arrow")
        return (kind for kind in LEGEND if kind in kinds)

    def write_legend(self, y: float) -> float:
        x = MARGIN
        y += LINE
        for kind in self.legend():
            words = LEGEND[kind]
            room = 20 + text.width(words, SMALL)
            if x > MARGIN and x + room > self.layout.width - MARGIN:
                x = MARGIN
                y += LINE
            self.parts.append(self.swatch(kind, x, y - 4))
            self.write(x + 20, y, words, SMALL, "quiet")
            x += room + 14
        return y + 10

    def swatch(self, kind: str, x: float, y: float) -> str:
        if kind == "arrow":
            return self.arrow(Arrow(x + 7, y + 5, x + 7, y - 5, "ready"))
        if kind in SHAPES:
            return self.shape(kind, x + 7, y)
        height = 4 if kind == "awake" else 10
        top = _number(y - height / 2)
        return f'<rect class="{kind}" x="{_number(x)}" y="{top}" width="14" height="{height}"/>'

    def write_grid(self) -> None:
        bottom = _number(self.layout.bottom)
        for y, words in self.layout.headings:
            self.write(MARGIN, y + 16, words, SMALL, "quiet")
        path = "".join(f"M{_number(x)} 0V{bottom}" for x, _ in self.layout.ticks)
        self.parts.append(f'<path class="grid" d="{path}"/>')

    def write_axis(self, y: float) -> None:
        end = 0.0
        for x, words in self.layout.ticks:
            room = text.width(words, SMALL)
            left = min(x - room / 2, self.layout.width - MARGIN - room)
            if left > end:
                self.write(left + room / 2, y, words, SMALL, "quiet", anchor="middle")
                end = left + room + 6

    def write_notes(self, y: float) -> float:
        for note in self.layout.notes:
            for line in text.wrap(note.split(), " ", self.room, SMALL):
                y += LINE - 2
                self.write(MARGIN, y, line, SMALL, "quiet")
        return y + 12

    # ------------------------------------------------------------------ lanes

    def write_lane(self, lane: Lane) -> None:
        room = self.layout.plot - 2 * MARGIN
        total = lane.total
        more = text.width(total, SMALL) + 2 * lanes.GAP if total else 0.0
        name = text.shorten(lane.name, room - more, NAME, bold=True)
        full = text.visible(lane.track.name)
        self.write(MARGIN, lane.y + 17, name, NAME, bold=True, hover=full)
        if total:
            x = MARGIN + room
            self.write(x, lane.y + 17, total, SMALL, "quiet", anchor="end")
        if lane.description:
            words = text.shorten(lane.description, room, SMALL)
            self.write(MARGIN, lane.y + 31, words, SMALL, "quiet", hover=full)
        self.parts += (self.line(lane, *line) for line in lane.lines)
        for kind in lanes.KINDS:
            self.parts.append("".join(self.bars(lane, kind)))
        for label in lane.labels:
            kind = DRAWN_AS.get(label.kind, label.kind)
            role = f"in-{kind}" if kind else "quiet"
            share = {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor]
            x, y = label.left + share * label.room, lane.y + lanes.BAR_TOP + 13
            self.write(x, y, label.words, lanes.SIZE, role, anchor=label.anchor)

    def line(self, lane: Lane, begin: float, end: float) -> str:
        if lane.track.kind == "watch":
            y = _number(lane.strip)
            return f'<path class="line" d="M{_number(begin)} {y}H{_number(end)}"/>'
        y = _number(lane.y + lanes.BAR_TOP + lanes.BAR / 2 - 2)
        width = _number(max(end - begin, 1))
        return f'<rect class="awake" x="{_number(begin)}" y="{y}" width="{width}" height="4"/>'

    def bars(self, lane: Lane, kind: str) -> Iterator[str]:
        role = DRAWN_AS.get(kind, kind)
        top = lane.y + lanes.BAR_TOP
        for bar in lane.bars:
            if bar.kind == kind:
                yield (
                    f'<rect class="{role}" x="{_number(bar.x)}" y="{_number(top)}"'
                    f' width="{_number(bar.width)}" height="{_number(lanes.BAR)}">'
                    f"<title>{escape(bar.title)}</title></rect>"
                )
        if kind in lane.columns:
            # Sleep is drawn from above, so that it does not cover handlers that ran beside it.
            foot, up = (top, "") if kind == "sleep" else (top + lanes.BAR, "-")
            path = "".join(
                f"M{_number(x + 1)} {_number(foot)}v{up}{_number(share * lanes.BAR)}"
                for x, share in lane.columns[kind]
            )
            yield f'<path class="columns {role}" d="{path}"/>'

    def signs(self, lane: Lane) -> Iterator[str]:
        for sign in lane.signs:
            yield self.shape(sign.kind, sign.x, lane.strip, sign.title)

    # ------------------------------------------------------------------ elements

    def shape(self, kind: str, x: float, y: float, hover: str = "") -> str:
        role, path = SHAPES.get(kind, SHAPES["several"])
        inner = f"<title>{escape(hover)}</title>" if hover else ""
        place = f"translate({_number(x)} {_number(y)})"
        return f'<path class="{role}" transform="{place}" d="{path}">{inner}</path>'

    def arrow(self, arrow: Arrow) -> str:
        role = "" if arrow.kind == "ready" else " call"
        back = 5 if arrow.y2 > arrow.y1 else -5  # where the head begins
        x, y = _number(arrow.x2), _number(arrow.y2 - back)
        return (
            f'<path class="arrow{role}" d="M{_number(arrow.x1)} {_number(arrow.y1)}L{x} {y}"/>'
            f'<path class="head{role}" d="M{_number(arrow.x2 - 3.5)} {y}h7l-3.5 {back}z"/>'
        )

    def write(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        role: str = "",
        *,
        bold: bool = False,
        anchor: str = "",
        hover: str = "",
    ) -> None:
        attributes = f' class="{role}"' if role else ""
        attributes += ' font-weight="600"' if bold else ""
        attributes += f' text-anchor="{anchor}"' if anchor not in ("", "start") else ""
        inner = f"<title>{escape(hover)}</title>" if hover and hover != words else ""
        self.parts.append(
            f'<text x="{_number(x)}" y="{_number(y)}" font-size="{_number(size)}"{attributes}>'
            f"{inner}{escape(words)}</text>"
        )
