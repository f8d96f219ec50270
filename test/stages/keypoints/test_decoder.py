# SPDX-License-Identifier: Apache-2.0
"""A card bound to the ops: each form of keypoints, batches, presence, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models import ImageInput, KeypointSpec, ModelCard, TensorSpec
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.models.card.tasks import DetectionSpec, KeypointForm, PointUnit, TopDownKeypointsSpec
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.stages.keypoints.decoder import TopDownDecoder

WH = (48, 64)  # of the network's input
POINTS = np.array([[10.0, 20.0], [40.5, 3.25], [24.0, 60.0]])  # px of it, from the edges
CONFIDENCES = np.array([0.9, 0.5, 0.25])


def card(roles, shapes, count=3, **spec):
    found = TopDownKeypointsSpec(
        roles, keypoints=KeypointSpec(count, spec.pop('dims', 3), skeleton=spec.pop('skeleton', None)), **spec
    )
    image = ImageInput(TensorSpec('image', 'float32', (None, 3, WH[1], WH[0])), TensorLayout.NCHW, WH)
    outputs = tuple(TensorSpec(name, 'float32', shape) for name, shape in shapes.items())
    return ModelCard('tiny', Path('/tiny.onnx'), '0' * 64, (image,), outputs, found)


def points_card(shape=(None, 3, 3), **spec):
    return card({'keypoints': 'out'}, {'out': shape}, form=KeypointForm.POINTS, **spec)


def simcc_card(x=(None, 3, 96), y=(None, 3, 128), **spec):
    return card({'x': 'simcc_x', 'y': 'simcc_y'}, {'simcc_x': x, 'simcc_y': y}, form=KeypointForm.SIMCC, **spec)


def heatmap_card(shape=(None, 3, 16, 12), **spec):
    return card({'heatmaps': 'out'}, {'out': shape}, form=KeypointForm.HEATMAPS, **spec)


def simcc_of(points, confidences, ratio=2.0, wh=WH):
    """Histograms whose peaks are at points measured from the edges: bin 0 is the centre of pixel 0."""
    found = []
    for axis in range(2):
        bins = np.arange(round(wh[axis] * ratio))
        places = (points[:, axis, None] - 0.5) * ratio
        found.append((confidences[:, None] * np.exp(-((bins - places) ** 2) / (2 * 6.0**2))).astype(np.float32)[None])
    return {'simcc_x': found[0], 'simcc_y': found[1]}


def heatmaps_of(points, confidences, wh=WH, cells_wh=(12, 16), sigma=1.5):
    """Maps whose Gaussians are at points measured from the edges: cell 0 is the centre of pixel 0, at equal steps."""
    x = (points[:, 0] - 0.5) * cells_wh[0] / wh[0]
    y = (points[:, 1] - 0.5) * cells_wh[1] / wh[1]
    rows, columns = np.mgrid[: cells_wh[1], : cells_wh[0]]
    squared = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    return (confidences[:, None, None] * np.exp(-squared / (2 * sigma**2))).astype(np.float32)[None]


def test_points_of_each_order_and_unit_come_in_px_of_the_input():
    wanted = np.concatenate((POINTS, CONFIDENCES[:, None]), axis=1)
    plain = TopDownDecoder(points_card()).decode({'out': wanted[None].astype(np.float32)})
    assert plain.shape == (1, 3, 3) and plain.dtype == np.float32
    np.testing.assert_allclose(plain[0], wanted, atol=1e-5)
    movenet = np.stack((POINTS[:, 1] / WH[1], POINTS[:, 0] / WH[0], CONFIDENCES), axis=1)[None, None]
    decoder = TopDownDecoder(points_card((1, 1, 3, 3), columns=('y', 'x', 'confidence'), unit=PointUnit.FRACTION))
    np.testing.assert_allclose(decoder.decode({'out': movenet.astype(np.float32)})[0], wanted, atol=1e-5)


def test_points_with_logits_further_points_and_a_flat_shape():
    columns = ('x', 'y', 'other', 'confidence', 'confidence')
    decoder = TopDownDecoder(points_card((1, 25), columns=columns, extra=2, activation='sigmoid'))
    rows = np.full((5, 5), 99.0, np.float32)
    rows[:3, :2], rows[:3, 3], rows[:3, 4] = POINTS, [4.0, 0.0, 9.0], [9.0, 2.0, -2.0]
    found = decoder.decode({'out': rows.reshape(1, 25)})[0]
    np.testing.assert_allclose(found[:, :2], POINTS)
    np.testing.assert_allclose(found[:, 2], 1 / (1 + np.exp([-4.0, 0.0, 2.0])), atol=1e-6)


def test_points_without_a_confidence_of_their_own_have_that_of_the_whole():
    roles, shapes = {'keypoints': 'out', 'presence': 'flag'}, {'out': (None, 6), 'flag': (None, 1)}
    decoder = TopDownDecoder(card(roles, shapes, form=KeypointForm.POINTS, columns=('x', 'y'), dims=2))
    points = np.stack((POINTS, POINTS)).reshape(2, 6).astype(np.float32)
    found = decoder.decode({'out': points, 'flag': np.array([[0.75], [0.25]], np.float32)})
    np.testing.assert_allclose(found[..., 2], [[0.75] * 3, [0.0] * 3])
    alone = TopDownDecoder(points_card((None, 6), columns=('x', 'y'), dims=2))
    assert (alone.decode({'out': points})[..., 2] == 1.0).all()


@pytest.mark.parametrize(('activation', 'flags'), [('none', [0.9, 0.1]), ('sigmoid', [2.0, -2.0])])
def test_nobody_there_takes_all_confidences_of_that_image_and_no_other(activation, flags):
    roles, shapes = {'keypoints': 'out', 'presence': 'flag'}, {'out': (None, 3, 3), 'flag': (None, 1, 1, 1)}
    decoder = TopDownDecoder(card(roles, shapes, form=KeypointForm.POINTS, presence_activation=activation))
    rows = np.concatenate((POINTS, CONFIDENCES[:, None]), axis=1)
    found = decoder.decode(
        {'out': np.stack((rows, rows)).astype(np.float32), 'flag': np.array(flags, np.float32).reshape(2, 1, 1, 1)}
    )
    np.testing.assert_allclose(found[..., 2], [CONFIDENCES, [0.0] * 3])
    np.testing.assert_allclose(found[1, :, :2], POINTS)


def test_simcc_is_within_half_a_bin():
    found = TopDownDecoder(simcc_card()).decode(simcc_of(POINTS, CONFIDENCES))[0]
    assert np.abs(found[:, :2] - POINTS).max() <= 0.25
    np.testing.assert_allclose(found[:, 2], CONFIDENCES, atol=0.01)


def test_simcc_whose_ratio_is_not_whole():
    ratio = 1.3  # 62 and 83 bins
    decoder = TopDownDecoder(simcc_card((None, 3, 62), (None, 3, 83), split_ratio=ratio))
    found = decoder.decode(simcc_of(POINTS, CONFIDENCES, ratio))[0]
    assert np.abs(found[:, :2] - POINTS).max() <= 0.5 / ratio + 1e-6


def test_heatmaps_are_read_below_the_size_of_a_cell():
    found = TopDownDecoder(heatmap_card()).decode({'out': heatmaps_of(POINTS, CONFIDENCES)})[0]
    np.testing.assert_allclose(found[:, :2], POINTS, atol=0.02)  # cells are 4 px
    assert (np.abs(found[:, 2] - CONFIDENCES) < 0.3 * CONFIDENCES).all()  # the highest cell is not the top


def test_heatmaps_of_both_layouts_and_of_a_batch():
    first, second = heatmaps_of(POINTS, CONFIDENCES), heatmaps_of(POINTS[::-1], CONFIDENCES)
    maps = np.concatenate((first, second))
    planar = TopDownDecoder(heatmap_card()).decode({'out': maps})
    np.testing.assert_allclose(planar[..., :2], [POINTS, POINTS[::-1]], atol=0.02)
    last = TopDownDecoder(heatmap_card((None, 16, 12, 3), layout=TensorLayout.NHWC))
    np.testing.assert_array_equal(last.decode({'out': maps.transpose(0, 2, 3, 1)}), planar)


def test_what_comes_out_goes_through_the_letterbox_as_it_is():
    """A person's point at source pixel 100, 50 (from the edges) of a letterboxed image comes back there."""
    letterbox = Letterbox.between((240, 128), WH)
    source = np.array([[100.0, 50.0], [3.0, 120.0], [230.0, 64.0]])
    maps = heatmaps_of(letterbox.points_to_input(source), CONFIDENCES)
    found = TopDownDecoder(heatmap_card()).decode({'out': maps})[0]
    np.testing.assert_allclose(letterbox.points_to_source(found[:, :2]), source, atol=0.1)


