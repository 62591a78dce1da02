# SPDX-License-Identifier: MIT
"""`make test` ends with a line that says what was skipped, and which commands get it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDS = "needs the server Redis (apt-get install redis-server)"
RESULTS = f"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite>
<testcase name="a"/>
<testcase name="b"><skipped type="pytest.skip" message="{NEEDS}"/></testcase>
<testcase name="c"><skipped type="pytest.skip" message="gevent is missing: make setup"/></testcase>
<testcase name="d"><skipped type="pytest.skip" message="needs a debug CPython"/></testcase>
<testcase name="e"><skipped type="pytest.xfail" message="BSD"/></testcase>
{{more}}</testsuite></testsuites>
"""


def count(tmp_path, more=""):
    path = tmp_path / "results.xml"
    path.write_text(RESULTS.format(more=more), encoding="utf-8")
    command = [sys.executable, ROOT / "tests" / "run.py", path]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout.splitlines()


def test_each_command_that_gets_what_was_skipped_is_named_once(tmp_path):
    status, (skipped, counts) = count(tmp_path)
    assert status == 0
    assert "1 run after `apt-get install redis-server`; 1 run after `make setup`" in skipped
    assert "1 need what no command here gets" in skipped
    assert counts == "2 passed, 0 failed, 3 skipped"


def test_a_failure_and_an_error_fail_the_run(tmp_path):
    more = '<testcase name="f"><failure/></testcase><testcase name="g"><error/></testcase>'
    status, lines = count(tmp_path, more)
    assert status == 1
    assert lines[-1] == "2 passed, 2 failed, 3 skipped"
