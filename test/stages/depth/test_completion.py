# SPDX-License-Identifier: Apache-2.0
"""What a completion network is given, and what is kept of its depth."""

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
from isaac_inference.models.reader import read_card
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages.depth.completion import CompletionNetwork, CompletionNetworkSettings

SAME = Letterbox.between((64, 48), (64, 48))


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return read_card(write_filler(tmp_path_factory.mktemp('completion') / 'filler.onnx'))


def scene(size: tuple[int, int], block: int = 8) -> np.ndarray:
    """(H, W) float32 m: blocks from 1.8 to 2.2 m."""
    width, height = size
    blocks = np.random.default_rng(0).uniform(1.8, 2.2, (-(-height // block), -(-width // block)))
    return np.kron(blocks, np.ones((block, block)))[:height, :width].astype(np.float32)


def grey(size: tuple[int, int], value: int = 128) -> np.ndarray:
    return np.full((size[1], size[0], 3), value, np.uint8)


def run(card: ModelCard, image: np.ndarray, depth: np.ndarray, **settings: Any) -> np.ndarray:
    network = CompletionNetwork(card, CompletionNetworkSettings(**settings))
    tensors, letterbox = network.tensors(image, depth)
    with create_engine(card) as engine:
        outputs = {name: np.array(array) for name, array in engine.infer(tensors).items()}
    return network.read(outputs, letterbox, depth)[0]


@pytest.mark.parametrize('size', [(64, 48), (128, 96), (128, 67), (33, 48), (640, 360), (101, 99), (32, 24)])
def test_geometry_is_that_of_the_source(card: ModelCard, size: tuple[int, int]) -> None:
    """The network gives readings back as they are: what comes out is what went in, at its place, in every size."""
    scale = Letterbox.between(size, (64, 48)).scale_xy[0]
    block = 8 * max(1, round(1 / scale))
    depth = scene(size, block)
    hole = (slice(size[1] // 3, size[1] // 2), slice(size[0] // 3, size[0] // 2))
    truth = depth.copy()
    depth[hole] = np.nan
    found = run(card, grey(size), depth, keep_measured=False)
    assert found.shape == depth.shape
    middle = np.zeros(depth.shape, bool)
    for row in range(block // 2, size[1], block):
        middle[row, block // 2 :: block] = True
    inside = middle & np.isfinite(depth)
    assert inside.sum() > 3 and np.abs(found[inside] - truth[inside]).max() < 1e-3
    margin = round(1 / scale) + 2
    inner = found[hole][margin:-margin, margin:-margin]
    assert inner.size == 0 or np.abs(inner - 2.0).max() < 1e-3


def test_readings_stay_as_they_are(card: ModelCard) -> None:
    depth = scene((101, 77))
    depth[30:40, 20:50] = np.nan
    found = run(card, grey((101, 77)), depth, refill_edges=False)
    known = np.isfinite(depth)
    np.testing.assert_array_equal(found[known], depth[known])
    assert np.abs(found[32:38, 22:48] - 2.0).max() < 1e-6


def test_readings_between_two_surfaces_get_the_network_s_depth(card: ModelCard) -> None:
    truth = np.full((48, 64), 2.0, np.float32)
    truth[:, 32:] = 3.0
    measured = truth.copy()
    measured[:, 31:33] = 2.5  # on neither
    outputs = {'dense_depth': truth[None, None]}
    np.testing.assert_array_equal(CompletionNetwork(card).read(outputs, SAME, measured)[0], truth)
    kept = CompletionNetwork(card, CompletionNetworkSettings(refill_edges=False)).read(outputs, SAME, measured)[0]
    np.testing.assert_array_equal(kept, measured)
    outputs = {'dense_depth': truth[None, None].copy()}
    outputs['dense_depth'][..., 10:20, 31] = np.nan  # what the network does not know either
    found = CompletionNetwork(card).read(outputs, SAME, measured)[0]
    assert np.isnan(found[10:20, 31]).all() and (found[:10] == truth[:10]).all()


def test_what_is_unknown_goes_in_as_the_card_says(tmp_path: Path, card: ModelCard) -> None:
    depth = np.full((48, 64), 1.5, np.float32)
    depth[10:20] = np.nan
    made, _ = CompletionNetwork(card).tensors(grey((64, 48)), depth)
    assert made['depth'].shape == (1, 1, 48, 64) and made['depth'].dtype == np.float32
    assert (made['depth'][0, 0, 10:20] == 0.0).all() and (made['depth'][0, 0, 20:] == 1.5).all()
    other = read_card(write_filler(tmp_path / 'm.onnx', card='depth: {unit: mm, unknown: -1}'))
    assert (other.spec.scale, other.spec.unknown) == (0.001, -1.0)
    made, _ = CompletionNetwork(other).tensors(grey((64, 48)), depth)
    assert (made['depth'][0, 0, 10:20] == -1.0).all()
    np.testing.assert_allclose(made['depth'][0, 0, 20:], 1500.0, rtol=1e-6)
    outputs = {'dense_depth': np.full((1, 1, 48, 64), 1500.0, np.float32)}
    np.testing.assert_allclose(CompletionNetwork(other).read(outputs, SAME, depth)[0], 1.5, rtol=1e-6)


def test_sparse_readings_are_not_lost(card: ModelCard) -> None:
    """A lidar's points on a network of a fifth of the image's size."""
    depth = np.full((240, 320), np.nan, np.float32)
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, 240, 200), rng.integers(0, 320, 200)
    depth[rows, columns] = rng.uniform(1.0, 9.0, 200).astype(np.float32)
    made, _ = CompletionNetwork(card).tensors(grey((320, 240)), depth)
    given = made['depth'][0, 0]
    cells = {(row // 5, column // 5) for row, column in np.argwhere(np.isfinite(depth))}
    assert {tuple(place) for place in np.argwhere(given > 0.0)} == cells
    for row, column in cells:
        assert given[row, column] in depth[5 * row : 5 * row + 5, 5 * column : 5 * column + 5]


def test_far_from_any_reading_nothing_is_filled(card: ModelCard) -> None:
    depth = np.full((48, 64), np.nan, np.float32)
    depth[:, :8] = 2.0
    assert np.isfinite(run(card, grey((64, 48)), depth, max_reach=0)).all()
    found = run(card, grey((64, 48)), depth, max_reach=16)
    assert np.isfinite(found[:, :22]).all() and np.isnan(found[:, 28:]).all()


@pytest.mark.parametrize('filled, kept', [(1.75, False), (1.85, True), (2.15, True), (2.25, False), (1e9, False)])
def test_a_filled_value_is_held_against_what_is_around(tmp_path: Path, filled: float, kept: bool) -> None:
    card = read_card(write_filler(tmp_path / 'm.onnx', fill=filled))
    depth = np.full((48, 64), 2.0, np.float32)
    depth[20:28, 20:30] = np.nan
    found = run(card, grey((64, 48)), depth)
    assert np.isfinite(found[20:28, 20:30]).all() == kept and np.isfinite(found[20:28, 20:30]).any() == kept
    assert (found[:20] == 2.0).all()


def test_what_the_network_is_unsure_of_is_unknown(tmp_path: Path) -> None:
    card = read_card(write_filler(tmp_path / 'm.onnx', confidence=True))
    depth = np.full((48, 64), 2.0, np.float32)
    depth[20:28] = np.nan
    network = CompletionNetwork(card)
    outputs = {
        'dense_depth': np.full((1, 1, 48, 64), 2.0, np.float32),
        'confidence': np.zeros((1, 1, 48, 64), np.float32),
    }
    outputs['confidence'][..., 32:] = 0.6
    found, sure = network.read(outputs, SAME, depth)
    assert np.isnan(found[20:28, :32]).all() and (found[20:28, 32:] == 2.0).all() and (found[:20] == 2.0).all()
    assert (sure[20:28, :32] == 0).all() and (sure[20:28, 32:] == 153).all() and (sure[:20] == 255).all()
    network = CompletionNetwork(card, CompletionNetworkSettings(keep_measured=False))
    found, sure = network.read(outputs, SAME, depth)
    assert np.isnan(found[:, :32]).all() and (sure[:, :32] == 0).all() and (sure[:, 32:] == 153).all()


@pytest.mark.parametrize('bad', [np.nan, np.inf, -1.0, 0.0])
def test_single_numbers_that_are_no_depth_are_unknown(card: ModelCard, bad: float) -> None:
    depth = np.full((48, 64), 2.0, np.float32)
    depth[10:20] = np.nan
    outputs = {'dense_depth': np.full((1, 1, 48, 64), 2.0, np.float32)}
    outputs['dense_depth'][0, 0, 15, 5] = outputs['dense_depth'][0, 0, 30, 5] = bad
    found, _ = CompletionNetwork(card).read(outputs, SAME, depth)
    assert np.isnan(found[15, 5]) and found[30, 5] == 2.0 and np.isfinite(found).sum() == 48 * 64 - 1


@pytest.mark.parametrize(
    'outputs, reason',
    [
        ({'other': np.zeros((1, 1, 48, 64), np.float32)}, 'missing_output'),
        ({'dense_depth': np.zeros((1, 2, 48, 64), np.float32)}, 'bad_output_shape'),
        ({'dense_depth': np.zeros((1, 1, 64, 48), np.float32)}, 'bad_output_shape'),
        ({'dense_depth': np.full((1, 1, 48, 64), np.nan, np.float32)}, 'bad_values'),
        ({'dense_depth': np.full((1, 1, 48, 64), 2000.0, np.float32)}, 'completion_disagrees'),
        ({'dense_depth': np.full((1, 1, 48, 64), -2.0, np.float32)}, 'completion_disagrees'),
    ],
)
def test_outputs_that_cannot_be_are_named(card: ModelCard, outputs: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(FrameError) as error:
        CompletionNetwork(card).read(outputs, SAME, np.full((48, 64), 2.0, np.float32))
    assert error.value.reason == reason


def test_depth_of_another_size_is_refused(card: ModelCard) -> None:
    with pytest.raises(FrameError) as error:
        CompletionNetwork(card).tensors(grey((64, 48)), np.zeros((24, 32), np.float32))
    assert error.value.reason == 'completion_size'


def test_models_for_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='expected depth_completion: give a model that fills depth'):
        CompletionNetwork(read_card(write_matcher(tmp_path / 'm.onnx')))


def test_a_network_of_any_size_runs_at_that_of_its_card(tmp_path: Path) -> None:
    card = read_card(write_filler(tmp_path / 'm.onnx', None, card='input_size: [96, 64]\ndepth: {unit: m}'))
    depth = scene((192, 128), 16)
    depth[50:70, 60:90] = np.nan
    with create_engine(card) as engine:
        engine.warm_up()
    found = run(card, grey((192, 128)), depth)
    assert np.abs(found[52:68, 62:88] - 2.0).max() < 1e-3


@pytest.mark.parametrize('shape', [(1, 48, 64, 1), (1, 48, 64), (1, 1, 48, 64)])
def test_every_shape_of_a_depth_input(tmp_path: Path, shape: tuple[int, ...]) -> None:
    beside = [('sparse', 'float32', shape)]
    outputs = {'dense': np.full((1, 48, 64), 2.0, np.float32)}
    path = write_constant(tmp_path / 'm.onnx', outputs, image=('image', 'float32', (1, 48, 64, 3)), beside=beside)
    path.with_suffix('.yaml').write_text('{task: depth_completion, value_inputs: {depth: sparse}}')
    network = CompletionNetwork(read_card(path))
    made, letterbox = network.tensors(grey((128, 96)), scene((128, 96), 16))
    assert made['sparse'].shape == shape and made['image'].shape == (1, 48, 64, 3)
    np.testing.assert_array_equal(made['sparse'].reshape(48, 64), scene((128, 96), 16)[1::2, 1::2])
    assert network.read(outputs, letterbox, np.full((96, 128), 2.0, np.float32))[0].shape == (96, 128)
