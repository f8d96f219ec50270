# SPDX-License-Identifier: Apache-2.0
"""The graph as data: its nodes are installed, and its topics meet."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from rclpy.node import Node

from isaac_inference.ros.bringup.graph import CameraTopics, CropModel, Found, FoundTopics, perception_graph
from isaac_inference.ros.bringup.node_list import MAIN_MODULES, NODES, PACKAGE
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import specs

WHOLE = perception_graph(
    source='photos',
    simulator={'seed': 1},
    model='m.onnx',
    model_card='m.yaml',
    crops=CropModel('p.onnx', 'p.yaml', any_batch=True),
    poses=True,
    track=True,
    finds=Found(skeletons=True),
)


def named(**options):
    return {spec.name: spec for spec in perception_graph(**options)}


@pytest.mark.parametrize('spec', WHOLE, ids=lambda spec: spec.name)
def test_every_plugin_is_an_installed_node(spec):
    assert issubclass(load_class(spec.package, spec.plugin), Node)


@pytest.mark.parametrize('spec', WHOLE, ids=lambda spec: spec.name)
def test_every_executable_is_installed_and_of_the_plugin_s_module(spec):
    [entry] = [entry for entry in entry_points(group='console_scripts') if entry.name == spec.executable]
    assert callable(entry.load())
    assert MAIN_MODULES[entry.attr] == load_class(spec.package, spec.plugin).__module__


@pytest.mark.parametrize('spec', WHOLE, ids=lambda spec: spec.name)
def test_every_parameter_is_declared_by_its_node(spec):
    declared = specs(load_class(spec.package, spec.plugin).Parameters)
    assert set(spec.parameters) <= {parameter.name for parameter in declared}


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, ['preprocess', 'inference', 'detection', 'annotate']),
        ({'source': '0'}, ['camera', 'preprocess', 'inference', 'detection', 'annotate']),
        ({'annotate': False}, ['preprocess', 'inference', 'detection']),
        ({'annotate': False, 'finds': Found(top_down=True)}, ['preprocess', 'inference', 'keypoints']),
        (
            {'crops': CropModel('p.onnx')},
            ['preprocess', 'inference', 'detection', 'crops', 'crops_inference', 'keypoints', 'annotate'],
        ),
        (
            {'crops': CropModel('p.onnx'), 'found': FoundTopics('/people')},
            ['crops', 'crops_inference', 'keypoints', 'annotate'],
        ),
        ({'annotate': False, 'track': True}, ['preprocess', 'inference', 'detection', 'track']),
        ({'annotate': False, 'poses': True}, ['preprocess', 'inference', 'detection', 'pose']),
        (
            {'simulator': {}, 'poses': True, 'track': True},
            ['sim_camera', 'preprocess', 'inference', 'detection', 'track', 'pose', 'annotate'],
        ),
    ],
)
def test_the_nodes_come_in_the_order_of_the_data(options, expected):
    assert [spec.name for spec in perception_graph(**options)] == expected


def test_every_stage_gets_the_same_model_and_card():
    specs = named(model='m.onnx', model_card='m.yaml', source='photos')
    for name in ('preprocess', 'inference', 'detection'):
        assert specs[name].parameters == {'model': 'm.onnx', 'model_card': 'm.yaml'}
    assert specs['camera'].parameters == {'source': 'photos'}
    assert specs['annotate'].parameters == {}


def test_beside_a_simulator_the_model_s_idle_threads_leave_the_processor_to_it():
    assert named(simulator={'seed': 1})['inference'].parameters == {'onnxruntime.spinning': False}
    assert named(model='m.onnx')['inference'].parameters == {'model': 'm.onnx'}


def test_what_is_not_given_is_left_to_the_parameter_file():
    assert all(not spec.parameters for spec in perception_graph())


def test_camera_preprocess_and_annotate_meet_on_the_image_topic():
    specs = named(camera=CameraTopics('/front/image_raw', '/front/camera_info'), source='0')
    assert specs['camera'].remappings == {'image': '/front/image_raw', 'camera_info': '/front/camera_info'}
    assert specs['preprocess'].remappings == {'image': '/front/image_raw'}
    assert specs['annotate'].remappings['image'] == '/front/image_raw'
    assert specs['annotate'].remappings['detections'] == 'detections'
    assert specs['inference'].remappings == specs['detection'].remappings == {}


def test_tracks_go_to_the_poses_and_poses_come_back_to_be_smoothed():
    specs = named(poses=True, track=True)
    assert specs['pose'].remappings['detections'] == 'track/detections'
    assert specs['track'].remappings == {'detections_3d': 'pose/detections_3d'}
    assert specs['annotate'].remappings['detections'] == 'track/detections'
    assert specs['annotate'].remappings['detections_3d'] == 'track/detections_3d'
    assert specs['annotate'].parameters == {'draw_poses': True}


@pytest.mark.parametrize('found', [None, FoundTopics('/mine/boxes', '/mine/points', '/mine/masks')])
def test_behind_a_tracker_keypoints_and_masks_are_in_the_tracker_s_rows(found):
    specs = named(poses=True, track=True, found=found)
    given = found or FoundTopics()
    for topic in ('detections', 'keypoints', 'instance_mask'):
        assert specs['track'].remappings.get(topic, topic) == getattr(given, topic)
        for reader in ('pose', 'annotate'):
            assert specs[reader].remappings[topic] == f'track/{topic}'


def test_without_a_tracker_they_are_the_detector_s():
    found = FoundTopics('/mine/boxes', '/mine/points', '/mine/masks')
    specs = named(poses=True, found=found)
    for reader in ('pose', 'annotate'):
        for topic in ('detections', 'keypoints', 'instance_mask'):
            assert specs[reader].remappings[topic] == getattr(found, topic)


def test_without_a_tracker_poses_are_those_of_the_pose_node():
    specs = named(poses=True)
    assert specs['pose'].remappings['detections'] == 'detections'
    assert specs['annotate'].remappings['detections_3d'] == 'pose/detections_3d'


@pytest.mark.parametrize('track', [True, False])
def test_one_node_only_sends_an_object_s_transform(track):
    specs = named(poses=True, track=track)
    assert specs['pose'].parameters.get('publish_tf', True) is not track


def test_depth_is_looked_for_where_the_camera_has_it():
    topics = CameraTopics('/rgb', '/rgb_info', '/aligned_depth', '/aligned_info')
    assert named(poses=True, camera=topics)['pose'].remappings == {
        'image': '/rgb',
        'camera_info': '/rgb_info',
        'depth/image': '/aligned_depth',
        'depth/camera_info': '/aligned_info',
        'detections': 'detections',
    }


@pytest.mark.parametrize('camera', [None, CameraTopics('/front/image_raw', '/front/camera_info', '/front/depth')])
def test_who_looks_at_what_was_found_in_rectified_images_has_those(camera):
    specs = named(camera=camera, poses=True, track=True, rectify=True)
    given = camera or CameraTopics()
    assert specs['preprocess'].parameters == {'rectify': True}
    assert specs['preprocess'].remappings['image'] == given.image
    assert specs['preprocess'].remappings['camera_info'] == given.camera_info
    for name in ('pose', 'annotate'):
        assert specs[name].remappings['image'] == 'rectified/image_rect'
        assert specs[name].remappings['camera_info'] == 'rectified/camera_info'
    assert specs['pose'].remappings['depth/image'] == given.depth
    assert specs['pose'].parameters['depth_rectified'] == 'false', 'depth comes as the camera has it'


def test_people_get_skeletons_from_what_has_ids_and_a_picture_with_them():
    specs = named(model='pose.onnx', finds=Found(keypoints=True, skeletons=True), track=True)
    assert list(specs) == ['preprocess', 'inference', 'detection', 'track', 'skeletons', 'annotate']
    assert specs['skeletons'].parameters == {'model': 'pose.onnx'}
    assert specs['skeletons'].remappings['detections'] == 'track/detections'
    assert specs['skeletons'].remappings['depth/image'] == 'depth/image'
    assert specs['annotate'].parameters['draw_skeletons']
    assert specs['annotate'].parameters['model'] == 'pose.onnx'
    assert 'skeletons' not in named(model='pose.onnx', finds=Found(keypoints=True))


def test_skeletons_in_rectified_images_have_those_and_raw_depth():
    specs = named(model='pose.onnx', finds=Found(skeletons=True), rectify=True)
    assert specs['skeletons'].remappings['camera_info'] == 'rectified/camera_info'
    assert specs['skeletons'].parameters['depth_rectified'] == 'false'


@pytest.mark.skipif('depth' not in NODES, reason='there is no depth node yet')
def test_depth_from_rectified_images_has_their_camera_info():
    specs = named(finds=Found(depth=True), rectify=True)
    assert specs['depth'].remappings['camera_info'] == 'rectified/camera_info'
    assert specs['depth'].remappings['image'] == 'rectified/image_rect'


def test_depth_of_a_rectified_name_is_rectified():
    topics = CameraTopics('/front/image_raw', '/front/camera_info', '/front/depth_registered/image_rect')
    assert named(camera=topics, poses=True, rectify=True)['pose'].parameters['depth_rectified'] == 'true'
    assert 'depth_rectified' not in named(camera=topics, poses=True)['pose'].parameters


def test_rectified_topics_are_those_that_the_preprocess_node_publishes():
    from isaac_inference.ros.nodes.shared.rectified_images import IMAGE_TOPIC, INFO_TOPIC

    rectified = CameraTopics('/a/image_raw', '/a/camera_info').rectified
    assert (rectified.image, rectified.camera_info) == (IMAGE_TOPIC, INFO_TOPIC)


def test_the_rectifying_graph_s_parameters_are_declared_by_its_nodes():
    for spec in perception_graph(poses=True, rectify=True):
        declared = {parameter.name for parameter in specs(load_class(spec.package, spec.plugin).Parameters)}
        assert set(spec.parameters) <= declared


def test_behind_a_detector_a_second_model_runs_on_topics_of_its_own():
    """Both runs of a model would else take each other's tensors."""
    made = named(model='d.onnx', crops=CropModel('p.onnx', 'p.yaml'))
    for name in ('preprocess', 'inference', 'detection'):
        assert made[name].parameters == {'model': 'd.onnx'}
    for name in ('crops', 'crops_inference', 'keypoints'):
        assert (made[name].parameters['model'], made[name].parameters['model_card']) == ('p.onnx', 'p.yaml')
    second = made['crops_inference']
    assert (second.executable, second.plugin) == (made['inference'].executable, made['inference'].plugin)
    assert second.remappings['input_tensors'] == 'crops/input_tensors'  # ~/input_tensors of the crops node
    assert second.remappings['output_tensors'] == made['keypoints'].remappings['output_tensors']
    assert second.remappings['output_tensors'] != 'output_tensors'
    assert made['keypoints'].parameters['publish_detections'] is False
    assert made['annotate'].parameters == {'draw_keypoints': True, 'wait_s': 1.0, 'buffer_size': 40}


