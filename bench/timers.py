# SPDX-License-Identifier: MIT
"""Timers from Python, as a contender of run.py: `timers.py readyq|asyncio COUNT`. For each line on
standard input one round: nanoseconds to set and fire COUNT timers, and to cancel as many.
"""

import asyncio
import sys
import time

import readyq

count = int(sys.argv[2])


def run_readyq():
    queue = readyq.Queue()
    left = count

    def fired(_watch):
        nonlocal left
        left -= 1

    before = time.process_time_ns()
    for _ in range(count):
        queue.add_timer(0, data=fired)
    while left:
        queue.dispatch()
    both = time.process_time_ns() - before
    watches = [queue.add_timer(3600, data=fired) for _ in range(count)]
    before = time.process_time_ns()
    for watch in watches:
        watch.remove()
    cancel = time.process_time_ns() - before
    queue.close()
    return both, cancel


async def run_on_loop():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = count

    def fired():
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    before = time.process_time_ns()
    for _ in range(count):
        loop.call_later(0, fired)
    await done
    both = time.process_time_ns() - before
    handles = [loop.call_later(3600, fired) for _ in range(count)]
    before = time.process_time_ns()
    for handle in handles:
        handle.cancel()
    return both, time.process_time_ns() - before


def run_asyncio():
    return asyncio.run(run_on_loop())


run_round = {"readyq": run_readyq, "asyncio": run_asyncio}[sys.argv[1]]
for _ in sys.stdin:
    print(*run_round(), flush=True)
