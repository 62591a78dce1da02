# SPDX-License-Identifier: MIT
"""core/wait.pml, the model of waiting, waking, firing and closing, tried in every order by spin.

The last tests take out of the model what the protocol rests on, one thing at a time: a model that
could not fail would prove nothing.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

MODEL = pathlib.Path(__file__).resolve().parent.parent / "core" / "wait.pml"
FORGOTTEN = sorted(set(re.findall(r"\bFORGET_[A-Z_]+\b", MODEL.read_text(encoding="utf-8"))))


@pytest.fixture
def verify(tmp_path):
    if shutil.which("spin") is None:
        pytest.skip("needs the program spin (apt-get install spin)")

    def verify(*definitions):
        cc = shlex.split(os.environ.get("CC", "cc"))
        options = ["-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]
        # A thread that sleeps for ever is no error by itself: the model says when it is (-E).
        for command in (["spin", *definitions, "-a", str(MODEL)], [*cc, *options]):
            result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
            assert result.returncode == 0, result.stdout + result.stderr
        search = subprocess.run(
            ["./pan", "-E", "-m100000"], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert "max search depth too small" not in search.stdout
        return search.stdout

    return verify


def test_no_order_of_steps_loses_an_event_or_uses_what_is_closed(verify):
    output = verify()
    assert "errors: 0" in output, output
    assert set(re.findall(r"unreached in \w+.*\n\t\((\d+) of", output)) == {"0"}, output


def test_two_wakes_fall_together_and_none_is_lost(verify):
    output = verify("-DTURNS=0", "-DWAKES=2")
    assert "errors: 0" in output, output


@pytest.mark.parametrize("forgotten", FORGOTTEN)
def test_what_the_protocol_rests_on_is_missed(verify, forgotten):
    output = verify("-DTURNS=0", f"-D{forgotten}")
    assert "errors: 1" in output, output
    assert "assertion violated" in output, output
