# SPDX-License-Identifier: Apache-2.0
"""Depth that the graph makes itself: which nodes follow from the launch arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.dense.networks import write_filler, write_matcher
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.graph import NodeSpec
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.resources import shared_file

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
PAIR = {'left': '/l/image', 'left_info': '/l/info', 'right': '/r/image', 'right_info': '/r/info'}
PAIR_TOPICS = {
    'left/image': '/l/image',
    'left/camera_info': '/l/info',
    'right/image': '/r/image',
    'right/camera_info': '/r/info',
}


def nodes(**given: str) -> dict[str, NodeSpec]:
    return {spec.name: spec for spec in launch_plan({**DEFAULTS, **given}).nodes}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp('made_depth')
    write_matcher(made / 'stereo.onnx')
    write_filler(made / 'completion.onnx')
    metadata = ultralytics_metadata(['cup', 'can', 'box'], imgsz=(64, 64))
    write_model(made / 'boxes.onnx', 'yolov8', input_wh=(64, 64), metadata=metadata)
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task='pose', kpt_shape=[17, 3])
    options = {'classes': 1, 'keypoint_shape': (17, 3), 'input_wh': (64, 64), 'metadata': metadata}
    write_model(made / 'people.onnx', 'yolov8_pose', **options)
    (made / 'broken.onnx').write_bytes(b'no model')
    return made


def test_a_stereo_network_starts_its_node_and_runs(folder: Path) -> None:
    found = nodes(model=str(folder / 'stereo.onnx'), **PAIR)
    assert list(found) == ['stereo', 'inference']
    expected = {'model': str(folder / 'stereo.onnx'), 'model_card': ''}
    assert all(spec.parameters == expected for spec in found.values())
    assert found['stereo'].remappings == PAIR_TOPICS and not found['inference'].remappings


def test_a_completion_network_starts_its_node_and_runs(folder: Path) -> None:
    given = {'image': '/c/image', 'camera_info': '/c/info', 'depth': '/c/depth'}
    found = nodes(model=str(folder / 'completion.onnx'), **given)
    assert list(found) == ['completion', 'inference']
    expected = {'image': '/c/image', 'camera_info': '/c/info', 'sensor_depth/image': '/c/depth'}
    assert found['completion'].remappings == expected
    found = nodes(model=str(folder / 'completion.onnx'), **given, depth_info='/c/depth_info')
    assert found['completion'].remappings == {**expected, 'sensor_depth/camera_info': '/c/depth_info'}


def test_a_card_is_that_of_the_network(folder: Path, tmp_path: Path) -> None:
    card = tmp_path / 'card.yaml'
    card.write_text('disparity: {scale: 2}')
    found = nodes(model=str(folder / 'stereo.onnx'), model_card=str(card))
    assert {spec.parameters['model_card'] for spec in found.values()} == {str(card)}


@pytest.mark.parametrize('kind', ['stereo', 'completion'])
def test_without_a_model_it_is_the_node_alone(kind: str) -> None:
    found = nodes(**{kind: 'true'})
    assert list(found) == [kind] and found[kind].parameters == {'model': '', 'model_card': ''}
    assert list(nodes(**{kind: 'false'})) == ['preprocess', 'inference', 'detection', 'annotate']


def test_a_detector_takes_the_depth_that_is_made(folder: Path) -> None:
    model = str(folder / 'boxes.onnx')
    found = nodes(model=model, stereo='true', poses='true', **PAIR)
    assert list(found) == ['stereo', 'preprocess', 'inference', 'detection', 'track', 'pose', 'annotate']
    assert found['stereo'].parameters == {'model': '', 'model_card': ''}
    assert found['inference'].parameters['model'] == model
    found = nodes(model=model, completion='true', poses='true', depth='/c/depth', depth_info='/c/depth_info')
    assert found['completion'].remappings['sensor_depth/image'] == '/c/depth'
    assert found['pose'].remappings['depth/image'] == 'depth/image'
    assert found['pose'].remappings['depth/camera_info'] == 'depth/camera_info'


@pytest.mark.parametrize('kind', ['stereo', 'completion'])
def test_two_networks_do_not_meet(folder: Path, kind: str) -> None:
    model, depth_model = str(folder / 'boxes.onnx'), str(folder / f'{kind}.onnx')
    found = nodes(model=model, depth_model=depth_model)
    assert list(found) == [kind, f'{kind}_inference', 'preprocess', 'inference', 'detection', 'annotate']
    tensors = {'input_tensors': f'{kind}/input_tensors', 'output_tensors': f'{kind}/output_tensors'}
    for name in (kind, f'{kind}_inference'):
        assert found[name].parameters == {'model': depth_model, 'model_card': ''}
        assert {name: topic for name, topic in found[name].remappings.items() if 'tensors' in name} == tensors
    assert found['inference'].parameters == {'model': model} and not found['inference'].remappings
    assert list(nodes(depth_model=depth_model)) == [kind, 'inference']


@pytest.mark.parametrize(
    'given, is_late',
    [
        ({'depth_model': 'stereo'}, True),
        ({'depth_model': 'completion'}, True),
        ({'stereo': 'true'}, True),  # it takes its time without a network too
        ({'completion': 'true'}, True),
        ({}, False),
    ],
)
def test_whoever_pairs_depth_that_is_made_with_detections_waits_for_it(
    folder: Path, given: dict[str, str], is_late: bool
) -> None:
    """A network of 0.3 s a frame gives no frame its depth within the 0.15 s that a camera's own is waited for."""
    paths = {name: str(folder / f'{value}.onnx') if name == 'depth_model' else value for name, value in given.items()}
    found = nodes(model=str(folder / 'boxes.onnx'), poses='true', **paths)
    assert found['pose'].parameters.get('wait_s') == (1.0 if is_late else None)
    drawn = found['annotate'].parameters
    assert (drawn.get('wait_s'), drawn.get('buffer_size')) == ((1.0, 40) if is_late else (None, None))
    without_poses = nodes(model=str(folder / 'boxes.onnx'), poses='false', **paths)
    assert 'wait_s' not in without_poses['annotate'].parameters, 'a picture without poses waits for nothing'


