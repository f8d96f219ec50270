# SPDX-License-Identifier: Apache-2.0
"""Rectification: where in the raw image each pixel of the rectified one is seen.

Pixel (u, v) of the rectified image is the ray inv(P) (u, v, 1) of its frame, R^T of that in the raw camera's, and what
K and D make of that in the raw image (sensor_msgs/msg/CameraInfo.msg; G. Bradski, A. Kaehler, "Learning OpenCV").
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.calibration import Calibration
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.distortion import EQUIDISTANT, NONE

_AT_A_TIME = 1 << 16  # pixels; as many as the intermediate results fit into the cache for
_WIDEST_DEG = 80.0  # off the axis: there a flat image is 33 times as large as in its middle
_SIDE = 25  # pixels of the grids that are looked at
_OFF_AXIS = 0.2  # of the image's sides: how far the raw image's centre may move by rectification
_SEEN, _REACHED = 0.1, 0.6  # shares: of the rectified image that is seen, of the raw one that the lens model explains
_ODD_SHARE, _ODD_TANGENTIAL = 0.5, 0.02  # less is seen, more is off centre, than good calibrations have
_LARGEST_ZOOM = 8.0
_ORTHONORMAL = 1e-3


@dataclass(frozen=True, eq=False)
class Rectification:
    """From an image as its lens bends it to the flat one of P.

    The plain constructor trusts its arguments; `between` checks what a driver says.

    Attributes:
        raw: the camera of the image as it comes.
        rectified: the camera of the rectified image, without distortion.
        R: (3, 3) from the raw camera's frame to the rectified one's.
        origin: (3,) m, of the camera in its frame: not zero for a stereo pair's second camera.

    Example: a lens that bends nothing, seen twice as large.
        >>> K = np.array([[100.0, 0, 31.5], [0, 100, 23.5], [0, 0, 1]])
        >>> raw = CameraModel(64, 48, K)
        >>> seen = Rectification(raw, raw.resized(128, 96), np.eye(3), np.zeros(3))
        >>> seen.raw_pixels(np.array([0.0, 127.0]), np.array([0.0])).tolist()
        [[[-0.25, -0.25], [63.25, -0.25]]]
    """

    raw: CameraModel
    rectified: CameraModel
    R: np.ndarray
    origin: np.ndarray

    @classmethod
    def between(cls, said: Calibration, image_wh: tuple[int, int]) -> Rectification:
        """What a CameraInfo says of images of a size.

        The rectified image shows the same part of the sensor as the raw one, as `image_proc` has it; with `do_rectify`
        as much of the whole rectified image as the raw part shows.

        Raises:
            FrameError: 'no_intrinsics' (K, or P of a lens that bends, is all zeros), 'bad_intrinsics',
                'unknown_distortion', 'camera_info_roi', 'camera_info_size' (of another size than the image),
                'bad_rectification' (K, D, R and P contradict each other), 'field_of_view' (wider than a flat image
                shows).
        """
        raw = said.camera(False, image_wh)
        raw.check_image(*image_wh)
        if not any(said.p) and raw.model != NONE:
            raise FrameError(
                'no_intrinsics',
                f'CameraInfo: P is all zeros, and rectification of {raw.model} needs it: publish the P that the '
                'calibration gives; or, for a flat image as large as the middle of the raw one, K with a fourth column '
                'of zeros',
            )
        R = _rotation(said.r)
        rectified = said.camera(True, image_wh)
        made = cls(raw, rectified, R, said.origin(True))
        if said.do_rectify and (raw.width, raw.height) != (said.width, said.height):
            made = replace(made, rectified=made._window_of_all(said))
        bx, by = (max(1, joined) for joined in said.binning)
        made._check((said.width / bx, said.height / by), any(said.roi))
        return made

    def raw_pixels(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Where pixels of the rectified image are in the raw one.

        Args:
            x: (W,) of the columns, y: (H,) of the rows; px, pixel centres at whole numbers, need not be in the image.

        Returns:
            (H, W, 2) float32, in the same units, maybe outside of the image; NaN for what the lens model never shows.
        """
        K = self.rectified.K
        across, down = (x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]
        found: np.ndarray = np.empty((len(y), len(x), 2), np.float32)
        rows = max(1, _AT_A_TIME // max(1, len(x)))
        for begin in range(0, len(y), rows):
            part = found[begin : begin + rows]
            rays = np.ones((*part.shape[:2], 3))
            rays[..., 0], rays[..., 1] = across, down[begin : begin + rows, None]
            part[...] = self.raw.project(rays.reshape(-1, 3) @ self.R).reshape(part.shape)
        return found

    def rectified_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The opposite: (N, 2) pixels of the raw image in the rectified one, px, NaN for what that never shows."""
        rays = np.column_stack((self.raw.undistort(pixels), np.ones(len(pixels)))) @ self.R.T
        return self.rectified.project(rays)

    @property
    def seen_share(self) -> float:
        """Which part of the rectified image the raw one shows; the rest has nothing to show."""
        return float(self._is_seen().mean())

    def doubt(self) -> str:
        """Why the distortion may not be the lens's, in words; '' where nothing speaks against it."""
        tangential = max(map(abs, self.raw.distortion[2:4])) if self.raw.model not in (NONE, EQUIDISTANT) else 0.0
        signs = []
        if self.seen_share < _ODD_SHARE:
            signs.append(f'the camera sees {100 * self.seen_share:.0f} % of the rectified image')
        if tangential > _ODD_TANGENTIAL:
            signs.append(f'p1 and p2, {list(self.raw.distortion[2:4])}, are large')
        if not signs:
            return ''
        hint = '' if self.raw.model == EQUIDISTANT else '; if the lens is a fisheye, distortion_model is equidistant'
        return f'CameraInfo: {" and ".join(signs)}: do K, D and P belong to this lens{hint}?'

    def _is_seen(self) -> np.ndarray:
        """(_SIDE, _SIDE) bool, over the rectified image."""
        pixels = self.raw_pixels(*_grid(self.rectified))
        with np.errstate(invalid='ignore'):
            return np.asarray(
                ((pixels >= -0.5) & (pixels <= (self.raw.width - 0.5, self.raw.height - 0.5))).all(axis=2)
            )

    def _window_of_all(self, said: Calibration) -> CameraModel:
        """The camera of what the raw image shows of the whole rectified one: the box around it."""
        whole = said.whole(True)
        x, y = (np.linspace(-0.5, side - 0.5, _SIDE) for side in (self.raw.width, self.raw.height))
        border = np.concatenate([np.column_stack(np.broadcast_arrays(*edge)) for edge in ((x, y[[0]]), (x, y[[-1]]))])
        sides = np.concatenate([np.column_stack(np.broadcast_arrays(*edge)) for edge in ((x[[0]], y), (x[[-1]], y))])
        shown = replace(self, rectified=whole).rectified_pixels(np.concatenate((border, sides)))
        shown = shown[np.isfinite(shown).all(axis=1)]
        bx, by = (max(1, joined) for joined in said.binning)
        if not len(shown):
            raise _contradiction('what roi shows lies outside of what P does')
        left, top = np.clip(np.floor(shown.min(axis=0) + 0.5), 0, (whole.width, whole.height)).astype(int).tolist()
        right, bottom = np.clip(np.ceil(shown.max(axis=0) + 0.5), 0, (whole.width, whole.height)).astype(int).tolist()
        if right - left < bx or bottom - top < by:
            raise _contradiction('what roi shows lies outside of what P does')
        return whole.window(left, top, right - left, bottom - top, (bx, by))

    def _check(self, whole_wh: tuple[float, float], is_part: bool) -> None:
        """Raises FrameError: 'bad_rectification', 'field_of_view'; `whole_wh` of the sensor, in pixels of the image."""
        raw, flat = self.raw, self.rectified
        corner = flat.undistort(np.array([[-0.5, -0.5], [flat.width - 0.5, flat.height - 0.5]]))
        widest = math.degrees(math.atan(float(np.abs(corner).max())))
        if widest > _WIDEST_DEG:
            raise FrameError(
                'field_of_view',
                f'CameraInfo: by P the rectified image reaches {widest:.1f} degrees off its axis, and a flat image is '
                f'hardly of use beyond {_WIDEST_DEG:.0f}; give P a longer focal length than '
                f'{flat.K[0, 0]:.1f} px: the edge of the lens is then cut off',
            )
        axis = self.R[:, 2]  # of the raw camera, seen in the rectified one
        middle = flat.project(axis[None])[0]
        moved = np.abs(middle - raw.K[:2, 2]) / whole_wh
        is_same_part = (flat.width, flat.height) == (raw.width, raw.height)
        if not np.isfinite(middle).all() or (is_same_part and moved.max() > _OFF_AXIS):
            raise _contradiction(
                f'the axis of the lens is at {_pixel(raw.K[:2, 2])} by K and at {_pixel(middle)} by R and P, as if '
                'they belonged to images of different size'
            )
        zoom = flat.focal / raw.focal
        if not 1.0 / _LARGEST_ZOOM < zoom < _LARGEST_ZOOM:
            raise _contradiction(
                f'the focal length is {raw.focal:.1f} px by K and {flat.focal:.1f} px by P, as if they belonged to '
                'images of different size'
            )
        if raw.model not in (NONE, EQUIDISTANT):
            x, y = _grid(raw)
            reached = np.isfinite(raw.undistort(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))).all(axis=1).mean()
            if reached < _REACHED:
                raise _contradiction(
                    f'by {raw.model} with {list(raw.distortion)} light reaches {100 * reached:.0f} % of the image',
                    ', or set distortion_model to equidistant if it is a fisheye lens',
                )
        seen = self.seen_share
        if seen < _SEEN:
            hint = ', or set roi.do_rectify, for what roi shows is elsewhere in the rectified image' if is_part else ''
            raise _contradiction(f'the camera sees {100 * seen:.0f} % of the rectified image', hint)


def _grid(camera: CameraModel) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows, `_SIDE` each, spread over an image."""
    return np.linspace(0, camera.width - 1, _SIDE), np.linspace(0, camera.height - 1, _SIDE)


def _rotation(r: tuple[float, ...]) -> np.ndarray:
    """R; all zeros, as drivers leave it, are no rotation."""
    if not any(r):
        return np.eye(3)
    R = np.array(r, np.float64)
    is_sound = R.size == 9 and np.isfinite(R).all()
    R = R.reshape(3, 3) if is_sound else np.zeros((3, 3))
    if np.abs(R @ R.T - np.eye(3)).max() > _ORTHONORMAL or np.linalg.det(R) < 0.0:
        raise _contradiction(f'R is {list(r)}, expected a rotation, row by row; for one camera it is the identity')
    return R


def _pixel(xy: np.ndarray) -> str:
    return f'({xy[0]:.1f}, {xy[1]:.1f})'


def _contradiction(text: str, hint: str = '') -> FrameError:
    return FrameError('bad_rectification', f'CameraInfo: {text}; check the calibration{hint}')
