# SPDX-License-Identifier: Apache-2.0
"""The formats of recordings: MCAP by our own reading of its records, the others by the library rosbags."""

from __future__ import annotations

from isaac_inference.ros.recording.storage.base import Contents, Entry, RecordedTopic, Storage
from isaac_inference.ros.recording.storage.find import is_recording, open_storage

__all__ = ['Contents', 'Entry', 'RecordedTopic', 'Storage', 'is_recording', 'open_storage']
