# SPDX-License-Identifier: Apache-2.0
"""Masks over the network's input: mixed from prototypes (YOLACT, YOLO-seg), or one map an object (RTMDet-Ins).

A mask is the sigmoid of the sum of prototypes that a box's coefficients weigh, brought to the image by bilinear
interpolation of that sum, not of the sigmoid, and cut at the box: Bolya et al., 'YOLACT: Real-time Instance
Segmentation', arXiv 1904.02689, section 3. The sigmoid is above 0.5 where the sum is above 0, so none is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sized

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.masks.masks import Masks, begun
from isaac_inference.ops.masks.sampling import MapGrid, exceeds

LOGIT, PROBABILITY = 0.0, 0.5  # a mask is where a logit, or a probability, is above that


def prototype_masks(
    prototypes: np.ndarray,
    coefficients: np.ndarray,
    boxes: np.ndarray,
    letterbox: Letterbox,
    threshold: float = LOGIT,
) -> Masks:
    """One mask a box from prototypes, in source pixels; only what lies under the boxes is computed.

    Args:
        prototypes: (P, h, w) float32 or float16, over the network's whole input.
        coefficients: (N, P) float32.
        boxes: (N, 4) float32, x_min, y_min, x_max, y_max in source pixels. As with YOLACT and Ultralytics, pixel i
            belongs to a box where x_min <= i < x_max. A box without an area, or outside of the image, has an empty
            mask.
        letterbox: how the image was fitted into the input.
        threshold: `LOGIT`, or `PROBABILITY` where the sums are probabilities already.

    Raises:
        FrameError: 'bad_output_shape' (not as many coefficients as prototypes, or as boxes), 'bad_output_type',
            'non_finite_output'.

    Example: the second prototype is the right half of the input.
        >>> prototypes = np.array([[[1, 1]], [[-4, 4]]], np.float32)
        >>> box, letterbox = np.array([[0, 0, 4, 1]], np.float32), Letterbox.between((4, 1), (4, 1))
        >>> masks = prototype_masks(prototypes, np.array([[0, 1]], np.float32), box, letterbox)
        >>> masks.crops[0].tolist()
        [[False, False, True, True]]
    """
    _check_maps('prototypes', prototypes, '(P, h, w)')
    count, (channels, height, width) = len(boxes), prototypes.shape
    if coefficients.shape != (count, channels):
        raise FrameError(
            'bad_output_shape',
            f"output 'prototypes': got {channels} prototypes for {len(coefficients)} boxes with "
            f'{coefficients.shape[1] if coefficients.ndim == 2 else 0} coefficients each, expected one prototype for '
            f'each coefficient, and coefficients for each of the {count} boxes; check masks.channels in the model card',
        )
    flat = prototypes.reshape(channels, height * width)

    def logits(index: int, rows: slice, columns: slice) -> np.ndarray:
        # whole rows lie one after the other, so that no copy is made of them
        band = np.asarray(flat[:, rows.start * width : rows.stop * width], np.float32)
        with np.errstate(over='ignore', invalid='ignore'):
            return (coefficients[index] @ band).reshape(-1, width)[:, columns]

    return _masks(logits, boxes, letterbox, (width, height), threshold, 'prototypes')


def map_masks(
    maps: np.ndarray,
    boxes: np.ndarray,
    letterbox: Letterbox,
    threshold: float = LOGIT,
    *,
    rows: np.ndarray | None = None,
    source: str = 'masks',
) -> Masks:
    """One mask a box from one map a box over the network's whole input, cut at the box; as `prototype_masks`.

    Args:
        maps: (N, h, w) float32 or float16, of any size; with `rows`, more of them.
        boxes: (N, 4) float32, in source pixels.
        letterbox: how the image was fitted into the input.
        threshold: `LOGIT` or `PROBABILITY`, by what the maps hold.
        rows: (N,) which map is that of each box; None where there is just one for each.
        source: the output that an error names.

    Raises:
        FrameError: 'bad_output_shape' (not as many maps as boxes), 'bad_output_type', 'non_finite_output'.

    Example:
        >>> maps = np.array([[[0.25, 0.75]]], np.float32)
        >>> box, letterbox = np.array([[0, 0, 4, 1]], np.float32), Letterbox.between((4, 1), (4, 1))
        >>> map_masks(maps, box, letterbox, threshold=PROBABILITY).crops[0].tolist()
        [[False, False, True, True]]
    """
    numbers = range(len(maps)) if rows is None else rows.tolist()
    check_count(numbers, len(boxes), source)
    _check_maps(source, maps, '(N, h, w)')

    def values(index: int, lines: slice, columns: slice) -> np.ndarray:
        return np.asarray(maps[numbers[index], lines, columns], np.float32)

    return _masks(values, boxes, letterbox, (maps.shape[2], maps.shape[1]), threshold, source)


def check_count(maps: Sized, count: int, source: str) -> None:
    """Raise FrameError unless there is one map for each of `count` boxes.

    Example:
        >>> check_count(np.zeros((2, 28, 28)), 2, 'masks')
    """
    if len(maps) != count:
        raise FrameError(
            'bad_output_shape',
            f'output {source!r}: got {len(maps)} masks for {count} boxes, expected one for each; check the roles in '
            'the model card',
        )


def _check_maps(name: str, maps: np.ndarray, expected: str) -> None:
    if maps.ndim != 3 or min(maps.shape[1:]) < 1:
        raise FrameError(
            'bad_output_shape',
            f'output {name!r}: got {maps.shape}, expected {expected} without the batch axis; check the roles in the '
            'model card',
        )
    if maps.dtype.kind != 'f':
        raise FrameError(
            'bad_output_type', f'output {name!r}: got {maps.dtype}, expected floating point; check the model card'
        )


def _masks(
    values: Callable[[int, slice, slice], np.ndarray],
    boxes: np.ndarray,
    letterbox: Letterbox,
    map_wh: tuple[int, int],
    threshold: float,
    source: str,
) -> Masks:
    """Masks of the maps `values(index, rows, columns)`, whose parts are asked for only."""
    grid = MapGrid(letterbox, map_wh)
    first, stop = begun(boxes, letterbox.source_wh)
    crops = []
    for index, (begin, end) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
        if end[0] <= begin[0] or end[1] <= begin[1]:
            crops.append(np.zeros((0, 0), np.bool_))
            continue
        x, y = grid.region(begin, end)
        part = values(index, y.span, x.span)
        if not np.isfinite(part).all():
            raise FrameError(
                'non_finite_output',
                f'output {source!r}: got NaN or infinity in a mask, expected finite numbers; check the precision of '
                'the model and its input',
            )
        crops.append(exceeds(part, x.within(x.span), y.within(y.span), threshold))
    return Masks(letterbox.source_wh, first, tuple(crops))
