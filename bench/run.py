# SPDX-License-Identifier: MIT
"""Measures readyq beside the kernel's own calls and other libraries. README.md describes the
measurements.
"""

import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
BUILD = ROOT / "build" / "bench"
LUA = os.environ.get("LUA", "lua5.4")
READY, WAITS, ROUNDS, ONESHOT_ROUNDS = 100, 500, 61, 21
TIMERS, TIMER_ROUNDS = 10000, 21
SELECTS, SELECTOR_ROUNDS = 1000, 21
ECHO, ECHO_ROUNDS = (100, 200, 1024), 11  # connections, messages on each, bytes in each
LINES, LINES_ROUNDS = (200, 50, 64), 21
LINE_SERVERS = {  # and the module that each needs
    "readyq.socket": "socket",
    "readyq.loop": "socket",
    "luv": "luv",
    "luv bytes": "luv",
    "copas": "copas",
    "cqueues": "cqueues",
    "luaevent": "luaevent",
}


def text_of(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).strip() if result.returncode == 0 else ""


def build(name):
    BUILD.mkdir(parents=True, exist_ok=True)
    command = [*shlex.split(os.environ.get("CC", "cc")), "-std=c11", "-D_GNU_SOURCE", "-O2"]
    command += [f"-I{ROOT}/core", BENCH / f"{name}.c", ROOT / "build" / "libreadyq.a", "-pthread"]
    subprocess.run([*command, "-o", BUILD / name], check=True)
    return BUILD / name


def print_conditions():
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cpu = re.search(r"model name\s*: (.*)", cpuinfo)
    header = (ROOT / "core" / "readyq.h").read_text()
    print("readyq", re.search(r'READYQ_VERSION "(.*)"', header)[1], end="; ")
    print(cpu[1] if cpu else platform.machine(), f"({os.cpu_count()} cores)", end="; ")
    print(platform.system(), platform.release(), end="; ")
    print(text_of(*shlex.split(os.environ.get("CC", "cc")), "--version").partition("\n")[0])
    print("Python", platform.python_version(), end="; ")
    print(text_of(LUA, "-v").partition("  ")[0], end="; ")
    print("all on one core, one at a time, in interleaved rounds; medians\n")


class Contender:
    """A process that runs one round for each line it is sent, and answers with its times."""

    def __init__(self, language, name, command, fds=()):
        self.language, self.name = language, name
        self.rounds = []
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=fds,
            text=True,
        )

    def run_round(self):
        print(file=self.process.stdin, flush=True)
        return [int(number) for number in self.process.stdout.readline().split()]

    def close(self):
        self.process.communicate()
        if self.process.returncode != 0:
            sys.exit(f"bench: {self.name} in {self.language} failed")


def run_rounds(contenders, rounds):
    for contender in contenders:
        contender.run_round()  # to warm up
    for _ in range(rounds):
        for contender in contenders:
            contender.rounds.append(contender.run_round())
    for contender in contenders:
        contender.close()


def median_ratio(contender, base, column=0, base_column=0):
    """The median over rounds of the ratio within a round. A slowdown that affects a whole round
    cancels out.
    """
    pairs = zip(contender.rounds, base.rounds)
    return statistics.median(own[column] / other[base_column] for own, other in pairs)


def print_row(language, name, value, ratio, target=None, at_least=False):
    print_ratio(language, f"{name:<28} {value:>9.1f}", ratio, target, at_least)


def print_ratio(language, words, ratio, target=None, at_least=False):
    verdict = ""
    if target is not None:
        met = ratio >= target if at_least else ratio <= target
        bound = "at least" if at_least else "at most"
        verdict = f"{bound} {target:.2f}: {'met' if met else 'MISSED'}"
    print(f"  {language:<7} {words:<38} {ratio:>6.2f}  {verdict}".rstrip())


# ------------------------------------------------------------------ all of 100 ready


def ready_pipes():
    fds = []
    for _ in range(READY):
        reader, writer = os.pipe()
        os.write(writer, b"x")
        fds.append(reader)
    return fds


