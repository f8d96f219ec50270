# SPDX-License-Identifier: Apache-2.0
"""Through the letterbox: a network's numbers at the size of the source image, and depth on a network's input."""

from __future__ import annotations

import math

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox

_NOTHING = np.float32(1e30)  # m; OpenCV takes borders for the largest number, not for infinity


def to_source(values: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """Bilinear, with pixel centres at half units (as `cv2.resize`, and torch's `align_corners=False`).

    What the padding got never mixes in: at the edges of the picture its outermost values are continued.

    Args:
        values: (h, w) float32, over the network's whole input, at that size or another of the same proportions.
        letterbox: how the image was fitted into the input.

    Returns:
        (H, W) float32 of the source image; NaN where the network did not see it.

    Raises:
        FrameError: 'bad_output_shape', other proportions than the input's.

    Example: a picture of 2x1 on an input of 2x2, whose second row is padding.
        >>> letterbox = Letterbox.between((4, 2), (2, 2), anchor='top_left')
        >>> to_source(np.array([[1, 2], [9, 9]], np.float32), letterbox).tolist()
        [[1.0, 1.25, 1.75, 2.0], [1.0, 1.25, 1.75, 2.0]]
    """
    (height, width), (input_width, input_height) = values.shape, letterbox.input_wh
    if abs(width * input_height - height * input_width) > max(input_width, input_height):
        raise FrameError(
            'bad_output_shape',
            f'output: got {width}x{height} numbers for an input of {input_width}x{input_height} px, expected the same '
            'proportions; check layout and outputs in the model card',
        )
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    columns, rows = (left * width, right * width), (top * height, bottom * height)
    if not any(edge % input_width for edge in columns) and not any(edge % input_height for edge in rows):
        begin, end = (edge // input_width for edge in columns)
        first, last = (edge // input_height for edge in rows)
        seen = cv2.resize(
            np.ascontiguousarray(values[first:last, begin:end]), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR
        )
    else:  # the picture's edges are inside of numbers
        across = _places(x1 - x0, columns[0] / input_width, columns[1] / input_width, width)
        down = _places(y1 - y0, rows[0] / input_height, rows[1] / input_height, height)
        seen = _mix(_mix(values, *across, axis=1), *down, axis=0)
    if seen.shape == letterbox.source_wh[::-1]:
        return np.asarray(seen, np.float32)
    whole = np.full(letterbox.source_wh[::-1], np.nan, np.float32)
    whole[y0:y1, x0:x1] = seen
    return whole


def to_source_with_steps(
    values: np.ndarray, letterbox: Letterbox, *, relative: float = 0.0, absolute: float = 0.0
) -> np.ndarray:
    """`to_source` for depth or disparity: nothing is made up between a near surface and a far one.

    Where a number and its neighbours span more than both limits together, and beside unknown ones, pixels get the
    number that they lie in.

    Args:
        values, letterbox: as of `to_source`; values may be NaN.
        relative, absolute: the limits, a share of the number and its own unit.

    Raises:
        FrameError: as of `to_source`.

    Example: a step from 1 to 9 at twice the size stays one.
        >>> letterbox = Letterbox.between((4, 1), (2, 1), 'stretch')
        >>> to_source_with_steps(np.array([[1, 9]], np.float32), letterbox, relative=0.1).tolist()
        [[1.0, 1.0, 9.0, 9.0]]
    """
    smooth = to_source(values, letterbox)
    (height, width), (input_width, input_height) = values.shape, letterbox.input_wh
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    if (right - left) * width == (x1 - x0) * input_width and (bottom - top) * height == (y1 - y0) * input_height:
        return smooth  # number by number
    is_step = _steps(values, np.float32(relative), np.float32(absolute))
    columns, rows = (left * width, right * width), (top * height, bottom * height)
    if any(edge % input_width for edge in columns) or any(edge % input_height for edge in rows):
        across = _nearest(x1 - x0, columns[0] / input_width, columns[1] / input_width, width)
        down = _nearest(y1 - y0, rows[0] / input_height, rows[1] / input_height, height)
        nearest, at = (part.take(down, axis=0).take(across, axis=1) for part in (values, is_step))
    else:  # the same, in a tenth of the time
        begin, end = (edge // input_width for edge in columns)
        first, last = (edge // input_height for edge in rows)
        crops = (np.ascontiguousarray(part[first:last, begin:end]) for part in (values, is_step))
        nearest, at = (cv2.resize(crop, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST_EXACT) for crop in crops)
    np.copyto(smooth[y0:y1, x0:x1], nearest, where=at.view(np.bool_))
    return smooth


def depth_to_input(depth: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """A depth image on a network's input: each cell has a reading of its own, never a mixture of two.

    It is the reading in its middle; where there is none, the nearest to the camera of those that the cell covers, so
    that sparse readings are not lost.

    Args:
        depth: (H, W) float32 m, NaN for unknown.
        letterbox: how the image of the same size is fitted into the input.

    Returns:
        (h, w) float32 m; NaN for unknown, and for padding.

    Raises:
        FrameError: 'bad_letterbox', depth is not of the letterbox's size.

    Example: two of four readings in a row are missing.
        >>> letterbox = Letterbox.between((4, 1), (2, 1), 'stretch')
        >>> depth_to_input(np.array([[3, np.nan, np.nan, np.nan]], np.float32), letterbox).tolist()
        [[3.0, nan]]
    """
    if depth.shape != letterbox.source_wh[::-1]:
        raise FrameError(
            'bad_letterbox',
            f'depth: got {depth.shape[1]}x{depth.shape[0]} px, expected those of the image, '
            f'{letterbox.source_wh[0]}x{letterbox.source_wh[1]}',
        )
    (x0, x1, left, right), (y0, y1, top, bottom) = letterbox.axes
    part = depth[y0:y1, x0:x1]
    across = _nearest(right - left, 0.0, float(x1 - x0), x1 - x0)
    down = _nearest(bottom - top, 0.0, float(y1 - y0), y1 - y0)
    taken = part.take(down, axis=0).take(across, axis=1)
    cell = tuple(math.ceil(size / count - 1e-6) for size, count in ((x1 - x0, right - left), (y1 - y0, bottom - top)))
    if max(cell) > 1:
        nearest = cv2.erode(
            np.where(np.isfinite(part), part, _NOTHING),
            np.ones(cell[::-1], np.uint8),
            anchor=(cell[0] // 2, cell[1] // 2),
        )
        covered = nearest.take(down, axis=0).take(across, axis=1)
        taken = np.where(np.isfinite(taken) | (covered >= _NOTHING), taken, covered)
    made = np.full(letterbox.input_wh[::-1], np.nan, np.float32)
    made[top:bottom, left:right] = taken
    return made


def _steps(values: np.ndarray, relative: np.float32, absolute: np.float32) -> np.ndarray:
    """(h, w) uint8, 1 at numbers that span more than the limits with their neighbours, or have unknown ones."""
    window = np.ones((3, 3), np.uint8)
    known = np.isfinite(values)
    if known.all():
        span = cv2.dilate(values, window) - cv2.erode(values, window)
        return np.asarray(span > relative * np.abs(values) + absolute).view(np.uint8)
    least = cv2.erode(np.where(known, values, _NOTHING), window)
    span = cv2.dilate(np.where(known, values, -_NOTHING), window) - least
    is_step = span > relative * np.abs(values) + absolute
    return np.asarray(is_step).view(np.uint8) | np.asarray(cv2.dilate((~known).view(np.uint8), window), np.uint8)


def _nearest(count: int, begin: float, end: float, size: int) -> np.ndarray:
    """For `count` pixels over [begin, end) of `size` numbers: the one that the centre of each lies in."""
    place = begin + (np.arange(count) + 0.5) * (end - begin) / count
    return np.asarray(np.clip(np.floor(place + 1e-9), 0, size - 1), np.intp)


def _places(count: int, begin: float, end: float, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For `count` pixels over [begin, end) of `size` numbers: the two that each is between, and the second's share."""
    lowest, highest = int(begin), max(int(begin), min(size, int(np.ceil(end))) - 1)
    place = np.clip(begin + (np.arange(count) + 0.5) * (end - begin) / count - 0.5, lowest, highest)
    first = np.floor(place).astype(np.intp)
    return first, np.minimum(first + 1, highest), (place - first).astype(np.float32)


def _mix(values: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray, axis: int) -> np.ndarray:
    one, other = values.take(first, axis=axis), values.take(second, axis=axis)
    weight = share if axis else share[:, None]
    return np.asarray(one + (other - one) * weight, np.float32)
