# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a graph the budget node watches, and how the launch file starts it."""

from __future__ import annotations

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.budget_watch import budget_nodes, watched
from isaac_inference.ros.bringup.graph import CropModel, Found, perception_graph
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
CHAIN = ('preprocess', 'inference', 'detection')


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, CHAIN),
        ({'poses': True}, (*CHAIN, 'pose')),
        ({'track': True}, (*CHAIN, 'track')),
        ({'poses': True, 'track': True}, (*CHAIN, 'pose', 'track')),
        ({'tags': True, 'poses': True}, ('tags', 'pose')),
        ({'finds': Found(classes=True)}, ('preprocess', 'inference', 'segmentation')),
        ({'finds': Found(depth=True)}, ('preprocess', 'inference', 'depth')),
        ({'crops': CropModel('pose.onnx')}, (*CHAIN, 'crops', 'crops_inference', 'keypoints')),
        (
            {'crops': CropModel('pose.onnx', skeletons=True), 'track': True},
            (*CHAIN, 'crops', 'crops_inference', 'keypoints', 'skeletons'),
        ),
        ({'finds': Found(skeletons=True), 'track': True}, (*CHAIN, 'track', 'skeletons')),
    ],
)
def test_the_stages_of_every_graph_with_the_output_last(options, expected):
    assert watched(spec.name for spec in perception_graph(model='m.onnx', **options)) == expected


def test_the_launch_file_starts_it_with_the_graph_s_own_stages():
    made = launch_plan({**DEFAULTS, 'budget': 'manipulation', 'camera_info': '/front/camera_info', 'track': 'true'})
    [spec] = [spec for spec in made.nodes if spec.name == 'budget']
    assert spec.parameters == {'budget': 'manipulation', 'nodes': [*CHAIN, 'track']}
    assert spec.remappings == {'camera_info': '/front/camera_info'}
    assert spec.plugin == 'isaac_inference::BudgetNode'


def test_without_the_argument_there_is_none():
    assert 'budget' not in [spec.name for spec in launch_plan(DEFAULTS).nodes]


def test_a_file_of_the_user_s_own_has_an_absolute_path(tmp_path, monkeypatch):
    (tmp_path / 'arm.yaml').write_text('total_ms: 40\n')
    monkeypatch.chdir(tmp_path)
    [spec] = budget_nodes(perception_graph(model='m.onnx'), 'arm.yaml', 'camera_info')
    assert spec.parameters['budget'] == str(tmp_path / 'arm.yaml')


def test_a_node_that_cameras_share_is_watched_by_its_full_name():
    graph = [spec for spec in perception_graph(model='m.onnx') if spec.name != 'inference']
    [spec] = budget_nodes(graph, 'manipulation', 'camera_info', shared={'inference': '/inference'})
    assert spec.parameters['nodes'] == ['preprocess', '/inference', 'detection']


def test_a_rate_alone_is_watched_too():
    [spec] = budget_nodes(perception_graph(model='m.onnx'), '', 'camera_info', 30)
    assert spec.parameters['target_rate_hz'] == 30.0


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'budget': 'manipulater'}, 'did you mean manipulation?'),
        ({'budget': 'manipulation', 'detections': '/boxes'}, 'no node here has timings to watch'),
    ],
)
def test_what_cannot_be_watched_is_refused_before_anything_starts(given, words):
    with pytest.raises(ConfigError, match=words):
        launch_plan({**DEFAULTS, **given})


def test_a_budget_that_is_wrong_is_refused_before_anything_starts(tmp_path):
    path = tmp_path / 'arm.yaml'
    path.write_text('total_ms: 40\nstages: {pose: 50}\n')
    with pytest.raises(ConfigError, match='more than total_ms: 40'):
        launch_plan({**DEFAULTS, 'budget': str(path)})
