# SPDX-License-Identifier: Apache-2.0
"""Messages and files for tests of recordings."""

from __future__ import annotations

import resource

import pytest
from geometry_msgs.msg import TransformStamped
from std_msgs.msg import String
from support.ros.probe import image_message
from tf2_msgs.msg import TFMessage

from isaac_inference.ros.recording import RecordingWriter


def some_messages(count=6):
    """(topic, message, log time) of three types, ten milliseconds apart."""
    made = []
    for number in range(count):
        transform = TransformStamped(child_frame_id=f'cup_{number}')
        transform.transform.rotation.w = 1.0
        message = (image_message(), String(data=f'word {number}'), TFMessage(transforms=[transform] * number))
        topic = ('/camera/image', '/words', '/tf')[number % 3]
        made.append((topic, message[number % 3], 1_700_000_000_000_000_000 + number * 10_000_000))
    return made


def write_recording(path, messages, **options):
    """A finished recording of (topic, message, log time)."""
    with RecordingWriter(path, **options) as writer:
        for topic, message, time_ns in messages:
            writer.write(topic, message, time_ns)
    return path


@pytest.fixture
def messages():
    return some_messages()


@pytest.fixture
def recorded(tmp_path, messages):
    """A recording of `messages`."""
    return write_recording(tmp_path / 'run.mcap', messages)


@pytest.fixture
def small_disk():
    """Files can't grow beyond 1.5 MB: as a full disk, but with an error of its own.

    It counts for all files of this process, and so for the log of the tests where that is a file: hence not less.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
