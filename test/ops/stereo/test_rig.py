# SPDX-License-Identifier: Apache-2.0
"""What two calibrations say together, and what contradicts."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.stereo.rig import StereoRig

F, BASELINE = 600.0, 0.12


def side(tx: float = 0.0, f: float = F, cx: float = 319.5, cy: float = 239.5, ty: float = 0.0, **other) -> Calibration:
    k = (f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0)
    p = (f, 0.0, cx, tx, 0.0, f, cy, ty, 0.0, 0.0, 1.0, 0.0)
    return Calibration(other.get('width', 640), 480, 'plumb_bob', (), k, p)


LEFT, RIGHT = side(), side(-F * BASELINE)


def test_baseline_and_doffs_come_from_both_p() -> None:
    rig = StereoRig.from_calibrations(LEFT, side(-F * BASELINE, cx=330.0))
    assert rig.baseline == pytest.approx(BASELINE) and rig.doffs == pytest.approx(10.5)
    assert rig.lowest == -11


@pytest.mark.parametrize('doffs', [0.0, 31.086, -7.25])
def test_depth_is_that_of_a_projected_point(doffs: float) -> None:
    rig = StereoRig.from_calibrations(LEFT, side(-F * BASELINE, cx=319.5 + doffs))
    for x, z in ((0.3, 1.7), (-0.2, 0.4), (1.0, 25.0)):
        at_left = F * x / z + 319.5
        at_right = F * (x - BASELINE) / z + 319.5 + doffs
        found = rig.depth(np.array([at_left - at_right], np.float32))
        assert found[0] == pytest.approx(z, rel=1e-4)
        assert rig.disparity(found)[0] == pytest.approx(at_left - at_right, abs=1e-3)


def test_what_is_no_depth_is_nan() -> None:
    rig = StereoRig.from_calibrations(LEFT, RIGHT)
    assert np.isnan(rig.depth(np.array([np.nan, 0.0, -3.0, np.inf, -np.inf], np.float32))).all()


def test_the_nearest_that_a_search_reaches() -> None:
    rig = StereoRig.from_calibrations(LEFT, RIGHT)
    assert rig.nearest(128) == pytest.approx(F * BASELINE / 128)
    assert rig.nearest(0) == np.inf


@pytest.mark.parametrize(
    'left, right, reason, said',
    [
        (LEFT, LEFT, 'stereo_baseline', 'a baseline of zero'),
        (RIGHT, LEFT, 'stereo_swapped', 'the right camera would be at the left'),
        (LEFT, side(F * BASELINE), 'stereo_swapped', 'a baseline of -0.1200 m'),
        (LEFT, side(-F * BASELINE * 1000), 'stereo_baseline', 'calibrated in millimetres'),
        (LEFT, side(0.0, ty=-F * BASELINE), 'stereo_baseline', 'above each other'),
        (LEFT, side(-F * BASELINE, f=610.0), 'stereo_calibration', 'calibrate the two cameras as a pair'),
        (LEFT, side(-F * BASELINE, cy=241.0), 'stereo_calibration', 'cy 239.50'),
        (LEFT, side(-F * BASELINE, width=320), 'stereo_size', '640x480 pixels, right camera_info for 320x480'),
        (LEFT, Calibration(640, 480, '', (), (0.0,) * 9), 'no_intrinsics', 'all zeros'),
    ],
)
def test_calibrations_of_no_pair_are_named(left: Calibration, right: Calibration, reason: str, said: str) -> None:
    with pytest.raises(FrameError, match=said) as error:
        StereoRig.from_calibrations(left, right)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    'shift, turn', [((0.05, 0, 0), 0.0), ((-BASELINE, 0, 0), 0.0), ((0, BASELINE, 0), 0.0), ((BASELINE, 0, 0), 0.5)]
)
def test_a_transform_that_contradicts_p_is_refused(shift: tuple[float, float, float], turn: float) -> None:
    rig = StereoRig.from_calibrations(LEFT, RIGHT)
    with pytest.raises(FrameError, match='P of the right camera_info says .* 0.1200 m .* /tf says') as error:
        rig.check_transform(Pose(so3_exp(np.array([0.0, turn, 0.0])), np.array(shift, float)))
    assert error.value.reason == 'stereo_baseline'


@pytest.mark.parametrize('shift', [(0.0, 0.0, 0.0), (0.1195, 0.002, 0.001)])
def test_a_transform_that_agrees_or_says_nothing_passes(shift: tuple[float, float, float]) -> None:
    StereoRig.from_calibrations(LEFT, RIGHT).check_transform(Pose(so3_exp(np.array([0, 0.01, 0])), np.array(shift)))
