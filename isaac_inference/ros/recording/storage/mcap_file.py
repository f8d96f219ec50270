# SPDX-License-Identifier: Apache-2.0
"""An MCAP file: our own, one of `ros2 bag`, or what a killed recorder has left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isaac_inference.errors import ConfigError, PerceptionError
from isaac_inference.ros.recording.qos_profiles import profiles_from_yaml
from isaac_inference.ros.recording.storage import mcap_records
from isaac_inference.ros.recording.storage.base import Contents, Entry, RecordedTopic, full_type
from isaac_inference.ros.recording.storage.mcap_records import ChannelInfo
from isaac_inference.ros.recording.storage.ros1_types import Ros1Type


class McapFile:
    """A Storage (see there).

    Raises:
        ConfigError: it can't be read, or isn't an MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ros1: dict[str, Ros1Type] = {}
        try:
            with mcap_records.open_file(path) as file:
                found = mcap_records.read_contents(file)
        except OSError as error:
            raise ConfigError(f'{path}: cannot be read ({error.strerror or error})') from error
        self._indexed = found.indexed
        topics, unusable = [], {}
        for channel in found.channels:
            try:
                topics.append(self._topic(channel))
            except ConfigError as error:
                unusable[channel.topic] = str(error)
        self.contents = Contents(tuple(topics), found.first_ns, found.last_ns, unusable, found.problem)

    def messages(self, topics: set[str]) -> Iterator[Entry]:
        """The messages of `topics`: by log time where the file has an index, else in its order."""
        try:
            with mcap_records.open_file(self.path) as file:
                for item in mcap_records.read_messages(file, topics, self._indexed, bool(self.contents.problem)):
                    kind = self._ros1.get(item.topic)
                    data = item.data if kind is None else kind.to_cdr(item.data)
                    yield Entry(item.topic, item.log_time_ns, item.publish_time_ns, data)
        except OSError as error:
            raise PerceptionError(f'{self.path}: cannot be read ({error.strerror or error})') from error

    def _topic(self, channel: ChannelInfo) -> RecordedTopic:
        """Raises ConfigError: it holds no messages for ROS 2."""
        qos = profiles_from_yaml(channel.metadata.get('offered_qos_profiles', ''))
        name, type_name = channel.topic, full_type(channel.type_name)
        if channel.encoding == 'ros1' and channel.schema_encoding == 'ros1msg':
            kind = self._ros1[name] = Ros1Type(type_name, channel.definition)
            return RecordedTopic(name, kind.name, channel.count, qos, kind.definition)
        if channel.encoding != 'cdr':
            raise ConfigError(f'its messages are {channel.encoding or "in an unnamed encoding"}, expected cdr')
        definition = channel.definition if channel.schema_encoding == 'ros2msg' else ''
        return RecordedTopic(name, type_name, channel.count, qos, definition)
