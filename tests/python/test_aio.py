# SPDX-License-Identifier: MIT
"""asyncio runs on readyq, and a queue runs inside asyncio. tests/stdlib runs asyncio's own tests;
this file tests a program's first steps, and cases that those tests do not cover.
"""

import asyncio
import contextlib
import gc
import os
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
import weakref

import pytest

import readyq

SOON = 10
RUNS = pytest.mark.parametrize("run", [asyncio.run, readyq.run])


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


def test_threads_run_loops_at_the_same_time(start):
    barrier = threading.Barrier(4)

    async def main():
        barrier.wait(SOON)
        await asyncio.sleep(0.01)
        return (await running())._selector

    futures = [start(readyq.run, main()) for _ in range(4)]
    selectors = [future.result(SOON) for future in futures]
    assert len(set(selectors)) == 4
    assert {type(one) for one in selectors} == {readyq.Selector}
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        assert type(loop._selector) is not readyq.Selector


def test_run_cancels_the_tasks_that_are_left_and_refuses_what_is_no_coroutine():
    ended = []

    async def linger():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def main():
        main.task = asyncio.ensure_future(linger())
        await asyncio.sleep(0)

    readyq.run(main())
    assert ended == [True]
    assert main.task.cancelled()
    with pytest.raises((TypeError, ValueError), match="coroutine"):
        readyq.run(main)


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


def reopen(make, number):
    """Closes a number behind the loop's back and opens it again; returns the new socket's peer."""
    os.close(number)
    new, peer = make.unix()
    if new.fileno() != number:
        os.dup2(new.fileno(), number)
        new.close()
        make.keep(socket.socket(fileno=number))
    return peer


def test_a_second_reader_of_a_number_that_was_opened_again_is_called(make):
    old, _ = make.unix()
    number = old.detach()

    async def main():
        loop, called = await running(), asyncio.Event()
        loop.add_reader(number, pytest.fail, "the first reader was called")
        await asyncio.sleep(0)
        peer = reopen(make, number)
        loop.add_reader(number, called.set)
        peer.send(b"x")
        await asyncio.wait_for(called.wait(), SOON)
        assert loop.remove_reader(number)

    readyq.run(main())


def test_a_second_writer_of_a_number_that_was_opened_again_is_called(make, fill):
    old, _ = make.unix()
    fill(old)
    number = old.detach()

    async def main():
        loop, called = await running(), asyncio.Event()
        loop.add_writer(number, pytest.fail, "the first writer was called")
        await asyncio.sleep(0)
        reopen(make, number)
        loop.add_writer(number, called.set)
        await asyncio.wait_for(called.wait(), SOON)
        assert loop.remove_writer(number)

    readyq.run(main())


def test_a_reader_beside_the_writer_of_a_number_that_was_opened_again_is_called(make, fill):
    old, _ = make.unix()
    number = old.detach()

    async def main():
        loop, called = await running(), asyncio.Event()
        loop.add_reader(number, pytest.fail, "the first reader was called")
        peer = reopen(make, number)
        loop.add_writer(number, called.set)
        loop.add_reader(number, called.set)
        await asyncio.wait_for(called.wait(), SOON)
        loop.remove_writer(number)
        called.clear()
        peer.send(b"x")
        await asyncio.wait_for(called.wait(), SOON)
        assert loop.remove_reader(number)

    readyq.run(main())


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


@RUNS
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


async def fire(queue):
    """Waits until the loop has dispatched a trigger of the queue."""
    done = asyncio.Event()
    queue.add_trigger(data=lambda w: done.set()).fire()
    await asyncio.wait_for(done.wait(), SOON)


@RUNS
def test_a_queue_is_attached_under_the_number_of_one_that_was_closed(run):
    async def main():
        first = readyq.Queue()
        number = first.fileno()
        end_first = readyq.attach(first)
        await fire(first)
        first.close()
        with readyq.Queue() as second:
            assert second.fileno() == number
            end_second = readyq.attach(second)
            await fire(second)
            assert not end_first()
            await fire(second)
            assert end_second()
            assert not end_second()

    run(main())


@RUNS
def test_an_attachment_is_ended_once_also_after_close(run):
    async def main():
        queue = readyq.Queue()
        end = readyq.attach(queue)
        await fire(queue)
        queue.close()
        end()
        assert not end()

    run(main())


def test_an_attachment_is_ended_after_its_loop(make):
    queue = make.queue()

    async def main():
        return readyq.attach(queue)

    for run in (asyncio.run, readyq.run):
        end = run(main())
        assert not end()


@RUNS
def test_ending_after_close_leaves_the_next_reader_of_the_number_alone(make, run):
    async def main():
        queue = readyq.Queue()
        number = queue.fileno()
        end = readyq.attach(queue)
        queue.close()
        here, there = make.unix()
        os.dup2(here.fileno(), number)
        make.keep(socket.socket(fileno=number))
        loop, heard = await running(), asyncio.Event()
        loop.remove_reader(number)
        loop.add_reader(number, heard.set)
        assert not end()
        there.send(b"x")
        await asyncio.wait_for(heard.wait(), SOON)
        loop.remove_reader(number)

    run(main())


