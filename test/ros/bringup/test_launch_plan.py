# SPDX-License-Identifier: Apache-2.0
"""From the launch file's arguments to the nodes that are started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.onnx_models.constant import write_constant

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.bringup.node_list import NODES, PACKAGE
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.resources import shared_file

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}


def plan(pushed: str = '', **given: str):
    return launch_plan({**DEFAULTS, **given}, pushed)


def nodes(**given: str):
    return {spec.name: spec for spec in plan(**given).nodes}


@pytest.fixture
def params_file(tmp_path):
    """A parameter file that says how a node was reached."""
    path = tmp_path / 'mine.yaml'
    path.write_text(
        '/**/detection:\n  ros__parameters: {score_threshold: 0.1, classes: []}\n'
        '/front/detection:\n  ros__parameters: {score_threshold: 0.9}\n'
        '/**:\n  ros__parameters: {model: from_file.onnx}\n'
    )
    return str(path)


def test_the_defaults_are_one_container_with_four_nodes():
    made = plan()
    assert [spec.name for spec in made.nodes] == ['preprocess', 'inference', 'detection', 'annotate']
    assert (made.namespace, made.composed, made.container, made.attach, made.log_level) == (
        '',
        True,
        '/perception_container',
        False,
        'info',
    )
    assert made.respawn


def test_the_arguments_are_what_users_were_promised():
    assert {
        'model',
        'image',
        'camera_info',
        'namespace',
        'params_file',
        'composed',
        'container',
        'attach',
        'source',
        'log_level',
    } <= set(DEFAULTS)
    assert all(argument.description for argument in ARGUMENTS)
    assert all(not argument.choices or argument.default in argument.choices for argument in ARGUMENTS)


@pytest.mark.parametrize('name', ['', 'front'])
def test_the_shipped_parameter_file_gives_every_node_valid_parameters(name):
    for spec in plan(namespace=name, source='0', params_file=str(shared_file('config/perception.yaml'))).nodes:
        schema = load_class(spec.package, spec.plugin).Parameters
        build(schema, spec.parameters)
        assert 'diagnostics_period_s' in spec.parameters


def test_without_a_parameter_file_a_node_is_given_what_was_asked_for_and_no_defaults():
    """Launch puts a node's own parameters before those of a SetParameter, which all defaults would undo."""
    assert [dict(spec.parameters) for spec in plan().nodes] == [{}] * 4


def test_model_and_card_become_absolute_parameters_of_every_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('m.onnx').touch()
    Path('m.yaml').touch()
    found = nodes(model='m.onnx', model_card='m.yaml')
    for name in ('preprocess', 'inference', 'detection'):
        assert found[name].parameters['model'] == str(tmp_path / 'm.onnx')
        assert found[name].parameters['model_card'] == str(tmp_path / 'm.yaml')


@pytest.mark.parametrize('name', ['model', 'model_card', 'params_file'])
def test_a_missing_file_is_an_error(name):
    with pytest.raises(ConfigError, match=f"launch argument {name}: no such file '/nowhere/x'; give an existing one"):
        plan(**{name: '/nowhere/x'})


@pytest.mark.parametrize('name', ['model', 'model_card', 'params_file', 'source'])
def test_the_home_folder_may_be_abbreviated(tmp_path, monkeypatch, name):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'x').write_text('/**:\n  ros__parameters: {model: home.onnx}\n')
    found = nodes(**{name: '~/x'})
    if name == 'params_file':
        assert found['detection'].parameters['model'] == 'home.onnx'
    else:
        assert found['camera' if name == 'source' else 'detection'].parameters[name] == str(tmp_path / 'x')


def test_a_source_starts_a_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 'camera' not in nodes()
    assert nodes(source='0')['camera'].parameters['source'] == '0'
    assert nodes(source='photos')['camera'].parameters['source'] == str(tmp_path / 'photos')


def test_annotate_false_leaves_that_node_out():
    assert 'annotate' not in nodes(annotate='false')


def test_topics_are_remapped():
    found = nodes(image='/front/image_raw', camera_info='/front/camera_info', source='0')
    assert found['preprocess'].remappings['image'] == '/front/image_raw'
    assert found['camera'].remappings['camera_info'] == '/front/camera_info'


@pytest.mark.parametrize(
    ('given', 'expected'),
    [('', ''), ('/', ''), ('front', '/front'), ('/front', '/front'), ('front/', '/front'), ('a/b', '/a/b')],
)
def test_a_namespace_may_be_written_with_or_without_slashes(given, expected):
    assert plan(namespace=given).namespace == expected


