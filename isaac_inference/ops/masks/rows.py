# SPDX-License-Identifier: Apache-2.0
"""An image of instances, whose pixels name rows, after some of the rows are gone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.errors import FrameError


def check_count(image: np.ndarray, count: int) -> None:
    """That an image of instances is of that many detections.

    Args:
        image: uint16, i + 1 where detection i is seen.
        count: of the detections.

    Raises:
        FrameError: 'mask_count', it holds a number beyond them.

    Example:
        >>> check_count(np.array([[0, 2, 1]], np.uint16), 2)
        >>> try:
        ...     check_count(np.array([[0, 2, 1]], np.uint16), 1)
        ... except FrameError as error:
        ...     error.reason
        'mask_count'
    """
    highest = int(image.max(initial=0))
    if highest > count:
        raise FrameError(
            'mask_count',
            f'instance mask: got number {highest} in it for {count} detections, expected one number for each; whatever '
            'filters or reorders the detections on their way must do so with the masks too',
        )


def renumbered(image: np.ndarray, count: int, rows: Sequence[int]) -> np.ndarray:
    """The image of those of the detections that are kept.

    Args:
        image: (H, W) uint16, i + 1 where detection i is seen, 0 where none is.
        count: of the detections.
        rows: which of them are kept, in their new order.

    Returns:
        (H, W) uint16, j + 1 where detection `rows[j]` is seen.

    Raises:
        FrameError: 'mask_count', as of `check_count`.

    Example: the first of three is left out, the others change places.
        >>> renumbered(np.array([[0, 1, 2, 3]], np.uint16), 3, [2, 1]).tolist()
        [[0, 0, 2, 1]]
    """
    check_count(image, count)
    numbers = np.zeros(count + 1, np.uint16)
    numbers[np.asarray(rows, np.intp) + 1] = np.arange(1, len(rows) + 1)
    return np.asarray(numbers[image])
