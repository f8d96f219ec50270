# SPDX-License-Identifier: Apache-2.0
"""Whether a depth network sees anything at all: outputs that stay a bare gradient whatever the picture shows."""

from __future__ import annotations

import numpy as np

_GRID = (24, 32)  # rows, columns that are looked at
_ROUGH = 0.2  # of the spread: what a smooth surface leaves of a scene with anything in it is more
_SAME = 0.99  # correlation of one frame's numbers with those of the first


class FlatWatch:
    """Looks at every frame; costs a tenth of a millisecond.

    A network that is fed in the wrong units (0..1 instead of 0..255, or the other way round) puts out what it has
    learnt of pictures in general: far at the top and near at the bottom, without anything that is in this one.

    Args:
        frames: how many in a row it takes for a remark.
        lines: the preprocess lines of the card, for the remark.
    """

    def __init__(self, frames: int, lines: str) -> None:
        self._frames, self._lines = frames, lines
        self._first: np.ndarray | None = None
        self._flat = 0
        self._smooth = _surface_basis()

    def add(self, numbers: np.ndarray) -> str:
        """One more frame's numbers, (H, W) float32; what stands out, '' for nothing."""
        rows, columns = (
            np.linspace(0, size - 1, count).astype(int) for size, count in zip(numbers.shape, _GRID, strict=True)
        )
        seen = numbers[np.ix_(rows, columns)].astype(np.float64).ravel()
        known = np.isfinite(seen)
        seen = np.where(known, seen, np.mean(seen[known]) if known.any() else 0.0)
        if not self._is_bare(seen):
            self._flat, self._first = 0, None
            return ''
        self._first = seen if self._first is None else self._first
        self._flat += 1
        if self._flat < self._frames:
            return ''
        return (
            f'the last {self._flat} frames gave no more than one and the same gradient. Unless the camera stands '
            'before a bare wall or floor, the images are prepared otherwise than the network expects; the card has '
            f'{self._lines}. Try "scale: 1.0" for a network of 0..255, "scale: 0.00392157" for one of 0..1, and look '
            'at mean, std and color'
        )

    def _is_bare(self, seen: np.ndarray) -> bool:
        spread = seen.std()
        if spread < 1e-6 * max(1e-6, float(np.abs(seen).max())):
            return True
        rest = seen - self._smooth @ (self._smooth.T @ seen)
        if rest.std() >= _ROUGH * spread:
            return False
        if self._first is None or self._first.std() == 0.0:
            return True
        return float(np.corrcoef(seen, self._first)[0, 1]) > _SAME


def _surface_basis() -> np.ndarray:
    """(cells, 6) orthonormal: the surfaces of second order."""
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : 1j * _GRID[0], -1 : 1 : 1j * _GRID[1]])
    return np.linalg.qr(np.column_stack((np.ones_like(x), x, y, x * x, y * y, x * y)))[0]
