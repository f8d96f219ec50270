# SPDX-License-Identifier: Apache-2.0
"""Masks over the network's input against their definition, pixel by pixel; and what cannot be masks."""

from __future__ import annotations

import numpy as np
import pytest
from support.masks.reference import map_reference

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.masks.prototypes import PROBABILITY, map_masks, prototype_masks

LETTERBOXES = {
    'same size': Letterbox.between((64, 48), (64, 48)),
    'larger image, padded above and below': Letterbox.between((90, 40), (64, 64)),
    'padding of no whole cells': Letterbox.between((90, 53), (64, 64)),
    'smaller image, padded at the sides': Letterbox.between((21, 40), (64, 64)),
    'cropped': Letterbox.between((90, 40), (64, 64), 'crop'),
    'stretched': Letterbox.between((75, 33), (64, 48), 'stretch'),
    'in a corner': Letterbox.between((90, 40), (64, 64), 'letterbox', 'top_left'),
}
EDGE = 1e-4  # of a logit: so near the threshold rounding decides


def boxes_in(rng: np.random.Generator, wh: tuple[int, int], count: int = 8) -> np.ndarray:
    """Boxes that are cut at the image's edges, as those of detections are; two of them are the image and a pixel."""
    low = rng.uniform(-0.3, 0.9, (count, 2)) * wh
    boxes = np.clip(np.concatenate((low, low + rng.uniform(0.05, 0.8, (count, 2)) * wh), axis=1), 0, (*wh, *wh))
    boxes[0], boxes[1] = (0, 0, *wh), (3, 2, 4, 3)
    return boxes.astype(np.float32)


@pytest.mark.parametrize('name', LETTERBOXES)
@pytest.mark.parametrize('map_wh', [(16, 12), (64, 48), (7, 1), (1, 1), (90, 70)])
def test_masks_are_those_of_the_definition(name: str, map_wh: tuple[int, int]) -> None:
    letterbox, rng = LETTERBOXES[name], np.random.default_rng(len(name))
    prototypes = rng.normal(size=(5, map_wh[1], map_wh[0])).astype(np.float32)
    boxes = boxes_in(rng, letterbox.source_wh)
    coefficients = rng.normal(size=(len(boxes), 5)).astype(np.float32)
    masks = prototype_masks(prototypes, coefficients, boxes, letterbox)
    maps = np.einsum('np,phw->nhw', coefficients.astype(np.float64), prototypes)
    of_maps = map_masks(maps.astype(np.float32), boxes, letterbox)
    seen = 0
    for index, box in enumerate(boxes):
        logits = map_reference(
            maps[index], box, letterbox.source_wh, letterbox.scale_xy, letterbox.offset_xy, letterbox.input_wh
        )
        clear = np.abs(logits) > EDGE
        for found in (masks.full(index), of_maps.full(index)):
            np.testing.assert_array_equal(found[clear], (logits > 0)[clear])
        seen += int((logits > 0).sum())
    assert seen


def test_half_precision_prototypes() -> None:
    rng, letterbox = np.random.default_rng(3), LETTERBOXES['cropped']
    prototypes = rng.normal(size=(4, 16, 16)).astype(np.float16)
    boxes, coefficients = boxes_in(rng, letterbox.source_wh), rng.normal(size=(8, 4)).astype(np.float32)
    half = prototype_masks(prototypes, coefficients, boxes, letterbox)
    full = prototype_masks(prototypes.astype(np.float32), coefficients, boxes, letterbox)
    assert all(map(np.array_equal, half.crops, full.crops))


def test_probabilities_have_their_own_threshold() -> None:
    rng, letterbox = np.random.default_rng(4), LETTERBOXES['same size']
    logits, boxes = rng.normal(size=(8, 48, 64)).astype(np.float32), boxes_in(rng, (64, 48))
    # a map of the image's size: nothing is interpolated, so that both are the same
    by_logit = map_masks(logits, boxes, letterbox)
    by_probability = map_masks(1 / (1 + np.exp(-logits)), boxes, letterbox, PROBABILITY)
    assert all(map(np.array_equal, by_logit.crops, by_probability.crops))


