# SPDX-License-Identifier: Apache-2.0
"""A card bound to the ops: forms of output, layouts, classes to keep, confidence, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isaac_inference.errors import ConfigError, FrameError, ModelError
from isaac_inference.models import DetectionSpec, ImageInput, ModelCard, TensorSpec
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.stages.segmentation.segmenter import Segmenter
from isaac_inference.stages.segmentation.settings import class_names, segmentation_settings

WH = (64, 48)  # of the network's input
LABELS = ('floor', 'wall', 'cup', 'mug')
RNG = np.random.default_rng(3)


def card(
    labels=LABELS,
    form=ClassForm.SCORES,
    layout='NCHW',
    activation='softmax',
    shape=(1, None, None, None),
    dtype='float32',
):
    spec = SemanticSegmentationSpec({form.value: 'out'}, form=form, layout=TensorLayout(layout), activation=activation)
    image = ImageInput(TensorSpec('image', 'float32', (1, 3, WH[1], WH[0])), TensorLayout.NCHW, WH)
    outputs = (TensorSpec('out', dtype, shape),)
    return ModelCard('tiny', Path('/tiny.onnx'), '0' * 64, (image,), outputs, spec, tuple(labels))


def truth_of(ids, letterbox):
    """Source pixels by the definition: the cell that a pixel's centre lies in; pixel by pixel."""
    height, width = ids.shape
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    mask = np.full(letterbox.source_wh[::-1], 255)
    for y in range(y0, y1):
        v = (top + (y - y0 + 0.5) * (bottom - top) / (y1 - y0)) * height / letterbox.input_wh[1]
        for x in range(x0, x1):
            u = (left + (x - x0 + 0.5) * (right - left) / (x1 - x0)) * width / letterbox.input_wh[0]
            mask[y, x] = ids[int(v), int(u)]
    return mask


