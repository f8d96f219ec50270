# SPDX-License-Identifier: Apache-2.0
"""Reading a recording: our own, one from `ros2 bag`, or what a killed recorder has left."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from isaac_inference.errors import ConfigError, FrameError, PerceptionError
from isaac_inference.ros.recording import mcap_records
from isaac_inference.ros.recording.mcap_records import Entry
from isaac_inference.ros.recording.message_definition import difference, layout, message_class, message_definition
from isaac_inference.ros.recording.qos_profiles import profiles_from_yaml


@dataclass(frozen=True)
class RecordedTopic:
    """A topic of a recording: its name, type ('sensor_msgs/msg/Image'), number of messages, what its publishers
    offered (() if the file doesn't say), and the text of its type's definition ('' if it isn't in the file).
    """

    name: str
    type_name: str
    count: int
    qos: tuple[QoSProfile, ...] = ()
    definition: str = ''


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
    """An MCAP file of ROS 2 messages. Iterations are independent of each other; the file is closed in between.

    Args:
        path: the file, or a `ros2 bag` folder with one such file.

    Raises:
        ConfigError: there is none, or it isn't a recording of ROS 2 topics.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = find_recording(path)
        try:
            with mcap_records.open_file(self.path) as file:
                contents = mcap_records.read_contents(file)
        except OSError as error:
            raise ConfigError(f'{self.path}: cannot be read ({error.strerror or error})') from error
        if contents.profile == 'ros1':
            raise ConfigError(f'{self.path}: a ROS 1 recording; convert it first, for example with rosbags-convert')
        self.problem = contents.problem and f'{self.path}: {contents.problem}'
        self.first_ns, self.last_ns = contents.first_ns, contents.last_ns
        self._indexed = contents.indexed
        self._topics: dict[str, RecordedTopic] = {}
        self.unusable: dict[str, str] = {}
        for channel in contents.channels:
            self._add(channel)

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
        try:
            with mcap_records.open_file(self.path) as file:
                for entry in mcap_records.read_messages(file, wanted, self._indexed, bool(self.problem)):
                    yield self._recorded(entry)
        except OSError as error:
            raise PerceptionError(f'{self.path}: cannot be read ({error.strerror or error})') from error

    def _recorded(self, entry: Entry) -> Recorded:
        topic = self._topics[entry.topic]
        return Recorded(topic.name, topic.type_name, entry.log_time_ns, entry.publish_time_ns, entry.data)

    def _add(self, channel: mcap_records.ChannelInfo) -> None:
        name, type_name = channel.topic, _full_type(channel.type_name)
        if channel.encoding != 'cdr':
            self.unusable[name] = f'its messages are {channel.encoding or "in an unnamed encoding"}, expected cdr'
            return
        known = self._topics.get(name)
        if known is not None and known.type_name != type_name:
            raise ConfigError(
                f'{self.path}: {name} is recorded both as {known.type_name} and as {type_name}; '
                'split the recording first, for example with "mcap filter"'
            )
        qos = profiles_from_yaml(channel.metadata.get('offered_qos_profiles', ''))
        definition = channel.definition if channel.schema_encoding == 'ros2msg' else ''
        if known is None:
            self._topics[name] = RecordedTopic(name, type_name, channel.count, qos, definition)
        else:
            self._topics[name] = dataclasses.replace(known, count=known.count + channel.count, qos=known.qos + qos)


def find_recording(path: str | os.PathLike[str]) -> Path:
    """The MCAP file that `path` means.

    Raises:
        ConfigError: there is none, there are several, or it has another format.
    """
    given = Path(path).expanduser()
    if given.is_dir():
        files = sorted(given.glob('*.mcap'))
        if len(files) == 1:
            return files[0]
        others = ', '.join(file.name for file in files)
        if not files and list(given.glob('*.db3')):
            raise ConfigError(f'{given}: an SQLite bag; convert it to MCAP with "ros2 bag convert"')
        raise ConfigError(
            f'{given}: ' + (f'several recordings, name one: {others}' if files else 'no .mcap file in it')
        )
    if not given.is_file():
        raise ConfigError(f'{given}: no such file; give an MCAP recording, or the folder of a bag that holds one')
    if given.suffix == '.db3':
        raise ConfigError(f'{given}: an SQLite bag; convert it to MCAP with "ros2 bag convert"')
    if given.suffix == '.zstd':
        raise ConfigError(f'{given}: compressed as a whole; unpack it with "zstd -d" first')
    return given


def _full_type(name: str) -> str:
    """'sensor_msgs/msg/Image', also from 'sensor_msgs/Image'."""
    parts = name.split('/')
    return f'{parts[0]}/msg/{parts[1]}' if len(parts) == 2 else name
