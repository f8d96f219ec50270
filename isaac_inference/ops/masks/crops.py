# SPDX-License-Identifier: Apache-2.0
"""Masks that are stretched over their boxes: Mask R-CNN."""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.masks.masks import Masks, covered
from isaac_inference.ops.masks.prototypes import PROBABILITY, check_count
from isaac_inference.ops.masks.sampling import Axis, exceeds


def pasted_masks(
    crops: np.ndarray, boxes: np.ndarray, source_wh: tuple[int, int], *, activated: bool = True, source: str = 'masks'
) -> Masks:
    """One mask a box from a small mask that covers just the box, in source pixels.

    The mask is where its probability, bilinear between the centres of its cells and 0 outside of the box, is above
    0.5: He et al., 'Mask R-CNN', arXiv 1703.06870, section 3.1. The cells lie over the whole box, also where that
    reaches beyond the image.

    Args:
        crops: (N, 1, s, t) or (N, s, t) float32 or float16.
        boxes: (N, 4) float32, x_min, y_min, x_max, y_max in source pixels, NOT clipped to the image. A box without an
            area, or outside of the image, has an empty mask.
        source_wh: the image's (width, height) in pixels.
        activated: the values are probabilities; False where a sigmoid makes them so.
        source: the output that an error names.

    Raises:
        FrameError: 'bad_output_shape' (not as many masks as boxes), 'bad_output_type', 'non_finite_output'.

    Example: the right half of a box of 4 px; next to the box's edge there is too little left of it.
        >>> crops, box = np.array([[[[0, 1]]]], np.float32), np.array([[0, 0, 4, 1]], np.float32)
        >>> pasted_masks(crops, box, (6, 1)).crops[0].tolist()
        [[False, False, True, True]]
    """
    small = crops[:, 0] if crops.ndim == 4 and crops.shape[1] == 1 else crops
    if small.ndim != 3 or min(small.shape[1:]) < 1:
        raise FrameError(
            'bad_output_shape',
            f'output {source!r}: got {crops.shape}, expected (N, 1, s, s) or (N, s, s); check the roles in the model '
            'card',
        )
    if small.dtype.kind != 'f':
        raise FrameError(
            'bad_output_type', f'output {source!r}: got {small.dtype}, expected floating point; check the model card'
        )
    check_count(small, len(boxes), source)
    if not np.isfinite(small).all():
        raise FrameError(
            'non_finite_output',
            f'output {source!r}: got NaN or infinity in a mask, expected finite numbers; check the precision of the '
            'model and its input',
        )
    values = np.asarray(small, np.float32)
    if not activated:
        with np.errstate(over='ignore'):
            values = np.asarray(1.0 / (1.0 + np.exp(-values)), np.float32)
    values = np.pad(values, ((0, 0), (1, 1), (1, 1)))  # what lies outside of a box is not the object
    first, stop = covered(boxes, source_wh)
    made = []
    for index, (begin, end) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
        low, high = np.array(boxes[index, :2], np.float64), np.array(boxes[index, 2:], np.float64)
        if end[0] <= begin[0] or end[1] <= begin[1]:
            made.append(np.zeros((0, 0), np.bool_))
            continue
        x, y = (
            Axis.at((np.arange(begin[i], end[i]) + 0.5 - low[i]) * (cells / (high[i] - low[i])) + 1.0, 0, cells + 2)
            for i, cells in ((0, small.shape[2]), (1, small.shape[1]))
        )
        made.append(exceeds(values[index], x, y, PROBABILITY))
    return Masks(source_wh, first, tuple(made))
