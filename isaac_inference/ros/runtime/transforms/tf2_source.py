# SPDX-License-Identifier: Apache-2.0
"""Transforms by tf2_ros, if that is installed: its Buffer calculates, its TransformListener listens.

The buffer receives data through its public `set_transform` and `set_transform_static`; they are overridden so that a
wait ends with the message it waits for (tf2's own waits poll), and that errors name what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from isaac_inference.ros.runtime.transforms.base import TransformError, Warn, frame_name, seconds
from isaac_inference.ros.runtime.transforms.frame_tree import FrameTree, Path
from isaac_inference.ros.runtime.transforms.listening_source import ListeningSource

_REASONS = {  # of the exceptions that remain once the tree of frames has been checked
    'LookupException': 'tf_unknown_frame',
    'ConnectivityException': 'tf_not_connected',
    'ExtrapolationException': 'tf_future',
    'InvalidArgumentException': 'tf_invalid',
}


class Tf2Source(ListeningSource):
    """A TransformSource by tf2_ros.

    Raises:
        ImportError: tf2_ros isn't installed (or not for this Python).
    """

    def __init__(self, node: Node, buffer_s: float, warn: Warn) -> None:
        import tf2_ros

        # no tf2 function that could call back is called with our lock held; its own lock nests inside ours
        super().__init__(FrameTree(buffer_s, warn, on_time_jump=lambda: self._buffer.clear()))
        self._error = tf2_ros.TransformException
        cache_time = Duration(nanoseconds=round(buffer_s * 1e9))
        self._buffer = _watched_buffer(tf2_ros, cache_time, self._accept, self._wake)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def _calculate(self, path: Path, target: str, source: str, stamp_ns: int) -> np.ndarray:
        # tf2 takes time 0 for 'the newest'; only a static path comes here with a stamp of 0
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=max(stamp_ns, 0)))
        except self._error as error:
            kinds = (_REASONS.get(kind.__name__) for kind in type(error).__mro__)
            reason = next((kind for kind in kinds if kind), 'tf_invalid')
            raise TransformError(
                reason,
                f'no transform from {source!r} to {target!r} at {seconds(stamp_ns)}: tf2 says: {error}',
                may_come=reason != 'tf_invalid',
            ) from error
        return _matrix(found)

    def _stop(self) -> None:
        self._listener.unregister()


def _watched_buffer(
    tf2_ros: Any, cache_time: Duration, accept: Callable[[TransformStamped, bool], bool], wake: Callable[[], None]
) -> Any:
    """A tf2_ros.Buffer that stores what `accept` accepts and calls `wake` after each."""

    class WatchedBuffer(tf2_ros.Buffer):  # type: ignore[misc, name-defined]
        def set_transform(self, transform: TransformStamped, authority: str) -> None:
            if accept(transform, False):
                super().set_transform(_without_slashes(transform), authority)
                wake()

        def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
            if accept(transform, True):
                super().set_transform_static(_without_slashes(transform), authority)
                wake()

    return WatchedBuffer(cache_time=cache_time)


def _without_slashes(transform: TransformStamped) -> TransformStamped:
    transform.header.frame_id = frame_name(transform.header.frame_id)
    transform.child_frame_id = frame_name(transform.child_frame_id)
    return transform


def _matrix(message: TransformStamped) -> np.ndarray:
    """The message's transform, (4, 4) float64; the quaternion is normalised."""
    shift, turn = message.transform.translation, message.transform.rotation
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), shift.x],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), shift.y],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), shift.z],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
