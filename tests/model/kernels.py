# SPDX-License-Identifier: MIT
"""Where kernels differ from the model, each with its reason. What is not named here is the same."""

import sys
from typing import NamedTuple


class Kernel(NamedTuple):
    has_ghosts: bool = True
    """A registration whose number was closed goes on firing while a duplicate lives. Without, the
    kernel forgets it with the number, or the queue takes it back by name."""

    pins_files: bool = False
    """A pending request holds the file open when its last number is closed, so that a watched file
    is not closed without being removed, but where a duplicate keeps it open anyway."""

    by_inode: bool = False
    """That a number is another file's by now is seen by device and inode, which both ends of a pipe
    share, and all eventfds."""

    wakes_one: bool = False
    """Of EXCLUSIVE watches of one file, in one queue by two numbers or in two, one is woken, also
    where the other one is the one that is waited for."""

    trusts_many: bool = False
    """Where many ONESHOT watches are armed again at once their numbers are not all compared: one
    that is another file's by then is armed for that one."""

    vague_ends: bool = False
    """What an end or an error is told as is a guess: EV_EOF comes late or for both directions, and
    the error is collected for the first filter alone, and so not the user's any more. Bits are not
    judged where there is one."""

    drops_when_full: bool = False
    """Events for which there is no room are gone: what is not told of an edge, or of one shot, by a
    wait with a maximum may never be told."""

    fair: bool = True
    """What is ready and stands back for a maximum is told soon."""

    keeps_closed: bool = False
    """A filter stays when its number is closed, and fires for the file: no watched number is
    closed."""

    forks: bool = True
    """A child has what its parent had. libkqueue's own handler closes numbers there which may be
    others' by then, and what is ready is told late."""

    pollable: bool = True
    """The queue's own descriptor can be polled."""


KERNELS = {
    "epoll": Kernel(),
    "io_uring": Kernel(
        has_ghosts=False, pins_files=True, by_inode=True, wakes_one=True, trusts_many=True
    ),
    "kqueue": Kernel(has_ghosts=False),
}
if sys.platform == "linux":  # by libkqueue
    KERNELS["kqueue"] = Kernel(
        has_ghosts=False,
        by_inode=True,
        vague_ends=True,
        drops_when_full=True,
        keeps_closed=True,
        fair=False,
        forks=False,
        pollable=False,
    )
