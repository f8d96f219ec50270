# SPDX-License-Identifier: Apache-2.0
"""Which decoder is found for which outputs, as a table of shapes that real exports have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models import KeypointSpec, TensorSpec
from isaac_inference.models.onnx.exporter import exporter_facts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.detect_decoder import Evidence, detect_decoder

F, I64, I32 = 'float32', 'int64', 'int32'
ULTRALYTICS = {'author': 'Ultralytics', 'task': 'detect', 'stride': '32'}
YOLOV5 = {'stride': '32'}


def evidence(*outputs, wh=(640, 640), labels=None, metadata=None):
    """What is known about a model with these outputs, (name, dtype, shape) each."""
    names = {} if labels is None else {'names': str([f'n{index}' for index in range(labels)])}
    found = {**names, **(metadata or {})}
    images = TensorSpec('images', F, (1, 3, wh[1], wh[0]))
    file = ModelFile(Path('/m.onnx'), '', (images,), tuple(TensorSpec(*item) for item in outputs), found)
    return Evidence(file, wh, labels, exporter_facts(file.path, found))


@pytest.mark.parametrize(
    'shape, wh, labels, decoder',
    [
        ((1, 3549, 85), (416, 416), None, 'yolox'),  # YOLOX-nano
        ((1, 8400, 85), (640, 640), None, 'yolox'),
        ((1, 8400, 8), (640, 640), None, 'yolox'),  # 3 classes
        ((1, 8400, 6), (640, 640), None, 'yolox'),  # one class: six columns, but a grid of rows
        ((1, 10200, 25), (640, 480), None, None),  # no grid of that size
        ((1, 6300, 25), (640, 480), None, 'yolox'),  # not square
        ((1, 25200, 85), (640, 640), None, 'yolov5'),
        ((1, 25200, 6), (640, 640), None, 'yolov5'),
        ((1, 102000, 85), (1280, 1280), None, 'yolov5'),  # P6
        ((1, 84, 8400), (640, 640), None, 'yolov8'),
        ((1, 6, 8400), (640, 640), None, 'yolov8'),  # two classes
        ((1, 5, 8400), (640, 640), None, 'yolov8'),  # one class
        ((1, 84, 34000), (640, 640), None, 'yolov8'),  # with a P2 head
        ((1, 84, 5040), (640, 384), None, 'yolov8'),
        ((1, 84, None), (640, 640), None, 'yolov8'),
        ((None, 84, None), (640, 640), None, 'yolov8'),
        ((1, 8400, 84), (640, 640), 80, 'yolov8'),  # axes swapped, known by its 80 labels
        ((1, 300, 6), (640, 640), None, 'end_to_end'),
        ((1, 300, 6), (640, 480), 2, 'end_to_end'),  # 300 is also the number of cells of stride 32
        ((1, None, 6), (640, 640), 3, 'end_to_end'),  # 5 + nc would be one class
        ((1, 3598, 112), (416, 416), None, 'nanodet'),
        ((1, 2125, 112), (320, 320), None, 'nanodet'),
        ((1, 3598, 35), (416, 416), None, 'nanodet'),
        ((1, 3598, 10), (416, 416), None, 'yolox'),  # four strides, too few columns for NanoDet
        ((1, 3598, 85), (416, 416), 80, 'yolox'),
        ((1, 3598, 85), (416, 416), 53, 'nanodet'),
        ((1, 3598, 85), (416, 416), None, None),  # either
        ((1, None, 85), (640, 640), None, None),  # YOLOX, YOLOv5 or NanoDet
        ((1, None, None), (640, 640), None, None),
        ((1, 300, 84), (640, 640), 80, None),
        ((1, 8400), (640, 640), None, None),
        ((1, 255, 80, 80), (640, 640), None, None),
    ],
)
def test_a_single_output(shape, wh, labels, decoder):
    given = evidence(('out', F, shape), wh=wh, labels=labels)
    if decoder is None:
        with pytest.raises(ModelError, match='Found:\n  inputs: .*\n  outputs:  out: float32'):
            detect_decoder(given)
    else:
        finding = detect_decoder(given)
        assert finding.decoder.value == decoder
        assert finding.roles['predictions'].value.name == 'out'


@pytest.mark.parametrize(
    'shape, metadata, decoder',
    [
        ((None, None, None), ULTRALYTICS, 'yolov8'),
        ((None, None, None), YOLOV5, 'yolov5'),
        ((None, None, 85), YOLOV5, 'yolov5'),
        ((1, 300, 6), {**ULTRALYTICS, 'end2end': 'True'}, 'end_to_end'),
        ((None, None, None), {**ULTRALYTICS, 'end2end': 'true'}, 'end_to_end'),
        ((1, 84, 8400), {**ULTRALYTICS, 'end2end': 'False'}, 'yolov8'),
        ((1, 8400, 85), YOLOV5, 'yolox'),  # metadata that other exporters copied does not overrule the shape
    ],
)
def test_the_exporters_metadata_settles_what_the_shape_leaves_open(shape, metadata, decoder):
    assert detect_decoder(evidence(('out', F, shape), labels=80, metadata=metadata)).decoder.value == decoder


def test_yolov5_feature_maps_beside_the_output_are_ignored():
    maps = [(f'map{size}', F, (1, 3, size, size, 85)) for size in (80, 40, 20)]
    finding = detect_decoder(evidence(('output0', F, (1, 25200, 85)), *maps))
    assert finding.decoder.value == 'yolov5' and finding.roles['predictions'].value.name == 'output0'


@pytest.mark.parametrize(
    'decoder, outputs, roles',
    [
        ('detr', [('logits', F, (1, 300, 80)), ('pred_boxes', F, (1, 300, 4))], 'logits pred_boxes'),
        ('detr', [('a', F, (1, 300, 4)), ('b', F, (1, 300, 80))], 'b a'),
        ('detr', [('dets', F, (1, 300, 4)), ('labels', F, (1, 300, 91))], 'labels dets'),
        (
            'detr',
            [('pred_logits', F, (None, 100, 4)), ('pred_boxes', F, (None, 100, 4))],
            'pred_logits pred_boxes',
        ),
        (
            'detr',
            [
                ('logits', F, (1, 100, 92)),
                ('pred_boxes', F, (1, 100, 4)),
                ('last_hidden_state', F, (1, 100, 256)),
                ('encoder_last_hidden_state', F, (1, 1050, 256)),
            ],
            'logits pred_boxes',
        ),
        (
            'boxes_scores_labels',
            [('labels', I64, (1, 300)), ('boxes', F, (1, 300, 4)), ('scores', F, (1, 300))],
            'boxes scores labels',
        ),
        (
            'boxes_scores_labels',
            [('a', I64, (None, 300)), ('b', F, (None, 300, 4)), ('c', F, (None, 300))],
            'b c a',
        ),
        (
            'efficient_nms',
            [
                ('num_dets', I32, (1, 1)),
                ('det_boxes', F, (1, 100, 4)),
                ('det_scores', F, (1, 100)),
                ('det_classes', I32, (1, 100)),
            ],
            'num_dets det_boxes det_scores det_classes',
        ),
        (
            'efficient_nms',
            [('n', I32, (1, 1)), ('b', F, (1, 100, 4)), ('s', F, (1, 100)), ('l', I32, (1, 100))],
            'n b s l',
        ),
        (
            'efficient_nms',
            [
                ('num', I32, (1, 1)),
                ('boxes', F, (1, 100, 4)),
                ('scores', F, (1, 100)),
                ('classes', F, (1, 100)),  # class numbers as floats, known by their name
            ],
            'num boxes scores classes',
        ),
    ],
)
def test_several_outputs(decoder, outputs, roles):
    finding = detect_decoder(evidence(*outputs))
    assert finding.decoder.value == decoder
    assert ' '.join(spec.value.name for spec in finding.roles.values()) == roles


@pytest.mark.parametrize(
    'outputs',
    [
        [('output0', F, (1, 116, 8400)), ('output1', F, (1, 32, 160, 160))],  # masks, without metadata
        [('boxes', F, (1, 8400, 4)), ('scores', F, (1, 8400, 80))],  # a grid in two tensors, not DETR
        [('boxes', F, (1, 300, 4)), ('scores', F, (1, 300, 80))],  # finished scores, not logits
        [('a', F, (1, 300, 4)), ('b', F, (1, 300, 4))],  # which is which?
        [('dets', F, (1, 100, 5)), ('labels', I64, (1, 100))],
        [('boxes', F, (1, 300, 4)), ('scores', F, (1, 200)), ('labels', I64, (1, 300))],  # counts differ
    ],
)
def test_outputs_that_fit_nothing_list_what_was_found_and_the_lines_to_add(outputs):
    with pytest.raises(ModelError, match=r'fit no known detector(.|\n)*decoder: yolov8(.|\n)*decoder: efficient_nms'):
        detect_decoder(evidence(*outputs))


POSE = {'author': 'Ultralytics', 'task': 'pose', 'stride': '32', 'kpt_shape': '[17, 3]'}


def with_keypoints(*outputs, **more):
    """What is known about a model with these outputs and 17 keypoints."""
    return dataclasses.replace(evidence(*outputs, **more), keypoints=KeypointSpec(17))


@pytest.mark.parametrize('shape', [(1, 56, 8400), (1, 8400, 56), (1, 85, 8400), (None, None, None), (1, 8400, 85)])
def test_keypoints_settle_the_decoder(shape):
    finding = detect_decoder(with_keypoints(('output0', F, shape), metadata=POSE, labels=1))
    assert finding.decoder.value == 'yolov8_pose' and finding.roles['predictions'].value.name == 'output0'


def test_keypoints_in_another_layout_are_refused():
    with pytest.raises(ModelError, match=r'end-to-end export \(metadata\) are not supported; export'):
        detect_decoder(with_keypoints(('output0', F, (1, 300, 57)), metadata={**POSE, 'end2end': 'True'}, labels=1))
    two = [('heatmaps', F, (1, 17, 64, 48)), ('boxes', F, (1, 300, 4))]
    with pytest.raises(ModelError, match=r'no known layout with keypoints(.|\n)*decoder: yolov8_pose'):
        detect_decoder(with_keypoints(*two))


def test_tensorflow_boxes_are_refused_since_y_comes_first():
    outputs = [('detection_boxes', F, (1, 100, 4)), ('detection_scores', F, (1, 100))]
    with pytest.raises(ModelError, match='TensorFlow Object Detection API .*y before x'):
        detect_decoder(evidence(*outputs))
