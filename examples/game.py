# SPDX-License-Identifier: MIT
"""A game for several players: `game.py [port]`, then `telnet 127.0.0.1 PORT` or `nc`.

All guess the same number; whoever finds it first wins the round. Each round has a time limit. Each
player is a generator, which yields where it waits for a line. Ctrl-C ends it.
"""

import contextlib
import os
import random
import socket
import sys

import readyq

ROUND = float(os.environ.get("GAME_ROUND", "60"))  # seconds
LARGEST = 100
PAUSE = 0.1  # seconds after which accept is tried again if no descriptor was free

q = readyq.Queue()
players = {}  # names by watch
conversations = {}  # generators by watch
number = random.randint(1, LARGEST)


def say(w, line):
    with contextlib.suppress(OSError):  # one that has gone, or reads nothing, misses the line
        w.source.send(line.encode() + b"\r\n")


def say_to_all(line):
    for w in players:
        say(w, line)


def begin_round():
    global number
    number = random.randint(1, LARGEST)
    limit.restart(ROUND)
    say_to_all(f"Guess a number from 1 to {LARGEST}.")


def time_is_up(w):
    say_to_all(f"Time is up: it was {number}.")
    begin_round()


def play(w):
    """The conversation with one player."""
    say(w, "Your name?")
    name = yield
    players[w] = name
    say_to_all(f"{name} plays.")
    say(w, f"Guess a number from 1 to {LARGEST}.")
    while True:
        line = yield
        if not line.isdecimal():
            say(w, "Type a number.")
        elif int(line) != number:
            say(w, "It is larger." if int(line) < number else "It is smaller.")
        else:
            say_to_all(f"{name} wins: it was {number}.")
            begin_round()


def serve(w):
    try:
        text = w.source.recv(1000)
    except BlockingIOError:
        return
    except OSError:
        text = b""
    for line in text.decode(errors="replace").splitlines():  # terminals send whole lines
        conversations[w].send(line.strip())
    if not text:
        w.remove()
        w.source.close()
        del conversations[w]
        if name := players.pop(w, None):
            say_to_all(f"{name} left.")


def accept(w):
    try:
        sock, _ = w.source.accept()
    except BlockingIOError:
        return
    except OSError:  # no descriptor is free: try again soon
        w.modify(0)
        q.add_timer(PAUSE, data=lambda timer: w.modify(readyq.READ))
        return
    sock.setblocking(False)
    player = q.add(sock, data=serve)
    conversations[player] = play(player)
    next(conversations[player])


with q:
    server = socket.create_server(("127.0.0.1", int((sys.argv[1:] or ["0"])[0])))
    server.setblocking(False)
    q.add(server, data=accept)
    limit = q.add_timer(ROUND, data=time_is_up)
    interrupt = q.add_signal("INT", data=lambda w: w.remove())
    print("listening on", server.getsockname()[1], flush=True)
    while interrupt.active:
        q.dispatch()