def contenders_of_wait(fds):
    wait, arguments = build("wait"), [WAITS, *fds]
    python, lua = [sys.executable, BENCH / "wait.py"], [LUA, BENCH / "wait.lua"]
    found = [
        ("C", "bare epoll_wait loop", [wait, "bare", "level"]),
        ("C", "readyq", [wait, "readyq", "level"]),
        ("Python", "readyq", [*python, "readyq"]),
        ("Python", "select.epoll and a dict", [*python, "epoll"]),
        ("Python", "selectors", [*python, "selectors"]),
        ("Lua", "readyq", [*lua, "readyq"]),
    ]
    for module in ("cqueues", "luv", "luaevent"):
        if has_lua_module(module):
            found.append(("Lua", module, [*lua, module]))
    return [Contender(lang, name, [*command, *arguments], fds) for lang, name, command in found]


def has_lua_module(module):
    return bool(text_of(LUA, BENCH / "lines.lua", "has", module))


def bench_wait():
    print(f"One wait that returns {READY} of {READY} ready descriptors: ns per event, and ratio")
    targets = {"C": 1.10, "Python": 1.45, "Lua": 1.40}
    contenders = contenders_of_wait(ready_pipes())
    run_rounds(contenders, ROUNDS)
    for contender in contenders:
        value = statistics.median(own[0] for own in contender.rounds) / (WAITS * READY)
        ratio = median_ratio(contender, contenders[0])
        target = targets[contender.language] if contender.name == "readyq" else None
        print_row(contender.language, contender.name, value, ratio, target)
    lua = {contender.name: contender for contender in contenders if contender.language == "Lua"}
    for name, target in (("luv", 0.85), ("cqueues", 0.80), ("luaevent", 0.80)):
        if name in lua:
            print_ratio("Lua", f"readyq to {name}", median_ratio(lua["readyq"], lua[name]), target)


# ------------------------------------------------------------------ one-shot, armed again


def bench_oneshot():
    print(f"\n{READY} one-shot descriptors, armed again in each turn: ns per event, and ratio")
    wait, fds = build("wait"), ready_pipes()
    rows = [("bare epoll loop", "bare"), ("readyq", "readyq")]
    contenders = [
        Contender("C", name, [wait, which, "oneshot", WAITS, *fds], fds) for name, which in rows
    ]
    run_rounds(contenders, ONESHOT_ROUNDS)
    for contender in contenders:
        value = statistics.median(own[0] for own in contender.rounds) / (WAITS * READY)
        ratio = median_ratio(contender, contenders[0])
        print_row("C", contender.name, value, ratio, None)


# ------------------------------------------------------------------ selectors


def bench_selectors():
    print("\nreadyq.Selector and the stock one: ns per call, and ratio")
    fds = ready_pipes()
    command = [sys.executable, BENCH / "selector.py"]
    ours, theirs = (
        Contender("Python", name, [*command, name, SELECTS, *fds], fds)
        for name in ("readyq", "stock")
    )
    run_rounds([theirs, ours], SELECTOR_ROUNDS)
    rows = (("select", 0.50), ("register, unregister", 0.85), ("modify", 0.60))
    for column, (name, target) in enumerate(rows):
        for contender in (theirs, ours):
            value = statistics.median(own[column] for own in contender.rounds) / SELECTS
            ratio = median_ratio(contender, theirs, column, column)
            wanted = target if contender is ours else None
            print_row("Python", f"{contender.name} {name}", value, ratio, wanted)


# ------------------------------------------------------------------ echo


# asyncio reads into 256 KiB. Whether the allocator maps such a block again each time depends on
# what was freed before. Here no contender pays for that.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "8388608", "MALLOC_TRIM_THRESHOLD_": "33554432"}


def start_server(command, core):
    server = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ALLOCATOR},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    return server, server.stdout.readline().split()[-1]


