# SPDX-License-Identifier: Apache-2.0
"""The in-process hand-over: who hears whom, latched items, mismatches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from isaac_inference.ros.runtime.topics.intra_process import IntraProcessBus
from isaac_inference.ros.runtime.topics.qos import LATCHED, QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

TEXT = TypeAdapter('Text', str, str, str)
LOCAL = TypeAdapter('Local', None, str, str)
KEY = (1, '/topic')
RELIABLE = QosParameters(reliability=Reliability.RELIABLE)
BEST_EFFORT = QosParameters(reliability=Reliability.BEST_EFFORT)


class FakeListener:
    def __init__(self, adapter=TEXT, qos=None, remote=False):
        self.adapter, self.qos, self.remote = adapter, (qos or QosParameters()).requested(), remote
        self.on_device = False
        self.wanted = True
        self.items, self.refusals = [], []

    def deliver(self, item):
        self.items.append(item)

    def refuse(self, reason):
        self.refusals.append(reason)


def fake_talker(adapter=TEXT, qos=None, retained=None):
    return SimpleNamespace(adapter=adapter, qos=(qos or QosParameters()).offered(), retained=lambda: retained)


@pytest.fixture
def bus():
    return IntraProcessBus()


@pytest.mark.parametrize('talker_first', [True, False])
def test_a_talker_finds_a_listener_in_whatever_order_they_join(bus, talker_first):
    talker, listener = fake_talker(), FakeListener()
    joins = [lambda: bus.join_talker(KEY, talker), lambda: bus.join_listener(KEY, listener)]
    for join in joins if talker_first else reversed(joins):
        join()
    assert bus.listeners(talker) == (listener,)
    assert listener.items == listener.refusals == []


def test_all_listeners_are_found_in_order_of_joining(bus):
    talker, listeners = fake_talker(), [FakeListener() for _ in range(3)]
    bus.join_talker(KEY, talker)
    for listener in listeners:
        bus.join_listener(KEY, listener)
    assert bus.listeners(talker) == tuple(listeners)


@pytest.mark.parametrize('other', [(1, '/elsewhere'), (2, '/topic')])
def test_another_topic_or_context_is_not_heard(bus, other):
    talker, listener = fake_talker(), FakeListener()
    bus.join_talker(KEY, talker)
    bus.join_listener(other, listener)
    assert bus.listeners(talker) == ()


def test_who_left_is_not_found(bus):
    talker, stays, leaves = fake_talker(), FakeListener(), FakeListener()
    bus.join_talker(KEY, talker)
    bus.join_listener(KEY, stays)
    bus.join_listener(KEY, leaves)
    bus.leave_listener(KEY, leaves)
    assert bus.listeners(talker) == (stays,)
    bus.leave_talker(KEY, talker)
    assert bus.listeners(talker) == ()


def test_a_talker_that_never_joined_has_no_listeners(bus):
    assert bus.listeners(fake_talker()) == ()


@pytest.mark.parametrize('talker_first', [True, False])
def test_another_type_is_refused_by_name(bus, talker_first):
    talker, listener = fake_talker(TypeAdapter('Number', int, int, int)), FakeListener()
    joins = [lambda: bus.join_talker(KEY, talker), lambda: bus.join_listener(KEY, listener)]
    for join in joins if talker_first else reversed(joins):
        join()
    assert listener.refusals == ['its type is Number, expected Text']
    assert bus.listeners(talker) == ()


@pytest.mark.parametrize(
    ('offered', 'requested', 'reason'),
    [
        (BEST_EFFORT, RELIABLE, 'Best effort'),
        (RELIABLE, LATCHED, 'ransient'),
        (QosParameters(), QosParameters(deadline_s=1.0), 'eadline'),
        (QosParameters(deadline_s=2.0), QosParameters(deadline_s=1.0), 'eadline'),
    ],
)
def test_incompatible_qos_is_refused_with_its_policy(bus, offered, requested, reason):
    talker, listener = fake_talker(qos=offered), FakeListener(qos=requested)
    bus.join_talker(KEY, talker)
    bus.join_listener(KEY, listener)
    assert len(listener.refusals) == 1
    assert reason in listener.refusals[0]
    assert bus.listeners(talker) == ()


@pytest.mark.parametrize(
    ('offered', 'requested'),
    [
        (RELIABLE, QosParameters()),
        (LATCHED, RELIABLE),
        (LATCHED, QosParameters()),
        (QosParameters(deadline_s=1.0), QosParameters(deadline_s=2.0)),
        (QosParameters(depth=1), QosParameters(depth=9)),
    ],
)
def test_a_stronger_offer_is_heard(bus, offered, requested):
    talker, listener = fake_talker(qos=offered), FakeListener(qos=requested)
    bus.join_talker(KEY, talker)
    bus.join_listener(KEY, listener)
    assert listener.refusals == []
    assert bus.listeners(talker) == (listener,)


def test_one_mismatched_listener_does_not_shut_out_the_others(bus):
    talker, good, bad = fake_talker(qos=BEST_EFFORT), FakeListener(), FakeListener(qos=RELIABLE)
    bus.join_talker(KEY, talker)
    bus.join_listener(KEY, bad)
    bus.join_listener(KEY, good)
    assert bus.listeners(talker) == (good,)


def test_a_late_listener_gets_what_a_talker_retains(bus):
    item = object()
    listener = FakeListener(qos=LATCHED)
    bus.join_talker(KEY, fake_talker(qos=LATCHED, retained=item))
    bus.join_listener(KEY, listener)
    assert len(listener.items) == 1
    assert listener.items[0] is item


def test_a_late_listener_with_a_reader_of_its_own_gets_it_from_there(bus):
    listener = FakeListener(qos=LATCHED, remote=True)
    bus.join_talker(KEY, fake_talker(qos=LATCHED, retained='last'))
    bus.join_listener(KEY, listener)
    assert listener.items == []


def test_only_talkers_with_a_writer_are_counted(bus):
    talkers = [fake_talker(), fake_talker(), fake_talker(LOCAL)]
    assert bus.talker_count(KEY) == 0
    for talker in talkers:
        bus.join_talker(KEY, talker)
    assert bus.talker_count(KEY) == 2
    bus.leave_talker(KEY, talkers[0])
    assert bus.talker_count(KEY) == 1
    assert bus.talker_count((1, '/elsewhere')) == 0