def test_a_card_of_another_task_is_refused():
    plain = ModelCard('boxes', Path('/boxes.onnx'), '0' * 64, (), (), DetectionSpec({}, 'yolox'))
    with pytest.raises(ModelError, match='its task is detection, expected top_down_keypoints'):
        TopDownDecoder(plain)


@pytest.mark.parametrize(
    ('make', 'says'),
    [
        (lambda: points_card((1, 1, 17, 3)), r'\[1, 1, 17, 3\], expected 9 values for each image: 3 keypoints of 3'),
        (
            lambda: card(
                {'keypoints': 'out', 'presence': 'flag'}, {'out': (1, 9), 'flag': (1, 2)}, form=KeypointForm.POINTS
            ),
            r'flag \(the presence\): got shape \[1, 2\], expected one number for each image',
        ),
        (lambda: points_card(columns=('x', 'x', 'confidence')), 'expected x and y once each'),
        (lambda: points_card(skeleton=COCO_17), 'the skeleton names 17 points, but the model has 3'),
        (lambda: simcc_card(x=(None, 3, 128), y=(None, 3, 96)), r'128 and 96 bins for an input of 48 x 64 px'),
        (lambda: simcc_card(split_ratio=3.0), r'expected 3 for each px \(keypoints.split_ratio\)'),
        (lambda: simcc_card(x=(None, 4, 96)), r'shape \[\?, 4, 96\], expected 3 axes, of which number 2 has the 3'),
        (lambda: heatmap_card((None, 3, 12, 16)), 'maps of 16 x 12 cells for an input of 48 x 64 px'),
        (lambda: heatmap_card((None, 5, 16, 12)), r'shape \[\?, 5, 16, 12\], expected 4 axes'),
        (lambda: card({'x': 'simcc_x'}, {'simcc_x': (1, 3, 96)}, form=KeypointForm.SIMCC), 'no output is named for y'),
        (lambda: card({'heatmaps': 'maps'}, {'out': (1, 3, 16, 12)}), r'no output maps \(the heatmaps\); its'),
    ],
)  # fmt: skip
def test_a_card_that_contradicts_its_file_is_refused_when_configuring(make, says):
    with pytest.raises(ModelError, match=says):
        TopDownDecoder(make())


