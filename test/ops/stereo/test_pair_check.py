# SPDX-License-Identifier: Apache-2.0
"""Pairs in the wrong order, in different rows, and of different scenes are told from sound ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.stereo.pair_check import check_pair, look_at_pair
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.stereo import stereo_sample

SEEDS = range(7300, 7306)


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    sample = stereo_sample(seed)
    return cv2.cvtColor(sample.left, cv2.COLOR_BGR2GRAY), cv2.cvtColor(sample.right, cv2.COLOR_BGR2GRAY)


def reason(left: np.ndarray, right: np.ndarray, doffs: float = 0.0) -> str:
    try:
        check_pair(left, right, doffs)
    except FrameError as error:
        return error.reason
    return ''


@pytest.mark.parametrize('seed', SEEDS)
def test_sound_pairs_pass_and_spoilt_ones_are_named(seed: int) -> None:
    left, right = pair(seed)
    assert reason(left, right) == ''
    assert reason(right, left) == 'stereo_swapped'
    for rows in (-5, 3):
        assert reason(left, np.roll(right, rows, axis=0)) == 'stereo_unrectified'
    turned = cv2.warpAffine(right, cv2.getRotationMatrix2D((320, 240), 2.5, 1.0), (640, 480))
    assert reason(left, turned) == 'stereo_unrectified'
    # '' where next to nothing is alike
    assert reason(left, pair(seed + 1000)[1]) in ('stereo_no_pair', 'stereo_unrectified', '')


def test_the_offset_is_measured() -> None:
    left, right = pair(7310)
    assert look_at_pair(left, right).offset == pytest.approx(0.0, abs=0.3)
    assert look_at_pair(left, np.roll(right, 6, axis=0)).offset == pytest.approx(6.0, abs=0.3)


def test_large_images_are_looked_at_smaller_and_measured_in_their_own_pixels() -> None:
    sample = stereo_sample(7311, left_camera=default_camera(1600, 1200))
    left, right = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (sample.left, sample.right))
    assert reason(left, right) == ''
    assert look_at_pair(left, np.roll(right, 8, axis=0)).offset == pytest.approx(8.0, abs=0.8)


def test_principal_points_that_differ_are_no_swap() -> None:
    left, right = pair(7312)
    moved = np.roll(right, 80, axis=1)  # as a right camera with cx 80 px further right sees it: all disparities below 0
    assert reason(left, moved) == 'stereo_swapped'
    assert reason(left, moved, doffs=80.0) == ''


@pytest.mark.parametrize('content', ['flat', 'noise'])
def test_images_with_nothing_alike_pass(content: str) -> None:
    """They say nothing; that hardly a pixel matches is what tells."""
    rng = np.random.default_rng(1)
    images = np.full((2, 240, 320), 90) if content == 'flat' else rng.integers(0, 255, (2, 240, 320))
    assert reason(*images.astype(np.uint8)) == ''
