# SPDX-License-Identifier: Apache-2.0
"""Raw images of a pair to rectified ones, with maps that are made once."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.distortion import EQUIDISTANT

_ORTHONORMAL = 1e-3


@dataclass(frozen=True, eq=False)
class RectifyMap:
    """Where in the raw image each pixel of the rectified one is, in the form that `cv2.remap` is fastest with.

    Attributes:
        places: (H, W, 2) int16.
        fractions: (H, W) uint16.
    """

    places: np.ndarray
    fractions: np.ndarray

    @classmethod
    def make(cls, raw: CameraModel, R: np.ndarray, rectified: CameraModel) -> RectifyMap:
        """Of one camera.

        Args:
            raw: by K and D.
            R: (3, 3), from the raw camera's frame to the rectified one; all zeros is no turn.
            rectified: by P.

        Raises:
            FrameError: 'bad_rectification', R is no rotation.

        Example: without distortion and turn nothing moves.
            >>> camera = CameraModel(40, 30, np.array([[30.0, 0, 20], [0, 30, 15], [0, 0, 1]]))
            >>> image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
            >>> bool((RectifyMap.make(camera, np.eye(3), camera)(image) == image).all())
            True
        """
        R = np.asarray(R, np.float64).reshape(3, 3)
        if not R.any():
            R = np.eye(3)
        if not np.isfinite(R).all() or np.abs(R @ R.T - np.eye(3)).max() > _ORTHONORMAL or np.linalg.det(R) < 0.0:
            raise FrameError(
                'bad_rectification',
                f'CameraInfo: R is {R.ravel().round(4).tolist()}, expected a rotation, row by row; calibrate the pair '
                'again',
            )
        size, D = (rectified.width, rectified.height), np.array(raw.distortion or (0.0,) * 4)
        initialise = cv2.fisheye.initUndistortRectifyMap if raw.model == EQUIDISTANT else cv2.initUndistortRectifyMap
        return cls(*initialise(raw.K, D, R, rectified.K, size, cv2.CV_16SC2))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The rectified image; black where the raw one shows nothing. (H, W) or (H, W, C) uint8."""
        return cv2.remap(image, self.places, self.fractions, cv2.INTER_LINEAR)
