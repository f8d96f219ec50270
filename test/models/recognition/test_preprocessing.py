# SPDX-License-Identifier: Apache-2.0
"""How images are prepared for a model whose file does not say it: what is taken, and what is said about it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.onnx_models import build_model, save_model, ultralytics_metadata, write_model
from support.onnx_models.constant import write_constant
from support.paths import DATA

from isaac_inference.errors import ModelError
from isaac_inference.models import read_card
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.onnx.graph_head import ImageEntry
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.recognition.infer import build_card

REAL = DATA / 'models'
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason='no shared/data')


def test_every_convention_that_a_family_names_exists_and_differs():
    for family in FAMILIES.values():
        assert family.conventions and set(family.conventions) <= set(CONVENTIONS)
    same_as_others = ('torchvision', 'darknet', 'detectnet', 'unit')
    specs = [item.preprocess for name, item in CONVENTIONS.items() if name not in same_as_others]
    assert len(set(specs)) >= len(specs) - 5


def test_metadata_leaves_no_doubt(tmp_path):
    metadata = ultralytics_metadata(['a', 'b', 'c'])
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', metadata=metadata))
    assert not card.assumptions and card.sources['preprocess.convention'] == 'metadata of the exporter'


def test_a_card_settles_it_and_is_not_assumed(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'detr')
    assert [item.field for item in read_card(path).assumptions] == ['preprocess', 'decoder_options.activation']
    path.with_suffix('.yaml').write_text('preprocess: {convention: rf_detr, color: bgr}\nlabels: [a, b, c]\n')
    card = read_card(path)
    assert not card.assumptions
    assert card.image.preprocess.mean == (0.485, 0.456, 0.406) and card.image.preprocess.color == 'bgr'
    assert card.sources['preprocess.mean'] == 'convention rf_detr'
    assert card.sources['preprocess.convention'] == 'card m.yaml' and card.image.convention == 'rf_detr'


def test_only_alternatives_that_would_change_something_are_named(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'detr')
    path.with_suffix('.yaml').write_text('labels: [a, b, c]\npreprocess: {mean: 0, std: 1}\n')
    assert not read_card(path).assumptions  # the conventions of this family differ in mean and std alone


def test_decoder_and_preprocessing_are_two_choices(tmp_path):
    rows = np.zeros((1, 126, 8), np.float32)  # one row per cell: a YOLOX whose boxes the graph has decoded
    rows[0, 5], rows[0, 9] = (40, 30, 20, 20, 0.9, 0.9, 0, 0), (70, 40, 20, 20, 0.9, 0, 0.9, 0)
    path = write_constant(tmp_path / 'm.onnx', {'output': rows})
    for card in ('', 'decoder: yolov5\n'):
        path.with_suffix('.yaml').write_text(card)
        assert read_card(path).detection.decoder == 'yolov5'
        assert read_card(path).image.preprocess == CONVENTIONS['yolox'].preprocess


def test_a_graph_that_normalises_itself_is_not_normalised_twice(tmp_path):
    model = build_model('nanodet')
    first = next(node for node in model.graph.node if 'images' in node.input)
    first.input[list(first.input).index('images')] = 'normal'
    model.graph.initializer.append(numpy_helper.from_array(np.float32(255), 'byte'))
    model.graph.node.insert(0, onnx.helper.make_node('Div', ['images', 'byte'], ['normal']))
    spec = read_card(save_model(model, tmp_path / 'm.onnx')).image.preprocess
    assert (spec.scale, spec.mean, spec.std) == (1.0, (0.0,) * 3, (1.0,) * 3) and spec.color == 'bgr'


@pytest.mark.parametrize(
    'response, alternatives',
    [(None, ['yolox_legacy']), (1.0, []), (300.0, [])],
)
def test_the_first_convolution_decides_where_it_can(tmp_path, response, alternatives):
    path = write_model(tmp_path / 'm.onnx', 'yolox')
    file = read_model_file(path)
    file.entries['images'] = ImageEntry(response=response)  # type: ignore[index]
    card = build_card(file, {})
    named = [line for item in card.assumptions for line, _ in item.alternatives]
    assert named == [f'preprocess: {{convention: {name}}}' for name in alternatives]
    expected = 'yolox_legacy' if response == 300.0 else 'yolox'
    assert card.image.preprocess == CONVENTIONS[expected].preprocess


@pytest.mark.parametrize(
    'line, says',
    [
        ('{fit: stretch, pad_value: 3}', 'preprocess.pad_value: has no effect with fit stretch'),
        ('{fit: stretch, anchor: center}', 'preprocess.anchor: has no effect'),
        ('{fit: crop, pad_value: 0}', 'has no effect with fit crop'),
        ('{convention: rt_detr, rounding: floor}', r'rounding: has no effect with fit stretch \(convention rt_detr\)'),
        ('{convention: rtdetr}', 'got .rtdetr., expected one of ultralytics, yolox'),
        ('{color: rgba, fit: round}', r'preprocess.color: got(.|\n)*and: preprocess.fit: got'),
    ],
)
def test_what_a_card_says_in_vain_is_an_error(tmp_path, line, says):
    path = write_model(tmp_path / 'm.onnx', 'yolov8')
    path.with_suffix('.yaml').write_text(f'preprocess: {line}\n')
    with pytest.raises(ModelError, match=says):
        read_card(path)


def test_tensorflow_s_own_comes_first_for_a_file_of_its_converter(tmp_path):
    table = np.zeros((1, 100, 6), np.float32)
    table[0, 0] = 10, 10, 50, 50, 0.9, 2
    image = ('x', 'float32', (1, 64, 96, 3))
    path = write_constant(tmp_path / 'm.onnx', {'detections': table}, image=image, producer='tf2onnx')
    path.with_suffix('.yaml').write_text('labels: [a, b, c]\n')
    assert read_card(path).image.preprocess == CONVENTIONS['tensorflow'].preprocess


@needs_data
@pytest.mark.parametrize(
    'name, convention, labels',
    [
        ('yolox_nano', 'yolox', ''),
        ('yolox_person_192', 'yolox', ''),
        ('centernet_mbv3_coco_512', 'tensorflow', ''),
        ('picodet_layout_cdla', 'paddle', ''),
    ],
)
def test_real_detectors_are_prepared_for_as_they_were_trained(name, convention, labels):
    card = read_card(REAL / f'{name}.onnx')
    assert card.image.preprocess == CONVENTIONS[convention].preprocess


def test_a_value_without_effect_is_told_by_the_convention_that_is_taken_in_the_end(tmp_path):
    model = build_model('end_to_end')
    model.producer_name = 'tf2onnx'  # which makes TensorFlow's convention, without a letterbox, the likeliest
    path = save_model(model, tmp_path / 'm.onnx')
    path.with_suffix('.yaml').write_text('labels: [a, b, c]\npreprocess: {pad_value: 3}\n')
    with pytest.raises(ModelError, match=r'pad_value: has no effect with fit stretch \(convention tensorflow'):
        read_card(path)
