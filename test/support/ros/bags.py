# SPDX-License-Identifier: Apache-2.0
"""Recordings in the formats of others: SQLite bags of rosbag2, ROS 1 bags, and ROS 1 in MCAP."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mcap.writer import Writer as McapWriter
from rclpy.serialization import serialize_message
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from isaac_inference.ros.recording import message_definition
from isaac_inference.ros.recording.message_definition import type_name_of

Item = tuple[str, Any, int]  # topic, message of ROS 2, log time in ns
_HUMBLE = """
    CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
                        serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
    CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
                          data BLOB NOT NULL);
    CREATE INDEX timestamp_idx ON messages (timestamp ASC);
"""
_LATCHED = '- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n'
_NO_LIMIT = 'deadline: {sec: 9223372036, nsec: 854775807}'
_OTHERS = f"""  {_NO_LIMIT}
  {_NO_LIMIT.replace('deadline', 'lifespan')}
  liveliness: 1
  {_NO_LIMIT.replace('deadline', 'liveliness_lease_duration')}
  avoid_ros_namespace_conventions: false
"""
METADATA = """rosbag2_bagfile_information:
  version: 5
  storage_identifier: {storage}
  relative_file_paths: [{files}]
"""


def write_db3(path: Path, items: Iterable[Item], latched: Sequence[str] = (), encoding: str = 'cdr') -> Path:
    """One SQLite file as `ros2 bag record` of Humble writes it, without definitions."""
    with sqlite3.connect(path) as file:
        file.executescript(_HUMBLE)
        topics: dict[str, int] = {}
        for topic, message, time_ns in items:
            if topic not in topics:
                topics[topic] = len(topics) + 1
                qos = _LATCHED + _OTHERS if topic in latched else ''
                row = (topics[topic], topic, type_name_of(type(message)), encoding, qos)
                file.execute('INSERT INTO topics VALUES(?, ?, ?, ?, ?)', row)
            data = serialize_message(message)
            file.execute(
                'INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)', (topics[topic], time_ns, data)
            )
    file.close()
    return path


def write_rosbag2(
    folder: Path,
    items: Iterable[Item],
    storage: StoragePlugin = StoragePlugin.SQLITE3,
    mode: CompressionMode = CompressionMode.NONE,
) -> Path:
    """The folder of a bag with its metadata.yaml."""
    writer = rosbag2.Writer(folder, version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for topic, message, time_ns in items:
            if topic not in connections:
                kind = type_name_of(type(message))
                text = message_definition(kind)
                connections[topic] = writer.add_connection(topic, kind, msgdef=text, rihs01=f'RIHS01_{"0" * 64}')
            writer.write(connections[topic], time_ns, serialize_message(message))
    return folder


def _store(kind: Stores) -> Any:
    """The message types of a release."""
    store = get_typestore(kind)
    for name in {'tf2_msgs/msg/TFMessage', 'tf/msg/tfMessage'} - store.fielddefs.keys():
        store.register(get_types_from_msg('geometry_msgs/TransformStamped[] transforms', name))
    return store


def write_ros1(
    path: Path, items: Iterable[Item], compression: str = '', latched: Sequence[str] = (), renamed: str = ''
) -> Path:
    """A ROS 1 bag; `renamed`: the type that TFMessage goes by."""
    store, writer = _store(Stores.ROS1_NOETIC), rosbag1.Writer(path)
    if compression:
        writer.set_compression(rosbag1.Writer.CompressionFormat[compression])
    with writer:
        connections: dict[str, Any] = {}
        for topic, message, time_ns in items:
            kind = _ros1_name(message, renamed)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store, latching=int(topic in latched))
            writer.write(connections[topic], time_ns, _ros1_bytes(message, kind))
    return path


def write_ros1_mcap(path: Path, items: Iterable[Item]) -> Path:
    """ROS 1 in an MCAP file."""
    store = _store(Stores.ROS1_NOETIC)
    with open(path, 'wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros1')
        channels: dict[str, int] = {}
        for topic, message, time_ns in items:
            kind = type_name_of(type(message))
            if topic not in channels:
                text = store.generate_msgdef(kind)[0].encode()
                schema = writer.register_schema(kind.replace('/msg/', '/'), 'ros1msg', text)
                channels[topic] = writer.register_channel(topic, 'ros1', schema)
            writer.add_message(channels[topic], time_ns, _ros1_bytes(message, kind), time_ns)
        writer.finish()
    return path


def write_metadata(folder: Path, storage: str, *files: str) -> None:
    """A metadata.yaml that names the files of a bag."""
    (folder / 'metadata.yaml').write_text(METADATA.format(storage=storage, files=', '.join(files)))


def _ros1_name(message: Any, renamed: str) -> str:
    name = type_name_of(type(message))
    return renamed if renamed and name.endswith('/TFMessage') else name


def _ros1_bytes(message: Any, name: str) -> bytes:
    return bytes(_store(Stores.ROS2_FOXY).cdr_to_ros1(serialize_message(message), name))
