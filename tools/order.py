# SPDX-License-Identifier: MIT
"""Checks that calls between the files of the core only go down.

The order is the list in core/internal.h. A file may use symbols (functions or data) of the files
before it. `python tools/order.py build/core` reads the symbols of the object files with nm.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def read_order():
    text = (ROOT / "core" / "internal.h").read_text(encoding="utf-8")
    listed = re.search(r"Order of the files\..*?:\n \*\n(.*?)\n \*\n", text, re.DOTALL)
    return re.findall(r"[a-z]+", listed[1])


def read_symbols(path, *options):
    output = subprocess.run(
        ["nm", "--format=posix", *options, path], capture_output=True, text=True, check=True
    ).stdout
    names = [line.split()[0] for line in output.splitlines()]
    return {name for name in names if name.startswith("readyq")}


def main(folder):
    order = read_order()
    core = ROOT / "core"
    sources = {path.stem: path.relative_to(core) for path in core.rglob("*.c")}
    objects = {name: Path(folder, path).with_suffix(".o") for name, path in sources.items()}
    wrong = [f"{name}.o is not in the order" for name in sorted(objects.keys() - set(order))]
    wrong += [f"{name}.o is missing" for name in order if name not in objects]
    files = [name for name in order if name in objects]
    defined = {name: read_symbols(objects[name], "--defined-only") for name in files}
    calls = 0
    for place, name in enumerate(files):
        used = read_symbols(objects[name], "--undefined-only")
        for other in files[place + 1 :]:
            wrong += [f"{name}.c uses {symbol} of {other}.c" for symbol in used & defined[other]]
        calls += sum(len(used & defined[other]) for other in files[:place])
    for line in wrong:
        print(f"order: {line}")
    print(f"order: {len(files)} files, {calls} uses, {len(wrong)} of them upwards")
    return 1 if wrong or calls == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
