# SPDX-License-Identifier: Apache-2.0
"""Pipelines that are well written, and cannot be: names, cameras, topics, and what their models can do."""

from __future__ import annotations

import pytest


def setup(*pipelines, cameras=('front', 'left')):
    return {
        'cameras': {name: {} for name in cameras},
        'pipelines': [
            {'name': f'p{number}', 'model': 'cups.onnx', **fields} for number, fields in enumerate(pipelines)
        ],
    }


def test_two_pipelines_of_one_name(faults):
    [found] = faults(setup({'name': 'objects'}, {'name': 'objects'}))
    assert found == 'pipelines: 2 are named objects, expected one; give each a name of its own'


def test_two_streams_of_one_name(faults):
    [found] = faults(setup({'cameras': ['front', 'front']}))
    assert 'pipelines[0] (p0).cameras: front comes 2 times, expected once: its stream has one name' in found


@pytest.mark.parametrize(('name', 'hint'), [('fornt', 'did you mean front?'), ('roof', 'there are: front, left')])
def test_a_stream_without_a_camera(faults, name, hint):
    [found] = faults(setup({'cameras': ['left', name]}))
    assert f"p0).cameras: got '{name}', a stream without a camera, {hint}" in found


def test_no_stream(faults):
    [found] = faults(setup({'cameras': []}))
    assert 'p0).cameras: got none, expected at least one of front, left' in found


@pytest.mark.parametrize('namespaces', [('robot', 'robot'), ('/robot/', 'robot'), ('p1', '')])
def test_two_pipelines_that_would_publish_one_topic(read, faults, namespaces):
    first, second = ({'namespace': name.strip('/') and name.rstrip('/')} for name in namespaces)
    [found] = faults(setup({**first, 'cameras': ['front']}, {**second, 'cameras': ['left', 'front']}))
    assert 'pipelines[1] (p1).namespace' in found and 'pipelines[0] (p0)' in found and '/front/...' in found
    read(setup({**first, 'cameras': ['front']}, {**second, 'cameras': ['left']}))  # their topics are not the same


def test_two_cameras_that_would_publish_one_topic(read, faults):
    content = setup({})
    content['cameras'] = {'front': {'simulator': {}, 'image': '/image'}, 'left': {'source': '0', 'image': '/image'}}
    [found] = faults(content)
    assert found.startswith("cameras.left.image: got '/image', which is that of cameras.front, too: both publish there")
    del content['cameras']['left']['source']
    read(content)  # two names for one camera of another driver


def test_a_model_that_is_not_there(faults, models):
    [found] = faults(setup({'model': 'gone.onnx'}))
    assert f"p0).model: no such file '{models}/gone.onnx'; give an existing one, relative to this file" in found


def test_a_model_that_is_none(faults, models):
    (models / 'broken.onnx').write_bytes(b'nothing')
    found = faults(setup({'model': 'broken.onnx'}))
    assert 'p0).model: ' in found[0] and 'broken.onnx' in found[0]


@pytest.mark.parametrize(
    ('model', 'tasks', 'fault'),
    [
        (
            'lanes.onnx',
            ['detection'],
            'got detection, but {}/lanes.onnx is for semantic_segmentation; it gives semantic',
        ),
        ('lanes.onnx', ['poses'], 'got poses, but {}/lanes.onnx is for semantic_segmentation and finds no objects'),
        ('lanes.onnx', ['track'], 'got track, but {}/lanes.onnx is for semantic_segmentation and finds no objects'),
        ('cups.onnx', ['poses'], 'got poses, but nothing says how large the objects of {}/cups.onnx are'),
        ('cups.onnx', ['masks'], 'got instance_segmentation, but {}/cups.onnx is for detection; it gives detection'),
        ('cups.onnx', ['skeletons'], 'got skeletons, but {}/cups.onnx has no skeleton'),
        ('cups.onnx', ['depth'], 'got mono_depth, but {}/cups.onnx is for detection'),
    ],
)
def test_a_task_that_the_model_cannot_do(faults, models, model, tasks, fault):
    [found] = faults(setup({'model': model, 'tasks': tasks}))
    assert f'p0).tasks: {fault.format(models)}' in found


@pytest.mark.parametrize(
    ('model', 'tasks'),
    [
        ('demo', ['detection', 'keypoints', 'masks', 'poses', 'track', 'annotate']),
        ('lanes.onnx', ['segmentation', 'annotate']),
        ('lanes.onnx', []),
        ('cups.onnx', ['detection', 'track']),
        ('pose.onnx', ['skeletons', 'track']),
    ],
)
def test_tasks_that_it_can(read, model, tasks):
    read(setup({'model': model, 'tasks': tasks}))


def test_a_batch_that_the_model_does_not_take(read, faults, models):
    [found] = faults(setup({'max_batch': 2}))
    assert f'p0).max_batch: got 2, but {models}/cups.onnx takes 1 image at a time; leave max_batch out' in found
    read(setup({'model': 'many.onnx', 'max_batch': 2}))
    read(setup({'max_batch': 1}))


def test_a_batch_beyond_the_profile(faults):
    params = {'inference': {'tensorrt': {'max_batch': 2}}}
    [found] = faults(setup({'model': 'many.onnx', 'max_batch': 3, 'params': params}, cameras=('a', 'b', 'c')))
    assert 'p0).max_batch: got 3, but params.inference.tensorrt.max_batch is 2, and the engine takes no more' in found


def test_a_batch_that_can_never_be_full(faults):
    [found] = faults(setup({'model': 'many.onnx', 'max_batch': 4}))
    assert 'p0).max_batch: got 4 with 2 cameras, and a batch has at most one frame of each; give at most 2' in found


def test_a_detector_and_what_finds_keypoints_in_its_boxes(read, faults, models):
    read(setup({'keypoints_model': 'pose.onnx', 'tasks': ['keypoints', 'skeletons']}))
    [found] = faults(setup({'keypoints_model': 'lanes.onnx'}))
    assert f'p0).keypoints_model: {models}/lanes.onnx is for semantic_segmentation, expected a model of top' in found
    [found] = faults(setup({'model': 'lanes.onnx', 'keypoints_model': 'pose.onnx'}))
    assert f'p0).model: {models}/lanes.onnx is for semantic_segmentation, expected a detector of boxes alone' in found
    [found] = faults(setup({'keypoints_card': 'pose.yaml'}))
    assert 'p0).keypoints_card' in found and 'without keypoints_model' in found


def test_a_network_of_more_than_an_image(faults):
    from isaac_inference.models.demo import completion_model

    [found] = faults(setup({'model': str(completion_model())}))
    assert 'is for depth_completion, which takes more than one image of a camera' in found
