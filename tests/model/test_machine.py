# SPDX-License-Identifier: MIT
"""Model and queue agree on the operations that hypothesis chooses. It makes a failure small and
prints it as a program.
"""

import pathlib
import sys

import pytest
from model.hunt import world_of
from model.model import DisagreementError
from model.operations import OPERATIONS
from model.world import World

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = "python{}.{}".format(*sys.version_info)
sys.path.append(str(ROOT / "build" / "venv" / "lib" / VERSION / "site-packages"))  # of set-up

hypothesis = pytest.importorskip("hypothesis", reason="needs hypothesis (tools/setup.sh all)")
stateful = pytest.importorskip("hypothesis.stateful")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="tests/model/files.py knows the files of Linux alone"
)
SETTINGS = hypothesis.settings(
    max_examples=60,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def rule_of(name, arguments):
    """One step of the machine: an operation, with arguments that hypothesis chooses."""

    def step(self, **chosen):
        try:
            getattr(self.world, name)(**chosen)
        except DisagreementError as error:
            raise DisagreementError(f"{error}\n\n{self.world.script.program()}") from None

    step.__name__ = name
    strategies = {key: hypothesis.strategies.sampled_from(of) for key, of in arguments.items()}
    return stateful.rule(**strategies)(step)


def machine_of(make):
    """A machine on a world of its own each time."""

    class Machine(stateful.RuleBasedStateMachine):
        @stateful.initialize()
        def begin(self):
            self.within = world_of(make)
            self.world = self.within.__enter__()

        def teardown(self):
            self.within.__exit__(None, None, None)

    rules = {name: rule_of(name, arguments) for name, (_, arguments) in OPERATIONS.items()}
    return type("Machine", (Machine,), rules)


def test_queue_and_model_agree_on_what_hypothesis_thinks_of():
    stateful.run_state_machine_as_test(machine_of(World), settings=SETTINGS)
