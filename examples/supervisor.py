# SPDX-License-Identifier: MIT
"""Keeps programs running: `supervisor.py COMMAND...`. The same program as supervisor.lua.

Each command is a line for the shell, such as "sleep 5". A command that ends is started again, after
a growing delay if it ends soon after its start. SIGTERM and Ctrl-C end the programs, and then the
supervisor.
"""

import os
import subprocess
import sys

import readyq

FIRST_DELAY, LONGEST_DELAY = 0.1, 60.0  # seconds
HEALTHY = 10.0  # seconds after which a program counts as having started well

q = readyq.Queue()
stopping = False


def describe(status):
    """What a wait status says."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    core = " and left a core" if os.WCOREDUMP(status) else ""
    return f"was ended by signal {-code}{core}"


class Program:
    def __init__(self, command):
        self.command = command
        self.delay = FIRST_DELAY
        self.watch = None
        self.start_timer = q.add_timer(0, data=self.start)

    def report(self, text):
        print(f"{self.command}: {text}", flush=True)

    def start(self, w):
        self.process = subprocess.Popen(["sh", "-c", "exec " + self.command])
        self.started = q.now()
        self.watch = q.add_process(self.process, data=self.ended)
        self.report(f"started as {self.process.pid}")

    def ended(self, w):
        self.report(describe(w.status))
        self.process.wait()  # reaps it, and does not block: it has ended
        if stopping:
            return
        if q.now() - self.started > HEALTHY:
            self.delay = FIRST_DELAY
        self.report(f"starts again in {self.delay:g} s")
        self.start_timer.restart(self.delay)
        self.delay = min(2 * self.delay, LONGEST_DELAY)

    def stop(self):
        self.start_timer.remove()
        if self.watch and self.watch.active:
            self.process.terminate()


def finish(w):
    global stopping
    stopping = True
    for program in programs:
        program.stop()
    for watch in signals:
        watch.remove()


signals = [q.add_signal(name, data=finish) for name in ("INT", "TERM")]
programs = [Program(command) for command in sys.argv[1:]]
while len(q):
    q.dispatch()
