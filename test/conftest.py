# SPDX-License-Identifier: Apache-2.0
"""Set-up of all tests: time limits, a ROS domain of their own, the shipped Fast DDS profile, one ROS context."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from support.ros.leftovers import live_nodes, live_threads
from support.waiting import TEST_LIMIT_S

from isaac_inference.ros.runtime.resources import dds_environment

# before any test module imports rclpy's middleware: a robot on the same network must not hear the tests
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.update(dds_environment(os.environ))
os.environ.setdefault('PYTEST_TIMEOUT', str(TEST_LIMIT_S))  # of each test; --timeout and the variable itself go first


@pytest.fixture(scope='module', autouse=True)
def nothing_runs_on() -> Iterator[None]:
    """What a module of tests starts ends with it: a node that runs on would slow down all tests after it."""
    before = live_threads()
    yield
    left = live_threads() - before
    assert not left, f'still running: {sorted(thread.name for thread in left)}'


@pytest.fixture(scope='session', autouse=True)
def no_node_is_left() -> Iterator[None]:
    """All nodes are destroyed in the end."""
    yield
    assert not live_nodes()


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    """The default ROS context, for tests whose nodes live in this process."""
    import rclpy

    from isaac_inference.ros.runtime.compat import shutdown_context

    rclpy.init()
    yield
    shutdown_context(rclpy.get_default_context())
