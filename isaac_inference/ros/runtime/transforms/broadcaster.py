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
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.transforms.base import frame_name


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

    def send(self, poses: Iterable[_Given]) -> None:
        """Publish poses at their stamps, in one message; nothing if there are none.

        Raises:
            FrameError: 'bad_transform': a pose that is not a transform; 'tf_zero_stamp': one without a stamp, which
                holds at no time. Nothing is published then.
        """
        messages = [_message(FramePose(*pose)) for pose in poses]
        if not messages:
            return
        if unstamped := [item.child_frame_id for item in messages if not stamp_ns(item.header)]:
            raise FrameError(
                'tf_zero_stamp',
                f'{", ".join(unstamped)}: no stamp, so not sent on /tf, where it would hold at no time; have the '
                'publisher of the images fill in header.stamp',
            )
        moving = {message.child_frame_id for message in messages} & self._statics.keys()
        if moving:  # whoever listens later must not be told that they stand still
            self._statics = {child: message for child, message in self._statics.items() if child not in moving}
            self._static_writer.publish(TFMessage(transforms=list(self._statics.values())))
        self._dynamic_writer.publish(TFMessage(transforms=messages))

    def send_static(self, poses: Iterable[_Given]) -> None:
        """Publish poses that hold for all times, with those of earlier calls; a child's latest one counts.

        Raises:
            FrameError: 'bad_transform': a pose that is not a transform; nothing is published then.
        """
        messages = [_message(FramePose(*pose)) for pose in poses]
        if messages:
            self._statics.update({message.child_frame_id: message for message in messages})
            self._static_writer.publish(TFMessage(transforms=list(self._statics.values())))

    def close(self) -> None:
        """Destroy the publishers, and with them what was latched. Safe to call twice."""
        for writer in (self._dynamic_writer, self._static_writer):
            self._node.destroy_publisher(writer)
        self._statics.clear()


def _message(pose: FramePose) -> TransformStamped:
    pose = pose._replace(parent=frame_name(pose.parent), child=frame_name(pose.child))
    shift, turn = [float(value) for value in pose.translation], [float(value) for value in pose.rotation]
    norm = math.hypot(*turn)
    finite = all(map(math.isfinite, (*shift, norm)))
    if len(shift) != 3 or len(turn) != 4 or not finite or norm < 1e-6 or pose.parent == pose.child:
        raise FrameError(
            'bad_transform',
            f'the pose of {pose.child!r} in {pose.parent!r} is not a transform: translation {shift}, quaternion '
            f'(x, y, z, w) {turn}; expected 3 and 4 finite numbers, the latter not all 0, and two different frames',
        )
    if not pose.parent or not pose.child:
        raise FrameError(
            'bad_transform',
            f'a transform from {pose.child!r} to {pose.parent!r}: a frame has no name; fill in header.frame_id',
        )
    stamp = pose.stamp if isinstance(pose.stamp, Time) else _to_time(pose.stamp)
    x, y, z, w = (value / norm for value in turn)
    return TransformStamped(
        header=Header(stamp=stamp, frame_id=pose.parent),
        child_frame_id=pose.child,
        transform=Transform(
            translation=Vector3(x=shift[0], y=shift[1], z=shift[2]), rotation=Quaternion(x=x, y=y, z=z, w=w)
        ),
    )


def _to_time(stamp_ns: int) -> Time:
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)
