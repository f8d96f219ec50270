# SPDX-License-Identifier: Apache-2.0
"""Frames of several streams through one model: together where they fit, and each with its own results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from support.onnx_models import write_model
from support.paths import DATA, YOLOX_NANO

from isaac_inference.engines import Engine, create_engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.errors import EngineError
from isaac_inference.models import ModelCard, ValueInput, ValueRole, read_card
from isaac_inference.models.card.inputs import FixedArray
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.ops.boxes.nms import box_iou
from isaac_inference.serving.streams.batches import FrameBatcher
from isaac_inference.stages import Postprocessor, Preprocessor


class Means(Engine):
    """Gives each image's mean; `rows` says how many rows it gives for so many images."""

    backend = 'means'
    reuses_outputs = False

    def __init__(self, card: ModelCard, high: int | None = None, rows: Any = lambda count: count) -> None:
        super().__init__(card)
        self.high, self.rows, self.batches = high, rows, []

    @property
    def batch_sizes(self) -> tuple[int, int | None]:
        return 1, self.high

    def _open(self) -> None:
        self._device = 'nothing'

    def _infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        image = feeds['images']
        self.batches.append(len(image))
        if np.isnan(image).any():
            raise EngineError('NaN')
        means = image.mean(axis=(1, 2, 3))
        return {'output0': np.resize(means, (self.rows(len(image)), 1))}

    def _close(self) -> None:
        pass


@pytest.fixture(scope='module')
def card(tmp_path_factory):
    return read_card(write_model(tmp_path_factory.mktemp('open') / 'any.onnx', 'yolov8', dynamic='batch'))


def frame(value, rows=1, dtype=np.float32, wh=(64, 64)):
    return {'images': np.full((rows, 3, *wh[::-1]), value, dtype)}


def made(card, *args, try_out=4, **kwargs):
    engine = Means(card, *args, **kwargs)
    engine.open()
    batcher = FrameBatcher(engine, BatchRunner(engine))
    if try_out:
        batcher.try_out(try_out)
        engine.batches.clear()
    return engine, batcher


def values(outcomes):
    return [
        outcome if isinstance(outcome, EngineError) else outcome['output0'].ravel().tolist() for outcome in outcomes
    ]


@pytest.fixture
def wh(card):
    return card.input_wh


def test_frames_of_one_shape_run_together_and_keep_their_results(card, wh):
    engine, batcher = made(card)
    for _ in range(2):
        assert values(batcher.run([frame(3, wh=wh), frame(1, wh=wh), frame(2, wh=wh)])) == [[3], [1], [2]]
    assert engine.batches == [3, 3]
    assert values(batcher.run([frame(5, wh=wh)])) == [[5]]


def test_results_do_not_change_with_the_next_batch(card, wh):
    _, batcher = made(card)
    first = batcher.run([frame(1, wh=wh), frame(2, wh=wh)])
    batcher.run([frame(8, wh=wh), frame(9, wh=wh)])
    assert values(first) == [[1], [2]]


@pytest.mark.parametrize(
    'bad',
    [
        {'images': np.zeros((1, 3, 5, 7), np.float32)},
        {'images': np.zeros((1, 4, 64, 64), np.float32)},
        {'images': np.zeros((1, 3, 64, 64), np.float64)},
        {'images': np.zeros((3, 64, 64), np.float32)},
        {'images': np.zeros((), np.float32)},
        {'other': np.zeros((1, 3, 64, 64), np.float32)},
        {},
    ],
    ids=['size', 'channels', 'type', 'rank', 'scalar', 'name', 'nothing'],
)
def test_a_frame_that_does_not_fit_fails_alone(card, wh, bad):
    engine, batcher = made(card)
    found = values(batcher.run([frame(3, wh=wh), bad, frame(2, wh=wh)]))
    assert found[0] == [3] and found[2] == [2] and isinstance(found[1], EngineError)
    assert engine.batches == [2]


def test_two_frames_that_do_not_fit_alike_fail_each_for_itself(card, wh):
    bad = {'images': np.zeros((1, 3, 5, 7), np.float32)}
    _, batcher = made(card)
    found = values(batcher.run([bad, frame(2, wh=wh), bad]))
    assert isinstance(found[0], EngineError) and found[1] == [2] and isinstance(found[2], EngineError)


def test_what_fails_only_for_one_of_a_batch_costs_the_others_nothing(card, wh):
    engine, batcher = made(card)
    found = values(batcher.run([frame(3, wh=wh), frame(np.nan, wh=wh), frame(2, wh=wh)]))
    assert found[0] == [3] and str(found[1]) == 'NaN' and found[2] == [2]
    assert engine.batches[0] == 3 and set(engine.batches[1:]) == {1}
    assert batcher.most(4) == 4


def test_frames_of_several_rows(card, wh):
    """As those of people: some, one and none."""
    engine, batcher = made(card)
    found = batcher.run([frame(3, 2, wh=wh), frame(1, 1, wh=wh), frame(7, 3, wh=wh)])
    assert values(found) == [[3, 3], [1], [7, 7, 7]]
    assert engine.batches == [6]
    assert [len(one['output0']) for one in batcher.run([frame(3, 0, wh=wh), frame(1, 2, wh=wh)])] == [0, 2]


