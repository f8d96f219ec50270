# SPDX-License-Identifier: Apache-2.0
"""What is read of a depth network's outputs, and when it is said to see nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.depth_cards import TCMONODEPTH, depth_card, write_brightness
from support.paths import DATA

from isaac_inference.engines import create_engine
from isaac_inference.errors import ConfigError, FrameError, ModelError
from isaac_inference.models import ModelCard
from isaac_inference.models.card.tasks import DepthKind
from isaac_inference.models.demo import demo_model
from isaac_inference.models.reader import read_card
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.depth.flat_watch import FlatWatch
from isaac_inference.stages.depth.mono import MonoDepth

PICTURES = sorted((DATA / 'coco' / 'eval').glob('*.jpg'))
needs_data = pytest.mark.skipif(not (PICTURES and TCMONODEPTH.exists()), reason=f'no pictures and model in {DATA}')
LETTERBOX = Letterbox.between((64, 48), (64, 48))


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brightness(tmp_path_factory.mktemp('depth') / 'brightness.onnx')


@pytest.mark.parametrize('shape', [(1, 48, 64), (1, 1, 48, 64), (1, 48, 64, 1)])
def test_every_shape_is_read(model: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random((48, 64), np.float32)
    found = MonoDepth(depth_card(model))({'depth': values.reshape(shape)}, LETTERBOX)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    'outputs, reason',
    [
        ({'other': np.zeros((1, 1, 48, 64), np.float32)}, 'missing_output'),
        ({'depth': np.zeros((1, 3, 48, 64), np.float32)}, 'bad_output_shape'),
        ({'depth': np.zeros((48, 64), np.float32)}, 'bad_output_shape'),
        ({'depth': np.zeros((1, 1, 64, 48), np.float32)}, 'bad_output_shape'),
        ({'depth': np.full((1, 1, 48, 64), np.nan, np.float32)}, 'bad_values'),
        ({'depth': np.full((1, 1, 48, 64), np.inf, np.float32)}, 'bad_values'),
    ],
)
def test_outputs_that_cannot_be_read_are_named(model: Path, outputs: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(FrameError) as error:
        MonoDepth(depth_card(model))(outputs, LETTERBOX)
    assert error.value.reason == reason


def test_the_rule_of_the_card(model: Path) -> None:
    inverse = MonoDepth(depth_card(model, DepthKind.INVERSE, (0.5, 0.1))).rule()
    assert inverse.depth(np.array([0.8], np.float32)) == pytest.approx(2.0)
    assert MonoDepth(depth_card(model, DepthKind.METRIC)).rule().depth(np.array([3.0], np.float32)) == 3.0
    assert MonoDepth(depth_card(model, DepthKind.METRIC, (0.5, None))).rule().depth(np.array([9.0], np.float32)) == 4.5
    with pytest.raises(ConfigError, match='its numbers are inverse, and its card gives no scale'):
        MonoDepth(depth_card(model)).rule()


def test_a_card_of_another_task_is_refused() -> None:
    with pytest.raises(ModelError, match='its task is keypoints, expected mono_depth'):
        MonoDepth(read_card(demo_model()))


def outputs_of(card: ModelCard) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each picture and what the stages make of it."""
    prepare, read = Preprocessor(card), MonoDepth(card)
    found = []
    with create_engine(card, threads=1) as engine:
        for path in PICTURES:
            picture = cv2.imread(str(path))
            tensors, letterbox = prepare(picture)
            found.append((picture, read(engine.infer(tensors), letterbox)))
    return found


@needs_data
@pytest.mark.parametrize('fit', ['stretch', 'letterbox'])
def test_a_real_network_agrees_with_an_independent_computation(fit: str) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(TCMONODEPTH), providers=['CPUExecutionProvider'])
    for picture, found in outputs_of(depth_card(TCMONODEPTH, scale=1.0, fit=fit)):
        height, width = picture.shape[:2]
        ratio = min(320 / width, 192 / height)
        size = (320, 192) if fit == 'stretch' else (round(width * ratio), round(height * ratio))
        left, top = (320 - size[0]) // 2, (192 - size[1]) // 2
        canvas = np.full((192, 320, 3), 114, np.uint8)
        canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size)
        feed = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        (output,) = session.run(None, {'input': feed})
        seen = output[0, 0, top : top + size[1], left : left + size[0]].astype(np.float64)
        places = [
            np.clip((np.arange(many) + 0.5) * few / many - 0.5, 0, few - 1)
            for many, few in ((height, size[1]), (width, size[0]))
        ]
        across = np.stack([np.interp(places[1], np.arange(size[0]), row) for row in seen])
        expected = np.stack([np.interp(places[0], np.arange(size[1]), column) for column in across.T], axis=1)
        assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected)


@needs_data
def test_a_network_that_is_fed_in_the_wrong_units_is_said_to_see_nothing() -> None:
    """TCMonoDepth takes 0..255."""
    for scale, is_bare in ((1.0, False), (1.0 / 255.0, True)):
        watch = FlatWatch(10, 'some lines')
        remarks = [watch.add(numbers) for _, numbers in outputs_of(depth_card(TCMONODEPTH, scale=scale))]
        assert bool(remarks[9]) == is_bare == bool(remarks[-1])
        assert not any(remarks[:9])
        assert ('the card has some lines' in remarks[-1]) == is_bare


def test_flat_numbers_are_remarked_and_anything_else_ends_it() -> None:
    watch, flat = FlatWatch(3, ''), np.full((48, 64), 0.5, np.float32)
    assert [bool(watch.add(flat)) for _ in range(4)] == [False, False, True, True]
    assert not watch.add(np.random.default_rng(0).random((48, 64), np.float32))
    assert not watch.add(flat)


def test_a_floor_that_changes_is_no_bare_gradient() -> None:
    watch = FlatWatch(3, '')
    rows, columns = np.mgrid[0:48, 0:64].astype(np.float32)
    assert not any(watch.add(rows * (frame % 2) + columns * ((frame + 1) % 2)) for frame in range(8))
