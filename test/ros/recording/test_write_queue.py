# SPDX-License-Identifier: Apache-2.0
"""The thread between subscriptions and the disk."""

from __future__ import annotations

import threading

import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import String
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.recording import Recording, RecordingWriter, write_queue
from isaac_inference.ros.recording.write_queue import Item, WriteQueue


def item(word):
    return Item('/words', 'std_msgs/msg/String', serialize_message(String(data=word)), 1, 1, (), 0)


SIZE = len(item('a').data)


class Held:
    """A writer that waits until it is let go."""

    def __init__(self):
        self.go_on, self.begun, self.written, self.bytes_written = threading.Event(), threading.Event(), [], 0

    def write_raw(self, *given):
        self.begun.set()
        self.go_on.wait(LIMIT_S)
        self.written.append(given[2])

    def flush(self):
        pass

    def close(self):
        pass


def test_what_a_slow_disk_cannot_take_is_refused_and_room_is_made_again():
    writer = Held()
    queue = WriteQueue(writer, limit_bytes=3 * SIZE)
    assert queue.put(item('a'))
    assert writer.begun.wait(LIMIT_S)
    assert [queue.put(item('b')) for _ in range(4)] == [True, True, False, False], 'what is in hand counts too'
    writer.go_on.set()
    wait_until(lambda: len(writer.written) == 3)
    wait_until(lambda: queue.put(item('c')))
    queue.close()
    assert len(writer.written) == 4
    assert not queue.put(item('d'))


def test_a_message_larger_than_the_limit_is_taken_by_an_empty_queue(tmp_path):
    queue = WriteQueue(RecordingWriter(tmp_path / 'a.mcap'), limit_bytes=1)
    assert queue.put(item('a'))
    queue.close()
    assert len(list(Recording(tmp_path / 'a.mcap').messages())) == 1


def test_messages_reach_the_file_within_the_flush_period(tmp_path, monkeypatch):
    monkeypatch.setattr(write_queue, 'FLUSH_S', 0.01)
    queue = WriteQueue(RecordingWriter(tmp_path / 'a.mcap'), limit_bytes=1000)
    queue.put(item('a'))
    wait_until(lambda: len(list(Recording(tmp_path / 'a.mcap').messages())) == 1)
    queue.close()


def test_a_disk_that_fails_stops_it_with_the_reason(tmp_path, small_disk):
    queue = WriteQueue(RecordingWriter(tmp_path / 'a.mcap', compression='none'), limit_bytes=1 << 30)
    queue.put(item('a' * 2_000_000))
    wait_until(lambda: queue.error is not None)
    assert 'File too large): the file has reached the size that this file system' in str(queue.error)
    assert not queue.put(item('b'))
    queue.close()
    assert 'File too large' in str(queue.error)


@pytest.mark.parametrize('words', [[], ['a', 'b', 'c']])
def test_closing_writes_what_waits(tmp_path, words):
    queue = WriteQueue(RecordingWriter(tmp_path / 'a.mcap'), limit_bytes=1000)
    for word in words:
        queue.put(item(word))
    queue.close()
    recording = Recording(tmp_path / 'a.mcap')
    assert [found.message.data for found in recording.messages()] == words
    assert (recording.problem, queue.error) == ('', None)
    assert queue.bytes_written == (tmp_path / 'a.mcap').stat().st_size
