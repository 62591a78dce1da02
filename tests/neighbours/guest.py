# SPDX-License-Identifier: MIT
"""trio as a guest of asyncio's loop on readyq: both make progress at the same time, talk to each
other over TCP, and cancel each other's tasks.
"""

import asyncio
import functools

import trio
import trio.testing

import readyq

SOON = 20


async def shout(stream):
    async for data in stream:
        await stream.send_all(data.upper())


async def serve(report_port, end):
    """The guest: a server in trio until the host sets `end`."""
    async with trio.open_nursery() as nursery:
        serve_tcp = functools.partial(trio.serve_tcp, shout, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve_tcp)
        report_port(listener.socket.getsockname()[1])
        await end.wait()
        nursery.cancel_scope.cancel()
    return await work()


async def work():
    """Things that need only trio: sleeps, timeouts, threads, a pair of its own sockets."""
    begin = trio.current_time()
    for _ in range(20):
        await trio.sleep(0.001)
    assert trio.current_time() - begin >= 0.02
    with trio.move_on_after(0.01) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert await trio.to_thread.run_sync(pow, 7, 3) == 343
    with trio.fail_after(SOON):
        one, other = trio.testing.memory_stream_pair()
        await one.send_all(b"x")
        assert await other.receive_some() == b"x"
    return "worked"


async def converse(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for turn in range(20):
        writer.write(b"line %d %d\n" % (number, turn))
        assert await reader.readline() == b"LINE %d %d\n" % (number, turn)
    writer.close()
    await writer.wait_closed()


async def tick(ticks):
    while True:
        await asyncio.sleep(0.001)
        ticks.append(1)


def start(loop, function, *arguments):
    """Starts trio with a function and returns the future of its result."""
    result = loop.create_future()
    trio.lowlevel.start_guest_run(
        function,
        *arguments,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=result.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    return result


async def main():
    loop = asyncio.get_running_loop()
    assert isinstance(loop._selector, readyq.Selector)
    port, end, ticks = loop.create_future(), trio.Event(), []
    result = start(loop, serve, port.set_result, end)
    ticking = asyncio.ensure_future(tick(ticks))
    await asyncio.wait([port, result], return_when=asyncio.FIRST_COMPLETED)
    assert port.done(), result.result().unwrap()
    talks = [converse(await port, number) for number in range(20)]
    await asyncio.wait_for(asyncio.gather(*talks), SOON)
    end.set()
    assert (await asyncio.wait_for(result, SOON)).unwrap() == "worked"
    ticking.cancel()
    assert len(ticks) > 10
    print("hosted")


readyq.run(main())
