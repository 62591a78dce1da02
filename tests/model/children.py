# SPDX-License-Identifier: MIT
"""Operations with processes: children that keep files open and end on request, and a fork whose
child checks its own queue.
"""

import os
import sys

from model import calls
from model.descriptors import Descriptors
from model.model import DisagreementError

MOST_CHILDREN = 2
STATUS = 3


class Child:
    def __init__(self, name, pid, writer, files):
        self.name, self.pid, self.writer, self.files = name, pid, writer, files
        self.ended = False
        self.status = STATUS << 8  # as os.waitpid() gives it


class Children(Descriptors):
    def __init__(self):
        super().__init__()
        self.children = []

    def spawn(self):
        if len(self.children) >= MOST_CHILDREN:
            return
        name = self.name("c")
        self.say(f"{name} = spawn({STATUS})")
        child = Child(name, *calls.spawn(STATUS), list(self.table.values()))
        for file in child.files:
            file.hold()
        self.children.append(child)

    def end_child(self, index):
        child = self.pick(index, [child for child in self.children if not child.ended])
        if child is None:
            return
        self.say(f"end_child(*{child.name})")
        calls.end_child(child.pid, child.writer)
        child.ended = True
        for file in child.files:
            file.drop()
        for file in child.files:
            self.settle(file)
        self.queue.ended(child)

    def add_process(self, index):
        child = self.pick(index, self.children)
        if child is None or not self.room():
            return
        name = self.name("w")
        self.say(f"{name} = q.add_process({child.name}[0], data=called)")
        real = self.real.add_process(child.pid, data=self.data)
        self.enter_watch(self.queue.add_process(name, child), real)
        for watch in [watch for watch in self.queue.watches if watch.doubtful]:
            if not self.real_of[watch].active:  # the queue uses the number for the process now
                self.take_out(watch)

    def reap(self, all_of_them=False):
        """Reaps the children whose end is not watched any more."""
        watched = {watch.child for watch in self.queue.watches}
        for child in list(self.children):
            if all_of_them and not child.ended:
                calls.end_child(child.pid, child.writer)
            if all_of_them or (child.ended and child not in watched):
                os.waitpid(child.pid, 0)
                self.children.remove(child)
                self.say(f"os.waitpid({child.name}[0], 0)")

    # ------------------------------------------------------------------ a child with a queue

    def fork(self):
        """The child's queue has the same watches, and its changes are not visible here."""
        self.say("if os.fork() == 0:\n    print(*q.wait(0), *q.wait(1))\n    os._exit(0)")
        self.say("os.wait()")
        reader, writer = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                text = self.look_in_child()
            except BaseException as error:
                text = str(error) or repr(error)
            finally:
                os.write(writer, text.encode()[:4000])
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as said:
            text = said.read().decode()
        os.waitpid(pid, 0)
        if text:
            raise DisagreementError(f"in the child: {text}")

    def look_in_child(self):
        self.queue.forked()
        self.children = []  # they belong to the parent
        self.wait(0, None)
        self.wait(4, None)
        self.real.close()  # now: at the end of a process some kernels close it later
        return ""