def test_ending_after_close_leaves_a_transport_of_the_number_alone(make):
    async def main():
        queue = readyq.Queue()
        number = queue.fileno()
        end = readyq.attach(queue)
        queue.close()
        here, there = make.unix()
        os.dup2(here.fileno(), number)
        connection = socket.socket(fileno=number)
        opening = asyncio.ensure_future(asyncio.open_connection(sock=connection))
        await asyncio.sleep(0)
        end()
        reader, writer = await opening
        end()
        there.send(b"line\n")
        assert await asyncio.wait_for(reader.readline(), SOON) == b"line\n"
        writer.close()
        await writer.wait_closed()

    readyq.run(main())


@RUNS
def test_attaching_again_replaces_the_first_attachment(make, run):
    queue = make.queue()

    async def main():
        end_first, end_second = readyq.attach(queue), readyq.attach(queue)
        assert not end_first()
        await fire(queue)
        assert end_second()
        queue.add_trigger(data=pytest.fail).fire()
        await asyncio.sleep(0.02)

    run(main())


def test_a_queue_that_is_closed_in_a_callback_is_reported_by_nothing(make):
    seen = []

    async def main():
        (await running()).set_exception_handler(lambda loop, context: seen.append(context))
        queue = readyq.Queue()
        end = readyq.attach(queue)
        queue.add_trigger(data=lambda w: queue.close()).fire()
        await asyncio.sleep(0.02)
        end()

    readyq.run(main())
    assert seen == []


def test_a_callback_that_always_raises_is_called_each_time(make):
    queue, seen = make.queue(), []

    async def main():
        (await running()).set_exception_handler(lambda loop, context: seen.append(context))
        end = readyq.attach(queue)
        trigger = queue.add_trigger(data=lambda w: w.missing)
        for count in range(1, 11):
            trigger.fire()
            while len(seen) < count:
                await asyncio.sleep(0.001)
        assert end()

    readyq.run(main())
    assert {type(context["exception"]) for context in seen} == {AttributeError}


def test_data_that_cannot_be_called_is_reported_and_the_loop_does_not_spin(make):
    queue, seen = make.queue(), []

    async def main():
        (await running()).set_exception_handler(lambda loop, context: seen.append(context))
        readyq.attach(queue)
        queue.add_trigger(data="text").fire()
        await asyncio.sleep(0.2)

    before = time.process_time()
    readyq.run(main())
    assert time.process_time() - before < 0.15
    assert 1 <= len(seen) <= 2
    assert {type(context["exception"]) for context in seen} == {TypeError}
    assert "trigger" in str(seen[0]["exception"])


def test_a_queue_whose_dispatch_only_fails_is_detached_and_can_be_attached_again():
    class Picky(readyq.Queue):
        """It keeps its events until it accepts them."""

        accepts = False

        def dispatch(self, timeout=None):
            if not self.accepts:
                raise LookupError("not accepted")
            return super().dispatch(timeout)

    seen = []

    async def main():
        (await running()).set_exception_handler(lambda loop, context: seen.append(context))
        with Picky() as queue:
            end, done = readyq.attach(queue), asyncio.Event()
            queue.add_trigger(data=lambda w: done.set()).fire()
            await asyncio.sleep(0.05)
            assert not end()
            queue.accepts = True
            readyq.attach(queue)
            await asyncio.wait_for(done.wait(), SOON)

    readyq.run(main())
    assert [type(context["exception"]) for context in seen] == [LookupError] * 2
    assert "detached" not in seen[0]["message"]
    assert "the queue has been detached from the loop" in seen[1]["message"]


def test_a_loop_can_be_named(make):
    queue = make.queue()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        end = readyq.attach(queue, loop)
        queue.add_trigger(data=lambda w: loop.stop()).fire()
        loop.run_forever()
        assert end()


def test_importing_readyq_imports_little_else(python):
    program = """
import sys
before = set(sys.modules)
import readyq
print(sorted(name for name in set(sys.modules) - before if not name.startswith("readyq")))
readyq.Selector, readyq.Queue
print({"typing", "asyncio"} & (set(sys.modules) - before))
"""
    assert python(program).communicate()[0] == "['__future__']\nset()\n"


# ------------------------------------------------------------------ a turn of the loop


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


@RUNS
def test_a_reader_that_another_removes_in_the_same_turn_is_not_called(make, run):
    pairs = [make.unix() for _ in range(2)]
    called = []

    async def main():
        loop = await running()

        def read(number):
            called.append(number)
            for here, _ in pairs:
                loop.remove_reader(here)

        for number, (here, there) in enumerate(pairs):
            loop.add_reader(here, read, number)
            there.send(b"x")
        await turns(5)

    run(main())
    assert len(called) == 1


