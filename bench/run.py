# SPDX-License-Identifier: MIT
"""Measures readyq beside the kernel's own calls and other libraries: `make bench` runs

    run.py [--quick] [counted|timed|echo|latency|scaling]...

and prints the rows; all parts without a word. They are kept in build/bench/results.json, from which
report.py writes the report.
"""

import importlib
import sys

import results
import subjects

PARTS = ["counted", "timed", "echo", "latency", "scaling"]


def print_row(row, above):
    if above is None or (above.group, above.what, above.unit) != (row.group, row.what, row.unit):
        print(f"\n{row.group}: {row.what}, {row.unit}")
    spread = "" if row.spread is None else f"  ± {row.spread:.1f}"
    print(f"  {row.language:<7} {row.subject:<24} {row.value:>12,.1f}{spread}")


def measure(name, quick):
    """One part, in the form that the file of results has."""
    print(f"bench: {name}", file=sys.stderr)
    part = importlib.import_module(name)
    conditions = results.conditions(**subjects.versions())
    missing = getattr(part, "missing", subjects.missing)()
    for one in missing:
        print(f"bench: without {one['subject']} ({one['language']}): {one['get']}", file=sys.stderr)
    rows = list(part.run(quick))
    # The rows of one thing below each other, in the order in which the things came first.
    places = {(row.group, row.what, row.unit): None for row in rows}
    order = {place: number for number, place in enumerate(places)}
    rows.sort(key=lambda row: order[row.group, row.what, row.unit])
    return {"conditions": conditions, "quick": quick, "missing": missing, "rows": rows}


def main(words):
    quick = "--quick" in words
    asked_for = [word for word in words if word != "--quick"] or PARTS
    for name in asked_for:
        if name not in PARTS:
            sys.exit(f"bench: there is no part {name}: {', '.join(PARTS)}")
    for name in PARTS:  # in this order: each needs more descriptors than the one before
        if name not in asked_for:
            continue
        part = measure(name, quick)
        above = None
        for row in part["rows"]:
            print_row(row, above)
            above = row
        latest = results.load(results.LATEST)
        latest["parts"][name] = part
        results.save(results.LATEST, latest)


main(sys.argv[1:])
