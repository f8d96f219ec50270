# SPDX-License-Identifier: Apache-2.0
"""Publishes transforms to /tf and /tf_static.

Uses plain rclpy publishers, not the in-process transport: the listeners (tf2 or `runtime.transforms`) receive all
publishers on these topics through DDS, including this process, and the messages are small.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.assembly import assembler
from isaac_inference.ros.runtime.transforms.base import frame_name

_vector, _quaternion = assembler(Vector3, 'x', 'y', 'z'), assembler(Quaternion, 'x', 'y', 'z', 'w')
_transform = assembler(Transform, 'translation', 'rotation')
_header = assembler(Header, 'stamp', 'frame_id')
_stamped = assembler(TransformStamped, 'header', 'child_frame_id', 'transform')


class FramePose(NamedTuple):
    """The pose of `child` in `parent`: metres, quaternion (x, y, z, w) of any length above 0.

    The stamp is in ns, or a Time message.
    """

    parent: str
    child: str
    stamp: int | Time
    translation: Sequence[float] | np.ndarray
    rotation: Sequence[float] | np.ndarray


_Numbers = Sequence[float] | np.ndarray
_Given = FramePose | tuple[str, str, int | Time, _Numbers, _Numbers]


class TransformBroadcaster:
    """Publishes to /tf (reliable, depth 100) and, latched, to /tf_static, on behalf of a node.

    Frames are published without the leading '/' of older software, which tf2 refuses.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._statics: dict[str, TransformStamped] = {}
        reliable = QoSProfile(depth=100, reliability=QoSReliabilityPolicy.RELIABLE)
        # depth 1: each message holds all static transforms, so the last one is what a late joiner needs
        latched = QoSProfile(
            depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
        )
        self._dynamic_writer = node.create_publisher(TFMessage, '/tf', reliable)
        self._static_writer = node.create_publisher(TFMessage, '/tf_static', latched)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens to /tf; what comes while nobody does is checked, and lost."""
        return bool(self._dynamic_writer.get_subscription_count())

    def send(self, poses: Iterable[_Given]) -> None:
        """Publish poses at their stamps, in one message; nothing if there are none.

        Raises:
            FrameError: 'bad_transform': a pose that is not a transform; 'tf_zero_stamp': one without a stamp, which
                holds at no time. Nothing is published then.
        """
        checked = [_checked(FramePose(*pose)) for pose in poses]
        if not checked:
            return
        if unstamped := [pose.child for pose in checked if not _ns(pose.stamp)]:
            raise FrameError(
                'tf_zero_stamp',
                f'{", ".join(unstamped)}: no stamp, so not sent on /tf, where it would hold at no time; have the '
                'publisher of the images fill in header.stamp',
            )
        moving = {pose.child for pose in checked} & self._statics.keys()
        if moving:  # whoever listens later must not be told that they stand still
            self._statics = {child: message for child, message in self._statics.items() if child not in moving}
            self._static_writer.publish(TFMessage(transforms=list(self._statics.values())))
        if self.wanted:
            self._dynamic_writer.publish(TFMessage(transforms=[_message(pose) for pose in checked]))

    def send_static(self, poses: Iterable[_Given]) -> None:
        """Publish poses that hold for all times, with those of earlier calls; a child's latest one counts.

        Raises:
            FrameError: 'bad_transform': a pose that is not a transform; nothing is published then.
        """
        messages = [_message(_checked(FramePose(*pose))) for pose in poses]
        if messages:
            self._statics.update({message.child_frame_id: message for message in messages})
            self._static_writer.publish(TFMessage(transforms=list(self._statics.values())))

    def close(self) -> None:
        """Destroy the publishers, and with them what was latched. Safe to call twice."""
        for writer in (self._dynamic_writer, self._static_writer):
            self._node.destroy_publisher(writer)
        self._statics.clear()


def _checked(pose: FramePose) -> FramePose:
    """The pose with plain floats, a unit quaternion, and names as tf2 takes them.

    Raises:
        FrameError: 'bad_transform': it is not a transform.
    """
    parent, child = frame_name(pose.parent), frame_name(pose.child)
    shift, turn = [float(value) for value in pose.translation], [float(value) for value in pose.rotation]
    norm = math.hypot(*turn)
    finite = all(map(math.isfinite, (*shift, norm)))
    if len(shift) != 3 or len(turn) != 4 or not finite or norm < 1e-6 or parent == child:
        raise FrameError(
            'bad_transform',
            f'the pose of {child!r} in {parent!r} is not a transform: translation {shift}, quaternion '
            f'(x, y, z, w) {turn}; expected 3 and 4 finite numbers, the latter not all 0, and two different frames',
        )
    if not parent or not child:
        raise FrameError(
            'bad_transform',
            f'a transform from {child!r} to {parent!r}: a frame has no name; fill in header.frame_id',
        )
    return FramePose(parent, child, pose.stamp, shift, [value / norm for value in turn])


def _message(pose: FramePose) -> TransformStamped:
    stamp = pose.stamp if isinstance(pose.stamp, Time) else _to_time(pose.stamp)
    transform = _transform(_vector(*pose.translation), _quaternion(*pose.rotation))
    message: TransformStamped = _stamped(_header(stamp, pose.parent), pose.child, transform)
    return message


def _ns(stamp: int | Time) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec if isinstance(stamp, Time) else int(stamp)


def _to_time(stamp_ns: int) -> Time:
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)
