# SPDX-License-Identifier: MIT
"""asyncio runs on readyq, and a queue runs inside asyncio. tests/stdlib runs asyncio's own tests;
this file tests a program's first steps, and cases that those tests do not cover.
"""

import asyncio
import contextlib
import os
import signal
import ssl
import statistics
import subprocess
import sys
import time

import pytest

import readyq

SOON = 10


async def running():
    return asyncio.get_running_loop()


def test_run_gives_the_result_and_runs_on_readyq():
    async def selector():
        return (await running())._selector

    assert isinstance(readyq.run(selector()), readyq.Selector)
    assert readyq.run(running()).is_closed()


def test_run_passes_debug_and_exceptions_on():
    async def debug():
        return (await running()).get_debug()

    async def fail():
        raise LookupError("mine")

    assert readyq.run(debug(), debug=True) is True
    assert readyq.run(debug(), debug=False) is False
    with pytest.raises(LookupError, match="mine"):
        readyq.run(fail())


def test_run_inside_a_loop_is_refused():
    async def inner():
        coroutine = running()
        try:
            with pytest.raises(RuntimeError, match="running event loop"):
                readyq.run(coroutine)
        finally:
            coroutine.close()

    readyq.run(inner())


def test_run_leaves_the_policy_as_it_was():
    async def kind():
        return type(await running())

    readyq.run(kind())
    loop = asyncio.new_event_loop()
    assert not isinstance(loop._selector, readyq.Selector)
    loop.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner is of Python 3.11")
def test_a_runner_takes_it_as_loop_factory():
    with asyncio.Runner(loop_factory=readyq.new_event_loop) as runner:
        assert runner.run(asyncio.sleep(0, "result")) == "result"
        assert isinstance(runner.get_loop()._selector, readyq.Selector)


def test_a_short_sleep_is_neither_short_nor_a_millisecond_long():
    async def measure():
        times = []
        for _ in range(200):
            before = time.perf_counter()
            await asyncio.sleep(0.0002)
            times.append(time.perf_counter() - before)
        return times

    times = readyq.run(measure())
    assert min(times) >= 0.0002 - time.get_clock_info("monotonic").resolution
    assert statistics.median(times) < 0.001


def test_streams_echo():
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            streams = [await asyncio.open_connection(*address) for _ in range(20)]
            for number, (_, writer) in enumerate(streams):
                writer.write(f"line {number}\n".encode())
            answers = [await reader.readline() for reader, _ in streams]
            for _, writer in streams:
                writer.close()
                await writer.wait_closed()
        return answers

    assert readyq.run(main()) == [f"LINE {number}\n".encode() for number in range(20)]


def test_a_subprocess_can_be_used_and_waited_for():
    program = "import sys; print(sys.stdin.read().upper()); sys.exit(7)"

    async def main():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        output, _ = await child.communicate(b"hello")
        return output, child.returncode

    assert readyq.run(main()) == (b"HELLO\n", 7)


def test_a_signal_handler_of_the_loop_is_called():
    async def main():
        loop, seen = await running(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, seen.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(seen.wait(), SOON)
        return loop.remove_signal_handler(signal.SIGUSR1)

    assert readyq.run(main())


def test_ctrl_c_ends_run(python):
    child = python(
        "import asyncio, readyq\n"
        "async def main():\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "try: readyq.run(main())\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=SOON)[0] == "interrupted\n"


def test_tls_carries_a_megabyte_both_ways(certificate):
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    client_side = ssl.create_default_context(cafile=str(certificate))
    payload = os.urandom(1 << 20)

    async def serve(reader, writer):
        writer.write(await reader.readexactly(len(payload)))
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_side, server_hostname="localhost"
            )
            writer.write(payload)
            answer = await reader.readexactly(len(payload))
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
        return answer

    assert readyq.run(main()) == payload


# ------------------------------------------------------------------ a queue inside asyncio


@pytest.mark.parametrize("run", [asyncio.run, readyq.run])
def test_an_attached_queue_is_dispatched_on_the_loop(make, run):
    queue = make.queue()
    here, there = make.unix()
    seen = []

    async def main():
        done = asyncio.Event()
        end = readyq.attach(queue)
        queue.add(here, "r", data=lambda w: seen.append(w.source.recv(10)))
        queue.add_timer(0.05, data=lambda w: done.set())
        there.send(b"hello")
        await asyncio.wait_for(done.wait(), SOON)
        assert end()

    run(main())
    assert seen == [b"hello"]


def test_a_detached_queue_is_left_alone(make):
    queue = make.queue()

    async def main():
        readyq.attach(queue)()
        queue.add_trigger(data=pytest.fail).fire()
        await asyncio.sleep(0.02)

    asyncio.run(main())
    assert len(list(queue.wait(0))) == 1


def test_what_a_callback_raises_goes_to_the_loops_handler(make):
    queue, seen = make.queue(), []

    async def main():
        (await running()).set_exception_handler(lambda loop, context: seen.append(context))
        end = readyq.attach(queue)
        queue.add_trigger(data=lambda w: 1 / 0).fire()
        await asyncio.sleep(0.02)
        end()

    asyncio.run(main())
    assert [type(context["exception"]) for context in seen] == [ZeroDivisionError]


def test_a_loop_can_be_named(make):
    queue = make.queue()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        end = readyq.attach(queue, loop)
        queue.add_trigger(data=lambda w: loop.stop()).fire()
        loop.run_forever()
        assert end()


def test_importing_readyq_does_not_import_asyncio(python):
    child = python("import readyq, sys; print('asyncio' in sys.modules, 'ast' in sys.modules)")
    assert child.communicate()[0] == "False False\n"
