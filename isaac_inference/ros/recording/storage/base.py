# SPDX-License-Identifier: Apache-2.0
"""What every format gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rclpy.qos import QoSProfile


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
class Contents:
    """What a recording holds.

    `topics` has one for each connection, so that a name may come twice; `unusable` says by name why others have no
    messages for ROS 2; `problem` why the recording ends early, '' if it doesn't.
    """

    topics: tuple[RecordedTopic, ...]
    first_ns: int
    last_ns: int
    unusable: Mapping[str, str] = field(default_factory=dict)
    problem: str = ''


@dataclass(frozen=True)
class Entry:
    """One message: its CDR bytes."""

    topic: str
    log_time_ns: int
    publish_time_ns: int
    data: bytes


class Storage(Protocol):
    """One recording on the disk, open only while its contents or its messages are read."""

    path: Path
    contents: Contents

    def messages(self, topics: set[str]) -> Iterator[Entry]:
        """The messages of some of the usable topics, by log time as far as the file allows.

        Raises:
            PerceptionError: it is damaged.
        """


def full_type(name: str) -> str:
    """'sensor_msgs/msg/Image', also from 'sensor_msgs/Image'."""
    parts = name.split('/')
    return f'{parts[0]}/msg/{parts[1]}' if len(parts) == 2 else name
