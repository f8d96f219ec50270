# SPDX-License-Identifier: Apache-2.0
"""read_card on a tiny model of each family: what the file says, what the card adds, and in which order."""

from __future__ import annotations

import json

import pytest
from support.onnx_models import KINDS, WH, ultralytics_metadata, write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import read_card
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.families import FAMILIES

NAMES = ['cup', 'bottle', 'box']


@pytest.mark.parametrize('kind', KINDS)
def test_every_family_is_found_without_naming_its_decoder(tmp_path, kind):
    path = write_model(tmp_path / 'm.onnx', kind)
    path.with_suffix('.yaml').write_text(f'labels: {json.dumps(NAMES)}\n')
    card = read_card(path)
    row = KINDS[kind]
    assert card.detection.decoder == row.decoder
    assert {**card.detection.options, **row.options} == card.detection.options
    assert card.labels == tuple(NAMES) and card.class_count == 3
    optional = () if row.decoder == 'end_to_end' else FAMILIES[row.decoder].optional_roles
    roles = (*FAMILIES[row.decoder].roles, *optional)
    assert card.spec.roles == {role: row.output_names.get(role, role) for role in roles}
    convention = 'detr' if kind == 'detr_softmax' else FAMILIES[row.decoder].conventions[0]
    assert card.image.preprocess == CONVENTIONS[convention].preprocess
    assert (card.size_input is not None) == row.has_size_input
    assert card.image.wh == WH and card.image.layout == 'NCHW' and card.name == 'm'
    assert not card.notes


@pytest.mark.parametrize('kind', ['yolox', 'yolov5', 'yolov8', 'detr', 'nanodet'])
def test_three_classes_and_renamed_tensors_need_no_card(tmp_path, kind):
    names = {role: f'renamed_{index}' for index, role in enumerate(FAMILIES[KINDS[kind].decoder].roles)}
    path = write_model(tmp_path / 'm.onnx', kind, input_name='camera', output_names=names)
    card = read_card(path)
    assert card.detection.decoder == KINDS[kind].decoder
    assert card.image.tensor.name == 'camera'
    assert card.spec.roles == names
    assert card.labels == ('class_0', 'class_1', 'class_2')
    assert any('nothing names the 3 classes' in note for note in card.notes)


def test_eighty_classes_get_the_coco_names(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', classes=80))
    assert card.labels[0] == 'person' and card.labels[79] == 'toothbrush'
    assert 'coco80' in card.sources['labels']
    assert not card.notes


def test_ninety_one_logits_are_coco_category_ids(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'detr', classes=91))
    assert card.labels[1] == 'person' and card.labels[90] == 'toothbrush'
    assert card.image.preprocess.mean == (0.485, 0.456, 0.406)


def test_ninety_two_logits_are_detr_with_softmax(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'detr_softmax', classes=91))
    assert card.detection.options['activation'] == 'softmax'
    assert card.class_count == 91
    assert card.image.preprocess.std == (0.229, 0.224, 0.225)


def test_ultralytics_metadata_gives_names_task_and_decoder(tmp_path):
    metadata = ultralytics_metadata(NAMES)
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', metadata=metadata))
    assert card.labels == tuple(NAMES)
    assert card.sources['labels'] == 'metadata "names"'
    assert card.sources['task'] == 'metadata "task"'


def test_ultralytics_end_to_end_metadata(tmp_path):
    metadata = ultralytics_metadata(NAMES, end2end=True)
    card = read_card(write_model(tmp_path / 'm.onnx', 'end_to_end', metadata=metadata))
    assert card.detection.decoder == 'end_to_end' and card.sources['decoder'] == 'metadata (end-to-end export)'


def test_nms_inside_is_read_from_the_export_arguments(tmp_path):
    metadata = ultralytics_metadata(NAMES, args={'nms': True, 'half': False})
    card = read_card(write_model(tmp_path / 'm.onnx', 'end_to_end', metadata=metadata))
    assert card.detection.decoder == 'end_to_end'


@pytest.mark.parametrize('task', ['classify', 'obb_pose'])
def test_other_tasks_are_refused_by_name(tmp_path, task):
    path = write_model(tmp_path / 'm.onnx', 'yolov8', metadata=ultralytics_metadata(NAMES, task=task))
    with pytest.raises(ModelError, match=f'task {task} is not supported yet.*supported: detection, keypoints'):
        read_card(path)


