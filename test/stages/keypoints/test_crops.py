# SPDX-License-Identifier: Apache-2.0
"""Crops through a real network and back: its dots are where they were drawn, whatever the boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.keypoints.dots import dots_of, scene, write_dots

from isaac_inference.engines import create_engine
from isaac_inference.engines.batches import BatchRunner
from isaac_inference.errors import FrameError
from isaac_inference.models import ModelCard
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.stages.keypoints.crops import Cropper
from isaac_inference.stages.keypoints.decoder import TopDownDecoder
from isaac_inference.stages.keypoints.placing import in_source

PX = 0.5
SIZES = {
    'inside': (300.0, 120.0, 360.5, 260.25),
    'at the left': (0.0, 100.0, 45.0, 240.0),
    'at the top': (200.0, 0.0, 260.0, 150.0),
    'at the bottom right': (560.0, 300.0, 640.0, 480.0),
    'tiny': (400.25, 300.5, 412.0, 324.0),
    'flat': (100.0, 200.0, 500.0, 290.0),
    'high': (300.0, 0.0, 325.0, 480.0),
    'large': (20.0, 5.0, 620.0, 475.0),
}


def found(card: ModelCard, image: np.ndarray, boxes, order: ColorOrder = ColorOrder.BGR) -> np.ndarray:
    tensors, crops = Cropper(card, 1.25)(image, order, boxes)
    with create_engine(card, 'onnxruntime') as engine:
        outputs = BatchRunner(engine).infer(tensors)
    return in_source(TopDownDecoder(card).decode(outputs), crops)


@pytest.fixture(scope='module')
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_dots(tmp_path_factory.mktemp('dots') / 'dots.onnx')


@pytest.mark.parametrize('box', SIZES.values(), ids=SIZES)
def test_points_are_where_they_were_drawn(card: ModelCard, box) -> None:
    spread = 0.05 * max(1.0, (box[2] - box[0]) / (box[3] - box[1]))  # a dot is larger than a px of the input
    points = found(card, scene((640, 480), [box], spread=spread), [box])
    assert points.shape == (1, 3, 3) and points.dtype == np.float32
    assert np.abs(points[0, :, :2] - dots_of(box)).max() <= PX
    assert (points[..., 2] > 0.5).all()


def test_a_box_larger_than_the_image(card: ModelCard) -> None:
    """The person fills the image, the box that a foreign detector gives reaches far beyond."""
    person = (20.0, 5.0, 620.0, 475.0)
    points = found(card, scene((640, 480), [person], spread=0.055), [(-200.0, -150.0, 900.0, 640.0)])
    assert np.abs(points[0, :, :2] - dots_of(person)).max() <= PX


@pytest.mark.parametrize('count', [1, 5, 20])
@pytest.mark.parametrize('batch', [None, 1, 4], ids=['any', 'one', 'four'])
def test_rows_are_in_the_order_of_the_boxes(tmp_path: Path, count: int, batch: int | None) -> None:
    card = write_dots(tmp_path / 'dots.onnx', batch=batch)
    corners = [(64.0 * (index % 10) + 10.5, 200.0 * (index // 10) + 20.25) for index in range(count)]
    boxes = [(x, y, x + 44, y + 58.5) for x, y in corners]
    image = scene((640, 480), boxes)
    rows = np.random.default_rng(count).permutation(count)
    points = found(card, image, [boxes[row] for row in rows])
    assert len(points) == count
    for row, one in zip(rows, points, strict=True):
        assert np.abs(one[:, :2] - dots_of(boxes[row])).max() <= PX


@pytest.mark.parametrize('layout', ['NCHW', 'NHWC'])
@pytest.mark.parametrize('order', list(ColorOrder))
@pytest.mark.parametrize('wh', [(48, 64), (64, 64), (96, 32)])
def test_layouts_colour_orders_and_sizes_of_the_input(tmp_path: Path, layout: str, order: ColorOrder, wh) -> None:
    card = write_dots(tmp_path / 'dots.onnx', wh, layout=layout)
    box = SIZES['at the bottom right']
    image = scene((640, 480), [box])
    image = image if order is ColorOrder.BGR else image[..., ::-1].copy()
    points = found(card, image, [box], order)
    assert np.abs(points[0, :, :2] - dots_of(box)).max() <= PX


def test_a_model_without_a_batch_axis(tmp_path: Path) -> None:
    card = write_dots(tmp_path / 'dots.onnx', batch=1, batched=False)
    boxes = [SIZES['inside'], SIZES['at the left']]
    tensors, crops = Cropper(card, 1.25)(scene((640, 480), boxes), ColorOrder.BGR, boxes)
    assert tensors['image'].shape == (2, 3, 64, 48)
    with create_engine(card, 'onnxruntime') as engine:
        outputs = BatchRunner(engine).infer(tensors)
    points = in_source(TopDownDecoder(card).decode(outputs), crops)
    for box, one in zip(boxes, points, strict=True):
        assert np.abs(one[:, :2] - dots_of(box)).max() <= PX


def test_padding_is_no_colour_and_shows_nobody(card: ModelCard) -> None:
    """Beyond the image the network sees the card's pad value, so dots that are cut off are not there."""
    box = (0.0, 0.0, 60.0, 160.0)
    image = scene((640, 480), [box])[48:]  # the red dot's half is gone with the head
    points = found(card, image, [(0.0, 0.0, 60.0, 112.0)])
    assert points[0, 0, 2] < 0.1
    assert np.abs(points[0, 1:, :2] - (dots_of(box)[1:] - (0, 48))).max() <= PX


def test_no_rows(card: ModelCard) -> None:
    tensors = Cropper(card, 1.25).nothing()
    assert tensors['image'].shape == (0, 3, 64, 48)
    with create_engine(card, 'onnxruntime') as engine:
        assert BatchRunner(engine).infer(tensors)['keypoints'].shape == (0, 3, 3)


def test_each_frame_has_arrays_of_its_own(card: ModelCard) -> None:
    cropper, box = Cropper(card, 1.25), SIZES['inside']
    first, _ = cropper(scene((640, 480), [box]), ColorOrder.BGR, [box])
    before = first['image'].copy()
    cropper(np.zeros((480, 640, 3), np.uint8), ColorOrder.BGR, [box])
    assert (first['image'] == before).all()


def test_a_box_outside_of_the_image_is_refused(card: ModelCard) -> None:
    with pytest.raises(FrameError) as caught:
        Cropper(card, 1.25)(np.zeros((48, 64, 3), np.uint8), ColorOrder.BGR, [(100.0, 0.0, 120.0, 20.0)])
    assert caught.value.reason == 'empty_crop'
