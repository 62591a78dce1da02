# SPDX-License-Identifier: MIT
"""The scaling part: what a watch and a connection cost in the kernel and in the server, and how
several queues, one in each process or thread, share a port. docs/scaling.md is written from it.
"""

import dataclasses
import os
import resource
import socket
from pathlib import Path

import echo
import rounds
import subjects
import timed
from results import Row

CHAPTERS = []  # docs/scaling.md tells it

KERNEL_ROUNDS = 5
ACCEPTS = 1_000  # connections, one after another or all at the same time
WORKERS = (1, 2, 4)
LOAD_ROUNDS, MILLISECONDS = 7, 150
NO_GIL = "threads without a GIL"


# ------------------------------------------------------------------ memory


def kernel_memory():
    """Bytes of all objects that the kernel has allocated."""
    return rounds.number_in("/proc/meminfo", "Slab") * 1024


def kernel_per_watch(few, many, fds):
    """Bytes in the kernel for each descriptor that a kernel queue watches."""
    bare = next(one for one in subjects.SUBJECTS if one.name == "bare epoll")
    before = kernel_memory()
    with_few = timed.Timed(bare, "ready", few, 1, fds)
    with_few.ask()
    middle = kernel_memory()
    with_many = timed.Timed(bare, "ready", many, 1, fds)
    with_many.ask()
    after = kernel_memory()
    with_few.process.close()
    with_many.process.close()
    return ((after - middle) - (middle - before)) / (many - few)


class Connected:
    """A server and a client with many connections, at rest."""

    def __init__(self, server, client, count, *words):
        self.server = echo.Running(server)
        try:
            command = [client, self.server.port, count, 64, *words]
            self.client = rounds.Process("client", command, (rounds.THEIRS,))
        except BaseException:
            self.server.process.close()
            raise

    def settle(self):
        """Each connection has had a message."""
        self.client.ask(1)
        return self

    def close(self):
        self.server.process.close()
        self.client.close()


def kernel_per_connection(client, few, many):
    """Bytes in the kernel for each end of a connection, with its watch: the client has the same."""
    bare = echo.SERVERS[0]
    memory = []
    for count in (few, many):
        before = kernel_memory()
        connected = Connected(bare, client, count, "reset").settle()
        memory.append(kernel_memory() - before)
        connected.close()
    return (memory[1] - memory[0]) / (many - few) / 2


def user_per_connection(server, client, few, many):
    """Bytes of the server's own memory for each connection, however it stores it."""
    memory = []
    for count in (few, many):
        connected = Connected(server, client, count)
        try:
            connected.settle()
            memory.append(timed.resident(connected.server.process.pid))
        finally:
            connected.close()
    return (memory[1] - memory[0]) / (many - few)


def memory_rows(quick, client):
    few, many = (10, 50) if quick else (500, 10_000)
    most = timed.largest(quick)
    fds = subjects.descriptors(most - subjects.IDLE + subjects.READY)
    for what, measure in (
        ("a watch", lambda: kernel_per_watch(150, most, fds)),
        (
            "an end of a TCP connection and its watch",
            lambda: kernel_per_connection(client, few, many),
        ),
    ):
        rounds.note(f"scaling: memory in the kernel for {what}")
        values = [measure() for _ in range(1 if quick else KERNEL_ROUNDS)]
        value, spread = rounds.median_and_spread(values)
        yield Row("scaling", what, "kernel", "C", "bytes", round(value), round(spread))
    for server in echo.SERVERS:
        # copas uses select(), which ends at 1,024; the allocator's settings change nothing here.
        if not server.is_there() or server.needs == "copas" or server.environment:
            continue
        rounds.note(f"scaling: memory of {server.name} for each connection")
        what = "memory of the server for each connection"
        with rounds.leaving_out_what_fails():
            value = round(user_per_connection(server, client, few, many))
            yield Row("scaling", what, server.name, server.language, "bytes", value)


# ------------------------------------------------------------------ a queue for each core


@dataclasses.dataclass(frozen=True)
class Kind:
    """How workers share a port."""

    name: str
    word: str  # for the worker
    reuseport: bool  # each has a listening socket of its own


KINDS = [
    Kind("SO_REUSEPORT", "plain", True),
    Kind("EXCLUSIVE", "exclusive", False),
    Kind("one socket, not EXCLUSIVE", "plain", False),
]


@dataclasses.dataclass(frozen=True)
class Program:
    """Who works: a number of processes, or a number of threads of one process."""

    name: str
    language: str
    command: tuple
    threads: bool = False
    environment: tuple = ()


def missing():
    absent = subjects.missing()
    if not subjects.free_threaded():
        get = "make bench FREE_THREADED=python3.14t"
        absent.append({"subject": NO_GIL, "language": "Python", "get": get})
    return absent


def programs():
    python = subjects.PROGRAMS / "python" / "worker.py"
    own = [
        Program("processes", "C", (subjects.compile_c("worker", ["worker.c"]),)),
        Program("processes", "Python", (subjects.python(), python)),
        Program("threads", "Python", (subjects.python(), python), threads=True),
    ]
    if free := subjects.free_threaded():
        own.append(Program(NO_GIL, "Python", (free, python), threads=True))
    if subjects.has_lua_module("socket"):
        lua = subjects.PROGRAMS / "lua" / "worker.lua"
        own.append(Program("processes", "Lua", (subjects.LUA, lua)))
    return own


