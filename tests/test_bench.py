# SPDX-License-Identifier: MIT
"""The benchmark itself works: each timed part runs, with tiny sizes, and the page that is written
from its results knows all of its figures. Nothing here depends on how long something takes.
"""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
sys.path.insert(0, str(BENCH))
import page  # noqa: E402
import results  # noqa: E402

RESULTS = BENCH / "results" / "linux-x86_64.json"
RUN = """
import dataclasses, importlib, json, sys
sys.path.insert(0, sys.argv[1])
part = importlib.import_module(sys.argv[2])
print(json.dumps([dataclasses.asdict(row) for row in part.run(True)]))
"""
GROUPS = {
    "timed": {"event", "change", "timer", "wake", "pool", "growth", "memory", "timers pending"},
    "echo": {"echo"},
    "latency": {"latency", "oversleep"},
    "scaling": {"scaling"},
}


@pytest.mark.skipif(sys.platform != "linux", reason="bench/ needs Linux: epoll, and pinned cores")
@pytest.mark.parametrize("part", GROUPS)
def test_a_timed_part_measures_everything_once(part):
    command = [sys.executable, "-c", RUN, BENCH, part]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stderr
    assert "left out" not in result.stderr, result.stderr
    rows = json.loads(result.stdout)
    assert {row["group"] for row in rows} >= GROUPS[part]
    assert all(math.isfinite(row["value"]) for row in rows)
    assert {"C", "Python", "Lua"} <= {row["language"] for row in rows}
    keys = [
        tuple(row[key] for key in ("group", "what", "subject", "language", "unit")) for row in rows
    ]
    assert len(keys) == len(set(keys))


def test_the_page_about_scaling_asks_for_known_figures():
    text = page.PAGE.read_text(encoding="utf-8")
    assert set(page.PLACE.findall(text)) == set(page.FIGURES)
    # In Markdown a comment that begins a line ends the paragraph, which suits tables only.
    assert set(re.findall(r"^<!--=(.+?)-->", text, re.MULTILINE)) == page.TABLES


def test_the_page_about_scaling_has_the_committed_results():
    latest = results.load(RESULTS)
    if "scaling" not in latest["parts"]:
        pytest.skip(f"{RESULTS.relative_to(ROOT)} has no part scaling (make bench bench-report)")
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, latest) == text
