# SPDX-License-Identifier: MIT
"""A server of ASGI applications on readyq: concurrent requests, uploads, streams, a client that
leaves, start and end of the application. The argument is the server: uvicorn or hypercorn.
"""

import asyncio
import hashlib
import json
import socket
import sys
import time

import readyq

SOON = 20
events = []  # of the application


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["path"] == "/digest":
        await answer(send, await digest(receive))
    elif scope["path"] == "/count":
        await count(send)
    elif scope["path"] == "/linger":
        await linger(receive, send)
    else:
        await asyncio.sleep(0.001)
        await answer(send, scope["path"].encode())


async def live(receive, send):
    for name in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{name}"
        events.append(name)
        await send({"type": f"lifespan.{name}.complete"})


async def start(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def answer(send, body):
    await start(send)
    await send({"type": "http.response.body", "body": body})


async def digest(receive):
    body, more = hashlib.sha256(), True
    while more:
        message = await receive()
        body.update(message["body"])
        more = message["more_body"]
    return body.hexdigest().encode()


async def count(send):
    await start(send)
    for number in range(100):
        await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
        await asyncio.sleep(0.0001)
    await send({"type": "http.response.body", "body": b""})


async def linger(receive, send):
    await start(send)
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    events.append("left")


# ------------------------------------------------------------------ the client


async def read_body(reader):
    """The body of a response of HTTP/1.1, with a length or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200"), head
    if "content-length: " in head:
        return await reader.readexactly(int(head.split("content-length: ")[1].split()[0]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def ask(port, *paths, body=b""):
    """The answers to requests on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for path in paths:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        answers.append(await read_body(reader))
    writer.close()
    await writer.wait_closed()
    return answers


async def use(port):
    paths = [f"/page/{number}" for number in range(200)]
    pages = await asyncio.gather(*(ask(port, path, path) for path in paths))
    assert pages == [[path.encode()] * 2 for path in paths]

    upload = bytes(range(256)) * 16384
    [digest] = await ask(port, "/digest", body=upload)
    assert digest.decode() == hashlib.sha256(upload).hexdigest()

    [numbers] = await ask(port, "/count")
    assert json.loads("[" + ",".join(numbers.decode().split()) + "]") == list(range(100))

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /linger HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await reader.readuntil(b"begun")
    writer.close()
    end = time.monotonic() + SOON
    while "left" not in events:
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


# ------------------------------------------------------------------ the servers


async def serve_by_uvicorn(listener, end):
    import uvicorn

    config = uvicorn.Config(application, log_level="error", loop="none", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await end.wait()
    server.should_exit = True
    await serving


async def serve_by_hypercorn(listener, end):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = config.accesslog = None
    await serve(application, config, shutdown_trigger=end.wait)


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    serve = {"uvicorn": serve_by_uvicorn, "hypercorn": serve_by_hypercorn}[sys.argv[1]]
    listener = socket.create_server(("127.0.0.1", 0))
    port, end = listener.getsockname()[1], asyncio.Event()
    serving = asyncio.ensure_future(serve(listener, end))
    await use(port)
    end.set()
    await serving
    assert events == ["startup", "left", "shutdown"]
    print("served")


readyq.run(main())
