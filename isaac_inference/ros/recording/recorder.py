# SPDX-License-Identifier: Apache-2.0
"""A node that records topics in wire format: no message is decoded."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording.message_definition import message_class
from isaac_inference.ros.recording.qos_profiles import TRANSIENT_LOCAL, is_weaker, request_for
from isaac_inference.ros.recording.write_queue import Item, WriteQueue
from isaac_inference.ros.recording.writer import RecordingWriter
from isaac_inference.ros.runtime.topics.qos import in_words

HOUSEKEEPING = ('/parameter_events', '/rosout')  # left out unless requested
SHARED = ('/clock', '/tf', '/tf_static')  # outside every namespace, and nothing can be placed without them
LOOK_S = 0.25  # how often the graph is checked for new topics
QUEUE_BYTES = 256 << 20
_LARGEST_SEQUENCE = 1 << 62  # rmw says "not supported" with the largest number it has


@dataclass(frozen=True)
class Selection:
    """Which topics are recorded.

    `topics`: these, once they appear; relative names are below `namespace`. Without them: all in `namespace` and
    `SHARED` (`namespace` '' or '/': all), but not `HOUSEKEEPING` and not hidden ones (`_x`); `everything` includes
    these too. Topics whose full name matches the regex `exclude` are never recorded.

    Raises:
        ConfigError: `exclude` is not a regular expression.
    """

    topics: tuple[str, ...] = ()
    everything: bool = False
    exclude: str = ''
    namespace: str = ''

    def __post_init__(self) -> None:
        try:
            re.compile(self.exclude)
        except re.error as error:
            raise ConfigError(f'exclude {self.exclude!r}: not a regular expression ({error})') from error

    @property
    def named(self) -> tuple[str, ...]:
        """`topics` in full."""
        base = '/' + self.namespace.strip('/')
        return tuple(name if name.startswith('/') else f'{base.rstrip("/")}/{name}' for name in self.topics)

    def wants(self, topic: str) -> bool:
        """Whether to record a topic, by its full name."""
        if self.exclude and re.search(self.exclude, topic):
            return False
        if self.topics:
            return topic in self.named
        base = self.namespace.strip('/')
        if base and not topic.startswith(f'/{base}/') and topic not in SHARED:
            return False
        return self.everything or not (topic in HOUSEKEEPING or '/_' in topic)


@dataclass
class TopicRecord:
    """What was recorded of a topic. `lost`: messages the publisher wrote that never arrived here, None if this
    can't be known (several publishers, or a middleware without sequence numbers); `overflowed`: those that arrived
    faster than the disk can take them.
    """

    name: str
    type_name: str
    count: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    lost: int | None = None
    overflowed: int = 0
    offers: tuple[QoSProfile, ...] = ()
    request: QoSProfile | None = None
    last_sequence: int = 0
    subscription: Any = field(default=None, repr=False)

    @property
    def rate_hz(self) -> float:
        """Mean rate from the first to the last message; 0 if there are fewer than two."""
        return (self.count - 1) * 1e9 / (self.last_ns - self.first_ns) if self.last_ns > self.first_ns else 0.0


class Recorder(Node):
    """Records topics into `writer`, which it owns; spin it, then `finish()`.

    Args:
        writer: a new recording.
        selection: what to record; topics may appear at any time.
        notify: called with a line for each topic that is started or can't be recorded.
    """

    def __init__(
        self,
        writer: RecordingWriter,
        selection: Selection,
        notify: Callable[[str], None],
        queue_bytes: int = QUEUE_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__('recorder', enable_rosout=False, start_parameter_services=False, **kwargs)
        self._selection, self._notify = selection, notify
        self._refused: set[str] = set()
        self._queue = WriteQueue(writer, queue_bytes)
        self._lock = threading.Lock()
        self._records: dict[str, TopicRecord] = {}
        self.create_timer(LOOK_S, self.look_around)
        self.look_around()

    @property
    def error(self) -> PerceptionError | None:
        """Why nothing is written any more; None while there is no error."""
        return self._queue.error

    @property
    def bytes_written(self) -> int:
        """Size of the file so far."""
        return self._queue.bytes_written

    def records(self) -> list[TopicRecord]:
        """The topics so far, by name."""
        with self._lock:
            return [self._records[name] for name in sorted(self._records)]

    def finish(self) -> None:
        """Write what is queued and close the file; the node must not be spun any more.

        Raises:
            PerceptionError: something could not be written; what came before it is in the file.
        """
        self._queue.close()
        if self._queue.error is not None:
            raise self._queue.error

    def look_around(self) -> None:
        """Subscribe to wanted topics that have a publisher, and follow publishers whose QoS is weaker than before."""
        for topic, types in self.get_topic_names_and_types():
            if topic not in self._refused and self._selection.wants(topic):
                infos = self.get_publishers_info_by_topic(topic)
                if infos:
                    self._follow(topic, types, tuple(info.qos_profile for info in infos))

    def _follow(self, topic: str, types: Sequence[str], offers: tuple[QoSProfile, ...]) -> None:
        request = request_for(offers)
        record = self._records.get(topic)
        if record is None:
            record = self._begin(topic, types, request, offers)
        elif record.request is not None and is_weaker(request, record.request):
            self.destroy_subscription(record.subscription)
            self._subscribe(record, request)
            self._notify(f'{topic}: a {in_words(request)} publisher has joined; subscribed again to receive it')
        if record is not None:
            record.offers = offers

    def _begin(
        self, topic: str, types: Sequence[str], request: QoSProfile, offers: tuple[QoSProfile, ...]
    ) -> TopicRecord | None:
        if len(types) > 1:
            self._refuse(topic, f'is published with several types, {", ".join(types)}')
            return None
        record = TopicRecord(topic, types[0], offers=offers)
        try:
            self._subscribe(record, request)
        except PerceptionError as error:
            self._refuse(topic, str(error))
            return None
        except Exception as error:  # rclpy's errors for a type support that can't be loaded have no common base class
            self._refuse(topic, f'cannot subscribe: {error}')
            return None
        with self._lock:
            self._records[topic] = record
        some_latched = any(offer.durability == TRANSIENT_LOCAL for offer in offers)
        note = ''
        if some_latched and request.durability != TRANSIENT_LOCAL:
            note = '; not all of its publishers are latched, so what was published before is not recorded'
        self._notify(f'recording {topic} ({record.type_name}, {in_words(request)}){note}')
        return record

    def _refuse(self, topic: str, reason: str) -> None:
        self._refused.add(topic)
        self._notify(f'not recorded: {topic}: {reason}')

    def _subscribe(self, record: TopicRecord, request: QoSProfile) -> None:
        def with_info(data: bytes, info: Any) -> None:
            self._receive(record, data, info)

        def without_info(data: bytes) -> None:
            self._receive(record, data, {})

        callback = with_info if hasattr(Subscription, 'CallbackType') else without_info  # with_info from Iron on
        kind = message_class(record.type_name)
        record.subscription = self.create_subscription(kind, record.name, callback, request, raw=True)
        record.request, record.last_sequence = request, 0

    def _receive(self, record: TopicRecord, data: bytes, info: Any) -> None:
        now = self.get_clock().now().nanoseconds
        facts = info if isinstance(info, dict) else {}
        sequence = self._note_sequence(record, facts.get('publication_sequence_number'))
        sent = facts.get('source_timestamp') or now
        item = Item(record.name, record.type_name, bytes(data), now, max(sent, 0), record.offers, sequence)
        if not self._queue.put(item):
            record.overflowed += 1
            return
        record.first_ns = record.first_ns if record.count else now
        record.last_ns = now
        record.count += 1
        record.bytes += len(data)

    def _note_sequence(self, record: TopicRecord, number: int | None) -> int:
        """Count the gap before `number`; a single publisher numbers its messages without gaps."""
        if not isinstance(number, int) or not 0 < number < _LARGEST_SEQUENCE:
            return 0
        if len(record.offers) == 1:
            gap = number - record.last_sequence - 1 if 0 < record.last_sequence < number else 0
            record.lost = (record.lost or 0) + gap
        record.last_sequence = number
        return number
