# SPDX-License-Identifier: MIT
"""Who wins: readyq's rows beside those of its peers, in words, in a short table and in ratios, with
the reasons where readyq needs more. Every number is computed.
"""

import sys
import textwrap

from plot import LIMIT, OURS, PEER, number

LEVEL, UNCLEAR = 1.03, 1.1  # ratios: closer than the first is the same; see unsettled()
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
TASKS = ("asyncio", "uvloop", "gevent", "trio")
COROUTINES = ("loop", "socket", "cqueues", "copas")

# The rows of the short table: group, what, unit, words.
ECHO = "us of processor time per message"
HEADLINES = [
    ("event", "100 ready", "ns", "an event, in a wait that returns 100"),
    ("event", "1 ready", "ns", "an event, in a wait that returns 1"),
    ("change", "add", "ns", "adding a descriptor"),
    ("timers pending", "restart, 1000", "ns", "restarting one of 1,000 timers"),
    ("timer", "add and fire, 100", "ns", "adding a timer that then fires, 100 at a time"),
    ("wake", "wake, then wait", "ns", "a wake and the wait that it ends, in one thread"),
    ("coroutine", "sleep(0), 100", "ns", "`sleep(0)` of one of 100 coroutines"),
    ("echo", "1 x 64 bytes", ECHO, "a message, echoed on one connection"),
    ("echo", "100 x 64 bytes", ECHO, "a message, echoed on 100 connections"),
    ("memory", "a watch and its object", "bytes", "memory per watch"),
]
SHORT = {"ns": "ns", ECHO: "\u00b5s", "bytes": "bytes"}  # units
# Compared with as well, even if another one is better.
RIVALS = {FAMILIES["C"]: "libuv", FAMILIES["tasks"]: "asyncio"}
CHANCE = ("while a third thread holds the GIL",)  # shown, but not compared: see latency.py
DELAYS = ("oversleep", "latency")  # groups in which a time is a delay, not that of a processor
WORST = 3  # how many losses are named below each of the short tables

INTERPRETED = """\
The time includes the code that the interpreter runs after the sleep. After 10 ms that code is no
longer in the caches, so the more of it there is, the later the program continues."""

