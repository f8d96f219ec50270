# SPDX-License-Identifier: Apache-2.0
"""What a `sensor_msgs/CameraInfo` says of a camera, and what that makes of the image beside it.

The definition (sensor_msgs/msg/CameraInfo.msg): width and height, K, D, R and P are those of the calibration, which is
that of the full sensor. `roi` is the part of it that was read out, in full-resolution pixels, and binning joins pixels
after that; the image beside the message has the size of the part, divided by the binning. An image of the size of the
whole instead shows the whole. K and D project into the raw image, P into the rectified one, whose frame R turns the raw
one into. Of a stereo pair both P project from the frame of the first camera: the second one's has the baseline in its
fourth column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.distortion import NONE

_SAME = 1e-4  # relative to the focal length: K and P that differ by less are the same
_OFF_CENTRE, _OUTSIDE = 0.25, 0.4  # of the image's sides: a principal point so far off the middle is odd, impossible
_LEAST = 0.35  # of the far edge of a part: where a full image of at least that size has its principal point
_LONGEST_M = 20.0  # a stereo pair further apart is one that was calibrated in millimetres
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class ImageRectified(str, Enum):
    """Whether the image is rectified: seen through P, without distortion; AUTO finds out."""

    AUTO = 'auto'
    TRUE = 'true'
    FALSE = 'false'


class StereoFrame(str, Enum):
    """Whose centre is the origin of the frame that a stereo pair's second camera names.

    FIRST is the convention of stereo_image_proc, by which P projects; OWN is what many drivers do. AUTO takes OWN where
    the frame's name has `right` or `infra2` in it, else FIRST.
    """

    AUTO = 'auto'
    FIRST = 'first'
    OWN = 'own'

    def is_own(self, frame_id: str) -> bool:
        """Whether a frame of that name has its origin in the second camera."""
        if self is StereoFrame.AUTO:
            return not {'right', 'infra2'}.isdisjoint(_words(frame_id))
        return self is StereoFrame.OWN


def rectified_by_name(topic: str) -> bool | None:
    """What an image topic's name says: True for `rect` in it, False for `raw`; None where it says neither.

    Example:
        >>> [rectified_by_name(f'/camera/{name}') for name in ('image_rect_color', 'image_raw', 'direct/image')]
        [True, False, None]
    """
    words = _words(topic)
    if not {'rect', 'rectified'}.isdisjoint(words):
        return True
    return False if 'raw' in words else None


@dataclass(frozen=True)
class Calibration:
    """The unchecked fields of a message; lengths in px.

    Attributes:
        width, height: of the calibrated image.
        distortion_model: as the driver names it.
        d: coefficients, in OpenCV's order.
        k: nine numbers, row by row.
        p: twelve numbers, row by row.
        binning: columns and rows that are joined; 0 is 1.
        roi: x and y of the part's top left pixel, its width and height; all 0 for the whole image.
        r: nine numbers, row by row: from the raw camera's frame to the rectified one's.
        do_rectify: the rectified image is to be as large as what the raw part shows, instead of the same part of it.
    """

    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    p: tuple[float, ...] = (0.0,) * 12
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)
    r: tuple[float, ...] = _IDENTITY
    do_rectify: bool = False

    def camera(self, rectified: bool, image_wh: tuple[int, int] | None = None) -> CameraModel:
        """The model of the image beside the message: of the raw one, by K and D, or of the rectified one, by P.

        Args:
            rectified: which of them.
            image_wh: the image's size where it is known: one of the size of the whole shows the whole, whatever roi
                says. The model need not be of that size; see `CameraModel.check_image`.

        Raises:
            FrameError: 'no_intrinsics' (what is needed is all zeros), 'bad_intrinsics', 'stereo_baseline' (P in
                millimetres), 'unknown_distortion', or
                'camera_info_roi', where size, roi and K do not belong together.
        """
        seen = self._seen(self.whole(rectified))
        is_part = any(self.roi) and self.roi[2:] != (self.width, self.height)
        if image_wh in (None, (seen.width, seen.height)) or not is_part:
            return seen
        whole = replace(self, roi=(0, 0, 0, 0)).camera(rectified)
        return whole if image_wh == (whole.width, whole.height) else seen

    def whole(self, rectified: bool) -> CameraModel:
        """The model that the calibration is of: neither its part nor binned.

        Raises:
            FrameError: as `camera`.
        """
        return self._rectified() if rectified else self._raw()

    def is_of(self, image_wh: tuple[int, int]) -> bool:
        """Whether images of that size can be beside the message: of the whole or of its part, binned."""
        bx, by = (max(1, joined) for joined in self.binning)
        sizes = {(self.width, self.height)} | ({self.roi[2:]} if any(self.roi) else set())
        return image_wh in {(width // bx, height // by) for width, height in sizes}

    @property
    def is_second(self) -> bool:
        """Whether it is the second camera of a stereo pair."""
        return bool(self.origin(True).any())

    def origin(self, rectified: bool) -> np.ndarray:
        """(3,) m: where the camera's centre is in the frame of the stereo pair's first one; zeros for that and for
        every camera of its own.

        P projects [X Y Z 1] of the first camera's frame to (fx X + cx Z + Tx) / Z: as a camera at X = -Tx / fx would.
        """
        shift = np.zeros(3)
        if rectified and len(self.p) == 12 and all(map(math.isfinite, self.p)) and self.p[0] and self.p[5]:
            shift[:2] = -self.p[3] / self.p[0], -self.p[7] / self.p[5]
        return shift

    def only(self) -> bool | None:
        """Whether the image can only be rectified (True) or only be raw (False); None where it could be either.

        Where K, D and P say the same of the pixels it counts as raw, but as rectified if it is the second one of a
        pair, of which P says more.
        """
        if not any(self.k):
            return any(self.p)
        try:
            raw = self._raw()
            if not any(self.p):
                return False if raw.model == NONE else None
            rectified = self._rectified()
        except FrameError:
            return None
        alike = raw.model == NONE and bool(abs(raw.K - rectified.K).max() <= _SAME * raw.focal)
        return self.is_second if alike else None

    def doubt(self) -> str:
        """Why K may not belong to the size, in words; '' where it does."""
        off = self._off_centre() if any(self.k) and not any(self.roi[:2]) else 0.0
        if off <= _OFF_CENTRE:
            return ''
        return (
            f'CameraInfo: K has its centre at ({self.k[2]:.1f}, {self.k[5]:.1f}) in an image of '
            f'{self.width}x{self.height}, far from the middle: is it the K of a larger image of which this is a part? '
            'Then publish that part as roi, with its offset, beside the full width, height and K'
        )

    def _raw(self) -> CameraModel:
        full = CameraModel.from_camera_info(self.width, self.height, self.distortion_model, self.d, self.k)
        if not any(self.roi) and self._off_centre() > _OUTSIDE:
            raise _bad_roi(self.doubt())
        return full

    def _rectified(self) -> CameraModel:
        if not any(self.p):
            plain = CameraModel.from_camera_info(self.width, self.height, self.distortion_model, self.d, self.k)
            if plain.model == NONE:
                return plain
            raise FrameError(
                'no_intrinsics',
                'CameraInfo: P is all zeros, but the image is rectified, and a rectified image needs P; publish it, or '
                'set image_rectified: false if the image is raw',
            )
        if len(self.p) != 12:
            raise FrameError(
                'bad_intrinsics', f'CameraInfo: got {len(self.p)} numbers of P, expected 12; check the calibration'
            )
        P = np.array(self.p, np.float64).reshape(3, 4)
        straight = CameraModel.from_camera_info(self.width, self.height, '', (), P[:, :3], 'P')
        if not np.isfinite(P[:, 3]).all() or P[2, 3]:
            raise FrameError(
                'bad_intrinsics',
                f'CameraInfo: got {P[:, 3].tolist()} as the last column of P, expected (Tx, Ty, 0); check the '
                'calibration',
            )
        baseline = float(np.linalg.norm(self.origin(True)))
        if baseline > _LONGEST_M:
            raise FrameError(
                'stereo_baseline',
                f'CameraInfo: P has its camera {baseline:.0f} m from the first one of its stereo pair, expected at '
                f'most {_LONGEST_M:.0f} m: was it calibrated in millimetres? Tx in P is -fx times the baseline in '
                'metres',
            )
        return straight

    def _seen(self, full: CameraModel) -> CameraModel:
        """The model of the part of the full image that was read out, binned."""
        x, y, width, height = self.roi
        bx, by = (max(1, joined) for joined in self.binning)
        if bx > (width or self.width) or by > (height or self.height):
            raise _bad_roi(
                f'CameraInfo: got binning {bx}x{by} of {width or self.width}x{height or self.height} pixels, which '
                'leaves none; publish how many pixels are joined to one'
            )
        if not any(self.roi):
            return full.window(0, 0, full.width, full.height, (bx, by))
        if (width, height) == (self.width, self.height):
            # the size is that of the part, as many drivers have it; K is of an image that holds all of it
            if any(self.k) and (x or y) and not self._is_of_more_than_the_part():
                raise _bad_roi(
                    f'{self._roi_text()}, which is the size too, but K has its centre at ({self.k[2]:.1f}, '
                    f'{self.k[5]:.1f}), where an image that holds this part hardly has it; leave roi empty if K is '
                    'already that of the part, else publish the full width, height and K'
                )
        elif width < 1 or height < 1 or x + width > self.width or y + height > self.height:
            raise _bad_roi(
                f'{self._roi_text()}, which is not a part of {self.width}x{self.height}; publish the full width, '
                'height and K, and the roi in their pixels'
            )
        return full.window(x, y, width, height, (bx, by))

    def _is_of_more_than_the_part(self) -> bool:
        """Whether K, beside a size that is the part's, is that of an image around it.

        Its centre must be where such an image can have it, and must not fit the part better than its place in that.
        """
        x, y, width, height = self.roi
        if self.k[2] < _LEAST * (x + width) or self.k[5] < _LEAST * (y + height):
            return False
        own = self._off_centre()
        return own > _OFF_CENTRE or own >= self._off_centre(x, y)

    def _off_centre(self, x: int = 0, y: int = 0) -> float:
        """How far K's centre is off the middle, as a share of the image's side; x, y: where the image begins."""
        places = ((self.k[2] - x, self.width), (self.k[5] - y, self.height))
        return max(abs((c + 0.5) / size - 0.5) for c, size in places)

    def _roi_text(self) -> str:
        x, y, width, height = self.roi
        return f'CameraInfo: got roi {width}x{height} at ({x}, {y})'


def _words(name: str) -> list[str]:
    return name.lower().replace('/', '_').split('_')


def _bad_roi(text: str) -> FrameError:
    return FrameError('camera_info_roi', text)
