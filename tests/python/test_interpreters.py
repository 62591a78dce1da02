# SPDX-License-Identifier: MIT
"""Subinterpreters: each has queues of its own, under a GIL of its own from Python 3.12 on, and they
may end in any order. What is about that GIL runs with a newer Python if the tests run with an older
one.
"""

import os
import re
import sys
from pathlib import Path

import pytest
import pythons

import readyq

SOON = 60

PRELUDE = """
import faulthandler, os, signal, sys, threading
faulthandler.dump_traceback_later(50, exit=True)
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import readyq

def run(one, code):
    failed = interpreters.run_string(one, code)
    assert not failed, failed

def in_threads(number, work):
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

USE = '''
import readyq, socket
with readyq.Queue() as q:
    here, there = socket.socketpair()
    there.send(b"x")
    w = q.add(here, "r", data=1)
    q.add_signal(10)
    assert list(q.wait(1)) == [w]
    q.add_timer(0.001, data=2)
    q.modify(here, 0)
    assert [w.data for w in q.wait(5)] == [2]
    assert "socket" in str(q)
    here.close(); there.close()
'''
"""


def run_to_end(child):
    """The program must print nothing. CPython 3.14 and later say that it ends the interpreters
    which the program left.
    """
    out, err = child.communicate(timeout=SOON)
    err = re.sub("^.*RuntimeWarning: remaining subinterpreters;.*\n", "", err)
    assert (out, err) == ("", "")
    assert child.returncode == 0


@pytest.fixture
def check(python):
    return lambda code: run_to_end(python(PRELUDE + code))


@pytest.fixture(scope="session")
def newer(tmp_path_factory):
    """A Python that has a GIL for each interpreter, and the folder of readyq for it."""
    if sys.version_info >= (3, 12):
        return sys.executable, Path(readyq.__file__).parents[1]
    found = [*filter(None, map(pythons.find_version, ("3.14", "3.13", "3.12")))]
    if not found or "KQUEUE_AS" in os.environ:
        pytest.skip("needs Python 3.12 or later, which has a GIL for each interpreter")
    return found[0], pythons.build(found[0], tmp_path_factory.mktemp("newer"))


@pytest.fixture
def check_own_gil(python, newer):
    program, package = newer
    return lambda code: run_to_end(python(PRELUDE + code, program, package))


def test_each_has_queues_of_its_own(check):
    check(
        """
with readyq.Queue() as q:
    for _ in range(3):
        one = interpreters.create()
        run(one, USE)
        run(one, "left = readyq.Queue(); left.add_signal(10); left.add_timer(100)")
        interpreters.destroy(one)
    q.add_timer(0)
    assert len(list(q.wait())) == 1
assert signal.getsignal(10) == signal.SIG_DFL
"""
    )


def test_asyncio_runs_in_each(check, python):
    child = python(PRELUDE + "one = interpreters.create(); run(one, 'import asyncio')")
    child.communicate(timeout=SOON)
    if child.returncode != 0:
        pytest.skip("this CPython crashes at `import asyncio` in a subinterpreter (3.12.1 does)")
    check(
        """
one = interpreters.create()
run(one, "import asyncio, readyq; assert readyq.run(asyncio.sleep(0.001, 7)) == 7")
interpreters.destroy(one)
"""
    )


def test_a_selector_works_in_each(check):
    check(
        """
one = interpreters.create()
run(one, '''
import os, readyq
reader, writer = os.pipe()
with readyq.Selector() as s:
    key = s.register(reader, 1)
    os.write(writer, b"x")
    assert s.select(10) == [(key, 1)]
''')
interpreters.destroy(one)
"""
    )


def test_a_prompt_is_the_main_one_s_alone(check):
    check(
        """
one = interpreters.create()
run(one, '''
import readyq
try:
    readyq.install_inputhook(readyq.Queue())
except RuntimeError as error:
    assert "main interpreter" in str(error)
else:
    raise AssertionError
''')
interpreters.destroy(one)
"""
    )


def test_a_signal_reaches_the_queues_of_all(check):
    check(
        """
q = readyq.Queue()
mine = q.add_signal(10)
ones = [interpreters.create() for _ in range(2)]
for one in ones:
    run(one, "import readyq; q = readyq.Queue(); w = q.add_signal(10)")
os.kill(os.getpid(), 10)
assert list(q.wait(10)) == [mine]
for one in ones:
    run(one, "assert list(q.wait(10)) == [w]")
for one in ones:
    interpreters.destroy(one)
os.kill(os.getpid(), 10)
assert list(q.wait(10)) == [mine]
"""
    )


def test_many_live_and_end_in_parallel_threads(check_own_gil):
    check_own_gil(
        """
def work():
    for _ in range(5):
        one = interpreters.create()
        run(one, USE)
        run(one, "left = readyq.Queue(); left.add_timer(9, data=left); left.add_signal(12)")
        interpreters.destroy(one)
in_threads(4, work)
assert signal.getsignal(12) == signal.SIG_DFL
"""
    )


def test_a_wait_in_each_at_once_is_ended_by_the_others(check_own_gil):
    check_own_gil(
        """
pipes = [os.pipe() for _ in range(4)]
places = iter(range(4))
def work():
    place = next(places)
    reader, writer = pipes[place][0], pipes[(place + 1) % 4][1]
    one = interpreters.create()
    run(one, f'''
import os, readyq
with readyq.Queue() as q:
    w = q.add({reader}, "r")
    if {place} == 0:
        os.write({writer}, b"x")
    for turn in range(200):
        assert list(q.wait(30)) == [w]
        os.read({reader}, 1)
        if turn < 199 or {place} != 0:
            os.write({writer}, b"x")
''')
    interpreters.destroy(one)
in_threads(4, work)
"""
    )


def test_threads_of_one_share_a_queue_beside_those_of_another(check_own_gil):
    check_own_gil(
        """
def work():
    one = interpreters.create()
    run(one, '''
import readyq, threading
q, counts = readyq.Queue(), []
def wait():
    while True:
        for w in q.wait(30):
            if w.data is None:
                return
            counts.append(1)
threads = [threading.Thread(target=wait) for _ in range(3)]
for thread in threads: thread.start()
for number in range(300): q.add_timer(0, data=1)
while len(counts) < 300: pass
for thread in threads:
    q.add_timer(0)
    thread.join(0.05)
for thread in threads:
    while thread.is_alive():
        q.add_timer(0)
        thread.join(0.05)
q.close()
''')
    interpreters.destroy(one)
in_threads(2, work)
"""
    )


@pytest.mark.parametrize("order", ["[0, 1, 2]", "[2, 1, 0]", "[1]", "[]"])
def test_they_end_in_any_order_with_queues_left_open(check, order):
    check(
        f"""
mine = readyq.Queue()
mine.add_signal(10, data=mine)
ones = [interpreters.create() for _ in range(3)]
for one in ones:
    run(one, '''
import readyq
class Rude:
    def __del__(self):
        try:
            self.q.add_trigger(data=self).fire()
            self.q.wait(0)
        except ValueError:
            pass
q = readyq.Queue()
rude = Rude()
rude.q = q
q.add_trigger(data=rude)
q.add_signal(10, data=rude)
q.add_timer(1, data=rude, period=1)
q.trace(lambda line, q=q: None)
w = q.add(0, "r", data=rude)
''')
    run(one, "del q, rude, Rude")
for place in {order}:
    interpreters.destroy(ones[place])
"""
    )