@pytest.mark.parametrize(
    ('pushed', 'given', 'expected'),
    [
        ('/robot1', '', '/robot1'),
        ('robot1', '', '/robot1'),
        ('/robot1', 'front', '/robot1/front'),
        ('/robot1', '/front', '/front'),
        ('/robot1', '/', ''),
        ('/', 'front', '/front'),
    ],
)
@pytest.mark.parametrize('composed', ['true', 'false'])
def test_a_pushed_namespace_goes_before_a_relative_one(pushed, given, expected, composed):
    made = plan(pushed, namespace=given, composed=composed)
    assert (made.namespace, made.container) == (expected, f'{expected}/perception_container')


def test_the_parameter_file_is_resolved_for_the_pushed_namespace(params_file):
    made = plan('/front', params_file=params_file)
    assert {spec.name: spec for spec in made.nodes}['detection'].parameters['score_threshold'] == 0.9
    assert made.remarks == ()


def test_sections_for_nodes_elsewhere_are_remarked_on(params_file):
    [remark] = plan('/rear', params_file=params_file).remarks
    assert 'section /front/detection applies to no node that is started here; nearest is /rear/detection' in remark


@pytest.mark.parametrize(
    ('container', 'expected'),
    [('box', '/robot1/front/box'), ('/box', '/box'), ('/a/box', '/a/box'), ('a/box', '/robot1/front/a/box')],
)
def test_the_container_is_in_the_nodes_namespace_unless_its_full_name_is_given(container, expected):
    assert plan('/robot1', namespace='front', container=container, attach='true').container == expected


@pytest.mark.parametrize(('given', 'expected'), [('true', True), ('True', True), ('false', False)])
def test_the_time_of_clock_is_every_node_s_parameter(given, expected):
    assert [spec.parameters['use_sim_time'] for spec in plan(use_sim_time=given, source='0').nodes] == [expected] * 5
    assert not any('use_sim_time' in spec.parameters for spec in plan().nodes), 'left to a SetParameter'


def test_the_time_of_clock_is_a_switch():
    with pytest.raises(ConfigError, match="launch argument use_sim_time: got 'yes', expected true or false"):
        plan(use_sim_time='yes')


@pytest.mark.parametrize(('namespace', 'threshold'), [('', 0.1), ('rear', 0.1), ('front', 0.9), ('/front/', 0.9)])
def test_the_parameter_file_is_resolved_for_the_namespace(params_file, namespace, threshold):
    found = nodes(namespace=namespace, params_file=params_file)
    assert found['detection'].parameters['score_threshold'] == threshold
    assert 'score_threshold' not in found['inference'].parameters


def test_an_argument_goes_before_the_parameter_file(params_file, tmp_path):
    (tmp_path / 'm.onnx').touch()
    assert nodes(params_file=params_file)['detection'].parameters['model'] == 'from_file.onnx'
    found = nodes(params_file=params_file, model=str(tmp_path / 'm.onnx'))
    assert found['detection'].parameters['model'] == str(tmp_path / 'm.onnx')


def test_an_empty_list_is_left_to_the_default_since_launch_takes_none(params_file):
    assert 'classes' not in nodes(params_file=params_file)['detection'].parameters


def test_a_bad_parameter_file_is_an_error(tmp_path):
    (tmp_path / 'bad.yaml').write_text('a: [')
    with pytest.raises(ConfigError, match='parameter file .*bad.yaml'):
        plan(params_file=str(tmp_path / 'bad.yaml'))


@pytest.mark.parametrize(
    ('composed', 'attach', 'expected'),
    [
        ('true', 'false', (True, False)),
        ('false', 'false', (False, False)),
        ('true', 'true', (True, True)),
        ('True', 'False', (True, False)),
    ],
)
def test_the_start_mode(composed, attach, expected):
    made = plan(composed=composed, attach=attach, container='box', log_level='debug')
    assert (made.composed, made.attach) == expected
    assert (made.container, made.log_level) == ('/box', 'debug')


def test_the_start_mode_does_not_change_the_nodes():
    assert plan(composed='true').nodes == plan(composed='false').nodes


def test_processes_attach_to_nothing():
    with pytest.raises(ConfigError, match='launch argument attach: true, but composed is false'):
        plan(composed='false', attach='true')


@pytest.mark.parametrize('name', ['annotate', 'composed', 'attach', 'respawn'])
@pytest.mark.parametrize('value', ['yes', '1', ''])
def test_a_switch_is_true_or_false(name, value):
    with pytest.raises(ConfigError, match=f"launch argument {name}: got '{value}', expected true or false"):
        plan(**{name: value})


@pytest.fixture
def board(tmp_path: Path) -> str:
    path = tmp_path / 'board.yaml'
    path.write_text('objects: {board: {tag_grid: {family: 36h11, columns: 6, rows: 6, size: 0.03, gap: 0.009}}}')
    return str(path)


