# SPDX-License-Identifier: MIT
"""Lays out the table of picture.py so that no line is longer than the terminal is wide."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence

_GAP = "  "
_ENOUGH = {"data": 18}  # columns are cut to this width before others are left out
_ENOUGH_ELSE = 8
_LEFT_OUT = ("deliveries", "ready", "interest", "every", "due in", "source")  # in this order
_UNLIMITED = 10**6  # where the output is not a terminal


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def cut(text: str, width: int) -> str:
    """The text, or its beginning and two dots, in no more than this many columns."""
    if width_of(text) <= width:
        return text
    dots = ".."[:width]
    kept, left = "", width - len(dots)
    for one in text:
        left -= width_of(one)
        if left < 0:
            break
        kept += one
    return kept + dots


def _widths(columns: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(width_of, column)) for column in columns]


def _least(columns: Sequence[Sequence[str]]) -> list[int]:
    enough = [_ENOUGH.get(column[0], _ENOUGH_ELSE) for column in columns]
    return list(map(min, zip(_widths(columns), enough)))


def _choose(columns: list[Sequence[str]], room: int) -> list[Sequence[str]]:
    """The columns that are shown: empty ones go first, then those that matter least."""

    def fits() -> bool:
        return sum(_least(columns)) + len(_GAP) * len(columns) <= room

    if sum(_widths(columns)) + len(_GAP) * len(columns) > room:
        columns = [column for column in columns if any(column[1:])]
    for name in _LEFT_OUT:
        if fits():
            break
        columns = [column for column in columns if column[0] != name]
    return columns


def _shrink(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """The widths, reduced until all fit: first the one that exceeds its least width by the most."""
    widths, least = _widths(columns), _least(columns)
    while sum(widths) > room and max(widths) > 1:
        above = [have - need for have, need in zip(widths, least)]
        widest = above.index(max(above)) if max(above) > 0 else widths.index(max(widths))
        widths[widest] -= 1
    return widths


def fit(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: its title, and its rows, the first of which is the header."""
    room = shutil.get_terminal_size(fallback=(_UNLIMITED, 24)).columns
    columns = _choose(list(zip(*rows)), room)
    widths = _shrink(columns, room - len(_GAP) * len(columns))
    lines = [cut(title, room)]
    for row in zip(*columns):
        cells = [cut(cell, width) for cell, width in zip(row, widths)]
        padded = [cell + " " * (width - width_of(cell)) for cell, width in zip(cells, widths)]
        lines.append(cut((_GAP + _GAP.join(padded)).rstrip(), room))
    return lines
