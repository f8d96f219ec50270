# SPDX-License-Identifier: Apache-2.0
"""Topics between processes: one message for others while they exist, exactly one delivery each."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from std_msgs.msg import String
from support.ros.topic_ends import (
    BEST_EFFORT,
    RELIABLE,
    REMOTE_BEST_EFFORT,
    REMOTE_LATCHED,
    REMOTE_RELIABLE,
    Word,
    say,
    written,
)
from support.waiting import wait_until

from isaac_inference.ros.runtime.topics.qos import LATCHED, Durability, QosParameters, Reliability


def test_a_subscriber_elsewhere_gets_the_message(publisher, far_inbox, inbox):
    sender, texts, local = publisher(), far_inbox(), inbox()
    wait_until(lambda: sender._writer.get_subscription_count() > 0)
    sender.publish(Word('hello'))
    sender.publish(Word('last'))
    wait_until(lambda: 'last' in texts and 'last' in local.texts)
    assert local.texts == texts == ['hello', 'last']


def test_writing_stops_when_the_subscriber_elsewhere_has_left(publisher, far, topic):
    sender = publisher()
    messages = written(sender)
    subscription = far.create_subscription(String, topic, lambda message: None, REMOTE_RELIABLE)
    wait_until(lambda: sender._writer.get_subscription_count() > 0)
    assert sender.wanted
    sender.publish(Word('one'))
    far.destroy_subscription(subscription)
    wait_until(lambda: sender._writer.get_subscription_count() == 0)
    sender.publish(Word('two'))
    assert [message.data for message in messages] == ['one']
    assert not sender.wanted


def test_a_late_subscriber_elsewhere_gets_the_latched_item(publisher, far_inbox):
    publisher(LATCHED).publish(Word('kept'))
    texts = far_inbox(REMOTE_LATCHED)
    wait_until(lambda: texts == ['kept'])


def test_the_reader_is_open_only_while_somebody_elsewhere_publishes(inbox, publisher, far, topic):
    receiver, _ = inbox(), publisher()
    assert not receiver.is_remote()
    remote = far.create_publisher(String, topic, REMOTE_RELIABLE)
    wait_until(receiver.is_remote)
    wait_until(lambda: remote.get_subscription_count() == 1)
    remote.publish(String(data='hello'))
    wait_until(lambda: receiver.texts == ['hello'])
    far.destroy_publisher(remote)
    wait_until(lambda: not receiver.is_remote())


def test_one_delivery_each_from_a_publisher_here_and_one_elsewhere(inbox, publisher, far_publisher):
    receiver, local, remote = inbox(), publisher(), far_publisher()
    wait_until(receiver.is_remote)
    wait_until(lambda: remote.get_subscription_count() == 1 and local._writer.get_subscription_count() == 1)
    for number in range(5):
        local.publish(Word(f'here {number}'))
        say(remote, f'far {number}')
    local.publish(Word('here last'))
    say(remote, 'far last')
    wait_until(lambda: {'here last', 'far last'} <= set(receiver.texts))
    for where in ('here', 'far'):
        found = [text for text in receiver.texts if text.startswith(where)]
        assert found == [*(f'{where} {number}' for number in range(5)), f'{where} last']


def test_delivery_by_reference_returns_when_the_publisher_elsewhere_has_left(inbox, publisher, far, topic):
    receiver, local = inbox(), publisher()
    remote = far.create_publisher(String, topic, REMOTE_RELIABLE)
    wait_until(receiver.is_remote)
    far.destroy_publisher(remote)
    wait_until(lambda: not receiver.is_remote())
    word = Word('hello')
    local.publish(word)
    last = Word('last')
    local.publish(last)
    wait_until(lambda: last in receiver.items)
    assert receiver.items == [word, last]


def test_a_message_that_can_not_be_read_is_dropped_and_the_next_arrives(inbox, far_publisher):
    receiver, remote = inbox(), far_publisher()
    wait_until(receiver.is_remote)
    wait_until(lambda: remote.get_subscription_count() == 1)
    say(remote, 'bad', 'good')
    wait_until(lambda: receiver.texts == ['good'])
    assert receiver.health.snapshot().drops == {'bad_word': 1}


def test_an_incompatible_publisher_elsewhere_is_a_problem_with_topic_and_policy(inbox, far_publisher):
    receiver, _ = inbox(RELIABLE), far_publisher(REMOTE_BEST_EFFORT)
    wait_until(lambda: receiver.is_remote() and receiver.problems())
    [(is_error, text)] = receiver.problems()
    assert is_error
    assert text.startswith(f'{receiver.subscription.topic}: a publisher offers incompatible reliability')


def test_the_problem_is_over_when_the_incompatible_publisher_has_left(inbox, far, topic):
    receiver = inbox(RELIABLE)
    remote = far.create_publisher(String, topic, REMOTE_BEST_EFFORT)
    wait_until(lambda: receiver.is_remote() and receiver.problems())
    far.destroy_publisher(remote)
    wait_until(lambda: not receiver.is_remote() and not receiver.problems())


def test_an_incompatible_subscriber_elsewhere_is_a_problem_with_topic_and_policy(publisher, far_inbox):
    sender = publisher(BEST_EFFORT)
    far_inbox(REMOTE_RELIABLE)
    wait_until(lambda: sender.health.snapshot().problems)
    [(_, text)] = sender.health.snapshot().problems
    assert text.startswith(f'{sender.topic}: a subscriber asks for incompatible reliability')


def test_a_durability_that_is_not_offered_is_named(inbox, far_publisher):
    latched = QosParameters(reliability=Reliability.RELIABLE, durability=Durability.TRANSIENT_LOCAL)
    receiver, _ = inbox(latched), far_publisher(REMOTE_RELIABLE)
    wait_until(lambda: receiver.is_remote() and receiver.problems())
    assert 'incompatible durability' in receiver.problems()[0][1]


@pytest.mark.timing
def test_a_missed_deadline_is_a_problem_until_the_next_message(inbox, far_publisher):
    strict = QosParameters(reliability=Reliability.RELIABLE, deadline_s=0.2)
    offered = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, deadline=strict.requested().deadline)
    receiver, remote = inbox(strict), far_publisher(offered)
    wait_until(receiver.is_remote)
    wait_until(lambda: remote.get_subscription_count() == 1)
    say(remote, 'one')
    wait_until(lambda: receiver.problems())
    assert 'deadlines of 0.2 s missed so far' in receiver.problems()[0][1]
    say(remote, 'two')
    wait_until(lambda: not receiver.problems())
