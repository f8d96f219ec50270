# SPDX-License-Identifier: Apache-2.0
"""A node that needs minutes of preparation: responsive, says so, activates itself when it is done."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import State
from rclpy.lifecycle import TransitionCallbackReturn
from support.waiting import wait_until

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.node import PipelineNode


class Work:
    """A preparation that a test ends."""

    def __init__(self):
        self.state, self.error, self.cancelled = 'BUILDING the engine: 10 %', None, False

    def poll(self):
        if self.error is not None:
            raise self.error
        return self.state

    def cancel(self):
        self.cancelled = True


class SlowNode(PipelineNode):
    work: Work
    opened = 0

    def on_setup(self):
        self.work = Work()
        self.prepare(self.work)

    def on_prepared(self):
        if self.work.state is None:
            raise ConfigError('what was prepared is damaged')
        self.opened += 1


@pytest.fixture
def node(make_node):
    made = make_node(SlowNode, diagnostics_period_s=0.1)
    spin = SpinThread(made)
    wait_until(lambda: made.state == 'inactive')
    yield made
    spin.stop()


def problems(node):
    return '; '.join(text for _, text in node.health.snapshot().problems)


def test_it_is_inactive_and_says_why_and_then_activates_itself(node):
    wait_until(lambda: 'BUILDING the engine: 10 %' in problems(node))
    assert (node.state, node.opened) == ('inactive', 0)
    node.work.state = ''
    wait_until(lambda: node.state == 'active')
    assert node.opened == 1
    assert 'BUILDING' not in problems(node)


def test_asked_to_activate_meanwhile_it_refuses_and_does_it_later(node):
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert node.state == 'inactive'
    node.work.state = ''
    wait_until(lambda: node.state == 'active')


@pytest.mark.parametrize('where', ['poll', 'done'])
def test_a_failure_is_an_error_and_the_node_stays_inactive_until_it_is_cleaned_up(node, where):
    if where == 'poll':
        node.work.error = ConfigError('what was prepared is damaged')
    else:
        node.work.state = None
        node.work.poll = lambda: ''
    wait_until(lambda: 'what was prepared is damaged' in problems(node))
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert 'damaged' not in problems(node)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    node.work.state = ''
    wait_until(lambda: node.state == 'active')


def test_cleanup_cancels_it(node):
    work = node.work
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert work.cancelled
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_UNCONFIGURED
