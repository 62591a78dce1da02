# SPDX-License-Identifier: MIT
"""The long run with random operations: `make model OPERATIONS=n SEED=s`.

A round makes a new queue and a new model and applies some operations to both; it depends only on
its seed. If the two disagree, operations are removed for as long as the disagreement remains, and
those that are left are printed as a program. The last line shows the totals.
"""

import argparse
import contextlib
import random
import signal
import sys

from model.model import DisagreementError
from model.operations import OPERATIONS
from model.world import World

ROUND = 300  # operations
PATIENCE = 20  # seconds for a round; a round that takes longer is considered to hang
NAMES = tuple(OPERATIONS)
WEIGHTS = [OPERATIONS[name][0] for name in NAMES]


def draw(seed, length=ROUND):
    """The operations of a round."""
    chance = random.Random(seed)
    return [
        (name, {key: chance.choice(values) for key, values in OPERATIONS[name][1].items()})
        for name in chance.choices(NAMES, WEIGHTS, k=length)
    ]


def hang(*_):
    raise DisagreementError("it hangs")


@contextlib.contextmanager
def world_of(make, patience=PATIENCE):
    world = make()
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(patience)
    try:
        yield world
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        world.close()


def play(make, operations, patience=PATIENCE):
    """Runs the operations in a world; returns the world, and the disagreement or None."""
    with world_of(make, patience) as world:
        try:
            for name, arguments in operations:
                getattr(world, name)(**arguments)
        except DisagreementError as error:
            return world, str(error)
    return world, None


def shrink(make, operations):
    """Leaves out operations that the disagreement does not need, in smaller and smaller pieces."""
    size = len(operations) // 2
    while size:
        at = 0
        while at < len(operations):
            fewer = operations[:at] + operations[at + size :]
            if play(make, fewer, patience=2)[1]:
                operations = fewer
            else:
                at += size
        size //= 2
    return operations


def report(make, operations, world, error):
    """The smallest program that disagrees; if it does so only at times, the original one."""
    if play(make, operations)[1]:
        world, error = play(make, shrink(make, operations))
    else:
        error = f"{error}, but not each time"
    return f"{error}\n\n{world.script.program()}"


class Count:
    def __init__(self):
        self.operations = self.waits = self.deliveries = self.disagreements = 0
        self.first = self.last = None

    def add(self, seed, operations, world, error):
        self.first, self.last = seed if self.first is None else self.first, seed
        self.operations += len(operations)
        self.waits += world.waits
        self.deliveries += world.deliveries
        self.disagreements += error is not None

    def __str__(self):
        return (
            f"{self.operations} operations, {self.waits} waits, {self.deliveries} deliveries "
            f"compared, seeds {self.first} to {self.last}, {self.disagreements} disagreements"
        )


def hunt(make, seeds, count, most=1):
    """Plays a round for each seed, until `most` disagree. Yields the disagreements."""
    for seed in seeds:
        operations = draw(seed)
        world, error = play(make, operations)
        count.add(seed, operations, world, error)
        if error is not None:
            yield f"seed {seed}: {report(make, operations, world, error)}"
        if count.disagreements >= most:
            break


def main():
    options = argparse.ArgumentParser(prog="model", description=__doc__)
    options.add_argument("--operations", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--most", type=int, default=3, help="disagreements to print")
    options = options.parse_args()
    seeds = range(options.seed, options.seed + -(-options.operations // ROUND))
    count = Count()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):  # even if it was ended early
        for text in hunt(World, seeds, count, options.most):
            print(text, flush=True)
    print(count)
    return count.disagreements > 0


if __name__ == "__main__":
    sys.exit(main())
