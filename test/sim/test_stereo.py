# SPDX-License-Identifier: Apache-2.0
"""Simulated stereo pairs: the disparity is that of the pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.sensor import SensorSettings
from isaac_inference.sim.stereo import BASELINE, stereo_sample

CLEAN = SensorSettings(blur=0.0, noise=0.0)


@pytest.mark.parametrize('seed', [7100, 7101])
def test_the_right_picture_moved_by_the_disparity_is_the_left_one(seed: int) -> None:
    sample = stereo_sample(seed, sensor=CLEAN)
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in (640, 480)))
    moved = cv2.remap(sample.right, columns - sample.disparity, rows, cv2.INTER_LINEAR)
    off = np.abs(moved.astype(int) - sample.left).max(axis=2)
    assert np.median(off[sample.visible]) <= 2
    assert (off[sample.visible] > 30).mean() < 0.03
    assert (off[~sample.visible] > 30).mean() > 0.2


def test_disparity_is_focal_length_times_baseline_over_depth() -> None:
    sample = stereo_sample(7102)
    focal = sample.left_camera.K[0, 0]
    np.testing.assert_allclose(sample.disparity, focal * BASELINE / sample.depth, rtol=1e-5)
    assert 0.6 < sample.visible.mean() < 0.99


def test_equal_arguments_make_equal_samples_and_the_cameras_have_noise_of_their_own() -> None:
    first, again = stereo_sample(7103), stereo_sample(7103)
    np.testing.assert_array_equal(first.left, again.left)
    np.testing.assert_array_equal(first.right, again.right)
    clean = stereo_sample(7103, sensor=CLEAN)
    noise = [
        (a.astype(float) - b)[200:280, 280:360].ravel()
        for a, b in ((first.left, clean.left), (first.right, clean.right))
    ]
    assert abs(np.corrcoef(*noise)[0, 1]) < 0.5


def test_cameras_that_differ_have_their_offset_in_the_disparity() -> None:
    left, other = default_camera(320, 240), default_camera(320, 240)
    K = other.K.copy()
    K[0, 2] += 12.0
    right = type(other)(320, 240, K)
    sample = stereo_sample(7104, left_camera=left, right_camera=right)
    np.testing.assert_allclose(sample.disparity, left.K[0, 0] * BASELINE / sample.depth - 12.0, rtol=1e-4)
