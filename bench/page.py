# SPDX-License-Identifier: MIT
"""docs/scaling.md: `page.py RESULTS` writes the figures of a results file into it. In the page
`<!--=name-->12.3<!--/-->` is a figure or a table, and the comments are not shown. What each name
stands for, and how a derived figure is computed, is in FIGURES.
"""

import math
import re
import sys

import compare
import results
from results import ROOT

PAGE = ROOT / "docs" / "scaling.md"
PLACE = re.compile(r"<!--=(.+?)-->.*?<!--/-->", re.DOTALL)
NS, US, PER_SECOND = "ns", "us of processor time per message", "messages per second"
MANY = "1000 x 64 bytes"  # the echo that the page speaks of
MILLIONS = 10_000_000
GIB = 2**30


class Rows:
    """The rows of all parts, found by what they are about."""

    def __init__(self, latest):
        rows = [row for part in latest["parts"].values() for row in part["rows"]]
        self.by_key = {(r.group, r.what, r.subject, r.language, r.unit): r.value for r in rows}
        self.versions = results.versions(latest["parts"])

    def value(self, *key):
        """KeyError if that was not measured."""
        return self.by_key[key]

    def scaling(self, what, subject, language, unit):
        return self.value("scaling", what, subject, language, unit)

    def kernel(self, what, unit="bytes"):
        return self.scaling(what, "kernel", "C", unit)

    def keys(self, group):
        return [key for key in self.by_key if key[0] == group]


