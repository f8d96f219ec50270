# SPDX-License-Identifier: Apache-2.0
"""A publisher that hands over by reference inside a process and serialises only for others."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy

from isaac_inference.ros.runtime.compat import PublisherEventCallbacks
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.topics.intra_process import BUS
from isaac_inference.ros.runtime.topics.qos import QosParameters, parameter_of, policy_name
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

T = TypeVar('T')


class Publisher(Generic[T]):
    """Publishes in-process objects of one adapter.

    `publish(item)` hands `item` itself to every subscription of this process, so no one may change it afterwards;
    it is converted and serialised only while a DDS reader exists, or where the topic is latched.
    """

    def __init__(self, node: Node, adapter: TypeAdapter[T], topic: str, qos: QosParameters, health: Health) -> None:
        self.adapter, self.qos = adapter, qos.offered()
        self.topic = node.resolve_topic_name(topic)
        self._node, self._health = node, health
        self._latched = self.qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
        self._last: T | None = None
        self._late = 0  # deadlines that passed without a message, while somebody elsewhere listened
        self._key = (id(node.context), self.topic)
        self._writer = None
        if adapter.message_type is not None:
            self._writer = node.create_publisher(
                adapter.message_type,
                topic,
                self.qos,
                event_callbacks=self._events(qos),
            )
        BUS.join_talker(self._key, self)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens, in this process or outside, who has a use for it now."""
        return any(listener.wanted for listener in BUS.listeners(self)) or (
            self._writer is not None and self._writer.get_subscription_count() > 0
        )

    @property
    def wanted_on_device(self) -> bool:
        """Whether a listener of this process takes items whose bytes are on a GPU."""
        return any(listener.on_device and not listener.remote for listener in BUS.listeners(self))

    def publish(self, item: T) -> None:
        """Give `item` to every listener that has a use for it, once each; where the topic is latched, to all."""
        if self._latched:
            self._last = item
        for listener in BUS.listeners(self):
            if not listener.remote and (self._latched or listener.wanted):
                listener.deliver(item)
        if self._writer is not None and (self._latched or self._writer.get_subscription_count() > 0):
            self._writer.publish(self.adapter.to_message(item))

    def retained(self) -> T | None:
        """The last item of a latched topic."""
        return self._last

    def close(self) -> None:
        """Leave the topic."""
        BUS.leave_talker(self._key, self)
        if self._writer is not None:
            self._node.destroy_publisher(self._writer)
            self._writer = None

    def _events(self, qos: QosParameters) -> PublisherEventCallbacks:
        events = PublisherEventCallbacks(incompatible_qos=self._on_incompatible_qos)
        if qos.deadline_s:
            events.deadline = self._on_deadline
        if qos.liveliness_lease_s:
            events.liveliness = self._on_liveliness
        return events

    def _on_deadline(self, event: Any) -> None:
        if self._writer is not None and self._writer.get_subscription_count() > 0:  # else nothing is written at all
            self._late += event.total_count_change
            self._health.show(f'deadline_missed.{self.topic}', self._late)  # whose fault it is, its input's status says

    def _on_liveliness(self, event: Any) -> None:
        self._health.show(f'liveliness_lost.{self.topic}', event.total_count)

    def _on_incompatible_qos(self, event: Any) -> None:
        policy = policy_name(event.last_policy_kind)
        self._health.problem(
            f'qos {self.topic}',
            f'{self.topic}: a subscriber asks for incompatible {policy} and hears '
            f'nothing; change its QoS, or the "*_qos.{parameter_of(policy)}" parameter of {self._node.get_name()}',
        )
