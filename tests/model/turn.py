# SPDX-License-Identifier: MIT
"""One wait of the model: it says of each delivery whether it may be, and at the end whether one is
missing. See model.py for the words.
"""

from model.files import ONESHOT
from model.model import FOREVER, DisagreementError

PASSES = 4  # how often another may be told while one that is ready is not


class Turn:
    """One wait, from what is ready when it begins to its end."""

    def __init__(self, queue, timeout, limit):
        self.queue, self.timeout, self.limit = queue, timeout, limit
        self.deadline = FOREVER if timeout is None else queue.now + timeout
        self.told = 0
        self.jumped = False
        self.news = None
        self.delivered = []
        self.sure_ghosts, self.ghosts = queue.haunting()
        self.look()

    def look(self):
        self.queue.expire()
        offers = ((watch, watch.offer()) for watch in self.queue.watches)
        self.offers = {watch: offer for watch, offer in offers if offer[1]}
        self.fired = {w: w.pending for w in self.offers if w.kind != "fd"}

    def take_news(self):
        """What was news when the wait looked; what comes from now on is for the next."""
        if self.news is None:
            self.news = {}
            for watch in self.queue.watches:
                if watch.kind == "fd" and watch.asks_once():
                    self.news[watch] = watch.owed, watch.stirred
                    watch.owed, watch.stirred = 0, False

    def must(self):
        return [watch for watch, (must, _) in self.offers.items() if must]

    def jump(self):
        """Nothing is ready: virtual time goes on to the next deadline."""
        self.jumped = True
        self.queue.now = min(self.deadline, self.queue.next_due())
        self.look()

    def is_endless(self):
        """Nothing is sure ever to end it."""
        timers = self.queue.next_due() != FOREVER
        return not (self.must() or timers or self.queue.woken)

    def may_jump(self):
        sleeps = self.timeout != 0 and not self.queue.woken
        return sleeps and not self.jumped and not self.told and not self.must()

    def deliver(self, watch, ready, count):
        """The queue told of a watch."""
        if watch not in self.offers and self.may_jump():
            self.jump()
        if watch not in self.offers:
            raise DisagreementError(f"{watch.name} was told, and nothing of it is so")
        self.take_news()
        must, may = self.offers.pop(watch)
        if ready == 0 or ready & ~may:
            raise DisagreementError(f"{watch.name} was told {ready:#x}, of which {may:#x} may be")
        if must & ~ready and not watch.seen:
            raise DisagreementError(f"{watch.name} was told {ready:#x}, without all of {must:#x}")
        if must and ready != may and not watch.asks_once():
            raise DisagreementError(f"{watch.name} was told {ready:#x} instead of {may:#x}")
        self.told += 1
        if watch.kind == "fd":
            self.deliver_descriptor(watch, ready, count)
        else:
            self.deliver_fired(watch, count)
        self.delivered.append(watch)
        watch.passed = {}

    def deliver_descriptor(self, watch, ready, count):
        if count != 1:
            raise DisagreementError(f"{watch.name} was told with count {count}")
        if watch in self.news:  # what was fetched before may still be news to the kernel
            self.news[watch] = self.news[watch][0] & ~ready, bool(watch.seen)
        watch.seen = 0
        if watch.interest & ONESHOT:
            watch.armed = False

    def deliver_fired(self, watch, count):
        if not self.fired[watch] <= count <= watch.pending:
            raise DisagreementError(f"{watch.name} was told with {count}, not {watch.pending}")
        for other in self.offers if watch.line else ():
            if other.line == watch.line and other.stamp < watch.stamp:
                raise DisagreementError(f"{watch.name} was told before {other.name}")
        watch.pending -= count
        if watch.kind == "process" or (watch.kind == "timer" and not watch.period):
            self.queue.forget(watch)

    def withdraw(self, watch):
        """It was removed or changed after the wait had found it."""
        self.offers.pop(watch, None)
        if self.news is not None:
            self.news.pop(watch, None)

    def end(self, stopped=False):
        """The wait is over; `stopped`: the loop over what was ready was left early."""
        full = self.is_full() or stopped
        self.be_fair()
        late = [watch.name for watch in self.must()]
        if late and not full:
            raise DisagreementError(f"{', '.join(late)} was ready and not told")
        if not self.told and not stopped:
            self.end_empty()
        if self.timeout == 0:
            self.queue.woken = False
        self.remember(full)

    def be_fair(self):
        """What is ready and has to stand back for a maximum does so a few times at most."""
        for watch in self.queue.watches:
            if not self.offers.get(watch, (0, 0))[0]:
                watch.passed = {}
                continue
            for other in self.delivered:
                watch.passed[other] = watch.passed.get(other, 0) + 1
                if watch.passed[other] > PASSES:
                    raise DisagreementError(f"{watch.name} stands back for {other.name} for ever")

    def is_full(self):
        """A maximum was reached, of which what was found out to be closed may have had a part."""
        if self.limit is None or not self.told:
            return False
        closed = sum(watch.doubtful for watch in self.queue.watches)
        return self.told + closed >= self.limit

    def end_empty(self):
        if self.timeout == 0:
            return
        if self.queue.woken:
            self.queue.woken = False
            return
        self.jump()
        if self.must() or self.deadline == FOREVER:
            raise DisagreementError("the wait ended with nothing before its time")

    def tell_of_ghosts(self, told):
        """The user is told of each once. Then the kernel's queue is a new one, without any."""
        sure = self.sure_ghosts if self.limit is None else set()
        if len(told) != len(set(told)) or not set(told) <= self.ghosts:
            raise DisagreementError(f"ghosts {told} were told, of {self.ghosts}")
        if not sure <= set(told):
            raise DisagreementError(f"ghosts {sure} fired and {told} were told")
        if told:
            self.queue.ghosts = []

    def remember(self, full):
        """What the kernel was asked is no news any more, unless it may not have been asked."""
        self.take_news()
        for watch, (owed, stirred) in self.news.items():
            if full:
                watch.owed |= owed
                watch.stirred |= stirred
                watch.seen |= self.offers.get(watch, (0, 0))[1]
            else:
                watch.seen = 0