# Why readyq loses, by family and group.
REASONS = {
    ("C and Rust", "event"): """\
Each wait locks the queue, because any thread may change it at any time; reads the clock for the
figures of `readyq_stats()`; and gives back what the last batch still holds. With one event per
wait, that event pays for all of it. The crates `polling` and `mio` hand out the kernel's own
array and keep no state; libev and libuv serve one thread.""",
    ("C and Rust", "change"): """\
A change takes effect even in a wait that another thread has already begun, so it makes a system
call at once, under a lock; and each descriptor number gets a generation, so that a reused number is
recognised. The crates `polling` and `mio` hand each change to the kernel and keep nothing. libev
serves one thread: it collects changes, and before the next wait makes those still needed.""",
    ("C and Rust", "timer"): """\
Each call locks the queue and reads the clock, because delays are counted from the call, to the
nanosecond. libev serves one thread, and counts from the time at which its last wait returned.""",
    ("C and Rust", "wake"): """\
A wake ends exactly one wait, and a wake that comes before the wait is kept; both need the lock and
sequentially consistent atomic variables, which the thread that is about to sleep reads.""",
    ("C and Rust", "oversleep"): """\
A wait sleeps in epoll, and the kernel adds to each such sleep the timer slack of the thread: 50 us
unless the program changes it (PR_SET_TIMERSLACK, prctl(2)). libevent's precise timers use a
timerfd, which has no slack, and cost a system call for each sleep.""",
    ("C and Rust", "memory"): """\
A watch is a struct that holds the events that were found for it and its place in the ready list,
and the table has an entry for each descriptor. The crate `polling` keeps nothing of its own; only
the program's object counts.""",
    ("C and Rust", "rare"): """\
To remove a ghost, readyq asks the old kernel queue, for each descriptor, whether its number still
refers to the file that was added, which takes a second call; libev adds whatever files the
numbers refer to now. libev also has no wake-up descriptor to close until a program asks for it.""",
    ("C and Rust", "latency"): """\
A condition variable is one futex. A wake writes to a descriptor, which ends the other thread's wait
in epoll, as any event would.""",
    ("Python, a queue", "import"): """\
`select` is a single compiled module; readyq is a package, part of which is written in Python.""",
    ("Python, a queue", "latency"): """\
`queue.SimpleQueue` is a lock; a wake writes to a descriptor, which ends the other thread's wait in
epoll, as any event would.""",
    ("Python, a queue", "oversleep"): INTERPRETED,
    ("Lua, a queue", "oversleep"): INTERPRETED,
    ("Lua, coroutines", "oversleep"): INTERPRETED,
    ("Python, a queue", "memory"): """\
A watch is an object; the other program keeps an entry in a dict.""",
    ("Python, a queue", "event"): """\
`select.epoll` returns a list of tuples in one call to C; a queue returns watches that know whether
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
`add_reader()` runs asyncio's loop code and makes a selector key, both in Python.""",
    ("Python, asyncio and greenlets", "coroutine"): """\
Callbacks are run by asyncio's loop, which is in Python; uvloop's is compiled.""",
    ("Python, asyncio and greenlets", "memory"): """\
asyncio keeps a handle with a context for each reader, and a selector key.""",
    ("Python, asyncio and greenlets", "echo"): """\
asyncio's transports and streams are written in Python; uvloop's are compiled.""",
    ("Python, asyncio and greenlets", "latency"): """\
`call_soon_threadsafe` writes to asyncio's pair of sockets; the loop then reads from it, in
Python.""",
    ("Lua, a queue", "change"): """\
A watch keeps its source and its data in Lua, and `remove` releases both.""",
    ("Lua, a queue", "event"): """\
With one event per wait, most of the cost is the `wait` call itself.""",
    ("Lua, a queue", "timer"): """\
The luv program reuses its timers, which count milliseconds from a time that luv read earlier;
the readyq program adds a new timer and reads the clock.""",
    ("Lua, coroutines", "event"): """\
readyq's scheduler is written in Lua, that of cqueues in C. cqueues makes a second system call.""",
    ("Lua, coroutines", "memory"): """\
Besides the coroutine's stack, the loop keeps a Lua object for each descriptor and each wait;
cqueues keeps them in C.""",
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


SAME_REASON = {"timers pending": "timer", "growth": "event"}  # as another group


def unique(items):
    return list(dict.fromkeys(items))


def label(row):
    return f"{row.subject} (Rust)" if row.language == "Rust" else row.subject


def select(rows, group, what, unit):
    return [r for r in rows if (r.group, r.what, r.unit) == (group, what, unit)]


def in_full(value):
    return f"{value:,.0f}" if value >= 100 else number(value)


# ------------------------------------------------------------------ who wins


def best(rows, kind):
    """The row with the least value, of ours or of the peers. Who wakes too early (a negative time)
    is not better than who wakes late.
    """
    mine = (row for row in rows if who(row) == kind and row.value >= 0)
    return min(mine, key=lambda row: row.value, default=None)


def is_less(one, other):
    """By more than 3 %, and if they are times by more than the larger spread."""
    noise = max(one.spread or 0, other.spread or 0)
    return other.value > one.value * LEVEL and other.value - one.value > noise


def unsettled(one, other):
    """What to say of two figures of which neither is clearly less."""
    low, high = sorted((one.value, other.value))
    return "level" if high <= low * UNCLEAR else "unclear"


def verdict(rows):
    """(words, style) on readyq and the best peer of one family."""
    ours, peer = best(rows, OURS), best(rows, PEER)
    if ours is None or peer is None:
        return ("no other library measured" if ours else "no readyq", "quiet")
    if is_less(ours, peer):
        times = number(peer.value / max(ours.value, 1e-9))
        return (f"readyq beats {peer.subject} {times} to 1", "good")
    if is_less(peer, ours):
        times = number(ours.value / max(peer.value, 1e-9))
        return (f"readyq loses to {peer.subject} {times} to 1", "bad")
    level = unsettled(ours, peer) == "level"
    return (f"{'level with' if level else 'unclear (noisy):'} {peer.subject}", "quiet")


# ------------------------------------------------------------------ in short


def with_unit(row):
    return f"{in_full(row.value)} {SHORT[row.unit]}"


def in_words(ours, peer):
    less, more = ("smaller", "larger") if ours.unit == "bytes" else ("faster", "slower")
    if is_less(ours, peer):
        return f"**{less}, {number(peer.value / ours.value)}\u00d7**"
    if is_less(peer, ours):
        return f"{more}, {number(ours.value / peer.value)}\u00d7"
    return unsettled(ours, peer)


def headlines(rows, name):
    """The lines of one family in the short table."""
    mine = [row for row in rows if family(row) == name]
    lines = []
    for group, what, unit, words in HEADLINES:
        found = select(mine, group, what, unit)
        ours = best(found, OURS)
        rival = [row for row in found if row.subject.startswith(RIVALS.get(name, "-"))]
        peers = [best(found, PEER), best(rival, PEER)]
        for peer in unique(peer for peer in peers if ours and peer):
            other = f"{label(peer)}: {with_unit(peer)}"
            lines.append([words, with_unit(ours), other, in_words(ours, peer)])
            words = ""
    return lines


def worst(chapters, name):
    """A sentence that names the largest losses of one family, in times or else in instructions."""
    losses = []
    for chapter, what, pairs in duels(chapters, name):
        unit = next((unit for unit in pairs if unit not in COLUMN_OF), "instructions")
        ours, peer = pairs.get(unit, (None, None))
        if peer is not None and peer.value > 0 and is_less(peer, ours):
            timed = "delay" if chapter.group in DELAYS else "time"
            kind = "instructions" if unit == "instructions" else timed
            times = ours.value / peer.value
            words = f"{number(times)}\u00d7 ({kind}; {label(peer)})"
            losses.append((times, f"{chapter.title}: *{what}* {words}"))
    if not losses:
        return "readyq was not clearly slower in anything."
    losses.sort(reverse=True)
    return f"The largest losses: {'; '.join(words for _, words in losses[:WORST])}."


def in_short(rows, chapters):
    parts = ["## In short", IN_SHORT]
    for name in unique(FAMILIES.values()):
        if lines := headlines(rows, name):
            head = [f"**{name}**", "readyq", "best alternative", "readyq is"]
            parts.append(table(head, lines, aligned="lrll"))
            parts.append(textwrap.fill(worst(chapters, name), 100))
    return "\n\n".join(parts)


IN_SHORT = """\
These tables show what the most common operations cost: the processor time of the program, its
libraries and the kernel together, or the memory. *The best alternative* is the cheapest of the
other libraries that are used in the same way. A second line compares readyq with libuv, or with
asyncio itself, where those are not the cheapest. Where readyq can be used in several ways, the
cheapest counts.

- *Faster* or *slower*: the figures differ by more than 3 %, and by more than the larger of their
  two spreads.
- *Level*: neither of these, and they differ by less than 10 %.
- *Unclear*: anything else; the measurements were too noisy to say which.

The lines below each table name the operations in which readyq loses by the most, in time, or in
instructions where no time was measured. All ratios of readyq to the best alternative are listed
[further below](#every-ratio), with the reasons why readyq needs more in some of them."""


# ------------------------------------------------------------------ every ratio


def duels(chapters, name):
    """(chapter, what, {unit: (the best of readyq, the best peer)}) in one family."""
    for chapter, every in chapters:
        rows = [row for row in every if family(row) == name]
        for what in unique(row.what for row in rows if row.what not in CHANCE):
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
        words = f"{unsettled(ours, peer)} ({words})"
    return f"{words}, {label(peer)}"


def every_ratio(chapters):
    """For each family a table of ratios: things below each other, units beside each other."""
    parts = ["## Every ratio", EVERY_RATIO]
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
        if lost:
            parts += ["Where readyq needs more:", "\n".join(reasons(name, unique(lost)))]
    return "\n\n".join(parts)


def reasons(name, lost):
    """A line for each reason; `lost`: (group, title)."""
    titles = {}
    for group, title in lost:
        reason = REASONS.get((name, SAME_REASON.get(group, group)))
        if reason is None:
            print(f"bench-report: no reason is given for {name}, {group}", file=sys.stderr)
        else:
            titles.setdefault(reason, []).append(title)
    return [item(f"**{'; '.join(found)}.** {reason}") for reason, found in titles.items()]


def item(words):
    return textwrap.fill(words, 98, initial_indent="- ", subsequent_indent="  ")


def calls(row):
    return in_full(row.value) if row.value >= 100 else f"{max(row.value, 0):.3g}"


COMPARED = ("instructions", "system calls", "time", "bytes")
COLUMN_OF = {"instructions": "instructions", "system calls": "system calls", "bytes": "bytes"}
CALLS = 0.2  # a smaller difference in system calls is none
EVERY_RATIO = """\
Each ratio is readyq's best figure divided by that of the best other library, which is named: below
1 (in bold), readyq needs less. Instructions are those that the library and the program execute.
Time is processor time, and most of it is spent in system calls, in the kernel, so a large ratio in
instructions often goes with a small one in time. For sleeping and for waking another thread, the
time is the delay instead. System calls are given as two counts for one operation with a colon
between them: readyq's, then the other's."""


def table(head, lines, aligned=""):
    """In Markdown. `aligned`: a letter for each column, l or r; else only the first is l."""
    letters = aligned or "l" + "r" * (len(head) - 1)
    rule = ["--:" if letter == "r" else "---" for letter in letters]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])
