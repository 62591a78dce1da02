# SPDX-License-Identifier: MIT
"""The plots of report.py, as SVG that follows the reader's choice of light or dark: bars and lines,
in panels beside each other. 830 pixels are what a README shows without shrinking.
"""

import math
from html import escape

WIDTH, EDGE, GAP = 830, 14, 22
BAR, STEP = 11, 16  # the height of a bar, and from one to the next
OURS, PEER, LIMIT = "ours", "peer", "limit"  # whose bar it is; LIMIT: the lower bound

# For light and dark: the ground, its edge, text, quiet text, grid, readyq, peers.
COLOURS = {
    "light": ("#ffffff", "#d0d7de", "#1f2328", "#59636e", "#e4e8ec", "#d9640f", "#aeb7c1"),
    "dark": ("#0f141a", "#30363d", "#e6edf3", "#9aa4af", "#222a33", "#f08a3c", "#56616d"),
}
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Arial,'DejaVu Sans',sans-serif"
GOOD, BAD = {"light": "#1a7f37", "dark": "#3fb950"}, {"light": "#b3261e", "dark": "#ff7b72"}


def rules(scheme):
    ground, edge, text, quiet, grid, ours, peer = COLOURS[scheme]
    return (
        f".ground{{fill:{ground};stroke:{edge}}}text{{fill:{text}}}.quiet{{fill:{quiet}}}"
        f".grid{{stroke:{grid};fill:none}}.ours{{fill:{ours}}}.peer{{fill:{peer}}}"
        f".limit{{fill:none;stroke:{quiet};stroke-dasharray:3 2}}"
        f".line{{fill:none;stroke-width:2}}.line.ours{{stroke:{ours};fill:none}}"
        f".line.peer{{stroke:{peer};fill:none}}.line.limit{{stroke:{quiet}}}"
        f".good{{fill:{GOOD[scheme]}}}.bad{{fill:{BAD[scheme]}}}.cut{{stroke:{ground}}}"
    )


def text(x, y, words, size=11, style="", anchor="", bold=False):
    more = f' class="{style}"' if style else ""
    more += f' text-anchor="{anchor}"' if anchor else ""
    more += ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}"{more}>{escape(words)}</text>'


def number(value):
    """With three digits at least, and none that say nothing."""
    if value >= 10_000:
        return f"{value / 1000:,.3g} k" if value < 1_000_000 else f"{value / 1e6:,.3g} M"
    if value >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Bars:
    """Bars below each other in groups, each with a heading, a verdict and a scale of its own.
    `groups`: (heading, verdict, bars); a verdict is (words, style), and a style "good", "bad" or
    "quiet"; a bar is (label, value, who, note)."""

    def __init__(self, groups):
        self.groups = groups
        self.height = sum(40 + STEP * len(bars) for _, _, bars in groups)

    def draw(self, x, y, width):
        labels = [label for _, _, bars in self.groups for label, *_ in bars]
        room = min(122, max(map(len, labels)) * 6.5 + 6)
        for heading, (words, style), bars in self.groups:
            yield text(x, y + 12, heading, 11, "quiet")
            yield text(x, y + 26, words, 11, style, bold=style != "quiet")
            y += 32
            ours = [value for _, value, who, _ in bars if who == OURS]
            most = max(value for _, value, _, _ in bars)
            # A bar that would make all others short has a gap, and its number tells the rest.
            most = min(most, 3.2 * max(ours)) if ours else most
            lengths = [min(value, most) or 1 for _, value, _, _ in bars]
            spaces = [width - room - 6.2 * len(end_of(bar)) - 6 for bar in bars]
            scale = min(space / length for space, length in zip(spaces, lengths))
            for bar in bars:
                yield from self.draw_bar(x + room, y, min(bar[1], most) * scale, bar[1] > most, bar)
                y += STEP
            y += 8

    def draw_bar(self, x, y, length, is_cut, bar):
        label, _, who, _ = bar
        base = y + BAR - 1.5
        yield text(x - 6, base, label, 11, "", "end", bold=who == OURS)
        place = f'x="{x:g}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}"'
        yield f'<rect class="{who}" {place}/>'
        if is_cut:
            yield f'<path class="cut" stroke-width="3" d="M{x + length - 12:.1f} {y + 12}l5 -13"/>'
        yield text(x + length + 5, base, end_of(bar), 11, "quiet")


