# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera: from points in front of it to pixels and back, lens distortion included.

Frame: x right, y down, z forward (REP 103). Pixels here have their CENTRES at whole numbers, as in OpenCV and
`sensor_msgs/CameraInfo`; boxes and keypoints of this package are measured from pixel edges and are 0.5 larger.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.distortion import EQUIDISTANT, NONE, distortion

_UNDISTORT_ITERATIONS = 60
_NEWTON_STEPS = 20
_UNDISTORT_TOLERANCE = 0.01  # pixels; an inverse that misses by more has failed
_FOCAL_LENGTHS = (1.0, 1e6)  # px; less is one of a K for a width of 1
_WIDEST = math.tan(math.radians(89.0))


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Intrinsics and distortion of one image size.

    The plain constructor trusts its arguments; `from_camera_info` checks those of a driver.

    Attributes:
        width, height: of the image in pixels.
        K: (3, 3) float64, ((fx, 0, cx), (0, fy, cy), (0, 0, 1)) in pixels.
        distortion: coefficients in OpenCV's order: k1 k2 p1 p2 (k3 (k4 k5 k6 ...)), or k1 to k4 for equidistant.
        model: 'none', 'plumb_bob', 'rational_polynomial' or 'equidistant'.

    Example: 0.1 m to the right at a distance of 2 m is 0.05 focal lengths from the centre.
        >>> camera = CameraModel(640, 480, np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]))
        >>> camera.project(np.array([[0.1, 0.0, 2.0]])).tolist()
        [[345.0, 240.0]]
        >>> camera.undistort(np.array([[345.0, 240.0]])).tolist()
        [[0.05, 0.0]]
    """

    width: int
    height: int
    K: np.ndarray
    distortion: tuple[float, ...] = ()
    model: str = NONE

    @classmethod
    def from_camera_info(
        cls,
        width: int,
        height: int,
        distortion_model: str,
        d: Sequence[float] | np.ndarray,
        k: Sequence[float] | np.ndarray,
        matrix: str = 'K',
    ) -> CameraModel:
        """From the unchecked fields of a `sensor_msgs/CameraInfo`.

        Args:
            width, height: of the image that K belongs to.
            distortion_model: its name (see `distortion`); '' or 'none' for no distortion.
            d: the coefficients in OpenCV's order.
            k: nine numbers, K row by row.
            matrix: what errors call k.

        Raises:
            FrameError: 'no_intrinsics' for an all-zero K (an uncalibrated camera), 'bad_intrinsics' for
                impossible numbers, 'unknown_distortion' for an unknown model.
        """
        numbers = np.array(k, np.float64).ravel()
        if numbers.size == 9 and not numbers.any():
            raise FrameError(
                'no_intrinsics',
                f'CameraInfo: {matrix} is all zeros, so the camera is not calibrated; calibrate it, or set its '
                'camera_info_url',
            )
        if numbers.size != 9 or not np.isfinite(numbers).all():
            raise _bad_intrinsics(f'got {matrix} {numbers.tolist()}, expected nine finite numbers')
        K = numbers.reshape(3, 3)
        shortest, longest = _FOCAL_LENGTHS
        if not all(shortest <= focal <= longest for focal in (K[0, 0], K[1, 1])):
            raise _bad_intrinsics(
                f'got focal lengths fx {K[0, 0]:g} and fy {K[1, 1]:g} in {matrix}, expected {shortest:g} to '
                f'{longest:g} pixels, not parts of the width'
            )
        if K[0, 1] or K[1, 0] or K[2].tolist() != [0.0, 0.0, 1.0]:
            raise _bad_intrinsics(
                f'got {matrix} {K.tolist()}, expected ((fx, 0, cx), (0, fy, cy), (0, 0, 1)), row by row'
            )
        if width < 1 or height < 1:
            raise _bad_intrinsics(f'got an image of {width}x{height} pixels, expected the calibrated size')
        K.setflags(write=False)
        model, coefficients = distortion(distortion_model, np.array(d, np.float64).ravel())
        return cls(int(width), int(height), K, coefficients, model)

    @property
    def focal(self) -> float:
        """Pixels per radian near the axis: the geometric mean of fx and fy."""
        return math.sqrt(float(self.K[0, 0] * self.K[1, 1]))

    def check_image(self, width: int, height: int) -> None:
        """Raises FrameError 'camera_info_size' when an image does not have the size that K belongs to."""
        if (width, height) != (self.width, self.height):
            raise FrameError(
                'camera_info_size',
                f'CameraInfo: for {self.width}x{self.height} pixels, the image has {width}x{height}; publish the '
                'CameraInfo of the resized image, subscribe to the one that belongs to this image, or correct its '
                'roi and binning',
            )

    def window(self, x: int, y: int, width: int, height: int, binning: tuple[int, int] = (1, 1)) -> CameraModel:
        """The model of a part of the image, of which `binning` (columns, rows) neighbouring pixels are then joined.

        A joined pixel's centre is the middle of its parts (`sensor_msgs/CameraInfo`: a "super-pixel"), not the first of
        them: by that it differs from the plain division by the binning of `image_geometry`, by up to half a pixel.

        Args:
            x, y: of the part's top left pixel.
            width, height: of the part, before pixels are joined.
            binning: columns and rows that become one.

        Example: the centre of a part of 320x240, in the middle, with every four pixels joined.
            >>> camera = CameraModel(640, 480, np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]))
            >>> part = camera.window(160, 120, 320, 240, binning=(2, 2))
            >>> part.width, part.height, part.K[0].tolist(), part.K[1].tolist()
            (160, 120, [250.0, 0.0, 79.5], [0.0, 250.0, 59.5])
        """
        (bx, by), K = binning, self.K.copy()
        K[0, 0] /= bx
        K[1, 1] /= by
        K[0, 2] = (K[0, 2] - x + 0.5) / bx - 0.5
        K[1, 2] = (K[1, 2] - y + 0.5) / by - 0.5
        K.setflags(write=False)
        return replace(self, width=width // bx, height=height // by, K=K)

    def resized(self, width: int, height: int) -> CameraModel:
        """The model of the same view resampled to another size, as by `cv2.resize`.

        Pixel edges scale by a plain factor; the centres are half a pixel off them, so they are shifted too.
        """
        sx, sy = width / self.width, height / self.height
        K = self.K.copy()
        K[0, 0] *= sx
        K[1, 1] *= sy
        K[0, 2] = (K[0, 2] + 0.5) * sx - 0.5
        K[1, 2] = (K[1, 2] + 0.5) * sy - 0.5
        K.setflags(write=False)
        return replace(self, width=width, height=height, K=K)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points in the camera's frame to distorted pixels.

        Args:
            points: (N, 3) in metres.

        Returns:
            (N, 2) float64, pixel centres at whole numbers, not clipped to the image. NaN where a point is not in
            front of the camera, or so far off the axis that the distortion model folds back.
        """
        points = np.asarray(points, np.float64)
        x, y, z = points.T
        visible = z > 0.0
        with np.errstate(divide='ignore', invalid='ignore'):
            normalised = points[:, :2] / z[:, None]
            if self.model != NONE:
                visible &= np.hypot(normalised[:, 0], normalised[:, 1]) < self._widest
        normalised[~visible] = np.nan
        pixels = normalised if self.model == NONE else self._distorted(normalised)
        return pixels * self.K.diagonal()[:2] + self.K[:2, 2]

    def undistort(self, pixels: np.ndarray) -> np.ndarray:
        """Distorted pixels to viewing directions.

        Args:
            pixels: (N, 2), pixel centres at whole numbers.

        Returns:
            (N, 2) float64: x/z and y/z. NaN for pixels that the lens model never reaches.
        """
        pixels = np.asarray(pixels, np.float64)
        distorted = (pixels - self.K[:2, 2]) / self.K.diagonal()[:2]
        if self.model == NONE or len(pixels) == 0:
            return distorted
        if self.model == EQUIDISTANT:
            flat = _undo_equidistant(distorted, self.distortion)
        else:
            stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _UNDISTORT_ITERATIONS, 1e-12)
            eye, d = np.eye(3), np.array(self.distortion)
            flat = np.array(cv2.undistortPointsIter(distorted[:, None], eye, d, eye, eye, stop))[:, 0]
        # The iterations do not report that they diverge, or end on the wrong side of the fold.
        with np.errstate(invalid='ignore', over='ignore'):
            missed = np.abs(self._distorted(flat) - distorted).max(axis=1) * self.focal
            found = (missed < _UNDISTORT_TOLERANCE) & (np.hypot(flat[:, 0], flat[:, 1]) < self._widest)
        flat[~found] = np.nan
        return flat

    def _distorted(self, normalised: np.ndarray) -> np.ndarray:
        """Ideal to distorted normalised coordinates; (N, 2) both."""
        if len(normalised) == 0:
            return normalised
        if self.model == EQUIDISTANT:
            radius = np.hypot(normalised[:, 0], normalised[:, 1])
            theta = np.arctan(radius)
            bent = theta * _polynomial(theta**2, self.distortion)
            with np.errstate(divide='ignore', invalid='ignore'):
                return normalised * np.where(radius > 0.0, bent / radius, 1.0)[:, None]
        if len(self.distortion) <= 8:
            return _radial_tangential(normalised, self.distortion)
        points = np.concatenate((normalised, np.ones((len(normalised), 1))), axis=1)
        zero = np.zeros(3)
        return np.array(cv2.projectPoints(points, zero, zero, np.eye(3), np.array(self.distortion))[0])[:, 0]

    @functools.cached_property
    def _widest(self) -> float:
        """The largest x/z radius before the distorted radius shrinks again; beyond it pixels would be wrong."""
        radius = np.concatenate((np.linspace(0.0, 4.0, 4001)[1:], np.geomspace(4.0, _WIDEST, 1000)[1:]))
        if self.model == EQUIDISTANT:
            theta = np.arctan(radius)
            distorted = theta * _polynomial(theta**2, self.distortion)
        else:
            # k1 k2 p1 p2 k3 over k4 k5 k6; tangential terms are small and left out
            c = (*self.distortion, *(0.0,) * 8)
            square = radius**2
            distorted = radius * _polynomial(square, (c[0], c[1], c[4])) / _polynomial(square, c[5:8])
        falling = np.flatnonzero(np.diff(distorted) <= 0.0)
        return float(radius[falling[0]]) if len(falling) else math.inf


