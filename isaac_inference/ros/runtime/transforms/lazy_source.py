# SPDX-License-Identifier: Apache-2.0
"""Transforms for a node that may never ask: listening to /tf is not free, so it begins with the first question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from rclpy.node import Node

from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ros.runtime.transforms.base import TransformSource
from isaac_inference.ros.runtime.transforms.choose import TransformLibrary, make_transform_source


class LazyTransforms:
    """A `TransformSource` that listens from the first question on, or from `open` on; once closed, again.

    What was sent before is not known, but for /tf_static, which is latched: the first question waits, or is answered
    with an error, as of a source that has just begun.

    Args:
        node: whose executor fills it; may be made before the node is.
        prefer: the library, when it is opened: the node's parameter.
    """

    def __init__(self, node: Node, prefer: Callable[[], TransformLibrary]) -> None:
        self._node, self._prefer = node, prefer
        self.opened: TransformSource | None = None

    @property
    def counts(self) -> Counter[str]:
        """As of a `TransformSource`; empty before it is opened."""
        return Counter() if self.opened is None else self.opened.counts

    def open(self) -> TransformSource:
        """Listen from now on, unless it does.

        Raises:
            ConfigError: as `make_transform_source`.
        """
        if self.opened is None:
            self.opened = make_transform_source(self._node, self._prefer())
        return self.opened

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """As of a `TransformSource`."""
        return self.open().lookup(target, source, stamp_ns)

    def wait(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> np.ndarray:
        """As of a `TransformSource`."""
        return self.open().wait(target, source, stamp_ns, timeout_s)

    def pose(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> Pose:
        """T_target_source, as `wait` has it.

        Raises:
            TransformError: there is none, or none in time.
        """
        return Pose.from_matrix(self.wait(target, source, stamp_ns, timeout_s))

    def rewind(self, stamp_ns: int) -> None:
        """As of a `TransformSource`; one that has not begun has nothing to forget."""
        if self.opened is not None:
            self.opened.rewind(stamp_ns)

    def close(self) -> None:
        """Stop listening, if it does."""
        opened, self.opened = self.opened, None
        if opened is not None:
            opened.close()
