# SPDX-License-Identifier: Apache-2.0
"""What the ROS graph says of a topic that a node listens to: who publishes what, and where else such messages are."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum

from rclpy.node import Node
from rclpy.qos import QoSProfile

from isaac_inference.ros.runtime.resources import large_message_advice

_TIMINGS = 'diagnostic_msgs/msg/DiagnosticArray'
_UNKNOWN_NODE = 'a node that is not discovered yet'
_LARGE = ('Image', 'CompressedImage', 'TensorList')  # types whose messages may have megabytes
_MOST_NAMED = 4  # topics or nodes in a message


@dataclass(frozen=True)
class Offer:
    """One publisher: its node's full name, its message type and what it offers."""

    node: str
    type_name: str
    qos: QoSProfile


class Source(Enum):
    """Where a topic's messages should come from."""

    NOBODY = 'nobody'
    OTHER_TYPE = 'other type'
    UNKNOWN = 'unknown'  # somebody who has just been discovered, and whose node is yet to be
    OURS = 'ours'  # nodes of this package, which say themselves why they are silent
    OTHERS = 'others'


class TopicGraph:
    """The graph around one topic, as the node that listens to it sees it.

    Args:
        node: the listener.
        requested: the topic's name as the listener asked for it, before remapping.
        message_type: of the messages that it takes; None for a topic that works inside one process only.
    """

    def __init__(self, node: Node, requested: str, message_type: type | None) -> None:
        self._node, self._requested = node, requested
        self.topic = node.resolve_topic_name(requested)
        self.type_name = '' if message_type is None else full_type_name(message_type)

    def offers(self) -> list[Offer]:
        """All publishers of the topic, of any type."""
        return [
            Offer(_full_name(info.node_namespace, info.node_name), info.topic_type, info.qos_profile)
            for info in self._node.get_publishers_info_by_topic(self.topic)
        ]

    def fitting_offers(self) -> list[Offer]:
        """The publishers of the type that the listener takes."""
        return [offer for offer in self.offers() if offer.type_name == self.type_name]

    def is_ours(self, node_name: str) -> bool:
        """Whether a node is one of this package's: they publish `<node>/timings`. Not known is no."""
        if node_name == _UNKNOWN_NODE:
            return False
        infos = self._node.get_publishers_info_by_topic(f'{node_name}/timings')
        return any(info.topic_type == _TIMINGS for info in infos)

    def source(self) -> Source:
        """Where the topic's messages should come from, as things are."""
        return self._source(self.offers())

    def _source(self, offers: list[Offer]) -> Source:
        fitting = [offer for offer in offers if offer.type_name == self.type_name]
        if any(offer.node == _UNKNOWN_NODE for offer in fitting or offers):
            return Source.UNKNOWN
        if not fitting:
            return Source.OTHER_TYPE if offers else Source.NOBODY
        return Source.OURS if all(self.is_ours(offer.node) for offer in fitting) else Source.OTHERS

    def explain(self, received: int) -> str:
        """Why nothing arrives, or no more, in words, and what to do; `received`: how many messages have."""
        offers = self.offers()
        source = self._source(offers)
        if source is Source.NOBODY and received:
            return f'whoever published {self.topic} has gone'
        if source is Source.NOBODY:
            return f'nobody publishes {self.topic} ({self.type_name}); {self._elsewhere()}'
        names = _listed([offer.node for offer in offers if offer.type_name == self.type_name])
        if not names:
            found = ', '.join(sorted({f'{offer.type_name} from {offer.node}' for offer in offers}))
            return f'{self.topic} carries {found}, expected {self.type_name}; {self._elsewhere()}'
        if source is Source.OURS:
            return f'nothing arrives from {names} on {self.topic}; see its own status'
        if received:
            return f'{names} still offers {self.topic}, but is silent'
        text = f'{names} offers {self.topic}, but nothing arrives: it sends nothing'
        if self.type_name.rpartition('/')[2] not in _LARGE:
            return text
        return f'{text}, or all of it gets lost on the way, as large messages do; then {large_message_advice()}'

    def _elsewhere(self) -> str:
        """Topics that have the right type, those with the most similar names first, and how to take one."""
        names = [
            name
            for name, types in self._node.get_topic_names_and_types()
            if self.type_name in types and name != self.topic and self._is_foreign(name)
        ]
        if not names:
            return 'no other topic carries that type; is its driver running, in the same ROS_DOMAIN_ID?'
        names.sort(key=lambda name: -difflib.SequenceMatcher(None, name, self.topic).ratio())
        return f'that type is on {_listed(names)}; take it with {self._requested}:={names[0]}'

    def _is_foreign(self, topic: str) -> bool:
        """Whether anybody but this package publishes a topic: our own pictures are no camera."""
        infos = self._node.get_publishers_info_by_topic(topic)
        return any(not self.is_ours(_full_name(info.node_namespace, info.node_name)) for info in infos)


def full_type_name(message_type: type) -> str:
    """'sensor_msgs/msg/Image' for that class."""
    package, kind = message_type.__module__.split('.')[:2]
    return f'{package}/{kind}/{message_type.__name__}'


def _full_name(namespace: str, name: str) -> str:
    if name.startswith('_NODE_NAME_UNKNOWN'):
        return _UNKNOWN_NODE
    return f'{namespace.rstrip("/")}/{name}'


def _listed(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = len(unique) - _MOST_NAMED
    return ', '.join(unique[:_MOST_NAMED]) + (f' and {more} more' if more > 0 else '')
