# SPDX-License-Identifier: MIT
"""Which ready bits are reported, for which kind of descriptor and after which event: the table of
the contract.
"""

import os
import pathlib
import re
import socket
import struct

import pytest

import readyq
from readyq import ERROR, PRIORITY, READ, READ_CLOSED, WRITE, WRITE_CLOSED

RW = READ | WRITE
SOON = 10


@pytest.fixture
def ready():
    """The bits that a new queue finds; 0: nothing is ready. That the direction which was not
    requested is closed may be reported or not.
    """

    def ready(thing, interest, timeout=0):
        with readyq.Queue() as queue:
            watch = queue.add(thing, interest)
            interest = watch.interest
            found = list(queue.wait(timeout))
            assert found in ([], [watch])
            unasked = 0 if interest & READ else READ_CLOSED
            return watch.ready & ~(unasked if interest & WRITE else unasked | WRITE_CLOSED)

    return ready


def reset(sock):
    """Closes the socket so that its peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_stream_socket_reports_what_would_not_block(make, ready, fill, kind):
    here, there = getattr(make, kind)()
    assert ready(here, READ) == 0
    assert ready(here, RW) == WRITE
    there.send(b"x")
    assert ready(here, READ, SOON) == READ
    assert ready(here, RW) == RW
    assert ready(here, WRITE) == WRITE
    here.recv(1)
    fill(here)
    assert ready(here, RW) == 0


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_peer_that_stopped_writing_closes_reading_alone(make, ready, kind):
    here, there = getattr(make, kind)()
    there.send(b"x")
    there.shutdown(socket.SHUT_WR)
    assert ready(here, RW, SOON) & ~READ_CLOSED == RW
    here.recv(1)
    assert ready(here, READ, SOON) == READ | READ_CLOSED
    assert ready(here, RW) == RW | READ_CLOSED


def test_unread_bytes_come_with_the_end(make, ready):
    here, there = make.unix()
    there.send(b"x")
    there.close()
    assert ready(here, READ) == READ | READ_CLOSED
    assert here.recv(10) == b"x"
    assert ready(here, READ) == READ | READ_CLOSED
    assert here.recv(10) == b""


def test_unix_peer_that_closed_closes_both_ways(make, ready):
    here, there = make.unix()
    there.close()
    assert ready(here, RW) == RW | READ_CLOSED | WRITE_CLOSED


def test_half_close_does_not_wake_a_writer_without_room(make, ready, fill):
    here, there = make.unix()
    fill(here)
    there.shutdown(socket.SHUT_WR)
    assert ready(here, WRITE) == 0
    assert ready(here, RW) == READ | READ_CLOSED


def test_reset_is_an_error_in_every_direction_and_stays_to_be_collected(make, ready):
    here, there = make.tcp()
    reset(there)
    assert ready(here, READ, SOON) & (READ | ERROR) == READ | ERROR
    assert ready(here, WRITE) & (WRITE | ERROR) == WRITE | ERROR
    assert ready(here, RW) & (RW | ERROR) == RW | ERROR
    assert here.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_connection_that_succeeds_is_writable_and_its_listener_readable(make, ready):
    listener = make.keep(socket.create_server(("127.0.0.1", 0)))
    assert ready(listener, READ) == 0
    client = make.keep(socket.socket())
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    assert ready(client, RW, SOON) == WRITE
    assert ready(listener, READ, SOON) == READ
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_connection_that_is_refused_is_writable_with_an_error(make, ready):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    client = make.keep(socket.socket())
    client.setblocking(False)
    client.connect_ex(address)
    assert ready(client, WRITE, SOON) & (WRITE | ERROR) == WRITE | ERROR
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_socket_that_never_connected_is_not_closed(make, ready):
    fresh = make.keep(socket.socket())
    assert ready(fresh, RW) & (READ_CLOSED | WRITE_CLOSED | ERROR) == 0


def test_urgent_byte_is_priority(make, ready):
    here, there = make.tcp()
    assert ready(here, PRIORITY) == 0
    there.send(b"!", socket.MSG_OOB)
    assert ready(here, PRIORITY, SOON) == PRIORITY
    assert ready(here, "p") == PRIORITY


@pytest.mark.parametrize("kind", ["pipe", "fifo"])
def test_pipe_whose_writer_is_gone_is_readable_without_data(make, ready, kind):
    reader, writer = getattr(make, kind)()
    assert ready(reader, READ) == 0
    assert ready(writer, WRITE) == WRITE
    writer.write(b"x")
    writer.close()
    assert ready(reader, READ) == READ | READ_CLOSED
    reader.read(1)
    assert ready(reader, READ) == READ | READ_CLOSED
    assert reader.read(1) == b""


@pytest.mark.parametrize("kind", ["pipe", "fifo"])
def test_writer_of_a_full_pipe_wakes_when_its_reader_goes(make, ready, fill, kind):
    reader, writer = getattr(make, kind)()
    fill(writer)
    assert ready(writer, WRITE) == 0
    reader.close()
    assert ready(writer, WRITE) & (WRITE | WRITE_CLOSED) == WRITE | WRITE_CLOSED


def test_terminal_is_readable_and_ends_with_its_other_side(make, ready):
    master, slave = make.terminal()
    assert ready(slave, RW) == WRITE
    master.write(b"line\n")
    assert ready(slave, READ, SOON) == READ
    slave.close()
    assert ready(master, READ, SOON) & READ


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="os.eventfd is missing: use CPython 3.10+")
def test_eventfd_is_readable_while_it_is_not_zero(make, ready):
    thing = make.file_of(os.eventfd(0), "r+b")
    assert ready(thing, RW) == WRITE
    os.eventfd_write(thing.fileno(), 1)
    assert ready(thing, RW) == RW


def test_read_and_write_readiness_come_as_one_event(queue, make):
    here, there = make.unix()
    there.send(b"x")
    watch = queue.add(here, "rw")
    assert list(queue.wait(0)) == [watch]
    assert (watch.ready, watch.readable, watch.writable, watch.count) == (RW, True, True, 1)


def test_bits_have_the_same_values_as_in_c():
    header = pathlib.Path(__file__).parents[2] / "core" / "readyq.h"
    found = re.findall(r"^#define READYQ_(\w+) (0x\w+)u ", header.read_text(), re.MULTILINE)
    assert len(found) == 10
    assert {name: getattr(readyq, name) for name, _ in found} == {
        name: int(value, 16) for name, value in found
    }


def test_bits_are_named_in_order():
    assert readyq.bits(READ_CLOSED | READ) == "READ|READ_CLOSED"
    assert readyq.bits(0) == "0"
    assert readyq.bits("rwp") == "READ|WRITE|PRIORITY"
    assert readyq.bits(0xFFFFFFFF).endswith("|FIRED|EDGE|ONESHOT|EXCLUSIVE|0xfffff808")
