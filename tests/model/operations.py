# SPDX-License-Identifier: MIT
"""The operations on a world: how often they are chosen, and with which arguments."""

from model.files import EDGE, EXCLUSIVE, ONESHOT, PRIORITY, READ, WRITE

ANY = tuple(range(12))  # an index of an existing object
INTERESTS = (
    READ,
    WRITE,
    READ | WRITE,
    READ | EDGE,
    WRITE | EDGE,
    READ | WRITE | EDGE,
    READ | ONESHOT,
    WRITE | ONESHOT,
    READ | WRITE | ONESHOT,
    READ | WRITE | EDGE | ONESHOT,
    READ | EXCLUSIVE,
    READ | WRITE | EDGE | EXCLUSIVE,
    READ | PRIORITY,
    0,
)
QUARTERS = (0, 0, 1, 4, 7, None)  # of a second on the virtual clock; None: forever
LIMITS = (None, None, 1, 2, 3)
CHANGES = ("remove", "modify", "add", "close_number", "fire", "nothing")

OPERATIONS = {
    "open": (4, {"kind": ("pipe", "unix", "eventfd", "file", "tcp")}),
    "dup": (2, {"index": ANY}),
    "dup2": (1, {"index": ANY, "onto": ANY}),
    "close_number": (3, {"index": ANY}),
    "reset": (1, {"index": ANY}),
    "write": (8, {"index": ANY, "n": (1, 5)}),
    "fill": (1, {"index": ANY}),
    "read": (8, {"index": ANY, "n": (1, 3, 100)}),
    "shut_down": (1, {"index": ANY}),
    "collect": (1, {"index": ANY}),
    "add": (10, {"index": ANY, "interest": INTERESTS}),
    "add_closed": (0.2, {"number": (900, 901)}),
    "modify": (6, {"index": ANY, "interest": INTERESTS}),
    "remove": (3, {"index": ANY}),
    "remove_number": (1, {"index": ANY}),
    "add_timer": (3, {"quarters": (0, 1, 2, 5), "period": (0, 0, 1, 3)}),
    "restart": (2, {"index": ANY, "quarters": (0, 1, 3)}),
    "add_trigger": (1, {}),
    "fire": (3, {"index": ANY, "n": (1, 2)}),
    "add_signal": (1, {"index": ANY}),
    "send": (1, {"index": ANY}),
    "wake": (1, {}),
    "nest": (0.1, {}),
    "wait": (20, {"quarters": QUARTERS, "limit": LIMITS}),
    "take": (6, {"quarters": QUARTERS, "limit": LIMITS, "n": (0, 1, 1, 2)}),
    "resume": (2, {"n": (1, 2, 9)}),
    "drop": (2, {}),
    "dispatch": (
        4,
        {
            "quarters": QUARTERS,
            "after": (0, 1, 2),
            "stops": (False, True),
            "change": CHANGES,
            "index": ANY,
            "interest": INTERESTS,
        },
    ),
    "spawn": (0.1, {}),
    "add_process": (0.2, {"index": ANY}),
    "end_child": (0.1, {"index": ANY}),
    "fork": (0.05, {}),
    "close_queue": (0.1, {}),
}
