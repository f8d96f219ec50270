# SPDX-License-Identifier: Apache-2.0
"""What nodes say of a model that runs and yet cannot be right: at start, and over many frames."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from support.onnx_models import write_model
from support.onnx_models.blind import constant_model
from support.ros.probe import image_message, value_of

from isaac_inference.models import read_card

LABELS = ['cup', 'can', 'box']
FRAMES = 4  # in a row that make a remark
LONG = 10**5


@pytest.fixture(scope='module')
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that finds the same in every picture."""
    return constant_model(tmp_path_factory.mktemp('deaf') / 'deaf.onnx', LABELS, (64, 64))


@pytest.fixture(scope='module')
def unsure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound model whose file does not say how its images are prepared."""
    path = write_model(tmp_path_factory.mktemp('unsure') / 'unsure.onnx', 'yolox', input_wh=(64, 64))
    path.with_suffix('.yaml').write_text('labels: [cup, can, box]')
    assert read_card(path).assumptions
    return path


def shade(grey: int) -> Any:
    return image_message(np.full((64, 64, 3), grey, np.uint8))


def wait_active(graph: Any, name: str) -> DiagnosticStatus:
    graph.probe.wait_active(name)
    return graph.probe.status(name)


# The inference node at start


def test_the_inference_node_warns_of_outputs_that_do_not_depend_on_the_picture(empty_graph, deaf):
    empty_graph.load('InferenceNode', 'inference', model=str(deaf))
    status = wait_active(empty_graph, 'inference')
    assert status.level == DiagnosticStatus.WARN
    assert status.message.startswith('model deaf on a picture of a street: exactly the same outputs for two different')
    assert 'in the model card' in status.message
    assert value_of(status, 'probe').startswith('3 boxes at score_threshold 0.25, best raw score 0.9')


def test_a_model_without_findings_is_ok(empty_graph, model):
    empty_graph.load('InferenceNode', 'inference', model=str(model))
    status = wait_active(empty_graph, 'inference')
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'running')
    assert value_of(status, 'probe').startswith('3 boxes at score_threshold 0.25')


def test_the_probe_can_be_switched_off(empty_graph, deaf):
    empty_graph.load('InferenceNode', 'inference', model=str(deaf), probe=False)
    status = wait_active(empty_graph, 'inference')
    assert (status.level, value_of(status, 'probe')) == (DiagnosticStatus.OK, '')


def test_another_model_is_judged_by_itself(empty_graph, deaf, unsure, model):
    node = empty_graph.load('InferenceNode', 'inference', model=str(deaf))
    wait_active(empty_graph, 'inference')
    for path in (unsure, model):
        node.trigger_deactivate()
        node.trigger_cleanup()
        node.set_parameters([Parameter('model', value=str(path))])
        node.trigger_configure()
        node.trigger_activate()
        status = empty_graph.probe.wait_report('inference')
        assert (status.level, status.message) == (DiagnosticStatus.OK, 'running')
        assert bool(value_of(status, 'assumed.preprocess')) == (path == unsure)


def test_assumptions_are_logged_once_and_in_the_diagnostics(empty_graph, unsure, capfd):
    empty_graph.load('InferenceNode', 'inference', model=str(unsure))
    assumption = read_card(unsure).assumptions[0]
    status = wait_active(empty_graph, 'inference')
    assert value_of(status, f'assumed.{assumption.field}') == assumption.value
    assert status.level == DiagnosticStatus.OK
    empty_graph.load('DetectionNode', 'detection', model=str(unsure))
    empty_graph.load('PreprocessNode', 'preprocess', model=str(unsure))
    empty_graph.probe.wait_active('detection', 'preprocess')
    assert capfd.readouterr().err.count(f'model unsure: {assumption.text()}') == 1
    assert 'assumed' not in str(empty_graph.probe.status('detection').values)


# The detection node over many frames


@pytest.fixture
def start(make_graph: Any) -> Any:
    """Starts a graph without a probe at start; what it says comes from frames."""
    with contextlib.ExitStack() as stack:

        def make(model: Path, quiet_frames: int = FRAMES) -> Any:
            graph = stack.enter_context(make_graph())
            graph.load_all(model, annotate=False, inference={'probe': False}, detection={'quiet_frames': quiet_frames})
            return graph

        yield make


def ask(graph: Any, *greys: int) -> DiagnosticStatus:
    """The detection node's diagnostics after pictures of these shades."""
    for grey in greys:
        graph.probe.ask(shade(grey))
    return graph.probe.wait_report('detection')


def test_nothing_near_the_threshold_is_a_hint_with_numbers_until_something_is(start, model):
    graph = start(model)
    status = ask(graph, 255)
    assert status.level == DiagnosticStatus.OK
    assert value_of(status, 'best_score') == '0.900'
    status = ask(graph, *[9, 6, 3, 0][:FRAMES])
    assert status.level == DiagnosticStatus.WARN
    best = 0.9 * 9 / 255
    assert f'best raw score {best:.2g} in the last {FRAMES} frames, score_threshold 0.25' in status.message
    assert 'isaac-inference info' in status.message
    assert value_of(status, 'best_score') == '0.000'
    status = ask(graph, 200)
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'running')


def test_a_lower_threshold_may_be_near_enough(start, model):
    graph = start(model)
    graph.node('detection').set_parameters([Parameter('score_threshold', value=0.05)])
    assert ask(graph, *[9, 8, 7, 6][:FRAMES]).level == DiagnosticStatus.OK


def test_the_same_outputs_of_different_pictures(start, deaf):
    graph = start(deaf)
    assert ask(graph, *range(FRAMES - 1)).level == DiagnosticStatus.OK
    status = ask(graph, FRAMES)
    assert status.level == DiagnosticStatus.WARN
    assert f'the best raw score is exactly 0.9 in each of the last {FRAMES} frames' in status.message
    graph.node('detection').set_parameters([Parameter('quiet_frames', value=LONG)])
    assert graph.probe.wait_report('detection').level == DiagnosticStatus.OK


def test_the_same_boxes_of_different_pictures(start, model):
    status = ask(start(model), *[255, 254, 253, 252][:FRAMES])
    assert status.level == DiagnosticStatus.WARN
    assert f'the boxes are exactly the same in each of the last {FRAMES} frames' in status.message


def test_the_same_outputs_of_the_same_picture_are_right(start, deaf):
    assert ask(start(deaf), *[7] * (3 * FRAMES)).level == DiagnosticStatus.OK


def test_zero_frames_never_warn(start, deaf):
    status = ask(start(deaf, quiet_frames=0), *range(2 * FRAMES))
    assert status.level == DiagnosticStatus.OK
    assert value_of(status, 'best_score') == '0.900'


def test_a_remark_is_logged_when_it_begins_and_not_with_every_frame(start, model, capfd):
    graph = start(model)
    ask(graph, *[9, 6, 3, 0][:FRAMES])
    graph.node('detection').health._last_logged.clear()  # as if the log's period were over
    status = ask(graph, 1, 2)
    assert f'in the last {FRAMES + 2} frames' in status.message
    assert capfd.readouterr().err.count('nothing came near the threshold') == 1
