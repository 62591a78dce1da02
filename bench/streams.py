# SPDX-License-Identifier: MIT
"""The echo server of run.py on asyncio's streams: `streams.py stock|readyq`, by event loop."""

import asyncio
import sys

import readyq


async def echo(reader, writer):
    while data := await reader.read(16384):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


{"stock": asyncio.run, "readyq": readyq.run}[sys.argv[1]](main())
