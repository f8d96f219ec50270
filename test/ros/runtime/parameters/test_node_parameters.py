# SPDX-License-Identifier: Apache-2.0
"""A node's parameters: wrong at start, corrected, changed live, refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.parameters.node_parameters import NodeParameters
from isaac_inference.ros.runtime.parameters.schema import flatten, group, param
from isaac_inference.ros.runtime.topics.qos import QosParameters

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Speed(str, Enum):
    SLOW = 'slow'
    QUICK = 'quick'


@dataclass(frozen=True)
class TunedParameters(NodeParameters):
    RENAMED: ClassVar[Mapping[str, str]] = {'least_score': 'threshold', 'lines': 'rows'}

    threshold: float = param(0.25, 'Least score.', unit='1', minimum=0.0, maximum=1.0, live=True)
    names: tuple[str, ...] = param((), 'Names.', live=True)
    rows: int = param(4, 'Rows.', minimum=1)
    speed: Speed = param(Speed.SLOW, 'Speed.')
    image_qos: QosParameters = group(QosParameters(), 'Images.')


class Tuned(PipelineNode):
    """Remembers what it was given; refuses the name 'nobody'."""

    Parameters = TunedParameters

    def __init__(self, node_name, **kwargs):
        self.applied = []
        super().__init__(node_name, **kwargs)

    def on_parameters(self, updated):
        if 'nobody' in updated.names:
            raise ConfigError('there is no class nobody')
        self.applied.append(updated)


def change(node, name, value):
    """Set one parameter as `ros2 param set` does; returns the result."""
    return node.set_parameters([Parameter(name, value=value)])[0]


def problems(node):
    return [text for _, text in node.health.snapshot().problems]


def test_defaults_configure(make_node):
    node = make_node(Tuned)
    assert node.trigger_configure() == SUCCESS
    assert node.parameters == TunedParameters()


def test_values_given_at_start_arrive_with_their_python_types(make_node):
    node = make_node(Tuned, threshold=1, names=['a', 'b'], rows=7, speed='quick', image_qos__depth=3)
    assert node.trigger_configure() == SUCCESS
    assert node.parameters == TunedParameters(
        threshold=1.0, names=('a', 'b'), rows=7, speed=Speed.QUICK, image_qos=QosParameters(depth=3)
    )
    assert isinstance(node.parameters.threshold, float)


@pytest.mark.parametrize(
    ('name', 'wrong', 'expected', 'right'),
    [
        ('threshold', 'high', "parameter threshold: got 'high' (str), expected number in [0, 1]", 0.5),
        ('threshold', 1.5, 'parameter threshold: got 1.5 (float), expected number in [0, 1]', 1),
        ('rows', 2.0, 'parameter rows: got 2.0 (float), expected whole number of at least 1', 2),
        ('rows', 0, 'parameter rows: got 0 (int), expected whole number of at least 1', 2),
        ('speed', 'warp', "parameter speed: got 'warp' (str), expected one of 'slow', 'quick'", 'quick'),
        ('names', 'a', "parameter names: got 'a' (str), expected list of text", ['a']),
        ('image_qos.depth', 0, 'parameter image_qos.depth: got 0 (int), expected whole number in [1, 1000]', 1),
    ],
)
def test_a_wrong_value_at_start_fails_configure_and_can_be_corrected(make_node, name, wrong, expected, right):
    node = make_node(Tuned, **{name.replace('.', '__'): wrong})
    assert node.trigger_configure() == FAILURE
    assert node.state == 'unconfigured'
    assert any(text.startswith(f'configure failed: {expected}') for text in problems(node)), problems(node)
    assert change(node, name, right).successful
    assert node.trigger_configure() == SUCCESS
    assert problems(node) == []


def test_a_correction_that_is_wrong_again_is_refused_with_its_reason(make_node):
    node = make_node(Tuned, rows='many')
    assert node.trigger_configure() == FAILURE
    result = change(node, 'rows', -1)
    assert not result.successful
    assert 'got -1 (int), expected whole number of at least 1' in result.reason
    assert node.get_parameter('rows').value == 'many'


def test_several_wrong_values_are_all_named_at_once(make_node):
    node = make_node(Tuned, rows=0, threshold=2.0)
    assert node.trigger_configure() == FAILURE
    [problem] = problems(node)
    assert 'parameter rows' in problem and 'parameter threshold' in problem


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [('threshold', 0.75, 0.75), ('threshold', 1, 1.0), ('names', ['x'], ('x',)), ('names', [], ())],
)
def test_a_live_change_counts_at_once(make_node, name, value, expected):
    node = make_node(Tuned)
    node.trigger_configure()
    assert change(node, name, value).successful
    assert getattr(node.parameters, name) == expected
    assert node.applied == [node.parameters]


def test_two_live_changes_in_one_call_are_applied_together(make_node):
    node = make_node(Tuned)
    node.trigger_configure()
    result = node.set_parameters_atomically([Parameter('threshold', value=0.5), Parameter('names', value=['x'])])
    assert result.successful
    assert [(item.threshold, item.names) for item in node.applied] == [(0.5, ('x',))]


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('threshold', 1.01, 'got 1.01 (float), expected number in [0, 1]'),
        ('threshold', 'x', "got 'x' (str), expected number in [0, 1]"),
        ('names', ['nobody'], 'there is no class nobody'),
    ],
)
def test_a_live_change_that_is_wrong_is_refused_and_nothing_changes(make_node, name, value, reason):
    node = make_node(Tuned)
    node.trigger_configure()
    before = node.parameters
    result = change(node, name, value)
    assert not result.successful
    assert reason in result.reason
    assert node.parameters is before
    assert node.get_parameter(name).value == flatten(before)[name]


def test_a_configured_node_refuses_what_is_not_live_until_it_is_cleaned_up(make_node):
    node = make_node(Tuned)
    node.trigger_configure()
    result = change(node, 'rows', 9)
    assert not result.successful
    assert f'ros2 lifecycle set {node.get_fully_qualified_name()} cleanup' in result.reason
    assert node.parameters.rows == 4
    node.trigger_cleanup()
    assert change(node, 'rows', 9).successful
    node.trigger_configure()
    assert node.parameters.rows == 9


def test_a_misspelt_name_is_reported_with_the_right_one(make_node):
    node = make_node(Tuned, treshold=0.5, use_sim_time=False)
    assert node.trigger_configure() == SUCCESS
    assert problems(node) == ['parameter treshold: no such parameter, did you mean threshold?']


@pytest.mark.parametrize('name', ['score_threshold', 'poses_qos.reliability', 'target_frame'])
def test_what_another_node_of_this_package_has_is_no_mistake(make_node, name):
    """A SetParameter of a launch file, or a section '/**', reaches every node."""
    node = make_node(Tuned, **{name.replace('.', '__'): 1})
    assert node.trigger_configure() == SUCCESS
    assert problems(node) == []


def test_a_former_name_is_refused_with_the_name_of_today(make_node):
    node = make_node(Tuned, least_score=0.5, rows=0, treshold=0.5)
    assert node.trigger_configure() == FAILURE
    (text,) = problems(node)
    first, second = text.splitlines()
    assert 'parameter least_score: is now threshold; rename it where it is given' in first
    assert 'parameter rows: got 0' in second


def test_a_former_name_alone_is_refused_too(make_node):
    node = make_node(Tuned, lines=4)
    assert node.trigger_configure() == FAILURE
    assert 'parameter lines: is now rows' in problems(node)[0]


def test_an_undeclared_name_does_not_pass_a_group_of_rclpy(make_node):
    node = make_node(Tuned, image_qos__dept=2)
    node.trigger_configure()
    assert problems(node) == ['parameter image_qos.dept: no such parameter, did you mean image_qos.depth?']


def test_a_parameter_describes_itself_to_ros(make_node):
    node = make_node(Tuned)
    threshold = node.describe_parameter('threshold')
    assert threshold.description == 'Least score. [1]'
    assert threshold.additional_constraints == 'number in [0, 1]; live'
    assert node.describe_parameter('image_qos.depth').additional_constraints == (
        'whole number in [1, 1000]; read at configure'
    )
