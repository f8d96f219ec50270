# SPDX-License-Identifier: Apache-2.0
"""A thread that writes a recording, so that compression and the disk never block a subscription."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple

from rclpy.qos import QoSProfile

from isaac_inference.errors import PerceptionError
from isaac_inference.ros.recording.writer import RecordingWriter

FLUSH_S = 1.0  # a killed recorder loses this much at most


class Item(NamedTuple):
    """A message queued for the file."""

    topic: str
    type_name: str
    data: bytes
    log_time_ns: int
    publish_time_ns: int
    qos: tuple[QoSProfile, ...]
    sequence: int


class WriteQueue:
    """Takes messages without waiting and writes them in a separate thread; owns `writer`.

    Args:
        writer: the recording; must not be used elsewhere until `close()` has returned.
        limit_bytes: messages that would make the queue larger than this are refused.
    """

    def __init__(self, writer: RecordingWriter, limit_bytes: int) -> None:
        self._writer, self._limit = writer, limit_bytes
        self._items: deque[Item] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._changed = threading.Condition()
        self.error: PerceptionError | None = None
        self.bytes_written = writer.bytes_written
        self._thread = threading.Thread(target=self._run, name='recording writer', daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Queue a message; False if it can't be kept: the disk is slower than the topics, or has failed."""
        with self._changed:
            full = self._waiting_bytes + len(item.data) > self._limit and self._items
            if full or self._closing or self.error is not None:
                return False
            self._items.append(item)
            self._waiting_bytes += len(item.data)
            self._changed.notify()
        return True

    def close(self) -> None:
        """Write what is queued, and the index; then the file is closed and `error` says whether it failed."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        try:
            self._writer.close()
        except PerceptionError as error:
            self.error = self.error or error
        self.bytes_written = self._writer.bytes_written

    def _run(self) -> None:
        flushed = time.monotonic()
        try:
            while (items := self._take(flushed + FLUSH_S - time.monotonic())) is not None:
                for item in items:
                    self._writer.write_raw(*item)
                    with self._changed:
                        self._waiting_bytes -= len(item.data)
                if time.monotonic() - flushed >= FLUSH_S:
                    self._writer.flush()
                    flushed = time.monotonic()
                self.bytes_written = self._writer.bytes_written
        except PerceptionError as error:
            with self._changed:
                self.error = error
                self._items.clear()
                self._waiting_bytes = 0

    def _take(self, timeout_s: float) -> list[Item] | None:
        """Everything queued, perhaps nothing after `timeout_s`; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closing, max(timeout_s, 0.0))
            if self._closing and not self._items:
                return None
            items = list(self._items)
            self._items.clear()
            return items
