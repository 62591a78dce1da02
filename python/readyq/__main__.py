# SPDX-License-Identifier: MIT
"""The command line of `python -m readyq`. The prompt itself is in console.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from readyq import __version__, console

_USAGE = "python -m readyq [-h] [--version] [--plain] [script] [arguments ...]"
_ABOUT = """\
A Python prompt with an event queue `q` that runs while you type: when a watch is ready and its data
is a function, that function is called. `await` works, and asyncio's tasks run as well.
"""
_NOTES = """\
With prompt_toolkit (pip install "readyq[prompt]") output appears above the line you type, and
lines are highlighted; without it Python's plain console is used.
Lines are remembered in ~/.readyq_history, or in the file that READYQ_HISTORY names.
"""


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m readyq",
        usage=_USAGE,
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"readyq {__version__}")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="use the plain console, even if prompt_toolkit is installed",
    )
    parser.add_argument(
        "script", nargs="?", help="a Python file to run first, with `q`; then the prompt opens"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="sys.argv[1:] of the script")
    return parser.parse_args(words)


def main() -> None:
    """Parse the command line and run the console."""
    options = _parse(sys.argv[1:])
    source = None
    if options.script is not None:
        try:
            source = Path(options.script).read_bytes()
        except OSError as error:
            print(f"python -m readyq: {options.script}: {error.strerror}", file=sys.stderr)
            sys.exit(2)
        sys.argv = [options.script, *options.arguments]
        sys.path[0] = str(Path(options.script).resolve().parent)
    else:
        sys.argv = [""]
    console.main(options.script, source, plain=options.plain)


if __name__ == "__main__":
    main()
