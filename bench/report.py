# SPDX-License-Identifier: MIT
"""`make bench-report` writes docs/performance.md and its plots, and the plot of the README, out of
measured results. Those of build/bench/results.json, which `make bench` left, are taken over into
results/SYSTEM.json, the committed file, first; those of a quick run are not. The words are here and
in the parts' chapters; every number is computed. page.py does the same for docs/scaling.md.
"""

import importlib
import platform
import sys
import textwrap

import page as scaling
import results
from plot import LIMIT, OURS, PEER, Bars, Lines, figure, number
from results import ROOT

DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
COMMITTED = ROOT / "bench" / "results"
PARTS = ("counted", "timed", "echo", "latency")
SCALING = ("timed", "echo", "scaling")  # what docs/scaling.md is made of: page.py
UNITS = {"ns": "nanoseconds", "us": "microseconds"}
LEVEL = 1.03  # closer than that is the same
TUNED = "buffers kept"

# Subjects are compared with those that are used in the same way: in the order of the columns.
FAMILIES = {
    "C": "C and Rust",
    "Rust": "C and Rust",
    "Python": "Python, a queue",
    "tasks": "Python, asyncio and greenlets",
    "Lua": "Lua, a queue",
    "coroutines": "Lua, coroutines",
}
COLUMNS = (("C and Rust",), ("Python, a queue", "Python, asyncio and greenlets"))
COLUMNS += (("Lua, a queue", "Lua, coroutines"),)
TASKS = ("asyncio", "uvloop", "gevent", "trio")
COROUTINES = ("loop", "socket", "cqueues", "copas")

# The rows of the plot in the README: group, what, unit, title.
ECHO = "us of processor time per message"
OVERVIEW = [
    ("event", "100 ready", "ns", "Heavy load, 100 ready in a wait: nanoseconds per event"),
    ("event", "1 ready", "ns", "Light load, 1 ready in a wait: nanoseconds per event"),
    ("echo", "100 x 64 bytes", ECHO, "Echo of 64 bytes on 100 connections: microseconds each"),
]

# Why readyq loses, by family and group.
REASONS = {
    ("C and Rust", "event"): """\
Each wait locks the queue, because any thread may change it at any time; reads the clock for the
figures of `readyq_stats()`; and gives back what the last batch still holds. With one event per
wait, that event pays for all of it. polling and mio hand out the kernel's own array and keep no
state; libev and libuv serve one thread.""",
    ("C and Rust", "change"): """\
A change takes effect even in a wait that another thread has already begun, so it makes a system
call at once, under a lock; and each descriptor number gets a generation, so that a reused number is
recognised. polling and mio hand each change to the kernel and keep nothing. libev serves one
thread: it collects changes, and before the next wait makes those that are still needed.""",
    ("C and Rust", "timer"): """\
Each call locks the queue and reads the clock, because delays are counted from the call, to the
nanosecond. libev serves one thread, and counts from the time at which its last wait returned.""",
    ("C and Rust", "wake"): """\
A wake ends exactly one wait, and a wake that comes before the wait is kept; both need the lock and
an ordered exchange with the thread that is about to sleep.""",
    ("C and Rust", "oversleep"): """\
A wait sleeps in epoll, and the kernel adds to each such sleep the timer slack of the thread: 50 us
unless the program changes it (PR_SET_TIMERSLACK, prctl(2)). libevent's precise timers use a
timerfd, which has no slack, and cost a system call for each sleep.""",
    ("C and Rust", "memory"): """\
A watch is a struct with what was found and its place in the ready list, and the table has an entry
for each descriptor. polling keeps nothing of its own; only the program's object counts.""",
    ("C and Rust", "rare"): """\
To remove a ghost, readyq asks the old kernel queue, for each descriptor, whether its number still
refers to the file that was added, which takes a second call; libev adds whatever the numbers are
now. libev also has no wake-up descriptor to close until a program asks for one.""",
    ("Python, a queue", "memory"): """\
A watch is an object; the peer keeps an entry of a dict.""",
    ("Python, a queue", "event"): """\
`select.epoll` returns a list of tuples in one call of C; a queue returns watches that know whether
they were removed in the meantime.""",
    ("Python, a queue", "change"): """\
`add` makes a watch, the handle for all later calls, whereas `select.epoll` returns nothing.""",
    ("Python, a queue", "pool"): """\
A wait first asks the kernel without releasing the interpreter's lock, and then again in order to
sleep. Both programs make a call to arm the descriptor again.""",
    ("Python, asyncio and greenlets", "wake"): """\
The callback goes through asyncio's loop and its pair of sockets, both in Python.""",
    ("Python, asyncio and greenlets", "event"): """\
asyncio on readyq runs asyncio's own loop in Python; uvloop's is compiled, on libuv.""",
    ("Python, asyncio and greenlets", "timer"): """\
asyncio's timers are Python objects on a heap in Python; uvloop's are libuv's.""",
    ("Python, asyncio and greenlets", "change"): """\
`add_reader()` goes through asyncio's loop and a selector's key, both in Python.""",
    ("Python, asyncio and greenlets", "coroutine"): """\
Callbacks are run by asyncio's loop, which is in Python; uvloop's is compiled.""",
    ("Lua, a queue", "event"): """\
With one event per wait, most of its cost is the call of the wait itself.""",
    ("Lua, a queue", "timer"): """\
The luv program reuses its timers, which count milliseconds from a time that luv has read before;
the readyq program adds a new timer and reads the clock.""",
    ("Lua, coroutines", "event"): """\
readyq's scheduler is written in Lua, that of cqueues in C. cqueues makes a second system call.""",
    ("Lua, coroutines", "coroutine"): """\
readyq's scheduler is written in Lua, that of cqueues in C.""",
}


