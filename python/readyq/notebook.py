# SPDX-License-Identifier: MIT
"""Notebooks: after `%gui readyq` the kernel's own loop, which is asyncio's, runs a queue between
the cells; and a recording is shown as a picture. prompt.py has what the IPython extension registers
for a terminal.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import print_exception
from typing import Any

from readyq._core import Queue, Recording
from readyq.prompt import fire, run_beside


def register(shell: Any, queue: Queue) -> None:
    """Have `%gui readyq` run a queue in the kernel of this shell."""
    hooks: Any = import_module("ipykernel.eventloops")
    hooks.register_integration("readyq")(partial(_start, shell, queue))


def _start(shell: Any, queue: Queue, kernel: Any) -> None:
    kernel.eventloop = None  # else this is called again each millisecond
    if queue.closed:
        print("%gui readyq: the queue is closed, so there is nothing to run", file=sys.stderr)
        return
    run_beside(
        asyncio.get_running_loop(),
        queue,
        goes_on=lambda: shell.active_eventloop == "readyq",
        fire=partial(fire, show=print_exception),  # the kernel's hook would not tell the notebook
    )


def draw_recording(recording: Recording) -> str:
    """The records as an SVG, for Recording._repr_svg_()."""
    timeline: Any = import_module("readyq.timeline")
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        recording.save(path)
        svg: str = timeline.svg(path.read_bytes())
    return svg