def test_all_that_is_wrong_with_a_card_is_said_at_once():
    with pytest.raises(ModelError) as error:
        TopDownDecoder(heatmap_card((None, 5, 16, 12), skeleton=COCO_17))
    assert 'the skeleton names 17 points' in str(error.value) and 'expected 4 axes' in str(error.value)


def test_outputs_that_cannot_be_read_are_named():
    open_card = card(
        {'x': 'simcc_x', 'y': 'simcc_y', 'presence': 'flag'},
        {'simcc_x': (None, None, None), 'simcc_y': (None, None, None), 'flag': (None, 1)},
        form=KeypointForm.SIMCC,
    )
    decoder = TopDownDecoder(open_card)
    good = {**simcc_of(POINTS, CONFIDENCES), 'flag': np.ones((1, 1), np.float32)}
    assert decoder.decode(good).shape == (1, 3, 3)
    nan = {**good, 'simcc_y': good['simcc_y'] * np.nan}
    for outputs, reason, says in (
        ({'simcc_x': good['simcc_x']}, 'missing_tensor', r'simcc_y \(the y\): not among the arrived'),
        (nan, 'non_finite_output', r'simcc_y \(the y\) holds NaN'),
        ({**good, 'simcc_x': good['simcc_x'].astype(np.int64)}, 'bad_output_type', r'simcc_x \(the x\) is int64'),
        ({**good, 'simcc_x': good['simcc_x'][:, :2]}, 'bad_output_shape', r'\[1, 2, 96\], expected 3 axes'),
        ({**good, 'simcc_x': good['simcc_x'][..., :90]}, 'bad_output_shape', '90 and 128 bins for an input of 48 x 64'),
        ({**good, 'simcc_x': np.repeat(good['simcc_x'], 2, 0)}, 'bad_output_shape', 'of 1 and 2 images'),
        ({**good, 'flag': np.ones((2, 1), np.float32)}, 'bad_output_shape', 'has 2 values for 1 images'),
    ):
        with pytest.raises(FrameError, match=says) as error:
            decoder.decode(outputs)
        assert error.value.reason == reason