def family(row):
    if row.language == "Python" and any(word in row.subject for word in TASKS):
        return FAMILIES["tasks"]
    if row.language == "Lua" and any(word in row.subject for word in COROUTINES):
        return FAMILIES["coroutines"]
    return FAMILIES[row.language]


def who(row):
    """Subjects with changed settings are shown, and not used in the ratios."""
    if row.subject.startswith("bare") or TUNED in row.subject:
        return LIMIT
    return OURS if row.subject.startswith("readyq") else PEER


def unique(items):
    return list(dict.fromkeys(items))


# ------------------------------------------------------------------ who wins


def best(rows, kind):
    """The row with the least value, of ours or of the peers. Who wakes too early (a negative time)
    is not better than who wakes late.
    """
    mine = (row for row in rows if who(row) == kind and row.value >= 0)
    return min(mine, key=lambda row: row.value, default=None)


def is_less(one, other):
    """By more than 3 %, and if they are times by more than half of the larger spread."""
    noise = max(one.spread or 0, other.spread or 0) / 2
    return other.value > one.value * LEVEL and other.value - one.value > noise


def verdict(rows):
    """(words, style) on readyq and the best peer of one family."""
    ours, peer = best(rows, OURS), best(rows, PEER)
    if ours is None or peer is None:
        return ("no peer" if peer is None else "no readyq", "quiet")
    if is_less(ours, peer):
        times = number(peer.value / max(ours.value, 1e-9))
        return (f"readyq beats {peer.subject} {times} to 1", "good")
    if is_less(peer, ours):
        times = number(ours.value / max(peer.value, 1e-9))
        return (f"readyq loses to {peer.subject} {times} to 1", "bad")
    return (f"level with {peer.subject}", "quiet")


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


def label(row):
    return f"{row.subject} (Rust)" if row.language == "Rust" else row.subject


def select(rows, group, what, unit):
    return [r for r in rows if (r.group, r.what, r.unit) == (group, what, unit)]


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
    subtitle = f"{unit}; less is better · {conditions['processor']}, {conditions['date']}"
    save(name, figure(chapter.title, subtitle, draw(chapter, rows)))
    return name


def overview(rows, conditions):
    rows = [row for row in rows if TUNED not in row.subject]
    panels = [row_of_bars(title, rows, *key) for *key, title in OVERVIEW if select(rows, *key)]
    if not panels:  # nothing was timed
        return
    words = "processor time, with the kernel's; medians of interleaved rounds; shorter is better"
    words += f" · readyq {conditions['readyq']}, {conditions['date']}"
    save("speed", figure("What an event loop costs", words, panels))


# ------------------------------------------------------------------ the page


def table(head, lines, words=1):
    """The first columns are words, the others numbers."""
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


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


def in_full(value):
    return f"{value:,.0f}" if value >= 100 else number(value)


def chapter_text(chapter, rows, conditions):
    parts = [f"## {chapter.title}", chapter.text]
    if chapter.plot and any(row.unit == chapter.unit for row in rows):
        name = plot(chapter, rows, conditions)
        parts.append(f"![{chapter.title}: a bar for each library](images/{name}.svg)")
    parts += [table_of(rows, unit) for unit in unique(row.unit for row in rows)]
    parts.append(f"To measure again: `{chapter.repeat}`.")
    return "\n\n".join(parts)


