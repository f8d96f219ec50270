# SPDX-License-Identifier: Apache-2.0
"""`cameras:=front,left`: the graph of one camera, once for each, around one inference node."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.pipelines import at, topic

from isaac_inference.errors import ConfigError
from isaac_inference.models.demo import completion_model, demo_model
from isaac_inference.ros.bringup.node_list import plugin
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build

EACH = ['preprocess', 'detection', 'annotate']


def test_one_inference_node_has_a_stream_for_each_camera(plan, models):
    made = plan(model=models / 'cups.onnx', cameras='front,left')
    assert list(at(made, '')) == ['inference']
    assert list(at(made, 'front')) == list(at(made, 'left')) == EACH
    inference = at(made, '')['inference']
    assert inference.parameters == {'model': str(models / 'cups.onnx'), 'streams': ['front', 'left']}
    for camera in ('front', 'left'):
        nodes = at(made, camera)
        assert topic(nodes['preprocess'], 'image') == f'/{camera}/image'
        assert topic(nodes['preprocess'], 'input_tensors') == topic(inference, f'{camera}/input_tensors')
        assert topic(nodes['detection'], 'output_tensors') == topic(inference, f'{camera}/output_tensors')
        assert topic(nodes['detection'], 'detections') == f'/{camera}/detections'
        assert topic(nodes['annotate'], 'image') == f'/{camera}/image'


def test_each_camera_has_the_graph_that_it_would_have_alone(plan, models):
    alone = {spec.name: spec for spec in plan(model=demo_model(), image='image_raw', track='true').nodes}
    made = plan(model=demo_model(), image='image_raw', track='true', cameras='front,left')
    for camera in ('front', 'left'):
        nodes = at(made, camera)
        assert {*nodes, 'inference'} == set(alone)
        assert nodes == {name: dataclasses.replace(alone[name], namespace=camera) for name in nodes}


def test_all_is_below_the_namespaces_of_the_launch_file(plan, models):
    made = plan('/robot', model=models / 'cups.onnx', cameras='front', namespace='head')
    assert made.namespace == '/robot/head'
    names = {spec.full_name(made.namespace) for spec in made.nodes}
    assert {'/robot/head/inference', '/robot/head/front/detection'} <= names


@pytest.mark.parametrize('namespace', ['b-c', '/robot/1st', 'a b'])
def test_a_namespace_that_no_node_can_be_in(plan, models, namespace):
    with pytest.raises(ConfigError, match=f"launch argument namespace: got '.*{namespace}', expected words of letters"):
        plan('/fleet', model=models / 'cups.onnx', namespace=namespace)


def test_a_parameter_file_speaks_of_each_camera_s_nodes(plan, models, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text(
        '/**/detection: {ros__parameters: {score_threshold: 0.3}}\n'
        '/left/detection: {ros__parameters: {score_threshold: 0.6}}\n'
        '/inference: {ros__parameters: {backend: onnxruntime}}\n'
        '/rigt/detection: {ros__parameters: {score_threshold: 0.9}}\n'
    )
    made = plan(model=models / 'cups.onnx', cameras='front,left', params_file=file)
    thresholds = {camera: at(made, camera)['detection'].parameters['score_threshold'] for camera in ('front', 'left')}
    assert thresholds == {'front': 0.3, 'left': 0.6}
    assert at(made, '')['inference'].parameters['backend'] == 'onnxruntime'
    [remark] = made.remarks
    assert '/rigt/detection applies to no node that is started here; nearest is /' in remark


def test_a_model_that_the_parameter_file_names(plan, models, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text(f'/**: {{ros__parameters: {{model: {models}/lanes.onnx}}}}\n')
    made = plan(cameras='front,left', params_file=file)
    assert list(at(made, 'left')) == ['preprocess', 'segmentation', 'annotate']
    assert at(made, '')['inference'].parameters == {'model': f'{models}/lanes.onnx', 'streams': ['front', 'left']}


def test_models_that_differ_from_camera_to_camera_in_a_parameter_file(plan, models, tmp_path):
    """One of them would run on images that are prepared for the other."""
    path = tmp_path / 'mine.yaml'
    sections = [
        f'/{camera}/preprocess:\n  ros__parameters: {{model: {models / name}}}\n' for camera, name in PER_CAMERA
    ]
    path.write_text(''.join(sections))
    with pytest.raises(ConfigError) as error:
        plan(cameras='front,left', params_file=str(path))
    assert 'inference of cameras front and of left: model is ' in str(error.value)
    assert 'cups.onnx' in str(error.value) and 'wide.onnx' in str(error.value)


PER_CAMERA = (('front', 'cups.onnx'), ('left', 'wide.onnx'))


def test_a_chain_of_two_models_runs_each_once(plan, models):
    made = plan(models=f'{models}/cups.onnx,{models}/pose.onnx', cameras='front,left')
    assert list(at(made, '')) == ['inference', 'crops_inference']
    crops = at(made, '')['crops_inference']
    assert crops.parameters['streams'] == ['front', 'left']
    for camera in ('front', 'left'):
        nodes = at(made, camera)
        assert topic(crops, f'{camera}/input_tensors') == f'/{camera}/crops/input_tensors'  # ~/input_tensors of crops
        assert topic(nodes['keypoints'], 'output_tensors') == topic(crops, f'{camera}/output_tensors')
        assert topic(nodes['crops'], 'detections') == topic(nodes['detection'], 'detections')


def test_depth_that_is_made_for_each_camera_has_one_network(plan, models):
    given = {'model': models / 'cups.onnx', 'poses': 'true', 'depth_model': completion_model()}
    made = plan(**given, cameras='front,left')
    assert list(at(made, '')) == ['completion_inference', 'inference']
    network = at(made, '')['completion_inference']
    assert network.parameters['streams'] == ['front', 'left']
    for camera in ('front', 'left'):
        completion = at(made, camera)['completion']
        for name in ('input_tensors', 'output_tensors'):
            assert topic(completion, name) == topic(network, f'{camera}/{name}') == f'/{camera}/completion/{name}'
        assert topic(at(made, camera)['pose'], 'depth/image') == f'/{camera}/depth/image'


def test_tags_need_no_inference_node(plan, tmp_path):
    card = tmp_path / 'tags.yaml'
    card.write_text('objects: {crate: {size: [0.3, 0.2, 0.2], tags: {7: {size: 0.1, position: [0, 0, 0.1]}}}}\n')
    made = plan(tags=card, cameras='front,left')
    assert not at(made, '') and 'tags' in at(made, 'front') and 'tags' in at(made, 'left')


def test_one_camera_may_have_a_source_and_topics_with_a_slash(plan, models):
    made = plan(model=models / 'cups.onnx', cameras='front', source='0', image='/usb/image')
    nodes = at(made, 'front')
    assert nodes['camera'].parameters == {'source': '0', 'frame_id': 'front_optical_frame'}
    assert topic(nodes['camera'], 'image') == topic(nodes['preprocess'], 'image') == '/usb/image'


def test_simulated_cameras_look_at_one_scene(plan, models):
    """Scenes of their own would have objects of the same names at one place on /tf."""
    made = plan(model=models / 'cups.onnx', cameras='front,left', image='image_raw', simulate='true')
    [camera] = [spec for spec in made.nodes if spec.plugin == plugin('sim_camera')]
    chosen = build(load_class(camera.package, camera.plugin).Parameters, camera.parameters)
    assert chosen.cameras == ('front', 'left')
    assert [chosen.frame_of(name) for name in chosen.cameras] == ['front_optical_frame', 'left_optical_frame']
    assert at(made, '')['inference'].parameters['onnxruntime.spinning'] is False
    for name in chosen.cameras:
        assert topic(camera, f'{name}/image') == topic(at(made, name)['preprocess'], 'image') == f'/{name}/image_raw'


def test_one_simulated_camera_is_in_its_own_namespace(plan, models):
    made = plan(model=models / 'cups.onnx', cameras='front', simulate='true')
    assert at(made, 'front')['sim_camera'].parameters['frame_id'] == 'front_optical_frame'


def test_more_simulated_cameras_than_look_at_one_scene(plan, models):
    cameras = ','.join(f'camera{number}' for number in range(17))
    with pytest.raises(ConfigError, match='17 simulated cameras of one scene, expected at most 16'):
        plan(model=models / 'cups.onnx', cameras=cameras, simulate='true')


@pytest.mark.parametrize(
    ('given', 'fault'),
    [
        ({'cameras': 'front,front'}, 'cameras: front comes 2 times, expected once: two streams of one name'),
        ({'cameras': 'front,'}, "cameras: got '' in 'front,', expected names of letters, digits"),
        ({'cameras': '/front,left'}, "cameras: got '/front' in '/front,left', expected names"),
        ({'cameras': 'front,left', 'image': '/image'}, 'image:=/image would be the topic of each of front, left'),
        ({'cameras': 'front,left', 'source': '0'}, 'source:=0 is the images of one camera, and there are 2; write pip'),
        ({'cameras': 'front', 'source': '0', 'simulate': 'true'}, 'simulate:=true and source:=0: each is the images'),
        ({'simulate': 'true'}, 'simulate: true, but no cameras are named; give cameras:=front'),
    ],
)
def test_cameras_that_cannot_be(plan, models, given, fault):
    with pytest.raises(ConfigError) as error:
        plan(model=models / 'cups.onnx', **given)
    assert fault in str(error.value)


def test_without_cameras_nothing_has_streams(plan, models):
    made = plan(model=models / 'cups.onnx')
    assert all(not spec.namespace and 'streams' not in spec.parameters for spec in made.nodes)
    assert [spec.name for spec in made.nodes] == ['preprocess', 'inference', 'detection', 'annotate']
    assert Path(made.nodes[0].parameters['model']).name == 'cups.onnx'


def test_streams_without_cameras(plan, models, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/inference: {ros__parameters: {streams: [front, roof]}}\n')
    with pytest.raises(ConfigError, match=r"has streams: \['front', 'roof'\] for inference.*give cameras:=front,roof,"):
        plan(model=models / 'cups.onnx', params_file=file)
    made = plan(model=models / 'cups.onnx', params_file=file, cameras='front,left')
    assert at(made, '')['inference'].parameters['streams'] == ['front', 'left'], 'the cameras that there are'
