# SPDX-License-Identifier: Apache-2.0
"""Tracks that find their detections by masks as well."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.masks import Masks
from isaac_inference.ops.masks.overlap import mask_iou
from isaac_inference.ops.tracking import SeenMasks, Tracker

WH = (320, 240)


def scene(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of ellipses, and the boxes of what is seen of them."""
    image = np.zeros(WH[::-1], np.uint16)
    y, x = np.mgrid[: WH[1], : WH[0]]
    for number in range(1, count + 1):
        (cx, cy), (a, b) = rng.uniform(0, WH), rng.uniform(8, 60, 2)
        image[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] = number
    boxes = np.zeros((count, 4))
    for number in range(1, count + 1):
        ys, xs = np.nonzero(image == number)
        if len(xs):
            boxes[number - 1] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return image, boxes


@pytest.mark.parametrize('seed', range(6))
def test_overlaps_are_those_of_whole_masks(seed: int) -> None:
    """Of boxes that stay where they are; some masks are wholly hidden."""
    rng = np.random.default_rng(seed)
    (before, boxes), (after, boxes_after) = scene(rng, 9), scene(rng, 7)
    earlier, now = SeenMasks.of_image(before, 9), SeenMasks.of_image(after, 7)
    crops = [earlier.crop(row, boxes[row]) for row in range(9)]
    expected = mask_iou(Masks.of_image(before, boxes), Masks.of_image(after, boxes_after))
    found = now.overlap(crops, boxes)
    unseen = np.array([crop is None for crop in crops])[:, None] | (now.areas == 0)
    np.testing.assert_allclose(found[~unseen], expected[~unseen], atol=1e-6)
    assert np.isnan(found[unseen]).all()


def test_a_mask_moves_and_grows_with_its_box() -> None:
    before, after = np.zeros((240, 320), np.uint16), np.zeros((240, 320), np.uint16)
    before[10:50, 10:50][np.tri(40, dtype=bool)] = 1
    after[100:180, 60:140][np.tri(80, dtype=bool)] = 1
    crop = SeenMasks.of_image(before, 1).crop(0, np.array([10.0, 10, 50, 50]))
    found = SeenMasks.of_image(after, 1).overlap([crop], np.array([[60.0, 100, 140, 180]]))
    assert found[0, 0] > 0.97


def test_a_track_that_is_expected_outside_the_image_overlaps_with_nothing() -> None:
    seen = SeenMasks.of_image(np.ones((240, 320), np.uint16), 1)
    assert seen.overlap([np.ones((4, 4), np.bool_)], np.array([[400.0, 0, 500, 100]])).tolist() == [[0.0]]


def test_a_large_image_is_looked_at_in_samples() -> None:
    image = np.zeros((1080, 1920), np.uint16)
    image[100:500, 200:800] = 1
    seen = SeenMasks.of_image(image, 1)
    assert max(seen.image.shape) < 600
    box = np.array([200.0, 100, 800, 500])
    assert seen.overlap([seen.crop(0, box)], box[None])[0, 0] == pytest.approx(1.0, abs=0.02)


def test_numbers_beyond_the_detections_are_refused() -> None:
    with pytest.raises(FrameError) as caught:
        SeenMasks.of_image(np.full((4, 4), 3, np.uint16), 2)
    assert caught.value.reason == 'mask_count'


def test_masks_of_other_detections_are_refused_and_change_nothing() -> None:
    tracker = Tracker()
    box, one = np.array([[0.0, 0, 9, 9]]), np.array([0.9])
    with pytest.raises(FrameError) as caught:
        tracker.update(0.0, box, one, np.array([0]), SeenMasks.of_image(np.zeros((9, 9), np.uint16), 2))
    assert caught.value.reason == 'bad_detections'
    assert tracker.update(0.0, box, one, np.array([0])).tolist() == [1]


def bars() -> tuple[np.ndarray, np.ndarray]:
    """Two diagonal bars that cross: their boxes are the same, their masks are not."""
    image = np.zeros((240, 320), np.uint16)
    y, x = np.mgrid[:200, :200]
    image[20:220, 60:260][np.abs(x - y) < 12] = 1
    image[20:220, 60:260][np.abs(x + y - 200) < 12] = 2
    return image, np.array([[60.0, 20, 260, 220]] * 2)


def test_masks_tell_apart_what_boxes_cannot() -> None:
    image, boxes = bars()
    scores, classes = np.array([0.9, 0.8]), np.array([0, 0])
    swapped = np.array([0, 2, 1], np.uint16)[image]
    tracker = Tracker()
    assert tracker.update(0.0, boxes, scores, classes, SeenMasks.of_image(image, 2)).tolist() == [1, 2]
    assert tracker.update(0.1, boxes, scores, classes, SeenMasks.of_image(swapped, 2)).tolist() == [2, 1]


def test_a_detection_without_a_mask_goes_by_its_box() -> None:
    image, boxes = bars()
    boxes = boxes + np.array([[0.0], [4.0]])
    scores, classes = np.array([0.9, 0.8]), np.array([0, 0])
    tracker = Tracker()
    tracker.update(0.0, boxes, scores, classes, SeenMasks.of_image(image, 2))
    empty = SeenMasks.of_image(np.zeros_like(image), 2)
    assert tracker.update(0.1, boxes[::-1], scores, classes, empty).tolist() == [2, 1]
    assert tracker.update(0.2, boxes, scores, classes).tolist() == [1, 2]
