# SPDX-License-Identifier: Apache-2.0
"""Playing a recording back onto topics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording.message_definition import UnknownTypeError, message_class
from isaac_inference.ros.recording.qos_profiles import RELIABLE, offer_for
from isaac_inference.ros.recording.reader import Recorded, Recording
from isaac_inference.ros.recording.stamps import shift_stamps
from isaac_inference.ros.recording.storage import RecordedTopic
from isaac_inference.ros.runtime.topics.qos import in_words

_ACK_S = 5.0  # maximum wait for subscribers to acknowledge


@dataclass(frozen=True)
class PlayOptions:
    """How to play.

    `topics`: recorded names, () for all. `rate`: 2 is twice as fast; 0 doesn't wait at all. `remap`: recorded ->
    published name. `stamp_now`: all header stamps are shifted by one offset, so that the recording seems to happen now.
    `exact`: every topic is offered as reliable and each message is acknowledged by all reliable subscribers before the
    next one is sent, so that none is lost and their order is kept. `wait_s`: how long to wait for a subscriber on each
    topic before the first message.
    """

    topics: tuple[str, ...] = ()
    rate: float = 1.0
    loop: bool = False
    remap: Mapping[str, str] = field(default_factory=dict)
    stamp_now: bool = False
    exact: bool = False
    wait_s: float = 1.0


@dataclass
class Played:
    """A topic being played: recorded topic, published name, quality of service, number of messages sent."""

    recorded: RecordedTopic
    name: str
    qos: QoSProfile
    publisher: Any = field(default=None, repr=False)
    count: int = 0

    @property
    def qos_in_words(self) -> str:
        """'reliable, latched' and so on."""
        return in_words(self.qos)


class Player:
    """Publishes a recording through `node`, which need not be spun.

    Args:
        node: the publishing node; stays owned by the caller.
        recording: what to play.
        options: how to play it.
        notify: called with a line for each topic or package that can't be played.

    Raises:
        ConfigError: no such topic, no message to play, a rate or remapping that makes no sense.
    """

    def __init__(
        self, node: Node, recording: Recording, options: PlayOptions, notify: Callable[[str], None] = print
    ) -> None:
        if not options.rate >= 0.0:
            raise ConfigError(
                f'rate {options.rate}: expected 1 for the recorded speed, 2 for twice as fast, 0 for no pauses'
            )
        self._node, self._recording, self._options = node, recording, options
        self.latest_s = 0.0
        self.played: dict[str, Played] = {}
        chosen = self._choose()
        self._reject_unknown(chosen, options.remap)
        self._prepare(chosen, notify)
        if not any(item.recorded.count for item in self.played.values()):
            raise ConfigError(f'{recording.path}: holds no message that can be played')
        for item in self.played.values():
            kind = message_class(item.recorded.type_name)
            item.publisher = node.create_publisher(kind, item.name, item.qos)

    def close(self) -> None:
        """Destroy the publishers."""
        for item in self.played.values():
            self._node.destroy_publisher(item.publisher)

    def play(self, stop: threading.Event) -> int:
        """Publish until the end, or until `stop` is set; returns the number of messages.

        Raises:
            PerceptionError: the file is damaged; with `exact`, a subscriber did not acknowledge.
        """
        sent = self._play_once(stop)
        while self._options.loop and not stop.is_set():
            sent += self._play_once(stop)
        if not stop.is_set():
            self._wait_for_all()
        return sent

    def wait_for_subscribers(self, stop: threading.Event) -> list[str]:
        """Wait up to `wait_s` until each topic has a subscriber; returns the topics that have none."""
        end = time.monotonic() + self._options.wait_s
        while missing := [item.name for item in self.played.values() if not item.publisher.get_subscription_count()]:
            if stop.wait(0.02) or time.monotonic() > end:
                break
        return missing

    def _choose(self) -> dict[str, RecordedTopic]:
        known = self._recording.topics()
        chosen = {name if name.startswith('/') else f'/{name}' for name in self._options.topics} or set(known)
        self._reject_unknown(known, chosen)
        return {name: topic for name, topic in known.items() if name in chosen}

    def _reject_unknown(self, known: Mapping[str, Any], names: Any) -> None:
        if unknown := sorted(set(names) - set(known)):
            raise ConfigError(
                f'{self._recording.path}: no topic {", ".join(unknown)} to play; available: '
                f'{", ".join(sorted(known)) or "none"}'
            )

    def _prepare(self, chosen: Mapping[str, RecordedTopic], notify: Callable[[str], None]) -> None:
        missing: dict[str, list[str]] = {}
        for name, reason in self._recording.unusable.items():
            notify(f'not played: {name}: {reason}')
        for name, topic in chosen.items():
            try:
                mismatch = self._recording.mismatch(name)
            except UnknownTypeError as error:
                missing.setdefault(error.package, []).append(name)
                if len(missing[error.package]) == 1:
                    notify(f'not played: {name}: {error}')
                continue
            except ConfigError as error:
                notify(f'not played: {name}: {error}')
                continue
            if mismatch:
                notify(f'not played: {name}: {mismatch}; install the release of the package it was recorded with')
                continue
            qos = offer_for(topic.qos, topic.count)
            if self._options.exact:
                qos.reliability = RELIABLE
            self.played[name] = Played(topic, self._options.remap.get(name, name), qos)
        for package, names in missing.items():
            if len(names) > 1:
                notify(f'not played either, because {package} is missing: {", ".join(names[1:])}')

    def _play_once(self, stop: threading.Event) -> int:
        first_ns, sent = None, 0
        begin_s, begin_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        for message in self._recording.messages(self.played):
            first_ns = message.log_time_ns if first_ns is None else first_ns
            if not self._wait(begin_s, (message.log_time_ns - first_ns) * 1e-9, stop):
                break
            self._send(message, first_ns, begin_ns)
            sent += 1
        return sent

    def _wait(self, begin_s: float, offset_s: float, stop: threading.Event) -> bool:
        """Wait until a message is due; False if the player is stopped."""
        if not self._options.rate:
            return not stop.is_set()
        left = begin_s + offset_s / self._options.rate - time.monotonic()
        self.latest_s = max(self.latest_s, -left)
        return not stop.wait(left) if left > 0 else not stop.is_set()

    def _send(self, message: Recorded, first_ns: int, begin_ns: int) -> None:
        item = self.played[message.topic]
        data = message.data
        if self._options.stamp_now:
            rate = self._options.rate or 1.0
            data = shift_stamps(data, message.type_name, lambda ns: begin_ns + round((ns - first_ns) / rate))
        item.publisher.publish(data)
        item.count += 1
        if self._options.exact and not item.publisher.wait_for_all_acked(Duration(seconds=_ACK_S)):
            raise PerceptionError(
                f'{item.name}: a subscriber did not acknowledge message {item.count} within {_ACK_S:g} s; '
                'is it stuck? Without --exact, acknowledgements are not awaited'
            )

    def _wait_for_all(self) -> None:
        """The last messages may still be in transit when the publishers are destroyed."""
        for item in self.played.values():
            if item.qos.reliability == RELIABLE:
                item.publisher.wait_for_all_acked(Duration(seconds=_ACK_S))
