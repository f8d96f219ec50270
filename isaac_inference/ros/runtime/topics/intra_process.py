# SPDX-License-Identifier: Apache-2.0
"""The in-process hand-over: who publishes and who listens on a topic inside this process.

Every subscription is fed either from here or by its DDS reader, never by both: `Subscription.remote` says
which, and it opens a reader only while some publisher outside this process (or outside this bus) exists.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any, Protocol

from rclpy.qos import QoSProfile

from isaac_inference.ros.runtime.topics.qos import incompatibility
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter


class Listener(Protocol):
    """What the bus needs of a subscription."""

    adapter: TypeAdapter[Any]
    qos: QoSProfile
    remote: bool
    on_device: bool

    @property
    def wanted(self) -> bool:
        """Whether it has a use for what is published now."""

    def deliver(self, item: Any) -> None:
        """Take `item` by reference."""

    def refuse(self, reason: str) -> None:
        """Learn that a local publisher can't be heard, and why."""


class Talker(Protocol):
    """What the bus needs of a publisher."""

    adapter: TypeAdapter[Any]
    qos: QoSProfile

    def retained(self) -> Any:
        """The last item of a latched topic, or None."""


class IntraProcessBus:
    """Topics of one process: (context, resolved topic name) to publishers and subscriptions. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._talkers: defaultdict[tuple[int, str], list[Talker]] = defaultdict(list)
        self._listeners: defaultdict[tuple[int, str], list[Listener]] = defaultdict(list)
        # (talker, listener) pairs that hear each other, made when either joins: publishing only walks a list.
        self._pairs: dict[int, tuple[Listener, ...]] = {}

    def join_talker(self, key: tuple[int, str], talker: Talker) -> None:
        """Register a publisher."""
        with self._lock:
            self._talkers[key].append(talker)
            listeners = list(self._listeners[key])
            self._pair_up(key)
        for listener in listeners:
            self._introduce(talker, listener)

    def join_listener(self, key: tuple[int, str], listener: Listener) -> None:
        """Register a subscription; it gets what latched topics retain."""
        with self._lock:
            self._listeners[key].append(listener)
            talkers = list(self._talkers[key])
            self._pair_up(key)
        for talker in talkers:
            self._introduce(talker, listener)

    def leave_talker(self, key: tuple[int, str], talker: Talker) -> None:
        """Unregister a publisher."""
        with self._lock:
            self._talkers[key].remove(talker)
            self._pairs.pop(id(talker), None)

    def leave_listener(self, key: tuple[int, str], listener: Listener) -> None:
        """Unregister a subscription."""
        with self._lock:
            self._listeners[key].remove(listener)
            self._pair_up(key)

    def talker_count(self, key: tuple[int, str]) -> int:
        """Publishers of a topic in this process that also have a DDS writer."""
        with self._lock:
            return sum(talker.adapter.message_type is not None for talker in self._talkers[key])

    def listeners(self, talker: Talker) -> tuple[Listener, ...]:
        """The subscriptions that hear `talker`, their DDS readers aside."""
        return self._pairs.get(id(talker), ())

    def _pair_up(self, key: tuple[int, str]) -> None:
        for talker in self._talkers[key]:
            self._pairs[id(talker)] = tuple(
                listener for listener in self._listeners[key] if not _mismatch(talker, listener)
            )

    @staticmethod
    def _introduce(talker: Talker, listener: Listener) -> None:
        reason = _mismatch(talker, listener)
        if reason:
            listener.refuse(reason)
        elif (item := talker.retained()) is not None and not listener.remote:
            listener.deliver(item)


def _mismatch(talker: Talker, listener: Listener) -> str:
    if talker.adapter is not listener.adapter:
        return f'its type is {talker.adapter.name}, expected {listener.adapter.name}'
    return incompatibility(talker.qos, listener.qos)


BUS = IntraProcessBus()
