# SPDX-License-Identifier: Apache-2.0
"""A rectified pair of cameras: what its two calibrations say together, and depth from its disparities.

Of a rectified pair both images have the same rows, and P = ((f, 0, cx, Tx), (0, f, cy, 0), (0, 0, 1, 0)) of each
(`sensor_msgs/CameraInfo`): Tx is 0 for the left one and -f * baseline for the right one. A point at depth Z has the
disparity d = x_left - x_right = f * baseline / Z + cx_left - cx_right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.rigid import Pose, rotation_angle

_SAME = 1e-3  # relative: focal lengths of a rectified pair that differ by more are not of one
_SAME_ROW = 0.5  # px: principal points of a rectified pair
_LEAST_BASELINE = 1e-4  # m
_SAME_BASELINE = 0.05  # relative: P and a known transform may differ by so much
_OFF_AXIS = math.radians(15.0)  # of the baseline, from the x axis of the left camera, and between the two cameras


@dataclass(frozen=True)
class StereoRig:
    """A rectified pair.

    Attributes:
        camera: of the left image, rectified: no distortion.
        baseline: m, above 0.
        doffs: px, cx of the right image minus that of the left one; what the disparity of a point that is infinitely
            far away is below 0.

    Example: the Middlebury data sets give f, baseline and doffs.
        >>> camera = CameraModel(741, 500, np.array([[994.978, 0, 311.193], [0, 994.978, 254.877], [0, 0, 1]]))
        >>> rig = StereoRig(camera, 0.193001, 31.086)
        >>> [round(float(z), 4) for z in rig.depth(np.array([50.0, np.nan, -40.0], np.float32))]
        [2.3682, nan, nan]
        >>> rig.lowest
        -32
    """

    camera: CameraModel
    baseline: float
    doffs: float = 0.0

    @classmethod
    def from_calibrations(
        cls, left: Calibration, right: Calibration, image_wh: tuple[int, int] | None = None
    ) -> StereoRig:
        """From the CameraInfo of both sides, by their P.

        Args:
            left, right: what they say.
            image_wh: the images' size where it is known, as for `Calibration.camera`.

        Raises:
            FrameError: 'stereo_size' (calibrated sizes differ), 'stereo_swapped' (the baseline is negative: left is
                right), 'stereo_baseline' (there is none), 'stereo_calibration' (the two P are not those of one
                rectified pair), and what `Calibration.camera` raises.
        """
        first, second = left.camera(True, image_wh), right.camera(True, image_wh)
        if (first.width, first.height) != (second.width, second.height):
            raise FrameError(
                'stereo_size',
                f'left camera_info is for {first.width}x{first.height} pixels, right camera_info for '
                f'{second.width}x{second.height}: the images of a pair are of one size; set both cameras alike, and '
                'calibrate them as a pair',
            )
        _check_rows(first, second)
        origin = right.origin(True) - left.origin(True)
        _check_baseline(origin, left, right)
        return cls(first, float(origin[0]), float(second.K[0, 2] - first.K[0, 2]))

    @property
    def lowest(self) -> int:
        """px, the disparity that the search begins with: of what is infinitely far away."""
        return math.floor(-self.doffs + 1e-6)

    def depth(self, disparity: np.ndarray) -> np.ndarray:
        """Disparities to depth along the left camera's z.

        Args:
            disparity: float32 px, x_left - x_right, of any shape; NaN for unknown.

        Returns:
            float32 m; NaN for unknown and for what is infinitely far away or beyond.
        """
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = np.float32(self.camera.K[0, 0] * self.baseline) / (disparity + np.float32(self.doffs))
            depth[~((depth > 0.0) & np.isfinite(depth))] = np.nan
        return depth

    def disparity(self, depth: np.ndarray) -> np.ndarray:
        """The inverse of `depth`: m to px, float32, NaN for unknown."""
        with np.errstate(divide='ignore', invalid='ignore'):
            found = np.float32(self.camera.K[0, 0] * self.baseline) / depth - np.float32(self.doffs)
        return found.astype(np.float32)

    def nearest(self, highest: float) -> float:
        """m, the depth at the largest disparity that is searched; inf where that is beyond infinity."""
        reach = highest + self.doffs
        return float(self.camera.K[0, 0]) * self.baseline / reach if reach > 0 else math.inf

    def check_transform(self, T_left_right: Pose) -> None:
        """Compares the baseline with where a transform between the cameras' frames says that the right one is.

        Raises:
            FrameError: 'stereo_baseline', they contradict each other, so that depth by one of them would be wrong by
                their ratio.
        """
        shift = T_left_right.translation
        length = float(np.linalg.norm(shift))
        if length < _LEAST_BASELINE:
            return  # the frame of the right images is the left camera's, as stereo_image_proc has it
        off_axis = math.acos(max(-1.0, min(1.0, float(shift[0]) / length)))
        turned = rotation_angle(T_left_right.rotation)
        is_same = abs(length - self.baseline) <= _SAME_BASELINE * self.baseline
        if is_same and off_axis < _OFF_AXIS and turned < _OFF_AXIS:
            return
        raise FrameError(
            'stereo_baseline',
            f'P of the right camera_info says that the right camera is {self.baseline:.4f} m to the right of the left '
            f'one, /tf says {shift.round(4).tolist()} m with a turn of '
            f'{math.degrees(turned):.1f} degrees: depth would be wrong by their ratio. '
            'Correct the one that is wrong (optical frames have x to the right), or set check_tf: false if P is right',
        )


def _check_rows(left: CameraModel, right: CameraModel) -> None:
    """Raises FrameError 'stereo_calibration' where two P are not of one rectified pair."""
    f = left.K[0, 0]
    others = (left.K[1, 1], right.K[0, 0], right.K[1, 1])
    if max(abs(other - f) for other in others) > _SAME * f or abs(left.K[1, 2] - right.K[1, 2]) > _SAME_ROW:
        raise FrameError(
            'stereo_calibration',
            f'P of left camera_info has fx {f:.2f}, fy {left.K[1, 1]:.2f} and cy {left.K[1, 2]:.2f}, that of the right '
            f'one {right.K[0, 0]:.2f}, {right.K[1, 1]:.2f} and {right.K[1, 2]:.2f}: a rectified pair has them alike; '
            'calibrate the two cameras as a pair (camera_calibration with two topics), not one by one',
        )


def _check_baseline(origin: np.ndarray, left: Calibration, right: Calibration) -> None:
    """Raises FrameError where the second camera is not to the right of the first one."""
    x, y = float(origin[0]), float(origin[1])
    said = f'P[3] of left camera_info is {left.p[3]:g}, of the right one {right.p[3]:g}'
    if abs(y) > max(abs(x), _LEAST_BASELINE):
        raise FrameError(
            'stereo_baseline',
            f'the cameras are {y:.4f} m above each other and {x:.4f} m beside each other, by P[7] {right.p[7]:g} and '
            'P[3] of right camera_info: only pairs side by side are matched; turn the images by 90 degrees',
        )
    if abs(x) < _LEAST_BASELINE:
        raise FrameError(
            'stereo_baseline',
            f'{said}: a baseline of zero. The right one has to be -fx * baseline; calibrate the cameras as a pair, and '
            'check that right/camera_info is not remapped to the left one',
        )
    if x < 0.0:
        raise FrameError(
            'stereo_swapped',
            f'{said}: a baseline of {x:.4f} m, so the right camera would be at the left; swap left/image and '
            'right/image, and their camera_info with them',
        )
