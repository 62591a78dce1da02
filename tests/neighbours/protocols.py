# SPDX-License-Identifier: MIT
# ruff: noqa: N802, N815  # twisted calls these names
"""twisted on readyq: its asyncio reactor on a loop of readyq. Lines over TCP and UNIX sockets,
datagrams, threads, a process, a page by HTTP, a coroutine of asyncio, a cancelled Deferred.
"""

import asyncio
import os
import sys
import tempfile
import warnings

from twisted.internet import asyncioreactor

import readyq

loop = readyq.new_event_loop()
asyncioreactor.install(loop)

from twisted.internet import defer, endpoints, protocol, reactor, task, threads, utils  # noqa: E402
from twisted.protocols import basic  # noqa: E402
from twisted.web import client, resource, server  # noqa: E402

SOON = 20


class Shout(basic.LineReceiver):
    def lineReceived(self, line):
        self.sendLine(line.upper())


class Ask(basic.LineReceiver):
    def __init__(self):
        self.turn, self.done = 0, defer.Deferred()

    def connectionMade(self):
        self.sendLine(b"line 0")

    def lineReceived(self, line):
        assert line == b"LINE %d" % self.turn
        self.turn += 1
        if self.turn < 50:
            self.sendLine(b"line %d" % self.turn)
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason):
        self.done.callback(self.turn)


async def converse(address):
    client = await endpoints.connectProtocol(endpoints.clientFromString(reactor, address), Ask())
    return await client.done


async def use_lines():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        for description in ("tcp:0:interface=127.0.0.1", f"unix:{path}"):
            endpoint = endpoints.serverFromString(reactor, description)
            port = await endpoint.listen(protocol.Factory.forProtocol(Shout))
            address = f"unix:{path}"
            if description.startswith("tcp"):
                address = f"tcp:127.0.0.1:{port.getHost().port}"
            talks = [defer.ensureDeferred(converse(address)) for _ in range(20)]
            assert await defer.gatherResults(talks) == [50] * 20
            await defer.maybeDeferred(port.stopListening)


class Datagrams(protocol.DatagramProtocol):
    def __init__(self):
        self.received = defer.DeferredQueue()

    def datagramReceived(self, data, address):
        self.received.put(data)


async def use_datagrams():
    one, other = Datagrams(), Datagrams()
    ports = [reactor.listenUDP(0, each, "127.0.0.1") for each in (one, other)]
    for number in range(50):
        one.transport.write(b"%d" % number, ("127.0.0.1", ports[1].getHost().port))
        assert await other.received.get() == b"%d" % number
    for port in ports:
        await defer.maybeDeferred(port.stopListening)


class Page(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        reactor.callLater(0.001, self.finish, request)
        return server.NOT_DONE_YET

    def finish(self, request):
        request.write(request.path)
        request.finish()


async def use_web():
    site = server.Site(Page())
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    pool = client.HTTPConnectionPool(reactor)
    agent = client.Agent(reactor, pool=pool)
    for number in range(20):
        url = f"http://127.0.0.1:{port.getHost().port}/{number}"
        response = await agent.request(b"GET", url.encode())
        assert await client.readBody(response) == b"/%d" % number
    await pool.closeCachedConnections()
    await port.stopListening()


async def use_the_rest():
    results = await defer.gatherResults([threads.deferToThread(pow, 7, n) for n in range(20)])
    assert results == [7**n for n in range(20)]
    program = "print('from a process')"
    output = await utils.getProcessOutput(sys.executable, ["-c", program], os.environ)
    assert output == b"from a process\n"
    slept = asyncio.ensure_future(asyncio.sleep(0.001, "slept"))
    assert await defer.Deferred.fromFuture(slept) == "slept"
    waiting = defer.Deferred()
    waiting.addTimeout(0.01, reactor)
    try:
        await waiting
    except defer.TimeoutError:
        pass
    else:
        raise AssertionError("no timeout")


async def main(reactor):
    assert isinstance(loop._selector, readyq.Selector)
    ticks = []
    ticking = task.LoopingCall(ticks.append, 1)
    ticking.start(0.001)
    await use_lines()
    await use_datagrams()
    await use_web()
    await use_the_rest()
    ticking.stop()
    assert len(ticks) > 10
    print("reacted")


# Its own proxy of a transport lacks what its readBody() asks for.
warnings.filterwarnings("ignore", "Using readBody with a transport", DeprecationWarning)
task.react(lambda reactor: defer.ensureDeferred(main(reactor)).addTimeout(3 * SOON, reactor))
