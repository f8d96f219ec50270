# SPDX-License-Identifier: Apache-2.0
"""Masks of a frame: painted into one image and read back, selected, compared, outlined; and what cannot be masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.masks.reference import painted_reference

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.masks import MAX_OBJECTS, Masks
from isaac_inference.ops.masks.overlap import mask_iou
from isaac_inference.ops.masks.polygons import polygons

WH = (50, 30)


def some(seed: int, count: int = 12, wh: tuple[int, int] = WH) -> Masks:
    """Masks of random pixels in random places."""
    rng = np.random.default_rng(seed)
    low = (rng.uniform(0, 0.8, (count, 2)) * wh).astype(np.intp)
    sizes = (rng.uniform(0.1, 1, (count, 2)) * (np.array(wh) - low)).astype(np.intp)
    return Masks(wh, low, tuple(rng.random((height, width)) < 0.6 for width, height in sizes.tolist()))


def whole(masks: Masks) -> list[np.ndarray]:
    return [masks.full(index) for index in range(len(masks))]


@pytest.mark.parametrize('seed', range(4))
def test_the_higher_score_wins_and_of_equals_the_first(seed: int) -> None:
    masks = some(seed)
    scores = np.random.default_rng(seed).integers(0, 4, len(masks)) / 4
    image = masks.painted(scores)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, painted_reference(whole(masks), scores))


def test_scores_need_no_order_to_be_painted_by() -> None:
    masks = some(9)
    np.testing.assert_array_equal(
        masks.painted(np.arange(len(masks)) / 100), painted_reference(whole(masks), np.arange(len(masks)))
    )


def test_an_image_gives_back_what_was_painted() -> None:
    masks = some(2)
    scores = np.linspace(0.9, 0.1, len(masks))
    image = masks.painted(scores)
    stops = masks.corners + [crop.shape[::-1] for crop in masks.crops]
    back = Masks.of_image(image, np.concatenate((masks.corners, stops), axis=1))
    for index in range(len(masks)):
        np.testing.assert_array_equal(back.full(index), image == index + 1)
    np.testing.assert_array_equal(back.painted(scores), image)


def test_of_an_image_of_other_numbers_and_boxes_beyond_it() -> None:
    image = np.zeros((4, 6), np.uint16)
    image[1:3, 2:5] = 7
    boxes = np.array([[-5, -5, 99, 99], [9, 9, 12, 12], [np.nan, 0, 5, 5], [4.2, 0, 4.4, 9]])
    masks = Masks.of_image(image, boxes, [7, 7, 7, 7])
    assert masks.areas.tolist() == [6, 0, 0, 2]


def test_more_objects_than_16_bits_tell_apart_are_refused() -> None:
    count = MAX_OBJECTS + 1
    assert count == 2**16
    pixel = np.ones((1, 1), np.bool_)
    many = Masks((1, 1), np.zeros((count, 2), np.intp), (pixel,) * count)
    with pytest.raises(FrameError, match='got 65536 objects, expected at most 65535') as error:
        many.painted(np.ones(count))
    assert error.value.reason == 'too_many_objects'
    last = np.append(np.zeros(count - 2), 1.0)
    assert many.select(np.arange(count - 1)).painted(last).tolist() == [[65535]]


def test_selecting_by_index_and_by_mask() -> None:
    masks = some(3)
    kept = np.array([5, 1, 1])
    for chosen, rows in (
        (masks.select(kept), kept),
        (masks.select(masks.areas > 50), np.flatnonzero(masks.areas > 50)),
    ):
        assert chosen.source_wh == WH
        for place, row in enumerate(rows.tolist()):
            np.testing.assert_array_equal(chosen.full(place), masks.full(row))
    assert len(masks.select(np.zeros(len(masks), np.bool_))) == 0


@pytest.mark.parametrize(
    ('corners', 'crops', 'says'),
    [
        ([[0, 0], [1, 1]], [(2, 2)], r'corners: got int64 \(2, 2\), expected whole numbers \(1, 2\)'),
        ([[0.5, 0]], [(2, 2)], 'corners: got float64'),
        ([[49, 0]], [(2, 2)], r'crop 0: \(2, 2\) from \(49, 0\) on reaches beyond 50x30'),
        ([[-1, 0]], [(2, 2)], r'from \(-1, 0\) on'),
        ([[0, 0]], [(2, 2, 1)], r'crop 0: got bool \(2, 2, 1\)'),
    ],
)
def test_what_cannot_be_masks(corners: list, crops: list[tuple[int, ...]], says: str) -> None:
    with pytest.raises(FrameError, match=says) as error:
        Masks(WH, np.array(corners), tuple(np.ones(shape, np.bool_) for shape in crops))
    assert error.value.reason == 'bad_masks'


def test_iou_is_that_of_the_whole_masks() -> None:
    a, b = some(5), some(6, 7)
    found = mask_iou(a, b)
    assert found.shape == (12, 7)
    for i, one in enumerate(whole(a)):
        for j, other in enumerate(whole(b)):
            assert found[i, j] == pytest.approx((one & other).sum() / max((one | other).sum(), 1), abs=1e-6)
    assert found.max() > 0.2


def test_iou_with_nothing_is_0() -> None:
    none = Masks(WH, np.zeros((1, 2), np.intp), (np.zeros((0, 0), np.bool_),))
    assert mask_iou(none, none).tolist() == [[0.0]]
    assert mask_iou(some(1), Masks.empty(WH)).shape == (12, 0)
    with pytest.raises(ValueError, match=r'images of \(50, 30\) and \(30, 50\) px'):
        mask_iou(none, Masks.empty((30, 50)))


def test_polygons_filled_give_the_mask_back() -> None:
    image = np.zeros((30, 50), np.uint8)
    cv2.circle(image, (20, 12), 9, 1, cv2.FILLED)
    cv2.rectangle(image, (40, 20), (44, 28), 1, cv2.FILLED)
    masks = Masks(WH, np.array([[8, 2]]), (image[2:, 8:] > 0,))
    outlines = polygons(masks, 0)
    assert [outline.dtype for outline in outlines] == [np.float32, np.float32]
    assert outlines[0][:, 0].max() < 31  # the circle is the larger
    filled = np.zeros_like(image)
    cv2.fillPoly(filled, [np.floor(outline).astype(np.int32) for outline in outlines], 1)
    np.testing.assert_array_equal(filled, image)
    assert len(polygons(masks, 0, tolerance_px=1.0)[0]) < len(outlines[0])


def test_an_empty_mask_has_no_polygon() -> None:
    assert polygons(Masks(WH, np.array([[3, 3]]), (np.zeros((4, 4), np.bool_),)), 0) == []
    assert polygons(Masks(WH, np.array([[3, 3]]), (np.zeros((0, 0), np.bool_),)), 0) == []
