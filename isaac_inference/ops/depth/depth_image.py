# SPDX-License-Identifier: Apache-2.0
"""Depth images: units, holes, and the 3-D points under a box of the colour image.

Depth is along the optical axis (z), not along the ray. Depth must be registered: the same view as the colour image, at
any resolution. Only the part under a box is converted, never the whole image.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.camera_model import CameraModel

# REP 118: 16-bit depth is in millimetres, float depth in metres.
_METRES_PER_UNIT = {'16UC1': (np.uint16, 0.001), 'mono16': (np.uint16, 0.001), '32FC1': (np.float32, 1.0)}
UNIT_PARAMETER = 'depth_unit_scale'
_MAX_MEDIAN = 50.0  # metres; no depth camera sees half of its image further away
_SATURATED = 65535  # what 16-bit cameras report for "too far"
_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class DepthImage:
    """A depth image as it arrived and the length of its unit; converted only where it is read.

    Attributes:
        data: (H, W) uint16 or float32 in the camera's units; not copied.
        scale: metres per unit.

    Example: 16-bit images are in millimetres, and 0 means no reading.
        >>> image = DepthImage.check(np.array([[1500, 0]], np.uint16), '16UC1')
        >>> image.metres().round(3).tolist()
        [[1.5, nan]]
    """

    data: np.ndarray
    scale: float

    @classmethod
    def check(cls, image: np.ndarray, encoding: str, unit_scale: float | None = None) -> DepthImage:
        """Checks a driver's image, encoding and unit; reads few pixels, unless those are all empty.

        Args:
            image: (H, W) uint16 for 16UC1 and mono16, float32 for 32FC1.
            encoding: of the ROS message.
            unit_scale: metres per unit when the camera does not follow REP 118 (mm in 16 bit, m in float).

        Raises:
            FrameError: 'depth_encoding', 'depth_unit' (float millimetres), 'depth_empty' (no valid pixel).
        """
        known = _METRES_PER_UNIT.get(encoding)
        if known is None or image.ndim != 2 or image.dtype != known[0]:
            raise FrameError(
                'depth_encoding',
                f'depth image: got encoding {encoding!r} with {image.dtype} {image.shape}, expected 16UC1 or mono16 '
                f'(uint16, mm) or 32FC1 (float32, m), one channel; remap depth/image to the depth topic, not to a '
                f'colour or disparity one',
            )
        if unit_scale is not None and not (np.isfinite(unit_scale) and unit_scale > 0.0):
            raise FrameError('depth_unit', f'{UNIT_PARAMETER}: got {unit_scale}, expected metres per unit, above 0')
        made = cls(image, known[1] if unit_scale is None else float(unit_scale))
        made._require_content()
        if unit_scale is None and encoding == '32FC1' and _looks_like_millimetres(image):
            raise FrameError(
                'depth_unit',
                f'depth image: half of the 32FC1 values are above {_MAX_MEDIAN:g}, expected metres; they look '
                f'like millimetres: set {UNIT_PARAMETER}: 0.001',
            )
        return made

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.data.shape[1])

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.data.shape[0])

    def metres(self, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
        """A part as float32 metres; NaN where there is no reading (0, negative, NaN, infinite, 65535 in 16 bit)."""
        return self._metres(self.data[rows, columns])

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Single pixels, as `metres`; both arrays of one shape, within the image."""
        return self._metres(self.data[rows, columns])

    def _metres(self, crop: np.ndarray) -> np.ndarray:
        metres = crop.astype(np.float32) * np.float32(self.scale)
        valid = (metres > 0.0) & np.isfinite(metres)
        if crop.dtype == np.uint16:
            valid &= crop != _SATURATED
        metres[~valid] = np.nan
        return metres

    def _require_content(self) -> None:
        # a few rows suffice for nearly every image; only an image that is empty there is read completely
        for step in (max(1, self.height // 16), 1):
            if np.isfinite(self.metres(slice(None, None, step))).any():
                return
        raise FrameError(
            'depth_empty',
            f'depth image: none of its {self.width}x{self.height} pixels has a reading (all 0, NaN or saturated); is '
            f'the lens covered, everything out of range, or the depth stream not running?',
        )


class RegionPoints(NamedTuple):
    """The 3-D points under a box.

    Attributes:
        points: (N, 3) float32, metres, in the camera's optical frame; in the row-major order of the depth image.
        pixels: (N, 2) int32, (x, y) of each point in the depth image.
        inside: (N,) bool, whether the point lies in the box itself, not in the margin around it.
        area: number of depth pixels that box and mask cover, with or without a reading; margin excluded.
        step: pixels between neighbours that were looked at; 1 for all.
    """

    points: np.ndarray
    pixels: np.ndarray
    inside: np.ndarray
    area: int
    step: int = 1


def region_points(
    depth: DepthImage | np.ndarray,
    depth_camera: CameraModel,
    box_px: np.ndarray,
    color_wh: tuple[int, int],
    mask: np.ndarray | None = None,
    margin: float | np.ndarray = 0.0,
    most: int | None = None,
) -> RegionPoints:
    """The points under a box of the colour image, in the camera's optical frame; lens distortion undone.

    Args:
        depth: registered to the colour image; float metres when it is a plain array.
        depth_camera: intrinsics at the depth image's resolution (see `CameraModel.resized`).
        box_px: (4,) x_min, y_min, x_max, y_max in colour pixels, 0 is the image's edge.
        color_wh: (width, height) of the colour image.
        mask: (H, W) bool or 0/1 in colour pixels; only points under it count as inside.
        margin: fraction of the box's sides added on every side, or (2,) of its width and of its height; those points
            are returned too, but are not `inside`.
        most: about so many pixels of the box are looked at: every n-th row and column of a larger one.

    Raises:
        FrameError: 'camera_info_size', 'bad_box' (not finite, or upside down), 'box_outside' (no pixel of the image
            under it), 'mask_size'.

    Example: with a focal length of 50 px, the pixel right of the centre is 2 m / 50 aside.
        >>> camera = CameraModel(64, 48, np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]))
        >>> depth = np.full((48, 64), 2.0, np.float32)
        >>> region = region_points(depth, camera, np.array([32.0, 24, 34, 25]), color_wh=(64, 48))
        >>> region.points.astype(float).round(3).tolist(), region.pixels.tolist(), region.area
        ([[0.0, 0.0, 2.0], [0.04, 0.0, 2.0]], [[32, 24], [33, 24]], 2)
    """
    if not isinstance(depth, DepthImage):
        depth = DepthImage(depth, 1.0)
    depth_camera.check_image(depth.width, depth.height)
    box = np.asarray(box_px, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
        raise FrameError('bad_box', f'box: got {box.tolist()}, expected finite x_min < x_max and y_min < y_max')
    ratio = np.array((depth.width / color_wh[0], depth.height / color_wh[1]))
    low, high = box[:2] * ratio, box[2:] * ratio
    inner = np.stack(_pixel_range(low, high, depth))
    if (inner[1] <= inner[0]).any():
        raise FrameError(
            'box_outside',
            f'box {box.round(1).tolist()}: no pixel of the {color_wh[0]}x{color_wh[1]} image is under it; do the '
            f'detections belong to this image?',
        )
    border = (high - low) * margin
    (left, top), (right, bottom) = _pixel_range(low - border, high + border, depth)
    step = 1 if most is None else max(1, round(float(np.sqrt(np.prod(inner[1] - inner[0], dtype=np.float64) / most))))
    rows, columns = slice(int(top), int(bottom), step), slice(int(left), int(right), step)
    metres = depth.metres(rows, columns)
    first, stop = -(-(inner - (left, top)) // step)
    inside = np.zeros(metres.shape, np.bool_)
    inside[first[1] : stop[1], first[0] : stop[0]] = True
    if mask is not None:
        inside &= _mask_crop(mask, color_wh, ratio, rows, columns)
    # one index into the crop instead of two, which takes half the time
    found = np.flatnonzero(np.isfinite(metres) if np.any(np.asarray(margin) > 0.0) else np.isfinite(metres) & inside)
    z = metres.ravel()[found]
    rays = ray_grid(depth_camera)[rows, columns].reshape(-1, 2).take(found, axis=0)
    points = np.empty((len(z), 3), np.float32)
    for axis in (0, 1):  # column by column, and rows by `take`: of short rows in a fifth of the time of all at once
        np.multiply(rays[:, axis], z, out=points[:, axis])
    points[:, 2] = z
    kept = inside.ravel()[found]
    y, x = np.divmod(found, metres.shape[1])
    seen = np.isfinite(points[:, 0])  # the lens model may have no ray for a pixel in the corner
    if not seen.all():
        points, kept, x, y = points[seen], kept[seen], x[seen], y[seen]
    pixels = np.stack((x * step + left, y * step + top), axis=1).astype(np.int32)
    return RegionPoints(points, pixels, kept, int(np.count_nonzero(inside)), step)


def color_pixels(pixels: np.ndarray, depth_wh: tuple[int, int], color_wh: tuple[int, int]) -> np.ndarray:
    """Depth pixels (N, 2) to the colour pixels (N, 2) intp (x, y) under their centres.

    Example: the centre of depth pixel (3, 2) is (3.5, 2.5), and the colour image is ten times as large.
        >>> color_pixels(np.array([[3, 2]]), depth_wh=(64, 48), color_wh=(640, 480)).tolist()
        [[35, 25]]
    """
    ratio = np.array((color_wh[0] / depth_wh[0], color_wh[1] / depth_wh[1]))
    return np.minimum(((pixels + 0.5) * ratio).astype(np.intp), np.array(color_wh) - 1)


def _looks_like_millimetres(depth: np.ndarray) -> bool:
    """Whether float depth values cannot be metres: half of the valid ones are above 50. Reads a sample."""
    flat = depth.ravel()
    sample = flat[:: max(1, flat.size // _SAMPLES)]
    sample = sample[np.isfinite(sample) & (sample > 0)]
    return bool(sample.size and np.median(sample) > _MAX_MEDIAN)


def _pixel_range(low: np.ndarray, high: np.ndarray, depth: DepthImage) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last pixel (x, y) whose centres lie between two edges; at least one where they overlap."""
    size = np.array((depth.width, depth.height))
    first = np.ceil(low - 0.5)
    stop = np.maximum(np.floor(high - 0.5) + 1, np.where((high > 0) & (low < size), np.floor(low) + 1, first))
    first = np.minimum(first, stop - 1)
    # clipped before the cast: a huge box must not overflow it
    return np.clip(first, 0, size).astype(np.intp), np.clip(stop, 0, size).astype(np.intp)


def _mask_crop(
    mask: np.ndarray, color_wh: tuple[int, int], ratio: np.ndarray, rows: slice, columns: slice
) -> np.ndarray:
    if mask.shape != (color_wh[1], color_wh[0]):
        raise FrameError(
            'mask_size', f'mask: got {mask.shape}, expected {(color_wh[1], color_wh[0])}, the size of the image'
        )
    x, y = (np.arange(part.start, part.stop, part.step) + 0.5 for part in (columns, rows))
    x = np.minimum((x / ratio[0]).astype(np.intp), color_wh[0] - 1)
    y = np.minimum((y / ratio[1]).astype(np.intp), color_wh[1] - 1)
    return mask[y[:, None], x[None, :]].astype(np.bool_)


def ray_grid(camera: CameraModel) -> np.ndarray:
    """(H, W, 2) float32 of x/z and y/z; cached by value, because a camera model may be created per message.

    Example: with a focal length of 2 px and the centre at 1, pixels are half a unit apart at a distance of 1.
        >>> camera = CameraModel(3, 3, np.array([[2.0, 0, 1], [0, 2, 1], [0, 0, 1]]))
        >>> ray_grid(camera)[0, :, 0].tolist()
        [-0.5, 0.0, 0.5]
    """
    return _cached_rays(camera.width, camera.height, camera.K.tobytes(), camera.distortion, camera.model)


@functools.lru_cache(maxsize=4)
def _cached_rays(width: int, height: int, K: bytes, distortion: tuple[float, ...], model: str) -> np.ndarray:
    camera = CameraModel(width, height, np.frombuffer(K).reshape(3, 3), distortion, model)
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    rays = camera.undistort(np.stack((x.ravel(), y.ravel()), axis=1))
    grid = rays.astype(np.float32).reshape(height, width, 2)
    grid.setflags(write=False)
    return grid
