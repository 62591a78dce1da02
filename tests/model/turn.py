# SPDX-License-Identifier: MIT
"""One wait of the model: checks each delivery, and at the end whether one is missing. See model.py
for the terms.
"""

from collections import Counter

from model.files import ONESHOT
from model.model import FOREVER, KQUEUE, DisagreementError

PASSES = 4  # how often another may be reported while one that is ready is not


class Turn:
    """One wait, from the watches that are ready when it begins to its end."""

    def __init__(self, queue, timeout, limit):
        self.queue, self.timeout, self.limit = queue, timeout, limit
        self.deadline = FOREVER if timeout is None else queue.now + timeout
        self.told = 0
        self.left = set()  # in the batch, not taken
        self.jumped = False
        self.news = None
        self.delivered = []
        self.sure_ghosts, self.ghosts = queue.haunting()
        self.look()
        queue.left &= self.offers.keys()  # the others are not ready any more and lose their place

    def look(self):
        self.queue.expire()
        offers = ((watch, watch.offer()) for watch in self.queue.watches)
        self.offers = {watch: offer for watch, offer in offers if offer[1]}
        self.fired = {w: w.pending for w in self.offers if w.kind != "fd"}

    def take_news(self):
        """The changes up to this wait; later ones are for the next wait."""
        if self.news is None:
            self.news = {}
            for watch in self.queue.watches:
                if watch.kind == "fd" and watch.asks_once():
                    self.news[watch] = watch.owed, watch.stirred
                    watch.owed, watch.stirred = 0, False

    def must(self):
        return [watch for watch, (must, _) in self.offers.items() if must]

    def jump(self):
        """Nothing is ready: virtual time advances to the next deadline."""
        self.jumped = True
        self.queue.now = min(self.deadline, self.queue.next_due())
        self.look()

    def is_endless(self):
        """Nothing is certain to end the wait."""
        timers = self.queue.next_due() != FOREVER
        return not (self.must() or timers or self.queue.woken)

    def may_jump(self):
        sleeps = self.timeout != 0 and not self.queue.woken
        return sleeps and not self.jumped and not self.told and not self.must()

    def deliver(self, watch, ready, count):
        """The queue reported a watch."""
        if watch not in self.offers and self.may_jump():
            self.jump()
        if watch not in self.offers:
            raise DisagreementError(f"{watch.name} was reported, and nothing of it is ready")
        self.check_order(watch)
        self.take_news()
        must, may = self.offers.pop(watch)
        if ready == 0 or ready & ~may:
            raise DisagreementError(
                f"{watch.name} was reported with {ready:#x}, allowed is {may:#x}"
            )
        if must & ~ready and not watch.seen and not self.may_be_split():
            raise DisagreementError(
                f"{watch.name} was reported with {ready:#x}, not all of {must:#x}"
            )
        if must and ready != may and not watch.asks_once() and not KQUEUE:
            raise DisagreementError(f"{watch.name} was reported with {ready:#x}, not {may:#x}")
        self.told += 1
        if watch.kind == "fd":
            self.deliver_descriptor(watch, ready, count)
        else:
            self.deliver_fired(watch, count)
        self.delivered.append(watch)
        self.left.discard(watch)
        self.queue.left.discard(watch)
        watch.passed = {}

    def may_be_split(self):
        """kqueue reports directions one by one, and the second may not fit below a maximum."""
        return KQUEUE and self.limit is not None

    def check_order(self, watch):
        """Watches that were left are reported before all others."""
        if watch in self.queue.left or watch in self.left or watch.doubtful:
            return
        for other in self.queue.left:
            if self.offers.get(other, (0, 0))[0] and not other.doubtful:
                raise DisagreementError(
                    f"{watch.name} was reported before {other.name}, which was left"
                )

    def leave(self, watches):
        """These watches are in the batch, and the loop over it was left."""
        for watch in watches:
            if watch not in self.offers and self.may_jump():
                self.jump()
            if watch not in self.offers:
                raise DisagreementError(f"{watch.name} is in the batch, and nothing of it is ready")
        self.left = set(watches)

    def give_back(self):
        """The batch was dropped, or its thread waits again. Triggers that were taken and fired in
        the meantime get their place in the order now.
        """
        for watch in self.delivered:
            if watch.kind == "trigger" and watch.pending:
                watch.stamp = self.queue.stamp()
        for watch in self.left:
            if watch in self.news:
                self.keep_news(watch)
        self.queue.left |= self.left
        self.left = set()

    def deliver_descriptor(self, watch, ready, count):
        if count != 1:
            raise DisagreementError(f"{watch.name} was reported with count {count}")
        if watch in self.news:  # bits that were fetched before may still be a change for the kernel
            again = bool(watch.seen) or self.may_be_split()
            self.news[watch] = self.news[watch][0] & ~ready, again
        watch.seen = 0
        if watch.interest & ONESHOT:
            watch.armed = False

    def deliver_fired(self, watch, count):
        if not self.fired[watch] <= count <= watch.pending:
            raise DisagreementError(f"{watch.name} was reported with {count}, not {watch.pending}")
        for other in self.offers if watch.line else ():
            if other.line == watch.line and other.stamp < watch.stamp:
                raise DisagreementError(f"{watch.name} was reported before {other.name}")
        watch.pending -= count
        if watch.period:
            watch.order = self.queue.stamp()  # equal deadlines: in the order of setting
        if watch.kind == "process" or (watch.kind == "timer" and not watch.period):
            self.queue.forget(watch)

    def withdraw(self, watch):
        """The watch was removed or changed after the wait had found it."""
        self.offers.pop(watch, None)
        self.left.discard(watch)
        if self.news is not None:
            self.news.pop(watch, None)

    def end(self, stopped=False):
        """The wait is over. `stopped`: an error left the rest to the next wait."""
        full = self.is_full() or stopped
        self.be_fair()
        late = [watch for watch in self.must() if watch not in self.left]
        if late and not full:
            names = ", ".join(watch.name for watch in late)
            raise DisagreementError(f"{names} was ready and not reported")
        if not self.told and not self.left and not stopped:
            self.end_empty()
        if stopped and len(late) == len(self.offers):  # else the batch is unknown
            self.queue.left.update(late)
        self.remember(full)

    def be_fair(self):
        """A watch that is ready and left out because of a maximum is left out a few times at most.

        A file that never blocks may take a place in every other wait, as it is ready again at once;
        the others take turns in the rest.
        """
        for watch in self.queue.watches:
            if not self.offers.get(watch, (0, 0))[0]:
                watch.passed = {}
                continue
            for other in self.delivered:
                watch.passed[other] = watch.passed.get(other, 0) + 1
                is_file = other.kind == "fd" and other.file.never_blocks
                if watch.passed[other] > PASSES + is_file * 2 * len(self.offers):
                    raise DisagreementError(
                        f"{watch.name} is left out while {other.name} is reported"
                    )

    def is_full(self):
        """A maximum was reached. Watches that were found closed may have counted."""
        found = self.told + len(self.left)
        if self.limit is None or not found:
            return False
        closed = sum(watch.doubtful for watch in self.queue.watches)
        return found + closed >= self.limit

    def end_empty(self):
        """Only a wait that finds nothing uses up a wake."""
        woken, self.queue.woken = self.queue.woken, False
        if woken or self.timeout == 0:
            return
        self.jump()
        if self.must() or self.deadline == FOREVER:
            raise DisagreementError("the wait ended early with nothing")

    def tell_of_ghosts(self, told):
        """The user is warned of each ghost once, so of two files under one number twice. Then the
        kernel queue is a new one, without ghosts.
        """
        sure = self.sure_ghosts if self.limit is None else set()
        if Counter(told) - self.ghosts:
            raise DisagreementError(f"ghosts {told} were reported, of {dict(self.ghosts)}")
        if not sure <= set(told):
            raise DisagreementError(f"ghosts {sure} fired and {told} were reported")
        if told:
            self.queue.ghosts = []

    def remember(self, full):
        """Bits for which the kernel was asked are no change any more, unless it may not have been
        asked.
        """
        self.take_news()
        for watch in self.news:
            if watch in self.left:
                continue  # handled when the batch is given back
            if full:
                self.keep_news(watch)
            else:
                watch.seen = 0
        self.queue.left -= {watch for watch in self.queue.left if not watch.offer()[1]}

    def keep_news(self, watch):
        """The watch was found, or may have been, and was not taken."""
        owed, stirred = self.news[watch]
        watch.owed |= owed
        watch.stirred |= stirred
        watch.seen |= self.offers.get(watch, (0, 0))[1]