def bench_echo():
    """The only client has a core of its own, so that each server is measured at its own rate."""
    connections, count, size = ECHO
    print(
        f"\nEcho to {connections} connections: us per message of {size} bytes, rate to bare epoll"
    )
    cores = sorted(os.sched_getaffinity(os.getppid()))
    echo = build("echo")
    servers = [
        ("C", "bare epoll", [echo, "serve"], None),
        ("Python", "examples/loop.py", [sys.executable, ROOT / "examples" / "loop.py"], 0.90),
        (
            "Python",
            "asyncio streams, readyq",
            [sys.executable, BENCH / "streams.py", "readyq"],
            None,
        ),
        ("Python", "asyncio streams, stock", [sys.executable, BENCH / "streams.py", "stock"], None),
    ]
    running = [start_server(command, cores[-1]) for _, _, command, _ in servers]
    os.sched_setaffinity(0, {cores[0]})
    clients = [
        Contender(language, name, [echo, "load", port, connections, count, size])
        for (language, name, _, _), (_, port) in zip(servers, running)
    ]
    run_rounds(clients, ECHO_ROUNDS)
    for server, _ in running:
        server.terminate()
        server.communicate()
    for client, (_, _, _, target) in zip(clients, servers):
        value = statistics.median(own[0] for own in client.rounds) / (connections * count) / 1000
        rate = 1 / median_ratio(client, clients[0])
        print_row(client.language, client.name, value, rate, target, at_least=True)
    rate = 1 / median_ratio(clients[1], clients[3])
    print_ratio("Python", "examples/loop.py to streams", rate, 3.00, at_least=True)


class LineServer:
    """An echo server in Lua with its client. A round's result is the server's processor time."""

    def __init__(self, name, cores):
        command = [LUA, BENCH / "lines.lua", name]
        self.process, port = start_server(command, cores[-1])
        self.name, self.rounds = name, []
        os.sched_setaffinity(0, {cores[0]})
        self.client = Contender("Lua", name, [build("echo"), "load", port, *LINES])

    def processor_time(self):
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    def run_round(self):
        before = self.processor_time()
        self.client.run_round()
        return [self.processor_time() - before]

    def close(self):
        self.client.close()
        self.process.terminate()
        self.process.communicate()


def bench_lines():
    connections, count, size = LINES
    print(f"\nEcho of lines in Lua to {connections} connections: us of the server's processor per")
    print(f"line of {size} bytes, and ratio of readyq.socket to it")
    if not has_lua_module("socket"):
        print(f"  {LUA} has no module socket")
        return
    cores = sorted(os.sched_getaffinity(os.getppid()))
    servers = [
        LineServer(name, cores) for name, module in LINE_SERVERS.items() if has_lua_module(module)
    ]
    run_rounds(servers, LINES_ROUNDS)
    for server in servers:
        value = statistics.median(own[0] for own in server.rounds) / (connections * count) / 1000
        target = {"luv": 1.00, "copas": 0.72}.get(server.name)
        print_row("Lua", server.name, value, median_ratio(servers[0], server), target)


# ------------------------------------------------------------------ timers


def bench_timers():
    print("\nTimers from Python: ns per timer, and ratio to setting and firing in asyncio")
    command = [sys.executable, BENCH / "timers.py"]
    ours, theirs = (
        Contender("Python", name, [*command, name, TIMERS]) for name in ("readyq", "asyncio")
    )
    run_rounds([theirs, ours], TIMER_ROUNDS)
    rows = (
        ("asyncio call_later and fire", theirs, 0, None),
        ("readyq add_timer and fire", ours, 0, 0.20),
        ("asyncio cancel", theirs, 1, None),
        ("readyq remove", ours, 1, 0.10),
    )
    for name, contender, column, target in rows:
        value = statistics.median(own[column] for own in contender.rounds) / TIMERS
        print_row("Python", name, value, median_ratio(contender, theirs, column), target)


def bench_sleep():
    print("\nExcess of sleeps: ns, and ratio")
    program = build("sleep")
    for line in text_of(program).splitlines():
        timeout, bare, wait, timer = map(int, line.split())
        length = f"{timeout / 1e6:g} ms"
        print_row("C", f"{length}, bare epoll_pwait2", bare, 1)
        print_row("C", f"{length}, readyq wait", wait, wait / bare, 1.20)
        print_row("C", f"{length}, readyq timer", timer, timer / bare, 1.20)
    print(f"\nOf a million timers {text_of(program, 'early', '1000000')} fired early.")


MEASUREMENTS = {
    "wait": bench_wait,
    "oneshot": bench_oneshot,
    "selectors": bench_selectors,
    "timers": bench_timers,
    "sleep": bench_sleep,
    "echo": bench_echo,
    "lines": bench_lines,
}


def main(names):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print_conditions()
    for name in names or MEASUREMENTS:
        MEASUREMENTS[name]()


main(sys.argv[1:])
