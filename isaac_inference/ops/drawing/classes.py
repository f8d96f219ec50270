# SPDX-License-Identifier: Apache-2.0
"""Drawing a class mask on an image, for people to look at."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import cv2
import numpy as np

from isaac_inference.ops.drawing.boxes import class_color, draw_caption

BACKGROUND = 'background'
"""The class that stays as the camera saw it."""
_OPACITY = 0.55
_EDGE = 0.5  # brightness of a class's edge, of the picture's


def draw_classes(picture: np.ndarray, mask: np.ndarray, names: Mapping[int, str], legend: bool = True) -> None:
    """Tint an image by its classes, in place, with a line where two meet and a legend of those that are there.

    Pixels of a class without a name, such as unlabelled ones, and of 'background' are not tinted.

    Args:
        picture: (H, W, 3) uint8 BGR, writable.
        mask: (H, W) uint8 or uint16, class ids.
        names: id -> class name, which determines the colour.
        legend: whether names and shares of the picture are written into the lower left corner, the largest on top.

    Example: the class is tinted, the rest is not.
        >>> picture = np.zeros((64, 64, 3), np.uint8)
        >>> mask = np.full((64, 64), 255, np.uint8)
        >>> mask[:32] = 3
        >>> draw_classes(picture, mask, {3: 'road'}, legend=False)
        >>> bool(picture[10, 10].any()), bool(picture[50, 10].any())
        (True, False)
    """
    counts = np.bincount(mask.reshape(-1), minlength=1)
    shown = {number: names[number] for number in np.flatnonzero(counts).tolist() if number in names}
    tinted = {number: name for number, name in shown.items() if name != BACKGROUND}
    if tinted:
        colors = np.zeros((len(counts), 3), np.uint8)
        is_tinted = np.zeros(len(counts), np.uint8)
        for number, name in tinted.items():
            colors[number], is_tinted[number] = class_color(name), 255
        where = is_tinted.take(mask)
        blended = cv2.addWeighted(colors.take(mask, axis=0), _OPACITY, picture, 1.0 - _OPACITY, 0.0)
        cv2.copyTo(blended, where, picture)
        picture[_edges(mask) & (where > 0)] //= round(1 / _EDGE)
    if legend:
        total = mask.size
        rows = sorted(((counts[number] / total, name) for number, name in shown.items()), reverse=True)
        _legend(picture, [(name, f'{name} {_percent(share)}') for share, name in rows])


@functools.lru_cache(maxsize=8)
def _kernel(size: int) -> np.ndarray:
    return np.ones((size, size), np.uint8)


def _edges(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels with another class beside them; the line is as thick as those of boxes."""
    size = 1 + 2 * max(1, round(min(mask.shape) / 640))
    kernel = _kernel(size)
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))


def _percent(share: float) -> str:
    return '<1 %' if share < 0.01 else f'{100 * share:.0f} %'


def _legend(picture: np.ndarray, rows: list[tuple[str, str]]) -> None:
    """Captions above one another; the last in the corner."""
    height = max(14, round(min(picture.shape[:2]) / 24))
    y = picture.shape[0]
    for name, text in reversed(rows):
        if y < height:
            return
        draw_caption(picture, text, (0, y), class_color(name) if name != BACKGROUND else (60, 60, 60))
        y -= height
