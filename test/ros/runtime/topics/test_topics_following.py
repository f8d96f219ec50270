# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that ask for what their publishers offer, and what the graph says of a topic, over real DDS."""

from __future__ import annotations

import threading

import pytest
import rclpy
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Int32, String
from support.ros.topic_ends import (
    REMOTE_BEST_EFFORT,
    REMOTE_LATCHED,
    REMOTE_RELIABLE,
    WORD,
    Word,
    hears,
    say,
)
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.topic_graph import Source, full_type_name

AUTO = QosParameters(depth=50)


def asked(receiver):
    """'reliable', 'best effort', ...: what the DDS reader asks for, as the diagnostics show; None without a reader."""
    receiver.subscription.check_remote()
    return receiver.health.snapshot().shown.get(f'qos.{receiver.subscription.topic}')


@pytest.mark.parametrize(
    ('offers', 'expected'),
    [
        ([REMOTE_RELIABLE], 'reliable'),
        ([REMOTE_BEST_EFFORT], 'best effort'),
        ([REMOTE_LATCHED], 'reliable, latched'),
        ([REMOTE_RELIABLE, REMOTE_RELIABLE], 'reliable'),
        ([REMOTE_RELIABLE, REMOTE_BEST_EFFORT], 'best effort'),
        ([REMOTE_LATCHED, REMOTE_RELIABLE], 'reliable'),
        ([REMOTE_LATCHED, REMOTE_BEST_EFFORT], 'best effort'),
    ],
)
def test_it_asks_for_what_all_publishers_offer_and_hears_them_all(inbox, far_publisher, offers, expected):
    receiver, senders = inbox(AUTO), [far_publisher(offer) for offer in offers]
    wait_until(lambda: asked(receiver) == expected)
    wait_until(lambda: all(sender.get_subscription_count() == 1 for sender in senders))
    for number, sender in enumerate(senders):
        hears(receiver, sender, f'from {number}')
    assert receiver.problems() == ()


def test_it_asks_anew_when_another_publisher_offers_less_and_when_that_one_has_left(inbox, far, far_publisher, topic):
    receiver, steady = inbox(AUTO), far_publisher(REMOTE_RELIABLE)
    wait_until(lambda: asked(receiver) == 'reliable')
    late = far.create_publisher(String, topic, REMOTE_BEST_EFFORT)
    wait_until(lambda: asked(receiver) == 'best effort')
    hears(receiver, late, 'late')
    hears(receiver, steady, 'steady')
    far.destroy_publisher(late)
    wait_until(lambda: asked(receiver) == 'reliable')
    hears(receiver, steady, 'again')
    assert receiver.problems() == ()


def test_it_hears_a_publisher_that_comes_back_with_another_quality(inbox, far, topic):
    receiver = inbox(AUTO)
    for offer, expected in ((REMOTE_BEST_EFFORT, 'best effort'), (REMOTE_RELIABLE, 'reliable')):
        sender = far.create_publisher(String, topic, offer)
        wait_until(lambda expected=expected: asked(receiver) == expected)
        hears(receiver, sender, expected)
        far.destroy_publisher(sender)
        wait_until(lambda: asked(receiver) is None)


def test_a_late_subscription_gets_what_a_publisher_elsewhere_has_latched(inbox, far_publisher):
    say(far_publisher(REMOTE_LATCHED), 'kept')
    receiver = inbox(AUTO)
    wait_until(lambda: asked(receiver) == 'reliable, latched' and receiver.texts == ['kept'])


def test_a_publisher_of_ours_is_heard_by_a_reliable_subscriber_elsewhere(publisher, far_inbox):
    sender, texts = publisher(QosParameters()), far_inbox(REMOTE_RELIABLE)
    wait_until(lambda: sender._writer.get_subscription_count() == 1)
    sender.publish(Word('hello'))
    wait_until(lambda: texts == ['hello'])
    assert sender.health.snapshot().problems == ()


def test_publishers_of_another_type_have_no_say(inbox, topic, far_publisher):
    receiver, context = inbox(AUTO), Context()
    rclpy.init(context=context)  # one participant cannot have a topic of two types
    try:
        stranger = Node('stranger', context=context)
        stranger.create_publisher(Int32, topic, REMOTE_BEST_EFFORT)
        far_publisher(REMOTE_RELIABLE)
        wait_until(lambda: len(receiver.subscription.graph.offers()) == 2)
        wait_until(lambda: asked(receiver) == 'reliable')
        stranger.destroy_node()
    finally:
        context.shutdown()


def test_what_is_set_is_kept_and_an_incompatible_offer_is_a_problem(inbox, far_publisher):
    receiver, _ = inbox(QosParameters(reliability=Reliability.RELIABLE)), far_publisher(REMOTE_BEST_EFFORT)
    wait_until(lambda: receiver.is_remote() and receiver.problems())
    assert 'offers incompatible reliability' in receiver.problems()[0][1]


def test_lost_messages_are_a_problem_with_its_remedies_until_they_arrive_again(inbox, far_publisher):
    receiver, _ = inbox(AUTO), far_publisher(REMOTE_BEST_EFFORT)
    wait_until(lambda: asked(receiver) == 'best effort')
    receiver.subscription._on_lost(LostEvent(9))
    receiver.subscription.check_remote()
    [(is_error, text)] = receiver.problems()
    assert not is_error
    assert text.startswith(f'{receiver.subscription.topic}: messages get lost on the way: 9 of 9 in the last ')
    for remedy in ('start whoever publishes them with FAST', 'fastdds_large_images.xml', 'have it publish reliably'):
        assert remedy in text
    receiver.subscription._close_reader()
    assert receiver.problems() == ()


