# SPDX-License-Identifier: MIT
"""The echo part: messages over TCP on this machine, from one client in C that has a core of its
own, to servers on the other core: messages per second, and processor time of the server for each. A
connection has one message under way.
"""

import dataclasses
import os
from pathlib import Path

import rounds
import subjects
from results import ROOT, Chapter, Row

CHAPTERS = [
    Chapter(
        "echo",
        "Echo",
        """\
One client in C has a core of its own and keeps one message in flight on each connection. The
server, on the other core, sends each message back. To compare servers, use the processor time, user
and system, that the server needs for each message. The number of messages per second is lower than
the inverse of that time wherever the server waits for the client: always with one connection, and
where the client's own core is busy. Both cores are kept from halting during the measurement. Most
of the time is the kernel's, in `recv` and `send`; and a slower server finds more messages at each
wait, so that it waits less often. So servers differ by less than their code does.

In Lua, servers with `bytes` in their names send back whatever arrives; the others put lines
together, as most protocols need. asyncio reads into a buffer of 256 KiB. Depending on what else the
program has allocated, the C library gets this buffer from the kernel, and returns it, for each
message. In the rows marked *buffers kept*, it is told not to
(`MALLOC_MMAP_THRESHOLD_=8388608 MALLOC_TRIM_THRESHOLD_=33554432`).""",
        "make bench BENCH=echo",
        unit="us of processor time per message",
        what=("100 x 64 bytes",),
    ),
]

CONNECTIONS, SIZES = (1, 100, 1_000), (64, 1_024)
ROUNDS, MILLISECONDS = 7, 120

# asyncio reads into 256 KiB, which the allocator maps and unmaps for each message unless it is told
# to keep such blocks.
KEEPING = {"MALLOC_MMAP_THRESHOLD_": "8388608", "MALLOC_TRIM_THRESHOLD_": "33554432"}


# Debian installs copas, which is pure Lua, where versions 5.1 and 5.2 look for it.
COPAS_PATH = "package.path = package.path .. ';/usr/share/lua/5.1/?.lua'"


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    language: str
    words: tuple  # of its command
    needs: str = ""  # a module
    environment: tuple = ()

    def is_there(self):
        if self.needs == "copas":
            return bool(
                subjects.text_of(subjects.LUA, "-e", f"{COPAS_PATH} print(require 'copas')")
            )
        return not self.needs or subjects.FINDERS[self.language](self.needs)

    def command(self):
        if self.language == "C":
            return [subjects.compile_c("echo_server", ["echo_server.c"]), *self.words]
        if self.language == "Lua":
            return [subjects.LUA, subjects.PROGRAMS / "lua" / "echo.lua", *self.words]
        program = subjects.PROGRAMS / "python" / "echo.py"
        words = self.words if self.words[0] == LOOP else (program, *self.words)
        return [subjects.python(), *words]


LOOP = ROOT / "examples" / "loop.py"
GET = {
    "uvloop": f"{subjects.PIP} uvloop",
    "gevent": f"{subjects.PIP} gevent",
    "trio": f"{subjects.PIP} trio",
    "socket": "apt-get install lua-socket",
    "luv": "apt-get install lua-luv",
    "cqueues": "apt-get install lua-cqueues",
    "copas": "apt-get install lua-copas",
    "luaevent": "apt-get install lua-event",
}
SERVERS = [
    Server("bare epoll", "C", ("bare",)),
    Server("readyq", "C", ("readyq",)),
    Server("select.epoll, dict", "Python", ("select.epoll",)),
    Server("readyq for", "Python", ("for",)),
    Server("readyq, loop.py", "Python", (LOOP,)),
    *(
        Server(f"{name} {kind}", "Python", (f"{loop} {kind}",), needs)
        for loop, name, needs in (
            ("readyq", "readyq asyncio", ""),
            ("asyncio", "asyncio", ""),
            ("uvloop", "uvloop", "uvloop"),
        )
        for kind in ("protocol", "streams")
    ),
    *(
        Server(
            f"{name} protocol, buffers kept",
            "Python",
            (f"{loop} protocol",),
            "",
            (*KEEPING.items(),),
        )
        for loop, name in (("readyq", "readyq asyncio"), ("asyncio", "asyncio"))
    ),
    Server("gevent", "Python", ("gevent",), "gevent"),
    Server("trio", "Python", ("trio",), "trio"),
    Server("readyq for, bytes", "Lua", ("for bytes",), "socket"),
    Server("readyq.loop", "Lua", ("readyq.loop",), "socket"),
    Server("readyq.socket", "Lua", ("readyq.socket",), "socket"),
    Server("luv", "Lua", ("luv",), "luv"),
    Server("luv, bytes", "Lua", ("luv bytes",), "luv"),
    Server("cqueues", "Lua", ("cqueues",), "cqueues"),
    Server("copas", "Lua", ("copas",), "copas"),
    Server("luaevent", "Lua", ("luaevent",), "luaevent"),
]


