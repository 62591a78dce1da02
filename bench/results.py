# SPDX-License-Identifier: MIT
"""The results of all parts of the benchmark: rows, the conditions they were measured in, and the
file they are kept in.

    {"parts": {"counted": {"conditions": {...}, "quick": false, "missing": [...], "rows": [...]}}}
"""

import dataclasses
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
LATEST = BUILD / "results.json"  # written by run.py


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure."""

    group: str  # the chapter of the report
    what: str  # what was done: "100 ready"
    subject: str  # who did it: "readyq for", "libev"
    language: str
    unit: str  # "instructions", "system calls", "ns", "bytes" ...; with "per": see Chapter
    value: float
    spread: "float | None" = None  # the interquartile range of the rounds; None: it is a count


@dataclasses.dataclass(frozen=True)
class Chapter:
    """What the report says of a group of rows, and how it draws them."""

    group: str
    title: str
    text: str  # Markdown: what it measures
    repeat: str  # the command that measures it again
    plot: str = "bars"  # "bars": subjects below each other; "lines": `what` is a number; "" none
    unit: str = ""  # which unit is drawn; the table has all
    what: tuple = ()  # which rows are drawn; () all


def text_of(*command):
    """What a program prints, or ""."""
    try:
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return (result.stdout + result.stderr).strip()


def version():
    header = (ROOT / "core" / "readyq.h").read_text(encoding="utf-8")
    return re.search(r'READYQ_VERSION "(.*)"', header)[1]


def compiler():
    return text_of(*shlex.split(os.environ.get("CC", "cc")), "--version").partition("\n")[0]


def processor():
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    return model[1] if model else platform.machine()


def conditions(**versions):
    """What a figure depends on. `versions`: of the libraries measured, by name."""
    return {
        "date": datetime.date.today().isoformat(),
        "readyq": version(),
        "commit": text_of("git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "compiler": compiler(),
        "flags": os.environ.get("CFLAGS", "-O2 -g"),
        "versions": versions,
    }


def versions(parts):
    """Of everything that was measured in any part, by name."""
    found = {}
    for part in parts.values():
        found.update(part["conditions"]["versions"])
    return found


def load(path):
    """{} if there is no such file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {"parts": {}}
    results = json.loads(text)
    for part in results["parts"].values():
        part["rows"] = [Row(**row) for row in part["rows"]]
    return results


def save(path, results):
    """With a row on each line, so that a difference of two files can be read."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, part in results["parts"].items():
        head = {key: value for key, value in part.items() if key != "rows"}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        rows = ",\n".join(json.dumps(dataclasses.asdict(row)) for row in part["rows"])
        parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + f',\n"rows": [\n{rows}\n]}}')
    Path(path).write_text('{"parts": {\n' + ",\n".join(parts) + "\n}}\n", encoding="utf-8")
