# SPDX-License-Identifier: MIT
"""aiohttp's server and client on readyq, over TLS: pages, uploads, streams, a web socket, a client
that disconnects. The argument is the certificate of localhost with its key.
"""

import asyncio
import io
import ssl
import sys

import aiohttp
from aiohttp import web

import readyq

GONE = web.AppKey("gone", asyncio.Event)


async def greet(request):
    return web.Response(text="hello " + request.match_info["name"])


async def echo(request):
    return web.Response(body=await request.read())


async def count(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(100):
        await response.write(b"%d\n" % number)
        await asyncio.sleep(0.0001)
    await response.write_eof()
    return response


async def talk(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data.upper())
    return socket


async def linger(request):
    try:
        await asyncio.sleep(60)
    finally:
        request.app[GONE].set()


async def serve(context):
    app = web.Application(client_max_size=1 << 24)
    app[GONE] = asyncio.Event()
    app.router.add_get("/greet/{name}", greet)
    app.router.add_post("/echo", echo)
    app.router.add_get("/count", count)
    app.router.add_get("/talk", talk)
    app.router.add_get("/linger", linger)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return runner, runner.addresses[0][1], app[GONE]


async def get(session, name):
    async with session.get(f"/greet/{name}") as response:
        return response.status, await response.text()


async def use(session, gone):
    pages = await asyncio.gather(*(get(session, number) for number in range(200)))
    assert pages == [(200, f"hello {number}") for number in range(200)]

    upload = bytes(range(256)) * 16384
    async with session.post("/echo", data=io.BytesIO(upload)) as response:
        assert await response.read() == upload

    async with session.get("/count") as response:
        lines = [int(line) async for line in response.content]
    assert lines == list(range(100))

    async with session.ws_connect("/talk") as socket:
        for number in range(100):
            await socket.send_str(f"line {number}")
            assert await socket.receive_str() == f"LINE {number}"

    try:
        await session.get("/linger", timeout=aiohttp.ClientTimeout(total=0.1))
    except asyncio.TimeoutError:
        await asyncio.wait_for(gone.wait(), 20)


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(sys.argv[1])
    client_side = ssl.create_default_context(cafile=sys.argv[1])
    runner, port, gone = await serve(server_side)
    connector = aiohttp.TCPConnector(ssl=client_side)
    async with aiohttp.ClientSession(f"https://localhost:{port}", connector=connector) as session:
        await use(session, gone)
    await runner.cleanup()
    assert gone.is_set()
    print("served")


readyq.run(main())
