# SPDX-License-Identifier: Apache-2.0
"""Whether endpoints of this process have found each other over DDS: then a message is sent once and arrives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.node import Node


def unmatched(node: Node, nodes: Iterable[Any]) -> list[str]:
    """What a plain node and active pipeline nodes of this process still have to find of each other, in words.

    Looks at both ends of each topic that they share: a writer that knows its reader may be unknown to it. A pipeline
    node's subscription counts only while it wants what others publish. Endpoints whose QoS do not fit never find each
    other.
    """
    active = [other for other in nodes if other.state == 'active']
    try:
        return [*_not_hearing(node, active), *not_heard(node, active)]
    except InvalidHandle:  # an endpoint is just being closed in another thread: look again
        return ['endpoints are being closed']


def _not_hearing(node: Node, nodes: list[Any]) -> list[str]:
    found, own = [], {reader.topic_name for reader in node.subscriptions}
    subscriptions = [
        (other.get_name(), subscription)
        for other in nodes
        for subscription in list(other._subscriptions_open)
        if subscription._wanted()
    ]
    for writer in node.publishers:
        named = [(name, one._reader) for name, one in subscriptions if one.topic == writer.topic_name]
        found += [
            f'{name} hears {writer.topic_name}'
            for name, reader in named
            if reader is None or not reader.get_publisher_count()
        ]
        if named and writer.get_subscription_count() < len(named) + (writer.topic_name in own):
            found.append(f'{writer.topic_name} knows its readers')
    return found


def not_heard(node: Node, nodes: list[Any]) -> list[str]:
    """The publishers of pipeline nodes, active or not, that readers of a plain node have yet to find, in words."""
    readers = {reader.topic_name: reader for reader in node.subscriptions}
    writers = [
        (publisher.topic, publisher._writer)
        for other in nodes
        for publisher in [*other._publishers_open, other._timings]
        if publisher.topic in readers and publisher._writer is not None
    ]
    return [
        f'{topic} is heard'
        for topic, writer in writers
        if not writer.get_subscription_count() or not readers[topic].get_publisher_count()
    ]
