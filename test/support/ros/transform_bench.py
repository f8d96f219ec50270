# SPDX-License-Identifier: Apache-2.0
"""A source of transforms on a bench: fed by hand, without DDS."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from isaac_inference.ros.runtime.transforms import TransformError, make_transform_source

S = 1_000_000_000
START = 1000 * S
NO_TURN = (0.0, 0.0, 0.0, 1.0)


def turn(degrees, axis='z'):
    return tuple(Rotation.from_euler(axis, degrees, degrees=True).as_quat())


def pose(shift=(0, 0, 0), degrees=0.0, axis='z'):
    """(4, 4) of a shift and a turn."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


class FakeNode:
    """A node that only keeps the callbacks of its subscriptions."""

    def __init__(self):
        self.callbacks, self.lines = {}, []

    def create_subscription(self, kind, topic, callback, qos, **options):
        self.callbacks[topic] = callback
        return topic

    def destroy_subscription(self, topic):
        self.callbacks.pop(topic, None)  # a second time is allowed, as in rclpy; the listener of tf2_ros does it

    def get_logger(self):
        return self

    def warning(self, text):
        self.lines.append(text)


class Bench:
    """A source and what it hears."""

    def __init__(self, kind, **options):
        self.node = FakeNode()
        self.source = make_transform_source(self.node, kind, **options)

    def put(self, parent, child, stamp_ns=START, shift=(0, 0, 0), rotation=NO_TURN, static=False):
        message = TransformStamped(child_frame_id=child)
        message.header.frame_id = parent
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, S)
        for name, value in zip('xyz', shift, strict=True):
            setattr(message.transform.translation, name, float(value))
        for name, value in zip('xyzw', rotation, strict=True):
            setattr(message.transform.rotation, name, float(value))
        self.node.callbacks['/tf_static' if static else '/tf'](TFMessage(transforms=[message]))

    def refusal(self, target, source, stamp_ns=START):
        with pytest.raises(TransformError) as caught:
            self.source.lookup(target, source, stamp_ns)
        return caught.value

    def reason(self, *arguments):
        return self.refusal(*arguments).reason

    @property
    def counts(self):
        return self.source.counts


def near(matrix):
    return pytest.approx(matrix, abs=1e-9)