class Running:
    """A server that runs."""

    def __init__(self, server, cores=(rounds.OURS,)):
        environment = {**os.environ, **dict(server.environment)}
        self.server = server
        self.process = rounds.Process(server.name, server.command(), cores, env=environment)
        self.port = self.process.read_line().split()[-1]

    def processor_time(self):
        return rounds.processor_time([self.process.pid])


class Load:
    """The client of one server: a round of it gives messages, seconds, and seconds of the server's
    and the client's processors.
    """

    def __init__(self, running, client, connections, size):
        words = [client, running.port, connections, size]
        self.running = running
        self.process = rounds.Process(f"client of {running.server.name}", words, (rounds.THEIRS,))

    def ask(self, milliseconds):
        before = self.running.processor_time()
        messages, wall, own = self.process.ask(milliseconds)
        return messages, wall / 1e9, self.running.processor_time() - before, own / 1e9


def share_of_kernel(running):
    """Of all the processor time that the server has used."""
    stat = Path(f"/proc/{running.process.pid}/stat").read_text(encoding="ascii")
    user, system = (int(word) for word in stat.rpartition(")")[2].split()[11:13])
    server = running.server
    share = round(system / (user + system) * 100) if user + system else 0
    return Row("echo", "all rounds", server.name, server.language, "% in the kernel", share)


def rows(what, server, answers):
    figures = {
        "us of processor time per message": [used / n * 1e6 for n, _, used, _ in answers],
        "messages per second": [n / wall for n, wall, _, _ in answers],
        "% of the client's core": [own / wall * 100 for _, wall, _, own in answers],
    }
    for unit, values in figures.items():
        value, spread = rounds.median_and_spread(values)
        digits = 0 if value > 100 else 2
        yield Row(
            "echo",
            what,
            server.name,
            server.language,
            unit,
            round(value, digits),
            round(spread, digits),
        )


def measure(running, client, connections, size, quick):
    loads = []
    try:
        loads += (Load(one, client, connections, size) for one in running)
        own = [
            rounds.Round(
                load.running.server, lambda load=load: load.ask(5 if quick else MILLISECONDS)
            )
            for load in loads
        ]
        rounds.interleave(own, 1 if quick else ROUNDS)
    finally:
        for load in loads:
            load.process.close()
    for one in own:
        yield from rows(f"{connections} x {size} bytes", one.key, one.answers)


def missing():
    return [
        {"subject": one.name, "language": one.language, "get": GET[one.needs]}
        for one in SERVERS
        if not one.is_there()
    ]


def start_servers(running):
    for server in SERVERS:
        if server.is_there():
            with rounds.leaving_out_what_fails():
                running.append(Running(server))


def run(quick):
    client = subjects.compile_c("echo_client", ["echo_client.c"])
    awake = subjects.compile_c("awake", ["awake.c"])
    running = []
    try:
        start_servers(running)
        with rounds.awake(awake):
            for connections in (1, 5) if quick else CONNECTIONS:
                for size in SIZES:
                    rounds.note(f"echo: {connections} connections, {size} bytes")
                    yield from measure(running, client, connections, size, quick)
        for one in running:
            yield share_of_kernel(one)
    finally:
        for one in running:
            one.process.close()