@pytest.mark.parametrize('form', ['points', 'simcc', 'heatmaps'])
def test_an_empty_batch_has_no_keypoints(form):
    found, outputs = {
        'points': (points_card(), {'out': np.zeros((0, 3, 3), np.float32)}),
        'simcc': (simcc_card(), {f'simcc_{x}': np.zeros((0, 3, n), np.float32) for x, n in (('x', 96), ('y', 128))}),
        'heatmaps': (heatmap_card(), {'out': np.zeros((0, 3, 16, 12), np.float32)}),
    }[form]  # fmt: skip
    assert TopDownDecoder(found).decode(outputs).shape == (0, 3, 3)


CARDS = {'points': points_card, 'simcc': simcc_card, 'heatmaps': heatmap_card}


def good_outputs(form):
    """Outputs of a batch of two that each form reads."""
    shapes = {
        'points': {'out': (2, 3, 3)},
        'simcc': {'simcc_x': (2, 3, 96), 'simcc_y': (2, 3, 128)},
        'heatmaps': {'out': (2, 3, 16, 12)},
    }[form]
    rng = np.random.default_rng(5)
    return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize('form', CARDS)
def test_half_and_double_precision_are_read_alike(form):
    decoder, outputs = TopDownDecoder(CARDS[form]()), good_outputs(form)
    expected = decoder.decode(outputs)
    for dtype in (np.float16, np.float64):
        found = decoder.decode({name: array.astype(np.float16).astype(dtype) for name, array in outputs.items()})
        assert found.dtype == np.float32 and found.shape == expected.shape
        np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=1e-3)


@pytest.mark.parametrize('form', CARDS)
def test_outputs_are_left_as_they_are(form):
    outputs = good_outputs(form)
    for array in outputs.values():
        array.setflags(write=False)
    decoder = TopDownDecoder(CARDS[form]())
    np.testing.assert_array_equal(decoder.decode(outputs), decoder.decode(outputs))


@pytest.mark.parametrize('form', CARDS)
@pytest.mark.parametrize('seed', range(40))
def test_whatever_arrives_is_keypoints_or_a_named_frame_error(form, seed):
    rng = np.random.default_rng(seed)
    outputs = good_outputs(form)
    name = rng.choice(list(outputs))
    shape = tuple(rng.integers(0, 20, rng.integers(0, 5)))
    kind = rng.choice(['shape', 'nan', 'infinity', 'huge', 'type', 'gone'])
    if kind == 'shape':
        outputs[name] = rng.random(shape, np.float32) if shape else np.float32(1.0)[...]
    elif kind == 'gone':
        del outputs[name]
    elif kind == 'type':
        outputs[name] = outputs[name].astype(rng.choice(['int8', 'int64', 'bool']))
    else:
        value = {'nan': np.nan, 'infinity': -np.inf, 'huge': 3e38}[kind]
        outputs[name].ravel()[rng.integers(outputs[name].size)] = value
    try:
        found = TopDownDecoder(CARDS[form]()).decode(outputs)
    except FrameError as error:
        assert error.reason in {'missing_tensor', 'bad_output_shape', 'bad_output_type', 'non_finite_output'}
    else:
        assert kind in ('huge', 'shape') and np.isfinite(found).all() and found.shape[1:] == (3, 3)
        assert ((found[..., 2] >= 0) & (found[..., 2] <= 1)).all()


def test_coordinates_too_large_for_px_are_no_numbers():
    rows = np.full((1, 3, 3), 3e38, np.float32)
    with pytest.raises(FrameError, match='NaN or infinity'):
        TopDownDecoder(points_card(unit=PointUnit.FRACTION)).decode({'out': rows})
