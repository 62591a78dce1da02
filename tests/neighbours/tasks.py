# SPDX-License-Identifier: MIT
"""anyio on readyq: task groups and their cancellation, streams over TCP, threads both ways, two
processes, a signal.
"""

import asyncio
import os
import signal
import sys

import anyio
from anyio import from_thread, to_process, to_thread

import readyq

SOON = 20


async def shout(stream):
    async with stream:
        async for data in stream:
            await stream.send(data.upper())


async def converse(*address):
    async with await anyio.connect_tcp(*address) as stream:
        for number in range(50):
            await stream.send(b"line %d" % number)
            assert await stream.receive() == b"LINE %d" % number


async def use_streams():
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        address = listener.extra(anyio.abc.SocketAttribute.local_address)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, shout)
            async with anyio.create_task_group() as clients:
                for _ in range(20):
                    clients.start_soon(converse, *address)
            group.cancel_scope.cancel()


async def use_cancellation():
    ended = []

    async def sleep(number):
        try:
            await anyio.sleep(60)
        finally:
            ended.append(number)

    with anyio.move_on_after(0.02) as scope:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(sleep, number)
    assert scope.cancelled_caught
    assert sorted(ended) == list(range(10))


async def use_threads():
    def ask(number):
        return from_thread.run(double, number)

    async def double(number):
        await anyio.sleep(0.0001)
        return 2 * number

    doubles = []

    async def collect(number):
        doubles.append(await to_thread.run_sync(ask, number))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(collect, number)
    assert sorted(doubles) == list(range(0, 100, 2))


async def use_processes():
    program = "import sys; print(sys.stdin.read().upper())"
    result = await anyio.run_process([sys.executable, "-c", program], input=b"hello")
    assert result.stdout == b"HELLO\n"
    assert await to_process.run_sync(pow, 7, 3) == 343


async def use_signals():
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        with anyio.fail_after(SOON):
            async for number in signals:
                assert number == signal.SIGUSR1
                return


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    await use_streams()
    await use_cancellation()
    await use_threads()
    await use_processes()
    await use_signals()
    print("finished")


if __name__ == "__main__":  # the process that to_process starts imports this module
    anyio.run(main, backend="asyncio", backend_options={"loop_factory": readyq.new_event_loop})
