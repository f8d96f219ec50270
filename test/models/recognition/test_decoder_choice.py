# SPDX-License-Identifier: Apache-2.0
"""Which decoder is found for which outputs, as a table of shapes that real exports have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models import KeypointSpec, TensorSpec
from isaac_inference.models.card.sourced import Sourced
from isaac_inference.models.onnx.exporter import exporter_facts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.decoder_choice import find_decoder
from isaac_inference.models.recognition.layouts.candidate import Evidence

F, I64, I32 = 'float32', 'int64', 'int32'
ULTRALYTICS = {'author': 'Ultralytics', 'task': 'detect', 'stride': '32'}
YOLOV5 = {'stride': '32'}


def evidence(*outputs, wh=(640, 640), labels=None, metadata=None):
    """What is known about a model with these outputs, (name, dtype, shape) each."""
    names = {} if labels is None else {'names': str([f'n{index}' for index in range(labels)])}
    found = {**names, **(metadata or {})}
    images = TensorSpec('images', F, (1, 3, wh[1], wh[0]))
    file = ModelFile(Path('/m.onnx'), '', (images,), tuple(TensorSpec(*item) for item in outputs), found)
    return Evidence(file, wh, labels, exporter_facts(found))


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
        ((1, 300, 84), (640, 640), 80, 'yolov8'),  # a transformer's queries, as ultralytics exports RT-DETR
        ((1, 2535, 85), (416, 416), 80, 'yolov5'),  # YOLOv3-tiny: strides 16 and 32
        ((None, 7), (640, 640), 3, 'end_to_end'),  # YOLOv7 with NMS: the batch's boxes in one table
        ((1, 1, 200, 7), (300, 300), 3, 'end_to_end'),  # a DetectionOutput
        ((1, 100, 7), (640, 640), 3, 'end_to_end'),
        ((1, 8400), (640, 640), None, None),
        ((1, 255, 80, 80), (640, 640), None, None),
    ],
)
def test_a_single_output(shape, wh, labels, decoder):
    given = evidence(('out', F, shape), wh=wh, labels=labels)
    if decoder is None:
        with pytest.raises(ModelError, match='Found:\n  inputs: .*\n  outputs:  out: float32'):
            find_decoder(given, {})
    else:
        finding = find_decoder(given, {})
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
    assert find_decoder(evidence(('out', F, shape), labels=80, metadata=metadata), {}).decoder.value == decoder


def test_yolov5_feature_maps_beside_the_output_are_ignored():
    maps = [(f'map{size}', F, (1, 3, size, size, 85)) for size in (80, 40, 20)]
    finding = find_decoder(evidence(('output0', F, (1, 25200, 85)), *maps), {})
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
    finding = find_decoder(evidence(*outputs), {})
    assert finding.decoder.value == decoder
    assert ' '.join(spec.value.name for spec in finding.roles.values()) == roles


@pytest.mark.parametrize(
    'outputs, decoder',
    [
        ([('boxes', F, (1, 8400, 4)), ('scores', F, (1, 8400, 80))], 'boxes_scores'),  # a grid in two tensors, not DETR
        ([('boxes', F, (1, 8400, 4)), ('scores', F, (1, 80, 8400))], 'boxes_scores'),
        ([('boxes', F, (1, 10647, 1, 4)), ('confs', F, (1, 10647, 80))], 'boxes_scores'),
        ([('boxes', F, (1, 300, 4)), ('scores', F, (1, 300, 80))], 'boxes_scores'),  # finished scores, not logits
        ([('dets', F, (1, 100, 5)), ('labels', I64, (1, 100))], 'boxes_scores_labels'),
        ([('boxes', F, (None, 4)), ('labels', I64, (None,)), ('scores', F, (None,))], 'boxes_scores_labels'),
        ([('1', F, (None, 4)), ('2', I64, (None,)), ('3', F, (None,))], 'boxes_scores_labels'),
        ([('table', F, (None, 6)), ('count', I32, (None,))], 'end_to_end'),
        ([('a', F, (1, 84, 8400)), ('b', F, (1, 84, 8400))], 'yolov8'),
        ([('cov', F, (1, 3, 40, 40)), ('bbox', F, (1, 12, 40, 40))], 'detectnet'),
        ([('hm', F, (1, 80, 160, 160)), ('wh', F, (1, 2, 160, 160)), ('reg', F, (1, 2, 160, 160))], 'centernet'),
        ([('hm', F, (1, 8, 160, 160)), ('wh', F, (1, 2, 160, 160))], 'centernet'),  # no DetectNet of two classes
        ([(f'p{size}', F, (1, 255, size, size)) for size in (80, 40, 20)], 'anchor_heads'),
        ([(f'p{size}', F, (1, size, size, 255)) for size in (80, 40, 20)], 'anchor_heads'),
        ([(f'p{size}', F, (1, 3, size, size, 85)) for size in (80, 40, 20)], 'anchor_heads'),
        ([(f'p{size}', F, (1, 255, size, size)) for size in (40, 20)], 'anchor_heads'),
        (
            [(f's{n}', F, (1, n, 80)) for n in (6400, 1600, 400)]
            + [(f'd{n}', F, (1, n, 32)) for n in (6400, 1600, 400)],
            'anchor_free_heads',
        ),
        ([('wh', F, (1, 160, 160, 4)), ('heat', F, (1, 160, 160, 80)), ('found', F, (1, 100, 6))], 'end_to_end'),
    ],
)
def test_layouts_of_other_exporters(outputs, decoder):
    assert find_decoder(evidence(*outputs), {}).decoder.value == decoder


@pytest.mark.parametrize(
    'outputs',
    [
        [('a', F, (1, 300, 4)), ('b', F, (1, 300, 4))],  # which is which?
        [('boxes', F, (1, 300, 4)), ('scores', F, (1, 200)), ('labels', I64, (1, 300))],  # counts differ
        [('classes', F, (1, 1000))],
        [('mask', F, (1, 21, 640, 640))],
    ],
)
def test_outputs_that_fit_nothing_list_what_was_found(outputs):
    with pytest.raises(ModelError, match=r'fit no known detector with an input of 640 x 640. Found:(.|\n)*float32'):
        find_decoder(evidence(*outputs), {})


@pytest.mark.parametrize('extra', [(), (('raw_detection_boxes', F, (1, 1917, 4)),)])
def test_tensorflow_has_y_before_x_in_fractions_and_counts_from_one(extra):
    outputs = [
        ('num_detections', F if not extra else I32, (1,)),
        ('detection_boxes', F, (1, 100, 4)),
        ('detection_scores', F, (1, 100)),
        ('detection_classes', F, (1, 100)),
    ]
    finding = find_decoder(evidence(*outputs, *extra), {})
    assert finding.decoder.value == 'efficient_nms' and finding.convention == 'tensorflow'
    assert finding.options == {'box_format': 'yxyx', 'normalized': True, 'first_label': 1}


def test_the_same_names_beside_a_whole_number_of_detections_are_efficient_nms():
    outputs = [
        ('num_detections', I32, (1, 1)),
        ('detection_boxes', F, (1, 100, 4)),
        ('detection_scores', F, (1, 100)),
        ('detection_classes', I32, (1, 100)),
    ]
    finding = find_decoder(evidence(*outputs), {})
    assert finding.decoder.value == 'efficient_nms' and 'box_format' not in finding.options


POSE = {'author': 'Ultralytics', 'task': 'pose', 'stride': '32', 'kpt_shape': '[17, 3]'}


def with_keypoints(*outputs, **more):
    """What is known about a model with these outputs and 17 keypoints."""
    return dataclasses.replace(evidence(*outputs, **more), keypoints=KeypointSpec(17))


@pytest.mark.parametrize('shape', [(1, 56, 8400), (1, 8400, 56), (1, 85, 8400), (None, None, None), (1, 8400, 85)])
def test_keypoints_settle_the_decoder(shape):
    finding = find_decoder(with_keypoints(('output0', F, shape), metadata=POSE, labels=1), {})
    assert finding.decoder.value == 'yolov8_pose' and finding.roles['predictions'].value.name == 'output0'


@pytest.mark.parametrize(
    'shape, more, labels, decoder',
    [
        ((1, 300, 57), {'end2end': 'True'}, 1, 'end_to_end_pose'),
        ((None, None, None), {'end2end': 'True'}, 1, 'end_to_end_pose'),
        ((1, 300, 57), {}, 1, 'end_to_end_pose'),
        ((1, 300, 57), {}, 2, 'end_to_end_pose'),  # as many columns as box, two class scores and keypoints have
        ((1, 300, 57), {}, None, 'end_to_end_pose'),
        ((1, 300, 54), {}, None, 'end_to_end_pose'),  # wrong, and its error says so
        ((1, 57, 300), {}, 2, 'yolov8_pose'),
        ((1, 8400, 57), {}, None, 'yolov8_pose'),
        ((1, 57, 8400), {}, 2, 'yolov8_pose'),
        ((1, 57, 34000), {}, None, 'yolov8_pose'),  # with a level of stride 4
    ],
)
def test_keypoints_of_finished_boxes_are_told_from_a_grid_s(shape, more, labels, decoder):
    finding = find_decoder(with_keypoints(('output0', F, shape), metadata={**POSE, **more}, labels=labels), {})
    assert finding.decoder.value == decoder


def test_300_finished_boxes_are_no_grid_of_stride_32():
    shape = ('output0', F, (1, 300, 57))
    assert find_decoder(with_keypoints(shape, wh=(640, 480), labels=1), {}).decoder.value == 'end_to_end_pose'


def test_keypoints_in_another_layout_are_refused():
    two = [('heatmaps', F, (1, 17, 64, 48)), ('boxes', F, (1, 300, 4))]
    with pytest.raises(ModelError, match=r'no known layout with keypoints(.|\n)*decoder: yolov8_pose'):
        find_decoder(with_keypoints(*two), {})


def test_named_outputs_do_not_settle_a_choice_of_decoders():
    open_rows = evidence(('output0', F, (1, None, 85)))
    with pytest.raises(ModelError, match=r'fit several decoders(.|\n)*decoder: yolox(.|\n)*decoder: yolov5'):
        find_decoder(open_rows, {'outputs.predictions': Sourced('output0', 'card m.yaml')})


@pytest.mark.parametrize(
    'outputs, decoder',
    [
        ([('a', F, (1, 84, 8400)), ('b', F, (1, 84, 8400))], 'yolov8'),  # with a note on which one is read
        ([('dets', F, (1, 300, 4)), ('labels', F, (1, 300, 6))], 'detr'),  # with a spare column
    ],
)
def test_naming_the_decoder_that_is_found_anyway_changes_nothing_else(outputs, decoder):
    by_itself = find_decoder(evidence(*outputs), {})
    named = find_decoder(evidence(*outputs), {'decoder': Sourced(decoder, 'card m.yaml')})
    assert named == dataclasses.replace(by_itself, decoder=Sourced(decoder, 'card m.yaml'))
    assert by_itself.notes or by_itself.unused_ids
