# SPDX-License-Identifier: Apache-2.0
"""Which source pixels make a pixel of the resized image, and with which weights: what `cv2.resize` does with uint8.

Found by comparison with OpenCV 4.11 on x86-64 (its own code, not IPP). There a resize works on columns and rows
separately, so a table for each says it all; the sums are the kernel's part (cuda/kernels/preprocess.cu).
"""

from __future__ import annotations

import sys
from enum import IntEnum

import numpy as np

from isaac_inference.ops.image.options import Interpolation

# The kernel's struct of that name: the first source pixel, how many (0: padding), their weights.
TAP = np.dtype([('start', '<i4'), ('count', '<i4'), ('weight', '<f4', (4,))])

_UNIT = np.float32(2048)  # OpenCV's weights are whole multiples of 1 / 2048


class Mode(IntEnum):
    """How the kernel adds pixels up."""

    POINT = 0  # takes one
    LINEAR = 1  # 2 x 2, fixed point
    CUBIC = 2  # 4 x 4, fixed point along the rows, then float
    AREA = 3  # any number, the outer ones in part, float
    BLOCK = 4  # a whole number, all alike


def sampling(
    interpolation: Interpolation, source_wh: tuple[int, int], target_wh: tuple[int, int]
) -> tuple[Mode, tuple[np.ndarray, np.ndarray]]:
    """How to resize, as `cv2.resize` does.

    Args:
        interpolation: `cv2.resize`'s.
        source_wh, target_wh: (width, height) in pixels, before and after.

    Returns:
        The mode; and the `TAP`s of the target's columns (target width,) and rows (target height,), whose `start`
        counts from the source's first pixel.
    """
    scales = [_scale(source, target) for source, target in zip(source_wh, target_wh, strict=True)]
    sizes = list(zip(source_wh, target_wh, strict=True))
    whole = [_is_whole(scale) for scale in scales]
    if interpolation is Interpolation.NEAREST:
        return Mode.POINT, _both([_point_taps(*size) for size in sizes])
    if interpolation is Interpolation.CUBIC:
        return Mode.CUBIC, _both([_cubic_taps(*size) for size in sizes])
    shrinks = min(scales) >= 1.0
    if all(whole) and (
        (interpolation is Interpolation.AREA and shrinks)
        or (interpolation is Interpolation.LINEAR and [round(s) for s in scales] == [2, 2])
    ):
        return Mode.BLOCK, _both([_block_taps(*size) for size in sizes])
    if interpolation is Interpolation.AREA:
        if shrinks:
            return Mode.AREA, _both([_area_taps(*size) for size in sizes])
        positions = [_enlarging_area_positions(*size) for size in sizes]
    else:
        positions = [_positions(*size) for size in sizes]
    return Mode.LINEAR, (
        _linear_taps(*_moved_inside(*positions[0], source_wh[0])),
        _linear_taps(*positions[1]),
    )


def _both(taps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return taps[0], taps[1]


def _scale(source: int, target: int) -> float:
    """Source pixels per target pixel; not `source / target`, which may differ in the last bit."""
    return 1.0 / (target / source)


def _is_whole(scale: float) -> bool:
    return abs(scale - round(scale)) < sys.float_info.epsilon


def _taps(start: np.ndarray, count: int | np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    taps = np.zeros(len(start), TAP)
    taps['start'], taps['count'] = start, count
    if weight is not None:
        taps['weight'][:, : weight.shape[1]] = weight
    return taps


def _point_taps(source: int, target: int) -> np.ndarray:
    index = np.floor(np.arange(target) * _scale(source, target)).astype(np.int64)
    return _taps(np.minimum(index, source - 1), 1)


def _block_taps(source: int, target: int) -> np.ndarray:
    side = round(_scale(source, target))
    return _taps(np.arange(target) * side, side)


def _positions(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the pixels' centres: the whole pixel to the left, int64, and the rest, float32."""
    center = ((np.arange(target) + 0.5) * _scale(source, target) - 0.5).astype(np.float32)
    left = np.floor(center)
    return left.astype(np.int64), center - left


def _enlarging_area_positions(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """'area' where at least one side grows: a linear mix of the two pixels that a target pixel lies on."""
    index = np.arange(target)
    left = np.floor(index * _scale(source, target)).astype(np.int64)
    part = ((index + 1) - (left + 1) * (target / source)).astype(np.float32)
    return left, np.where(part <= 0, np.float32(0), part - np.floor(part))


def _moved_inside(left: np.ndarray, part: np.ndarray, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Beyond the edge the edge pixel alone counts. OpenCV does so for columns only, which shows in the rounding."""
    outside = (left < 0) | (left >= source - 1)
    return np.clip(left, 0, source - 1), np.where(outside, np.float32(0), part)


def _linear_taps(left: np.ndarray, part: np.ndarray) -> np.ndarray:
    return _taps(left, 2, np.rint(np.stack((np.float32(1) - part, part), axis=1) * _UNIT))


def _cubic_taps(source: int, target: int) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.75, evaluated in float32."""
    left, part = _positions(source, target)
    a, one = np.float32(-0.75), np.float32(1)
    outer, rest = part + one, one - part
    weights = [
        ((a * outer - 5 * a) * outer + 8 * a) * outer - 4 * a,
        ((a + 2) * part - (a + 3)) * part * part + one,
        ((a + 2) * rest - (a + 3)) * rest * rest + one,
    ]
    weights.append(one - weights[0] - weights[1] - weights[2])
    return _taps(left - 1, 4, np.rint(np.stack(weights, axis=1) * _UNIT))


def _area_taps(source: int, target: int) -> np.ndarray:
    """The pixels that a target pixel covers, each by the part of it that is covered; slivers don't count."""
    scale, sliver = _scale(source, target), 1e-3
    begin = np.arange(target) * scale
    end = begin + scale
    width = np.minimum(scale, source - begin)
    last = np.minimum(np.floor(end).astype(np.int64), source - 1)
    first = np.minimum(np.ceil(begin).astype(np.int64), last)
    leads, trails = first - begin > sliver, end - last > sliver
    middle = 1.0 / width
    tail = np.where(trails, np.minimum(np.minimum(end - last, 1.0), width) / width, middle)
    head = np.where(leads, (first - begin) / width, np.where(last > first, middle, tail))
    count = leads.astype(np.int64) + (last - first) + trails
    return _taps(first - leads, count, np.stack((head, middle, tail), axis=1))
