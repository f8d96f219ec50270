# SPDX-License-Identifier: Apache-2.0
"""What the library rosbags reads: a ROS 1 bag, an SQLite file of rosbag2, or the folder of a compressed bag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.qos import QoSProfile

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording.libraries import rosbags_module
from isaac_inference.ros.recording.qos_profiles import profile_of
from isaac_inference.ros.recording.storage.base import Contents, Entry, RecordedTopic, full_type
from isaac_inference.ros.recording.storage.ros1_types import Ros1Type

_ADVICE = {  # by what the library says
    'not indexed': 'its recorder was killed before it wrote the index: "rosbag reindex" of ROS 1 makes one',
    'encryption': 'decrypt it where it was recorded',
    'Compression': 'decompress it with the tools of the ROS release that recorded it',
    'ersion': 'convert it to MCAP with the tools of the ROS release that recorded it',
    'missing tables': 'it is a database, but not one of rosbag2',
}


class LibraryBag:
    """A Storage (see there).

    Args:
        path: the file, or the folder with its metadata.yaml.
        is_ros1: whether it is a ROS 1 bag.

    Raises:
        ConfigError: it can't be read, or the library isn't installed.
    """

    def __init__(self, path: Path, is_ros1: bool = False) -> None:
        self.path = path
        self._is_ros1 = is_ros1
        self._kinds: dict[int, Ros1Type] = {}
        topics, unusable = [], {}
        with self._opened(ConfigError) as reader:
            for connection in reader.connections:
                try:
                    topics.append(self._topic(connection))
                except ConfigError as error:
                    unusable[connection.topic] = str(error)
            has_messages = any(connection.msgcount for connection in reader.connections)
            first_ns, last_ns = (reader.start_time, reader.end_time - 1) if has_messages else (0, 0)
        self.contents = Contents(tuple(topics), first_ns, last_ns, unusable, self._problem())

    def messages(self, topics: set[str]) -> Iterator[Entry]:
        """The messages of `topics`, by log time within each file."""
        with self._opened(PerceptionError) as reader:
            wanted = [item for item in reader.connections if item.topic in topics]
            if not wanted:  # none would mean all
                return
            for connection, time_ns, data in reader.messages(wanted):
                kind = self._kinds.get(connection.id)
                yield Entry(connection.topic, time_ns, time_ns, bytes(data) if kind is None else kind.to_cdr(data))

    def _topic(self, connection: Any) -> RecordedTopic:
        """Raises ConfigError: it holds no messages for ROS 2."""
        if self._is_ros1:
            kind = self._kinds[connection.id] = Ros1Type(connection.msgtype, connection.msgdef.data)
            qos: tuple[QoSProfile, ...] = (
                (profile_of('reliable', 'transient_local'),) if connection.ext.latching else ()
            )
            return RecordedTopic(connection.topic, kind.name, connection.msgcount, qos, kind.definition)
        if connection.ext.serialization_format != 'cdr':
            raise ConfigError(f'its messages are {connection.ext.serialization_format}, expected cdr')
        offers = connection.ext.offered_qos_profiles
        qos = tuple(profile_of(one.reliability.name, one.durability.name, one.depth) for one in offers)
        definition = connection.msgdef.data if connection.msgdef.format.name == 'MSG' else ''
        return RecordedTopic(connection.topic, full_type(connection.msgtype), connection.msgcount, qos, definition)

    @contextlib.contextmanager
    def _opened(self, kind: type[PerceptionError]) -> Iterator[Any]:
        """The library's reader; whatever it raises is one error of this kind that says what to do."""
        library = rosbags_module('rosbags.rosbag1' if self._is_ros1 else 'rosbags.rosbag2')
        try:
            with library.Reader(self.path) as reader:
                yield reader
        except PerceptionError:
            raise
        except OSError as error:
            raise kind(f'{self.path}: cannot be read ({error.strerror or error})') from error
        except Exception as error:  # the library, SQLite, decompressors and struct raise a dozen kinds
            advice = next((text for words, text in _ADVICE.items() if words in str(error)), 'it is damaged')
            raise kind(f'{self.path}: cannot be read ({type(error).__name__}: {error}): {advice}') from error

    def _problem(self) -> str:
        log = self.path.with_name(f'{self.path.name}-wal')
        if not log.is_file() or not log.stat().st_size:
            return ''
        return f'not finished ({log.name} is still there): was the recorder killed? What is in the database is used'