def duels(chapters, name):
    """(chapter, what, {unit: (the best of readyq, the best peer)}) in one family."""
    for chapter, every in chapters:
        rows = [row for row in every if family(row) == name]
        for what in unique(row.what for row in rows):
            pairs = {}
            for unit in unique([chapter.unit, "instructions", "system calls", "ns"]):
                mine = select(rows, chapter.group, what, unit)
                ours, peer = best(mine, OURS), best(mine, PEER)
                if ours is not None and peer is not None:
                    pairs[unit] = (ours, peer)
            if pairs:
                yield chapter, what, pairs


def ratio(ours, peer):
    """How much of what the peer needs readyq needs, in words."""
    if ours.unit == "system calls":
        differ = abs(ours.value - peer.value) > CALLS
        return f"{calls(ours)} : {calls(peer)}, {label(peer)}" if differ else "the same"
    if peer.value == 0:
        return ""
    words = number(ours.value / peer.value)
    if is_less(ours, peer):
        words = f"**{words}**"
    elif not is_less(peer, ours):
        words = f"level ({words})"
    return f"{words}, {label(peer)}"


def in_short(chapters):
    """For each family a table of ratios: things below each other, units beside each other."""
    parts = ["## In short", IN_SHORT]
    for name in unique(FAMILIES.values()):
        lines, lost = [], []
        for chapter, what, pairs in duels(chapters, name):
            cells = dict.fromkeys(COMPARED, "")
            for unit, pair in pairs.items():
                cells[COLUMN_OF.get(unit, "time")] = ratio(*pair)
            if any(is_less(peer, ours) for ours, peer in pairs.values()):
                lost.append((chapter.group, chapter.title))
            lines.append([f"{chapter.title}: {what}", *cells.values()])
        used = [n for n in range(len(COMPARED) + 1) if any(line[n] for line in lines)]
        head = ["", *COMPARED]
        lines = [[line[n] for n in used] for line in lines]
        parts += [f"### {name}", table([head[n] for n in used], lines)]
        reasons = [
            item(f"**{title}.** {REASONS[name, group]}")
            for group, title in unique(lost)
            if (name, group) in REASONS
        ]
        if reasons:
            parts += ["Where it needs more:", "\n".join(reasons)]
    return "\n\n".join(parts)


def item(words):
    return textwrap.fill(words, 98, initial_indent="- ", subsequent_indent="  ")


def calls(row):
    return in_full(row.value) if row.value >= 100 else f"{max(row.value, 0):.3g}"


COMPARED = ("instructions", "system calls", "time", "bytes")
COLUMN_OF = {"instructions": "instructions", "system calls": "system calls", "bytes": "bytes"}
CALLS = 0.2  # a smaller difference in system calls is none
IN_SHORT = """\
Each ratio is readyq's best figure divided by that of its best peer, which is named: below 1 (in
bold), readyq needs less. Instructions are those that the library and the program execute. Time is
processor time, and most of it is spent in system calls, in the kernel. So a large ratio in
instructions often goes with a small one in time. *Level* means that the figures differ by less than
3 % or, if they are times, by less than half of the larger spread."""


HEAD = """\
# Performance

```{note}
`make bench-report` writes this page from measured results; do not edit it by hand.
```

What readyq costs, compared with the kernel's own calls and with other event loops of each language.
Every figure is for one operation, and less is better. Instructions and system calls are counted:
they are the same in every run, even on a busy machine. The instructions are those of the program
and its libraries; what the kernel does in a system call is not among them. Times include it. They
are medians of interleaved rounds; ± is their interquartile range, from the first quarter to the
third. Compare them only with others in the same table.

![Bar chart: processor time for each library in C, Python and Lua](images/speed.svg)

"""

WHO = """\
## What is compared

Libraries are compared with others that are used in the same way. A program that uses a *queue*
waits by itself; a loop of tasks, greenlets or *coroutines* calls or resumes the program. The bare
loops are the lower bound, written for a single purpose with none of what a library provides.

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
    versions = next(iter(parts.values()))["conditions"]["versions"]
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
    overview(every, parts["counted"]["conditions"])
    words = [in_short([one[:2] for one in chapters]), WHO]
    words += [chapter_text(*one) for one in chapters]
    words.append(conditions_text(parts))
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
