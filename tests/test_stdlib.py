# SPDX-License-Identifier: MIT
"""CPython's own tests of its selectors pass with readyq.Selector. Those of asyncio take minutes:
`make test-stdlib` runs both.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent / "stdlib" / "run.py"


def has_tests():
    try:
        return all(
            importlib.util.find_spec(f"test.test_{name}") for name in ("selectors", "asyncio")
        )
    except ImportError:
        return False


@pytest.mark.skipif(
    not has_tests(),
    reason="this Python came without its tests (apt-get install libpython3-testsuite)",
)
def test_the_tests_of_selectors_pass_as_on_the_stock_ones():
    result = subprocess.run(
        [sys.executable, str(RUN), "test_selectors"], capture_output=True, text=True, timeout=600
    )
    print(result.stdout + result.stderr)
    assert result.returncode == 0
    assert "test_selectors on readyq" in result.stdout
