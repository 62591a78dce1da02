# SPDX-License-Identifier: MIT
"""Measures the Lua echo servers of coroutines.lua side by side; README.md tells how."""

import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent
LUA = os.environ.get("LUA", "lua5.4")
CONNECTIONS, TURNS, ROUNDS = 200, 20, 25
LINE = b"x" * 63 + b"\n"


class Server:
    def __init__(self, name):
        self.name, self.rounds = name, []
        command = [LUA, BENCH / "coroutines.lua", name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        port = int(self.process.stdout.readline())
        self.clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]

    def processor_time(self):
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    def run_round(self):
        """What one line costs the server, in nanoseconds of its processor time."""
        before = self.processor_time()
        for _ in range(TURNS):
            for client in self.clients:
                client.sendall(LINE)
            for client in self.clients:
                assert client.recv(len(LINE), socket.MSG_WAITALL) == LINE
        return (self.processor_time() - before) / (TURNS * CONNECTIONS)

    def close(self):
        for client in self.clients:
            client.close()
        self.process.kill()
        self.process.wait()


def has(module):
    command = [LUA, "-e", f'require "{module}"']
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main():
    modules = {"readyq": "socket", "luv": "luv", "copas": "copas"}
    servers = [Server(name) for name, module in modules.items() if has(module)]
    if not servers:
        sys.exit(f"coroutines: {LUA} has no module socket: apt-get install lua-socket")
    for server in servers:
        server.run_round()
    for _ in range(ROUNDS):
        for server in servers:
            server.rounds.append(server.run_round())
    print(f"An echoed line, {CONNECTIONS} connections: us of the server, and speed of readyq to it")
    for server in servers:
        ratio = statistics.median(b / a for a, b in zip(servers[0].rounds, server.rounds))
        microseconds = statistics.median(server.rounds) / 1e3
        print(f"  {LUA:<8} {server.name:<8} {microseconds:6.2f} {ratio:6.2f}")
        server.close()


main()