def test_tags_take_the_place_of_a_model_and_their_card_goes_to_all(board):
    found = nodes(tags=board, image='/camera/image_raw')
    assert list(found) == ['tags', 'track', 'pose', 'annotate']
    for name in ('tags', 'track', 'pose'):
        assert found[name].parameters['model_card'] == board
        assert 'model' not in found[name].parameters
    assert found['tags'].remappings['image'] == '/camera/image_raw'
    assert found['pose'].remappings['detections'] == 'track/detections'
    assert list(nodes(tags=board, poses='false')) == ['tags', 'annotate']
    assert nodes(tags=board, poses='false')['annotate'].parameters == {'draw_keypoints': True}


def test_a_detector_of_one_s_own_takes_the_place_of_a_model(tmp_path):
    card = tmp_path / 'objects.yaml'
    card.write_text('objects: {cup: {size: [0.08, 0.08, 0.12]}}')
    found = nodes(detections='/mine/boxes', keypoints='/mine/points', model_card=str(card))
    assert list(found) == ['track', 'pose', 'annotate']
    assert found['track'].remappings == {
        'detections': '/mine/boxes',
        'keypoints': '/mine/points',
        'detections_3d': 'pose/detections_3d',
    }
    assert found['pose'].remappings['keypoints'] == found['annotate'].remappings['keypoints'] == 'track/keypoints'
    assert found['pose'].parameters['model_card'] == str(card)
    assert list(nodes(detections='/mine/boxes')) == ['annotate']
    found = nodes(detections='/mine/boxes', poses='true', track='false')
    assert found['pose'].remappings['detections'] == found['annotate'].remappings['detections'] == '/mine/boxes'


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'tags': 'BOARD', 'detections': '/d'}, r'tags:=.* and detections:=/d: each is a detector, expected one'),
        ({'tags': 'BOARD', 'model': 'BOARD'}, r'model:=.* and tags:=.*: each is a detector'),
        ({'tags': 'BOARD', 'model_card': 'BOARD'}, 'tags names the card of all nodes'),
        ({'keypoints': '/k'}, 'keypoints:=/k: it belongs to detections, which is not given'),
        ({'tags': '/none.yaml'}, 'launch argument tags: no such file'),
    ],
)
def test_detectors_that_contradict_each_other_are_refused(board, given, said):
    with pytest.raises(ConfigError, match=said):
        plan(**{name: board if value == 'BOARD' else value for name, value in given.items()})


def test_a_card_without_objects_starts_no_poses(tmp_path):
    card = tmp_path / 'card.yaml'
    card.write_text('decoder: yolox')
    assert 'pose' not in nodes(model_card=str(card))


def test_rectify_is_one_argument():
    assert 'rectify' not in nodes()['preprocess'].parameters
    made = nodes(rectify='true', poses='true', image='/front/image_raw', camera_info='/front/camera_info')
    assert made['preprocess'].parameters['rectify'] is True
    assert made['preprocess'].remappings['image'] == '/front/image_raw'
    assert (
        made['pose'].remappings['camera_info'] == made['annotate'].remappings['camera_info'] == 'rectified/camera_info'
    )


@pytest.mark.parametrize('name', ['tags', 'detections'])
def test_what_takes_its_images_elsewhere_is_not_rectified(tmp_path, name):
    (tmp_path / 'tags.yaml').write_text('objects: {}')
    with pytest.raises(ConfigError, match=f'rectify:=true and {name}:='):
        plan(rectify='true', **{name: str(tmp_path / 'tags.yaml')})


def test_rectify_is_true_or_false():
    with pytest.raises(ConfigError, match='rectify'):
        plan(rectify='maybe')


@pytest.mark.parametrize('rectify', [True, False])
def test_a_parameter_file_cannot_rectify_for_one_node_alone(tmp_path, rectify):
    path = tmp_path / 'mine.yaml'
    path.write_text(f'/**/preprocess:\n  ros__parameters: {{rectify: {str(rectify).lower()}}}\n')
    assert nodes(params_file=str(path), rectify='true')['preprocess'].parameters['rectify'] is True
    if rectify:
        with pytest.raises(ConfigError, match='give rectify:=true'):
            nodes(params_file=str(path))
    else:
        assert nodes(params_file=str(path))['preprocess'].parameters['rectify'] is False


CLASSES = {'scores': np.linspace(-3, 3, 4 * 24 * 32, dtype=np.float32).reshape(1, 4, 24, 32)}
DEPTH = {'depth': np.linspace(0.5, 8, 96 * 128, dtype=np.float32).reshape(1, 1, 96, 128)}
IMAGE = ('image', 'float32', (1, 3, 96, 128))


