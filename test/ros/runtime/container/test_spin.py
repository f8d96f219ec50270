# SPDX-License-Identifier: Apache-2.0
"""A node in a thread of its own."""

from __future__ import annotations

import sys
import threading

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from support.waiting import LIMIT_S, wait_until

from isaac_inference.ros.runtime.container.spin import SpinThread


@pytest.fixture
def raised(monkeypatch):
    """What threads died of."""
    found = []
    monkeypatch.setattr(threading, 'excepthook', lambda arguments: found.append(arguments.exc_value))
    return found


def test_a_callback_that_raises_is_logged_and_the_node_lives_on(ros, raised, capfd):
    node, calls = Node('clumsy'), []

    def tick():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError('tripped')

    node.create_timer(0.001, tick)
    spin = SpinThread(node)
    wait_until(lambda: len(calls) > 3)
    spin.stop()
    assert raised == []
    logged = ''.join(capfd.readouterr())
    assert '[clumsy]: a callback raised' in logged
    assert 'RuntimeError: tripped' in logged


def test_stop_waits_for_the_callback_in_hand(ros):
    node, begun, go_on, ended = Node('busy'), threading.Event(), threading.Event(), threading.Event()

    def tick():
        begun.set()
        go_on.wait(LIMIT_S)
        ended.set()

    node.create_timer(0.001, tick)
    spin = SpinThread(node)
    assert begun.wait(LIMIT_S)
    stopper = threading.Thread(target=spin.stop)
    stopper.start()
    stopper.join(0.05)
    assert stopper.is_alive()
    go_on.set()
    stopper.join(LIMIT_S)
    assert ended.is_set()
    assert not stopper.is_alive()


def test_it_can_be_stopped_at_any_moment(ros, raised, monkeypatch):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(100):
            node = Node('brief')
            node.create_timer(0.0002, lambda: None)
            SpinThread(node).stop()
    finally:
        sys.setswitchinterval(before)
    assert raised == []


def test_it_ends_with_its_context(raised):
    context = Context()
    rclpy.init(context=context)
    spin = SpinThread(Node('orphan', context=context))
    context.shutdown()
    spin.stop()
    assert raised == []