def end_of(bar):
    """The label at the end of a bar."""
    _, value, _, note = bar
    return f"{number(value)} {note}".rstrip()


def round_numbers(top):
    """A few from 0 to at most `top`."""
    power = 10 ** math.floor(math.log10(top))
    step = next(power * part for part in (0.2, 0.5, 1, 2) if top / (power * part) <= 5)
    return [step * count for count in range(int(top / step) + 1)]


class Lines:
    """`lines`: (label, [(x, y)], who). The x axis is logarithmic, the y axis begins at 0."""

    height = 250

    def __init__(self, title, lines):
        self.title, self.lines = title, lines

    def draw(self, x, y, width):
        points = [point for _, some, _ in self.lines for point in some]
        low, high = (math.log10(f(px for px, _ in points)) for f in (min, max))
        top = max(py for _, py in points) * 1.05 or 1
        names = max(len(label) for label, _, _ in self.lines) * 6.2 + 8
        left, right, above, below = x + 30, x + width - names, y + 26, y + self.height - 24

        def place(px, py):
            across = (math.log10(px) - low) / ((high - low) or 1)
            return left + across * (right - left), below - py / top * (below - above)

        yield text(x, y + 13, self.title, 13, bold=True)
        for value in round_numbers(top):
            at = place(min(points)[0], value)[1]
            yield f'<path class="grid" d="M{left:.1f} {at:.1f}H{right:.1f}"/>'
            yield text(left - 4, at + 4, number(value), 10, "quiet", "end")
        last = math.inf
        for px in sorted({px for px, _ in points}, reverse=True):
            at = place(px, 0)[0]
            if at < last - 36:  # no number covers another; the largest is there
                yield text(at, below + 14, number(px), 10, "quiet", "middle")
                last = at
        ends = []
        for label, some, who in self.lines:
            path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in sorted(some))
            yield f'<path class="line {who}" d="M{path}"/>'
            ends.append([place(*max(some))[1], label, who])
        ends.sort()
        for at, (_, label, who) in zip(apart([at for at, *_ in ends], below), ends):
            yield text(right + 6, at + 4, label, 11, "", "", bold=who == OURS)


def apart(places, lowest):
    """The heights of labels, sorted, with 12 pixels between them and none below the lowest."""
    found, limit = [], lowest
    for at in reversed(places):
        found.append(min(at, limit))
        limit = found[-1] - 12
    return found[::-1]


def figure(title, subtitle, rows):
    """The SVG of rows (title, panels); a panel is Bars or Lines, or None for an empty place."""
    columns = max(len(panels) for _, panels in rows)
    width = (WIDTH - 2 * EDGE - (columns - 1) * GAP) / columns
    y, parts = 58, []
    for words, panels in rows:
        if words:
            parts.append(text(EDGE, y + 13, words, 13, bold=True))
            y += 20
        for column, panel in enumerate(panels):
            if panel is not None:
                parts += panel.draw(EDGE + column * (width + GAP), y, width)
        y += max(panel.height for panel in panels if panel is not None) + 8
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" font-family="{FONT}">',
        f"<title>{escape(title)}</title>",
        f"<style>{rules('light')}@media(prefers-color-scheme:dark){{{rules('dark')}}}</style>",
        f'<rect class="ground" x=".5" y=".5" rx="6" width="{WIDTH - 1}" height="{y - 1}"/>',
        text(EDGE, 24, title, 15, bold=True),
        text(EDGE, 42, subtitle, 12, "quiet"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