@pytest.fixture
def nodes_of_tasks(monkeypatch):
    """The names of the nodes for each pixel, wherever they are installed from."""
    for name in ('segmentation', 'depth'):
        monkeypatch.setitem(NODES, name, NODES.get(name, f'{PACKAGE}.ros.nodes.{name}:{name.title()}Node'))


@pytest.mark.parametrize(
    ('outputs', 'card', 'expected'),
    [
        (CLASSES, '', ['preprocess', 'inference', 'segmentation', 'annotate']),
        (DEPTH, '', ['preprocess', 'inference', 'depth']),
        (DEPTH, 'depth: {kind: metric}', ['preprocess', 'inference', 'depth']),
        (DEPTH, 'task: semantic_segmentation', ['preprocess', 'inference', 'segmentation', 'annotate']),
    ],
)
def test_a_model_of_a_task_starts_the_node_of_its_task(tmp_path, nodes_of_tasks, outputs, card, expected):
    path = write_constant(tmp_path / 'm.onnx', outputs, image=IMAGE)
    path.with_suffix('.yaml').write_text(card)
    made = nodes(model=str(path), image='/front/image', camera_info='/front/info')
    assert list(made) == expected
    assert {dict(spec.parameters).get('model') for name, spec in made.items() if name != 'annotate'} == {str(path)}
    if 'depth' in made:
        assert made['depth'].remappings == {'image': '/front/image', 'camera_info': '/front/info'}
    else:
        assert made['annotate'].parameters == {'draw_classes': True, 'draw_detections': False}


def test_the_depth_that_a_network_is_aligned_to_is_the_camera_s(tmp_path, nodes_of_tasks):
    path = write_constant(tmp_path / 'm.onnx', DEPTH, image=IMAGE)
    assert nodes(model=str(path), depth='/front/depth')['depth'].remappings['align_depth'] == '/front/depth'


def test_masks_are_found_by_the_detection_node(tmp_path):
    boxes = np.tile(np.float32([30, 18, 50, 42]), (5, 1))
    masks = np.full((5, 1, 28, 28), 0.5, np.float32)
    outputs = {'boxes': boxes, 'labels': np.ones(5, np.int64), 'scores': np.full(5, 0.5, np.float32), 'masks': masks}
    path = write_constant(tmp_path / 'm.onnx', outputs, image=IMAGE)
    path.with_suffix('.yaml').write_text('labels: [a, b]\nobjects: {a: {size: [0.1, 0.1, 0.1]}}')
    assert list(nodes(model=str(path))) == ['preprocess', 'inference', 'detection', 'track', 'pose', 'annotate']


@pytest.mark.parametrize('name', ['poses', 'track'])
def test_poses_of_a_model_without_objects_are_refused(tmp_path, nodes_of_tasks, name):
    path = write_constant(tmp_path / 'm.onnx', CLASSES, image=IMAGE)
    with pytest.raises(ConfigError, match=f'{name}: true, but .* is for semantic_segmentation and finds no objects'):
        plan(model=str(path), **{name: 'true'})
    assert 'segmentation' in nodes(model=str(path), **{name: 'false'})


def test_a_model_of_the_parameter_file_starts_the_node_of_its_task(tmp_path, nodes_of_tasks):
    path = write_constant(tmp_path / 'm.onnx', CLASSES, image=IMAGE)
    file = tmp_path / 'mine.yaml'
    file.write_text(f'/**:\n  ros__parameters: {{model: {path}}}\n')
    made = nodes(params_file=str(file))
    assert list(made) == ['preprocess', 'inference', 'segmentation', 'annotate']
    assert made['segmentation'].parameters['model'] == str(path)


def test_depth_of_rectified_images_is_not_aligned_to_raw_depth(tmp_path, nodes_of_tasks):
    path = write_constant(tmp_path / 'm.onnx', DEPTH, image=IMAGE)
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/depth:\n  ros__parameters: {align: depth}\n')
    given = {'model': str(path), 'params_file': str(file)}
    with pytest.raises(ConfigError, match='rectify:=true with align: depth: depth/image is taken to be'):
        plan(rectify='true', **given)
    assert 'depth' in nodes(rectify='true', depth='depth/image_rect', **given)
    assert 'depth' in nodes(**given)


def test_what_the_user_says_of_depth_holds_where_images_are_rectified(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/pose:\n  ros__parameters: {depth_rectified: "true"}\n')
    given = {'rectify': 'true', 'poses': 'true'}
    assert nodes(**given)['pose'].parameters['depth_rectified'] == 'false'
    assert nodes(params_file=str(file), **given)['pose'].parameters['depth_rectified'] == 'true'
