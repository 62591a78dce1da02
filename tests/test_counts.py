# SPDX-License-Identifier: MIT
"""`make bench-check` fails when readyq costs more than bench/counts.json says, and names what.
`make bench-report` writes its page from any results.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
sys.path.append(str(BENCH))

import check  # noqa: E402
import counted  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402
from results import Row  # noqa: E402

counts = pytest.mark.skipif(
    bool(counted.lacking()), reason=f"a tool is missing: {'; '.join(counted.lacking())}"
)


def run_check(counts_file, *words, **environment):
    command = [sys.executable, BENCH / "check.py", "--counts", counts_file, "--language", "C"]
    return subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_figure_that_grew_by_more_than_three_percent_is_named_with_both_values():
    old = {"a, instructions": 100, "b, instructions": 100, "c, instructions": 100}
    new = {"a, instructions": 104, "b, instructions": 103, "c, instructions": 90}
    assert check.compare(old, new) == (
        ["a, instructions: 100 -> 104 (+4.0 %)"],
        ["c, instructions: 100 -> 90 (-10.0 %)"],
    )


def test_rounding_of_system_calls_is_no_growth():
    assert check.compare({"a, system calls": 0.01}, {"a, system calls": 0.02}) == ([], [])
    assert check.compare({"a, system calls": 0}, {"a, system calls": 1})[0]


@counts
def test_the_same_program_counts_the_same_again_and_a_dearer_one_fails(tmp_path):
    file = tmp_path / "counts.json"
    assert run_check(file, "--accept").returncode == 0
    same = run_check(file)
    assert same.returncode == 0, same.stdout
    assert "0 grew" in same.stdout
    committed = json.loads(file.read_text())
    (tools,) = committed
    name = "readyq, event: 100 ready, instructions"
    now = committed[tools][name]
    committed[tools][name] = now / 1.05
    file.write_text(json.dumps(committed))
    dearer = run_check(file)
    assert dearer.returncode == 1
    (line,) = [line for line in dearer.stdout.splitlines() if "GREW" in line]
    assert f"{name}: {now / 1.05:g} -> {now:g} (+5.0 %)" in line


def test_a_missing_tool_is_named_with_the_command_that_gets_it(tmp_path):
    for name in ("cc", "python3"):
        (tmp_path / name).symlink_to(shutil.which(name))
    result = run_check(tmp_path / "counts.json", PATH=str(tmp_path))
    assert result.returncode == 1
    assert "apt-get install valgrind; apt-get install strace" in result.stderr


def test_figures_of_another_compiler_are_not_compared(tmp_path, capsys):
    assert check.report({}, {"C: other": {"a, instructions": 1}})
    assert "no committed figures" in capsys.readouterr().out


def rows_for(value):
    """readyq and a peer in each language."""
    return [
        Row("event", what, subject, language, "instructions", number)
        for what in ("100 ready", "1 ready")
        for language, peer in (("C", "libev"), ("Python", "asyncio"), ("Lua", "luv"))
        for subject, number in (("readyq", value), (peer, 100.0))
    ]


@pytest.mark.parametrize(("value", "is_lost"), [(50.0, False), (200.0, True)])
def test_the_report_says_where_readyq_loses(value, is_lost, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "IMAGES", tmp_path)
    conditions = results.conditions()
    part = {"conditions": conditions, "quick": False, "missing": [], "rows": rows_for(value)}
    page = report.page({"counted": part})
    in_short = page.partition("### C and Rust")[2].partition("\n### ")[0]
    assert ("Where readyq needs more:" in in_short) == is_lost
    assert f"| Events: 100 ready | {'2' if is_lost else '**0.5**'}, libev |" in in_short
    assert "| C: **readyq** |" in page
    for image in tmp_path.iterdir():
        assert ElementTree.parse(image).getroot().tag == "{http://www.w3.org/2000/svg}svg"