def test_skeletons_wait_for_depth_that_is_made(folder: Path) -> None:
    people = str(folder / 'people.onnx')
    assert nodes(model=people, depth_model=str(folder / 'completion.onnx'))['skeletons'].parameters['wait_s'] == 1.0
    assert 'wait_s' not in nodes(model=people)['skeletons'].parameters


def test_a_parameter_file_says_how_long_made_depth_is_waited_for(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text(
        '/**/pose:\n  ros__parameters: {wait_s: 0.5}\n/**/annotate:\n  ros__parameters: {buffer_size: 20}\n'
    )
    found = nodes(model=str(folder / 'boxes.onnx'), poses='true', stereo='true', params_file=str(file))
    assert found['pose'].parameters['wait_s'] == 0.5
    assert (found['annotate'].parameters['wait_s'], found['annotate'].parameters['buffer_size']) == (1.0, 20)
    for name in ('pose', 'annotate'):
        build(load_class(found[name].package, found[name].plugin).Parameters, found[name].parameters)


def test_a_parameter_file_may_name_the_network(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text(
        f'/**:\n  ros__parameters: {{model: {folder / "boxes.onnx"}}}\n'
        f'/**/stereo:\n  ros__parameters: {{model: {folder / "stereo.onnx"}}}\n'
    )
    found = nodes(params_file=str(file))
    assert found['stereo'].parameters['model'] == found['stereo_inference'].parameters['model']
    assert found['stereo'].parameters['model'] == str(folder / 'stereo.onnx')
    assert found['inference'].parameters['model'] == str(folder / 'boxes.onnx')
    assert 'stereo' not in nodes(params_file=str(file), stereo='false')
    file.write_text(f'/**:\n  ros__parameters: {{model: {folder / "boxes.onnx"}}}\n')
    assert nodes(params_file=str(file), stereo='true')['stereo'].parameters['model'] == ''  # not the detector
    file.write_text(f'/**:\n  ros__parameters: {{model: {folder / "stereo.onnx"}}}\n')
    assert list(nodes(params_file=str(file))) == ['stereo', 'inference']


@pytest.mark.parametrize('kind', ['stereo', 'completion'])
@pytest.mark.parametrize('is_argument', [True, False])
def test_a_card_in_a_parameter_file_is_the_node_s_and_its_inference_node_s(
    folder: Path, tmp_path: Path, kind: str, is_argument: bool
) -> None:
    """Where one of the two reads another card, each frame is dropped as `other_model`."""
    card, file, network = tmp_path / 'own.yaml', tmp_path / 'mine.yaml', str(folder / f'{kind}.onnx')
    card.write_text('name: mine\n')
    section = {'model_card': str(card), **({} if is_argument else {'model': network})}
    file.write_text(yaml.safe_dump({f'/**/{kind}': {'ros__parameters': section}}))
    given = {'depth_model': network} if is_argument else {}
    found = nodes(model=str(folder / 'boxes.onnx'), params_file=str(file), **given)
    for name in (kind, f'{kind}_inference'):
        assert found[name].parameters == {'model': network, 'model_card': str(card)}
    assert 'model_card' not in found['inference'].parameters


@pytest.mark.parametrize('of_all', [{'model': True, 'model_card': True}, {'model_card': True}])
@pytest.mark.parametrize('is_network', [True, False])
def test_a_card_in_a_parameter_file_for_all_nodes_is_the_detector_s(
    folder: Path, tmp_path: Path, of_all: dict[str, bool], is_network: bool
) -> None:
    card, file, model = tmp_path / 'own.yaml', tmp_path / 'mine.yaml', str(folder / 'boxes.onnx')
    card.write_text('labels: [mug, can, box]\n')
    section = {name: {'model': model, 'model_card': str(card)}[name] for name in of_all}
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': section}}))
    given = {'depth_model': str(folder / 'stereo.onnx')} if is_network else {'stereo': 'true'}
    found = nodes(params_file=str(file), **given, **({} if 'model' in of_all else {'model': model}))
    expected = {'model': str(folder / 'stereo.onnx') if is_network else '', 'model_card': ''}
    assert found['stereo'].parameters == expected
    if is_network:
        assert found['stereo_inference'].parameters == expected
    assert found['detection'].parameters['model_card'] == str(card)


def test_a_card_in_a_parameter_file_is_not_that_of_another_model(folder: Path, tmp_path: Path) -> None:
    file, model = tmp_path / 'mine.yaml', str(folder / 'boxes.onnx')
    file.write_text('/**:\n  ros__parameters: {model: /other.onnx, model_card: /other.yaml}\n')
    found = nodes(params_file=str(file), model=model)
    for name in ('preprocess', 'inference', 'detection'):
        assert found[name].parameters == {'model': model}
    file.write_text(f'/**:\n  ros__parameters: {{model: {model}, model_card: /its.yaml}}\n')
    found = nodes(params_file=str(file), model=model)
    assert found['detection'].parameters['model_card'] == '/its.yaml'


@pytest.mark.parametrize('kind', ['stereo', 'completion'])
def test_the_shipped_parameter_file_gives_the_nodes_valid_parameters(folder: Path, kind: str) -> None:
    file = str(shared_file('config/perception.yaml'))
    for spec in nodes(params_file=file, model=str(folder / f'{kind}.onnx')).values():
        build(load_class(spec.package, spec.plugin).Parameters, spec.parameters)
        assert spec.parameters['model'] == str(folder / f'{kind}.onnx')
    assert nodes(params_file=file, **{kind: 'true'})[kind].parameters['model'] == ''


@pytest.mark.parametrize(
    'given, says',
    [
        ({'model': 'stereo', 'stereo': 'false'}, 'stereo:=false and model:=.*which is a network for the stereo node'),
        ({'depth_model': 'completion', 'completion': 'false'}, 'completion:=false and depth_model:='),
        ({'depth_model': 'boxes'}, 'depth_model: .* is for detection, expected stereo_depth or depth_completion'),
        ({'depth_model': 'broken'}, 'depth_model: .* cannot be read; `isaac-inference info .*` says why'),
        ({'model': 'stereo', 'depth_model': 'completion'}, 'both make depth; give one'),
        ({'stereo': 'true', 'completion': 'true'}, 'stereo:=true, completion:=true: both nodes publish depth/image'),
        ({'model': 'stereo', 'completion': 'true'}, 'stereo:=auto, completion:=true: both nodes publish'),
        ({'stereo': 'true', 'depth': '/c/depth'}, 'depth:=/c/depth with the stereo node, which makes depth/image'),
        ({'model': 'stereo', 'rectify': 'true'}, 'rectify:=true .*the stereo node rectifies raw pairs itself'),
        ({'model': 'completion', 'rectify': 'true'}, 'rectify:=true .*depth is that of the image'),
        ({'stereo': 'true', 'source': '0'}, 'source:=0: a camera node has one image'),
        ({'stereo': 'yes'}, "stereo: got 'yes', expected true or false"),
        ({'model': 'stereo', 'poses': 'true'}, 'poses: true, but .* is for stereo_depth and finds no objects'),
    ],
)
def test_what_contradicts_itself_is_an_error(folder: Path, given: dict[str, str], says: str) -> None:
    paths = {
        name: str(folder / f'{value}.onnx') if name in ('model', 'depth_model') else value
        for name, value in given.items()
    }
    with pytest.raises(ConfigError, match=says):
        nodes(**paths)


@pytest.mark.parametrize(
    'sections, given, says',
    [
        ({'preprocess': 'stereo'}, {'stereo': 'false'}, 'stereo:=false and parameter file FILE: preprocess: .*network'),
        ({'stereo': 'stereo'}, {'completion': 'true'}, 'nodes publish .*, and parameter file FILE: stereo: '),
        ({'preprocess': 'stereo', 'completion': 'completion'}, {}, 'FILE: preprocess: .*FILE: completion: .*both make'),
        ({'preprocess': 'stereo'}, {'depth_model': 'completion'}, 'FILE: preprocess: .* and depth_model:=.*both make'),
        ({'stereo': 'nowhere'}, {}, 'FILE: stereo: .*nowhere.onnx cannot be read, expected a network for stereo_depth'),
        ({'stereo': 'nowhere'}, {'stereo': 'true'}, 'FILE: stereo: .*nowhere.onnx cannot be read'),
        ({'completion': 'boxes'}, {}, 'FILE: completion: .*boxes.onnx is for detection, expected .*depth_completion'),
    ],
)
def test_an_error_names_the_parameter_file_where_that_has_the_model(
    folder: Path, tmp_path: Path, sections: dict[str, str], given: dict[str, str], says: str
) -> None:
    file = tmp_path / 'mine.yaml'
    values = {name: {'ros__parameters': {'model': str(folder / f'{kind}.onnx')}} for name, kind in sections.items()}
    file.write_text(yaml.safe_dump({f'/**/{name}': section for name, section in values.items()}))
    paths = {name: str(folder / f'{value}.onnx') if name == 'depth_model' else value for name, value in given.items()}
    with pytest.raises(ConfigError, match=says.replace('FILE', str(file))) as caught:
        nodes(params_file=str(file), **paths)
    assert ' model:=' not in str(caught.value), 'there is no such argument'


def test_a_network_of_the_file_that_is_not_wanted_is_not_looked_at(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/stereo:\n  ros__parameters: {model: /nowhere/stereo.onnx}\n')
    assert 'stereo' not in nodes(params_file=str(file), stereo='false')
