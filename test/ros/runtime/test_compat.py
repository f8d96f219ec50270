# SPDX-License-Identifier: Apache-2.0
"""What differs between releases of rclpy. No wheel of Lyrical exists here: its create_subscription is a fake."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.node import Node
from support.ros.topic_ends import hears
from support.waiting import wait_until

from isaac_inference.ros.runtime import compat
from isaac_inference.ros.runtime.compat import host_memory_options, sequence_number, with_message_info
from isaac_inference.ros.runtime.topics.qos import QosParameters


class LyricalNode(Node):
    """create_subscription as Lyrical has it: with one more argument."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.accepted = []

    def create_subscription(self, *arguments, acceptable_buffer_backends='cpu', **options):
        self.accepted.append(acceptable_buffer_backends)
        return super().create_subscription(*arguments, **options)


def test_bytes_are_asked_for_in_host_memory_where_that_can_be_said(ros):
    node = LyricalNode('lyrical')
    assert host_memory_options(node) == {'acceptable_buffer_backends': 'cpu'}
    node.destroy_node()
    assert host_memory_options(SimpleNamespace(create_subscription=lambda type, topic, callback, qos: None)) == {}


def test_a_subscription_says_so(inbox, far_publisher, monkeypatch):
    receiver = inbox(QosParameters())
    node = receiver.subscription._node
    accepted, create = [], node.create_subscription

    def lyrical(*arguments, acceptable_buffer_backends='any', **options):
        accepted.append(acceptable_buffer_backends)
        return create(*arguments, **options)

    monkeypatch.setattr(node, 'create_subscription', lyrical)
    sender = far_publisher()
    wait_until(receiver.is_remote)
    hears(receiver, sender, 'hello')
    assert accepted == ['cpu']


@pytest.mark.parametrize(
    ('info', 'number'), [({'publication_sequence_number': 7}, 7), ({'source_timestamp': 1}, None), (None, None)]
)
def test_a_message_s_number_where_the_middleware_gives_one(info, number):
    assert sequence_number(info) == number


class HumbleSubscription:
    """rclpy's class before callbacks could have a second argument."""


def test_a_callback_gets_what_is_known_of_a_message_where_rclpy_tells_it(monkeypatch):
    taken = []
    assert with_message_info(taken.append) == taken.append
    monkeypatch.setattr(compat, 'Subscription', HumbleSubscription)
    with_message_info(lambda message, info: taken.append((message, info)))('hello')
    assert taken == [('hello', None)]


def test_a_subscription_hears_where_callbacks_have_one_argument(inbox, far_publisher, monkeypatch):
    receiver = inbox(QosParameters())
    node = receiver.subscription._node
    create = node.create_subscription

    def humble(kind, name, callback, *arguments, **options):
        return create(kind, name, lambda message: callback(message), *arguments, **options)

    monkeypatch.setattr(compat, 'Subscription', HumbleSubscription)
    monkeypatch.setattr(node, 'create_subscription', humble)
    sender = far_publisher()
    wait_until(receiver.is_remote)
    hears(receiver, sender, 'hello')
