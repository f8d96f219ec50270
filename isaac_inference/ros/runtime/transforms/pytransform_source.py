# SPDX-License-Identifier: Apache-2.0
"""Transforms without tf2: our own subscriptions to /tf and /tf_static, maths by pytransform3d."""

from __future__ import annotations

import numpy as np
from pytransform3d.transformations import concat, invert_transform
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from tf2_msgs.msg import TFMessage

from isaac_inference.ros.runtime.transforms.base import Warn
from isaac_inference.ros.runtime.transforms.frame_tree import Edge, FrameTree, Path
from isaac_inference.ros.runtime.transforms.listening_source import ListeningSource
from isaac_inference.ros.runtime.transforms.sampled_edge import SampledEdge

_DEPTH = 100  # as in tf2: a late executor must not lose samples


class PytransformSource(ListeningSource):
    """A TransformSource of our own, for machines without tf2_ros.

    Its subscriptions are plain ones in a separate callback group: publishers in this process and in others are
    treated alike, and the topics can be remapped.
    """

    def __init__(self, node: Node, buffer_s: float, warn: Warn) -> None:
        super().__init__(FrameTree(buffer_s, warn, make_edge=SampledEdge))
        self._node = node
        group = MutuallyExclusiveCallbackGroup()
        dynamic = QoSProfile(depth=_DEPTH, reliability=QoSReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=_DEPTH,
            reliability=QoSReliabilityPolicy.RELIABLE,
            durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
        )
        self._readers = [
            node.create_subscription(TFMessage, '/tf', self._on_dynamic, dynamic, callback_group=group),
            node.create_subscription(TFMessage, '/tf_static', self._on_static, latched, callback_group=group),
        ]

    def _on_dynamic(self, message: TFMessage) -> None:
        self._take(message, False)

    def _on_static(self, message: TFMessage) -> None:
        self._take(message, True)

    def _take(self, message: TFMessage, is_static: bool) -> None:
        for transform in message.transforms:
            self._accept(transform, is_static)
        self._wake()

    def _calculate(self, path: Path, target: str, source: str, stamp_ns: int) -> np.ndarray:
        up, down = _compose(path.from_source, stamp_ns), _compose(path.from_target, stamp_ns)
        if down is None:
            return np.eye(4) if up is None else up
        back = invert_transform(down, check=False)
        return back if up is None else concat(up, back, check=False)  # the library's order: the first is applied first

    def _stop(self) -> None:
        for reader in self._readers:
            self._node.destroy_subscription(reader)


def _compose(edges: tuple[Edge, ...], stamp_ns: int) -> np.ndarray | None:
    """T_ancestor_frame from the edges of a frame up to that ancestor, a matrix of its own; None for no edges."""
    product = None
    for edge in edges:
        if isinstance(edge, SampledEdge):
            link = edge.matrix(stamp_ns)
            product = link.copy() if product is None else concat(product, link, check=False)
    return product
