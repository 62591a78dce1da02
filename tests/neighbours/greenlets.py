# SPDX-License-Identifier: MIT
"""readyq.run() after gevent's monkey patching, where greenlets take the place of threads: they run
while the loop waits and while it works, and short sleeps are not cut short.
"""

from gevent import monkey

monkey.patch_all()

import asyncio  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

import readyq  # noqa: E402

SOON = 20


def work(number):
    time.sleep(0.01)
    return number * number


async def use_threads():
    squares = await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(20)))
    assert squares == [number * number for number in range(20)]
    try:
        await asyncio.wait_for(asyncio.to_thread(time.sleep, 0.2), 0.01)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("no timeout")


async def be_busy():
    """Greenlets run beside a loop that never sleeps."""
    hit = []
    threading.Timer(0.01, hit.append, [1]).start()
    end = time.monotonic() + SOON
    while not hit:
        assert time.monotonic() < end
        await asyncio.sleep(0)


async def use_sleeps():
    for _ in range(20):
        before = time.perf_counter()
        await asyncio.sleep(0.0005)
        assert time.perf_counter() - before >= 0.0005 - time.get_clock_info("monotonic").resolution


async def shout(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


def ask(address):
    """A client that blocks, in a greenlet."""
    import socket

    with socket.create_connection(address) as connection:
        connection.sendall(b"hello\n")
        return connection.recv(100)


async def use_streams():
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        answers = await asyncio.gather(*(asyncio.to_thread(ask, address) for _ in range(10)))
    assert answers == [b"HELLO\n"] * 10


async def use_queue():
    done = asyncio.Event()
    with readyq.Queue() as queue:
        end = readyq.attach(queue)
        queue.add_timer(0.01, data=lambda watch: done.set())
        await asyncio.wait_for(done.wait(), SOON)
        end()


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    await use_threads()
    await be_busy()
    await use_sleeps()
    await use_streams()
    await use_queue()
    print("switched")


readyq.run(main())
