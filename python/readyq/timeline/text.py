# SPDX-License-Identifier: MIT
"""Text in pictures: how a time is written, how wide a text is, and what a name looks like."""

from __future__ import annotations

import unicodedata

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
_NARROW = frozenset(" !'(),./:;I[]\\fijlrt|-")
_WIDE = frozenset("%@MWmw")
_SIGNS = frozenset("#&+<=>^~")


def duration(ns: int) -> str:
    """A time to three digits: 84 µs, 1.02 s, 3 h 5 min."""
    if ns >= 100_000_000_000:
        return _long(round(ns / 1e9))
    for size, unit in _UNITS:
        # Rounding to three digits must not give "1000 µs".
        if ns >= 0.9995 * size or unit == "ns":
            return f"{float(f'{ns / size:.3g}'):g} {unit}"
    return ""


def _long(seconds: int) -> str:
    parts = (seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min")
    shown = [f"{number} {unit}" for number, unit in (*parts, (seconds % 60, "s")) if number]
    return " ".join(shown[:2])


def moment(ns: int, step: int, whole: int) -> str:
    """A place on an axis of this length whose ticks are `step` apart: 0.2 s, 1.25 ms."""
    if ns == 0:
        return "0"
    if step >= 60_000_000_000:
        return _long(ns // 1_000_000_000)
    size, unit = next((one for one in _UNITS if whole >= one[0]), _UNITS[-1])
    digits = 0
    while step * 10**digits % size:
        digits += 1
    return f"{ns / size:,.{digits}f} {unit}"


def count(number: int, one: str, several: str = "") -> str:
    """1 wait, 12,345 waits."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def share(part: int, whole: int) -> str:
    """A percentage that says 100 or 0 only if it is exact."""
    if whole <= 0:
        return "0 %"
    percent = 100 * part / whole
    if part in (0, whole):
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def visible(text: str) -> str:
    """The text with characters that are invisible or not allowed in XML written as escapes.

    Among them are those that change the direction of the text around them.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _advance(one: str) -> float:
    """The width of a character in em, the size of the font, in the widest of the usual fonts."""
    if not one.isascii():
        if unicodedata.combining(one):
            return 0.0
        return 1.05
    if one in _NARROW:
        return 0.42
    if one in _WIDE:
        return 1.04
    if one in _SIGNS:
        return 0.86
    return 0.8 if one.isupper() else 0.66


def width(text: str, size: float, *, bold: bool = False) -> float:
    """The pixels that a text takes at most. An SVG cannot measure, so wide fonts are assumed."""
    return sum(map(_advance, text)) * size * (1.12 if bold else 1.0)


def shorten(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """The text, or its beginning and its end around "…", in no more than `room` pixels."""
    if width(text, size, bold=bold) <= room:
        return text
    kept = len(text)
    while kept > 0:
        kept -= 1
        shown = text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]
        if width(shown, size, bold=bold) <= room:
            return shown
    return ""


def wrap(
    parts: list[str], separator: str, room: float, size: float, *, bold: bool = False
) -> list[str]:
    """The parts, joined by the separator, on as many lines as are necessary."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{separator}{part}" if lines else ""
        if longer and width(longer, size, bold=bold) <= room:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
