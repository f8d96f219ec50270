# SPDX-License-Identifier: Apache-2.0
"""Small maps at the pixels of the source image: bilinear, between the centres of the map's cells.

Coordinates are continuous and measured from edges, as everywhere in `letterbox`: cell k of a map covers [k, k + 1) and
its value stands at its centre k + 0.5. The centre of source pixel x lies at x + 0.5, so on the network's input at
(x + 0.5) * scale + offset and on a map of w cells over an input of W pixels at that times w / W. Half a cell outside
of the outermost centres a map goes on with its outermost values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isaac_inference.ops.image.letterbox import Letterbox


class Axis(NamedTuple):
    """Where n pixels lie along one axis of a map: `values[lower] * (1 - share) + values[upper] * share`.

    Attributes:
        lower, upper: (n,) intp, the cells on both sides.
        share: (n,) float32, of the upper one.
    """

    lower: np.ndarray
    upper: np.ndarray
    share: np.ndarray

    @classmethod
    def at(cls, places: np.ndarray, first: int, stop: int) -> Axis:
        """Where `places` (n,), measured from the map's edge, lie between the centres of cells first to stop - 1.

        Example: half way between the first and the second centre, and before the first.
            >>> Axis.at(np.array([1.0, 0.2]), 0, 4).share.tolist()
            [0.5, 0.0]
        """
        centered = np.clip(places - 0.5, first, stop - 1)
        lower = np.minimum(centered.astype(np.intp), max(first, stop - 2))
        return cls(lower, np.minimum(lower + 1, stop - 1), (centered - lower).astype(np.float32))

    @property
    def span(self) -> slice:
        """The cells that are needed."""
        return slice(int(self.lower[0]), int(self.upper[-1]) + 1)

    def within(self, span: slice) -> Axis:
        """The same of a map that begins at `span`."""
        return Axis(self.lower - span.start, self.upper - span.start, self.share)


class MapGrid:
    """Where source pixels lie on maps that cover the network's input.

    Only cells whose centres show the image are used: what a network says of the padding beside it is not the image's.

    Args:
        letterbox: how the image was fitted into the input.
        map_wh: the maps' (width, height) in cells.

    Attributes:
        axes: for x and y each (scale, offset, first, stop): pixel i lies at (i + 0.5) * scale + offset from the map's
            edge, and the cells from first to before stop are used.
    """

    def __init__(self, letterbox: Letterbox, map_wh: tuple[int, int]) -> None:
        self.axes: list[tuple[float, float, int, int]] = []
        for axis in (0, 1):
            cells = map_wh[axis] / letterbox.input_wh[axis]
            scale, offset = letterbox.scale_xy[axis] * cells, letterbox.offset_xy[axis] * cells
            first, stop = np.ceil(np.array((offset, offset + scale * letterbox.source_wh[axis])) - 0.5)
            low = int(np.clip(first, 0, map_wh[axis] - 1))
            self.axes.append((scale, offset, low, int(np.clip(stop, low + 1, map_wh[axis]))))

    def region(self, first: tuple[int, int], stop: tuple[int, int]) -> tuple[Axis, Axis]:
        """The axes x and y of the source pixels from `first` to before `stop`, both (x, y); at least one each.

        Example: an image of the input's size, and a map of half of it: pixel 1 lies between the first two centres.
            >>> grid = MapGrid(Letterbox.between((8, 8), (8, 8)), (4, 4))
            >>> x, _ = grid.region((0, 0), (3, 1))
            >>> x.lower.tolist(), x.share.tolist()
            ([0, 0, 0], [0.0, 0.25, 0.75])
        """
        x, y = (
            Axis.at((np.arange(begin, end) + 0.5) * scale + offset, low, high)
            for begin, end, (scale, offset, low, high) in zip(first, stop, self.axes, strict=True)
        )
        return x, y


def exceeds(values: np.ndarray, x: Axis, y: Axis, threshold: float) -> np.ndarray:
    """(H, W) bool: where the map, interpolated, is above the threshold.

    Args:
        values: (h, w) float32, finite.
        x, y: the columns' and rows' places, (W,) and (H,).
        threshold: a value that equals it is below.

    Example: between 0 and 4 every quarter is one more.
        >>> places = np.array([0.5, 0.75, 1.0, 1.25, 1.5])
        >>> one, many = Axis.at(np.array([0.5]), 0, 1), Axis.at(places, 0, 2)
        >>> exceeds(np.array([[0, 4]], np.float32), many, one, 1.5).tolist()
        [[False, False, True, True, True]]
    """
    # along x first, where there are few rows; then each pass over all pixels counts
    rows = values.take(x.lower, axis=1)
    rows += (values.take(x.upper, axis=1) - rows) * x.share
    if len(rows) == 1:
        return np.repeat(rows > np.float32(threshold), len(y.lower), axis=0)
    rises = rows[1:] - rows[:-1]
    found = rises.take(y.lower, axis=0)
    found *= y.share[:, None]
    return np.asarray(found > (np.float32(threshold) - rows).take(y.lower, axis=0))
