# SPDX-License-Identifier: Apache-2.0
"""From the demo launch file's arguments to what is started."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import yaml
from support.paths import ROOT

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup import demo_plan as module
from isaac_inference.ros.bringup.demo_plan import ARGUMENTS, demo_plan
from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.resources import shared_file

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}


@pytest.fixture(autouse=True)
def demo_file(tmp_path, monkeypatch):
    """Stands in for the shipped model."""
    path = tmp_path / 'demo.onnx'
    monkeypatch.setattr(module, 'demo_model', lambda: path)
    return path


def plan(pushed: str = '', **given: str):
    return demo_plan({**DEFAULTS, **given}, pushed)


def nodes(**given: str):
    return {spec.name: spec for spec in plan(**given).nodes}


def programs(**given: str):
    return {program.name: program for program in plan(**given).programs}


def test_without_arguments_it_is_the_whole_graph_in_one_container_and_the_planner(demo_file):
    made = plan()
    names = ['sim_camera', 'preprocess', 'inference', 'detection', 'track', 'pose', 'annotate']
    assert [spec.name for spec in made.nodes] == names
    assert (made.composed, made.attach, made.container, made.log_level) == (True, False, '/demo_container', 'info')
    assert [program.name for program in made.programs] == ['pick_planner']
    models = {spec.parameters['model'] for spec in made.nodes if 'model' in spec.parameters}
    assert models == {str(demo_file)}


def test_the_arguments_are_what_users_were_promised():
    promised = {'seed', 'method', 'target_frame', 'rviz', 'planner', 'composed', 'log_level', 'model'}
    assert promised <= set(DEFAULTS)
    assert all(argument.description for argument in ARGUMENTS)
    assert all(not argument.choices or argument.default in argument.choices for argument in ARGUMENTS)


@pytest.mark.parametrize('method', next(argument.choices for argument in ARGUMENTS if argument.name == 'method'))
def test_every_node_takes_its_parameters(method):
    for spec in nodes(method=method, seed='3').values():
        build(load_class(spec.package, spec.plugin).Parameters, spec.parameters)


def test_the_arguments_reach_their_nodes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('m.onnx').touch()
    found = nodes(seed='7', method='depth', target_frame='world', model='m.onnx')
    assert found['sim_camera'].parameters['seed'] == 7
    assert (found['pose'].parameters['method'], found['pose'].parameters['target_frame']) == ('depth', 'world')
    assert found['detection'].parameters['model'] == str(tmp_path / 'm.onnx')


def test_it_is_the_shared_perception_graph():
    expected = perception_graph(simulator={}, poses=True, track=True)
    assert [(spec.name, spec.remappings) for spec in plan().nodes] == [
        (spec.name, spec.remappings) for spec in expected
    ]


def test_the_planner_is_fed_by_the_track_node():
    program = programs(target_class='soup_can')['pick_planner']
    [script] = program.arguments
    assert (program.package, program.executable) == ('', sys.executable)
    assert Path(script).name == 'pick_planner.py' and Path(script).is_file()
    assert program.remappings == {'poses': 'track/poses', 'detections_3d': 'track/detections_3d'}
    assert program.parameters == {'target_class': 'soup_can'}


def test_planner_and_rviz_are_started_where_they_are_wanted():
    assert programs(planner='false') == {}
    rviz = programs(rviz='true')['rviz']
    assert (rviz.package, rviz.executable) == ('rviz2', 'rviz2')
    assert rviz.arguments == ('-d', str(shared_file('rviz/demo.rviz')))


def test_rviz_shows_topics_and_frames_of_the_graph():
    shown = yaml.safe_load((ROOT / 'rviz' / 'demo.rviz').read_text(encoding='utf-8'))['Visualization Manager']
    topics = {display['Topic']['Value'] for display in shown['Displays'] if 'Topic' in display}
    names = {spec.name for spec in plan().nodes}
    assert {topic for topic in topics if topic.split('/')[0] not in names} == {'grasp', 'pre_grasp'}
    assert {'track/poses', 'pose/objects_cloud', 'annotate/debug_image'} <= topics
    assert shown['Global Options']['Fixed Frame'] == nodes()['pose'].parameters['target_frame']


@pytest.mark.parametrize('seed', ['', '-1', 'x', '1.5'])
def test_a_seed_is_a_number(seed):
    with pytest.raises(ConfigError, match=f"launch argument seed: got '{seed}', expected a whole number"):
        plan(seed=seed)


@pytest.mark.parametrize('name', ['planner', 'rviz', 'composed'])
def test_a_switch_is_true_or_false(name):
    with pytest.raises(ConfigError, match=f"launch argument {name}: got 'yes', expected true or false"):
        plan(**{name: 'yes'})


def test_a_missing_model_is_an_error():
    with pytest.raises(ConfigError, match="launch argument model: no such file '/nowhere/x'"):
        plan(model='/nowhere/x')


@pytest.mark.parametrize('file', sorted((ROOT / 'launch').glob('*.launch.py')), ids=lambda path: path.name)
def test_launch_files_hold_no_logic(file):
    tree = ast.parse(file.read_text(encoding='utf-8'))
    assert not any(isinstance(node, (ast.If, ast.For, ast.comprehension)) for node in ast.walk(tree))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert 'isaac_inference.ros.bringup.launch_actions' in imported


def test_a_pushed_namespace_is_that_of_everything():
    made = plan('/robot1')
    assert (made.namespace, made.container) == ('/robot1', '/robot1/demo_container')