def test_the_exporters_own_rt_detr_has_centres_in_fractions_and_is_stretched(tmp_path):
    metadata = ultralytics_metadata(NAMES, description='Ultralytics RT-DETR-l model')
    card = read_card(write_model(tmp_path / 'm.onnx', 'end_to_end', metadata=metadata))
    assert card.detection.options['columns'] == ('cx', 'cy', 'w', 'h', 'score', 'class')
    assert card.image.preprocess == CONVENTIONS['rt_detr'].preprocess and not card.assumptions


def test_dynamic_size_comes_from_imgsz(tmp_path):
    metadata = ultralytics_metadata(NAMES, imgsz=(64, 96))
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', metadata=metadata, dynamic=True))
    assert card.image.wh == (96, 64) and card.sources['input_wh'] == 'metadata "imgsz"'
    assert card.dynamic_batch and card.image.dynamic_size
    assert card.image.shape(4) == (4, 3, 64, 96)


def test_dynamic_batch_alone_keeps_the_size(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', dynamic='batch'))
    assert card.dynamic_batch and not card.image.dynamic_size and card.image.wh == WH


def test_a_dynamic_size_without_a_hint_is_assumed_and_said(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', dynamic=True))
    assert card.image.wh == (640, 640)
    (assumed,) = [item for item in card.assumptions if item.field == 'input_size']
    assert assumed.value == '[640, 640]' and '`input_size: [width, height]`' in assumed.text()


def test_everything_dynamic_is_settled_by_one_run(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolox', dynamic=True)
    path.with_suffix('.yaml').write_text('input_size: [96, 64]\n')
    card = read_card(path)
    assert card.detection.decoder == 'yolox' and card.class_count == 3


def test_explicit_card_then_the_one_beside_then_the_embedded_one(tmp_path):
    embedded = json.dumps({'name': 'embedded', 'labels': ['a', 'b', 'c'], 'preprocess': {'pad_value': 3}})
    metadata = {**ultralytics_metadata(NAMES), 'isaac_inference.card': embedded}
    path = write_model(tmp_path / 'm.onnx', 'yolov8', metadata=metadata)
    path.with_suffix('.yaml').write_text('name: beside\npreprocess: {pad_value: 2, color: bgr}\n')
    explicit = tmp_path / 'explicit.yaml'
    explicit.write_text('preprocess: {pad_value: 1}\n')
    card = read_card(path, explicit)
    assert card.image.preprocess.pad_value == 1 and card.sources['preprocess.pad_value'] == 'card explicit.yaml'
    assert card.name == 'beside' and card.image.preprocess.color == 'bgr'
    assert card.labels == ('a', 'b', 'c') and card.sources['labels'] == 'card in m.onnx'
    assert card.image.preprocess.scale == pytest.approx(1 / 255)


def test_raw_pixels_for_a_uint8_input(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', dtype='uint8', layout='NHWC'))
    assert card.image.layout == 'NHWC' and card.image.wh == WH
    assert card.image.preprocess.scale == 1.0 and card.sources['preprocess.scale'] == 'element type of images'
    card_file = tmp_path / 'c.yaml'
    card_file.write_text('preprocess: {scale: 1/255}')
    with pytest.raises(ModelError, match='preprocess.scale: got 0.0039.*takes whole numbers 0 to 255'):
        read_card(tmp_path / 'm.onnx', card_file)


def test_the_card_cannot_be_changed(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolox'))
    with pytest.raises(AttributeError):
        card.detection.decoder = 'yolov5'
    with pytest.raises(TypeError):
        card.detection.options['strides'] = (8,)


def test_a_yolox_decoded_in_the_graph_keeps_its_preprocessing(tmp_path):
    import onnx
    from support.onnx_models import build_model, save_model

    model = build_model('yolox')
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = 'raw'
    model.graph.initializer.append(onnx.numpy_helper.from_array(__import__('numpy').float32(2), 'two'))
    model.graph.node.append(onnx.helper.make_node('Mul', ['raw', 'two'], [output]))
    card = read_card(save_model(model, tmp_path / 'm.onnx'))
    assert card.detection.decoder == 'yolov5' and card.image.preprocess == CONVENTIONS['yolox'].preprocess
