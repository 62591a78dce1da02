# SPDX-License-Identifier: MIT
"""Operations on a queue and its watches, done to a real one and to the model's."""

import contextlib
import errno
import os
import signal
import warnings
from abc import abstractmethod

from model.children import Children
from model.model import KQUEUE, DisagreementError, Queue

import readyq

SECOND = 1_000_000_000
WATCHES = 24  # at a time
SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
REFUSED = {FileExistsError: "exists", KeyError: "unknown"}


def bits(value):
    """The bits as Python source."""
    return readyq.bits(value).replace("|", " | ") if value else "0"


class Watching(Children):
    def __init__(self):
        super().__init__()
        self.opened = contextlib.ExitStack()
        self.warned = self.opened.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        for number in SIGNALS:  # unwatched signals must not end the process
            self.opened.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        self.model_of, self.real_of = {}, {}
        self.turn = self.nested = None
        self.open_queue()

    def open_queue(self):
        self.say("q = readyq.Queue('virtual')")
        self.real = readyq.Queue("virtual")
        self.queue = Queue()
        self.nested = self.batch = self.kept = None
        self.model_of.clear()
        self.real_of.clear()

    def close_queue(self):
        """Closes it, and opens another."""
        self.say("q.close()")
        self.real.close()
        if self.batch is not None and (len(self.batch) or next(self.batch, None) is not None):
            raise DisagreementError("a batch outlived its queue")
        for watch in list(self.queue.watches):
            self.queue.forget(watch)
            if self.real_of[watch].active or self.real_of[watch].ready:
                raise DisagreementError(f"{watch.name} outlived its queue")
        self.open_queue()

    def close(self):
        self.reap(all_of_them=True)
        self.real.close()
        for fd in self.table:
            os.close(fd)
        self.opened.close()

    @abstractmethod
    def data(self, real):
        """The data of each watch, for dispatch() to call."""

    # ------------------------------------------------------------------ what the queue learns of

    def was_closed(self, fd):
        self.queue.closed(fd)

    def was_opened(self, fd, file):
        self.queue.opened(fd, file)

    # ------------------------------------------------------------------ watches

    def room(self):
        return len(self.queue.watches) < WATCHES

    def pick_watch(self, index, *kinds):
        return self.pick(index, [w for w in self.queue.watches if not kinds or w.kind in kinds])

    def enter_watch(self, watch, real):
        self.model_of[real] = watch
        self.real_of[watch] = real

    def attempt(self, function, *args, **named):
        """What a call returned, and None; or None, and what it raised."""
        try:
            return function(*args, **named), None
        except OSError as error:
            return None, REFUSED.get(type(error)) or errno.errorcode[error.errno]
        except (KeyError, ValueError) as error:
            return None, REFUSED.get(type(error), str(error))

    def say_tried(self, raised, line):
        self.say(f"with contextlib.suppress(Exception): {line}" if raised else line)

    def outcome(self, what, raised, allowed):
        if allowed is not None and raised not in allowed:
            raise DisagreementError(f"{what} came out as {raised}, not as {allowed}")

    def add(self, index, interest):
        fd = self.pick_number(index)
        if fd is None or not self.room():
            return
        name, before = self.name("w"), self.queue.at(fd)
        real, raised = self.attempt(self.real.add, fd, interest, data=self.data)
        self.say_tried(raised, f"{name} = q.add({self.names[fd]}, {bits(interest)}, data=called)")
        allowed = [None]
        if before is not None and (before.file is self.table[fd] or before.confused):
            allowed = [None, "exists"] if before.doubtful else ["exists"]
        if KQUEUE and before is not None and before.may_be_unknown():
            allowed = [None, "exists"]
        self.outcome("add", raised, allowed)
        if KQUEUE and raised == "exists":
            before.stirred = True  # the refused change has asked its filters
        if raised is None:
            if before is not None:
                self.take_out(before)
            self.enter_watch(self.queue.add(name, fd, self.table[fd], interest), real)

    def add_closed(self, number):
        """A number that is not open."""
        raised = self.attempt(self.real.add, number, 1)[1]
        self.say_tried(raised, f"q.add({number}, READ)")
        self.outcome("add", raised, ["EBADF"])

    def modify(self, index, interest):
        watch = self.pick_watch(index, "fd")
        if watch is None:
            return
        raised = self.attempt(self.real_of[watch].modify, interest)[1]
        self.say_tried(raised, f"{watch.name}.modify({bits(interest)})")
        gone = self.table.get(watch.fd) is not watch.file
        allowed = ["EBADF"] if gone else [None]
        if KQUEUE and watch.may_be_unknown():
            allowed = ["EBADF", None]
        if watch.doubtful and not self.real_of[watch].active:
            allowed = ["unknown"]  # the queue detected that it is closed
        elif watch.confused:
            allowed = None
        self.outcome("modify", raised, allowed)
        if raised is None:
            self.withdraw(watch)
            self.queue.modify(watch, interest)
            if gone:
                self.queue.change_ghost(self.table.get(watch.fd), watch.fd)

    def remove(self, index):
        watch = self.pick_watch(index)
        if watch is None:
            return
        self.say(f"{watch.name}.remove()")
        real = self.real_of[watch]
        for expected in (True, False):
            removed, raised = self.attempt(real.remove)
            self.outcome("remove", raised, [None])
            if removed is not expected and not watch.doubtful:
                raise DisagreementError(f"remove() of {watch.name} returned {removed}")
        self.take_out(watch)
        if real.active or real.ready or real in self.real:
            raise DisagreementError(f"{watch.name} is there after it was removed")

    def remove_number(self, index):
        """Removes by number, and once more, which is refused."""
        fd = self.pick_number(index)
        watch = None if fd is None else self.queue.at(fd)
        if watch is None or watch.doubtful:
            return
        self.say(f"q.remove({self.names[fd]})")
        self.outcome("remove", self.attempt(self.real.remove, fd)[1], [None])
        self.outcome("remove again", self.attempt(self.real.remove, fd)[1], ["unknown"])
        self.take_out(watch)

    def take_out(self, watch):
        self.withdraw(watch)
        self.queue.remove(watch, self.table)

    def withdraw(self, watch):
        for turn in (self.turn, self.kept):
            if turn is not None:
                turn.withdraw(watch)

    def give_back(self):
        """The batch that was kept: its thread waits again, or has dropped it."""
        if self.kept is not None:
            self.kept.give_back()
            self.kept = None

    def nothing(self, *_):
        """The change of a callback that changes nothing."""

    # ------------------------------------------------------------------ what fires

    def add_timer(self, quarters, period):
        if self.room():
            name = self.name("w")
            self.say(
                f"{name} = q.add_timer({quarters / 4}, data=called, period={period / 4 or None})"
            )
            real = self.real.add_timer(quarters / 4, data=self.data, period=period / 4 or None)
            quarter = SECOND // 4
            watch = self.queue.add_timer(name, quarters * quarter, period * quarter)
            self.enter_watch(watch, real)

    def restart(self, index, quarters):
        """Restarts a timer, also one that has fired, and one that was removed, which is refused."""
        timers = [watch for watch in self.real_of if watch.kind == "timer"]
        watch = self.pick(index, timers[-4:])
        if watch is None or not self.room():
            return
        raised = self.attempt(self.real_of[watch].restart, quarters / 4)[1]
        self.say_tried(raised, f"{watch.name}.restart({quarters / 4})")
        self.outcome("restart", raised, ["unknown"] if watch.removed else [None])
        if raised is None:
            self.withdraw(watch)
            self.queue.restart(watch, quarters * SECOND // 4)

    def add_trigger(self):
        if self.room():
            name = self.name("w")
            self.say(f"{name} = q.add_trigger(data=called)")
            self.enter_watch(self.queue.add_trigger(name), self.real.add_trigger(data=self.data))

    def fire(self, index, n=1):
        watch = self.pick_watch(index, "trigger")
        for _ in range(n if watch is not None else 0):
            self.say(f"{watch.name}.fire()")
            self.real_of[watch].fire()
            self.queue.fire(watch)

    def add_signal(self, index):
        if self.room():
            name, number = self.name("w"), self.pick(index, SIGNALS)
            self.say(f"{name} = q.add_signal({int(number)}, data=called)")
            real = self.real.add_signal(number, data=self.data)
            self.enter_watch(self.queue.add_signal(name, number), real)

    def send(self, index):
        number = self.pick(index, SIGNALS)
        self.say(f"signal.raise_signal({int(number)})")
        signal.raise_signal(number)
        self.queue.caught(number)

    def wake(self):
        self.say("q.wake()")
        self.real.wake()
        self.queue.woken = True
