# SPDX-License-Identifier: MIT
"""tornado on readyq: its reactor is asyncio's loop. Pages, a web socket, lines over TCP, a timer, a
descriptor of the program's own, and a readyq.Queue as such a descriptor.
"""

import asyncio
import os

from tornado import httpclient, httpserver, ioloop, iostream, netutil, tcpserver, web, websocket

import readyq


class Greet(web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0.001)
        self.write("hello " + self.get_argument("name"))


class Talk(websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message.upper())


class Lines(tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        try:
            while True:
                await stream.write((await stream.read_until(b"\n")).upper())
        except iostream.StreamClosedError:
            pass


def listen(server):
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    return sockets[0].getsockname()[1]


async def use_web():
    server = httpserver.HTTPServer(web.Application([("/greet", Greet), ("/talk", Talk)]))
    port = listen(server)
    client = httpclient.AsyncHTTPClient()
    url = f"http://127.0.0.1:{port}/greet?name="
    pages = await asyncio.gather(*(client.fetch(url + str(number)) for number in range(50)))
    assert [page.body for page in pages] == [b"hello %d" % number for number in range(50)]
    socket = await websocket.websocket_connect(f"ws://127.0.0.1:{port}/talk")
    for number in range(50):
        await socket.write_message(f"line {number}")
        assert await socket.read_message() == f"LINE {number}"
    socket.close()
    server.stop()
    await server.close_all_connections()


async def use_lines():
    server = Lines()
    port = listen(server)
    stream = iostream.IOStream(netutil.socket.socket())
    await stream.connect(("127.0.0.1", port))
    for number in range(200):
        await stream.write(b"line %d\n" % number)
        assert await stream.read_until(b"\n") == b"LINE %d\n" % number
    stream.close()
    server.stop()


async def use_handlers():
    loop, rang, heard = ioloop.IOLoop.current(), asyncio.Event(), asyncio.Event()
    ticks = []
    ticking = ioloop.PeriodicCallback(lambda: ticks.append(1), 1)
    ticking.start()
    reader, writer = os.pipe()
    loop.add_handler(reader, lambda fd, events: (os.read(fd, 1), heard.set()), loop.READ)
    with readyq.Queue() as queue:
        queue.add_timer(0.01, data=lambda watch: rang.set())
        loop.add_handler(queue, lambda queue, events: queue.dispatch(0), loop.READ)
        os.write(writer, b"x")
        await asyncio.wait_for(asyncio.gather(rang.wait(), heard.wait()), 20)
        loop.remove_handler(queue)
    loop.remove_handler(reader)
    os.close(reader)
    os.close(writer)
    while len(ticks) < 5:
        await asyncio.sleep(0.001)
    ticking.stop()


async def main():
    loop = ioloop.IOLoop.current().asyncio_loop
    assert isinstance(loop._selector, readyq.Selector)
    await use_web()
    await use_lines()
    await use_handlers()
    print("reacted")


readyq.run(main())