@RUNS
def test_reader_and_writer_of_one_descriptor_are_called_for_what_is_theirs(make, run):
    here, there = make.unix()
    called = []

    async def main():
        loop = await running()
        loop.add_reader(here, called.append, "reader")
        await turns(3)
        assert called == []
        loop.add_writer(here, called.append, "writer")
        await turns(3)
        assert set(called) == {"writer"}
        loop.remove_writer(here)
        called.clear()
        there.send(b"x")
        await turns(3)
        assert set(called) == {"reader"}
        loop.add_writer(here, called.append, "writer")
        await turns(3)
        assert set(called) == {"reader", "writer"}
        loop.remove_reader(here)
        called.clear()
        await turns(3)
        assert set(called) == {"writer"}
        loop.remove_writer(here)

    run(main())


@RUNS
def test_reader_and_writer_of_a_descriptor_in_error_are_both_called(make, run):
    called = []

    async def main():
        loop = await running()
        reader, here = make.pipe()
        reader.close()
        loop.add_reader(here, called.append, "reader")
        loop.add_writer(here, called.append, "writer")
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if called:
                break
        loop.remove_reader(here)
        loop.remove_writer(here)

    run(main())
    assert set(called) == {"reader", "writer"}


@RUNS
def test_a_reader_that_was_cancelled_is_removed(make, run):
    here, there = make.unix()

    async def main():
        loop = await running()
        loop.add_reader(here, print)
        loop._selector.get_key(here.fileno()).data[0].cancel()
        there.send(b"x")
        await turns(3)
        assert loop.remove_reader(here) is False

    run(main())


@RUNS
def test_callbacks_that_callbacks_add_are_for_the_next_turn(run):
    order = []

    async def main():
        loop = await running()

        def first():
            order.append("first")
            loop.call_soon(order.append, "third")

        loop.call_soon(first)
        loop.call_soon(order.append, "second")
        await turns(3)

    run(main())
    assert order == ["first", "second", "third"]


@RUNS
def test_timers_run_in_their_order_and_cancelled_ones_do_not(run):
    order = []

    async def main():
        loop = await running()
        now = loop.time()
        cancelled = [loop.call_at(now + 0.001, order.append, "never") for _ in range(300)]
        far = [loop.call_at(now + 1000, order.append, "never") for _ in range(300)]
        for delay in (0.003, 0.001, 0.002):
            loop.call_at(now + delay, order.append, delay)
        for handle in [*cancelled, *far[1:]]:
            handle.cancel()
        await asyncio.sleep(0.01)
        assert loop._scheduled == [far[0]]
        assert loop._timer_cancelled_count == 0
        far[0].cancel()

    run(main())
    assert order == [0.001, 0.002, 0.003]


@RUNS
def test_a_few_cancelled_timers_leave_the_heap_when_they_reach_its_head(run):
    async def main():
        loop = await running()
        near, far = loop.call_later(0.5, print), loop.call_later(1000, print)
        far.cancel()
        await turns(2)
        assert set(loop._scheduled) == {near, far}
        near.cancel()
        await turns(2)
        assert loop._scheduled == []

    run(main())


@RUNS
def test_timers_at_infinity_and_at_no_time_do_no_harm(run):
    called = []

    async def main():
        loop = await running()
        never = loop.call_later(float("inf"), called.append, "never")
        await asyncio.sleep(0.001)
        never.cancel()
        loop.call_at(float("nan"), called.append, "nan")
        await asyncio.sleep(0.001)

    run(main())
    assert called == ["nan"]


@RUNS
def test_an_exception_of_a_callback_goes_to_the_handler_and_the_others_run(run):
    failed, called = [], []

    async def main():
        loop = await running()
        loop.set_exception_handler(lambda loop, context: failed.append(context["exception"]))
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(called.append, "second")
        await turns(2)

    run(main())
    assert [type(error) for error in failed] == [ZeroDivisionError]
    assert called == ["second"]


@RUNS
def test_system_exit_of_a_callback_ends_run(run):
    async def main():
        (await running()).call_soon(sys.exit, 7)
        await asyncio.sleep(10)

    with pytest.raises(SystemExit):
        run(main())


@RUNS
def test_debug_mode_reports_a_slow_callback(run, caplog):
    async def main():
        loop = await running()
        loop.slow_callback_duration = 0.01
        loop.call_soon(time.sleep, 0.02)
        await turns(2)

    run(main(), debug=True)
    (took,) = re.findall(r"<Handle sleep.* took (\S+) seconds", caplog.text)
    assert float(took) >= 0.02


@RUNS
def test_a_turn_keeps_nothing_of_the_callbacks_that_it_ran(make, run):
    class Thing:
        def read(self):
            here.recv(1)
            loops[0].remove_reader(here)

    here, there = make.unix()
    loops = []

    async def main():
        loops.append(await running())
        thing = Thing()
        alive = weakref.ref(thing)
        loops[0].add_reader(here, thing.read)
        del thing
        there.send(b"x")
        await turns(3)
        assert alive() is None

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_subclass_of_handle_is_run_by_its_own_method():
    class Handle(asyncio.Handle):
        def _run(self):
            ran.append(self)

    async def main():
        loop = await running()
        handle = Handle(print, (), loop)
        loop._ready.append(handle)
        await turns(2)
        assert ran == [handle]

    ran = []
    readyq.run(main())
