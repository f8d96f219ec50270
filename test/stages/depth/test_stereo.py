# SPDX-License-Identifier: Apache-2.0
"""What a stereo network is given, and what is read of its outputs, in px of the source image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.dense.networks import write_filler, write_matcher
from support.onnx_models.constant import write_constant

from isaac_inference.engines import create_engine
from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models import ModelCard
from isaac_inference.models.demo import demo_model
from isaac_inference.models.reader import read_card
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ops.stereo.matcher import Disparity
from isaac_inference.stages.depth.stereo import StereoNetwork, StereoNetworkSettings

ALL = StereoNetworkSettings(drop_hidden=False)


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return read_card(write_matcher(tmp_path_factory.mktemp('stereo') / 'matcher.onnx'))


def textured(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)


def seen_from_right(left: np.ndarray, rows: dict[int, int]) -> np.ndarray:
    """The right image of a picture whose rows from each key on have that disparity in px."""
    right = np.empty_like(left)
    for begin, shift in rows.items():
        right[begin:] = np.roll(left[begin:], -shift, axis=1)
    return right


def answer(card: ModelCard, left: np.ndarray, right: np.ndarray, infinity: float = 0.0, **settings: Any) -> Disparity:
    network = StereoNetwork(card, StereoNetworkSettings(**{'drop_hidden': False, **settings}))
    tensors, letterbox = network.tensors(left, right, ColorOrder.BGR, infinity)
    with create_engine(card) as engine:
        outputs = {name: np.array(array) for name, array in engine.infer(tensors).items()}
    return network.read(outputs, letterbox, infinity)


@pytest.mark.parametrize(
    'size, shifts',
    [
        ((96, 64), (3, 9)),  # as the network has it
        ((192, 128), (6, 18)),  # twice
        ((192, 101), (6, 18)),  # letterboxed: padding above and below, and rows that are no whole number
        ((98, 128), (4, 8)),  # padding at both sides
        ((48, 32), (1, 4)),  # half
        ((288, 135), (9, 27)),
    ],
)
def test_disparities_come_back_in_px_of_the_source(
    card: ModelCard, size: tuple[int, int], shifts: tuple[int, int]
) -> None:
    width, height = size
    scale = Letterbox.between(size, (96, 64)).scale_xy[0]
    # whole px of the network's input; texture as coarse as that
    coarse = max(1, round(1 / scale))
    left = np.kron(textured((-(-width // coarse), -(-height // coarse))), np.ones((coarse, coarse, 1), np.uint8))
    left = left[:height, :width]
    right = seen_from_right(left, {0: shifts[0], height // 2: shifts[1]})
    found = answer(card, left, right)
    assert found.pixels.shape == (height, width)
    margin = round(8 / scale)
    for rows, shift in (
        (slice(margin, height // 2 - margin), shifts[0]),
        (slice(height // 2 + margin, -margin), shifts[1]),
    ):
        part = found.pixels[rows, shift + margin : -margin]
        assert part.size and np.abs(part - shift).max() < 1e-3, (np.nanmin(part), np.nanmax(part))


@pytest.mark.parametrize('size', [(97, 65), (641, 481), (1279, 719), (333, 1001), (95, 31), (50, 200)])
def test_every_size_is_undone_exactly(card: ModelCard, size: tuple[int, int]) -> None:
    """Disparities of a plane, as a perfect network of that input would see it."""
    letterbox = Letterbox.between(size, (96, 64))
    (scale_x, scale_y), (left, top) = letterbox.scale_xy, letterbox.offset_xy

    def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 5.0 + 20.0 * x / size[0] + 10.0 * y / size[1]

    columns, rows = np.meshgrid((np.arange(96) + 0.5 - left) / scale_x, (np.arange(64) + 0.5 - top) / scale_y)
    seen = np.where((columns > 0) & (columns < size[0]) & (rows > 0) & (rows < size[1]), plane(columns, rows), 0.0)
    disparity = (scale_x * seen)[None, None].astype(np.float32)
    found = StereoNetwork(card, ALL).read({'disparity': disparity}, letterbox)
    expected = plane(*np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5))
    edge = [max(2, round(1 / scale)) for scale in (scale_y, scale_x)]
    inner = (slice(edge[0], -edge[0]), slice(edge[1], -edge[1]))
    assert np.abs(found.pixels[inner] - expected[inner]).max() < 1e-3


@pytest.mark.parametrize('scale', [-1.0, 96.0, 0.25])
def test_the_card_says_what_one_unit_is(tmp_path: Path, scale: float) -> None:
    card = read_card(write_matcher(tmp_path / 'm.onnx', scale=scale))
    left = textured((192, 128))
    left = np.kron(left[::2, ::2], np.ones((2, 2, 1), np.uint8))
    found = answer(card, left, seen_from_right(left, {0: 10}))
    assert np.abs(found.pixels[20:-20, 30:-20] - 10.0).max() < 1e-2


def test_six_channels_are_the_left_image_before_the_right(tmp_path: Path, card: ModelCard) -> None:
    six = read_card(write_matcher(tmp_path / 'six.onnx', six=True))
    left = textured((96, 64))
    right = seen_from_right(left, {0: 5})
    made, _ = StereoNetwork(six).tensors(left, right)
    apart, _ = StereoNetwork(card).tensors(left, right)
    np.testing.assert_array_equal(made['pair'], np.concatenate((apart['left'], apart['right']), axis=1))
    np.testing.assert_array_equal(answer(six, left, right).pixels, answer(card, left, right).pixels)


def test_colours_come_in_the_card_s_order(card: ModelCard) -> None:
    left = textured((96, 64))
    made, _ = StereoNetwork(card).tensors(left, left)
    np.testing.assert_allclose(made['left'][0, 0], left[..., 2] / 255.0, atol=1e-6)
    same, _ = StereoNetwork(card).tensors(np.ascontiguousarray(left[..., ::-1]), left[..., ::-1].copy(), ColorOrder.RGB)
    np.testing.assert_array_equal(same['left'], made['left'])


@pytest.mark.parametrize('lowest', [-7, 4])
def test_principal_points_that_differ_move_the_range(card: ModelCard, lowest: int) -> None:
    """Negative disparities, as of crossed cameras, are none for the network."""
    left = textured((96, 64))
    found = answer(card, left, seen_from_right(left, {0: lowest + 3}), lowest)
    assert np.abs(found.pixels[8:-8, 20:-20] - (lowest + 3)).max() < 1e-3


def test_pixels_that_the_right_image_cannot_show_are_unknown(card: ModelCard) -> None:
    letterbox = Letterbox.between((96, 64), (96, 64))
    disparity = np.ones((1, 1, 64, 96), np.float32)
    disparity[..., 40:60] = 11.0  # a near thing hides ten columns at its left
    disparity[..., :5] = 7.0  # matches outside of the right image
    found = StereoNetwork(card).read({'disparity': disparity}, letterbox)
    unknown = np.isnan(found.pixels).all(axis=0)
    assert unknown[30:40].all() and unknown[:5].all() and not unknown[8:30].any() and not unknown[40:].any()
    np.testing.assert_array_equal(found.confidence == 0, np.isnan(found.pixels))
    kept = StereoNetwork(card, ALL).read({'disparity': disparity}, letterbox)
    assert np.isfinite(kept.pixels).all()


def test_what_the_network_is_unsure_of_is_unknown(tmp_path: Path) -> None:
    card = read_card(write_matcher(tmp_path / 'm.onnx', confidence=True))
    assert card.spec.roles['confidence'] == 'confidence'
    network = StereoNetwork(card, ALL)
    outputs = {
        'disparity': np.full((1, 1, 64, 96), 2.0, np.float32),
        'confidence': np.zeros((1, 1, 64, 96), np.float32),
    }
    outputs['confidence'][..., 48:] = 0.8
    found = network.read(outputs, Letterbox.between((96, 64), (96, 64)))
    assert network.has_confidence and np.isnan(found.pixels[:, :48]).all() and (found.confidence[:, :48] == 0).all()
    assert (found.pixels[:, 48:] == 2.0).all() and (found.confidence[:, 48:] == 204).all()
    assert found.matched == 0.5


@pytest.mark.parametrize('of_output', [np.nan, np.inf, -np.inf])
def test_single_numbers_that_are_not_finite_are_unknown(card: ModelCard, of_output: float) -> None:
    disparity = np.full((1, 1, 64, 96), 3.0, np.float32)
    disparity[0, 0, 10, 20] = of_output
    found = StereoNetwork(card, ALL).read({'disparity': disparity}, Letterbox.between((192, 128), (96, 64)))
    assert np.isnan(found.pixels[20:22, 40:42]).all() and np.isfinite(found.pixels).sum() == 192 * 128 - 4
    assert np.isfinite(disparity).sum() == 64 * 96 - 1  # the tensors are another's


@pytest.mark.parametrize('infinity, far', [(0.0, 0.06), (-3.5, -3.45), (2.25, 2.3), (0.0, 1e-40), (0.0, -0.3)])
def test_what_is_as_good_as_infinitely_far_away_is_unknown(card: ModelCard, infinity: float, far: float) -> None:
    """Depth of thousands of kilometres, or of none, from the last digits of a network's zero."""
    disparity = np.full((1, 1, 64, 96), infinity + 5.0 - np.floor(infinity), np.float32)
    disparity[..., 30:60] = far - np.floor(infinity)
    found = StereoNetwork(card, ALL).read({'disparity': disparity}, Letterbox.between((96, 64), (96, 64)), infinity)
    assert np.isnan(found.pixels[:, 30:60]).all()
    np.testing.assert_allclose(found.pixels[:, 60:], infinity + 5.0, rtol=1e-6)


