# SPDX-License-Identifier: Apache-2.0
"""Reading a recording, whatever its format."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rclpy.serialization import deserialize_message

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ros.recording.message_definition import difference, layout, message_class, message_definition
from isaac_inference.ros.recording.storage import RecordedTopic, open_storage


@dataclass(frozen=True)
class Recorded:
    """A recorded message: `data` is its CDR bytes, `message` the ROS message, decoded on first access."""

    topic: str
    type_name: str
    log_time_ns: int
    publish_time_ns: int
    data: bytes

    @functools.cached_property
    def message(self) -> Any:
        """The message.

        Raises:
            UnknownTypeError: its type isn't installed.
            FrameError: 'undecodable_message'.
        """
        kind = message_class(self.type_name)
        try:
            return deserialize_message(self.data, kind)
        except Exception as error:  # rclpy raises whatever its middleware raises
            raise FrameError(
                'undecodable_message',
                f'{self.topic} at {self.log_time_ns} ns: {len(self.data)} bytes are not a {self.type_name} ({error}); '
                'was it recorded with a different release of its package?',
            ) from error


class Recording:
    """An MCAP file, a bag of `ros2 bag` (MCAP or SQLite), or a ROS 1 bag, whose messages are given as those of ROS 2.
    Iterations are independent of each other; its files are closed in between.

    Args:
        path: the file, or the folder of a bag.

    Raises:
        ConfigError: there is none, or it isn't a recording of ROS topics.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._storage = open_storage(path)
        self.path, contents = self._storage.path, self._storage.contents
        self.problem = contents.problem and f'{self.path}: {contents.problem}'
        self.first_ns, self.last_ns = contents.first_ns, contents.last_ns
        self.unusable: dict[str, str] = dict(contents.unusable)
        self._topics: dict[str, RecordedTopic] = {}
        for topic in contents.topics:
            self._add(topic)

    @property
    def duration_s(self) -> float:
        """From the first to the last message [s]."""
        return (self.last_ns - self.first_ns) * 1e-9

    def topics(self) -> dict[str, RecordedTopic]:
        """The topics by name; those that hold no ROS 2 messages are in `unusable`, with the reason."""
        return dict(self._topics)

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[Recorded]:
        """The messages of `topics` (None: all), by log time; in the order of the file where it has no index.

        Raises:
            ConfigError: no such topic.
            PerceptionError: the file is damaged in the middle.
        """
        wanted = set(self._topics) if topics is None else set(topics)
        if unknown := sorted(wanted - set(self._topics)):
            raise ConfigError(
                f'{self.path}: no topic {", ".join(unknown)} in this recording; it has '
                f'{", ".join(sorted(self._topics)) or "none"}'
            )
        return self._messages(wanted)

    def mismatch(self, topic: str) -> str:
        """How the recorded definition of `topic`'s type differs from the installed one, so that its bytes would be
        misread; '' if they agree, or the file has no definition.

        Raises:
            UnknownTypeError: the type isn't installed.
        """
        found = self._topics[topic]
        message_class(found.type_name)
        if not found.definition:
            return ''
        try:
            recorded = layout(found.definition, found.type_name)
        except ConfigError as error:
            return f'its recorded definition cannot be parsed: {error}'
        return difference(recorded, layout(message_definition(found.type_name), found.type_name))

    def _messages(self, wanted: set[str]) -> Iterator[Recorded]:
        for entry in self._storage.messages(wanted):
            type_name = self._topics[entry.topic].type_name
            yield Recorded(entry.topic, type_name, entry.log_time_ns, entry.publish_time_ns, entry.data)

    def _add(self, topic: RecordedTopic) -> None:
        known = self._topics.get(topic.name)
        if known is None:
            self._topics[topic.name] = topic
            return
        if known.type_name != topic.type_name:
            raise ConfigError(
                f'{self.path}: {topic.name} is recorded both as {known.type_name} and as {topic.type_name}; '
                'split the recording first, for example with "mcap filter"'
            )
        total = known.count + topic.count
        self._topics[topic.name] = dataclasses.replace(known, count=total, qos=known.qos + topic.qos)
