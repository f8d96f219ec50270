# SPDX-License-Identifier: Apache-2.0
"""Cards of models with keypoints: where their number comes from, and outputs that do not have room for them."""

from __future__ import annotations

import pytest
from support.onnx_models import ultralytics_metadata, write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import KeypointSpec, Task, read_card

NAMES = ['cup', 'bottle', 'box']


def pose_model(folder, card='', kind='yolov8_pose', metadata=None, **options):
    """The card of a pose model of three classes, which has nothing embedded unless `metadata` says it."""
    path = write_model(folder / 'm.onnx', kind, metadata={} if metadata is None else metadata, **options)
    path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def test_the_exporter_s_metadata_is_enough(tmp_path):
    metadata = ultralytics_metadata(['person'], task='pose', kpt_shape=[17, 3])
    card = pose_model(tmp_path, metadata=metadata, classes=1, keypoint_shape=(17, 3))
    assert (card.task, card.detection.decoder, card.keypoints) == (
        Task.KEYPOINTS,
        'yolov8_pose',
        KeypointSpec(17, 3, ''),
    )
    assert card.labels == ('person',) and dict(card.objects) == {}
    assert card.sources['task'] == 'metadata "task"' and card.sources['keypoints'] == 'metadata "kpt_shape"'
    assert card.image.preprocess.fit == 'letterbox' and card.image.preprocess.color == 'rgb'
    assert not card.notes


@pytest.mark.parametrize('kind', ['yolov8_pose', 'yolov8_pose_transposed'])
@pytest.mark.parametrize(
    'content, shape, spec',
    [
        ('keypoints: {count: 8, dims: 3}', (8, 3), KeypointSpec(8, 3)),
        ('keypoints: {count: 8}', (8, 3), KeypointSpec(8, 3)),
        ('keypoints: {count: 4, dims: 2}', (4, 2), KeypointSpec(4, 2)),
        ('keypoints: {model: cuboid8, dims: 2}', (8, 2), KeypointSpec(8, 2, 'cuboid8')),
        ('{task: pose, decoder: yolov8_pose, keypoints: {count: 1}}', (1, 3), KeypointSpec(1, 3)),
        ('labels: [a, b, c]\nkeypoints: {count: 8}', (8, 3), KeypointSpec(8, 3)),
    ],
)
def test_a_card_is_enough(tmp_path, content, shape, spec, kind):
    card = pose_model(tmp_path, content, kind, keypoint_shape=shape)
    assert (card.task, card.detection.decoder, card.keypoints, card.class_count) == (
        Task.KEYPOINTS,
        'yolov8_pose',
        spec,
        3,
    )


def test_a_card_goes_before_the_metadata_key_by_key(tmp_path):
    metadata = {
        **ultralytics_metadata(NAMES, task='pose', kpt_shape=[9, 2]),
        'isaac_inference.card': 'keypoints: {count: 7, model: cuboid8}',
    }
    card = pose_model(tmp_path, 'keypoints: {count: 8}', metadata=metadata, keypoint_shape=(8, 2))
    assert card.keypoints == KeypointSpec(8, 2, 'cuboid8')
    assert card.sources['keypoints'] == 'card m.yaml, metadata "kpt_shape", card in m.onnx'


def test_a_model_of_any_size_takes_its_classes_from_the_labels(tmp_path):
    content = 'labels: [a, b, c]\nkeypoints: {count: 8}\ninput_size: [96, 64]'
    assert pose_model(tmp_path, content, dynamic=True).class_count == 3


