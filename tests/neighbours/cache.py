# SPDX-License-Identifier: MIT
"""redis-py on readyq with a redis-server that runs already: concurrent commands, pipelines,
publish and subscribe, a pop that waits and is cancelled, a connection that the server cuts. The
argument is the server's port.
"""

import asyncio
import sys

import redis.asyncio as redis

import readyq

SOON = 20


async def use_commands(client):
    await asyncio.gather(*(client.set(f"key {number}", number) for number in range(200)))
    values = await asyncio.gather(*(client.get(f"key {number}") for number in range(200)))
    assert values == [b"%d" % number for number in range(200)]
    await client.set("long", bytes(1 << 20))
    assert await client.get("long") == bytes(1 << 20)
    async with client.pipeline(transaction=True) as pipeline:
        for _ in range(1000):
            pipeline.incr("count")
        assert await pipeline.execute() == list(range(1, 1001))


async def use_messages(client):
    async with client.pubsub() as listener:
        await listener.subscribe("news")
        first = await listener.get_message(timeout=SOON)
        assert first["type"] == "subscribe"
        for number in range(100):
            await client.publish("news", f"line {number}")
        for number in range(100):
            message = await listener.get_message(timeout=SOON)
            assert message["data"] == b"line %d" % number
        assert await listener.get_message(timeout=0.01) is None
        await listener.unsubscribe("news")


async def use_waiting(client):
    popping = asyncio.ensure_future(client.blpop("mailbox"))
    await asyncio.sleep(0.02)
    await client.rpush("mailbox", "letter")
    assert await asyncio.wait_for(popping, SOON) in (
        [b"mailbox", b"letter"],
        (b"mailbox", b"letter"),
    )
    try:
        await asyncio.wait_for(client.blpop("mailbox"), 0.05)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("the pop did not wait")
    assert await client.ping()


async def use_failures(client, port):
    async with redis.Redis(port=port, single_connection_client=True) as other:
        name = await other.client_id()
        popping = asyncio.ensure_future(other.blpop("mailbox"))
        await asyncio.sleep(0.02)
        assert await client.client_kill_filter(_id=name) == 1
        await client.rpush("mailbox", "again")
        # It connects again and repeats the command, or reports the cut.
        result = (await asyncio.gather(popping, return_exceptions=True))[0]
        assert (
            b"again" in result
            if isinstance(result, (list, tuple))
            else isinstance(result, redis.ConnectionError)
        ), result


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    port = int(sys.argv[1])
    pool = redis.BlockingConnectionPool(port=port, max_connections=20)
    async with redis.Redis.from_pool(pool) as client:
        await use_commands(client)
        await use_messages(client)
        await use_waiting(client)
        await use_failures(client, port)
    print("cached")


readyq.run(main())
