# SPDX-License-Identifier: Apache-2.0
"""A stand-in for tf2_ros, which no package index has: as much of its documented Python API as is used here.

It isn't tf2: its maths is scipy's, its buffer a list. It shows that the calls fit the documented API and that the
exceptions are understood. The tests take the real one where that is installed: geometry2's branch for the ROS release
in use, whose packages tf2, tf2_py and tf2_msgs CMake builds against the wheels, and whose tf2_ros_py is plain Python.
"""

from __future__ import annotations

import importlib
import types
from collections import defaultdict

import numpy as np
from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation, Slerp
from tf2_msgs.msg import TFMessage


class TransformException(Exception):  # noqa: N818  tf2's name
    """Base of the others."""


class LookupException(TransformException):
    """An unknown frame."""


class ConnectivityException(TransformException):
    """Two trees."""


class ExtrapolationException(TransformException):
    """Out of the samples' range."""


class InvalidArgumentException(TransformException):
    """Arguments that are none."""


class Buffer:
    """Samples by child; answers by brute force."""

    def __init__(self, cache_time=None, node=None):
        self.cache_ns = cache_time.nanoseconds
        self.dynamic, self.static = defaultdict(dict), {}

    def clear(self):
        self.dynamic.clear()

    def set_transform(self, transform, authority):
        stamp = transform.header.stamp.sec * 10**9 + transform.header.stamp.nanosec
        self.static.pop(transform.child_frame_id, None)  # a frame is of the kind that came last
        self.dynamic[transform.child_frame_id][stamp] = transform

    def set_transform_static(self, transform, authority):
        self.dynamic.pop(transform.child_frame_id, None)
        self.static[transform.child_frame_id] = transform

    def lookup_transform(self, target_frame, source_frame, time, timeout=None):
        for name in (target_frame, source_frame):
            if not name or name[0] == '/':
                raise InvalidArgumentException(f'Invalid argument "{name}" passed to lookupTransform')
            if name not in self._frames():
                raise LookupException(f'"{name}" passed to lookupTransform does not exist.')
        (source_root, T_root_source), (target_root, T_root_target) = (
            self._to_root(name, time.nanoseconds) for name in (source_frame, target_frame)
        )
        if source_root != target_root:
            raise ConnectivityException('Could not find a connection: not part of the same tree.')
        return stamped(np.linalg.inv(T_root_target) @ T_root_source, target_frame, source_frame)

    def _frames(self):
        held = [*self.static.values(), *(one for samples in self.dynamic.values() for one in samples.values())]
        return {name for one in held for name in (one.header.frame_id, one.child_frame_id)}

    def _to_root(self, frame, stamp):
        matrix = np.eye(4)
        while frame in self.static or frame in self.dynamic:
            parent, link = self._link(frame, stamp)
            frame, matrix = parent, link @ matrix
        return frame, matrix

    def _link(self, frame, stamp):
        if frame in self.static:
            return self.static[frame].header.frame_id, matrix_of(self.static[frame])
        samples = self.dynamic[frame]
        stamps = np.array(sorted(samples))
        stamps = stamps[stamps >= stamps[-1] - self.cache_ns]
        stamp = stamp or stamps[-1]  # 0 asks for the newest
        if not stamps[0] <= stamp <= stamps[-1]:
            raise ExtrapolationException('Lookup would require extrapolation')
        ends = [matrix_of(samples[at]) for at in stamps.tolist()]
        matrix = np.eye(4)
        times = (stamps - stamps[0]) / 1e9
        at = (stamp - stamps[0]) / 1e9
        matrix[:3, 3] = [np.interp(at, times, [end[row, 3] for end in ends]) for row in range(3)]
        turns = Rotation.from_matrix([end[:3, :3] for end in ends])
        matrix[:3, :3] = (Slerp(times, turns)(at) if len(ends) > 1 else turns[0]).as_matrix()
        return samples[int(stamps[-1])].header.frame_id, matrix


class TransformListener:
    """Feeds a buffer from /tf and /tf_static."""

    def __init__(self, buffer, node, *, spin_thread=False, qos=None, static_qos=None):
        self.buffer, self.node = buffer, node
        self.tf_sub = node.create_subscription(TFMessage, '/tf', self.callback, 100)
        self.tf_static_sub = node.create_subscription(TFMessage, '/tf_static', self.static_callback, 100)

    def callback(self, data):
        for transform in data.transforms:
            self.buffer.set_transform(transform, 'default_authority')

    def static_callback(self, data):
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, 'default_authority')

    def unregister(self):
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)


def matrix_of(message):
    """(4, 4) of a TransformStamped."""
    shift, turn = message.transform.translation, message.transform.rotation
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    matrix[:3, 3] = shift.x, shift.y, shift.z
    return matrix


def stamped(matrix, parent, child):
    """TransformStamped of a (4, 4)."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    for name, value in zip('xyz', matrix[:3, 3], strict=True):
        setattr(message.transform.translation, name, float(value))
    for name, value in zip('xyzw', Rotation.from_matrix(matrix[:3, :3]).as_quat(), strict=True):
        setattr(message.transform.rotation, name, float(value))
    return message


def tf2_ros():
    """To be put into sys.modules as 'tf2_ros': the real one where it is installed."""
    try:
        return importlib.import_module('tf2_ros')
    except ImportError:
        return as_module()


def as_module():
    """The stand-in as a module."""
    module = types.ModuleType('tf2_ros')
    for thing in (
        Buffer,
        TransformListener,
        TransformException,
        LookupException,
        ConnectivityException,
        ExtrapolationException,
        InvalidArgumentException,
    ):
        setattr(module, thing.__name__, thing)
    return module
