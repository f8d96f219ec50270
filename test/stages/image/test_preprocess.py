# SPDX-License-Identifier: Apache-2.0
"""From image to tensors, for one model: colour order, padding, types, size input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.cards import with_preprocess
from support.onnx_models import WH, ultralytics_metadata, write_model

from isaac_inference.errors import FrameError
from isaac_inference.models import PreprocessSpec, read_card
from isaac_inference.ops.image.letterbox import new_canvas, resize_into
from isaac_inference.ops.image.options import WHOLE_TYPES, ColorOrder
from isaac_inference.ops.image.preprocess import TensorWriter
from isaac_inference.stages import Preprocessor

BLUE = (200, 100, 0)  # BGR
RAW = PreprocessSpec(color='bgr', scale=1.0, pad_value=50)


@pytest.fixture
def card_of(tmp_path):
    """The card of a tiny model, with what preprocessing shall do."""

    def make(kind='yolov8', preprocess=RAW, **options):
        card = read_card(write_model(tmp_path / f'{kind}.onnx', kind, **options))
        return with_preprocess(card, preprocess)

    return make


def image(width, height, color=BLUE):
    return np.full((height, width, 3), color, np.uint8)


@pytest.mark.parametrize(
    ('wanted', 'order', 'expected'),
    [
        ('bgr', ColorOrder.BGR, (200, 100, 0)),
        ('rgb', ColorOrder.BGR, (0, 100, 200)),
        ('bgr', ColorOrder.RGB, (0, 100, 200)),
        ('rgb', ColorOrder.RGB, (200, 100, 0)),
    ],
)
def test_channels_are_swapped_exactly_where_image_and_model_differ(card_of, wanted, order, expected):
    preprocessor = Preprocessor(card_of(preprocess=dataclasses.replace(RAW, color=wanted)))
    tensors, _ = preprocessor(image(*WH), order)
    assert preprocessor.wanted is ColorOrder(wanted)
    assert tuple(tensors['images'][0, :, 5, 5]) == expected


def test_pixels_are_scaled_and_normalised_in_the_model_s_channel_order(card_of):
    spec = PreprocessSpec(color='rgb', scale=1 / 200, mean=(0.0, 0.5, 1.0), std=(1.0, 2.0, 0.5))
    tensors, _ = Preprocessor(card_of(preprocess=spec))(image(*WH))
    np.testing.assert_allclose(tensors['images'][0, :, 5, 5], (0.0, 0.0, 0.0), atol=1e-6)
    tensors, _ = Preprocessor(card_of(preprocess=spec))(image(*WH, (0, 0, 200)))
    np.testing.assert_allclose(tensors['images'][0, :, 5, 5], (1.0, -0.25, -2.0), atol=1e-6)


@pytest.mark.parametrize(
    ('layout', 'dtype', 'shape'),
    [
        ('NCHW', 'float32', (1, 3, WH[1], WH[0])),
        ('NHWC', 'float32', (1, WH[1], WH[0], 3)),
        ('NCHW', 'float16', (1, 3, WH[1], WH[0])),
        ('NHWC', 'uint8', (1, WH[1], WH[0], 3)),
        ('NHWC', 'int32', (1, WH[1], WH[0], 3)),
    ],
)
def test_the_tensor_has_the_model_s_name_type_layout_and_size(card_of, layout, dtype, shape):
    card = card_of(layout=layout, dtype=dtype, input_name='x')
    tensors, _ = Preprocessor(card)(image(50, 40))
    assert list(tensors) == ['x']
    assert (tensors['x'].shape, tensors['x'].dtype) == (shape, np.dtype(dtype))
    assert card.image.tensor.accepts_shape(tensors['x'].shape)


def test_the_letterbox_leads_back_to_the_image(card_of):
    _, letterbox = Preprocessor(card_of())(image(192, 64))
    assert (letterbox.source_wh, letterbox.input_wh) == ((192, 64), WH)
    assert (letterbox.scale_xy, letterbox.offset_xy) == ((0.5, 0.5), (0.0, 16.0))


@pytest.mark.parametrize(('fit', 'padded'), [('letterbox', True), ('stretch', False), ('crop', False)])
def test_only_a_letterbox_is_padded(card_of, fit, padded):
    tensors, _ = Preprocessor(card_of(preprocess=dataclasses.replace(RAW, fit=fit)))(image(192, 64))
    assert (tensors['images'][0, 0, 0, 0] == 50) == padded
    assert tensors['images'][0, 0, WH[1] // 2, WH[0] // 2] == 200


def test_the_padding_is_refilled_when_the_size_changes_mid_stream(card_of):
    preprocessor = Preprocessor(card_of())
    wide, wide_box = preprocessor(image(192, 64))
    tall, tall_box = preprocessor(image(32, 64))
    again, again_box = preprocessor(image(192, 64))
    for tensors, letterbox in ((wide, wide_box), (tall, tall_box), (again, again_box)):
        blue = tensors['images'][0, 0]
        width, height = letterbox.resized_wh
        assert set(np.unique(blue)) == {50.0, 200.0}
        assert (blue == 200).sum() == width * height
    assert wide_box == again_box != tall_box


def test_the_letterbox_is_made_once_a_size(card_of):
    preprocessor = Preprocessor(card_of())
    assert preprocessor(image(100, 80))[1] is preprocessor(image(100, 80))[1]


def test_tensors_are_not_written_to_again(card_of):
    preprocessor = Preprocessor(card_of())
    first, _ = preprocessor(image(*WH))
    preprocessor(image(*WH, (0, 0, 0)))
    assert first['images'][0, 0].max() == 200


def test_rows_may_be_padded_and_pixels_read_backwards(card_of):
    preprocessor = Preprocessor(card_of())
    wide = np.full((WH[1], WH[0] + 7, 3), 9, np.uint8)
    wide[:, : WH[0]] = BLUE
    tensors, _ = preprocessor(wide[:, : WH[0]])
    assert tensors['images'][0, 0].min() == 200


def test_a_model_that_asks_for_the_size_gets_its_input_s_width_and_height(card_of):
    card = card_of('boxes_scores_labels', metadata=ultralytics_metadata(['a', 'b', 'c']))
    tensors, _ = Preprocessor(card)(image(1920, 1080))
    assert set(tensors) == {'images', 'orig_target_sizes'}
    assert tensors['orig_target_sizes'].tolist() == [list(WH)]
    assert tensors['orig_target_sizes'].dtype == np.int64
    assert all(spec.accepts_shape(tensors[spec.name].shape) for spec in card.fed)


def test_one_pixel_is_an_image(card_of):
    tensors, letterbox = Preprocessor(card_of())(image(1, 1))
    assert letterbox.resized_wh == (WH[1], WH[1])
    assert tensors['images'].max() == 200


@pytest.mark.parametrize('size', [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_one_dropped_frame(card_of, size):
    preprocessor = Preprocessor(card_of())
    preprocessor(image(*WH))
    with pytest.raises(FrameError, match='got .* pixels, expected 1x1 or more') as caught:
        preprocessor(image(*size))
    assert caught.value.reason == 'zero_size_image'
    assert preprocessor(image(*WH))[0]['images'].min() == 0, 'the next frame is good again'


@pytest.mark.parametrize('wrong', [np.zeros((6, 8), np.uint8), np.zeros((6, 8, 4), np.uint8), np.zeros((6, 8, 3))])
def test_another_array_is_one_dropped_frame(card_of, wrong):
    with pytest.raises(FrameError, match='image: got .*expected uint8'):
        Preprocessor(card_of())(wrong)


@pytest.mark.parametrize('size', [(640, 480), (48, 64), (33, 77), WH])
@pytest.mark.parametrize('spec', [RAW, PreprocessSpec(mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4))], ids=['raw', 'norm'])
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8', 'int32'])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
def test_the_tensor_is_that_of_the_whole_padded_canvas(card_of, fit, layout, dtype, spec, size):
    if dtype in WHOLE_TYPES:
        spec = dataclasses.replace(spec, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    spec = dataclasses.replace(spec, fit=fit)
    picture = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    tensors, letterbox = Preprocessor(card_of(preprocess=spec, layout=layout, dtype=dtype))(picture)

    canvas = new_canvas(WH, spec.pad_value)
    resize_into(picture, letterbox, canvas)
    expected = np.empty_like(tensors['images'])
    writer = TensorWriter(swap=spec.color == 'rgb', scale=spec.scale, mean=spec.mean, std=spec.std, layout=layout)
    writer.write(canvas, expected)
    np.testing.assert_array_equal(tensors['images'], expected)
