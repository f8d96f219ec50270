# SPDX-License-Identifier: Apache-2.0
"""Frames of any number of images on engines that take one, some or any number at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.keypoints.dots import scene, write_dots

from isaac_inference.engines import Engine, create_engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.errors import EngineError
from isaac_inference.models import ModelCard, ValueInput, ValueRole
from isaac_inference.models.card.tensor_spec import TensorSpec

BOX = (4.0, 4.0, 44.0, 60.0)


class Counting(Engine):
    """Takes from `low` to `high` images at once; gives each row's mean, in memory that it uses again."""

    backend = 'counting'

    def __init__(self, card: ModelCard, low: int = 1, high: int | None = None, breaks_at: int = 1000) -> None:
        super().__init__(card)
        self.range, self.breaks_at = (low, high), breaks_at
        self.batches: list[int] = []
        self.beside: list[np.ndarray] = []
        self._memory = np.zeros((64, 3, 3), np.float32)

    @property
    def batch_sizes(self) -> tuple[int, int | None]:
        return self.range

    def _open(self) -> None:
        self._device = 'nothing'

    def _infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        image = feeds['image']
        self.batches.append(len(image))
        self.beside += [feeds['size']] if 'size' in feeds else []
        if len(image) >= self.breaks_at:
            raise EngineError('Reshape: the shape was fixed when it was exported')
        self._memory[: len(image)] = image.mean(axis=(1, 2, 3))[:, None, None]
        return {'keypoints': self._memory[: len(image)]}

    def _close(self) -> None:
        pass


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return write_dots(tmp_path / 'dots.onnx')


def feeds(count: int) -> dict[str, Any]:
    return {'image': np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 64, 48), np.float32)}


def run(engine: Counting, frame: dict[str, Any]) -> tuple[list[float], BatchRunner]:
    runner = BatchRunner(engine)
    with engine:
        outputs = runner.infer(frame)
    return outputs['keypoints'][:, 0, 0].tolist(), runner


@pytest.mark.parametrize(
    ('low', 'high', 'count', 'batches', 'at_once'),
    [
        (1, None, 5, [5], 'any number of'),
        (1, 1, 1, [1], '1'),
        (1, 1, 3, [1, 1, 1], '1'),
        (1, 8, 8, [8], '1 to 8'),
        (1, 8, 20, [8, 8, 4], '1 to 8'),
        (4, 4, 5, [4, 4], '4'),
        (4, 4, 1, [4], '4'),
        (2, 8, 9, [8, 2], '2 to 8'),
    ],
)
def test_each_row_has_its_own_output_whatever_the_engine_takes(card, low, high, count, batches, at_once):
    engine = Counting(card, low, high)
    rows, runner = run(engine, feeds(count))
    assert rows == list(range(count))
    assert engine.batches == batches
    assert runner.at_once == at_once
    assert runner.in_parts == (batches != [count])
    assert not runner.failure


@pytest.mark.parametrize(('low', 'high'), [(1, None), (1, 1), (4, 4)])
def test_without_rows_nothing_is_run(card, low, high):
    engine = Counting(card, low, high)
    runner = BatchRunner(engine)
    with engine:
        outputs = runner.infer(feeds(0))
    assert {name: (array.shape, array.dtype) for name, array in outputs.items()} == {
        'keypoints': ((0, 3, 3), np.dtype(np.float32))
    }
    assert engine.batches == []
    assert not runner.in_parts


def test_a_file_that_promises_more_than_its_graph_takes(card):
    """Then every frame is run row by row, and only the first was tried in vain."""
    engine = Counting(card, breaks_at=2)
    runner = BatchRunner(engine)
    with engine:
        for _ in range(2):
            assert runner.infer(feeds(3))['keypoints'][:, 0, 0].tolist() == [0, 1, 2]
        assert runner.infer(feeds(1))['keypoints'].shape == (1, 3, 3)
    assert engine.batches == [3, 1, 1, 1, 1, 1, 1, 1]
    assert runner.in_parts
    assert 'the shape was fixed' in runner.failure
    assert runner.at_once == '1'


@pytest.mark.parametrize('batch', [1, 2])
def test_a_real_graph_that_breaks_its_promise(tmp_path, batch):
    """Exported with an open batch axis, and a Reshape to the number it was traced with."""
    card = write_dots(tmp_path / 'dots.onnx', batch=batch, promises=None)
    images = np.stack([scene((48, 64), [BOX])[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255] * 3)
    images[1] = 1.0
    with create_engine(card, 'onnxruntime') as engine:
        runner = BatchRunner(engine)
        if batch == 2:
            with pytest.raises(EngineError):  # neither so many nor one
                runner.infer({'image': images})
            return
        points = runner.infer({'image': images})['keypoints']
        assert runner.failure
        np.testing.assert_array_equal(points[0], points[2])
        assert points[1, :, 2].max() == 0


def test_a_failure_of_one_image_is_no_matter_of_the_batch(card):
    engine = Counting(card, breaks_at=1)
    runner = BatchRunner(engine)
    with engine, pytest.raises(EngineError, match='the shape was fixed'):
        runner.infer(feeds(3))
    assert not runner.failure


def test_what_is_the_same_for_all_images_is_not_cut(card):
    size = ValueInput(TensorSpec('size', 'float32', (None, 2)), ValueRole.IMAGE_SIZE)
    shared = ValueInput(TensorSpec('size', 'float32', (3, 2)), ValueRole.TEXT_EMBEDDINGS)
    for item, lengths in ((size, [2, 1]), (shared, [3, 3])):
        engine = Counting(replace(card, inputs=(*card.inputs, item)), 1, 2)
        values = np.arange(6, dtype=np.float32).reshape(3, 2)
        run(engine, {**feeds(3), 'size': values})
        assert [len(array) for array in engine.beside] == lengths
        assert engine.beside[-1][-1].tolist() == [4.0, 5.0]


def test_parts_are_kept_where_an_engine_writes_them_again(card):
    assert Counting.reuses_outputs
    rows, _ = run(Counting(card, 1, 1), feeds(4))
    assert rows == [0, 1, 2, 3]


@pytest.mark.parametrize(('batch', 'sizes'), [(None, (1, None)), (1, (1, 1)), (4, (4, 4))])
def test_an_engine_says_how_many_it_takes(tmp_path, batch, sizes):
    card = write_dots(tmp_path / 'dots.onnx', batch=batch)
    with create_engine(card, 'onnxruntime') as engine:
        assert engine.batch_sizes == sizes


def test_a_model_without_a_batch_axis_takes_one(tmp_path):
    card = write_dots(tmp_path / 'dots.onnx', batch=1, batched=False)
    with create_engine(card, 'onnxruntime') as engine:
        assert engine.batch_sizes == (1, 1)
        runner = BatchRunner(engine)
        images = np.ones((3, 3, 64, 48), np.float32)
        assert runner.fits({'image': images[0]}) and not runner.fits({'image': images})
        assert runner.infer({'image': images[0]})['keypoints'].shape == (1, 3, 3)
        assert runner.infer({'image': images})['keypoints'].shape == (3, 3, 3)
