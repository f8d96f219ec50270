# SPDX-License-Identifier: Apache-2.0
"""A network's map of numbers at the size of the source image, through the letterbox."""

from __future__ import annotations

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox


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
