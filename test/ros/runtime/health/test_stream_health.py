# SPDX-License-Identifier: Apache-2.0
"""One stream's health: its own figures, the same in the node's, and words that name it."""

from __future__ import annotations

import pytest

from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.health.input_watch import InputState
from isaac_inference.ros.runtime.health.stream_health import StreamHealth


@pytest.fixture
def lines():
    return []


@pytest.fixture
def node(lines):
    return Health(lambda is_error, text: lines.append(text))


@pytest.fixture
def streams(node):
    return [StreamHealth(name, node) for name in ('front', 'left')]


def counts(health):
    found = health.snapshot()
    return found.received, found.processed, found.drops


def test_each_counts_its_own_and_the_node_all(node, streams):
    front, left = streams
    for _ in range(3):
        front.received(5.0)
    front.processed(1.0)
    front.dropped('bad_tensor', 'it has no shape')
    front.superseded(2)
    left.received()
    left.processed(2.0)
    assert counts(front) == (5, 1, {'bad_tensor': 1, 'superseded': 2})
    assert counts(left) == (1, 1, {})
    assert counts(node) == (6, 2, {'bad_tensor': 1, 'superseded': 2})


def test_only_one_may_be_silent(node, streams):
    front, left = streams
    for health in (node, *streams):
        health.input_timeout_s = 0.0
    front.received()
    front.input_timeout_s = node.input_timeout_s = 3600.0
    assert front.look_at_input()[0] is node.look_at_input()[0] is InputState.FLOWING
    assert left.look_at_input()[0] is InputState.MISSING


def test_what_is_said_names_the_stream_and_the_same_of_another_is_said_too(lines, streams):
    for stream in streams:
        for _ in range(2):
            stream.dropped('bad_tensor', 'it has no shape')
    assert lines == [
        'stream front: frame dropped (bad_tensor): it has no shape',
        'stream left: frame dropped (bad_tensor): it has no shape',
    ]


def test_a_note_is_said_once_for_each_stream_and_counted_in_both(node, lines, streams):
    for stream in streams:
        for _ in range(3):
            stream.noted('frame_id_changed', 'it is another', say_once=True)
    assert [line.split(':')[0] for line in lines] == ['stream front', 'stream left']
    assert streams[0].snapshot().notes == {'frame_id_changed': 3}
    assert node.snapshot().notes == {'frame_id_changed': 6}


def test_problems_are_the_node_s_and_each_stream_s_own(node, streams):
    front, left = streams
    front.problem('zero_stamp', 'no stamps')
    left.problem('zero_stamp', 'no stamps')
    assert [text for _, text in node.snapshot().problems] == ['stream front: no stamps', 'stream left: no stamps']
    front.clear('zero_stamp')
    assert [text for _, text in node.snapshot().problems] == ['stream left: no stamps']
    left.standing('zero_stamp', None)
    front.show('state', 'flowing')
    front.skipped('thing', 'left out')
    found = node.snapshot()
    assert (found.problems, found.shown, found.skips) == ((), {'stream.front.state': 'flowing'}, {'thing': 1})
