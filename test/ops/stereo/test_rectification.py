# SPDX-License-Identifier: Apache-2.0
"""Raw pairs of the simulator, rectified by K, D, R and P: the same rows, and the depth of the rectified camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rectification import Rectification
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.image.remap import PixelMap, remap_into
from isaac_inference.ops.stereo.matcher import StereoMatcher
from isaac_inference.ops.stereo.pair_check import look_at_pair
from isaac_inference.ops.stereo.rig import StereoRig
from isaac_inference.sim.camera import default_camera
from isaac_inference.sim.stereo import stereo_sample

T_LEFT_RIGHT = Pose(so3_exp(np.array([0.01, 0.02, -0.015])), np.array([0.06, 0.001, 0.002]))


def flattened(raw: CameraModel, R: np.ndarray, flat: CameraModel, image: np.ndarray) -> np.ndarray:
    """A raw grey image as the rectified camera sees it."""
    places = Rectification(raw, flat, R, np.zeros(3)).raw_pixels(np.arange(flat.width), np.arange(flat.height))
    out = np.empty((flat.height, flat.width), np.uint8)
    remap_into(image, PixelMap.of(places, (raw.width, raw.height)), out, 0)
    return out


def test_a_raw_pair_is_rectified_and_measures_the_true_depth() -> None:
    lens = default_camera(distorted=True)
    sample = stereo_sample(7400, left_camera=lens, right_camera=lens, T_left_right=T_LEFT_RIGHT)
    assert np.isnan(sample.disparity).all() and not sample.visible.any()
    T = T_LEFT_RIGHT.inverse()  # OpenCV's R and T take points from the left to the right camera
    D = np.array(lens.distortion)
    R1, R2, P1, P2, *_ = cv2.stereoRectify(lens.K, D, lens.K, D, (640, 480), T.rotation, T.translation, alpha=0)
    flat, other = (CameraModel(640, 480, P[:, :3]) for P in (P1, P2))
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (sample.left, sample.right)]
    assert look_at_pair(*grey).same_row < 0.7
    left = flattened(lens, R1, flat, grey[0])
    right = flattened(lens, R2, other, grey[1])
    assert look_at_pair(left, right).same_row > 0.85
    rig = StereoRig(flat, -P2[0, 3] / P2[0, 0], P2[0, 2] - P1[0, 2])
    assert rig.baseline == pytest.approx(np.linalg.norm(T_LEFT_RIGHT.translation))
    depth = rig.depth(StereoMatcher()(left, right, rig.lowest).pixels)
    # the true depth along the rectified camera's z, at the rectified pixels
    rays = np.stack(np.meshgrid(np.arange(640), np.arange(480)), axis=-1).reshape(-1, 2)
    flat_rays = np.column_stack((flat.undistort(rays), np.ones(len(rays))))
    raw_rays = flat_rays @ R1  # R1 transposed, from the left
    at = lens.project(raw_rays).astype(np.float32).reshape(480, 640, 2)
    z = cv2.remap(sample.depth, at[..., 0], at[..., 1], cv2.INTER_NEAREST, borderValue=(np.nan,))
    truth = z / raw_rays[:, 2].reshape(480, 640)
    relative = np.abs(depth - truth) / truth
    assert np.nanmedian(relative) < 0.01
    assert np.isfinite(depth).mean() > 0.5


def test_a_fisheye_lens_is_flattened() -> None:
    raw = CameraModel(640, 480, np.array([[300.0, 0, 320], [0, 300, 240], [0, 0, 1]]), (0.01, 0, 0, 0), 'equidistant')
    flat = CameraModel(400, 300, np.array([[200.0, 0, 200], [0, 200, 150], [0, 0, 1]]))
    image = np.zeros((480, 640), np.uint8)
    x, y = raw.project(np.array([[0.5, -0.3, 1.0]]))[0]
    cv2.circle(image, (round(x), round(y)), 6, (255,), -1)
    rows, columns = np.nonzero(flattened(raw, np.eye(3), flat, image) > 128)
    assert columns.mean() == pytest.approx(300, abs=1.0) and rows.mean() == pytest.approx(90, abs=1.0)
