# SPDX-License-Identifier: Apache-2.0
"""The inboxes of several streams: taken together, late, by turns, and waited for no longer than asked."""

from __future__ import annotations

import threading

import pytest
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.runtime.topics.mailbox import Mailbox, Worker
from isaac_inference.ros.runtime.topics.stream_box import StreamBox


class Bench:
    """A worker, a box of streams and what was taken out of it; the handler may be held."""

    def __init__(self, most=8, wait_s=0.0, enough=8):
        self.most, self.wait_s, self.taken, self.displaced = most, wait_s, [], []
        self.may_run, self.began = threading.Event(), threading.Semaphore(0)
        self.may_run.set()
        self.worker = Worker('bench')
        self.box = StreamBox(self.worker, self._handle, lambda: self.wait_s, lambda: enough)

    def _handle(self, collect):
        self.began.release()
        assert self.may_run.wait(LIMIT_S)
        self.taken.append([(one.stream, one.item) for one in collect(self.most)])

    def slot(self, stream, **options):
        return self.box.slot(stream, lambda: self.displaced.append(stream), **options)


@pytest.fixture
def bench():
    made = []

    def make(**options):
        made.append(Bench(**options))
        made[-1].worker.start()
        return made[-1]

    yield make
    for one in made:
        one.may_run.set()
        one.worker.stop()


def test_frames_are_taken_when_there_is_time_for_them(bench):
    """What arrives between the worker's call and the taking is taken too, and is newer."""
    one = bench()
    front, left = one.slot('front'), one.slot('left')
    one.may_run.clear()
    front.put(1)
    assert one.began.acquire(timeout=LIMIT_S)
    front.put(2)
    left.put(3)
    one.may_run.set()
    wait_until(lambda: one.taken)
    assert one.taken == [[('front', 2), ('left', 3)]]
    assert one.displaced == ['front']


def test_by_turns_where_not_all_are_taken_at_once(bench):
    one = bench(most=1)
    slots = {stream: one.slot(stream) for stream in 'abc'}
    one.may_run.clear()
    slots['b'].put(0)
    assert one.began.acquire(timeout=LIMIT_S)
    for number in range(1, 4):
        for stream in 'abc':
            slots[stream].put(number)
    one.may_run.set()
    wait_until(lambda: len(one.taken) == 3)
    assert one.taken == [[('b', 3)], [('a', 3)], [('c', 3)]]


def test_it_waits_for_enough_but_not_for_ever(bench):
    one = bench(wait_s=3600.0, enough=2)
    front, left = one.slot('front'), one.slot('left')
    front.put(1)
    assert not one.began.acquire(timeout=0.05)
    left.put(2)
    wait_until(lambda: one.taken == [[('front', 1), ('left', 2)]])
    one.wait_s = 0.02
    left.put(3)
    wait_until(lambda: one.taken[1:] == [[('left', 3)]])


def test_what_waits_is_forgotten_with_its_stream(bench):
    one = bench(wait_s=3600.0)
    front, left = one.slot('front'), one.slot('left')
    front.put(1)
    left.put(2)
    front.close()
    one.wait_s = 0.0
    left.put(3)
    wait_until(lambda: one.taken == [[('left', 3)]])
    left.close()
    left.put(4)  # a publisher that has not noticed yet
    other = []
    Mailbox(one.worker, lambda item, arrived: other.append(item)).put(5)
    wait_until(lambda: other == [5])
    assert one.taken == [[('left', 3)]]


def test_other_inputs_of_the_worker_have_their_turn(bench):
    one = bench(most=1)
    front, other = one.slot('front'), []
    mailbox = Mailbox(one.worker, lambda item, arrived: other.append((item, len(one.taken))))
    one.may_run.clear()
    front.put(1)
    assert one.began.acquire(timeout=LIMIT_S)
    mailbox.put('info')
    front.put(2)
    one.may_run.set()
    wait_until(lambda: other)
    assert other == [('info', 1)]


def test_in_the_sender_s_thread_where_that_is_wanted(bench):
    one = bench()
    front = one.slot('front', inline=lambda item: item == 'here')
    front.put('here')
    assert one.taken == [[('front', 'here')]]
