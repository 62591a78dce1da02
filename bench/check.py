# SPDX-License-Identifier: MIT
"""Counts readyq's own figures again (`make bench-check`, counted.py) and fails, naming the
figure, if one is more than 3 % above that of counts.json. `make bench-check ACCEPT=1` writes the
new figures to counts.json; commit that file together with the change that explains it.

Figures depend on the compiler and the interpreter, so the file has them for each of these that was
used, and others are not compared.
"""

import argparse
import json
import platform
import re
import sys
from pathlib import Path

import counted
import results
import subjects

COUNTS = Path(__file__).with_name("counts.json")
GROWTH = 1.03
LEAST = {"instructions": 1, "system calls": 0.02}  # smaller changes are rounding


def toolchain(language):
    """What the figures of a language depend on."""
    compiler = re.sub(r" \(.*?\)|\bcc\b ?", "", results.compiler())
    parts = [platform.machine(), f"compiler {compiler}"]
    if language == "Python":
        parts.append(f"Python {platform.python_version()}")
    elif language == "Lua":
        parts.append(results.text_of(subjects.LUA, "-v").partition("  ")[0])
    return ", ".join(parts)


def figures(rows):
    """{toolchain: {figure: value}}, with what is compared with the same name."""
    found = {}
    for row in rows:
        of_language = found.setdefault(f"{row.language}: {toolchain(row.language)}", {})
        of_language[f"{row.subject}, {row.group}: {row.what}, {row.unit}"] = row.value
    return found


def compare(old, new):
    """Lines on the figures that grew too much, and on those that fell, which is no failure."""
    grown, fallen = [], []
    for name, value in new.items():
        if name not in old:
            continue
        before, least = old[name], LEAST[name.rpartition(", ")[2]]
        change = f"{before:g} -> {value:g}"
        if before:
            change += f" ({100 * (value / before - 1):+.1f} %)"
        if value > before * GROWTH and value - before > least:
            grown.append(f"{name}: {change}")
        elif before > value * GROWTH and before - value > least:
            fallen.append(f"{name}: {change}")
    return grown, fallen


def count(languages):
    return figures(counted.run(quick=True, languages=languages))


def report(committed, new):
    """Prints what changed; returns whether nothing grew."""
    status = True
    for tools, values in new.items():
        old = committed.get(tools)
        if old is None:
            print(f"bench-check: {tools}: no committed figures (ACCEPT=1 adds them)")
            continue
        grown, fallen = compare(old, values)
        for line in fallen:
            print(f"bench-check: fell: {tools}: {line}; ACCEPT=1 records it")
        for line in grown:
            print(f"bench-check: GREW: {tools}: {line}")
        for name in sorted(old.keys() - values.keys()):
            print(f"bench-check: not counted: {tools}: {name}")
        for name in sorted(values.keys() - old.keys()):
            print(f"bench-check: new: {tools}: {name} (ACCEPT=1 adds it)")
        print(f"bench-check: {tools}: {len(values)} figures, {len(grown)} grew by more than 3 %")
        status = status and not grown
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--accept", action="store_true", help="write the new figures")
    parser.add_argument(
        "--counts", type=Path, default=COUNTS, help="a file to use instead of counts.json"
    )
    parser.add_argument(
        "--language", action="append", help="count only this language: C, Python or Lua"
    )
    options = parser.parse_args()
    if lacking := counted.lacking():
        sys.exit("bench-check: a tool is missing. Run as root: " + "; ".join(lacking))
    languages = options.language or list(subjects.BUILDERS)
    for one in subjects.missing():
        if one["subject"].startswith("readyq") and one["language"] in languages:
            print(f"bench-check: without {one['subject']} ({one['language']}): {one['get']}")
    new = count(languages)
    committed = json.loads(options.counts.read_text()) if options.counts.exists() else {}
    if options.accept:
        committed.update(new)
        options.counts.write_text(json.dumps(committed, indent=1, sort_keys=True) + "\n")
        return
    if not report(committed, new):
        sys.exit("bench-check: more work than before. If intended: make bench-check ACCEPT=1")


if __name__ == "__main__":
    main()
