# SPDX-License-Identifier: MIT
"""A number closed before its watch was removed while a duplicate keeps the file open.

Only epoll has a ghost to report then. The other kernels drop the registration, and the remaining
checks hold for them as well.
"""

import contextlib
import os
import warnings

import pytest

from readyq import EDGE, ONESHOT, READ

SOON = 10


@pytest.fixture
def warned(queue):
    """Expects the warning where there is a ghost; elsewhere a warning is an error."""

    def warned(match="closed before"):
        if queue.backend == "epoll":
            return pytest.warns(ResourceWarning, match=match)
        return contextlib.nullcontext()

    return warned


@pytest.fixture
def ghost(queue, make):
    """Leaves a registration in the kernel whose watch is gone. Returns a function that makes it
    fire, and the number it had.
    """
    here, there = make.unix()
    number = here.fileno()
    watch = queue.add(here, "r")
    duplicate = os.dup(number)
    here.close()
    watch.remove()
    yield lambda: there.send(b"x"), number
    os.close(duplicate)


def test_user_is_warned_once_with_the_descriptor(queue, ghost, warned):
    haunt, number = ghost
    haunt()
    with warned(f"fd {number} was closed before") as caught:
        assert list(queue.wait(0.02)) == []
    assert caught is None or [warning.filename for warning in caught] == [__file__]
    haunt()
    assert list(queue.wait(0.02)) == []
    stats = queue.stats()
    expected = (1, 1, number) if queue.backend == "epoll" else (0, 0, None)
    assert (stats.ghosts, stats.rebuilds, stats.ghost_fd) == expected


def test_ghost_does_not_spin(queue, ghost, warned):
    ghost[0]()
    with warned():
        queue.wait(0.02)
    before = queue.stats()
    assert list(queue.wait(0.1)) == []
    assert queue.stats().kernel_waits - before.kernel_waits <= 3


def test_ghost_by_a_reused_number_is_not_the_new_watch(queue, make, ghost, warned):
    haunt, number = ghost
    pairs = [make.unix() for _ in range(3)]
    ends = [end for pair in pairs for end in pair]
    assert number in [end.fileno() for end in ends]
    watches = [queue.add(end, "r") for end in ends]
    haunt()
    with warned():
        assert list(queue.wait(0.02)) == []
    assert all(watch.active for watch in watches)
    ends[0].send(b"x")
    assert list(queue.wait(SOON)) == [watches[1]]


def test_other_watches_lose_nothing_to_the_rebuild(queue, make, ghost, warned):
    pairs = [make.unix() for _ in range(4)]
    modes = [READ, READ | EDGE, READ | ONESHOT, 0]
    watches = [queue.add(here, mode) for (here, _), mode in zip(pairs, modes)]
    spent, peer = make.unix()
    oneshot = queue.add(spent, READ | ONESHOT)
    peer.send(b"x")
    assert list(queue.wait(SOON)) == [oneshot]
    ghost[0]()
    for _, there in pairs:
        there.send(b"x")
    with warned():
        found = list(queue.wait(SOON)) + list(queue.wait(0))
    assert set(found) == set(watches[:3])
    assert found.count(watches[1]) == found.count(watches[2]) == 1
    assert list(queue.wait(0)) == watches[:1]
    pairs[1][1].send(b"x")
    assert watches[1] in list(queue.wait(0))
    oneshot.modify(READ | ONESHOT)
    assert oneshot in list(queue.wait(0))


def test_warning_made_an_error_loses_no_event(queue, make, ghost):
    if queue.backend != "epoll":
        pytest.skip(f"{queue.backend} has no ghosts to warn of")
    here, there = make.unix()
    watch = queue.add(here, READ | EDGE)
    ghost[0]()
    there.send(b"x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            ResourceWarning, match="remove the watch before you close its descriptor"
        ):
            for _ in range(2):
                queue.wait(0)
    assert list(queue.wait(0)) == [watch]


def test_ghost_in_a_child_process_is_recognised(queue, make, warned):
    here, there = make.unix()
    child = make.child(pass_fds=[here.fileno()])
    watch = queue.add(here, "r")
    number = here.fileno()
    here.close()
    watch.remove()
    there.send(b"x")
    with warned(f"fd {number} "):
        assert list(queue.wait(0.02)) == []
    assert child.poll() is None