def test_an_engine_that_takes_fewer_gets_them_in_parts(card, wh):
    engine, batcher = made(card, 2, try_out=2)
    assert batcher.most(8) == 2
    assert values(batcher.run([frame(value, wh=wh) for value in (1, 2, 3)])) == [[1], [2], [3]]
    assert engine.batches == [2, 1]


@pytest.mark.parametrize('rows', [lambda count: 2, lambda count: 1, lambda count: 0, lambda count: 3 * count])
def test_outputs_that_are_not_counted_by_image_are_found_before_the_first_frame(card, wh, rows):
    engine, batcher = made(card, rows=rows)
    assert batcher.most(4) == 1
    assert 'not a row for each' in batcher.failure
    batcher.run([frame(3, wh=wh), frame(1, wh=wh)])
    assert engine.batches == [1, 1]


def test_outputs_whose_first_axis_has_another_name_than_the_images_are_not_counted_by_image(card):
    outputs = tuple(replace(spec, axes=('detections', *spec.axes[1:])) for spec in card.outputs)
    assert card.images[0].tensor.axes[0] == 'batch'
    _, batcher = made(replace(card, outputs=outputs))
    assert 'detections' in batcher.failure and batcher.most(4) == 1


def text_input(shape, values):
    spec = TensorSpec('texts', 'float32', shape)
    return ValueInput(spec, ValueRole.TEXT_EMBEDDINGS, FixedArray(values, 'digest'))


def test_what_is_the_same_for_all_images_is_not_joined_and_must_be_the_same(card, wh):
    """Embeddings of one class have one row, too, but not one for each image."""
    given = replace(card, inputs=(*card.inputs, text_input((1, 2), np.zeros((1, 2), np.float32))))
    engine, batcher = made(given, try_out=0)
    texts = [np.float32([[1, 2]]), np.float32([[1, 2]]), np.float32([[1, 3]])]
    frames = [{**frame(value, wh=wh), 'texts': text} for value, text in enumerate(texts)]
    assert batcher.groups(frames) == [[0, 1], [2]]
    assert values(batcher.run(frames)) == [[0], [1], [2]]
    assert engine.batches == [2, 1]


def test_what_each_image_has_is_joined(card, wh):
    size = ValueInput(TensorSpec('size', 'float32', (None, 2)), ValueRole.IMAGE_SIZE)
    _, batcher = made(replace(card, inputs=(*card.inputs, size)), try_out=0)
    frames = [{**frame(value, wh=wh), 'size': np.float32([[value, 1]])} for value in range(3)]
    assert batcher.groups(frames) == [[0, 1, 2]]
    assert batcher.joined(frames)['size'].shape == (3, 2)
    assert values(batcher.run(frames)) == [[0], [1], [2]]


def test_the_tiny_detector_gives_what_it_gives_for_each_alone(card, wh):
    random = np.random.default_rng(0)
    frames = [{'images': random.uniform(0, 1, (1, 3, *wh[::-1])).astype(np.float32)} for _ in range(5)]
    with create_engine(card, 'onnxruntime') as engine:
        batcher = FrameBatcher(engine, BatchRunner(engine))
        batcher.try_out(5)
        assert not batcher.failure and batcher.most(5) == 5
        for together, alone in zip(batcher.run(frames), map(engine.infer, frames), strict=True):
            for name, array in alone.items():
                np.testing.assert_allclose(together[name], array, atol=1e-4)


@pytest.mark.skipif(not YOLOX_NANO.is_file(), reason=f'no YOLOX-nano at {YOLOX_NANO}')
def test_a_real_detector_finds_the_same_boxes_in_a_batch(tmp_path):
    """Boxes of real photos, IoU above 0.999 with those of each photo alone."""
    model = onnx.load(str(YOLOX_NANO))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'batch'
    del model.graph.value_info[:]
    onnx.save(model, str(tmp_path / 'open.onnx'))
    card = read_card(tmp_path / 'open.onnx')
    preprocess, postprocess = Preprocessor(card), Postprocessor(card)
    photos = [cv2.imread(str(path)) for path in sorted((DATA / 'coco' / 'eval').glob('*.jpg'))[:8]]
    prepared = [preprocess(photo) for photo in photos]
    compared = 0
    with create_engine(card, 'onnxruntime') as engine:
        batcher = FrameBatcher(engine, BatchRunner(engine))
        batcher.try_out(4)
        assert not batcher.failure
        for begin in (0, 4):
            part = prepared[begin : begin + 4]
            together = batcher.run([tensors for tensors, _ in part])
            for (tensors, letterbox), outputs in zip(part, together, strict=True):
                found, alone = postprocess(outputs, letterbox), postprocess(engine.infer(tensors), letterbox)
                assert len(found) == len(alone)
                np.testing.assert_array_equal(found.class_ids, alone.class_ids)
                assert (np.diag(box_iou(found.boxes, alone.boxes)) > 0.999).all()
                compared += len(found)
    assert compared > 8
