# SPDX-License-Identifier: MIT
"""A watched object is not changed and stays alive; and any descriptor can be watched."""

import fcntl
import gc
import os
import socket
import weakref

import pytest

from readyq import EDGE, ONESHOT, PRIORITY, READ, WRITE


@pytest.mark.parametrize("blocking", [True, False])
def test_flags_of_a_descriptor_stay_as_they_are(queue, make, blocking):
    here, there = make.unix()
    here.setblocking(blocking)
    flags = [fcntl.fcntl(here, fcntl.F_GETFL), fcntl.fcntl(here, fcntl.F_GETFD)]
    watch = queue.add(here, "rw")
    there.send(b"x")
    list(queue.wait(0))
    watch.modify(READ | EDGE)
    list(queue.wait(0))
    watch.remove()
    assert [fcntl.fcntl(here, fcntl.F_GETFL), fcntl.fcntl(here, fcntl.F_GETFD)] == flags
    assert here.recv(10) == b"x"


def test_close_of_the_queue_leaves_the_sources_open(queue, make):
    here, there = make.unix()
    queue.add(here, "r")
    queue.close()
    there.send(b"x")
    assert here.recv(1) == b"x"


def test_source_and_data_live_as_long_as_they_are_watched(queue):
    class Data:
        pass

    here, there = socket.socketpair()
    data = Data()
    watch = queue.add(here, "r", data=data)
    alive = [weakref.ref(here), weakref.ref(data), weakref.ref(watch)]
    del here, data, watch
    gc.collect()
    assert all(ref() is not None for ref in alive)
    there.send(b"x")
    (watch,) = queue.wait(0)
    assert watch.source is alive[0]()
    watch.remove()
    watch.source.close()
    del watch
    assert [ref() for ref in alive] == [None, None, None]
    there.close()


def test_descriptors_of_the_queue_are_not_inherited(queue, make):
    queue.fileno()
    own = [int(fd) for fd in os.listdir("/proc/self/fd") if is_event_descriptor(fd)]
    assert own
    assert not any(os.get_inheritable(fd) for fd in own)


def is_event_descriptor(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("anon_inode:")
    except OSError:
        return False


# ------------------------------------------------------------------ what the kernel refuses


@pytest.fixture(params=["file", "directory", "/dev/null", "/dev/zero", "memory"])
def never_blocks(request, make):
    if request.param == "file":
        yield make.file().fileno()
        return
    paths = {"directory": make.folder}
    if request.param == "memory":
        fd = os.memfd_create("memory")
    else:
        fd = os.open(paths.get(request.param, request.param), os.O_RDONLY)
    yield fd
    os.close(fd)


def test_what_never_blocks_is_always_ready(queue, never_blocks):
    watch = queue.add(never_blocks, "rw")
    for _ in range(3):
        assert list(queue.wait()) == [watch]
        assert watch.ready == READ | WRITE
    watch.modify(READ)
    assert next(queue.wait()).ready == READ
    watch.modify(0)
    assert list(queue.wait(0)) == []
    watch.modify(WRITE)
    assert next(queue.wait()).ready == WRITE
    watch.remove()
    assert list(queue.wait(0)) == []


def test_what_never_blocks_supports_edge_and_oneshot(queue, never_blocks):
    watch = queue.add(never_blocks, READ | EDGE)
    assert list(queue.wait(0)) == [watch]
    assert list(queue.wait(0)) == []
    watch.modify(READ | ONESHOT)
    assert list(queue.wait(0)) == [watch]
    assert list(queue.wait(0)) == []
    watch.modify(PRIORITY)
    assert list(queue.wait(0)) == []


def test_what_never_blocks_does_not_hide_the_others(queue, make, never_blocks):
    here, there = make.unix()
    watches = {queue.add(never_blocks, "r"), queue.add(here, "r")}
    there.send(b"x")
    assert set(queue.wait()) == watches


def test_what_never_blocks_is_watched_once(queue, never_blocks):
    queue.add(never_blocks, "r")
    with pytest.raises(FileExistsError):
        queue.add(never_blocks, "w")


def test_program_that_reads_a_file_as_standard_input_works(python, make):
    child = python(
        f"""
import os, readyq
with readyq.Queue() as q, open({str(make.file().name)!r}) as file:
    os.dup2(file.fileno(), 0)
    q.add(0, "r")
    while list(q.wait()):
        data = os.read(0, 100)
        if not data:
            break
        print(data)
"""
    )
    assert child.communicate(timeout=10) == ("b'text'\n", "")
