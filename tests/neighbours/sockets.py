# SPDX-License-Identifier: MIT
"""websockets on readyq: server and clients in one loop, over TLS. Many conversations, a broadcast,
long messages, a receive that is cancelled, both ends closing. The argument is the certificate of
localhost with its key.
"""

import asyncio
import ssl
import sys
import warnings

from websockets import ConnectionClosed
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve

import readyq

SOON = 20


async def talk(connection):
    async for message in connection:
        if message == "bye":
            await connection.close(1000, "said bye")
        else:
            await connection.send(message.upper() if isinstance(message, str) else message[::-1])


async def converse(number, **options):
    async with connect(**options) as client:
        for turn in range(10):
            await client.send(f"line {number} {turn}")
            assert await client.recv() == f"LINE {number} {turn}"


async def use(server, **options):
    await asyncio.gather(*(converse(number, **options) for number in range(30)))

    async with connect(**options) as one, connect(**options) as other:
        await one.send(bytes(range(256)) * 4096)
        assert await one.recv() == bytes(reversed(range(256))) * 4096

        receiving = asyncio.ensure_future(other.recv())
        await asyncio.sleep(0.01)
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()

        broadcast(server.connections, "news")
        assert await asyncio.gather(one.recv(), other.recv()) == ["news", "news"]

        assert await asyncio.wait_for(await one.ping(), SOON) >= 0
        await one.send("bye")
        [closed] = await asyncio.gather(one.recv(), return_exceptions=True)
        assert isinstance(closed, ConnectionClosed)
        assert (closed.rcvd.code, closed.rcvd.reason) == (1000, "said bye")


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(sys.argv[1])
    client_side = ssl.create_default_context(cafile=sys.argv[1])
    async with serve(talk, "127.0.0.1", 0, ssl=server_side) as server:
        port = server.sockets[0].getsockname()[1]
        options = {"uri": f"wss://localhost:{port}", "ssl": client_side, "proxy": None}
        await use(server, **options)
    print("talked")


if sys.version_info < (3, 11):  # its asyncio may not close the TLS transport of a lost connection
    warnings.filterwarnings("ignore", "unclosed transport <asyncio.sslproto", ResourceWarning)
readyq.run(main())
