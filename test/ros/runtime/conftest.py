# SPDX-License-Identifier: Apache-2.0
"""Nodes, packages and topics for tests of the runtime, gone at the end of the test."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from support.ros.fake_package import fake_package
from support.ros.topic_ends import RELIABLE, REMOTE_RELIABLE, WORD, Inbox

from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.topics.publisher import Publisher

_numbers = itertools.count(1)


@pytest.fixture
def make_node(ros: None) -> Iterator[Callable[..., Any]]:
    """Makes a node of a class, under a unique name, with parameters as in a YAML file; it is not spun."""
    made: list[Node] = []

    def make(kind: type[Node], **parameters: Any) -> Node:
        overrides = [Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()]
        made.append(kind(f'node_{next(_numbers)}', parameter_overrides=overrides))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


@pytest.fixture(scope='module')
def fake_robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package `fake_robot` is installed."""
    with fake_package(tmp_path_factory.mktemp('site')):
        yield


@contextlib.contextmanager
def spinning(context):
    """A plain node that is spun."""
    spin = SpinThread(Node('plain', context=context))
    yield spin.node
    spin.stop()


@pytest.fixture(scope='module')
def here(ros):
    """The node of this process."""
    with spinning(rclpy.get_default_context()) as node:
        yield node


@pytest.fixture(scope='module')
def far():
    """A node of another DDS participant, as in another process."""
    context = Context()
    rclpy.init(context=context)
    with spinning(context) as node:
        yield node
    context.shutdown()


@pytest.fixture
def topic():
    return f'topic_{next(_numbers)}'


@pytest.fixture
def inbox(here, topic):
    """Makes inboxes, which are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda qos=RELIABLE, adapter=WORD, **options: stack.enter_context(
            contextlib.closing(Inbox(here, topic, qos, adapter, **options))
        )


@pytest.fixture
def publisher(here, topic):
    """Makes publishers, which are closed at the end; each has a `health`."""
    with contextlib.ExitStack() as stack:

        def make(qos=RELIABLE, adapter=WORD):
            health = Health(lambda is_error, text: None)
            made = stack.enter_context(contextlib.closing(Publisher(here, adapter, topic, qos, health)))
            made.health = health
            return made

        yield make


@pytest.fixture
def far_inbox(far, topic):
    """Makes plain rclpy subscriptions elsewhere: lists of the texts that arrived."""
    made = []

    def make(qos=REMOTE_RELIABLE):
        texts = []
        made.append(far.create_subscription(String, topic, lambda message: texts.append(message.data), qos))
        return texts

    yield make
    for subscription in made:
        far.destroy_subscription(subscription)


@pytest.fixture
def far_publisher(far, topic):
    """Makes plain rclpy publishers elsewhere."""
    made = []

    def make(qos=REMOTE_RELIABLE):
        made.append(far.create_publisher(String, topic, qos))
        return made[-1]

    yield make
    for one in made:
        far.destroy_publisher(one)