def test_whoever_pairs_the_keypoints_of_crops_with_detections_is_patient():
    """A network for one image at once takes a crowd's time; pictures and skeletons would come without them."""
    made = named(model='d.onnx', crops=CropModel('p.onnx', skeletons=True))
    for name in ('annotate', 'skeletons'):
        declared = {item.name: item.default for item in specs(load_class(PACKAGE, made[name].plugin).Parameters)}
        assert made[name].parameters['wait_s'] > 2 * declared['wait_s']
    finds = Found(keypoints=True, skeletons=True)
    assert 'wait_s' not in named(model='d.onnx', finds=finds)['skeletons'].parameters


def test_who_draws_keeps_the_images_of_all_the_time_that_it_waits_for():
    """Else detections that waited for their keypoints find their image gone."""
    drawn = named(model='d.onnx', crops=CropModel('p.onnx'))['annotate'].parameters
    assert drawn['buffer_size'] > 30 * drawn['wait_s'], 'of a camera at 30 Hz'


def test_crops_are_of_the_image_that_was_detected_in():
    camera = CameraTopics('/front/image_raw', '/front/info')
    assert named(crops=CropModel('p'), camera=camera)['crops'].remappings['image'] == '/front/image_raw'
    made = named(crops=CropModel('p'), camera=camera, rectify=True)
    assert made['crops'].remappings['image'] == made['annotate'].remappings['image'] == 'rectified/image_rect'


def test_crops_of_a_detector_elsewhere_are_of_its_detections():
    made = named(crops=CropModel('p'), found=FoundTopics('/yolo/detections'))
    assert made['crops'].remappings['detections'] == '/yolo/detections'
    assert made['annotate'].remappings['detections'] == '/yolo/detections'


def test_an_engine_for_crops_takes_several_where_its_model_does():
    assert named(crops=CropModel('p', any_batch=True))['crops_inference'].parameters['tensorrt.max_batch'] == 8
    assert 'tensorrt.max_batch' not in named(crops=CropModel('p'))['crops_inference'].parameters


def test_as_many_crops_as_are_made_fit_into_that_engine():
    from isaac_inference.ros.nodes.crops import CropsParameters

    made = named(crops=CropModel('p', any_batch=True))['crops_inference']
    assert made.parameters['tensorrt.max_batch'] == CropsParameters().max_people
