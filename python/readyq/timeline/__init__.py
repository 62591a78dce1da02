# SPDX-License-Identifier: MIT
"""Pictures of a recording: a timeline of what a queue and its threads did.

    python -m readyq.timeline run.json -o run.svg

draws the trace file that a recording was saved to, in C, Python or Lua; with run.html it makes an
interactive page: zoom, hover, search. svg() and html() do the same in a program.

recording.py reads the file; lanes.py and layout.py place what svg.py writes; page.py embeds the
recording into a page, whose script draws it.
"""

from __future__ import annotations

from readyq.timeline.page import render as _page
from readyq.timeline.recording import BadRecordingError, Source, read
from readyq.timeline.svg import WIDTH
from readyq.timeline.svg import render as _svg

__all__ = ["BadRecordingError", "html", "svg"]


def svg(data: Source, width: int = WIDTH) -> str:
    """A recording as an SVG, from the text of its trace file or what json.loads() makes of it.

    Raises BadRecordingError if the data is not a recording.
    """
    return _svg(read(data), width)


def html(data: Source, title: str = "readyq") -> str:
    """A recording as an HTML page that needs no other file and no network.

    Raises BadRecordingError if the data is not a recording.
    """
    return _page(read(data), title)
