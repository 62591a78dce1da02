# SPDX-License-Identifier: MIT
"""A real queue and the model of one, on the same descriptors: each operation is done to both, and
what they say of it is compared. Here are those that wait, and what is compared then: every
delivery, and after it all that can be seen of the watches.
"""

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
        """A turn and its seconds. For ever is only for what is sure to end."""
        timeout = None if quarters is None else quarters * SECOND // 4
        turn = Turn(self.queue, timeout, limit)
        if timeout is None and turn.is_endless():
            return None, None
        return turn, None if quarters is None else quarters / 4

    def wait(self, quarters, limit):
        turn, seconds = self.begin(quarters, limit)
        if turn is None:
            return
        told = self.see(self.real.wait(seconds, limit))
        self.waits += 1
        names = ", ".join(f"{self.name_of(real)} {bits(ready)}" for real, ready, _ in told)
        self.say(f"q.wait({seconds}, {limit})  # [{names}]")
        if limit is not None and len(told) > limit:
            raise DisagreementError(f"{len(told)} were told, and {limit} asked for")
        for one in told:
            self.deliver(turn, *one)
        self.finish(turn, False)

    def see(self, told):
        """What was told: each watch, its bits and its count."""
        return [(real, real.ready, real.count) for real in told]

    def name_of(self, real):
        return self.model_of[real].name if real in self.model_of else repr(real)

    def deliver(self, turn, real, ready, count):
        self.deliveries += 1
        watch = self.model_of.get(real)
        if watch is None or not watch.active:
            raise DisagreementError(f"{self.name_of(real)} was told after it was removed")
        turn.deliver(watch, ready, count)
        if watch.status is not None and real.status != watch.status:
            raise DisagreementError(f"{watch.name} was told with status {real.status}")
        if real.data != self.data or real.kind != watch.kind or real.fd != watch.fd:
            raise DisagreementError(f"{watch.name} was told as {real!r}")

    def finish(self, turn, stopped):
        ghosts = [int(str(one.message).split()[1]) for one in self.warned]
        self.warned.clear()
        turn.end(stopped)
        turn.tell_of_ghosts(ghosts)
        self.compare()
        if self.nested is not None:
            self.compare_nested(turn)

    def nest(self):
        """From now on its descriptor is looked at."""
        self.say("q.fileno()")
        self.nested = self.real.fileno()
        self.queue.looked_at()

    # ------------------------------------------------------------------ callbacks

    def dispatch(self, quarters, after, stops, change, index, interest):
        """Lets callbacks be called; after some of them one removes, changes or adds a watch, and
        may leave the rest for the next wait."""
        turn, seconds = self.begin(quarters, None)
        if turn is None:
            return
        self.turn, self.waits = turn, self.waits + 1
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
        """All that can be seen of the watches, between calls."""
        for watch in list(self.queue.watches):
            real = self.real_of[watch]
            if watch.doubtful and not real.active:  # the queue found out
                self.queue.forget(watch)
            elif not real.active:
                raise DisagreementError(f"{watch.name} was let go of")
            elif real.armed != watch.armed or real.interest != watch.interest:
                raise DisagreementError(f"{watch.name} has another interest: {real}")
        if len(self.real) != len(self.queue.watches):
            raise DisagreementError(
                f"{len(self.real)} watches instead of {len(self.queue.watches)}"
            )
        for fd in self.table if self.waits % LOOKS == 0 else ():
            self.compare_with_poll(fd)
        self.reap()

    def compare_nested(self, turn):
        """Its descriptor is readable while something is ready, and not when nothing was found and
        nothing is to come."""
        readable = bool(calls.poll(self.nested) & select.POLLIN)
        now = Turn(self.queue, 0, None)
        if now.must() and not readable:
            raise DisagreementError(f"{now.must()[0].name} is ready, and fileno() is not readable")
        looked = turn.timeout == 0 and turn.limit is None and not turn.told
        if readable and looked and now.is_endless() and not self.queue.is_haunted():
            raise DisagreementError("nothing is ready, and fileno() is readable")
