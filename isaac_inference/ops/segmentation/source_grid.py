# SPDX-License-Identifier: Apache-2.0
"""Which cell of a network's output each pixel of the source image lies in, through the letterbox."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox


@dataclass(frozen=True, eq=False)
class AxisTaps:
    """The cells of one axis for each source pixel that the network saw.

    Pixels and cells have their centres at half units, as in `cv2.resize` and torch's `align_corners=False`.

    Attributes:
        begin, end: the source pixels that the network saw; others were cropped away.
        nearest: (end - begin,) intp, the cell that the pixel's centre lies in.
        first, second: (end - begin,) intp, the two cells whose centres enclose the pixel's; the same at the edges of
            the picture, so that padding never mixes in.
        weight: (end - begin,) float32 in 0..1, the share of `second`.
    """

    begin: int
    end: int
    nearest: np.ndarray
    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class SourceGrid:
    """The way from cells to source pixels for one letterbox and one size of output; made by `source_grid`.

    Attributes:
        source_wh: (width, height) of the source image in px.
        columns, rows: the cells of each axis.
    """

    source_wh: tuple[int, int]
    columns: AxisTaps
    rows: AxisTaps

    @property
    def seen(self) -> tuple[slice, slice]:
        """(rows, columns) of the source image that the network saw."""
        return slice(self.rows.begin, self.rows.end), slice(self.columns.begin, self.columns.end)

    def nearest(self, cells: np.ndarray, fill: int) -> np.ndarray:
        """The value of the cell that each source pixel lies in.

        Args:
            cells: (h, w) of the size that the grid was made for.
            fill: for pixels that the network did not see.

        Returns:
            (height, width) of the source image, of the type of `cells`, freshly allocated.

        Example: four cells side by side, and a picture that was cropped to its middle half.
            >>> letterbox = Letterbox.between((8, 2), (4, 2), 'crop')
            >>> source_grid(letterbox, (4, 2)).nearest(np.array([[1, 2, 3, 4]] * 2, np.uint8), 255)[0].tolist()
            [255, 255, 1, 2, 3, 4, 255, 255]
        """
        return self.placed(spread(cells, self.columns.nearest, self.rows.nearest), fill)

    def placed(self, seen: np.ndarray, fill: int) -> np.ndarray:
        """What the network saw, (rows, columns) of `seen`, in an image of the source's size; the array itself where
        that is all of it.
        """
        width, height = self.source_wh
        if seen.shape == (height, width):
            return seen
        whole = np.full((height, width), fill, seen.dtype)
        whole[self.seen] = seen
        return whole


def spread(cells: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`cells[rows][:, columns]`, in a quarter of the time: only whole rows are copied, of the turned map too.

    Args:
        cells: (h, w) uint8 or uint16.
        columns, rows: (W,), (H,) intp, within the map.

    Returns:
        (H, W), freshly allocated.

    Example:
        >>> spread(np.array([[1, 2], [3, 4]], np.uint8), np.array([0, 0, 1]), np.array([1])).tolist()
        [[3, 3, 4]]
    """
    # 'clip' spares NumPy a check of each index
    wide = cv2.transpose(cv2.transpose(cells).take(columns, axis=0, mode='clip'))
    return np.asarray(wide).take(rows, axis=0, mode='clip')


@functools.lru_cache(maxsize=16)
def source_grid(letterbox: Letterbox, output_wh: tuple[int, int]) -> SourceGrid:
    """The grid for one letterbox, and an output of (width, height) cells that cover the network's whole input.

    Raises:
        FrameError: 'bad_output_shape' where the output has other proportions than the input, 'bad_letterbox' where no
            whole pixel of the image is in the input.

    Example: two cells for the middle of an image that is cropped to it.
        >>> grid = source_grid(Letterbox.between((8, 2), (4, 2), 'crop'), (2, 1))
        >>> grid.source_wh, grid.columns.nearest.tolist()
        ((8, 2), [0, 0, 1, 1])
    """
    input_wh = letterbox.input_wh
    cross = output_wh[0] * input_wh[1] - output_wh[1] * input_wh[0]
    if abs(cross) > max(input_wh):  # a side may be rounded by a cell
        raise FrameError(
            'bad_output_shape',
            f'output: got {output_wh[0]}x{output_wh[1]} cells for an input of {input_wh[0]}x{input_wh[1]} px, expected '
            'the same proportions; check layout and outputs in the model card',
        )
    columns, rows = (
        _taps(*axis, side, cells) for axis, side, cells in zip(letterbox.axes, input_wh, output_wh, strict=True)
    )
    return SourceGrid(letterbox.source_wh, columns, rows)


def _taps(begin: int, end: int, left: int, right: int, side: int, cells: int) -> AxisTaps:
    """One axis: source pixels [begin, end) fill the input's [left, right), of `side` px and `cells` cells.

    In whole numbers, so that a pixel whose centre lies on the border of two cells is in the same one on every machine.
    """
    if not (0 <= begin < end and left < right):
        raise FrameError(
            'bad_letterbox',
            f'letterbox: source pixels {begin} to {end} on input pixels {left} to {right}, expected at least one of '
            'each; look at the node that prepared the frame',
        )
    centres = (2 * np.arange(end - begin) + 1) * (right - left) + 2 * left * (end - begin)
    nearest = centres * cells // (2 * (end - begin) * side)
    lowest, highest = left * cells // side, -(-right * cells // side) - 1  # cells that show some of the picture
    nearest = np.clip(nearest, lowest, highest)
    place = np.clip(centres * (cells / (2 * (end - begin) * side)) - 0.5, lowest, highest)
    first = np.floor(place).astype(np.intp)
    weight = (place - first).astype(np.float32)
    return AxisTaps(begin, end, nearest.astype(np.intp), first, np.minimum(first + 1, highest), weight)
