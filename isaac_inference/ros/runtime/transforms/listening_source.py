# SPDX-License-Identifier: Apache-2.0
"""What both sources share: the lock, the tree of frames, and waiting for data that may still arrive."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

import numpy as np
from geometry_msgs.msg import TransformStamped

from isaac_inference.ros.runtime.transforms.base import TransformError, frame_name, read_link
from isaac_inference.ros.runtime.transforms.frame_tree import FrameTree, Path


class ListeningSource(ABC):
    """A TransformSource (see there) that keeps a tree of what it receives; a subclass listens and calculates."""

    def __init__(self, tree: FrameTree) -> None:
        self.counts = tree.counts
        self._tree = tree
        self._closed = False
        self._arrived = threading.Condition()  # also guards the tree

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """T_target_source, (4, 4) float64, at that stamp; raises TransformError."""
        target, source = frame_name(target), frame_name(source)
        if target == source and target:
            return np.eye(4)
        with self._arrived:
            path = self._tree.path(target, source, stamp_ns)
            self._tree.check(path, target, source, stamp_ns)
            return self._calculate(path, target, source, stamp_ns)

    def wait(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> np.ndarray:
        """`lookup` that waits up to `timeout_s` for data that may still arrive."""
        end = time.monotonic() + timeout_s
        with self._arrived:
            while True:
                try:
                    return self.lookup(target, source, stamp_ns)
                except TransformError as error:
                    left_s = end - time.monotonic()
                    if not error.may_come or self._closed:
                        raise
                    if left_s <= 0:
                        self.counts['tf_timeout'] += 1
                        text = f'{error} [waited {timeout_s:g} s for it]'
                        raise TransformError(error.reason, text, may_come=True) from None
                self._arrived.wait(left_s)

    def rewind(self, stamp_ns: int) -> None:
        """Time has gone back to `stamp_ns`: dynamic transforms from before that reach over it are forgotten."""
        with self._arrived:
            self._tree.rewind(stamp_ns)

    def close(self) -> None:
        """Stop listening; pending waits raise their error at once. Safe to call twice."""
        with self._arrived:
            if self._closed:
                return
            self._closed = True
            self._arrived.notify_all()
        self._stop()

    def _accept(self, message: TransformStamped, is_static: bool) -> bool:
        """Add a message to the tree; False if it is refused."""
        with self._arrived:
            return not self._closed and self._tree.put(read_link(message), is_static)

    def _wake(self) -> None:
        with self._arrived:
            self._arrived.notify_all()

    @abstractmethod
    def _calculate(self, path: Path, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """T_target_source along a path that is known at that stamp; the lock is held."""

    @abstractmethod
    def _stop(self) -> None:
        """Stop listening."""
