# SPDX-License-Identifier: Apache-2.0
"""A real pair with its measured disparity (Middlebury 2014, "Motorcycle", at a quarter of its size)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.paths import DATA

from isaac_inference.evaluation.depth.errors import depth_errors, disparity_errors
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.stereo.matcher import StereoMatcher
from isaac_inference.ops.stereo.pair_check import check_pair, look_at_pair
from isaac_inference.ops.stereo.rig import StereoRig

FOLDER = DATA / 'stereo' / 'motorcycle'
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason='no shared/data')
K = np.array([[994.978, 0, 311.193], [0, 994.978, 254.877], [0, 0, 1]])
RIG = StereoRig(CameraModel(741, 500, K), 0.193001, 31.086)


@pytest.fixture(scope='module')
def pair() -> list[np.ndarray]:
    return [cv2.imread(str(FOLDER / f'motorcycle_{side}.png'), cv2.IMREAD_GRAYSCALE) for side in ('left', 'right')]


def test_the_default_settings_measure_it(pair: list[np.ndarray]) -> None:
    truth = np.load(FOLDER / 'motorcycle_disp.npz')['arr_0']
    found = StereoMatcher()(*pair, RIG.lowest)
    errors = disparity_errors(found.pixels, truth)
    assert errors.mae <= 0.9
    assert errors.bad <= 5.5
    assert errors.completeness >= 0.85
    depth = depth_errors(RIG.depth(found.pixels), RIG.depth(truth))
    assert depth.median_rel <= 0.01
    # independent of StereoRig: Z = baseline * f / (d + doffs), as the data set says
    independent = 0.193001 * 994.978 / (found.pixels.astype(np.float64) + 31.086)
    np.testing.assert_allclose(RIG.depth(found.pixels), independent, rtol=1e-5)


def test_it_is_a_sound_pair_in_one_order_only(pair: list[np.ndarray]) -> None:
    assert check_pair(*pair, RIG.doffs).same_row > 0.8
    assert look_at_pair(pair[1], pair[0], -RIG.doffs).behind > 0.9
