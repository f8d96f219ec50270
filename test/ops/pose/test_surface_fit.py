# SPDX-License-Identifier: Apache-2.0
"""What a depth image says about points, and where it says nothing."""

from __future__ import annotations

import numpy as np
from support.scenes.ray_scene import CAMERA, WH

from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.pose.surface_fit import SeenDepth


def test_seen_depth_is_unknown_outside_and_in_holes():
    image = np.full((WH[1], WH[0]), 0.8, np.float32)
    image[:, 0] = np.nan
    points = np.array(((0.0, 0.0, 1.0), (5.0, 0.0, 1.0), (0.0, 0.0, -1.0)))
    seen = SeenDepth(DepthImage(image, 1.0), CAMERA).at(points)
    np.testing.assert_allclose(seen[0], (0.0, 0.0, 0.8), atol=0.002)
    assert np.isnan(seen[1:]).all()
    hole = np.append((np.array((0, 100)) - CAMERA.K[:2, 2]) / CAMERA.focal, 1.0)
    assert np.isnan(SeenDepth(DepthImage(image, 1.0), CAMERA).at(hole[None])).all()
