# SPDX-License-Identifier: MIT
"""Model and queue agree on some seconds of random operations, and the model notices a queue that
reports something else. The long run is `make model`.
"""

import os
import subprocess
import sys

import pytest
from model.hunt import ROUND, Count, draw, hunt, play
from model.world import World

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="tests/model/files.py knows the files of Linux alone"
)
OPERATIONS = 20_000
ROUNDS = 40  # in which a wrong report is found

LIES = {
    "withholds one": lambda told, _: told[:-1],
    "repeats the last report": lambda told, before: told or before,
    "reports one twice": lambda told, _: told + told[:1],
    "counts one too many": lambda told, _: [(w, ready, n + 1) for w, ready, n in told],
    "omits a bit": lambda told, _: [(w, ready & ready - 1, n) for w, ready, n in told],
    "adds a bit": lambda told, _: [(w, ready | ready << 1, n) for w, ready, n in told],
    "reverses the order": lambda told, _: told[::-1],
}


class Liar(World):
    def __init__(self, lie):
        super().__init__()
        self.lie, self.before = lie, []

    def see(self, told):
        seen = super().see(told)
        lies, self.before = self.lie(seen, self.before), seen
        return lies


def test_queue_and_model_agree():
    count, opened = Count(), len(os.listdir("/proc/self/fd"))
    for text in hunt(World, range(1, OPERATIONS // ROUND + 1), count):
        pytest.fail(text, pytrace=False)
    assert count.deliveries > OPERATIONS / 10
    assert len(os.listdir("/proc/self/fd")) == opened


@pytest.mark.parametrize("lie", LIES)
def test_a_queue_that_reports_something_else_is_detected(lie):
    found = (play(lambda: Liar(LIES[lie]), draw(seed))[1] for seed in range(ROUNDS))
    assert any(found)


def test_a_queue_that_loses_what_was_left_in_a_batch_is_detected():
    class Careless(World):
        def left_in(self, batch):
            list(batch)
            return super().left_in(batch)

    assert any(play(Careless, draw(seed))[1] for seed in range(ROUNDS))


def test_a_queue_that_ignores_an_operation_is_detected():
    """Operations that are done only to the model."""

    class Deaf(World):
        def modify(self, index, interest):
            watch = self.pick_watch(index, "fd")
            if watch is not None:
                self.queue.modify(watch, interest)

    assert any(play(Deaf, draw(seed))[1] for seed in range(ROUNDS))


def test_what_is_printed_is_a_program_that_runs():
    world, _ = play(World, draw(7))
    program = world.script.program()
    assert program.count("q.wait(") > 20
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
