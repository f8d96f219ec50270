# SPDX-License-Identifier: Apache-2.0
"""Lifecycle and parameters of a running pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from support.ros.probe import image_message, value_of

from isaac_inference.cli.docs import node_class
from isaac_inference.ros.bringup.node_list import NODES
from isaac_inference.ros.runtime.health.diagnostics import parse_timings
from isaac_inference.ros.runtime.parameters.schema import specs


def names(array: Any) -> list[str]:
    return [item.results[0].hypothesis.class_id for item in array.detections]


def set_live(node: Any, **values: Any) -> str:
    """Set parameters as `ros2 param set` does; '' or the reason of the refusal."""
    results = node.set_parameters([Parameter(name, value=value) for name, value in values.items()])
    return '; '.join(result.reason for result in results if not result.successful)


@pytest.mark.parametrize(
    'name, value, kept',
    [
        ('score_threshold', 0.85, ['cup']),
        ('classes', ['can', 'box'], ['can', 'box']),
        ('class_thresholds', ['cup: 0.95'], ['can', 'box']),
        ('max_detections', 2, ['cup', 'can']),
    ],
)
def test_a_live_parameter_counts_from_the_next_frame(graph: Any, name: str, value: Any, kept: list[str]) -> None:
    node = graph.node('detection')
    before = node.get_parameter(name).value
    assert names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']
    assert set_live(node, **{name: value}) == ''
    assert names(graph.probe.ask(image_message())) == kept
    assert set_live(node, **{name: before}) == ''
    assert names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']


@pytest.mark.parametrize(
    'name, value, reason',
    [
        ('score_threshold', 'high', 'expected number in [0, 1]'),
        ('score_threshold', 1.5, 'expected number in [0, 1]'),
        ('classes', ['cups'], "did you mean 'cup'"),
        ('class_thresholds', ['cup 0.5'], '"class name: score"'),
        ('max_detections', 0, 'expected whole number in [1, 10000]'),
        ('model', 'other.onnx', 'cleanup'),
    ],
)
def test_a_bad_live_value_is_refused_with_the_reason_and_changes_nothing(
    graph: Any, name: str, value: Any, reason: str
) -> None:
    node = graph.node('detection')
    before = node.get_parameter(name).value
    assert reason in set_live(node, **{name: value})
    assert node.get_parameter(name).value == before
    assert names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']


@pytest.mark.parametrize(
    'parameters, words',
    [
        ({'model': ''}, ['parameter model', 'expected the path']),
        ({'model': '/no/such.onnx'}, ['/no/such.onnx']),
        ({'backend': 'tensorrrt'}, ['tensorrrt', 'onnxruntime']),
        ({'onnxruntime.threads': -1}, ['parameter onnxruntime.threads: got -1', 'at least 0']),
        ({'onnxruntime.threads': 'two'}, ["parameter onnxruntime.threads: got 'two' (str)", 'whole number']),
        (
            {'onnxruntime.threads': -1, 'onnxruntime.spinning': 1},
            ['parameter onnxruntime.threads', 'onnxruntime.spinning: got 1 (int), expected true or false'],
        ),
    ],
)
def test_a_bad_value_at_start_stops_at_configure_and_can_be_corrected(
    empty_graph: Any, model: Path, parameters: dict[str, Any], words: list[str]
) -> None:
    node = empty_graph.load('InferenceNode', 'inference', **{'model': str(model), **parameters})
    empty_graph.probe.wait_until(lambda: 'configure failed' in empty_graph.probe.status('inference').message)
    message = empty_graph.probe.status('inference').message
    assert all(word in message for word in words), message
    assert empty_graph.probe.value('inference', 'state') == 'unconfigured'

    good = {'model': str(model), 'backend': 'auto', 'onnxruntime.threads': 1, 'onnxruntime.spinning': False}
    assert set_live(node, **{name: good[name] for name in parameters}) == ''
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    empty_graph.probe.wait_active('inference')
    empty_graph.probe.wait_until(lambda: 'configure failed' not in empty_graph.probe.status('inference').message)


@pytest.mark.parametrize('name, value', [('threads', 1), ('spinning', False), ('providers', ['cpu'])])
def test_a_former_name_is_refused_with_the_name_of_today(empty_graph: Any, model: Path, name: str, value: Any) -> None:
    empty_graph.load('InferenceNode', 'inference', model=str(model), check_finite=1, **{name: value})
    empty_graph.probe.wait_until(lambda: 'configure failed' in empty_graph.probe.status('inference').message)
    message = empty_graph.probe.status('inference').message
    assert f'parameter {name}: is now onnxruntime.{name}; rename it' in message
    assert 'parameter check_finite: got 1' in message, 'all that is wrong is said at once'
    assert empty_graph.probe.value('inference', 'state') == 'unconfigured'


@pytest.mark.parametrize('name', NODES)
def test_the_names_of_today_exist_and_the_former_ones_do_not(name: str) -> None:
    schema = node_class(name).Parameters
    known = {spec.name for spec in specs(schema)}
    assert set(schema.RENAMED.values()) <= known and not set(schema.RENAMED) & known


def test_a_misspelt_parameter_is_said_and_the_right_one_named(empty_graph: Any, model: Path) -> None:
    empty_graph.load('DetectionNode', 'detection', model=str(model), score_treshold=0.5)
    node = empty_graph.node('detection')
    empty_graph.probe.wait_active('detection')
    assert any('did you mean score_threshold?' in text for _, text in node.health.snapshot().problems)


def test_a_deactivated_node_is_silent_and_an_activated_one_goes_on(graph: Any) -> None:
    node = graph.node('inference')
    graph.probe.ask(image_message())
    processed = int(value_of(graph.probe.wait_report('preprocess'), 'processed'))
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    unheard = graph.probe.send(image_message())
    graph.probe.wait_until(lambda: 'not active' in graph.probe.status('inference').message)
    graph.probe.wait_until(lambda: int(graph.probe.value('preprocess', 'processed')) == processed + 1)
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert names(graph.probe.ask(image_message())) == ['cup', 'can', 'box']
    assert not graph.probe.detections_of(unheard.header)


def test_a_node_can_be_cleaned_up_reconfigured_and_used_again(graph: Any) -> None:
    node = graph.node('detection')
    node.trigger_deactivate()
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert node.state == 'unconfigured'
    assert set_live(node, max_detections=1) == ''
    node.trigger_configure()
    node.trigger_activate()
    assert names(graph.probe.ask(image_message())) == ['cup']
    set_live(node, max_detections=100)


def test_autostart_false_waits(empty_graph: Any, model: Path) -> None:
    node = empty_graph.load('DetectionNode', 'detection', model=str(model), autostart=False)
    empty_graph.probe.wait_until(lambda: empty_graph.probe.value('detection', 'state') == 'unconfigured')
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.state == 'inactive'


def test_stage_timings_add_up(graph: Any) -> None:
    messages = graph.probe.listen('detection/timings', DiagnosticArray)
    graph.probe.ask(image_message())
    graph.probe.wait_until(lambda: messages)
    stages = parse_timings(messages[-1])
    assert [stage.stage for stage in stages] == ['preprocess', 'inference', 'detection']
    for stage in stages:
        assert stage.arrived_ns <= stage.started_ns <= stage.finished_ns
    total = next(pair.value for status in messages[-1].status if status.name == 'total' for pair in status.values)
    assert float(total) >= sum(stage.work_ms for stage in stages) - 0.001


def test_an_activation_that_fails_is_said_and_can_be_tried_again(
    empty_graph: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = empty_graph.load('DetectionNode', 'detection', model=str(model), autostart=False)
    node.trigger_configure()

    def broken() -> None:
        raise OSError('no room left')

    monkeypatch.setattr(node, 'on_start', broken)
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert node.state == 'inactive'
    empty_graph.probe.wait_until(
        lambda: 'activate failed: OSError: no room left' in empty_graph.probe.status('detection').message
    )
    monkeypatch.undo()
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    empty_graph.probe.wait_active('detection')