@pytest.mark.parametrize('fit', ['letterbox', 'stretch', 'crop'])
@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('stride', [1, 4])
def test_scores_of_both_layouts_and_sizes_come_back_in_source_pixels(fit, layout, stride):
    letterbox = Letterbox.between((101, 53), WH, fit)
    scores = RNG.standard_normal((1, 4, WH[1] // stride, WH[0] // stride)).astype(np.float32)
    output = scores if layout == 'NCHW' else np.ascontiguousarray(scores.transpose(0, 2, 3, 1))
    found = Segmenter(card(layout=layout))({'out': output}, letterbox)
    assert found.mask.dtype == np.uint8
    np.testing.assert_array_equal(found.mask, truth_of(scores[0].argmax(axis=0), letterbox))


@pytest.mark.parametrize('shape', [(1, 48, 64), (1, 1, 48, 64), (1, 48, 64, 1), (48, 64)])
@pytest.mark.parametrize('dtype', ['uint8', 'int64', 'float32'])
def test_class_ids_of_all_shapes_and_types(shape, dtype):
    ids = RNG.integers(0, 4, (48, 64))
    segmenter = Segmenter(card(form=ClassForm.CLASSES, shape=shape, dtype=dtype))
    found = segmenter({'out': ids.astype(dtype).reshape(shape)}, Letterbox.between(WH, WH))
    np.testing.assert_array_equal(found.mask, ids)
    assert (found.confidence == 255).all()


@pytest.mark.parametrize(
    ('shape', 'layout'),
    [((1, 1, 48, 64), 'NCHW'), ((1, 48, 64, 1), 'NHWC'), ((1, 48, 64), 'NCHW'), ((1, 48, 64), 'NHWC')],
)
@pytest.mark.parametrize('labels', [('person',), ('street', 'person')])
def test_one_channel_is_the_class_against_the_rest(shape, layout, labels):
    probability = RNG.random((48, 64)).astype(np.float32)
    one = card(labels, layout=layout, activation='none', shape=shape)
    assert class_names(one) == (('background', 'person') if len(labels) == 1 else labels)
    found = Segmenter(one)({'out': probability.reshape(shape)}, Letterbox.between(WH, WH))
    np.testing.assert_array_equal(found.mask, probability > 0.5)
    np.testing.assert_allclose(found.confidence, 255 * np.maximum(probability, 1 - probability), atol=0.51)
    strict = Segmenter(one, segmentation_settings(one, threshold=0.9))
    np.testing.assert_array_equal(
        strict({'out': probability.reshape(shape)}, Letterbox.between(WH, WH)).mask, probability > 0.9
    )


def test_more_than_255_classes_take_two_bytes():
    scores = RNG.standard_normal((1, 300, 48, 64)).astype(np.float32)
    segmenter = Segmenter(card([f'class {index}' for index in range(300)]))
    found = segmenter({'out': scores}, Letterbox.between((640, 120), WH, 'crop'))
    assert found.mask.dtype == np.uint16
    assert found.mask.max() == 65535  # cropped away
    assert set(np.unique(found.mask)) - {65535} <= set(np.unique(scores[0].argmax(axis=0)))


def test_classes_that_are_not_kept_are_unlabelled():
    one, scores = card(), RNG.standard_normal((1, 4, 48, 64)).astype(np.float32)
    ids = scores[0].argmax(axis=0)
    for upsampling in ('nearest', 'bilinear'):
        settings = segmentation_settings(one, classes=['wall', 'mug'], upsampling=upsampling)
        found = Segmenter(one, settings)({'out': scores}, Letterbox.between(WH, WH))
        np.testing.assert_array_equal(found.mask, np.where((ids == 1) | (ids == 3), ids, 255))


@pytest.mark.parametrize('upsampling', ['nearest', 'bilinear'])
def test_pixels_of_little_confidence_are_unlabelled(upsampling):
    one = card()
    scores = (3 * RNG.standard_normal((1, 4, 48, 64))).astype(np.float32)
    settings = segmentation_settings(one, min_confidence=0.8, upsampling=upsampling)
    found = Segmenter(one, settings)({'out': scores}, Letterbox.between((128, 96), WH))
    assert found.confidence is not None
    np.testing.assert_array_equal(found.mask == 255, found.confidence < 204)
    assert 0 < np.count_nonzero(found.mask == 255) < found.mask.size


def test_confidence_costs_nothing_where_it_is_not_asked_for():
    found = Segmenter(card())({'out': np.zeros((1, 4, 48, 64), np.float32)}, Letterbox.between(WH, WH), 0, False)
    assert found.confidence is None


def test_images_of_a_batch():
    scores = RNG.standard_normal((3, 4, 48, 64)).astype(np.float32)
    for index in range(3):
        found = Segmenter(card())({'out': scores}, Letterbox.between(WH, WH), index)
        np.testing.assert_array_equal(found.mask, scores[index].argmax(axis=0))


@pytest.mark.parametrize(
    ('outputs', 'reason', 'says'),
    [
        ({'other': np.zeros((1, 4, 48, 64))}, 'missing_tensor', r"tensor out \(the scores\): not among .* \['other'\]"),
        (
            {'out': np.zeros((1, 5, 48, 64))},
            'bad_output_shape',
            r'got 5 channels in NCHW order, expected 4.*floor',
        ),
        ({'out': np.zeros((1, 48, 64, 4))}, 'bad_output_shape', 'got 48 channels in NCHW order, expected 4'),
        ({'out': np.zeros((1, 4, 48, 48))}, 'bad_output_shape', '48x48 cells for an input of 64x48 px'),
        ({'out': np.zeros((1, 4, 0, 64))}, 'bad_output_shape', r'got \(4, 0, 64\)'),
        ({'out': np.zeros((0, 4, 48, 64))}, 'bad_tensor', 'expected 1 or more images'),
        ({'out': np.zeros((2, 2))}, 'bad_output_shape', 'expected .C, h, w. without the batch axis'),
        ({'out': np.full((1, 4, 48, 64), np.nan, np.float32)}, 'non_finite_output', 'NaN or infinity'),
    ],
)
def test_what_cannot_be_used_is_refused_and_named(outputs, reason, says):
    with pytest.raises(FrameError, match=says) as caught:
        Segmenter(card())(outputs, Letterbox.between(WH, WH))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ('made', 'says'),
    [
        (lambda: card(shape=(1, 21, 48, 64)), 'got 21 channels in NCHW order, expected 4, as the card has 4 labels'),
        (lambda: card(labels=()), 'its classes have no names'),
        (lambda: card(('person',), shape=(1, 1, 48, 64)), 'one channel, whose softmax is always 1'),
        (lambda: card(shape=(1, 1, 48, 64), activation='sigmoid'), 'got 1 channels in NCHW order, expected 4'),
        (lambda: replace(card(), spec=DetectionSpec({'predictions': 'out'}, 'yolov8')), 'its task is detection'),
    ],
)
def test_a_card_that_contradicts_its_file_fails_at_once(made, says):
    with pytest.raises(ModelError, match=says):
        Segmenter(made())


@pytest.mark.parametrize(
    ('chosen', 'says'),
    [
        ({'classes': ['flor']}, "parameter classes: model tiny has no class 'flor', did you mean 'floor'"),
        ({'classes': ['sky']}, 'its classes are: floor, wall, cup, mug'),
        ({'threshold': 1.0}, 'parameter threshold: got 1'),
        ({'upsampling': 'cubic'}, 'upsampling'),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(chosen, says):
    with pytest.raises(ConfigError, match=says):
        segmentation_settings(card(), **chosen)


def test_nothing_lies_between_two_class_ids():
    with pytest.raises(ConfigError, match='puts out class ids'):
        segmentation_settings(card(form=ClassForm.CLASSES), upsampling='bilinear')


def test_one_class_everywhere_is_told_and_outputs_are_told_apart():
    segmenter, letterbox = Segmenter(card()), Letterbox.between(WH, WH)
    scores = np.zeros((1, 4, 48, 64), np.float32)
    scores[:, 2] = 1
    first = segmenter({'out': scores}, letterbox)
    assert first.only_class == 2
    scores[0, 3, 47, 63] = 5  # the last cell
    other = segmenter({'out': scores}, letterbox)
    assert other.only_class is None
    assert segmenter({'out': scores + np.float32(0.5)}, letterbox).mark != first.mark
    assert segmenter({'out': scores}, letterbox).mark == other.mark