def test_a_step_stays_one(card: ModelCard) -> None:
    disparity = np.full((1, 1, 64, 96), 2.0, np.float32)
    disparity[..., 48:] = 8.0
    found = StereoNetwork(card, ALL).read({'disparity': disparity}, Letterbox.between((960, 640), (96, 64)))
    assert set(np.unique(found.pixels).tolist()) == {20.0, 80.0}


@pytest.mark.parametrize(
    'outputs, reason',
    [
        ({'other': np.zeros((1, 1, 64, 96), np.float32)}, 'missing_output'),
        ({'disparity': np.zeros((1, 3, 64, 96), np.float32)}, 'bad_output_shape'),
        ({'disparity': np.zeros((1, 1, 96, 64), np.float32)}, 'bad_output_shape'),
        ({'disparity': np.full((1, 1, 64, 96), np.nan, np.float32)}, 'bad_values'),
        ({'disparity': np.full((1, 1, 64, 96), -5.0, np.float32)}, 'disparity_negative'),
    ],
)
def test_outputs_that_cannot_be_are_named(card: ModelCard, outputs: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(FrameError) as error:
        StereoNetwork(card).read(outputs, Letterbox.between((96, 64), (96, 64)))
    assert error.value.reason == reason


def test_images_of_two_sizes_are_no_pair(card: ModelCard) -> None:
    with pytest.raises(FrameError) as error:
        StereoNetwork(card).tensors(textured((96, 64)), textured((96, 48)))
    assert error.value.reason == 'stereo_size'


def test_models_for_something_else_are_refused(tmp_path: Path) -> None:
    for path in (demo_model(), write_filler(tmp_path / 'f.onnx')):
        with pytest.raises(ModelError, match='expected stereo_depth: give a model that makes disparities'):
            StereoNetwork(read_card(path))


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8'])
def test_pairs_with_channels_last(tmp_path: Path, dtype: str) -> None:
    scale = '1' if dtype == 'uint8' else '1/255'
    said = f'task: stereo_depth\ndisparity: {{scale: 1}}\npreprocess: {{convention: unit, scale: {scale}}}\n'
    outputs = {'disparity': np.full((1, 64, 96, 1), 4.0, np.float32)}
    left, right = textured((96, 64), 1), textured((96, 64), 2)
    path = write_constant(tmp_path / 'six.onnx', outputs, image=('pair', dtype, (1, 64, 96, 6)))
    path.with_suffix('.yaml').write_text(said)
    network = StereoNetwork(read_card(path))
    six, letterbox = network.tensors(left, right)
    unit = 1.0 if dtype == 'uint8' else 255.0
    expected = np.concatenate((left[..., ::-1], right[..., ::-1]), axis=2) / unit
    assert six['pair'].dtype == dtype
    np.testing.assert_allclose(six['pair'][0].astype(np.float64), expected, atol=1e-3)
    assert (network.read(outputs, letterbox).pixels[:, 5:] == 4.0).all()
    images = [(side, dtype, (1, 64, 96, 3)) for side in ('left', 'right')]
    path = write_constant(tmp_path / 'two.onnx', outputs, image=images[0], beside=images[1:])
    path.with_suffix('.yaml').write_text(said)
    two, _ = StereoNetwork(read_card(path)).tensors(left, right)
    np.testing.assert_array_equal(np.concatenate((two['left'], two['right']), axis=3), six['pair'])
