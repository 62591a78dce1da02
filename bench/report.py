# SPDX-License-Identifier: MIT
"""`make bench-report` writes docs/performance.md and its plots, and the plot of the README, out of
measured results. Those of build/bench/results.json, which `make bench` left, are taken over into
results/SYSTEM.json, the committed file, first; those of a quick run are not. The words are here and
in the parts' chapters; every number is computed. page.py does the same for docs/scaling.md.
"""

import importlib
import platform
import sys

import page as scaling
import results
from compare import (
    ECHO,
    TUNED,
    every_ratio,
    family,
    in_full,
    in_short,
    label,
    select,
    table,
    unique,
    verdict,
    who,
)
from plot import Bars, Lines, figure
from results import ROOT

DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
COMMITTED = ROOT / "bench" / "results"
PARTS = ("counted", "timed", "echo", "latency")
SCALING = ("timed", "echo", "scaling")  # what docs/scaling.md is made of: page.py
UNITS = {"ns": "nanoseconds", "us": "microseconds"}
COLUMNS = (("C and Rust",), ("Python, a queue", "Python, asyncio and greenlets"))
COLUMNS += (("Lua, a queue", "Lua, coroutines"),)
# The rows of the plot in the README: group, what, unit, title.
OVERVIEW = [
    ("event", "100 ready", "ns", "Heavy load, 100 ready in a wait: nanoseconds per event"),
    ("event", "1 ready", "ns", "Light load, 1 ready in a wait: nanoseconds per event"),
    ("timers pending", "restart, 1000", "ns", "Restarting 1,000 timers: nanoseconds per restart"),
    ("echo", "100 x 64 bytes", ECHO, "Echo of 64 bytes on 100 connections: microseconds each"),
]

# ------------------------------------------------------------------ plots


def bars(rows, families, calls):
    """`calls`: the rows of system calls for the same thing, to say which library makes more."""
    needed = {(row.language, row.subject): row.value for row in calls}
    groups = []
    for name in families:
        mine = sorted((r for r in rows if family(r) == name), key=lambda row: row.value)
        if mine:
            least = min((needed.get((r.language, r.subject), 0) for r in mine), default=0)
            found = [
                (label(row), row.value, who(row), note(needed, row, max(1, least))) for row in mine
            ]
            groups.append((name, verdict(mine), found))
    return Bars(groups) if groups else None


def note(needed, row, least):
    """How many more system calls than the others it makes, if it does."""
    more = needed.get((row.language, row.subject), 0) - least
    return f"+ {more:.0f} call{'s' if more > 1.5 else ''}" if more > 0.5 else ""


def row_of_bars(title, rows, group, what, unit):
    mine = select(rows, group, what, unit)
    calls = select(rows, group, what, "system calls") if unit == "instructions" else []
    return title, [bars(mine, families, calls) for families in COLUMNS]


def draw_bars(chapter, rows):
    """A row of panels for each thing."""
    things = chapter.what or unique(r.what for r in rows if r.unit == chapter.unit)
    return [row_of_bars(what, rows, chapter.group, what, chapter.unit) for what in things]


def draw_lines(chapter, rows):
    """The figure of a number of things, in one panel for each language."""
    panels = []
    for title, languages in (("C and Rust", "C Rust"), ("Python", "Python"), ("Lua", "Lua")):
        mine = [r for r in rows if r.language in languages.split() and r.unit == chapter.unit]
        lines = [
            (subject, [(int(r.what), r.value) for r in mine if r.subject == subject], kind)
            for subject, kind in unique((r.subject, who(r)) for r in mine)
        ]
        if lines:
            panels.append(Lines(title, lines))
    return [("", panels)]


