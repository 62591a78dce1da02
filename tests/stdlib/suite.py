# SPDX-License-Identifier: MIT
"""Runs one of CPython's own test modules, as installed, on its own selectors and event loop or on
readyq.Selector and the loop of readyq.new_event_loop().

`suite.py test_selectors|test_asyncio readyq|stock` prints a line of JSON with the counts. CPython's
code is not copied: its tests take their selectors from the module selectors and their loops from
asyncio, where they are replaced before the tests are imported, including those that tests access by
name.
"""

import contextlib
import json
import os
import selectors
import subprocess  # noqa: F401  # keeps the selector that it took when it was imported
import sys
import tempfile
import unittest

NAMES = ("DefaultSelector", "EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector")


def replace_selectors():
    import readyq

    for name in NAMES:
        if hasattr(selectors, name):
            setattr(selectors, name, readyq.Selector)


def replace_loops():
    import asyncio.unix_events

    import readyq

    with contextlib.closing(readyq.new_event_loop()) as loop:
        asyncio.SelectorEventLoop = asyncio.unix_events.SelectorEventLoop = type(loop)
    asyncio.DefaultEventLoopPolicy._loop_factory = type(loop)
    if hasattr(asyncio, "EventLoop"):  # since Python 3.13
        asyncio.EventLoop = type(loop)


def run(name):
    suite = unittest.defaultTestLoader.loadTestsFromName(f"test.{name}")
    return unittest.TextTestRunner(buffer=True).run(suite)


def names_of(pairs):
    return sorted({test.id() for test, _ in pairs})


def main():
    if sys.argv[2] == "readyq":
        replace_selectors()
        replace_loops()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        result = run(sys.argv[1])
        os.chdir("/")
    counts = {
        "run": result.testsRun,
        "failed": names_of(result.failures + result.errors),
        "skipped": names_of(result.skipped),
    }
    print(json.dumps(counts), flush=True)
    os._exit(0)  # some of the tests leave threads behind


if __name__ == "__main__":
    main()
