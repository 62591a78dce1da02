# SPDX-License-Identifier: MIT
"""The command `python -m readyq.timeline`. Each error is one line on stderr: exit code 2 if the
command line is invalid, 1 if a file cannot be read, is not a recording, or cannot be written.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from readyq.timeline import BadRecordingError, html, svg
from readyq.timeline.svg import NARROWEST, WIDTH
from readyq.timeline.text import visible

_ABOUT = """\
Draws what a queue did: when each thread slept, what ended its sleep, how long each handler ran,
and what was watched. The recording is a file that recording.save() wrote in Python or Lua, or
readyq_save() in C."""

_EXAMPLES = """\
examples:
  python -m readyq.timeline run.json -o run.svg    a picture, for a README or a report
  python -m readyq.timeline run.json -o run.html   an interactive page: zoom, hover, search

The same file opens in Perfetto, Speedscope and chrome://tracing."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {visible(message)}; see --help\n")
        sys.exit(2)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m readyq.timeline",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recording", type=Path, help="a recording that was saved to a file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PICTURE",
        help="the file to write; its name ends in .svg or .html",
    )
    parser.add_argument(
        "--width", type=int, default=WIDTH, help=f"width of the SVG in pixels (default: {WIDTH})"
    )
    options = parser.parse_args(arguments)
    if options.output.suffix.lower() not in (".svg", ".html"):
        parser.error(f"the name of the picture has to end in .svg or .html: {options.output}")
    if not NARROWEST <= options.width <= 10_000:
        parser.error(
            f"the width has to be between {NARROWEST} and 10000 pixels, not {options.width}"
        )
    return options


def _write(path: Path, text: str) -> None:
    """Writes the whole file or, if that fails, leaves what was there."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    path = options.recording
    try:
        data = path.read_bytes()
        if options.output.suffix.lower() == ".svg":
            picture = svg(data, options.width)
        else:
            picture = html(data, path.name)
        path = options.output
        _write(path, picture)
    except BadRecordingError as error:
        message = str(error)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        message = f"cannot be {'read' if path is options.recording else 'written'}: "
        message += getattr(error, "strerror", None) or str(error)
    else:
        return 0
    sys.stderr.write(f"python -m readyq.timeline: {visible(f'{path} {message}')}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
