# SPDX-License-Identifier: Apache-2.0
"""From the arguments of several cameras to what is started."""

from __future__ import annotations

import ast
from collections import Counter
from itertools import product

import pytest
import yaml
from support.paths import ROOT

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup import multi_camera_plan as module
from isaac_inference.ros.bringup.multi_camera_plan import ARGUMENTS, camera_names, multi_camera_plan
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
OF_CAMERA = ['preprocess', 'detection', 'track', 'pose', 'annotate']


@pytest.fixture(autouse=True)
def demo_file(tmp_path, monkeypatch):
    """Stands in for the shipped model."""
    path = tmp_path / 'demo.onnx'
    monkeypatch.setattr(module, 'demo_model', lambda: path)
    monkeypatch.setattr(module, 'card_of', lambda path: None)
    return path


def plan(pushed: str = '', **given: str):
    return multi_camera_plan({**DEFAULTS, **given}, pushed)


def node(made, name: str, namespace: str = ''):
    [found] = [spec for spec in made.nodes if (spec.name, spec.namespace) == (name, namespace)]
    return found


def test_without_arguments_three_cameras_share_a_scene_a_model_and_what_fuses_them(demo_file):
    made = plan()
    assert (made.composed, made.attach, made.container) == (True, False, '/multi_camera_container')
    cameras = ['front', 'left', 'right']
    expected = {('sim_camera', ''), ('inference', ''), ('fusion', ''), *product(OF_CAMERA, cameras)}
    assert Counter((spec.name, spec.namespace) for spec in made.nodes) == Counter(expected)
    assert (made.nodes[0].name, made.nodes[-1].name) == ('sim_camera', 'fusion')
    assert node(made, 'sim_camera').parameters['cameras'] == cameras
    assert node(made, 'inference').parameters['streams'] == cameras
    fusion = node(made, 'fusion').parameters
    assert (fusion['streams'], fusion['target_frame']) == (['front', 'left', 'right'], 'world')
    assert {
        spec.parameters['model'] for spec in made.nodes if spec.name != 'sim_camera' and 'model' in spec.parameters
    } == {str(demo_file)}


def test_the_fusion_node_is_told_how_wrong_the_calibration_is():
    made = plan(calibration_error='0.01')
    assert node(made, 'sim_camera').parameters['calibration_error_m'] == 0.01
    assert node(made, 'fusion').parameters['extrinsic_sigma_m'] == 0.01
    assert node(plan(calibration_error='0'), 'fusion').parameters['extrinsic_sigma_rad'] == 0.0


def test_cameras_without_a_trigger_are_spread_over_the_period_and_still_meet():
    made = plan(synchronised='false', rate_hz='5')
    assert node(made, 'sim_camera').parameters['camera_phases'] == pytest.approx([0.0, 1 / 3, 2 / 3])
    assert node(made, 'fusion').parameters['slop_s'] == pytest.approx(0.2)
    assert 'camera_phases' not in node(plan(), 'sim_camera').parameters


@pytest.mark.parametrize('cameras', ['1', '6', 'left,top'])
def test_every_parameter_is_one_of_its_node(cameras):
    for spec in plan(cameras=cameras, synchronised='false').nodes:
        build(load_class(spec.package, spec.plugin).Parameters, dict(spec.parameters))


def test_names_of_cameras():
    assert camera_names('2') == ['front', 'left']
    assert camera_names('6') == ['front', 'left', 'right', 'rear', 'camera_5', 'camera_6']
    assert camera_names('top, wrist') == ['top', 'wrist']


@pytest.mark.parametrize(
    'given, told',
    [
        ({'cameras': '0'}, 'cameras: got 0, expected 1 to 16'),
        ({'cameras': '-2'}, 'cameras: got -2, expected 1 to 16'),
        ({'cameras': 'top__left,a_'}, "cameras: got 'top__left', 'a_', expected names that a topic can begin with"),
        ({'calibration_error': '1.5'}, "calibration_error: got '1.5', expected a number above 0, at most 1"),
        ({'cameras': 'a,a'}, "cameras: got 'a,a': .*a comes twice"),
        ({'cameras': 'a,'}, "got 'a,': .*expected names of letters"),
        ({'seed': '-1'}, "seed: got '-1'"),
        ({'rate_hz': '0'}, "rate_hz: got '0', expected a number above 0"),
        ({'calibration_error': 'little'}, "calibration_error: got 'little'"),
        ({'synchronised': 'maybe'}, "synchronised: got 'maybe'"),
        ({'model': 'missing.onnx'}, 'launch argument model'),
    ],
)
def test_what_cannot_be_started_is_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        plan(**given)


def test_rviz_shows_what_there_is():
    assert plan().programs == ()
    [rviz] = plan(rviz='true').programs
    shown = yaml.safe_load((ROOT / 'rviz' / 'multi_camera.rviz').read_text(encoding='utf-8'))['Visualization Manager']
    assert rviz.arguments[1].endswith('rviz/multi_camera.rviz')
    topics = {display['Topic']['Value'] for display in shown['Displays'] if 'Topic' in display}
    assert topics == {'fused/poses', *(f'{camera}/annotate/debug_image' for camera in ('front', 'left', 'right'))}
    assert shown['Global Options']['Fixed Frame'] == DEFAULTS['target_frame']


def test_the_launch_file_only_hands_over():
    tree = ast.parse((ROOT / 'launch' / 'multi_camera.launch.py').read_text(encoding='utf-8'))
    names = {alias.name for item in tree.body if isinstance(item, ast.ImportFrom) for alias in item.names}
    assert names == {'launch_description', 'ARGUMENTS', 'multi_camera_plan'}
