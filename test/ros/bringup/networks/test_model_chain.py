# SPDX-License-Identifier: Apache-2.0
"""`models:=person.onnx,pose.onnx` and a top-down `model:=` on the line of a launch: which nodes, and which errors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.keypoints.dots import write_dots
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.errors import ConfigError
from isaac_inference.models import reader
from isaac_inference.ros.bringup.graph import PROPOSED
from isaac_inference.ros.bringup.launch_plan import ARGUMENTS, launch_plan
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build
from isaac_inference.ros.runtime.resources import shared_file

DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
CHAIN = ['preprocess', 'inference', 'detection', 'crops', 'crops_inference', 'keypoints', 'skeletons', 'annotate']


@pytest.fixture
def person(tmp_path: Path) -> str:
    metadata = ultralytics_metadata(['person', 'car'], imgsz=(64, 64))
    return str(write_model(tmp_path / 'person.onnx', 'yolov8', classes=2, input_wh=(64, 64), metadata=metadata))


@pytest.fixture
def pose(tmp_path: Path) -> str:
    return str(write_dots(tmp_path / 'pose.onnx').path)


@pytest.fixture
def single(tmp_path: Path) -> str:
    return str(write_dots(tmp_path / 'single.onnx', batch=1).path)


def nodes(**given: str) -> dict[str, Any]:
    return {spec.name: spec for spec in launch_plan({**DEFAULTS, **given}).nodes}


def test_two_models_are_a_detector_and_what_runs_on_its_people(person: str, pose: str) -> None:
    made = nodes(models=f'{person},{pose}', image='/front/image')
    assert list(made) == CHAIN
    assert {made[name].parameters['model'] for name in CHAIN[:3]} == {person}
    assert {made[name].parameters['model'] for name in CHAIN[3:6]} == {pose}
    assert made['crops'].remappings['image'] == '/front/image'
    drawn = {'draw_keypoints': True, 'draw_skeletons': True}
    assert made['annotate'].parameters == {**drawn, 'model': pose, 'wait_s': 1.0, 'buffer_size': 40}
    assert made['skeletons'].parameters == {'model': pose, 'wait_s': 1.0}


def test_blanks_and_home_are_read(person: str, pose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(Path(person).parent))
    made = nodes(models='~/person.onnx, ~/pose.onnx')
    assert made['crops'].parameters['model'] == pose


def test_cards_are_given_in_the_same_order(person: str, pose: str, tmp_path: Path) -> None:
    card = tmp_path / 'other.yaml'
    card.write_text('labels: [person, bus]\n')
    made = nodes(models=f'{person},{pose}', model_card=f'{card},')
    assert made['detection'].parameters['model_card'] == str(card)
    assert 'model_card' not in made['crops'].parameters
    with pytest.raises(ConfigError, match=r'models: the cards are .*other.yaml.*expected one for each model'):
        nodes(models=f'{person},{pose}', model_card=str(card))


def test_a_model_that_takes_any_number_gets_an_engine_for_some(person: str, pose: str, single: str) -> None:
    assert nodes(models=f'{person},{pose}')['crops_inference'].parameters['tensorrt.max_batch'] == 8
    assert 'tensorrt.max_batch' not in nodes(models=f'{person},{single}')['crops_inference'].parameters


def test_the_parameter_file_changes_what_the_graph_proposes(person: str, pose: str, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text(
        '/**/crops_inference:\n  ros__parameters: {tensorrt: {opt_batch: 2, max_batch: 3}}\n'
        '/**/skeletons:\n  ros__parameters: {wait_s: 0.5}\n'
    )
    made = nodes(models=f'{person},{pose}', params_file=str(file))
    parameters = made['crops_inference'].parameters
    assert (parameters['tensorrt.opt_batch'], parameters['tensorrt.max_batch']) == (2, 3)
    assert (made['skeletons'].parameters['wait_s'], made['annotate'].parameters['wait_s']) == (0.5, 1.0)


def test_the_shipped_parameter_file_gives_every_node_of_the_chain_valid_parameters(person: str, pose: str) -> None:
    made = nodes(models=f'{person},{pose}', params_file=str(shared_file('config/perception.yaml')))
    for spec in made.values():
        build(load_class(spec.package, spec.plugin).Parameters, spec.parameters)
    assert made['crops'].parameters['model'] == pose


def test_all_defaults_in_a_parameter_file_undo_nothing_that_the_graph_proposes(person: str, pose: str) -> None:
    without = nodes(models=f'{person},{pose}')
    made = nodes(models=f'{person},{pose}', params_file=str(shared_file('config/perception.yaml')))
    for name in PROPOSED.keys() & made.keys():
        proposed = {key: value for key, value in without[name].parameters.items() if key in PROPOSED[name]}
        assert proposed, f'{name} has nothing that could be undone'
        assert proposed.items() <= made[name].parameters.items()


def test_what_is_proposed_can_be_overruled_by_any_value(person: str, pose: str, tmp_path: Path) -> None:
    default = load_class('isaac_inference', 'isaac_inference::AnnotateNode').Parameters().wait_s
    file = tmp_path / 'mine.yaml'
    file.write_text(f'/**/annotate:\n  ros__parameters: {{wait_s: {default}}}\n')
    made = nodes(models=f'{person},{pose}', params_file=str(file))
    assert made['annotate'].parameters['wait_s'] == default, 'the default, too, where somebody says it'


def test_two_models_in_a_parameter_file(person: str, pose: str, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    sections = ''.join(
        f'/**/{name}:\n  ros__parameters: {{model: {person if name in CHAIN[:3] else pose}}}\n' for name in CHAIN[:6]
    )
    file.write_text(sections)
    assert list(nodes(params_file=str(file))) == CHAIN


@pytest.mark.parametrize('text', ['{person}', '{person},', ',{pose}', '{person},{pose},{pose}', ','])
def test_other_than_two_paths(person: str, pose: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r'models: got \d paths?, .*, expected two paths, a person detector and a'):
        nodes(models=text.format(person=person, pose=pose))


def test_a_file_that_is_not_there(person: str) -> None:
    with pytest.raises(ConfigError, match=r"models: no such file '/nowhere/pose.onnx'"):
        nodes(models=f'{person},/nowhere/pose.onnx')


def test_a_file_that_is_no_model(person: str, tmp_path: Path) -> None:
    (tmp_path / 'broken.onnx').write_bytes(b'nothing')
    with pytest.raises(ConfigError, match=r'models: .*broken.onnx'):
        nodes(models=f'{person},{tmp_path}/broken.onnx')


def test_the_wrong_way_round(person: str, pose: str) -> None:
    with pytest.raises(ConfigError) as caught:
        nodes(models=f'{pose},{person}')
    text = str(caught.value)
    assert f'{pose} is for top_down_keypoints' in text and f'{person} is for detection' in text
    assert 'give them the other way round' in text


def test_two_detectors(person: str) -> None:
    with pytest.raises(ConfigError) as caught:
        nodes(models=f'{person},{person}')
    assert f'{person} is for detection' in str(caught.value) and 'the other way round' not in str(caught.value)


def test_two_top_down_models(pose: str) -> None:
    with pytest.raises(ConfigError, match=r'is for top_down_keypoints.*and .*is for top_down_keypoints'):
        nodes(models=f'{pose},{pose}')


def test_a_detector_that_has_keypoints_itself(pose: str, tmp_path: Path) -> None:
    """Both would publish `keypoints`."""
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task='pose', kpt_shape=[8, 3])
    path = write_model(tmp_path / 'yolo_pose.onnx', 'yolov8_pose', classes=1, input_wh=(64, 64), metadata=metadata)
    with pytest.raises(ConfigError, match=r'is for keypoints .*the first finds keypoints by itself'):
        nodes(models=f'{path},{pose}')


@pytest.mark.parametrize('other', ['model', 'detections', 'tags'])
def test_models_beside_another_detector(person: str, pose: str, other: str, tmp_path: Path) -> None:
    (tmp_path / 'tags.yaml').write_text('objects: {}')
    value = {'model': person, 'detections': '/found', 'tags': str(tmp_path / 'tags.yaml')}[other]
    with pytest.raises(ConfigError, match=r'launch arguments .*models:=.*each is a detector'):
        nodes(models=f'{person},{pose}', **{other: value})


def test_a_top_down_model_alone(pose: str) -> None:
    made = nodes(model=pose, image='/front/image')
    assert list(made) == ['preprocess', 'inference', 'keypoints', 'skeletons', 'annotate']
    assert {made[name].parameters['model'] for name in ('preprocess', 'inference', 'keypoints')} == {pose}
    assert 'publish_detections' not in made['keypoints'].parameters
    assert made['annotate'].parameters == {'draw_keypoints': True, 'draw_skeletons': True, 'model': pose}
    assert made['skeletons'].parameters == {'model': pose}


def test_its_person_can_be_tracked_but_has_no_pose(pose: str) -> None:
    assert 'track' in nodes(model=pose, track='true')
    with pytest.raises(ConfigError, match='poses: true, but .* is for top_down_keypoints'):
        nodes(model=pose, poses='true')


def test_a_top_down_model_on_the_detections_of_a_detector_elsewhere(pose: str, person: str) -> None:
    made = nodes(model=pose, detections='/yolo/detections', image='/front/image')
    assert list(made) == ['crops', 'crops_inference', 'keypoints', 'skeletons', 'annotate']
    assert made['crops'].remappings['detections'] == '/yolo/detections'
    assert made['crops'].parameters['model'] == pose
    with pytest.raises(ConfigError, match='each is a detector'):
        nodes(model=person, detections='/yolo/detections')


def in_file(path: Path, sections: dict[str, dict[str, str]]) -> str:
    """A parameter file with a section for each node."""
    path.write_text(yaml.safe_dump({f'/**/{name}': {'ros__parameters': values} for name, values in sections.items()}))
    return str(path)


def models_of(made: dict[str, Any]) -> dict[str, str]:
    return {name: spec.parameters.get('model', '') for name, spec in made.items()}


def test_whoever_joins_keypoints_reads_the_model_of_a_parameter_file(pose: str, tmp_path: Path) -> None:
    """A skeletons or annotate node without a model does not configure: there are no pictures at all."""
    own = ['preprocess', 'inference', 'keypoints']
    made = nodes(params_file=in_file(tmp_path / 'mine.yaml', {name: {'model': pose} for name in own}))
    assert models_of(made) == dict.fromkeys([*own, 'skeletons', 'annotate'], pose)
    assert made['annotate'].parameters['draw_skeletons'] is True


def test_a_card_in_a_parameter_file_goes_with_its_model(tmp_path: Path) -> None:
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task='pose', kpt_shape=[17, 3])
    options = {'classes': 1, 'keypoint_shape': (17, 3), 'input_wh': (64, 64), 'metadata': metadata}
    path = write_model(tmp_path / 'm.onnx', 'yolov8_pose', **options)
    card = str(tmp_path / 'other.yaml')
    Path(card).write_text('keypoints: {skeleton: coco17}\n')
    section = {'model': str(path), 'model_card': card}
    own = dict.fromkeys(('preprocess', 'inference', 'detection'), section)
    made = nodes(params_file=in_file(tmp_path / 'mine.yaml', own))
    assert {spec.parameters['model_card'] for spec in made.values()} == {card}
    own |= {'skeletons': {'model': '/their/own.onnx'}, 'annotate': {'model_card': '/their/own.yaml'}}
    made = nodes(params_file=in_file(tmp_path / 'mine.yaml', own))
    assert made['skeletons'].parameters == {'model': '/their/own.onnx'}, 'a card of another model is none of its own'
    assert made['annotate'].parameters['model_card'] == '/their/own.yaml' and 'model' not in made['annotate'].parameters


def test_what_a_parameter_file_leaves_empty_is_not_given(pose: str, tmp_path: Path) -> None:
    """config/perception.yaml names every parameter, and models as ''."""
    sections = {name: {'model': pose, 'model_card': ''} for name in ('preprocess', 'inference', 'keypoints')}
    empty = {name: {'model': '', 'model_card': ''} for name in ('skeletons', 'annotate')}
    made = nodes(params_file=in_file(tmp_path / 'mine.yaml', sections | empty))
    assert set(models_of(made).values()) == {pose}


def test_a_card_in_a_parameter_file_may_be_the_name_of_a_shipped_one(tmp_path: Path) -> None:
    sections = {'preprocess': {'model_card': 'template'}, 'detection': {}}
    made = nodes(params_file=in_file(tmp_path / 'mine.yaml', sections))
    assert made['detection'].parameters['model_card'] == 'template'


def test_objects_of_a_model_that_a_parameter_file_gives_per_node_get_poses(person: str, tmp_path: Path) -> None:
    card = tmp_path / 'sized.yaml'
    card.write_text('objects: {person: {size: [0.5, 0.3, 1.7]}}\n')
    section = {'model': person, 'model_card': str(card)}
    made = nodes(
        params_file=in_file(tmp_path / 'mine.yaml', dict.fromkeys(('preprocess', 'inference', 'detection'), section))
    )
    for name in ('track', 'pose'):
        assert (made[name].parameters['model'], made[name].parameters['model_card']) == (person, str(card))


ALL_CROPS = ('crops', 'crops_inference', 'keypoints')


def test_a_top_down_model_of_a_parameter_file_runs_behind_the_detector_of_an_argument(
    person: str, pose: str, tmp_path: Path
) -> None:
    file = in_file(tmp_path / 'mine.yaml', {'crops': {'model': pose}})
    made = nodes(model=person, params_file=file)
    assert list(made) == CHAIN
    assert {made[name].parameters['model'] for name in CHAIN[:3]} == {person}
    assert {made[name].parameters['model'] for name in ALL_CROPS} == {pose}
    made = nodes(detections='/my/boxes', params_file=file)
    assert list(made) == [*ALL_CROPS, 'skeletons', 'annotate']
    assert {spec.parameters['model'] for spec in made.values()} == {pose}
    assert made['crops'].remappings['detections'] == '/my/boxes'


def test_an_argument_goes_before_the_top_down_model_of_a_parameter_file(person: str, pose: str, tmp_path: Path) -> None:
    file = in_file(tmp_path / 'mine.yaml', {'crops': {'model': pose}})
    assert list(nodes(detections='/my/boxes', keypoints='/my/points', params_file=file)) == ['annotate']
    other = write_dots(tmp_path / 'other.onnx').path
    made = nodes(models=f'{person},{other}', params_file=file)
    assert {made[name].parameters['model'] for name in ALL_CROPS} == {str(other)}
    metadata = ultralytics_metadata(['person'], imgsz=(64, 64), task='pose', kpt_shape=[8, 3])
    path = write_model(tmp_path / 'yolo_pose.onnx', 'yolov8_pose', classes=1, input_wh=(64, 64), metadata=metadata)
    assert 'crops' not in nodes(model=str(path), params_file=file), 'it has keypoints itself'
    assert 'crops' not in nodes(model=pose, params_file=file)


@pytest.mark.parametrize('given', [{'model': 'person'}, {'detections': '/my/boxes'}])
def test_a_model_of_a_parameter_file_for_all_nodes_is_not_for_crops(
    person: str, pose: str, tmp_path: Path, given: dict[str, str]
) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text(f'/**:\n  ros__parameters: {{model: {pose}}}\n')
    arguments = {name: person if value == 'person' else value for name, value in given.items()}
    assert 'crops' not in nodes(params_file=str(file), **arguments)


@pytest.mark.parametrize(
    'given, said',
    [
        ({}, 'parameter file FILE: crops: PERSON is for detection'),
        ({'model': 'PERSON'}, 'launch argument model and parameter file FILE: crops: PERSON is for detection'),
        ({'detections': '/my/boxes'}, 'parameter file FILE: crops: OTHER is for detection'),
    ],
)
def test_an_error_names_the_parameter_file_where_that_has_the_model(
    person: str, tmp_path: Path, given: dict[str, str], said: str
) -> None:
    other = str(tmp_path / 'other.onnx')
    shutil.copy(person, other)
    sections = {name: {'model': other if name == 'crops' else person} for name in (*CHAIN[:3], 'crops')}
    paths = {'FILE': in_file(tmp_path / 'mine.yaml', sections), 'PERSON': person, 'OTHER': other}
    with pytest.raises(ConfigError) as caught:
        nodes(params_file=paths['FILE'], **{name: paths.get(value, value) for name, value in given.items()})
    for word, path in paths.items():
        said = said.replace(word, path)
    assert str(caught.value).startswith(said)
    assert 'a model of top-down keypoints' in str(caught.value) and 'two paths' not in str(caught.value)


@pytest.mark.parametrize('given', [{'model': 'PERSON'}, {'detections': '/my/boxes'}, {}])
def test_a_model_of_a_parameter_file_that_is_not_there(person: str, tmp_path: Path, given: dict[str, str]) -> None:
    sections = {name: {'model': person} for name in CHAIN[:3]} | {'crops': {'model': '/nowhere/pose.onnx'}}
    file = in_file(tmp_path / 'mine.yaml', sections)
    with pytest.raises(ConfigError, match=r'parameter file .*mine.yaml: crops: .*/nowhere/pose.onnx'):
        nodes(params_file=file, **{name: person if value == 'PERSON' else value for name, value in given.items()})


def test_keypoints_of_one_s_own_beside_a_model_that_makes_them(pose: str) -> None:
    """Who reads keypoints reads one of the two; the other would be made for nobody."""
    with pytest.raises(ConfigError) as caught:
        nodes(detections='/my/boxes', keypoints='/my/points', model=pose)
    assert 'keypoints:=/my/points and model:=' in str(caught.value) and 'of /my/boxes; leave' in str(caught.value)


@pytest.mark.parametrize('given', ['models', 'model'])
def test_a_card_in_the_section_of_crops_is_that_of_all_who_run_the_model(
    person: str, pose: str, tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one of them reads another card, each frame is dropped as `other_model`."""
    card = tmp_path / 'own.yaml'
    card.write_text('name: mine\n')
    monkeypatch.setitem(reader._cache, (Path(pose), card), reader._cache[Path(pose), None])
    file = in_file(tmp_path / 'mine.yaml', {'crops': {'model_card': str(card)}})
    arguments = {'models': f'{person},{pose}'} if given == 'models' else {'model': pose, 'detections': '/my/boxes'}
    made = nodes(params_file=file, **arguments)
    assert {made[name].parameters['model_card'] for name in (*ALL_CROPS, 'skeletons')} == {str(card)}
