# SPDX-License-Identifier: Apache-2.0
"""Exports that users brought and that were once read wrongly: what is found with them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from support.onnx_models import ultralytics_metadata
from support.onnx_models.constant import write_constant

from isaac_inference.engines import create_engine
from isaac_inference.errors import ModelError
from isaac_inference.models import Task, read_card
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.stages import Postprocessor, Preprocessor

WH = (640, 640)
IMAGE = ('images', 'float32', (1, 3, 640, 640))
QUERIES = 300
NAMES = ['cat', 'dog', 'cow']


def boxes_of(path, card='', size=WH):
    """Class, score and box of what a model finds on a grey picture, in px of it, through every stage."""
    if card:
        path.with_suffix('.yaml').write_text(card)
    found = read_card(path)
    picture = np.full((size[1], size[0], 3), 127, np.uint8)
    tensors, letterbox = Preprocessor(found)(picture)
    with create_engine(found, 'onnxruntime') as engine:
        detections = Postprocessor(found)(engine.infer(tensors), letterbox)
    rows = zip(detections.class_ids, detections.scores, detections.boxes, strict=True)
    return [(found.labels[index], round(float(score), 3), box.round().tolist()) for index, score, box in rows]


def rf_detr(path, columns=4):
    """A query that finds a cat; every other scores 0.007, and the column that no class has is like the others."""
    boxes = np.tile(np.float32([0.5, 0.5, 0.2, 0.2]), (1, QUERIES, 1))
    logits = np.full((1, QUERIES, columns), -5, np.float32)
    boxes[0, 7], logits[0, 7, 0] = (0.25, 0.5, 0.1, 0.2), 2
    return write_constant(path, {'dets': boxes, 'labels': logits}, image=('input', 'float32', (1, 3, 384, 384)))


@pytest.mark.parametrize('columns', [3, 4, 91])
def test_a_spare_column_of_a_sigmoid_head_is_no_softmax(tmp_path, columns):
    path = rf_detr(tmp_path / 'm.onnx', columns)
    assert boxes_of(path, f'labels: {NAMES}\n') == [('cat', 0.881, [128.0, 256.0, 192.0, 384.0])]
    card = read_card(path)
    assert card.detection.options['activation'] == 'sigmoid' and card.class_count == columns
    unused = [label for label in card.labels if label.startswith('unused_')]
    assert len(unused) == columns - 3 and (not unused or any(unused[0] in note for note in card.notes))


def test_a_column_that_most_queries_choose_is_no_object(tmp_path):
    boxes = np.tile(np.float32([0.5, 0.5, 0.2, 0.2]), (1, 100, 1))
    logits = np.zeros((1, 100, 4), np.float32)
    logits[0, :, 3], logits[0, 5] = 6, (8, 0, 0, 0)
    path = write_constant(tmp_path / 'm.onnx', {'logits': logits, 'pred_boxes': boxes}, image=IMAGE)
    assert [row[0] for row in boxes_of(path, f'labels: {NAMES}\n')] == ['cat']
    assert read_card(path).detection.options['activation'] == 'softmax'
    assert read_card(path).image.preprocess == CONVENTIONS['detr'].preprocess


def test_a_card_says_which_columns_are_unused(tmp_path):
    path = rf_detr(tmp_path / 'm.onnx', 4)
    for line, unused in (
        ('', (3,)),
        ('decoder_options: {unused: []}\n', ()),
        ('decoder_options: {unused: [1]}\n', (1,)),
    ):
        path.with_suffix('.yaml').write_text(f'labels: {NAMES}\n{line}')
        assert read_card(path).detection.options['unused'] == unused


@pytest.mark.parametrize('columns', [4, 6, 91])
def test_an_rf_detr_of_any_class_count_has_imagenet_s_mean(tmp_path, columns):
    card = read_card(rf_detr(tmp_path / 'm.onnx', columns))
    assert (card.labels[-1] == f'unused_{columns - 1}') is (columns != 91)  # a column more than classes
    assert card.image.preprocess == CONVENTIONS['rf_detr'].preprocess
    (assumed,) = card.assumptions
    assert assumed.field == 'preprocess' and '`preprocess: {convention: rt_detr}`' in assumed.text()


def test_coco_s_eighty_names_stand_at_the_category_ids_of_ninety_one_columns(tmp_path):
    path = rf_detr(tmp_path / 'm.onnx', 91)
    path.with_suffix('.yaml').write_text('labels: coco80\n')
    assert read_card(path).labels[1] == 'person' and read_card(path).labels[90] == 'toothbrush'


def test_a_card_wins_over_metadata_that_is_broken(tmp_path):
    rows = np.zeros((1, 6, 8400), np.float32)
    rows[0, :4, 5], rows[0, 4, 5] = (150, 160, 100, 120), 0.9
    metadata = {**ultralytics_metadata(['person', ''], imgsz=(640, 640))}
    path = write_constant(tmp_path / 'm.onnx', {'output0': rows}, image=IMAGE, metadata=metadata)
    assert boxes_of(path) == [('person', 0.9, [100, 100, 200, 220])]
    assert any("class 1 is '', called class_1 here" in note for note in read_card(path).notes)
    assert boxes_of(path, 'labels: [human, background]\n') == [('human', 0.9, [100, 100, 200, 220])]


@pytest.mark.parametrize('rows', [25200, 8400])
def test_one_row_per_cell_with_the_class_picked_in_the_graph(tmp_path, rows):
    table = np.zeros((1, rows, 6), np.float32)
    table[0, 0], table[0, 10], table[0, 11] = (
        (100, 150, 200, 270, 0.9, 16),
        (300, 150, 360, 300, 0.9, 0),
        (302, 150, 362, 300, 0.8, 0),
    )
    image = ('input', 'float32', ('batch', 3, 640, 640))
    path = write_constant(tmp_path / 'm.onnx', {'output': table}, image=image)
    found = boxes_of(path, 'labels: coco80\n', size=(640, 426))
    assert sorted(found) == [('dog', 0.9, [100, 43, 200, 163]), ('person', 0.9, [300, 43, 360, 193])]


def test_a_decoder_in_the_card_that_reads_nonsense_is_refused_with_what_it_looks_like(tmp_path):
    table = np.zeros((1, 100, 7), np.float32)
    table[0, 0] = 0, 100, 100, 200, 220, 0.9, 16
    path = write_constant(tmp_path / 'm.onnx', {'output': table}, image=IMAGE)
    path.with_suffix('.yaml').write_text('decoder: yolov5\n')
    with pytest.raises(ModelError, match=r'yolov5 \(card m.yaml\) reads nonsense.* 3520, .*looks? like end_to_end'):
        read_card(path)
    path.with_suffix('.yaml').write_text('labels: coco80\n')
    assert boxes_of(path) == [('dog', 0.9, [100, 100, 200, 220])]


@pytest.mark.parametrize('swapped', [False, True])
def test_boxes_and_scores_apart_are_no_detr(tmp_path, swapped):
    boxes = np.tile(np.float32([0, 0, 10, 10]), (1, 8400, 1))
    scores = np.zeros((1, 8400, 80), np.float32)
    boxes[0, 5], scores[0, 5, 16] = (100, 100, 200, 220), 0.9
    outputs = {'boxes': boxes, 'scores': scores.transpose(0, 2, 1) if swapped else scores}
    path = write_constant(tmp_path / 'm.onnx', outputs, image=IMAGE)
    assert boxes_of(path) == [('dog', 0.9, [100, 100, 200, 220])]
    path.with_suffix('.yaml').write_text('{decoder: detr, outputs: {boxes: boxes, logits: scores}}\n')
    if not swapped:
        with pytest.raises(ModelError, match=r'reads nonsense.*looks? like boxes_scores'):
            read_card(path)


def hugging_face(path, **more):
    """RT-DETR with two outputs, and further ones."""
    logits = np.full((1, QUERIES, 80), -5, np.float32)
    logits[0, 3, 16] = 3
    boxes = np.tile(np.float32([0.5, 0.5, 0.2, 0.2]), (1, QUERIES, 1))
    extra = {'last_hidden_state': np.zeros((1, QUERIES, 256), np.float32), 'enc_topk_bboxes': boxes}
    outputs = {'logits': logits, 'pred_boxes': boxes, **extra, 'enc_topk_logits': logits}
    return write_constant(path, outputs, **more)


@pytest.mark.parametrize('card', ['', 'outputs: {logits: logits, boxes: pred_boxes}\n'])
def test_further_outputs_do_not_matter(tmp_path, card):
    path = hugging_face(tmp_path / 'm.onnx', image=('pixel_values', 'float32', (1, 3, 640, 640)))
    assert boxes_of(path, card) == [('dog', 0.953, [256, 256, 384, 384])]


def test_names_of_axes_give_the_layout_and_the_family_the_size(tmp_path):
    axes = ('batch_size', 'num_channels', 'height', 'width')
    card = read_card(hugging_face(tmp_path / 'm.onnx', image=('pixel_values', 'float32', axes)))
    assert card.image.layout == 'NCHW' and card.image.wh == (640, 640)
    assert {item.field for item in card.assumptions} == {'preprocess', 'input_size'}


def test_yolov3_tiny_has_two_strides(tmp_path):
    rows = np.zeros((1, 2535, 85), np.float32)
    rows[0, 5, :5], rows[0, 5, 21] = (150, 160, 100, 120, 0.95), 0.95
    metadata = {'stride': '32', 'names': str({index: f'n{index}' for index in range(80)})}
    image = ('images', 'float32', (1, 3, 416, 416))
    path = write_constant(tmp_path / 'm.onnx', {'output0': rows}, image=image, metadata=metadata)
    assert boxes_of(path, size=(416, 416)) == [('n16', 0.902, [100, 100, 200, 220])]


def test_outputs_of_a_named_role_without_a_decoder_are_not_ignored(tmp_path):
    path = hugging_face(tmp_path / 'm.onnx', image=('pixel_values', 'float32', (1, 3, 640, 640)))
    path.with_suffix('.yaml').write_text('outputs: {predictions: last_hidden_state}\n')
    with pytest.raises(ModelError):
        read_card(path)
    path.with_suffix('.yaml').write_text('outputs: {keys: logits}\n')
    with pytest.raises(ModelError, match="unknown key 'keys'"):
        read_card(path)


@pytest.mark.parametrize('metadata', [None, ultralytics_metadata(NAMES, task='segment', imgsz=(640, 640))])
def test_boxes_beside_masks_are_read_alone_when_a_card_asks(tmp_path, metadata):
    rows = np.zeros((1, 4 + 3 + 32, 8400), np.float32)
    rows[0, :4, 5], rows[0, 4, 5], rows[0, 7:, 5] = (150, 160, 100, 120), 0.9, 0.5
    outputs = {'output0': rows, 'output1': np.zeros((1, 32, 160, 160), np.float32)}
    path = write_constant(tmp_path / 'm.onnx', outputs, image=IMAGE, metadata=metadata)
    assert read_card(path).task is Task.INSTANCE_SEGMENTATION
    assert boxes_of(path, f'task: detection\nlabels: {NAMES}\n') == [('cat', 0.9, [100, 100, 200, 220])]


def test_all_problems_come_in_one_message(tmp_path):
    image = ('x', 'float32', (1, 3, 64, 3))
    beside = [('tokens', 'int64', (1, 7))]
    path = write_constant(
        tmp_path / 'm.onnx', {'out': np.zeros((1, 9), np.float32)}, image=image, beside=beside, producer=''
    )
    with pytest.raises(
        ModelError, match=r'3 problems:\n  1. the layout(.|\n)*2. .*tokens(.|\n)*3. the outputs'
    ) as error:
        read_card(path)
    assert str(error.value).count('Found:') == 1


def test_advice_that_was_tried_works_and_other_advice_is_not_given(tmp_path):
    table = np.zeros((1, 50, 4), np.float32)  # two tensors of one shape: which is which?
    table[0, :, 2:] = 40
    path = write_constant(tmp_path / 'm.onnx', {'a': table, 'b': np.full((1, 50, 4), 0.3, np.float32)}, image=IMAGE)
    with pytest.raises(ModelError) as error:
        read_card(path)
    lines = [part.split('`')[1] for part in str(error.value).split('\n') if '`{' in part]
    for line in lines:
        path.with_suffix('.yaml').write_text(line + '\nlabels: [p, q, r, s]\n')
        read_card(path)
    nothing = write_constant(tmp_path / 'n.onnx', {'a': np.zeros((1, 1000), np.float32)}, image=IMAGE)
    with pytest.raises(ModelError, match='Export it with its boxes decoded'):
        read_card(nothing)
