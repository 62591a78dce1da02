# SPDX-License-Identifier: MIT
"""pyzmq on readyq: requests, a pipeline, subscriptions, a receive that is cancelled; and its
sockets, which report events by edges of a descriptor, in a queue and in a readyq.Selector.
"""

import asyncio
import selectors

import zmq
import zmq.asyncio

import readyq

SOON = 20


def bind(context, kind):
    socket = context.socket(kind)
    return socket, f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


async def answer(server):
    while True:
        await server.send(b"answer to " + await server.recv())


async def use_requests(context):
    server, address = bind(context, zmq.REP)
    answering = asyncio.ensure_future(answer(server))
    with context.socket(zmq.REQ) as client:
        client.connect(address)
        for number in range(200):
            await client.send(b"%d" % number)
            assert await asyncio.wait_for(client.recv(), SOON) == b"answer to %d" % number
    answering.cancel()
    await asyncio.wait([answering])
    server.close()


async def use_pipeline(context):
    source, address = bind(context, zmq.PUSH)
    with source, context.socket(zmq.PULL) as sink:
        sink.connect(address)
        sending = [source.send(b"x" * number) for number in range(1000)]
        for number in range(1000):
            assert len(await asyncio.wait_for(sink.recv(), SOON)) == number
        await asyncio.gather(*sending)


async def use_subscriptions(context):
    publisher, address = bind(context, zmq.XPUB)
    with publisher, context.socket(zmq.SUB) as one, context.socket(zmq.SUB) as other:
        for subscriber in (one, other):
            subscriber.connect(address)
            subscriber.subscribe(b"news")
        # The second subscription to the same prefix is not reported.
        assert await asyncio.wait_for(publisher.recv(), SOON) == b"\1news"
        receiving = asyncio.ensure_future(other.recv())
        await asyncio.sleep(0.05)
        receiving.cancel()
        await asyncio.wait([receiving])
        await publisher.send(b"weather")
        await publisher.send(b"news of the day")
        for subscriber in (one, other):
            assert await asyncio.wait_for(subscriber.recv(), SOON) == b"news of the day"


def use_queue(context):
    """The descriptor is readable when an event of the socket may have come; only a look at its
    events, until there are none, says which."""
    source, address = bind(context, zmq.PUSH)
    seen = []

    def receive(watch):
        while watch.source.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            seen.append(watch.source.recv(zmq.NOBLOCK))

    with readyq.Queue() as queue:
        sink = context.socket(zmq.PULL)
        sink.connect(address)
        queue.add(sink, "r", data=receive)
        for number in range(100):
            source.send(b"%d" % number)
        while len(seen) < 100:
            assert queue.dispatch(SOON), seen
        sink.close()
    source.close()
    assert seen == [b"%d" % number for number in range(100)]


def use_selector(context):
    """A closed socket raises an error of its own from fileno(), and is found all the same."""
    with readyq.Selector() as selector:
        socket = context.socket(zmq.PULL)
        key = selector.register(socket, selectors.EVENT_READ)
        socket.close()
        try:
            socket.fileno()
        except zmq.ZMQError:
            pass
        else:
            raise AssertionError("this test needs a fileno() that raises")
        assert selector.unregister(socket) == key


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    with zmq.asyncio.Context() as context:
        await use_requests(context)
        await use_pipeline(context)
        await use_subscriptions(context)


readyq.run(main())
with zmq.Context() as context:
    use_queue(context)
    use_selector(context)
print("delivered")