def save(name, svg):
    (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")


def plot(chapter, rows, conditions):
    """Writes the chapter's plot, and returns the name of the file."""
    draw = draw_lines if chapter.plot == "lines" else draw_bars
    name = "speed-" + chapter.group.replace(" ", "-")
    unit = UNITS.get(chapter.unit, chapter.unit)
    subtitle = f"{unit}; lower is better · {conditions['processor']}, {conditions['date']}"
    save(name, figure(chapter.title, subtitle, draw(chapter, rows)))
    return name


def overview(rows, conditions):
    rows = [row for row in rows if TUNED not in row.subject]
    panels = [row_of_bars(title, rows, *key) for *key, title in OVERVIEW if select(rows, *key)]
    if not panels:  # nothing was timed
        return
    words = "processor time, with the kernel; shorter is better; scales differ; dashed: no library"
    words += f" · {conditions['processor']}, {conditions['date']}"
    save("speed", figure("What an event loop costs", words, panels))


# ------------------------------------------------------------------ the page


def table_of(rows, unit):
    """Subjects below each other, things beside each other."""
    mine = [row for row in rows if row.unit == unit]
    things = unique(row.what for row in mine)
    values = {(row.language, row.subject, row.what): row for row in mine}
    lines = []
    for language, subject in unique((row.language, row.subject) for row in mine):
        found = [values.get((language, subject, what)) for what in things]
        name = f"**{subject}**" if subject.startswith("readyq") else subject
        lines.append([f"{language}: {name}", *(cell(row) for row in found)])
    return table([unit, *things], lines)


def cell(row):
    if row is None:
        return ""
    value = f"{row.value:,.2f}" if row.unit == "system calls" else in_full(row.value)
    return value if row.spread is None else f"{value} ± {in_full(row.spread)}"


def chapter_text(chapter, rows, conditions):
    parts = [f"## {chapter.title}", chapter.text]
    if chapter.plot and any(row.unit == chapter.unit for row in rows):
        name = plot(chapter, rows, conditions)
        parts.append(f"![{chapter.title}: a bar for each library](images/{name}.svg)")
    parts += [table_of(rows, unit) for unit in unique(row.unit for row in rows)]
    parts.append(f"To measure again: `{chapter.repeat}`.")
    return "\n\n".join(parts)


HEAD = """\
# Performance

```{note}
`make bench-report` writes this page from measured results; do not edit it by hand.
```

This page compares the cost of readyq with that of the kernel's own calls and of other event loops
in each language. Every figure is for one operation, and lower is better. Instructions and system
calls are counted: they are the same in every run, even on a busy machine. The instructions are
those of the program and its libraries, without those of the kernel in system calls. Times include
the kernel's part. They are medians of interleaved rounds; the number after ± is their spread, the
distance from the first quartile to the third. In the tables with a row for each library, compare
times only within a column: the columns were measured one after another, and the speed of the
machine changed in the meantime.

![Bar chart: processor time for each library in C, Python and Lua](images/speed.svg)

"""

WHO = """\
## What is compared

Libraries are compared with others that are used in the same way. A program that uses a *queue*
calls its wait; a loop of tasks, greenlets or *coroutines* does the waiting, and calls or resumes
the program. The bare loops make the kernel's calls for a single purpose, with none of what a
library provides.

| name | what it is |
| --- | --- |
| readyq for | `for w in q.wait()`, in Lua `for w, ready, data in q:wait()` |
| readyq dispatch | `q.dispatch()`, which calls a function for each watch |
| readyq Selector | `readyq.Selector` in place of `selectors.DefaultSelector` |
| readyq asyncio | asyncio on `readyq.new_event_loop()`; with protocols or with streams |
| readyq, loop.py | `examples/loop.py`: async and await in thirty lines |
| readyq loop, readyq.loop | `require "readyq.loop"`: coroutines |
| readyq.socket | `require "readyq.socket"`: LuaSocket's calls, with the same guarantees |
| bare epoll | epoll's system calls in C |
| select.epoll, dict | the class of the standard library, and a dict from descriptors to objects |
| buffers kept | with malloc told to keep asyncio's buffers of 256 KiB; not used in the ratios |
| luv, bytes | what arrives is sent back; the others split it into lines |"""


def conditions_text(parts):
    names = {"date": "date", "readyq": "readyq", "processor": "processor", "cores": "cores"}
    names |= {"system": "system", "compiler": "compiler", "flags": "flags"}
    lines = [
        [words, *(str(part["conditions"][key]) for part in parts.values())]
        for key, words in names.items()
    ]
    versions = results.versions(parts)
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    left_out = [f"{one['subject']} ({one['language']}): `{one['get']}`" for one in missing(parts)]
    words = ["## Conditions", table(["", *parts], lines), f"Versions: {found}."]
    if left_out:
        words.append("Left out because it was not installed: " + "; ".join(left_out) + ".")
    return "\n\n".join(words)


def missing(parts):
    every = [one for part in parts.values() for one in part["missing"]]
    return list({(one["subject"], one["language"]): one for one in every}.values())


def page(parts):
    every = [row for part in parts.values() for row in part["rows"]]
    chapters = []
    for name, part in parts.items():
        for chapter in importlib.import_module(name).CHAPTERS:
            if rows := [row for row in every if row.group == chapter.group]:
                chapters.append((chapter, rows, part["conditions"]))
    overview(every, parts.get("timed", parts["counted"])["conditions"])
    words = [in_short(every, [one[:2] for one in chapters]), WHO]
    words += [chapter_text(*one) for one in chapters]
    words += [every_ratio([one[:2] for one in chapters]), conditions_text(parts)]
    return HEAD + "\n\n".join(words) + "\n"


def take_over(path):
    """The committed results, with those of the last run in their place."""
    committed, latest = results.load(path), results.load(results.LATEST)
    for name, part in latest["parts"].items():
        if part["quick"]:
            print(f"bench-report: {name}: a quick run is not taken over", file=sys.stderr)
        else:
            committed["parts"][name] = part
    results.save(path, committed)
    return committed


def main():
    committed = take_over(COMMITTED / f"{platform.system().lower()}-{platform.machine()}.json")
    parts = {name: committed["parts"][name] for name in PARTS if name in committed["parts"]}
    if "counted" not in parts:
        sys.exit("bench-report: nothing was counted yet: make bench BENCH=counted")
    (DOCS / "performance.md").write_text(page(parts), encoding="utf-8")
    if set(SCALING) <= set(committed["parts"]):
        scaling.write(committed)


if __name__ == "__main__":
    main()
