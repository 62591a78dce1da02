# SPDX-License-Identifier: MIT
"""Prints what is appended to files: `tail.py FILE...`. The same program as tail.lua.

A file is always ready, even at its end, so a queue cannot report that it grows: a timer checks it.
A file that has become shorter, as after log rotation, is read from the beginning. Ctrl-C ends it.
"""

import os
import sys

import readyq

EVERY = 0.1  # seconds


class File:
    last = None  # the file whose text was printed last

    def __init__(self, path):
        self.path = path
        self.identity, self.place = self.look()  # only what comes from now on

    def look(self):
        """Which file it is now, and how long it is."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None, 0
        return status.st_ino, status.st_size

    def show_new(self):
        identity, size = self.look()
        if identity != self.identity or size < self.place:
            self.identity, self.place = identity, 0
        if size == self.place:
            return
        with open(self.path, "rb") as file:
            file.seek(self.place)
            text = file.read(size - self.place)
        self.place += len(text)
        if File.last is not self and len(files) > 1:
            print(f"==> {self.path} <==")
        File.last = self
        print(text.decode(errors="replace"), end="", flush=True)


def look_at_all(w):
    for file in files:
        file.show_new()


files = [File(path) for path in sys.argv[1:]]
with readyq.Queue() as q:
    q.add_timer(EVERY, data=look_at_all, period=EVERY)
    interrupt = q.add_signal("INT", data=lambda w: w.remove())
    print("following", len(files), "files", flush=True)
    while interrupt.active:
        q.dispatch()