class Team:
    """Workers that share a port."""

    def __init__(self, program, kind, size):
        self.program, self.kind, self.size = program, kind, size
        listeners = [self.listen()]
        self.port = listeners[0].getsockname()[1]
        for _ in range(size - 1):
            listeners.append(self.listen() if kind.reuseport else listeners[0])
        self.processes = []
        groups = [listeners] if program.threads else [[one] for one in listeners]
        try:
            for group in groups:
                # Threads have a descriptor each, also of the same socket.
                fds = [os.dup(one.fileno()) for one in group]
                command = [*program.command, kind.word, *fds]
                self.processes.append(
                    rounds.Process(program.name, command, rounds.ALL, pass_fds=fds)
                )
                for fd in fds:
                    os.close(fd)
            self.accepted()  # each is there when it answers
        except BaseException:
            self.close()
            raise
        finally:
            for one in {*listeners}:
                one.close()

    def listen(self):
        listener = socket.socket()
        listener.setblocking(False)
        if self.kind.reuseport:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", getattr(self, "port", 0)))
        listener.listen(1024)
        return listener

    def accepted(self):
        """How many connections each has accepted so far."""
        return [number for one in self.processes for number in one.ask()]

    def sleeps(self):
        """How often all of them together have gone to sleep so far."""
        return sum(
            rounds.number_in(thread, "voluntary_ctxt_switches")
            for one in self.processes
            for thread in Path(f"/proc/{one.pid}/task").glob("*/status")
        )

    def processor_time(self):
        return rounds.processor_time([one.pid for one in self.processes])

    def close(self):
        for one in self.processes:
            one.close()


def connect_one_by_one(team, count, _client):
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", team.port)) as one:
            one.send(b"x" * 64)
            one.recv(64)


def connect_at_once(team, count, client):
    """By a process of its own: this one may have no descriptors left."""
    process = rounds.Process("client", [client, team.port, count, 64], rounds.ALL)
    process.ask(1)
    process.close()


def distribution(quick, client):
    """Which of four workers gets how many connections, and how often the kernel wakes them."""
    count = 20 if quick else ACCEPTS
    ways = {"one after another": connect_one_by_one, "at once": connect_at_once}
    for program in programs():
        for kind in KINDS:
            if program.threads and kind.name != "EXCLUSIVE":
                continue
            for way, connect in ways.items():
                rounds.note(f"scaling: {program.language} {program.name}, {kind.name}, {way}")
                team = Team(program, kind, 4)
                try:
                    before = team.sleeps()
                    connect(team, count, client)
                    sleeps = team.sleeps() - before
                    accepted = team.accepted()
                finally:
                    team.close()
                what = f"connections {way}, {kind.name}, 4 workers"
                for unit, value in (
                    ("% to the busiest", max(accepted) / count * 100),
                    ("% to the idlest", min(accepted) / count * 100),
                    ("sleeps per connection", sleeps / count),
                ):
                    yield Row(
                        "scaling", what, program.name, program.language, unit, round(value, 2)
                    )


class TeamLoad:
    """The client of a team, on any core."""

    def __init__(self, team, client):
        self.team = team
        self.process = rounds.Process("client", [client, team.port, 100, 64], rounds.ALL)

    def ask(self, milliseconds):
        before = self.team.processor_time()
        messages, wall, _ = self.process.ask(milliseconds)
        return messages / wall * 1e9, (self.team.processor_time() - before) / messages * 1e6


def load(quick, client):
    """Messages on 100 connections to a growing number of workers, with SO_REUSEPORT."""
    own, teams, loads = [], [], []
    try:
        for program in programs():
            for size in WORKERS:
                teams.append(Team(program, KINDS[0], size))
                one = TeamLoad(teams[-1], client)
                loads.append(one.process)
                milliseconds = 5 if quick else MILLISECONDS
                own.append(rounds.Round(teams[-1], lambda one=one, ms=milliseconds: one.ask(ms)))
        rounds.note("scaling: messages to 1, 2 and 4 workers")
        rounds.interleave(own, 1 if quick else LOAD_ROUNDS)
    finally:
        for process in loads:
            process.close()
        for team in teams:
            team.close()
    for one in own:
        what = f"100 connections, workers: {one.key.size}"
        for column, unit in enumerate(("messages per second", "us of processor time per message")):
            value, spread = rounds.median_and_spread(answer[column] for answer in one.answers)
            digits = 0 if value > 100 else 2
            program = one.key.program
            yield Row(
                "scaling",
                what,
                program.name,
                program.language,
                unit,
                round(value, digits),
                round(spread, digits),
            )


def limits():
    """What this kernel allows by default."""
    for what, path in (
        ("descriptors of a process at most", "fs/nr_open"),
        ("open files at most", "fs/file-max"),
        ("watches of a user at most", "fs/epoll/max_user_watches"),
    ):
        number = int(Path("/proc/sys", path).read_text(encoding="ascii"))
        yield Row("scaling", what, "kernel", "C", "number", number)
    ports = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    for what, number in (
        ("descriptors of a process here", resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        ("cores", os.cpu_count() or 1),
        ("ports for each address", int(ports[1]) - int(ports[0]) + 1),
    ):
        yield Row("scaling", what, "kernel", "C", "number", number)


def run(quick):
    client = subjects.compile_c("echo_client", ["echo_client.c"])
    yield from limits()
    yield from memory_rows(quick, client)
    yield from distribution(quick, client)
    yield from load(quick, client)
