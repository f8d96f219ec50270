# SPDX-License-Identifier: Apache-2.0
"""What a StereoNode knows of its cameras: regions of interest, and images of the part or of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from isaac_inference.ops.geometry.calibration import ImageRectified
from isaac_inference.ros.nodes.stereo.cameras import SIDES, StereoCameras

WHOLE, PART = (640, 480), (320, 240)
BASELINE = 0.1


def infos(do_rectify: bool, bends: bool = True) -> dict[str, CameraInfo]:
    """Of a raw pair, of which the middle is read out."""
    roi = RegionOfInterest(x_offset=160, y_offset=120, width=PART[0], height=PART[1], do_rectify=do_rectify)
    K = [500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0]
    made = {}
    for side, shift in zip(SIDES, (0.0, -500.0 * BASELINE), strict=True):
        P = [500.0, 0.0, 319.5, shift, 0.0, 500.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]
        d = [-0.2, 0.05, 0.0, 0.0, 0.0] if bends else []
        turn = 0.01 if side == 'left' else -0.01
        R = [
            1.0,
            0.0,
            0.0,
            0.0,
            float(np.cos(turn)),
            -float(np.sin(turn)),
            0.0,
            float(np.sin(turn)),
            float(np.cos(turn)),
        ]
        model = 'plumb_bob' if bends else ''
        made[side] = CameraInfo(width=WHOLE[0], height=WHOLE[1], k=K, p=P, r=R, d=d, distortion_model=model, roi=roi)
    return made


@pytest.mark.parametrize('do_rectify', [False, True])
@pytest.mark.parametrize('size', [PART, WHOLE])
def test_both_rectified_images_are_the_windows_that_depth_has(do_rectify: bool, size: tuple[int, int]) -> None:
    cameras = StereoCameras(ImageRectified.FALSE, {side: [f'{side}/image_raw', ''] for side in SIDES})
    for side, message in infos(do_rectify).items():
        cameras.put(side, message)
    cameras.fit(*size)
    flat = [cameras.rectify(side, np.full(size[::-1], 100, np.uint8)) for side in SIDES]
    assert [image.shape[::-1] for image in flat] == [size, size]
    assert (cameras.rig.camera.width, cameras.rig.camera.height) == size
    assert cameras.rig.baseline == pytest.approx(BASELINE)
    assert cameras.rig.doffs == 0.0
    middle = cameras.rig.camera.K[:2, 2]
    np.testing.assert_allclose(middle, (np.array(size) - 1) / 2, atol=0.01)


def test_images_may_change_from_the_part_to_the_whole() -> None:
    cameras = StereoCameras(ImageRectified.FALSE, {side: [f'{side}/image_raw', ''] for side in SIDES})
    for side, message in infos(False).items():
        cameras.put(side, message)
    for size in (PART, WHOLE, PART):
        assert cameras.rectify('left', np.zeros(size[::-1], np.uint8)).shape[::-1] == size
