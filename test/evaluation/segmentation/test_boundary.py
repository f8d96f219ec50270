# SPDX-License-Identifier: Apache-2.0
"""The boundary F measure: by brute force, at borders, and of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.evaluation.segmentation.boundary import boundary_f, tolerance_px


def blob(rng, shape=(40, 50)):
    """A mask of a few rectangles, some of which reach beyond the image."""
    mask = np.zeros(shape, np.bool_)
    for _ in range(3):
        top, left = rng.integers(-5, shape[0]), rng.integers(-5, shape[1])
        mask[max(top, 0) : top + rng.integers(1, 20), max(left, 0) : left + rng.integers(1, 20)] = True
    return mask


def outline(mask):
    """Pixels of a mask with a pixel of the image beside them that is not of it, one by one."""
    height, width = mask.shape
    found = []
    for y, x in np.argwhere(mask):
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if any(0 <= v < height and 0 <= u < width and not mask[v, u] for v, u in beside):
            found.append((y, x))
    return np.array(found, float).reshape(-1, 2)


def by_brute_force(found, truth, tolerance):
    ours, theirs = outline(found), outline(truth)
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    distance = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    precision, recall = (distance.min(axis=axis) <= tolerance for axis in (1, 0))
    p, r = precision.mean(), recall.mean()
    return 2 * p * r / (p + r) if p + r else 0.0


@pytest.mark.parametrize('tolerance', [0, 1, 3, 4.5])
def test_as_by_brute_force(tolerance):
    rng = np.random.default_rng(1)
    for _ in range(20):
        found, truth = blob(rng), blob(rng)
        assert boundary_f(found, truth, tolerance) == pytest.approx(by_brute_force(found, truth, tolerance), abs=1e-9)


def test_a_mask_is_like_itself_and_both_ways_are_alike():
    rng = np.random.default_rng(2)
    for _ in range(10):
        found, truth = blob(rng), blob(rng)
        assert boundary_f(truth, truth, 0) == 1.0
        assert boundary_f(found, truth, 2) == pytest.approx(boundary_f(truth, found, 2))


def test_the_border_of_the_image_is_no_outline():
    left = np.zeros((20, 30), np.bool_)
    left[:, :10] = True
    shifted = np.zeros_like(left)
    shifted[:, :16] = True
    assert boundary_f(shifted, left, 5) == 0.0, 'the only outline is 6 px away'
    assert boundary_f(shifted, left, 6) == 1.0


def test_of_nothing():
    nothing, something = np.zeros((9, 9), np.bool_), np.eye(9, dtype=np.bool_)
    assert boundary_f(nothing, nothing, 1) == 1.0
    assert boundary_f(nothing, something, 1) == boundary_f(something, nothing, 1) == 0.0
    whole = np.ones((9, 9), np.bool_)
    assert boundary_f(whole, whole, 1) == 1.0, 'it fills the image and has no outline'


def test_masks_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r'\(3, 3\) and \(3, 4\)'):
        boundary_f(np.ones((3, 3), np.bool_), np.ones((3, 4), np.bool_), 1)


def test_the_tolerance_is_that_of_davis():
    assert tolerance_px((854, 480)) == 8, '0.008 of the diagonal, 7.84 px'
    assert tolerance_px((640, 480), 0.01) == 8
