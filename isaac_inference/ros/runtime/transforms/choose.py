# SPDX-License-Identifier: Apache-2.0
"""Which source of transforms a node gets."""

from __future__ import annotations

import math
from enum import Enum

from rclpy.node import Node

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.transforms.base import TransformSource, Warn

_INSTALL = 'install tf2_ros from the ROS distribution (apt: ros-<distro>-tf2-ros-py), or "pip install pytransform3d"'


class TransformLibrary(str, Enum):
    """The library that keeps the transforms; 'auto' uses tf2_ros if it is installed."""

    AUTO = 'auto'
    TF2_ROS = 'tf2_ros'
    PYTRANSFORM3D = 'pytransform3d'


def make_transform_source(
    node: Node, prefer: TransformLibrary | str = 'auto', buffer_s: float = 10.0
) -> TransformSource:
    """A source that listens to /tf and /tf_static from now on, through `node`; the node's executor must be spinning.

    Args:
        prefer: 'auto' uses tf2_ros if it can be imported, else pytransform3d.
        buffer_s: how far back transforms are kept.

    Raises:
        ConfigError: an unknown name, an invalid buffer length, or the library isn't installed.
    """
    try:
        library = TransformLibrary(prefer)
    except ValueError:
        raise ConfigError(f"transform source {prefer!r}: expected 'auto', 'tf2_ros' or 'pytransform3d'") from None
    if not (math.isfinite(buffer_s) and buffer_s > 0):
        raise ConfigError(f'transform buffer of {buffer_s} s: expected a length above 0')
    missing = []
    for name in ('tf2_ros', 'pytransform3d') if library is TransformLibrary.AUTO else (library.value,):
        try:
            return _make(name, node, buffer_s, _warn_by(node))
        except ImportError as error:
            missing.append(f'{name}: {error}')
    raise ConfigError(f'no transform source ({"; ".join(missing)}): {_INSTALL}')


def _make(name: str, node: Node, buffer_s: float, warn: Warn) -> TransformSource:
    if name == 'tf2_ros':
        from isaac_inference.ros.runtime.transforms.tf2_source import Tf2Source

        return Tf2Source(node, buffer_s, warn)
    from isaac_inference.ros.runtime.transforms.pytransform_source import PytransformSource

    return PytransformSource(node, buffer_s, warn)


def _warn_by(node: Node) -> Warn:
    """The node's own throttled log if it is one of ours."""
    health = getattr(node, 'health', None)
    if not isinstance(health, Health):
        health = Health(lambda is_error, text: node.get_logger().warning(text))
    return health.warn
