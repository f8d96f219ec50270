# SPDX-License-Identifier: Apache-2.0
"""Set-up of all tests: a ROS domain of their own, the shipped Fast DDS profile, one ROS context."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from isaac_inference.ros.runtime.resources import dds_environment

# before any test module imports rclpy's middleware: a robot on the same network must not hear the tests
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.update(dds_environment(os.environ))


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    """The default ROS context, for tests whose nodes live in this process."""
    import rclpy

    from isaac_inference.ros.runtime.compat import shutdown_context

    rclpy.init()
    yield
    shutdown_context(rclpy.get_default_context())