def test_a_detector_has_no_keypoints(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', metadata=ultralytics_metadata(NAMES)))
    assert card.keypoints is None and card.task is Task.DETECTION


def test_outputs_named_in_a_card_leave_only_decoders_of_keypoints(tmp_path):
    card = pose_model(tmp_path, 'labels: [a, b, c]\nkeypoints: {count: 8}\noutputs: {predictions: output0}')
    assert card.detection.decoder == 'yolov8_pose'


FINISHED = {'kind': 'end_to_end_pose'}


@pytest.mark.parametrize('more', [{'end2end': True}, {'args': {'nms': True}, 'end2end': False}])
def test_an_end_to_end_export_is_enough_with_its_metadata(tmp_path, more):
    metadata = ultralytics_metadata(NAMES, task='pose', kpt_shape=[17, 3], **more)
    card = pose_model(tmp_path, metadata=metadata, keypoint_shape=(17, 3), **FINISHED)
    assert (card.detection.decoder, card.keypoints) == ('end_to_end_pose', KeypointSpec(17, 3))
    assert card.labels == tuple(NAMES) and dict(card.detection.options) == {'nms': False}
    assert card.sources['decoder'] == 'metadata (end-to-end export)'


@pytest.mark.parametrize(
    'content, shape',
    [
        ('keypoints: {count: 8, dims: 3}', (8, 3)),  # 30 boxes, as many as the input has cells of strides 16 and 32
        ('keypoints: {count: 4, dims: 2}', (4, 2)),
        ('keypoints: {model: cuboid8, dims: 2}\ndecoder: end_to_end_pose', (8, 2)),
        ('keypoints: {count: 8}\noutputs: {predictions: output0}', (8, 3)),
        ('keypoints: {count: 8}\ndecoder_options: {nms: true}', (8, 3)),
    ],
)
@pytest.mark.parametrize('labels', [['a', 'b'], NAMES])  # two classes make as many columns as the class and the score
def test_finished_boxes_are_told_from_a_grid_without_metadata(tmp_path, content, shape, labels):
    content = f'labels: {labels}\n{content}'
    card = pose_model(tmp_path, content, keypoint_shape=shape, classes=len(labels), **FINISHED)
    assert (card.detection.decoder, card.class_count) == ('end_to_end_pose', len(labels))
    assert card.detection.options['nms'] is ('nms: true' in content)


def test_the_classes_of_finished_boxes_come_from_labels(tmp_path):
    with pytest.raises(ModelError, match=r'labels: \['):
        pose_model(tmp_path, 'keypoints: {count: 8}', **FINISHED)


@pytest.mark.parametrize(
    'content, metadata, says',
    [
        (
            '',
            ultralytics_metadata(NAMES, task='pose', kpt_shape=[17, 3], end2end=True),
            r'has 30 columns, but .* 17 keypoints of 3 values need \[N, boxes, 6 \+ 17 x 3\]: expected 57; correct',
        ),
        (
            'labels: [a, b, c]\nkeypoints: {count: 9}\ndecoder: end_to_end_pose',
            None,
            r'has 30 columns, .* need \[N, boxes, 6 \+ 9 x 3\]: expected 33',
        ),
        (
            'labels: [a, b, c]\nkeypoints: {count: 8}\ndecoder: yolov8_pose',
            None,
            r'has 30 channels, .* need 4 \+ 3 \+ 8 x 3: expected 31',
        ),
        (
            'labels: [a, b, c]\nkeypoints: {count: 8}\ndecoder: end_to_end',
            None,
            'end_to_end reads no keypoints, but the model has some .*expected one of yolov8_pose, end_to_end_pose,',
        ),
    ],
)
def test_finished_boxes_with_another_number_of_keypoints(tmp_path, content, metadata, says):
    with pytest.raises(ModelError, match=says):
        pose_model(tmp_path, content, metadata=metadata, **FINISHED)


@pytest.mark.parametrize(
    'content, metadata, says',
    [
        (
            'labels: [a, b, c]\nkeypoints: {count: 9}',
            None,
            r'has 31 channels, but box, classes and 9 keypoints of 3 values need 4 \+ 3 \+ 9 x 3: expected 34',
        ),
        ('labels: [a, b]\nkeypoints: {count: 8}', None, r'has 31 channels, .* need 4 \+ 2 \+ 8 x 3: expected 30;'),
        ('keypoints: {count: 17}', None, r'31 channels, .* need 4 \+ nc \+ 17 x 3: expected at least 56; correct'),
        ('', ultralytics_metadata(NAMES, task='pose', kpt_shape=[17, 3]), 'has 31 channels.*expected 58'),
        (
            '',
            ultralytics_metadata(NAMES, task='pose'),
            r'task is keypoints \(metadata "task"\), but nothing says how many keypoints it has(.|\n)*`keypoints: \{',
        ),
        (
            '',
            ultralytics_metadata(NAMES, task='pose', kpt_shape='[17, 4]'),
            r"the metadata \"kpt_shape\" is '\[17, 4\]', expected \[count, 2 or 3\]",
        ),
        ('task: keypoints', None, r'task is keypoints \(card m.yaml\), but nothing says how many keypoints'),
        ('decoder: yolov8_pose', None, r'task is keypoints \(the decoder\), but nothing says how many keypoints'),
        (
            'keypoints: {count: 4, model: cuboid8}',
            None,
            r'card m.yaml: keypoints.count: got 4, but the keypoint model cuboid8 \(card m.yaml\) has 8',
        ),
        (
            'task: detection\nkeypoints: {count: 8}',
            None,
            r'keypoints: the task is detection \(card m.yaml\), which has none; set `task: keypoints`',
        ),
        (
            'decoder: yolov8\nkeypoints: {count: 8}',
            None,
            r'decoder: yolov8 reads no keypoints, but the model has some \(task keypoints\); expected one of '
            'yolov8_pose',
        ),
        (
            'task: detection\ndecoder: yolov8_pose',
            None,
            r'yolov8_pose reads keypoints, but there are none \(task detection\); expected one of yolox, ',
        ),
        (
            '',
            ultralytics_metadata(NAMES, task='pose', kpt_shape=[8, 3], end2end=True),
            r'has 126 columns, but box, score, class and 8 keypoints of 3 values need \[N, boxes, 6 \+ 8 x 3\]: '
            'expected 30; correct keypoints',
        ),
        (
            'labels: [a, b, c]\nkeypoints: {count: 8}\noutputs: {boxes: output0}',
            None,
            'no decoder has exactly the roles',
        ),
    ],
)
def test_cards_that_contradict_the_model_or_leave_it_open(tmp_path, content, metadata, says):
    with pytest.raises(ModelError, match=says):
        pose_model(tmp_path, content, metadata=metadata)
