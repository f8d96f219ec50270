# SPDX-License-Identifier: Apache-2.0
"""Recordings of topics, written as MCAP files (profile `ros2`, messages in CDR, schemas as `ros2msg` text).

`ros2 bag`, Foxglove and this package read the same file; SQLite bags and ROS 1 bags are read too. Writing and reading
need no running ROS and no node:

    with RecordingWriter('run.mcap') as writer:
        writer.write('/image', message, log_time_ns=stamp)
    for item in Recording('run.mcap').messages(['/image']):
        print(item.log_time_ns, item.message.height)

`Recorder` and `Player` are the two ends that talk to live topics.
"""

from __future__ import annotations

from isaac_inference.ros.recording.message_definition import UnknownTypeError, message_class, message_definition
from isaac_inference.ros.recording.player import Player, PlayOptions
from isaac_inference.ros.recording.reader import Recorded, Recording
from isaac_inference.ros.recording.recorder import Recorder, Selection
from isaac_inference.ros.recording.storage import RecordedTopic
from isaac_inference.ros.recording.writer import COMPRESSIONS, RecordingWriter

__all__ = [
    'COMPRESSIONS',
    'Player',
    'PlayOptions',
    'Recorded',
    'RecordedTopic',
    'Recorder',
    'Recording',
    'RecordingWriter',
    'Selection',
    'UnknownTypeError',
    'message_class',
    'message_definition',
]
