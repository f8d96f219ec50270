# SPDX-License-Identifier: Apache-2.0
"""A YAML of pipelines: what it says, and how what is written wrongly is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from isaac_inference.errors import ConfigError
from isaac_inference.models.demo import demo_model
from isaac_inference.serving.pipelines import Added, CameraSpec, PipelineSpec, read_pipelines

WHOLE = """
cameras:
  front: {image: /front/image_raw, camera_info: /front/info, depth: /front/depth, depth_info: /front/depth_info}
  left: {source: pictures}
  rear: {simulator: {seed: 3}}
pipelines:
  - name: objects
    model: many.onnx
    cameras: [rear, front]
    tasks: [detection, track]
    namespace: /robot/objects
    priority: 3
    target_rate_hz: 15
    threads: 2
    max_batch: 2
    batch_wait_ms: 1.5
    rectify: true
    target_frame: base_link
    params:
      detection: {score_threshold: 0.4}
      inference: {tensorrt: {fp16: true}, backend: onnxruntime}
budget: manipulation
"""
LEAST = {'cameras': {'front': {}}, 'pipelines': [{'name': 'objects', 'model': 'cups.onnx'}]}


def changed(**fields):
    """The least file with other fields of its pipeline."""
    return {**LEAST, 'pipelines': [{**LEAST['pipelines'][0], **fields}]}


def test_all_that_can_be_said(read, models):
    setup = read(WHOLE)
    assert setup.cameras == (
        CameraSpec('front', '/front/image_raw', '/front/info', '/front/depth', '/front/depth_info'),
        CameraSpec('left', source=str(models / 'pictures')),
        CameraSpec('rear', simulator={'seed': 3}),
    )
    assert setup.pipelines == (
        PipelineSpec(
            'objects',
            str(models / 'many.onnx'),
            ('rear', 'front'),
            adds=frozenset({Added.TRACK}),
            namespace='/robot/objects',
            priority=3,
            target_rate_hz=15.0,
            threads=2,
            max_batch=2,
            batch_wait_ms=1.5,
            rectify=True,
            target_frame='base_link',
            params={
                'detection': {'score_threshold': 0.4},
                'inference': {'tensorrt.fp16': True, 'backend': 'onnxruntime'},
            },
        ),
    )
    assert (setup.budget, setup.path) == ('manipulation', str(models / 'pipelines.yaml'))


def test_the_least_that_must_be_said(read, models):
    setup = read(LEAST)
    [pipeline] = setup.pipelines
    assert pipeline == PipelineSpec('objects', str(models / 'cups.onnx'), ('front',))
    assert (pipeline.priority, pipeline.below, pipeline.wants(Added.POSES)) == (1, 'objects', None)
    assert setup.camera('front') == CameraSpec('front', 'image', 'camera_info', 'depth/image', 'depth/camera_info')


def test_a_pipeline_without_cameras_has_all(read):
    setup = read({**LEAST, 'cameras': {'front': None, 'left': {}}})
    assert setup.pipelines[0].cameras == ('front', 'left')


def test_a_budget_of_one_s_own_lies_beside_the_file(read, models):
    assert read({**LEAST, 'budget': 'mine.yaml'}).budget == str(models / 'mine.yaml')


def test_a_card_is_beside_the_file_or_has_the_name_of_a_shipped_one(read, models):
    with pytest.raises(ConfigError, match=f'card: no file {models}/mine.yaml'):
        read(changed(model_card='mine.yaml'))
    with pytest.raises(ConfigError, match='card: no file .*mine, and no card of that name'):
        read(changed(model_card='mine'))


def test_a_file_that_is_a_list_is_named(read):
    with pytest.raises(ConfigError, match=r'the file: got \[1\], expected lines of "key: value"'):
        read([1])


def test_the_package_s_own_model_has_a_name(read):
    assert read(changed(model='demo')).pipelines[0].model == str(demo_model())


def test_what_is_read_can_not_be_changed(read):
    setup = read(WHOLE)
    with pytest.raises(TypeError):
        setup.pipelines[0].params['detection']['score_threshold'] = 0.9
    with pytest.raises(TypeError):
        setup.cameras[2].simulator['seed'] = 4


@pytest.mark.parametrize(
    ('fields', 'fault'),
    [
        ({'priority': 4}, 'objects).priority: got 4, expected a whole number in 0..3: 0 best effort, 1 normal, 2 high'),
        ({'priority': -1}, 'objects).priority: got -1, expected a whole number in 0..3'),
        ({'priority': True}, 'objects).priority: got True, expected a whole number in 0..3'),
        ({'priority': 'high'}, "objects).priority: got 'high', expected a whole number in 0..3"),
        ({'priorty': 2}, 'objects).priorty: no such key, did you mean priority?'),
        ({'colour': 2}, 'objects).colour: no such key, there are: name, model,'),
        ({'tasks': ['pose']}, "objects).tasks: got 'pose', expected one of detection, keypoints,"),
        ({'tasks': 3}, 'objects).tasks: got 3, expected a list of detection,'),
        ({'target_rate_hz': -1}, 'objects).target_rate_hz: got -1, expected a number of at least 0'),
        ({'target_rate_hz': float('nan')}, 'objects).target_rate_hz: got nan, expected a number of at least 0'),
        ({'threads': 1.5}, 'objects).threads: got 1.5, expected a whole number of at least 0'),
        ({'batch_wait_ms': 'long'}, "objects).batch_wait_ms: got 'long', expected a number of at least 0"),
        ({'rectify': 'yes please'}, "objects).rectify: got 'yes please', expected true or false"),
        ({'cameras': {'front': 1}}, "objects).cameras: got {'front': 1}, expected names of cameras; there are: front"),
        ({'params': {'detection': 3}}, 'objects).params.detection: got 3, expected parameters of a node'),
        ({'params': [1]}, 'objects).params: got [1], expected parameters of a node'),
        ({'namespace': 'a b'}, "objects).namespace: got 'a b', expected letters, digits"),
        ({'model': None}, 'objects).model: got None, expected the path of an ONNX file, or demo'),
        ({'name': 'front-cam'}, "front-cam).name: got 'front-cam', expected a name of letters, digits"),
        ({'name': 'front_'}, "front_).name: got 'front_', expected a name of letters, digits"),
        ({'name': None}, '[0].name: got None, expected a name of letters'),
    ],
)
def test_a_value_that_cannot_be(faults, fields, fault):
    [found] = faults(changed(**fields))
    assert fault in found


@pytest.mark.parametrize(
    ('camera', 'fault'),
    [
        ({'topic': '/a'}, 'cameras.front.topic: no such key, there are: image, camera_info,'),
        ({'images': '/a'}, 'cameras.front.images: no such key, did you mean image?'),
        ({'image': 'a b'}, "cameras.front.image: got 'a b', expected letters"),
        ({'simulator': 3}, 'cameras.front.simulator: got 3, expected parameters of sim_camera'),
        (
            {'simulator': {}, 'source': 'photos'},
            "cameras.front.source: got 'photos', expected nothing beside simulator",
        ),
        ('/front/image', "cameras.front: got '/front/image', expected lines"),
    ],
)
def test_a_camera_that_cannot_be(faults, camera, fault):
    [found] = faults({**LEAST, 'cameras': {'front': camera}})
    assert fault in found


@pytest.mark.parametrize(
    ('content', 'fault'),
    [
        ('', 'pipelines: got None, expected a list of pipelines'),
        ('cameras: {front: {}}', 'pipelines: got None, expected a list of pipelines'),
        ('cameras: {front: {}}\npipelines: {name: a}', "pipelines: got {'name': 'a'}, expected a list of pipelines"),
        ('cameras: {front: {}}\npipelines: [objects]', "pipelines[0]: got 'objects', expected lines"),
        ('pipeline: []', 'pipeline: no such key, did you mean pipelines?'),
        ('- a', "got ['a'], expected lines"),
        ('cameras: {2nd: {}}', "cameras: got '2nd', expected a name of letters"),
        ('cameras: []', 'cameras: got [], expected lines of'),
    ],
)
def test_a_file_of_another_shape(faults, content, fault):
    assert any(fault in line for line in faults(content)), faults(content)


def test_all_that_is_wrong_is_said_at_once(faults):
    content = {
        'cameras': {'front': {'imag': '/a'}},
        'pipelines': [
            {'name': 'a', 'model': 'cups.onnx', 'priority': 9, 'cameras': ['frnt']},
            {'name': 'a', 'model': 'gone.onnx', 'thread': 2},
        ],
    }
    found = faults(content)
    assert len(found) == 6
    for fault in ('cameras.front.imag', '(a).priority', "'frnt'", 'named a', "no such file '", '.thread: no such key'):
        assert any(fault in line for line in found), fault


def test_a_key_that_comes_twice_is_no_key_that_wins(faults):
    [found] = faults('cameras:\n  front: {image: a}\n  front: {image: b}\n')
    assert "key 'front' comes twice, the second time in line 3" in found


@pytest.mark.parametrize('content', ['a: [', '\0'])
def test_no_yaml(faults, content):
    assert 'expected a YAML file like those of config/pipelines' in ' '.join(faults_of_file(content, faults))


def faults_of_file(content, faults):
    try:
        return faults(content)
    except AssertionError as error:  # the parser's own words have several lines
        return [str(error)]


def test_no_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r'pipelines .*none.yaml: .*No such file'):
        read_pipelines(tmp_path / 'none.yaml')
