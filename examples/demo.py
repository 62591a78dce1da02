# SPDX-License-Identifier: MIT
"""Shows how an event queue works: an echo conversation over TCP, served by one thread that sleeps
until there is something to do. The same program as demo.c and demo.lua. `demo.py FILE` saves a
recording of it, which python -m readyq.timeline draws.
"""

import os
import socket
import sys
import time

import readyq

asleep = 0.0


def step(number, what, more):
    print(f"  {number}. {what:<17} {more}", flush=True)


def speak(address):
    """The other process: connect, send two messages, each after a pause, and read the echoes."""
    time.sleep(0.3)
    same = 0
    with socket.create_connection(address) as sock:
        for word in (b"hello", b"how are you?"):
            time.sleep(0.2)
            sock.sendall(word)
            same += sock.recv(100) == word
        time.sleep(0.1)
    return same != 2


def sleep_until_ready():
    global asleep
    step(4, "thread asleep", "in the kernel, until something is ready")
    before = time.monotonic()
    batch = queue.wait(timeout=10, maxevents=1)
    slept = time.monotonic() - before
    if not batch:
        sys.exit("the peer said nothing for ten seconds")
    asleep += slept
    return batch, slept


def accept_peer():
    sock, _ = listener.source.accept()
    queue.add(sock, readyq.READ, data="peer")
    more = f'descriptor {sock.fileno()}; READ registered, as the watch "peer"\n'
    step(6, "peer accepted", more)


def echo(sock):
    """False at the end of the conversation."""
    text = sock.recv(100)
    if not text:
        step(6, "read", "the end: the peer has closed\n")
        return False
    sock.sendall(text)
    step(6, "read", f'"{text.decode()}", and written back\n')
    return True


def sum_up(begin, pid):
    stats = queue.stats()
    whole = (time.monotonic() - begin) * 1000
    calls = stats.kernel_waits + stats.changes
    received = "received every word" if os.waitpid(pid, 0)[1] == 0 else "received something else"
    print(
        f"  The thread slept {asleep * 1000:.1f} of {whole:.1f} ms."
        f" The queue made {calls} system calls: {stats.kernel_waits}\n"
        f"  asked the kernel what is ready, {stats.changes} changed what it watches."
        f" The peer {received}.\n"
    )


print("An echo conversation over TCP, in Python: one thread sleeps until something that it watches")
print("is ready, which wakes it.\n")
queue = readyq.Queue()
recording = queue.record()
begin = time.monotonic()
step(1, "queue created", queue.backend)
server = socket.create_server(("127.0.0.1", 0))
address = server.getsockname()
step(2, "socket made", f"descriptor {server.fileno()}, listening on {address[0]}:{address[1]}")
listener = queue.add(server, readyq.READ, data="listener")
step(3, "READ registered", 'as the watch "listener"')
pid = os.fork()
if pid == 0:
    os._exit(speak(address))
going_on = True
while going_on:
    batch, slept = sleep_until_ready()
    for w in batch:
        ready = readyq.bits(w.ready)
        step(5, "woken", f'after {slept * 1000:.1f} ms, with the watch "{w.data}": {ready}')
        if w is listener:
            accept_peer()
        else:
            going_on = echo(w.source)
sum_up(begin, pid)
if len(sys.argv) > 1:
    recording.save(sys.argv[1])
queue.close()