class LostEvent:
    """What rclpy tells of lost messages."""

    def __init__(self, count):
        self.total_count = self.total_count_change = count


# What the graph says


def test_nobody_publishes_and_topics_of_that_type_are_named_the_most_similar_first(inbox, far, topic):
    receiver, made = inbox(AUTO), []
    for name in ('zzz/other', f'{topic}_raw'):
        made.append(far.create_publisher(String, name, REMOTE_RELIABLE))
    made.append(far.create_publisher(Int32, f'{topic}_count', REMOTE_RELIABLE))
    try:
        graph = receiver.subscription.graph
        wait_until(lambda: f'/{topic}_raw, ' in graph.explain(0) and '/zzz/other' in graph.explain(0))
        text = graph.explain(0)
        assert text.startswith(f'nobody publishes /{topic} (std_msgs/msg/String); that type is on ')
        assert text.index(f'/{topic}_raw, ') < text.index('/zzz/other; take it with ')
        assert '_count' not in text
        assert graph.source() is Source.NOBODY
    finally:
        for one in made:
            far.destroy_publisher(one)


def test_another_type_on_the_topic_is_named_with_its_publisher(inbox, far, topic):
    receiver = inbox(AUTO)
    stranger = far.create_publisher(Int32, topic, REMOTE_RELIABLE)
    try:
        graph = receiver.subscription.graph
        wait_until(lambda: graph.source() is Source.OTHER_TYPE)
        expected = f'/{topic} carries std_msgs/msg/Int32 from /plain, expected std_msgs/msg/String; '
        assert graph.explain(0).startswith(expected)
    finally:
        far.destroy_publisher(stranger)


def test_a_publisher_that_never_sent_one_that_stopped_and_one_that_left_are_told_apart(inbox, far, topic):
    receiver = inbox(AUTO)
    graph = receiver.subscription.graph
    sender = far.create_publisher(String, topic, REMOTE_RELIABLE)
    wait_until(lambda: graph.source() is Source.OTHERS)
    assert graph.explain(0) == f'/plain offers /{topic}, but nothing arrives: it sends nothing'
    assert graph.explain(5) == f'/plain still offers /{topic}, but is silent'
    far.destroy_publisher(sender)
    wait_until(lambda: graph.source() is Source.NOBODY)
    assert graph.explain(5) == f'whoever published /{topic} has gone'


def test_a_publisher_of_this_process_is_ours(inbox, publisher):
    receiver = inbox(AUTO)
    publisher(QosParameters())
    assert receiver.subscription.source is Source.OURS
    assert receiver.subscription.explain(0).startswith('the node of this process that publishes')


def test_a_publisher_whose_node_is_not_discovered_yet_is_nobody_s(inbox, far_publisher, monkeypatch):
    receiver = inbox(AUTO)
    far_publisher(REMOTE_RELIABLE)
    graph = receiver.subscription.graph
    wait_until(lambda: graph.source() is Source.OTHERS)
    [info] = receiver.subscription._node.get_publishers_info_by_topic(graph.topic)
    info.node_name = '_NODE_NAME_UNKNOWN_'
    monkeypatch.setattr(graph._node, 'get_publishers_info_by_topic', lambda topic: [info])
    assert graph.source() is Source.UNKNOWN
    assert (
        graph.explain(0)
        == f'a node that is not discovered yet offers {graph.topic}, but nothing arrives: it sends nothing'
    )
    assert graph._is_foreign(graph.topic)


def test_type_names_are_those_of_the_graph():
    assert full_type_name(String) == 'std_msgs/msg/String'
    assert WORD.message_type is String


def test_policies_of_a_reader_follow_even_where_only_one_is_auto(inbox, far_publisher):
    receiver = inbox(QosParameters(reliability=Reliability.RELIABLE, depth=5))
    far_publisher(REMOTE_LATCHED)
    wait_until(lambda: asked(receiver) == 'reliable, latched')


def test_messages_that_newer_ones_displace_in_the_reader_are_counted_as_superseded(inbox, far_publisher):
    receiver, sender = inbox(QosParameters(depth=1)), far_publisher(REMOTE_RELIABLE)
    wait_until(lambda: asked(receiver) == 'reliable')
    hears(receiver, sender, 'first')
    before, taken, held = receiver.health.snapshot(), threading.Event(), threading.Event()

    def hold() -> None:  # the thread that reads is busy meanwhile
        taken.set()
        held.wait(LIMIT_S)

    receiver.subscription._node.executor.create_task(hold)
    assert taken.wait(LIMIT_S)
    say(sender, *(str(number) for number in range(20)))
    sender.wait_for_all_acked(Duration(seconds=LIMIT_S))
    held.set()
    wait_until(lambda: '19' in receiver.texts)
    read = sum(text.isdigit() for text in receiver.texts)
    assert read < 20
    receiver.subscription.check_remote()
    found = receiver.health.snapshot()
    assert found.drops['superseded'] - before.drops.get('superseded', 0) == 20 - read
    assert receiver.problems() == ()