def _radial_tangential(normalised: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """k1 k2 p1 p2 (k3 (k4 k5 k6)) of OpenCV's calib3d; a fraction of the time of its `projectPoints`; (N, 2) both."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, *(0.0,) * (8 - len(coefficients)))
    x, y = normalised[:, 0], normalised[:, 1]
    xx, yy, xy = x * x, y * y, x * y
    square = xx + yy
    radial = _polynomial(square, (k1, k2, k3))
    if k4 or k5 or k6:
        radial /= _polynomial(square, (k4, k5, k6))
    bent = np.empty_like(normalised)
    bent[:, 0] = x * radial + 2.0 * p1 * xy + p2 * (square + 2.0 * xx)
    bent[:, 1] = y * radial + 2.0 * p2 * xy + p1 * (square + 2.0 * yy)
    return bent


def _undo_equidistant(distorted: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """Newton's method for the angle off the axis; (N, 2) both, NaN beyond 90 degrees."""
    bent = np.hypot(distorted[:, 0], distorted[:, 1])
    slope = tuple((2 * i + 3) * c for i, c in enumerate(coefficients))
    theta = np.minimum(bent, math.pi / 2)
    with np.errstate(all='ignore'):
        for _ in range(_NEWTON_STEPS):
            square = theta**2
            step = (theta * _polynomial(square, coefficients) - bent) / _polynomial(square, slope)
            theta = theta - step
            if not (np.abs(step) > 1e-12).any():
                break
        theta[~((theta >= 0.0) & (theta < math.pi / 2))] = np.nan
        return distorted * np.where(bent > 0.0, np.tan(theta) / bent, 1.0)[:, None]


def _polynomial(x: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """1 + c1 x + c2 x^2 + ..."""
    value = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = (value + coefficient) * x
    return value + 1.0


def _bad_intrinsics(what: str) -> FrameError:
    return FrameError('bad_intrinsics', f'CameraInfo: {what}; check the calibration')
