# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions that hand over by reference inside a process and serialise only for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.compat import PublisherEventCallbacks, SubscriptionEventCallbacks
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.resources import dds_profile_variable
from isaac_inference.ros.runtime.topics.intra_process import BUS
from isaac_inference.ros.runtime.topics.mailbox import Mailbox
from isaac_inference.ros.runtime.topics.qos import QosParameters, policy_name
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

T = TypeVar('T')


class Publisher(Generic[T]):
    """Publishes in-process objects of one adapter.

    `publish(item)` hands `item` itself to every subscription of this process, so no one may change it afterwards;
    it is converted and serialised only while a DDS reader exists, or where the topic is latched.
    """

    def __init__(self, node: Node, adapter: TypeAdapter[T], topic: str, qos: QosParameters, health: Health) -> None:
        self.adapter, self.qos = adapter, qos.profile()
        self.topic = node.resolve_topic_name(topic)
        self._node, self._health = node, health
        self._latched = self.qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
        self._last: T | None = None
        self._key = (id(node.context), self.topic)
        self._writer = None
        if adapter.message_type is not None:
            self._writer = node.create_publisher(
                adapter.message_type,
                topic,
                self.qos,
                event_callbacks=PublisherEventCallbacks(incompatible_qos=self._on_incompatible_qos),
            )
        BUS.join_talker(self._key, self)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens, in this process or outside."""
        return bool(BUS.listeners(self)) or (self._writer is not None and self._writer.get_subscription_count() > 0)

    @property
    def wanted_on_device(self) -> bool:
        """Whether a listener of this process takes items whose bytes are on a GPU."""
        return any(listener.on_device and not listener.remote for listener in BUS.listeners(self))

    def publish(self, item: T) -> None:
        """Give `item` to every listener, once each."""
        if self._latched:
            self._last = item
        for listener in BUS.listeners(self):
            if not listener.remote:
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

    def _on_incompatible_qos(self, event: Any) -> None:
        policy = policy_name(event.last_policy_kind)
        self._health.problem(
            f'qos {self.topic}',
            f'{self.topic}: a subscriber asks for incompatible {policy} and hears '
            f'nothing; change its QoS, or the "*_qos.{policy}" parameter of {self._node.get_name()}',
        )


class Subscription(Generic[T]):
    """Feeds a mailbox from publishers of this process directly, and from all others through a DDS reader.

    The reader exists only while a publisher outside this process does, and `wanted()`; then all messages of the topic
    take that way, those of this process included, so that none arrives twice. Between the opening of the reader and its
    matching with a writer of this process that writer's messages can be missed, and what a latched topic of this
    process retains can arrive once more. `on_device` says that the mailbox's handler takes items whose bytes are on a
    GPU, `is_primary` that the messages are the node's frames: only then does one that cannot be read count as one.
    """

    def __init__(
        self,
        node: Node,
        adapter: TypeAdapter[T],
        topic: str,
        qos: QosParameters,
        mailbox: Mailbox,
        health: Health,
        wanted: Callable[[], bool] = lambda: True,
        on_device: bool = False,
        is_primary: bool = True,
    ) -> None:
        self.adapter, self.qos, self.on_device = adapter, qos.profile(), on_device
        self.is_primary = is_primary
        self.topic = node.resolve_topic_name(topic)
        self.remote = False
        self._wanted = wanted
        self._node, self._mailbox, self._health = node, mailbox, health
        self._requested_topic = topic
        self._key = (id(node.context), self.topic)
        self._reader = None
        BUS.join_listener(self._key, self)
        self.check_remote()

    def publisher_count(self) -> int:
        """Publishers of the topic, here and elsewhere, heard or not."""
        return int(self._node.count_publishers(self.topic))

    def describe(self) -> str:
        """What it waits for, in words, with what to look at."""
        count = self.publisher_count()
        if not count:
            return f'{self.topic} has no publisher; is the camera running, is the topic remapped right?'
        if strangers := self._other_types():
            return (
                f'{self.topic} carries {", ".join(strangers)}, expected {self._type_name}; remap the topic or '
                'the node that publishes it'
            )
        if self.remote:
            return (
                f'{self.topic} has {count} publishers; if they publish, check their QoS, and for large messages set '
                f'{dds_profile_variable()} on both sides'
            )
        return f'{self.topic} has {count} publishers in this process'

    @property
    def _type_name(self) -> str:
        return getattr(self.adapter.message_type, '__name__', self.adapter.name)

    def _other_types(self) -> list[str]:
        """The publishers' message types where none is ours; [] where one is."""
        types = {info.topic_type for info in self._node.get_publishers_info_by_topic(self.topic)}
        return [] if any(name.endswith(f'/{self._type_name}') for name in types) else sorted(types)

    def check_remote(self) -> None:
        """Open or close the DDS reader as publishers outside this process come and go; called by a timer."""
        if self.adapter.message_type is None:
            return
        remote = self._wanted() and self.publisher_count() > BUS.talker_count(self._key)
        if remote and self._reader is None:
            self._open_reader()
        elif not remote and self._reader is not None:
            self._close_reader()

    def deliver(self, item: T) -> None:
        """Take `item` by reference (called by a publisher's thread)."""
        self._health.clear(self._qos_problem)
        self._health.clear(self._deadline_problem)
        self._mailbox.put(item)

    def refuse(self, reason: str) -> None:
        """Report a publisher of this process that can't be heard."""
        self._health.problem(
            self._qos_problem, f'{self.topic}: a publisher in this process is not heard: {reason}', error=True
        )

    def close(self) -> None:
        """Leave the topic; what waits in the mailbox is forgotten."""
        BUS.leave_listener(self._key, self)
        if self._reader is not None:
            self._close_reader()
        self._mailbox.close()

    @property
    def _qos_problem(self) -> str:
        return f'qos {self.topic}'

    @property
    def _deadline_problem(self) -> str:
        return f'deadline {self.topic}'

    def _open_reader(self) -> None:
        events = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos)
        if self.qos.deadline.nanoseconds and self.qos.deadline.nanoseconds < 1 << 62:
            events.deadline = self._on_deadline
        self.remote = True  # before the reader exists: an item may be missed now, but none comes twice
        try:
            self._reader = self._node.create_subscription(
                self.adapter.message_type, self._requested_topic, self._on_message, self.qos, event_callbacks=events
            )
        except Exception as error:  # such as a topic that carries another type in this process
            self.remote = False
            self._health.problem(f'reader {self.topic}', f'{self.topic}: cannot subscribe: {error}', error=True)
            return
        self._health.clear(f'reader {self.topic}')

    def _close_reader(self) -> None:
        self.remote = False
        self._node.destroy_subscription(self._reader)
        self._reader = None
        self._health.clear(self._qos_problem)

    def _on_message(self, message: Any) -> None:
        try:
            self.deliver(self.adapter.from_message(message))
        except FrameError as error:
            if self.is_primary:
                self._health.received()
                self._health.dropped(error.reason, str(error))
            else:
                self._health.refused(error.reason, str(error))

    def _on_incompatible_qos(self, event: Any) -> None:
        policy = policy_name(event.last_policy_kind)
        self._health.problem(
            self._qos_problem,
            f'{self.topic}: a publisher offers incompatible {policy}, its messages do not arrive; '
            f'set the "*_qos.{policy}" parameter of {self._node.get_name()} to what "ros2 topic info -v {self.topic}" '
            'shows for the publisher',
            error=True,
        )

    def _on_deadline(self, event: Any) -> None:
        self._health.problem(
            self._deadline_problem,
            f'{self.topic}: {event.total_count} deadlines of '
            f'{self.qos.deadline.nanoseconds / 1e9:g} s missed so far; is the publisher slow or gone?',
        )
