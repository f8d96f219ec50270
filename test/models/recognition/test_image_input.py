# SPDX-License-Identifier: Apache-2.0
"""Which input takes the image, in which layout and size; and which inputs are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models import TensorSpec
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.inputs import PreprocessSpec, ValueRole
from isaac_inference.models.onnx.exporter import ExporterFacts
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.image_input import find_inputs
from isaac_inference.models.recognition.problems import Problems

F = 'float32'
OUTPUT = TensorSpec('out', F, (1, 84, 8400))
SIZES = ('orig_target_sizes', 'int64', (None, 2))


def find(*inputs, card='', exporter=None):
    """find_inputs for a model with these inputs, (name, dtype, shape) each."""
    file = ModelFile(Path('/m.onnx'), '', tuple(TensorSpec(*item) for item in inputs), (OUTPUT,))
    problems = Problems(file)
    found = find_inputs(file, parse_card(card, 'card', None), exporter or ExporterFacts(), problems)
    if problems:
        raise problems.error()
    return found


@pytest.mark.parametrize(
    'shape, layout, wh',
    [
        ((1, 3, 480, 640), 'NCHW', (640, 480)),
        ((None, 3, 480, 640), 'NCHW', (640, 480)),
        ((1, 480, 640, 3), 'NHWC', (640, 480)),
    ],
)
def test_layout_and_size_follow_from_the_shape(shape, layout, wh):
    found = find(('x', F, shape))
    assert (found.layout.value, found.wh.value, found.image.value.name) == (layout, wh, 'x')


def test_a_card_settles_an_open_layout_and_size():
    found = find(('x', F, (None,) * 4), card='{layout: NHWC, input_size: [32, 16]}')
    assert (found.layout.value, found.wh.value) == ('NHWC', (32, 16))


def test_one_open_side_takes_the_metadata():
    found = find(('x', F, (1, 3, 480, None)), exporter=ExporterFacts(input_wh=(640, 640)))
    assert found.wh.value == (640, 480)


def test_a_card_goes_before_the_metadata():
    found = find(('x', F, (1, 3, None, None)), card='input_size: [64, 32]', exporter=ExporterFacts(input_wh=(640, 640)))
    assert found.wh.value == (64, 32)


def test_a_size_input_is_found():
    found = find(('x', F, (1, 3, 32, 32)), SIZES)
    assert found.values[0][0] is ValueRole.IMAGE_SIZE and found.values[0][1].value.name == 'orig_target_sizes'
    assert find(('x', F, (1, 3, 32, 32)), ('s', F, (1, 2)), card='size_input: s').values[0][1].value.dtype == F


def test_the_inputs_of_paddle_and_of_detr_are_constants_for_a_size():
    paddle = find(('image', F, (None, 3, 32, 64)), ('scale_factor', F, (None, 2)), ('im_shape', F, (None, 2)))
    fed = {item.role: item.constant((64, 32), 2) for item in paddle.value_inputs()}
    assert (
        fed[ValueRole.SCALE_FACTOR].tolist() == [[1, 1]] * 2 and fed[ValueRole.IMAGE_SHAPE].tolist() == [[32, 64]] * 2
    )
    detr = find(('pixel_values', F, (1, 3, 32, 64)), ('pixel_mask', 'int64', (1, 64, 64)))
    (mask,) = detr.value_inputs()
    assert mask.constant((64, 32)).shape == (1, 64, 64) and mask.constant((64, 32)).all()


def test_names_of_axes_and_the_exporter_s_habit_give_the_layout():
    axes = ('batch_size', 'num_channels', 'height', 'width')
    spec = TensorSpec('pixel_values', F, (None,) * 4, axes)
    file = ModelFile(Path('/m.onnx'), '', (spec,), (OUTPUT,))
    found = find_inputs(file, {}, ExporterFacts(), Problems(file))
    assert found.layout.value == 'NCHW' and found.layout.source == 'names of the axes of pixel_values'
    file = dataclasses.replace(file, inputs=(TensorSpec('x', F, (None,) * 4),), producer='tf2onnx 1.16')
    assert find_inputs(file, {}, ExporterFacts(), Problems(file)).layout.value == 'NHWC'


def test_one_image_without_a_batch_axis_is_taken():
    found = find(('image', F, (3, None, None)))
    assert found.layout.value == 'NCHW' and found.image_input(PreprocessSpec()).shape() == (3, 640, 640)


def test_an_open_size_follows_from_the_rows_of_the_output():
    assert find(('x', F, (1, 3, None, None))).wh.value == (640, 640)  # 8400 cells
    assert not find(('x', F, (1, 3, None, None))).size_is_assumed


def test_all_that_is_wrong_with_the_inputs_comes_at_once():
    with pytest.raises(ModelError, match=r'3 problems:\n  1. .*layout(.|\n)*2. .*4 images(.|\n)*3. .*needs mask'):
        find(('x', F, (4, None, 8, None)), ('mask', 'int64', (1, 64, 64)))


def test_one_of_two_images_is_chosen_by_the_card():
    two = [('a', F, (1, 3, 8, 8)), ('b', F, (1, 3, 8, 8))]
    with pytest.raises(ModelError, match=r'2 inputs could take the image(.|\n)*`input: a`(.|\n)*`input: b`'):
        find(*two)


@pytest.mark.parametrize(
    'name, dtype, shape',
    [
        ('txt_feats', F, (1, 80, 512)),
        ('text_features', 'float16', (None, None, 512)),
        ('class_embeddings', F, (None, 512)),
        ('embeddings', F, (None, None)),
        ('text', F, (4, 2)),
        ('tpe', F, (1, None, 512)),
    ],
)
def test_an_input_for_text_embeddings_is_found(name, dtype, shape):
    found = find(('x', F, (1, 3, 32, 32)), (name, dtype, shape))
    assert [role for role, _ in found.values] == [ValueRole.TEXT_EMBEDDINGS]
    assert found.takes_embeddings == TensorSpec(name, dtype, shape)


def test_a_card_names_the_input_for_text_embeddings():
    found = find(('x', F, (1, 3, 32, 32)), ('t', F, (1, 4, 8)), card='value_inputs: {text_embeddings: t}')
    assert found.values[0][0] is ValueRole.TEXT_EMBEDDINGS


@pytest.mark.parametrize(
    'inputs, card, says',
    [
        ([], '', 'no input takes an image: expected one of rank 4'),
        ([('x', F, (5, 32, 32))], '', r'no input takes an image.*\n.*x: float32 \[5, 32, 32\]'),
        ([('x', F, (1, 1, 32, 32))], '', r'unsupported layout: .*no axis with 3 channels'),
        ([('x', F, (1, 4, 32, 32))], 'layout: NCHW', 'has 4 channels as NCHW; expected 3'),
        (
            [('x', F, (None,) * 4)],
            '',
            r'layout of .* is not clear(.|\n)*`layout: NCHW`\n  or: `layout: NHWC`',
        ),
        ([('x', F, (1, 3, 8, 3))], '', 'layout of .* is not clear'),
        (
            [('x', 'float64', (1, 3, 8, 8))],
            '',
            'unsupported element type; expected one of float32, float16, uint8',
        ),
        ([('x', F, (4, 3, 8, 8))], '', 'takes 4 images at once; expected 1 or a dynamic batch'),
        ([('x', F, (1, 3, 8, 8)), ('mask', 'int64', (1, 64, 64))], '', r'needs mask: int64 .*not supported'),
        ([('x', F, (1, 3, 8, 8)), ('factor', F, (1, 2))], '', 'needs factor'),
        ([('x', F, (1, 3, 8, 8)), SIZES, ('t', 'int64', (1, 2))], '', 'needs t: int64'),
        (
            [('x', F, (1, 3, 8, 8)), *((name, 'int64', (1, 256)) for name in ('input_ids', 'token_type_ids'))],
            '',
            r'takes a text \(input_ids.*Grounding DINO.*What works: .*txt_feats \[1, classes, 512\].*set_classes',
        ),
        ([('x', F, (1, 3, 8, 8)), ('visual_prompt', F, (1, 4, 512))], '', r'takes a text \(visual_prompt'),
        (
            [('x', F, (1, 3, 8, 8)), ('s', 'int64', (1, 4, 8))],
            'value_inputs: {text_embeddings: s}',
            r'cannot be the text embeddings input; expected float \[N, classes, D\] or \[classes, D\]',
        ),
        (
            [('x', F, (1, 3, 8, 8)), ('s', 'int64', (1, 3))],
            'size_input: s',
            r'cannot be the image size input; expected \[N, 2\]',
        ),
        ([('x', F, (1, 3, 8, 8)), SIZES], 'input: orig_target_sizes', 'takes no image; expected rank 4'),
        ([('x', F, (1, 3, 8, 8))], 'size_input: s', "size_input: m.onnx has no input 's'; its inputs are: x"),
        ([('x', F, (1, 3, 480, None))], 'input_size: [640, 481]', r'input_size: got \[640, 481\] .*is fixed'),
    ],
)
def test_inputs_that_are_refused(inputs, card, says):
    with pytest.raises(ModelError, match=says):
        find(*inputs, card=card)


def test_a_dynamic_size_must_be_a_multiple_of_the_stride():
    with pytest.raises(ModelError, match=r'got \[650, 640\] .*multiples of the stride 32'):
        find(('x', F, (1, 3, None, None)), card='input_size: [650, 640]', exporter=ExporterFacts(stride=32))
