# SPDX-License-Identifier: MIT
"""Triggers: fired from any thread, counted, merged, none lost."""

from readyq import FIRED

SOON = 10


def test_fired_trigger_is_ready_once(queue):
    trigger = queue.add_trigger(data="mailbox")
    assert list(queue.wait(0)) == []
    trigger.fire()
    assert list(queue.wait(0)) == [trigger]
    assert (trigger.ready, trigger.count, trigger.data) == (FIRED, 1, "mailbox")
    assert list(queue.wait(0)) == []
    assert trigger.active


def test_fires_before_the_delivery_merge_into_one_with_their_count(queue):
    trigger = queue.add_trigger()
    for _ in range(5):
        trigger.fire()
    assert list(queue.wait(0)) == [trigger]
    assert trigger.count == 5
    trigger.fire()
    assert list(queue.wait(0)) == [trigger]
    assert trigger.count == 1


def test_fire_ends_a_sleep_in_another_thread(queue, start, nap):
    trigger = queue.add_trigger()
    waiting = start(queue.wait, SOON)
    nap()
    trigger.fire()
    assert list(waiting.result(SOON)) == [trigger]


def test_fire_inside_dispatch_comes_with_the_next(queue):
    counts = []

    def again(watch):
        counts.append(watch.count)
        if len(counts) < 3:
            watch.fire()

    queue.add_trigger(data=again).fire()
    for _ in range(3):
        assert queue.dispatch(SOON) == 1
    assert queue.dispatch(0) == 0
    assert counts == [1, 1, 1]


def test_removed_trigger_is_silent_though_it_was_fired(queue):
    trigger = queue.add_trigger()
    trigger.fire()
    trigger.remove()
    assert list(queue.wait(0)) == []
    assert trigger.ready == 0


def test_fires_of_several_threads_are_all_counted(queue, start):
    triggers = [queue.add_trigger() for _ in range(3)]
    each = 3000

    def fire_often():
        for _ in range(each):
            for trigger in triggers:
                trigger.fire()

    workers = [start(fire_often) for _ in range(3)]
    counts = dict.fromkeys(triggers, 0)
    while sum(counts.values()) < 3 * 3 * each:
        found = list(queue.wait(SOON))
        assert found
        for watch in found:
            counts[watch] += watch.count
    for worker in workers:
        worker.result(SOON)
    assert set(counts.values()) == {3 * each}
    assert list(queue.wait(0)) == []


def test_triggers_are_delivered_in_the_order_of_their_first_fire(queue):
    triggers = [queue.add_trigger() for _ in range(5)]
    for number in (3, 1, 4, 1, 0):
        triggers[number].fire()
    assert [triggers.index(watch) for watch in queue.wait(0)] == [3, 1, 4, 0]
