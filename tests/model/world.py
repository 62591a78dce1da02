# SPDX-License-Identifier: MIT
"""A real queue and its model, on the same descriptors: each operation is done to both, and the
results are compared. This file has the operations that wait, and compares every delivery, and after
it everything that is visible of the watches.
"""

import itertools
import select

from model import calls
from model.model import DisagreementError
from model.turn import Turn
from model.watching import SECOND, Watching, bits

LOOKS = 8  # waits after which the model of the files is compared with poll(2)


class World(Watching):
    def __init__(self):
        self.waits = self.deliveries = 0
        self.stops = self.plan = None
        super().__init__()

    def begin(self, quarters, limit):
        """A turn and its timeout in seconds. A wait without a timeout is made only if it is certain
        to end.
        """
        self.give_back()
        timeout = None if quarters is None else quarters * SECOND // 4
        turn = Turn(self.queue, timeout, limit)
        if timeout is None and turn.is_endless():
            return None, None
        self.waits += 1
        return turn, None if quarters is None else quarters / 4

    def wait(self, quarters, limit):
        turn, seconds = self.begin(quarters, limit)
        if turn is None:
            return
        told = self.see(self.real.wait(seconds, limit))
        self.say(f"list(q.wait({seconds}, {limit}))  # [{self.names_of(told)}]")
        if limit is not None and len(told) > limit:
            raise DisagreementError(f"{len(told)} were reported, and the maximum was {limit}")
        for one in told:
            self.deliver(turn, *one)
        self.finish(turn, False)

    def names_of(self, told):
        return ", ".join(f"{self.name_of(real)} {bits(ready)}" for real, ready, _ in told)

    def see(self, told):
        """The deliveries: each watch with its bits and its count."""
        return [(real, real.ready, real.count) for real in told]

    def name_of(self, real):
        return self.model_of[real].name if real in self.model_of else repr(real)

    def deliver(self, turn, real, ready, count):
        self.deliveries += 1
        watch = self.model_of.get(real)
        if watch is None or not watch.active:
            raise DisagreementError(f"{self.name_of(real)} was reported after it was removed")
        turn.deliver(watch, ready, count)
        if watch.status is not None and real.status != watch.status:
            raise DisagreementError(f"{watch.name} was reported with status {real.status}")
        if real.data != self.data or real.kind != watch.kind or real.fd != watch.fd:
            raise DisagreementError(f"{watch.name} was reported as {real!r}")

    def finish(self, turn, stopped):
        ghosts = [int(str(one.message).split()[1]) for one in self.warned]
        self.warned.clear()
        turn.end(stopped)
        if turn is not self.kept:
            turn.give_back()
        turn.tell_of_ghosts(ghosts)
        self.compare()
        if self.batch is not None and self.kept is None and next(self.batch, None) is not None:
            raise DisagreementError("a batch is not empty though its thread has waited again")
        if self.nested is not None and self.kept is None:
            self.compare_nested(turn)

    def nest(self):
        """From now on the descriptor of the queue is checked."""
        self.say("q.fileno()")
        self.nested = self.real.fileno()
        self.queue.looked_at()

    # ------------------------------------------------------------------ batches

    def take(self, quarters, limit, n):
        """Takes some ready watches, and leaves the loop. The batch is kept."""
        turn, seconds = self.begin(quarters, limit)
        if turn is None:
            return
        batch = self.real.wait(seconds, limit)
        told = self.see(itertools.islice(batch, n))
        self.say(f"batch = q.wait({seconds}, {limit})")
        self.say(f"list(itertools.islice(batch, {n}))  # [{self.names_of(told)}]")
        for one in told:
            self.deliver(turn, *one)
        turn.leave(self.left_in(batch))
        self.kept = turn
        self.finish(turn, False)
        self.batch = batch

    def left_in(self, batch):
        left = [watch for watch in self.queue.watches if self.real_of[watch] in batch]
        if len(left) != len(batch):
            raise DisagreementError(f"{len(left)} of {batch!r} are in the queue")
        return left

    def resume(self, n):
        """Takes more of the batch that was kept."""
        if self.kept is None:
            return
        told = self.see(itertools.islice(self.batch, n))
        self.say(f"list(itertools.islice(batch, {n}))  # [{self.names_of(told)}]")
        for one in told:
            self.deliver(self.kept, *one)
        if set(self.left_in(self.batch)) != self.kept.left:
            raise DisagreementError(f"{self.batch!r} does not contain the watches that were left")
        self.compare()

    def drop(self):
        if self.batch is not None:
            self.say("batch = None")
            self.batch = None
            self.give_back()

    # ------------------------------------------------------------------ callbacks

    def dispatch(self, quarters, after, stops, change, index, interest):
        """Dispatches. One of the callbacks removes, changes or adds a watch, and may leave the rest
        to the next wait.
        """
        turn, seconds = self.begin(quarters, None)
        if turn is None:
            return
        self.turn = turn
        arguments = {"modify": (index, interest), "add": (index, interest), "nothing": ()}
        self.plan, self.stops = (after + 1, change, arguments.get(change, (index,))), stops
        stopped = False
        with self.script.callback(f"dispatch(q, {seconds}, {after}, step, {stops})"):
            try:
                self.real.dispatch(seconds)
            except calls.StopError:
                stopped = True
        self.turn = None
        self.finish(turn, stopped)

    def data(self, real):
        at, change, arguments = self.plan
        for one in self.see([real]):
            self.deliver(self.turn, *one)
        if self.turn.told == at:
            getattr(self, change)(*arguments)
            if self.stops:
                raise calls.StopError

    # ------------------------------------------------------------------ comparing

    def compare(self):
        """Compares everything that is visible of the watches between calls."""
        for watch in list(self.queue.watches):
            real = self.real_of[watch]
            if watch.doubtful and not real.active:  # the queue detected that it is closed
                self.queue.forget(watch)
            elif not real.active:
                raise DisagreementError(f"{watch.name} was dropped by the queue")
            elif real.armed != watch.armed or real.interest != watch.interest:
                raise DisagreementError(f"{watch.name} has another interest: {real}")
            elif real.due != (None if (due := watch.first_due()) is None else due / SECOND):
                raise DisagreementError(f"{watch.name} is due at {real.due}, not at {due} ns")
        if len(self.real) != len(self.queue.watches):
            raise DisagreementError(
                f"{len(self.real)} watches instead of {len(self.queue.watches)}"
            )
        for fd in self.table if self.waits % LOOKS == 0 else ():
            self.compare_with_poll(fd)
        self.reap()

    def compare_nested(self, turn):
        """The descriptor of the queue is readable while something is ready, and not if nothing was
        found and nothing is expected.
        """
        readable = bool(calls.poll(self.nested) & select.POLLIN)
        now = Turn(self.queue, 0, None)
        if now.must() and not readable:
            raise DisagreementError(f"{now.must()[0].name} is ready, and fileno() is not readable")
        looked = turn.timeout == 0 and turn.limit is None and not turn.told
        if readable and looked and now.is_endless() and not self.queue.is_haunted():
            raise DisagreementError("nothing is ready, and fileno() is readable")
