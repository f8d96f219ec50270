# SPDX-License-Identifier: Apache-2.0
"""How far a model's raw outputs are from a reference's, summed up over many images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TensorError:
    """One output over all images. Errors are of the elements that are finite on both sides; None if there are none.

    Attributes:
        name: the candidate's name of the output.
        elements: number of values in the candidate's output.
        nans, infinities: how many of them.
        max_abs, mean_abs: largest and mean absolute difference.
        relative: length of the difference over length of the reference, as vectors of all elements.
        cosine: of the angle between the two; 1 for the same direction.
        largest: largest absolute value of the reference, to judge `max_abs` by.
        note: why the outputs were not compared; '' when they were.
    """

    name: str
    elements: int
    nans: int
    infinities: int
    max_abs: float | None
    mean_abs: float | None
    relative: float | None
    cosine: float | None
    largest: float | None
    note: str = ''

    @property
    def finite(self) -> bool:
        """No NaN and no infinity."""
        return not self.nans and not self.infinities

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, 'finite': self.finite}


class TensorErrorSum:
    """Adds up one output's error image by image; in float64, so that a million images lose nothing.

    Args:
        name: the candidate's name of the output.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._elements = self._nans = self._infinities = self._compared = 0
        self._max = self._sum = self._largest = 0.0
        self._difference = self._reference = self._candidate = self._product = 0.0
        self._note = ''

    def add(self, reference: np.ndarray | None, candidate: np.ndarray, note: str = '') -> None:
        """One image's output on both sides.

        Args:
            reference: None when the reference has nothing to compare with; `note` then says why.
            candidate: any shape and dtype.
            note: why these can't be compared.
        """
        self._elements += candidate.size
        if candidate.dtype.kind == 'f':
            self._nans += int(np.isnan(candidate).sum())
            self._infinities += int(np.isinf(candidate).sum())
        if reference is not None and reference.shape != candidate.shape:
            note = f'shapes differ: {list(reference.shape)} and {list(candidate.shape)}'
        if reference is None or note:
            self._note = note or 'the reference has no such output'
            return
        left, right = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
        usable = np.isfinite(left) & np.isfinite(right)
        if not usable.all():
            left, right = left[usable], right[usable]
        if not left.size:
            return
        apart = np.abs(right - left)
        self._compared += left.size
        self._max = max(self._max, float(apart.max()))
        self._largest = max(self._largest, float(np.abs(left).max()))
        self._sum += float(apart.sum())
        self._difference += float(apart @ apart)
        self._reference += float(left @ left)
        self._candidate += float(right @ right)
        self._product += float(left @ right)

    def result(self) -> TensorError:
        """All images so far."""
        seen = (self._name, self._elements, self._nans, self._infinities)
        if self._note or not self._compared:
            note = self._note or 'no element is finite on both sides'
            return TensorError(*seen, None, None, None, None, None, note)
        relative = math.sqrt(self._difference / self._reference) if self._reference else None
        return TensorError(*seen, self._max, self._sum / self._compared, relative, self._cosine(), self._largest)

    def _cosine(self) -> float | None:
        lengths = math.sqrt(self._reference) * math.sqrt(self._candidate)
        return min(1.0, max(-1.0, self._product / lengths)) if lengths else None
