# SPDX-License-Identifier: MIT
"""Echo servers of bench/echo.py in Python: `echo.py NAME`. Each prints its port, and serves until
it is killed. All of them turn Nagle's algorithm off, as asyncio and trio do by themselves.
"""

import asyncio
import functools
import select
import socket
import sys
from typing import Any

import readyq

ROOM = 16384
ADDRESS = ("127.0.0.1", 0)
BACKLOG = 1024


def show_port(listener):
    print(listener.getsockname()[1], flush=True)


def listen():
    listener = socket.create_server(ADDRESS, backlog=BACKLOG)
    show_port(listener)
    return listener


def accept(listener):
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


# ------------------------------------------------------------------ plain loops


def serve_epoll():
    """The least that Python can do: the kernel's queue, and a dict."""
    listener, epoll, clients = listen(), select.epoll(), {}
    epoll.register(listener, select.EPOLLIN)
    while True:
        for fd, _events in epoll.poll():
            client = clients.get(fd)
            if client is None:
                client = accept(listener)
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
            elif data := client.recv(ROOM):
                client.send(data)
            else:
                del clients[fd]
                epoll.unregister(fd)
                client.close()


def serve_queue():
    listener, queue = listen(), readyq.Queue()
    queue.add(listener)
    while True:
        for watch in queue.wait():
            client = watch.data
            if client is None:
                client = accept(listener)
                queue.add(client, data=client)
            elif data := client.recv(ROOM):
                client.send(data)
            else:
                watch.remove()
                client.close()


# ------------------------------------------------------------------ asyncio


class Protocol(asyncio.Protocol):
    def connection_made(self, transport: Any):
        self.write = transport.write

    def data_received(self, data):
        self.write(data)


async def serve_protocol():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Protocol, *ADDRESS, backlog=BACKLOG)
    show_port(server.sockets[0])
    await server.serve_forever()


async def answer_stream(reader, writer):
    while data := await reader.read(ROOM):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve_streams():
    server = await asyncio.start_server(answer_stream, *ADDRESS, backlog=BACKLOG)
    show_port(server.sockets[0])
    await server.serve_forever()


def on_stock(main):
    asyncio.run(main())


def on_readyq(main):
    readyq.run(main())


def on_uvloop(main):
    import uvloop

    loop = uvloop.new_event_loop()
    loop.run_until_complete(main())


# ------------------------------------------------------------------ green threads and trio


def serve_gevent():
    from gevent.server import StreamServer

    def answer(client, _address):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := client.recv(ROOM):
            client.sendall(data)

    server = StreamServer(ADDRESS, answer, backlog=BACKLOG)
    server.start()
    show_port(server.socket)
    server.serve_forever()


def serve_trio():
    import trio

    async def answer(stream):
        while data := await stream.receive_some(ROOM):
            await stream.send_all(data)

    async def main():
        listeners = await trio.open_tcp_listeners(0, host=ADDRESS[0], backlog=BACKLOG)
        show_port(listeners[0].socket)
        await trio.serve_listeners(answer, listeners)

    trio.run(main)


SERVERS = {
    "select.epoll": serve_epoll,
    "for": serve_queue,
    "gevent": serve_gevent,
    "trio": serve_trio,
}
for name, run in (("asyncio", on_stock), ("readyq", on_readyq), ("uvloop", on_uvloop)):
    SERVERS[f"{name} protocol"] = functools.partial(run, serve_protocol)
    SERVERS[f"{name} streams"] = functools.partial(run, serve_streams)

SERVERS[sys.argv[1]]()