def show(value):
    """In at least three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head, lines):
    return f"\n\n{compare.table(head, lines)}\n\n"


# ------------------------------------------------------------------ one queue


def watched(rows):
    return max(int(what) for _, what, *_ in rows.keys("growth"))


def growth(subject, language):
    def ratio(rows):
        most = rows.value("growth", str(watched(rows)), subject, language, NS)
        return most / rows.value("growth", "100", subject, language, NS)

    return ratio


WATCH = "a watch"
END = "an end of a TCP connection and its watch"
SERVER = "memory of the server for each connection"
SERVERS = [  # of those that the page compares: name and language
    ("bare epoll", "C"),
    ("readyq", "C"),
    ("readyq for", "Python"),
    ("readyq, loop.py", "Python"),
    ("readyq asyncio protocol", "Python"),
    ("asyncio protocol", "Python"),
    ("uvloop protocol", "Python"),
    ("readyq for, bytes", "Lua"),
    ("readyq.socket", "Lua"),
    ("luv", "Lua"),
    ("cqueues", "Lua"),
]


def cost_of_messages(rows):
    lines = []
    for name, language in SERVERS:
        used = rows.value("echo", MANY, name, language, US)
        kernel = rows.value("echo", "all rounds", name, language, "% in the kernel")
        lines.append([f"{language}: {name}", show(used), show(1e6 / used), show(kernel)])
    head = ["server", "us per message", "messages per second per core", "% in the kernel"]
    return table(head, lines)


def memory_of_connections(rows):
    kernel = rows.kernel(END)
    lines = []
    for name, language in SERVERS:
        own = rows.scaling(SERVER, name, language, "bytes")
        per_gib = GIB / (own + kernel)
        lines.append([f"{language}: {name}", show(own), show(own + kernel), show(per_gib)])
    head = ["server", "its own bytes", "with the kernel's", "connections per GiB"]
    return table(head, lines)


# ------------------------------------------------------------------ several queues

TEAMS = [("processes", "C"), ("processes", "Python"), ("processes", "Lua")]
KINDS = ("SO_REUSEPORT", "EXCLUSIVE", "one socket, not EXCLUSIVE")
WAYS = {"one after another": "one after another", "at once": "all at the same time"}  # as shown


def spread_of_connections(rows):
    lines = []
    for kind in KINDS:
        for way, shown in WAYS.items():
            what = f"connections {way}, {kind}, 4 workers"
            cells = [f"{kind}, {shown}"]
            for name, language in TEAMS:
                busiest = rows.scaling(what, name, language, "% to the busiest")
                idlest = rows.scaling(what, name, language, "% to the idlest")
                cells.append(f"{show(busiest)} / {show(idlest)}")
            cells.append(show(rows.scaling(what, *TEAMS[0], "sleeps per connection")))
            lines.append(cells)
    head = ["the socket and the connections", "C", "Python", "Lua", "wakes per connection, C"]
    return table(head, lines)


def cost_of_workers(rows):
    teams = [*TEAMS, ("threads", "Python"), ("threads without a GIL", "Python")]
    lines = []
    for name, language in teams:
        keys = [(f"100 connections, workers: {size}", name, language) for size in (1, 2, 4)]
        if ("scaling", *keys[0], US) in rows.by_key:
            values = [
                f"{show(rows.scaling(*key, US))}; {show(rows.scaling(*key, PER_SECOND))}"
                for key in keys
            ]
            lines.append([f"{language} {name}", *values])
    head = ["us per message; messages per second", "1 worker", "2 workers", "4 workers"]
    return table(head, lines)


def free_threads(rows):
    if not any("threads without a GIL" in key for key in rows.by_key):
        return "a CPython without a GIL was not available here"
    version = rows.versions["Python without a GIL"]
    return f"those of a CPython without a GIL ({version}, last line) run together"


# ------------------------------------------------------------------ ten million


def gib(bytes_of):
    return lambda rows: show(MILLIONS * bytes_of(rows) / GIB)


def own_bytes(name, language):
    return lambda rows: rows.scaling(SERVER, name, language, "bytes")


def processors(name, language):
    """For one message a minute on each connection."""
    return lambda rows: show(MILLIONS / 60 * rows.value("echo", MANY, name, language, US) / 1e6)


def shown(value):
    return lambda rows: show(value(rows))


TABLES = {"messages", "memory", "spread", "workers"}
FIGURES = {
    "watched": shown(watched),
    "growth C": shown(growth("readyq", "C")),
    "growth Python": shown(growth("readyq for", "Python")),
    "growth Lua": shown(growth("readyq for", "Lua")),
    "kernel bytes of a watch": shown(lambda rows: rows.kernel(WATCH)),
    "kernel bytes of a connection": shown(lambda rows: rows.kernel(END)),
    "bytes of a watch in C": shown(
        lambda rows: rows.value("memory", "a watch and its object", "readyq", "C", "bytes")
    ),
    "messages": cost_of_messages,
    "memory": memory_of_connections,
    "spread": spread_of_connections,
    "workers": cost_of_workers,
    "free threads": free_threads,
    "nr_open": shown(lambda rows: rows.kernel("descriptors of a process at most", "number")),
    "file-max": shown(lambda rows: rows.kernel("open files at most", "number")),
    "max_user_watches": shown(lambda rows: rows.kernel("watches of a user at most", "number")),
    "descriptors": shown(lambda rows: rows.kernel("descriptors of a process here", "number")),
    "cores": shown(lambda rows: rows.kernel("cores", "number")),
    "ports": shown(lambda rows: rows.kernel("ports for each address", "number")),
    "processes": lambda rows: show(
        math.ceil(MILLIONS / rows.kernel("descriptors of a process at most", "number"))
    ),
    "kernel GiB": gib(lambda rows: rows.kernel(END)),
    "C GiB": gib(own_bytes("readyq", "C")),
    "Python GiB": gib(own_bytes("readyq for", "Python")),
    "Lua GiB": gib(own_bytes("readyq for, bytes", "Lua")),
    "per second": lambda rows: show(MILLIONS / 60),
    "C cores": processors("readyq", "C"),
    "Python cores": processors("readyq for", "Python"),
    "Lua cores": processors("readyq for, bytes", "Lua"),
}


def filled(text, latest):
    """The page with these results. KeyError: an unknown name, or something was not measured."""
    rows = Rows(latest)
    return PLACE.sub(lambda m: f"<!--={m[1]}-->{FIGURES[m[1]](rows)}<!--/-->", text)


def write(latest):
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(text, latest), encoding="utf-8")


if __name__ == "__main__":
    write(results.load(sys.argv[1]))
