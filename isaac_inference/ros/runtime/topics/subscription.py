# SPDX-License-Identifier: Apache-2.0
"""A subscription that is handed objects by reference inside a process and reads DDS only for what others publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.compat import (
    SubscriptionEventCallbacks,
    UnsupportedEventTypeError,
    host_memory_options,
    sequence_number,
    with_message_info,
)
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.resources import large_message_advice
from isaac_inference.ros.runtime.topics.intra_process import BUS
from isaac_inference.ros.runtime.topics.losses import LossWatch
from isaac_inference.ros.runtime.topics.mailbox import Target
from isaac_inference.ros.runtime.topics.qos import QosParameters, in_words, parameter_of, policy_name
from isaac_inference.ros.runtime.topics.timeliness import Timeliness
from isaac_inference.ros.runtime.topics.topic_graph import Offer, Source, TopicGraph
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

T = TypeVar('T')


class Subscription(Generic[T]):
    """Feeds a mailbox from publishers of this process directly, and from all others through a DDS reader.

    Nothing is taken while not `wanted()`: publishers of this process then leave it out. The reader exists only while a
    publisher outside this process does, and `wanted()`; then all messages of the topic take that way, those of this
    process included, so that none arrives twice. Between the opening of the reader and its matching with a writer of
    this process that writer's messages can be missed, and what a latched topic of this process retains can arrive once
    more. `on_device` says that the mailbox's handler takes items whose bytes are on a GPU, `is_primary` that the
    messages are the node's frames: only then does one that cannot be read count as one.

    Where reliability or durability is 'auto' the reader asks for what the publishers offer, and is opened anew when
    that changes; what it asks for is logged and shown in the diagnostics. Messages that get lost on the way are a
    standing problem for as long as they do.
    """

    def __init__(
        self,
        node: Node,
        adapter: TypeAdapter[T],
        topic: str,
        qos: QosParameters,
        mailbox: Target,
        health: Health,
        wanted: Callable[[], bool] = lambda: True,
        on_device: bool = False,
        is_primary: bool = True,
    ) -> None:
        self.adapter, self.qos, self.on_device = adapter, qos.requested(), on_device
        self.is_primary = is_primary
        self.topic = node.resolve_topic_name(topic)
        self._qos_problem, self._loss_problem = f'qos {self.topic}', f'lost {self.topic}'
        self._timeliness = Timeliness(self.topic, health, qos.deadline_s, qos.liveliness_lease_s)
        self.graph = TopicGraph(node, topic, adapter.message_type)
        self.remote = False
        self._chosen = qos
        self._losses = LossWatch()
        self._has_one_writer = False
        self._wanted = wanted
        self._node, self._mailbox, self._health = node, mailbox, health
        self._requested_topic = topic
        self._key = (id(node.context), self.topic)
        self._reader: Any = None
        self._asked: tuple[Any, Any] = (None, None)  # reliability and durability of the reader
        BUS.join_listener(self._key, self)
        self.check_remote()

    @property
    def wanted(self) -> bool:
        """Whether it has a use for what is published now."""
        return self._wanted()

    def publisher_count(self) -> int:
        """Publishers of the topic, here and elsewhere, heard or not."""
        return int(self._node.count_publishers(self.topic))

    @property
    def source(self) -> Source:
        """Where its messages should come from, as things are."""
        return Source.OURS if BUS.talker_count(self._key) else self.graph.source()

    def explain(self, received: int) -> str:
        """Why nothing arrives, or no more, in words, and what to do; `received`: how many messages have."""
        if BUS.talker_count(self._key):
            return f'the node of this process that publishes {self.topic} sends nothing; see its own status'
        return self.graph.explain(received)

    def check_remote(self) -> None:
        """Open or close the DDS reader as publishers outside this process come and go; called by a timer."""
        self._timeliness.look(is_expected=not self.remote and self._wanted())
        if self.adapter.message_type is None:
            return
        remote = self._wanted() and self.publisher_count() > BUS.talker_count(self._key)
        if not remote:
            if self._reader is not None:
                self._close_reader()
            return
        offers = self.graph.fitting_offers()
        self._has_one_writer = len(offers) == 1
        profile = self._chosen.requested([offer.qos for offer in offers])
        if self._reader is not None and (profile.reliability, profile.durability) != self._asked:
            self._close_reader()
        if self._reader is None:
            self._open_reader(profile, offers)
        self._check_losses()

    def deliver(self, item: T) -> None:
        """Take `item` by reference (called by a publisher's thread)."""
        self._timeliness.handed_over()
        self._take(item)

    def _take(self, item: T) -> None:
        self._health.clear(self._qos_problem)
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
        self._timeliness.stop()
        self._mailbox.close()

    def _open_reader(self, profile: QoSProfile, offers: Sequence[Offer]) -> None:
        self.remote = True  # before the reader exists: an item may be missed now, but none comes twice
        self._losses = LossWatch()
        try:
            self._reader = self._subscribe(profile)
        except Exception as error:  # such as a topic that carries another type in this process
            self.remote = False
            self._health.problem(f'reader {self.topic}', f'{self.topic}: cannot subscribe: {error}', error=True)
            return
        self._health.clear(f'reader {self.topic}')
        self._asked = profile.reliability, profile.durability
        if self._chosen.follows:
            self._say_what_was_chosen(profile, offers)

    def _subscribe(self, profile: QoSProfile) -> Any:
        events = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos, message_lost=self._on_lost)
        if self._chosen.deadline_s:
            events.deadline = self._timeliness.on_deadline
        if self._chosen.liveliness_lease_s:
            events.liveliness = self._timeliness.on_liveliness

        def create() -> Any:
            return self._node.create_subscription(
                self.adapter.message_type,
                self._requested_topic,
                with_message_info(self._on_message),
                profile,
                event_callbacks=events,
                **host_memory_options(self._node),
            )

        try:
            return create()
        except UnsupportedEventTypeError:  # a middleware that does not count what gets lost: nor can what is displaced
            events.message_lost, self._losses.is_counted = None, False
            return create()

    def _say_what_was_chosen(self, profile: QoSProfile, offers: Sequence[Offer]) -> None:
        chosen = in_words(profile)
        theirs = ', '.join(f'{offer.node} ({in_words(offer.qos)})' for offer in offers) or 'nobody yet'
        self._health.show(f'qos.{self.topic}', chosen)
        self._node.get_logger().info(f'{self.topic}: subscribes {chosen}; offered by {theirs}')

    def _close_reader(self) -> None:
        self.remote = False
        self._node.destroy_subscription(self._reader)
        self._reader = None
        for key in (self._qos_problem, self._loss_problem):
            self._health.clear(key)
        self._timeliness.stop()
        self._health.show(f'qos.{self.topic}', None)

    def _check_losses(self) -> None:
        if self.is_primary and (displaced := self._losses.displaced()):
            self._health.superseded(displaced)
        found = self._losses.check()
        if found is None:
            self._health.clear(self._loss_problem)
            return
        lost, sent, seconds = found
        is_reliable = self._asked[0] == QoSReliabilityPolicy.RELIABLE
        text = (
            f'{self.topic}: messages get lost on the way: {lost} of {sent} in the last {seconds:.0f} s, subscribed '
            f'{"reliably" if is_reliable else "best effort"}; {large_message_advice()}'
        )
        if not is_reliable:
            text += f', or have it publish reliably, with "*_qos.reliability: auto" in {self._node.get_name()}'
        self._health.problem(self._loss_problem, text, log_again=False)

    def _on_lost(self, event: Any) -> None:
        self._losses.lost(event.total_count_change)

    def _on_message(self, message: Any, info: Any) -> None:
        self._losses.arrived(sequence_number(info) if self._has_one_writer else None)
        try:
            self._timeliness.arrived()
            self._take(self.adapter.from_message(message))
        except FrameError as error:
            if self.is_primary:
                self._health.received()
                self._health.dropped(error.reason, str(error))
            else:
                self._health.refused(error.reason, str(error))

    def _on_incompatible_qos(self, event: Any) -> None:
        policy = policy_name(event.last_policy_kind)
        if self._chosen.follows_policy(policy):  # the reader is opened anew at the next look at the graph
            return
        self._health.problem(
            self._qos_problem,
            f'{self.topic}: a publisher offers incompatible {policy}, its messages do not arrive; '
            f'set the "*_qos.{parameter_of(policy)}" parameter of {self._node.get_name()} to what '
            f'"ros2 topic info -v {self.topic}" shows for the publisher',
            error=True,
        )
