# SPDX-License-Identifier: Apache-2.0
"""A batch whose images lie apart, for engines that bring them together where they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Rows:
    """Several arrays of one type and of one shape but for the first axis, as if they were one along it.

    Args:
        parts: at least one; on the host or on a GPU.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = tuple(parts)
        first = self.parts[0]
        self.dtype: np.dtype[Any] = np.dtype(first.dtype)
        self.shape: tuple[int, ...] = (sum(int(part.shape[0]) for part in self.parts), *first.shape[1:])
        if any(part.shape[1:] != first.shape[1:] or part.dtype != first.dtype for part in self.parts):
            shapes = ', '.join(f'{part.dtype} {list(part.shape)}' for part in self.parts)
            raise ValueError(f'the parts of a batch differ in more than their number of images: {shapes}')

    def __len__(self) -> int:
        return self.shape[0]


def parts_of(array: Any) -> tuple[Any, ...]:
    """The arrays that a feed is made of."""
    return array.parts if isinstance(array, Rows) else (array,)
