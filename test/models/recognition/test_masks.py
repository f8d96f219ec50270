# SPDX-License-Identifier: Apache-2.0
"""Instance segmentation: how masks stand beside boxes in the exports of each family, and what is no such thing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.onnx_models import ultralytics_metadata
from support.onnx_models.constant import write_constant

from isaac_inference.errors import ModelError
from isaac_inference.models import Task, card_rows, read_card
from isaac_inference.models.card.tasks import InstanceSegmentationSpec, KeypointDetectionSpec, MaskForm, MaskSpec
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.recognition.probe import outputs_of
from isaac_inference.models.recognition.read_outputs import decode_all

NAMES = ['cat', 'dog', 'cow']
WH = (128, 96)  # 192 + 48 + 12 cells of strides 8, 16, 32
CELLS = 252
BOX = (40.0, 30.0, 20.0, 24.0)  # cx, cy, w, h in px
CORNERS = [30.0, 18.0, 50.0, 42.0]


def image(wh=WH, batch=1):
    return ('images', 'float32', (batch, 3, wh[1], wh[0]))


def grid(classes=3, prototypes=32, cells=CELLS, before=4, more=()):
    """[1, before + classes + more + prototypes, cells] with one box of class 0 in cell 5; coefficients of 0.5."""
    table = np.zeros((1, before + classes + len(more) + prototypes, cells), np.float32)
    table[0, :4, 5], table[0, before, 5], table[0, -prototypes:, :] = BOX, 0.9, 0.5
    table[0, 4:before, 5] = 0.9
    table[0, before + classes : before + classes + len(more), 5] = more
    return table


def maps(prototypes=32, wh=WH, stride=4):
    return np.full((1, prototypes, -(-wh[1] // stride), -(-wh[0] // stride)), 0.25, np.float32)


def card_of(folder, outputs, card='', **more):
    path = write_constant(folder / 'm.onnx', outputs, **{'image': image(), **more})
    if card:
        path.with_suffix('.yaml').write_text(card)
    return read_card(path)


def best_box(card):
    """The best box in px of the input: what the card makes of a run."""
    found = decode_all(card, outputs_of(read_model_file(card.path), card))
    return found.boxes[0].round(1).tolist(), card.labels[found.class_ids[0]], round(float(found.scores[0]), 2)


@pytest.mark.parametrize('classes, prototypes', [*itertools.product((1, 3, 80), (4, 8, 16, 32, 64))])
@pytest.mark.parametrize('transposed', [False, True])
def test_yolov8_and_later_have_coefficients_behind_their_scores(tmp_path, classes, prototypes, transposed):
    table = grid(classes, prototypes)
    labels = [f'n{index}' for index in range(classes)]
    outputs = {'output0': table.transpose(0, 2, 1) if transposed else table, 'output1': maps(prototypes)}
    card = card_of(tmp_path, outputs, f'labels: {labels}\n')
    assert type(card.spec) is InstanceSegmentationSpec and card.task is Task.INSTANCE_SEGMENTATION
    assert card.detection.decoder == 'yolov8' and card.class_count == classes
    assert card.masks == MaskSpec(MaskForm.PROTOTYPES, prototypes, False)
    assert dict(card.spec.roles) == {'predictions': 'output0', 'prototypes': 'output1'}
    assert best_box(card) == (CORNERS, 'n0', 0.9)


@pytest.mark.parametrize('prototypes', [16, 32])
@pytest.mark.parametrize('stride', [2, 4, 8])
def test_yolov5_has_an_objectness_too(tmp_path, prototypes, stride):
    table = grid(3, prototypes, 3 * CELLS, before=5).transpose(0, 2, 1)
    outputs = {'output0': np.ascontiguousarray(table), 'output1': maps(prototypes, stride=stride)}
    card = card_of(tmp_path, outputs, metadata={'stride': '32', 'names': str(dict(enumerate(NAMES)))})
    assert (card.detection.decoder, card.class_count) == ('yolov5', 3)
    assert card.masks == MaskSpec(MaskForm.PROTOTYPES, prototypes) and best_box(card) == (CORNERS, 'cat', 0.81)


def finished(prototypes=32, rows=300, more=()):
    """[1, rows, 6 + more + prototypes]: one box of class 1."""
    table = np.zeros((1, rows, 6 + len(more) + prototypes), np.float32)
    table[0, 0] = (*CORNERS, 0.9, 1, *more, *([0.5] * prototypes))
    table[0, 1, 4:6] = 0.2, 2
    return table


@pytest.mark.parametrize('rows', [100, 300])
@pytest.mark.parametrize('told', ['metadata', 'labels', 'nms'])
def test_end_to_end_exports_have_coefficients_behind_the_class(tmp_path, rows, told):
    more = {'end2end': True} if told == 'metadata' else {'args': {'nms': True}}
    metadata = None if told == 'labels' else ultralytics_metadata(NAMES, task='segment', imgsz=WH[::-1], **more)
    card = card_of(
        tmp_path,
        {'output0': finished(rows=rows), 'output1': maps()},
        f'labels: {NAMES}\n' if told == 'labels' else '',
        metadata=metadata,
    )
    assert (card.detection.decoder, card.detection.options['nms']) == ('end_to_end', False)
    assert card.masks == MaskSpec(MaskForm.PROTOTYPES, 32) and best_box(card) == (CORNERS, 'dog', 0.9)
    if metadata is not None:
        assert card.sources['task'] == 'metadata "task"' and not card.assumptions


@pytest.mark.parametrize('declared', [(1, 39, None), ('batch', 39, 'anchors'), (None, None, None)])
def test_open_sizes_are_known_by_the_metadata_and_one_run(tmp_path, declared):
    metadata = ultralytics_metadata(NAMES, task='segment', imgsz=WH[::-1])
    open_maps = (declared[0], 32, None, None)
    card = card_of(
        tmp_path,
        {'output0': grid(), 'output1': maps()},
        declared={'output0': declared, 'output1': open_maps},
        metadata=metadata,
    )
    assert card.class_count == 3 and card.masks == MaskSpec(MaskForm.PROTOTYPES, 32)


@pytest.mark.parametrize('prototypes, cells', [(8, 96), (16, 96), (64, 96), (128, 96), (16, 252)])
def test_keypoints_and_masks_in_one_network(tmp_path, prototypes, cells):
    """As our own demo model: what stands in a row is said by its card."""
    points = [45.0, 33.0, 0.8] * 8
    embedded = f'{{task: keypoints, keypoints: {{model: cuboid8}}, labels: {NAMES}, masks: {{channels: {prototypes}}}}}'
    outputs = {'output0': grid(3, prototypes, cells, more=points), 'output1': maps(prototypes, (512, 384))}
    card = card_of(tmp_path, outputs, image=image((512, 384)), metadata={'isaac_inference.card': embedded})
    assert type(card.spec) is KeypointDetectionSpec and card.keypoints.count == 8
    assert card.masks == MaskSpec(MaskForm.PROTOTYPES, prototypes) and card.spec.roles['prototypes'] == 'output1'
    assert card.detection.decoder == 'yolov8_pose' and best_box(card) == (CORNERS, 'cat', 0.9)


def test_finished_keypoints_and_masks(tmp_path):
    outputs = {'output0': finished(16, more=[45.0, 33.0, 0.8] * 8), 'output1': maps(16)}
    card = card_of(tmp_path, outputs, f'{{keypoints: {{count: 8}}, labels: {NAMES}}}')
    assert card.detection.decoder == 'end_to_end_pose' and card.masks.channels == 16
    assert best_box(card) == (CORNERS, 'dog', 0.9)


def rtmdet(masks, declared=None, rows=10, **more):
    boxes = np.zeros((1, rows, 5), np.float32)
    boxes[0, 0] = (*CORNERS, 0.9)
    outputs = {'dets': boxes, 'labels': np.ones((1, rows), np.int64), 'masks': masks}
    return {'outputs': outputs, 'declared': declared, **more}


@pytest.mark.parametrize('stride', [1, 2, 4, 8])
@pytest.mark.parametrize('value, activated', [(0.7, True), (3.0, False), (-2.0, False)])
def test_rtmdet_ins_has_a_mask_over_the_whole_input_for_each_box(tmp_path, stride, value, activated):
    masks = np.full((1, 10, WH[1] // stride, WH[0] // stride), value, np.float32)
    card = card_of(tmp_path, card=f'labels: {NAMES}\n', **rtmdet(masks))
    assert card.detection.decoder == 'boxes_scores_labels' and card.spec.roles['masks'] == 'masks'
    assert card.masks == MaskSpec(MaskForm.FULL, 0, activated) and best_box(card) == (CORNERS, 'cat', 0.9)


def test_open_rows_of_masks_are_known_by_their_name(tmp_path):
    masks = np.full((1, 10, *WH[::-1]), 0.7, np.float32)
    declared = {'dets': (1, None, 5), 'labels': (1, None), 'masks': (1, None, None, None)}
    card = card_of(tmp_path, card=f'labels: {NAMES}\n', **rtmdet(masks, declared))
    assert card.masks == MaskSpec(MaskForm.FULL, 0, True)


def mask_rcnn(masks, rows=5):
    boxes = np.tile(np.float32(CORNERS), (rows, 1))
    return {
        'boxes': boxes,
        'labels': np.ones(rows, np.int64),
        'scores': np.linspace(0.9, 0.1, rows, dtype=np.float32),
        'masks': masks,
    }


@pytest.mark.parametrize('size', [14, 28, 56])
@pytest.mark.parametrize('with_axis', [True, False])
@pytest.mark.parametrize('is_open', [True, False])
def test_mask_rcnn_has_a_small_mask_for_each_box(tmp_path, size, with_axis, is_open):
    masks = np.full((5, 1, size, size) if with_axis else (5, size, size), 0.6, np.float32)
    declared = {'boxes': (None, 4), 'labels': (None,), 'scores': (None,), 'masks': (None, *masks.shape[1:])}
    card = card_of(
        tmp_path,
        mask_rcnn(masks),
        f'labels: {NAMES}\n',
        declared=declared if is_open else None,
        image=image((800, 800)),
    )
    assert card.task is Task.INSTANCE_SEGMENTATION and card.masks == MaskSpec(MaskForm.CROPS, 0, True)
    assert card.spec.roles['masks'] == 'masks' and best_box(card)[0] == CORNERS


def test_masks_that_were_pasted_into_the_picture_are_full(tmp_path):
    masks = np.full((5, 1, *WH[::-1]), 0.6, np.float32)
    assert card_of(tmp_path, mask_rcnn(masks), f'labels: {NAMES}\n').masks == MaskSpec(MaskForm.FULL, 0, True)


def test_queries_have_masks_too(tmp_path):
    """As RF-DETR's segmentation: boxes and logits for each query, and a mask at a quarter of the input."""
    logits = np.full((1, 100, 91), -5, np.float32)
    logits[0, 3, 1] = 3
    boxes = np.tile(np.float32([0.3125, 0.3125, 0.15625, 0.25]), (1, 100, 1))
    masks = np.full((1, 100, WH[1] // 4, WH[0] // 4), -1.5, np.float32)
    card = card_of(tmp_path, {'dets': boxes, 'labels': logits, 'masks': masks})
    assert card.detection.decoder == 'detr' and card.masks == MaskSpec(MaskForm.FULL, 0, False)


def test_without_a_mask_in_the_run_it_is_assumed_whether_masks_are_logits(tmp_path):
    masks = np.zeros((0, 1, 28, 28), np.float32)
    declared = {'boxes': (None, 4), 'labels': (None,), 'scores': (None,), 'masks': (None, 1, 28, 28)}
    said = f'labels: {NAMES}\ndecoder_options: {{normalized: false}}\n'
    card = card_of(tmp_path, mask_rcnn(masks, 0), said, declared=declared)
    assert card.masks.activated
    (assumed,) = [item for item in card.assumptions if item.field == 'masks.activated']
    assert assumed.alternatives[0][0] == 'masks: {activated: false}'
    card.path.with_suffix('.yaml').write_text(said + 'masks: {activated: false}\n')
    card = read_card(card.path)
    assert not card.masks.activated and card.sources['masks.activated'] == 'card m.yaml'
    assert 'masks.activated' not in [item.field for item in card.assumptions]


@pytest.mark.parametrize(
    'outputs',
    [
        {'output0': grid(prototypes=1)[:, :-1], 'map': maps(1)},  # a map of one class
        {'output0': grid(prototypes=1)[:, :-1], 'map': maps(2)},
        {'output0': grid(prototypes=1)[:, :-1], 'map': maps(8, stride=1)},  # as large as the input: no prototypes
        {'output0': grid(prototypes=1)[:, :-1], 'map': maps(8, stride=16)},
        {'output0': grid(prototypes=1)[:, :-1], 'map': maps(8)},  # more than a row has columns
    ],
)
def test_a_map_beside_boxes_is_not_always_prototypes(tmp_path, outputs):
    card = card_of(tmp_path, outputs, f'labels: {NAMES}\n')
    assert card.task is Task.DETECTION and card.masks is None and best_box(card) == (CORNERS, 'cat', 0.9)


@pytest.mark.parametrize(
    'card, says',
    [
        ('masks: {channels: 31}', r'masks.channels: got 31, but the prototypes output1: .* are 32; correct the line'),
        ('{task: detection, masks: {channels: 32}}', r'masks: the task is detection \(card m.yaml\), which has none'),
        ('{task: detection, outputs: {prototypes: output1}}', r'masks: the task is detection'),
        (
            'outputs: {prototypes: output2}',
            r"outputs.prototypes: m.onnx has no output 'output2'; its outputs are: output0",
        ),
        ('masks: {form: boxes}', r"masks.form: got 'boxes', expected one of prototypes, crops, full"),
        ('masks: {channels: -1}', r'masks.channels: got -1, expected a whole number from 0 to 1024'),
        ('masks: {activated: 1}', r'masks.activated: got 1, expected true or false'),
        ('masks: {form: full}', r'no output has prototypes beside rows with coefficients, or a mask for each box'),
        ('labels: [a, b]', r'labels: 2 names \(a, b\), but the outputs of m.onnx have 3 classes'),
    ],
)
def test_what_a_card_says_wrongly_of_masks_is_said(tmp_path, card, says):
    with pytest.raises(ModelError, match=says):
        card_of(tmp_path, {'output0': grid(), 'output1': maps()}, card)


@pytest.mark.parametrize(
    'outputs',
    [
        {'output0': grid(prototypes=1)[:, :-1]},  # no prototypes
        {'output0': grid(prototypes=1)[:, :-1], 'output1': maps(32)},  # but no coefficients
    ],
)
def test_a_segmentation_export_whose_masks_are_missing_is_an_error_with_a_line_that_works(tmp_path, outputs):
    metadata = ultralytics_metadata(NAMES, task='segment', imgsz=WH[::-1])
    with pytest.raises(ModelError, match=r'but no output has prototypes(.|\n)*`task: detection`  \(tried') as error:
        card_of(tmp_path, outputs, metadata=metadata)
    assert str(error.value).count('tried on a picture') == 1
    (tmp_path / 'm.yaml').write_text('task: detection')
    assert read_card(tmp_path / 'm.onnx').task is Task.DETECTION


def test_masks_for_another_number_of_boxes_are_not_taken(tmp_path):
    masks = np.zeros((1, 9, *WH[::-1]), np.float32)
    card = card_of(tmp_path, card=f'labels: {NAMES}\n', **rtmdet(masks))
    assert card.task is Task.DETECTION
    with pytest.raises(ModelError, match='no output has prototypes'):
        card_of(tmp_path, card=f'labels: {NAMES}\ntask: instance_segmentation\n', **rtmdet(masks))


@pytest.mark.parametrize('shape, form', [((1, 100, 96, 128), 'full'), ((100, 1, 28, 28), 'crops')])
def test_a_table_of_finished_boxes_may_have_masks_beside_it(tmp_path, shape, form):
    outputs = {'output0': finished(prototypes=1, rows=100)[..., :-1], 'masks': np.full(shape, 0.6, np.float32)}
    card = card_of(tmp_path, outputs, f'labels: {NAMES}\n')
    assert card.detection.decoder == 'end_to_end' and card.masks == MaskSpec(MaskForm(form), 0, True)
    card.path.with_suffix('.yaml').write_text(f'labels: {NAMES}\nmasks: {{form: {form}}}\noutputs: {{masks: masks}}\n')
    assert read_card(card.path).masks.form == form
    other = 'crops' if form == 'full' else 'full'
    card.path.with_suffix('.yaml').write_text(f'labels: {NAMES}\nmasks: {{form: {other}}}\n')
    with pytest.raises(ModelError, match=f'has no masks of the form {other} for output0'):
        read_card(card.path)


def test_boxes_alone_need_a_decoder_that_skips_the_coefficients(tmp_path):
    with pytest.raises(ModelError, match=r'the decoder end_to_end cannot leave out the 32 mask coefficients'):
        card_of(tmp_path, {'output0': finished(), 'output1': maps()}, f'task: detection\nlabels: {NAMES}\n')


def test_a_card_may_say_all_of_it(tmp_path):
    said = (
        f'task: instance_segmentation\ndecoder: yolov8\nlabels: {NAMES}\n'
        'outputs: {predictions: a, prototypes: b}\nmasks: {form: prototypes, channels: 6, activated: true}\n'
    )
    card = card_of(tmp_path, {'b': maps(6, stride=16), 'a': grid(prototypes=6)}, said)
    assert card.masks == MaskSpec(MaskForm.PROTOTYPES, 6, True)
    assert {card.sources[f'masks.{name}'] for name in ('form', 'channels', 'activated')} == {'card m.yaml'}
    assert best_box(card) == (CORNERS, 'cat', 0.9)


def test_what_was_found_is_shown(tmp_path):
    rows = card_rows(card_of(tmp_path, {'output0': grid(), 'output1': maps()}, f'labels: {NAMES}\n'))
    assert ('task', 'instance_segmentation', 'the outputs') in rows
    assert ('masks.form', 'prototypes', 'shapes and names of the outputs') in rows
    assert ('masks.channels', '32', 'shape of output1') in rows
    assert ('roles.prototypes', 'output1', 'shapes and names of the outputs') in rows
    assert not [row for row in rows if not row[2] and row[0] not in ('path', 'note')]
