# SPDX-License-Identifier: Apache-2.0
"""The simulated camera's lens."""

from __future__ import annotations

import numpy as np

from isaac_inference.ops.geometry.camera_model import CameraModel

FOCAL = 0.94  # focal length over image width, of a common RGB-D camera's colour stream
MILD_DISTORTION = (-0.12, 0.06, 0.0008, -0.0006, 0.0)  # k1, k2, p1, p2, k3


def default_camera(width: int = 640, height: int = 480, *, distorted: bool = False) -> CameraModel:
    """A pinhole camera; `distorted` gives it a mild barrel distortion ('plumb_bob')."""
    focal = FOCAL * width
    K = np.array([(focal, 0, (width - 1) / 2), (0, focal, (height - 1) / 2), (0, 0, 1)])
    if distorted:
        return CameraModel(width, height, K, MILD_DISTORTION, 'plumb_bob')
    return CameraModel(width, height, K, (), 'none')