def test_what_the_network_says_of_the_padding_is_not_the_image_s() -> None:
    letterbox = LETTERBOXES['larger image, padded above and below']
    (_, _, _, _), (_, _, top, bottom) = letterbox.axes
    maps = np.full((1, 64, 64), -100.0, np.float32)
    maps[:, top:bottom] = 1.0
    box = np.array([[0, 0, *letterbox.source_wh]], np.float32)
    assert map_masks(maps, box, letterbox).crops[0].all()


@pytest.mark.parametrize(
    'box',
    [
        (5, 5, 5, 9),  # without an area
        (5.1, 5.1, 5.2, 5.2),  # within a pixel
        (9, 9, 4, 4),  # inverted
        (64, 10, 64, 20),  # cut at the edge: it lay outside
        (200, 10, 220, 20),
        (-40, -30, -1, -2),
        (np.nan, 0, 9, 9),
        (np.inf, 0, np.inf, 9),
    ],
)
def test_a_box_over_no_pixel_has_an_empty_mask(box: tuple[float, ...]) -> None:
    boxes = np.array([box, (0, 0, 4, 4)], np.float32)
    masks = map_masks(np.ones((2, 12, 16), np.float32), boxes, LETTERBOXES['same size'])
    assert masks.areas.tolist() == [0, 16]
    assert masks.painted(np.ones(2)).max() == 2


def test_a_mask_that_is_empty_in_its_box() -> None:
    masks = map_masks(
        np.full((1, 12, 16), -1, np.float32), np.array([[4, 4, 9, 9]], np.float32), LETTERBOXES['same size']
    )
    assert masks.crops[0].shape == (5, 5)
    assert masks.areas.tolist() == [0]


def test_no_boxes_have_no_masks() -> None:
    masks = prototype_masks(
        np.ones((3, 4, 4), np.float32),
        np.empty((0, 3), np.float32),
        np.empty((0, 4), np.float32),
        LETTERBOXES['cropped'],
    )
    assert len(masks) == 0
    assert masks.painted(np.empty(0)).shape == (40, 90)


BOX = np.array([[0, 0, 32, 32]], np.float32)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_where_a_mask_needs_them(bad: float) -> None:
    prototypes, coefficients = np.ones((2, 12, 16), np.float32), np.ones((1, 2), np.float32)
    prototypes[1, 3, 3] = bad
    with pytest.raises(FrameError, match="'prototypes': got NaN or infinity in a mask") as error:
        prototype_masks(prototypes, coefficients, BOX, LETTERBOXES['same size'])
    assert error.value.reason == 'non_finite_output'
    with pytest.raises(FrameError, match='NaN or infinity'):
        map_masks(prototypes[1:], BOX, LETTERBOXES['same size'])
    far = np.array([[40, 30, 60, 40]], np.float32)  # no mask looks there
    assert prototype_masks(prototypes, coefficients, far, LETTERBOXES['same size']).areas.tolist() == [200]


@pytest.mark.parametrize(
    ('prototypes', 'coefficients', 'says'),
    [
        ((31, 4, 4), (1, 32), 'got 31 prototypes for 1 boxes with 32 coefficients each'),
        ((32, 4, 4), (2, 32), 'coefficients for each of the 1 boxes'),
        ((32, 4, 4), (32,), 'with 0 coefficients each'),
        ((32, 16), (1, 32), r"output 'prototypes': got \(32, 16\), expected \(P, h, w\)"),
        ((32, 0, 4), (1, 32), r'got \(32, 0, 4\)'),
    ],
)
def test_prototypes_and_coefficients_that_do_not_belong_together(
    prototypes: tuple[int, ...], coefficients: tuple[int, ...], says: str
) -> None:
    with pytest.raises(FrameError, match=says) as error:
        prototype_masks(
            np.ones(prototypes, np.float32), np.ones(coefficients, np.float32), BOX, LETTERBOXES['same size']
        )
    assert error.value.reason == 'bad_output_shape'


def test_another_number_of_maps_than_of_boxes() -> None:
    with pytest.raises(FrameError, match="output 'masks': got 3 masks for 1 boxes"):
        map_masks(np.ones((3, 4, 4), np.float32), BOX, LETTERBOXES['same size'])


def test_whole_numbers_are_no_maps() -> None:
    with pytest.raises(FrameError, match='got int64, expected floating point') as error:
        map_masks(np.ones((1, 4, 4), np.int64), BOX, LETTERBOXES['same size'])
    assert error.value.reason == 'bad_output_type'
