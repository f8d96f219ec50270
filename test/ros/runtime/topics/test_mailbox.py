# SPDX-License-Identifier: Apache-2.0
"""Mailboxes and their worker: the newest wins, order of arrival, clean stops."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

import pytest
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.runtime.topics.mailbox import Mailbox, Worker


class Item:
    """Something that a weak reference can watch."""


class Stage:
    """A worker whose handler notes what it gets and can be held up."""

    def __init__(self):
        self.worker = Worker('stage')
        self.got, self.displaced = [], 0
        self.busy, self.go_on = threading.Event(), threading.Event()

    def mailbox(self, name='', depth=1):
        return Mailbox(self.worker, lambda item, arrived_ns: self.got.append((name, item)), depth, self._count)

    def slow_mailbox(self, depth=1):
        return Mailbox(self.worker, self._wait, depth, self._count)

    def _count(self):
        self.displaced += 1

    def _wait(self, item, arrived_ns):
        self.busy.set()
        assert self.go_on.wait(LIMIT_S)
        self.got.append(('', item))

    @property
    def items(self):
        return [item for _, item in self.got]


@pytest.fixture
def stage():
    made = Stage()
    yield made
    made.go_on.set()
    made.worker.stop()


@pytest.mark.parametrize(('depth', 'kept'), [(1, [5]), (2, [4, 5]), (5, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4, 5])])
def test_a_full_mailbox_keeps_the_newest_and_counts_the_rest(stage, depth, kept):
    mailbox = stage.mailbox(depth=depth)
    for item in range(1, 6):
        mailbox.put(item)
    stage.worker.start()
    wait_until(lambda: len(stage.got) == len(kept))
    assert stage.items == kept
    assert stage.displaced == 5 - len(kept)


def test_a_busy_worker_gets_the_newest_next(stage):
    mailbox = stage.slow_mailbox()
    stage.worker.start()
    mailbox.put('first')
    assert stage.busy.wait(LIMIT_S)
    for item in ('second', 'third', 'last'):
        mailbox.put(item)
    stage.go_on.set()
    wait_until(lambda: len(stage.got) == 2)
    assert stage.items == ['first', 'last']
    assert stage.displaced == 2


def test_two_mailboxes_are_served_in_order_of_arrival(stage):
    left, right = stage.mailbox('left', 3), stage.mailbox('right', 3)
    for mailbox, item in ((right, 1), (left, 2), (left, 3), (right, 4), (left, 5)):
        mailbox.put(item)
        before = time.time_ns()
        wait_until(lambda before=before: time.time_ns() > before)  # stamps that differ
    stage.worker.start()
    wait_until(lambda: len(stage.got) == 5)
    assert stage.got == [('right', 1), ('left', 2), ('left', 3), ('right', 4), ('left', 5)]


def test_a_full_mailbox_does_not_displace_its_neighbour_s(stage):
    left, right = stage.mailbox('left'), stage.mailbox('right')
    left.put(1)
    right.put(2)
    right.put(3)
    stage.worker.start()
    wait_until(lambda: len(stage.got) == 2)
    assert sorted(stage.got) == [('left', 1), ('right', 3)]


def test_the_handler_gets_the_item_itself_and_when_it_arrived(stage):
    got = []
    mailbox = Mailbox(stage.worker, lambda item, arrived_ns: got.append((item, arrived_ns)))
    item, before = object(), time.time_ns()
    mailbox.put(item)
    after = time.time_ns()
    stage.worker.start()
    wait_until(lambda: got)
    assert got[0][0] is item
    assert before <= got[0][1] <= after


def test_put_does_not_wait_for_a_busy_worker(stage):
    mailbox = stage.slow_mailbox()
    stage.worker.start()
    mailbox.put(1)
    assert stage.busy.wait(LIMIT_S)
    begin = time.monotonic()
    mailbox.put(2)
    assert time.monotonic() - begin < LIMIT_S / 2
    assert stage.got == []


def test_stop_waits_for_the_message_in_hand_and_takes_no_other(stage):
    mailbox = stage.slow_mailbox(depth=2)
    stage.worker.start()
    mailbox.put('in hand')
    assert stage.busy.wait(LIMIT_S)
    mailbox.put('waiting')
    stopper = threading.Thread(target=stage.worker.stop)
    stopper.start()
    stopper.join(0.1)
    assert stopper.is_alive(), 'stop returned while a message was in hand'
    stage.go_on.set()
    stopper.join(LIMIT_S)
    assert not stopper.is_alive()
    assert stage.items == ['in hand']


def test_stop_may_be_called_twice_and_before_start(stage):
    stage.worker.stop()
    stage.worker.start()
    stage.worker.stop()
    stage.worker.stop()


def test_a_handler_may_stop_its_own_worker(stage):
    done = threading.Event()

    def handler(item, arrived_ns):
        stage.worker.stop()
        done.set()

    mailbox = Mailbox(stage.worker, handler)
    stage.worker.start()
    mailbox.put(1)
    assert done.wait(LIMIT_S)


def test_a_stopped_worker_can_be_started_again(stage):
    mailbox = stage.mailbox()
    stage.worker.start()
    stage.worker.stop()
    mailbox.put('later')
    assert stage.got == []
    stage.worker.start()
    wait_until(lambda: stage.items == ['later'])


def test_a_closed_mailbox_forgets_what_waits_and_is_served_no_more(stage):
    closed, other = stage.mailbox('closed'), stage.mailbox('other')
    closed.put(1)
    closed.close()
    closed.put(2)
    other.put(3)
    stage.worker.start()
    wait_until(lambda: stage.got)
    stage.worker.stop()
    assert stage.got == [('other', 3)]


def test_a_closed_mailbox_holds_no_item(stage):
    item = Item()
    watched = weakref.ref(item)
    mailbox = stage.mailbox()
    mailbox.put(item)
    del item
    assert watched() is not None
    mailbox.close()
    wait_until(lambda: watched() is None)


def test_a_mailbox_may_be_closed_twice(stage):
    mailbox = stage.mailbox()
    mailbox.close()
    mailbox.close()


def test_an_idle_worker_holds_no_item(stage):
    item = Item()
    watched = weakref.ref(item)
    handled = threading.Event()
    mailbox = Mailbox(stage.worker, lambda *_: handled.set())
    stage.worker.start()
    mailbox.put(item)
    assert handled.wait(LIMIT_S)
    del item
    wait_until(lambda: watched() is None)


@contextlib.contextmanager
def inline_box(handler, inline=lambda item: True):
    worker = Worker('inline')
    box = Mailbox(worker, lambda item, arrived_ns: handler(item), inline=inline)
    worker.start()
    try:
        yield box, worker
    finally:
        worker.stop()


def test_an_inline_item_is_handled_in_the_senders_thread():
    threads = []
    with inline_box(lambda item: threads.append(threading.current_thread())) as (box, _):
        box.put('a')
        assert threads == [threading.current_thread()]


def test_an_item_that_is_not_inline_goes_to_the_worker():
    threads = []
    with inline_box(lambda item: threads.append(threading.current_thread()), lambda item: item == 'here') as (box, _):
        box.put('there')
        wait_until(lambda: threads)
        assert threads[0] is not threading.current_thread()


def test_a_busy_worker_takes_an_inline_item_later_and_never_two_at_once():
    running, most, done = [], [], []
    free = threading.Event()

    def handler(item):
        running.append(item)
        most.append(len(running))
        if item == 'slow':
            free.wait(LIMIT_S)
        running.remove(item)
        done.append(item)

    with inline_box(handler, lambda item: item != 'slow') as (box, _):
        box.put('slow')
        wait_until(lambda: running == ['slow'])
        box.put('next')
        assert done == []
        free.set()
        wait_until(lambda: done == ['slow', 'next'])
    assert max(most) == 1


def test_an_inline_item_that_runs_keeps_stop_waiting():
    begun, free, ended = threading.Event(), threading.Event(), []

    def handler(item):
        begun.set()
        free.wait(LIMIT_S)
        ended.append(item)

    worker = Worker('inline')
    box = Mailbox(worker, lambda item, arrived_ns: handler(item), inline=lambda item: True)
    worker.start()
    sender = threading.Thread(target=box.put, args=('a',))
    sender.start()
    begun.wait(LIMIT_S)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    stopper.join(0.1)
    assert stopper.is_alive()
    free.set()
    stopper.join(LIMIT_S)
    assert ended == ['a']
    sender.join()


def test_a_stopped_worker_runs_nothing_inline():
    handled = []
    with inline_box(handled.append) as (box, worker):
        worker.stop()
        box.put('a')
    assert handled == []


def test_a_handler_that_raises_ends_neither_the_worker_nor_who_stops_it(capsys):
    handled = []

    def handle(item, arrived_ns):
        if item == 'bad':
            raise KeyError(item)
        handled.append(item)

    worker = Worker('bench')
    box = Mailbox(worker, handle)
    worker.start()
    box.put('bad')
    wait_until(lambda: box.oldest_ns() is None)
    box.put('good')
    wait_until(lambda: handled == ['good'] or not worker._thread.is_alive())
    assert handled == ['good']
    worker.stop()
    assert "KeyError: 'bad'" in capsys.readouterr().err
