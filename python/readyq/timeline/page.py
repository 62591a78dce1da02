# SPDX-License-Identifier: MIT
"""Embeds a recording into one HTML page that needs no network. paint.js draws it, page.js lets the
reader zoom, hover and search, and page.css styles it.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from readyq.timeline import lanes, text
from readyq.timeline.lanes import Lane
from readyq.timeline.layout import title
from readyq.timeline.look import COLOURS, LEGEND, SHAPES
from readyq.timeline.recording import Recording, Track

# Scripts and styles of the page itself, and nothing from elsewhere.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<style>
{style}</style>
<header>
<h1>{name}</h1>
<p>{totals}</p>
<div role="toolbar" aria-label="view">
<input id="search" type="search" placeholder="Search names (/)" aria-label="Search names">
<button id="before" title="previous match (Shift+Enter)">&#x2039;</button>
<button id="after" title="next match (Enter)">&#x203a;</button>
<output id="found" for="search"></output>
<span></span>
<button id="out" title="zoom out (-)">&#x2212;</button>
<button id="in" title="zoom in (+)">+</button>
<button id="all" title="show everything (0)">All</button>
</div>
</header>
<main id="lanes">
<div id="names"></div>
<div id="plot"><canvas id="canvas" tabindex="0"
 aria-label="Timeline. The arrow keys move; N and P step through a lane."></canvas></div>
</main>
<footer>
<p id="details" role="status">Point at a bar, or choose a lane with the up and down keys and step
through its bars with N and P.</p>
<ul id="legend"></ul>
<p id="keys"><b>Wheel</b>, <kbd>+</kbd> <kbd>-</kbd> zoom; <b>Shift+drag</b> zooms into a part;
<b>drag</b>, <kbd>&#x2190;</kbd> <kbd>&#x2192;</kbd> move; <kbd>&#x2191;</kbd> <kbd>&#x2193;</kbd>
choose a lane; <kbd>N</kbd> <kbd>P</kbd> next and previous bar; <kbd>/</kbd> search;
<kbd>0</kbd> shows everything.</p>
</footer>
<noscript>This page needs JavaScript. <code>python -m readyq.timeline run.json -o run.svg</code>
draws a picture that does not.</noscript>
<script id="data" type="application/json">{data}</script>
<script>
{script}</script>
</html>
"""


def render(recording: Recording, name: str) -> str:
    folder = files("readyq.timeline")
    return _PAGE.format(
        policy=_POLICY,
        name=escape(text.visible(name)),
        totals=escape(", ".join(title(recording))),
        style=_colours() + (folder / "page.css").read_text(encoding="utf-8"),
        script="".join(
            (folder / name).read_text(encoding="utf-8") for name in ("page.js", "paint.js")
        ),
        data=_embed(_data(recording)),
    )


def _colours() -> str:
    light, dark = (
        ":root{" + ";".join(f"--{role}:{pair[scheme]}" for role, pair in COLOURS.items()) + "}"
        for scheme in (0, 1)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{{dark}}}\n"


def _embed(data: Any) -> str:
    """JSON, escaped so that it cannot end the element that contains it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


class _Names:
    """Stores each name once, and refers to it by a number wherever it is used."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self.numbers.setdefault(text.visible(name), len(self.numbers))


def _data(recording: Recording) -> dict[str, Any]:
    names = _Names()
    queue = [recording.queue] if recording.queue.marks else []
    tracks = [*recording.threads, *queue, *recording.watches]
    places = {track.number: index for index, track in enumerate(tracks)}
    begin = recording.begin
    return {
        "whole": max(recording.end - begin, 1000),
        "lanes": [_lane(track, recording, names) for track in tracks],
        "arrows": [
            [one.begin - begin, places[one.source], one.end - begin, places[one.target], one.kind]
            for one in recording.arrows
        ],
        "names": list(names.numbers),
        "legend": list(LEGEND.items()),
        "shapes": SHAPES,
    }


def _lane(track: Track, recording: Recording, names: _Names) -> dict[str, Any]:
    lane, begin, end = Lane(track), recording.begin, recording.end
    lanes.add_lines(lane, lambda at: at - begin, 0, end - begin)
    spans: dict[str, list[int]] = {}
    for span in track.spans:
        if span.kind in lanes.KINDS:
            row = span.begin - begin, span.end - span.begin, names.number(span.name)
            spans.setdefault(span.kind, []).extend(row)
    marks = [(mark.at - begin, mark.kind, names.number(lanes.tell(mark))) for mark in track.marks]
    return {
        "name": lane.name,
        "more": lane.description,
        "total": lane.total,
        "watch": track.kind == "watch",
        "line": lane.lines[0] if lane.lines else None,
        "spans": spans,
        "marks": marks,
    }
